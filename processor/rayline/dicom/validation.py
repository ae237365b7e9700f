"""The built-in screening: is this a whole instance of an accepted class that HealthImaging can import?"""

import re
from typing import Final

from rayline.dicom.dictionary import keyword_of
from rayline.dicom.header import Header
from rayline.dicom.instance import Instance
from rayline.dicom.mandatory import missing
from rayline.dicom.pixel_description import PIXEL_DATA_TAGS, check_pixels
from rayline.dicom.reasons import ReasonCode
from rayline.dicom.sop_classes import (
    BUILT_IN,
    IMPORTABLE_TRANSFER_SYNTAXES,
    MEDIA_STORAGE_DIRECTORY,
    SOP_CLASSES_WITH_PIXELS,
    Accepted,
)
from rayline.errors import RejectedEvent
from rayline.plugin import Rejection

# PS3.5 §9.1: components without leading zeros, 64 characters in all. Archives hold UIDs with leading zeros in
# number, and they stay unique, so only what cannot be an object identifier is refused.
_UID: Final = re.compile(r"[0-2](\.[0-9]+)+")
_UID_LENGTH: Final = 64

_MEDIA_STORAGE_SOP_CLASS_UID: Final = 0x00020002
_MEDIA_STORAGE_SOP_INSTANCE_UID: Final = 0x00020003
_SOP_CLASS_UID: Final = 0x00080016
_SOP_INSTANCE_UID: Final = 0x00080018
_MODALITY: Final = 0x00080060
_STUDY_INSTANCE_UID: Final = 0x0020000D
_SERIES_INSTANCE_UID: Final = 0x0020000E


def screen(instance: Instance, accepted: Accepted = BUILT_IN) -> Rejection | None:
    """Decide whether the intake takes an instance, by its header alone.

    Returns:
        None to take it, or the rejection, whose reason is a :class:`ReasonCode`.
    """
    try:
        check(instance.header, accepted)
    except RejectedEvent as refusal:
        return Rejection(refusal.reason, refusal.explanation)
    return None


def check(header: Header, accepted: Accepted = BUILT_IN) -> None:
    """Check a header that could be read.

    An unknown Specific Character Set is no reason to refuse: it decides how text is shown, and no element's place,
    so what has to be removed is (PS3.3 §C.12.1.1.2 has defined terms, which others may add to).

    Raises:
        RejectedEvent: the instance is not taken; the reason is a :class:`ReasonCode`.
    """
    sop_class = header.text(_SOP_CLASS_UID) or header.meta_text(_MEDIA_STORAGE_SOP_CLASS_UID)
    if sop_class == MEDIA_STORAGE_DIRECTORY:
        raise _refuse(ReasonCode.DICOMDIR_REFUSED, "a media directory; send the instances that it lists")
    # PS3.3 §C.12.1, §C.7.2.1 and §C.7.3.1: type 1 in every instance.
    _require(header, _SOP_CLASS_UID)
    if sop_class not in accepted.sop_classes:
        raise _refuse(ReasonCode.SOP_CLASS_NOT_ALLOWED, "the SOP class is not one that this intake accepts")
    for tag in (_SOP_INSTANCE_UID, _STUDY_INSTANCE_UID, _SERIES_INSTANCE_UID):
        _require(header, tag)
        uid = header.text(tag)
        if len(uid) > _UID_LENGTH or not _UID.fullmatch(uid):
            raise _refuse(ReasonCode.INVALID_UID, f"{keyword_of(tag)} is not a UID (PS3.5 section 9.1)")
    for tag, meta_tag in (
        (_SOP_INSTANCE_UID, _MEDIA_STORAGE_SOP_INSTANCE_UID),
        (_SOP_CLASS_UID, _MEDIA_STORAGE_SOP_CLASS_UID),
    ):
        announced = header.meta_text(meta_tag)
        if announced and announced != header.text(tag):
            raise _refuse(
                ReasonCode.INVALID_UID,
                f"file meta information and data set disagree on {keyword_of(tag)} (PS3.10 section 7.1)",
            )
    _require(header, _MODALITY)
    if header.text(_MODALITY) not in accepted.modalities:
        raise _refuse(ReasonCode.MODALITY_NOT_ALLOWED, "the modality is not one that this intake accepts")
    if header.transfer_syntax_uid not in IMPORTABLE_TRANSFER_SYNTAXES:
        raise _refuse(
            ReasonCode.TRANSFER_SYNTAX_NOT_SUPPORTED, "HealthImaging does not import this transfer syntax"
        )
    for keyword, section in missing(sop_class, header.has_value):
        raise _refuse(ReasonCode.MISSING_ATTRIBUTE, f"{keyword} is absent or empty (PS3.3 {section})")
    if sop_class in SOP_CLASSES_WITH_PIXELS or any(tag in header for tag in PIXEL_DATA_TAGS):
        check_pixels(header)


def _refuse(reason: ReasonCode, explanation: str) -> RejectedEvent:
    return RejectedEvent(reason.value, explanation)


def _require(header: Header, tag: int) -> None:
    if not header.has_value(tag):
        raise _refuse(ReasonCode.MISSING_ATTRIBUTE, f"{keyword_of(tag)} is absent or empty")
