"""What S3 may do when it copies objects from bucket to bucket: one role for each zone, so that none joins both.

Source: Amazon S3 user guide, "Setting up permissions for live replication" and "Replicating encrypted objects".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from rayline.names import UPLOAD_PREFIX, BucketKind, EstateNames, ReplicatedBucket, RoleKind
from rayline_infra.policies.documents import Statement, document

Zone = Literal["identified", "deidentified"]
ZONES: tuple[Zone, ...] = ("identified", "deidentified")
ROLE_OF_ZONE: Mapping[Zone, RoleKind] = {
    "identified": "replication-identified",
    "deidentified": "replication-deidentified",
}


class Copy(NamedTuple):
    """A bucket whose new objects S3 copies.

    Attributes:
        kept_as: the bucket that the copies are for; S3 copies no copy on, so both archives are fed from uploads.
        abroad: whether they go to the other region's bucket.
    """

    source: BucketKind
    kept_as: ReplicatedBucket
    abroad: bool
    prefix: str = ""


@dataclass(frozen=True)
class Copies:
    """What a stack copies.

    Attributes:
        original_archive: uploads are copied to the archive.
        replica_region: models, reports and the archive are copied there; nowhere where it is empty.
    """

    original_archive: bool
    replica_region: str

    def of(self, zone: Zone) -> tuple[Copy, ...]:
        """What is copied within a zone."""
        if zone == "identified":
            places = (False, True) if self.replica_region else (False,)
            return tuple(Copy("uploads", "archive", abroad, UPLOAD_PREFIX) for abroad in places) * bool(
                self.original_archive
            )
        return (Copy("models", "models", True), Copy("reports", "reports", True)) * bool(self.replica_region)

    @property
    def zones(self) -> tuple[Zone, ...]:
        """The zones in which something is copied."""
        return tuple(zone for zone in ZONES if self.of(zone))

    @property
    def zones_abroad(self) -> tuple[Zone, ...]:
        """The zones of which something goes to the other region."""
        return tuple(zone for zone in ZONES if any(copy.abroad for copy in self.of(zone)))


def replication_policy(
    names: EstateNames, copies: tuple[Copy, ...], region: str, key_arn: str, replica_key_arn: str
) -> str:
    """What the replication role of one zone may do.

    Args:
        region: where copies abroad go.
        key_arn: the zone's key, which sources and copies at home share.
        replica_key_arn: the zone's key in the other region; empty where nothing goes there.
    """
    sources = sorted({copy.source for copy in copies})
    statements = [
        Statement(
            sid="ReadRulesAndLists",
            actions=("s3:GetReplicationConfiguration", "s3:ListBucket"),
            resources=tuple(names.bucket_arn(source) for source in sources),
        ),
        Statement(
            sid="ReadSources",
            actions=(
                "s3:GetObjectVersionAcl",
                "s3:GetObjectVersionForReplication",
                "s3:GetObjectVersionTagging",
            ),
            resources=tuple(sorted({f"{names.bucket_arn(copy.source)}/{copy.prefix}*" for copy in copies})),
        ),
        Statement(
            sid="WriteCopies",
            # Without s3:ReplicateDelete: what is deleted here stays there.
            actions=("s3:ReplicateObject", "s3:ReplicateTags"),
            resources=tuple(f"{destination_arn(copy, names)}/{copy.prefix}*" for copy in copies),
        ),
        _through_s3("OpenSources", ("kms:Decrypt",), key_arn, names.region),
    ]
    encrypt = ("kms:Encrypt", "kms:GenerateDataKey")
    if any(not copy.abroad for copy in copies):
        statements.append(_through_s3("EncryptCopies", encrypt, key_arn, names.region))
    if replica_key_arn:
        statements.append(_through_s3("EncryptCopiesAbroad", encrypt, replica_key_arn, region))
    return document(*statements)


def destination_arn(copy: Copy, names: EstateNames) -> str:
    """ARN of the bucket that copies go to."""
    return names.replica_arn(copy.kept_as) if copy.abroad else names.bucket_arn(copy.kept_as)


def _through_s3(sid: str, actions: tuple[str, ...], key_arn: str, region: str) -> Statement:
    return Statement(
        sid=sid,
        actions=actions,
        resources=(key_arn,),
        conditions={"StringEquals": {"kms:ViaService": f"s3.{region}.amazonaws.com"}},
    )
