"""Made-up samples are what the intake expects, name their patients everywhere, and repeat."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import typer
from support.shared_data import shared
from typer.testing import CliRunner

from rayline.dicom.instance import Instance
from rayline.dicom.reading import read_dataset
from rayline.dicom.reasons import ReasonCode
from rayline.dicom.validation import screen
from rayline_local import samples
from rayline_local.leaks import identifying_values, search
from rayline_local.made_up import made_up_patient
from rayline_local.sample_command import register


@pytest.fixture(scope="module")
def found() -> samples.SampleSet:
    return samples.generate(5, patients=12, ct_slices=4)


def test_every_file_is_taken_or_refused_as_announced(found: samples.SampleSet) -> None:
    for sample in found.samples:
        # A known UID is a matter of the ledger: the file by itself is whole.
        expected = None if sample.refused_for == ReasonCode.UID_CONFLICT else sample.refused_for
        rejection = screen(Instance(sample.content))
        assert (rejection.reason if rejection else None) == expected, sample.name


def test_each_kind_of_broken_file_is_there(found: samples.SampleSet) -> None:
    assert set(found.refused.values()) == {
        "NOT_DICOM",
        "EMPTY_OBJECT",
        "TRUNCATED",
        "SOP_CLASS_NOT_ALLOWED",
        "UID_CONFLICT",
    }


def test_the_known_uid_has_other_content(found: samples.SampleSet) -> None:
    again = found.samples[-1]
    first = next(each for each in found.samples if each.sop_instance_uid == again.sop_instance_uid)
    assert first is not again
    assert first.content != again.content
    assert first.refused_for is None


def test_labels_are_half_and_half_and_patients_have_one(found: samples.SampleSet) -> None:
    labels: dict[str, set[str]] = {}
    for sample in found.samples:
        if sample.label:
            labels.setdefault(str(read_dataset(sample.content).PatientID), set()).add(sample.label)
    assert len(labels) == 12
    assert all(len(each) == 1 for each in labels.values())
    assert sum(each == {"PNEUMONIA"} for each in labels.values()) == 6
    assert set(found.labels.values()) == {"NORMAL", "PNEUMONIA"}


def test_the_same_seed_gives_the_same_bytes(found: samples.SampleSet) -> None:
    again = samples.generate(5, patients=12, ct_slices=4)
    assert [each.content for each in again.samples] == [each.content for each in found.samples]
    assert samples.generate(6, patients=1, ct_slices=1).samples[0].content != found.samples[0].content


def test_a_series_shares_its_identifiers(found: samples.SampleSet) -> None:
    slices = [read_dataset(each.content) for each in found.samples if each.name.startswith("ct/")]
    assert len({(each.StudyInstanceUID, each.SeriesInstanceUID, each.PatientID) for each in slices}) == 1
    positions = [float(each.ImagePositionPatient[2]) for each in slices]
    assert np.allclose(np.diff(positions), 2.5)


def test_what_names_the_patient_is_known(found: samples.SampleSet) -> None:
    values = found.identifying_values()
    sample = next(each for each in found.samples if each.label)
    dataset = read_dataset(sample.content)
    names = re.split(r"\^", str(dataset.PatientName))
    wanted = {
        str(dataset.PatientName),
        *names,
        dataset.PatientID,
        dataset.PatientBirthDate,
        dataset.AccessionNumber,
        dataset.InstitutionName,
        dataset.PatientAddress,
        dataset.PatientTelephoneNumbers,
        dataset.StudyInstanceUID,
        dataset.SOPInstanceUID,
        dataset.RequestAttributesSequence[0].RequestedProcedureID,
        dataset.OtherPatientIDsSequence[0].PatientID,
        f"Private {dataset.PatientName}",
    }
    assert wanted <= values
    assert {
        leak.value for leak in search(values, [(each.name, each.content) for each in found.samples])
    } == values


def test_opacities_brighten_lungs_on_average() -> None:
    """The label is in the picture: summed over many, opacities make lungs brighter, and only them."""

    def mean(label: samples.Label) -> samples.Image:
        pictures = [
            samples.chest_xray(np.random.default_rng([9, n]), label, 64).astype(float) for n in range(60)
        ]
        mean: samples.Image = np.mean(pictures, axis=0)
        return mean

    difference = mean("PNEUMONIA") - mean("NORMAL")
    lungs, corner = difference[20:44, 14:26].mean(), difference[:10, :10].mean()
    assert lungs > 3
    assert abs(corner) < 3


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("person1004_bacteria_2935.jpeg", "person1004"),
        ("IM-0439-0001-0001.jpeg", "IM-0439"),
        ("NORMAL2-IM-1201-0001.jpeg", "NORMAL2-IM-1201"),
    ],
)
def test_the_patient_is_read_from_the_file_name(name: str, patient: str) -> None:
    assert samples.kermany_patient(name) == patient


def test_other_file_names_are_refused() -> None:
    with pytest.raises(ValueError, match="chest X-ray set"):
        samples.kermany_patient("scan.jpeg")


@pytest.mark.shared_data
def test_shared_images_are_wrapped_with_their_labels() -> None:
    found = samples.from_shared(shared("cxr224").parent)
    assert list(found.labels.values()).count("NORMAL") == len(list(shared("cxr224", "NORMAL").iterdir()))
    assert list(found.labels.values()).count("PNEUMONIA") == len(
        list(shared("cxr224", "PNEUMONIA").iterdir())
    )
    accepted = [each.sop_instance_uid for each in found.samples if each.refused_for is None]
    assert len(set(accepted)) == len(accepted)
    assert all(screen(Instance(each.content)) is None for each in found.samples if each.refused_for is None)


def test_the_verb_writes_files_and_truth(tmp_path: Path) -> None:
    app = typer.Typer()
    register(app)
    result = CliRunner().invoke(app, ["--output", str(tmp_path), "--patients", "2", "--slices", "1"])
    assert result.exit_code == 0, result.output
    truth = json.loads((tmp_path / "ground_truth.json").read_text())
    assert len(truth["labels"]) >= 2
    assert set(truth["refused"]) == {
        str(path.relative_to(tmp_path)) for path in (tmp_path / "broken").iterdir()
    }
    patient = made_up_patient("1/cxr/0")
    assert patient.name in truth["identifying_values"]
    assert identifying_values((tmp_path / "ct/slice-001.dcm").read_bytes()) <= set(
        truth["identifying_values"]
    )
