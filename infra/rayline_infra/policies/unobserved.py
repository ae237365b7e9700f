"""Grants that no local run uses, each with the reason why its role needs it in AWS."""

from dataclasses import dataclass

from rayline.names import RoleKind


@dataclass(frozen=True)
class Unobserved:
    """Grants that the local cloud never sees used, and why they stay.

    Attributes:
        sids: statements; none stands for all of the role's.
        actions: of these statements; none stands for all.
    """

    role: RoleKind
    reason: str
    sids: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()

    def covers(self, role: str, sid: str, action: str) -> bool:
        """Whether this is the reason for a grant."""
        return (
            role == self.role
            and (not self.sids or sid in self.sids)
            and (not self.actions or action in self.actions)
        )


AGENT = "the ECS agent pulls images and writes logs; a process of this machine needs neither"
COLLECTOR = "the collector beside the task sends the traces; no collector runs on this machine"
BROKEN_OFF = "used only where an upload breaks off and its parts must not stay behind"
MISSING_KEY = "S3 answers 404 for a key that is not there only to who may list, and 403 to anybody else"
PIPELINE = "SageMaker Pipelines does it in the role's name; the local runner runs the steps itself"
PLATFORM = "SageMaker's own part of a job, which the local runner does without calls"
NOT_PLAYED = "the local cloud does not play the service that takes this role"
LEDGER_KEY = (
    "DynamoDB asks it of who writes to a table under a key of ours; the local cloud asks nothing of KMS"
)
ABORT = ("s3:AbortMultipartUpload",)
DATA_KEY = ("kms:GenerateDataKey*",)

UNOBSERVED: tuple[Unobserved, ...] = (
    Unobserved("replication-identified", NOT_PLAYED),
    Unobserved("replication-deidentified", NOT_PLAYED),
    Unobserved("trail", NOT_PLAYED),
    Unobserved("config", NOT_PLAYED),
    Unobserved("flow-logs", NOT_PLAYED),
    Unobserved("endpoint", NOT_PLAYED),
    Unobserved("execution", AGENT, sids=("PullImage", "LogInToRegistry", "WriteLogs")),
    Unobserved("processor", COLLECTOR, sids=("SendTraces",)),
    Unobserved("api", COLLECTOR, sids=("SendTraces",)),
    Unobserved("gateway", COLLECTOR, sids=("SendTraces",)),
    Unobserved("processor", BROKEN_OFF, actions=ABORT),
    Unobserved("import", BROKEN_OFF, actions=ABORT),
    Unobserved("training", BROKEN_OFF, actions=ABORT),
    Unobserved("operator", BROKEN_OFF, actions=ABORT),
    Unobserved("uploader", BROKEN_OFF, actions=ABORT),
    Unobserved("api", BROKEN_OFF, actions=ABORT),
    Unobserved("gateway", BROKEN_OFF, actions=ABORT),
    Unobserved("processor", MISSING_KEY, sids=("ListBuckets",)),
    Unobserved("operator", MISSING_KEY, sids=("ListBuckets",)),
    Unobserved("training", MISSING_KEY, sids=("ListArtifacts",)),
    Unobserved("processor", LEDGER_KEY, sids=("UseKeys",), actions=DATA_KEY),
    Unobserved("operator", LEDGER_KEY, sids=("UseQuarantineAndLedgers",), actions=DATA_KEY),
    Unobserved("api", LEDGER_KEY, sids=("UseKeys",), actions=DATA_KEY),
    Unobserved(
        "api",
        "asked where what is released is too large to be copied at once",
        sids=("ReadQuarantine",),
        actions=("s3:GetObjectVersion",),
    ),
    Unobserved("api", "asked where what is sent again is an event, not a file", sids=("SendAgain",)),
    Unobserved(
        "operator",
        "AWS authorizes a replay on archive, bus and replay; the local cloud on the archive only",
        sids=("ReplayArchives",),
    ),
    Unobserved(
        "processor",
        "asked where drift is compared, which takes an endpoint and a day of its answers",
        sids=("RecordMetrics",),
        actions=("dynamodb:Query",),
    ),
    Unobserved(
        "import",
        "stays until an import in AWS has shown that HealthImaging does not read its results back",
        sids=("ReadResults",),
    ),
    Unobserved(
        "training",
        PIPELINE,
        sids=(
            "RunProcessingJobs",
            "RunTrainingJobs",
            "RegisterModels",
            "RegisterInTheGroup",
            "FindModelPackageGroup",
            "PassItselfToJobs",
        ),
    ),
    Unobserved(
        "training",
        PLATFORM,
        sids=(
            "PullImage",
            "LogInToRegistry",
            "FindLogs",
            "WriteLogs",
            "PublishJobMetrics",
            "AttachToTheNetwork",
            "SeeTheNetwork",
            "EncryptJobVolumes",
        ),
    ),
    Unobserved("training", PLATFORM, sids=("UseKeys",), actions=("kms:DescribeKey", "kms:Encrypt")),
)
