"""The one reader of DICOM headers: attributes in, facts out; unknown stays None.

No other file looks at a DICOM attribute. The patient's name, address and dates
are never looked at.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from ..volume import Acquisition

CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
_DIRECTORY = "1.2.840.10008.1.3.10"
_PLAIN = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
_SCOUTS = {"LOCALIZER", "SCOUT", "TOPOGRAM", "SURVIEW"}
_TAGS: list[Any] = [
    "SpecificCharacterSet", "ImageType", "SOPClassUID", "SOPInstanceUID", "Modality",
    "Manufacturer", "ManufacturerModelName", "SeriesDescription", "PatientID", "PatientSex",
    "PatientAge", "ContrastBolusAgent", "ContrastBolusAgentSequence", "SliceThickness", "KVP",
    "XRayTubeCurrent", "ConvolutionKernel", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID",
    "SeriesNumber", "InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient", "SamplesPerPixel",
    "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "PixelSpacing",
    "PixelRepresentation", "BitsAllocated", "BitsStored", "PixelPaddingValue", "RescaleIntercept", "RescaleSlope",
    "RescaleType",
]  # fmt: skip

DAYS_PER_YEAR = 365.25
_AGE_UNITS = {"Y": 1.0, "M": 12.0, "W": DAYS_PER_YEAR / 7, "D": DAYS_PER_YEAR}


@dataclass(frozen=True)
class Stored:
    """How uncompressed pixels lie in their file.

    Attributes
    ----------
    dtype : str
        NumPy's name of the stored type, with its byte order.
    bits : int
        BitsStored: what of each value is meant.
    padding : float or None
        PixelPaddingValue as written.
    offset : int
        Where the pixel data element begins in the file.
    """

    dtype: str
    bits: int
    padding: float | None
    offset: int


@dataclass(frozen=True)
class Frame:
    """One image: a file, or one frame of a multi-frame file.

    Attributes
    ----------
    path : Path
    index : int or None
        Frame number from 0 in a multi-frame file, None in a single-frame file.
    position : tuple of 3 float or None
        ImagePositionPatient, centre of the first pixel, LPS mm.
    orientation : tuple of 6 float or None
        ImageOrientationPatient: along a row, down a column, LPS.
    spacing : tuple of 2 float or None
        PixelSpacing: between rows, between columns, mm.
    rows, columns : int
    slope, intercept : float
        HU = slope * stored value + intercept.
    localizer, colour : bool
        A scout view; an image in colour.
    stored : Stored or None
        None where the pixels must be decoded.
    number : int or None
        InstanceNumber of a file, InStackPositionNumber of a frame.
    rescaled : bool
        Whether the header gives slope and intercept; 1 and 0 stand for what is not given.
    """

    path: Path
    index: int | None
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing: tuple[float, ...] | None
    rows: int
    columns: int
    slope: float
    intercept: float
    localizer: bool
    colour: bool
    stored: Stored | None = None
    number: int | None = None
    rescaled: bool = True

    @property
    def normal(self) -> np.ndarray | None:
        """Direction at right angles to the image, LPS, shape (3,); None where unknown."""
        if self.orientation is None:
            return None
        return np.cross(self.orientation[:3], self.orientation[3:])


@dataclass(frozen=True)
class DicomImage:
    """What the header of one image file says.

    Attributes
    ----------
    frames : tuple of Frame
        Empty for a file that holds no image, such as a report.
    patient_id, series_uid, series_number, modality : str or None
    is_ct : bool
        Whether the file is stored as CT images.
    dataset : pydicom.Dataset
        The header itself, from which `acquisition` takes the other facts.
    groups : tuple of pydicom.Dataset
        Shared and first per-frame functional groups of an enhanced image.
    instance_uid : str or None
        SOPInstanceUID: the same in a file and its copy.
    """

    frames: tuple[Frame, ...]
    patient_id: str | None
    series_uid: str | None
    series_number: str | None
    modality: str | None
    is_ct: bool
    dataset: pydicom.Dataset
    groups: tuple[pydicom.Dataset, ...] = ()
    instance_uid: str | None = None


class NoImageError(Exception):
    """A file that is whole but holds no DICOM image."""


class DamagedImageError(Exception):
    """A DICOM file of which too little is left."""


def age_years(text: object) -> float | None:
    """Years from a DICOM age string (VR AS, PS3.5 6.2), such as '042Y' or '018M'.

    Parameters
    ----------
    text : str or None

    Returns
    -------
    float or None
        None for anything that is not three digits (fewer are accepted) and one
        of D, W, M, Y, and for an age of 0 years, which scanners write for
        'not entered', or above 120.
    """
    match = re.fullmatch(r"\s*(\d{1,3})\s*([DWMY])\s*", str(text or "").upper())
    if not match:
        return None
    years = int(match[1]) / _AGE_UNITS[match[2]]
    return years if 0 < years <= 120 else None


def number(value: Any) -> float | None:
    """A finite float, or None for anything else (empty, text, several values)."""
    try:
        result = float(value)
    except (TypeError, ValueError):
        return None
    return result if math.isfinite(result) else None


def text(value: Any) -> str | None:
    """A stripped text, or None when there is none."""
    if value is None:
        return None
    if not isinstance(value, (str, bytes)) and hasattr(value, "__iter__"):
        value = " ".join(str(item) for item in value if item)
    result = "".join(x if x.isprintable() else " " for x in str(value))
    result = " ".join(result.split())
    return result or None


def get(header: Any, name: str) -> Any:
    """A tag's value, or None when it is absent or cannot be read."""
    try:
        return header.get(name)
    except Exception:  # pydicom raises many kinds on a broken value; broken is unknown
        return None


