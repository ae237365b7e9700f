"""CloudWatch alarms and dashboards."""

from typing import Any

from rayline_local.provisioner.adapters.adapter import Inputs
from rayline_local.provisioner.adapters.recipe import Finder, Found, Recipe
from rayline_local.provisioner.adapters.requests import request_for


def _alarm(kind: str, name_input: str) -> Finder:
    def find(cloudwatch: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
        found = cloudwatch.describe_alarms(AlarmNames=[inputs[name_input]], AlarmTypes=[kind])[f"{kind}s"]
        return dict(found[0]) if found else None

    return find


def _put_metric_alarm(cloudwatch: Any, inputs: Inputs) -> Any:
    # MiniStack takes an alarm over several metrics, forgets which, and never raises it.
    request = request_for(cloudwatch, "PutMetricAlarm", inputs, {"AlarmName": "name"})
    if queries := inputs.get("metricQueries"):
        request["Metrics"] = [_query(cloudwatch, each) for each in queries]
    return cloudwatch.put_metric_alarm(**request)


def _query(cloudwatch: Any, query: Inputs) -> dict[str, Any]:
    """A metric or an expression; AWS wraps a metric once more than Pulumi does."""
    given = dict(query)
    if metric := given.pop("metric", None):
        given["metricStat"] = {
            **{name: metric[name] for name in ("period", "stat", "unit") if metric.get(name) is not None},
            "metric": metric,
        }
    (made,) = request_for(cloudwatch, "PutMetricAlarm", {"metrics": [given]})["Metrics"]
    return dict(made)


METRIC_ALARM = Recipe(
    service="cloudwatch",
    find=_alarm("MetricAlarm", "name"),
    identity="AlarmName",
    create=_put_metric_alarm,
    update=lambda cloudwatch, found, inputs: _put_metric_alarm(cloudwatch, inputs),
    delete=("DeleteAlarms", "AlarmNames"),
    outputs={"arn": "{AlarmArn}"},
    replaced_by=frozenset({"name"}),
)

COMPOSITE_ALARM = Recipe(
    service="cloudwatch",
    find=_alarm("CompositeAlarm", "alarmName"),
    identity="AlarmName",
    create="PutCompositeAlarm",
    update="PutCompositeAlarm",
    delete=("DeleteAlarms", "AlarmNames"),
    outputs={"arn": "{AlarmArn}"},
    replaced_by=frozenset({"alarmName"}),
)


def _dashboard(cloudwatch: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    return dict(cloudwatch.get_dashboard(DashboardName=inputs["dashboardName"]))


DASHBOARD = Recipe(
    service="cloudwatch",
    find=_dashboard,
    identity="DashboardName",
    create="PutDashboard",
    update="PutDashboard",
    delete=("DeleteDashboards", "DashboardNames"),
    outputs={"dashboardArn": "{DashboardArn}"},
    replaced_by=frozenset({"dashboardName"}),
)
