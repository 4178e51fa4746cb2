"""One scan that lies in several series: every second slice in another, or a half in each.

Series are joined where everything says that they are one scan: patient, study, frame
of reference, pixel grid, orientation, tube voltage, kernel, slice thickness, contrast
agent and description agree and are known, and their slices together lie evenly, no
two at one place. Where only the places fit, that is said, and nothing is joined.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from .even import nearly_even
from .headers import Frame
from .series import SeriesInfo
from .stack import MIN_SLICES, has_gantry_tilt, pixel_mm, stack_problem

MAX_SIDEWAYS_MM = 0.5
"""How far the pixel grids of two parts may lie beside each other."""
MIN_OF_THICKNESS = 0.4
"""Distance of the joined slices by their thickness; closer ones are two scans, or two phases."""
MAX_TRIED = 12
"""Series that are tried in twos and threes; more are one scan together or none."""

_MENDABLE = (None, "too-few-slices", "missing-slices", "uneven-spacing", "changing-spacing")
"""What may be wrong with a series that is a part of a scan."""

_PART = re.compile(
    r"[\W_\d]|\b(?:part|teil|half|halves|upper|lower|top|bottom|oben|unten|of|series|serie|[ab])\b"
)


def join(series: Sequence[SeriesInfo]) -> list[SeriesInfo]:
    """The series, those that are parts of one scan as one.

    Parameters
    ----------
    series : sequence of SeriesInfo
        Best first.

    Returns
    -------
    list of SeriesInfo
        In no order; a joined one has `parts`, and the UID and the facts of its best part.
    """
    groups: dict[tuple[object, ...], list[SeriesInfo]] = {}
    out = []
    for item in series:
        known = _kind(item) if _placed(item) else None
        if known is None:
            out.append(item)
        else:
            groups.setdefault(known, []).append(item)
    for alike in groups.values():
        out += _joined(alike)
    return out


def doubts(chosen: SeriesInfo, series: Sequence[SeriesInfo]) -> list[str]:
    """Sentences on series that fit onto the chosen one by their places, but were not joined.

    Parameters
    ----------
    chosen : SeriesInfo
    series : sequence of SeriesInfo
        All of the input.
    """
    if not _placed(chosen):
        return []
    said = []
    for item in series:
        if item is chosen or item.patient_id != chosen.patient_id or not _placed(item):
            continue
        frames = _together([chosen, item])
        if frames is None:
            continue
        differs = ", ".join(_differences(chosen, item))
        how = "goes on where it ends" if _apart(chosen, item) else "has slices between its own"
        why = f"differs in {differs}" if differs else "does not say that it is of the same scan"
        said.append(f"{item.title[0].upper()}{item.title[1:]} {how}, but {why}; it was not joined.")
    return said


def parts_sentence(joined: SeriesInfo) -> str:
    """What was joined, for the user."""
    titles = [part.title for part in joined.parts]
    first = titles[0][0].upper() + titles[0][1:]
    apart = all(_apart(a, b) for a, b in combinations(joined.parts, 2))
    what = "parts of one scan, one beyond the other" if apart else "slices of one scan in turn"
    if len(titles) > 4:
        return f"{len(titles)} series, from {titles[0]} on, are {what}; they were joined."
    return f"{', '.join([first, *titles[1:-1]])} and {titles[-1]} are {what}; they were joined."


def _joined(alike: list[SeriesInfo]) -> list[SeriesInfo]:
    """Series of one kind, joined where they lie evenly: all of them, else three or two."""
    left = list(alike)
    out = []
    sizes = {len(left), 3, 2} if len(left) <= MAX_TRIED else {len(left)}
    for size in sorted(sizes, reverse=True):
        for some in combinations(list(left), size) if size > 1 else ():
            if all(item in left for item in some) and (made := _one(some)):
                out.append(made)
                left = [item for item in left if item not in some]
    return out + left


def _one(parts: Sequence[SeriesInfo]) -> SeriesInfo | None:
    frames = _together(parts)
    thickness = parts[0].acquisition.slice_thickness_mm
    if frames is None or thickness is None:
        return None
    places = np.array([frame.position for frame in frames]) @ _normal(frames[0])
    if np.median(np.diff(places)) < MIN_OF_THICKNESS * thickness:
        return None
    problem = stack_problem(frames)
    if problem is not None:
        return None
    return replace(
        parts[0],
        images=len(frames),
        problem=None,
        reason=None,
        code=None,
        frames=tuple(frames),
        copies=tuple(path for part in parts for path in part.copies),
        parts=tuple(parts),
    )


def _together(parts: Sequence[SeriesInfo]) -> list[Frame] | None:
    """The frames of the parts in order where they lie evenly on one grid; None where not."""
    first = parts[0].frames[0]
    normal, start = _normal(first), np.array(first.position)
    grid = (first.rows, first.columns, *np.round(pixel_mm(first), 4))
    for part in parts:
        head = part.frames[0]
        if (head.rows, head.columns, *np.round(pixel_mm(head), 4)) != grid:
            return None
        if not np.allclose(head.orientation or (), first.orientation or (), atol=1e-3):
            return None
    # Numbers count within their series, and say nothing of the whole.
    frames = [replace(frame, number=None) for part in parts for frame in part.frames]
    places = np.array([frame.position for frame in frames])
    offset = places - start
    along = offset @ normal
    if np.linalg.norm(offset - np.outer(along, normal), axis=1).max() > MAX_SIDEWAYS_MM:
        return None
    order = np.argsort(along, kind="stable")
    gaps = np.diff(along[order])
    if len(frames) < MIN_SLICES or gaps.min() < 0.01:
        return None
    if not nearly_even(places[order], normal, [None] * len(frames)):
        return None
    return [frames[k] for k in order]


def _placed(item: SeriesInfo) -> bool:
    """Whether a series is CT whose slices lie somewhere, straight above one another."""
    if item.modality != "CT" or item.plane == "scout" or item.code not in _MENDABLE:
        return False
    frames = item.frames
    if not frames or any(f.position is None or f.spacing is None or f.index for f in frames):
        return False
    if any(f.orientation is None or f.colour or not f.rows for f in frames):
        return False
    return len(frames) == 1 or not has_gantry_tilt(frames)


def _kind(item: SeriesInfo) -> tuple[object, ...] | None:
    """What must agree between the parts of a scan; None where some of it is unknown."""
    facts = item.acquisition
    needed = (
        item.patient_id,
        item.study_uid,
        item.frame_of_reference_uid,
        facts.kvp,
        facts.kernel,
        facts.slice_thickness_mm,
    )
    if None in needed:
        return None
    return (*needed, *_may_be_unknown(item))


def _may_be_unknown(item: SeriesInfo) -> tuple[object, ...]:
    facts = item.acquisition
    described = _PART.sub("", (item.description or "").lower())
    return (facts.contrast_agent, facts.image_type, facts.rescale_type, described)


def _differences(a: SeriesInfo, b: SeriesInfo) -> list[str]:
    one, two = a.acquisition, b.acquisition
    pairs = {
        "study": (a.study_uid, b.study_uid),
        "frame of reference": (a.frame_of_reference_uid, b.frame_of_reference_uid),
        "tube voltage": (one.kvp, two.kvp),
        "kernel": (one.kernel, two.kernel),
        "slice thickness": (one.slice_thickness_mm, two.slice_thickness_mm),
        "contrast agent, kind of image or description": (_may_be_unknown(a), _may_be_unknown(b)),
    }
    return [name for name, (x, y) in pairs.items() if x != y]


def _apart(a: SeriesInfo, b: SeriesInfo) -> bool:
    """Whether one lies wholly beyond the other."""
    normal = _normal(a.frames[0])
    ends = [np.array([f.position for f in item.frames]) @ normal for item in (a, b)]
    return bool(ends[0].max() < ends[1].min() or ends[1].max() < ends[0].min())


def _normal(frame: Frame) -> np.ndarray:
    normal = frame.normal
    if normal is None:
        raise ValueError("a frame without orientation has no normal")
    return normal
