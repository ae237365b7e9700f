"""`rayline deid run`: what it writes, what it says, and what it does when something is in the way."""

import errno
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from support.fresh_process import in_fresh_process
from support.p10_files import ct_file, new_uid, pixels

from rayline.plugin import ConfigurationError, InMemory
from rayline_deid import batch as batches
from rayline_deid import report
from rayline_deid.engine import deidentify
from rayline_deid.journal import FOLDER
from rayline_deid.outputs import Outputs
from rayline_deid.profile import default_profile
from rayline_deid.pseudonyms import Pseudonyms
from rayline_deid.report import OUTCOMES
from rayline_deid.running import INTERRUPTED, Options, de_identify

SECRET = "a secret of the site, for tests"
#: What the inputs say of their patients, in values and nowhere else.
IDENTIFYING = ("Doe", "Jane", "P-1", "19700101", "A-1")


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAYLINE_SECRET_DEID", "RAYLINE_SITE", "RAYLINE_ENV_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "site.key"
    path.write_text(SECRET + "\n")
    return path


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Two series of one patient, three instances each."""
    folder = tmp_path / "scans"
    study = new_uid()
    for series in range(2):
        series_uid = new_uid()
        for number in range(3):
            path = folder / f"series{series}" / f"{number}.dcm"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(ct_file(pixels(number), study_uid=study, series_uid=series_uid))
    return folder


@pytest.fixture
def refused(scans: Path) -> Path:
    """An image that says it shows text, and not how its samples are to be looked at."""
    path = scans / "secondary.dcm"
    content = ct_file(
        pixels(9),
        study_uid=new_uid(),
        series_uid=new_uid(),
        BurnedInAnnotation="YES",
        PhotometricInterpretation=None,
    )
    path.write_bytes(content)
    return path


def command(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "rayline.cli", "deid", "run", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd="/",  # where no environment file lies
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "160", **environment},
        timeout=120,
        check=False,
    )


Breakage = Callable[[pytest.MonkeyPatch], None]


def intact(patch: pytest.MonkeyPatch) -> None:
    """Nothing breaks."""


def run_broken(breakage: Breakage, options: Options) -> int:
    """A run in which something breaks."""
    with pytest.MonkeyPatch.context() as patch:
        breakage(patch)
        return de_identify(options)


class Ran:
    """A run, and what it left behind."""

    def __init__(self, folder: Path, *files: Path | str, breakage: Breakage = intact, **options: Any) -> None:
        self.output = options.pop("output", folder / "clean")
        report = folder / "report.json"
        chosen = Options(
            files=[str(file) for file in files],
            output=self.output,
            report=report,
            **{"quiet": True, "processes": 1, **options},
        )
        if chosen.processes == 1:
            self.code = run_broken(breakage, chosen)
        else:
            self.code = in_fresh_process(run_broken, breakage, chosen)
        self.document = json.loads(report.read_text())

    @property
    def files(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.document["files"]
        return found

    @property
    def outcomes(self) -> list[str]:
        return [file["outcome"] for file in self.files]

    def written(self) -> dict[str, bytes]:
        return written(self.output)


def written(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, journals apart."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and FOLDER not in path.parts
    }


def expected(content: bytes, site: str = "local") -> bytes:
    return deidentify(InMemory(content), default_profile(), Pseudonyms(SECRET.encode(), site)).whole()


# -- what is written ------------------------------------------------------------------------------------------------


def test_each_output_is_what_the_engine_makes_of_its_input_under_pseudonyms(
    tmp_path: Path, scans: Path, secret_file: Path
) -> None:
    ran = Ran(tmp_path, scans, secret_file=secret_file)
    assert ran.code == 0
    outputs = ran.written()
    assert len(outputs) == 6
    for file in ran.files:
        content = outputs[file["output"]]
        dataset = pydicom.dcmread(BytesIO(content))
        patient, study, series, name = file["output"].split("/")
        assert (patient, study, series, name) == (
            dataset.PatientID,
            dataset.StudyInstanceUID,
            dataset.SeriesInstanceUID,
            f"{dataset.SOPInstanceUID}.dcm",
        )
        original = pydicom.dcmread(file["input"])
        assert patient != original.PatientID
        assert dataset.PixelData == original.PixelData
        assert (
            dataset.SOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID != original.SOPInstanceUID
        )
        assert not any(word.encode() in content for word in IDENTIFYING)


def test_the_secret_may_come_from_the_environment_and_the_site_counts(
    tmp_path: Path, scans: Path, secret_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_file = Ran(tmp_path, scans, secret_file=secret_file)
    monkeypatch.setenv("RAYLINE_SECRET_DEID", SECRET)
    by_environment = Ran(tmp_path, scans, output=tmp_path / "other")
    elsewhere = Ran(tmp_path, scans, output=tmp_path / "elsewhere", site="south")
    assert by_environment.written() == by_file.written()
    assert by_environment.document["secret"] == "environment"
    assert by_file.document["secret"] == "file"
    assert {name.split("/")[0] for name in elsewhere.written()}.isdisjoint(
        name.split("/")[0] for name in by_file.written()
    )


def test_without_a_secret_a_random_one_is_used_and_said_to_be(tmp_path: Path, scans: Path) -> None:
    first = command(scans, "--output", tmp_path / "a", "--quiet")
    assert first.returncode == 0
    assert "random" in first.stderr
    second = command(scans, "--output", tmp_path / "b", "--json")
    assert json.loads(second.stdout)["secret"] == "random"
    assert written(tmp_path / "a").keys().isdisjoint(written(tmp_path / "b"))


@pytest.mark.parametrize("processes", [2, 3])
def test_the_number_of_processes_changes_nothing(
    tmp_path: Path, scans: Path, secret_file: Path, processes: int
) -> None:
    # Copies and other contents under one UID, spread over the whole list, are what could differ.
    for number in range(20):
        original = (scans / f"series{number % 2}/{number % 3}.dcm").read_bytes()
        changed = original.replace(b"ORIGINAL", b"DERIVED ") if number % 3 else original
        (scans / f"again{number:02}.dcm").write_bytes(changed)
    one = Ran(tmp_path, scans, secret_file=secret_file)
    several = Ran(tmp_path, scans, secret_file=secret_file, processes=processes, output=tmp_path / "several")
    assert several.written() == one.written()
    assert several.files == one.files
    assert set(one.outcomes) == {"deidentified", "duplicate"}


def test_the_tree_of_the_inputs_can_be_kept(tmp_path: Path, scans: Path, secret_file: Path) -> None:
    ran = Ran(tmp_path, scans, secret_file=secret_file, layout="tree")
    assert list(ran.written()) == [
        f"series{series}/{number}.dcm" for series in range(2) for number in range(3)
    ]


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_a_retained_uid_cannot_lead_out_of_the_output_folder(tmp_path: Path, secret_file: Path) -> None:
    profile = tmp_path / "profile.yaml"
    profile.write_text("profile: 1\noptions: {retain_uids: true}\n")
    hostile = tmp_path / "hostile.dcm"
    hostile.write_bytes(
        ct_file(pixels(1), study_uid="1.2/../../../up", series_uid="..", sop_uid="/etc/passwd")
    )
    ran = Ran(tmp_path, hostile, secret_file=secret_file, profile=str(profile))
    (name,) = ran.written()
    assert len(Path(name).parts) == 4
    assert not any(part.startswith(".") for part in Path(name).parts)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "clean",
        "hostile.dcm",
        "profile.yaml",
        "report.json",
        "site.key",
    ]


# -- one UID, several inputs ----------------------------------------------------------------------------------------


def test_the_same_content_is_written_once(tmp_path: Path, scans: Path, secret_file: Path) -> None:
    (scans / "copy.dcm").write_bytes((scans / "series0/0.dcm").read_bytes())
    ran = Ran(tmp_path, scans, secret_file=secret_file)
    assert ran.code == 0
    assert ran.outcomes.count("duplicate") == 1
    assert len(ran.written()) == 6
    # copy.dcm comes first by its name, so it counts as the one that was written.
    assert [Path(file["input"]).name for file in ran.files if file["outcome"] == "duplicate"] == ["0.dcm"]


def test_other_content_under_the_same_uid_is_kept_beside(
    tmp_path: Path, scans: Path, secret_file: Path
) -> None:
    original = (scans / "series0/0.dcm").read_bytes()
    other = original.replace(b"ORIGINAL", b"DERIVED ")
    (scans / "series0/1.dcm").write_bytes(other)
    (scans / "series0/2.dcm").write_bytes(other)
    ran = Ran(tmp_path, scans / "series0", secret_file=secret_file)
    assert ran.code == 0
    first, second, third = ran.files
    assert ran.written() == {first["output"]: expected(original), second["output"]: expected(other)}
    assert second["output"].startswith(first["output"].removesuffix(".dcm") + "-")
    assert (first["reason"], second["reason"], third["outcome"]) == (None, "OTHER_CONTENT", "duplicate")
    assert third["output"] == second["output"]
    again = Ran(tmp_path, scans / "series0", secret_file=secret_file)
    assert again.outcomes == ["duplicate"] * 3
    assert again.written() == ran.written()


def test_a_later_run_does_not_overwrite_an_earlier_one(
    tmp_path: Path, scans: Path, secret_file: Path
) -> None:
    before = Ran(tmp_path, scans, secret_file=secret_file).written()
    changed = scans / "series0/0.dcm"
    changed.write_bytes(changed.read_bytes().replace(b"ORIGINAL", b"DERIVED "))
    after = Ran(tmp_path, scans, secret_file=secret_file, processes=2).written()
    assert before.items() < after.items()
    assert len(after) == len(before) + 1


# -- refusals and failures ------------------------------------------------------------------------------------------


def test_what_is_refused_is_told_of_and_never_written(
    tmp_path: Path, scans: Path, refused: Path, secret_file: Path
) -> None:
    (scans / "notes.txt").write_text("Jane Doe was here")
    finished = command(scans, "--output", tmp_path / "clean", "--secret-file", secret_file)
    assert finished.returncode == 3
    assert f"refused: {refused}: PIXELS_NOT_CLEANABLE:" in finished.stderr
    assert f"refused: {scans / 'notes.txt'}: NOT_DICOM:" in finished.stderr
    assert "6 of 8 files de-identified, 2 refused" in finished.stdout
    outputs = written(tmp_path / "clean")
    assert len(outputs) == 6
    assert not any(b"Jane" in content for content in outputs.values())
    assert not any(word in finished.stdout + finished.stderr for word in IDENTIFYING)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere"], "no file or folder nowhere"),
        (["*.nothing"], "no file matches"),
        (["scans", "--profile", "missing.yaml"], "missing.yaml"),
        (["scans", "--secret-file", "missing.key"], "missing.key"),
        (["scans", "--resume"], "--resume needs the secret"),
        (["scans", "--crosswalk", "who"], "belong together"),
        (["scans", "--report", "clean/report.json"], "may not lie in the output folder"),
        (["clean"], "the output folder is also an input"),
        (["empty"], "no files"),
        (["scans", "--processes", "0"], "processes"),
    ],
)
def test_wrong_options_end_with_status_2_and_write_nothing(
    tmp_path: Path, scans: Path, arguments: list[str], told: str
) -> None:
    (tmp_path / "clean").mkdir()
    (tmp_path / "empty").mkdir()
    finished = subprocess.run(
        [sys.executable, "-m", "rayline.cli", "deid", "run", "--output", "clean", *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "160"},
        timeout=120,
        check=False,
    )
    assert finished.returncode == 2
    assert told in finished.stderr
    assert list((tmp_path / "clean").iterdir()) == []


def test_an_output_that_is_a_file_is_refused(tmp_path: Path, scans: Path, secret_file: Path) -> None:
    with pytest.raises(ConfigurationError, match="name a folder"):
        Ran(tmp_path, scans, secret_file=secret_file, output=secret_file)


def test_a_short_secret_is_refused(tmp_path: Path, scans: Path) -> None:
    (tmp_path / "short").write_text("short\n")
    with pytest.raises(ConfigurationError, match="shorter than 16 bytes"):
        Ran(tmp_path, scans, secret_file=tmp_path / "short")
    assert not (tmp_path / "clean").exists()


def test_unreadable_inputs_fail_and_the_rest_is_done(tmp_path: Path, scans: Path, secret_file: Path) -> None:
    (scans / "gone.dcm").symlink_to(tmp_path / "nowhere")
    (scans / "loop.dcm").symlink_to(scans / "loop.dcm")
    os.mkfifo(scans / "pipe.dcm")
    ran = Ran(tmp_path, scans, secret_file=secret_file)
    assert ran.code == 1
    found = {Path(file["input"]).name: (file["outcome"], file["reason"]) for file in ran.files}
    assert found["gone.dcm"] == ("failed", "UNREADABLE")
    assert found["loop.dcm"] == ("failed", "UNREADABLE")
    assert found["pipe.dcm"] == ("refused", "NOT_A_FILE")
    assert ran.outcomes.count("deidentified") == 6


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_and_a_folder_without_permission_fail(tmp_path: Path, scans: Path, secret_file: Path) -> None:
    (scans / "series0/0.dcm").chmod(0)
    (scans / "series1").chmod(0)
    try:
        ran = Ran(tmp_path, scans, secret_file=secret_file)
    finally:
        (scans / "series1").chmod(0o700)
    assert [(file["outcome"], file["reason"]) for file in ran.files].count(("failed", "UNREADABLE")) == 2
    assert ran.outcomes.count("deidentified") == 2


def test_an_unexpected_error_fails_one_file_and_quotes_no_value(
    tmp_path: Path, scans: Path, secret_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = batches.deidentify_and_identify

    def broken(source: Any, rules: Any) -> Any:
        content, identity = real(source, rules)
        if b"DERIVED" in source.whole():
            raise ValueError("cannot convert 'Doe^Jane'")
        return content, identity

    path = scans / "series0/0.dcm"
    path.write_bytes(path.read_bytes().replace(b"ORIGINAL", b"DERIVED "))
    monkeypatch.setattr(batches, "deidentify_and_identify", broken)
    ran = Ran(tmp_path, scans, secret_file=secret_file)
    assert ran.code == 1
    (failed,) = (file for file in ran.files if file["outcome"] == "failed")
    assert failed["reason"] == "INTERNAL_ERROR"
    assert "ValueError" in failed["explanation"]
    assert "Doe" not in json.dumps(ran.document)
    assert ran.outcomes.count("deidentified") == 5


def killed_at_a_derived_image(patch: pytest.MonkeyPatch) -> None:
    real = batches.deidentify_and_identify

    def deadly(source: Any, rules: Any) -> Any:
        if b"DERIVED" in source.whole():
            os.kill(os.getpid(), signal.SIGKILL)
        return real(source, rules)

    patch.setattr(batches, "deidentify_and_identify", deadly)


def test_a_killed_process_fails_its_files_and_the_others_go_on(
    tmp_path: Path, scans: Path, secret_file: Path
) -> None:
    path = scans / "series0/0.dcm"
    path.write_bytes(path.read_bytes().replace(b"ORIGINAL", b"DERIVED "))
    ran = Ran(tmp_path, scans, secret_file=secret_file, processes=2, breakage=killed_at_a_derived_image)
    assert ran.code == 1
    (failed,) = (file for file in ran.files if file["outcome"] == "failed")
    assert (failed["input"], failed["reason"]) == (str(path), "PROCESS_DIED")
    assert ran.outcomes.count("deidentified") == 5


def full_after_three_writes(patch: pytest.MonkeyPatch) -> None:
    real_writev, real_write = os.writev, os.write
    left = [3]

    def writev(descriptor: int, pieces: list[bytes]) -> int:
        left[0] -= 1
        if left[0] > 0:
            return real_writev(descriptor, pieces)
        # A disk that becomes full takes a part first.
        return real_write(descriptor, bytes(pieces[0])[: len(pieces[0]) // 2])

    def write(descriptor: int, data: bytes | memoryview) -> int:
        if isinstance(data, memoryview):
            raise OSError(errno.ENOSPC, "no space left on device")
        return real_write(descriptor, data)

    patch.setattr("rayline_deid.outputs.os.writev", writev)
    patch.setattr("rayline_deid.outputs.os.write", write)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_full_disk_ends_the_run_and_leaves_no_half_file(
    tmp_path: Path, scans: Path, secret_file: Path, processes: int
) -> None:
    ran = Ran(tmp_path, scans, secret_file=secret_file, processes=processes, breakage=full_after_three_writes)
    assert ran.code == 1
    failed = [file for file in ran.files if file["outcome"] == "failed"]
    assert {(file["reason"], file["explanation"]) for file in failed} == {
        ("OUTPUT_FAILED", "no space left on device")
    }
    assert ran.outcomes.count("deidentified") == len(ran.written())
    originals = [expected(Path(file["input"]).read_bytes()) for file in ran.files]
    assert all(content in originals for content in ran.written().values())
    if processes == 1:
        assert ran.outcomes == ["deidentified"] * 2 + ["failed"] + ["not_done"] * 3


# -- the report -----------------------------------------------------------------------------------------------------


def test_the_report_says_everything_but_values(
    tmp_path: Path, scans: Path, refused: Path, secret_file: Path
) -> None:
    ran = Ran(tmp_path, scans, secret_file=secret_file, processes=2)
    document = ran.document
    assert document.keys() == {
        "report_version",
        "profile",
        "key_id",
        "secret",
        "site",
        "layout",
        "processes",
        "dry_run",
        "output",
        "started_at",
        "seconds",
        "totals",
        "reasons",
        "files",
    }
    assert document["profile"] == {
        "name": "default",
        "digest": default_profile().digest,
        "edition": default_profile().edition,
    }
    assert document["key_id"] == Pseudonyms(SECRET.encode(), "local").key_id
    assert document["reasons"] == {"PIXELS_NOT_CLEANABLE": 1}
    sizes = [path.stat().st_size for path in scans.rglob("*.dcm")]
    assert document["totals"] == {
        "files": 7,
        **dict.fromkeys(OUTCOMES, 0),
        "deidentified": 6,
        "refused": 1,
        "read_bytes": sum(sizes),
        "written_bytes": sum(map(len, ran.written().values())),
    }
    assert [file["input"] for file in ran.files] == sorted(map(str, scans.rglob("*.dcm")))
    (entry,) = (file for file in ran.files if file["outcome"] == "refused")
    assert entry.keys() == {"input", "output", "outcome", "reason", "explanation"}
    assert (entry["input"], entry["output"]) == (str(refused), None)
    assert not any(word in json.dumps(document) for word in IDENTIFYING)
    assert stat.S_IMODE((tmp_path / "report.json").stat().st_mode) == 0o600


def test_every_outcome_and_reason_is_documented(repository: Path) -> None:
    reference = (repository / "docs/reference.md").read_text()
    for outcome, meaning in OUTCOMES.items():
        assert f"| `{outcome}` | {meaning} |" in reference
    reasons = [value for name, value in vars(report).items() if name.isupper() and value == name]
    assert len(reasons) == 7
    assert [reason for reason in reasons if f"| `{reason}` |" not in reference] == []


def test_the_report_can_go_to_standard_output(tmp_path: Path, scans: Path, secret_file: Path) -> None:
    finished = command(
        scans,
        "-o",
        tmp_path / "clean",
        "--secret-file",
        secret_file,
        "--json",
        "--report",
        tmp_path / "r.json",
    )
    assert finished.returncode == 0
    assert finished.stderr == ""
    assert json.loads(finished.stdout) == json.loads((tmp_path / "r.json").read_text())


def test_a_dry_run_decides_the_same_and_writes_nothing(
    tmp_path: Path, scans: Path, refused: Path, secret_file: Path
) -> None:
    dry = Ran(tmp_path, scans, secret_file=secret_file, dry_run=True)
    assert dry.code == 3
    assert not dry.output.exists()
    wet = Ran(tmp_path, scans, secret_file=secret_file)
    assert dry.files == wet.files


# -- being stopped and going on -------------------------------------------------------------------------------------


def test_a_later_run_leaves_out_what_is_done(tmp_path: Path, scans: Path, secret_file: Path) -> None:
    def again(**options: Any) -> Ran:
        return Ran(tmp_path, scans, **{"secret_file": secret_file, "resume": True, **options})

    assert again().outcomes == ["deidentified"] * 6
    assert again(processes=2).outcomes == ["done_before"] * 6
    (scans / "series1/3.dcm").write_bytes(ct_file(pixels(3), study_uid=new_uid(), series_uid=new_uid()))
    changed = scans / "series0/1.dcm"
    changed.write_bytes(ct_file(pixels(3), study_uid=new_uid(), series_uid=new_uid()))
    ran = again()
    assert ran.outcomes.count("deidentified") == 2
    assert ran.outcomes.count("done_before") == 5
    # The output of what an input was before it changed is still there, and nobody would miss it.
    (ran.output / ran.files[0]["output"]).unlink()
    assert again().outcomes.count("deidentified") == 1
    assert set(again(profile="basic").outcomes) == {"deidentified"}


def test_another_secret_or_site_is_another_run(tmp_path: Path, scans: Path, secret_file: Path) -> None:
    Ran(tmp_path, scans, secret_file=secret_file, resume=True)
    assert (
        Ran(tmp_path, scans, secret_file=secret_file, resume=True, site="south").outcomes
        == ["deidentified"] * 6
    )
    (tmp_path / "other.key").write_text("another secret, for tests")
    other = Ran(tmp_path, scans, secret_file=tmp_path / "other.key", resume=True)
    assert other.outcomes == ["deidentified"] * 6


def test_the_journal_names_no_input(tmp_path: Path, secret_file: Path) -> None:
    folder = tmp_path / "Doe_Jane"
    folder.mkdir()
    (folder / "P-1.dcm").write_bytes(ct_file(pixels(1), study_uid=new_uid(), series_uid=new_uid()))
    Ran(tmp_path, folder, secret_file=secret_file, resume=True)
    (journal,) = (tmp_path / "clean" / FOLDER).iterdir()
    assert journal.read_text().count("\n") == 1
    assert not any(word in journal.name + journal.read_text() for word in IDENTIFYING)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """So many files that a run over them can be met in the middle."""
    folder = tmp_path_factory.mktemp("many")
    study, series = new_uid(), new_uid()
    for number in range(1_500):
        content = ct_file(pixels(number, 8, 8), study_uid=study, series_uid=series)
        (folder / f"{number:04}.dcm").write_bytes(content)
    return folder


@pytest.fixture
def started(many: Path, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a run in a process group of its own, and waits until it has written something."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "rayline.cli", "deid", "run", str(many), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        processes.append(process)
        while process.poll() is None and not any((tmp_path / "clean").rglob("*.dcm")):
            time.sleep(0.001)
        assert process.poll() is None, process.communicate()
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_that_is_killed_leaves_whole_files_only(
    tmp_path: Path,
    many: Path,
    secret_file: Path,
    started: Callable[..., subprocess.Popen[str]],
    processes: int,
) -> None:
    process = started("--output", tmp_path / "clean", "--secret-file", secret_file, "--processes", processes)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    outputs = written(tmp_path / "clean")
    assert 0 < len(outputs) < 1_500
    allowed = {expected(path.read_bytes()) for path in many.iterdir()}
    assert set(outputs.values()) <= allowed


@pytest.mark.parametrize("processes", [1, 2])
def test_an_interrupted_run_ends_cleanly_and_can_be_resumed(
    tmp_path: Path,
    many: Path,
    secret_file: Path,
    started: Callable[..., subprocess.Popen[str]],
    processes: int,
) -> None:
    process = started(
        *("--output", tmp_path / "clean", "--secret-file", secret_file),
        *("--processes", processes, "--resume", "--json"),
    )
    os.killpg(process.pid, signal.SIGINT)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED
    assert errors == ""
    totals = json.loads(said)["totals"]
    assert totals["deidentified"] + totals["not_done"] == 1_500
    assert len(written(tmp_path / "clean")) == totals["deidentified"] < 1_500
    rest = Ran(tmp_path, many, secret_file=secret_file, resume=True)
    assert rest.code == 0
    assert rest.outcomes.count("done_before") == totals["deidentified"]
    assert rest.outcomes.count("deidentified") == totals["not_done"]
    assert len(rest.written()) == 1_500


# -- where outputs go -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("links", [True, False])
def test_without_nameless_files_nothing_half_done_stays_either(
    tmp_path: Path, scans: Path, secret_file: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """As on NFS, which has links and no O_TMPFILE, and on exFAT, which has neither."""
    plain = Ran(tmp_path, scans, secret_file=secret_file).written()
    real = Outputs.__init__

    def without(self: Outputs, folder: str) -> None:
        real(self, folder)
        self._unnamed = False

    def refuse(*arguments: Any, **options: Any) -> None:
        raise OSError(errno.EPERM, "operation not permitted")

    monkeypatch.setattr(Outputs, "__init__", without)
    if not links:
        monkeypatch.setattr("rayline_deid.outputs.os.link", refuse)
    (scans / "copy.dcm").write_bytes((scans / "series0/0.dcm").read_bytes())
    ran = Ran(tmp_path, scans, secret_file=secret_file, output=tmp_path / "other")
    assert ran.written() == plain
    assert ran.outcomes.count("duplicate") == 1

    def full(descriptor: int, pieces: list[bytes]) -> int:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr("rayline_deid.outputs.os.writev", full)
    failed = Ran(tmp_path, scans, secret_file=secret_file, output=tmp_path / "full")
    assert failed.code == 1
    assert failed.written() == {}
