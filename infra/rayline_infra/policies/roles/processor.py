"""What the event processor may do."""

from rayline.names import DATASET_PREFIX, IMPORT_PREFIX, UPLOAD_PREFIX, EstateNames
from rayline_infra.policies.documents import Statement
from rayline_infra.policies.keys import ENCRYPT_AND_DECRYPT
from rayline_infra.policies.roles.pieces import (
    Granted,
    in_datastore,
    list_buckets,
    on_executions,
    on_image_sets,
    on_model_packages,
    on_pipeline,
    read_objects,
    use_keys,
    use_table,
    write_objects,
)
from rayline_infra.policies.roles.services import send_traces


def processor(names: EstateNames, granted: Granted) -> list[Statement]:
    return [
        Statement(
            sid="ReadUploads",
            # An event names the version that it speaks of; whatever came after it is another event's.
            actions=("s3:GetObjectVersion",),
            resources=(f"{names.bucket_arn('uploads')}/*",),
        ),
        read_objects("ReadQuarantine", "quarantine", names),
        write_objects("Quarantine", "quarantine", names, more=("s3:DeleteObject",)),
        read_objects("ReadBatches", "imports", names),
        write_objects("WriteBatches", "imports", names, IMPORT_PREFIX, more=("s3:DeleteObject",)),
        write_objects("WriteDatasets", "preprocessed", names, DATASET_PREFIX),
        read_objects("ReadReports", "reports", names),
        list_buckets("ListBuckets", names, "uploads", "quarantine", "imports", "reports"),
        # The reconciler holds every version that was uploaded against the ledger.
        Statement(
            sid="ListUploadedVersions",
            actions=("s3:ListBucketVersions",),
            resources=(names.bucket_arn("uploads"),),
        ),
        Statement(
            sid="TagImportedOriginals",
            # Only what is tagged expires; the tag says nothing of whom the image shows.
            actions=("s3:GetObjectVersionTagging", "s3:PutObjectVersionTagging"),
            resources=(f"{names.bucket_arn('uploads')}/{UPLOAD_PREFIX}*",),
        ),
        Statement(
            sid="ConsumeEvents",
            actions=(
                "sqs:ChangeMessageVisibility",
                "sqs:DeleteMessage",
                "sqs:GetQueueAttributes",
                "sqs:ReceiveMessage",
                "sqs:SendMessage",
            ),
            resources=(names.queue_arn(names.queue),),
        ),
        Statement(
            sid="DeadLetter",
            actions=("sqs:SendMessage",),
            resources=(names.queue_arn(names.dead_letter_queue),),
        ),
        *use_table(
            "TrackImages",
            names,
            "image-tracking",
            (
                "dynamodb:BatchGetItem",
                "dynamodb:ConditionCheckItem",
                "dynamodb:DeleteItem",
                "dynamodb:GetItem",
                "dynamodb:PutItem",
                "dynamodb:UpdateItem",
            ),
            indexes=True,
        ),
        *use_table(
            "RecordEffects",
            names,
            "effects",
            ("dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"),
            indexes=True,
        ),
        *use_table("RecordMetrics", names, "model-metrics", ("dynamodb:PutItem", "dynamodb:Query")),
        in_datastore(
            "Import",
            granted,
            "GetDICOMImportJob",
            "ListDICOMImportJobs",
            "SearchImageSets",
            "StartDICOMImportJob",
        ),
        on_image_sets("ReadImageSets", granted, "GetImageSet", "GetImageSetMetadata"),
        Statement(
            sid="PassImportRole",
            actions=("iam:PassRole",),
            resources=(names.role_arn("import"),),
            conditions={"StringEquals": {"iam:PassedToService": "medical-imaging.amazonaws.com"}},
        ),
        Statement(sid="PublishOwnEvents", actions=("events:PutEvents",), resources=(names.event_bus_arn,)),
        on_pipeline("RunPipeline", names, "ListPipelineExecutions", "StartPipelineExecution"),
        on_executions("FollowExecutions", names, "DescribePipelineExecution", "ListPipelineExecutionSteps"),
        on_model_packages("DecideOnModels", names, "DescribeModelPackage", "UpdateModelPackage"),
        use_keys("UseKeys", granted, ENCRYPT_AND_DECRYPT, "identified", "deidentified", "tracking"),
        send_traces(),
    ]
