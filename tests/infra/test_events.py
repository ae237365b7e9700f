"""The wiring of events: queues, bus, rules, notices, schedules and archives, over the graph of each stack."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from rayline.envelopes import parse_message
from rayline.reminders import DriftDue, ReconcileDue, RetriesDue
from rayline_infra.planning import plan
from rayline_infra.policies.graph import Graph, Resource
from rayline_infra.settings.events import seconds_of

RULE = "aws:cloudwatch/eventRule:EventRule"
TARGET = "aws:cloudwatch/eventTarget:EventTarget"
QUEUE = "aws:sqs/queue:Queue"
FIVE = {"uploaded", "ingested", "verified", "trained", "evaluated"}
URGENT = {"finding", "alarm-silenced"}
NOTICES = {
    "pipeline-failed", "job-failed", "import-failed", "deployment-failed", "out-of-memory", "health", "alarm-blind",
} | URGENT  # fmt: skip
SCHEDULES = {"retries-due", "reconcile-due", "drift-due"}


def kind_of(graph: Graph, name: str) -> str:
    return name.removeprefix(f"rayline-{graph.stack}-")


def rules(graph: Graph) -> dict[str, Resource]:
    return {kind_of(graph, rule.inputs["name"]): rule for rule in graph.of_type(RULE)}


def targets(graph: Graph) -> dict[str, Resource]:
    return {kind_of(graph, target.inputs["rule"]): target for target in graph.of_type(TARGET)}


def queue_arn(graph: Graph, name: str) -> str:
    return str(graph.named(QUEUE, name).outputs["arn"])


def policy_of(graph: Graph, queue: str) -> dict[str, Any]:
    policy = graph.named("aws:sqs/queuePolicy:QueuePolicy", f"{queue}-policy").inputs["policy"]
    return {each["Sid"]: each for each in json.loads(policy)["Statement"]}


def key_arn(graph: Graph, kind: str) -> str:
    return str(graph.named("aws:kms/key:Key", f"{kind}-key").outputs["arn"])


def test_every_rule_is_there_is_on_and_has_one_target(serving: Graph) -> None:
    graph = serving
    assert set(rules(graph)) == set(targets(graph)) == FIVE | NOTICES | SCHEDULES
    assert len(graph.of_type(TARGET)) == len(graph.of_type(RULE))
    assert {rule.inputs["state"] for rule in graph.of_type(RULE)} == {"ENABLED"}


def test_aws_events_and_schedules_stay_on_the_default_bus(graph: Graph) -> None:
    buses = {kind: rule.inputs["eventBusName"] for kind, rule in rules(graph).items()}
    assert buses.pop("verified") == f"rayline-{graph.stack}"
    assert set(buses.values()) == {"default"}
    for kind, target in targets(graph).items():
        assert target.inputs["eventBusName"] == rules(graph)[kind].inputs["eventBusName"]


def test_events_and_reminders_reach_the_queue_and_notices_reach_people(graph: Graph) -> None:
    topics = {
        name: graph.named("aws:sns/topic:Topic", name).outputs["arn"]
        for name in ("alarm-topic", "notice-topic")
    }
    for kind, target in targets(graph).items():
        expected = queue_arn(graph, "queue")
        if kind in NOTICES:
            expected = topics["alarm-topic" if kind in URGENT else "notice-topic"]
        assert target.inputs["arn"] == expected, kind


@pytest.mark.parametrize(
    ("kinds", "letters"),
    [
        (FIVE, "dead-letter-queue"),
        (NOTICES, "notices-dead-letter-queue"),
        (SCHEDULES, "schedules-dead-letter-queue"),
    ],
)
def test_what_is_not_delivered_lies_with_its_own(serving: Graph, kinds: set[str], letters: str) -> None:
    graph = serving
    for kind in kinds:
        assert targets(graph)[kind].inputs["deadLetterConfig"]["arn"] == queue_arn(graph, letters)
    allowed = policy_of(graph, letters)["RulesMayDeliver"]
    sources = set(allowed["Condition"]["ArnEquals"]["aws:SourceArn"])
    assert sources >= {rules(graph)[kind].outputs["arn"] for kind in kinds}
    others = {rule.outputs["arn"] for kind, rule in rules(graph).items() if kind not in kinds}
    assert not sources & others
    assert allowed["Principal"] == {"Service": ["events.amazonaws.com"]}


def test_the_queue_takes_messages_from_its_rules_only(serving: Graph) -> None:
    graph = serving
    allowed = policy_of(graph, "queue")["RulesMayDeliver"]
    expected = {rule.outputs["arn"] for kind, rule in rules(graph).items() if kind in FIVE | SCHEDULES}
    assert set(allowed["Condition"]["ArnEquals"]["aws:SourceArn"]) == expected


def test_the_queue_keeps_crashing_messages_apart(graph: Graph) -> None:
    queue = graph.named(QUEUE, "queue").inputs
    assert queue["visibilityTimeoutSeconds"] == {"local": 15, "dev": 120, "prod": 120}[graph.stack]
    assert json.loads(queue["redrivePolicy"]) == {
        "deadLetterTargetArn": queue_arn(graph, "dead-letter-queue"),
        "maxReceiveCount": 5,
    }
    redrive = {
        each.name: json.loads(each.inputs["redriveAllowPolicy"])
        for each in graph.of_type(QUEUE)
        if each.name != "queue"
    }
    assert redrive["dead-letter-queue"]["sourceQueueArns"] == [queue_arn(graph, "queue")]
    assert redrive["notices-dead-letter-queue"] == {"redrivePermission": "denyAll"}
    for each in graph.of_type(QUEUE):
        # Two weeks is the most that SQS keeps a message; a dead-lettered one keeps its age.
        assert each.inputs["messageRetentionSeconds"] == 1_209_600
        assert each.inputs["kmsMasterKeyId"] == key_arn(graph, "identified")


def test_the_bus_takes_events_of_its_publishers_only(graph: Graph) -> None:
    policy = graph.named("aws:cloudwatch/eventBusPolicy:EventBusPolicy", "event-bus-policy").inputs["policy"]
    allow, deny = json.loads(policy)["Statement"]
    granted = {
        each.inputs["role"]
        for each in graph.of_type("aws:iam/rolePolicy:RolePolicy")
        for statement in json.loads(each.inputs["policy"])["Statement"]
        if "events:PutEvents" in statement["Action"]
    }
    publishers = allow["Principal"]["AWS"]
    assert {arn.rsplit("/", 1)[-1] for arn in publishers} == granted
    assert allow["Condition"] == {"StringEquals": {"events:source": ["rayline.api", "rayline.processor"]}}
    assert deny["Effect"] == "Deny"
    assert deny["Principal"] == "*"
    assert deny["Condition"]["ArnNotEquals"] == {"aws:PrincipalArn": publishers}


def test_the_bus_is_encrypted_and_keeps_what_it_cannot_encrypt(graph: Graph) -> None:
    bus = graph.named("aws:cloudwatch/eventBus:EventBus", "event-bus")
    assert bus.inputs["kmsKeyIdentifier"] == key_arn(graph, "identified")
    assert bus.inputs["deadLetterConfig"] == {"arn": queue_arn(graph, "dead-letter-queue")}
    sources = policy_of(graph, "dead-letter-queue")["RulesMayDeliver"]["Condition"]["ArnEquals"][
        "aws:SourceArn"
    ]
    assert bus.outputs["arn"] in sources


def test_topics_let_rules_publish_without_a_condition(graph: Graph) -> None:
    """EventBridge user guide: a condition in a topic's policy lets none of its messages through."""
    for policy in graph.of_type("aws:sns/topicPolicy:TopicPolicy"):
        statements = [
            each
            for each in json.loads(policy.inputs["policy"])["Statement"]
            if each["Effect"] == "Allow" and "events.amazonaws.com" in each["Principal"]["Service"]
        ]
        assert len(statements) == 1
        assert "Condition" not in statements[0]
        assert statements[0]["Principal"] == {"Service": ["events.amazonaws.com"]}


