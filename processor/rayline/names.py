"""The one place that names the estate's resources; the Pulumi program and the processor both read it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

IdentifiedBucket = Literal["uploads", "quarantine", "archive"]
DeidentifiedBucket = Literal["imports", "preprocessed", "models", "reports"]
# Of no zone: the viewer's public pages, the audit trail with services' logs, and who called which bucket.
ServiceBucket = Literal["viewer", "logs", "access-logs"]
BucketKind = IdentifiedBucket | DeidentifiedBucket | ServiceBucket
ReplicatedBucket = Literal["archive", "models", "reports"]
RoleKind = Literal[
    "processor", "execution", "import", "training", "operator", "reviewer", "uploader",
    "replication-identified", "replication-deidentified", "trail", "config", "api", "gateway", "flow-logs", "chat",
    "endpoint",
]  # fmt: skip
TrailKind = Literal["management", "data"]
SecretKind = Literal["tracking", "deid", "dimse-certificate", "dimse-client-ca"]
RuleKind = Literal["uploaded", "ingested", "verified", "trained", "evaluated"]
NoticeKind = Literal[
    "pipeline-failed", "job-failed", "import-failed", "deployment-failed", "out-of-memory",
    "finding", "health", "alarm-silenced", "alarm-blind",
]  # fmt: skip
ScheduleKind = Literal["retries-due", "reconcile-due", "drift-due"]
AlarmKind = Literal[
    "accuracy", "api-errors", "api-tasks", "audit-errors", "audit-lag", "certificate-expiry", "connection-errors",
    "consumer-errors", "dead-letter-queue", "delivery-failed", "endpoint-errors", "gateway-tasks",
    "outbox-lag", "prediction-drift", "processor-tasks", "queue-age", "reconciler-gaps", "retrieval-latency",
    "storage-budget", "throttling", "training-failed",
]  # fmt: skip
# Alarms over other alarms: one message for one trouble.
CompositeKind = Literal["api-down", "dead-letters", "processing-degraded", "processing-down"]
ObjectiveKind = Literal["api-availability", "pipeline-success", "retrieval-speed", "verified-to-model"]
TopicKind = Literal["alarms", "notices"]
DashboardKind = Literal["imaging", "pipeline", "mlops"]
QueryKind = Literal[
    "account-audit", "audit", "errors", "one-instance", "rejections", "slow-requests", "slowest-hooks", "throttles"
]  # fmt: skip
ServiceKind = Literal["processor", "api", "gateway"]
RepositoryKind = Literal["processor", "api", "gateway", "training", "collector"]
WebAclKind = Literal["api", "viewer", "sign-in"]
SecurityGroupKind = Literal[
    "processor", "api", "gateway", "training", "inference", "load-balancer", "gateway-balancer", "endpoints"
]
ArchiveKind = Literal["aws", "own"]
TableKind = Literal["image-tracking", "effects", "model-metrics"]

# Which archive keeps the events of which rule; aws.* events stay on the default bus, ours on the custom one.
ARCHIVED: Mapping[ArchiveKind, tuple[RuleKind, ...]] = {
    "aws": ("uploaded", "ingested", "trained", "evaluated"),
    "own": ("verified",),
}
IDENTIFIED_BUCKETS: tuple[IdentifiedBucket, ...] = ("uploads", "quarantine", "archive")
DEIDENTIFIED_BUCKETS: tuple[DeidentifiedBucket, ...] = ("imports", "preprocessed", "models", "reports")
SERVICE_BUCKETS: tuple[ServiceBucket, ...] = ("viewer", "logs", "access-logs")
REPLICATED_BUCKETS: tuple[ReplicatedBucket, ...] = ("archive", "models", "reports")

UPLOAD_PREFIX = "upload/"
# The reconciler tags an original of which HealthImaging has the image; only what is tagged expires.
UPLOAD_STATE_TAG = "rayline-state"
UPLOAD_IMPORTED = "imported"
RELEASED_FOLDER = "released/"
INDEX_FOLDER = "index"  # of quarantine: all that may be read there by those who may not see patients
IMPORT_PREFIX = "imports/"
IMPORT_RESULT_PREFIX = "import-results/"
DATASET_PREFIX = "datasets/"
EVALUATION_PREFIX = "evaluations/"
ENDPOINT_VARIANT = "AllTraffic"
CAPTURE_PREFIX = "endpoint-capture/"  # of reports: what the endpoint answered
API_PORT = 8443  # of an API task, with TLS from the load balancer on
TRAIN_STEP = "Train"  # the pipeline step whose end is the event `trained`


@dataclass(frozen=True)
class EstateNames:
    """Names and ARNs of one stack's resources.

    Names are explicit, so that the local cloud, tests and policies can refer to a resource before it exists.
    """

    stack: str
    account_id: str
    region: str

    @property
    def prefix(self) -> str:
        """What every name of this stack starts with."""
        return f"rayline-{self.stack}"

    def bucket(self, kind: BucketKind) -> str:
        """Bucket name; it holds the account id, since bucket names are global."""
        return f"{self.prefix}-{kind}-{self.account_id}"

    def bucket_arn(self, kind: BucketKind) -> str:
        """ARN of a bucket."""
        return f"arn:aws:s3:::{self.bucket(kind)}"

    def replica(self, kind: ReplicatedBucket) -> str:
        """Name of the bucket in the other region that a bucket is copied to."""
        return f"{self.prefix}-{kind}-replica-{self.account_id}"

    def replica_arn(self, kind: ReplicatedBucket) -> str:
        """ARN of the bucket in the other region that a bucket is copied to."""
        return f"arn:aws:s3:::{self.replica(kind)}"

    @property
    def queue(self) -> str:
        """The one event queue."""
        return f"{self.prefix}-events"

    @property
    def dead_letter_queue(self) -> str:
        """Where messages go that crashed the processor too often, and events that no target took."""
        return f"{self.prefix}-events-dlq"

    def queue_arn(self, queue: str) -> str:
        """ARN of a queue of this stack."""
        return f"arn:aws:sqs:{self.region}:{self.account_id}:{queue}"

    def queue_url(self, queue: str) -> str:
        """URL of a queue of this stack."""
        return f"https://sqs.{self.region}.amazonaws.com/{self.account_id}/{queue}"

    @property
    def event_bus(self) -> str:
        """The custom bus for our own events."""
        return self.prefix

    @property
    def event_bus_arn(self) -> str:
        """ARN of the custom bus."""
        return f"arn:aws:events:{self.region}:{self.account_id}:event-bus/{self.event_bus}"

    @property
    def notices_dead_letter_queue(self) -> str:
        """Where notices go that the alarm topic did not take; nobody replays them into the event queue."""
        return f"{self.prefix}-notices-dlq"

    @property
    def schedules_dead_letter_queue(self) -> str:
        """Where reminders of schedules go that the queue did not take; the next one comes by itself."""
        return f"{self.prefix}-schedules-dlq"

    def rule(self, kind: RuleKind | NoticeKind | ScheduleKind) -> str:
        """Name of an EventBridge rule."""
        return f"{self.prefix}-{kind}"

    def rule_arn(self, kind: RuleKind | NoticeKind | ScheduleKind) -> str:
        """ARN of a rule; a rule of the custom bus has the bus in its ARN."""
        bus = f"{self.event_bus}/" if kind in ARCHIVED["own"] else ""
        return f"arn:aws:events:{self.region}:{self.account_id}:rule/{bus}{self.rule(kind)}"

    def archive(self, kind: ArchiveKind) -> str:
        """Name of an event archive."""
        return f"{self.prefix}-{kind}"

    def archive_arn(self, kind: ArchiveKind) -> str:
        """ARN of an event archive."""
        return f"arn:aws:events:{self.region}:{self.account_id}:archive/{self.archive(kind)}"

    def archived_bus_arn(self, kind: ArchiveKind) -> str:
        """ARN of the bus that an archive keeps, and replays to."""
        default = f"arn:aws:events:{self.region}:{self.account_id}:event-bus/default"
        return self.event_bus_arn if kind == "own" else default

    @property
    def replay_arns(self) -> str:
        """ARNs of the replays of this stack's archives."""
        return f"arn:aws:events:{self.region}:{self.account_id}:replay/{self.prefix}-*"

    def table(self, kind: TableKind) -> str:
        """Name of a DynamoDB table."""
        return f"{self.prefix}-{kind}"

    def table_arn(self, kind: TableKind) -> str:
        """ARN of a DynamoDB table."""
        return f"arn:aws:dynamodb:{self.region}:{self.account_id}:table/{self.table(kind)}"

    @property
    def image_tracking_table(self) -> str:
        """The instance ledger, image sets, batches and outbox."""
        return self.table("image-tracking")

    @property
    def effects_table(self) -> str:
        """The effect ledger."""
        return self.table("effects")

    @property
    def model_metrics_table(self) -> str:
        """Metrics by model version and evaluation time."""
        return self.table("model-metrics")

    @property
    def datastore(self) -> str:
        """Name of the HealthImaging data store."""
        return self.prefix

    @property
    def pipeline(self) -> str:
        """Name of the SageMaker pipeline."""
        return f"{self.prefix}-training"

    @property
    def pipeline_arn(self) -> str:
        """ARN of the SageMaker pipeline."""
        return f"arn:aws:sagemaker:{self.region}:{self.account_id}:pipeline/{self.pipeline}"

    @property
    def model_package_group(self) -> str:
        """The model package group of the pneumonia classifier."""
        return f"{self.prefix}-pneumonia"

    @property
    def model_package_group_arn(self) -> str:
        """ARN of the model package group."""
        return f"arn:aws:sagemaker:{self.region}:{self.account_id}:model-package-group/{self.model_package_group}"

    @property
    def model_package_arns(self) -> str:
        """ARNs of all versions of the model package group."""
        return f"arn:aws:sagemaker:{self.region}:{self.account_id}:model-package/{self.model_package_group}/*"

    def model_package_arn(self, version: int) -> str:
        """ARN of a version of the model package group."""
        return self.model_package_arns.removesuffix("*") + str(version)

    @property
    def endpoint(self) -> str:
        """Name of the SageMaker endpoint."""
        return self.prefix

    @property
    def endpoint_log_group(self) -> str:
        """Log group of the endpoint, named by SageMaker."""
        return f"/aws/sagemaker/Endpoints/{self.endpoint}"

    @property
    def insights_log_group(self) -> str:
        """Log group of Container Insights, named by ECS."""
        return f"/aws/ecs/containerinsights/{self.cluster}/performance"

    def served(self, what: str) -> str:
        """Name of a model, or of an endpoint configuration, neither of which can change under its name."""
        return f"{self.prefix}-{what}"

    def role(self, kind: RoleKind) -> str:
        """Name of an IAM role."""
        return f"{self.prefix}-{kind}"

    def role_arn(self, kind: RoleKind) -> str:
        """ARN of an IAM role."""
        return f"arn:aws:iam::{self.account_id}:role/{self.role(kind)}"

    @property
    def cluster(self) -> str:
        """Name of the ECS cluster."""
        return self.prefix

    def service(self, kind: ServiceKind) -> str:
        """Name of an ECS service, of its task definition's family, load balancer and target group."""
        return f"{self.prefix}-{kind}"

    def service_arn(self, kind: ServiceKind) -> str:
        """ARN of an ECS service."""
        return f"arn:aws:ecs:{self.region}:{self.account_id}:service/{self.cluster}/{self.service(kind)}"

    def service_log_group(self, kind: ServiceKind) -> str:
        """Log group of an ECS service."""
        return f"/rayline/{self.stack}/{kind}"

    def web_acl(self, kind: WebAclKind) -> str:
        """Name of a web ACL."""
        return f"{self.prefix}-{kind}"

    def web_acl_log_group(self, kind: WebAclKind) -> str:
        """Log group of a web ACL; WAF takes none that begins otherwise."""
        return f"aws-waf-logs-{self.web_acl(kind)}"

    @property
    def sign_in_log_group(self) -> str:
        """Log group of the user pool: who signed in, and who tried to."""
        return f"/rayline/{self.stack}/sign-in"

    @property
    def user_pool(self) -> str:
        """Name of the Cognito user pool."""
        return self.prefix

    @property
    def sign_in_domain(self) -> str:
        """Prefix of the sign-in page's host name, which is one of all accounts'."""
        return f"{self.prefix}-{self.account_id}"

    @property
    def sign_in_keys_parameter(self) -> str:
        """SSM parameter with the public keys of the user pool's tokens."""
        return f"/rayline/{self.stack}/sign-in-keys"

    @property
    def sign_in_keys_parameter_arn(self) -> str:
        """ARN of the parameter with the public keys."""
        return f"arn:aws:ssm:{self.region}:{self.account_id}:parameter{self.sign_in_keys_parameter}"

    def repository(self, kind: RepositoryKind) -> str:
        """Name of an ECR repository."""
        return f"{self.prefix}-{kind}"

    def repository_url(self, kind: RepositoryKind) -> str:
        """Registry address of an ECR repository, without a tag."""
        return f"{self.account_id}.dkr.ecr.{self.region}.amazonaws.com/{self.repository(kind)}"

    def secret(self, kind: SecretKind) -> str:
        """Name of a Secrets Manager secret."""
        return f"rayline/{self.stack}/{kind}"

    def plugin_secret(self, plugin: str) -> str:
        """Name of the secret of one of the site's plugins."""
        return f"rayline/{self.stack}/plugins/{plugin}"

    def trail(self, kind: TrailKind) -> str:
        """Name of a CloudTrail trail: calls that manage resources, or calls that read and write data."""
        return f"{self.prefix}-{kind}"

    def trail_arn(self, kind: TrailKind) -> str:
        """ARN of a CloudTrail trail."""
        return f"arn:aws:cloudtrail:{self.region}:{self.account_id}:trail/{self.trail(kind)}"

    @property
    def trail_log_group(self) -> str:
        """Log group of the management trail."""
        return f"/rayline/{self.stack}/trail"

    @property
    def config_recorder(self) -> str:
        """Name of the AWS Config recorder and of its delivery channel."""
        return self.prefix

    def config_rule(self, name: str) -> str:
        """Name of an AWS Config rule."""
        return f"{self.prefix}-{name}"

    @property
    def guard_duty_agents(self) -> str:
        """ARN of the image that GuardDuty puts beside tasks; the account that holds it is another in each region."""
        return f"arn:aws:ecr:{self.region}:*:repository/aws-guardduty-agent-fargate"

    @property
    def access_analyzer(self) -> str:
        """Name of the IAM Access Analyzer."""
        return self.prefix

    @property
    def budget(self) -> str:
        """Name of the stack's monthly budget, of its cost anomaly monitor and of the subscription to that."""
        return self.prefix

    @property
    def flow_log_group(self) -> str:
        """Log group of the VPC's flow logs."""
        return f"/rayline/{self.stack}/flow-logs"

    def security_group(self, kind: SecurityGroupKind) -> str:
        """Name of a security group."""
        return f"{self.prefix}-{kind}"

    def topic(self, kind: TopicKind) -> str:
        """An SNS topic: alarms that somebody must see to now, and notices that can wait for the day."""
        return f"{self.prefix}-{kind}"

    def alarm(self, kind: str) -> str:
        """Name of a CloudWatch alarm: an ``AlarmKind``, a ``CompositeKind``, or an ``ObjectiveKind`` with a pace."""
        return f"{self.prefix}-{kind}"

    def alarm_arn(self, kind: str) -> str:
        """ARN of a CloudWatch alarm."""
        return f"arn:aws:cloudwatch:{self.region}:{self.account_id}:alarm:{self.alarm(kind)}"

    def query(self, kind: QueryKind) -> str:
        """Name of a saved Logs Insights query; the console shows what precedes the slash as a folder."""
        return f"{self.prefix}/{kind}"

    def dashboard(self, kind: DashboardKind) -> str:
        """Name of a CloudWatch dashboard."""
        return f"{self.prefix}-{kind}"
