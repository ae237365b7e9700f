"""Keyed, repeatable replacements for UIDs and patients."""

import hashlib
import hmac
import uuid
from functools import lru_cache
from typing import Final

from pydicom._uid_dict import UID_dictionary

from rayline.plugin import ConfigurationError

MINIMUM_SECRET_BYTES: Final = 16

# Only UIDs that the standard registers (PS3.6 annex A) are well known; a UID under the standard's root that
# it does not register may be an instance's.
_WELL_KNOWN: Final = frozenset(uid.encode("ascii") for uid in UID_dictionary)
_BASE32: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


class Pseudonyms:
    """Maps identifiers under one secret; the same input gives the same output in every process.

    UIDs depend on the secret alone, so that references between sites sharing it stay whole; patients
    depend on the site too, because a PatientID is unique within its issuer only.
    """

    def __init__(self, secret: bytes, site: str) -> None:
        if len(secret) < MINIMUM_SECRET_BYTES:
            raise ConfigurationError(
                f"the de-identification secret is shorter than {MINIMUM_SECRET_BYTES} bytes; "
                "store a random one, e.g. of `openssl rand -hex 32`"
            )
        self._uid_key = _derive(secret, b"uid")
        self._patient_key = _derive(secret, b"patient/" + site.encode("utf-8"))
        self.key_id: Final[str] = _derive(secret, b"key-id").hex()[:16]
        self.uid = lru_cache(maxsize=65_536)(self._uid)

    def _uid(self, uid: bytes) -> bytes:
        """A UID of the form 2.25.<UUID as an integer> (PS3.5 §B.2); well-known and empty ones stay."""
        if not uid or uid in _WELL_KNOWN:
            return uid
        digest = bytearray(hmac.digest(self._uid_key, uid, "sha256")[:16])
        # RFC 9562 §5.8: version 8 is for UUIDs of one's own making.
        digest[6] = digest[6] & 0x0F | 0x80
        digest[8] = digest[8] & 0x3F | 0x80
        return f"2.25.{uuid.UUID(bytes=bytes(digest)).int}".encode("ascii")

    def patient(self, identifier: bytes) -> bytes:
        """A pseudonym of 19 characters for a patient, valid as LO and PN."""
        number = int.from_bytes(hmac.digest(self._patient_key, identifier, "sha256")[:10], "big")
        characters = "".join(_BASE32[number >> shift & 31] for shift in range(75, -1, -5))
        return f"RL-{characters}".encode("ascii")


def _derive(secret: bytes, purpose: bytes) -> bytes:
    return hmac.digest(secret, b"rayline-deid/1/" + purpose, hashlib.sha256)


@lru_cache(maxsize=8)
def pseudonyms_for(secret: bytes, site: str) -> Pseudonyms:
    """The pseudonyms of a site, kept so that a study's UIDs are mapped once.

    Raises:
        ConfigurationError: the secret is too short to be one.
    """
    return Pseudonyms(secret, site)
