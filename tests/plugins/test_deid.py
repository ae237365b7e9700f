"""What the de-identification keeps, how it maps, and when it refuses."""

import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.config import RAISE
from pydicom.dataset import Dataset
from pydicom.valuerep import validate_value
from support.part10 import EXPLICIT_LITTLE, IMPLICIT_LITTLE, Element, Writer, minimal_image
from support.shared_data import part10_files

import rayline_deid
from rayline.dicom.validation import screen
from rayline.plugin import ConfigurationError, InMemory, Instance, RejectedEvent
from rayline.testing import InMemoryContext
from rayline_deid.engine import deidentify
from rayline_deid.profile import basic_profile, default_profile
from rayline_deid.pseudonyms import Pseudonyms
from rayline_deid.values import DUMMIES
from rayline_local import samples

SECRET = b"0123456789abcdef0123456789abcdef"
PROFILE = basic_profile()
PSEUDONYMS = Pseudonyms(SECRET, "north")


def read(content: bytes) -> Dataset:
    return pydicom.dcmread(BytesIO(content))


def cleaned(content: bytes) -> Dataset:
    return read(deidentify(InMemory(content), PROFILE, PSEUDONYMS).whole())


@pytest.fixture(scope="module")
def ct() -> list[samples.Sample]:
    return list(samples.ct_series(7, 5))


def test_a_series_stays_one_series(ct: list[samples.Sample]) -> None:
    outputs = [cleaned(sample.content) for sample in ct]
    for keyword in (
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "FrameOfReferenceUID",
        "PatientID",
        "PatientName",
    ):
        assert len({str(output[keyword].value) for output in outputs}) == 1
    assert len({output.SOPInstanceUID for output in outputs}) == len(ct)
    for sample, output in zip(ct, outputs, strict=True):
        assert output.file_meta.MediaStorageSOPInstanceUID == output.SOPInstanceUID
        assert output.SOPInstanceUID.startswith("2.25.")
        assert output.SOPInstanceUID != sample.sop_instance_uid
        assert output.SOPClassUID == samples.CT_IMAGE_STORAGE
        assert len(output.SOPInstanceUID) <= 64


def test_references_point_at_the_mapped_instance(ct: list[samples.Sample]) -> None:
    writer = Writer()
    referring = writer.file(
        [
            *minimal_image(writer),
            Element(
                0x00081140,
                "SQ",
                [
                    [
                        Element(0x00081150, "UI", samples.CT_IMAGE_STORAGE.encode()),
                        Element(0x00081155, "UI", str(ct[0].sop_instance_uid).encode()),
                    ]
                ],
            ),
        ]
    )
    item = cleaned(referring).ReferencedImageSequence[0]
    assert item.ReferencedSOPInstanceUID == cleaned(ct[0].content).SOPInstanceUID
    assert item.ReferencedSOPClassUID == samples.CT_IMAGE_STORAGE


def test_the_method_is_written(ct: list[samples.Sample]) -> None:
    output = cleaned(ct[0].content)
    assert output.PatientIdentityRemoved == "YES"
    assert output.LongitudinalTemporalInformationModified == "REMOVED"
    code = output.DeidentificationMethodCodeSequence[0]
    assert (code.CodeValue, code.CodingSchemeDesignator) == ("113100", "DCM")
    assert 0 < len(output.DeidentificationMethod) <= 64
    assert output.preamble == bytes(128)
    assert "SourceApplicationEntityTitle" not in output.file_meta
    assert list(output.keys()) == sorted(output.keys())


def test_another_process_maps_the_same(ct: list[samples.Sample], tmp_path: Path) -> None:
    source = tmp_path / "in.dcm"
    source.write_bytes(ct[0].content)
    script = (
        "import sys, hashlib, pathlib\n"
        "from rayline.plugin import InMemory\n"
        "from rayline_deid.engine import deidentify\n"
        "from rayline_deid.profile import basic_profile\n"
        "from rayline_deid.pseudonyms import Pseudonyms\n"
        "content = pathlib.Path(sys.argv[1]).read_bytes()\n"
        "out = deidentify(InMemory(content), basic_profile(), Pseudonyms(sys.argv[2].encode(), 'north')).whole()\n"
        "sys.stdout.buffer.write(out)\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    other = subprocess.run(
        [sys.executable, "-c", script, str(source), SECRET.decode()],
        capture_output=True,
        check=True,
        env=environment,
    ).stdout
    assert other == deidentify(InMemory(ct[0].content), PROFILE, PSEUDONYMS).whole()


