"""`rayline demo` on made-up images, as its user runs it; every number that it tells is found out again."""

import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from support.own_estate import OwnEstate, frame_checksum, json_lines, rayline

PATIENTS = 90
# Small, so that a ResNet-50 trains within a minute on two cores; the gate stays where the stack has it.
SIZE = ("--set=rayline:imageSize=32", "--set=rayline:epochs=8", "--set=rayline:batchQuietSeconds=1")
GATE = 0.85
LEAST_TEST_IMAGES = 60
REASONS = {
    "letter.txt": "NOT_DICOM",
    "empty.dcm": "EMPTY_OBJECT",
    "truncated.dcm": "TRUNCATED",
    "report.dcm": "SOP_CLASS_NOT_ALLOWED",
    "known-uid-other-content.dcm": "UID_CONFLICT",
}


@dataclass(frozen=True)
class Ran:
    """A demo that ended, and its cloud, up again on the state that it kept."""

    returncode: int
    output: str
    summary: dict[str, Any]
    build_dir: Path
    kept: OwnEstate

    @property
    def sent(self) -> dict[str, bytes]:
        """The files on the sender's disk, by name."""
        files = [path for path in (self.build_dir / "input").rglob("*") if path.is_file()]
        found = {path.name: path.read_bytes() for path in files}
        assert len(found) == len(files)
        return found

    @property
    def good(self) -> dict[str, bytes]:
        """Those that must be imported."""
        return {name: content for name, content in self.sent.items() if name not in REASONS}

    @property
    def evaluation(self) -> dict[str, Any]:
        """The evaluation report of the only execution."""
        (report,) = (
            body
            for key, body in self.kept.account.objects("reports", "evaluations/").items()
            if key.endswith("/evaluation.json")
        )
        document: dict[str, Any] = json.loads(report)
        return document


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """One run of the whole main job."""
    build_dir = tmp_path_factory.mktemp("demo") / "build"
    finished = rayline(
        "demo", "--made-up", str(PATIENTS), "--build-dir", build_dir, "--patience", "120", *SIZE, check=False
    )
    output = finished.stdout + finished.stderr
    assert (build_dir / "summary.json").exists(), output
    summary = json.loads((build_dir / "summary.json").read_text())
    with OwnEstate(build_dir) as kept:
        yield Ran(finished.returncode, output, summary, build_dir, kept)


def test_the_summary_has_the_agreed_fields(ran: Ran) -> None:
    assert set(ran.summary) == {
        "uploaded", "validated", "quarantined", "imported", "image_sets", "verified", "phi_leaks",
        "training", "model", "seconds",
    }  # fmt: skip
    assert set(ran.summary["training"]) == {"images", "test_images", "accuracy", "roc_auc", "seconds"}
    if ran.summary["model"] is not None:
        assert set(ran.summary["model"]) == {"package_arn", "approval_status", "version"}


def test_the_counts_add_up(ran: Ran) -> None:
    summary = ran.summary
    assert summary["uploaded"] == summary["validated"] + summary["quarantined"]
    assert summary["validated"] == summary["imported"]
    assert summary["training"]["images"] + summary["training"]["test_images"] == summary["verified"]


def test_uploaded_is_what_the_sender_has_and_the_bucket_holds(ran: Ran) -> None:
    assert ran.summary["uploaded"] == len(ran.sent) == len(ran.kept.account.object_versions("uploads"))
    # 40 slices at most, one or two X-rays a patient, and the five broken files.
    assert PATIENTS + 40 + 5 < len(ran.sent) < 2 * PATIENTS + 40 + 5


def test_imported_is_what_healthimaging_answers(ran: Ran) -> None:
    image_sets = ran.kept.account.image_sets()
    instances = [uid for each in image_sets for uid in each.instances]
    assert ran.summary["image_sets"] == len(image_sets)
    assert ran.summary["imported"] == len(instances) == len(set(instances)) == len(ran.good)
    # No pixel was changed or lost on the way.
    assert Counter(crc for each in image_sets for crc in each.checksums) == Counter(
        frame_checksum(content) for content in ran.good.values()
    )


def test_validated_is_what_the_ledger_says(ran: Ran) -> None:
    assert ran.kept.account.stages() == {
        "imported": ran.summary["validated"],
        "quarantined": ran.summary["quarantined"],
    }


def test_each_broken_file_is_in_quarantine_for_its_own_reason(ran: Ran) -> None:
    records = ran.kept.account.quarantine().values()
    assert {each["origin_key"].rsplit("/", 1)[-1]: each["reason"] for each in records} == REASONS
    assert ran.summary["quarantined"] == len(REASONS)


def test_each_verification_is_the_truth_about_its_image(ran: Ran) -> None:
    """The sender's folder says nothing of labels, so the truth is made up once more."""
    from rayline_local.samples import generate

    truth = {
        frame_checksum(each.content): each.label
        for each in generate(patients=PATIENTS, ct_slices=40).samples
        if each.label is not None
    }
    tracked = {each["image_set_id"]: each for each in ran.kept.account.items("image-tracking", "image_set")}
    labels = {}
    for image_set in ran.kept.account.image_sets():
        if image_set.checksums[0] in truth:
            labels[image_set.image_set_id] = truth[image_set.checksums[0]]
        else:
            assert "label" not in tracked[image_set.image_set_id]
    assert {key: tracked[key]["label"] for key in labels} == labels
    assert ran.summary["verified"] == len(labels) == len(truth)


