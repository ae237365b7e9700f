"""The demo's search for identifying values: without de-identification it finds them, with it there are none.

A search that finds nothing may be blind, so the same run is made with a site profile that stores images as they
came. A second, plain search of the test's own looks through the files in which the cloud keeps its state.
"""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from support.own_estate import rayline

LITTLE = ("--made-up=4", "--until=imported", "--set=rayline:batchQuietSeconds=1")
# What the state folder holds of the identified zone: its buckets, and the queue whose messages carry senders' keys.
IDENTIFIED = ("-uploads-", "-quarantine-", "-archive-", "ministack/sqs.json", "ministack/s3.json")
IDENTIFYING = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
)


@dataclass(frozen=True)
class Ran:
    """A demo that ended."""

    returncode: int
    output: str
    build_dir: Path

    @property
    def summary(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.build_dir / "summary.json").read_text())
        return document

    @property
    def leaks(self) -> Counter[str]:
        """Finds by place, as the demo wrote them."""
        return Counter(json.loads((self.build_dir / "leaks.json").read_text()))

    def leaks_in(self, place: str) -> int:
        """Finds in the places of one kind."""
        return sum(count for name, count in self.leaks.items() if name.startswith(place))

    def identifying_values(self) -> set[bytes]:
        """Values that pydicom reads from the sender's good files."""
        found = set()
        for path in (self.build_dir / "input").rglob("*.dcm"):
            content = path.read_bytes()
            if content[128:132] == b"DICM":
                dataset = pydicom.dcmread(BytesIO(content), specific_tags=list(IDENTIFYING))
                found |= {str(dataset.get(name, "")).encode() for name in IDENTIFYING}
        return found - {b""}

    def places_on_disk(self) -> Counter[str]:
        """Files outside the identified zone that hold an identifying value, by what they belong to."""
        values = self.identifying_values()
        assert len(values) > 20
        found: Counter[str] = Counter()
        files = [self.build_dir / "processor.log", *(self.build_dir / "cloud").rglob("*")]
        searched = 0
        for path in files:
            name = path.relative_to(self.build_dir).as_posix()
            if path.is_file() and not any(each in name for each in IDENTIFIED):
                searched += 1
                content = path.read_bytes()
                found[name.split("/")[-1] if "/s3/" not in name else "s3"] += any(
                    each in content for each in values
                )
        assert searched > 20
        return +found


def run(folder: Path, *arguments: str) -> Ran:
    """A small demo."""
    build_dir = folder / "build"
    finished = rayline("demo", "--build-dir", build_dir, *LITTLE, *arguments, check=False)
    output = finished.stdout + finished.stderr
    assert (build_dir / "summary.json").exists(), output
    return Ran(finished.returncode, output, build_dir)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ran, Ran]:
    """A run without the deid plugin, and the same with it, side by side."""
    folders = tmp_path_factory.mktemp("original"), tmp_path_factory.mktemp("deidentified")
    with ThreadPoolExecutor(2) as executor:
        original = executor.submit(run, folders[0], "--set=rayline:siteProfile=config/site/original.yaml")
        deidentified = executor.submit(run, folders[1])
        return original.result(), deidentified.result()


@pytest.fixture
def original(runs: tuple[Ran, Ran]) -> Ran:
    """The run without the deid plugin."""
    return runs[0]


@pytest.fixture
def deidentified(runs: tuple[Ran, Ran]) -> Ran:
    """The run with it."""
    return runs[1]


def test_both_runs_did_the_same_work(original: Ran, deidentified: Ran) -> None:
    kept = ("uploaded", "validated", "quarantined", "imported", "image_sets")
    assert [original.summary[each] for each in kept] == [deidentified.summary[each] for each in kept]
    assert original.summary["imported"] >= 8


def test_without_deid_the_search_finds_identifying_values_wherever_they_went(original: Ran) -> None:
    imported = original.summary["imported"]
    # A made-up image names its patient in more than ten ways.
    assert original.summary["phi_leaks"] == original.leaks.total() > 10 * imported
    assert original.leaks_in("s3 imports imports/") > 10 * imported
    assert original.leaks_in("healthimaging metadata") > 10 * original.summary["image_sets"]
    assert original.leaks_in("healthimaging search") >= original.summary["image_sets"]
    assert original.leaks_in("table image-tracking") >= imported
    assert original.returncode == 1
    assert "leaked" in original.output
    assert original.places_on_disk()["s3"] >= imported


def test_even_then_neither_logs_nor_events_name_anybody(original: Ran) -> None:
    assert original.leaks_in("log ") == 0
    assert original.leaks_in("event ") == 0
    assert not [name for name in original.places_on_disk() if name.endswith(".log")]


def test_the_report_says_where_and_never_what(original: Ran) -> None:
    told = (original.build_dir / "leaks.json").read_bytes() + original.output.encode()
    assert not [value for value in original.identifying_values() if value in told]


def test_with_deid_there_is_nothing_to_find(deidentified: Ran) -> None:
    assert deidentified.returncode == 0, deidentified.output
    assert deidentified.summary["phi_leaks"] == 0
    assert deidentified.leaks == {}
    assert deidentified.places_on_disk() == {}
