"""What a site may ask its intake to mend rather than refuse; every rule is off unless the site profile names it.

A rule changes raw bytes where they are wrong and leaves all others as they came, so pixel data is never touched.
Leading zeros of UIDs are not mended: other instances, which may not come by here, refer to the UIDs as they are.
"""

import re
from codecs import getincrementaldecoder
from collections.abc import Callable, Collection, Iterator, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from rayline.dicom.character_sets import CHARACTER_SETS
from rayline.dicom.content import Content, Piece, Spliced, Stretch
from rayline.dicom.encoding import EXPLICIT_LITTLE, UNDEFINED_LENGTH
from rayline.dicom.header import SPECIFIC_CHARACTER_SET, Header, read_header
from rayline.dicom.instance import Instance
from rayline.dicom.pixel_description import PIXEL_DATA, expected_bytes
from rayline.dicom.reasons import ReasonCode
from rayline.dicom.sop_classes import MODALITY_OF
from rayline.errors import RejectedEvent


class CoercionRule(StrEnum):
    """What may be mended, in this order; each comment is what the rule does."""

    # Native pixel data of odd length gets the byte that PS3.5 §8.2 pads it with, also where only the file lacks it.
    # First, because such a file cannot be read before.
    PIXEL_DATA_PADDING = "pixel_data_padding"
    # MediaStorageSOPClassUID and MediaStorageSOPInstanceUID become those of the data set (PS3.10 §7.1).
    FILE_META_SOP_UIDS = "file_meta_sop_uids"
    # FileMetaInformationGroupLength becomes the length of what follows it (PS3.10 §7.1).
    FILE_META_GROUP_LENGTH = "file_meta_group_length"
    # An absent or empty Modality becomes the one of the SOP class (PS3.3 §C.7.3.1.1.1).
    MODALITY_OF_SOP_CLASS = "modality_of_sop_class"
    # Blanks and NULLs around UIDs of the data set's top level go (PS3.5 §9.1).
    UID_BLANKS = "uid_blanks"
    # A Specific Character Set that is no defined term becomes the one that is meant, else ISO_IR 192 where the
    # text of the header is UTF-8, else ISO_IR 100 (PS3.3 §C.12.1.1.2).
    CHARACTER_SET = "character_set"


def coerce(instance: Instance, rules: Collection[CoercionRule]) -> tuple[Instance, tuple[str, ...]]:
    """Mend an instance before it is screened.

    The intake calls it between fetching and screening, with the site profile's ``intake.coercion``::

        instance, coerced = coerce(instance, profile.intake.coercion)

    and keeps the names with the instance, whose fingerprint stays that of the object as it was received. Screening
    then looks at the mended instance as at any other.

    Returns:
        The instance, and the names of the rules that changed it, in the order of :class:`CoercionRule`; the same
        instance and none where no rule applies, or where it cannot be read.
    """
    fired: list[str] = []
    for rule in CoercionRule:
        if rule not in rules:
            continue
        try:
            source = _MENDERS[rule](instance)
            if source is None:
                continue
            mended = instance.with_content(source)
            _ = mended.header
        except RejectedEvent:
            # What cannot be read, now or then, stays as it came, for screening to say why.
            continue
        instance = mended
        fired.append(rule.value)
    return instance, tuple(fired)


class _Edit(NamedTuple):
    """Bytes that take the place of those from ``start`` to ``end``."""

    start: int
    end: int
    replacement: bytes


def _edited(header: Header, source: Content, edits: Mapping[int, _Edit]) -> Content | None:
    """The source with edits of its top level, by tag, none of which overlap; None where there are none.

    A group length (PS3.5 §7.2, retired) of a group that changes goes, since it would be wrong.
    """
    if not edits:
        return None
    group_lengths = {tag & 0xFFFF0000 for tag in edits} & header.elements.keys()
    stale = {_Edit(header.elements[tag].position, header.elements[tag].end, b"") for tag in group_lengths}
    pieces: list[Piece] = []
    position = 0
    for start, end, replacement in sorted({*edits.values(), *stale}):
        pieces += [Stretch(source, position, start - position), replacement]
        position = end
    pieces.append(Stretch(source, position, source.size - position))
    return Spliced(pieces)