def acquisition(header: pydicom.Dataset, groups: Iterable[pydicom.Dataset] = ()) -> Acquisition:
    """The facts of a series.

    Parameters
    ----------
    header : pydicom.Dataset
        Header of one image of the series.
    groups : iterable of pydicom.Dataset
        Functional groups of an enhanced multi-frame image, where tube voltage,
        kernel and thickness are kept in sequences.

    Returns
    -------
    Acquisition
    """
    sex = text(get(header, "PatientSex"))
    kvp = number(get(header, "KVP"))
    kernel = text(get(header, "ConvolutionKernel"))
    thickness = number(get(header, "SliceThickness"))
    current = number(get(header, "XRayTubeCurrent"))
    unit = text(get(header, "RescaleType"))
    kind = tuple(x for x in map(text, _as_list(get(header, "ImageType"))) if x)
    for group in groups:
        unit = unit or text(nested(group, "PixelValueTransformationSequence", "RescaleType"))
        kvp = kvp or number(nested(group, "CTXRayDetailsSequence", "KVP"))
        kernel = kernel or text(nested(group, "CTReconstructionSequence", "ConvolutionKernel"))
        thickness = thickness or number(nested(group, "PixelMeasuresSequence", "SliceThickness"))
        current = current or number(nested(group, "CTExposureSequence", "XRayTubeCurrentInmA"))
    return Acquisition(
        modality=text(get(header, "Modality")),
        kvp=kvp if kvp and kvp > 0 else None,
        kernel=kernel,
        slice_thickness_mm=thickness if thickness and thickness > 0 else None,
        tube_current_ma=current if current and current > 0 else None,
        contrast_agent=_contrast(header),
        manufacturer=text(get(header, "Manufacturer")),
        model=text(get(header, "ManufacturerModelName")),
        sex=sex if sex in ("F", "M") else None,
        age_years=age_years(get(header, "PatientAge")),
        patient_id=text(get(header, "PatientID")),
        study_uid=text(get(header, "StudyInstanceUID")),
        series_uid=text(get(header, "SeriesInstanceUID")),
        series_description=text(get(header, "SeriesDescription")),
        image_type=kind or None,
        rescale_type=unit,
    )


