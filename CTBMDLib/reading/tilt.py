"""Slices taken with a tilted gantry, put straight.

The table moves along the patient while the slices lean, so that each slice lies
sideways of the one before. Read as if they were a block, everything in them
would lean; here every slice is moved within its own plane to where it belongs.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from ..errors import Cancelled
from ..volume import AIR_HU
from .stack import drift, geometry


def tilt_degrees(frames) -> float:
    """Angle between the slices' normal and the line through them, degrees.

    Parameters
    ----------
    frames : sequence of stack.Frame
        Sorted, free of problems.
    """
    sideways, along = drift(frames)
    return math.degrees(math.atan2(np.linalg.norm(sideways[-1]), along[-1]))


def straighten(hu, frames, should_cancel=None) -> tuple[np.ndarray, np.ndarray]:
    """A block of slices at right angles from slices that lean.

    Linear interpolation within each slice, none between slices; the slices are
    made larger so that nothing is cut off, with air where nothing was measured.

    Parameters
    ----------
    hu : ndarray, shape (K, J, I)
    frames : sequence of stack.Frame
        The K slices.
    should_cancel : callable() -> bool or None

    Returns
    -------
    (ndarray, ndarray)
        HU, shape (K, J', I'), of the same dtype, and IJK-to-RAS, shape (4, 4).

    Raises
    ------
    Cancelled
    """
    first = frames[0]
    sideways, _ = drift(frames)
    # Pixels by which each slice lies down (j) and along (i) from the first one.
    shift = np.stack(
        [
            sideways @ np.array(first.orientation[3:]) / first.spacing[0],
            sideways @ np.array(first.orientation[:3]) / first.spacing[1],
        ],
        axis=1,
    )
    low = np.floor(shift.min(axis=0)).astype(int)
    grow = np.ceil(shift.max(axis=0)).astype(int) - low
    size = np.array(hu.shape[1:])
    result = np.full((len(hu), *(size + grow)), AIR_HU, hu.dtype)
    for k, plane in enumerate(hu):
        if should_cancel and should_cancel():
            raise Cancelled
        whole = np.floor(shift[k]).astype(int)
        part = shift[k] - whole
        # One row and column more take up the fraction of a pixel.
        room = np.pad(plane.astype(np.float32), ((0, 1), (0, 1)), constant_values=AIR_HU)
        moved = ndimage.shift(room, part, order=1, mode="constant", cval=AIR_HU)
        if hu.dtype.kind == "i":
            moved = np.rint(moved)
        j, i = whole - low
        target = result[k, j : j + size[0] + 1, i : i + size[1] + 1]
        target[...] = moved[: target.shape[0], : target.shape[1]]
    matrix = geometry(frames)
    matrix[:3, 3] += matrix[:3, 0] * low[1] + matrix[:3, 1] * low[0]
    return result, matrix
