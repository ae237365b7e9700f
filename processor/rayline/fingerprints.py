"""What tells received contents apart without reading large ones: SHA-256, or above 64 MB what S3 knows of them.

Source: Amazon S3 user guide, "Checking object integrity for data uploads"; API reference, "HeadObject".
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rayline.dicom.content import Content

#: Contents up to this size are hashed.
HASHED_BYTES: Final = 64 * 1000**2
SHA_256: Final = "SHA-256"
ETAG: Final = "ETag"

_BLOCK_BYTES = 4 * 1024 * 1024
# Of 64 bits or more. A CRC-32 proves that contents differ, but not that they are the same: the ETag is taken then.
_S3_CHECKSUMS: Final = ("SHA512", "SHA256", "SHA1", "XXHASH128", "MD5", "CRC64NVME", "XXHASH64", "XXHASH3")


@dataclass(frozen=True)
class Fingerprint:
    """What a content is recognized by.

    Two that are equal stand for the same content. Two that differ count as different contents, though nothing is known
    where their algorithms differ: what is large comes with whatever checksum its sender chose.

    Attributes:
        algorithm: ``SHA-256``, S3's name of its checksum, or ``ETag``.
        value: hex of SHA-256, else as S3 tells it; a checksum of the parts' checksums ends in ``-`` and their number.
    """

    algorithm: str
    value: str
    size_bytes: int

    def fields(self) -> dict[str, Any]:
        """As the ledger records it."""
        if self.algorithm == SHA_256:
            return {"content_sha256": self.value, "size_bytes": self.size_bytes}
        return {
            "content_checksum": self.value,
            "content_checksum_algorithm": self.algorithm,
            "size_bytes": self.size_bytes,
        }

    def is_of(self, item: Mapping[str, Any]) -> bool:
        """Whether an item of the ledger records the same content."""
        if self.algorithm == SHA_256:
            return item.get("content_sha256") == self.value
        return all(item.get(name) == value for name, value in self.fields().items())


#: Of what has no bytes.
NO_CONTENT: Final = Fingerprint(SHA_256, hashlib.sha256().hexdigest(), 0)


def fingerprint(content: Content, head: Mapping[str, Any]) -> Fingerprint:
    """The fingerprint of an object; it is read only where it is small enough to be hashed and S3 has no SHA-256.

    Args:
        head: what S3 says of the object: the answer of HeadObject with its checksum mode on, or of GetObject.
    """
    sha256 = head.get("ChecksumSHA256", "")
    if sha256 and "-" not in sha256:
        return Fingerprint(SHA_256, base64.b64decode(sha256).hex(), content.size)
    if content.size <= HASHED_BYTES:
        return Fingerprint(SHA_256, sha256_of(content), content.size)
    for algorithm in _S3_CHECKSUMS:
        if value := head.get(f"Checksum{algorithm}"):
            return Fingerprint(algorithm, value, content.size)
    return Fingerprint(ETAG, head["ETag"].strip('"'), content.size)


def sha256_of(content: Content) -> str:
    """Hex SHA-256 of a content, read by blocks."""
    digest = hashlib.sha256()
    for start in range(0, content.size, _BLOCK_BYTES):
        digest.update(content.read(start, _BLOCK_BYTES))
    return digest.hexdigest()
