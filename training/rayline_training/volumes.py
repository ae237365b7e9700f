"""Which key a job's storage volume can be given."""

import re
from typing import Final

# Families with instance store: g4dn, g5, g6, p3dn and later p families, trn1, and every family with a "d" after
# its generation, e.g. m5d. Source: Amazon EC2 user guide, "Instance store volumes".
_LOCAL_STORAGE: Final = re.compile(r"ml\.(g4dn|g5|g6e?|p3dn|p4de?|p5e?n?|trn\d\w*|[a-z]+\d+[a-z]*d[a-z]*)\.")


def volume_key_allowed(instance_type: str) -> bool:
    """Whether a job or an endpoint of an instance type may name a key for its volume."""
    return not _LOCAL_STORAGE.match(instance_type)


def volume_key(instance_type: str, kms_key_id: str | None) -> str | None:
    """The key for a job's volume, or None where the instance encrypts its local storage in hardware.

    SageMaker refuses a job that asks for a volume key on an instance type with local storage.
    Source: SageMaker API reference, ResourceConfig and ProcessingClusterConfig, VolumeKmsKeyId.
    """
    return kms_key_id if volume_key_allowed(instance_type) else None