_META_GROUP_LENGTH: Final = 0x00020000
_META_START: Final = 132
_SOP_CLASS_UID: Final = 0x00080016
_SOP_INSTANCE_UID: Final = 0x00080018
_MODALITY: Final = 0x00080060
# SOP Class, SOP Instance, Study Instance, Series Instance and Frame of Reference UID.
_UIDS: Final = (_SOP_CLASS_UID, _SOP_INSTANCE_UID, 0x0020000D, 0x0020000E, 0x00200052)
_BLANKS: Final = b" \t\r\n\0"
_LONGEST_UID_VALUE: Final = 256
# The file meta information's and the data set's tag of each UID that stands in both.
_UIDS_IN_BOTH: Final = {0x00020002: _SOP_CLASS_UID, 0x00020003: _SOP_INSTANCE_UID}


# -- the file meta information ---------------------------------------------------------------------------------


def _file_meta(header: Header, source: Content, changes: Mapping[int, bytes]) -> Content:
    """The source with other values of UIDs in its file meta information, and the group length that goes with it."""
    data = source.read(0, header.meta_end)
    elements = dict(_meta_elements(data, header.meta_end))
    elements.pop(_META_GROUP_LENGTH, None)
    for tag, uid in changes.items():
        elements[tag] = EXPLICIT_LITTLE.write(tag, "UI", uid)
    written = b"".join(elements[tag] for tag in sorted(elements))
    length = EXPLICIT_LITTLE.write(_META_GROUP_LENGTH, "UL", len(written).to_bytes(4, "little"))
    return Spliced(
        [
            data[:_META_START],
            length,
            written,
            Stretch(source, header.meta_end, source.size - header.meta_end),
        ]
    )


def _meta_elements(data: bytes, end: int) -> Iterator[tuple[int, bytes]]:
    position = _META_START
    while position < end:
        tag, _, length, value = EXPLICIT_LITTLE.header(data, position, end)
        yield tag, data[position : value + length]
        position = value + length


def _file_meta_sop_uids(instance: Instance) -> Content | None:
    header = instance.header
    changes = {
        meta_tag: header.text(tag).encode("ascii", "replace")
        for meta_tag, tag in _UIDS_IN_BOTH.items()
        if header.has_value(tag) and header.meta_text(meta_tag) != header.text(tag)
    }
    return _file_meta(header, instance.source, changes) if changes else None


def _file_meta_group_length(instance: Instance) -> Content | None:
    header = instance.header
    mended = _file_meta(header, instance.source, {})
    # The group length comes first and takes 12 bytes.
    right = mended.read(_META_START, 12)
    return None if instance.source.read(_META_START, 12) == right else mended


# -- the data set ----------------------------------------------------------------------------------------------


def _is_editable(header: Header, source: Content) -> bool:
    """Whether the data set stands in the file as it is; a deflated one does not."""
    return header.body is source


def _pixel_data_padding(instance: Instance) -> Content | None:
    source = instance.source
    try:
        header = instance.header
    except RejectedEvent as refused:
        return _with_byte_at_the_end(instance) if refused.reason == ReasonCode.TRUNCATED else None
    element = header.elements.get(PIXEL_DATA)
    if element is None or element.length % 2 == 0 or element.length == UNDEFINED_LENGTH:
        return None
    if not _is_editable(header, source):
        return None
    longer = header.encoding.write_header(PIXEL_DATA, element.vr, element.length + 1)
    value = Stretch(source, element.value, element.length)
    rest = Stretch(source, element.end, source.size - element.end)
    return Spliced([Stretch(source, 0, element.position), longer, value, b"\0", rest])


def _with_byte_at_the_end(instance: Instance) -> Content | None:
    """The source with one more byte, where that is the padding of pixel data that it announces and lacks."""
    source = instance.source
    mended = Spliced([Stretch(source, 0, source.size), b"\0"])
    header = read_header(mended, instance.limits)
    element = header.elements.get(PIXEL_DATA)
    if element is None or element.end != mended.size or element.length == UNDEFINED_LENGTH:
        return None
    # Otherwise the byte would be a pixel's.
    return mended if element.length == expected_bytes(header, PIXEL_DATA) + 1 else None


