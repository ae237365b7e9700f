"""The verbs show before they act, hide who a file is about, and say what they did."""

import json
import re
from typing import Any

import pytest
import typer
from structlog.testing import CapturingLogger
from support.in_memory_cloud.cloud import InMemoryCloud
from support.manual_clock import ManualClock
from support.processor_estate import ProcessorEstate
from support.quarantined_site import QuarantinedSite
from typer.testing import CliRunner

from rayline.cli import quarantine as verbs
from rayline.errors import ConfigurationError
from rayline.observability import audit
from rayline.quarantine import NotInQuarantine
from rayline.testing import ImageSpec, image_content
from rayline.testing.phi import found_in_text


class Operator:
    """Runs the verbs on a site."""

    def __init__(self, site: QuarantinedSite, patch: pytest.MonkeyPatch) -> None:
        self.site = site
        estate = type("Estate", (), {"triage": site.triage})()
        patch.setattr(verbs, "open_estate", lambda: estate)
        patch.setattr(verbs, "_who", lambda _: "anna")
        patch.setattr(verbs, "utc_now", site.clock)
        # The command configures logs to go to standard error.
        patch.setattr(audit, "_log", CapturingLogger())
        self._app = typer.Typer()
        self._app.callback()(lambda: None)
        verbs.register(self._app)

    def run(self, *arguments: str, columns: int = 100) -> Any:
        """Run a verb."""
        return CliRunner(env={"COLUMNS": str(columns)}).invoke(self._app, ["quarantine", *arguments])

    def told(self, *arguments: str, columns: int = 100) -> str:
        """What a verb that succeeds prints."""
        result = self.run(*arguments, columns=columns)
        assert result.exit_code == 0, result.output
        return str(result.stdout)

    def lines(self, *arguments: str) -> list[dict[str, Any]]:
        """The JSON documents that a verb prints."""
        return [json.loads(line) for line in self.told(*arguments, "--json").splitlines()]


