"""The intake benchmark runs, counts what it means to count, and says which target is met."""

import json
from pathlib import Path

import pydicom
import pytest

from benchmarks.dispatch.machine import Machine
from benchmarks.intake import ct_files, report, run
from benchmarks.intake.run import Figures, NotAllDone, Turn


def test_a_small_round_of_every_side(tmp_path: Path) -> None:
    figures = run.measure(
        files=5,
        rounds=2,
        folder=tmp_path,
        temporary=tmp_path,
        sizes_mb=(1, 20),
        others=False,
        gigabyte_too=False,
    )
    counts = {side: [turn.files for turn in turns] for side, turns in figures.turns.items()}
    assert counts == {side: [5, 5] for side in run.SIDES}
    assert all(turn.seconds > 0 for turns in figures.turns.values() for turn in turns)
    # An interpreter needs some; the larger object lies beyond what is read whole, so it may not add its size.
    assert 10 < figures.peak_rss_mb[1] < 200
    assert figures.peak_rss_mb[20] < figures.peak_rss_mb[1] + 10
    path = tmp_path / "intake.json"
    report.write(figures, path)
    document = json.loads(path.read_text())
    assert document["deid_over_pydicom"] > 0
    assert document["targets_met"].keys() == {"deid_over_pydicom", "two_over_one", "peak_rss_spread"}
    assert list(tmp_path.iterdir()) == [path]


def test_the_slices_have_uids_of_their_own_and_change_in_nothing_else(tmp_path: Path) -> None:
    originals, _ = ct_files.slices()
    ct_files.write_files(tmp_path / "in", 3 * len(originals), originals)
    paths = sorted((tmp_path / "in").iterdir())
    datasets = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
    assert len({dataset.SOPInstanceUID for dataset in datasets}) == len(paths)
    assert len({dataset.SeriesInstanceUID for dataset in datasets}) == 3
    assert len({dataset.StudyInstanceUID for dataset in datasets}) == 3
    for number, (path, dataset) in enumerate(zip(paths, datasets, strict=True)):
        assert dataset.SOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID
        assert pydicom.uid.UID(dataset.SOPInstanceUID).is_valid
        assert path.stat().st_size == len(originals[number % len(originals)])


def test_made_up_slices_stand_in_where_there_are_no_real_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAYLINE_DATA", str(tmp_path))
    originals, source = ct_files.slices()
    assert (len(originals), source) == (40, "made-up slices")
    assert 500_000 < len(originals[0]) < 600_000


def test_a_side_that_leaves_files_out_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/one").write_bytes(b"")
    with pytest.raises(NotAllDone, match="made 0 files of 1"):
        run._turn([["true"]], tmp_path / "in", tmp_path)
    (tmp_path / "out").rmdir()
    with pytest.raises(NotAllDone, match="ended with 1"):
        run._turn([["false"]], tmp_path / "in", tmp_path)


def test_targets_are_held_against_medians_of_rounds(tmp_path: Path) -> None:
    seconds = {
        "copy": 0.2,
        "copy_two": 0.1,
        "pydicom": 4.0,
        "deid_one": 1.0,
        "deid_two": 0.5,
        "dicognito": 9.0,
    }
    # In a disturbed round everything takes three times as long, which changes no ratio.
    turns = {side: [Turn(100, each * slow, each) for slow in (1, 3, 1)] for side, each in seconds.items()}
    gigabyte = {"gigabyte_over_part_copy": 1.31, "gigabyte_bytes_moved": 63e6, "gigabyte_peak_rss_mb": 199}
    figures = Figures(
        Machine.look(),
        files=100,
        file_bytes=1,
        rounds=3,
        source="",
        working_folder="",
        tool_versions={"dicognito": "1"},
        turns=turns,
        peak_rss_mb={1: 100.0, 1000: 126.0},
        gigabyte=gigabyte,
    )
    document = report.document(figures)
    assert (document["deid_over_pydicom"], document["two_over_one"]) == (4.0, 2.0)
    assert document["deid_over_fastest_tool"] == 9.0
    assert document["targets_met"] == {
        "deid_over_pydicom": True,
        "two_over_one": True,
        "deid_over_fastest_tool": True,
        "peak_rss_spread": False,
        "gigabyte_over_part_copy": False,
        "gigabyte_bytes_moved": True,
        "gigabyte_peak_rss_mb": True,
    }
    report.show(figures, tmp_path / "intake.json")
