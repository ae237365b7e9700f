"""Every rule of the production stack against every recorded event: what it takes, and that it takes nothing else.

The samples have the shapes of AWS's documentation (each names its page), with this stack's names in them. They are
judged by the local cloud's TestEventPattern, which knows nothing of how the patterns are made.
"""

import asyncio
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ministack.services import eventbridge

from rayline.envelopes import parse_message
from rayline.errors import RejectedEvent
from rayline.events import Evaluated, Ingested, Trained, Uploaded, Verified
from rayline_infra.policies.graph import Graph

SAMPLES = Path(__file__).parent / "event_samples"
SAMPLE_DATASTORE = "12345678901234567890123456789012"

IMPORT_JOBS = {"import-job-completed", "import-job-failed"}
IMAGE_SETS = {"image-set-created", "image-set-updated"}
VERIFICATIONS = {"image-verified", "verification-revoked"}
TRAIN_STEPS = {"train-step-succeeded", "train-step-failed", "train-step-stopped"}
EXECUTIONS = {"execution-succeeded", "execution-failed", "execution-stopped"}
TAKEN = {
    "uploaded": {"uploaded", "uploaded-in-parts"},
    "ingested": IMPORT_JOBS | IMAGE_SETS,
    "verified": VERIFICATIONS,
    "trained": TRAIN_STEPS,
    "evaluated": EXECUTIONS,
    "pipeline-failed": {"execution-failed"},
    "job-failed": {"training-job-failed", "processing-job-failed"},
    "import-failed": {"import-job-failed"},
    "deployment-failed": {"deployment-failed"},
    "out-of-memory": {"task-out-of-memory"},
    "finding": {"finding-high", "finding-high-fraction"},
    "health": {"health-issue", "health-scheduled-change"},
    "alarm-silenced": {"alarm-deleted", "alarm-actions-off"},
    "alarm-blind": {"alarm-lost-its-data"},
}
EVENTS: dict[type[object], set[str]] = {
    Uploaded: TAKEN["uploaded"],
    Ingested: TAKEN["ingested"],
    Verified: TAKEN["verified"],
    Trained: TAKEN["trained"],
    Evaluated: TAKEN["evaluated"],
}


@cache
def samples() -> dict[str, dict[str, Any]]:
    """Recorded events by name."""
    found = {path.stem: json.loads(path.read_text()) for path in sorted(SAMPLES.glob("*.json"))}
    assert len(found) > 50
    return found


def events(graph: Graph) -> dict[str, str]:
    """Recorded events as JSON, with the graph's own data store in place of the samples'."""
    store = graph.outputs["datastore_id"]
    return {
        name: json.dumps(sample["event"]).replace(SAMPLE_DATASTORE, store)
        for name, sample in samples().items()
    }


def matches(pattern: str, event: str) -> bool:
    """EventBridge's TestEventPattern."""
    request = json.dumps({"EventPattern": pattern, "Event": event}).encode()
    headers = {"x-amz-target": "AWSEvents.TestEventPattern"}
    status, _, body = asyncio.run(eventbridge.handle_request("POST", "/", headers, request, {}))
    assert status == 200, body
    return bool(json.loads(body)["Result"])


def patterns(graph: Graph) -> dict[str, str]:
    """Event patterns by the kind of their rule."""
    return {
        rule.inputs["name"].removeprefix(f"rayline-{graph.stack}-"): rule.inputs["eventPattern"]
        for rule in graph.of_type("aws:cloudwatch/eventRule:EventRule")
        if "eventPattern" in rule.inputs
    }


def test_every_rule_is_in_the_matrix(graph: Graph) -> None:
    assert set(patterns(graph)) == set(TAKEN)


@pytest.mark.parametrize("kind", TAKEN)
def test_a_rule_takes_its_own_events_and_no_others(graph_of: Callable[[str], Graph], kind: str) -> None:
    graph = graph_of("prod")
    taken = {name for name, event in events(graph).items() if matches(patterns(graph)[kind], event)}
    assert taken == TAKEN[kind]


def test_one_of_the_five_rules_at_most_takes_an_event() -> None:
    taken = [name for names in EVENTS.values() for name in names]
    assert len(taken) == len(set(taken))


# A finding and a health event are the account's, whatever stacks it has; verifications stay on a stack's own bus.
@pytest.mark.parametrize("kind", sorted(set(TAKEN) - {"finding", "health", "verified"}))
def test_a_rule_of_another_stack_takes_none_of_this_ones_events(
    graph_of: Callable[[str], Graph], kind: str
) -> None:
    pattern = patterns(graph_of("dev"))[kind]
    # Both stacks are planned with the same data store, so the samples keep their own.
    assert [name for name, each in samples().items() if matches(pattern, json.dumps(each["event"]))] == []


def test_what_a_rule_takes_is_read_as_that_event() -> None:
    for event_type, names in EVENTS.items():
        for name in names:
            event = parse_message(json.dumps(samples()[name]["event"]), "hospital-a")
            assert type(event) is event_type, name


@pytest.mark.parametrize(
    "name", ["finding-high", "training-job-failed", "deployment-failed", "object-deleted"]
)
def test_the_processor_reads_no_other_event(name: str) -> None:
    with pytest.raises(RejectedEvent, match="UNKNOWN_EVENT"):
        parse_message(json.dumps(samples()[name]["event"]), "hospital-a")


def test_the_archive_keeps_what_the_rules_of_aws_events_take(graph_of: Callable[[str], Graph]) -> None:
    graph = graph_of("prod")
    pattern = graph.named("aws:cloudwatch/eventArchive:EventArchive", "aws-event-archive").inputs[
        "eventPattern"
    ]
    kept = {name for name, event in events(graph).items() if matches(pattern, event)}
    assert kept >= TAKEN["uploaded"] | TAKEN["ingested"] | TAKEN["trained"] | TAKEN["evaluated"]
    assert not {
        name for name in kept if name.startswith(("other-bucket", "other-datastore", "other-pipeline"))
    }
    assert not kept & (VERIFICATIONS | TAKEN["finding"] | TAKEN["health"])


@pytest.mark.parametrize("sample", samples().values(), ids=samples())
def test_a_sample_names_its_page_and_is_a_whole_event(sample: dict[str, Any]) -> None:
    assert sample["page"]
    # Event structure reference of the EventBridge user guide.
    assert set(sample["event"]) == {
        "version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail",
    }  # fmt: skip
