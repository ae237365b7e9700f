"""What the model endpoint may do."""

from rayline.names import CAPTURE_PREFIX, EstateNames
from rayline_infra.policies.documents import Statement
from rayline_infra.policies.keys import ENCRYPT_AND_DECRYPT
from rayline_infra.policies.roles.enclosed import network_interfaces
from rayline_infra.policies.roles.pieces import (
    ANY,
    Granted,
    pull_image,
    read_objects,
    use_keys,
    write_objects,
)


def endpoint(names: EstateNames, granted: Granted) -> list[Statement]:
    logs = (
        f"arn:aws:logs:{names.region}:{names.account_id}:log-group:/aws/sagemaker/Endpoints/{names.endpoint}"
    )
    return [
        read_objects("ReadModels", "models", names, "models/"),
        Statement(
            sid="ReadPackages",
            actions=("sagemaker:DescribeModelPackage",),
            resources=(names.model_package_arns,),
        ),
        write_objects("CaptureAnswers", "reports", names, CAPTURE_PREFIX),
        *pull_image([names.repository("training")], names),
        *network_interfaces(names),
        Statement(
            sid="WriteLogs",
            actions=(
                "logs:CreateLogGroup",
                "logs:CreateLogStream",
                "logs:DescribeLogStreams",
                "logs:PutLogEvents",
            ),
            # AWS's pages spell a log group with and without what is in it.
            resources=(logs, f"{logs}:*"),
        ),
        Statement(
            sid="PublishMetrics",
            actions=("cloudwatch:PutMetricData",),
            # CloudWatch metrics have no ARN; the namespace narrows the grant.
            resources=ANY,
            conditions={"StringLike": {"cloudwatch:namespace": ["/aws/sagemaker/*", "aws/sagemaker/*"]}},
        ),
        use_keys("UseKeys", granted, ENCRYPT_AND_DECRYPT, "deidentified"),
        Statement(
            sid="EncryptVolumes",
            # SageMaker attaches the encrypted volume through a grant that it makes in the role's name.
            actions=("kms:CreateGrant",),
            resources=(granted.keys["deidentified"],),
            conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}},
        ),
    ]
