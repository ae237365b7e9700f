"""One DICOM instance on its way through the hooks."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING

from rayline.dicom.content import Content, content_of
from rayline.dicom.header import Header, read_header
from rayline.dicom.structure import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


@dataclass(frozen=True)
class Receipt:
    """Proof that a plugin de-identified an instance.

    Attributes:
        plugin: name of the plugin.
        profile_digest: digest of the profile that was applied.
        key_id: fingerprint of the key that mapped the UIDs, never the key.
    """

    plugin: str
    profile_digest: str
    key_id: str


@dataclass(frozen=True, init=False, eq=False)
class Instance:
    """An instance as a Part 10 file (PS3.10 §7), whose parts are read when they are asked for.

    Args:
        source: the whole file, in memory or wherever it is.
        receipts: one for each de-identification that it passed through.
        limits: what is read of it at most.
    """

    source: Content = field(repr=False)
    receipts: tuple[Receipt, ...]
    limits: Limits = field(repr=False)

    def __init__(
        self,
        source: bytes | Content,
        receipts: tuple[Receipt, ...] = (),
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        object.__setattr__(self, "source", content_of(source))
        object.__setattr__(self, "receipts", receipts)
        object.__setattr__(self, "limits", limits)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Instance):
            return NotImplemented
        return self.receipts == other.receipts and self.content == other.content

    def __hash__(self) -> int:
        return hash((self.receipts, self.source.size))

    @cached_property
    def content(self) -> bytes:
        """All bytes, in memory; of a large object, read stretches of ``source`` instead."""
        return self.source.whole()

    @cached_property
    def header(self) -> Header:
        """Where the elements lie, found without reading pixel data; cheap, and enough for most decisions.

        Raises:
            RejectedEvent: the bytes are no whole Part 10 file within the limits.
        """
        return read_header(self.source, self.limits)

    @cached_property
    def dataset(self) -> "Dataset":
        """The parsed data set with its file meta information; treat it as read-only, or work on a copy.

        A large file's pixels are read where they are asked for.

        Raises:
            RejectedEvent: the bytes cannot be read as DICOM.
        """
        # Imported late, here and below: pydicom takes longer to import than many instances to read without it.
        from rayline.dicom.reading import read_dataset

        return read_dataset(self.source, self.limits)

    @cached_property
    def sha256(self) -> str:
        """Hex SHA-256 of the content."""
        return hashlib.sha256(self.content).hexdigest()

    def with_content(self, content: bytes | Content, receipt: Receipt | None = None) -> "Instance":
        """The same instance with other bytes, and one more receipt where given."""
        receipts = self.receipts if receipt is None else (*self.receipts, receipt)
        return Instance(content, receipts, self.limits)

    def with_dataset(self, dataset: "Dataset", receipt: Receipt | None = None) -> "Instance":
        """The same instance with another data set, written as Part 10 in the data set's transfer syntax."""
        import pydicom

        buffer = BytesIO()
        pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
        return self.with_content(buffer.getvalue(), receipt)
