"""The DICOM gateway: takes images by C-STORE, and acknowledges one once it is kept in the uploads bucket."""
