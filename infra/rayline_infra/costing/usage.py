"""What is assumed of a month: every figure that the graph cannot know, with its meaning and where it comes from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from rayline.errors import ConfigurationError

MIB_PER_GIB = 1024
DAYS_PER_MONTH = 365 / 12
HOURS_PER_MONTH = 730
SECONDS_PER_MONTH = HOURS_PER_MONTH * 3600
BYTES_PER_GIB = 2**30


def _assumed(default: float, meaning: str) -> Any:
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True)
class Usage:
    """One month's use. Free tiers are left out: they are the account's, and other stacks may have used them up."""

    scans_per_month: float = _assumed(10, "studies that arrive in a month")
    trainings_per_month: float = _assumed(4, "executions of the training pipeline in a month")
    months: float = _assumed(12, "age of the estate: what is kept has piled up for so long")

    images_per_scan: float = _assumed(300, "slices of a chest CT of 300 mm at 1 mm (LIDC-IDRI)")
    mib_per_image: float = _assumed(0.502, "a slice of 512 x 512 at 16 bits with its header: 526,134 bytes")
    stored_ratio: float = _assumed(0.5, "lossless HTJ2K against uncompressed, of CT")
    image_sets_per_scan: float = _assumed(2, "series of a study, each an image set of its own")
    quarantined_share: float = _assumed(0.02, "share of the images that is refused and kept")
    views_per_scan: float = _assumed(2, "times that somebody opens a study: to verify it, and once more")
    frames_per_view: float = _assumed(300, "frames that a viewer reads of a study that is scrolled through")
    api_requests_per_view: float = _assumed(40, "API requests of a view beside its frames")
    viewer_mib_per_view: float = _assumed(4, "code of the viewer that a browser loads")
    users: float = _assumed(20, "people who sign in during a month")

    sign_in_requests: float = _assumed(200, "requests of one person's signing in during a month")

    training_minutes: float = _assumed(25, "billed minutes of a training job")
    preprocessing_minutes: float = _assumed(10, "billed minutes of a preprocessing job")
    evaluation_minutes: float = _assumed(5, "billed minutes of an evaluation job")
    images_per_training: float = _assumed(500, "images of a training, which preprocessing reads")
    mib_per_training_image: float = _assumed(0.25, "a preprocessed image of 512 x 512 at 8 bits")
    model_mib: float = _assumed(120, "a model's archive with its checkpoints")
    report_mib: float = _assumed(5, "an evaluation's report and metrics")
    monitoring_minutes: float = _assumed(10, "billed minutes of one run of a drift monitor")

    burst_task_hours_per_scan: float = _assumed(0.25, "hours that a further task runs when a study arrives")
    messages_per_image: float = _assumed(1.2, "messages in the queue: an upload each, and what a study adds")
    polls_per_worker_minute: float = _assumed(3, "long polls of 20 s of a worker that has nothing to do")
    own_events_per_scan: float = _assumed(10, "events of ours on the custom bus")
    event_bytes: float = _assumed(1500, "size of an event in an archive")
    table_writes_per_image: float = _assumed(
        12, "write units: six writes at most, in transactions, which count twice"
    )
    table_reads_per_image: float = _assumed(12, "read units")
    table_bytes_per_image: float = _assumed(3000, "ledger items of an instance with their indexes")
    object_writes_per_image: float = _assumed(
        4, "S3 requests that write: upload, batch, its parts, manifests"
    )
    object_reads_per_image: float = _assumed(6, "S3 requests that read: header, ranges, import")
    kms_requests_per_image: float = _assumed(2, "KMS requests, with bucket keys")
    kms_requests_per_key: float = _assumed(20_000, "KMS requests of an idle key: queue polling, tables, logs")

    log_bytes_per_image: float = _assumed(3000, "log lines that an image causes")
    metric_line_bytes: float = _assumed(1500, "one line of the embedded metric format")
    metric_seconds: float = _assumed(10, "a task publishes its metrics so often")
    idle_log_mib: float = _assumed(50, "log lines of a service in a month in which nothing happens")
    values_per_dimension: float = _assumed(5, "values of a metric's dimension that occur in a month")
    traces_per_image: float = _assumed(0.05, "traces after sampling")
    flow_records_per_interface_minute: float = _assumed(4, "flow log records of a network interface")
    flow_record_bytes: float = _assumed(120, "size of a flow log record")
    notices_per_month: float = _assumed(30, "notices to each subscriber of alarms")

    management_events: float = _assumed(
        300_000, "management events that the estate's services cause in a month"
    )
    management_write_share: float = _assumed(0.1, "share of them that writes")
    data_events_per_image: float = _assumed(25, "S3, DynamoDB and HealthImaging calls that a trail records")
    trail_bytes_per_event: float = _assumed(150, "a recorded event, compressed")
    changes_per_resource: float = _assumed(1, "changes of a resource that Config records")
    evaluations_per_rule: float = _assumed(60, "evaluations of a Config rule")

    processor_image_gib: float = _assumed(1.5, "the processor's container image, compressed")
    training_image_gib: float = _assumed(6.0, "the training image, with CUDA, compressed")
    other_image_gib: float = _assumed(0.5, "any other container image, compressed")
    images_kept: float = _assumed(10, "versions of an image in a repository")

    @property
    def images(self) -> float:
        """Images that arrive in a month."""
        return self.scans_per_month * self.images_per_scan

    @property
    def raw_gib(self) -> float:
        """Their size as they arrive."""
        return self.images * self.mib_per_image / MIB_PER_GIB

    @property
    def frames_viewed(self) -> float:
        """Frames that viewers read."""
        return self.scans_per_month * self.views_per_scan * self.frames_per_view

    @property
    def viewed_gib(self) -> float:
        """Compressed frames that viewers read."""
        return self.frames_viewed * self.mib_per_image * self.stored_ratio / MIB_PER_GIB

    def changed(self, assignments: Sequence[str]) -> "Usage":
        """This use with ``name=value`` assignments.

        Raises:
            ConfigurationError: an assignment is no pair, its name is unknown, or its value is no number of 0 or more.
        """
        known = assumptions()
        values: dict[str, float] = {}
        for assignment in assignments:
            name, equals, text = assignment.partition("=")
            if not equals or name not in known:
                raise ConfigurationError(
                    f"no assumption {assignment!r}; give name=value, of {', '.join(known)}"
                )
            try:
                values[name] = float(text)
            except ValueError:
                raise ConfigurationError(f"{name} must be a number, not {text!r}") from None
            if not 0 <= values[name] < float("inf"):
                raise ConfigurationError(f"{name} must be a number of 0 or more, not {text}")
        return replace(self, **values)


def assumptions() -> Mapping[str, str]:
    """The meaning of every assumption by its name."""
    return {each.name: str(each.metadata["meaning"]) for each in fields(Usage)}
