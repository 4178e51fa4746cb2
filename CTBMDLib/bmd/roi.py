"""Mean HU of a trabecular region of interest in the vertebral body."""

from __future__ import annotations

import numpy as np

from ..levels import LevelSlice
from ..volume import CTVolume

SEMI_AXES_MM = (10.0, 6.5)
"""Half widths of the elliptic region, right-left and front-back.

Inside the cortex of a normal lumbar body (33-37 mm deep, over 40 mm wide) with
room for a point that is a few mm off.
"""

FORWARD_MM = 1.5
"""The region's centre lies this far in front of the body's centre, away from the basivertebral vein."""

THICKNESS_MM = 5.0


def trabecular_hu(volume: CTVolume, level_slice: LevelSlice) -> float | None:
    """Mean HU of an elliptic disc in the body, as radiologists draw it by hand.

    An axial ellipse in the front part of the body at mid-height, 5 mm thick
    (after the L1 method of Pickhardt 2013, see training/ for what it is
    compared with).

    Returns
    -------
    float or None
        HU; None where less than 90 % of the region lies inside the volume.
    """
    r, a, s = level_slice.ras
    x = np.arange(-SEMI_AXES_MM[0], SEMI_AXES_MM[0] + 0.01, 1.0)
    y = np.arange(-SEMI_AXES_MM[1], SEMI_AXES_MM[1] + 0.01, 1.0)
    z = np.linspace(-THICKNESS_MM / 2, THICKNESS_MM / 2, 5)
    zz, yy, xx = np.meshgrid(z, y, x, indexing="ij")
    inside = (xx / SEMI_AXES_MM[0]) ** 2 + (yy / SEMI_AXES_MM[1]) ** 2 <= 1
    points = np.stack([r + xx[inside], a + FORWARD_MM + yy[inside], s + zz[inside]], axis=-1)
    values = volume.sample(points)
    known = np.isfinite(values)
    if known.mean() < 0.9:
        return None
    return float(values[known].mean())