def test_the_topics_key_lets_rules_encrypt_without_a_condition(graph: Graph) -> None:
    """SNS developer guide: conditions on the source are not supported for EventBridge and encrypted topics."""
    policy = json.loads(graph.named("aws:kms/key:Key", "logs-key").inputs["policy"])
    (statement,) = [
        each for each in policy["Statement"] if "events.amazonaws.com" in each["Principal"].get("Service", [])
    ]
    assert "Condition" not in statement
    assert set(statement["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey"}


@pytest.mark.parametrize("kind", sorted(NOTICES))
def test_a_notice_is_one_line_of_named_fields_without_free_text(graph: Graph, kind: str) -> None:
    transformer = targets(graph)[kind].inputs["inputTransformer"]
    text = json.loads(transformer["inputTemplate"])
    assert text.startswith(f"Rayline {graph.stack}: ")
    assert {f"<{name}>" for name in transformer["inputPaths"]} <= set(
        text.replace("><", "> <").replace(",", " ").replace(":", " ").replace(";", " ").split()
    )
    # Failure reasons and findings may quote object keys, which senders chose.
    free = ("reason", "description", "resource", "FailureReason", "title")
    assert not [path for path in transformer["inputPaths"].values() if path.endswith(free)]


def test_schedules_remind_the_processor_as_it_reads(serving: Graph) -> None:
    graph = serving
    site = graph.outputs["site"]
    rates = {kind: rules(graph)[kind].inputs["scheduleExpression"] for kind in SCHEDULES}
    assert rates == {
        "retries-due": "rate(1 minute)",
        "reconcile-due": "rate(15 minutes)",
        "drift-due": "rate(1 day)",
    }
    reminders = {kind: parse_message(targets(graph)[kind].inputs["input"], site) for kind in SCHEDULES}
    assert reminders == {
        "retries-due": RetriesDue(site=site),
        "reconcile-due": ReconcileDue(site=site),
        "drift-due": DriftDue(site=site),
    }


def test_without_an_endpoint_nothing_looks_for_drift() -> None:
    graph = plan("dev", overrides={"rayline:endpoint": "false"})
    assert set(rules(graph)) == FIVE | NOTICES | SCHEDULES - {"drift-due"}


def test_archives_keep_as_long_as_the_stack_says_under_the_identified_key(
    graph_of: Callable[[str], Graph],
) -> None:
    for graph, days in ((graph_of("prod"), 30), (plan("dev", overrides={"rayline:archiveDays": "7"}), 7)):
        archives = graph.of_type("aws:cloudwatch/eventArchive:EventArchive")
        buses = {each.inputs["eventSourceArn"].rsplit("/", 1)[-1] for each in archives}
        assert buses == {"default", f"rayline-{graph.stack}"}
        assert {each.inputs["retentionDays"] for each in archives} == {days}
        assert {each.inputs["kmsKeyIdentifier"] for each in archives} == {key_arn(graph, "identified")}


@pytest.mark.parametrize(
    ("rate", "seconds"), [("rate(1 minute)", 60), ("rate(15 minutes)", 900), ("rate(2 hours)", 7200)]
)
def test_a_rate_is_so_many_seconds(rate: str, seconds: int) -> None:
    assert seconds_of(rate) == seconds
