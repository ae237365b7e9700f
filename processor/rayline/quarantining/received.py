"""Keys by which quarantine groups what belongs together: keyed hashes of the UIDs as they were received."""

from typing import Final

from rayline.dicom.content import Content
from rayline.dicom.dictionary import TAG_OF
from rayline.hashing import KeyedHash
from rayline.quarantining.dump import dump_header, tag_text

#: Digits of a key: enough to tell a site's studies apart, and to be typed.
KEY_DIGITS: Final = 16

_STUDY: Final = tag_text(TAG_OF["StudyInstanceUID"])
_SERIES: Final = tag_text(TAG_OF["SeriesInstanceUID"])
# Both UIDs stand in group 0020, after a few hundred elements at most.
_ELEMENTS, _READS = 2_000, 8


def study_key(study_instance_uid: str, keyed_hash: KeyedHash) -> str:
    """The key of a received Study Instance UID, empty where there is none."""
    return _key("received study", study_instance_uid, keyed_hash)


def series_key(series_instance_uid: str, keyed_hash: KeyedHash) -> str:
    """The key of a received Series Instance UID, empty where there is none."""
    return _key("received series", series_instance_uid, keyed_hash)


def _key(kind: str, uid: str, keyed_hash: KeyedHash) -> str:
    return keyed_hash.of(kind, uid)[:KEY_DIGITS] if uid else ""


def received_keys(content: Content, keyed_hash: KeyedHash) -> tuple[str, str]:
    """The keys of the study and series of whatever was refused, as far as it can be read; empty where it cannot."""
    dump = dump_header(content, phi=True, elements=_ELEMENTS, reads=_READS)
    found = {each.tag: each.value or "" for each in reversed(dump.elements) if each.depth == 0}
    return study_key(found.get(_STUDY, ""), keyed_hash), series_key(found.get(_SERIES, ""), keyed_hash)
