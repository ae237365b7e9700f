"""What operators, reviewers and uploaders may do."""

from rayline.names import INDEX_FOLDER, RELEASED_FOLDER, UPLOAD_PREFIX, ArchiveKind, EstateNames
from rayline_infra.policies.documents import Statement
from rayline_infra.policies.keys import DECRYPT, ENCRYPT_AND_DECRYPT
from rayline_infra.policies.roles.pieces import (
    READ_IMAGE_SETS,
    READ_MODEL_PACKAGES,
    READ_PIPELINE,
    READ_TABLE,
    TABLES,
    Granted,
    image_sets,
    list_buckets,
    model_packages,
    pipeline_arns,
    read_objects,
    tables,
    use_keys,
    write_objects,
)


def operator(names: EstateNames, granted: Granted) -> list[Statement]:
    return [
        Statement(sid="ReadLedgers", actions=READ_TABLE, resources=tables(names, *TABLES)),
        Statement(
            sid="RecordVerifications",
            actions=("dynamodb:PutItem", "dynamodb:UpdateItem"),
            resources=(names.table_arn("image-tracking"),),
        ),
        read_objects("ReadQuarantine", "quarantine", names),
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
        Statement(
            sid="ReadImageSets",
            actions=(
                *READ_IMAGE_SETS,
                "medical-imaging:GetDICOMImportJob",
                "medical-imaging:GetImageFrame",
                "medical-imaging:ListDICOMImportJobs",
            ),
            resources=image_sets(granted),
        ),
        Statement(sid="FollowPipeline", actions=READ_PIPELINE, resources=pipeline_arns(names)),
        Statement(sid="ReadModels", actions=READ_MODEL_PACKAGES, resources=model_packages(names)),
        Statement(
            sid="SeeQueues",
            actions=("sqs:GetQueueAttributes", "sqs:GetQueueUrl"),
            resources=(names.queue_arn(names.queue), names.queue_arn(names.dead_letter_queue)),
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
