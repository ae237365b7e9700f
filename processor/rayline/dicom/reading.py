"""Read Part 10 bytes into a pydicom data set, or refuse them with a reason."""

import struct
import zlib
from io import BytesIO
from typing import Final

import pydicom
import pydicom.config
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError

from rayline.dicom.content import WHOLE_BYTES, Content, content_of
from rayline.dicom.header import read_header
from rayline.dicom.reasons import ReasonCode
from rayline.dicom.stream import ContentStream
from rayline.dicom.structure import DEFAULT_LIMITS, Limits
from rayline.errors import RejectedEvent

# Values that are wrong are read as they are: validation is the screening's.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

_DEFERRED_BYTES: Final = 64 * 1024

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


def read_dataset(source: bytes | Content, limits: Limits = DEFAULT_LIMITS) -> FileDataset:
    """Parse a Part 10 file (PS3.10 §7); values stay raw until they are asked for.

    Of a file larger than :data:`~rayline.dicom.content.WHOLE_BYTES`, values of more than 64 KiB are read only then.

    Raises:
        RejectedEvent: the bytes cannot be read safely and whole; the reason is a :class:`ReasonCode`.
    """
    content = content_of(source)
    read_header(content, limits)
    return parse(content)


def parse(content: Content) -> FileDataset:
    """Parse a Part 10 file whose header was read, and so is within limits.

    Raises:
        RejectedEvent: pydicom cannot read it.
    """
    try:
        if content.size <= WHOLE_BYTES:
            return pydicom.dcmread(BytesIO(content.whole()))
        return pydicom.dcmread(ContentStream(content), defer_size=_DEFERRED_BYTES)
    except InvalidDicomError:
        raise RejectedEvent(ReasonCode.NOT_DICOM.value, "the bytes are not a Part 10 file") from None
    except (MemoryError, *_PYDICOM_FAILURES) as error:
        raise RejectedEvent(
            ReasonCode.MALFORMED.value, f"the data set cannot be read ({type(error).__name__})"
        ) from None
