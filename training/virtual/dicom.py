"""A simulated CT as DICOM CT Image files, the same bytes every time."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

UID_ROOT = "2.25."
"""UIDs from a hash of what they name (DICOM PS3.5 B.2), so that they never change."""


@dataclass(frozen=True)
class Header:
    """What the files of a series say of the person and the scan.

    Attributes
    ----------
    key : str
        Names the series; all UIDs come from it.
    patient_id, patient_name : str
    sex : {'F', 'M'}
    age_years : float
    kvp : float
    kernel : str
    thickness_mm, between_mm : float
        Slice thickness and distance between slices.
    pixel_mm : float
        Width and height of a pixel.
    description : str
        Of the series.
    model : str
        Of the scanner.
    """

    key: str
    patient_id: str
    patient_name: str
    sex: str
    age_years: float
    kvp: float
    kernel: str
    thickness_mm: float
    between_mm: float
    pixel_mm: float
    description: str = "Simulated unenhanced CT"
    model: str = "Simulated"

    def uid(self, what: str) -> str:
        """The UID of `what` ('study', 'series', 'instance 3', ...) in this series."""
        return _uid(f"{self.key} {what}")


def _uid(text: str) -> str:
    return UID_ROOT + str(int(hashlib.sha256(f"CTBMD {text}".encode()).hexdigest()[:30], 16))


def dicom_bytes(hu: np.ndarray, z: float, number: int, corner, header: Header, count: int) -> bytes:
    """One axial slice as a CT Image file, explicit VR little endian.

    Parameters
    ----------
    hu : ndarray, shape (rows, columns)
        Rows to the back, columns to the patient's left.
    z : float
        S of the slice, mm.
    number : int
        Instance number, from 1.
    corner : (float, float)
        R and A of the first pixel, mm.
    header : Header
    count : int
        Slices in the series.
    """
    d = _series(header)
    d.SOPInstanceUID = header.uid(f"instance {number}")
    d.InstanceNumber = number
    d.ImageComments = "Simulated CT of a virtual patient; no person was scanned."
    # DICOM is LPS: x to the left, y to the back.
    d.ImagePositionPatient = [f"{-corner[0]:.3f}", f"{-corner[1]:.3f}", f"{z:.3f}"]
    d.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    d.FrameOfReferenceUID = header.uid("frame")
    d.PositionReferenceIndicator = ""
    d.SliceLocation = f"{z:.3f}"
    d.ImagesInAcquisition = count
    d.SamplesPerPixel = 1
    d.PhotometricInterpretation = "MONOCHROME2"
    d.Rows, d.Columns = hu.shape
    d.PixelSpacing = [f"{header.pixel_mm:g}", f"{header.pixel_mm:g}"]
    d.BitsAllocated, d.BitsStored, d.HighBit = 16, 16, 15
    d.PixelRepresentation = 1
    d.WindowCenter, d.WindowWidth = "50", "400"
    d.RescaleIntercept, d.RescaleSlope, d.RescaleType = "0", "1", "HU"
    d.PixelData = hu.astype("<i2").tobytes()
    d["PixelData"].VR = "OW"
    d.file_meta = _meta(d.SOPInstanceUID)
    buffer = io.BytesIO()
    if int(pydicom.__version__.split(".")[0]) >= 3:
        pydicom.dcmwrite(buffer, d, enforce_file_format=True)
    else:
        d.is_little_endian, d.is_implicit_VR = True, False
        pydicom.dcmwrite(buffer, d, write_like_original=False)
    return buffer.getvalue()


def _meta(instance_uid: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = instance_uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = _uid("sample implementation")
    meta.ImplementationVersionName = "CTBMD"
    return meta


def _series(header: Header) -> Dataset:
    """What all files of the series have in common but for their geometry."""
    d = Dataset()
    d.SpecificCharacterSet = "ISO_IR 192"
    d.ImageType = ["DERIVED", "PRIMARY", "AXIAL"]
    d.SOPClassUID = CTImageStorage
    d.StudyDate = d.SeriesDate = d.ContentDate = "20260101"
    d.StudyTime = d.SeriesTime = d.ContentTime = "120000"
    d.AccessionNumber = ""
    d.Modality = "CT"
    d.Manufacturer = "CTBMD virtual scanner"
    d.ManufacturerModelName = header.model
    d.ReferringPhysicianName = ""
    d.StudyDescription = "Simulated abdominal CT"
    d.SeriesDescription = header.description
    d.PatientName = header.patient_name
    d.PatientID = header.patient_id
    d.PatientBirthDate = ""
    d.PatientSex = header.sex
    d.PatientAge = f"{int(header.age_years):03d}Y"
    d.BodyPartExamined = "ABDOMEN"
    d.SliceThickness = f"{header.thickness_mm:g}"
    d.KVP = f"{header.kvp:g}"
    d.SpacingBetweenSlices = f"{header.between_mm:g}"
    d.ProtocolName = "Virtual abdomen"
    d.ConvolutionKernel = header.kernel
    d.PatientPosition = "HFS"
    d.StudyInstanceUID = header.uid("study")
    d.SeriesInstanceUID = header.uid("series")
    d.StudyID = "1"
    d.SeriesNumber = 1
    return d
