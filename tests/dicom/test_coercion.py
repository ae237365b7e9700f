"""A site's intake mends what it is asked to mend, says which rule did, and leaves every other byte as it came."""

import struct
from collections.abc import Sequence

import pytest
from support.part10 import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    Element,
    Writer,
    changed,
    minimal_image,
)
from support.ranged_content import RangedContent

from rayline.dicom.coercion import CoercionRule, coerce
from rayline.dicom.header import Header
from rayline.dicom.instance import Instance
from rayline.dicom.reasons import ReasonCode
from rayline.dicom.validation import screen

ALL = frozenset(CoercionRule)
NATIVE = [IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG]
CT = "1.2.840.10008.5.1.4.1.1.2"
SOP_CLASS_UID, SOP_INSTANCE_UID, MODALITY, PIXEL_DATA = 0x00080016, 0x00080018, 0x00080060, 0x7FE00010
CHARACTER_SET, PATIENT_NAME = 0x00080005, 0x00100010


def file(
    *others: Element, without: Sequence[int] = (), writer: Writer | None = None, sop_instance: str = "1.2.3.4"
) -> bytes:
    writer = writer or Writer()
    return writer.file(changed(minimal_image(writer), *others, without=without), sop_instance=sop_instance)


def small(writer: Writer) -> list[Element]:
    """What makes the image 3 × 3 × 8 bits: nine bytes."""
    numbers = {0x00280010: 3, 0x00280011: 3, 0x00280100: 8, 0x00280101: 8, 0x00280102: 7}
    return [Element(tag, "US", writer.us(number)) for tag, number in numbers.items()]


def reason(instance: Instance) -> str | None:
    rejection = screen(instance)
    return rejection.reason if rejection else None


def values(header: Header) -> dict[int, bytes]:
    return {tag: header.raw(tag) for tag in header.elements}


def assert_mended(content: bytes, rule: CoercionRule, was: str | None) -> Header:
    """Only its own rule changes the instance, which is taken then, and needs no mending again."""
    instance = Instance(RangedContent(content))
    assert reason(instance) == was
    untouched, fired = coerce(instance, ALL - {rule})
    assert (untouched, fired) == (instance, ())
    mended, fired = coerce(instance, ALL)
    assert fired == (rule.value,)
    assert reason(mended) is None
    assert coerce(mended, ALL) == (mended, ())
    return mended.header


def test_nothing_is_mended_unless_a_site_asks() -> None:
    instance = Instance(file(without=[MODALITY]))
    assert coerce(instance, frozenset()) == (instance, ())
    assert reason(instance) == ReasonCode.MISSING_ATTRIBUTE


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", [*NATIVE, DEFLATED])
def test_what_is_right_stays_the_very_same(syntax: str, undefined: bool) -> None:
    writer = Writer(syntax, undefined)
    nested = Element(0x00081140, "SQ", [[Element(0x00081155, "UI", b" 1.2.3.7")]])
    instance = Instance(file(nested, Element(CHARACTER_SET, "CS", b"ISO_IR 100"), writer=writer))
    mended, fired = coerce(instance, ALL)
    assert mended is instance
    assert fired == ()


@pytest.mark.parametrize("syntax", [*NATIVE, DEFLATED])
def test_file_meta_uids_become_those_of_the_data_set(syntax: str) -> None:
    content = file(writer=Writer(syntax), sop_instance="1.2.3.77")
    header = assert_mended(content, CoercionRule.FILE_META_SOP_UIDS, ReasonCode.INVALID_UID)
    assert header.meta_text(0x00020003) == "1.2.3.4"
    assert header.meta_text(0x00020002) == CT
    assert values(header) == values(Instance(content).header)
    assert header.meta[0x00020012] == Instance(content).header.meta[0x00020012]


def test_file_meta_without_uids_gets_them() -> None:
    content = file()
    element = struct.pack("<HH", 2, 3) + b"UI\x08\0" + b"1.2.3.4\0"
    assert element in content
    content = content.replace(element, b"")
    mended, fired = coerce(Instance(content), {CoercionRule.FILE_META_SOP_UIDS})
    assert fired == ("file_meta_sop_uids",)
    assert mended.header.meta_text(0x00020003) == "1.2.3.4"


@pytest.mark.parametrize("length", [0, 1, 10_000])
def test_a_wrong_group_length_is_counted_anew(length: int) -> None:
    content = file()
    wrong = content[:140] + struct.pack("<L", length) + content[144:]
    assert wrong != content
    mended, fired = coerce(Instance(wrong), {CoercionRule.FILE_META_GROUP_LENGTH})
    assert fired == ("file_meta_group_length",)
    assert mended.content == content


