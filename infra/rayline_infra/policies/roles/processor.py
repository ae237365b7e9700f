"""What the event processor may do."""

from rayline.names import DATASET_PREFIX, IMPORT_PREFIX, EstateNames
from rayline_infra.policies.documents import Statement
from rayline_infra.policies.keys import ENCRYPT_AND_DECRYPT
from rayline_infra.policies.roles.pieces import (
    READ_IMAGE_SETS,
    READ_MODEL_PACKAGES,
    READ_PIPELINE,
    READ_TABLE,
    TABLES,
    WRITE_TABLE,
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
from rayline_infra.policies.roles.services import send_traces


def processor(names: EstateNames, granted: Granted) -> list[Statement]:
    return [
        read_objects("ReadUploads", "uploads", names),
        read_objects("ReadQuarantine", "quarantine", names),
        write_objects("Quarantine", "quarantine", names, more=("s3:DeleteObject",)),
        read_objects("ReadBatches", "imports", names),
        write_objects("WriteBatches", "imports", names, IMPORT_PREFIX, more=("s3:DeleteObject",)),
        read_objects("ReadDatasets", "preprocessed", names),
        write_objects("WriteDatasets", "preprocessed", names, DATASET_PREFIX),
        read_objects("ReadReports", "reports", names),
        list_buckets("ListBuckets", names, "uploads", "quarantine", "imports", "preprocessed", "reports"),
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
        Statement(sid="Ledgers", actions=(*READ_TABLE, *WRITE_TABLE), resources=tables(names, *TABLES)),
        Statement(
            sid="ImportAndReadImageSets",
            actions=(
                *READ_IMAGE_SETS,
                "medical-imaging:GetDICOMImportJob",
                "medical-imaging:ListDICOMImportJobs",
                "medical-imaging:StartDICOMImportJob",
            ),
            resources=image_sets(granted),
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
            resources=pipeline_arns(names),
        ),
        Statement(
            sid="DecideOnModels",
            actions=(*READ_MODEL_PACKAGES, "sagemaker:UpdateModelPackage"),
            resources=model_packages(names),
        ),
        use_keys("UseKeys", granted, ENCRYPT_AND_DECRYPT, "identified", "deidentified", "tracking"),
        send_traces(),
    ]
