"""The site profile: which plugins a site requires and how they are treated, readable without importing them."""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from rayline.dicom.coercion import CoercionRule
from rayline.dicom.sop_classes import ALLOWED_MODALITIES, ALLOWED_SOP_CLASSES, Accepted
from rayline.dicom.structure import DEFAULT_LIMITS, Limits
from rayline.errors import ConfigurationError


class PolicyOverride(BaseModel):
    """The site's word on one hook of one plugin; what is unset stays as the plugin declares it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    on_failure: Literal["reject", "retry", "ignore"] | None = None
    timeout_seconds: float | None = Field(default=None, gt=0)
    memory_mb: int | None = Field(default=None, ge=16)
    order: int | None = None
    sees_phi: bool | None = None


class PluginProfile(BaseModel):
    """One plugin of the site."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    required: bool = True
    policies: dict[str, PolicyOverride] = {}
    settings: dict[str, Any] = {}


class IntakeLimits(BaseModel):
    """What the intake reads at most of one object; what is beyond is quarantined as ``LIMIT_EXCEEDED``.

    Attributes:
        object_bytes: size of the object; HealthImaging imports files of up to 10 GB.
        elements: data elements, items and fragments, at every depth together.
        depth: sequences inside one another.
        inflated_bytes: size of a deflated data set once inflated, which is kept in memory.
        values: values of one multi-valued element.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    object_bytes: int = Field(default=DEFAULT_LIMITS.object_bytes, ge=1)
    elements: int = Field(default=DEFAULT_LIMITS.elements, ge=1)
    # pydicom, which plugins may ask for, recurses and ends at some 200.
    depth: int = Field(default=DEFAULT_LIMITS.depth, ge=1, le=64)
    inflated_bytes: int = Field(default=DEFAULT_LIMITS.inflated_bytes, ge=1)
    values: int = Field(default=DEFAULT_LIMITS.values, ge=1)

    def limits(self) -> Limits:
        """The limits as :mod:`rayline.dicom` takes them."""
        return Limits(**self.model_dump())


# PS3.5 table 6.2-1 and §9.1: code strings, and UIDs.
_CodeString = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9_ ]{1,16}$")]
_Uid = Annotated[str, StringConstraints(pattern=r"^[0-2](\.(0|[1-9][0-9]*))+$", max_length=64)]


class IntakeProfile(BaseModel):
    """What the intake takes, and what it mends rather than refuses.

    Attributes:
        allowed_sop_classes: UIDs, in place of the built-in list; a media directory is never taken.
        allowed_modalities: defined terms, in place of the built-in list.
        coercion: rules of :class:`~rayline.dicom.coercion.CoercionRule`; none unless listed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    allowed_sop_classes: frozenset[_Uid] = Field(default=ALLOWED_SOP_CLASSES, min_length=1)
    allowed_modalities: frozenset[_CodeString] = Field(default=ALLOWED_MODALITIES, min_length=1)
    limits: IntakeLimits = IntakeLimits()
    coercion: frozenset[CoercionRule] = frozenset()

    def accepted(self) -> Accepted:
        """What screening takes."""
        return Accepted(self.allowed_sop_classes, self.allowed_modalities)


class SiteProfile(BaseModel):
    """A site's profile. Installed plugins that it does not list are not loaded.

    Attributes:
        identity: ``deidentified`` refuses to store an instance without a receipt; ``original`` stores as received.
        intake: what the intake takes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    identity: Literal["deidentified", "original"] = "deidentified"
    intake: IntakeProfile = IntakeProfile()
    plugins: tuple[PluginProfile, ...] = ()


def load_profile(path: Path) -> SiteProfile:
    """Read a site profile.

    Raises:
        ConfigurationError: the file is missing, is no YAML, or has a wrong field, which is named.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError):
        raise ConfigurationError(
            f"no readable site profile at {path}; set RAYLINE_SITE_PROFILE to a file of config/site/"
        ) from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"the site profile {path} is not YAML: {error}") from None
    try:
        return SiteProfile.model_validate(document or {})
    except ValidationError as error:
        raise ConfigurationError(f"the site profile {path} is wrong: {problems_of(error)}") from None


def problems_of(error: ValidationError) -> str:
    """Each wrong field and what is wrong with it, without its value."""
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'document'}: {problem['msg']}" for problem in error.errors()
    )
