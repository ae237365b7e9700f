"""Queues, events, notices, logs, metrics, alarms, traces and audit."""

import json
import math
from collections.abc import Iterator

from rayline.observability.metrics import METRICS
from rayline_infra.costing.lines import Line, Month, Pricers
from rayline_infra.costing.networking import WAF_LOG_BYTES, flow_log_gib, requests
from rayline_infra.costing.storing import data_events
from rayline_infra.costing.usage import (
    BYTES_PER_GIB,
    DAYS_PER_MONTH,
    HOURS_PER_MONTH,
    MIB_PER_GIB,
    SECONDS_PER_MONTH,
)
from rayline_infra.policies.graph import Resource

CLOUDWATCH = "CloudWatch"
FAST_SECONDS = 60  # an alarm that looks more often than this is billed as a high-resolution one
CALLS_OF_A_MESSAGE = 3  # send, receive, delete
ALARMS_OF_TARGET_TRACKING = 2  # Application Auto Scaling makes one to add tasks and one to remove them
JOB_LOG_MIB = 5  # of a job of a training


def queue(resource: Resource, month: Month) -> Iterator[Line]:
    """Polling of the one queue that has consumers, and its messages."""
    if resource.name != "queue":
        return
    usage = month.usage
    polls = _workers(month) * usage.polls_per_worker_minute * HOURS_PER_MONTH * 60
    yield month.line("SQS", "polling", resource, "sqs.requests", polls)
    messages = usage.images * usage.messages_per_image * CALLS_OF_A_MESSAGE
    yield month.line("SQS", "messages", resource, "sqs.requests", messages, "scan")


def _workers(month: Month) -> float:
    """Worker processes of the processor, each of which polls."""
    found = 0.0
    for task in month.graph.of_type("aws:ecs/taskDefinition:TaskDefinition"):
        for container in json.loads(task.inputs["containerDefinitions"]):
            environment = {each["name"]: each["value"] for each in container.get("environment") or ()}
            if container["name"] == "processor":
                found += float(environment["RAYLINE_WORKERS"]) * _tasks("processor", month)
    return found


def subscription(resource: Resource, month: Month) -> Iterator[Line]:
    """Notices to one subscriber."""
    protocol = str(resource.inputs["protocol"])
    price = {"email": "sns.email", "sms": "sns.sms", "https": "sns.https"}.get(protocol, "sns.publishes")
    yield month.line("SNS", f"notices by {protocol}", resource, price, month.usage.notices_per_month)


def bus(resource: Resource, month: Month) -> Iterator[Line]:
    """Our own events; those of AWS's services are free."""
    events = month.usage.scans_per_month * month.usage.own_events_per_scan
    yield month.line("EventBridge", "events of ours", resource, "events.custom", events, "scan")


def archive(resource: Resource, month: Month) -> Iterator[Line]:
    """Archived events: taken in, and kept for their days."""
    usage = month.usage
    own = not str(resource.inputs["eventSourceArn"]).endswith("/default")
    events = usage.scans_per_month * usage.own_events_per_scan if own else usage.images
    gib = events * usage.event_bytes / BYTES_PER_GIB
    kept = gib * min(usage.months, float(resource.inputs.get("retentionDays") or 0) / DAYS_PER_MONTH)
    yield month.line("EventBridge", "archiving", resource, "events.archived", gib, "scan")
    yield month.line("EventBridge", "archives", resource, "events.archive", kept, "scan")


def schedule(resource: Resource, month: Month) -> Iterator[Line]:
    """Invocations of a schedule of EventBridge Scheduler."""
    runs = _runs(str(resource.inputs.get("scheduleExpression", "")))
    yield month.line("EventBridge", "schedules", resource, "events.scheduled", runs)


def _runs(expression: str) -> float:
    words = expression.removeprefix("rate(").removesuffix(")").split()
    if expression.startswith("rate(") and len(words) == 2:
        minutes = {"minute": 1, "hour": 60, "day": 1440}[words[1].removesuffix("s")]
        return HOURS_PER_MONTH * 60 / (float(words[0]) * minutes)
    return HOURS_PER_MONTH / 24  # a cron expression of ours runs once a day or less


