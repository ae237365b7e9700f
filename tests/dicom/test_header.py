"""The header walk finds every element where it lies, in every encoding, and reads no more than it needs."""

import struct
from collections.abc import Sequence
from io import BytesIO

import pydicom
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from support.part10 import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    LONG_FORM,
    Element,
    Writer,
    minimal_image,
)
from support.ranged_content import RangedContent, SparseContent
from support.shared_data import DATA, part10_files

from rayline.dicom.coercion import CoercionRule, coerce
from rayline.dicom.content import InMemory, LocalFile
from rayline.dicom.header import Attributes, Header, read_header
from rayline.dicom.instance import Instance
from rayline.dicom.metadata import metadata_of
from rayline.dicom.reasons import ReasonCode
from rayline.dicom.structure import Limits
from rayline.dicom.validation import screen
from rayline.errors import RejectedEvent

SYNTAXES = [IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED]
JPEG_2000 = "1.2.840.10008.1.2.4.90"
PIXEL_DATA = 0x7FE00010
GIGABYTE = 1_000_000_000

# Tags of PS3.6 with their VRs, and private ones, which nobody knows.
TEXTS = {0x00080070: "LO", 0x00081030: "LO", 0x00100010: "PN", 0x00181020: "LO", 0x00204000: "LT"}
BINARIES = {0x00280010: "US", 0x00189073: "FD", 0x00720078: "UL", 0x7FE00009: "OD", 0x00091001: "OB"}
SEQUENCES = (0x00081140, 0x00081115, 0x0040A730)


def elements(depth: int, *, hidden: bool) -> st.SearchStrategy[list[Element]]:
    """Elements of one level, in the order of their tags."""
    plain = st.one_of(
        st.tuples(st.sampled_from(sorted(TEXTS)), st.text("aé^\\ ", max_size=12)).map(
            lambda drawn: Element(drawn[0], TEXTS[drawn[0]], drawn[1].encode("latin_1"))
        ),
        st.tuples(st.sampled_from(sorted(BINARIES)), st.binary(max_size=8)).map(
            lambda drawn: Element(drawn[0], BINARIES[drawn[0]], drawn[1] * 2)
        ),
    )
    kinds = [plain]
    if depth:
        inside = st.lists(elements(depth - 1, hidden=hidden), max_size=3)
        kinds.append(st.builds(Element, st.sampled_from(SEQUENCES), st.just("SQ"), inside))
        if hidden:
            within = st.lists(elements(depth - 1, hidden=False), max_size=3)
            kinds.append(st.builds(Element, st.sampled_from(SEQUENCES), st.just("UN"), within))
    return st.lists(st.one_of(kinds), max_size=5, unique_by=lambda each: each.tag).map(
        lambda drawn: sorted(drawn, key=lambda each: each.tag)
    )


files = st.sampled_from(SYNTAXES).flatmap(
    lambda syntax: st.tuples(
        st.builds(Writer, st.just(syntax), st.booleans()),
        # What UN hides is in little endian, which the writer cannot mix in.
        elements(3, hidden=syntax in (EXPLICIT_LITTLE, DEFLATED)),
    )
)


def item_bytes(writer: Writer, item: Sequence[Element], implicit: bool) -> bytes:
    return b"".join(writer.element(each, implicit) for each in item)


def assert_found(
    found: Attributes, writer: Writer, wanted: Sequence[Element], start: int, implicit: bool
) -> None:
    """Hold what was found against where the writer must have put it."""
    assert list(found.elements) == [each.tag for each in wanted]
    position = start
    for each in wanted:
        written = writer.element(each, implicit)
        long = not implicit and each.vr in LONG_FORM
        element = found.elements[each.tag]
        assert element.position == position
        assert element.value == position + (12 if long else 8)
        assert element.end == position + len(written)
        assert element.vr == (b"" if implicit else each.vr.encode())
        if isinstance(each.value, bytes):
            assert element.length == len(each.value) + len(each.value) % 2
            assert found.raw(each.tag) == each.value + b"\0" * (len(each.value) % 2)
            assert len(found.items(each.tag)) == 0
        else:
            inner = implicit or each.vr == "UN"
            items = found.items(each.tag)
            assert len(items) == len(each.value)
            place = element.value
            for item, wanted_item in zip(items, each.value, strict=True):
                assert_found(item, writer, wanted_item, place + 8, inner)
                place += 8 + len(item_bytes(writer, wanted_item, inner)) + (8 if writer.undefined else 0)
        position = element.end


