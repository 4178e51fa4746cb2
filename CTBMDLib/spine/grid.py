"""Coarse copies of a CT, small enough to search and cheap to make.

`reduce_ct` averages blocks of voxels: the CT in its own axes, at about 3 mm.
`make_grid` lays as much of that as is asked for along R, A and S.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..progress import Progress
from ..volume import AIR_HU, CTVolume
from .settings import GRID_MM, SETTINGS, GridSettings

EDGE = 0.01
"""Voxels by which a point may lie outside the outermost voxels' edges: rounding."""


@dataclass(frozen=True)
class Grid:
    """HU on an isotropic grid along patient axes.

    Attributes
    ----------
    hu : ndarray, shape (S, A, R), float32
        HU; `outside` voxels hold -1000.
    outside : ndarray, shape (S, A, R), bool
        Voxels the CT does not cover.
    origin : ndarray, shape (3,)
        RAS mm of voxel [0, 0, 0].
    spacing_mm : float
    """

    hu: np.ndarray
    outside: np.ndarray
    origin: np.ndarray
    spacing_mm: float = GRID_MM

    def index(self, ras: np.ndarray) -> np.ndarray:
        """Continuous (s, a, r) index of RAS points, shape (..., 3)."""
        index: np.ndarray = (np.asarray(ras, float) - self.origin) / self.spacing_mm
        return index[..., ::-1]

    def ras(self, index: np.ndarray) -> np.ndarray:
        """RAS mm of continuous (s, a, r) indices, shape (..., 3)."""
        ras: np.ndarray = np.asarray(index, float)[..., ::-1] * self.spacing_mm + self.origin
        return ras


