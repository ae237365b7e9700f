"""CloudWatch metric alarms."""

from typing import Any

from rayline_local.provisioner.adapters.adapter import Inputs, Made
from rayline_local.provisioner.clients import Clients


class MetricAlarmAdapter:
    """``aws:cloudwatch/metricAlarm:MetricAlarm``."""

    replaced_by = frozenset({"name"})

    def __init__(self, clients: Clients) -> None:
        self._cloudwatch = clients.get("cloudwatch")

    def put(self, inputs: Inputs, existing_id: str | None) -> Made:
        name = inputs["name"]
        self._cloudwatch.put_metric_alarm(
            AlarmName=name,
            AlarmDescription=inputs.get("alarmDescription", ""),
            Namespace=inputs["namespace"],
            MetricName=inputs["metricName"],
            Dimensions=[
                {"Name": key, "Value": value}
                for key, value in sorted((inputs.get("dimensions") or {}).items())
            ],
            Statistic=inputs["statistic"],
            Period=int(inputs["period"]),
            EvaluationPeriods=int(inputs["evaluationPeriods"]),
            ComparisonOperator=inputs["comparisonOperator"],
            Threshold=float(inputs["threshold"]),
            TreatMissingData=inputs.get("treatMissingData", "missing"),
            AlarmActions=list(inputs.get("alarmActions") or ()),
            OKActions=list(inputs.get("okActions") or ()),
        )
        return Made(name, {"arn": self._find(name)["AlarmArn"]})

    def exists(self, resource_id: str, inputs: Inputs) -> bool:
        return self._find(resource_id) is not None

    def delete(self, resource_id: str, inputs: Inputs) -> None:
        self._cloudwatch.delete_alarms(AlarmNames=[resource_id])

    def _find(self, name: str) -> Any:
        found = self._cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
        return found[0] if found else None
