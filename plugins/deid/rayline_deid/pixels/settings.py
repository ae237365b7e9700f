"""Settings of pixel cleaning, part of a site's profile."""

from functools import cached_property
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from rayline_deid.pixels.devices import DeviceRule, DeviceRules, packaged_rules


class PixelSettings(BaseModel):
    """How pixels are cleaned.

    Attributes:
        device_rules: the site's own rules on where machines burn in text.
        packaged_device_rules: whether the rules that come with the plugin hold as well.
        text_detection: look for text in images at risk; without it, those that neither a rule nor
            ultrasound regions clean are refused.
        every_image: look for text in images without risk too.
        believe_no: take Burned In Annotation *NO* as true, except for ultrasound, endoscopy, photographs, secondary
            captures, localizers and whatever else shows text by its nature.
        frames_examined: frames of a multi-frame image that are looked at one by one; what it has
            beyond that is looked at in projections of all frames.
        largest_frame: samples (rows × columns × samples per pixel) of a frame, beyond which an image
            at risk is refused.
        largest_image: samples of all frames, likewise.
        threads: how many threads the networks use.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    device_rules: tuple[DeviceRule, ...] = ()
    packaged_device_rules: bool = True
    text_detection: bool = True
    every_image: bool = False
    believe_no: bool = True
    frames_examined: Annotated[int, Field(ge=2, le=1000)] = 24
    largest_frame: Annotated[int, Field(ge=1)] = 40_000_000
    largest_image: Annotated[int, Field(ge=1)] = 4_000_000_000
    threads: Annotated[int, Field(ge=1, le=64)] = 1

    @cached_property
    def devices(self) -> DeviceRules:
        """All device rules that hold."""
        return DeviceRules((*self.device_rules, *(packaged_rules() if self.packaged_device_rules else ())))
