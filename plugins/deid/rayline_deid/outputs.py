"""Files that appear whole or not at all, and never in the place of another one."""

import errno
import hashlib
import itertools
import os
from contextlib import suppress
from typing import Final

from rayline.plugin import Content, LocalFile, Stretch

_PIECES_A_CALL: Final = 512  # POSIX lets a system refuse more than IOV_MAX, 1024 on Linux
_COPIED_A_CALL: Final = 64 * 1024 * 1024
_HELD_BYTES: Final = 1024 * 1024
_NOT_COPIED_HERE: Final = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})


def write_content(content: Content, descriptor: int) -> None:
    """Write a content to an open file; stretches of files are copied by the kernel, so memory stays flat.

    Raises:
        OSError: the source ends early, or the file cannot be written, e.g. because its disk is full.
    """
    waiting: list[bytes | memoryview] = []
    for piece in content.pieces(0, content.size):
        if isinstance(piece, Stretch):
            _write_all(descriptor, waiting)
            waiting = []
            _copy(piece, descriptor)
        else:
            waiting.append(piece)
            if len(waiting) == _PIECES_A_CALL:
                _write_all(descriptor, waiting)
                waiting = []
    _write_all(descriptor, waiting)


def _write_all(descriptor: int, pieces: list[bytes | memoryview]) -> None:
    if not pieces:
        return
    missing = sum(map(len, pieces)) - os.writev(descriptor, pieces)
    while missing:
        # A short write; what stops it, e.g. a full disk, shows when the rest is written.
        rest = memoryview(b"".join(pieces))[-missing:]
        missing -= os.write(descriptor, rest)


def _copy(stretch: Stretch, descriptor: int) -> None:
    content, start, end = stretch.content, stretch.start, stretch.start + stretch.length
    if isinstance(content, LocalFile) and hasattr(os, "copy_file_range"):
        try:
            while start < end:
                copied = os.copy_file_range(
                    content.fileno(), descriptor, min(end - start, _COPIED_A_CALL), start
                )
                if not copied:
                    break
                start += copied
        except OSError as error:
            if error.errno not in _NOT_COPIED_HERE:
                raise
    while start < end:
        data = content.read(start, min(end - start, _HELD_BYTES))
        if not data:
            raise OSError(errno.EIO, "the file became shorter while it was read")
        _write_all(descriptor, [data])
        start += len(data)


class Outputs:
    """The folder that de-identified files go to.

    A file is written without a name where the system can do that (``O_TMPFILE``), so that nothing is left of it
    when the process is killed, and gets its name by a link, which no two processes can make twice.
    """

    def __init__(self, folder: str) -> None:
        os.makedirs(folder, exist_ok=True)
        self.folder = folder
        self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._folders = {""}
        self._unnamed = hasattr(os, "O_TMPFILE") and os.path.isdir("/proc/self/fd")
        self._numbers = itertools.count()

    def place(self, content: Content, name: str) -> tuple[str, bool]:
        """Write a content under a name, or beside it where that name has another content.

        Returns:
            The name below the folder, and whether it is new: False where it was there with the same content.

        Raises:
            OSError: it cannot be written.
        """
        folder = os.path.dirname(name)
        if folder not in self._folders:
            os.makedirs(os.path.join(self.folder, folder), exist_ok=True)
            self._folders.add(folder)
        while self._unnamed:
            try:
                descriptor = os.open(
                    os.path.join(self.folder, folder), os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, 0o666
                )
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
                    raise
                self._unnamed = False
                break
            try:
                write_content(content, descriptor)
                return self._named(f"/proc/self/fd/{descriptor}", name)
            finally:
                os.close(descriptor)
        return self._place_by_temporary_name(content, name)

    def _place_by_temporary_name(self, content: Content, name: str) -> tuple[str, bool]:
        temporary = f"{name}.{os.getpid()}-{next(self._numbers)}.part"
        descriptor = os.open(
            temporary,
            os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC,
            0o666,
            dir_fd=self._descriptor,
        )
        try:
            try:
                write_content(content, descriptor)
            finally:
                os.close(descriptor)
            return self._named(os.path.join(self.folder, temporary), name)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=self._descriptor)

    def _named(self, written: str, name: str) -> tuple[str, bool]:
        """Give what is written a name that nothing else has."""
        if self._linked(written, name):
            return name, True
        if self._same(written, name):
            return name, False
        stem, extension = os.path.splitext(name)
        beside = f"{stem}-{self._digest(written)[:12]}{extension}"
        if self._linked(written, beside):
            return beside, True
        if self._same(written, beside):
            return beside, False
        raise FileExistsError(errno.EEXIST, "a file of that name has another content")

    def _linked(self, written: str, name: str) -> bool:
        """Whether the name was free."""
        try:
            # With a descriptor given, Python follows /proc's link to the file that has no name.
            os.link(written, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        except FileExistsError:
            return False
        except OSError as error:
            if self._unnamed or error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
            # No links here, e.g. on exFAT: reserve the name, then move the file there.
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
                os.close(os.open(name, flags, 0o666, dir_fd=self._descriptor))
            except FileExistsError:
                return False
            os.rename(written, name, dst_dir_fd=self._descriptor)
        return True

    def _same(self, written: str, name: str) -> bool:
        there = os.path.join(self.folder, name)
        return os.path.getsize(written) == os.path.getsize(there) and self._digest(written) == self._digest(
            there
        )

    @staticmethod
    def _digest(path: str) -> str:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def has(self, name: str) -> bool:
        """Whether an output is there."""
        return os.path.exists(os.path.join(self.folder, name))

    def exchange(self, first: str, second: str) -> str:
        """Let ``second`` have the name ``first``; returns what stands in its place now.

        Raises:
            OSError: a file cannot be renamed.
        """
        stem, extension = os.path.splitext(first)
        beside = f"{stem}-{self._digest(os.path.join(self.folder, first))[:12]}{extension}"
        here = self._descriptor
        os.rename(first, beside, src_dir_fd=here, dst_dir_fd=here)
        os.rename(second, first, src_dir_fd=here, dst_dir_fd=here)
        return beside
