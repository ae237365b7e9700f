"""A content read as a file."""

import os

import pydicom
from hypothesis import given, settings
from hypothesis import strategies as st
from support.part10 import Element, Writer, minimal_image

from rayline.dicom.content import Content, InMemory
from rayline.dicom.instance import Instance
from rayline.dicom.stream import ContentStream

CONTENT = bytes(range(256)) * 3000

STEPS = st.tuples(
    st.integers(-5, 800_000),
    st.sampled_from([os.SEEK_SET, os.SEEK_CUR, os.SEEK_END]),
    st.integers(0, 400_000),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(STEPS, max_size=8))
def test_it_reads_as_the_bytes_do(steps: list[tuple[int, int, int]]) -> None:
    stream, position = ContentStream(InMemory(CONTENT)), 0
    for offset, whence, length in steps:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: position, os.SEEK_END: len(CONTENT)}[whence]
        position = max(0, origin + offset)
        assert stream.seek(offset, whence) == position
        assert stream.read(length) == CONTENT[position : position + length]
        position += len(CONTENT[position : position + length])
        assert stream.tell() == position


class Counting(Content):
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)
        self.bytes_read = 0

    def read(self, start: int, length: int) -> bytes:
        data = self._data[start : start + length]
        self.bytes_read += len(data)
        return data


def test_pydicom_reads_pixels_only_when_they_are_asked_for() -> None:
    writer = Writer()
    pixels = Element(0x7FE00010, "OW", bytes(20_000_000))
    source = Counting(writer.file([*minimal_image(writer)[:-1], pixels]))
    dataset = pydicom.dcmread(ContentStream(source), defer_size=1_000_000)
    assert dataset.Modality == "CT"
    assert source.bytes_read < 2_000_000
    assert len(dataset.PixelData) == 20_000_000


def test_a_large_instances_data_set_leaves_its_pixels_where_they_are() -> None:
    writer = Writer()
    pixels = Element(0x7FE00010, "OW", b"\1\2" * 10_000_000)
    source = Counting(writer.file([*minimal_image(writer)[:-1], pixels]))
    instance = Instance(source)
    assert instance.dataset.Modality == "CT"
    assert source.bytes_read < 4_000_000
    assert instance.dataset.PixelData == pixels.value