def test_an_absent_group_length_is_added() -> None:
    content = file()
    mended, fired = coerce(Instance(content[:132] + content[144:]), {CoercionRule.FILE_META_GROUP_LENGTH})
    assert fired == ("file_meta_group_length",)
    assert mended.content == content


@pytest.mark.parametrize("after", [[], [Element(0xFFFCFFFC, "OB", b"\0\0")]])
@pytest.mark.parametrize("syntax", NATIVE)
def test_pixel_data_of_odd_length_is_padded(syntax: str, after: list[Element]) -> None:
    writer = Writer(syntax)
    pixels = Element(PIXEL_DATA, "OB", bytes(range(1, 10)))
    right = file(*small(writer), pixels, *after, writer=writer)
    even = writer.element(Element(PIXEL_DATA, "OB", bytes(range(1, 11))))
    odd = even[: -10 - 4] + struct.pack(writer.order + "L", 9) + bytes(range(1, 10))
    content = right.replace(writer.element(pixels), odd)
    assert len(content) == len(right) - 1
    header = assert_mended(content, CoercionRule.PIXEL_DATA_PADDING, None)
    assert header.body.whole() == right


@pytest.mark.parametrize("syntax", NATIVE)
def test_a_file_that_lacks_its_last_byte_of_padding_gets_it(syntax: str) -> None:
    writer = Writer(syntax)
    right = file(*small(writer), Element(PIXEL_DATA, "OB", bytes(range(1, 10))), writer=writer)
    header = assert_mended(right[:-1], CoercionRule.PIXEL_DATA_PADDING, ReasonCode.TRUNCATED)
    assert header.body.whole() == right


@pytest.mark.parametrize("cut", [1, 2])
def test_no_pixel_is_made_up(cut: int) -> None:
    writer = Writer()
    even = Instance(file()[:-cut])
    odd = Instance(file(*small(writer), Element(PIXEL_DATA, "OB", bytes(9)))[: -cut - 1])
    after = Instance(file(Element(0xFFFCFFFC, "OB", b"\0\0"))[:-cut])
    padded = [*small(writer), Element(PIXEL_DATA, "OB", bytes(9)), Element(0xFFFCFFFC, "OB", b"\0\0")]
    elsewhere = Instance(file(*padded)[:-cut])
    for instance in (even, odd, after, elsewhere):
        assert coerce(instance, ALL) == (instance, ())
        assert reason(instance) == ReasonCode.TRUNCATED


@pytest.mark.parametrize("lacking", ["absent", "empty", "blank"])
@pytest.mark.parametrize("syntax", NATIVE)
def test_the_modality_follows_from_the_sop_class(syntax: str, lacking: str) -> None:
    writer = Writer(syntax)
    others = {
        "absent": [],
        "empty": [Element(MODALITY, "CS", b"")],
        "blank": [Element(MODALITY, "CS", b"  ")],
    }
    content = file(*others[lacking], without=[MODALITY] if lacking == "absent" else [], writer=writer)
    header = assert_mended(content, CoercionRule.MODALITY_OF_SOP_CLASS, ReasonCode.MISSING_ATTRIBUTE)
    assert header.raw(MODALITY) == b"CT"
    assert list(header.elements) == sorted(header.elements)
    assert header.body.whole() == file(writer=writer)


def test_a_modality_that_nobody_knows_is_not_replaced() -> None:
    instance = Instance(file(Element(MODALITY, "CS", b"PNEUMO")))
    assert coerce(instance, ALL) == (instance, ())


def test_a_class_of_several_modalities_gives_none() -> None:
    photo = "1.2.840.10008.5.1.4.1.1.77.1.4"
    elements = changed(minimal_image(Writer()), without=[MODALITY], sop_class=photo)
    instance = Instance(Writer().file(elements, sop_class=photo))
    assert coerce(instance, ALL) == (instance, ())


@pytest.mark.parametrize("raw", [b" 1.2.3.5", b"1.2.3.5 ", b"1.2.3.5\0\0\0", b"\t1.2.3.5\r\n "])
@pytest.mark.parametrize("syntax", NATIVE)
def test_blanks_around_uids_go(syntax: str, raw: bytes) -> None:
    writer = Writer(syntax)
    content = file(Element(0x0020000D, "UI", raw), writer=writer)
    mended, fired = coerce(Instance(content), ALL)
    assert fired == ("uid_blanks",)
    assert mended.content == file(writer=writer)
    assert reason(mended) is None


