"""De-identify a Part 10 file in one pass over its bytes.

Headers are read and acted on by tag; what stays is copied as it is, so no value that is kept is ever decoded,
and pixel data is copied once. Sequences and items are written with defined lengths.
"""

import zlib
from typing import Final

from rayline.plugin import RejectedEvent
from rayline_deid.encoding import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    ITEM,
    ITEM_END,
    SEQUENCE_END,
    UNDEFINED_LENGTH,
    Encoding,
    malformed,
    truncated,
)
from rayline_deid.profile import (
    CONCEPT_NAME_CODE_SEQUENCE,
    PATIENT_ID,
    PATIENT_NAME,
    SKELETON_KEEPS,
    Action,
    BasicProfile,
    dictionary_vr,
    dummy_value,
)
from rayline_deid.pseudonyms import Pseudonyms

# Written into every file's meta information: PS3.10 §7.1, who wrote the file.
IMPLEMENTATION_CLASS_UID: Final = b"2.25.268613418924935186023184219430187324741"
IMPLEMENTATION_VERSION_NAME: Final = b"RAYLINE_DEID_1"

MAXIMUM_DEPTH: Final = 24
MAXIMUM_INFLATED_BYTES: Final = 96 * 1024 * 1024

_MEDIA_STORAGE_DIRECTORY: Final = b"1.2.840.10008.1.3.10"
_IMPLICIT_SYNTAX: Final = b"1.2.840.10008.1.2"
_BIG_ENDIAN_SYNTAX: Final = b"1.2.840.10008.1.2.2"
_DEFLATED_SYNTAX: Final = b"1.2.840.10008.1.2.1.99"

_SOP_CLASS_UID: Final = 0x00080016
_SOP_INSTANCE_UID: Final = 0x00080018
_PATIENT_BIRTH_DATE: Final = 0x00100030
_PATIENT_IDENTITY_REMOVED: Final = 0x00120062
_METHOD: Final = 0x00120063
_METHOD_CODE_SEQUENCE: Final = 0x00120064
_STUDY_INSTANCE_UID: Final = 0x0020000D
_BURNED_IN_ANNOTATION: Final = 0x00280301
_TEMPORAL_INFORMATION_MODIFIED: Final = 0x00280303
_PIXEL_DATA: Final = 0x7FE00010

_WRITTEN_BY_US: Final = frozenset(
    {_PATIENT_IDENTITY_REMOVED, _METHOD, _METHOD_CODE_SEQUENCE, _TEMPORAL_INFORMATION_MODIFIED}
)
_FACTS: Final = frozenset(
    {
        _SOP_CLASS_UID,
        _SOP_INSTANCE_UID,
        PATIENT_NAME,
        PATIENT_ID,
        _PATIENT_BIRTH_DATE,
        _STUDY_INSTANCE_UID,
        _BURNED_IN_ANNOTATION,
    }
)


def deidentify(content: bytes, profile: BasicProfile, pseudonyms: Pseudonyms) -> bytes:
    """Rewrite a Part 10 file after a profile, in its own transfer syntax.

    Raises:
        RejectedEvent: ``DICOMDIR_REFUSED``, ``BURNED_IN_ANNOTATION``, or the file cannot be read whole
            (``NOT_DICOM``, ``TRUNCATED``, ``MALFORMED``, ``LIMIT_EXCEEDED``).
    """
    syntax, meta_class, meta_instance, start = _read_meta(content)
    if meta_class == _MEDIA_STORAGE_DIRECTORY:
        raise RejectedEvent("DICOMDIR_REFUSED", "a media directory; send the instances that it lists")
    encoding = {_IMPLICIT_SYNTAX: IMPLICIT_LITTLE, _BIG_ENDIAN_SYNTAX: EXPLICIT_BIG}.get(
        syntax, EXPLICIT_LITTLE
    )
    if syntax == _DEFLATED_SYNTAX:
        content, start = _inflate(content[start:]), 0
    rewriter = _Rewriter(content, profile, pseudonyms)
    facts = rewriter.facts(start, encoding)
    if facts.get(_BURNED_IN_ANNOTATION, b"").upper() == b"YES":
        raise RejectedEvent(
            "BURNED_IN_ANNOTATION", "the pixels show text, and this profile cleans headers only"
        )
    body = rewriter.data_set(start, encoding, facts)
    sop_class = facts.get(_SOP_CLASS_UID) or meta_class
    sop_instance = pseudonyms.uid(facts.get(_SOP_INSTANCE_UID) or meta_instance)
    meta = _write_meta(syntax, sop_class, sop_instance)
    if syntax == _DEFLATED_SYNTAX:
        compressor = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
        deflated = compressor.compress(b"".join(body)) + compressor.flush()
        body = [deflated, b"\0" * (len(deflated) & 1)]
    return b"".join([meta, *body])


