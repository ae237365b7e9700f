"""Where an instance lies while it arrives: a Part 10 file on disk, of bounded size, that ends with whoever holds it."""

import os
import tempfile
from collections.abc import Callable
from typing import IO, Final

from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID

from rayline.dicom.content import Content
from rayline.dicom.rewriting import IMPLEMENTATION_CLASS_UID

_PREAMBLE: Final = b"\0" * 128 + b"DICM"


class TooLarge(Exception):
    """The instance is larger than the gateway takes."""


class Unreadable(Exception):
    """What announced the instance does not say what it is."""


class Spool(Content):
    """A file without a name; it takes what pynetdicom writes of a data set, and remembers what went wrong.

    An instance that is too large, or for which the disk has no room, is still received to its end, so that the peer can
    be told: its bytes are dropped.

    Args:
        head: makes what comes before the data set, called at the first byte of it.
        most_bytes: of the whole file.
    """

    def __init__(self, head: Callable[[], bytes], most_bytes: int) -> None:
        self._head = head
        self._most_bytes = most_bytes
        self._stored: IO[bytes] | None = None
        self.size = 0
        self.problem: Exception | None = None

    def write(self, data: bytes) -> None:
        """Take in the next bytes of the data set."""
        if self.problem is not None:
            return
        try:
            if self._stored is None:
                self._stored = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed by whoever holds it
                self._append(self._head())
            self._append(data)
        except (OSError, TooLarge, Unreadable) as problem:
            self.problem = problem
            self.close()

    def _append(self, data: bytes) -> None:
        assert self._stored is not None
        if self.size + len(data) > self._most_bytes:
            raise TooLarge
        view = memoryview(data)
        while view:
            view = view[self._stored.write(view) :]
        self.size += len(data)

    @property
    def file(self) -> "Spool":
        """The file that pynetdicom flushes after each write."""
        return self

    def flush(self) -> None:
        """Nothing is buffered."""

    @property
    def name(self) -> str:
        """A name for pynetdicom to delete by; there is no such file."""
        return os.devnull + "/none"

    def opened(self) -> IO[bytes] | None:
        """The whole file, None where no byte of a data set came."""
        return self._stored

    def read(self, start: int, length: int) -> bytes:
        assert self._stored is not None
        parts = []
        length = max(0, min(length, self.size - start))
        while length and (part := os.pread(self._stored.fileno(), length, start)):
            parts.append(part)
            start, length = start + len(part), length - len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Forget it; the disk has its room back."""
        if self._stored is not None:
            self._stored.close()
            self._stored = None


def part10_head(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, sender: str) -> bytes:
    """Preamble and file meta information (PS3.10 §7.1) of an instance that was received without.

    Args:
        sender: AE title of the peer, kept as (0002,0016).

    Raises:
        Unreadable: a UID is none.
    """
    uids = [UID(each) for each in (sop_class_uid, sop_instance_uid, transfer_syntax_uid)]
    if not all(uid.is_valid for uid in uids):
        raise Unreadable
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID = uids
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID.decode())
    meta.SourceApplicationEntityTitle = sender
    written = DicomBytesIO()
    write_file_meta_info(written, meta, enforce_standard=True)
    return _PREAMBLE + written.getvalue()
