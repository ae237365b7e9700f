"""What operators, reviewers and uploaders may do."""

from rayline.names import INDEX_FOLDER, RELEASED_FOLDER, UPLOAD_PREFIX, ArchiveKind, EstateNames
from rayline_infra.policies.documents import Statement
from rayline_infra.policies.keys import DECRYPT, ENCRYPT_AND_DECRYPT
from rayline_infra.policies.roles.pieces import (
    Granted,
    in_datastore,
    list_buckets,
    on_executions,
    on_image_sets,
    on_model_packages,
    read_objects,
    read_quarantine,
    use_keys,
    use_table,
    write_objects,
)


def operator(names: EstateNames, granted: Granted) -> list[Statement]:
    return [
        *use_table("ReadImages", names, "image-tracking", ("dynamodb:GetItem", "dynamodb:Scan")),
        *use_table(
            "RecordVerifications", names, "image-tracking", ("dynamodb:PutItem", "dynamodb:UpdateItem")
        ),
        *use_table("ReadEffects", names, "effects", ("dynamodb:GetItem", "dynamodb:Scan")),
        *use_table("ReadMetrics", names, "model-metrics", ("dynamodb:Scan",)),
        read_quarantine(names),
        write_objects("UploadReleased", "uploads", names, f"{UPLOAD_PREFIX}*/{RELEASED_FOLDER}"),
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
        read_objects("ReadReports", "reports", names),
        list_buckets("ListBuckets", names, "quarantine", "reports"),
        Statement(
            sid="PublishVerifications", actions=("events:PutEvents",), resources=(names.event_bus_arn,)
        ),
        in_datastore("FindImageSets", granted, "SearchImageSets"),
        on_image_sets("ReadImageSets", granted, "GetImageSetMetadata"),
        on_executions("FollowExecutions", names, "DescribePipelineExecution", "ListPipelineExecutionSteps"),
        on_model_packages("ReadModels", names, "DescribeModelPackage"),
        Statement(
            sid="SeeQueue",
            actions=("sqs:GetQueueAttributes",),
            resources=(names.queue_arn(names.queue),),
        ),
        *replay(names),
        use_keys("ReadReportsAndImages", granted, DECRYPT, "deidentified"),
        use_keys("UseQuarantineAndLedgers", granted, ENCRYPT_AND_DECRYPT, "identified", "tracking"),
    ]


def reviewer(names: EstateNames, granted: Granted) -> list[Statement]:
    # Records and contents may name a patient, and so does not a key below index/, nor what lies there.
    return [
        read_objects("ReadIndex", "quarantine", names, f"*/{INDEX_FOLDER}/"),
        list_buckets("ListQuarantine", names, "quarantine"),
        use_keys("UseKeys", granted, DECRYPT, "identified"),
    ]


def replay(names: EstateNames) -> list[Statement]:
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
            # AWS's list of actions has all three for it: the archive, the bus that it fills again, and the replay.
            actions=("events:StartReplay",),
            resources=(
                *(names.archive_arn(kind) for kind in archives),
                *(names.archived_bus_arn(kind) for kind in archives),
                names.replay_arns,
            ),
        ),
        Statement(sid="FollowReplays", actions=("events:DescribeReplay",), resources=(names.replay_arns,)),
    ]


def uploader(names: EstateNames, granted: Granted) -> list[Statement]:
    return [
        write_objects("Upload", "uploads", names, UPLOAD_PREFIX),
        use_keys("UseKeys", granted, ENCRYPT_AND_DECRYPT, "identified"),
    ]
