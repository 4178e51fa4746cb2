"""A drawn spine: three bodies of known shape and content, with discs, a canal and an arch."""

import numpy as np

from CTBMDLib.bmd.shape import outline_depth
from CTBMDLib.levels import LevelSlice
from CTBMDLib.volume import CTVolume

CENTRE = np.array([3.0, -20.0, 10.0])
HALF = np.array([22.0, 16.0, 13.0])


def spine(
    inside=150.0,
    around=50.0,
    axis=(0.0, 0.0, 1.0),
    wedge=0.0,
    sunken=0.0,
    noise=0.0,
    step=(1.0, 1.0, 1.0),
    vessel=0.0,
    paint=None,
    beyond=0.0,
    disc=None,
    beside=420.0,
):
    """Three bodies with discs between them, a canal and an arch; HU drawn at 1 mm and averaged.

    `wedge` and `sunken` are mm by which the middle body's front and middle are lower;
    `beyond` is how much more is in view above and below; `disc` the discs' HU, where they
    differ from what lies around; `beside` the HU of the neighbours' endplates.
    """
    axis = np.array(axis, float) / np.linalg.norm(axis)
    front = np.array([0.0, 1.0, 0.0]) - axis[1] * axis
    front /= np.linalg.norm(front)
    right = np.cross(front, axis)
    size = [(-50.0, 52.0), (-70.0, 30.0), (-38.0 - beyond, 58.0 + beyond)]
    r, a, s = (np.arange(low, high, x) for (low, high), x in zip(size, step, strict=True))
    points = np.stack(np.meshgrid(s, a, r, indexing="ij")[::-1], -1) - CENTRE
    u, v, w = (points @ x for x in (right, front, axis))
    hu = np.full(u.shape, around)
    side = outline_depth(u, v, HALF[0], HALF[1])
    front_share = np.clip(0.5 + v / (2 * HALF[1]), 0, 1)
    bowl = np.clip(1 - (u / HALF[0]) ** 2 - (v / HALF[1]) ** 2, 0, 1)
    for number in (-1, 0, 1):
        low = wedge * front_share + sunken * bowl if number == 0 else 0.0
        along = np.abs(w - number * 36.0 + low / 2) + low / 2
        depth = np.minimum(side, HALF[2] - along)
        hu = np.where(depth > 0, np.where(depth < 1.2, beside if number else 420.0, inside), hu)
        if disc is not None:
            hu = np.where((side > 0) & (along >= HALF[2]) & (along < 18), disc, hu)
    arch = (np.abs(u) < 22) & (v < -28) & (v > -36)
    hu = np.where(arch & (side < 0), 400.0, hu)
    if vessel:
        hu = np.where((np.hypot(u, v - HALF[1] - 10) < 9) & (side < 0), vessel, hu)
    if paint is not None:
        hu = np.where(paint(u, v, w), 900.0, hu)
    if noise:
        hu = hu + np.random.default_rng(5).normal(0, noise, hu.shape)
    matrix = np.diag([*step, 1.0])
    matrix[:3, 3] = r[0], a[0], s[0]
    return CTVolume(hu.astype(np.float32), matrix, name="drawn spine")


def level(off=(0.0, 0.0, 0.0), axis=None):
    return LevelSlice("L3", tuple(CENTRE + off), axis=axis)