@given(files)
def test_every_element_is_found_where_it_was_written(drawn: tuple[Writer, list[Element]]) -> None:
    writer, wanted = drawn
    content = writer.file(wanted)
    header = read_header(InMemory(content))
    deflated = writer.transfer_syntax == DEFLATED
    start = 0 if deflated else len(content) - sum(len(writer.element(each)) for each in wanted)
    assert header.transfer_syntax_uid == writer.transfer_syntax
    assert header.implicit == (writer.transfer_syntax == IMPLICIT_LITTLE)
    assert header.big_endian == (writer.transfer_syntax == EXPLICIT_BIG)
    assert header.start == start
    assert header.meta[0x00020003] == b"1.2.3.4\0"
    assert_found(header, writer, wanted, start, header.implicit)
    assert header.end == header.body.size


def counted(wanted: Sequence[Element]) -> int:
    return sum(
        1 if isinstance(each.value, bytes) else 1 + sum(1 + counted(item) for item in each.value)
        for each in wanted
    )


@given(files)
def test_everything_at_every_depth_counts(drawn: tuple[Writer, list[Element]]) -> None:
    writer, wanted = drawn
    content = InMemory(writer.file(wanted))
    found = read_header(content).count
    # Delimiters count too.
    assert found == counted(wanted) if not writer.undefined else found >= counted(wanted)
    read_header(content, Limits(elements=found))
    if found:
        with pytest.raises(RejectedEvent) as caught:
            read_header(content, Limits(elements=found - 1))
        assert caught.value.reason == ReasonCode.LIMIT_EXCEEDED


def test_what_un_hides_counts_even_where_it_is_no_sequence_in_the_end() -> None:
    hidden = fragment(b"") * 10 + b"no item!"
    item = fragment(struct.pack("<HH", 0x0008, 0x1140) + b"UN\0\0" + struct.pack("<L", len(hidden)) + hidden)
    sequence = struct.pack("<HH", 0x0008, 0x1115) + b"SQ\0\0" + struct.pack("<L", 50 * len(item)) + item * 50
    content = InMemory(Writer().file_of_body(sequence))
    # The sequence, 50 items, an element in each, and 10 items in each of these.
    assert read_header(content).count >= 1 + 50 + 50 + 500
    with pytest.raises(RejectedEvent) as caught:
        read_header(content, Limits(elements=500))
    assert caught.value.reason == ReasonCode.LIMIT_EXCEEDED


def answers(header: Header) -> object:
    return header.elements, header.fragments, header.count, header.start, header.end, header.meta


@given(files, st.integers(1, 80))
def test_windows_of_any_size_give_the_same_answer(drawn: tuple[Writer, list[Element]], window: int) -> None:
    writer, wanted = drawn
    content = writer.file(wanted)
    whole, by_windows = (
        read_header(InMemory(content)),
        read_header(RangedContent(content), window_bytes=window),
    )
    assert answers(by_windows) == answers(whole)
    assert {tag: by_windows.raw(tag) for tag in whole.elements} == {
        tag: whole.raw(tag) for tag in whole.elements
    }


def use(content: bytes) -> None:
    """All that an intake does with a header; only refusals with a known reason may come out of it."""
    instance = Instance(content)
    try:
        header = instance.header
    except RejectedEvent as refused:
        assert refused.reason in set(ReasonCode)
    else:
        metadata_of(header).to_item()
        for tag in header.elements:
            try:
                for item in header.items(tag):
                    for each in item.elements:
                        item.text(each)
                        item.numbers(each)
            except RejectedEvent as refused:
                assert refused.reason in set(ReasonCode)
    rejection = screen(instance)
    if rejection is not None:
        assert rejection.reason in set(ReasonCode)
        # Some of what shows it knows no other characters.
        assert rejection.explanation.isascii()
    mended, fired = coerce(instance, frozenset(CoercionRule))
    assert set(fired) <= {rule.value for rule in CoercionRule}
    screen(mended)


def whole_image(writer: Writer, extra: Sequence[Element]) -> bytes:
    return writer.file([*minimal_image(writer), *extra])


images = files.map(
    lambda drawn: whole_image(
        drawn[0], [each for each in drawn[1] if each.tag not in {0x00280010, 0x7FE00009}]
    )
)


@given(images, st.data())
def test_a_cut_file_is_read_or_refused(content: bytes, data: st.DataObject) -> None:
    use(content[: data.draw(st.integers(0, len(content)))])


@given(images, st.data())
def test_a_damaged_file_is_read_or_refused(content: bytes, data: st.DataObject) -> None:
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    use(bytes(damaged))


