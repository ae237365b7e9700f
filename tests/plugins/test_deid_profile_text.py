"""Of free text only the words stay that identify nobody."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayline_deid.codes import is_public_code, is_public_meaning, is_version
from rayline_deid.text import cleaned, holds_identifier, identifier_parts, vocabulary

WORDS = vocabulary()
NOBODY: frozenset[str] = frozenset()


def clean(text: str, *identifiers: bytes, vr: str = "LO") -> str:
    return cleaned(text.encode("utf-8"), vr, WORDS, identifier_parts(identifiers)).decode()


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("CT Chest with contrast", "CT Chest with contrast"),
        ("Thorax^ROUTINE (Adult)", "Thorax ROUTINE"),
        ("T2 FLAIR axial 5 mm", "T2 FLAIR axial 5mm"),
        ("MR L5/S1, 1.5T, 120kV", "MR L5 S1 1.5T 120kV"),
        ("Follow-up chest x-ray", "Follow up chest"),
        ("", ""),
        # What denies must not be lost, or the rest would say the contrary.
        ("CT, HEAD/BRAIN WO CONTRAST", "CT HEAD BRAIN WO CONTRAST"),
        ("MRI ABDOMEN PELVIS W+WO CONT", "MRI ABDOMEN PELVIS W WO CONT"),
        ("chest w/o contrast, r/o pneumonia", "chest w/o contrast r/o pneumonia"),
        ("XR C Spine Comp Min 4 Views", "XR C Spine Comp Min 4Views"),
    ],
)
def test_what_a_description_is_about_stays(text: str, kept: str) -> None:
    assert clean(text) == kept


@pytest.mark.parametrize(
    "text",
    [
        "Jane Doe",
        "DOE^JANE",
        "MRN0012345",
        "0171-555 12 34",
        "+49 (30) 1234567",
        "12.03.1999",
        "1999-03-12",
        "03/12/99",
        "20240229",
        "jane.doe@example.org",
        "ward 7, bed 12",
        "d.o.b. 12 3 99",
        "Müller",
        "山田^太郎",
        "1.2.840.113619.2.55",
        "SENTINEL000017",
        "ACC-2024-0001",
    ],
)
def test_names_numbers_and_dates_go(text: str) -> None:
    kept = clean(f"Chest {text} axial")
    assert not re.search(r"\d", kept)
    assert kept in ("Chest axial", "")  # text that is not plain ASCII goes as a whole


def test_a_number_goes_that_only_looks_like_a_measure() -> None:
    for text in ("555 12 34 mm", "12.03.99 mm", "tel 030-12 mm", "X12 mm", "1234 mm", "99-12 ml"):
        assert not re.search(r"\d", clean(text)), text
    assert clean("Slice 5 mm", b"5") == "Slice 5mm"  # one digit names nobody
    assert clean("Slice 17 mm", b"17") == "Slice"


def test_a_word_of_the_vocabulary_goes_where_it_is_a_name() -> None:
    assert clean("Head axial", b"Head^Jane") == "axial"
    assert clean("chest wall of Mr Chest", b"CHEST^John") == "of" or "chest" not in clean(
        "chest", b"CHEST^John"
    )
    assert clean("Axial Stent 120 kV", b"Dr. Stent", b"120") == "Axial"


def test_values_are_cleaned_one_by_one_and_prose_as_a_whole() -> None:
    assert clean("Chest\\Jane Doe\\axial") == "Chest\\\\axial"
    assert clean("Jane\\Doe") == ""
    assert clean("Chest\r\nJane \\ Doe\r\naxial", vr="LT") == "Chest axial"


@given(st.text(alphabet=st.characters(codec="ascii"), max_size=80))
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    assert len(once) <= len(text)


@given(
    st.lists(st.sampled_from(["Chest", "axial", "5 mm", "Zorgblatt", "Zorgblatt-17", "0049 171 4711", "L5"]))
)
def test_no_sentinel_survives_between_words_that_stay(parts: list[str]) -> None:
    for separator in (" ", "^", "_", "-", "/", ", ", "\t"):
        kept = clean(separator.join(parts))
        assert "orgblatt" not in kept
        assert "4711" not in kept
        assert "171" not in kept


@given(st.binary(max_size=60), st.sampled_from(["LO", "LT", "SH", "UT", "CS"]))
def test_any_bytes_end_in_words_of_the_vocabulary(value: bytes, vr: str) -> None:
    kept = cleaned(value, vr, WORDS, NOBODY).decode("ascii")
    for token in re.split(r"[ \\]+", kept):
        number = re.fullmatch(r"\d{1,3}(\.\d{1,3})?[A-Za-z%]+", token)
        level = re.fullmatch(r"(?i)[ctls]\d{1,2}|th\d{1,2}|[234]d|[wrhc]/o|s/p|[ctl](-spine)?", token)
        assert not token or token.lower() in WORDS or number or level, token


def test_a_sites_own_words_stay() -> None:
    assert clean("zorgblatt axial") == "axial"
    assert cleaned(b"Zorgblatt axial", "LO", WORDS | {"zorgblatt"}, NOBODY) == b"Zorgblatt axial"


NAMES = """
smith johnson williams brown jones garcia miller davis rodriguez martinez hernandez lopez gonzalez wilson anderson
thomas taylor moore jackson martin lee perez thompson white harris sanchez clark ramirez lewis robinson walker young
allen king wright scott torres nguyen hill flores green adams nelson baker hall rivera campbell mitchell carter roberts
gomez phillips evans turner diaz parker cruz edwards collins reyes stewart morris morales murphy cook rogers gutierrez
ortiz morgan cooper peterson bailey reed kelly howard ramos kim cox ward richardson watson brooks chavez wood bennett
gray mendoza ruiz hughes price alvarez castillo sanders patel myers long ross foster jimenez powell jenkins perry
russell sullivan bell coleman butler henderson barnes fisher vasquez simmons romero jordan patterson hamilton graham
reynolds griffin wallace moreno west cole hayes bryant gibson ellis tran medina stevens murray ford castro marshall
owens harrison woods wells vargas chen freeman webb tucker burns crawford olson simpson porter hunter gordon shaw
snyder mason dixon hunt hicks holmes palmer wagner black boyd rose stone fox warren mills meyer rice schmidt daniels
weaver gardner payne grant dunn hart bradley knight carpenter wheeler burke bishop dean sharp cross field fields short
small little banks park temple waters ball post frost swan early block star
james john robert michael david mary jennifer linda susan lisa anna max eva tia ray joy iris ivy lily violet grace hope
dawn eve robin jay pat sue tim tom dan bob jim joe ken leo lou ned ron sam ted vic zoe abe al ben ed gus hal ian ira
january february march april may june july august september october november december
paris london berlin boston york hopkins mayo charite
"""


def test_common_names_and_months_are_no_words_of_the_vocabulary() -> None:
    assert not WORDS & set(NAMES.split())
    assert all(re.fullmatch(r"[a-z0-9]+", word) for word in WORDS)


def test_text_that_is_known_to_be_safe_is_still_looked_at_for_the_patient() -> None:
    parts = identifier_parts([b"Doe^Jane", b"MRN-4711", b"19700101"])
    assert holds_identifier(b"protocol of jane", parts)
    assert holds_identifier(b"no 4711", parts)
    assert not holds_identifier(b"EPI factor 5", parts)
    assert holds_identifier("Müller".encode(), NOBODY)


@pytest.mark.parametrize(
    "code",
    [
        "71388002",
        "39607008",
        "18782-3",
        "11528-7",
        "RID1301",
        "C34.1",
        "T-28000",
        "113100",
        "mm",
        "P1-0987A",
        "eng",
        "en-US",
    ],
)
def test_codes_of_public_terminologies_are_known(code: str) -> None:
    assert is_public_code(code)


@pytest.mark.parametrize(
    "code",
    ["12345678", "4711", "MRN000123", "SENTINEL000001", "18782-4", "71388003", "Jane", "1970-01-01", ""],
)
def test_other_codes_are_not(code: str) -> None:
    assert not is_public_code(code)


def test_meanings_and_versions() -> None:
    assert is_public_meaning("Finding")
    assert not is_public_meaning("Finding of Jane")
    assert is_version("20160314")
    assert is_version("1.1")
    assert not is_version("Jane")
