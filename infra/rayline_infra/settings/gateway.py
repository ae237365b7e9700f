"""The DIMSE gateway that modalities and the PACS send to."""

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from rayline_infra.settings.processor import IMAGE_TAG, task_size_problems
from rayline_infra.settings.section import Flag, Section, Texts, setting

# PS3.5 §6.2, VR AE; the task is told of them with commas in between.
CALLING_AE_TITLE = re.compile(r"[!-+\--\[\]-~][ -+\--\[\]-~]{0,15}")


class GatewaySettings(Section):
    """The gateway's tasks and whom they answer."""

    cpu_units: int = setting("gatewayCpuUnits", "Fargate CPU units of a gateway task.", 1024, default=1024)
    memory_mib: int = setting("gatewayMemoryMib", "Memory of a gateway task in MiB.", 2048, default=2048)
    image_tag: str = setting(
        "gatewayImageTag", "Immutable tag of the gateway's image.", "0.1.0", pattern=IMAGE_TAG
    )
    tasks: Annotated[int, Field(ge=1, le=100)] = setting(
        "gatewayTasks", "Gateway tasks, spread over the availability zones.", 2, default=2
    )
    port: Annotated[int, Field(ge=1024, le=65_535)] = setting(
        "dimsePort",
        "TCP port that modalities connect to; below 1024 a task would have to be root.",
        11_112,
        default=11_112,
    )
    ae_title: str = setting(
        "dimseAeTitle",
        "Called AE title, 1 to 16 characters (PS3.5 §6.2).",
        "RAYLINE",
        default="RAYLINE",
        pattern=r"^[A-Z0-9_-][A-Z0-9_ -]{0,15}$",
    )
    calling_ae_titles: Texts = setting(
        "dimseCallingAeTitles",
        "AE titles that may send; nobody may where the list is empty.",
        ["CT1", "MR1"],
        default=(),
    )

    tls: Flag = setting(
        "dimseTls",
        "Takes DIMSE over TLS with client certificates only; needs the secrets dimse-certificate and dimse-client-ca.",
        True,
        default=False,
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        yield from task_size_problems("gateway", self.cpu_units, self.memory_mib)
        if wrong := [each for each in self.calling_ae_titles if not CALLING_AE_TITLE.fullmatch(each)]:
            yield "dimseCallingAeTitles", f"{wrong[0]!r} is no AE title of 1 to 16 characters (PS3.5 §6.2)"