def test_secrets_and_sites_tell_patients_apart(ct: list[samples.Sample]) -> None:
    content = ct[0].content
    here = cleaned(content)
    other_site = read(deidentify(InMemory(content), PROFILE, Pseudonyms(SECRET, "south")).whole())
    other_secret = read(deidentify(InMemory(content), PROFILE, Pseudonyms(SECRET[::-1], "north")).whole())
    assert here.PatientID != other_site.PatientID
    assert here.StudyInstanceUID == other_site.StudyInstanceUID
    assert here.PatientID != other_secret.PatientID
    assert here.StudyInstanceUID != other_secret.StudyInstanceUID


def patient_file(**patient: bytes) -> bytes:
    writer = Writer()
    tags = {"name": (0x00100010, "PN"), "identifier": (0x00100020, "LO"), "born": (0x00100030, "DA")}
    return writer.file(
        [*minimal_image(writer), *(Element(*tags[key], value) for key, value in patient.items())]
    )


def test_patients_without_an_id_stay_apart() -> None:
    first = cleaned(patient_file(name=b"Doe^Jane", identifier=b"", born=b"19700101"))
    second = cleaned(patient_file(name=b"Doe^Jane", identifier=b"", born=b"19710101"))
    again = cleaned(patient_file(name=b"Doe^Jane", identifier=b"", born=b"19700101"))
    assert first.PatientID == again.PatientID != second.PatientID


def test_padding_does_not_split_a_patient() -> None:
    assert (
        cleaned(patient_file(identifier=b"12345 ")).PatientID
        == cleaned(patient_file(identifier=b"12345")).PatientID
    )


@pytest.mark.parametrize(
    "vr", sorted(set(DUMMIES) - {"AT", "FL", "FD", "OD", "OF", "OL", "OV", "SL", "SV", "UL", "UV"})
)
def test_dummies_are_valid_for_their_vr(vr: str) -> None:
    validate_value(vr, DUMMIES[vr].decode().rstrip(), RAISE)
    assert len(DUMMIES[vr]) % 2 == 0


def test_a_structured_report_keeps_its_shape_and_loses_its_words() -> None:
    writer = Writer()
    concept = [
        Element(0x00080100, "SH", b"121071"),
        Element(0x00080102, "SH", b"DCM "),
        Element(0x00080104, "LO", b"Finding "),
    ]
    content = [
        [
            Element(0x0040A010, "CS", b"CONTAINS"),
            Element(0x0040A040, "CS", b"TEXT"),
            Element(0x0040A043, "SQ", [concept]),
            Element(0x0040A160, "UT", b"Jane has pneumonia"),
            Element(0x0040A730, "SQ", [[Element(0x0040A160, "UT", b"Jane again")]]),
        ]
    ]
    source = InMemory(writer.file([*minimal_image(writer), Element(0x0040A730, "SQ", content)]))
    output = deidentify(source, PROFILE, PSEUDONYMS).whole()
    assert b"Jane" not in output
    item = read(output).ContentSequence[0]
    assert item.ConceptNameCodeSequence[0].CodeMeaning == "Finding"
    assert item.ValueType == "TEXT"
    assert item.TextValue == "ANONYMIZED"
    assert item.ContentSequence[0].TextValue == "ANONYMIZED"


def flagged(value: bytes) -> bytes:
    writer = Writer()
    return writer.file([*minimal_image(writer), Element(0x00280301, "CS", value)])


def test_burned_in_text_is_refused() -> None:
    with pytest.raises(RejectedEvent) as caught:
        deidentify(InMemory(flagged(b"YES ")), PROFILE, PSEUDONYMS).whole()
    assert caught.value.reason == "BURNED_IN_ANNOTATION"
    assert cleaned(flagged(b"NO")).BurnedInAnnotation == "NO"


def test_a_media_directory_is_refused() -> None:
    writer = Writer()
    with pytest.raises(RejectedEvent) as caught:
        deidentify(InMemory(writer.file([], sop_class="1.2.840.10008.1.3.10")), PROFILE, PSEUDONYMS).whole()
    assert caught.value.reason == "DICOMDIR_REFUSED"


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE])
def test_every_cut_is_refused_or_still_whole(syntax: str) -> None:
    """A file cut anywhere either raises a reason, or what comes out holds no more than what went in."""
    writer = Writer(syntax, undefined=True)
    content = writer.file(
        [*minimal_image(writer), Element(0x00081140, "SQ", [[Element(0x00081155, "UI", b"1.2.3.7")]])]
    )
    for end in range(132, len(content)):
        try:
            output = deidentify(InMemory(content[:end]), PROFILE, PSEUDONYMS).whole()
        except RejectedEvent:
            continue
        assert b"1.2.3.7" not in output
    assert {outcome(content[:end]) for end in range(132, len(content))} == {
        "",
        "TRUNCATED",
        "MISSING_ATTRIBUTE",  # cut before the transfer syntax
    }


