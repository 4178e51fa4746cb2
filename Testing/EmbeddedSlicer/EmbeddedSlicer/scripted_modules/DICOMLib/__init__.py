"""Slicer's DICOMLib, as far as `DICOMUtils` goes."""
