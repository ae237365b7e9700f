"""What the tasks that people and modalities speak to may do."""

from rayline.names import RELEASED_FOLDER, UPLOAD_PREFIX, EstateNames
from rayline_infra.policies.documents import Statement
from rayline_infra.policies.keys import ENCRYPT_AND_DECRYPT
from rayline_infra.policies.roles.pieces import (
    ANY,
    Granted,
    list_buckets,
    read_quarantine,
    use_keys,
    write_objects,
)


def api(names: EstateNames, granted: Granted) -> list[Statement]:
    """Triage of quarantine for those whom the API has authenticated; it reads no upload and no image."""
    return [
        read_quarantine(names),
        list_buckets("ListQuarantine", names, "quarantine"),
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
        write_objects("UploadReleased", "uploads", names, f"{UPLOAD_PREFIX}*/{RELEASED_FOLDER}"),
        Statement(
            sid="RecordWhoDidWhat",
            # The audit trail, and what became of an instance that was released or purged.
            actions=("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"),
            resources=(names.table_arn("image-tracking"),),
        ),
        Statement(sid="SendAgain", actions=("sqs:SendMessage",), resources=(names.queue_arn(names.queue),)),
        use_keys("UseKeys", granted, ENCRYPT_AND_DECRYPT, "identified", "tracking"),
        send_traces(),
    ]


def gateway(names: EstateNames, granted: Granted) -> list[Statement]:
    """Keep what modalities send; it can read nothing back."""
    return [
        write_objects("Upload", "uploads", names, UPLOAD_PREFIX),
        # Completing a multipart upload needs kms:Decrypt (S3 user guide, "Multipart upload and permissions").
        use_keys("UseKeys", granted, ENCRYPT_AND_DECRYPT, "identified"),
        send_traces(),
    ]


def send_traces() -> Statement:
    """Let the collector beside the work hand traces to X-Ray, which has no resource to name."""
    return Statement(
        sid="SendTraces",
        actions=("xray:PutTelemetryRecords", "xray:PutTraceSegments"),
        resources=ANY,
    )