def _read_meta(content: bytes) -> tuple[bytes, bytes, bytes, int]:
    if content[128:132] != b"DICM":
        raise RejectedEvent("NOT_DICOM", "the prefix DICM is not at byte 128")
    position, end = 132, len(content)
    values: dict[int, bytes] = {}
    while position + 8 <= end and content[position : position + 2] == b"\x02\x00":
        tag, _, length, value = EXPLICIT_LITTLE.header(content, position, end)
        position = value + length
        if position > end:
            raise truncated()
        values[tag] = content[value:position].rstrip(b"\0 ")
    syntax = values.get(0x00020010, b"")
    if not syntax:
        raise malformed("the file meta information has no transfer syntax UID")
    return syntax, values.get(0x00020002, b""), values.get(0x00020003, b""), position


def _write_meta(syntax: bytes, sop_class: bytes, sop_instance: bytes) -> bytes:
    write = EXPLICIT_LITTLE.write
    elements = b"".join(
        (
            write(0x00020001, "OB", b"\0\1"),
            write(0x00020002, "UI", sop_class),
            write(0x00020003, "UI", sop_instance),
            write(0x00020010, "UI", syntax),
            write(0x00020012, "UI", IMPLEMENTATION_CLASS_UID),
            write(0x00020013, "SH", IMPLEMENTATION_VERSION_NAME),
        )
    )
    return bytes(128) + b"DICM" + write(0x00020000, "UL", len(elements).to_bytes(4, "little")) + elements


def _inflate(deflated: bytes) -> bytes:
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = decompressor.decompress(deflated, MAXIMUM_INFLATED_BYTES + 1)
    except zlib.error:
        raise malformed("the deflated data set cannot be inflated") from None
    if len(inflated) > MAXIMUM_INFLATED_BYTES:
        raise RejectedEvent(
            "LIMIT_EXCEEDED", f"the data set inflates to more than {MAXIMUM_INFLATED_BYTES} bytes"
        )
    if not decompressor.eof:
        raise truncated()
    return inflated


Pieces = list[bytes | memoryview]