def test_the_test_images_are_of_patients_never_trained_on(ran: Ran) -> None:
    patient_of_frame = {}
    for content in ran.good.values():
        patient_of_frame[frame_checksum(content)] = pydicom.dcmread(io.BytesIO(content)).PatientID
    patient_of_instance = {
        uid: patient_of_frame[each.checksums[0]]
        for each in ran.kept.account.image_sets()
        if len(each.instances) == 1
        for uid in each.instances
    }
    sides = {}
    for key, body in ran.kept.account.objects("preprocessed", "preprocessed/").items():
        if key.endswith("/images.npz"):
            sides[key.split("/")[-2]] = [str(uid) for uid in np.load(io.BytesIO(body))["sop_instance_uids"]]
    assert set(sides) == {"train", "test"}
    patients = {side: {patient_of_instance[uid] for uid in uids} for side, uids in sides.items()}
    assert not patients["train"] & patients["test"]
    assert len(patients["train"] | patients["test"]) == PATIENTS
    assert not set(sides["train"]) & set(sides["test"])
    assert ran.summary["training"]["images"] == len(sides["train"])
    assert ran.summary["training"]["test_images"] == len(sides["test"]) >= LEAST_TEST_IMAGES


def test_the_metrics_are_those_of_the_report(ran: Ran) -> None:
    training, report = ran.summary["training"], ran.evaluation
    (tn, fp), (fn, tp) = report["confusion_matrix"]
    assert tn + fp + fn + tp == training["test_images"]
    assert training["accuracy"] == pytest.approx((tn + tp) / training["test_images"])
    assert training["roc_auc"] == pytest.approx(report["metrics"]["roc_auc"])
    (recorded,) = ran.kept.account.items("model-metrics")
    assert float(recorded["metrics"]["accuracy"]) == pytest.approx(training["accuracy"])
    assert 0 < training["seconds"] < ran.summary["seconds"]


def test_a_model_is_registered_exactly_if_it_meets_the_gate(ran: Ran) -> None:
    assert ran.evaluation["threshold"] == GATE
    (execution,) = ran.kept.account.executions()
    packages = ran.kept.account.model_packages()
    if ran.summary["training"]["accuracy"] < GATE:
        assert (packages, ran.summary["model"], ran.returncode) == ([], None, 1)
        assert execution["PipelineExecutionStatus"] == "Failed"
        assert "no model was registered" in ran.output
        return
    (package,) = packages
    assert ran.summary["model"] == {
        "package_arn": package["ModelPackageArn"],
        "approval_status": package["ModelApprovalStatus"],
        "version": package["ModelPackageVersion"],
    }
    # The site profile approves from 0.90 on; below it a human decides.
    approved = ran.summary["training"]["accuracy"] >= 0.90
    assert package["ModelApprovalStatus"] == ("Approved" if approved else "PendingManualApproval")
    assert execution["PipelineExecutionStatus"] == "Succeeded"
    assert ran.returncode == 0, ran.output


def test_no_identifying_value_leaked(ran: Ran) -> None:
    assert ran.summary["phi_leaks"] == 0
    assert json.loads((ran.build_dir / "leaks.json").read_text()) == {}


def test_the_trace_shows_which_plugin_ran_on_which_event(ran: Ran) -> None:
    rows = json_lines(ran.kept.operator("plugins", "trace", "--json").stdout)
    ran_on = {(row["event"], row["hook"], row["plugin"]) for row in rows}
    assert ran_on >= {
        ("uploaded", "screen_instance", "rayline.screen"),
        ("uploaded", "transform_instance", "deid"),
        ("uploaded", "on_uploaded", "rayline.intake"),
        ("ingested", "on_ingested", "rayline.ingested"),
        ("ingested", "on_ingested", "pacs_forward"),
        ("verified", "on_verified", "rayline.verified"),
        ("verified", "on_verified", "rayline.training"),
        ("trained", "on_trained", "rayline.trained"),
        ("evaluated", "on_evaluated", "rayline.evaluated"),
    }
    assert {event for event, _, _ in ran_on} == {"uploaded", "ingested", "verified", "trained", "evaluated"}
    if ran.summary["model"] is not None:
        assert ("evaluated", "approve_model", "approval") in ran_on
    # Every upload had its own event, and every event ended.
    intake = [row for row in rows if row["plugin"] == "rayline.intake"]
    assert len(intake) == len({row["identity"] for row in intake}) == ran.summary["uploaded"]
    assert Counter(row["state"] for row in intake) == {
        "done": ran.summary["validated"],
        "rejected": ran.summary["quarantined"],
    }
    assert {row["state"] for row in rows} == {"done", "rejected", "called"}


def test_it_says_what_it_found_and_where_to_look_next(ran: Ran) -> None:
    stages = [line.split(":")[0] for line in ran.output.splitlines()][:6]
    assert stages == ["uploaded", "screened", "imported", "verified", "trained", "evaluated"]
    for reason in REASONS.values():
        assert f"1 {reason}" in ran.output
    assert "rayline local up --state-dir" in ran.output
    assert str(ran.build_dir / "summary.json") in ran.output
