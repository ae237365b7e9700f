"""CloudWatch's way of evaluating an alarm, so that a test can say which measurements ring it.

An alarm is given as the resource graph has it, and measurements as one entry for each of its periods, newest last: a
number, several numbers of the same period, or ``None`` where there was none.

Sources: CloudWatch user guide, "Configuring how CloudWatch alarms treat missing data", "Using metric math",
"Statistics definitions"; CloudWatch API reference, PutMetricAlarm and PutCompositeAlarm.
"""

import ast
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

State = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]
Measured = float | Sequence[float] | None
Points = list[float | None]
Key = tuple[str, str, frozenset[tuple[str, str]]]
Measurements = Mapping[Key, Sequence[Measured]]

# CloudWatch looks further back than it evaluates: five points for three periods, in AWS's own examples.
EXTRA_POINTS = 2
COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}


def key_of(metric: Mapping[str, Any]) -> Key:
    """What tells a metric from every other one."""
    return (
        metric["namespace"],
        metric["metricName"],
        frozenset((name, str(value)) for name, value in (metric.get("dimensions") or {}).items()),
    )


def metrics_of(alarm: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The metrics that an alarm reads, by their ids; one without metric math has the id ``m``."""
    queries = alarm.get("metricQueries")
    if not queries:
        return {"m": alarm}
    return {query["id"]: query["metric"] for query in queries if query.get("metric")}


def state_of(alarm: Mapping[str, Any], measurements: Measurements, before: State = "OK") -> State:
    """The state of a metric alarm after its latest period.

    Args:
        before: its state until then.
    """
    points = _points(alarm, measurements)
    compare, threshold = COMPARISONS[alarm["comparisonOperator"]], float(alarm["threshold"])
    periods = int(alarm["evaluationPeriods"])
    breaches = [None if point is None else compare(point, threshold) for point in points]
    return judge(
        breaches[-(periods + EXTRA_POINTS) :],
        periods=periods,
        to_alarm=int(alarm.get("datapointsToAlarm") or periods),
        missing=alarm.get("treatMissingData") or "missing",
        before=before,
    )


def judge(
    breaches: Sequence[bool | None], *, periods: int, to_alarm: int, missing: str, before: State = "OK"
) -> State:
    """The state that points make, oldest first: breaching, not breaching, or missing."""
    real = [each for each in breaches if each is not None]
    if len(real) >= periods:
        return "ALARM" if sum(real[-periods:]) >= to_alarm else "OK"
    lacking = periods - len(real)
    if missing == "breaching":
        return "ALARM" if sum(real) + lacking >= to_alarm else "OK"
    if missing == "notBreaching" or sum(real) >= to_alarm:
        return "ALARM" if sum(real) >= to_alarm else "OK"
    if not all(real):
        return "OK"
    if missing == "ignore":
        return before
    # Nothing but breaching and missing points: it rings once the oldest breach is as old as it takes to ring.
    oldest = next((age for age, each in zip(range(len(breaches), 0, -1), breaches, strict=True) if each), 0)
    return "ALARM" if oldest >= to_alarm else "INSUFFICIENT_DATA"


def composite_state(rule: str, states: Mapping[str, State]) -> State:
    """The state of a composite alarm.

    Args:
        states: of the alarms that its rule names; one that is not here does not exist.

    Raises:
        KeyError: the rule names an alarm that does not exist.
    """
    text = re.sub(
        r'(ALARM|OK|INSUFFICIENT_DATA)\("?([^")]+)"?\)',
        lambda found: str(states[found[2]] == found[1]),
        rule,
    )
    for word, python in (("AND", "and"), ("OR", "or"), ("NOT", "not"), ("TRUE", "True"), ("FALSE", "False")):
        text = re.sub(rf"\b{word}\b", python, text)
    return "ALARM" if _truth(ast.parse(text, mode="eval").body) else "OK"


def _truth(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return not _truth(node.operand)
    if isinstance(node, ast.BoolOp):
        values = [_truth(each) for each in node.values]
        return all(values) if isinstance(node.op, ast.And) else any(values)
    raise ValueError(f"no part of an alarm rule: {ast.unparse(node)}")


# -- the points of an alarm ----------------------------------------------------------------------------------------


def _points(alarm: Mapping[str, Any], measurements: Measurements) -> Points:
    queries = alarm.get("metricQueries")
    if not queries:
        statistic = alarm.get("extendedStatistic") or alarm["statistic"]
        return [_summed(each, statistic) for each in measurements.get(key_of(alarm), ())]
    length = max((len(each) for each in measurements.values()), default=0)
    series = {
        query["id"]: _series(query["metric"], measurements, length)
        for query in queries
        if query.get("metric")
    }
    (watched,) = (query["expression"] for query in queries if query.get("returnData"))
    value = evaluate(watched, series, length)
    return value if isinstance(value, list) else [value] * length


def _series(metric: Mapping[str, Any], measurements: Measurements, length: int) -> Points:
    found = [_summed(each, metric["stat"]) for each in measurements.get(key_of(metric), ())]
    return [None] * (length - len(found)) + found


def _summed(measured: Measured, statistic: str) -> float | None:
    if measured is None:
        return None
    values = [float(measured)] if isinstance(measured, int | float) else [float(each) for each in measured]
    return statistic_of(statistic, values) if values else None


def statistic_of(statistic: str, values: Sequence[float]) -> float:
    """One statistic of the values of a period."""
    plain: Mapping[str, Callable[[Sequence[float]], float]] = {
        "Sum": sum,
        "Average": lambda each: sum(each) / len(each),
        "Minimum": min,
        "Maximum": max,
        "SampleCount": len,
    }
    if statistic in plain:
        return plain[statistic](values)
    if percentile := re.fullmatch(r"p(\d+(?:\.\d+)?)", statistic):
        ordered = sorted(values)
        rank = float(percentile[1]) / 100 * (len(ordered) - 1)
        below = int(rank)
        above = min(below + 1, len(ordered) - 1)
        return ordered[below] + (rank - below) * (ordered[above] - ordered[below])
    if bounds := re.fullmatch(r"PR\((\d+(?:\.\d+)?):(\d+(?:\.\d+)?)\)", statistic):
        # The lower bound is exclusive, the upper one inclusive ("Statistics definitions").
        low, high = float(bounds[1]), float(bounds[2])
        return 100 * sum(low < each <= high for each in values) / len(values)
    raise ValueError(f"{statistic} is no statistic that alarms of ours use")


# -- metric math ---------------------------------------------------------------------------------------------------

_ARITHMETIC: Mapping[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Gt: lambda a, b: float(a > b),
    ast.GtE: lambda a, b: float(a >= b),
    ast.Lt: lambda a, b: float(a < b),
    ast.LtE: lambda a, b: float(a <= b),
}


def evaluate(expression: str, series: Mapping[str, Points], length: int) -> Points | float:
    """What metric math makes of series of one length; of its functions, those that alarms of ours use.

    A point that lacks an operand, or divides by zero, is missing.
    """
    return _value(ast.parse(expression, mode="eval").body, series, length)


def _value(node: ast.expr, series: Mapping[str, Points], length: int) -> Points | float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return float(node.value)
    if isinstance(node, ast.Name):
        return series[node.id]
    if isinstance(node, ast.BinOp):
        sides = [_value(each, series, length) for each in (node.left, node.right)]
        return _combined(_ARITHMETIC[type(node.op)], sides, length)
    if isinstance(node, ast.Compare):
        sides = [_value(each, series, length) for each in (node.left, *node.comparators)]
        return _combined(_ARITHMETIC[type(node.ops[0])], sides, length)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        arguments = [_value(each, series, length) for each in node.args]
        if node.func.id == "FILL":
            points, by = (_spread(each, length) for each in arguments)
            return [fill if each is None else each for each, fill in zip(points, by, strict=True)]
        if node.func.id == "IF":
            condition, then, otherwise = (_spread(each, length) for each in arguments)
            return [
                None if each is None else (yes if each else no)
                for each, yes, no in zip(condition, then, otherwise, strict=True)
            ]
    raise ValueError(f"no metric math that is known here: {ast.unparse(node)}")


def _combined(operation: Callable[[float, float], float], sides: list[Points | float], length: int) -> Points:
    left, right = (_spread(each, length) for each in sides)
    return [_applied(operation, a, b) for a, b in zip(left, right, strict=True)]


def _applied(operation: Callable[[float, float], float], a: float | None, b: float | None) -> float | None:
    if a is None or b is None:
        return None
    try:
        return operation(a, b)
    except ZeroDivisionError:
        return None


def _spread(value: Points | float, length: int) -> Points:
    return value if isinstance(value, list) else [value] * length
