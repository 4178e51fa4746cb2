"""Slices that lie evenly but for a header that rounds their positions, or a little jitter.

A scan with slices 0.625 mm apart whose positions are written with one decimal has
gaps of 0.6 and 0.7 mm; written in whole millimetres, some slices even share a
position, and only their numbers tell their order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MAX_SPACING_CHANGE = 0.05  # of the distance between slices: as good as even
MAX_JITTER = 0.1  # of the distance between slices, off an even place
MAX_JITTER_MM = 0.12
MAX_DOUBT = 0.3  # of the distance; a missing slice puts others off by a third and more
_MIN_FITTED = 5  # slices; through fewer a line can always be laid
_ROUNDING_MM = (1.0, 0.5, 0.1)


def rounding_mm(positions: np.ndarray, normal: np.ndarray) -> float:
    """How far rounding can put slices off along their normal: a whole step of it, mm.

    Parameters
    ----------
    positions : ndarray, shape (K, 3)
        mm.
    normal : ndarray, shape (3,)
    """
    total = 0.0
    for values, part in zip(positions.T, np.abs(normal), strict=True):
        for step in _ROUNDING_MM:
            if np.abs(values / step - np.round(values / step)).max() < 1e-3:
                total += step * float(part)
                break
    return total


def consecutive(numbers: Sequence[int | None]) -> bool:
    """Whether slices are numbered one after the other, up or down."""
    known = [n for n in numbers if n is not None]
    if len(known) != len(numbers) or len(known) < 2:
        return False
    steps = np.diff(known)
    return bool(np.all(steps == 1) or np.all(steps == -1))


def order(positions: np.ndarray, normal: np.ndarray, numbers: Sequence[int | None]) -> list[int]:
    """The order of slices along their normal.

    The position decides; where rounding makes it too coarse for that, the slice
    numbers do, provided that they count every slice once and agree with the
    positions to within the rounding.

    Returns
    -------
    list of int, the K indices sorted
    """
    along = positions @ normal
    by_place = [int(k) for k in np.argsort(along, kind="stable")]
    known = [n for n in numbers if n is not None]
    if len(known) < len(along):
        return by_place
    by_number = [int(k) for k in np.argsort(known, kind="stable")]
    if not consecutive([known[k] for k in by_number]):
        return by_place
    if along[by_number[0]] > along[by_number[-1]]:
        by_number.reverse()
    off = np.abs(along[by_number] - along[by_place]).max()
    return by_number if off <= rounding_mm(positions, normal) + 1e-6 else by_place


def line(along: np.ndarray) -> tuple[float, float, float]:
    """First place, distance and greatest deviation of the even places nearest to slices, mm.

    Parameters
    ----------
    along : ndarray, shape (K,)
        Places in order.
    """
    k = np.arange(len(along)) - (len(along) - 1) / 2
    spacing = float(k @ along / (k @ k))
    rest = along - spacing * k
    middle = float(rest.min() + rest.max()) / 2
    return middle + spacing * float(k[0]), spacing, float(np.ptp(rest)) / 2


def nearly_even(positions: np.ndarray, normal: np.ndarray, numbers: Sequence[int | None]) -> bool:
    """Whether slices in order lie evenly but for rounding and jitter.

    A deviation that a missing or a second image could explain as well is allowed
    only to slices numbered without a gap.
    """
    along = positions @ normal
    gaps = np.diff(along)
    if np.all(gaps > 0) and np.abs(gaps - np.median(gaps)).max() <= MAX_SPACING_CHANGE * np.median(
        gaps
    ):
        return True
    if len(along) < _MIN_FITTED:
        return False
    _, spacing, off = line(along)
    allowed = max(MAX_JITTER * spacing, MAX_JITTER_MM, rounding_mm(positions, normal))
    if not consecutive(numbers):
        allowed = min(allowed, MAX_DOUBT * spacing)
        if gaps.min() < 0.01:
            return False
    elif _every_place_is_shared(along):
        return False  # two phases, numbered through
    return off <= allowed + 1e-6


def _every_place_is_shared(along: np.ndarray) -> bool:
    """Whether each place, those at the ends apart, holds the same number of images, 2 or more."""
    _, counts = np.unique(np.round(along, 2), return_counts=True)
    inner = counts[1:-1]
    return len(inner) > 0 and bool(inner.min() == inner.max() and inner[0] > 1)
