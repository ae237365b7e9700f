"""Reading, checking and writing DICOM instances."""
