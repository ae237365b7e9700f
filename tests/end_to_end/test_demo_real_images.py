"""`rayline demo` on the real images, as far as HealthImaging: all of them arrive, and nothing names anybody."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from support.own_estate import OwnEstate, frame_checksum, rayline

pytestmark = pytest.mark.shared_data
BROKEN = {
    "letter.txt": "NOT_DICOM",
    "empty.dcm": "EMPTY_OBJECT",
    "truncated.dcm": "TRUNCATED",
    "report.dcm": "SOP_CLASS_NOT_ALLOWED",
    "known-uid-other-content.dcm": "UID_CONFLICT",
}


@dataclass(frozen=True)
class Ran:
    """A demo that ended, and its cloud, up again on the state that it kept."""

    summary: dict[str, Any]
    build_dir: Path
    kept: OwnEstate


@pytest.fixture(scope="module")
def ran(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    build_dir = tmp_path_factory.mktemp("real") / "build"
    rayline("demo", "--data", shared_data, "--until", "imported", "--build-dir", build_dir)
    with OwnEstate(build_dir) as kept:
        yield Ran(json.loads((build_dir / "summary.json").read_text()), build_dir, kept)


def real_files(root: Path) -> list[bytes]:
    """The CT series and the chest X-rays that come as DICOM."""
    return [
        path.read_bytes()
        for folder in ("ct_chest_lidc0314", "cxr_dicom")
        for path in sorted((root / folder).glob("*.dcm"))
    ]


def test_every_file_is_accounted_for(ran: Ran, shared_data: Path) -> None:
    uids = Counter(
        str(pydicom.dcmread(BytesIO(content), stop_before_pixels=True).SOPInstanceUID)
        for content in real_files(shared_data)
    )
    pictures = list((shared_data / "cxr224").rglob("*.jp*g"))
    assert len(pictures) > 100
    # The set has files that share one UID; only the first of them may be taken.
    colliding = uids.total() - len(uids)
    reasons = Counter(each["reason"] for each in ran.kept.account.quarantine().values())
    assert reasons == Counter(BROKEN.values()) + Counter({"UID_CONFLICT": colliding})
    assert ran.summary["uploaded"] == uids.total() + len(pictures) + len(BROKEN)
    assert ran.summary["quarantined"] == reasons.total()
    assert ran.summary["validated"] == len(uids) + len(pictures)
    instances = [uid for each in ran.kept.account.image_sets() for uid in each.instances]
    assert ran.summary["imported"] == len(instances) == len(set(instances)) == len(uids) + len(pictures)


def _is_compressed(content: bytes) -> bool:
    meta = pydicom.dcmread(BytesIO(content), stop_before_pixels=True).file_meta
    return bool(meta.TransferSyntaxUID.is_compressed)


def test_no_pixel_is_changed_on_the_way(ran: Ran) -> None:
    stored = Counter(crc for each in ran.kept.account.image_sets() for crc in each.checksums)
    sent: Counter[int] = Counter()
    files = [path for path in (ran.build_dir / "input" / "first").rglob("*") if path.is_file()]
    for path in files:
        content = path.read_bytes()
        if path.name not in BROKEN and not _is_compressed(content):
            sent[frame_checksum(content)] += 1
    assert sent.total() > 250
    assert sent <= stored


def test_no_identifying_value_leaked(ran: Ran) -> None:
    assert ran.summary["phi_leaks"] == 0
    assert json.loads((ran.build_dir / "leaks.json").read_text()) == {}