class _Rewriter:
    def __init__(self, data: bytes, profile: BasicProfile, pseudonyms: Pseudonyms) -> None:
        self._data = data
        self._view = memoryview(data)
        self._action = profile.action
        self._profile = profile
        self._pseudonyms = pseudonyms
        self._patient = b""
        self._pending: list[tuple[int, bytes]] = []

    def facts(self, position: int, encoding: Encoding) -> dict[int, bytes]:
        """Top-level values that decisions need before their element is reached."""
        data, end = self._data, len(self._data)
        found: dict[int, bytes] = {}
        while position < end and not self._is_padding(position, end):
            tag, vr, length, value = encoding.header(data, position, end)
            if tag > _BURNED_IN_ANNOTATION:
                break
            if length == UNDEFINED_LENGTH:
                position = self._skip_undefined(vr, value, end, encoding)
                continue
            position = value + length
            if position > end:
                raise truncated()
            if tag in _FACTS:
                found[tag] = data[value:position].strip(b"\0 ")
        return found

    def data_set(self, position: int, encoding: Encoding, facts: dict[int, bytes]) -> Pieces:
        """The rewritten data set, in pieces that may refer to the original bytes."""
        name, birth_date = facts.get(PATIENT_NAME, b""), facts.get(_PATIENT_BIRTH_DATE, b"")
        # Patients without an id must not become one patient.
        identifier = facts.get(PATIENT_ID) or (name and name + b"\0" + birth_date)
        self._patient = self._pseudonyms.patient(identifier or b"\0" + facts.get(_STUDY_INSTANCE_UID, b""))
        write = encoding.write
        code = b"".join(
            (
                write(0x00080100, "SH", b"113100"),
                write(0x00080102, "SH", b"DCM"),
                write(0x00080104, "LO", b"Basic Application Confidentiality Profile"),
            )
        )
        self._pending = [
            # Reversed, to be popped in the order of their tags.
            (_TEMPORAL_INFORMATION_MODIFIED, write(_TEMPORAL_INFORMATION_MODIFIED, "CS", b"REMOVED")),
            (_METHOD_CODE_SEQUENCE, write(_METHOD_CODE_SEQUENCE, "SQ", encoding.write_item(code))),
            (_METHOD, write(_METHOD, "LO", b"rayline_deid 1: PS3.15 basic profile, 2026c")),
            (_PATIENT_IDENTITY_REMOVED, write(_PATIENT_IDENTITY_REMOVED, "CS", b"YES")),
        ]
        out: Pieces = []
        self._elements(position, len(self._data), encoding, out, depth=0, delimited=False, skeleton=False)
        while self._pending:
            out.append(self._pending.pop()[1])
        return out

    def _is_padding(self, position: int, end: int) -> bool:
        """Whether only zero bytes follow: some writers fill the last block."""
        data = self._data
        if data[position] or data[position : position + 8].strip(b"\0"):
            return False
        return not data[position:end].strip(b"\0")

    def _elements(
        self,
        position: int,
        end: int,
        encoding: Encoding,
        out: Pieces,
        *,
        depth: int,
        delimited: bool,
        skeleton: bool,
    ) -> int:
        """Rewrite elements up to ``end`` or the item's delimiter; returns where reading stopped."""
        data, view, header, action_of = self._data, self._view, encoding.header, self._action
        pending = self._pending if depth == 0 else []
        run = position  # where the stretch that stays as it is began
        while position < end:
            if depth == 0 and self._is_padding(position, end):
                break
            tag, vr, length, value = header(data, position, end)
            if pending and tag > pending[-1][0]:
                out.append(view[run:position])
                run = position
                while pending and tag > pending[-1][0]:
                    out.append(pending.pop()[1])
            action = action_of(tag)
            if skeleton:
                action = self._in_skeleton(tag, vr, action)
            if action is Action.KEEP and length != UNDEFINED_LENGTH and vr != b"SQ":
                position = value + length
                if position > end:
                    raise truncated()
                continue
            if delimited and tag == ITEM_END:
                out.append(view[run:position])
                return value
            if tag >> 16 == 0xFFFE:
                raise malformed("an item or delimiter stands outside a sequence")
            if depth == 0 and tag in _WRITTEN_BY_US:
                action = Action.REMOVE
            out.append(view[run:position])
            position = self._element(tag, vr, length, value, end, encoding, action, out, depth)
            run = position
        if delimited:
            raise truncated()
        out.append(view[run:position])
        return position

    def _in_skeleton(self, tag: int, vr: bytes, action: Action) -> Action:
        if action is Action.SEQUENCE and tag != CONCEPT_NAME_CODE_SEQUENCE:
            return Action.SKELETON
        if action is not Action.KEEP:
            return action
        kind = vr.decode("ascii") if vr and vr != b"UN" else dictionary_vr(tag)
        return Action.KEEP if kind in SKELETON_KEEPS or kind == "UI" else Action.DUMMY

    def _element(
        self,
        tag: int,
        vr: bytes,
        length: int,
        value: int,
        bound: int,
        encoding: Encoding,
        action: Action,
        out: Pieces,
        depth: int,
    ) -> int:
        """Write what becomes of one element that does not simply stay; returns where the next one begins."""
        is_sequence = vr == b"SQ" or (length == UNDEFINED_LENGTH and vr in (b"", b"UN"))
        if action is Action.KEEP and is_sequence:
            action = Action.SEQUENCE
        if action in (Action.SEQUENCE, Action.SKELETON) and vr in (b"SQ", b"UN", b""):
            return self._sequence(
                tag, vr, length, value, bound, encoding, out, depth, skeleton=action is Action.SKELETON
            )
        if length == UNDEFINED_LENGTH:
            position = self._skip_undefined(vr, value, bound, encoding)
            if action is Action.KEEP and tag == _PIXEL_DATA:
                out.append(encoding.write_header(tag, vr, UNDEFINED_LENGTH))
                out.append(self._view[value:position])
            elif action is Action.EMPTY:
                out.append(encoding.write_header(tag, vr, 0))
            return position
        position = value + length
        if position > bound:
            raise truncated()
        if action is Action.EMPTY or (is_sequence and action is Action.DUMMY):
            out.append(encoding.write_header(tag, vr, 0))
        elif action is Action.DUMMY:
            kind = vr.decode("ascii") if vr and vr != b"UN" else dictionary_vr(tag)
            out.append(
                encoding.write(tag, kind, dummy_value(kind)) if length else encoding.write_header(tag, vr, 0)
            )
        elif action is Action.UID and not is_sequence:
            uids = self._data[value:position].split(b"\\")
            mapped = b"\\".join(self._pseudonyms.uid(uid.strip(b"\0 ")) for uid in uids)
            out.append(encoding.write(tag, "UI", mapped))
        elif action is Action.PATIENT and not is_sequence:
            out.append(self._patient_element(tag, encoding, self._data[value:position].strip(b"\0 "), depth))
        return position

    def _patient_element(self, tag: int, encoding: Encoding, original: bytes, depth: int) -> bytes:
        if depth == 0:
            pseudonym = self._patient if original or tag == PATIENT_ID else b""
        else:
            # A patient named inside a sequence may be another one, e.g. a donor.
            pseudonym = self._pseudonyms.patient(original) if original and tag == PATIENT_ID else b""
        return encoding.write(tag, "LO" if tag == PATIENT_ID else "PN", pseudonym)

    def _sequence(
        self,
        tag: int,
        vr: bytes,
        length: int,
        value: int,
        bound: int,
        encoding: Encoding,
        out: Pieces,
        depth: int,
        *,
        skeleton: bool,
    ) -> int:
        if depth >= MAXIMUM_DEPTH:
            raise RejectedEvent("LIMIT_EXCEEDED", f"sequences are nested deeper than {MAXIMUM_DEPTH}")
        delimited = length == UNDEFINED_LENGTH
        end = bound if delimited else value + length
        if end > bound:
            raise truncated()
        # PS3.5 §6.2.2: what UN hides is in implicit VR little endian, whatever surrounds it.
        inner = IMPLICIT_LITTLE if vr == b"UN" else encoding
        pieces: Pieces = []
        try:
            position = self._items(value, end, inner, pieces, depth, delimited=delimited, skeleton=skeleton)
        except RejectedEvent as refusal:
            if vr != b"UN" or delimited or refusal.reason == "LIMIT_EXCEEDED":
                raise
            # Not a sequence after all, so nothing is known about it: it goes.
            return end
        body = b"".join(pieces)
        out.append(encoding.write_header(tag, vr, len(body)))
        out.append(body)
        return position

    def _items(
        self,
        position: int,
        end: int,
        encoding: Encoding,
        out: Pieces,
        depth: int,
        *,
        delimited: bool,
        skeleton: bool,
    ) -> int:
        while position < end:
            tag, length, content = encoding.item(self._data, position, end)
            if delimited and tag == SEQUENCE_END:
                return content
            if tag != ITEM:
                raise malformed("a sequence holds something that is not an item")
            pieces: Pieces = []
            item_delimited = length == UNDEFINED_LENGTH
            item_end = end if item_delimited else content + length
            if item_end > end:
                raise truncated()
            position = self._elements(
                content,
                item_end,
                encoding,
                pieces,
                depth=depth + 1,
                delimited=item_delimited,
                skeleton=skeleton,
            )
            out.append(encoding.write_item(b"".join(pieces)))
        if delimited:
            raise truncated()
        return position

    def _skip_undefined(self, vr: bytes, value: int, bound: int, encoding: Encoding) -> int:
        """Where the element after one of undefined length begins."""
        if vr not in (b"OB", b"OW"):
            inner = IMPLICIT_LITTLE if vr == b"UN" else encoding
            return self._items(value, bound, inner, [], 1, delimited=True, skeleton=False)
        position = value
        while True:
            tag, length, content = encoding.item(self._data, position, bound)
            if tag == SEQUENCE_END:
                return content
            if tag != ITEM or length == UNDEFINED_LENGTH:
                raise malformed("encapsulated pixel data holds something that is not a fragment")
            position = content + length
            if position > bound:
                raise truncated()
