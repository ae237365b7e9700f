"""Bytes that need not be in memory: a file's, an object's in S3, or stretches of others put together.

What reads a content asks for stretches, so that memory stays flat however large it is.
"""

import os
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

#: Contents up to this size are read whole: one request costs less than several.
WHOLE_BYTES = 8 * 1024 * 1024


class Content(ABC):
    """An immutable sequence of bytes.

    Attributes:
        size: its length in bytes.
    """

    size: int

    @abstractmethod
    def read(self, start: int, length: int) -> bytes:
        """``length`` bytes from ``start``; fewer only where the content ends."""

    def whole(self) -> bytes:
        """All of it, in memory."""
        return self.read(0, self.size)

    def pieces(self, start: int, length: int) -> "Iterator[Piece]":
        """What a stretch consists of, each piece in memory or part of one other content."""
        yield Stretch(self, start, length)


class Stretch(NamedTuple):
    """``length`` bytes of ``content`` from ``start``, not read yet."""

    content: Content
    start: int
    length: int


Piece = bytes | memoryview | Stretch


def piece_length(piece: Piece) -> int:
    """The bytes that a piece stands for."""
    return piece.length if type(piece) is Stretch else len(piece)


class InMemory(Content):
    """Bytes that are in memory already."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, start: int, length: int) -> bytes:
        if start == 0 and length >= self.size:
            return self._data
        return self._data[start : start + length]

    def pieces(self, start: int, length: int) -> Iterator[Piece]:
        yield (
            self._data
            if start == 0 and length >= self.size
            else memoryview(self._data)[start : start + length]
        )


class LocalFile(Content):
    """A file that nobody changes meanwhile; it stays open until :meth:`close`, or until nobody refers to it.

    Raises:
        OSError: it cannot be opened or read.
    """

    def __init__(self, path: Path | str) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = os.fstat(self._descriptor).st_size

    def read(self, start: int, length: int) -> bytes:
        length = max(0, min(length, self.size - start))
        data = os.pread(self._descriptor, length, start)
        if len(data) == length:
            return data
        parts = [data]
        while data and (missing := length - sum(map(len, parts))):
            data = os.pread(self._descriptor, missing, start + length - missing)
            parts.append(data)
        return b"".join(parts)

    def fileno(self) -> int:
        """The open descriptor, for copying inside the kernel."""
        return self._descriptor

    def close(self) -> None:
        """Close the file; it cannot be read any more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        if getattr(self, "_descriptor", -1) >= 0:
            self.close()


class Spliced(Content):
    """Pieces one after the other."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        # Every file that is rewritten comes here with dozens of pieces, so this asks each of them once.
        self._pieces: list[Piece] = []
        self._ends: list[int] = []
        end = 0
        for piece in pieces:
            length = piece.length if type(piece) is Stretch else len(piece)
            if length:
                end += length
                self._pieces.append(piece)
                self._ends.append(end)
        self.size = end

    def pieces(self, start: int, length: int) -> Iterator[Piece]:
        end = min(start + length, self.size)
        index = bisect_right(self._ends, start)
        while start < end:
            piece, piece_end = self._pieces[index], self._ends[index]
            piece_start = self._ends[index - 1] if index else 0
            if isinstance(piece, Stretch):
                offset = start - piece_start
                yield from piece.content.pieces(piece.start + offset, min(end, piece_end) - start)
            elif start == piece_start and end >= piece_end:
                yield piece
            else:
                yield memoryview(piece)[start - piece_start : min(end, piece_end) - piece_start]
            start = piece_end
            index += 1

    def read(self, start: int, length: int) -> bytes:
        return b"".join(
            piece.content.read(piece.start, piece.length) if isinstance(piece, Stretch) else piece
            for piece in self.pieces(start, length)
        )


def content_of(data: "bytes | Content") -> Content:
    """Bytes as a content; a content as it is."""
    return data if isinstance(data, Content) else InMemory(data)
