"""A whole estate that loses events: the reconciler finds what did not arrive, and brings it about, once."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.own_estate import OwnEstate, accepted, eventually, rayline

from rayline_local.samples import Sample, generate

FIRST = accepted(generate(seed=41, patients=3, ct_slices=4).samples)
SECOND = accepted(generate(seed=42, patients=2, ct_slices=4).samples)


class LossyEstate:
    """The estate, and the verb as an operator of the task runs it."""

    def __init__(self, estate: OwnEstate) -> None:
        self.estate = estate
        self.account = estate.account

    def run(self, *options: str) -> "subprocess.CompletedProcess[str]":
        """`rayline reconcile` in the task's environment; what is younger than a second is left alone."""
        command = (
            sys.executable,
            "-m",
            "rayline.cli",
            "reconcile",
            "--json",
            "--older-than",
            "1",
            "--since",
            "1h",
            *options,
        )
        state = ("--state-dir", str(self.estate.state_dir))
        finished = rayline("local", "exec", "--role", "processor", *state, "--", *command, check=False)
        assert finished.returncode in (0, 1), finished.stdout + finished.stderr
        return finished

    def found(self) -> dict[str, set[str]]:
        """Codes by stage, nothing repaired."""
        codes: dict[str, set[str]] = {}
        for gap in json.loads(self.run("--dry-run").stdout)["gaps"]:
            codes.setdefault(gap["stage"], set()).add(gap["what"])
        return codes

    def jobs_have_ended(self) -> bool:
        """Whether no batch is without a job, and no job at work."""
        self.estate.processor.check()
        states = set(self.account.batches().values())
        jobs = self.account.client("medical-imaging").list_dicom_import_jobs(
            datastoreId=self.account.datastore_id
        )["jobSummaries"]
        return states <= {"started", "accounted"} and all(each["jobStatus"] == "COMPLETED" for each in jobs)

    def set_rule(self, name: str, *, enabled: bool) -> None:
        """Switch a rule of the default bus on or off."""
        events = self.account.client("events")
        act = events.enable_rule if enabled else events.disable_rule
        act(Name=f"rayline-local-{name}")


@pytest.fixture(scope="module")
def lossy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LossyEstate]:
    with OwnEstate(tmp_path_factory.mktemp("lossy"), batchQuietSeconds="1") as estate:
        # Each minute instead of each quarter of an hour, so that a test sees it come.
        estate.account.client("events").put_rule(
            Name="rayline-local-reconcile-due", ScheduleExpression="rate(1 minute)", State="ENABLED"
        )
        estate.processor.start()
        yield LossyEstate(estate)


def names_nobody(output: str, samples: list[Sample]) -> bool:
    """Whether a report holds no key that a sender chose."""
    return not [each.name for each in samples if each.name in output or Path(each.name).stem in output]


def test_events_of_healthimaging_that_never_came(lossy: LossyEstate) -> None:
    estate = lossy.estate
    estate.faults(drop_events=True)
    estate.upload(FIRST)
    eventually(lambda: lossy.account.stages() == {"batched": len(FIRST)}, "all batched")
    eventually(lossy.jobs_have_ended, "the jobs have ended")
    eventually(lambda: lossy.found() == {"imported": {"EVENT_MISSED", "IMAGE_SET_UNKNOWN"}}, "found")
    dry = lossy.run("--dry-run")
    assert dry.returncode == 1
    assert names_nobody(dry.stdout + dry.stderr, FIRST)
    assert lossy.account.stages() == {"batched": len(FIRST)}
    repairing = lossy.run()
    assert repairing.returncode == 0, repairing.stdout + repairing.stderr
    eventually(lambda: lossy.account.stages() == {"imported": len(FIRST)}, "all imported")
    assert lossy.account.import_successes().total() == len(FIRST)


def test_uploads_whose_rule_was_off(lossy: LossyEstate) -> None:
    estate, uploaded = lossy.estate, len(FIRST) + len(SECOND)
    estate.faults()
    lossy.set_rule("uploaded", enabled=False)
    estate.upload(SECOND)
    lossy.set_rule("uploaded", enabled=True)
    eventually(lambda: "EVENT_MISSED" in lossy.found().get("received", ()), "found")
    document: dict[str, Any] = json.loads(lossy.run().stdout)
    assert document["stages"]["received"] == {
        "looked_at": uploaded, "gaps": len(SECOND), "repaired": len(SECOND),
    }  # fmt: skip
    assert names_nobody(json.dumps(document), SECOND)
    eventually(lambda: estate.everything_settled(uploaded), "all imported")
    assert lossy.account.stages() == {"imported": uploaded}
    # Nothing is left to find, and nothing was imported twice.
    eventually(lambda: lossy.run().returncode == 0 and lossy.found() == {}, "no gap")
    assert set(lossy.account.import_successes().values()) == {1}


def test_originals_of_what_was_imported_may_expire_and_are_in_the_archive(lossy: LossyEstate) -> None:
    account = lossy.account
    s3 = account.client("s3")
    versions = account.object_versions("uploads")
    assert len(versions) == len(FIRST) + len(SECOND)
    for key, version_id in versions:
        tags = s3.get_object_tagging(Bucket=account.bucket("uploads"), Key=key, VersionId=version_id)[
            "TagSet"
        ]
        assert tags == [{"Key": "rayline-state", "Value": "imported"}]
    assert account.objects("archive") == account.objects("uploads")


def test_the_schedule_has_the_processor_reconcile(lossy: LossyEstate) -> None:
    def begun() -> list[dict[str, Any]]:
        return lossy.account.items("image-tracking", "reconciliation")

    eventually(begun, "a scheduled run began", seconds=120)
    eventually(
        lambda: (
            '"reconciled"' in lossy.estate.log_path.read_text()
            and '"ReconcilerGaps"' in lossy.estate.log_path.read_text()
        ),
        "its metric is in the task's log",
    )


def test_an_operator_without_the_secret_is_told_what_is_missing(lossy: LossyEstate) -> None:
    refused = lossy.estate.operator("reconcile", check=False)
    assert refused.returncode == 2
    assert "tracking secret" in refused.stderr