def _modality_of_sop_class(instance: Instance) -> Content | None:
    header, source = instance.header, instance.source
    modality = MODALITY_OF.get(header.text(_SOP_CLASS_UID))
    if modality is None or header.has_value(_MODALITY) or not _is_editable(header, source):
        return None
    return _edited(header, source, {_MODALITY: _put(header, _MODALITY, "CS", modality.encode("ascii"))})


def _put(header: Header, tag: int, vr: str, value: bytes) -> _Edit:
    """Write an element in place of the one that is there, or where it belongs."""
    written = header.encoding.write(tag, vr, value)
    element = header.elements.get(tag)
    if element is not None:
        return _Edit(element.position, element.end, written)
    following = (each.position for each in header.elements.values() if each.tag > tag)
    place = min(following, default=header.end)
    return _Edit(place, place, written)


def _uid_blanks(instance: Instance) -> Content | None:
    header, source = instance.header, instance.source
    if not _is_editable(header, source):
        return None
    edits = {}
    for tag in _UIDS:
        raw = header.raw(tag, _LONGEST_UID_VALUE)
        uid = raw.strip(_BLANKS)
        # One NULL at the end is the padding of PS3.5 §9.1.
        if uid and raw not in (uid, uid + b"\0") and len(raw) < _LONGEST_UID_VALUE:
            edits[tag] = _put(header, tag, "UI", uid)
    return _edited(header, source, edits)


# -- character sets --------------------------------------------------------------------------------------------

_ISO_IR: Final = re.compile(r"(ISO[ _-]?2022)?[ _-]?(?:ISO)?[ _-]?IR[ _-]?([0-9]{1,3})")
_OTHER_SPELLINGS: Final = {
    "UTF8": "ISO_IR 192",
    "UTF-8": "ISO_IR 192",
    "UTF_8": "ISO_IR 192",
    "ISO_IR 192 UTF-8": "ISO_IR 192",
    "LATIN1": "ISO_IR 100",
    "LATIN-1": "ISO_IR 100",
    "ISO 8859-1": "ISO_IR 100",
    "ISO8859-1": "ISO_IR 100",
    "ISO-8859-1": "ISO_IR 100",
    "ISO_8859-1": "ISO_IR 100",
}
_TEXT_VRS: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_LONGEST_TEXT: Final = 64 * 1024


def _character_set(instance: Instance) -> Content | None:
    header, source = instance.header, instance.source
    terms = header.texts(SPECIFIC_CHARACTER_SET)
    if all(term in CHARACTER_SETS for term in terms) or not _is_editable(header, source):
        return None
    meant = [term if term in CHARACTER_SETS else _meant(term) for term in terms]
    if not all(term in CHARACTER_SETS for term in meant):
        # By the top level alone: a sequence's texts are by whoever wrote the rest.
        texts = (header.raw(tag, _LONGEST_TEXT) for tag in header.elements if header.vr(tag) in _TEXT_VRS)
        meant = ["ISO_IR 192" if all(map(_is_utf_8, texts)) else "ISO_IR 100"]
    term = "\\".join(meant).encode("ascii")
    return _edited(header, source, {SPECIFIC_CHARACTER_SET: _put(header, SPECIFIC_CHARACTER_SET, "CS", term)})


def _meant(term: str) -> str:
    """The defined term that another spelling means, or the term itself."""
    spelled = " ".join(term.upper().split())
    found = _ISO_IR.fullmatch(spelled)
    if found is not None:
        return f"ISO 2022 IR {found[2]}" if found[1] else f"ISO_IR {found[2]}"
    return _OTHER_SPELLINGS.get(spelled, term)


def _is_utf_8(raw: bytes) -> bool:
    try:
        # What is cut off may end within a character.
        getincrementaldecoder("utf_8")().decode(raw)
    except UnicodeDecodeError:
        return False
    return True


_MENDERS: Final[Mapping[CoercionRule, Callable[[Instance], Content | None]]] = {
    CoercionRule.FILE_META_SOP_UIDS: _file_meta_sop_uids,
    CoercionRule.FILE_META_GROUP_LENGTH: _file_meta_group_length,
    CoercionRule.PIXEL_DATA_PADDING: _pixel_data_padding,
    CoercionRule.MODALITY_OF_SOP_CLASS: _modality_of_sop_class,
    CoercionRule.UID_BLANKS: _uid_blanks,
    CoercionRule.CHARACTER_SET: _character_set,
}
