"""Rewriting by rules: whatever the encoding, the size and the window, the same elements come out."""

from collections import defaultdict
from collections.abc import Mapping

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.part10 import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    Element,
    Writer,
    minimal_image,
)

from rayline.dicom.content import Content, InMemory, Stretch
from rayline.dicom.rewriting import MAXIMUM_HELD_BYTES, rewrite
from rayline.dicom.rules import (
    EMPTY,
    KEEP,
    REMOVE,
    Descend,
    FileMeta,
    Insertion,
    Plan,
    Replace,
    Treatment,
    Treatments,
)
from rayline.dicom.rules import Element as Raw
from rayline.errors import RejectedEvent

SYNTAXES = [IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED]
SEQUENCES = [0x00081140, 0x52009229]
REMOVED, EMPTIED, REPLACED = 0x00081030, 0x00080090, 0x00104000
INSERTED = 0x00120062


class Example:
    """Rules with one tag of every treatment; private elements of the creator KNOWN stay."""

    facts = frozenset({0x00080018, 0x00104000})

    def __init__(self, changes: Mapping[int, Treatment] | None = None) -> None:
        of: defaultdict[int, Treatment] = defaultdict(lambda: KEEP)
        of |= {
            REMOVED: REMOVE,
            EMPTIED: EMPTY,
            REPLACED: Replace(self.reversed),
            **dict.fromkeys(SEQUENCES, Descend()),
            **(changes or {}),
        }
        self.treatments = Treatments(of, lambda tag, creator: KEEP if creator == b"KNOWN" else REMOVE)
        self.seen: Mapping[int, bytes] = {}

    @staticmethod
    def reversed(element: Raw, scope: str) -> bytes | None:
        assert scope == "scope"
        return element.value.rstrip()[::-1]

    def begin(self, meta: FileMeta, facts: Mapping[int, bytes]) -> Plan[str]:
        self.seen = facts
        return Plan(
            self.treatments,
            "scope",
            meta.sop_class_uid,
            b"1.2.3.99",
            (Insertion(INSERTED, "CS", b"YES"), Insertion(0x00080005, "CS", b"ISO_IR 192")),
        )


def example(content: bytes) -> pydicom.Dataset:
    return read(rewrite(InMemory(content), Example()).whole())


def read(content: bytes) -> pydicom.Dataset:
    from io import BytesIO

    return pydicom.dcmread(BytesIO(content))


def reason_of(content: Content) -> str:
    with pytest.raises(RejectedEvent) as caught:
        rewrite(content, Example())
    return caught.value.reason


