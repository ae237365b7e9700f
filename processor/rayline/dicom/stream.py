"""A content as a binary stream, for libraries that read files."""

import io
import os
from typing import Final

from rayline.dicom.content import Content

_BLOCK_BYTES: Final = 256 * 1024


class ContentStream(io.RawIOBase):
    """Reads a content where it lies, a block at a time.

    It is no :class:`io.BufferedReader`, since pydicom takes those for named files.
    """

    def __init__(self, content: Content) -> None:
        super().__init__()
        self._content = content
        self._position = 0
        self._block = b""
        self._block_start = 0

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """It can be positioned."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position; returns it."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._content.size}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer; returns how many bytes there were."""
        offset = self._position - self._block_start
        if not 0 <= offset <= len(self._block) - len(buffer):
            wanted = max(len(buffer), _BLOCK_BYTES)
            self._block, self._block_start, offset = (
                self._content.read(self._position, wanted),
                self._position,
                0,
            )
        data = self._block[offset : offset + len(buffer)]
        if len(self._block) > _BLOCK_BYTES:
            self._block = b""  # a large value is the caller's to keep
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
