"""More changed copies of a CT: thin slices, a thousand of them, feet first, contrast, metal, whole body."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from CTBMDLib.volume import AIR_HU, CTVolume

from .bodies import head, thighs
from .cases import crop_s, respace, restore
from .chest import chest_and_truth


def crop_box(volume: CTVolume, centre, half_mm) -> CTVolume:
    """What lies within `half_mm` (R, A, S) of a point, cut along the stored axes."""
    hu, matrix = volume.hu, volume.ijk_to_ras.copy()
    middle = volume.ijk_from_ras(centre)[::-1]
    index = []
    for row, axis in enumerate(volume.axis_kji_of_ras):
        reach = half_mm[row] / volume.spacing_mm[2 - axis]
        low = int(max(0, np.floor(middle[axis] - reach)))
        high = int(min(hu.shape[axis], np.ceil(middle[axis] + reach) + 1))
        index.append((axis, slice(low, high)))
    slices = tuple(part for _, part in sorted(index, key=lambda item: item[0]))
    start = np.array([part.start for part in slices][::-1], float)
    matrix[:3, 3] += matrix[:3, :3] @ start
    return replace(volume, hu=hu[slices], ijk_to_ras=matrix)


def fine(volume: CTVolume, centre, mm: float = 0.5) -> CTVolume:
    """A block of 300 x 260 x 250 mm about a point in voxels of `mm` on all sides."""
    return respace(crop_box(volume, centre, (150.0, 130.0, 125.0)), mm, mm)


def many_slices(volume: CTVolume, count: int = 1000) -> CTVolume:
    """The same range cut into `count` slices, whose pixels are at least 1 mm."""
    low, high = volume.ras_bounds[2]
    pixel = max(1.0, float(np.median(volume.spacing_mm)))
    return respace(volume, (high - low) / (count + 1), pixel)


def feet_first(volume: CTVolume) -> CTVolume:
    """Stored as a scanner stores a patient who went in with the feet: R and S run the other way."""
    right, _, up = volume.axis_kji_of_ras
    return restore(volume, flip=tuple(axis in (right, up) for axis in range(3)))


def _coordinates(volume):
    """RAS of every voxel, three arrays [k, j, i], float32."""
    k, j, i = np.ogrid[tuple(slice(n) for n in volume.hu.shape)]
    m = volume.ijk_to_ras.astype(np.float32)
    return [m[row, 0] * i + m[row, 1] * j + m[row, 2] * k + m[row, 3] for row in range(3)]


def _chain(centres):
    """Body centres from feet to head, shape (n, 3)."""
    points = np.array([np.asarray(p, float) for p in centres.values()])
    return points[np.argsort(points[:, 2])]


def with_contrast(volume: CTVolume, centres: dict, vessel_hu: float = 300.0) -> CTVolume:
    """Contrast agent: aorta and cava bright in front of the spine, kidneys and organs brighter.

    Vessels are tubes of 10 mm radius in front of the chosen centres, forking at L4; they replace
    soft tissue only, as organs rise only where the HU are those of soft tissue.
    """
    hu = volume.hu.astype(np.float32)
    r, a, s = _coordinates(volume)
    chain = _chain(centres)
    x, y = (np.interp(s, chain[:, 2], chain[:, axis]).astype(np.float32) for axis in (0, 1))
    soft = (hu > -120) & (hu < 150)
    muscle = (hu > 20) & (hu < 90) & (a > y + 18)
    hu[muscle] += 0.15 * vessel_hu
    top = chain[-1, 2]
    for side in (-1, 1):
        kidney = ((r - x - side * 62) / 26) ** 2 + ((a - y - 2) / 26) ** 2
        kidney = kidney + ((s - top + 30) / 52) ** 2
        hu[soft & (kidney < 1)] = 0.6 * vessel_hu
    # The aorta forks at L4, the cava a little lower; their branches part to both sides.
    fork = chain[min(1, len(chain) - 1), 2] - 8
    below = np.clip(fork - s, 0, None)
    for left, ahead, value in ((-9, 36, vessel_hu), (16, 34, 0.55 * vessel_hu)):
        for side in (-1, 1):
            middle = left * np.exp(-below / 20) + side * 0.5 * below
            radius = np.where(below > 0, 6.0, 10.0)
            tube = np.hypot(r - x - middle, a - y - ahead + 0.25 * below) < radius
            hu[soft & tube & (below < 90)] = value
    return replace(volume, hu=np.clip(hu, -1024, 3071).astype(np.int16))


def with_metal(volume: CTVolume, centres: dict, levels=("L4", "L5"), streak_hu=2500.0) -> CTVolume:
    """Pedicle screws and rods at `levels`, with dark and bright fans in their slices."""
    hu = volume.hu.astype(np.float32)
    r, a, s = _coordinates(volume)
    heads = {-1: [], 1: []}

    def tube(start, end, radius):
        way = end - start
        t = ((r - start[0]) * way[0] + (a - start[1]) * way[1] + (s - start[2]) * way[2]) / (
            way @ way
        )
        t = np.clip(t, 0, 1)
        d = [(v - start[i] - t * way[i]) ** 2 for i, v in enumerate((r, a, s))]
        return d[0] + d[1] + d[2] < radius**2

    metal = np.zeros(hu.shape, bool)
    for level in levels:
        centre = np.asarray(centres[level], float)
        for side in (-1, 1):
            head = centre + [side * 24, -42, 6]
            metal |= tube(head, centre + [side * 8, 8, 4], 3.0)
            heads[side].append(head)
    for side in (-1, 1):
        for one, other in zip(heads[side], heads[side][1:], strict=False):
            metal |= tube(one, other, 3.0)
        for head in heads[side]:
            angle = np.arctan2(a - head[1], r - head[0])
            fan = np.cos(8 * angle) + np.cos(13 * angle + side)
            out = np.hypot(r - head[0], a - head[1]) + 10.0
            hu += streak_hu * fan / out * np.exp(-(((s - head[2]) / 8.0) ** 2))
    hu[metal] = 3071
    return replace(volume, hu=np.clip(hu, -1024, 3071).astype(np.int16))


def whole_body(volume: CTVolume, centres: dict, seed: int = 0, mm: float = 1.5) -> CTVolume:
    """A scan from head to knees: virtual head, neck and chest above the real one, virtual legs below.

    The chest ends with T9 or T10 where the real scan begins, canal upon canal; at
    the seams the body's outline jumps.
    """
    chain = _chain(centres)
    low, high = volume.ras_bounds[2]
    slope = (chain[-1] - chain[-3]) / (chain[-1, 2] - chain[-3, 2])
    top = chain[-1] + slope * min(high - chain[-1, 2], 60.0)
    chest, truth = chest_and_truth(seed, 9)
    spine = np.array([item["ras"] for item in truth["levels"].values()])  # T1 first
    ends = chest.ras_bounds[2]
    end = np.array([np.interp(ends[0], spine[::-1, 2], spine[::-1, x]) for x in (0, 1)])
    start = np.array([np.interp(ends[1], spine[::-1, 2], spine[::-1, x]) for x in (0, 1)])
    to_chest = np.array([*(end - top[:2]), ends[0] - high])
    skull, legs = head(seed), thighs(seed)
    skull_low = skull.ras_bounds[2, 0] + 110.0  # without its shoulders
    chest_top = high + ends[1] - ends[0]
    neck = np.array([skull.ras_bounds[0].mean(), skull.ras_bounds[1].mean() - 10.0])
    to_skull = np.array([*(neck - start + to_chest[:2]), skull_low - chest_top])
    leg_top = legs.ras_bounds[2, 1] - 12.0
    body = volume.ras_bounds[:2].mean(axis=1)
    to_legs = np.array([*(legs.ras_bounds[:2].mean(axis=1) - body), leg_top - low])

    x = np.arange(body[0] - 220, body[0] + 220, mm)
    y = np.arange(body[1] - 150, body[1] + 150, mm)
    bottom = low - (leg_top - legs.ras_bounds[2, 0])
    z = np.arange(bottom, chest_top + skull.ras_bounds[2, 1] - skull_low, mm)
    out = np.full((len(z), len(y), len(x)), AIR_HU, np.int16)
    for part, move, a, b in (
        (legs, to_legs, bottom, low),
        (volume, np.zeros(3), low, high + 1e-6),
        (chest, to_chest, high + 1e-6, chest_top),
        (skull, to_skull, chest_top, np.inf),
    ):
        for k in np.flatnonzero((z >= a) & (z < b)):
            grid = np.stack(np.broadcast_arrays(x[None, :], y[:, None], z[k]), axis=-1)
            out[k] = np.nan_to_num(part.sample(grid + move), nan=AIR_HU)
    matrix = np.diag([mm, mm, mm, 1.0])
    matrix[:3, 3] = x[0], y[0], z[0]
    return replace(volume, hu=out, ijk_to_ras=matrix)


def more_copies(volume: CTVolume, truth: dict):
    """(name, volume, truth, levels whole in view), as `check.changed_copies` yields."""
    truth = {k: np.array(v, float) for k, v in truth.items()}
    names, centre = list(truth), truth["L3"]
    inside = [
        n for n in names if np.all(np.abs(truth[n] - centre) < np.array([150.0, 130.0, 105.0]))
    ]
    yield "0.5 mm voxels", fine(volume, centre), truth, inside
    yield "1000 slices", many_slices(volume), truth, names
    yield "feet first", feet_first(volume), truth, names
    for vessel in (150, 350):
        yield f"contrast {vessel} HU", with_contrast(volume, truth, vessel), truth, names
    yield "screws L4 L5", with_metal(volume, truth), truth, names
    yield "screws L2-L5", with_metal(volume, truth, ("L2", "L3", "L4", "L5")), truth, names
    yield "whole body", whole_body(volume, truth), truth, names
    lower = crop_s(volume, volume.ras_bounds[2, 0], truth["L2"][2] + 24)
    yield "lower part with contrast", with_contrast(lower, truth, 250), truth, names[1:]
