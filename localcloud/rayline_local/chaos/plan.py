"""A chaos run, decided beforehand: what is sent when, what goes wrong meanwhile, and whom each kill takes.

One seed gives one plan. What the machine makes of it, in which order and how fast, is the machine's; that is the
point of running it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, Literal

from rayline_local.chaos.inputs import Upload, copies, made_up_inputs
from rayline_local.front.emulated_faults import EMULATED

Victim = Literal["worker", "supervisor", "task", "all tasks"]
#: work to wait for before a kill: any unfinished effect, one of a hook, or a batch whose import is about to start
Target = Literal["any", "on_uploaded", "on_ingested", "on_verified", "sealed batch"]
PacsMode = Literal["up", "down", "refuses", "breaks off", "stalls"]

KILLS_LEAST: Final = 20
_COPY_SHARE: Final = 0.06
#: the supervisor alone dies seldom, and a whole task, supervisor and workers at once, more seldom still
_VICTIMS: Final[tuple[Victim, ...]] = ("worker",) * 14 + ("supervisor",) * 3 + ("task",) * 2 + ("all tasks",)
_TARGETS: Final[tuple[Target, ...]] = ("any", "on_uploaded", "on_verified") + (
    "on_uploaded",
    "on_ingested",
    "sealed batch",
) * 2
_PACS: Final[tuple[PacsMode, ...]] = ("up", "down", "refuses", "breaks off", "stalls")
_PHASE_ROUNDS_MOST: Final = 3
#: one kill in so many strikes while a training is started
_KILLS_A_TRAINING_KILL: Final = 6


@dataclass(frozen=True)
class Disorder:
    """What befalls messages in the queue during a round.

    Attributes:
        moved: messages taken out, and put back behind others.
        doubled: share of these that is put back twice.
        remembered: bodies of earlier messages that are sent once more.
        latest_seconds: each copy is delayed by up to this.
    """

    moved: int
    doubled: float
    remembered: int
    latest_seconds: int


@dataclass(frozen=True)
class Phase:
    """How everything around the processor behaves for a few rounds.

    Attributes:
        faults: the stand-ins' switches (see docs/reference.md).
        events_lost: the rule of uploaded objects is off while half of the first round's objects are sent.
    """

    faults: Mapping[str, Mapping[str, Any]]
    pacs: PacsMode
    events_lost: bool


@dataclass(frozen=True)
class Round:
    """What happens until one kill, and the kill.

    Attributes:
        begins: the phase that begins with this round, None where the last one goes on.
        trains: everything was let settle before, but for what the phase says; verifying and training go on.
        verified: image sets that a radiologist verifies in this round, where so many are there.
        victim: whom the kill takes.
        task: which of the processor's tasks it strikes.
        choice: which of the task's workers, as a fraction of their number.
        target: the work that must be under way, where it comes soon.
        pause_seconds: how long that work goes on until the kill.
    """

    number: int
    uploads: tuple[Upload, ...] = field(repr=False)
    begins: Phase | None
    disorder: Disorder
    trains: bool
    verified: int
    victim: Victim
    task: int
    choice: float
    target: Target
    pause_seconds: float


@dataclass(frozen=True)
class Plan:
    """A whole run."""

    seed: int
    instances: int
    tasks: int
    workers: int
    verified: int
    rounds: tuple[Round, ...]

    @property
    def uploads(self) -> list[Upload]:
        """Everything that is sent."""
        return [each for one in self.rounds for each in one.uploads]


def make_plan(
    seed: int, instances: int, *, kills: int = KILLS_LEAST, tasks: int = 2, workers: int = 2
) -> Plan:
    """Decide a run.

    Args:
        instances: different contents to send; copies come on top.
        kills: rounds, each of which ends with a kill.
    """
    verified = max(4, min(24, instances // 4))
    training = kills // _KILLS_A_TRAINING_KILL
    intake = kills - training
    phases = phases_of(seed, intake) | {intake + 1: _training_phase(seed, verified)}
    waves = [*_waves(seed, instances, intake), *([] for _ in range(training))]
    rounds = [
        _round(seed, number, number > intake, tuple(uploads), phases.get(number), tasks, verified)
        for number, uploads in enumerate(waves, 1)
    ]
    return Plan(seed, instances, tasks, workers, verified, tuple(rounds))


def _waves(seed: int, instances: int, kills: int) -> list[list[Upload]]:
    """Uploads by round: contents evenly over all, each copy in the round of its first or in a later one."""
    uploads = made_up_inputs(seed, instances)
    waves: list[list[Upload]] = [[] for _ in range(kills)]
    for position, upload in enumerate(uploads):
        waves[position * kills // len(uploads)].append(upload)
    chance = Random(f"{seed}/waves")  # noqa: S311 - to be repeatable, not secret
    for position, copy in copies(seed, uploads, _COPY_SHARE):
        waves[chance.randrange(position * kills // len(uploads), kills)].append(copy)
    return waves


def phases_of(seed: int, kills: int) -> dict[int, Phase]:
    """The phases of the rounds that send, by their first round."""
    chance = Random(f"{seed}/phases")  # noqa: S311
    found = {}
    number = 1
    while number <= kills:
        found[number] = Phase(
            faults={
                "healthimaging": _common_faults(chance)
                | {
                    "fail_files_share": round(chance.choice((0, chance.uniform(0, 0.15))), 2),
                    "fail_jobs": chance.choice((0, 0, 0, 1)),
                    "job_delay_seconds": round(chance.choice((0, 0, chance.uniform(0, 4))), 2),
                    "metadata_conflicts": chance.choice((0, 0, 5)),
                },
                "sagemaker": _common_faults(chance),
                **{service: _request_faults(chance, 0.15) for service in EMULATED},
            },
            pacs=chance.choice(_PACS),
            events_lost=chance.random() < 0.2,
        )
        number += chance.randint(1, _PHASE_ROUNDS_MOST)
    return found


def _training_phase(seed: int, verified: int) -> Phase:
    """SageMaker misbehaves, and HealthImaging keeps verifications waiting so that a kill falls in between."""
    chance = Random(f"{seed}/training")  # noqa: S311
    faults = {
        "healthimaging": {"metadata_conflicts": verified},
        "sagemaker": {**_common_faults(chance), "throttle": chance.randrange(1, 20), "lost_answers": 0.3},
    }
    return Phase(faults, pacs="up", events_lost=False)


def _round(
    seed: int,
    number: int,
    trains: bool,
    uploads: tuple[Upload, ...],
    begins: Phase | None,
    tasks: int,
    verified: int,
) -> Round:
    chance = Random(f"{seed}/round/{number}")  # noqa: S311
    target: Target = "on_verified" if trains else chance.choice(_TARGETS)
    return Round(
        number=number,
        uploads=uploads,
        begins=begins,
        disorder=Disorder(
            moved=chance.randrange(0, 30),
            doubled=round(chance.uniform(0, 1), 2),
            remembered=chance.randrange(0, 10),
            latest_seconds=chance.randrange(0, 6),
        ),
        trains=trains,
        # Some are verified while images still arrive; enough for a training only when they are all there.
        verified=-(-verified // 3) if trains else chance.choice((0, 0, 1)),
        # Who is about to start an import, only its owner knows: to strike that, strike all.
        victim=chance.choice(("task", "all tasks") if target == "sealed batch" else _VICTIMS),
        task=chance.randrange(tasks),
        choice=chance.random(),
        target=target,
        # Mostly at once: what a kill is to break off is soon over.
        pause_seconds=round(chance.choice((0, 0, chance.uniform(0, 1.5))), 2),
    )


def _common_faults(chance: Random) -> dict[str, Any]:
    return {
        **_request_faults(chance, 0.4),
        "drop_events": round(chance.choice((0, 0, chance.uniform(0, 0.4))), 2),
        "duplicate_events": round(chance.uniform(0, 0.5), 2),
        "late_events_seconds": round(chance.choice((0, chance.uniform(0, 4))), 2),
    }


def _request_faults(chance: Random, most: float) -> dict[str, Any]:
    """Throttles and lost answers, each in half of all phases."""
    return {
        "seed": chance.randrange(2**31),
        "throttle": chance.choice((0, 0, 10, 40)) if most > 0.2 else 0,
        "throttle_share": round(chance.choice((0, chance.uniform(0, most))), 2),
        "lost_answers": round(chance.choice((0, chance.uniform(0, most))), 2),
    }
