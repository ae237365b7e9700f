"""Size and behaviour of the event processor."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from rayline_infra.settings.section import Flag, Section, setting

IMAGE_TAG = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$"
IMAGE_TAG_OR_NONE = r"^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$"
# CPU units: (least MiB, most MiB, step), AWS Fargate user guide, "Task CPU and memory".
FARGATE_SIZES = {
    256: (512, 2048, 512),
    512: (1024, 4096, 1024),
    1024: (2048, 8192, 1024),
    2048: (4096, 16_384, 1024),
    4096: (8192, 30_720, 1024),
    8192: (16_384, 61_440, 4096),
    16_384: (32_768, 122_880, 8192),
}


def task_size_problems(prefix: str, cpu_units: int, memory_mib: int) -> Iterator[tuple[str, str]]:
    """Why Fargate has no task of this size, named by ``<prefix>CpuUnits`` and ``<prefix>MemoryMib``."""
    if cpu_units not in FARGATE_SIZES:
        yield f"{prefix}CpuUnits", f"Fargate has {', '.join(str(size) for size in FARGATE_SIZES)}"
        return
    least, most, step = FARGATE_SIZES[cpu_units]
    if not least <= memory_mib <= most or memory_mib % step:
        reason = f"with {cpu_units} CPU units Fargate has {least} to {most} in steps of {step}"
        yield f"{prefix}MemoryMib", reason


class ProcessorSettings(Section):
    """The processor's tasks, and what their environment tells them."""

    cpu_units: int = setting("processorCpuUnits", "Fargate CPU units of a task.", 2048, default=4096)
    memory_mib: int = setting("processorMemoryMib", "Memory of a task in MiB.", 8192, default=16_384)
    image_tag: str = setting(
        "processorImageTag", "Immutable tag of the processor's image.", "0.1.0", pattern=IMAGE_TAG
    )
    collector_image_tag: str = setting(
        "collectorImageTag",
        "Immutable tag of the trace collector's image in the stack's own repository; empty keeps no traces.",
        "v0.43.3",
        default="",
        pattern=IMAGE_TAG_OR_NONE,
    )
    least_tasks: Annotated[int, Field(ge=1, le=100)] = setting(
        "processorLeastTasks", "Tasks that always run.", 2, default=2
    )
    most_tasks: Annotated[int, Field(ge=1, le=100)] = setting(
        "processorMostTasks", "Tasks that run when the queue is long.", 10, default=10
    )
    backlog_per_task: Annotated[int, Field(ge=1, le=1_000_000)] = setting(
        "processorBacklogPerTask",
        "Waiting messages that one task may have before another starts.",
        200,
        default=200,
    )
    spot: Flag = setting(
        "processorSpot",
        "Runs the tasks above the least number on Fargate Spot; events survive the interruption.",
        False,
        default=False,
    )
    workers: Annotated[int, Field(ge=1, le=64)] = setting(
        "workers", "Worker processes in a task.", 8, default=8
    )
    visibility_seconds: Annotated[int, Field(ge=5, le=43_200)] = setting(
        "visibilitySeconds",
        "SQS visibility of a message at work; the heartbeat renews it.",
        120,
        default=120,
    )
    lease_seconds: Annotated[float, Field(ge=1, le=3600)] = setting(
        "leaseSeconds", "A claim on an effect holds this long without a heartbeat.", 60, default=60
    )
    clock_skew_seconds: Annotated[float, Field(ge=0, le=600)] = setting(
        "clockSkewSeconds", "Clocks of two tasks may differ by this much.", 60, default=60
    )
    batch_quiet_seconds: Annotated[float, Field(ge=0.1, le=3600)] = setting(
        "batchQuietSeconds",
        "An import batch is sealed after this long without a new instance.",
        30,
        default=30,
    )
    study_quiet_seconds: Annotated[float, Field(ge=0.1, le=86_400)] = setting(
        "studyQuietSeconds",
        "A study is complete after this long without a new instance of it.",
        120,
        default=120,
    )
    # Below this, a waiting event goes round in the queue; SQS delays a message by 15 minutes at most.
    park_after_seconds: Annotated[float, Field(ge=1, le=900)] = setting(
        "parkAfterSeconds",
        "An effect that waits this long or longer (a PACS is down) waits in the ledger, not in the queue.",
        60,
        default=60,
    )
    health_port: Annotated[int, Field(ge=0, le=65_535)] = setting(
        "healthPort", "Loopback port of the task's health check; 0 serves none.", 8080, default=8080
    )
    verified_per_training: Annotated[int, Field(ge=1, le=1_000_000)] = setting(
        "verifiedPerTraining", "Verified image sets that start a training.", 500, default=500
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        yield from task_size_problems("processor", self.cpu_units, self.memory_mib)
        if self.most_tasks < self.least_tasks:
            yield "processorMostTasks", "it must not be below processorLeastTasks"
