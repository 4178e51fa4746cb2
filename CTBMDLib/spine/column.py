"""Tracing the spinal column: body in front, canal behind it, arch behind the canal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..volume import AIR_HU, CTVolume
from .grid import GRID_MM, Grid

STEP = 2
"""Grid planes between two nodes of the trace (6 mm)."""


@dataclass(frozen=True)
class Column:
    """The centre line of the vertebral bodies, from head to feet.

    Attributes
    ----------
    body : ndarray, shape (n, 3)
        RAS mm at the middle of the bodies (discs included).
    canal : ndarray, shape (n, 3)
        RAS mm of the spinal canal in the same planes.
    score : ndarray, shape (n,)
        How much a plane's surroundings look like a spine, about 0 to 1.
    """

    body: np.ndarray
    canal: np.ndarray
    score: np.ndarray


def bone_map(hu, tissue_hu: float = 50.0, gain: float = 1.0) -> np.ndarray:
    """0 for soft tissue, 1 for dense bone and all that is denser, float32.

    The rise begins above contrast-enhanced muscle and ends where metal and
    cortical bone would otherwise outweigh spongy bone.
    """
    low = max(tissue_hu, 40.0) + 32.0
    return np.clip((np.asarray(hu, np.float32) - low) * (gain / 180.0), 0.0, 1.0)


def tissue_level(reduced: CTVolume) -> float:
    """HU of soft tissue: the peak of the histogram between 0 and 110 HU."""
    # Some hundred thousand voxels, spread over the CT, are plenty.
    every = tuple(slice(None, None, max(1, n // 60)) for n in reduced.hu.shape)
    counts, edges = np.histogram(reduced.hu[every], bins=55, range=(0, 110))
    if counts.sum() < 50:
        return 50.0
    smooth = ndimage.gaussian_filter1d(counts.astype(float), 3, mode="nearest")
    # The bin of exactly 0 may be padding: it is left out.
    smooth[:2] = 0
    peak = float(edges[int(smooth.argmax())] + 1.0)
    return float(np.clip(peak, 20.0, 90.0))


def refine_column(
    reduced: CTVolume,
    column: Column,
    tissue_hu: float,
    gain: float = 1.0,
    base: float = 0.22,
    avoid: list | None = None,
) -> Column:
    """Trace again in a box that is turned as the spine is.

    The measures of `column_score` expect an upright patient. Here sideways
    tilt and rotation found by the first trace are taken out, and the search
    is kept to the neighbourhood of the column, so that hips and table are not in it.

    Parameters
    ----------
    reduced : CTVolume
        As `reduce_ct` makes it.
    column : Column
        First trace.
    tissue_hu, gain : float
        Of `bone_map`.
    base, avoid
        Of `trace_column`.
    """
    for _ in range(2):
        basis = _upright_basis(column)  # rows: right, front, up
        local = column.body @ basis.T
        low = local.min(axis=0) - (40.0, 66.0, 45.0)
        high = local.max(axis=0) + (40.0, 45.0, 45.0)
        low[2] -= 60.0
        low[1] -= 30.0  # the sacrum lies further back
        count = np.maximum(3, np.floor((high - low) / GRID_MM).astype(int))
        hu = _turned_box(reduced, basis, low, count)
        outside = ~np.isfinite(hu)
        hu[outside] = AIR_HU
        used = np.flatnonzero(outside.mean(axis=(1, 2)) < 0.7)
        if len(used) < 6:
            return column
        start, stop = int(used[0]), int(used[-1]) + 1
        low = low + (0.0, 0.0, start * GRID_MM)
        box = Grid(hu[start:stop], outside[start:stop], low)
        seen = [Column(c.body @ basis.T, c.canal @ basis.T, c.score) for c in avoid or ()]
        found = trace_column(box, bone_map(box.hu, tissue_hu, gain), base, seen)
        if found is None or len(found.body) < 4:
            return column
        column = Column(found.body @ basis, found.canal @ basis, found.score)
        turned = np.abs(_upright_basis(column) - basis).max()
        if turned < 0.1:
            break
    return column


def _turned_box(source, basis, low, count):
    """HU on a grid along the rows of `basis` from the corner `low`; NaN outside the CT."""
    matrix, offset = source.kji_of_ras
    way = ((GRID_MM * basis) @ matrix.T).astype(np.float32)  # a step right, front and up
    start = (matrix @ (low @ basis) + offset).astype(np.float32)
    right, front, up = (np.arange(n, dtype=np.float32) for n in count)
    points = (
        (start[:, None] + way[2][:, None] * up)[:, :, None, None]
        + (way[1][:, None] * front)[:, None, :, None]
        + (way[0][:, None] * right)[:, None, None, :]
    )
    return source.sample_kji(points.reshape(3, -1)).reshape(points.shape[1:])


def _upright_basis(column):
    """Right, front and up of the column as a whole, shape (3, 3).

    Leaning forward is left as it is up to 15 degrees: that is lordosis.
    """
    body = column.body
    third = max(1, len(body) // 3)
    up = body[:third].mean(axis=0) - body[-third:].mean(axis=0)
    if np.linalg.norm(up) < 20 or up[2] <= 0:
        up = np.array([0.0, 0.0, 1.0])
    limit = 0.27 * up[2]
    up[1] -= np.clip(up[1], -limit, limit)
    up[0] = np.clip(up[0], -0.5 * up[2], 0.5 * up[2])
    up /= np.linalg.norm(up)
    front = np.median(body - column.canal, axis=0) * 0.5 + (body - column.canal).mean(axis=0)
    front[0] = np.clip(front[0], -0.5 * abs(front[1]), 0.5 * abs(front[1]))
    front -= (front @ up) * up
    front /= max(np.linalg.norm(front), 1e-6)
    return np.stack([np.cross(front, up), front, up])


def _shifts(array, reach_a, reach_r):
    """A function (a, r) giving views out[., y, x] = array[., y + a, x + r]; edges repeat."""
    padded = np.pad(array, ((0, 0), (reach_a, reach_a), (reach_r, reach_r)), mode="edge")
    _, rows, columns = array.shape

    def at(a, r):
        return padded[:, reach_a + a : reach_a + a + rows, reach_r + r : reach_r + r + columns]

    return at


def column_score(bone: np.ndarray, spacing: int = STEP):
    """How much each point looks like the middle of a vertebral body.

    Every measure is a mean over a box of the bone map, itself averaged over
    27 mm along S so that discs and pedicles even out.

    Returns
    -------
    score : ndarray, shape (S / spacing, A, R), float32
    canal_of : callable (s, a, r) -> (int, int)
        Which of `CANALS` fits best behind the body at one point.
    """
    leans = [_score_at(_mean_along(bone, slope, spacing)) for slope in SLOPES]
    score = np.maximum(*(lean for lean, _ in leans))

    def canal_of(s, a, r):
        return max(leans, key=lambda lean: lean[0][s, a, r])[1](s, a, r)

    return score, canal_of


SLOPES = (0.0, 0.6)
"""Forward lean of the bodies along which planes are averaged: none, and L5's."""


