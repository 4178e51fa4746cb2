"""Gantry tilt correction: a block of slices from slices that lean.

The table moves along the patient while the slices lean, so that each slice lies
sideways of the one before. Read as if they were a block, everything in them
would lean; here every slice is moved within its own plane to where it belongs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from ..progress import Progress
from ..volume import AIR_HU
from .headers import Frame
from .stack import drift, geometry, pixel_mm, row_and_column


def correct_gantry_tilt(
    hu: np.ndarray, frames: Sequence[Frame], progress: Progress
) -> tuple[np.ndarray, np.ndarray]:
    """A block of slices at right angles from slices that lean.

    Linear interpolation within each slice, none between slices; the slices are
    made larger so that nothing is cut off, with air where nothing was measured.

    Parameters
    ----------
    hu : ndarray, shape (K, J, I)
    frames : sequence of Frame
        The K slices.
    progress : Progress
        Asked between slices.

    Returns
    -------
    (ndarray, ndarray)
        HU, shape (K, J', I'), of the same dtype, and IJK-to-RAS, shape (4, 4).

    Raises
    ------
    Cancelled
    """
    row, column = row_and_column(frames[0])
    between_rows, between_columns = pixel_mm(frames[0])
    sideways, _ = drift(frames)
    # Pixels by which each slice lies down (j) and along (i) from the first one.
    shift = np.stack(
        [
            sideways @ column / between_rows,
            sideways @ row / between_columns,
        ],
        axis=1,
    )
    low = np.floor(shift.min(axis=0)).astype(int)
    grow = np.ceil(shift.max(axis=0)).astype(int) - low
    size = np.array(hu.shape[1:])
    result = np.full((len(hu), *(size + grow)), AIR_HU, hu.dtype)
    for k, plane in enumerate(hu):
        progress.check()
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
