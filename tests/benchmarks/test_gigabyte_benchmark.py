"""The gigabyte's benchmark: its image is one, its proxy counts, and a small run of it gives every figure."""

import socket
import threading
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy
import pydicom
import pytest
from support.local_cloud import LocalCloud

from benchmarks.intake import gigabyte
from benchmarks.intake.counting_proxy import counting_proxy
from benchmarks.intake.enhanced_ct import FRAME_BYTES, IDENTIFYING, write_enhanced_ct
from benchmarks.intake.gigabyte import NotTheSame
from benchmarks.intake.gigabyte_process import Work
from rayline.dicom.content import LocalFile
from rayline.dicom.instance import Instance
from rayline.dicom.validation import screen

SIZE = 70_000_000  # what is smaller is read once, to be hashed


@pytest.mark.parametrize("encapsulated", [False, True], ids=["native", "encapsulated"])
def test_the_image_is_one_of_its_size_that_the_intake_takes(tmp_path: Path, encapsulated: bool) -> None:
    path = tmp_path / "image.dcm"
    write_enhanced_ct(path, 10_000_000, encapsulated=encapsulated)
    assert abs(path.stat().st_size - 10_000_000) < FRAME_BYTES
    assert screen(Instance(LocalFile(path))) is None
    frames = pydicom.dcmread(path).pixel_array
    native = tmp_path / "native.dcm"
    write_enhanced_ct(native, 10_000_000)
    expected = pydicom.dcmread(native).pixel_array
    assert len(frames) >= len(expected) == 10_000_000 // FRAME_BYTES
    assert numpy.array_equal(frames[: len(expected)], expected)


def test_the_proxy_counts_what_passes_either_way() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                assert len(connection.recv(100, socket.MSG_WAITALL)) == 100
                connection.sendall(bytes(3_000_000))

        thread = threading.Thread(target=answer)
        thread.start()
        with counting_proxy(server.getsockname()[1]) as proxy:
            with socket.create_connection(("127.0.0.1", proxy.port)) as client:
                client.sendall(bytes(100))
                received = 0
                while data := client.recv(65_536):
                    received += len(data)
            assert received == 3_000_000
            assert proxy.moved == (100, 3_000_000)
        thread.join()


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """A run with a small object."""
    return gigabyte.measure(1, tmp_path_factory.mktemp("gigabyte"), SIZE)


def test_a_small_run_gives_every_figure(figures: dict[str, object]) -> None:
    moved, memory = figures["gigabyte_bytes_moved"], figures["gigabyte_peak_rss_mb"]
    assert isinstance(moved, int)
    assert isinstance(memory, float)
    # The part before the pixels, once each way, and not the pixels.
    assert 5 * 1024**2 < moved < 20_000_000
    assert 20 < memory < 200
    assert isinstance(figures["gigabyte_over_part_copy"], float)
    of_both = figures["gigabyte"]
    assert isinstance(of_both, dict)
    for each in of_both.values():
        assert {side: len(rounds) for side, rounds in each["rounds"].items()} == {"bare": 1, "rayline": 1}
        assert abs(each["object_bytes"] - SIZE) < FRAME_BYTES


@pytest.mark.parametrize("encapsulated", [False, True], ids=["native", "encapsulated"])
def test_what_is_not_the_image_without_its_patient_is_told(
    local_cloud: LocalCloud, tmp_path: Path, encapsulated: bool
) -> None:
    path = tmp_path / "image.dcm"
    write_enhanced_ct(path, 40_000_000, encapsulated=encapsulated)
    original = path.read_bytes()
    anonymous = original
    for value in IDENTIFYING:
        anonymous = anonymous.replace(value, bytes(len(value)))
    behind = anonymous.rfind(b"\xfc\xff\xfc\xffOB")
    bucket = f"compared-{uuid.uuid4().hex[:8]}"
    estate: Any = SimpleNamespace(s3=local_cloud.client("s3"))
    estate.s3.create_bucket(Bucket=bucket)
    work = Work("rayline", "", "", "", bucket, "stored")

    def compare(stored: bytes) -> None:
        estate.s3.put_object(Bucket=bucket, Key="stored", Body=stored)
        gigabyte._compare(estate, work, path)

    compare(anonymous[:behind])
    with pytest.raises(NotTheSame, match="names the patient"):
        compare(original)
    with pytest.raises(NotTheSame, match="names the patient"):
        compare(anonymous[: behind - 100] + IDENTIFYING[0] + anonymous[behind - 100 : behind])
    for other in (30_000_000, behind - 1, original.index(b"\xe0\x7f\x10\x00O") + 20):
        with pytest.raises(NotTheSame, match="pixels"):
            compare(anonymous[:other] + bytes([anonymous[other] ^ 1]) + anonymous[other + 1 : behind])
