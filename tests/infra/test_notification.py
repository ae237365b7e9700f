"""Alarms reach the people that the stack names, logs end, and saved queries ask logs that there are."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import ValidationError

import rayline
from rayline.names import QueryKind
from rayline.observability.logs import SAFE_FIELDS
from rayline.observability.metrics import METRICS, Dimension
from rayline_infra.components.observability.queries import QUERIES
from rayline_infra.planning import plan
from rayline_infra.policies.graph import Graph
from rayline_infra.settings import ObservabilitySettings

SUBSCRIPTION = "aws:sns/topicSubscription:TopicSubscription"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
QUERY = "aws:cloudwatch/queryDefinition:QueryDefinition"
# PutRetentionPolicy, retentionInDays.
RETENTION_DAYS = {
    1,
    3,
    5,
    7,
    14,
    30,
    60,
    90,
    120,
    150,
    180,
    365,
    400,
    545,
    731,
    1096,
    1827,
    2192,
    2557,
    2922,
    3288,
    3653,
}
# Fields of CloudWatch Logs itself, and of CloudTrail's entries.
FOREIGN_FIELDS = {"userIdentity", "eventSource", "eventName", "sourceIPAddress", "errorCode"}


@pytest.fixture(scope="session")
def told() -> Graph:
    """A stack that tells everybody who can be told."""
    return plan(
        "dev",
        overrides={
            "rayline:alertEmails": '["a@hospital-a.org", "b@hospital-a.org"]',
            "rayline:alertPhones": '["+15555550100"]',
            "rayline:alertPagerUrls": '["https://events.pagerduty.com/integration/0/enqueue"]',
            "rayline:slackWorkspaceId": "T0123ABCD",
            "rayline:slackChannelId": "C0123ABCD",
        },
    )


@pytest.fixture(scope="session")
def moved() -> Graph:
    """The same receivers in another order, and other thresholds."""
    return plan(
        "dev",
        overrides={
            "rayline:alertEmails": '["b@hospital-a.org", "a@hospital-a.org"]',
            "rayline:alarmRetrievalLatencyMs": "700",
            "rayline:runbookUrl": "https://wiki.example.org/r",
        },
    )


def listeners(graph: Graph) -> set[tuple[str, str, str]]:
    return {
        (each.inputs["topic"].rpartition("-")[2], each.inputs["protocol"], each.inputs["endpoint"])
        for each in graph.of_type(SUBSCRIPTION)
    }


def test_mail_hears_everything_and_phones_and_pagers_what_is_urgent(told: Graph) -> None:
    assert listeners(told) == {
        ("alarms", "email", "a@hospital-a.org"),
        ("notices", "email", "a@hospital-a.org"),
        ("alarms", "email", "b@hospital-a.org"),
        ("notices", "email", "b@hospital-a.org"),
        ("alarms", "sms", "+15555550100"),
        ("alarms", "https", "https://events.pagerduty.com/integration/0/enqueue"),
    }


def test_chat_hears_both_topics_and_can_change_nothing(told: Graph) -> None:
    (channel,) = told.of_type("aws:chatbot/slackChannelConfiguration:SlackChannelConfiguration")
    topics = {each.outputs["arn"] for each in told.of_type("aws:sns/topic:Topic")}
    assert set(channel.inputs["snsTopicArns"]) == topics
    assert channel.inputs["guardrailPolicyArns"] == ["arn:aws:iam::aws:policy/CloudWatchReadOnlyAccess"]
    policy = json.loads(told.named("aws:iam/rolePolicy:RolePolicy", "chat-policy").inputs["policy"])
    actions = {action for each in policy["Statement"] for action in each["Action"]}
    assert actions == {
        "cloudwatch:DescribeAlarms",
        "cloudwatch:GetMetricData",
        "cloudwatch:GetMetricWidgetImage",
    }
    trust = json.loads(told.named("aws:iam/role:Role", "chat-role").inputs["assumeRolePolicy"])
    assert trust["Statement"][0]["Principal"] == {"Service": ["chatbot.amazonaws.com"]}


def test_somebody_listens_in_every_stack(graph: Graph) -> None:
    assert {topic for topic, _, _ in listeners(graph)} == {"alarms", "notices"}


def test_an_address_keeps_its_subscription_when_the_list_is_sorted_otherwise(
    told: Graph, moved: Graph
) -> None:
    def named(graph: Graph) -> dict[str, str]:
        return {each.inputs["endpoint"]: each.name for each in graph.of_type(SUBSCRIPTION)}

    assert set(named(moved)) == {"a@hospital-a.org", "b@hospital-a.org"}
    assert named(moved).items() <= named(told).items()


def test_no_line_of_a_log_stays_for_ever_or_in_the_clear(graph: Graph) -> None:
    groups = graph.of_type(LOG_GROUP)
    key = graph.named("aws:kms/key:Key", "logs-key").outputs["arn"]
    assert len(groups) >= 5
    for group in groups:
        assert group.inputs["retentionInDays"] in RETENTION_DAYS, group.name
        assert group.inputs["kmsKeyId"] == key, group.name


@pytest.mark.parametrize(("stack", "days"), [("prod", 30), ("dev", 7)])
def test_logs_stay_30_days_in_production_and_7_in_development(
    stack: str, days: int, graph_of: Callable[[str], Graph]
) -> None:
    # VPC flow logs are evidence and have a setting of their own.
    found = {
        each.name: each.inputs["retentionInDays"]
        for each in graph_of(stack).of_type(LOG_GROUP)
        if each.name != "flow-logs"
    }
    assert set(found.values()) == {days}, found


@pytest.mark.parametrize(
    ("maker", "group", "name"),
    [
        ("aws:ecs/cluster:Cluster", "insights-logs", "/aws/ecs/containerinsights/rayline-{}/performance"),
        ("aws:sagemaker/endpoint:Endpoint", "endpoint-logs", "/aws/sagemaker/Endpoints/rayline-{}"),
    ],
)
def test_a_service_finds_its_log_group_and_makes_none_without_key_and_end(
    serving: Graph, maker: str, group: str, name: str
) -> None:
    graph = serving
    # Container Insights on ECS and SageMaker endpoints, each user guide: the names are the services' own.
    log_group = graph.named(LOG_GROUP, group)
    assert log_group.inputs["name"] == name.format(graph.stack)
    (made,) = graph.of_type(maker)
    order = [each.urn for each in graph.resources if each.custom]
    assert order.index(log_group.urn) < order.index(made.urn)


def test_every_saved_query_asks_log_groups_that_there_are(graph: Graph) -> None:
    groups = {each.inputs["name"] for each in graph.of_type(LOG_GROUP)}
    queries = graph.of_type(QUERY)
    assert {each.inputs["name"] for each in queries} == {
        f"rayline-{graph.stack}/{kind}" for kind in get_args(QueryKind)
    }
    for query in queries:
        assert query.inputs["logGroupNames"], query.name
        assert set(query.inputs["logGroupNames"]) <= groups, query.name


def test_saved_queries_ask_for_fields_that_are_logged(graph_of: Callable[[str], Graph]) -> None:
    emitted = {metric.name for metric in METRICS} | set(Dimension)
    for query in graph_of("prod").of_type(QUERY):
        text = query.inputs["queryString"]
        made = set(re.findall(r"\bas (\w+)", text))
        for line in text.splitlines():
            if not line.startswith("fields "):
                continue
            for name in (each.strip() for each in line.removeprefix("fields ").split(",")):
                known = name.startswith("@") or name.partition(".")[0] in FOREIGN_FIELDS
                assert known or name in SAFE_FIELDS | emitted | made, f"{query.name} asks for {name}"


def test_queries_look_for_events_that_are_logged() -> None:
    logged = _logged_events()
    for kind, query in QUERIES.items():
        for named in re.findall(r'event (?:=|in) (?:"([a-z_]+)"|\[([^\]]+)\])', query.text):
            for event in re.findall(r"[a-z_]+", named[0] or named[1]):
                assert event in logged, f"{kind} looks for {event}"


def _logged_events() -> set[str]:
    sources = Path(rayline.__file__).parent.rglob("*.py")
    calls = re.compile(r'\b_?log\w*(?:\([^)]*\))?\.\w+\(\s*"([a-z_]+)"')
    return {event for source in sources for event in calls.findall(source.read_text())}


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"alertEmails": '["nobody"]'}, ("alertEmails", "nobody is no mail address")),
        ({"alertEmails": '["a@b.org,c@d.org"]'}, ("alertEmails", "a@b.org,c@d.org is no mail address")),
        ({"alertPhones": '["0555 123"]'}, ("alertPhones", "0555 123 is no number in E.164")),
        (
            {"alertPagerUrls": '["http://pager.example.org"]'},
            ("alertPagerUrls", "http://pager.example.org is no https address without a password"),
        ),
        (
            {"alertPagerUrls": '["https://user:word@pager.example.org/x"]'},
            (
                "alertPagerUrls",
                "https://user:word@pager.example.org/x is no https address without a password",
            ),
        ),
        ({"slackWorkspaceId": "T0123ABCD"}, ("slackChannelId", "slackWorkspaceId is set")),
        ({"slackChannelId": "C0123ABCD"}, ("slackWorkspaceId", "slackChannelId is set")),
    ],
)
def test_a_wrong_receiver_is_refused_by_name(values: dict[str, str], wrong: tuple[str, str]) -> None:
    assert list(ObservabilitySettings.model_validate(values).problems()) == [wrong]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("alarmAuditLagMinutes", "16"), ("runbookUrl", "http://example.org"), ("alarmLeastAccuracy", "85"),
        ("alarmOldestMessageSeconds", "5"), ("slackChannelId", "#alarms"), ("storageBudgetGib", "0"),
    ],
)  # fmt: skip
def test_a_wrong_threshold_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValidationError, match=name):
        ObservabilitySettings.model_validate({name: value})


def test_settings_move_alarms_and_their_links(moved: Graph) -> None:
    alarm = moved.named("aws:cloudwatch/metricAlarm:MetricAlarm", "retrieval-latency-alarm").inputs
    assert alarm["threshold"] == 700
    assert alarm["alarmDescription"].endswith("Runbook: https://wiki.example.org/r/retrieval-latency.md")


def test_no_receiver_stands_in_the_repository_but_examples() -> None:
    for stack in ("local", "dev", "prod"):
        text = (Path(__file__).parents[2] / f"Pulumi.{stack}.yaml").read_text()
        for address in yaml.safe_load(text)["config"]["rayline:alertEmails"]:
            assert address.endswith("@example.org")
