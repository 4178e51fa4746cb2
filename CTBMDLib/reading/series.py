"""The DICOM series of a folder, from headers alone: what each is and whether it is a usable CT."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from ..errors import Cancelled, CTBMDError
from .headers import get, nested, number, text
from .stack import Frame, Stored, image_problem, leans, plane, stack_problem

CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
_PLAIN = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
_TAGS = [
    "SpecificCharacterSet", "ImageType", "SOPClassUID", "SOPInstanceUID", "Modality",
    "Manufacturer", "ManufacturerModelName", "SeriesDescription", "PatientID", "PatientSex",
    "PatientAge", "ContrastBolusAgent", "ContrastBolusAgentSequence", "SliceThickness", "KVP",
    "XRayTubeCurrent", "ConvolutionKernel", "StudyInstanceUID", "SeriesInstanceUID",
    "SeriesNumber", "ImagePositionPatient", "ImageOrientationPatient", "SamplesPerPixel",
    "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "PixelSpacing",
    "PixelRepresentation", "BitsAllocated", "BitsStored", "PixelPaddingValue", "RescaleIntercept", "RescaleSlope",
]  # fmt: skip


@dataclass(frozen=True)
class SeriesInfo:
    """One stack of parallel images of one series.

    Attributes
    ----------
    series_uid : str or None
    number : str or None
        SeriesNumber, what the scanner's console shows.
    description : str or None
    modality : str or None
    patient_id, study_uid : str or None
    plane : {'axial', 'sagittal', 'coronal', 'scout', 'unknown'}
    images : int
    problem : str or None
        The sentence with which `read_ct` refuses it; None when it can be read.
    reason : str or None
        The problem in a few words.
    frames : tuple of Frame
        Sorted by position along the slice normal where the geometry is known.
    header : pydicom.Dataset
        Header of one image, pixels not read.
    groups : tuple of pydicom.Dataset
        Shared and first per-frame functional groups of a multi-frame image.
    """

    series_uid: str | None
    number: str | None
    description: str | None
    modality: str | None
    patient_id: str | None
    study_uid: str | None
    plane: str
    images: int
    problem: str | None = None
    reason: str | None = None
    frames: tuple = field(default=(), repr=False)
    header: object = field(default=None, repr=False)
    groups: tuple = field(default=(), repr=False)

    @property
    def title(self) -> str:
        """How the series is called in messages: series 5 'MPR' (sagittal, 38 images)."""
        parts = ["series"]
        if self.number:
            parts.append(self.number)
        if self.description and self.description.strip(" ,"):
            parts.append(f"'{self.description.strip(' ,')}'")
        what = self.plane if self.modality == "CT" else (self.modality or "unknown modality")
        images = "1 image" if self.images == 1 else f"{self.images} images"
        return f"{' '.join(parts)} ({what}, {images})"

    @property
    def tilted(self) -> bool:
        """Whether a readable series was taken with a tilted gantry."""
        return self.problem is None and leans(self.frames)

    @property
    def voxels(self) -> int:
        return sum(frame.rows * frame.columns for frame in self.frames)


@dataclass
class Scan:
    """What a look through files gave: the series, best first, and what was no DICOM image."""

    series: list[SeriesInfo]
    damaged: list[Path]
    other: list[Path]


def scan(paths, progress=None, should_cancel=None) -> Scan:
    """Read the headers of files and sort them into series.

    Parameters
    ----------
    paths : list of Path
    progress : callable(float, str) or None
    should_cancel : callable() -> bool or None

    Returns
    -------
    Scan

    Raises
    ------
    Cancelled
    """
    stacks: dict[tuple, list] = {}
    damaged, other = [], []
    for count, path in enumerate(paths):
        if should_cancel and should_cancel():
            raise Cancelled
        if progress and count % 16 == 0:
            progress(count / len(paths), f"Looking through {len(paths)} files")
        try:
            if not path.is_file():  # a pipe would wait for ever
                continue
            header, offset = read_header(path)
        except (InvalidDicomError, IsADirectoryError):
            other.append(path)
            continue
        except OSError:
            damaged.append(path)
            continue
        except Exception:  # a broken header can raise nearly anything in the parser
            damaged.append(path)
            continue
        if get(header, "SOPClassUID") is None and get(header, "SeriesInstanceUID") is None:
            (other if _is_directory(header) else damaged).append(path)
            continue
        frames, groups = _frames(path, header, offset)
        if not frames:
            # Structured reports and presentation states are no images; a CT
            # that ends before its matrix size has been cut off.
            if get(header, "SOPClassUID") in (CT_STORAGE, *ENHANCED_CT):
                damaged.append(path)
            continue
        for frame in frames:
            candidates = stacks.setdefault(_stack_key(header, frame), [])
            for items in candidates:
                if _parallel(items[0][0], frame):
                    break
            else:
                candidates.append(items := [])
            items.append((frame, header, groups))
    series = [_series(items) for candidates in stacks.values() for items in candidates]
    series = _blame_cut_files(series)
    series.sort(key=_preference)
    return Scan(series, damaged, other)


def files_below(folder: Path, recursive: bool = True) -> list[Path]:
    """Files of a folder, hidden ones left out, in a fixed order."""
    found = []
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(where, name) for name in sorted(names) if not name.startswith(".")]
        if not recursive:
            break
    return found


def read_header(path: Path):
    """Header of one DICOM file, without the pixels, and where in the file those begin.

    Raises
    ------
    InvalidDicomError
        For a file that is not DICOM.
    """
    with open(path, "rb") as stream:
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
        if (number(get(header, "NumberOfFrames")) or 1) > 1:
            stream.seek(0)
            header = pydicom.dcmread(stream, stop_before_pixels=True, force=force)
        return header, stream.tell()


# -- one file ----------------------------------------------------------------
def _is_directory(header) -> bool:
    return get(getattr(header, "file_meta", {}), "MediaStorageSOPClassUID") == (
        "1.2.840.10008.1.3.10"
    )


def _numbers(value, count) -> tuple | None:
    try:
        values = tuple(float(x) for x in value)
    except (TypeError, ValueError):
        return None
    return values if len(values) == count and all(map(math.isfinite, values)) else None


def _frames(path, header, offset) -> tuple[list[Frame], tuple]:
    rows, columns = number(get(header, "Rows")), number(get(header, "Columns"))
    if not rows or not columns:
        # A CT that ends before its matrix size must be missed by its series.
        if get(header, "Modality") != "CT" or get(header, "SeriesInstanceUID") is None:
            return [], ()
        rows = columns = 0
    kind = {str(item).upper() for item in _as_list(get(header, "ImageType"))}
    common = {
        "path": path,
        "rows": int(rows),
        "columns": int(columns),
        "localizer": bool(kind & {"LOCALIZER", "SCOUT", "TOPOGRAM", "SURVIEW"}),
        "colour": (number(get(header, "SamplesPerPixel")) or 1) != 1
        or "MONOCHROME" not in str(get(header, "PhotometricInterpretation") or "MONOCHROME2"),
        "stored": _stored(header, offset),
    }
    per_frame = get(header, "PerFrameFunctionalGroupsSequence")
    if not per_frame:
        frame = Frame(
            index=None if (number(get(header, "NumberOfFrames")) or 1) <= 1 else 0,
            position=_numbers(get(header, "ImagePositionPatient"), 3),
            orientation=_numbers(get(header, "ImageOrientationPatient"), 6),
            spacing=_numbers(get(header, "PixelSpacing"), 2),
            slope=_or(number(get(header, "RescaleSlope")), 1.0),
            intercept=_or(number(get(header, "RescaleIntercept")), 0.0),
            **common,
        )
        return [frame], ()
    shared = get(header, "SharedFunctionalGroupsSequence")
    shared = shared[0] if shared else pydicom.Dataset()

    def find(group, sequence, name):
        value = nested(group, sequence, name)
        return nested(shared, sequence, name) if value is None else value

    frames = []
    for index, group in enumerate(per_frame):
        frames.append(
            Frame(
                index=index,
                position=_numbers(find(group, "PlanePositionSequence", "ImagePositionPatient"), 3),
                orientation=_numbers(
                    find(group, "PlaneOrientationSequence", "ImageOrientationPatient"), 6
                ),
                spacing=_numbers(find(group, "PixelMeasuresSequence", "PixelSpacing"), 2),
                slope=_or(
                    number(find(group, "PixelValueTransformationSequence", "RescaleSlope")), 1.0
                ),
                intercept=_or(
                    number(find(group, "PixelValueTransformationSequence", "RescaleIntercept")), 0.0
                ),
                **common,
            )
        )
    return frames, (shared, per_frame[0])


def _stored(header, offset) -> Stored | None:
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


def _as_list(value) -> list:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


def _or(value, default):
    return default if value is None else value


# -- one series --------------------------------------------------------------
def _stack_key(header, frame) -> tuple:
    # A series may hold a scout or a second orientation beside the stack it is
    # named for; those are stacks of their own.
    return (
        text(get(header, "PatientID")),
        text(get(header, "SeriesInstanceUID")),
        text(get(header, "Modality")),
        frame.localizer,
        frame.colour,
        (frame.rows, frame.columns),
    )


def _parallel(a: Frame, b: Frame) -> bool:
    if a.orientation is None or b.orientation is None:
        return a.orientation is b.orientation
    return bool(np.allclose(a.orientation, b.orientation, atol=0.01))


def _blame_cut_files(series: list[SeriesInfo]) -> list[SeriesInfo]:
    """Give a series the problem of its cut-off file rather than list that file as a series."""
    cut = {item.series_uid: item for item in series if not item.frames[0].rows}
    whole = [item for item in series if item.frames[0].rows]
    known = {item.series_uid for item in whole if item.modality == "CT"}
    result = [item for uid, item in cut.items() if uid not in known]
    for item in whole:
        if item.series_uid in cut and item.modality == "CT" and item.plane != "scout":
            blame = cut[item.series_uid]
            item = replace(item, problem=blame.problem, reason=blame.reason)
        result.append(item)
    return result


def _series(items) -> SeriesInfo:
    frames = [frame for frame, _, _ in items]
    header, groups = items[0][1], items[0][2]
    modality = text(get(header, "Modality"))
    kind = "scout" if frames[0].localizer else plane(frames[0])
    problem, reason = image_problem(modality, frames)
    if problem is None or all(f.position and f.orientation for f in frames):
        normal = frames[0].normal
        if normal is not None:
            frames.sort(key=lambda f: float(np.dot(f.position, normal)))
    if problem is None:
        problem, reason = stack_problem(frames)
    return SeriesInfo(
        series_uid=text(get(header, "SeriesInstanceUID")),
        number=text(get(header, "SeriesNumber")),
        description=text(get(header, "SeriesDescription")),
        modality=modality,
        patient_id=text(get(header, "PatientID")),
        study_uid=text(get(header, "StudyInstanceUID")),
        plane=kind,
        images=len(frames),
        problem=problem,
        reason=reason,
        frames=tuple(frames),
        header=header,
        groups=groups,
    )


def _preference(series: SeriesInfo) -> tuple:
    return (
        series.modality != "CT",
        series.plane == "scout",
        series.problem is not None,
        series.plane != "axial",
        series.tilted,
        -series.images,
        -series.voxels,
        number(series.number) or math.inf,
        series.series_uid or "",
    )


def no_series_error(where: Path, found: Scan) -> CTBMDError:
    """The sentence for a folder without a DICOM image."""
    if found.damaged:
        return CTBMDError(
            f"No image in '{where}' can be read: '{found.damaged[0].name}' is cut off or damaged; copy the series again."
        )
    volumes = [p for p in found.other if p.name.lower().endswith((".nii", ".nii.gz", ".nrrd"))]
    if volumes:
        return CTBMDError(
            f"'{where}' holds no DICOM images; to read '{volumes[0].name}', give the file itself."
        )
    return CTBMDError(
        f"The folder '{where}' holds no DICOM images; choose the folder of a CT series."
    )
