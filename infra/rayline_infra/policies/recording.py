"""What AWS Config may write: the history of resources, into the bucket of its delivery channel."""

from rayline.names import EstateNames
from rayline_infra.policies.buckets import CONFIG_PREFIX
from rayline_infra.policies.documents import Statement, document


def recorder_policy(names: EstateNames) -> str:
    """Let AWS Config deliver under the recorder's role, which AWS_ConfigRole alone only lets read.

    Source: AWS Config developer guide, "Permissions for the IAM Role Assigned to AWS Config".
    """
    bucket = names.bucket_arn("access-logs")
    return document(
        Statement(
            sid="DeliverHistory",
            actions=("s3:PutObject",),
            resources=(f"{bucket}/{CONFIG_PREFIX}/AWSLogs/{names.account_id}/Config/*",),
            conditions={"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}},
        ),
        Statement(sid="LookAtTheBucket", actions=("s3:GetBucketAcl",), resources=(bucket,)),
    )
