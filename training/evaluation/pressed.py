"""Vertebral bodies of virtual people pressed lower, as fractures press them, in the drawn CT.

The upper endplate is pushed down: bone under it is compressed along the body's axis, what lies
above it is stretched. Forms are Genant's: a wedge gives way in front, a biconcave body in
its middle, a crushed one everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from CTBMDLib.bmd.heights import PLACE, BodyHeights

from ..virtual.primitives import ANGLES, HEIGHT

FORMS = {"wedge": (1.0, 0.5, 0.0), "biconcave": (0.0, 1.0, 0.0), "crush": (1.0, 1.0, 1.0)}
"""Of the lost share: how much of it in front, middle and back."""
SHARES = (0.15, 0.40)
REACH_MM, FADE_MM = 34.0, 4.0
"""How far about a body its CT is changed, and beside its wall until it is left as it is."""
ABOVE_MM = 5.0
"""How far above the endplate what is stretched begins."""


@dataclass(frozen=True)
class Press:
    """How one body is pressed.

    Attributes
    ----------
    form : str
        A key of `FORMS`.
    share : float
        Of its height that is lost where most is lost.
    """

    form: str
    share: float

    def lost(self, front: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Share lost at places.

        Parameters
        ----------
        front : ndarray
            Place from back (-1) to front (1), where those heights are measured.
        out : ndarray
            Distance from the middle, 1 at such a place.
        """
        if self.form == "wedge":
            part = np.clip(0.5 + 0.5 * front, 0.0, 1.0)
        elif self.form == "biconcave":
            part = np.clip(1 - out**2, 0.0, 1.0)
        else:
            part = np.ones_like(front)
        return np.asarray(self.share * part)

    def heights(self, whole: BodyHeights) -> BodyHeights:
        """Front, middle and back height (mm) of a body that had others before."""
        return BodyHeights(*(whole.array * (1 - self.share * np.array(FORMS[self.form]))))


def draw_press(seed: int) -> Press:
    """A form and a share, for one person."""
    rng = np.random.default_rng([seed, 13])
    return Press(str(rng.choice(list(FORMS))), float(rng.uniform(*SHARES)))


def press(hu: np.ndarray, axes, scene, n: int, how: Press, distances) -> None:
    """Press body `n` of a scene in its drawn CT, in place.

    Parameters
    ----------
    hu : ndarray, shape (z, y, x)
        HU; changed about the body alone.
    axes : sequence of ndarray
        Places along R, A and S, mm; evenly spaced.
    scene : Scene
    n : int
        Row of the body in the scene, from head to feet.
    how : Press
    distances : callable
        `findings.distances`.
    """
    from scipy import ndimage

    centre, rot, radius = scene.spine[1][n], scene.spine[2][n], scene.spine[3][n]
    half = 0.5 * float(scene.spine[0][n][HEIGHT])
    near = [np.flatnonzero(np.abs(x - c) < REACH_MM) for x, c in zip(axes, centre, strict=True)]
    rows = tuple(slice(x[0], x[-1] + 1) for x in near[::-1])
    xs, ys, zs = (x[i].astype(float) for x, i in zip(axes, near, strict=True))
    side, _, front, up = distances(scene, n, [xs, ys, zs])
    z, y, x = np.meshgrid(zs - centre[2], ys - centre[1], xs - centre[0], indexing="ij")
    to_front, to_back = PLACE * radius[ANGLES // 4], PLACE * radius[3 * ANGLES // 4]
    relative = np.where(front > 0, front / to_front, front / to_back)
    aside = np.sqrt(np.maximum(x**2 + y**2 + z**2 - front**2 - up**2, 0.0))
    out = np.hypot(relative, aside / (PLACE * 0.5 * (radius[0] + radius[ANGLES // 2])))
    share = how.lost(relative, out) * np.clip(1 - side / FADE_MM, 0.0, 1.0)
    # Where each place's bone lay before: below the new endplate spread over the old height.
    new_top = -half + 2 * half * (1 - share)
    below = -half + (up + half) / (1 - share)
    gap = ABOVE_MM + half - new_top
    above = half + (up - new_top) * ABOVE_MM / gap
    before = np.where(up < -half, up, np.where(up <= new_top, below, above))
    before = np.where(up >= half + ABOVE_MM, up, before)
    move = before - up
    step = [float(a[1] - a[0]) for a in (zs, ys, xs)]
    index = np.indices(side.shape).astype(float)
    for axis, (component, mm) in enumerate(zip(rot[::-1, 2], step, strict=True)):
        index[axis] += move * component / mm
    hu[rows] = ndimage.map_coordinates(hu[rows], index, order=1, mode="nearest")