@given(st.binary(max_size=400), st.sampled_from(SYNTAXES))
@example(b"\x08\x00\x05\x00CS\x02\x00\\\\", EXPLICIT_LITTLE)
def test_any_bytes_as_a_data_set_are_read_or_refused(body: bytes, syntax: str) -> None:
    use(Writer(syntax).file_of_body(body))


def fragment(value: bytes) -> bytes:
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(value)) + value


SEQUENCE_END = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
PIXELS_OPEN = struct.pack("<HH", 0x7FE0, 0x0010) + b"OB\0\0" + b"\xff" * 4


def test_fragments_are_found_by_their_lengths() -> None:
    # The second fragment holds what looks like the sequence delimiter.
    fragments = [b"", b"ab", SEQUENCE_END + b"cd", b""]
    writer = Writer(JPEG_2000)
    after = writer.element(Element(0xFFFCFFFC, "OB", b"\0\0"))
    body = PIXELS_OPEN + b"".join(map(fragment, fragments)) + SEQUENCE_END + after
    content = writer.file_of_body(body)
    for header in (read_header(InMemory(content)), read_header(RangedContent(content), window_bytes=1)):
        assert [content[start : start + length] for start, length in header.fragments] == fragments
        assert list(header.elements) == [PIXEL_DATA, 0xFFFCFFFC]
        assert header.elements[PIXEL_DATA].end == len(content) - len(after)
        assert header.count == 7


def test_fragments_of_an_icon_are_not_those_of_the_image() -> None:
    item = PIXELS_OPEN + fragment(b"") + fragment(b"icon") + SEQUENCE_END
    icon = struct.pack("<HH", 0x0088, 0x0200) + b"SQ\0\0" + struct.pack("<L", len(item) + 8) + fragment(item)
    header = read_header(InMemory(Writer(JPEG_2000).file_of_body(icon)))
    assert list(header.fragments) == []
    assert header.items(0x00880200)[0].raw(PIXEL_DATA)[16:20] == b"icon"


def test_fragments_of_other_elements_are_not_those_of_the_image() -> None:
    inner = fragment(b"") + fragment(b"x\0") + SEQUENCE_END
    other = struct.pack("<HH", 0x7FE1, 0x1010) + PIXELS_OPEN[4:] + inner
    within = fragment(PIXELS_OPEN + inner)
    sequence = struct.pack("<HH", 0x7FE1, 0x1011) + b"SQ\0\0" + struct.pack("<L", len(within)) + within
    body = PIXELS_OPEN + fragment(b"") + fragment(b"of the image") + SEQUENCE_END + other + sequence
    header = read_header(InMemory(Writer(JPEG_2000).file_of_body(body)))
    assert list(header.elements) == [PIXEL_DATA, 0x7FE11010, 0x7FE11011]
    assert [length for _, length in header.fragments] == [0, 12]


ITEM_END = struct.pack("<HHL", 0xFFFE, 0xE00D, 0)


def sequence_of(value: bytes) -> bytes:
    return struct.pack("<HH", 0x0008, 0x1140) + b"SQ\0\0" + struct.pack("<L", len(value)) + value


@pytest.mark.parametrize(
    "body",
    [
        ITEM_END,
        SEQUENCE_END,
        fragment(b""),
        sequence_of(fragment(ITEM_END)),
        sequence_of(fragment(SEQUENCE_END)),
        sequence_of(fragment(b"") + SEQUENCE_END),
        sequence_of(ITEM_END),
        sequence_of(Writer().element(Element(0x00081155, "UI", b"1.2"))),
        PIXELS_OPEN + ITEM_END,
        PIXELS_OPEN + fragment(b"") + Writer().element(Element(0x00081155, "UI", b"1.2")),
        PIXELS_OPEN.replace(b"OB", b"UN") + SEQUENCE_END,
        PIXELS_OPEN.replace(b"OB", b"UC") + SEQUENCE_END,
    ],
)
def test_what_stands_where_it_does_not_belong_is_refused(body: bytes) -> None:
    first = Writer().element(Element(0x00080060, "CS", b"CT"))
    with pytest.raises(RejectedEvent) as caught:
        read_header(InMemory(Writer(JPEG_2000).file_of_body(first + body)))
    assert caught.value.reason == ReasonCode.MALFORMED


@pytest.mark.parametrize("zeros", [1, 7, 8, 100, 3000])
@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG])
def test_zero_bytes_after_the_data_set_are_padding(syntax: str, zeros: int) -> None:
    writer = Writer(syntax)
    content = whole_image(writer, [])
    header = read_header(InMemory(content + bytes(zeros)))
    assert header.elements == read_header(InMemory(content)).elements
    assert header.end == len(content)
    with pytest.raises(RejectedEvent):
        read_header(InMemory(content + bytes(zeros) + b"\1" * 9))


