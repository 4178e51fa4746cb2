"""A coarse RAS copy of a CT, small enough to search and cheap to make."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .errors import Cancelled
from .volume import AIR_HU, CTVolume

GRID_MM = 3.0
"""Spacing of the search grid: discs are 6-14 mm thick, ribs 8-12 mm."""


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

    def index(self, ras) -> np.ndarray:
        """Continuous (s, a, r) index of RAS points, shape (..., 3)."""
        return ((np.asarray(ras, float) - self.origin) / self.spacing_mm)[..., ::-1]

    def ras(self, index) -> np.ndarray:
        """RAS mm of continuous (s, a, r) indices, shape (..., 3)."""
        return np.asarray(index, float)[..., ::-1] * self.spacing_mm + self.origin

    def sample(self, ras, fill: float = np.nan) -> np.ndarray:
        """HU at RAS points by linear interpolation, shape (...); `fill` outside the CT."""
        points = np.asarray(self.index(ras), np.float32)
        return self.sample_kji(points.reshape(-1, 3).T, fill).reshape(points.shape[:-1])

    def sample_kji(self, points, fill: float = np.nan) -> np.ndarray:
        """HU at continuous (s, a, r) indices; `points` shape (3, N), answer (N,)."""
        values = ndimage.map_coordinates(
            self.hu, points, order=1, mode="nearest", output=np.float32
        )
        bad = np.zeros(values.shape, bool)
        for row, size in zip(points, self.hu.shape, strict=True):
            bad |= (row < -0.5) | (row > size - 0.5)
        if self.outside.any():
            top = np.array(self.hu.shape)[:, None] - 1
            near = np.clip(np.rint(points).astype(np.intp), 0, top)
            bad |= self.outside[tuple(near)]
        values[bad] = fill
        return values

    @property
    def kji_of_ras(self) -> tuple[np.ndarray, np.ndarray]:
        """Matrix (3, 3) and offset (3,) that take RAS mm to indices s, a, r."""
        matrix = np.eye(3)[::-1] / self.spacing_mm
        return matrix, -matrix @ self.origin


def block_mean(hu, factors, should_cancel=None) -> np.ndarray:
    """Mean over blocks of voxels, a few slices at a time.

    Parameters
    ----------
    hu : ndarray, shape (K, J, I)
    factors : tuple of int
        Voxels a block along k, j, i.

    Returns
    -------
    ndarray, shape (K // fk, J // fj, I // fi) at least 1 each, float32
        Values clipped to -1000..2000 HU before averaging, so that padding of
        -2000 or metal does not spread. What does not fill a block is left out.
    """
    fk, fj, fi = factors
    nk, nj, ni = (max(1, n // f) for n, f in zip(hu.shape, factors, strict=True))
    out = np.empty((nk, nj, ni), np.float32)
    for k in range(nk):
        if should_cancel is not None and k % 16 == 0 and should_cancel():
            raise Cancelled
        part = hu[k * fk : (k + 1) * fk, : nj * fj, : ni * fi]
        if np.issubdtype(hu.dtype, np.signedinteger):
            part = np.clip(part, int(AIR_HU), 2000)
            # 16 bits hold the sum of up to 16 voxels, and are added twice as fast.
            kind = np.int16 if hu.dtype == np.int16 and fk * fj * fi <= 16 else np.int32
        else:
            part = part.astype(np.float32, copy=False)
            part = np.nan_to_num(part, nan=AIR_HU, posinf=2000.0, neginf=AIR_HU)
            part = np.clip(part, AIR_HU, 2000.0)
            kind = np.float32
        # Whole rows are added before columns: they lie together in memory, and
        # it is the only pass over every voxel.
        rows = np.zeros((nj, ni * fi), kind)
        for plane in part.reshape(len(part), nj, fj, ni * fi):
            for row in range(fj):
                rows += plane[:, row]
        total = rows[:, ::fi].astype(np.float32)
        for column in range(1, fi):
            total += rows[:, column::fi]
        out[k] = total / (len(part) * fj * fi)
    return out


def make_grid(volume: CTVolume, spacing_mm: float = GRID_MM, should_cancel=None) -> Grid:
    """Average and resample a CT onto a coarse grid along R, A and S.

    Parameters
    ----------
    volume : CTVolume
        Any storage order and direction.
    spacing_mm : float

    Returns
    -------
    Grid
    """
    spacing = volume.spacing_mm  # i, j, k
    factor = np.maximum(1, np.rint(spacing_mm / spacing)).astype(int)
    factor = np.minimum(factor, volume.hu.shape[::-1])
    small = block_mean(volume.hu, tuple(int(f) for f in factor[::-1]), should_cancel)
    matrix = volume.ijk_to_ras.copy()
    matrix[:3, 3] += matrix[:3, :3] @ ((factor - 1) / 2)
    matrix[:3, :3] *= factor

    size = np.array(small.shape[::-1])
    corners = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)]) * (size - 1)
    ras = corners @ matrix[:3, :3].T + matrix[:3, 3]
    low, high = ras.min(axis=0), ras.max(axis=0)
    count = np.maximum(1, np.floor((high - low) / spacing_mm + 1e-6).astype(int) + 1)
    # output (s, a, r) -> input (k, j, i)
    inverse = np.linalg.inv(matrix)
    to_kji = (inverse[:3, :3] * spacing_mm)[::-1, ::-1]
    offset = (inverse[:3, :3] @ low + inverse[:3, 3])[::-1]
    shape = tuple(int(n) for n in count[::-1])
    if np.count_nonzero(np.abs(to_kji) > 1e-6) == 3 and np.allclose(
        np.abs(to_kji).max(axis=0), 1, atol=1e-6
    ):
        # Same spacing, axes along the patient: turn the array, copy nothing twice.
        order = np.abs(to_kji).argmax(axis=0)
        hu = np.ascontiguousarray(
            np.flip(small.transpose(order), [a for a in range(3) if to_kji[order[a], a] < 0])
        )[: shape[0], : shape[1], : shape[2]]
        return Grid(hu, np.zeros(hu.shape, bool), low, spacing_mm)
    if np.count_nonzero(np.abs(to_kji) * max(shape) > 0.05) == 3:
        # Axes along the patient: one axis after another is several times faster.
        return _along_axes(small, to_kji, offset, shape, low, spacing_mm)
    hu = ndimage.affine_transform(
        small, to_kji, offset, output_shape=shape, order=1, mode="nearest"
    )
    axes = [np.arange(n, dtype=np.float32) for n in shape]
    outside = np.zeros(shape, bool)
    for row in range(3):
        position = (
            to_kji[row, 0] * axes[0][:, None, None]
            + to_kji[row, 1] * axes[1][None, :, None]
            + to_kji[row, 2] * axes[2][None, None, :]
            + offset[row]
        )
        outside |= (position < -0.51) | (position > small.shape[row] - 0.49)
    hu[outside] = AIR_HU
    return Grid(hu, outside, low, spacing_mm)


def _along_axes(small, to_kji, offset, shape, low, spacing_mm):
    """Linear interpolation where each grid axis runs along one axis of `small`."""
    order = np.abs(to_kji).argmax(axis=0)
    hu = small.transpose(order)
    outside = np.zeros(shape, bool)
    for axis in range(3):
        n = hu.shape[axis]
        row = order[axis]
        position = to_kji[row, axis] * np.arange(shape[axis]) + offset[row]
        beyond = (position < -0.51) | (position > n - 0.49)
        position = np.clip(position, 0, n - 1)
        first = np.minimum(position.astype(int), max(n - 2, 0))
        along = tuple(-1 if a == axis else 1 for a in range(3))
        weight = (position - first).astype(np.float32).reshape(along)
        hu_first = hu.take(first, axis=axis)
        hu = hu.take(np.minimum(first + 1, n - 1), axis=axis)
        hu -= hu_first
        hu *= weight
        hu += hu_first
        outside |= beyond.reshape(along)
    hu[outside] = AIR_HU
    return Grid(hu, outside, low, spacing_mm)


SIDE_MM, FRONT_MM, BEHIND_MM = 111.0, 60.0, 15.0


def central(grid: Grid) -> Grid:
    """The part of a wide grid where the spine of a person lies: the middle and the back.

    Wide enough for a spine that leans by 20 degrees over 400 mm. Whoever finds
    nothing here must look in the whole grid.
    """
    soft = grid.hu[::4, ::2, ::2] > -300.0
    if not soft.any():
        return grid
    rows, columns = (np.cumsum(soft.sum(axis=axes)) for axes in ((0, 2), (0, 1)))
    middle_a, middle_r = (2 * int(np.searchsorted(c, c[-1] / 2)) for c in (rows, columns))
    back = 2 * int(np.searchsorted(rows, 0.01 * rows[-1]))
    step = grid.spacing_mm
    a = slice(max(0, back - int(BEHIND_MM / step)), middle_a + int(FRONT_MM / step))
    r = slice(max(0, middle_r - int(SIDE_MM / step)), middle_r + int(SIDE_MM / step))
    origin = grid.origin + np.array([r.start, a.start, 0]) * step
    return Grid(grid.hu[:, a, r], grid.outside[:, a, r], origin, step)


def noise_level(grid: Grid) -> float:
    """Standard deviation of the noise in soft tissue, HU, from neighbours along R."""
    hu = grid.hu[:: max(1, len(grid.hu) // 40)]
    left, right = hu[:, :, :-1], hu[:, :, 1:]
    soft = (left > -60) & (left < 140) & (right > -60) & (right < 140)
    if np.count_nonzero(soft) < 500:
        return 0.0
    return float(np.median(np.abs(right - left)[soft]) / 0.954)


def quieter(grid: Grid, noise_hu: float) -> Grid:
    """The grid smoothed as far as its noise asks for; the same grid where it is quiet."""
    if noise_hu < 14.0:
        return grid
    sigma = 0.6 if noise_hu < 28.0 else 0.9
    hu = ndimage.gaussian_filter(grid.hu, sigma)
    return Grid(hu, grid.outside, grid.origin, grid.spacing_mm)
