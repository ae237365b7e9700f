"""What CloudTrail may write, and what its trails record."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rayline.names import EstateNames
from rayline_infra.policies.documents import Statement, document


def trail_policy(names: EstateNames) -> str:
    """Let CloudTrail write to the log group of the management trail.

    Source: AWS CloudTrail user guide, "Role policy document for CloudTrail to use CloudWatch Logs".
    """
    group = f"arn:aws:logs:{names.region}:{names.account_id}:log-group:{names.trail_log_group}"
    return document(
        Statement(
            sid="WriteTrail",
            actions=("logs:CreateLogStream", "logs:PutLogEvents"),
            resources=(f"{group}:log-stream:{names.account_id}_CloudTrail_*",),
        )
    )


class Selector(NamedTuple):
    """What a trail records: calls whose fields equal, or begin with, certain values."""

    name: str
    equals: Mapping[str, str]
    arns: Sequence[str] = ()


MANAGEMENT = (Selector("calls that manage resources", {"eventCategory": "Management"}),)


def data_selectors(
    bucket_arns: Sequence[str], table_arns: Sequence[str], datastore_arn: str
) -> tuple[Selector, ...]:
    """Every call that reads or writes an object, a ledger's item or an image.

    Types as in AWS CloudTrail user guide, "Logging data events": names of objects stand in these events, so that
    they go to the locked bucket only, and not to CloudWatch Logs.
    """
    return (
        _data("objects", "AWS::S3::Object", [f"{arn}/" for arn in bucket_arns]),
        _data("ledgers", "AWS::DynamoDB::Table", table_arns),
        _data("images", "AWS::MedicalImaging::Datastore", [datastore_arn]),
    )


def _data(name: str, resource_type: str, arns: Sequence[str]) -> Selector:
    return Selector(
        f"reads and writes of {name}", {"eventCategory": "Data", "resources.type": resource_type}, arns
    )
