"""Part 10 files written byte by byte after PS3.5 §7, so that no code under test helps to build its own input."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"

LONG_FORM = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}


@dataclass(frozen=True)
class Element:
    """A data element; ``value`` is bytes as they are written, or a list of items (lists of elements)."""

    tag: int
    vr: str
    value: bytes | Sequence[Sequence["Element"]]


@dataclass(frozen=True)
class Writer:
    """Encodes elements in one transfer syntax.

    Attributes:
        undefined: write sequences and items with undefined lengths and delimiters.
    """

    transfer_syntax: str = EXPLICIT_LITTLE
    undefined: bool = False

    @property
    def order(self) -> str:
        return ">" if self.transfer_syntax == EXPLICIT_BIG else "<"

    def element(self, element: Element, implicit: bool | None = None) -> bytes:
        if implicit is None:
            implicit = self.transfer_syntax == IMPLICIT_LITTLE
        length = None
        if isinstance(element.value, bytes):
            value = element.value + b"\0" * (len(element.value) & 1)
        else:
            # PS3.5 §6.2.2: a sequence inside UN is in implicit VR.
            inner = implicit or element.vr == "UN"
            value = b"".join(self._item(item, inner) for item in element.value)
            if self.undefined:
                value += struct.pack(self.order + "HHL", 0xFFFE, 0xE0DD, 0)
                length = 0xFFFFFFFF
        length = len(value) if length is None else length
        tag = struct.pack(self.order + "HH", element.tag >> 16, element.tag & 0xFFFF)
        if implicit:
            return tag + struct.pack(self.order + "L", length) + value
        vr = element.vr.encode()
        if element.vr in LONG_FORM:
            return tag + vr + b"\0\0" + struct.pack(self.order + "L", length) + value
        return tag + vr + struct.pack(self.order + "H", length) + value

    def _item(self, item: Sequence[Element], implicit: bool) -> bytes:
        content = b"".join(self.element(each, implicit) for each in sorted(item, key=lambda each: each.tag))
        if self.undefined:
            return (
                struct.pack(self.order + "HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
                + content
                + struct.pack(self.order + "HHL", 0xFFFE, 0xE00D, 0)
            )
        return struct.pack(self.order + "HHL", 0xFFFE, 0xE000, len(content)) + content

    def file(
        self,
        elements: Sequence[Element],
        *,
        preamble: bytes = bytes(128),
        meta: Sequence[Element] = (),
        sop_class: str = CT_IMAGE_STORAGE,
        sop_instance: str = "1.2.3.4",
    ) -> bytes:
        """A whole file; elements are put in the order of their tags."""
        body = b"".join(self.element(each) for each in sorted(elements, key=lambda each: each.tag))
        return self.file_of_body(
            body, preamble=preamble, meta=meta, sop_class=sop_class, sop_instance=sop_instance
        )

    def file_of_body(
        self,
        body: bytes,
        *,
        preamble: bytes = bytes(128),
        meta: Sequence[Element] = (),
        sop_class: str = CT_IMAGE_STORAGE,
        sop_instance: str = "1.2.3.4",
    ) -> bytes:
        plain = Writer(EXPLICIT_LITTLE)
        group = [
            Element(0x00020001, "OB", b"\0\1"),
            Element(0x00020002, "UI", sop_class.encode()),
            Element(0x00020003, "UI", sop_instance.encode()),
            Element(0x00020010, "UI", self.transfer_syntax.encode()),
            Element(0x00020012, "UI", b"1.2.3.999"),
            *meta,
        ]
        written = b"".join(plain.element(each) for each in sorted(group, key=lambda each: each.tag))
        if self.transfer_syntax == DEFLATED:
            compressor = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
            body = compressor.compress(body) + compressor.flush()
            body += b"\0" * (len(body) & 1)
        return (
            preamble
            + b"DICM"
            + plain.element(Element(0x00020000, "UL", struct.pack("<L", len(written))))
            + written
            + body
        )

    def us(self, number: int) -> bytes:
        """A value of VR US."""
        return struct.pack(self.order + "H", number)


def minimal_image(
    writer: Writer, *, rows: int = 4, columns: int = 4, sop_instance: str = "1.2.3.4"
) -> list[Element]:
    """The elements of a small CT image that an intake accepts: 16 bits, one frame."""
    return [
        Element(0x00080016, "UI", CT_IMAGE_STORAGE.encode()),
        Element(0x00080018, "UI", sop_instance.encode()),
        Element(0x00080060, "CS", b"CT"),
        Element(0x0020000D, "UI", b"1.2.3.5"),
        Element(0x0020000E, "UI", b"1.2.3.6"),
        Element(0x00280002, "US", writer.us(1)),
        Element(0x00280004, "CS", b"MONOCHROME2 "),
        Element(0x00280010, "US", writer.us(rows)),
        Element(0x00280011, "US", writer.us(columns)),
        Element(0x00280100, "US", writer.us(16)),
        Element(0x00280101, "US", writer.us(12)),
        Element(0x00280102, "US", writer.us(11)),
        Element(0x00280103, "US", writer.us(0)),
        Element(0x7FE00010, "OW", bytes(range(rows * columns % 256)) * 2 if rows * columns < 256 else b""),
    ]


def changed(
    elements: Sequence[Element], *others: Element, without: Sequence[int] = (), sop_class: str = ""
) -> list[Element]:
    """The elements with others in place of, or beside, those of the same tag, and without some."""
    if sop_class:
        others = (*others, Element(0x00080016, "UI", sop_class.encode()))
    by_tag = {each.tag: each for each in (*elements, *others) if each.tag not in without}
    return [by_tag[tag] for tag in sorted(by_tag)]


def fragments(*values: bytes) -> bytes:
    """Pixel data in fragments with its header and delimiter, the basic offset table first (PS3.5 §A.4)."""
    items = b"".join(struct.pack("<HHL", 0xFFFE, 0xE000, len(value)) + value for value in values)
    opening = struct.pack("<HH", 0x7FE0, 0x0010) + b"OB\0\0" + struct.pack("<L", 0xFFFFFFFF)
    return opening + items + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
