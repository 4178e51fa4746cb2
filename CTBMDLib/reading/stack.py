"""A stack of parallel CT images: its image geometry, and what forbids reading it as a volume."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from . import even
from .files import shown_name
from .headers import Frame
from .streams import cut

MIN_SLICES = 3
MAX_GANTRY_TILT = 35.0  # degrees; gantries tilt by up to 30
MIN_DRIFT = 0.005  # sideways drift over distance: 0.3 degrees, 2 mm over 40 cm
MAX_PIXEL_MM = 20
MAX_POSITION_MM = 1e5  # no table reaches there


class Problem(NamedTuple):
    """Why a series cannot be read: a sentence, a few words, and the error's code."""

    sentence: str
    reason: str
    code: str


class _Placed(NamedTuple):
    """The place of a frame that has one: LPS directions and position, mm."""

    position: np.ndarray
    row: np.ndarray
    column: np.ndarray
    normal: np.ndarray


def _placed(frame: Frame) -> _Placed:
    if frame.position is None or frame.orientation is None:
        raise ValueError(f"{_name(frame)} has no place in the patient")
    row, column = np.array(frame.orientation[:3]), np.array(frame.orientation[3:])
    return _Placed(np.array(frame.position), row, column, np.cross(row, column))


def pixel_mm(frame: Frame) -> tuple[float, float]:
    """Distance between rows and between columns of a frame that says so, mm."""
    if frame.spacing is None:
        raise ValueError(f"{_name(frame)} has no pixel spacing")
    return frame.spacing[0], frame.spacing[1]


def row_and_column(frame: Frame) -> tuple[np.ndarray, np.ndarray]:
    """Directions along a row and down a column, LPS, each of shape (3,)."""
    placed = _placed(frame)
    return placed.row, placed.column


def geometry(frames: Sequence[Frame]) -> np.ndarray:
    """IJK-to-RAS of sorted frames, shape (4, 4), mm."""
    first, last = _placed(frames[0]), _placed(frames[-1])
    between_rows, between_columns = pixel_mm(frames[0])
    distance = float(np.dot(np.subtract(last.position, first.position), first.normal))
    start = first.position
    along = np.array([f.position for f in frames]) @ first.normal
    gaps = np.diff(along)
    if np.abs(gaps - np.median(gaps)).max() > even.MAX_SPACING_CHANGE * np.median(gaps):
        # Rounded positions: all of them together say more than the two at the ends.
        place, spacing, _ = even.line(along)
        distance = spacing * (len(frames) - 1)
        start = first.position + (place - along[0]) * first.normal
    lps = np.eye(4)
    lps[:3, 0] = first.row * between_columns
    lps[:3, 1] = first.column * between_rows
    lps[:3, 2] = first.normal * distance / (len(frames) - 1)
    lps[:3, 3] = start
    return np.asarray(np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps)


def drift(frames: Sequence[Frame]) -> tuple[np.ndarray, np.ndarray]:
    """How far each slice lies sideways of the first one, and how far along the normal.

    Returns
    -------
    (ndarray, ndarray)
        LPS mm, shape (K, 3), at right angles to the normal; mm, shape (K,).
    """
    first = _placed(frames[0])
    offsets = np.array([f.position for f in frames]) - first.position
    along = offsets @ first.normal
    return offsets - np.outer(along, first.normal), along


def has_gantry_tilt(frames: Sequence[Frame]) -> bool:
    """Whether slices were taken with a tilted gantry."""
    sideways, along = drift(frames)
    return bool(np.linalg.norm(sideways[-1]) > MIN_DRIFT * along[-1])


def gantry_tilt_degrees(frames: Sequence[Frame]) -> float:
    """Angle between the slices' normal and the line through them, degrees.

    Parameters
    ----------
    frames : sequence of Frame
        Sorted, at different positions.
    """
    sideways, along = drift(frames)
    return math.degrees(math.atan2(np.linalg.norm(sideways[-1]), along[-1]))


def plane(frame: Frame) -> str:
    """'axial', 'sagittal' or 'coronal' by the direction closest to the slice normal."""
    normal = frame.normal
    if normal is None or not np.linalg.norm(normal) > 0.5:
        return "unknown"
    return ("sagittal", "coronal", "axial")[int(np.argmax(np.abs(normal)))]


