"""Tracing the spinal column: body in front, canal behind it, arch behind the canal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from ..volume import AIR_HU, CTVolume
from .bone import bone_map
from .grid import Grid
from .settings import FIRM, GRID_MM, SETTINGS, BoneKind, ColumnSettings, SpineSettings

CanalOf = Callable[[int, int, int], tuple[int, int]]
Point = tuple[int, int, int]
FRONT = np.array([0.0, 1.0, 0.0])
"""The patient's front, RAS."""


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

    def __len__(self) -> int:
        return len(self.body)

    def part(self, keep: np.ndarray) -> Column:
        """The nodes of a mask or slice."""
        return Column(self.body[keep], self.canal[keep], self.score[keep])

    def turned(self, basis: np.ndarray) -> Column:
        """The column with its points multiplied by a matrix, shape (3, 3)."""
        return Column(self.body @ basis, self.canal @ basis, self.score)

    def facing_front(self) -> Column:
        """The same line with each canal as far away, but straight behind: no vertebra turned."""
        away = np.linalg.norm(self.canal - self.body, axis=1)
        return Column(self.body, self.body - away[:, None] * FRONT, self.score)


def joined(above: Column, below: Column, least: int) -> Column | None:
    """Two columns as one; None where either has fewer than `least` nodes."""
    if len(above) < least or len(below) < least:
        return None
    return Column(
        np.concatenate([above.body, below.body]),
        np.concatenate([above.canal, below.canal]),
        np.concatenate([above.score, below.score]),
    )


