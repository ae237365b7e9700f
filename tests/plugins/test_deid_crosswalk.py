"""The encrypted crosswalk: who is behind a pseudonym, for those who hold its key and for nobody else."""

import json
import multiprocessing
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pydicom
import pytest
from support.fresh_process import in_fresh_process
from support.p10_files import ct_file, new_uid, pixels

from rayline.plugin import ConfigurationError
from rayline_deid.crosswalk import CrosswalkKey, CrosswalkWriter, read_crosswalk
from rayline_deid.naming import Identity, Replaced
from rayline_deid.running import Options, de_identify

KEY = b"the key of the crosswalk, for tests"


def deid(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rayline.cli", "deid", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd="/",  # where no environment file lies
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "160"},
        timeout=120,
        check=False,
    )


class Site:
    """A folder with scans of three patients, keys, and a crosswalk that a run wrote."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scans, self.clean = folder / "scans", folder / "clean"
        self.crosswalk, self.key_file = folder / "who.crosswalk", folder / "crosswalk.key"
        self.key_file.write_bytes(KEY + b"\n")
        self.secret_file = folder / "site.key"
        self.secret_file.write_text("a secret of the site, for tests\n")
        self.scans.mkdir()
        for patient in range(3):
            study, series = new_uid(), new_uid()
            for number in range(4):
                content = ct_file(
                    pixels(number), study_uid=study, series_uid=series, PatientID=f"MRN-{patient}"
                )
                (self.scans / f"{patient}-{number}.dcm").write_bytes(content)

    def run(self, **options: Any) -> int:
        return de_identify(
            Options(
                **{
                    "files": [str(self.scans)],
                    "output": self.clean,
                    "secret_file": self.secret_file,
                    "crosswalk": self.crosswalk,
                    "crosswalk_key_file": self.key_file,
                    "quiet": True,
                    "processes": 1,
                    **options,
                }
            )
        )

    def pairs(self) -> set[tuple[str, str, str]]:
        """Level, original and pseudonym of every identifier, read from inputs and outputs by their pixels."""
        outputs = {self._pixels(path): pydicom.dcmread(path) for path in self.clean.rglob("*.dcm")}
        found = set()
        for path in self.scans.iterdir():
            before = pydicom.dcmread(path)
            after = outputs[self._pixels(path)]
            for level, keyword in (
                ("patient", "PatientID"),
                ("study", "StudyInstanceUID"),
                ("series", "SeriesInstanceUID"),
                ("instance", "SOPInstanceUID"),
            ):
                found.add((level, str(before[keyword].value), str(after[keyword].value)))
        return found

    @staticmethod
    def _pixels(path: Path) -> bytes:
        return pydicom.dcmread(path).PixelData

    @property
    def audit(self) -> list[dict[str, Any]]:
        log = self.folder / "who.crosswalk.audit.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    # Pixels tell the instances apart, so they differ between patients too.
    for number, path in enumerate(sorted(site.scans.iterdir())):
        content = path.read_bytes()
        path.write_bytes(content[:-2] + number.to_bytes(2, "little"))
    return site


@pytest.mark.parametrize("processes", [1, 3])
def test_a_run_records_every_identifier_once(site: Site, processes: int) -> None:
    assert site.run(processes=processes) == 0
    held = read_crosswalk(site.crosswalk, CrosswalkKey(KEY))
    assert held.unreadable == 0
    assert sorted(held.entries) == sorted(site.pairs())
    assert len(held.entries) == 3 + 3 + 3 + 12
    site.run(output=site.folder / "again")
    assert sorted(read_crosswalk(site.crosswalk, CrosswalkKey(KEY)).entries) == sorted(held.entries)


def test_nothing_in_the_file_can_be_read(site: Site) -> None:
    site.run()
    content = site.crosswalk.read_bytes()
    for _, original, pseudonym in site.pairs():
        assert original.encode() not in content
        assert pseudonym.encode() not in content
    assert stat.S_IMODE(site.crosswalk.stat().st_mode) == 0o600


def test_a_dry_run_records_nothing(site: Site) -> None:
    site.run(dry_run=True)
    assert not site.crosswalk.exists()


def test_the_original_is_found_and_the_look_up_recorded(site: Site) -> None:
    site.run()
    pairs = {pseudonym: (level, original) for level, original, pseudonym in site.pairs()}
    asked = [
        next(pseudonym for pseudonym, (level, _) in pairs.items() if level == each)
        for each in ("patient", "study")
    ]
    options = ("--crosswalk", site.crosswalk, "--key-file", site.key_file)
    finished = deid("crosswalk", "find", *asked, *options, "--reason", "TICKET-7", "--json")
    assert finished.returncode == 0
    assert {
        entry["pseudonym"]: (entry["level"], entry["original"]) for entry in json.loads(finished.stdout)
    } == {pseudonym: pairs[pseudonym] for pseudonym in asked}
    (line,) = site.audit
    assert line.keys() == {"at", "user", "action", "entries", "pseudonyms", "reason"}
    assert (line["action"], line["entries"], line["reason"]) == ("find", 2, "TICKET-7")
    assert line["pseudonyms"] == asked
    plain = deid("crosswalk", "find", asked[0], *options)
    assert plain.stdout == "\t".join((pairs[asked[0]][0], asked[0], pairs[asked[0]][1])) + "\n"


def test_what_is_not_known_is_not_written_into_the_audit_log(site: Site) -> None:
    site.run()
    finished = deid(
        "crosswalk", "find", "Doe^Jane", "--crosswalk", site.crosswalk, "--key-file", site.key_file
    )
    assert finished.returncode == 1
    assert "1 of 1 are not in the crosswalk" in finished.stderr
    assert [(line["pseudonyms"], line["entries"]) for line in site.audit] == [([], 0)]


def test_nothing_is_shown_that_cannot_be_recorded(site: Site) -> None:
    site.run()
    (site.folder / "who.crosswalk.audit.jsonl").mkdir()
    pseudonym = next(pseudonym for _, _, pseudonym in site.pairs())
    finished = deid(
        "crosswalk", "find", pseudonym, "--crosswalk", site.crosswalk, "--key-file", site.key_file
    )
    assert finished.returncode == 2
    assert finished.stdout == ""
    assert "audit log" in finished.stderr


def test_everything_can_be_exported(site: Site) -> None:
    site.run()
    options = ("--crosswalk", site.crosswalk, "--key-file", site.key_file)
    finished = deid("crosswalk", "export", *options)
    rows = [tuple(line.split(",")) for line in finished.stdout.splitlines()]
    assert rows[0] == ("level", "pseudonym", "original")
    assert {(level, original, pseudonym) for level, pseudonym, original in rows[1:]} == site.pairs()
    path = site.folder / "all.csv"
    assert deid("crosswalk", "export", *options, "--output", path).stdout == ""
    assert path.read_text() == finished.stdout
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [(line["action"], line["entries"]) for line in site.audit] == [("export", 21)] * 2


def test_another_key_opens_nothing(site: Site) -> None:
    site.run()
    other = site.folder / "other.key"
    other.write_text("another key, long enough")
    finished = deid("crosswalk", "export", "--crosswalk", site.crosswalk, "--key-file", other)
    assert (finished.returncode, finished.stdout) == (2, "")
    assert "another key" in finished.stderr
    assert site.audit == []
    before = site.crosswalk.read_bytes()
    with pytest.raises(ConfigurationError, match="another key"):
        site.run(crosswalk_key_file=other)
    assert site.crosswalk.read_bytes() == before


def test_the_secret_of_the_pseudonyms_is_no_key(site: Site) -> None:
    with pytest.raises(ConfigurationError, match="a key of its own"):
        site.run(crosswalk_key_file=site.secret_file)


def test_a_key_must_be_long_enough_and_the_file_a_crosswalk(site: Site) -> None:
    with pytest.raises(ConfigurationError, match="openssl rand"):
        CrosswalkKey(b"short")
    site.crosswalk.write_text("PatientID,pseudonym\n")
    with pytest.raises(ConfigurationError, match="no crosswalk"):
        site.run()
    assert site.crosswalk.read_text() == "PatientID,pseudonym\n"


def test_it_may_not_lie_among_the_outputs(site: Site) -> None:
    with pytest.raises(ConfigurationError, match="may not lie in the output folder"):
        site.run(crosswalk=site.clean / "who.crosswalk")


def identity(number: int) -> Identity:
    return Identity(
        Replaced(b"MRN-%d" % number, b"RL-%d" % number),
        Replaced(b"1.%d" % number, b"2.1.%d" % number),
        Replaced(b"", b""),
        Replaced(b"1.3.%d" % number, b"1.3.%d" % number),
    )


def _append(path: Path, first: int) -> None:
    writer = CrosswalkWriter(path, CrosswalkKey(KEY))
    for number in range(first, first + 50):
        writer.add([identity(number), identity(0)])


def append_from_three_processes(path: Path) -> list[int | None]:
    """Append from forked processes at once; answers their exit statuses."""
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_append, args=(path, first)) for first in (0, 50, 100)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def test_processes_append_beside_each_other(tmp_path: Path) -> None:
    path = tmp_path / "who.crosswalk"
    assert in_fresh_process(append_from_three_processes, path) == [0, 0, 0]
    held = read_crosswalk(path, CrosswalkKey(KEY))
    assert held.unreadable == 0
    # What is empty, or was retained, needs no entry.
    assert len(held.entries) == 150 * 2


def test_a_record_that_was_cut_off_costs_no_other_one(tmp_path: Path) -> None:
    path, key = tmp_path / "who.crosswalk", CrosswalkKey(KEY)
    writer = CrosswalkWriter(path, key)
    writer.add([identity(1)])
    writer.add([identity(2)])
    path.write_bytes(path.read_bytes()[:-9])
    CrosswalkWriter(path, key).add([identity(3)])
    held = read_crosswalk(path, key)
    assert [entry.pseudonym for entry in held.entries] == ["RL-1", "2.1.1", "RL-3", "2.1.3"]
    assert held.unreadable == 1


def test_an_altered_record_is_noticed(site: Site) -> None:
    site.run()
    header, record, *rest = site.crosswalk.read_bytes().splitlines(keepends=True)
    changed = record[:40] + (b"A" if record[40:41] != b"A" else b"B") + record[41:]
    site.crosswalk.write_bytes(b"".join([header, changed, *rest]))
    finished = deid("crosswalk", "export", "--crosswalk", site.crosswalk, "--key-file", site.key_file)
    assert "1 records of the crosswalk are cut off or altered" in finished.stderr
    # Records of another crosswalk with another key are not taken over either.
    assert read_crosswalk(site.crosswalk, CrosswalkKey(KEY)).unreadable == 1


def test_bytes_that_are_no_utf_8_come_back_as_they_were(tmp_path: Path) -> None:
    path, key = tmp_path / "who.crosswalk", CrosswalkKey(KEY)
    nothing = Replaced(b"", b"")
    CrosswalkWriter(path, key).add([Identity(Replaced(b"J\xfcrgen", b"RL-1"), nothing, nothing, nothing)])
    (entry,) = read_crosswalk(path, key).entries
    assert entry.original.encode("utf-8", "surrogateescape") == b"J\xfcrgen"
