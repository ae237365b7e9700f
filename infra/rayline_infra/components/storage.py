"""S3 buckets: those of the identified and the de-identified zone, their copies, and the estate's own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pulumi

from rayline.names import (
    DEIDENTIFIED_BUCKETS,
    IDENTIFIED_BUCKETS,
    REPLICATED_BUCKETS,
    BucketKind,
    EstateNames,
    ReplicatedBucket,
)
from rayline_infra.components.bucket import BucketArgs, DeclaredBucket, declare_bucket
from rayline_infra.components.keys import Keys
from rayline_infra.components.lifecycles import lifecycle
from rayline_infra.policies.buckets import bucket_policy, replica_policy
from rayline_infra.policies.replication import Copies, Zone
from rayline_infra.scanning.exemptions import ScannerExemption
from rayline_infra.settings import AuditSettings, StorageSettings

ZONE_OF_REPLICA: Mapping[ReplicatedBucket, Zone] = {
    "archive": "identified",
    "models": "deidentified",
    "reports": "deidentified",
}

SCANNER_EXEMPTIONS = (
    ScannerExemption(
        "CKV_AWS_145",
        "viewer",
        "holds the viewer's pages, which everybody who may sign in gets, and nothing of a patient",
    ),
    ScannerExemption(
        "CKV_AWS_145",
        "access-logs",
        "S3 delivers access logs to a bucket under its own key only",
    ),
    ScannerExemption(
        "CKV2_AWS_62",
        "viewer",
        "a new page starts no work",
    ),
    ScannerExemption(
        "CKV2_AWS_62",
        "logs",
        "a written log starts no work; the silence of a trail has an alarm",
    ),
    ScannerExemption(
        "CKV2_AWS_62",
        "access-logs",
        "a written log starts no work, and S3 writes very many",
    ),
    ScannerExemption(
        "CKV_AWS_144",
        "quarantine",
        "waits for a person; its original can be sent again from the PACS",
    ),
    ScannerExemption(
        "CKV_AWS_144",
        "imports",
        "lives until HealthImaging has the image",
    ),
    ScannerExemption(
        "CKV_AWS_144",
        "preprocessed",
        "is made again from HealthImaging by the pipeline",
    ),
    ScannerExemption(
        "CKV_AWS_144",
        "viewer",
        "is part of every release",
    ),
    ScannerExemption(
        "CKV_AWS_144",
        "logs",
        "is locked where it is: a copy elsewhere would need a lock and seven years of its own",
    ),
    ScannerExemption(
        "CKV_AWS_144",
        "access-logs",
        "the trail has the same calls, in a locked bucket",
    ),
    ScannerExemption(
        "CKV_AWS_144", "models", "the site wants no copies in another region", when="no replicaRegion"
    ),
    ScannerExemption(
        "CKV_AWS_144", "reports", "the site wants no copies in another region", when="no replicaRegion"
    ),
    ScannerExemption(
        "CKV_AWS_144", "uploads", "the site wants no copies in another region", when="no originalArchive"
    ),
)


@dataclass(frozen=True)
class BucketsArgs:
    """Names, keys, what is copied, and how long objects are kept."""

    names: EstateNames
    keys: Keys
    copies: Copies
    storage: StorageSettings
    audit: AuditSettings
    deletion_protection: bool


class Buckets(pulumi.ComponentResource):
    """Every bucket: versioned, encrypted with its zone's key, TLS only, never public, owner enforced."""

    def __init__(self, name: str, args: BucketsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:storage:Buckets", name, None, opts)
        self._args = args
        self._buckets: dict[BucketKind, DeclaredBucket] = {}
        self._replicas: dict[ReplicatedBucket, DeclaredBucket] = {}
        # S3 and load balancers deliver only where S3's own keys encrypt and nothing is locked (their user guides).
        self._declare("access-logs", None)
        self._declare("logs", args.keys.arn("logs"))
        # Public pages: CloudFront reads them, and gets no key of ours.
        self._declare("viewer", None)
        for identified in IDENTIFIED_BUCKETS:
            if identified != "archive" or args.copies.original_archive:
                self._declare(identified, args.keys.arn("identified"))
        for deidentified in DEIDENTIFIED_BUCKETS:
            self._declare(deidentified, args.keys.arn("deidentified"))
        abroad = {copy.kept_as for zone in args.copies.zones for copy in args.copies.of(zone) if copy.abroad}
        for kind in REPLICATED_BUCKETS:
            if kind in abroad:
                self._declare_replica(kind)
        self.register_outputs({})

    def name(self, kind: BucketKind) -> pulumi.Output[str]:
        """Name of a bucket, known once the bucket exists."""
        return self._buckets[kind].bucket.bucket

    def declared(self, kind: BucketKind) -> DeclaredBucket:
        """A bucket with its policy, for those that must not write before that stands."""
        return self._buckets[kind]

    def data_arns(self) -> list[str]:
        """ARNs of the buckets of both zones, and of their copies."""
        names = self._args.names
        zones = (*IDENTIFIED_BUCKETS, *DEIDENTIFIED_BUCKETS)
        return [
            *(names.bucket_arn(kind) for kind in self._buckets if kind in zones),
            *(names.replica_arn(kind) for kind in self._replicas),
        ]

    def versioned(self) -> dict[BucketKind, pulumi.Output[str]]:
        """Names of all buckets, known once each keeps versions."""
        return {kind: each.versioning.bucket for kind, each in self._buckets.items()}

    def versioned_replicas(self) -> dict[ReplicatedBucket, pulumi.Output[str]]:
        """Names of the buckets in the other region, known once each keeps versions."""
        return {kind: each.versioning.bucket for kind, each in self._replicas.items()}

    def _declare(self, kind: BucketKind, key_arn: pulumi.Output[str] | None) -> None:
        args = self._args
        in_a_zone = kind in (*IDENTIFIED_BUCKETS, *DEIDENTIFIED_BUCKETS)
        self._buckets[kind] = declare_bucket(
            kind,
            BucketArgs(
                name=args.names.bucket(kind),
                key_arn=key_arn,
                policy=_policy(lambda key: bucket_policy(kind, args.names, key), key_arn),
                rules=lifecycle(kind, args.storage, args.audit),
                protected=args.deletion_protection,
                region=args.names.region,
                logged_to=self._buckets["access-logs"].policy if kind != "access-logs" else None,
                # Rules name the buckets that they are about, so that one more announces and nothing echoes.
                announced=in_a_zone,
                locked_years=args.audit.audit_years if kind == "logs" and args.audit.object_lock else 0,
            ),
            self,
        )

    def _declare_replica(self, kind: ReplicatedBucket) -> None:
        args = self._args
        key_arn = args.keys.replica_arn(ZONE_OF_REPLICA[kind])
        self._replicas[kind] = declare_bucket(
            f"{kind}-replica",
            BucketArgs(
                name=args.names.replica(kind),
                key_arn=key_arn,
                policy=_policy(lambda key: replica_policy(kind, args.names, key), key_arn),
                rules=lifecycle(kind, args.storage, args.audit),
                protected=args.deletion_protection,
                region=args.copies.replica_region,
                # S3 logs to buckets of the same region only; CloudTrail's data events tell who called this one.
                logged_to=None,
            ),
            self,
        )


def _policy(of_key: Callable[[str], str], key_arn: pulumi.Output[str] | None) -> pulumi.Input[str]:
    return of_key("") if key_arn is None else key_arn.apply(of_key)