def log_group(resource: Resource, month: Month) -> Iterator[Line]:
    """What a log group takes in and keeps; AWS's own deliveries are taken in by the resource that asks for them."""
    usage = month.usage
    name = str(resource.inputs["name"])
    idle, by_scan = usage.idle_log_mib / MIB_PER_GIB, 0.0
    if name.endswith("/flow-logs"):
        idle = flow_log_gib(month)
    elif "waf-logs" in name and name.endswith("-sign-in"):
        idle = 0.0
    elif "waf-logs" in name:
        idle, by_scan = 0.0, requests(month) * WAF_LOG_BYTES / BYTES_PER_GIB
    else:
        if name.endswith("/processor"):
            by_scan = usage.images * usage.log_bytes_per_image / BYTES_PER_GIB
        tasks = _tasks(name.rpartition("/")[2], month)
        lines = tasks * SECONDS_PER_MONTH / usage.metric_seconds
        idle += lines * usage.metric_line_bytes / BYTES_PER_GIB
        yield month.line(CLOUDWATCH, "logs taken in", resource, "logs.ingested", idle)
        yield month.line(CLOUDWATCH, "logs taken in", resource, "logs.ingested", by_scan, "scan")
        if name.endswith("/processor"):
            yield month.line(
                CLOUDWATCH,
                "metrics of ours",
                resource,
                "cloudwatch.metric",
                own_metrics(usage.values_per_dimension),
            )
    days = float(resource.inputs.get("retentionInDays") or math.inf)
    kept = min(usage.months, days / DAYS_PER_MONTH)
    yield month.line(CLOUDWATCH, "logs kept", resource, "logs.stored", idle * kept)
    yield month.line(CLOUDWATCH, "logs kept", resource, "logs.stored", by_scan * kept, "scan")


def _tasks(kind: str, month: Month) -> float:
    return sum(
        float(each.inputs.get("desiredCount") or 0)
        for each in month.graph.of_type("aws:ecs/service:Service")
        if str(each.inputs["name"]) == f"{month.stack_prefix}{kind}"
    )


def own_metrics(values_per_dimension: float) -> float:
    """Metrics as CloudWatch counts them: one for each combination of dimensions that occurs."""
    return sum(1 + len(metric.by) * values_per_dimension for metric in METRICS)


def alarm(resource: Resource, month: Month) -> Iterator[Line]:
    """An alarm by the metrics that it looks at."""
    queries = resource.inputs.get("metricQueries") or ()
    metrics = [each["metric"] for each in queries if each.get("metric")]
    periods = [float(each.get("period") or FAST_SECONDS) for each in metrics]
    periods += [float(resource.inputs["period"])] if resource.inputs.get("period") else []
    fast = bool(periods) and min(periods) < FAST_SECONDS
    price = "cloudwatch.fast_alarm_metric" if fast else "cloudwatch.alarm_metric"
    yield month.line(CLOUDWATCH, "alarms", resource, price, max(1, len(metrics)))


def composite(resource: Resource, month: Month) -> Iterator[Line]:
    """A composite alarm."""
    yield month.line(CLOUDWATCH, "composite alarms", resource, "cloudwatch.composite", 1)


def scaling(resource: Resource, month: Month) -> Iterator[Line]:
    """The alarms that target tracking makes of its own."""
    tracking = resource.inputs.get("targetTrackingScalingPolicyConfiguration")
    if not tracking:
        return
    custom = (tracking.get("customizedMetricSpecification") or {}).get("metrics") or ()
    metrics = max(1, sum(1 for each in custom if each.get("metricStat")))
    quantity = metrics * ALARMS_OF_TARGET_TRACKING
    yield month.line(CLOUDWATCH, "alarms of scaling", resource, "cloudwatch.alarm_metric", quantity)


def dashboard(resource: Resource, month: Month) -> Iterator[Line]:
    """A dashboard."""
    yield month.line(CLOUDWATCH, "dashboards", resource, "cloudwatch.dashboard", 1)


def metric_filter(resource: Resource, month: Month) -> Iterator[Line]:
    """The metric that a filter makes of log lines."""
    yield month.line(CLOUDWATCH, "metrics of log lines", resource, "cloudwatch.metric", 1)


def bucket_metrics(resource: Resource, month: Month) -> Iterator[Line]:
    """Request metrics of a bucket: sixteen, billed like one's own."""
    yield month.line(CLOUDWATCH, "request metrics of buckets", resource, "cloudwatch.metric", 16)


def sampling(resource: Resource, month: Month) -> Iterator[Line]:
    """Traces that sampling keeps."""
    traces = month.usage.images * month.usage.traces_per_image
    yield month.line("X-Ray", "traces", resource, "xray.traces", traces, "scan")


def trail(resource: Resource, month: Month) -> Iterator[Line]:
    """Data events of a trail, and management events of every trail after the first."""
    if any(_selects_data(each) for each in _selectors(resource)):
        yield month.line(
            "CloudTrail", "data events", resource, "cloudtrail.data_events", data_events(month), "scan"
        )
    analysed = _analysed(resource, month)
    if analysed:
        yield month.line("CloudTrail", "insights", resource, "cloudtrail.insights", analysed)
    # Which one AWS takes for the first does not matter to the sum; by name, it is the same in every run.
    copies = sorted(
        each.name
        for each in month.graph.of_type("aws:cloudtrail/trail:Trail")
        if any(_selects_management(selector) for selector in _selectors(each))
    )
    if resource.name in copies[1:]:
        events = month.usage.management_events
        yield month.line(
            "CloudTrail", "a second copy of management events", resource, "cloudtrail.further_copy", events
        )


