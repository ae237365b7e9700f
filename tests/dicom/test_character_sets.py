"""Text is read in the character set that its data set, or the item around it, names."""

import pydicom
import pytest
from support.part10 import Element, Writer
from support.shared_data import part10_files

from rayline.dicom.character_sets import CHARACTER_SETS, decode
from rayline.dicom.content import LocalFile
from rayline.dicom.header import read_header
from rayline.dicom.instance import Instance

PATIENT_NAME = 0x00100010

# pydicom warns of bytes that it replaces; outside of pytest the product silences it.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom.*")


@pytest.mark.parametrize(
    ("terms", "raw", "text"),
    [
        # The same letters as Unicode and its tables of ISO 8859 have them.
        (["ISO_IR 100"], b"J\xf6rg", "Jörg"),
        (["ISO_IR 101"], b"\xa3\xf3d\xbc", "Łódź"),
        (["ISO_IR 144"], b"\xbb\xee\xdae", "Люкe"),
        (["ISO_IR 126"], b"\xc4\xe9\xef", "Διο"),
        (["ISO_IR 203"], b"\xa4", "€"),
        (["ISO_IR 192"], "Jörg 山田".encode(), "Jörg 山田"),
        (["GB18030"], "王".encode("gb18030"), "王"),
        (["ISO_IR 13"], b"\xd4\xcf\xc0\xde", "ﾔﾏﾀﾞ"),
        # PS3.5 §H.3.1: escape sequences from and to the default repertoire.
        (["", "ISO 2022 IR 87"], b"Yamada=\x1b$B;3ED\x1b(B", "Yamada=山田"),
        (["ISO 2022 IR 87"], b"\x1b$B;3ED\x1b(B", "山田"),
        # PS3.5 §I.2.
        (["", "ISO 2022 IR 149"], b"\x1b$)C\xb1\xe8", "김"),
        (["ISO 2022 IR 100"], b"J\xf6rg", "Jörg"),
        ([], b"J\xf6rg", "Jörg"),
        (["NONSENSE"], b"J\xf6rg", "Jörg"),
    ],
)
def test_text_is_decoded(terms: list[str], raw: bytes, text: str) -> None:
    assert decode(raw, terms) == text


@pytest.mark.parametrize("term", sorted(CHARACTER_SETS))
def test_no_bytes_are_refused(term: str) -> None:
    every = bytes(range(0x20, 0x100)) + b"\x1b$B\xff\x1b$)C\x80\x1b"
    assert decode(every, [term])
    assert decode(every, ["", term, "NONSENSE"])


def test_an_item_is_in_its_own_character_set_or_in_the_one_around_it() -> None:
    name = Element(PATIENT_NAME, "PN", "Łódź".encode())
    own = [Element(0x00080005, "CS", b"ISO_IR 101"), Element(PATIENT_NAME, "PN", b"\xa3\xf3d\xbc")]
    sequence = Element(0x00081140, "SQ", [[name], own])
    around = Element(0x00080005, "CS", b"ISO_IR 192")
    header = Instance(Writer().file([around, sequence, name])).header
    assert header.text(PATIENT_NAME) == "Łódź"
    assert [item.text(PATIENT_NAME) for item in header.items(0x00081140)] == ["Łódź", "Łódź"]


@pytest.mark.shared_data
def test_real_names_are_those_that_pydicom_reads() -> None:
    compared = 0
    for path in part10_files("charset"):
        header, dataset = read_header(LocalFile(path)), pydicom.dcmread(path)
        if "PatientName" in dataset:
            # pydicom leaves out an empty last component group.
            assert header.text(PATIENT_NAME).rstrip("=") == str(dataset.PatientName), path.name
            compared += 1
    assert compared >= 15