def nested(group: Any, sequence: str, name: str) -> Any:
    """Value of `name` in the first item of `sequence`, or None."""
    items = get(group, sequence)
    return get(items[0], name) if items else None


def _contrast(header: pydicom.Dataset) -> str | None:
    agent = text(get(header, "ContrastBolusAgent"))
    if agent is None:  # enhanced CT keeps the agent as a code
        agent = text(nested(header, "ContrastBolusAgentSequence", "CodeMeaning"))
    return agent


def read_image(path: Path) -> DicomImage:
    """What the header of one DICOM file says; the pixels are not read.

    Raises
    ------
    NoImageError
        For a file that is not DICOM, or the directory of a disc.
    DamagedImageError
        For a DICOM file that is cut off or that cannot be understood.
    PermissionError
    """
    try:
        header, offset = _read_header(path)
    except (InvalidDicomError, IsADirectoryError):
        raise NoImageError from None
    except PermissionError:
        raise
    except Exception:  # a broken header can raise nearly anything in the parser
        raise DamagedImageError from None
    if get(header, "SOPClassUID") is None and get(header, "SeriesInstanceUID") is None:
        meta = getattr(header, "file_meta", {})
        whole = get(meta, "MediaStorageSOPClassUID") == _DIRECTORY
        raise (NoImageError if whole else DamagedImageError)
    frames, groups = _frames(path, header, offset)
    is_ct = get(header, "SOPClassUID") in (CT_STORAGE, *ENHANCED_CT)
    # Structured reports and presentation states are no images; a CT that ends
    # before its matrix size has been cut off.
    if not frames and is_ct:
        raise DamagedImageError
    return DicomImage(
        frames=frames,
        patient_id=text(get(header, "PatientID")),
        series_uid=text(get(header, "SeriesInstanceUID")),
        series_number=text(get(header, "SeriesNumber")),
        modality=text(get(header, "Modality")),
        is_ct=is_ct,
        dataset=header,
        groups=groups,
        instance_uid=text(get(header, "SOPInstanceUID")),
    )


def packed(data: pydicom.Dataset) -> bool:
    """Whether the pixels of a whole DICOM file are compressed."""
    syntax = getattr(getattr(data, "file_meta", None), "TransferSyntaxUID", None)
    return syntax is not None and syntax not in _PLAIN and isinstance(get(data, "PixelData"), bytes)


def pixel_facts(data: pydicom.Dataset) -> tuple[float | None, float | None, str | None]:
    """BitsStored, PixelPaddingValue and the name of the compression of a whole DICOM file."""
    syntax = getattr(getattr(data, "file_meta", None), "TransferSyntaxUID", None)
    return (
        number(get(data, "BitsStored")),
        number(get(data, "PixelPaddingValue")),
        getattr(syntax, "name", None),
    )


# -- one file ----------------------------------------------------------------
def _read_header(path: Path) -> tuple[pydicom.Dataset, int]:
    """Header of one DICOM file, and where in the file the pixels begin."""
    with path.open("rb") as stream:
        start = stream.read(132)
        if start[128:] == b"DICM":
            force = False
        elif start[:2] in (b"\x08\x00", b"\x02\x00") and start[3:4] == b"\x00":
            force = True  # written without the preamble, as old archives do
        else:
            raise InvalidDicomError(str(path))
        stream.seek(0)
        header = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=_TAGS, force=force)
        if force and get(header, "SOPClassUID") is None:
            raise InvalidDicomError(str(path))
        # Enhanced CT keeps position and rescale in sequences, be it one frame a file.
        enhanced = get(header, "SOPClassUID") in ENHANCED_CT
        if enhanced or (number(get(header, "NumberOfFrames")) or 1) > 1:
            stream.seek(0)
            header = pydicom.dcmread(stream, stop_before_pixels=True, force=force)
        return header, stream.tell()


