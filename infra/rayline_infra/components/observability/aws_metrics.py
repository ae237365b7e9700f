"""The metrics of AWS's own services that dashboards and alarms read, as AWS documents them.

HealthImaging documents no metric of its own: what is measured of it, the processor and the API measure (see
``rayline.observability.metrics``).
"""

from dataclasses import dataclass
from typing import Final

DOCS: Final = "https://docs.aws.amazon.com"
MINUTE_SECONDS: Final = 60
HOUR_SECONDS: Final = 60 * MINUTE_SECONDS
DAY_SECONDS: Final = 24 * HOUR_SECONDS


@dataclass(frozen=True)
class AwsMetric:
    """One metric that a service publishes.

    Attributes:
        unit: as CloudWatch spells it.
        statistic: what sums up the values of a period.
        dimension_sets: the sets under which the service publishes it; a subset of one names nothing.
        page: where AWS documents it.
        every_seconds: how often there is a value.
    """

    namespace: str
    name: str
    unit: str
    statistic: str
    dimension_sets: tuple[tuple[str, ...], ...]
    page: str
    every_seconds: int = 60


_SQS = f"{DOCS}/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html"
_EVENTS = f"{DOCS}/eventbridge/latest/userguide/eb-monitoring.html"
_DYNAMODB = f"{DOCS}/amazondynamodb/latest/developerguide/metrics-dimensions.html"
_S3 = f"{DOCS}/AmazonS3/latest/userguide/metrics-dimensions.html"
_ALB = f"{DOCS}/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html"
_NLB = f"{DOCS}/elasticloadbalancing/latest/network/load-balancer-cloudwatch-metrics.html"
_ECS = f"{DOCS}/AmazonECS/latest/developerguide/available-metrics.html"
_INSIGHTS = f"{DOCS}/AmazonCloudWatch/latest/monitoring/Container-Insights-metrics-ECS.html"
_SAGEMAKER = f"{DOCS}/sagemaker/latest/dg/monitoring-cloudwatch.html"
_ACM = f"{DOCS}/acm/latest/userguide/cloudwatch-metrics.html"
_LOGS = f"{DOCS}/AmazonCloudWatch/latest/logs/CloudWatch-Logs-Monitoring-CloudWatch-Metrics.html"

_QUEUE = (("QueueName",),)
# A rule of the default bus is named alone, one of a custom bus with its bus.
_RULE = (("RuleName",), ("EventBusName", "RuleName"))
_SERVICE = (("ClusterName", "ServiceName"),)
_BALANCER = (("LoadBalancer",), ("AvailabilityZone", "LoadBalancer"))
_PIPELINE = (("PipelineName",),)
_VARIANT = (("EndpointName", "VariantName"),)
_HOST = (("Host",),)


def _queue(name: str, unit: str, statistic: str) -> AwsMetric:
    return AwsMetric("AWS/SQS", name, unit, statistic, _QUEUE, _SQS)


OLDEST_MESSAGE = _queue("ApproximateAgeOfOldestMessage", "Seconds", "Maximum")
MESSAGES_WAITING = _queue("ApproximateNumberOfMessagesVisible", "Count", "Maximum")

FAILED_INVOCATIONS = AwsMetric("AWS/Events", "FailedInvocations", "Count", "Sum", _RULE, _EVENTS)
# What neither the target nor its dead-letter queue took is lost but for the archive.
LOST_INVOCATIONS = AwsMetric("AWS/Events", "InvocationsFailedToBeSentToDlq", "Count", "Sum", _RULE, _EVENTS)
RULE_INVOCATIONS = AwsMetric("AWS/Events", "Invocations", "Count", "Sum", _RULE, _EVENTS)

# An alarm on this namespace keeps its state while there are no values (CloudWatch, PutMetricAlarm), so these are
# plotted only; the alarm reads what the processor saw of throttling.
WRITE_THROTTLES = AwsMetric(
    "AWS/DynamoDB",
    "WriteThrottleEvents",
    "Count",
    "Sum",
    (("TableName",), ("TableName", "GlobalSecondaryIndexName")),
    _DYNAMODB,
)
READ_THROTTLES = AwsMetric(
    "AWS/DynamoDB",
    "ReadThrottleEvents",
    "Count",
    "Sum",
    (("TableName",), ("TableName", "GlobalSecondaryIndexName")),
    _DYNAMODB,
)

