"""Every metric that Rayline publishes: name, unit, meaning and dimensions in one list.

Code, dashboards and alarms take names from here. What AWS's own services publish (AWS/SQS, AWS/SageMaker …) is not
here. Metrics leave as log lines in CloudWatch's embedded metric format, so publishing needs no permission and no call.
Source: Amazon CloudWatch user guide, "Specification: embedded metric format".
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, TextIO

NAMESPACE: Final = "Rayline"
VALUES_A_LINE: Final = 100
"""Most values that one metric may have in a line."""


class Unit(StrEnum):
    """Units as CloudWatch spells them."""

    COUNT = "Count"
    SECONDS = "Seconds"
    MILLISECONDS = "Milliseconds"
    BYTES = "Bytes"
    NONE = "None"


class Dimension(StrEnum):
    """Dimensions as CloudWatch names them; each has few values, and none identifies anybody."""

    SITE = "Site"
    OPERATION = "Operation"
    SERVICE = "Service"
    EVENT = "Event"
    OUTCOME = "Outcome"
    REASON = "Reason"
    STEP = "Step"
    MODEL = "Model"


SITE_DIMENSION: Final = Dimension.SITE


class Statistic(StrEnum):
    """What sums up the values of a period."""

    SUM = "Sum"
    """Values are counts, added up."""
    DISTRIBUTION = "Average"
    """Values are measurements: averages and percentiles say something, a sum does not."""
    LEVEL = "Maximum"
    """Values are readings of a level that is there whether it is read or not."""


@dataclass(frozen=True, eq=False)
class Metric:
    """One metric of a site.

    Attributes:
        meaning: what one value says.
        emitted_by: the module of ours that measures it.
        statistic: what sums up the values of a period.
        by: dimensions that it is also published by, each beside the site alone.
    """

    name: str
    unit: Unit
    meaning: str
    emitted_by: str
    statistic: Statistic = Statistic.SUM
    by: tuple[Dimension, ...] = ()

    @property
    def dimension_sets(self) -> list[list[str]]:
        """The sets under which CloudWatch keeps it: the site alone, then the site and one dimension more."""
        return [[Dimension.SITE.value], *([Dimension.SITE.value, each.value] for each in self.by)]


# -- imaging -------------------------------------------------------------------------------------------------------

_CALLS = "rayline.observability.calls"

RETRIEVAL_LATENCY = Metric(
    "RetrievalLatency",
    Unit.MILLISECONDS,
    "one read of a frame or of an image set's metadata from HealthImaging, from the request to the last byte",
    _CALLS,
    Statistic.DISTRIBUTION,
    (Dimension.OPERATION,),
)
RETRIEVED_BYTES = Metric(
    "RetrievedBytes",
    Unit.BYTES,
    "bytes of frames and metadata read from HealthImaging",
    _CALLS,
    by=(Dimension.OPERATION,),
)
RETRIEVAL_ERRORS = Metric(
    "RetrievalErrors",
    Unit.COUNT,
    "reads of frames or metadata that failed after all attempts",
    _CALLS,
    by=(Dimension.OPERATION,),
)
HEALTH_IMAGING_CALLS = Metric(
    "HealthImagingCalls",
    Unit.COUNT,
    "calls of HealthImaging, its repeated attempts not counted",
    _CALLS,
    by=(Dimension.OPERATION,),
)
CONNECTION_ERRORS = Metric(
    "ConnectionErrors",
    Unit.COUNT,
    "attempts that got no answer from an AWS service, and hook calls that could not reach a peer such as a PACS",
    "rayline.observability.calls, rayline.dispatcher",
    by=(Dimension.SERVICE,),
)
THROTTLES = Metric(
    "Throttles",
    Unit.COUNT,
    "attempts that an AWS service refused since there were too many",
    _CALLS,
    by=(Dimension.SERVICE,),
)
COMPRESSION_RATIO = Metric(
    "CompressionRatio",
    Unit.NONE,
    "bytes of a decoded frame for each byte as HealthImaging stores it",
    "rayline.healthimaging.reader",
    Statistic.DISTRIBUTION,
)
STORED_INSTANCES = Metric(
    "StoredInstances",
    Unit.COUNT,
    "instances that HealthImaging has imported of this site, ever",
    "rayline.handler",
    Statistic.LEVEL,
)
STORED_BYTES = Metric(
    "StoredBytes",
    Unit.BYTES,
    "bytes of the files that HealthImaging has imported of this site, ever, as they were before it transcoded them",
    "rayline.handler",
    Statistic.LEVEL,
)
CONCURRENT_VIEWERS = Metric(
    "ConcurrentViewers",
    Unit.COUNT,
    "people who used the HTTP API within the last five minutes, as one process of it saw them",
    "rayline.cli.api",
    Statistic.LEVEL,
)

# -- events --------------------------------------------------------------------------------------------------------

_CONSUMPTION = "rayline.observability.consumption"

CONSUMED_MESSAGES = Metric(
    "ConsumedMessages", Unit.COUNT, "messages of the queue that were handled, reminders too", _CONSUMPTION
)
CONSUMER_ERRORS = Metric(
    "ConsumerErrors",
    Unit.COUNT,
    "messages whose handling failed; one that waits for something outside, or is refused, has not failed",
    _CONSUMPTION,
)
EVENTS_HANDLED = Metric(
    "EventsHandled",
    Unit.COUNT,
    "events handled, by kind and by what became of them: done, rejected, retried, parked, failed, dead_lettered",
    _CONSUMPTION,
    by=(Dimension.EVENT, Dimension.OUTCOME),
)
EVENT_SECONDS = Metric(
    "EventSeconds",
    Unit.SECONDS,
    "handling of one event, all of its hooks",
    _CONSUMPTION,
    Statistic.DISTRIBUTION,
    (Dimension.EVENT,),
)
QUEUE_WAIT = Metric(
    "QueueWait",
    Unit.SECONDS,
    "time in the queue of a message that announces an event for the first time",
    _CONSUMPTION,
    Statistic.DISTRIBUTION,
)
OUTBOX_LAG = Metric(
    "OutboxLag",
    Unit.SECONDS,
    "age of the oldest event of ours that should have left and has not, 0 where there is none",
    "rayline.worker",
    Statistic.LEVEL,
)
INSTANCES_RECEIVED = Metric(
    "InstancesReceived",
    Unit.COUNT,
    "uploaded objects that were taken in, as duplicates, or into quarantine",
    "rayline.stages.intake",
)
BYTES_RECEIVED = Metric("BytesReceived", Unit.BYTES, "their size", "rayline.stages.intake")
INSTANCES_QUARANTINED = Metric(
    "InstancesQuarantined",
    Unit.COUNT,
    "instances that went to quarantine, at intake or by HealthImaging; a reason that is no code of Rayline's is OTHER",
    "rayline.stages.intake, rayline.stages.ingested",
    by=(Dimension.REASON,),
)
INSTANCES_IMPORTED = Metric(
    "InstancesImported", Unit.COUNT, "instances that HealthImaging imported", "rayline.stages.ingested"
)
VERIFICATIONS = Metric(
    "Verifications",
    Unit.COUNT,
    "acts of radiologists that were handled: recorded, revoked, superseded, refused",
    "rayline.stages.verified",
    by=(Dimension.OUTCOME,),
)
AUDIT_ENTRIES = Metric(
    "AuditEntries",
    Unit.COUNT,
    "acts that the audit trail recorded before they were done",
    "rayline.observability.audit",
)
AUDIT_ERRORS = Metric(
    "AuditErrors",
    Unit.COUNT,
    "acts that the audit trail could not record, and that were not done therefore",
    "rayline.observability.audit",
)
RECONCILER_GAPS = Metric(
    "ReconcilerGaps",
    Unit.COUNT,
    "gaps that one run of the reconciler found, repaired or not",
    "rayline.handler",
)
RECONCILER_GAPS_LEFT = Metric(
    "ReconcilerGapsLeft",
    Unit.COUNT,
    "gaps of one run of the reconciler that need a person",
    "rayline.handler",
)

# -- training ------------------------------------------------------------------------------------------------------

_TRAINING = "rayline.stages.training"
_EVALUATED = "rayline.stages.execution_metrics"

TRAININGS_STARTED = Metric("TrainingsStarted", Unit.COUNT, "training runs that were started", _TRAINING)
EXECUTIONS_ENDED = Metric(
    "ExecutionsEnded",
    Unit.COUNT,
    "executions of the pipeline that ended: Succeeded, Failed, Stopped",
    _EVALUATED,
    by=(Dimension.OUTCOME,),
)
EXECUTION_SECONDS = Metric(
    "ExecutionSeconds", Unit.SECONDS, "one execution of the pipeline", _EVALUATED, Statistic.DISTRIBUTION
)
STEP_SECONDS = Metric(
    "StepSeconds",
    Unit.SECONDS,
    "one step of an execution, e.g. Preprocess, Train, Evaluate",
    _EVALUATED,
    Statistic.DISTRIBUTION,
    (Dimension.STEP,),
)
EPOCH_SECONDS = Metric(
    "EpochSeconds", Unit.SECONDS, "one epoch of training", _EVALUATED, Statistic.DISTRIBUTION
)
IMAGES_TRAINED_ON = Metric(
    "ImagesTrainedOn",
    Unit.COUNT,
    "images that a model was trained on",
    _EVALUATED,
    Statistic.DISTRIBUTION,
)


def _score(name: str, meaning: str) -> Metric:
    return Metric(name, Unit.NONE, meaning, _EVALUATED, Statistic.DISTRIBUTION, (Dimension.MODEL,))


ACCURACY = _score("Accuracy", "share of the test images that a new model classifies rightly, 0 to 1")
PRECISION = _score("Precision", "precision of a new model for the positive class on the test images, 0 to 1")
RECALL = _score("Recall", "recall of a new model for the positive class on the test images, 0 to 1")
F1 = _score("F1", "harmonic mean of a new model's precision and recall, 0 to 1")
ROC_AUC = _score("RocAuc", "area under a new model's ROC curve on the test images, 0 to 1")
MODELS_APPROVED = Metric(
    "ModelsApproved",
    Unit.COUNT,
    "registered models that were approved when their evaluation was handled",
    _EVALUATED,
    by=(Dimension.MODEL,),
)
MODELS_REJECTED = Metric(
    "ModelsRejected",
    Unit.COUNT,
    "models that were rejected, or not registered since they are below the threshold",
    _EVALUATED,
    by=(Dimension.MODEL,),
)
MODELS_WAITING = Metric(
    "ModelsWaiting",
    Unit.COUNT,
    "registered models that were left to a person when their evaluation was handled",
    _EVALUATED,
    by=(Dimension.MODEL,),
)
VERIFIED_TO_MODEL_SECONDS = Metric(
    "VerifiedToModelSeconds",
    Unit.SECONDS,
    "from the newest label that a model was made with to the model's registration",
    _EVALUATED,
    Statistic.DISTRIBUTION,
)

# -- endpoint ------------------------------------------------------------------------------------------------------

PREDICTION_DRIFT = Metric(
    "PredictionDrift",
    Unit.NONE,
    "population stability index of the endpoint's scores of a day against those of the test images",
    "rayline.drift",
    Statistic.LEVEL,
)
ANSWERS_COMPARED = Metric(
    "AnswersCompared", Unit.COUNT, "answers of the endpoint that were compared so", "rayline.drift"
)

# -- DICOM gateway -------------------------------------------------------------------------------------------------

_GATEWAY = "rayline.dimse"

ASSOCIATIONS = Metric(
    "Associations",
    Unit.COUNT,
    "associations that peers asked the gateway for: accepted, refused",
    _GATEWAY,
    by=(Dimension.OUTCOME,),
)
GATEWAY_INSTANCES = Metric(
    "GatewayInstances", Unit.COUNT, "instances that the gateway stored and acknowledged", _GATEWAY
)
GATEWAY_BYTES = Metric("GatewayBytes", Unit.BYTES, "their size", _GATEWAY)
GATEWAY_REJECTIONS = Metric(
    "GatewayRejections",
    Unit.COUNT,
    "associations and C-STORE requests that the gateway refused, by reason",
    _GATEWAY,
    by=(Dimension.REASON,),
)
STORE_SECONDS = Metric(
    "StoreSeconds",
    Unit.SECONDS,
    "one C-STORE request, from its last byte to the answer",
    _GATEWAY,
    Statistic.DISTRIBUTION,
)

METRICS: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))


def publish(
    values: Mapping[Metric, float | Sequence[float]],
    *,
    site: str,
    at: datetime,
    labels: Mapping[Dimension, str] | None = None,
    stream: TextIO | None = None,
) -> None:
    """Publish values of one moment as one line.

    Args:
        values: one value of a metric, or up to ``VALUES_A_LINE`` of them.
        labels: a value for each dimension that the metrics are published by.
        stream: where the task's log is read; default standard error.

    Raises:
        KeyError: a metric's dimension has no label.
    """
    labels = labels or {}
    directives = [
        {
            "Namespace": NAMESPACE,
            "Dimensions": metric.dimension_sets,
            "Metrics": [{"Name": metric.name, "Unit": metric.unit}],
        }
        for metric in values
    ]
    line: dict[str, object] = {
        "_aws": {"Timestamp": round(at.timestamp() * 1000), "CloudWatchMetrics": directives},
        Dimension.SITE: site,
        **{dimension: labels[dimension] for metric in values for dimension in metric.by},
        **{metric.name: value for metric, value in values.items()},
    }
    # One write: several workers share the stream, and a line that is torn is no metric.
    (stream or sys.stderr).write(json.dumps(line) + "\n")