class Elsewhere(Content):
    """Bytes that are not in memory, as far as anybody can tell."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, start: int, length: int) -> bytes:
        return self._data[start : start + length]


NESTED = [
    Element(EMPTIED, "PN", b"Doe^Jane"),
    Element(REMOVED, "LO", b"study "),
    Element(REPLACED, "LT", b"abc "),
    Element(0x00080060, "CS", b"MR"),
]


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_every_treatment_at_every_depth(syntax: str, undefined: bool) -> None:
    writer = Writer(syntax, undefined)
    inner = Element(SEQUENCES[1], "SQ", [NESTED, []])
    content = writer.file(
        [
            *minimal_image(writer),
            *(each for each in NESTED if each.tag != 0x00080060),
            Element(SEQUENCES[0], "SQ", [[*NESTED, inner]]),
        ]
    )
    output = example(content)
    item = output[SEQUENCES[0]][0]
    for level in (output, item, item[SEQUENCES[1]][0]):
        assert REMOVED not in level
        assert level[EMPTIED].value in ("", None)
        assert level[REPLACED].value == "cba"
    assert item.Modality == "MR"
    assert len(item[SEQUENCES[1]].value) == 2
    assert output.PixelData == read(content).PixelData
    assert output.PatientIdentityRemoved == "YES"
    assert output.file_meta.MediaStorageSOPInstanceUID == "1.2.3.99"
    assert [element.tag for element in output] == sorted(element.tag for element in output)


def test_facts_are_told_before_anything_is_written() -> None:
    writer = Writer()
    rules = Example()
    rewrite(InMemory(writer.file([*minimal_image(writer), Element(REPLACED, "LT", b"abc ")])), rules)
    assert rules.seen == {0x00080018: b"1.2.3.4", REPLACED: b"abc"}


def test_an_insertion_takes_the_place_of_what_was_there() -> None:
    writer = Writer()
    output = example(
        writer.file(
            [*minimal_image(writer), Element(INSERTED, "CS", b"NO"), Element(0x00080005, "CS", b"X ")]
        )
    )
    assert output.PatientIdentityRemoved == "YES"
    assert output.SpecificCharacterSet == "ISO_IR 192"


def test_private_elements_follow_their_creator() -> None:
    writer = Writer()
    private = [
        Element(0x00090010, "LO", b"KNOWN "),
        Element(0x00090011, "LO", b"OTHER "),
        Element(0x00091001, "LO", b"stays "),
        Element(0x00091101, "LO", b"goes"),
        Element(0x00091201, "LO", b"goes"),  # nobody reserved its block
    ]
    output = example(
        writer.file([*minimal_image(writer), *private, Element(SEQUENCES[0], "SQ", [private[2:], private])])
    )
    first, second = output[SEQUENCES[0]].value
    for level, expected in (
        (output, [0x00090010, 0x00091001]),
        (second, [0x00090010, 0x00091001]),
        (first, []),
    ):
        assert [int(element.tag) for element in level if element.tag.group == 9] == expected


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG])
def test_a_known_sequence_hidden_in_un_is_looked_into(syntax: str) -> None:
    writer = Writer(syntax)
    vr = "SQ" if syntax == IMPLICIT_LITTLE else "UN"
    if syntax == EXPLICIT_BIG:
        # PS3.5 §6.2.2: little endian inside, whatever surrounds it.
        inside = Writer(IMPLICIT_LITTLE)
        value = inside.element(Element(0x00081140, "SQ", [NESTED]))[8:]
        content = writer.file([*minimal_image(writer), Element(0x00081140, vr, value)])
    else:
        content = writer.file([*minimal_image(writer), Element(0x00081140, vr, [NESTED])])
    output = rewrite(InMemory(content), Example()).whole()
    assert b"Doe^Jane" in content
    assert b"Doe^Jane" not in output
    assert b"cba" in output


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE])
def test_what_only_the_rules_call_a_sequence_goes_where_it_is_none(syntax: str) -> None:
    writer = Writer(syntax)
    unknown = 0x00081301  # no tag of PS3.6 as pydicom has it
    content = writer.file([*minimal_image(writer), Element(unknown, "UN", b"Doe^Jane, no items")])
    output = rewrite(InMemory(content), Example({unknown: Descend()})).whole()
    assert b"Doe^Jane" not in output
    assert unknown not in read(output)


def test_what_follows_the_pixel_data_is_treated_too() -> None:
    writer = Writer()
    body = b"".join(map(writer.element, minimal_image(writer)))
    trailing = writer.element(Element(0xFFFCFFFC, "OB", b"Doe^Jane")) + bytes(1024)
    rules = Example({0xFFFCFFFC: REMOVE})
    output = rewrite(InMemory(writer.file_of_body(body + trailing)), rules).whole()
    assert b"Doe^Jane" not in output
    assert not output.endswith(bytes(1024))


class Sparse(Content):
    """A file whose pixel data is zeros that nobody stores; counts what is read of it."""

    def __init__(self, head: bytes, zeros: int, tail: bytes) -> None:
        self._head, self._zeros, self._tail = head, zeros, tail
        self.size = len(head) + zeros + len(tail)
        self.bytes_read = 0

    def read(self, start: int, length: int) -> bytes:
        end = min(start + length, self.size)
        self.bytes_read += max(0, end - start)
        assert self.bytes_read < 64 * 1024 * 1024, "the pixels were read"
        tail = len(self._head) + self._zeros
        zeros = bytes(max(0, min(end, tail) - max(start, len(self._head))))
        return self._head[start:end] + zeros + self._tail[max(0, start - tail) : max(0, end - tail)]


def native_gigabyte(syntax: str = EXPLICIT_LITTLE) -> Sparse:
    writer = Writer(syntax)
    head = writer.file([*minimal_image(writer)[:-1], Element(REMOVED, "LO", b"Doe^Jane")])
    pixels = 1024**3
    header = writer.element(Element(0x7FE00010, "OW", b""))[:-4]
    header += pixels.to_bytes(4, "big" if syntax == EXPLICIT_BIG else "little")
    return Sparse(head + header, pixels, writer.element(Element(0xFFFCFFFC, "OB", b"Doe^Jane")))


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG])
def test_of_a_large_object_only_the_header_is_read(syntax: str) -> None:
    source = native_gigabyte(syntax)
    output = rewrite(source, Example({0xFFFCFFFC: REMOVE}))
    assert source.bytes_read < 8 * 1024 * 1024
    pieces = list(output.pieces(0, output.size))
    stretches = [piece for piece in pieces if isinstance(piece, Stretch)]
    assert [(each.content, each.length) for each in stretches if each.length > 1024] == [
        (source, 1024**3 + len(Writer(syntax).element(Element(0x7FE00010, "OW", b""))))
    ]
    held = b"".join(bytes(piece) for piece in pieces if not isinstance(piece, Stretch))
    assert b"Doe^Jane" not in held
    assert len(held) < 4096


def test_of_large_encapsulated_pixel_data_only_the_fragments_headers_are_read() -> None:
    writer = Writer("1.2.840.10008.1.2.4.90")
    head = writer.file(minimal_image(writer)[:-1])
    item = (0xFFFE).to_bytes(2, "little") + (0xE000).to_bytes(2, "little")
    head += writer.element(Element(0x7FE00010, "OB", b""))[:-4] + b"\xff" * 4 + item + bytes(4)
    head += item + (512 * 1024 * 1024).to_bytes(4, "little")
    tail = item[:2] + (0xE0DD).to_bytes(2, "little") + bytes(4)
    source = Sparse(head, 512 * 1024 * 1024, tail + writer.element(Element(0xFFFCFFFC, "OB", b"Doe^Jane")))
    output = rewrite(source, Example({0xFFFCFFFC: REMOVE}))
    assert source.bytes_read < 8 * 1024 * 1024
    assert output.read(output.size - 8, 8) == tail


def test_a_large_object_cut_short_is_refused() -> None:
    source = native_gigabyte()
    source.size -= 1024 * 1024
    assert reason_of(source) == "TRUNCATED"


def test_zeros_after_the_data_set_are_dropped() -> None:
    writer = Writer()
    content = writer.file(minimal_image(writer))
    for zeros in (2, 8, 100, 5000):
        assert rewrite(InMemory(content + bytes(zeros)), Example()).whole() == (
            rewrite(InMemory(content), Example()).whole()
        )
    assert reason_of(InMemory(content + bytes(5000) + b"x")) == "MALFORMED"


def test_what_must_be_rewritten_has_to_fit_in_memory() -> None:
    writer = Writer()
    head = writer.file(minimal_image(writer)[:4])
    length = 2 * MAXIMUM_HELD_BYTES
    header = writer.element(Element(REPLACED, "UT", b""))[:-4] + length.to_bytes(4, "little")
    assert reason_of(Sparse(head + header, length, b"")) == "LIMIT_EXCEEDED"


@pytest.mark.parametrize("undefined", [False, True])
def test_deep_nesting_is_refused(undefined: bool) -> None:
    writer = Writer(undefined=undefined)
    element = Element(REMOVED, "LO", b"x ")
    for _ in range(100):
        element = Element(SEQUENCES[0], "SQ", [[element]])
    assert reason_of(InMemory(writer.file([*minimal_image(writer), element]))) == "LIMIT_EXCEEDED"


TAGS = [(REMOVED, "LO"), (EMPTIED, "PN"), (REPLACED, "LT"), (0x00080060, "CS"), (0x00091001, "LO")]
VALUES = st.binary(min_size=1, max_size=90).map(lambda value: b"v" + value.replace(b"\0", b"z") + b"v")


@st.composite
def elements(draw: st.DrawFn, depth: int = 2) -> list[Element]:
    found = {
        tag: Element(tag, vr, draw(VALUES)) for tag, vr in draw(st.lists(st.sampled_from(TAGS), max_size=4))
    }
    if depth:
        for tag in draw(st.lists(st.sampled_from(SEQUENCES), max_size=2)):
            found[tag] = Element(tag, "SQ", draw(st.lists(elements(depth=depth - 1), max_size=2)))
    return list(found.values())


@settings(max_examples=200, deadline=None)
@given(elements(), st.sampled_from(SYNTAXES), st.booleans(), st.sampled_from([0, 3, 40]))
def test_a_file_that_is_not_in_memory_gives_the_same(
    extra: list[Element], syntax: str, undefined: bool, zeros: int
) -> None:
    writer = Writer(syntax, undefined)
    pixels = Element(0x7FE00010, "OW", bytes(range(256)) * 2 * 150)
    image = [each for each in minimal_image(writer)[:-1] if each.tag not in {e.tag for e in extra}]
    content = writer.file([*image, pixels, *extra]) + bytes(zeros)
    whole = rewrite(InMemory(content), Example()).whole()
    assert rewrite(Elsewhere(content), Example(), whole_bytes=0).whole() == whole


@settings(max_examples=200, deadline=None)
@given(elements(), st.sampled_from(SYNTAXES), st.booleans(), st.data())
def test_damage_ends_in_a_file_or_a_reason(
    extra: list[Element], syntax: str, undefined: bool, data: st.DataObject
) -> None:
    writer = Writer(syntax, undefined)
    content = bytearray(writer.file([*minimal_image(writer), *extra]))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(content[: data.draw(st.integers(0, len(content)))])
    ends = set()
    for source in (InMemory(damaged), Elsewhere(damaged)):
        try:
            ends.add(rewrite(source, Example(), whole_bytes=0).whole())
        except RejectedEvent as refused:
            ends.add(refused.reason.encode())
    assert len(ends) == 1
