"""What tells contents apart, and what is not trusted to."""

import base64
import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayline.dicom.content import Content, InMemory
from rayline.fingerprints import HASHED_BYTES, NO_CONTENT, SHA_256, Fingerprint, fingerprint

SHA256 = base64.b64encode(hashlib.sha256(b"content").digest()).decode()


class Unread(Content):
    """A content that nobody may read."""

    def __init__(self, size: int) -> None:
        self.size = size

    def read(self, start: int, length: int) -> bytes:
        raise AssertionError("it is too large to be read")


@given(st.binary(max_size=300))
def test_what_is_small_is_known_by_its_sha256(content: bytes) -> None:
    found = fingerprint(InMemory(content), {"ETag": '"e"'})
    assert found.fields() == {
        "content_sha256": hashlib.sha256(content).hexdigest(),
        "size_bytes": len(content),
    }
    assert (found == NO_CONTENT) == (content == b"")


@pytest.mark.parametrize("size", [7, HASHED_BYTES + 1])
def test_a_sha256_that_s3_has_checked_is_not_made_again(size: int) -> None:
    found = fingerprint(Unread(size), {"ETag": '"e"', "ChecksumSHA256": SHA256})
    assert found == Fingerprint(SHA_256, hashlib.sha256(b"content").hexdigest(), size)


@pytest.mark.parametrize(
    ("head", "algorithm", "value"),
    [
        ({"ChecksumCRC64NVME": "abc="}, "CRC64NVME", "abc="),
        ({"ChecksumSHA256": f"{SHA256}-3"}, "SHA256", f"{SHA256}-3"),
        ({"ChecksumCRC32": "abc="}, "ETag", "e"),
        ({"ChecksumCRC32C": "abc=", "ChecksumSHA1": "def="}, "SHA1", "def="),
        ({}, "ETag", "e"),
    ],
    ids=["64 bits", "of the parts", "32 bits are too few", "the longer", "none"],
)
def test_what_is_large_is_known_by_what_s3_knows_of_it(
    head: dict[str, Any], algorithm: str, value: str
) -> None:
    found = fingerprint(Unread(HASHED_BYTES + 1), {"ETag": '"e"', **head})
    assert found == Fingerprint(algorithm, value, HASHED_BYTES + 1)
    assert found.fields() == {
        "content_checksum": value,
        "content_checksum_algorithm": algorithm,
        "size_bytes": HASHED_BYTES + 1,
    }


FINGERPRINTS = st.builds(
    Fingerprint,
    st.sampled_from([SHA_256, "CRC64NVME", "SHA256", "ETag"]),
    st.sampled_from(["a", "b"]),
    st.sampled_from([1, 2]),
)


@given(FINGERPRINTS, FINGERPRINTS)
def test_only_equal_fingerprints_stand_for_the_same_content(one: Fingerprint, other: Fingerprint) -> None:
    same = one.is_of({"instance_id": "x", **other.fields()})
    # SHA-256 says it all, and holds of a UID that were recorded before sizes were have it alone.
    assert same == (
        one == other or (one.algorithm == other.algorithm == SHA_256 and one.value == other.value)
    )


def test_a_hold_from_before_sizes_were_recorded_is_known() -> None:
    assert Fingerprint(SHA_256, "a", 7).is_of({"content_sha256": "a"})
    assert not Fingerprint("ETag", "a", 7).is_of({"content_checksum": "a"})
