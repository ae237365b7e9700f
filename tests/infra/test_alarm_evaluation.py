"""The evaluator of alarms answers as AWS documents it."""

import pytest
from support.alarm_evaluation import (
    State,
    composite_state,
    evaluate,
    judge,
    state_of,
    statistic_of,
)

NO_DATA: State = "INSUFFICIENT_DATA"
POINTS = {"0": False, "X": True, "-": None}


# The tables of the CloudWatch user guide, "How alarm state is evaluated when data is missing"; "before" stands for
# "retain current state".
@pytest.mark.parametrize(
    ("points", "to_alarm", "states"),
    [
        ("0 - X - X", 3, ("OK", "OK", "OK", "OK")),
        ("0 - - - -", 3, ("OK", "OK", "OK", "OK")),
        ("- - - - -", 3, (NO_DATA, "before", "ALARM", "OK")),
        ("0 X X - X", 3, ("ALARM", "ALARM", "ALARM", "ALARM")),
        ("- - - - X", 3, (NO_DATA, "before", "ALARM", "OK")),
        ("X - - - -", 3, ("ALARM", "before", "ALARM", "OK")),
        ("0 - X - X", 2, ("ALARM", "ALARM", "ALARM", "ALARM")),
        ("0 0 X 0 X", 2, ("ALARM", "ALARM", "ALARM", "ALARM")),
        ("0 - X - -", 2, ("OK", "OK", "ALARM", "OK")),
        ("- - - - 0", 2, ("OK", "OK", "ALARM", "OK")),
        ("- - - - X", 2, (NO_DATA, "before", "ALARM", "OK")),
    ],
)
def test_missing_points_are_treated_as_the_guide_says(
    points: str, to_alarm: int, states: tuple[str, str, str, str]
) -> None:
    breaches = [POINTS[each] for each in points.split()]
    before: State
    for before in ("OK", "ALARM"):
        expected = [before if each == "before" else each for each in states]
        found = [
            judge(breaches, periods=3, to_alarm=to_alarm, missing=missing, before=before)
            for missing in ("missing", "ignore", "breaching", "notBreaching")
        ]
        assert found == expected


ALARM = {
    "namespace": "Rayline",
    "metricName": "Waits",
    "dimensions": {"Site": "a"},
    "statistic": "Maximum",
    "period": 60,
    "evaluationPeriods": 3,
    "datapointsToAlarm": 3,
    "comparisonOperator": "GreaterThanThreshold",
    "threshold": 3,
    "treatMissingData": "missing",
}
WAITS = ("Rayline", "Waits", frozenset({("Site", "a")}))


def test_three_of_three_rings_and_ends_as_in_the_guides_figure() -> None:
    # "Evaluating an alarm": the third to the fifth period are above three, the sixth is not, the ninth is alone.
    values = [1, 2, 4, 5, 4, 2, 1, 2, 5, 1]
    states = [state_of(ALARM, {WAITS: values[: count + 1]}) for count in range(len(values))]
    assert [count + 1 for count, state in enumerate(states) if state == "ALARM"] == [5]


def test_a_threshold_that_is_met_is_not_crossed() -> None:
    assert state_of(ALARM, {WAITS: [3, 3, 3]}) == "OK"
    assert (
        state_of({**ALARM, "comparisonOperator": "GreaterThanOrEqualToThreshold"}, {WAITS: [3, 3, 3]})
        == "ALARM"
    )
    assert state_of({**ALARM, "comparisonOperator": "LessThanThreshold"}, {WAITS: [2, 2, 2]}) == "ALARM"


def test_another_site_is_another_metric() -> None:
    assert state_of(ALARM, {("Rayline", "Waits", frozenset({("Site", "b")})): [9, 9, 9]}) == NO_DATA


@pytest.mark.parametrize(
    ("statistic", "value"),
    [
        ("Sum", 10), ("Average", 2.5), ("Minimum", 1), ("Maximum", 4), ("SampleCount", 4), ("p50", 2.5),
        ("p100", 4), ("PR(0:3)", 75), ("PR(1:3)", 50), ("PR(0:0.5)", 0),
    ],
)  # fmt: skip
def test_statistics_sum_up_a_period(statistic: str, value: float) -> None:
    assert statistic_of(statistic, [1, 2, 3, 4]) == value


@pytest.mark.parametrize(
    ("expression", "points"),
    [
        ("a + b", [11, None, None]),
        ("a + FILL(b, 0)", [11, 2, None]),
        ("100 * a / b", [10, None, None]),
        ("a / (b - b)", [None, None, None]),
        ("IF(a > 1, a, 0)", [0, 2, None]),
        ("IF(FILL(b, 0) > 0, 1, 2)", [1, 2, 2]),
        ("FILL(never, 7)", [7, 7, 7]),
    ],
)
def test_metric_math_misses_a_point_that_an_operand_misses(
    expression: str, points: list[float | None]
) -> None:
    series = {"a": [1.0, 2.0, None], "b": [10.0, None, None], "never": [None, None, None]}
    assert evaluate(expression, series, 3) == points


# The examples of PutCompositeAlarm.
@pytest.mark.parametrize(
    ("rule", "ringing", "state"),
    [
        ("ALARM(Cpu) AND ALARM(Disk)", {"Cpu"}, "OK"),
        ("ALARM(Cpu) AND ALARM(Disk)", {"Cpu", "Disk"}, "ALARM"),
        ("ALARM(Cpu) AND NOT ALARM(Deploying)", {"Cpu"}, "ALARM"),
        ("ALARM(Cpu) AND NOT ALARM(Deploying)", {"Cpu", "Deploying"}, "OK"),
        ("(ALARM(Cpu) OR ALARM(Disk)) AND OK(Network)", {"Disk"}, "ALARM"),
        ("(ALARM(Cpu) OR ALARM(Disk)) AND OK(Network)", {"Disk", "Network"}, "OK"),
        ('ALARM("Cpu") OR FALSE', {"Cpu"}, "ALARM"),
        ("TRUE", set(), "ALARM"),
    ],
)
def test_composite_rules_combine_states(rule: str, ringing: set[str], state: str) -> None:
    states: dict[str, State] = {
        name: "ALARM" if name in ringing else "OK" for name in ("Cpu", "Disk", "Network", "Deploying")
    }
    assert composite_state(rule, states) == state


def test_a_rule_over_an_alarm_that_is_not_there_is_refused() -> None:
    with pytest.raises(KeyError):
        composite_state("ALARM(Gone)", {})
