"""What the training pipeline may do."""

from rayline.names import BucketKind, EstateNames
from rayline_infra.policies.documents import Statement
from rayline_infra.policies.keys import ENCRYPT_AND_DECRYPT
from rayline_infra.policies.roles.enclosed import network_interfaces
from rayline_infra.policies.roles.pieces import (
    ANY,
    Granted,
    list_buckets,
    on_image_sets,
    on_model_packages,
    pull_image,
    use_keys,
)

JOB_KINDS = ("ProcessingJobs", "TrainingJobs")


def training(names: EstateNames, granted: Granted) -> list[Statement]:
    job = f"arn:aws:sagemaker:{names.region}:{names.account_id}"
    log_groups = f"arn:aws:logs:{names.region}:{names.account_id}:log-group:/aws/sagemaker"
    written: tuple[BucketKind, ...] = ("preprocessed", "models", "reports")
    return [
        on_image_sets("ReadFrames", granted, "GetImageFrame", "GetImageSetMetadata"),
        Statement(
            sid="ReadAndWriteArtifacts",
            actions=("s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"),
            resources=tuple(f"{names.bucket_arn(bucket)}/*" for bucket in written),
        ),
        list_buckets("ListArtifacts", names, *written),
        *pull_image([names.repository("training")], names),
        *network_interfaces(names),
        # SageMaker Pipelines names the jobs of its steps pipelines-<execution id>-<step>-<suffix>.
        Statement(
            sid="RunProcessingJobs",
            actions=(
                "sagemaker:AddTags",
                "sagemaker:CreateProcessingJob",
                "sagemaker:DescribeProcessingJob",
                "sagemaker:StopProcessingJob",
            ),
            resources=(f"{job}:processing-job/pipelines-*",),
        ),
        Statement(
            sid="RunTrainingJobs",
            actions=(
                "sagemaker:AddTags",
                "sagemaker:CreateTrainingJob",
                "sagemaker:DescribeTrainingJob",
                "sagemaker:StopTrainingJob",
            ),
            resources=(f"{job}:training-job/pipelines-*",),
        ),
        on_model_packages("RegisterModels", names, "AddTags", "CreateModelPackage", "DescribeModelPackage"),
        Statement(
            sid="RegisterInTheGroup",
            actions=("sagemaker:CreateModelPackage",),
            resources=(names.model_package_group_arn,),
        ),
        Statement(
            sid="FindModelPackageGroup",
            actions=("sagemaker:DescribeModelPackageGroup",),
            resources=(names.model_package_group_arn,),
        ),
        Statement(
            sid="PassItselfToJobs",
            actions=("iam:PassRole",),
            resources=(names.role_arn("training"),),
            conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        ),
        Statement(
            sid="FindLogs",
            actions=("logs:CreateLogGroup", "logs:DescribeLogStreams"),
            # AWS's pages spell a log group with and without what is in it.
            resources=tuple(f"{log_groups}/{jobs}{end}" for jobs in JOB_KINDS for end in ("", ":*")),
        ),
        Statement(
            sid="WriteLogs",
            actions=("logs:CreateLogStream", "logs:PutLogEvents"),
            resources=tuple(f"{log_groups}/{jobs}:log-stream:*" for jobs in JOB_KINDS),
        ),
        Statement(
            sid="PublishJobMetrics",
            actions=("cloudwatch:PutMetricData",),
            # CloudWatch metrics have no ARN; the namespace narrows the grant.
            resources=ANY,
            conditions={"StringLike": {"cloudwatch:namespace": ["/aws/sagemaker/*", "aws/sagemaker/*"]}},
        ),
        # SageMaker asks for both more of a role that names a key for its output (API_OutputDataConfig).
        use_keys(
            "UseKeys", granted, (*ENCRYPT_AND_DECRYPT, "kms:DescribeKey", "kms:Encrypt"), "deidentified"
        ),
        Statement(
            sid="EncryptJobVolumes",
            # SageMaker attaches the encrypted volume through a grant that it makes in the role's name.
            actions=("kms:CreateGrant",),
            resources=(granted.keys["deidentified"],),
            conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}},
        ),
    ]
