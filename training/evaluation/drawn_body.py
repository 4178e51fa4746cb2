"""A virtual vertebral body as it was drawn, in place of the walls that are found in its scan."""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np

from CTBMDLib.bmd.shape import BodyShape

from ..virtual.bone import body_distance
from ..virtual.primitives import ANGLES, HEIGHT


@nb.njit(cache=True)
def _outside(local, a, radius, slope, lips):
    """How far places (u, v, w) lie beyond wall and endplate, mm; shape (n, 3) -> (2, n)."""
    out = np.empty((2, local.shape[0]))
    for n in range(local.shape[0]):
        u, v, w = local[n, 0], local[n, 1], local[n, 2]
        side, end, _ = body_distance(u, v, w, a, radius, slope, lips)
        out[0, n], out[1, n] = side, end
    return out


@dataclass(frozen=True)
class DrawnBody(BodyShape):
    """A body whose depths are those of the surface it was drawn with.

    Attributes
    ----------
    surface : tuple
        The body's numbers, outline, slope and lips, as `bone.body_distance` takes them.
    """

    surface: tuple

    def depths_mm(self, local: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How deep places (u, v, w) lie under the nearest wall and under the nearest endplate, mm."""
        flat = np.ascontiguousarray(local, float).reshape(-1, 3)
        side, end = -_outside(flat, *self.surface)
        return side.reshape(local.shape[:-1]), end.reshape(local.shape[:-1])


def drawn_body(scene, n: int, ras) -> DrawnBody:
    """Body `n` of a virtual person, its centre at `ras` in the scan."""
    vertebrae, _, rot, radius, slope, _, lips, _, _ = scene.spine
    half = 0.5 * vertebrae[n][HEIGHT]
    half_width = 0.5 * float(radius[n][0] + radius[n][ANGLES // 2])
    half_depth = 0.5 * float(radius[n][ANGLES // 4] + radius[n][3 * ANGLES // 4])
    return DrawnBody(
        np.asarray(ras, float),
        *rot[n].T,
        half_width,
        half_depth,
        np.array([half, 0.0, 0.0, 0.0]),
        np.array([-half, 0.0, 0.0, 0.0]),
        1.0,
        (vertebrae[n], radius[n], slope[n], lips[n]),
    )