def _mean_along(bone, slope, spacing, half=4):
    """Mean over 2 half + 1 planes, each moved along A by slope, every `spacing` planes."""
    nodes = np.arange(0, len(bone), spacing)
    total = np.zeros((len(nodes), *bone.shape[1:]), np.float32)
    for step in range(-half, half + 1):
        planes = bone[np.clip(nodes + step, 0, len(bone) - 1)]
        move = int(round(slope * step))
        if move > 0:
            total[:, :-move] += planes[:, move:]
        elif move < 0:
            total[:, -move:] += planes[:, :move]
        else:
            total += planes
    return total / (2 * half + 1)


def _score_at(mean):
    def box(a, r):
        return ndimage.uniform_filter1d(
            ndimage.uniform_filter1d(mean, a, axis=1, mode="nearest"), r, axis=2, mode="nearest"
        )

    body = box(8, 11)
    canal, arch = 0.9 * box(3, 5), 0.65 * np.minimum(box(5, 9), 0.5)
    side, front = box(9, 4), box(3, 9)
    arch_at, canal_at = _shifts(arch, 15, 3), _shifts(canal, 10, 2)

    def behind(a, r):
        return arch_at(a - 5, int(round(1.5 * r))), canal_at(a, r)

    best = np.full(body.shape, -np.inf, np.float32)
    value = np.empty_like(best)
    for a, r in CANALS:
        np.subtract(*behind(a, r), out=value)
        np.maximum(best, value, out=best)
    # A body weak in bone must not lose against an aorta full of contrast.
    best += np.minimum(body, 0.4)
    side_at = _shifts(side, 0, 10)
    best -= 0.3 * (side_at(0, 10) + side_at(0, -10))
    best -= 0.15 * _shifts(front, 8, 0)(8, 0)

    # Which one it was is asked for few points: to note it for all took longest.
    def canal_of(*point):
        return max(CANALS, key=lambda c: np.subtract(*(v[point] for v in behind(*c))))

    return best, canal_of


