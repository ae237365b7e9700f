"""What the training pipeline may do."""

from rayline.names import BucketKind, EstateNames
from rayline_infra.policies.documents import Statement
from rayline_infra.policies.keys import ENCRYPT_AND_DECRYPT
from rayline_infra.policies.roles.pieces import (
    ANY,
    READ_OBJECT,
    Granted,
    image_sets,
    list_buckets,
    model_packages,
    pull_image,
    use_keys,
)


def training(names: EstateNames, granted: Granted) -> list[Statement]:
    job = f"arn:aws:sagemaker:{names.region}:{names.account_id}"
    log_groups = f"arn:aws:logs:{names.region}:{names.account_id}:log-group:/aws/sagemaker"
    written: tuple[BucketKind, ...] = ("preprocessed", "models", "reports")
    return [
        Statement(
            sid="ReadFrames",
            actions=("medical-imaging:GetImageFrame", "medical-imaging:GetImageSetMetadata"),
            resources=image_sets(granted),
        ),
        Statement(
            sid="ReadAndWriteArtifacts",
            actions=(*READ_OBJECT, "s3:PutObject", "s3:AbortMultipartUpload"),
            resources=tuple(f"{names.bucket_arn(bucket)}/*" for bucket in written),
        ),
        list_buckets("ListArtifacts", names, *written),
        *pull_image([names.repository("training")], names),
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
            resources=model_packages(names),
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
        use_keys("UseKeys", granted, (*ENCRYPT_AND_DECRYPT, "kms:Encrypt"), "deidentified"),
        Statement(
            sid="EncryptJobVolumes",
            # SageMaker attaches the encrypted volume through a grant that it makes in the role's name.
            actions=("kms:CreateGrant",),
            resources=(granted.keys["deidentified"],),
            conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}},
        ),
    ]
