"""Whether the image planes cut for a found level lie in the middle half of its true body."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from CTBMDLib.levels import LUMBAR
from CTBMDLib.model.images import ImageStandard, body_centre, plane_positions
from CTBMDLib.reading.nifti import read_nifti
from CTBMDLib.spine.vertebra_names import label_values

MIDDLE_HALF = 0.25
"""Planes count as right within this share of the body's height on both sides of its middle."""
CLEAR_MM = 2.0
"""Distance that a plane must keep from both endplates over the middle of the body."""
CORE_MM = 10.0
"""The middle of the body: this far to the front and back of its centre."""


def judge_planes(level, centre, axis, height_mm: float) -> list[tuple[bool, bool]]:
    """Each image plane of a found level against the true body it lies in.

    Parameters
    ----------
    level : LevelSlice
        As found.
    centre, axis : array_like, shape (3,)
        True centre in RAS mm and true unit vector from feet to head.
    height_mm : float
        True height from endplate to endplate.

    Returns
    -------
    list of (bool, bool)
        In the middle half of the body; clear of its endplates.
    """
    centre, axis = np.asarray(centre, float), np.asarray(axis, float)
    s_mm = plane_positions(level, ImageStandard())
    points = np.column_stack([body_centre(level, s_mm), s_mm])
    # A plane of constant S crosses a body that leans by `slope` mm a mm to the front.
    slope = np.hypot(axis[0], axis[1]) / max(abs(axis[2]), 0.2)
    along = (points - centre) @ axis
    room = 0.5 * height_mm - CLEAR_MM - CORE_MM * slope * abs(axis[2])
    return [(bool(abs(mm) <= MIDDLE_HALF * height_mm), bool(abs(mm) <= room)) for mm in along]


def planes_of(selection, truth: dict) -> dict:
    """Counts over the planes of all lumbar levels of a selection.

    Parameters
    ----------
    selection : LevelSelection
    truth : dict
        Name to {'ras', 'axis', 'height_mm'} of every true body.

    Returns
    -------
    dict
        'planes', 'middle', 'clear': how many there are, lie in the middle half of
        the nearest true body, and keep clear of its endplates.
    """
    counts = {"planes": 0, "middle": 0, "clear": 0}
    for item in selection:
        if item.level not in LUMBAR:
            continue
        near = min(truth.values(), key=lambda t: np.linalg.norm(np.array(t["ras"]) - item.ras))
        for middle, clear in judge_planes(item, near["ras"], near["axis"], near["height_mm"]):
            counts["planes"] += 1
            counts["middle"] += middle
            counts["clear"] += clear
    return counts


def bodies_from_labels(folder: Path) -> dict:
    """True bodies of a scan with label volumes, by the labels alone.

    The axis is the direction of the line through the neighbouring bodies' means; the
    height is the body's extent within 6 mm of that axis.

    Returns
    -------
    dict
        Name to {'ras', 'axis', 'height_mm'}; empty where there are no label volumes.
    """
    paths = [folder / "vertebrae.nii.gz", folder / "vertebral_bodies.nii.gz"]
    if not all(path.exists() for path in paths):
        return {}
    vertebrae, bodies = (read_nifti(path) for path in paths)
    matrix = vertebrae.ijk_to_ras
    points, values = {}, label_values()
    for name in ("T12", *LUMBAR, "S1"):
        kji = np.argwhere((vertebrae.hu == values[name]) & (bodies.hu > 0))
        if len(kji) >= 50:
            points[name] = kji[:, ::-1] @ matrix[:3, :3].T + matrix[:3, 3]
    names = list(points)
    means = [points[name].mean(axis=0) for name in names]
    found = {}
    for number, name in enumerate(names):
        if name not in LUMBAR:
            continue
        above, below = means[max(number - 1, 0)], means[min(number + 1, len(names) - 1)]
        axis = (above - below) / np.linalg.norm(above - below)
        offset = points[name] - means[number]
        along = offset @ axis
        core = np.linalg.norm(offset - along[:, None] * axis, axis=1) < 6.0
        voxel = float(np.abs(axis) @ np.linalg.norm(matrix[:3, :3], axis=0))
        low, high = along[core].min() - voxel / 2, along[core].max() + voxel / 2
        found[name] = {
            "ras": means[number] + 0.5 * (low + high) * axis,
            "axis": axis,
            "height_mm": float(high - low),
        }
    return found
