"""What a reconciliation found: gaps by stage, each with a code for machines and a sentence for people."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from rayline.dynamodb import timestamp

GAPS_LISTED = 10_000  # beyond these only counts are kept, so that a day without events fits into memory


class WayStage(StrEnum):
    """How far along an image's way a gap is, in order."""

    RECEIVED = "received"
    IMPORTED = "imported"
    FORWARDED = "forwarded"
    VERIFIED = "verified"
    TRAINED = "trained"
    WAITING = "waiting"
    ANNOUNCED = "announced"


class GapCode(StrEnum):
    """What is missing."""

    EVENT_MISSED = "EVENT_MISSED"
    EFFECT_ABANDONED = "EFFECT_ABANDONED"
    EFFECT_STALLED = "EFFECT_STALLED"
    EFFECT_DEAD = "EFFECT_DEAD"
    INSTANCE_MISSING = "INSTANCE_MISSING"
    INSTANCE_LEFT_BATCHED = "INSTANCE_LEFT_BATCHED"
    BATCH_ABANDONED = "BATCH_ABANDONED"
    BATCH_NOT_STARTED = "BATCH_NOT_STARTED"
    BATCH_NOT_ACCOUNTED = "BATCH_NOT_ACCOUNTED"
    JOB_MISSING = "JOB_MISSING"
    JOB_STUCK = "JOB_STUCK"
    JOB_UNKNOWN = "JOB_UNKNOWN"
    IMAGE_SET_MISSING = "IMAGE_SET_MISSING"
    IMAGE_SET_UNKNOWN = "IMAGE_SET_UNKNOWN"
    IMAGE_SET_OUTDATED = "IMAGE_SET_OUTDATED"
    PARKED_PAST_DUE = "PARKED_PAST_DUE"
    PARKED_BODY_MISSING = "PARKED_BODY_MISSING"
    STUDY_FORGOTTEN = "STUDY_FORGOTTEN"
    OUTBOX_NOT_DRAINED = "OUTBOX_NOT_DRAINED"
    SOURCE_NOT_READ = "SOURCE_NOT_READ"


EXPLANATIONS: Mapping[GapCode, str] = {
    GapCode.EVENT_MISSED: "it happened, but no message of it was ever handled",
    GapCode.EFFECT_ABANDONED: "a worker began and its lease ran out long ago, but no message brought it back",
    GapCode.EFFECT_STALLED: "it was to be tried again long ago, but no message brought it back",
    GapCode.EFFECT_DEAD: "it failed until its message was dead-lettered; mend the cause, then replay it",
    GapCode.INSTANCE_MISSING: "its event has ended, but the ledger holds no instance; replay its event",
    GapCode.INSTANCE_LEFT_BATCHED: "its import batch was accounted for without it; replay the job's event",
    GapCode.BATCH_ABANDONED: "an import batch is open, but its owner's lease ran out long ago",
    GapCode.BATCH_NOT_STARTED: "an import batch was sealed long ago, but its job was never started",
    GapCode.BATCH_NOT_ACCOUNTED: "its import job's event has ended, but the batch is not accounted for",
    GapCode.JOB_MISSING: "an import batch names a job that HealthImaging does not know",
    GapCode.JOB_STUCK: "an import job has been running for more than a day; ask AWS support",
    GapCode.JOB_UNKNOWN: "an import job with our role names a batch that the ledger does not know",
    GapCode.IMAGE_SET_MISSING: "an instance was imported into an image set that HealthImaging does not have",
    GapCode.IMAGE_SET_UNKNOWN: "HealthImaging has an image set that the ledger does not know",
    GapCode.IMAGE_SET_OUTDATED: "HealthImaging has a later version of an image set than the ledger knows",
    GapCode.PARKED_PAST_DUE: "it waits in the ledger and was due long ago",
    GapCode.PARKED_BODY_MISSING: "it waits in the ledger, but its message is gone; replay its event",
    GapCode.STUDY_FORGOTTEN: "a study is open, but the message that was to complete it is lost",
    GapCode.OUTBOX_NOT_DRAINED: "an event of ours was written long ago and has not left",
    GapCode.SOURCE_NOT_READ: "a source did not answer, so nothing is known of what comes from it",
}


@dataclass(frozen=True)
class Gap:
    """One thing that should have happened by now.

    Attributes:
        what: the gap's code.
        subject_hash: a keyed hash, or an id that Rayline or AWS made; never what a sender chose.
        effect: the effect that has not ended, where it is one.
        repaired: whether something was sent that brings it about; the next run tells whether it did.
        done: what was done, or would be.
    """

    stage: WayStage
    what: GapCode
    subject_hash: str
    effect: str
    repaired: bool
    done: str

    @property
    def explanation(self) -> str:
        """One sentence for people."""
        return EXPLANATIONS[self.what]


@dataclass
class StageCounts:
    """How much was looked at in one stage, and what was found."""

    looked_at: int = 0
    gaps: int = 0
    repaired: int = 0


@dataclass
class Report:
    """One run.

    Attributes:
        since: what happened earlier was not looked at.
        before: what happened later may still be under way, and was left alone.
        gaps: the first of them; ``stages`` counts them all.
    """

    site: str
    repairs: bool
    since: datetime
    before: datetime
    stages: dict[WayStage, StageCounts] = field(
        default_factory=lambda: {stage: StageCounts() for stage in WayStage}
    )
    gaps: list[Gap] = field(default_factory=list)

    def looked_at(self, stage: WayStage, count: int) -> None:
        """Count what was looked at."""
        self.stages[stage].looked_at += count

    def add(self, gap: Gap) -> None:
        """Count a gap, and list it while there is room."""
        counts = self.stages[gap.stage]
        counts.gaps += 1
        counts.repaired += gap.repaired
        if len(self.gaps) < GAPS_LISTED:
            self.gaps.append(gap)

    @property
    def found(self) -> int:
        """All gaps."""
        return sum(each.gaps for each in self.stages.values())

    @property
    def repaired(self) -> int:
        """Gaps for which something was sent."""
        return sum(each.repaired for each in self.stages.values())

    @property
    def left(self) -> int:
        """Gaps for which nothing was sent."""
        return self.found - self.repaired

    def as_json(self) -> dict[str, Any]:
        """The report as a JSON document."""
        return {
            "site": self.site,
            "repairs": self.repairs,
            "since": timestamp(self.since),
            "before": timestamp(self.before),
            "found": self.found,
            "repaired": self.repaired,
            "left": self.left,
            "stages": {stage.value: asdict(counts) for stage, counts in self.stages.items()},
            "gaps": [{**asdict(gap), "explanation": gap.explanation} for gap in self.gaps],
        }