@pytest.fixture
def operator(clock: ManualClock, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Operator:
    return Operator(QuarantinedSite(ProcessorEstate(InMemoryCloud(clock), tmp_path), clock), monkeypatch)


def identified(operator: Operator, number: int = 1) -> str:
    """A refused file that is full of a patient. Returns its id."""
    content = image_content(ImageSpec(instance=number, identified=True))[:-10]
    return operator.site.send(content, f"qzname_qzpid4711/{number}.dcm")


@pytest.mark.parametrize("columns", [80, 100, 180])
def test_a_list_shows_whole_ids_and_reasons_on_any_terminal(operator: Operator, columns: int) -> None:
    ids = [identified(operator, number) for number in range(3)]
    told = operator.told("list", columns=columns)
    assert "3 in quarantine" in told
    for entry_id in ids:
        assert entry_id in told
    assert "TRUNCATED" in told
    assert "screen_instance" in told
    assert max(len(line) for line in told.splitlines()) <= columns
    assert found_in_text(told) == []


def test_a_list_ends_at_its_limit_and_says_so(operator: Operator, clock: ManualClock) -> None:
    for number in range(5):
        operator.site.refuse(number)
        clock.pass_time(60)
    result = operator.run("list", "--limit", "2")
    assert "the newest 2 in quarantine" in result.stdout
    assert f"{4:032x}" in result.stdout
    assert f"{2:032x}" not in result.stdout
    assert "--limit 0 lists all" in result.stderr
    assert [each["entry_id"] for each in operator.lines("list", "--limit", "0")] == [
        f"{number:032x}" for number in (4, 3, 2, 1, 0)
    ]
    assert "more" not in operator.run("list", "--limit", "5").stderr


def test_filters_are_those_of_the_index(operator: Operator, clock: ManualClock) -> None:
    for number in range(4):
        operator.site.refuse(number, reason=("NOT_DICOM", "TRUNCATED")[number % 2], study=f"{number:016x}")
        clock.pass_time(3600)

    def ids(*arguments: str) -> list[int]:
        return [int(each["entry_id"], 16) for each in operator.lines("list", *arguments)]

    assert ids("--reason", "TRUNCATED") == [3, 1]
    assert ids("--stage", "uploaded", "--since", "2h") == [3, 2]
    assert ids("--older-than", "2h") == [1, 0]
    assert ids("--study", f"{2:016x}") == [2]
    assert ids("--series", "0") == []
    refused = operator.run("list", "--older-than", "yesterday")
    assert isinstance(refused.exception, ConfigurationError)
    assert "--older-than" in str(refused.exception)


def test_groups_are_counted(operator: Operator, clock: ManualClock) -> None:
    for number in range(5):
        operator.site.refuse(
            number, reason="TRUNCATED" if number else "NOT_DICOM", study="a" * 16 if number else ""
        )
        clock.pass_time(60)
    told = operator.told("list", "--group-by", "study")
    assert "5 in quarantine, by study" in told
    assert re.search(r"aaaaaaaaaaaaaaaa\W+4\W", told)
    assert re.search(r"not known\W+1\W", told)
    (largest, smallest) = operator.lines("list", "--group-by", "reason")
    assert (largest["value"], largest["entries"]) == ("TRUNCATED", 4)
    assert (smallest["value"], smallest["reasons"]) == ("NOT_DICOM", {"NOT_DICOM": 1})


def test_what_plugins_and_senders_wrote_is_obeyed_by_no_terminal(operator: Operator) -> None:
    operator.site.refuse(1, reason="[bold]X[/]", explanation="\x1b[31mred \x07[link=http://x]y[/link]")
    for arguments in (("list",), ("list", "--group-by", "reason"), ("show", f"{1:032x}")):
        for columns in (80, 180):
            told = operator.told(*arguments, columns=columns)
            assert "\x1b[31m" not in told
            assert "\x07" not in told
            assert "[bold]X[/]" in told.replace("\n", "")


def test_an_entry_is_shown_without_its_patient_unless_asked(operator: Operator) -> None:
    entry_id = identified(operator)
    told = operator.told("show", entry_id)
    assert re.search(r"^reason +TRUNCATED$", told, flags=re.MULTILINE)
    assert re.search(r"^\(0010,0010\) PN +\d+  PatientName +\[hidden\]$", told, flags=re.MULTILINE)
    assert re.search(r"^\(0008,0060\) CS +2  Modality +CT$", told, flags=re.MULTILINE)
    assert told.splitlines()[-1].startswith("# stopped at byte ")
    assert found_in_text(told) == []
    (document,) = operator.lines("show", entry_id)
    assert found_in_text(json.dumps(document)) == []
    assert list(operator.site.triage.audit.everything()) == []
    result = operator.run("show", "--phi", entry_id)
    assert "qzname" in result.stdout
    assert "upload/test-site/qzname_qzpid4711/1.dcm" in result.stdout
    (item,) = operator.site.triage.audit.everything()
    assert (item["action"], item["by"], item["entry_id"]) == ("phi_viewed", "anna", entry_id)
    (document,) = operator.lines("show", "--phi", entry_id)
    assert document["origin_key"] == "upload/test-site/qzname_qzpid4711/1.dcm"
    assert "qzname" in json.dumps(document["header"])


def test_a_message_has_no_header_to_show(operator: Operator) -> None:
    operator.site.handler.handle("not json", 1)
    (entry,) = operator.site.listed()
    assert "no header: it is a message or an event" in operator.told("show", entry.entry_id)
    shown = operator.told("show", "--phi", entry.entry_id)
    assert re.search(r"^text +not json$", shown, flags=re.MULTILINE)
    (document,) = operator.lines("show", "--phi", entry.entry_id)
    assert (document["text"], document["header"]) == ("not json", None)
    assert [each["action"] for each in operator.site.triage.audit.everything()] == ["phi_viewed"] * 2


def test_an_unknown_entry_is_a_plain_error(operator: Operator) -> None:
    for arguments in (("show", "0" * 32), ("show", "--phi", "0" * 32), ("release", "0" * 32)):
        assert isinstance(operator.run(*arguments).exception, NotInQuarantine)


def test_one_is_released(operator: Operator) -> None:
    entry_id = identified(operator)
    assert operator.told("release", entry_id) == f"{entry_id} was sent again\n"
    assert operator.site.stage_of(entry_id) == "released"


def test_requeueing_is_a_dry_run_until_yes(operator: Operator) -> None:
    ids = [identified(operator, number) for number in range(3)]
    operator.site.quarantine.keep(
        "event-" + "1" * 32, b"{}", stage="verified", reason="STALE_VERIFICATION", explanation="x"
    )
    shown = operator.told("requeue")
    assert "4 would be sent again; --yes does it" in shown
    assert re.search(r"TRUNCATED\W+3\W", shown)
    assert len(operator.site.listed()) == 4
    done = operator.told("requeue", "--yes")
    assert done.splitlines() == [
        "3 sent again",
        "1 left there: an event, whose refusal stands",
        "`rayline replay --from quarantine` has refused events tried again",
    ]
    assert {operator.site.stage_of(each) for each in ids} == {"released"}
    assert operator.lines("requeue", "--reason", "TRUNCATED", "--yes") == [
        {"dry_run": False, "sent": 0, "left": {}, "gone": 0}
    ]
    assert "--yes" not in operator.told("requeue", "--reason", "TRUNCATED")


def test_requeueing_ends_at_its_limit(operator: Operator) -> None:
    for number in range(3):
        identified(operator, number)
    assert operator.lines("requeue", "--limit", "2", "--yes")[0]["sent"] == 2
    assert len(operator.site.listed()) == 1


def test_purging_takes_an_age_and_is_a_dry_run_until_yes(operator: Operator, clock: ManualClock) -> None:
    old = identified(operator, 1)
    clock.pass_time(40 * 86_400)
    young = identified(operator, 2)
    assert operator.run("purge").exit_code == 2
    assert operator.lines("purge", "--older-than", "30d") == [
        {"dry_run": True, "found": 1, "reasons": {"TRUNCATED": 1}}
    ]
    assert len(operator.site.listed()) == 2
    told = operator.told("purge", "--older-than", "30d", "--yes")
    assert told.startswith("1 deleted, ")
    assert "noncurrent" not in told  # the bucket of this test has no versions
    assert (operator.site.stage_of(old), operator.site.stage_of(young)) == ("purged", "quarantined")


def test_a_purge_says_that_s3_keeps_versions(
    operator: Operator, clock: ManualClock, monkeypatch: Any
) -> None:
    bucket = operator.site.estate.settings.quarantine_bucket
    operator.site.estate.s3.put_bucket_versioning(
        Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
    )
    for days in (None, 30):
        identified(operator)
        clock.pass_time(86_400)
        monkeypatch.setattr(type(operator.site.triage), "noncurrent_days", lambda _, days=days: days)
        told = operator.told("purge", "--older-than", "12h", "--yes")
        expected = "until the bucket's lifecycle ends them" if days is None else "for 30 more days"
        assert told.splitlines()[-1] == f"S3 keeps what was deleted as noncurrent versions {expected}"