def image_problem(modality: str | None, frames: Sequence[Frame]) -> Problem | None:
    """What forbids reading one image of these at all."""
    kind = next(_kind_problems(modality, frames), None)
    return kind or next(_header_problems(frames), None)


def stack_problem(frames: Sequence[Frame]) -> Problem | None:
    """What is wrong with the positions of sorted frames."""
    return next(_position_problems(frames), None)


# Each of these yields the problems in the order in which they are told; the
# first one ends the look, so that a later check may count on the earlier ones.


def _kind_problems(modality: str | None, frames: Sequence[Frame]) -> Iterator[Problem]:
    first = frames[0]
    if modality != "CT":
        what = f"{modality} images" if modality else "images of unknown modality"
        yield Problem(
            f"These are {what}, not CT; choose a CT series.",
            modality or "unknown modality",
            "not-ct",
        )
    if first.localizer:
        yield Problem(
            "This is a scout view (localizer), not a CT scan; choose the series with the slices.",
            "scout",
            "scout",
        )
    if first.colour:
        yield Problem(
            "The images are in colour (such as a screenshot), not CT values; choose the original CT series.",
            "colour images",
            "colour-images",
        )
    if not first.rows:
        error = cut(first.path)
        yield Problem(str(error), "damaged", error.code)


def _header_problems(frames: Sequence[Frame]) -> Iterator[Problem]:
    first = frames[0]
    if any(f.position is None or f.orientation is None or f.spacing is None for f in frames):
        yield Problem(
            "The images do not say where they lie in the patient (position, orientation or pixel spacing is missing); export the original CT series.",
            "no position in the patient",
            "no-position",
        )
    if any(abs(x) > MAX_POSITION_MM for f in frames for x in f.position or ()):
        yield Problem(
            "The positions in the header cannot be right; export the original CT series.",
            "broken positions",
            "broken-position",
        )
    row, column = row_and_column(first)
    if (
        abs(np.linalg.norm(row) - 1) > 0.01
        or abs(np.linalg.norm(column) - 1) > 0.01
        or abs(row @ column) > 0.01
    ):
        yield Problem(
            "The image orientation in the header is not two perpendicular directions; export the original CT series.",
            "broken orientation",
            "broken-orientation",
        )
    spacing = pixel_mm(first)
    if min(spacing) <= 0 or max(spacing) > MAX_PIXEL_MM:
        yield Problem(
            f"The pixel spacing in the header ({spacing[0]:g} x {spacing[1]:g} mm) cannot be right; export the original CT series.",
            "broken pixel spacing",
            "broken-pixel-spacing",
        )
    if any(not np.allclose(f.spacing or (), spacing, rtol=1e-3) for f in frames):
        yield Problem(
            "The pixel spacing changes within the series; export each reconstruction as its own series.",
            "changing pixel spacing",
            "changing-pixel-spacing",
        )
    strange = [f for f in frames if not 1e-6 < abs(f.slope) < 1e4 or abs(f.intercept) > 1e6]
    if strange:
        yield Problem(
            f"The rescale slope and intercept in the header ({strange[0].slope:g} and {strange[0].intercept:g}) cannot be right; export the original CT series.",
            "broken rescale values",
            "broken-rescale",
        )
    bare = [f for f in frames if not f.rescaled]
    plain = all(f.slope == 1 and f.intercept == 0 for f in frames)
    if bare and len(bare) < len(frames) and not plain:
        what = "one image" if len(bare) == 1 else f"{len(bare)} images"
        yield Problem(
            f"The rescale slope and intercept are missing in {what} of {len(frames)} (such as {_name(bare[0], frames)}), whose values are then no Hounsfield units; export the original CT series.",
            "missing rescale values",
            "missing-rescale",
        )
    if len(frames) < MIN_SLICES:
        count = "one slice" if len(frames) == 1 else f"{len(frames)} slices"
        yield Problem(
            f"The series has only {count}; at least {MIN_SLICES} are needed.",
            f"only {count}",
            "too-few-slices",
        )


