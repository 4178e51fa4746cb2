"""A stack of parallel CT images: where it lies, and what forbids reading it as a volume."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MINIMUM_SLICES = 3
SPACING_TOLERANCE = 0.05
MAXIMUM_TILT = 35.0  # degrees; gantries tilt by up to 30
TILT_TOLERANCE = 0.005  # sideways drift over distance: 0.3 degrees, 2 mm over 40 cm


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
    """

    path: Path
    index: int | None
    position: tuple | None
    orientation: tuple | None
    spacing: tuple | None
    rows: int
    columns: int
    slope: float
    intercept: float
    localizer: bool
    colour: bool
    stored: Stored | None = None

    @property
    def normal(self) -> np.ndarray | None:
        if self.orientation is None:
            return None
        return np.cross(self.orientation[:3], self.orientation[3:])


def geometry(frames) -> np.ndarray:
    """IJK-to-RAS of sorted frames, shape (4, 4), mm."""
    first, last = frames[0], frames[-1]
    row, column = np.array(first.orientation[:3]), np.array(first.orientation[3:])
    normal = first.normal
    distance = float(np.dot(np.subtract(last.position, first.position), normal))
    lps = np.eye(4)
    lps[:3, 0] = row * first.spacing[1]
    lps[:3, 1] = column * first.spacing[0]
    lps[:3, 2] = normal * distance / (len(frames) - 1)
    lps[:3, 3] = first.position
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps


def drift(frames) -> tuple[np.ndarray, np.ndarray]:
    """How far each slice lies sideways of the first one, and how far along the normal.

    Returns
    -------
    (ndarray, ndarray)
        LPS mm, shape (K, 3), at right angles to the normal; mm, shape (K,).
    """
    offsets = np.array([f.position for f in frames]) - frames[0].position
    along = offsets @ frames[0].normal
    return offsets - np.outer(along, frames[0].normal), along


def leans(frames) -> bool:
    """Whether slices were taken with a tilted gantry."""
    sideways, along = drift(frames)
    return bool(np.linalg.norm(sideways[-1]) > TILT_TOLERANCE * along[-1])


def plane(frame) -> str:
    """'axial', 'sagittal' or 'coronal' by the direction closest to the slice normal."""
    normal = frame.normal
    if normal is None or not np.linalg.norm(normal) > 0.5:
        return "unknown"
    return ("sagittal", "coronal", "axial")[int(np.argmax(np.abs(normal)))]


def image_problem(modality, frames) -> tuple[str | None, str | None]:
    """What forbids reading one image of these at all: (sentence, few words)."""
    first = frames[0]
    if modality != "CT":
        what = f"{modality} images" if modality else "images of unknown modality"
        return f"These are {what}, not CT; choose a CT series.", modality or "unknown modality"
    if first.localizer:
        return (
            "This is a scout view (localizer), not a CT scan; choose the series with the slices.",
            "scout",
        )
    if first.colour:
        return (
            "The images are in colour (such as a screenshot), not CT values; choose the original CT series.",
            "colour images",
        )
    if not first.rows:
        return (
            f"The file '{first.path.name}' is cut off or damaged; copy it again from where it came.",
            "damaged",
        )
    if any(f.position is None or f.orientation is None or f.spacing is None for f in frames):
        return (
            "The images do not say where they lie in the patient (position, orientation or pixel spacing is missing); export the original CT series.",
            "no position in the patient",
        )
    row, column = np.array(first.orientation[:3]), np.array(first.orientation[3:])
    if (
        abs(np.linalg.norm(row) - 1) > 0.01
        or abs(np.linalg.norm(column) - 1) > 0.01
        or abs(row @ column) > 0.01
    ):
        return (
            "The image orientation in the header is not two perpendicular directions; export the original CT series.",
            "broken orientation",
        )
    if min(first.spacing) <= 0 or max(first.spacing) > 20:
        return (
            f"The pixel spacing in the header ({first.spacing[0]:g} x {first.spacing[1]:g} mm) cannot be right; export the original CT series.",
            "broken pixel spacing",
        )
    if any(not np.allclose(f.spacing, first.spacing, rtol=1e-3) for f in frames):
        return (
            "The pixel spacing changes within the series; export each reconstruction as its own series.",
            "changing pixel spacing",
        )
    strange = [f for f in frames if not 1e-6 < abs(f.slope) < 1e4 or abs(f.intercept) > 1e6]
    if strange:
        return (
            f"The rescale slope and intercept in the header ({strange[0].slope:g} and {strange[0].intercept:g}) cannot be right; export the original CT series.",
            "broken rescale values",
        )
    if len(frames) < MINIMUM_SLICES:
        count = "one slice" if len(frames) == 1 else f"{len(frames)} slices"
        return (
            f"The series has only {count}; at least {MINIMUM_SLICES} are needed.",
            f"only {count}",
        )
    return None, None


def stack_problem(frames) -> tuple[str | None, str | None]:
    """What is wrong with the positions of sorted frames: (sentence, few words)."""
    positions = np.array([f.position for f in frames])
    along = positions @ frames[0].normal
    gaps = np.diff(along)
    same = np.flatnonzero(gaps < 0.01)
    if same.size:
        a, b = frames[same[0]], frames[same[0] + 1]
        places = f"{same.size} place" + ("s" if same.size > 1 else "")
        return (
            f"The series has two images at the same position in {places} (such as {_name(a)} and {_name(b)}); remove copies and keep one phase.",
            "duplicate slices",
        )
    sideways, distance = drift(frames)
    length = distance[-1]
    line = np.outer(distance / length, sideways[-1])
    if np.linalg.norm(sideways - line, axis=1).max() > max(0.5, TILT_TOLERANCE * length):
        return (
            "The slices are shifted sideways against one another; export the original CT series.",
            "shifted slices",
        )
    angle = math.degrees(math.atan2(np.linalg.norm(sideways[-1]), length))
    if angle > MAXIMUM_TILT:
        return (
            f"The slices lie {angle:.0f} degrees aslant of the line through them, more than any gantry tilts; export the original CT series.",
            "slices aslant",
        )
    spacing = float(np.median(gaps))
    uneven = np.flatnonzero(np.abs(gaps - spacing) > SPACING_TOLERANCE * spacing)
    if uneven.size:
        gap = gaps[uneven[0]]
        if all(
            gaps[n] > 1.5 * spacing and abs(gaps[n] / spacing - round(gaps[n] / spacing)) < 0.1
            for n in uneven
        ):
            missing = sum(round(gaps[n] / spacing) - 1 for n in uneven)
            count = "One slice is" if missing == 1 else f"{missing} slices are"
            return (
                f"{count} missing: a gap of {gap:.1f} mm after {_name(frames[uneven[0]])} where slices are {spacing:.4g} mm apart; copy the whole series.",
                "missing slices",
            )
        return (
            f"The slices are not evenly spaced ({gaps.min():.4g} to {gaps.max():.4g} mm); use a series with one spacing.",
            "uneven spacing",
        )
    return None, None


def _name(frame) -> str:
    name = f"'{frame.path.name}'"
    return name if frame.index is None else f"frame {frame.index + 1} of {name}"