def test_a_megabyte_of_zero_bytes_and_more_is_no_padding() -> None:
    content = whole_image(Writer(), [])
    assert read_header(InMemory(content + bytes(1024 * 1024))).end == len(content)
    with pytest.raises(RejectedEvent) as caught:
        read_header(InMemory(content + bytes(1024 * 1024 + 1)))
    assert caught.value.reason == ReasonCode.MALFORMED


def test_an_element_that_stands_twice_is_refused() -> None:
    # The writer sorts, so both stand next to one another; and one of them opens a sequence.
    for twice in (
        [Element(0x00100020, "LO", b"A"), Element(0x00100020, "LO", b"B")],
        [Element(0x00100020, "LO", b"A")] * 2 + [Element(0x00204000, "LT", bytes(100))],
        [Element(0x00081140, "SQ", [[]]), Element(0x00081140, "SQ", [])],
    ):
        for undefined in (False, True):
            with pytest.raises(RejectedEvent) as caught:
                read_header(InMemory(Writer(undefined=undefined).file(twice)))
            assert caught.value.reason == ReasonCode.MALFORMED
            assert "twice" in caught.value.explanation


@pytest.mark.parametrize("written", [IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG])
@pytest.mark.parametrize("named", [IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, JPEG_2000])
def test_a_data_set_in_another_encoding_than_the_file_names_is_refused(written: str, named: str) -> None:
    writer = Writer(written)
    body = b"".join(map(writer.element, minimal_image(writer)))
    content = InMemory(Writer(named).file_of_body(body))
    if written == named or (written, named) == (EXPLICIT_LITTLE, JPEG_2000):
        assert len(read_header(content).elements) == len(minimal_image(writer))
        return
    with pytest.raises(RejectedEvent) as caught:
        read_header(content)
    assert caught.value.reason == ReasonCode.MALFORMED
    assert "transfer syntax" in caught.value.explanation


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (struct.pack("<HH2sH", 2, 0x16, b"AE", 40), ReasonCode.TRUNCATED),
        (struct.pack("<HH2sH", 2, 0x0102, b"OB", 0), ReasonCode.TRUNCATED),
        (struct.pack("<HH2sHL", 2, 0x0102, b"OB", 0, 1) + b"", ReasonCode.TRUNCATED),
        (struct.pack("<HH2sH", 2, 0x16, b"\2\0", 0), ReasonCode.MALFORMED),
        (struct.pack("<HH2sHL", 2, 0x0102, b"OB", 0, 1 << 20) + bytes(1 << 20), ReasonCode.LIMIT_EXCEEDED),
    ],
)
def test_file_meta_information_that_cannot_be_read_is_refused(last: bytes, reason: ReasonCode) -> None:
    whole = Writer().file_of_body(b"")
    assert list(read_header(InMemory(whole)).elements) == []
    for header in (InMemory(whole + last), RangedContent(whole + last)):
        with pytest.raises(RejectedEvent) as caught:
            read_header(header, window_bytes=100)
        assert caught.value.reason == reason


def test_numbers_are_read_in_the_order_of_their_bytes() -> None:
    for syntax in SYNTAXES:
        writer = Writer(syntax)
        floats = struct.pack(writer.order + "2d", 0.5, -3.0)
        content = writer.file([Element(0x00280010, "US", writer.us(258)), Element(0x00189073, "FD", floats)])
        header = read_header(InMemory(content))
        assert header.integer(0x00280010) == 258
        assert header.numbers(0x00189073) == [0.5, -3.0]
    # PS3.5 §6.2.2: what UN hides is in little endian, in big endian files too.
    hidden = Writer(EXPLICIT_BIG).file([Element(0x00280010, "UN", b"\2\1")])
    assert read_header(InMemory(hidden)).integer(0x00280010) == 258


# -- how much is read ------------------------------------------------------------------------------------------


def image_of(pixel_bytes: int, after: Sequence[Element]) -> tuple[SparseContent, int]:
    """A file whose pixel data is made up, and the length of everything else."""
    writer = Writer()
    head = writer.file([each for each in minimal_image(writer) if each.tag != PIXEL_DATA])
    head += struct.pack("<HH", 0x7FE0, 0x0010) + b"OW\0\0" + struct.pack("<L", pixel_bytes)
    tail = b"".join(map(writer.element, after))
    content = SparseContent(len(head) + pixel_bytes + len(tail), [(0, head), (len(head) + pixel_bytes, tail)])
    return content, len(head) + len(tail)


