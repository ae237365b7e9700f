"""Statements that several roles have, each on this stack's resources only.

``ANY`` appears only where AWS has no resource to name; each use says which.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rayline.names import BucketKind, EstateNames, TableKind
from rayline_infra.policies.documents import Statement
from rayline_infra.policies.keys import KeyKind

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


def read_objects(sid: str, bucket: BucketKind, names: EstateNames, prefix: str = "") -> Statement:
    return Statement(sid=sid, actions=READ_OBJECT, resources=(f"{names.bucket_arn(bucket)}/{prefix}*",))


def write_objects(
    sid: str, bucket: BucketKind, names: EstateNames, prefix: str = "", more: Sequence[str] = ()
) -> Statement:
    # A role that cannot abort its own multipart upload leaves its parts behind, invisible and paid for.
    actions = ("s3:PutObject", "s3:AbortMultipartUpload", *more)
    return Statement(sid=sid, actions=actions, resources=(f"{names.bucket_arn(bucket)}/{prefix}*",))


def list_buckets(sid: str, names: EstateNames, *buckets: BucketKind) -> Statement:
    return Statement(
        sid=sid,
        actions=("s3:GetBucketLocation", "s3:ListBucket"),
        resources=tuple(names.bucket_arn(bucket) for bucket in buckets),
    )


def use_keys(sid: str, granted: Granted, actions: Sequence[str], *kinds: KeyKind) -> Statement:
    return Statement(sid=sid, actions=actions, resources=tuple(granted.keys[kind] for kind in kinds))


def tables(names: EstateNames, *kinds: TableKind) -> tuple[str, ...]:
    arns = [names.table_arn(kind) for kind in kinds]
    return (*arns, *(f"{arn}/index/*" for arn in arns))


def image_sets(granted: Granted) -> tuple[str, ...]:
    return (granted.datastore_arn, f"{granted.datastore_arn}/imageset/*")


def pipeline_arns(names: EstateNames) -> tuple[str, ...]:
    return (names.pipeline_arn, f"{names.pipeline_arn}/execution/*")


def model_package_arns(names: EstateNames) -> str:
    return f"arn:aws:sagemaker:{names.region}:{names.account_id}:model-package/{names.model_package_group}/*"


def model_packages(names: EstateNames) -> tuple[str, ...]:
    return (names.model_package_group_arn, model_package_arns(names))


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


def pull_image(repositories: Sequence[str], names: EstateNames) -> list[Statement]:
    return [
        Statement(
            sid="PullImage",
            actions=("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
            resources=tuple(
                f"arn:aws:ecr:{names.region}:{names.account_id}:repository/{repository}"
                for repository in repositories
            ),
        ),
        # The token is the registry's, not a repository's: AWS accepts no other resource here.
        Statement(sid="LogInToRegistry", actions=("ecr:GetAuthorizationToken",), resources=ANY),
    ]
