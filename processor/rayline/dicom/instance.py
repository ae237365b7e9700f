"""One DICOM instance on its way through the hooks."""

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from io import BytesIO

import pydicom
from pydicom.dataset import Dataset

from rayline.dicom.reading import read_dataset


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


@dataclass(frozen=True)
class Instance:
    """An instance as Part 10 bytes (PS3.10 §7), with lazy access to its data set.

    Attributes:
        content: the whole file.
        receipts: one for each de-identification that it passed through.
    """

    content: bytes = field(repr=False)
    receipts: tuple[Receipt, ...] = ()

    @cached_property
    def dataset(self) -> Dataset:
        """The parsed data set with its file meta information; treat it as read-only, or work on a copy.

        Raises:
            RejectedEvent: the bytes cannot be read as DICOM.
        """
        return read_dataset(self.content)

    @cached_property
    def sha256(self) -> str:
        """Hex SHA-256 of the content."""
        return hashlib.sha256(self.content).hexdigest()

    def with_content(self, content: bytes, receipt: Receipt | None = None) -> "Instance":
        """The same instance with other bytes, and one more receipt where given."""
        receipts = self.receipts if receipt is None else (*self.receipts, receipt)
        return replace(self, content=content, receipts=receipts)

    def with_dataset(self, dataset: Dataset, receipt: Receipt | None = None) -> "Instance":
        """The same instance with another data set, written as Part 10 in the data set's transfer syntax."""
        buffer = BytesIO()
        pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
        return self.with_content(buffer.getvalue(), receipt)
