"""AWS Config: the history of every resource's configuration, and rules that judge it."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames
from rayline_infra.components.bucket import DeclaredBucket
from rayline_infra.policies.buckets import CONFIG_PREFIX
from rayline_infra.policies.recording import recorder_policy
from rayline_infra.policies.trust import service_trust

# What AWS Config needs to read every kind of resource; AWS keeps it up with new kinds.
READ_ALL_CONFIGURATION = "arn:aws:iam::aws:policy/service-role/AWS_ConfigRole"
# Names of ours by AWS's identifier (AWS Config developer guide, "List of AWS Config Managed Rules").
MANAGED_RULES: Mapping[str, str] = {
    "s3-public-read": "S3_BUCKET_PUBLIC_READ_PROHIBITED",
    "s3-public-write": "S3_BUCKET_PUBLIC_WRITE_PROHIBITED",
    "s3-encryption": "S3_BUCKET_SERVER_SIDE_ENCRYPTION_ENABLED",
    "s3-tls": "S3_BUCKET_SSL_REQUESTS_ONLY",
    "s3-versioning": "S3_BUCKET_VERSIONING_ENABLED",
    "s3-access-logs": "S3_BUCKET_LOGGING_ENABLED",
    "trail": "CLOUD_TRAIL_ENABLED",
    "trail-encryption": "CLOUD_TRAIL_ENCRYPTION_ENABLED",
    "trail-validation": "CLOUD_TRAIL_LOG_FILE_VALIDATION_ENABLED",
    "root-mfa": "ROOT_ACCOUNT_MFA_ENABLED",
    "root-access-key": "IAM_ROOT_ACCESS_KEY_CHECK",
    "iam-console-mfa": "MFA_ENABLED_FOR_IAM_CONSOLE_ACCESS",
    "iam-password-policy": "IAM_PASSWORD_POLICY",
    "iam-no-administrator-policies": "IAM_POLICY_NO_STATEMENTS_WITH_ADMIN_ACCESS",
    "kms-rotation": "CMK_BACKING_KEY_ROTATION_ENABLED",
    "kms-deletion": "KMS_CMK_NOT_SCHEDULED_FOR_DELETION",
    "dynamodb-backups": "DYNAMODB_PITR_ENABLED",
    "dynamodb-encryption": "DYNAMODB_TABLE_ENCRYPTED_KMS",
    "vpc-flow-logs": "VPC_FLOW_LOGS_ENABLED",
    "vpc-default-group": "VPC_DEFAULT_SECURITY_GROUP_CLOSED",
    "ssh": "INCOMING_SSH_DISABLED",
    "ecs-read-only": "ECS_CONTAINERS_READONLY_ACCESS",
    "ecs-unprivileged": "ECS_CONTAINERS_NONPRIVILEGED",
    "ecr-scanning": "ECR_PRIVATE_IMAGE_SCANNING_ENABLED",
    "ecr-immutable": "ECR_PRIVATE_TAG_IMMUTABILITY_ENABLED",
    "load-balancer-protection": "ELB_DELETION_PROTECTION_ENABLED",
    "load-balancer-firewall": "ALB_WAF_ENABLED",
    "log-encryption": "CLOUDWATCH_LOG_GROUP_ENCRYPTED",
    "topic-encryption": "SNS_ENCRYPTED_KMS",
    "secret-encryption": "SECRETSMANAGER_USING_CMK",
    "guard-duty": "GUARDDUTY_ENABLED_CENTRALIZED",
}


@dataclass(frozen=True)
class RecorderArgs:
    """Where the history is delivered."""

    names: EstateNames
    bucket: DeclaredBucket


class Recorder(pulumi.ComponentResource):
    """Recorder, delivery channel and rules: AWS allows one recorder an account and region."""

    def __init__(self, name: str, args: RecorderArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:audit:Recorder", name, None, opts)
        names = args.names
        child = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(
            "config-role",
            name=names.role("config"),
            description=f"rayline {names.stack}: AWS Config, to read how resources are configured",
            assume_role_policy=service_trust(names, "config"),
            opts=child,
        )
        attachment = aws.iam.RolePolicyAttachment(
            "config-reads", role=role.name, policy_arn=READ_ALL_CONFIGURATION, opts=child
        )
        delivery = aws.iam.RolePolicy(
            "config-policy", name="work", role=role.name, policy=recorder_policy(names), opts=child
        )
        recorder = aws.cfg.Recorder(
            "config-recorder",
            name=names.config_recorder,
            role_arn=role.arn,
            recording_group=aws.cfg.RecorderRecordingGroupArgs(
                all_supported=True, include_global_resource_types=True
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[attachment]),
        )
        channel = aws.cfg.DeliveryChannel(
            "config-delivery",
            name=names.config_recorder,
            s3_bucket_name=args.bucket.bucket.bucket,
            s3_key_prefix=CONFIG_PREFIX,
            snapshot_delivery_properties=aws.cfg.DeliveryChannelSnapshotDeliveryPropertiesArgs(
                delivery_frequency="TwentyFour_Hours"
            ),
            # Config takes no channel without a recorder, and tries the bucket at once.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[recorder, delivery, args.bucket.policy]),
        )
        started = aws.cfg.RecorderStatus(
            "config-recording",
            name=recorder.name,
            is_enabled=True,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[channel]),
        )
        for rule, identifier in MANAGED_RULES.items():
            aws.cfg.Rule(
                f"config-{rule}",
                name=names.config_rule(rule),
                source=aws.cfg.RuleSourceArgs(owner="AWS", source_identifier=identifier),
                opts=pulumi.ResourceOptions(parent=self, depends_on=[started]),
            )
        self.register_outputs({})