def test_the_plugin_leaves_a_receipt_that_names_no_key(ct: list[samples.Sample]) -> None:
    context = InMemoryContext(settings=rayline_deid.DeidSettings(), secrets={"deid": SECRET})
    output = rayline_deid.transform_instance(Instance(ct[0].content), context)
    assert screen(output) is None
    (receipt,) = output.receipts
    assert receipt.plugin == "deid"
    assert receipt.profile_digest == default_profile().digest
    assert len(receipt.profile_digest) == 64
    assert receipt.key_id == PSEUDONYMS.key_id
    assert receipt.key_id not in SECRET.hex()
    assert Pseudonyms(SECRET[::-1], "north").key_id != receipt.key_id


@pytest.mark.parametrize("secrets", [{}, {"deid": b""}, {"deid": b"short"}])
def test_without_a_secret_nothing_passes(ct: list[samples.Sample], secrets: dict[str, bytes]) -> None:
    context = InMemoryContext(settings=rayline_deid.DeidSettings(), secrets=secrets)
    with pytest.raises(ConfigurationError):
        rayline_deid.transform_instance(Instance(ct[0].content), context)


@pytest.mark.shared_data
def test_every_real_file_keeps_its_pixels_bit_for_bit() -> None:
    compared = 0
    for path in part10_files("transfer_syntax") + part10_files("cxr_dicom") + part10_files("sr_seg"):
        content = path.read_bytes()
        if screen(Instance(content)) is not None:
            continue
        original, output = read(content), cleaned(content)
        for tag in (0x7FE00008, 0x7FE00009, 0x7FE00010):
            assert (tag in original) == (tag in output), path.name
            if tag in original:
                assert original.get_item(tag).value == output.get_item(tag).value, path.name
                compared += 1
        for keyword in (
            "Modality",
            "Rows",
            "Columns",
            "PixelSpacing",
            "ImagePositionPatient",
            "RescaleSlope",
        ):
            assert original.get(keyword) == output.get(keyword), path.name
        assert output.file_meta.TransferSyntaxUID == original.file_meta.TransferSyntaxUID
    assert compared > 30


@pytest.mark.shared_data
def test_no_value_of_the_penn_patients_is_left() -> None:
    from rayline_local.leaks import identifying_values, search

    files = part10_files("deid", "penn_tcia", "dicom")
    values: set[str] = set()
    outputs = []
    for path in files:
        content = path.read_bytes()
        values |= identifying_values(content)
        outputs.append((path.name, deidentify(InMemory(content), PROFILE, PSEUDONYMS).whole()))
    assert len(values) > 20
    assert search(values, [(path.name, path.read_bytes()) for path in files])
    assert search(values, outputs) == []


@pytest.mark.shared_data
def test_fuzzed_files_end_in_output_or_reason() -> None:
    outcomes = [outcome(path.read_bytes()) for path in part10_files("malformed", "fuzz")]
    assert len(outcomes) >= 100
    assert set(outcomes) <= {
        "",
        "TRUNCATED",
        "MALFORMED",
        "NOT_DICOM",
        "INVALID_UID",
        "MISSING_ATTRIBUTE",
        "LIMIT_EXCEEDED",
        "BURNED_IN_ANNOTATION",
    }


def outcome(content: bytes) -> str:
    """The reason of a refusal, empty where there is none."""
    try:
        deidentify(InMemory(content), PROFILE, PSEUDONYMS).whole()
    except RejectedEvent as refusal:
        return refusal.reason
    return ""


SENTINEL = b"SENTINELVALUE"
NAMING = [(0x00100010, "PN"), (0x00081030, "LO"), (0x00104000, "LT"), (0x00091001, "LO"), (0x0040A123, "PN")]
KEEPING = [0x00081140, 0x52009229, 0x00289110, 0x00082112]


@st.composite
def items(draw: st.DrawFn, depth: int = 3) -> list[Element]:
    found = {
        tag: Element(tag, vr, SENTINEL) for tag, vr in draw(st.lists(st.sampled_from(NAMING), max_size=4))
    }
    if depth:
        for tag in draw(st.lists(st.sampled_from(KEEPING), max_size=2)):
            found[tag] = Element(tag, "SQ", draw(st.lists(items(depth=depth - 1), max_size=2)))
    return list(found.values())


@settings(max_examples=150, deadline=None)
@given(items(), st.sampled_from([IMPLICIT_LITTLE, EXPLICIT_LITTLE]), st.booleans())
def test_no_generated_data_set_leaks_at_any_depth(extra: list[Element], syntax: str, undefined: bool) -> None:
    writer = Writer(syntax, undefined)
    content = writer.file([*minimal_image(writer), *extra])
    output = deidentify(InMemory(content), PROFILE, PSEUDONYMS).whole()
    assert SENTINEL not in output
    assert screen(Instance(output)) is None
    assert output == deidentify(InMemory(content), PROFILE, PSEUDONYMS).whole()
