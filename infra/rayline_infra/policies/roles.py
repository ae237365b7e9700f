"""What each role may do: the least that its work needs, on this stack's resources only.

``ANY`` appears only where AWS has no resource to name; each use says which.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rayline.names import (
    DATASET_PREFIX,
    IMPORT_PREFIX,
    IMPORT_RESULT_PREFIX,
    INDEX_FOLDER,
    RELEASED_FOLDER,
    UPLOAD_PREFIX,
    ArchiveKind,
    BucketKind,
    EstateNames,
    RoleKind,
    TableKind,
)
from rayline_infra.policies.documents import Statement, document
from rayline_infra.policies.keys import DECRYPT, ENCRYPT_AND_DECRYPT, KeyKind

ANY = ("*",)
TABLES: tuple[TableKind, ...] = ("image-tracking", "effects", "model-metrics")
READ_OBJECT = ("s3:GetObject", "s3:GetObjectVersion")
READ_TABLE = (
    "dynamodb:BatchGetItem",
    "dynamodb:ConditionCheckItem",
    "dynamodb:DescribeTable",
    "dynamodb:GetItem",
    "dynamodb:Query",
    "dynamodb:Scan",
)
WRITE_TABLE = ("dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:UpdateItem")
READ_IMAGE_SETS = (
    "medical-imaging:GetImageSet",
    "medical-imaging:GetImageSetMetadata",
    "medical-imaging:ListImageSetVersions",
    "medical-imaging:SearchImageSets",
)


@dataclass(frozen=True)
class Granted:
    """What policies must name that has no name before AWS makes it."""

    keys: Mapping[KeyKind, str]
    datastore_arn: str
    secret_arns: Sequence[str]


def role_policy(kind: RoleKind, names: EstateNames, granted: Granted) -> str:
    """The one policy of a role, as JSON."""
    return document(*_POLICIES[kind](names, granted))


def _read_objects(sid: str, bucket: BucketKind, names: EstateNames, prefix: str = "") -> Statement:
    return Statement(sid=sid, actions=READ_OBJECT, resources=(f"{names.bucket_arn(bucket)}/{prefix}*",))


def _write_objects(
    sid: str, bucket: BucketKind, names: EstateNames, prefix: str = "", more: Sequence[str] = ()
) -> Statement:
    # A role that cannot abort its own multipart upload leaves its parts behind, invisible and paid for.
    actions = ("s3:PutObject", "s3:AbortMultipartUpload", *more)
    return Statement(sid=sid, actions=actions, resources=(f"{names.bucket_arn(bucket)}/{prefix}*",))


def _list_buckets(sid: str, names: EstateNames, *buckets: BucketKind) -> Statement:
    return Statement(
        sid=sid,
        actions=("s3:GetBucketLocation", "s3:ListBucket"),
        resources=tuple(names.bucket_arn(bucket) for bucket in buckets),
    )


def _use_keys(sid: str, granted: Granted, actions: Sequence[str], *kinds: KeyKind) -> Statement:
    return Statement(sid=sid, actions=actions, resources=tuple(granted.keys[kind] for kind in kinds))


def _tables(names: EstateNames, *kinds: TableKind) -> tuple[str, ...]:
    arns = [names.table_arn(kind) for kind in kinds]
    return (*arns, *(f"{arn}/index/*" for arn in arns))


def _image_sets(granted: Granted) -> tuple[str, ...]:
    return (granted.datastore_arn, f"{granted.datastore_arn}/imageset/*")


def _pipeline(names: EstateNames) -> tuple[str, ...]:
    return (names.pipeline_arn, f"{names.pipeline_arn}/execution/*")


def _model_package_arns(names: EstateNames) -> str:
    return f"arn:aws:sagemaker:{names.region}:{names.account_id}:model-package/{names.model_package_group}/*"


def _model_packages(names: EstateNames) -> tuple[str, ...]:
    return (names.model_package_group_arn, _model_package_arns(names))


READ_PIPELINE = (
    "sagemaker:DescribePipeline",
    "sagemaker:DescribePipelineDefinitionForExecution",
    "sagemaker:DescribePipelineExecution",
    "sagemaker:ListPipelineExecutionSteps",
    "sagemaker:ListPipelineExecutions",
    "sagemaker:ListPipelineParametersForExecution",
)
READ_MODEL_PACKAGES = (
    "sagemaker:DescribeModelPackage",
    "sagemaker:DescribeModelPackageGroup",
    "sagemaker:ListModelPackages",
)


def _processor(names: EstateNames, granted: Granted) -> list[Statement]:
    return [
        _read_objects("ReadUploads", "uploads", names),
        _read_objects("ReadQuarantine", "quarantine", names),
        _write_objects("Quarantine", "quarantine", names, more=("s3:DeleteObject",)),
        _read_objects("ReadBatches", "imports", names),
        _write_objects("WriteBatches", "imports", names, IMPORT_PREFIX, more=("s3:DeleteObject",)),
        _read_objects("ReadDatasets", "preprocessed", names),
        _write_objects("WriteDatasets", "preprocessed", names, DATASET_PREFIX),
        _read_objects("ReadReports", "reports", names),
        _list_buckets("ListBuckets", names, "uploads", "quarantine", "imports", "preprocessed", "reports"),
        # The reconciler holds every version that was uploaded against the ledger.
        Statement(
            sid="ListUploadedVersions",
            actions=("s3:ListBucketVersions",),
            resources=(names.bucket_arn("uploads"),),
        ),
        Statement(
            sid="ConsumeEvents",
            actions=(
                "sqs:ChangeMessageVisibility",
                "sqs:DeleteMessage",
                "sqs:GetQueueAttributes",
                "sqs:GetQueueUrl",
                "sqs:ReceiveMessage",
                "sqs:SendMessage",
            ),
            resources=(names.queue_arn(names.queue),),
        ),
        Statement(
            sid="DeadLetter",
            actions=("sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:SendMessage"),
            resources=(names.queue_arn(names.dead_letter_queue),),
        ),
        Statement(sid="Ledgers", actions=(*READ_TABLE, *WRITE_TABLE), resources=_tables(names, *TABLES)),
        Statement(
            sid="ImportAndReadImageSets",
            actions=(
                *READ_IMAGE_SETS,
                "medical-imaging:GetDICOMImportJob",
                "medical-imaging:ListDICOMImportJobs",
                "medical-imaging:StartDICOMImportJob",
            ),
            resources=_image_sets(granted),
        ),
        Statement(
            sid="PassImportRole",
            actions=("iam:PassRole",),
            resources=(names.role_arn("import"),),
            conditions={"StringEquals": {"iam:PassedToService": "medical-imaging.amazonaws.com"}},
        ),
        Statement(sid="PublishOwnEvents", actions=("events:PutEvents",), resources=(names.event_bus_arn,)),
        Statement(
            sid="RunPipeline",
            actions=(*READ_PIPELINE, "sagemaker:StartPipelineExecution"),
            resources=_pipeline(names),
        ),
        Statement(
            sid="DecideOnModels",
            actions=(*READ_MODEL_PACKAGES, "sagemaker:UpdateModelPackage"),
            resources=_model_packages(names),
        ),
        _use_keys("UseKeys", granted, ENCRYPT_AND_DECRYPT, "identified", "deidentified", "tracking"),
    ]


def _execution(names: EstateNames, granted: Granted) -> list[Statement]:
    return [
        *_pull_image(names.repository("processor"), names),
        Statement(
            sid="WriteLogs",
            actions=("logs:CreateLogStream", "logs:PutLogEvents"),
            resources=(
                f"arn:aws:logs:{names.region}:{names.account_id}:log-group:{names.processor_log_group}:*",
            ),
        ),
        Statement(
            sid="InjectSecrets",
            actions=("secretsmanager:GetSecretValue",),
            resources=tuple(granted.secret_arns),
        ),
        _use_keys("UseKeys", granted, DECRYPT, "secrets"),
    ]


def _import(names: EstateNames, granted: Granted) -> list[Statement]:
    return [
        _read_objects("ReadBatches", "imports", names, IMPORT_PREFIX),
        # HealthImaging reads its own results back before it reports the job.
        _read_objects("ReadResults", "imports", names, IMPORT_RESULT_PREFIX),
        _write_objects("WriteResults", "imports", names, IMPORT_RESULT_PREFIX),
        _list_buckets("ListBatches", names, "imports"),
        _use_keys("UseKeys", granted, ENCRYPT_AND_DECRYPT, "deidentified"),
    ]


def _training(names: EstateNames, granted: Granted) -> list[Statement]:
    job = f"arn:aws:sagemaker:{names.region}:{names.account_id}"
    log_groups = f"arn:aws:logs:{names.region}:{names.account_id}:log-group:/aws/sagemaker"
    written: tuple[BucketKind, ...] = ("preprocessed", "models", "reports")
    return [
        Statement(
            sid="ReadFrames",
            actions=("medical-imaging:GetImageFrame", "medical-imaging:GetImageSetMetadata"),
            resources=_image_sets(granted),
        ),
        Statement(
            sid="ReadAndWriteArtifacts",
            actions=(*READ_OBJECT, "s3:PutObject", "s3:AbortMultipartUpload"),
            resources=tuple(f"{names.bucket_arn(bucket)}/*" for bucket in written),
        ),
        _list_buckets("ListArtifacts", names, *written),
        *_pull_image(names.repository("training"), names),
        Statement(
            sid="RunJobs",
            actions=(
                "sagemaker:AddTags",
                "sagemaker:CreateProcessingJob",
                "sagemaker:CreateTrainingJob",
                "sagemaker:DescribeProcessingJob",
                "sagemaker:DescribeTrainingJob",
                "sagemaker:StopProcessingJob",
                "sagemaker:StopTrainingJob",
            ),
            # SageMaker Pipelines names the jobs of its steps pipelines-<execution id>-<step>-<suffix>.
            resources=(f"{job}:processing-job/pipelines-*", f"{job}:training-job/pipelines-*"),
        ),
        Statement(
            sid="RegisterModels",
            actions=(
                "sagemaker:AddTags",
                "sagemaker:CreateModelPackage",
                "sagemaker:DescribeModelPackage",
                "sagemaker:DescribeModelPackageGroup",
            ),
            resources=_model_packages(names),
        ),
        Statement(
            sid="PassItselfToJobs",
            actions=("iam:PassRole",),
            resources=(names.role_arn("training"),),
            conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        ),
        Statement(
            sid="WriteLogs",
            actions=(
                "logs:CreateLogGroup",
                "logs:CreateLogStream",
                "logs:DescribeLogStreams",
                "logs:PutLogEvents",
            ),
            resources=tuple(
                f"{log_groups}/{jobs}{part}"
                for jobs in ("ProcessingJobs", "TrainingJobs")
                for part in ("", ":log-stream:*")
            ),
        ),
        Statement(
            sid="PublishJobMetrics",
            actions=("cloudwatch:PutMetricData",),
            # CloudWatch metrics have no ARN; the namespace narrows the grant.
            resources=ANY,
            conditions={"StringLike": {"cloudwatch:namespace": ["/aws/sagemaker/*", "aws/sagemaker/*"]}},
        ),
        # SageMaker asks for kms:Encrypt of a role that names a key for its output (API_OutputDataConfig).
        _use_keys("UseKeys", granted, (*ENCRYPT_AND_DECRYPT, "kms:Encrypt"), "deidentified"),
        Statement(
            sid="EncryptJobVolumes",
            # SageMaker attaches the encrypted volume through a grant that it makes in the role's name.
            actions=("kms:CreateGrant",),
            resources=(granted.keys["deidentified"],),
            conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}},
        ),
    ]


def _operator(names: EstateNames, granted: Granted) -> list[Statement]:
    return [
        Statement(sid="ReadLedgers", actions=READ_TABLE, resources=_tables(names, *TABLES)),
        Statement(
            sid="RecordVerifications",
            actions=("dynamodb:PutItem", "dynamodb:UpdateItem"),
            resources=(names.table_arn("image-tracking"),),
        ),
        _read_objects("ReadQuarantine", "quarantine", names),
        _write_objects("UploadReleased", "uploads", names, f"{UPLOAD_PREFIX}*/{RELEASED_FOLDER}"),
        Statement(
            sid="EmptyQuarantine",
            # The bucket is versioned and s3:DeleteObjectVersion is not granted: what is taken out can be got back.
            actions=("s3:DeleteObject",),
            resources=(f"{names.bucket_arn('quarantine')}/*",),
        ),
        Statement(
            sid="SeeForHowLongDeletedEntriesAreKept",
            actions=("s3:GetLifecycleConfiguration",),
            resources=(names.bucket_arn("quarantine"),),
        ),
        _read_objects("ReadReports", "reports", names),
        _list_buckets("ListBuckets", names, "quarantine", "reports"),
        Statement(
            sid="PublishVerifications", actions=("events:PutEvents",), resources=(names.event_bus_arn,)
        ),
        Statement(
            sid="ReadImageSets",
            actions=(
                *READ_IMAGE_SETS,
                "medical-imaging:GetDICOMImportJob",
                "medical-imaging:GetImageFrame",
                "medical-imaging:ListDICOMImportJobs",
            ),
            resources=_image_sets(granted),
        ),
        Statement(sid="FollowPipeline", actions=READ_PIPELINE, resources=_pipeline(names)),
        Statement(sid="ReadModels", actions=READ_MODEL_PACKAGES, resources=_model_packages(names)),
        Statement(
            sid="SeeQueues",
            actions=("sqs:GetQueueAttributes", "sqs:GetQueueUrl"),
            resources=(names.queue_arn(names.queue), names.queue_arn(names.dead_letter_queue)),
        ),
        *_replay(names),
        _use_keys("ReadReportsAndImages", granted, DECRYPT, "deidentified"),
        _use_keys("UseQuarantineAndLedgers", granted, ENCRYPT_AND_DECRYPT, "identified", "tracking"),
    ]


def _reviewer(names: EstateNames, granted: Granted) -> list[Statement]:
    # Records and contents may name a patient, and so does not a key below index/, nor what lies there.
    return [
        _read_objects("ReadIndex", "quarantine", names, f"*/{INDEX_FOLDER}/"),
        _list_buckets("ListQuarantine", names, "quarantine"),
        _use_keys("UseKeys", granted, DECRYPT, "identified"),
    ]


def _replay(names: EstateNames) -> list[Statement]:
    """What `rayline replay` needs: it brings events back, and changes nothing else."""
    archives: tuple[ArchiveKind, ...] = ("aws", "own")
    return [
        Statement(
            sid="EmptyDeadLetters",
            actions=("sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage"),
            resources=(names.queue_arn(names.dead_letter_queue),),
        ),
        Statement(sid="SendAgain", actions=("sqs:SendMessage",), resources=(names.queue_arn(names.queue),)),
        Statement(
            sid="ReopenEffects",
            # An ended effect that is to run again; who asked stays in the item.
            actions=("dynamodb:UpdateItem",),
            resources=(names.table_arn("effects"),),
        ),
        Statement(
            sid="ReplayArchives",
            actions=("events:StartReplay",),
            resources=tuple(names.archive_arn(kind) for kind in archives),
        ),
        Statement(sid="FollowReplays", actions=("events:DescribeReplay",), resources=(names.replay_arns,)),
    ]


def _uploader(names: EstateNames, granted: Granted) -> list[Statement]:
    return [
        _write_objects("Upload", "uploads", names, UPLOAD_PREFIX),
        _use_keys("UseKeys", granted, ENCRYPT_AND_DECRYPT, "identified"),
    ]


def _pull_image(repository: str, names: EstateNames) -> list[Statement]:
    return [
        Statement(
            sid="PullImage",
            actions=("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
            resources=(f"arn:aws:ecr:{names.region}:{names.account_id}:repository/{repository}",),
        ),
        # The token is the registry's, not a repository's: AWS accepts no other resource here.
        Statement(sid="LogInToRegistry", actions=("ecr:GetAuthorizationToken",), resources=ANY),
    ]


_POLICIES = {
    "processor": _processor,
    "execution": _execution,
    "import": _import,
    "training": _training,
    "operator": _operator,
    "reviewer": _reviewer,
    "uploader": _uploader,
}
ROLE_KINDS: tuple[RoleKind, ...] = (
    "processor", "execution", "import", "training", "operator", "reviewer", "uploader"
)  # fmt: skip
