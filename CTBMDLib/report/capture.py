"""The page of a report as a DICOM secondary capture: a picture that every viewer shows.

The page is drawn by whoever can draw it (Slicer does); here its pixels become a DICOM
image. What it tells of patient and study: see `evidence`.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from .case import ReportCase
from .evidence import add_equipment, evidence, new_uid, sound_headers, write_dicom

SERIES_NUMBER = 9802


def capture(case: ReportCase, pixels: np.ndarray) -> Dataset:
    """A secondary capture of a page.

    Parameters
    ----------
    case : ReportCase
    pixels : ndarray, shape (rows, columns, 3), uint8
        Row 0 is above.

    Raises
    ------
    CTBMDError
        Where the CT has no DICOM headers.
    """
    pixels = np.ascontiguousarray(pixels)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise ValueError("a page has the shape (rows, columns, 3) and is uint8")
    with sound_headers():
        return _document(case, pixels)


def _document(case: ReportCase, pixels: np.ndarray) -> Dataset:
    images = evidence(case)
    item = Dataset()
    for element in images[0]:
        if element.keyword not in (
            "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID",
            "InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient",
        ):  # fmt: skip
            item.add(element)
    item.SOPClassUID = SecondaryCaptureImageStorage
    item.SOPInstanceUID, item.SeriesInstanceUID = new_uid(), new_uid()
    item.Modality = "OT"
    item.ConversionType = "WSD"
    item.ImageType = ["DERIVED", "SECONDARY"]
    item.PatientOrientation = ""
    item.BodyPartExamined = "LSPINE"
    item.BurnedInAnnotation = "YES" if case.with_identity else "NO"
    item.LossyImageCompression = "00"
    item.DerivationDescription = "Report page of CTBMD, research use only, not a medical device"
    item.SourceImageSequence = [_reference(image) for image in images]
    item.SamplesPerPixel, item.PhotometricInterpretation = 3, "RGB"
    item.PlanarConfiguration, item.PixelRepresentation = 0, 0
    item.Rows, item.Columns = pixels.shape[:2]
    item.BitsAllocated, item.BitsStored, item.HighBit = 8, 8, 7
    content = pixels.tobytes()
    item.PixelData = content + b"\0" * (len(content) % 2)
    item["PixelData"].VR = "OB"
    add_equipment(item, case, SERIES_NUMBER)
    return item


def write_capture(
    case: ReportCase,
    pixels: np.ndarray,
    path: str | os.PathLike[str],
    overwrite: bool = False,
) -> Path:
    """Write a page as a DICOM secondary capture, whole or not at all.

    Raises
    ------
    CTBMDError
    """
    return write_dicom(capture(case, pixels), path, overwrite)


def _reference(image: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = image.SOPClassUID
    item.ReferencedSOPInstanceUID = image.SOPInstanceUID
    return item
