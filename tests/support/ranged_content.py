"""Contents that are read by ranges and say how much was read of them."""

from collections.abc import Sequence

from rayline.dicom.content import Content


class RangedContent(Content):
    """Bytes as an object in S3 is read: by ranges, each of which is noted.

    Attributes:
        reads: start and length of each range, as far as it lies inside.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)
        self.reads: list[tuple[int, int]] = []

    def read(self, start: int, length: int) -> bytes:
        found = self._stretch(start, max(0, min(length, self.size - start)))
        self.reads.append((start, len(found)))
        return found

    def _stretch(self, start: int, length: int) -> bytes:
        return self._data[start : start + length]

    @property
    def bytes_read(self) -> int:
        return sum(length for _, length in self.reads)


class SparseContent(RangedContent):
    """A content of any size that is made up while it is read: some bytes at their places, zeros elsewhere."""

    def __init__(self, size: int, places: Sequence[tuple[int, bytes]]) -> None:
        super().__init__(b"")
        self.size = size
        self._places = places

    def _stretch(self, start: int, length: int) -> bytes:
        found = bytearray(length)
        for place, data in self._places:
            first, last = max(place, start), min(place + len(data), start + length)
            if first < last:
                found[first - start : last - start] = data[first - place : last - place]
        return bytes(found)