BUCKET_BYTES = AwsMetric(
    "AWS/S3", "BucketSizeBytes", "Bytes", "Average", (("BucketName", "StorageType"),), _S3, DAY_SECONDS
)


def _application_balancer(name: str, unit: str, statistic: str) -> AwsMetric:
    return AwsMetric("AWS/ApplicationELB", name, unit, statistic, _BALANCER, _ALB)


API_REQUESTS = _application_balancer("RequestCount", "Count", "Sum")
API_TARGET_ERRORS = _application_balancer("HTTPCode_Target_5XX_Count", "Count", "Sum")
API_BALANCER_ERRORS = _application_balancer("HTTPCode_ELB_5XX_Count", "Count", "Sum")
API_LATENCY = _application_balancer("TargetResponseTime", "Seconds", "Average")

GATEWAY_CONNECTIONS = AwsMetric("AWS/NetworkELB", "ActiveFlowCount", "Count", "Average", _BALANCER, _NLB)

SERVICE_CPU = AwsMetric(
    "AWS/ECS", "CPUUtilization", "Percent", "Average", (("ClusterName",), *_SERVICE), _ECS
)
SERVICE_MEMORY = AwsMetric(
    "AWS/ECS", "MemoryUtilization", "Percent", "Average", (("ClusterName",), *_SERVICE), _ECS
)
RUNNING_TASKS = AwsMetric(
    "ECS/ContainerInsights", "RunningTaskCount", "Count", "Average", _SERVICE, _INSIGHTS
)
DESIRED_TASKS = AwsMetric(
    "ECS/ContainerInsights", "DesiredTaskCount", "Count", "Average", _SERVICE, _INSIGHTS
)


def _pipeline(name: str, unit: str, statistic: str) -> AwsMetric:
    # The namespace is spelled so in the guide, unlike AWS/SageMaker.
    return AwsMetric("AWS/Sagemaker/ModelBuildingPipeline", name, unit, statistic, _PIPELINE, _SAGEMAKER)


EXECUTIONS_STARTED = _pipeline("ExecutionStarted", "Count", "Sum")
EXECUTIONS_SUCCEEDED = _pipeline("ExecutionSucceeded", "Count", "Sum")
EXECUTIONS_FAILED = _pipeline("ExecutionFailed", "Count", "Sum")


def _job(kind: str, name: str) -> AwsMetric:
    return AwsMetric(f"/aws/sagemaker/{kind}", name, "Percent", "Average", _HOST, _SAGEMAKER)


TRAINING_CPU = _job("TrainingJobs", "CPUUtilization")
TRAINING_GPU = _job("TrainingJobs", "GPUUtilization")
TRAINING_GPU_MEMORY = _job("TrainingJobs", "GPUMemoryUtilization")
PROCESSING_CPU = _job("ProcessingJobs", "CPUUtilization")
PROCESSING_MEMORY = _job("ProcessingJobs", "MemoryUtilization")

ENDPOINT_INVOCATIONS = AwsMetric("AWS/SageMaker", "Invocations", "Count", "Sum", _VARIANT, _SAGEMAKER)
ENDPOINT_ERRORS = AwsMetric("AWS/SageMaker", "Invocation5XXErrors", "Count", "Sum", _VARIANT, _SAGEMAKER)
ENDPOINT_LATENCY = AwsMetric("AWS/SageMaker", "ModelLatency", "Microseconds", "Average", _VARIANT, _SAGEMAKER)

DAYS_TO_EXPIRY = AwsMetric(
    "AWS/CertificateManager",
    "DaysToExpiry",
    "None",
    "Minimum",
    (("CertificateArn",),),
    _ACM,
    12 * HOUR_SECONDS,
)

LOG_EVENTS = AwsMetric("AWS/Logs", "IncomingLogEvents", "Count", "Sum", (("LogGroupName",),), _LOGS)

AWS_METRICS: tuple[AwsMetric, ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, AwsMetric)
)
