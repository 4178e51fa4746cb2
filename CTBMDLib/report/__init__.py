"""The report of one case: a page to read, and the same findings as DICOM objects."""
