"""Copies that S3 makes by itself: the originals' archive, and what another region keeps."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rayline.names import BucketKind, EstateNames, ReplicatedBucket
from rayline_infra.policies.replication import (
    ROLE_OF_ZONE,
    Copies,
    Copy,
    Zone,
    destination_arn,
    replication_policy,
)
from rayline_infra.policies.trust import service_trust
from rayline_infra.scanning.exemptions import ScannerExemption

SCANNER_EXEMPTIONS = (
    ScannerExemption(
        "CKV_AWS_18",
        "*-replica",
        "S3 logs into a bucket of the same region only; a trail records what is read and written here",
    ),
    ScannerExemption(
        "CKV2_AWS_62",
        "*-replica",
        "a copy starts no work a second time",
    ),
)


@dataclass(frozen=True)
class ReplicationRolesArgs:
    """What is copied; nothing else needs a role."""

    names: EstateNames
    copies: Copies


class ReplicationRoles(pulumi.ComponentResource):
    """One role for each zone in which something is copied; key policies name them, so they exist before the keys."""

    def __init__(
        self, name: str, args: ReplicationRolesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("rayline:replication:Roles", name, None, opts)
        self._roles: dict[Zone, aws.iam.Role] = {}
        for zone in args.copies.zones:
            kind = ROLE_OF_ZONE[zone]
            self._roles[zone] = aws.iam.Role(
                f"{kind}-role",
                name=args.names.role(kind),
                description=f"rayline {args.names.stack}: S3, to copy objects within the {zone} zone",
                assume_role_policy=service_trust(args.names, kind),
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({})

    def role(self, zone: Zone) -> aws.iam.Role:
        """The role that copies within a zone."""
        return self._roles[zone]


@dataclass(frozen=True)
class ReplicationArgs:
    """What is copied, by which roles, and where to.

    Attributes:
        buckets: names of the buckets, versioned by now, which S3 demands of sources and destinations.
        replicas: names of the buckets in the other region.
        key_arns, replica_key_arns: each zone's key at home, and in the other region or an empty text.
    """

    names: EstateNames
    copies: Copies
    roles: ReplicationRoles
    buckets: Mapping[BucketKind, pulumi.Output[str]]
    replicas: Mapping[ReplicatedBucket, pulumi.Output[str]]
    key_arns: Mapping[Zone, pulumi.Output[str]]
    replica_key_arns: Mapping[Zone, pulumi.Output[str]]


class Replication(pulumi.ComponentResource):
    """The roles' policies, and each source bucket's rules."""

    def __init__(self, name: str, args: ReplicationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:replication:Replication", name, None, opts)
        self._args = args
        for zone in args.copies.zones:
            policy = self._grant(zone)
            for source in sorted({copy.source for copy in args.copies.of(zone)}):
                self._configure(zone, source, policy)
        self.register_outputs({})

    def _grant(self, zone: Zone) -> aws.iam.RolePolicy:
        args = self._args
        kind = ROLE_OF_ZONE[zone]
        return aws.iam.RolePolicy(
            f"{kind}-policy",
            name="work",
            role=args.roles.role(zone).name,
            policy=pulumi.Output.all(args.key_arns[zone], args.replica_key_arns[zone]).apply(
                lambda arns: replication_policy(
                    args.names, args.copies.of(zone), args.copies.replica_region, arns[0], arns[1]
                )
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _configure(self, zone: Zone, source: BucketKind, policy: aws.iam.RolePolicy) -> None:
        args = self._args
        copies = [copy for copy in args.copies.of(zone) if copy.source == source]
        aws.s3.BucketReplicationConfig(
            f"{source}-replication",
            bucket=args.buckets[source],
            role=args.roles.role(zone).arn,
            rules=[self._rule(zone, copy, priority) for priority, copy in enumerate(copies, start=1)],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )

    def _rule(self, zone: Zone, copy: Copy, priority: int) -> aws.s3.BucketReplicationConfigRuleArgs:
        args = self._args
        return aws.s3.BucketReplicationConfigRuleArgs(
            id=f"{copy.kept_as}-replica" if copy.abroad else copy.kept_as,
            status="Enabled",
            priority=priority,
            filter=aws.s3.BucketReplicationConfigRuleFilterArgs(prefix=copy.prefix),
            # A copy that goes when the original goes protects from nothing.
            delete_marker_replication=aws.s3.BucketReplicationConfigRuleDeleteMarkerReplicationArgs(
                status="Disabled"
            ),
            source_selection_criteria=aws.s3.BucketReplicationConfigRuleSourceSelectionCriteriaArgs(
                sse_kms_encrypted_objects=(
                    aws.s3.BucketReplicationConfigRuleSourceSelectionCriteriaSseKmsEncryptedObjectsArgs(
                        status="Enabled"
                    )
                )
            ),
            destination=aws.s3.BucketReplicationConfigRuleDestinationArgs(
                bucket=destination_arn(copy, args.names),
                encryption_configuration=(
                    aws.s3.BucketReplicationConfigRuleDestinationEncryptionConfigurationArgs(
                        replica_kms_key_id=(args.replica_key_arns if copy.abroad else args.key_arns)[zone]
                    )
                ),
                # Bytes and operations that wait, and operations that failed, in AWS/S3.
                metrics=aws.s3.BucketReplicationConfigRuleDestinationMetricsArgs(status="Enabled"),
            ),
        )