CANALS = tuple((a, r) for a in (-7, -8, -9, -10) for r in (-2, 0, 2))
"""Canal centre behind the body's centre, in grid steps along A and R."""


def trace_column(
    grid: Grid,
    bone: np.ndarray,
    base: float = 0.22,
    avoid: list | None = None,
    every: int = 1,
) -> Column | None:
    """The best chain of body centres through the planes, from head to feet.

    Parameters
    ----------
    grid : Grid
    bone : ndarray
        `bone_map` of the grid.
    base : float
        Score below which a plane speaks against a spine: the chain starts and
        ends where its sum is largest.
    avoid : list of Column, optional
        Earlier answers that turned out to be none; 20 mm around them is left out: an
        aorta lies as near to the spine as 26 mm.
    every : int
        Nodes are this many times as far apart, which is as much quicker; the
        measures are means over 27 mm all the same, and the chain may bend as much.

    Returns
    -------
    Column or None
        None where nothing looks like a spine.
    """
    score, canal_of = column_score(bone, STEP * every)
    lattice = np.array([STEP * every, 1, 1])
    gain = score - base
    for other in avoid or ():
        for s, a, r in grid.index(other.body) / lattice:
            plane = int(round(s))
            if 0 <= plane < len(gain):
                rows, columns = np.ogrid[: gain.shape[1], : gain.shape[2]]
                gain[plane][np.hypot(rows - a, columns - r) < 20.0 / grid.spacing_mm] = -1.0
    bends = [(a, r) for a in range(-2, 3) for r in (-1, 0, 1)]
    cost = np.array([0.012 * a * a + 0.05 * r * r for a, r in bends], np.float32)
    moves = [(every * a, every * r) for a, r in bends]
    reach, beside = 2 * every, every
    _, h, w = gain.shape
    # A rim nothing can come from; `total[s]` is the best chain's sum that ends at each point.
    total = np.full((len(gain), h + 2 * reach, w + 2 * beside), -np.inf, np.float32)
    inner = total[:, reach:-reach, beside:-beside]
    inner[0] = gain[0]
    value = np.empty((h, w), np.float32)
    for s in range(1, len(gain)):
        best = np.zeros((h, w), np.float32)  # or else a chain begins here
        for (a, r), price in zip(moves, cost, strict=True):
            before = total[s - 1, reach + a : reach + a + h, beside + r : beside + r + w]
            np.subtract(before, price, out=value)
            np.maximum(best, value, out=best)
        np.add(gain[s], best, out=inner[s])
    s, a, r = (int(i) for i in np.unravel_index(int(inner.argmax()), inner.shape))
    if not np.isfinite(inner[s, a, r]) or inner[s, a, r] <= 0:
        return None
    index, shift, worth = [], [], []
    while True:
        index.append((s, a, r))
        shift.append((0, *canal_of(s, a, r)))
        worth.append(score[s, a, r])
        if s == 0:
            break
        before = [total[s - 1, reach + a + y, beside + r + x] for y, x in moves] - cost
        move = int(before.argmax())
        if before[move] <= 0:
            break
        s, a, r = s - 1, a + moves[move][0], r + moves[move][1]
    # Planes count from the feet, so that the chain's end is its head.
    index = np.array(index, float) * lattice
    return Column(grid.ras(index), grid.ras(index + shift), np.array(worth, float))
