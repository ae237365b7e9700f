"""Reading a content by windows, so that memory stays flat and few ranged reads are made."""

from typing import Final

from rayline.dicom.content import Content, InMemory
from rayline.dicom.encoding import truncated

#: Of a source that is not in memory, this much is read at first; twice as much each time where all of it was
#: header, up to four times as much.
WINDOW_BYTES: Final = 256 * 1024
_MOST_WINDOWS: Final = 4
LONGEST_ELEMENT_HEADER: Final = 12
# A skip that leaves a whole window behind went over pixels or a large fragment: what follows is short.
_AFTER_SKIP_BYTES: Final = 16 * 1024
_PADDING_BYTES: Final = 1024 * 1024


class Windows:
    """A content read by windows, of which the first and the latest are kept.

    Attributes:
        content: what is read.
    """

    def __init__(self, content: Content, window_bytes: int = WINDOW_BYTES) -> None:
        self.content = content
        in_memory = isinstance(content, InMemory)
        self._window_bytes = max(content.size if in_memory else window_bytes, LONGEST_ELEMENT_HEADER)
        self._ahead = self._window_bytes
        self._first = content.read(0, self._window_bytes)
        self._latest, self._base = self._first, 0

    def window(self, position: int) -> tuple[bytes, int]:
        """Bytes that hold an element's header at ``position``, and where in the content they begin.

        Raises:
            RejectedEvent: the content ends before its size says so.
        """
        needed = min(position + LONGEST_ELEMENT_HEADER, self.content.size)
        for window, base in ((self._latest, self._base), (self._first, 0)):
            if base <= position and needed <= base + len(window):
                return window, base
        skipped = position - self._base - len(self._latest)
        if -LONGEST_ELEMENT_HEADER <= skipped <= _AFTER_SKIP_BYTES:
            size = self._ahead = min(2 * self._ahead, _MOST_WINDOWS * self._window_bytes)
        elif -LONGEST_ELEMENT_HEADER <= skipped <= self._window_bytes:
            size = self._window_bytes
        else:
            size = max(min(self._window_bytes, _AFTER_SKIP_BYTES), LONGEST_ELEMENT_HEADER)
        self._latest, self._base = self.content.read(position, size), position
        if position + len(self._latest) < needed:
            raise truncated()
        return self._latest, position

    def read(self, start: int, length: int) -> bytes:
        """A stretch, from a window where one holds it."""
        for window, base in ((self._first, 0), (self._latest, self._base)):
            if base <= start and start + length <= base + len(window):
                return window[start - base : start - base + length]
        return self.content.read(start, length)

    def only_zeros(self, start: int) -> bool:
        """Whether nothing but padding follows, up to 1 MiB of it."""
        size = self.content.size
        return size - start <= _PADDING_BYTES and not any(
            self.read(position, WINDOW_BYTES).strip(b"\0") for position in range(start, size, WINDOW_BYTES)
        )

    def separators(self, start: int, length: int, most: int) -> int:
        """How many backslashes a stretch has; counting stops beyond ``most``."""
        found, end = 0, start + length
        for position in range(start, end, WINDOW_BYTES):
            found += self.read(position, min(WINDOW_BYTES, end - position)).count(b"\\")
            if found > most:
                break
        return found