def _frames(
    path: Path, header: pydicom.Dataset, offset: int
) -> tuple[tuple[Frame, ...], tuple[pydicom.Dataset, ...]]:
    rows, columns = number(get(header, "Rows")), number(get(header, "Columns"))
    if not rows or not columns:
        # A CT that ends before its matrix size must be missed by its series.
        if get(header, "Modality") != "CT" or get(header, "SeriesInstanceUID") is None:
            return (), ()
        rows = columns = 0
    kind = {str(item).upper() for item in _as_list(get(header, "ImageType"))}
    common: dict[str, Any] = {
        "path": path,
        "rows": int(rows),
        "columns": int(columns),
        "localizer": bool(kind & _SCOUTS),
        "colour": (number(get(header, "SamplesPerPixel")) or 1) != 1
        or "MONOCHROME" not in str(get(header, "PhotometricInterpretation") or "MONOCHROME2"),
        "stored": _stored(header, offset),
    }
    single = (number(get(header, "NumberOfFrames")) or 1) <= 1
    per_frame = get(header, "PerFrameFunctionalGroupsSequence")
    if not per_frame:
        frame = Frame(
            index=None if single else 0,
            position=_numbers(get(header, "ImagePositionPatient"), 3),
            orientation=_numbers(get(header, "ImageOrientationPatient"), 6),
            spacing=_numbers(get(header, "PixelSpacing"), 2),
            **_rescale(get(header, "RescaleSlope"), get(header, "RescaleIntercept")),
            number=_whole(get(header, "InstanceNumber")),
            **common,
        )
        return (frame,), ()
    shared = get(header, "SharedFunctionalGroupsSequence")
    shared = shared[0] if shared else pydicom.Dataset()

    def find(group: Any, sequence: str, name: str) -> Any:
        value = nested(group, sequence, name)
        return nested(shared, sequence, name) if value is None else value

    frames = tuple(
        Frame(
            index=None if single else index,
            position=_numbers(find(group, "PlanePositionSequence", "ImagePositionPatient"), 3),
            orientation=_numbers(
                find(group, "PlaneOrientationSequence", "ImageOrientationPatient"), 6
            ),
            spacing=_numbers(find(group, "PixelMeasuresSequence", "PixelSpacing"), 2),
            **_rescale(
                find(group, "PixelValueTransformationSequence", "RescaleSlope"),
                find(group, "PixelValueTransformationSequence", "RescaleIntercept"),
            ),
            number=_whole(
                get(header, "InstanceNumber")
                if single
                else nested(group, "FrameContentSequence", "InStackPositionNumber")
            ),
            **common,
        )
        for index, group in enumerate(per_frame[:1] if single else per_frame)
    )
    return frames, (shared, per_frame[0])


def _stored(header: pydicom.Dataset, offset: int) -> Stored | None:
    """How the pixels lie in the file, None where they are compressed or packed oddly."""
    syntax = getattr(
        getattr(header, "file_meta", None), "TransferSyntaxUID", ImplicitVRLittleEndian
    )
    allocated = number(get(header, "BitsAllocated"))
    if syntax not in _PLAIN or allocated not in (8, 16, 32):
        return None
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    sign = "i" if number(get(header, "PixelRepresentation")) == 1 else "u"
    bits = number(get(header, "BitsStored")) or allocated
    return Stored(
        f"{order}{sign}{int(allocated) // 8}",
        int(min(max(bits, 1), allocated)),
        number(get(header, "PixelPaddingValue")),
        offset,
    )


def _numbers(value: Any, count: int) -> tuple[float, ...] | None:
    try:
        values = tuple(float(x) for x in value)
    except (TypeError, ValueError):
        return None
    return values if len(values) == count and all(map(math.isfinite, values)) else None


def _whole(value: Any) -> int | None:
    result = number(value)
    return int(result) if result is not None and abs(result) < 1e9 else None


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


def _rescale(slope: Any, intercept: Any) -> dict[str, Any]:
    values = number(slope), number(intercept)
    return {
        "slope": 1.0 if values[0] is None else values[0],
        "intercept": 0.0 if values[1] is None else values[1],
        "rescaled": None not in values,
    }