def test_a_gigabyte_of_pixels_is_stepped_over() -> None:
    content, _ = image_of(GIGABYTE, [Element(0xFFFCFFFC, "OB", b"\0\0")])
    header = read_header(content)
    assert header.elements[PIXEL_DATA].length == GIGABYTE
    assert 0xFFFCFFFC in header
    assert header.text(0x0020000D) == "1.2.3.5"
    assert header.integer(0x00280010) == 4
    assert content.bytes_read < 1_000_000
    assert len(content.reads) == 2


def test_large_fragments_are_stepped_over() -> None:
    writer, size, number = Writer(JPEG_2000), 16_000_000, 60
    head = writer.file([each for each in minimal_image(writer) if each.tag != PIXEL_DATA]) + PIXELS_OPEN
    places = [(0, head + fragment(b""))]
    end = len(head) + 8
    for _ in range(number):
        places.append((end, struct.pack("<HHL", 0xFFFE, 0xE000, size)))
        end += 8 + size
    places.append((end, SEQUENCE_END))
    content = SparseContent(end + 8, places)
    header = read_header(content)
    assert [length for _, length in header.fragments] == [0] + [size] * number
    assert content.bytes_read < 2_000_000
    assert max(length for _, length in content.reads) <= 256 * 1024


def test_small_fragments_are_read_by_windows_and_not_one_by_one() -> None:
    writer = Writer(JPEG_2000)
    content = RangedContent(
        writer.file_of_body(PIXELS_OPEN + fragment(b"") + fragment(bytes(1000)) * 2000 + SEQUENCE_END)
    )
    assert len(read_header(content).fragments) == 2001
    assert len(content.reads) <= 10


def test_a_text_of_many_megabytes_is_refused_unread() -> None:
    writer, length = Writer(IMPLICIT_LITTLE), 17 * 1024 * 1024
    head = writer.file([]) + struct.pack("<HHL", 0x0028, 0x1052, length)
    content = SparseContent(len(head) + length, [(0, head)])
    with pytest.raises(RejectedEvent) as caught:
        read_header(content)
    assert caught.value.reason == ReasonCode.LIMIT_EXCEEDED
    assert content.bytes_read < 1_000_000


def test_a_long_header_is_read_by_ever_larger_windows() -> None:
    item = [Element(0x00081155, "UI", b"1.2.3.7"), Element(0x00204000, "LT", bytes(400))]
    writer = Writer()
    content = RangedContent(whole_image(writer, [Element(0x52009230, "SQ", [item] * 12_000)]))
    assert content.size > 5_000_000
    header = read_header(content)
    assert len(header.items(0x52009230)) == 12_000
    assert header.integer(0x00280010) == 4
    windows = [length for _, length in content.reads]
    assert max(windows) == 1024 * 1024
    # Once for the walk, and once for the items.
    assert len(windows) <= 16


def test_an_object_larger_than_allowed_is_not_read_at_all() -> None:
    content, _ = image_of(GIGABYTE, [])
    with pytest.raises(RejectedEvent) as caught:
        read_header(content, Limits(object_bytes=GIGABYTE))
    assert caught.value.reason == ReasonCode.LIMIT_EXCEEDED
    assert content.reads == []


def test_an_object_that_ends_before_its_size_is_refused() -> None:
    class Shrunk(RangedContent):
        def _stretch(self, start: int, length: int) -> bytes:
            return super()._stretch(start, length)[: max(0, 300 - start)]

    content = Shrunk(whole_image(Writer(), []))
    with pytest.raises(RejectedEvent) as caught:
        read_header(content, window_bytes=64)
    assert caught.value.reason == ReasonCode.TRUNCATED


# -- real files ------------------------------------------------------------------------------------------------


@pytest.mark.shared_data
def test_real_files_have_the_elements_that_pydicom_finds() -> None:
    compared = 0
    for path in part10_files():
        try:
            header = read_header(LocalFile(path), window_bytes=4096)
        except RejectedEvent:
            continue
        content = path.read_bytes()
        dataset = pydicom.dcmread(BytesIO(content))
        name = str(path.relative_to(DATA))
        tags = sorted(map(int, dataset.keys()))
        assert sorted(header.elements) == tags, name
        for tag in tags:
            raw, element = dataset.get_item(tag), header.elements[tag]
            if isinstance(raw, RawDataElement):
                assert raw.value_tell == element.value, (name, hex(tag))
                value = header.raw(tag)
                if raw.length == 0xFFFFFFFF:
                    value = value[:-8]  # the delimiter
                assert (raw.value or b"") == value, (name, hex(tag))
            elif raw.VR == "SQ":
                assert len(raw.value) == len(header.items(tag)), (name, hex(tag))
        compared += 1
    assert compared > 200
