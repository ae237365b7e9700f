"""What the conformance suite calls each hook with; the same in every run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rayline.events import Evaluated, Event, Ingested, Trained, Uploaded, Verified
from rayline.hookspecs import OBSERVERS, TRANSFORMERS
from rayline.plugin import Destination, Evaluation, Instance, Receipt, Rejection
from rayline.testing import phi, strategies
from rayline.testing.dicom import SOP_CLASSES, TRANSFER_SYNTAXES, ImageSpec, image_content

EARLIER_RECEIPT = Receipt("an_earlier_plugin", "0" * 64, "0" * 16)
# A peer to forward to; nothing gets there, since the suite calls hooks without network.
PEER = Destination("peer", "PEER", "192.0.2.1", 11112)

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_DRAWN = 12

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Case:
    """One call: what it is about, and fresh arguments for it."""

    label: str
    arguments: Callable[[], Mapping[str, Any]]


def drawn(strategy: st.SearchStrategy[_Value], count: int = _DRAWN) -> list[_Value]:
    """Examples of a strategy, the same ones in every run."""
    examples: list[_Value] = []

    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(example: _Value) -> None:
        examples.append(example)

    collect()
    return examples


def cases_of(hook: str, *, sees_phi: bool) -> list[Case]:
    """The calls of an observer, decider or transformer.

    Args:
        sees_phi: as its policy says: without it, events come blanked, and instances de-identified.
    """
    if hook in OBSERVERS:
        return _observer_cases(hook, sees_phi)
    if hook in TRANSFORMERS or hook == "screen_instance":
        return _instance_cases(sees_phi)
    if hook == "accept_verification":
        return [
            _event_case(event, sees_phi) for event in [_planted_verification(), *drawn(strategies.verified)]
        ]
    if hook == "destinations":
        return [_event_case(event, sees_phi) for event in drawn(strategies.EVENTS_BY_HOOK["on_ingested"])]
    return [_evaluation_case(evaluation) for evaluation in drawn(strategies.evaluations)]


def _instance_cases(sees_phi: bool) -> list[Case]:
    if not sees_phi:
        return [
            _instance_case(f"{spec}, de-identified before", image_content(spec), (EARLIER_RECEIPT,))
            for spec in [*_every_kind_and_syntax(identified=False), *drawn(strategies.image_specs)]
        ]
    planted = _every_kind_and_syntax(identified=True)
    return [
        *(_instance_case(f"{spec}, with a planted patient", image_content(spec)) for spec in planted),
        _instance_case(
            f"{planted[0]}, with an earlier receipt", image_content(planted[0]), (EARLIER_RECEIPT,)
        ),
        *(_instance_case(_described(spec), image_content(spec)) for spec in drawn(strategies.image_specs)),
    ]


def _described(spec: ImageSpec) -> str:
    empty = [keyword for keyword, value in spec.attributes.items() if value == ""]
    absent = [keyword for keyword, value in spec.attributes.items() if value is None]
    parts = [
        f"{what} {', '.join(sorted(keywords))}" for what, keywords in (("empty", empty), ("without", absent))
    ]
    return ", ".join(
        [str(spec), *(part for part, keywords in zip(parts, (empty, absent), strict=True) if keywords)]
    )


def _every_kind_and_syntax(*, identified: bool) -> list[ImageSpec]:
    kinds = [
        ImageSpec(kind=kind, frames=3 if kind == "US" else 1, identified=identified) for kind in SOP_CLASSES
    ]
    syntaxes = [ImageSpec(transfer_syntax=syntax, identified=identified) for syntax in TRANSFER_SYNTAXES[1:]]
    return kinds + syntaxes


def _instance_case(label: str, content: bytes, receipts: tuple[Receipt, ...] = ()) -> Case:
    return Case(label, lambda: {"instance": Instance(content, receipts)})


def _evaluation_case(evaluation: Evaluation) -> Case:
    return Case(
        f"an evaluation of {', '.join(sorted(evaluation.metrics))}",
        lambda: {
            "evaluation": Evaluation(
                evaluation.model_package_arn,
                dict(evaluation.metrics),
                evaluation.threshold,
                evaluation.test_images,
            )
        },
    )


def _event_case(event: Event, sees_phi: bool, **further: Any) -> Case:
    given_event = event if sees_phi else event.without_phi()
    return Case(_told(event), lambda: {"event": given_event, **further})


def _told(event: Event) -> str:
    """Kind and state of an event, e.g. *an ingested event (image_set UPDATED)*."""
    match event:
        case Ingested():
            state = f"{event.subject} {event.job_status or event.image_set_workflow_status}"
        case Verified():
            state = event.action
        case Trained():
            state = event.step_status
        case Evaluated():
            state = event.status
        case Uploaded():
            state = f"a key of {len(event.key)} characters"
    article = "an" if event.kind[0] in "aeiou" else "a"
    return f"{article} {event.kind} event ({state})"


def _observer_cases(hook: str, sees_phi: bool) -> list[Case]:
    events: list[Event] = drawn(strategies.EVENTS_BY_HOOK[hook])
    if hook in ("on_uploaded", "on_rejected"):
        events.insert(0, _planted_upload())
    if hook in ("on_verified", "on_rejected"):
        events.insert(0, _planted_verification())
    if hook != "on_rejected":
        return [_event_case(event, sees_phi) for event in events]
    rejections: list[Rejection] = drawn(strategies.rejections)
    return [
        _event_case(event, sees_phi, rejection=rejections[number % len(rejections)])
        for number, event in enumerate(events)
    ]


def _planted_upload() -> Uploaded:
    return Uploaded(
        site=strategies.SITE,
        occurred_at=_NOW,
        bucket="uploads",
        key=phi.SENDERS_KEY,
        version_id="0" * 32,
        size_bytes=4711,
    )


def _planted_verification() -> Verified:
    return Verified(
        site=strategies.SITE,
        occurred_at=_NOW,
        action="verified",
        verification_id="00000000-0000-4000-8000-000000000000",
        datastore_id="0" * 32,
        image_set_id="0" * 32,
        image_set_version="1",
        label="PNEUMONIA",
        findings=phi.FINDINGS,
        verifier="a radiologist",
    )
