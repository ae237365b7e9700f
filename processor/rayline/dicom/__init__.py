"""Reading, checking and writing DICOM instances."""

import logging
import warnings

# pydicom's warnings quote values, and values identify patients: they must reach neither the log nor stderr.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module=r"pydicom(\..*)?$")