def test_leading_zeros_of_a_uid_are_taken_and_stay() -> None:
    instance = Instance(file(Element(0x0020000D, "UI", b"1.2.003.5")))
    assert reason(instance) is None
    assert coerce(instance, ALL) == (instance, ())


@pytest.mark.parametrize(
    ("given", "name", "becomes"),
    [
        (b"ISO-IR 100", b"J\xf6rg", b"ISO_IR 100"),
        (b"iso ir 192", "Jörg".encode(), b"ISO_IR 192"),
        (b"ISO_IR_144", b"\xbb\xee", b"ISO_IR 144"),
        (b"ISO2022 IR 87", b"X", b"ISO 2022 IR 87"),
        (b"\\ISO-2022-IR-149", b"X", b"\\ISO 2022 IR 149"),
        (b"UTF-8", "Jörg".encode(), b"ISO_IR 192"),
        (b"ISO 8859-1", b"J\xf6rg", b"ISO_IR 100"),
        (b"ISO_IR 999", b"J\xf6rg", b"ISO_IR 100"),
        (b"NONSENSE", "Jörg".encode(), b"ISO_IR 192"),
        (b"NONSENSE", b"J\xf6rg", b"ISO_IR 100"),
        (b"ISO_IR 100\\NONSENSE", b"J\xf6rg", b"ISO_IR 100"),
    ],
)
@pytest.mark.parametrize("syntax", NATIVE)
def test_an_unknown_character_set_becomes_what_is_meant(
    syntax: str, given: bytes, name: bytes, becomes: bytes
) -> None:
    writer = Writer(syntax)
    person = Element(PATIENT_NAME, "PN", name)
    content = file(Element(CHARACTER_SET, "CS", given), person, writer=writer)
    # It is no reason to refuse: what is unknown is how the text is shown.
    header = assert_mended(content, CoercionRule.CHARACTER_SET, None)
    assert header.raw(CHARACTER_SET).strip() == becomes
    assert header.raw(PATIENT_NAME).rstrip(b"\0") == name
    wanted = {**values(Instance(content).header), CHARACTER_SET: header.raw(CHARACTER_SET)}
    assert values(header) == wanted


def test_a_group_length_that_would_be_wrong_goes() -> None:
    writer = Writer()
    length = Element(0x00080000, "UL", struct.pack("<L", 9_999))
    kept = Element(0x00280000, "UL", struct.pack("<L", 8_888))
    mended, fired = coerce(Instance(file(length, kept, without=[MODALITY])), ALL)
    assert fired == ("modality_of_sop_class",)
    assert 0x00080000 not in mended.header
    assert mended.header.raw(0x00280000) == kept.value
    assert mended.content == file(kept, writer=writer)


def test_several_rules_work_on_one_instance_in_their_order() -> None:
    writer = Writer()
    content = file(
        Element(0x0020000D, "UI", b" 1.2.3.5"),
        Element(CHARACTER_SET, "CS", b"LATIN1"),
        *small(writer),
        Element(PIXEL_DATA, "OB", bytes(9)),
        without=[MODALITY],
        sop_instance="1.2.3.77",
    )[:-1]
    instance = Instance(content)
    mended, fired = coerce(instance, ALL)
    assert fired == (
        "pixel_data_padding",
        "file_meta_sop_uids",
        "modality_of_sop_class",
        "uid_blanks",
        "character_set",
    )
    assert reason(mended) is None


@pytest.mark.parametrize("content", [b"", b"no DICOM", file()[:300]])
def test_what_cannot_be_read_stays_as_it_came(content: bytes) -> None:
    instance = Instance(content)
    assert coerce(instance, ALL) == (instance, ())


def test_pixels_are_not_read_to_be_mended() -> None:
    writer, pixel_bytes = Writer(), 20_000_000
    elements = changed(
        minimal_image(writer),
        Element(0x00280010, "US", writer.us(10_000)),
        Element(0x00280011, "US", writer.us(1_000)),
        Element(PIXEL_DATA, "OW", bytes(pixel_bytes)),
        without=[MODALITY],
    )
    source = RangedContent(writer.file(elements, sop_instance="1.2.3.77"))
    mended, fired = coerce(Instance(source), ALL)
    assert fired == ("file_meta_sop_uids", "modality_of_sop_class")
    assert reason(mended) is None
    assert source.bytes_read < 4_000_000
