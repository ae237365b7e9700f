"""Every real file ends as ``expected_outcomes.csv`` says, which was written from the standard before the intake ran.

Its columns: path below the data's root, SHA-256, outcome, reason code (several, separated by ``|``, where a file has
several flaws and each would be a true reason), and why, with the part of the standard.
"""

import csv
import hashlib
import re
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from support.intake_chain import passage
from support.shared_data import part10_files, shared

from rayline.dicom.content import LocalFile
from rayline.dicom.reasons import ReasonCode

FOLDERS = (
    "ct_chest_lidc0314",
    "cxr_dicom",
    "transfer_syntax",
    "charset",
    "sr_seg",
    "misc_pydicom",
    "deid",
    "malformed",
)
ROWS = list(csv.DictReader(Path(__file__).with_name("expected_outcomes.csv").read_text().splitlines()))


def test_every_outcome_is_one_and_cites_the_standard() -> None:
    known = {code.value for code in ReasonCode}
    for row in ROWS:
        assert row["outcome"] in ("accepted", "quarantined")
        assert (row["reason"] == "") == (row["outcome"] == "accepted"), row["path"]
        assert not row["reason"] or set(row["reason"].split("|")) <= known, row["path"]
        assert re.search(r"PS3\.\d+ |whole CT", row["why"]), row["path"]
    assert len({row["path"] for row in ROWS}) == len(ROWS)


@pytest.mark.shared_data
def test_every_real_file_has_an_outcome() -> None:
    root = shared(".")
    found = {path.relative_to(root).as_posix() for folder in FOLDERS for path in part10_files(folder)}
    assert found == {row["path"] for row in ROWS}


@pytest.mark.shared_data
@pytest.mark.filterwarnings("ignore:The value length:UserWarning")
@pytest.mark.parametrize("folder", FOLDERS)
def test_every_real_file_ends_as_expected(folder: str) -> None:
    wrong, low = [], []
    rows = [row for row in ROWS if row["path"].startswith(f"{folder}/")]
    assert rows
    for row in rows:
        path = shared(row["path"])
        assert hashlib.sha256(path.read_bytes()).hexdigest() == row["sha256"], row["path"]
        found = passage(LocalFile(path))
        if found.stage == "readback" or found.reason not in row["reason"].split("|"):
            wrong.append(
                (row["path"], found.reason or "accepted", found.explanation, row["reason"], row["why"])
            )
        if found.output is not None and found.output.size < 1 << 20:
            tags = [element.tag for element in pydicom.dcmread(BytesIO(found.output.whole())).iterall()]
            low += [(row["path"], tag) for tag in tags if tag.group < 8 or tag.group & 1]
    assert wrong == []
    # Groups that no data set may have, and private ones, are gone, whatever the input held (PS3.5 §7.8.1).
    assert low == []