def block_mean(
    hu: np.ndarray,
    factors: tuple[int, int, int],
    progress: Progress | None = None,
    settings: GridSettings = SETTINGS.grid,
) -> np.ndarray:
    """Mean over blocks of voxels, a few slices at a time.

    Parameters
    ----------
    hu : ndarray, shape (K, J, I)
    factors : tuple of int
        Voxels a block along k, j, i.
    progress : Progress, optional
        Asked whether to go on.
    settings : GridSettings

    Returns
    -------
    ndarray, shape (K // fk, J // fj, I // fi) at least 1 each, float32
        Values clipped to -1000..2000 HU before averaging, so that padding of
        -2000 or metal does not spread. What does not fill a block is left out.

    Raises
    ------
    Cancelled
    """
    fk, fj, fi = factors
    nk, nj, ni = (max(1, n // f) for n, f in zip(hu.shape, factors, strict=True))
    out = np.empty((nk, nj, ni), np.float32)

    # Fresh memory for every slice would take longer than the sums.
    clipped = np.empty((fk, nj * fj, ni * fi), hu.dtype)
    for k in range(nk):
        if progress is not None and k % settings.cancel_every == 0:
            progress.check()
        part = hu[k * fk : (k + 1) * fk, : nj * fj, : ni * fi]
        out[k] = _plane_mean(part, fj, fi, clipped, settings.max_hu)
    return out


def _plane_mean(
    part: np.ndarray, fj: int, fi: int, clipped: np.ndarray, max_hu: float
) -> np.ndarray:
    """Mean of a few slices over blocks of fj rows and fi columns; `clipped` is room to work in."""
    nk, nj, width = len(part), part.shape[1] // fj, part.shape[2]
    if np.issubdtype(part.dtype, np.signedinteger):
        # 16 bits hold the sum of up to 16 voxels, and are added twice as fast.
        few = part.dtype == np.int16 and nk * fj * fi <= 16
        kind = np.dtype(np.int16 if few else np.int32)
        part = np.clip(part, int(AIR_HU), int(max_hu), out=clipped[:nk])
    else:
        kind = np.dtype(np.float32)
        part = part.astype(np.float32, copy=False)
        part = np.nan_to_num(part, nan=AIR_HU, posinf=max_hu, neginf=AIR_HU)
        part = np.clip(part, AIR_HU, max_hu)
    # Whole rows are added before columns: they lie together in memory, and
    # it is the only pass over every voxel.
    rows = np.zeros((nj, width), kind)
    for plane in part.reshape(nk, nj, fj, width):
        for row in range(fj):
            rows += plane[:, row]
    total: np.ndarray = rows[:, ::fi].astype(np.float32)
    for column in range(1, fi):
        total += rows[:, column::fi]
    total /= nk * fj * fi
    return total


def reduce_ct(
    volume: CTVolume,
    spacing_mm: float = GRID_MM,
    progress: Progress | None = None,
    settings: GridSettings = SETTINGS.grid,
) -> CTVolume:
    """The CT averaged over blocks of about `spacing_mm`, its axes as they are stored.

    Parameters
    ----------
    volume : CTVolume
        Any storage order and direction.
    spacing_mm : float
    progress : Progress, optional
        Asked whether to go on.
    settings : GridSettings

    Returns
    -------
    CTVolume
        float32; a slice thicker than `spacing_mm` stays one slice.

    Raises
    ------
    Cancelled
    """
    factor = np.maximum(1, np.rint(spacing_mm / volume.spacing_mm)).astype(int)  # i, j, k
    factor = np.minimum(factor, volume.hu.shape[::-1])
    fi, fj, fk = (int(f) for f in factor)
    small = block_mean(volume.hu, (fk, fj, fi), progress, settings)
    matrix = volume.ijk_to_ras.copy()
    matrix[:3, 3] += matrix[:3, :3] @ ((factor - 1) / 2)
    matrix[:3, :3] *= factor
    return CTVolume(small, matrix)


def make_grid(volume: CTVolume, box: np.ndarray | None = None, spacing_mm: float = GRID_MM) -> Grid:
    """Interpolate a CT on a grid along R, A and S.

    Parameters
    ----------
    volume : CTVolume
        Best a reduced one (`reduce_ct`): what lies between two points of the grid is not seen.
    box : array_like, shape (3, 2), optional
        Lowest and highest R, A and S wanted, mm; all of the CT where None.
    spacing_mm : float
        Of the answer.

    Returns
    -------
    Grid
    """
    bounds = volume.ras_bounds
    low, high = bounds.T
    if box is not None:
        # On the lattice that the whole CT would have.
        low = low + spacing_mm * np.floor(np.maximum(np.asarray(box)[:, 0] - low, 0) / spacing_mm)
        high = np.clip(np.asarray(box)[:, 1], low, high)
    ns, na, nr = (int(n) for n in np.floor((high - low) / spacing_mm + 1e-6)[::-1] + 1)
    shape = ns, na, nr
    # output (s, a, r) -> input (k, j, i)
    to_kji, offset = volume.kji_of_ras
    offset = offset + to_kji @ low
    to_kji = to_kji[:, ::-1] * spacing_mm
    if np.count_nonzero(np.abs(to_kji) * max(shape) > 0.05) == 3:
        # Axes along the patient: one axis after another is several times faster.
        hu, outside = _along_axes(volume.hu, to_kji, offset, shape)
    else:
        hu = ndimage.affine_transform(
            volume.hu,
            to_kji,
            offset,
            output_shape=shape,
            output=np.float32,
            order=1,
            mode="nearest",
        )
        outside = np.zeros(shape, bool)
        axes = np.ogrid[tuple(slice(n) for n in shape)]
        for row, size in enumerate(volume.hu.shape):
            position = sum(to_kji[row, a] * axes[a].astype(np.float32) for a in range(3))
            position = position + np.float32(offset[row])
            outside |= _beyond(position, size)
    hu[outside] = AIR_HU
    return Grid(hu, outside, low, spacing_mm)


def _beyond(position: np.ndarray, size: int) -> np.ndarray:
    """Which positions lie outside an axis of `size` voxels, their edges included."""
    beyond: np.ndarray = (position < -0.5 - EDGE) | (position > size - 0.5 + EDGE)
    return beyond


def _along_axes(
    hu: np.ndarray, to_kji: np.ndarray, offset: np.ndarray, shape: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Linear interpolation where each grid axis runs along one axis of `hu`."""
    order = np.abs(to_kji).argmax(axis=0)
    hu = hu.transpose(order)
    outside = np.zeros(shape, bool)
    plan = []
    for axis, row in enumerate(order):
        n = hu.shape[axis]
        position = to_kji[row, axis] * np.arange(shape[axis]) + offset[row]
        along = tuple(-1 if a == axis else 1 for a in range(3))
        outside |= _beyond(position, n).reshape(along)
        position = np.clip(position, 0, n - 1)
        first = np.minimum(position.astype(int), max(n - 2, 0))
        weight = (position - first).astype(np.float32).reshape(along)
        # Only what this grid needs is carried through the other axes.
        start, stop = first.min(), min(first.max() + 2, n)
        plan.append((slice(start, stop), first - start, weight))
    hu = hu[tuple(part for part, _, _ in plan)]
    # The axis that loses most goes first, so that the others have less to do.
    for axis in np.argsort([shape[a] / hu.shape[a] for a in range(3)]):
        _, first, weight = plan[axis]
        lower = hu.take(first, axis=axis).astype(np.float32, copy=False)
        hu = hu.take(np.minimum(first + 1, hu.shape[axis] - 1), axis=axis)
        hu = hu.astype(np.float32, copy=False)
        hu -= lower
        hu *= weight
        hu += lower
    return hu, outside


def central_box(reduced: CTVolume, settings: GridSettings = SETTINGS.grid) -> np.ndarray | None:
    """Where the spine of a person lies in a wide CT: the middle and the back.

    Wide enough for a spine that leans by 20 degrees over 400 mm. Whoever finds
    nothing here must look everywhere.

    Returns
    -------
    ndarray, shape (3, 2), or None
        Lowest and highest R, A and S, mm; None where nothing but air is seen.
    """
    step = [max(1, n // settings.samples) for n in reduced.hu.shape]
    body = np.argwhere(reduced.hu[tuple(slice(None, None, s) for s in step)] > settings.body_hu)
    if not len(body):
        return None
    ras = reduced.ras_from_ijk((body * step)[:, ::-1])
    r, a = np.median(ras[:, 0]), np.median(ras[:, 1])
    back = np.percentile(ras[:, 1], settings.back_percent)
    box: np.ndarray = reduced.ras_bounds
    box[0] = r - settings.side_mm, r + settings.side_mm
    box[1] = back - settings.behind_mm, max(a, back) + settings.front_mm
    return box


def noise_level(grid: Grid, settings: GridSettings = SETTINGS.grid) -> float:
    """Standard deviation of the noise in soft tissue, HU, from neighbours along R."""
    hu = grid.hu[:: max(1, len(grid.hu) // settings.samples)]
    left, right = hu[:, :, :-1], hu[:, :, 1:]
    low, high = settings.soft_hu
    soft = (left > low) & (left < high) & (right > low) & (right < high)
    if np.count_nonzero(soft) < settings.min_noise_pairs:
        return 0.0
    return float(np.median(np.abs(right - left)[soft]) / settings.noise_factor)


def quieter(reduced: CTVolume, noise_hu: float, settings: GridSettings = SETTINGS.grid) -> CTVolume:
    """The CT smoothed as far as its noise asks for; the same CT where it is quiet."""
    if noise_hu < settings.noisy_hu:
        return reduced
    very = noise_hu >= settings.very_noisy_hu
    sigma_mm = settings.very_noisy_sigma_mm if very else settings.noisy_sigma_mm
    hu = ndimage.gaussian_filter(reduced.hu, sigma_mm / reduced.spacing_mm[::-1])
    return CTVolume(hu, reduced.ijk_to_ras)
