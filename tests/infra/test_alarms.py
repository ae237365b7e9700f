"""Every alarm of every stack rings on what it is for, and keeps quiet on what comes near."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from support.alarm_evaluation import Measurements, State, composite_state, key_of, metrics_of, state_of
from support.alarm_samples import RINGING, SAMPLES, Values

from rayline.names import AlarmKind, CompositeKind, ObjectiveKind
from rayline_infra.policies.graph import Graph

METRIC_ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
COMPOSITE_ALARM = "aws:cloudwatch/compositeAlarm:CompositeAlarm"
RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"
# Pages that are about more than one alarm.
OTHER_PAGES = {"README", "incident", "losing-a-region"}
DAY_SECONDS = 86_400


def alarms(graph: Graph) -> dict[str, Mapping[str, Any]]:
    """The metric alarms of a stack by what follows its prefix in their names."""
    return {_short(graph, each.inputs["name"]): each.inputs for each in graph.of_type(METRIC_ALARM)}


def composites(graph: Graph) -> dict[str, Mapping[str, Any]]:
    return {_short(graph, each.inputs["alarmName"]): each.inputs for each in graph.of_type(COMPOSITE_ALARM)}


def _short(graph: Graph, name: str) -> str:
    return name.removeprefix(f"rayline-{graph.stack}-")


def measured(alarm: Mapping[str, Any], values: Values) -> Measurements:
    metrics = metrics_of(alarm)
    assert set(values) <= set(metrics), f"the alarm has no metric {set(values) - set(metrics)}"
    length = max(len(each) for each in values.values())
    return {key_of(metric): values.get(name, [None] * length) for name, metric in metrics.items()}


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_an_alarm_rings_on_its_firing_samples_only(name: str, graph_of: Callable[[str], Graph]) -> None:
    # prod serves no model.
    alarm = alarms(graph_of("dev" if name.startswith("endpoint-") else "prod"))[name]
    samples = SAMPLES[name]
    assert samples.firing
    assert samples.quiet
    for values in samples.firing:
        assert state_of(alarm, measured(alarm, values)) == "ALARM", values
    for values in samples.quiet:
        assert state_of(alarm, measured(alarm, values)) != "ALARM", values


@pytest.mark.parametrize("name", sorted(RINGING))
def test_a_composite_alarm_rings_on_its_firing_samples_only(
    name: str, graph_of: Callable[[str], Graph]
) -> None:
    graph = graph_of("prod")
    rule = composites(graph)[name]["alarmRule"]

    def state(ringing: set[str]) -> State:
        states: dict[str, State] = {
            f"rayline-prod-{each}": "ALARM" if each in ringing else "OK"
            for each in (*alarms(graph), *composites(graph))
        }
        return composite_state(rule, states)

    firing, quiet = RINGING[name]
    assert firing
    assert quiet
    assert [state(each) for each in firing] == ["ALARM"] * len(firing)
    assert [state(each) for each in quiet] == ["OK"] * len(quiet)
    assert state(set()) == "OK"


def test_every_alarm_has_samples(graph: Graph) -> None:
    assert set(alarms(graph)) <= set(SAMPLES)
    assert set(composites(graph)) <= set(RINGING)


def test_every_stack_has_every_alarm_that_has_a_name(graph: Graph) -> None:
    absent = {"endpoint-errors"} if not graph.of_type("aws:sagemaker/endpoint:Endpoint") else set()
    assert set(get_args(AlarmKind)) - absent <= set(alarms(graph))
    assert set(get_args(CompositeKind)) <= set(composites(graph))
    for objective in get_args(ObjectiveKind):
        assert any(name.startswith(f"{objective}-") for name in (*alarms(graph), *composites(graph)))


def test_every_alarm_reaches_somebody(graph: Graph) -> None:
    # By itself, or through a composite alarm that does.
    told = {name for name, each in composites(graph).items() if each["alarmActions"]}
    assert told == set(composites(graph))
    rules = " ".join(each["alarmRule"] for each in composites(graph).values())
    for name, alarm in alarms(graph).items():
        assert alarm.get("alarmActions") or f'"rayline-{graph.stack}-{name}"' in rules, name


def test_what_a_composite_alarm_tells_its_members_do_not_tell_too(graph: Graph) -> None:
    for composite in composites(graph).values():
        for member in re.findall(r'ALARM\("([^"]+)"\)', composite["alarmRule"]):
            short = _short(graph, member)
            assert not alarms(graph).get(short, {}).get("alarmActions"), short


def test_urgent_alarms_end_by_a_message_and_go_to_the_urgent_topic(graph: Graph) -> None:
    account = graph.outputs["account_id"]
    urgent, notices = (
        f"arn:aws:sns:us-east-1:{account}:rayline-{graph.stack}-{kind}" for kind in ("alarms", "notices")
    )
    for name, alarm in {**alarms(graph), **composites(graph)}.items():
        actions = alarm.get("alarmActions") or []
        assert actions in ([], [urgent], [notices]), name
        assert (alarm.get("okActions") or []) == (actions if actions == [urgent] else []), name


def test_periods_are_what_cloudwatch_takes(graph: Graph) -> None:
    # PutMetricAlarm: a multiple of 60 s; one day in all, or seven where a period is an hour or longer.
    for name, alarm in alarms(graph).items():
        periods = {int(each["period"]) for each in metrics_of(alarm).values()}
        assert len(periods) == 1, f"{name}: metrics of one alarm share a period"
        (period,) = periods
        assert period % 60 == 0, name
        assert period * alarm["evaluationPeriods"] <= (7 * DAY_SECONDS if period >= 3600 else DAY_SECONDS), (
            name
        )
        assert 1 <= alarm["datapointsToAlarm"] <= alarm["evaluationPeriods"], name
        assert len(alarm.get("metricQueries") or ()) <= 20, name


def test_no_alarm_watches_dynamodb_which_keeps_its_state_without_data(graph: Graph) -> None:
    # PutMetricAlarm, TreatMissingData: it would ring until the next throttled request, perhaps for weeks.
    for name, alarm in alarms(graph).items():
        assert all(each["namespace"] != "AWS/DynamoDB" for each in metrics_of(alarm).values()), name


def test_every_alarm_links_its_runbook_and_every_runbook_an_alarm(graph_of: Callable[[str], Graph]) -> None:
    graph = graph_of("prod")
    linked = set()
    for name, alarm in {**alarms(graph), **composites(graph)}.items():
        found = re.search(r"Runbook: https://\S+/docs/runbooks/([a-z-]+)\.md$", alarm["alarmDescription"])
        assert found, name
        assert (RUNBOOKS / f"{found[1]}.md").is_file(), f"{name} links {found[1]}.md"
        assert len(alarm["alarmDescription"]) <= 1024, name
        linked.add(found[1])
    pages = {page.stem for page in RUNBOOKS.glob("*.md")} - OTHER_PAGES
    assert pages - {"endpoint-errors"} == linked - {"endpoint-errors"}


@pytest.mark.parametrize(
    ("name", "threshold", "period", "breaching", "periods"),
    [
        # The issue's own figures.
        ("retrieval-latency", 1000, 300, 2, 3),
        ("accuracy", 0.85, 3600, 1, 1),
        ("connection-errors", 5, 60, 2, 3),
        ("consumer-errors", 1, 300, 2, 3),
        ("audit-lag", 1, 300, 3, 3),
        ("dead-letter-queue", 0, 300, 1, 3),
        # Burn rates of Google's SRE workbook: 14.4 for an hour and five minutes, 6 for six hours and thirty minutes.
        ("api-availability-fast-long", 0.0144, 3600, 1, 1),
        ("api-availability-fast-short", 0.0144, 300, 1, 1),
        ("api-availability-medium-long", 0.006, 21_600, 1, 1),
        ("api-availability-medium-short", 0.006, 1800, 1, 1),
        ("retrieval-speed-fast-long", 0.144, 3600, 1, 1),
        ("retrieval-speed-medium-short", 0.06, 1800, 1, 1),
        ("pipeline-success-week", 0.05, 86_400, 2, 7),
        ("verified-to-model-week", 0.05, 86_400, 2, 7),
    ],
)
def test_thresholds_are_the_agreed_ones(
    name: str, threshold: float, period: int, breaching: int, periods: int, graph_of: Callable[[str], Graph]
) -> None:
    alarm = alarms(graph_of("prod"))[name]
    assert alarm["threshold"] == pytest.approx(threshold)
    assert {each["period"] for each in metrics_of(alarm).values()} == {period}
    assert (alarm["datapointsToAlarm"], alarm["evaluationPeriods"]) == (breaching, periods)
