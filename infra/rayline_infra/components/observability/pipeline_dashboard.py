"""The pipeline dashboard: do trainings succeed, how long do they take, and how good are the models."""

from collections.abc import Sequence

from rayline.observability.metrics import (
    ACCURACY,
    EPOCH_SECONDS,
    EXECUTION_SECONDS,
    EXECUTIONS_ENDED,
    F1,
    IMAGES_TRAINED_ON,
    PRECISION,
    RECALL,
    ROC_AUC,
    STEP_SECONDS,
    TRAININGS_STARTED,
    Dimension,
)
from rayline_infra.components.observability.aws_metrics import (
    DAY_SECONDS,
    EXECUTIONS_FAILED,
    EXECUTIONS_STARTED,
    EXECUTIONS_SUCCEEDED,
    HOUR_SECONDS,
    PROCESSING_CPU,
    PROCESSING_MEMORY,
    TRAINING_CPU,
    TRAINING_GPU,
    TRAINING_GPU_MEMORY,
)
from rayline_infra.components.observability.dashboards import Guide
from rayline_infra.components.observability.places import Place
from rayline_infra.components.observability.series import Math, Search, ours, theirs
from rayline_infra.components.observability.widgets import AlarmStates, Graph, Line, Widget
from rayline_infra.settings import ObservabilitySettings

SUCCESS_PERCENT = 95
ALARMS = ("training-failed", "accuracy", "pipeline-success-week", "verified-to-model-week")
PREPROCESS_STEP = "Preprocess"


def rows(settings: ObservabilitySettings, guide: Guide) -> Sequence[Sequence[Widget]]:
    """The widgets, row by row."""
    return (
        [
            guide.text(
                "Pipeline",
                "Do trainings succeed, how long do they take, how good are the models? A failed execution names its "
                "step in SageMaker; a model below the threshold is not registered, and its report is kept.",
                ALARMS,
                ("errors", "rejections"),
            )
        ],
        [AlarmStates("Alarms of the pipeline", ALARMS)],
        [
            Graph(
                "Executions started, succeeded and failed",
                "Executions",
                [
                    theirs(EXECUTIONS_STARTED, Place.PIPELINE, label="started"),
                    theirs(EXECUTIONS_SUCCEEDED, Place.PIPELINE, label="succeeded"),
                    theirs(EXECUTIONS_FAILED, Place.PIPELINE, label="failed"),
                ],
                period_seconds=HOUR_SECONDS,
            ),
            Graph(
                "Executions that succeeded (% of a day's)",
                "Percent",
                [
                    Math(
                        "100 * FILL(succeeded, 0) / (FILL(succeeded, 0) + FILL(failed, 0))",
                        {
                            "succeeded": theirs(EXECUTIONS_SUCCEEDED, Place.PIPELINE),
                            "failed": theirs(EXECUTIONS_FAILED, Place.PIPELINE),
                        },
                        "succeeded",
                    )
                ],
                lines=[Line(SUCCESS_PERCENT, "objective", above=False)],
                period_seconds=DAY_SECONDS,
                highest=100,
            ),
            Graph(
                "Trainings started, and executions handled by outcome",
                "Executions",
                [
                    ours(TRAININGS_STARTED, label="started"),
                    Search(EXECUTIONS_ENDED, Dimension.OUTCOME, "Sum"),
                ],
                period_seconds=HOUR_SECONDS,
            ),
        ],
        [
            Graph(
                "Duration of an execution (s)",
                "Seconds",
                [
                    ours(EXECUTION_SECONDS, "Average", label="average"),
                    ours(EXECUTION_SECONDS, "Maximum", label="longest"),
                ],
                period_seconds=HOUR_SECONDS,
            ),
            Graph(
                "Time per epoch (s)",
                "Seconds",
                [
                    ours(EPOCH_SECONDS, "Average", label="average"),
                    ours(EPOCH_SECONDS, "p99", label="p99"),
                ],
                period_seconds=HOUR_SECONDS,
            ),
            Graph(
                "Preprocessing, and the other steps at the right (s)",
                "Seconds",
                [ours(STEP_SECONDS, "Average", by=(Dimension.STEP, PREPROCESS_STEP), label="preprocessing")],
                right=[Search(STEP_SECONDS, Dimension.STEP, "Average")],
                right_unit="Seconds",
                period_seconds=HOUR_SECONDS,
            ),
        ],
        [
            Graph(
                "Accuracy of new models",
                "Share",
                [ours(ACCURACY, "Average", label="average"), ours(ACCURACY, "Minimum", label="worst")],
                lines=[Line(settings.least_accuracy, "alarm", above=False)],
                period_seconds=DAY_SECONDS,
                highest=1,
            ),
            Graph(
                "Precision and recall by model",
                "Share",
                [
                    Search(PRECISION, Dimension.MODEL, "Average", "precision"),
                    Search(RECALL, Dimension.MODEL, "Average", "recall"),
                ],
                period_seconds=DAY_SECONDS,
                highest=1,
            ),
            Graph(
                "F1 and area under the ROC curve by model",
                "Share",
                [
                    Search(F1, Dimension.MODEL, "Average", "F1"),
                    Search(ROC_AUC, Dimension.MODEL, "Average", "AUC"),
                ],
                period_seconds=DAY_SECONDS,
                highest=1,
            ),
        ],
        [
            Graph(
                "Training jobs of the account: CPU (% of a core each)",
                "Percent",
                [Search(TRAINING_CPU, "Host", "Average")],
                period_seconds=60,
            ),
            Graph(
                "Training jobs of the account: GPU and its memory (%)",
                "Percent",
                [Search(TRAINING_GPU, "Host", "Average")],
                right=[Search(TRAINING_GPU_MEMORY, "Host", "Average", "memory,")],
                right_unit="Percent",
                period_seconds=60,
            ),
            Graph(
                "Processing jobs of the account: CPU and memory (%)",
                "Percent",
                [Search(PROCESSING_CPU, "Host", "Average")],
                right=[Search(PROCESSING_MEMORY, "Host", "Average", "memory,")],
                right_unit="Percent",
                period_seconds=60,
            ),
        ],
        [
            Graph(
                "Images that models were trained on",
                "Images",
                [ours(IMAGES_TRAINED_ON, "Average", label="images")],
                period_seconds=DAY_SECONDS,
                width=24,
            ),
        ],
    )
