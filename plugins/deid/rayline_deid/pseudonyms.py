"""Keyed, repeatable replacements for UIDs, patients and identifiers.

Each replacement carries a seal that only the holder of the secret can make. What is sealed already is left as it
is, so that de-identifying twice is the same as de-identifying once.
"""

import copy
import hashlib
import hmac
import re
from functools import lru_cache
from typing import Final

from rayline.plugin import ConfigurationError, dictionary

MINIMUM_SECRET_BYTES: Final = 16
DEFAULT_UID_ROOT: Final = "2.25"
DEFAULT_PATIENT_PREFIX: Final = "RL-"
#: Leaves 31 digits of the 64 characters that a UID may have (PS3.5 §9.1), enough for 64 bits and a seal.
LONGEST_UID_ROOT: Final = 32

# Only UIDs that the standard registers (PS3.6 annex A) are well known; a UID under the standard's root that
# it does not register may be an instance's.
_WELL_KNOWN: Final = frozenset(uid.encode("ascii") for uid in dictionary.REGISTERED_UIDS)

_BASE32: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_PATIENT: Final = re.compile(rb"[A-Z0-9_-]{0,16}([A-Z2-7]{20})")
_HASH: Final = re.compile(rb"[A-Z2-7]{16}")
# Characters of the seal: 35 bits of a patient's pseudonym, 25 of a hash, which has to fit into 16 characters.
_PATIENT_SEAL: Final = 7
_HASH_SEAL: Final = 5
_UUID_BYTES: Final = 16


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
        self._hash_key = _derive(secret, b"hash/" + site.encode("utf-8"))
        self._shift_key = _derive(secret, b"shift/" + site.encode("utf-8"))
        self.key_id: Final[str] = _derive(secret, b"key-id").hex()[:16]
        self._set(DEFAULT_UID_ROOT, DEFAULT_PATIENT_PREFIX)

    def _set(self, uid_root: str, patient_prefix: str) -> None:
        self._root = uid_root.encode("ascii") + b"."
        self._is_uuid = uid_root == DEFAULT_UID_ROOT
        digits = 64 - len(self._root)
        self._uid_bytes = min(_UUID_BYTES, (10**digits).bit_length() // 8)
        # Others make UIDs under 2.25 too, which must not be taken for ours.
        self._uid_seal_bytes = 5 if self._is_uuid else 4
        self._prefix = patient_prefix.encode("ascii")
        # The files of a patient, and of a study, come in long rows.
        self.uid = lru_cache(maxsize=65_536)(self._uid)
        self.patient = lru_cache(maxsize=8_192)(self._patient)
        self.shift_days = lru_cache(maxsize=8_192)(self._shift_days)
        self.under = lru_cache(maxsize=8)(self._under)

    def _under(self, uid_root: str, patient_prefix: str) -> "Pseudonyms":
        """The same mapping under another UID root (at most 32 characters) and prefix of patients."""
        other = copy.copy(self)
        other._set(uid_root, patient_prefix)
        return other

    def _uid(self, uid: bytes) -> bytes:
        """A UID root.<integer>, that of a UUID under 2.25 (PS3.5 §B.2); well-known ones and our own stay."""
        if not uid or uid in _WELL_KNOWN or self.is_uid(uid):
            return uid
        head = bytearray(hmac.digest(self._uid_key, uid, "sha256")[: self._uid_bytes - self._uid_seal_bytes])
        if self._is_uuid:
            # RFC 9562 §5.8: version 8 is for UUIDs of one's own making.
            head[6] = head[6] & 0x0F | 0x80
            head[8] = head[8] & 0x3F | 0x80
        number = int.from_bytes(bytes(head) + self._uid_seal(bytes(head)), "big")
        return self._root + str(number).encode("ascii")

    def _uid_seal(self, head: bytes) -> bytes:
        return hmac.digest(self._uid_key, b"seal\0" + head, "sha256")[: self._uid_seal_bytes]

    def is_uid(self, uid: bytes) -> bool:
        """Whether we made a UID, under this root and secret."""
        number = uid[len(self._root) :]
        if not uid.startswith(self._root) or not number.isdigit() or len(number) > 39 or number[:1] == b"0":
            return False
        value = int(number)
        if value >> 8 * self._uid_bytes:
            return False
        made = value.to_bytes(self._uid_bytes, "big")
        head, seal = made[: -self._uid_seal_bytes], made[-self._uid_seal_bytes :]
        return hmac.compare_digest(seal, self._uid_seal(head))

    def _patient(self, identifier: bytes) -> bytes:
        """A pseudonym for a patient, the prefix and 20 characters, valid as LO and PN."""
        if self.is_patient(identifier):
            return identifier
        return self._prefix + _sealed(self._patient_key, identifier, 20, _PATIENT_SEAL)

    def is_patient(self, identifier: bytes) -> bool:
        """Whether we made a patient's pseudonym, for this site and secret."""
        found = _PATIENT.fullmatch(identifier)
        return found is not None and _is_sealed(self._patient_key, found[1], _PATIENT_SEAL)

    def hash(self, identifier: bytes) -> bytes:
        """16 characters in place of an identifier, valid for every VR of text."""
        if _HASH.fullmatch(identifier) and _is_sealed(self._hash_key, identifier, _HASH_SEAL):
            return identifier
        return _sealed(self._hash_key, identifier, 16, _HASH_SEAL)

    def _shift_days(self, patient: bytes, first: int, last: int) -> int:
        """Days to add to a patient's dates, from ``first`` to ``last`` but never 0."""
        without_zero = last - first + (0 if first <= 0 <= last else 1)
        drawn = int.from_bytes(hmac.digest(self._shift_key, patient, "sha256")[:16], "big") % without_zero
        return first + drawn + (1 if first <= 0 <= first + drawn else 0)


def _derive(secret: bytes, purpose: bytes) -> bytes:
    return hmac.digest(secret, b"rayline-deid/2/" + purpose, hashlib.sha256)


def _base32(digest: bytes, characters: int) -> bytes:
    number = int.from_bytes(digest, "big")
    return "".join(_BASE32[number >> 5 * place & 31] for place in range(characters)).encode("ascii")


def _sealed(key: bytes, identifier: bytes, characters: int, seal: int) -> bytes:
    head = _base32(hmac.digest(key, identifier, "sha256"), characters - seal)
    return head + _seal(key, head, seal)


def _seal(key: bytes, head: bytes, seal: int) -> bytes:
    return _base32(hmac.digest(key, b"seal\0" + head, "sha256"), seal)


def _is_sealed(key: bytes, sealed: bytes, seal: int) -> bool:
    return hmac.compare_digest(_seal(key, sealed[:-seal], seal), sealed[-seal:])


@lru_cache(maxsize=8)
def pseudonyms_for(secret: bytes, site: str) -> Pseudonyms:
    """The pseudonyms of a site, kept so that a study's UIDs are mapped once.

    Raises:
        ConfigurationError: the secret is too short to be one.
    """
    return Pseudonyms(secret, site)
