"""SageMaker: every pipeline execution that ended, and its training step, came back as an event."""

from collections.abc import Iterator, Sequence
from typing import Any, get_args

from rayline.events import EndedStatus, Evaluated, Trained
from rayline.names import TRAIN_STEP
from rayline.reconciling.events import EventCheck, Happened
from rayline.reconciling.report import WayStage
from rayline.reconciling.survey import Found, Survey

_ENDED = get_args(EndedStatus)


class TrainedCheck:
    """Lists executions since; there are few."""

    def __init__(self, survey: Survey, events: EventCheck) -> None:
        self._survey = survey
        self._events = events
        self._client = survey.services.clients.sagemaker

    def gaps(self) -> Iterator[Found]:
        """Executions and training steps whose end was never handled."""
        pages = self._client.get_paginator("list_pipeline_executions").paginate(
            PipelineName=self._survey.services.settings.pipeline_name,
            CreatedAfter=self._survey.since,
        )
        for page in pages:
            summaries = page["PipelineExecutionSummaries"]
            self._survey.looked_at(WayStage.TRAINED, len(summaries))
            yield from self._page(summaries)

    def _page(self, summaries: Sequence[Any]) -> Iterator[Found]:
        happened = [each for summary in summaries for each in self._happened(summary)]
        yield from (
            found
            for *_, found in self._events.unfinished(happened, lambda _: WayStage.TRAINED)
            if found is not None
        )

    def _happened(self, summary: Any) -> Iterator[Happened]:
        arn = summary["PipelineExecutionArn"]
        site = self._survey.services.settings.site
        execution_id = arn.rsplit("/", 1)[-1]
        step = self._train_step(arn)
        if step is not None:
            trained = Trained(
                site=site,
                occurred_at=step["EndTime"],
                pipeline_execution_arn=arn,
                step_name=TRAIN_STEP,
                step_status=step["StepStatus"],
                failure_reason=step.get("FailureReason", ""),
            )
            yield Happened(trained, trained.occurred_at, execution_id)
        if summary["PipelineExecutionStatus"] in _ENDED:
            execution = self._client.describe_pipeline_execution(PipelineExecutionArn=arn)
            evaluated = Evaluated(
                site=site,
                occurred_at=execution["LastModifiedTime"],
                pipeline_execution_arn=arn,
                status=summary["PipelineExecutionStatus"],
            )
            yield Happened(evaluated, evaluated.occurred_at, execution_id)

    def _train_step(self, arn: str) -> Any:
        """The training step, where it has ended."""
        pages = self._client.get_paginator("list_pipeline_execution_steps").paginate(PipelineExecutionArn=arn)
        steps = (step for page in pages for step in page["PipelineExecutionSteps"])
        return next(
            (step for step in steps if step["StepName"] == TRAIN_STEP and step["StepStatus"] in _ENDED), None
        )
