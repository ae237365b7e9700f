"""A volume key is asked for exactly where SageMaker takes one."""

import pytest

from rayline_training.volumes import volume_key

# Source: Amazon EC2 user guide, "Instance store volumes" (the families that have one, and some that have none).
WITH_LOCAL_STORAGE = [
    "ml.g4dn.xlarge",
    "ml.g5.xlarge",
    "ml.g6.2xlarge",
    "ml.p4d.24xlarge",
    "ml.m5d.large",
    "ml.c6gd.large",
]
WITHOUT = ["ml.m5.xlarge", "ml.c5.large", "ml.r5.4xlarge", "ml.p3.2xlarge", "ml.t3.medium", "ml.m7i.large"]


@pytest.mark.parametrize("instance_type", WITH_LOCAL_STORAGE)
def test_local_storage_gets_no_volume_key(instance_type: str) -> None:
    assert volume_key(instance_type, "key") is None


@pytest.mark.parametrize("instance_type", WITHOUT)
def test_ebs_volumes_get_the_key(instance_type: str) -> None:
    assert volume_key(instance_type, "key") == "key"