def _analysed(resource: Resource, month: Month) -> float:
    """Management events that insights look through: rates of writes only, errors of all (CloudTrail guide)."""
    usage = month.usage
    shares = {"ApiCallRateInsight": usage.management_write_share, "ApiErrorRateInsight": 1.0}
    kinds = [each["insightType"] for each in resource.inputs.get("insightSelectors") or ()]
    return sum(shares[kind] for kind in kinds) * usage.management_events


def _selectors(resource: Resource) -> list[dict[str, object]]:
    return [
        *(resource.inputs.get("eventSelectors") or ()),
        *(resource.inputs.get("advancedEventSelectors") or ()),
    ]


def _selects_data(selector: dict[str, object]) -> bool:
    return bool(selector.get("dataResources")) or _category(selector, "Data")


def _selects_management(selector: dict[str, object]) -> bool:
    if "fieldSelectors" in selector:
        return _category(selector, "Management")
    return bool(selector.get("includeManagementEvents", True))


def _category(selector: dict[str, object], wanted: str) -> bool:
    fields = selector.get("fieldSelectors") or ()
    assert isinstance(fields, list | tuple)
    return any(each["field"] == "eventCategory" and wanted in (each.get("equals") or ()) for each in fields)


def recorder(resource: Resource, month: Month) -> Iterator[Line]:
    """What Config records: every change of every resource of the stack."""
    resources = sum(1 for each in month.graph.resources if each.type.startswith("aws:"))
    items = resources * month.usage.changes_per_resource
    yield month.line("Config", "configuration items", resource, "config.items", items)


def config_rule(resource: Resource, month: Month) -> Iterator[Line]:
    """Evaluations of a rule."""
    yield month.line(
        "Config", "rule evaluations", resource, "config.evaluations", month.usage.evaluations_per_rule
    )


def detector(resource: Resource, month: Month) -> Iterator[Line]:
    """What GuardDuty looks through in any case: management events and flow logs."""
    usage = month.usage
    yield month.line(
        "GuardDuty", "management events", resource, "guardduty.management", usage.management_events
    )
    yield month.line("GuardDuty", "flow logs", resource, "guardduty.flows", flow_log_gib(month))


def detector_feature(resource: Resource, month: Month) -> Iterator[Line]:
    """What a protection plan looks through beside that."""
    if resource.inputs.get("status") == "DISABLED":
        return
    name = str(resource.inputs["name"])
    if name == "S3_DATA_EVENTS":
        yield month.line(
            "GuardDuty", "S3 data events", resource, "guardduty.s3_events", data_events(month), "scan"
        )
    elif name in ("RUNTIME_MONITORING", "ECS_FARGATE_AGENT_MANAGEMENT"):
        vcpus = sum(
            float(task.inputs["cpu"]) / 1024 * float(each.inputs.get("desiredCount") or 0)
            for each in month.graph.of_type("aws:ecs/service:Service")
            for task in month.graph.of_type("aws:ecs/taskDefinition:TaskDefinition")
            if task.outputs["arn"] == each.inputs["taskDefinition"]
        )
        yield month.line("GuardDuty", "runtime monitoring", resource, "guardduty.runtime", vcpus)


def malware_plan(resource: Resource, month: Month) -> Iterator[Line]:
    """Uploads that GuardDuty scans for malware."""
    yield month.line(
        "GuardDuty", "uploads scanned", resource, "guardduty.scanned", month.usage.raw_gib, "scan"
    )


def analyzer(resource: Resource, month: Month) -> Iterator[Line]:
    """Access Analyzer: free for outside access, by roles for unused access."""
    if "UNUSED" in str(resource.inputs.get("type", "")):
        roles = len(month.graph.of_type("aws:iam/role:Role"))
        yield month.line("Access Analyzer", "roles analysed", resource, "analyzer.unused", roles)


PRICERS: Pricers = {
    "aws:accessanalyzer/analyzer:Analyzer": analyzer,
    "aws:appautoscaling/policy:Policy": scaling,
    "aws:cfg/recorder:Recorder": recorder,
    "aws:cfg/rule:Rule": config_rule,
    "aws:cloudtrail/trail:Trail": trail,
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": composite,
    "aws:cloudwatch/dashboard:Dashboard": dashboard,
    "aws:cloudwatch/eventArchive:EventArchive": archive,
    "aws:cloudwatch/eventBus:EventBus": bus,
    "aws:cloudwatch/logGroup:LogGroup": log_group,
    "aws:cloudwatch/logMetricFilter:LogMetricFilter": metric_filter,
    "aws:cloudwatch/metricAlarm:MetricAlarm": alarm,
    "aws:guardduty/detector:Detector": detector,
    "aws:guardduty/detectorFeature:DetectorFeature": detector_feature,
    "aws:guardduty/malwareProtectionPlan:MalwareProtectionPlan": malware_plan,
    "aws:s3/bucketMetric:BucketMetric": bucket_metrics,
    "aws:scheduler/schedule:Schedule": schedule,
    "aws:sns/topicSubscription:TopicSubscription": subscription,
    "aws:sqs/queue:Queue": queue,
    "aws:xray/samplingRule:SamplingRule": sampling,
}
