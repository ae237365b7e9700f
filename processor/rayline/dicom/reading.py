"""Read Part 10 bytes into a pydicom data set, or refuse them with a reason."""

import logging
import struct
import warnings
import zlib
from io import BytesIO

import pydicom
import pydicom.config
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError

from rayline.dicom.reasons import ReasonCode
from rayline.dicom.structure import DEFAULT_LIMITS, Limits, examine
from rayline.errors import RejectedEvent

# pydicom's warnings quote values, and values identify patients: they must reach neither the log nor stderr.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module=r"pydicom(\..*)?$")

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
    examine(content, limits)
    try:
        return pydicom.dcmread(BytesIO(content))
    except InvalidDicomError:
        raise RejectedEvent(ReasonCode.NOT_DICOM.value, "the bytes are not a Part 10 file") from None
    except (MemoryError, *_PYDICOM_FAILURES) as error:
        raise RejectedEvent(
            ReasonCode.MALFORMED.value, f"the data set cannot be read ({type(error).__name__})"
        ) from None