def _position_problems(frames: Sequence[Frame]) -> Iterator[Problem]:
    positions = np.array([f.position for f in frames])
    normal = _placed(frames[0]).normal
    gaps = np.diff(positions @ normal)
    # All at one place is even too, and no volume.
    spread = float(np.ptp(positions @ normal))
    numbers = [f.number for f in frames]
    is_even = spread > 0.01 * len(gaps) and even.nearly_even(positions, normal, numbers)
    same = np.flatnonzero((gaps < 0.01) & (not is_even))
    if same.size:
        a, b = frames[same[0]], frames[same[0] + 1]
        places = f"{same.size} place" + ("s" if same.size > 1 else "")
        yield Problem(
            f"The series has two images at the same position in {places} (such as {_name(a, frames)} and {_name(b, frames)}); remove copies and keep one phase.",
            "duplicate slices",
            "duplicate-slices",
        )
    sideways, distance = drift(frames)
    length = distance[-1]
    line = np.outer(distance / length, sideways[-1])
    if np.linalg.norm(sideways - line, axis=1).max() > max(0.5, MIN_DRIFT * length):
        yield Problem(
            "The slices are shifted sideways against one another; export the original CT series.",
            "shifted slices",
            "shifted-slices",
        )
    angle = gantry_tilt_degrees(frames)
    if angle > MAX_GANTRY_TILT:
        yield Problem(
            f"The slices lie {angle:.0f} degrees aslant of the line through them, more than any gantry tilts; export the original CT series.",
            "slices aslant",
            "slices-aslant",
        )
    spacing_problem = None if is_even else _spacing_problem(frames, gaps)
    if spacing_problem is not None:
        yield spacing_problem


def _spacing_problem(frames: Sequence[Frame], gaps: np.ndarray) -> Problem | None:
    """Whether slices are missing or unevenly spaced; `gaps` between them in mm, shape (K-1,)."""
    spacing = float(np.median(gaps))
    uneven = np.flatnonzero(np.abs(gaps - spacing) > even.MAX_SPACING_CHANGE * spacing)
    if not uneven.size:
        return None
    change = _change_of_spacing(frames, gaps)
    if change is not None:
        at, old, new = change
        return Problem(
            f"The series changes its spacing at {_name(frames[at], frames)} from {old:.4g} to {new:.4g} mm; use a series with one spacing.",
            "changing spacing",
            "changing-spacing",
        )
    steps = gaps[uneven] / spacing
    if np.all(steps > 1.5) and np.all(np.abs(steps - np.round(steps)) < 0.1):
        missing = int(np.sum(np.round(steps) - 1))
        count = "One slice is" if missing == 1 else f"{missing} slices are"
        return Problem(
            f"{count} missing: a gap of {gaps[uneven[0]]:.1f} mm after {_name(frames[uneven[0]], frames)} where slices are {spacing:.4g} mm apart; copy the whole series.",
            "missing slices",
            "missing-slices",
        )
    return Problem(
        f"The slices are not evenly spaced ({gaps.min():.4g} to {gaps.max():.4g} mm); use a series with one spacing.",
        "uneven spacing",
        "uneven-spacing",
    )


def _change_of_spacing(
    frames: Sequence[Frame], gaps: np.ndarray
) -> tuple[int, float, float] | None:
    """Slice at which one spacing gives way to another, and the two in mm; None where it does not.

    Three gaps alike on either side are asked for, so that single missing slices
    are none. Where the slices' numbers leap as their places do, slices are missing.
    """
    positions = np.array([f.position for f in frames])
    rounding = even.rounding_mm(positions, _placed(frames[0]).normal)
    numbers = [f.number for f in frames]
    known = [n for n in numbers if n is not None]
    steps = np.abs(np.diff(known)) if len(known) == len(numbers) else None
    for skip in (0, 1):  # a gap between the two may be neither
        for at in range(3, len(gaps) - 2 - skip):
            before, after = gaps[at - 3 : at], gaps[at + skip : at + skip + 3]
            old, new = float(np.mean(before)), float(np.mean(after))
            same = max(even.MAX_SPACING_CHANGE * min(old, new), min(rounding, 0.3 * min(old, new)))
            if max(np.ptp(before), np.ptp(after)) > same + 1e-6:
                continue
            if abs(new - old) <= same + 1e-6:
                continue
            if steps is not None and steps[at - 3 : at].min() > 0:
                leap = steps[at + skip : at + skip + 3].mean() / steps[at - 3 : at].mean()
                if abs(leap - new / old) < 0.1:
                    continue
            return at, old, new
    return None


def _name(frame: Frame, among: Sequence[Frame] = ()) -> str:
    name = f"'{shown_name(frame.path, (other.path for other in among))}'"
    return name if frame.index is None else f"frame {frame.index + 1} of {name}"
