"""Read Part 10 bytes into a pydicom data set, or refuse them with a reason."""

import struct
import zlib
from io import BytesIO

import pydicom
import pydicom.config
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError

from rayline.dicom.content import InMemory
from rayline.dicom.header import read_header
from rayline.dicom.reasons import ReasonCode
from rayline.dicom.structure import DEFAULT_LIMITS, Limits
from rayline.errors import RejectedEvent

# Values that are wrong are read as they are: validation is the screening's.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

# What pydicom is known to raise on hostile bytes that are well-formed in structure.
_PYDICOM_FAILURES = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


def read_dataset(content: bytes, limits: Limits = DEFAULT_LIMITS) -> FileDataset:
    """Parse a Part 10 file (PS3.10 §7); values stay raw until they are asked for.

    Raises:
        RejectedEvent: the bytes cannot be read safely and whole; the reason is a :class:`ReasonCode`.
    """
    read_header(InMemory(content), limits)
    return parse(content)


def parse(content: bytes) -> FileDataset:
    """Parse a Part 10 file whose header was read, and so is within limits.

    Raises:
        RejectedEvent: pydicom cannot read it.
    """
    try:
        return pydicom.dcmread(BytesIO(content))
    except InvalidDicomError:
        raise RejectedEvent(ReasonCode.NOT_DICOM.value, "the bytes are not a Part 10 file") from None
    except (MemoryError, *_PYDICOM_FAILURES) as error:
        raise RejectedEvent(
            ReasonCode.MALFORMED.value, f"the data set cannot be read ({type(error).__name__})"
        ) from None