def refine_column(
    reduced: CTVolume,
    column: Column,
    tissue_hu: float,
    kind: BoneKind = FIRM,
    avoid: Sequence[Column] = (),
    settings: SpineSettings = SETTINGS,
    keep: Column | None = None,
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
    tissue_hu : float
        HU of muscle in this CT.
    kind : BoneKind
        How bone is told.
    avoid : sequence of Column
        Of `trace_column`.
    settings : SpineSettings
    keep : Column, optional
        Of `trace_column`.
    """
    given = settings.refine
    for _ in range(given.rounds):
        basis = _upright_basis(column, settings)  # rows: right, front, up
        local = column.body @ basis.T
        low = local.min(axis=0) - (given.side_mm, given.behind_mm, given.end_mm)
        high = local.max(axis=0) + (given.side_mm, given.front_mm, given.end_mm)
        low[2] -= given.below_mm
        low[1] -= given.further_behind_mm
        count = np.maximum(3, np.floor((high - low) / GRID_MM).astype(int))
        hu = _turned_box(reduced, basis, low, count)
        outside = ~np.isfinite(hu)
        hu[outside] = AIR_HU
        used = np.flatnonzero(outside.mean(axis=(1, 2)) < given.max_outside)
        if len(used) < given.min_planes:
            return column
        start, stop = int(used[0]), int(used[-1]) + 1
        low = low + (0.0, 0.0, start * GRID_MM)
        box = Grid(hu[start:stop], outside[start:stop], low)
        seen = [other.turned(basis.T) for other in avoid]
        bone = bone_map(box.hu, kind.level_hu(tissue_hu), kind.gain, settings.bone)
        sure = None if keep is None else keep.turned(basis.T)
        found = trace_column(
            box, bone, kind.min_score, seen, settings=settings.column, keep=sure, filled=kind.filled
        )
        if found is None or len(found) < given.min_nodes:
            return column
        column = found.turned(basis)
        if np.abs(_upright_basis(column, settings) - basis).max() < given.settled:
            break
    return column


def _turned_box(
    source: CTVolume, basis: np.ndarray, low: np.ndarray, count: np.ndarray
) -> np.ndarray:
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
    hu: np.ndarray = source.sample_kji(points.reshape(3, -1)).reshape(points.shape[1:])
    return hu


def _upright_basis(column: Column, settings: SpineSettings) -> np.ndarray:
    """Right, front and up of the column as a whole, shape (3, 3).

    Leaning forward is left as it is up to 15 degrees: that is lordosis.
    """
    given = settings.refine
    body = column.body
    third = max(1, len(body) // 3)
    up = body[:third].mean(axis=0) - body[-third:].mean(axis=0)
    if np.linalg.norm(up) < given.min_length_mm or up[2] <= 0:
        up = np.array([0.0, 0.0, 1.0])
    limit = given.max_lean * up[2]
    up[1] -= np.clip(up[1], -limit, limit)
    up[0] = np.clip(up[0], -given.max_tilt * up[2], given.max_tilt * up[2])
    up /= np.linalg.norm(up)
    # The mean alone would follow a few nodes off the spine.
    front = np.median(body - column.canal, axis=0) * 0.5 + (body - column.canal).mean(axis=0)
    limit = given.max_tilt * abs(front[1])
    front[0] = np.clip(front[0], -limit, limit)
    front -= (front @ up) * up
    front /= max(np.linalg.norm(front), 1e-6)
    return np.stack([np.cross(front, up), front, up])


def _shifts(array: np.ndarray, reach_a: int, reach_r: int) -> Callable[[int, int], np.ndarray]:
    """A function (a, r) giving views out[., y, x] = array[., y + a, x + r]; edges repeat."""
    padded = np.pad(array, ((0, 0), (reach_a, reach_a), (reach_r, reach_r)), mode="edge")
    _, rows, columns = array.shape

    def at(a: int, r: int) -> np.ndarray:
        return padded[:, reach_a + a : reach_a + a + rows, reach_r + r : reach_r + r + columns]

    return at


def column_score(
    bone: np.ndarray,
    spacing: int = SETTINGS.column.node_step,
    settings: ColumnSettings = SETTINGS.column,
    *,
    filled: bool = False,
) -> tuple[np.ndarray, CanalOf]:
    """How much each point looks like the middle of a vertebral body.

    Every measure is a mean over a box of the bone map, itself averaged over
    27 mm along S so that discs and pedicles even out.

    Parameters
    ----------
    bone : ndarray, shape (S, A, R)
        `bone_map` of the grid.
    spacing : int
        Planes between two that are scored.
    settings : ColumnSettings
    filled : bool
        Whether the inside of hollow bodies is filled first.

    Returns
    -------
    score : ndarray, shape (S / spacing, A, R), float32
    canal_of : callable (s, a, r) -> (int, int)
        Which of the settings' canals fits best behind the body at one point.
    """
    means = [_mean_along(bone, slope, spacing, settings.half_planes) for slope in settings.slopes]
    if filled:
        means = [fill_hollow(mean, settings) for mean in means]
        settings = replace(settings, body=settings.hollow_body, max_body=settings.max_hollow)
    leans = [_score_at(mean, settings) for mean in means]
    score: np.ndarray = np.maximum(*(lean for lean, _ in leans))

    def canal_of(s: int, a: int, r: int) -> tuple[int, int]:
        return max(leans, key=lambda lean: float(lean[0][s, a, r]))[1](s, a, r)

    return score, canal_of


def _mean_along(bone: np.ndarray, slope: float, spacing: int, half: int) -> np.ndarray:
    """Mean over 2 half + 1 planes, each moved along A by slope, every `spacing` planes."""
    nodes = np.arange(0, len(bone), spacing)
    total: np.ndarray = np.zeros((len(nodes), *bone.shape[1:]), np.float32)
    for step in range(-half, half + 1):
        planes = bone[np.clip(nodes + step, 0, len(bone) - 1)]
        move = int(round(slope * step))
        if move > 0:
            total[:, :-move] += planes[:, move:]
        elif move < 0:
            total[:, -move:] += planes[:, :move]
        else:
            total += planes
    total /= 2 * half + 1
    return total


def fill_hollow(mean: np.ndarray, given: ColumnSettings = SETTINGS.column) -> np.ndarray:
    """Averaged planes with the inside of hollow bodies as bright as the walls around it.

    Where marrow is darker than muscle, a body looks like a canal, and what lies in front of it,
    an aorta or a muscle full of contrast agent, like its body. A canal stays as it is: it is the
    smaller hole.

    Parameters
    ----------
    mean : ndarray, shape (s, a, r)
        Bone map averaged along the spine, so that walls go on from plane to plane.
    given : ColumnSettings
    """
    closed = ndimage.grey_closing(mean, size=(1, *given.hollow))
    inside = ndimage.grey_opening(closed - mean, size=(1, *given.hole))
    out: np.ndarray = mean + inside
    return out


def _score_at(mean: np.ndarray, given: ColumnSettings) -> tuple[np.ndarray, CanalOf]:
    """Score of every point of averaged planes, and which canal it is for one of them."""

    def box(size: tuple[int, int]) -> np.ndarray:
        along_a = ndimage.uniform_filter1d(mean, size[0], axis=1, mode="nearest")
        out: np.ndarray = ndimage.uniform_filter1d(along_a, size[1], axis=2, mode="nearest")
        return out

    canals = given.canals
    body = box(given.body)
    canal = given.canal_weight * box(given.canal)
    arch = given.arch_weight * np.minimum(box(given.arch), given.max_arch)
    beside, before = box(given.beside), box(given.before)
    back = max(-a for a, _ in canals)
    aside = max(abs(r) for _, r in canals)
    arch_at = _shifts(arch, back + given.arch_behind_canal, int(round(given.turn * aside)))
    canal_at = _shifts(canal, back, aside)

    def behind(a: int, r: int) -> tuple[np.ndarray, np.ndarray]:
        return arch_at(a - given.arch_behind_canal, int(round(given.turn * r))), canal_at(a, r)

    best = np.full(body.shape, -np.inf, np.float32)
    value = np.empty_like(best)
    for a, r in canals:
        np.subtract(*behind(a, r), out=value)
        np.maximum(best, value, out=best)
    best += np.minimum(body, given.max_body)
    side_at = _shifts(beside, 0, given.side_steps)
    best -= given.side_weight * (side_at(0, given.side_steps) + side_at(0, -given.side_steps))
    best -= given.front_weight * _shifts(before, given.front_steps, 0)(given.front_steps, 0)

    # Which one it was is asked for few points: to note it for all took longest.
    def canal_of(s: int, a: int, r: int) -> tuple[int, int]:
        return max(canals, key=lambda c: float(np.subtract(*(v[s, a, r] for v in behind(*c)))))

    return best, canal_of


def trace_column(
    grid: Grid,
    bone: np.ndarray,
    min_score: float = FIRM.min_score,
    avoid: Sequence[Column] = (),
    every: int = 1,
    settings: ColumnSettings = SETTINGS.column,
    keep: Column | None = None,
    *,
    filled: bool = False,
) -> Column | None:
    """The best chain of body centres through the planes, from head to feet.

    Parameters
    ----------
    grid : Grid
    bone : ndarray
        `bone_map` of the grid.
    min_score : float
        Score below which a plane speaks against a spine: the chain starts and
        ends where its sum is largest.
    avoid : sequence of Column
        Earlier answers that turned out to be none: what is near them is left out.
    every : int
        Nodes are this many times as far apart, which is as much quicker; the
        measures are means over 27 mm all the same, and the chain may bend as much.
    settings : ColumnSettings
    keep : Column, optional
        Known to be right: as far as it goes the chain keeps to it.
    filled : bool
        Of `column_score`.

    Returns
    -------
    Column or None
        None where nothing looks like a spine.
    """
    spacing = settings.node_step * every
    score, canal_of = column_score(bone, spacing, settings, filled=filled)
    lattice = np.array([spacing, 1, 1])
    gain = score - min_score
    for other in avoid:
        _leave_out(gain, grid.index(other.body) / lattice, settings.avoid_mm / grid.spacing_mm)
    if keep is not None:
        _keep_to(gain, grid.index(keep.body) / lattice, settings.keep_mm / grid.spacing_mm)
    index = _best_chain(gain, every, settings)
    if not index:
        return None
    shift = [(0, *canal_of(*point)) for point in index]
    worth = [score[point] for point in index]
    # Planes count from the feet, so that the chain's end is its head.
    at = np.array(index, float) * lattice
    return Column(grid.ras(at), grid.ras(at + shift), np.array(worth, float))


def _leave_out(gain: np.ndarray, line: np.ndarray, radius: float) -> None:
    """Make what lies within `radius` steps of a line, shape (n, 3), worthless."""
    rows, columns = np.ogrid[: gain.shape[1], : gain.shape[2]]
    for s, a, r in line:
        plane = int(round(s))
        if 0 <= plane < len(gain):
            gain[plane][np.hypot(rows - a, columns - r) < radius] = -1.0


def _keep_to(gain: np.ndarray, line: np.ndarray, radius: float) -> None:
    """Make what lies further than `radius` steps from a line worthless, as far as it goes."""
    rows, columns = np.ogrid[: gain.shape[1], : gain.shape[2]]
    s, a, r = line[np.argsort(line[:, 0])].T
    for plane in range(max(0, int(np.ceil(s[0]))), min(len(gain), int(s[-1]) + 1)):
        at = np.interp(plane, s, a), np.interp(plane, s, r)
        gain[plane][np.hypot(rows - at[0], columns - at[1]) > radius] = -1.0


def _best_chain(gain: np.ndarray, every: int, settings: ColumnSettings) -> list[Point]:
    """Points of the best chain, the uppermost first; empty where none is worth anything."""
    ahead, aside = settings.max_bend_ahead, settings.max_bend_aside
    bends = [(a, r) for a in range(-ahead, ahead + 1) for r in range(-aside, aside + 1)]
    by_a, by_r = settings.bend_ahead_cost, settings.bend_aside_cost
    cost = np.array([by_a * a * a + by_r * r * r for a, r in bends], np.float32)
    moves = [(every * a, every * r) for a, r in bends]
    reach, beside = ahead * every, aside * every
    _, h, w = gain.shape
    # A rim nothing can come from; `total[s]` is the best chain's sum that ends at each point.
    total = np.full((len(gain), h + 2 * reach, w + 2 * beside), -np.inf, np.float32)
    inner = total[:, reach:-reach, beside:-beside]
    inner[0] = gain[0]
    value = np.empty((h, w), np.float32)
    for s in range(1, len(gain)):
        best = np.zeros((h, w), np.float32)  # or else a chain begins here
        for (a, r), price in zip(moves, cost, strict=True):
            above = total[s - 1, reach + a : reach + a + h, beside + r : beside + r + w]
            np.subtract(above, price, out=value)
            np.maximum(best, value, out=best)
        np.add(gain[s], best, out=inner[s])
    s, a, r = (int(i) for i in np.unravel_index(int(inner.argmax()), inner.shape))
    if not np.isfinite(inner[s, a, r]) or inner[s, a, r] <= 0:
        return []
    index = [(s, a, r)]
    while s > 0:
        before = [total[s - 1, reach + a + y, beside + r + x] for y, x in moves] - cost
        move = int(before.argmax())
        if before[move] <= 0:
            break
        s, a, r = s - 1, a + moves[move][0], r + moves[move][1]
        index.append((s, a, r))
    return index
