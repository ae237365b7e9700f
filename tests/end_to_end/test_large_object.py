"""Objects of 100 MB go through the whole estate: de-identified, imported or kept, in memory that does not grow."""

import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.own_estate import OwnEstate, eventually, json_lines, rayline

from benchmarks.intake.enhanced_ct import FRAME_BYTES, IDENTIFYING, write_enhanced_ct

SIZE = 100_000_000
PATIENCE_SECONDS = 300.0
# What a worker has for an object beside what it has anyway: far less than the object.
MOST_MORE_MEMORY = 80_000_000


@dataclass
class Sent:
    """What was sent, by name, and what it cost the processor."""

    estate: OwnEstate
    folder: Path
    memory_before: int
    memory_after: int

    def file(self, name: str) -> bytes:
        """A file as it was sent."""
        return (self.folder / name).read_bytes()


def most_memory(estate: OwnEstate) -> int:
    """The most memory in bytes that one of the processor's workers ever had."""
    statuses = [Path(f"/proc/{pid}/status").read_text() for pid in estate.processor.workers()]
    return max(int(status.split("VmHWM:")[1].split()[0]) * 1024 for status in statuses)


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sent]:
    """An estate that was sent a native and an encapsulated image, one twice, and one that is cut short."""
    root = tmp_path_factory.mktemp("large")
    folder = root / "input"
    folder.mkdir()
    write_enhanced_ct(folder / "native.dcm", SIZE, instance=1)
    write_enhanced_ct(folder / "encapsulated.dcm", SIZE, encapsulated=True, instance=2)
    whole = (folder / "native.dcm").read_bytes()
    (folder / "native-again.dcm").write_bytes(whole)
    (folder / "cut-short.dcm").write_bytes(whole[:-1000])
    with OwnEstate(root, batchQuietSeconds="1", leaseSeconds="60", visibilitySeconds="120") as estate:
        estate.processor.start()
        small = folder / "small.dcm"
        write_enhanced_ct(small, FRAME_BYTES, instance=3)
        send(estate, [small])
        eventually(lambda: estate.everything_settled(1), "the small one settled", seconds=PATIENCE_SECONDS)
        before = most_memory(estate)
        names = ["native.dcm", "encapsulated.dcm", "cut-short.dcm"]
        send(estate, [folder / name for name in names])
        eventually(lambda: estate.everything_settled(4), "all settled", seconds=PATIENCE_SECONDS)
        send(estate, [folder / "native-again.dcm"])
        eventually(lambda: estate.everything_settled(5), "the second settled", seconds=PATIENCE_SECONDS)
        yield Sent(estate, folder, before, most_memory(estate))


def send(estate: OwnEstate, paths: list[Path]) -> None:
    """Send files as their sender."""
    environment = {
        "RAYLINE_ENV_FILE": str(estate.state_dir / "env"),
        **estate.front.role_environment("uploader"),
    }
    answer = rayline("upload", "--json", *paths, environment=environment).stdout
    assert all(each["version_id"] for each in json_lines(answer))


def test_each_ends_where_it_belongs(sent: Sent) -> None:
    assert sent.estate.account.stages() == {"imported": 3, "quarantined": 1, "duplicate": 1}
    items = sent.estate.account.items("image-tracking", "instance")
    assert [each["reason"] for each in items if each["stage"] == "quarantined"] == ["TRUNCATED"]


def test_every_frame_is_imported_as_it_was(sent: Sent) -> None:
    native = sent.file("native.dcm")
    begin = native.index(b"\xe0\x7f\x10\x00OW") + 12
    length = int.from_bytes(native[begin - 4 : begin], "little")
    frames = [
        zlib.crc32(native[start : start + FRAME_BYTES]) for start in range(begin, begin + length, FRAME_BYTES)
    ]
    by_count = {len(each.checksums): each for each in sent.estate.account.image_sets()}
    assert Counter(by_count[len(frames)].checksums) == Counter(frames)
    # The encapsulated frames are the same ones, compressed without loss: more of them go into as many bytes.
    most = max(by_count)
    assert most > len(frames)
    assert set(by_count[most].checksums) == set(frames)


def test_what_was_stored_names_nobody(sent: Sent) -> None:
    stored = sent.estate.account.objects("imports", "imports/")
    large = [content for content in stored.values() if len(content) > SIZE // 2]
    assert len(large) == 2
    for content in large:
        assert not any(value in content for value in IDENTIFYING)


def test_what_was_refused_is_kept_as_it_came(sent: Sent) -> None:
    (record,) = sent.estate.account.quarantine().values()
    held = sent.estate.account.objects("quarantine", f"hospital-a/{record['entry_id']}/")
    assert held[f"hospital-a/{record['entry_id']}/object"] == sent.file("cut-short.dcm")


def test_no_worker_had_an_object_in_memory(sent: Sent) -> None:
    assert sent.memory_before > 0
    assert sent.memory_after - sent.memory_before < MOST_MORE_MEMORY
