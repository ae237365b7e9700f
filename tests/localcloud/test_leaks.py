"""The search finds a value however it is written and wherever it is packed, and nothing else."""

import base64
import gzip
import io
import json
import tarfile
import time
import urllib.parse
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from rayline_local.leaks import LeakSearch, identifying_values, search

VALUES = {"Featherstone^Quentin", "MRN12345678", "1.2.826.0.1.77.5", "19700203", "Müller-Größe", "Ashwick"}


def found(blob: bytes, values: set[str] = VALUES) -> set[str]:
    return {leak.value for leak in search(values, [("place", blob)])}


@pytest.mark.parametrize("value", sorted(VALUES))
@pytest.mark.parametrize(
    "write",
    [
        lambda value: value.encode(),
        lambda value: value.upper().encode(),
        lambda value: value.lower().encode(),
        lambda value: value.encode("latin-1"),
        lambda value: value.encode("utf-16-le"),
        lambda value: value.encode("utf-16-be"),
        lambda value: json.dumps({"k": value}).encode(),
        lambda value: urllib.parse.quote(value, safe="").encode(),
    ],
)
def test_every_form_is_found_in_noise(value: str, write: object) -> None:
    assert callable(write)
    noise = np.random.default_rng(1).integers(128, 256, 4096, dtype=np.uint8).tobytes()
    for shift in range(8):
        assert found(noise[:shift] + b" " + write(value) + b" " + noise) == {value}
    assert found(noise) == set()


def test_base64_is_seen_through() -> None:
    for shift in range(3):
        blob = json.dumps(
            {"InlineBinary": base64.b64encode(b"x" * shift + b"Featherstone^Quentin was here").decode()}
        )
        assert found(blob.encode()) == {"Featherstone^Quentin"}


def packed_tar(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo("model/notes.txt")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def packed_zip(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.gz", gzip.compress(content))
    return buffer.getvalue()


@pytest.mark.parametrize("pack", [gzip.compress, packed_tar, packed_zip])
def test_archives_are_opened(pack: object) -> None:
    assert callable(pack)
    blob = pack(b"report of MRN12345678." * 3)
    assert b"MRN12345678" not in blob
    (leak, *_) = search(VALUES, [("s3://models/model.tar.gz", blob)])
    assert leak.value == "MRN12345678"
    assert leak.place.startswith("s3://models/model.tar.gz!")
    assert "MRN12345678" not in repr(leak)


def test_a_damaged_archive_is_searched_as_it_is() -> None:
    assert found(gzip.compress(b"x" * 1000)[:20] + b" MRN12345678 ") == {"MRN12345678"}


def test_numbers_inside_longer_numbers_are_not_finds() -> None:
    assert found(b'{"at": 1119700203, "uid": "2.25.1970020355"}') == set()
    assert found(b'{"born": "19700203"}') == {"19700203"}
    assert found(b"1.2.826.0.1.77.52") == set()
    assert found(b"1.2.826.0.1.77.5\0") == {"1.2.826.0.1.77.5"}


def test_short_words_inside_longer_words_are_not_finds() -> None:
    assert found(b"the ashwicker inn") == set()
    assert found(b"came from ASHWICK.") == {"Ashwick"}


def test_a_value_across_the_border_of_two_chunks_is_found_once() -> None:
    blob = bytearray(9 * 1024 * 1024)
    border = 4 * 1024 * 1024
    blob[border - 5 : border - 5 + 11] = b"MRN12345678"
    leaks = search(VALUES, [("large", bytes(blob))])
    assert [(leak.offset, leak.value) for leak in leaks] == [(border - 5, "MRN12345678")]


@given(st.binary(max_size=200), st.sampled_from(sorted(VALUES)), st.binary(max_size=200))
def test_it_agrees_with_a_plain_search(before: bytes, value: str, after: bytes) -> None:
    blob = before + b"\0" + value.encode() + b"\0" + after
    assert value in found(blob)


def test_thousands_of_values_in_much_noise_are_searched_soon() -> None:
    values = {f"Familyname{number:05}^Given{number:05}" for number in range(3_000)}
    noise = np.random.default_rng(2).integers(0, 256, 30_000_000, dtype=np.uint8).tobytes()
    looking = LeakSearch(values)
    began = time.perf_counter()
    assert list(looking.scan("noise", noise)) == []
    # Measured 0.13–0.25 s; a search value by value takes minutes.
    assert time.perf_counter() - began < 10


def dataset(**values: object) -> Dataset:
    built = Dataset()
    for keyword, value in values.items():
        setattr(built, keyword, value)
    return built


def test_names_come_whole_and_in_parts() -> None:
    assert identifying_values(dataset(PatientName="Featherstone^Quentin^J")) == {
        "Featherstone^Quentin^J",
        "Featherstone",
        "Quentin",
    }


def test_what_many_patients_share_is_left_out() -> None:
    common = dataset(
        PatientSex="F",
        PatientAge="044Y",
        StudyTime="101112",
        PatientName="Li^Bo",
        PatientID="1234567",
        PatientBirthDate="",
        StudyDescription="CT CHEST",
        SeriesInstanceUID="1.2.840.10008.1.4.1.1",
        PatientComments="ANONYMIZED",
        Manufacturer="Hospital Device Company",
    )
    assert identifying_values(common) == set()


def test_text_that_also_stands_where_it_may_stay_proves_nothing() -> None:
    both = dataset(ProtocolName="Brilliance 16P", ManufacturerModelName="Brilliance 16P")
    assert identifying_values(both) == set()
    assert identifying_values(dataset(ProtocolName="Brilliance 16P")) == {"Brilliance 16P"}
    assert "Brilliance" in identifying_values(
        dataset(PatientName="Brilliance^Jo", ManufacturerModelName="Brilliance 16P")
    )


def test_nested_and_private_values_are_found() -> None:
    inner = dataset(AccessionNumber="ACC-998877")
    outer = dataset(RequestAttributesSequence=[inner])
    outer.add_new(0x00090010, "LO", "VENDOR SCHEME")
    outer.add_new(0x00091001, "LO", "Private of Featherstone")
    outer.add_new(0x00091002, "UN", b"Bytes of Featherstone ")
    assert identifying_values(outer) == {"ACC-998877", "Private of Featherstone", "Bytes of Featherstone"}


def test_bytes_that_are_no_dicom_have_no_values() -> None:
    assert identifying_values(b"Dear Doctor Featherstone") == set()
