"""A 1 GB object in S3: what the intake takes for it, beside a bare UploadPartCopy of the same object.

Both sides run as processes of the processor's task role on one local cloud, by turns; a proxy counts what they move.
"""

import hashlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from benchmarks.dispatch.estate import ROOT, Estate, own_estate
from benchmarks.intake.counting_proxy import counting_proxy
from benchmarks.intake.enhanced_ct import IDENTIFYING, write_enhanced_ct
from benchmarks.intake.gigabyte_process import Side, Took, Work

GIGABYTE: Final = 1_000_000_000
# glibc then keeps what it has freed: the first touch of fresh memory can cost more than to copy it, and the local
# cloud, which holds objects in memory, would otherwise be measured by how its machine hands memory out.
_KEEPING_MEMORY: Final = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(64 * GIGABYTE)}
_BLOCK_BYTES: Final = 16 * 1024 * 1024


class NotTheSame(RuntimeError):
    """What was stored is not the object without its patient: what was measured is not what was meant."""


@dataclass(frozen=True)
class Round:
    """One side's turn.

    Attributes:
        sent_bytes: over the wire, headers included.
        received_bytes: likewise.
    """

    seconds: float
    peak_rss_mb: float
    sent_bytes: int
    received_bytes: int

    @property
    def moved_bytes(self) -> int:
        """Both ways."""
        return self.sent_bytes + self.received_bytes


@dataclass(frozen=True)
class Figures:
    """Every turn of both sides with one object."""

    size_bytes: int
    sides: dict[Side, list[Round]]

    def document(self) -> dict[str, Any]:
        """Medians, and every round."""
        bare, rayline = self.sides["bare"], self.sides["rayline"]
        return {
            "object_bytes": self.size_bytes,
            "over_part_copy": round(_median(rayline, "seconds") / _median(bare, "seconds"), 3),
            "bytes_moved": round(_median(rayline, "moved_bytes")),
            "peak_rss_mb": round(max(each.peak_rss_mb for each in rayline), 1),
            "seconds": {side: round(_median(rounds, "seconds"), 3) for side, rounds in self.sides.items()},
            "rounds": {side: [asdict(each) for each in rounds] for side, rounds in self.sides.items()},
        }


def _median(rounds: list[Round], name: str) -> float:
    return float(statistics.median(getattr(each, name) for each in rounds))


def measure(rounds: int, folder: Path, size_bytes: int = GIGABYTE) -> dict[str, Any]:
    """Measure with native and with encapsulated pixel data.

    Returns:
        The figures ``gigabyte_over_part_copy``, ``gigabyte_bytes_moved`` and ``gigabyte_peak_rss_mb`` of native
        pixel data, and under ``gigabyte`` those of both with every round.

    Raises:
        NotTheSame: a stored object is not the original without its patient.
    """
    found = {}
    with _environment(_KEEPING_MEMORY), own_estate(folder) as estate:
        estate.keep_schedules(on=False)
        for name, encapsulated in (("native", False), ("encapsulated", True)):
            with _uploaded(estate, size_bytes, encapsulated=encapsulated) as (work, path):
                found[name] = _turns(estate, work, path, rounds).document()
    native = found["native"]
    return {
        "gigabyte_over_part_copy": native["over_part_copy"],
        "gigabyte_bytes_moved": native["bytes_moved"],
        "gigabyte_peak_rss_mb": native["peak_rss_mb"],
        "gigabyte": found,
    }


@contextmanager
def _environment(added: Mapping[str, str]) -> Iterator[None]:
    """Give processes that are started meanwhile more settings."""
    before = {name: os.environ.get(name) for name in added}
    os.environ.update(added)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _uploaded(estate: Estate, size_bytes: int, *, encapsulated: bool) -> Iterator[tuple[Work, Path]]:
    """The object in the uploads bucket, and the file that it was; neither stays."""
    path = estate.folder / "gigabyte.dcm"
    write_enhanced_ct(path, size_bytes, encapsulated=encapsulated)
    key = "bench/gigabyte.dcm"  # no prefix that a rule announces
    try:
        with path.open("rb") as file:
            version_id = estate.s3.put_object(Bucket=estate.uploads_bucket, Key=key, Body=file)["VersionId"]
        target = estate.task["RAYLINE_IMPORTS_BUCKET"]
        yield Work("bare", estate.uploads_bucket, key, version_id, target, "imports/bench/gigabyte.dcm"), path
        estate.s3.delete_object(Bucket=estate.uploads_bucket, Key=key, VersionId=version_id)
    finally:
        path.unlink()


def _turns(estate: Estate, work: Work, path: Path, rounds: int) -> Figures:
    sides: dict[Side, list[Round]] = {"bare": [], "rayline": []}
    order: list[Side] = ["bare", "rayline"]
    for number in range(
        -1, rounds
    ):  # the first round warms the local cloud up, and is looked at but not measured
        for side in order if number % 2 else reversed(order):
            turn = _turn(estate, replace(work, side=side))
            if number >= 0:
                sides[side].append(turn)
            elif side == "rayline":
                _compare(estate, work, path)
            _delete(estate, work)
    return Figures(path.stat().st_size, sides)


def _turn(estate: Estate, work: Work) -> Round:
    with counting_proxy(estate.front.port) as proxy:
        finished = subprocess.run(
            [sys.executable, "-m", "benchmarks.intake.gigabyte_process", json.dumps(asdict(work))],
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**estate.task, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}"},
            check=True,
        )
        took = Took(**json.loads(finished.stdout))
        sent, received = proxy.moved
    return Round(took.seconds, took.peak_rss_mb, sent, received)


def _compare(estate: Estate, work: Work, path: Path) -> None:
    """Hold what was stored against the file: the same pixels, no word of the patient.

    Raises:
        NotTheSame: it is not so.
    """
    stored = hashlib.sha256()
    held = b""
    left = path.stat().st_size - _TRAILING_BYTES
    body = estate.s3.get_object(Bucket=work.target_bucket, Key=work.target_key)["Body"]
    head = body.read(_BLOCK_BYTES)
    with path.open("rb") as file:
        original = file.read(min(_BLOCK_BYTES, left))
        pixels, stored_pixels = _pixel_data(original), _pixel_data(head)
        expected = hashlib.sha256(original[pixels:])
        stored.update(head[stored_pixels:])
        left -= len(original)
        while left > 0:
            block = file.read(min(_BLOCK_BYTES, left))
            left -= len(block)
            expected.update(block)
    for block in body.iter_chunks(_BLOCK_BYTES):
        stored.update(block)
        if any(value in held[-64:] + block for value in IDENTIFYING):
            raise NotTheSame("the stored object names the patient")
        held = block
    if any(value in head for value in IDENTIFYING):
        raise NotTheSame("the stored object names the patient")
    if stored.digest() != expected.digest():
        raise NotTheSame("the pixels of the stored object are others")


_TRAILING_BYTES: Final = 44  # the element behind the pixel data, which is to be removed


def _pixel_data(head: bytes) -> int:
    return head.index(b"\xe0\x7f\x10\x00OB" if b"\xe0\x7f\x10\x00OB" in head else b"\xe0\x7f\x10\x00OW")


def _delete(estate: Estate, work: Work) -> None:
    """Let the local cloud forget what was stored; it keeps objects in memory."""
    where = {"Bucket": work.target_bucket, "Prefix": work.target_key}
    for version in estate.s3.list_object_versions(**where).get("Versions", []):
        estate.s3.delete_object(Bucket=work.target_bucket, Key=version["Key"], VersionId=version["VersionId"])
