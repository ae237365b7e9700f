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


@dataclass(frozen=True)
class Granted:
    """What policies must name that has no name before AWS makes it."""

    keys: Mapping[KeyKind, str]
    datastore_arn: str
    secret_arns: Sequence[str]


def read_objects(sid: str, bucket: BucketKind, names: EstateNames, prefix: str = "") -> Statement:
    return Statement(sid=sid, actions=("s3:GetObject",), resources=(f"{names.bucket_arn(bucket)}/{prefix}*",))


def read_quarantine(names: EstateNames) -> Statement:
    """Records as they are, contents by the version that a record speaks of."""
    return Statement(
        sid="ReadQuarantine",
        actions=("s3:GetObject", "s3:GetObjectVersion"),
        resources=(f"{names.bucket_arn('quarantine')}/*",),
    )


def write_objects(
    sid: str, bucket: BucketKind, names: EstateNames, prefix: str = "", more: Sequence[str] = ()
) -> Statement:
    # A role that cannot abort its own multipart upload leaves its parts behind, invisible and paid for.
    actions = ("s3:PutObject", "s3:AbortMultipartUpload", *more)
    return Statement(sid=sid, actions=actions, resources=(f"{names.bucket_arn(bucket)}/{prefix}*",))


def list_buckets(sid: str, names: EstateNames, *buckets: BucketKind) -> Statement:
    return Statement(
        sid=sid,
        actions=("s3:ListBucket",),
        resources=tuple(names.bucket_arn(bucket) for bucket in buckets),
    )


def use_keys(sid: str, granted: Granted, actions: Sequence[str], *kinds: KeyKind) -> Statement:
    return Statement(sid=sid, actions=actions, resources=tuple(granted.keys[kind] for kind in kinds))


def use_table(
    sid: str, names: EstateNames, table: TableKind, actions: Sequence[str], *, indexes: bool = False
) -> list[Statement]:
    """Actions on the items of a table, and, where its indexes are asked, queries of them."""
    items = Statement(sid=sid, actions=actions, resources=(names.table_arn(table),))
    if not indexes:
        return [items]
    index = f"{names.table_arn(table)}/index/*"
    return [items, Statement(sid=f"{sid}ByIndex", actions=("dynamodb:Query",), resources=(index,))]


def in_datastore(sid: str, granted: Granted, *operations: str) -> Statement:
    """Operations on the data store itself: its import jobs, its list of image sets."""
    return Statement(
        sid=sid,
        actions=[f"medical-imaging:{each}" for each in operations],
        resources=(granted.datastore_arn,),
    )


def on_image_sets(sid: str, granted: Granted, *operations: str) -> Statement:
    """Operations on the data store's image sets."""
    return Statement(
        sid=sid,
        actions=[f"medical-imaging:{each}" for each in operations],
        resources=(f"{granted.datastore_arn}/imageset/*",),
    )


def on_pipeline(sid: str, names: EstateNames, *operations: str) -> Statement:
    """Operations on the training pipeline."""
    return Statement(
        sid=sid, actions=[f"sagemaker:{each}" for each in operations], resources=(names.pipeline_arn,)
    )


def on_executions(sid: str, names: EstateNames, *operations: str) -> Statement:
    """Operations on the training pipeline's executions."""
    return Statement(
        sid=sid,
        actions=[f"sagemaker:{each}" for each in operations],
        resources=(f"{names.pipeline_arn}/execution/*",),
    )


def on_model_packages(sid: str, names: EstateNames, *operations: str) -> Statement:
    """Operations on the registered models."""
    return Statement(
        sid=sid, actions=[f"sagemaker:{each}" for each in operations], resources=(model_package_arns(names),)
    )


def model_package_arns(names: EstateNames) -> str:
    """Every model of the group."""
    return f"arn:aws:sagemaker:{names.region}:{names.account_id}:model-package/{names.model_package_group}/*"


def pull_image(repositories: Sequence[str], names: EstateNames, *others: str) -> list[Statement]:
    """Let images be pulled from repositories of ours, and from ``others`` by their ARN."""
    return [
        Statement(
            sid="PullImage",
            actions=("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
            resources=(
                *(
                    f"arn:aws:ecr:{names.region}:{names.account_id}:repository/{repository}"
                    for repository in repositories
                ),
                *others,
            ),
        ),
        # The token is the registry's, not a repository's: AWS accepts no other resource here.
        Statement(sid="LogInToRegistry", actions=("ecr:GetAuthorizationToken",), resources=ANY),
    ]
