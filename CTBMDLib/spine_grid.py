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
        return _interpolate(self.hu, self.outside, self.index(ras), fill)


def _interpolate(array, outside, index, fill):
    points = np.asarray(index, np.float32)
    shape = points.shape[:-1]
    points = points.reshape(-1, 3).T
    values = ndimage.map_coordinates(array, points, order=1, mode="nearest", output=np.float32)
    near = np.rint(points).astype(np.intp)
    size = np.array(array.shape)[:, None]
    bad = np.any((near < 0) | (near >= size), axis=0)
    near = np.clip(near, 0, size - 1)
    bad |= outside[tuple(near)]
    values[bad] = fill
    return values.reshape(shape)


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
        # The slices of one block first, in the input's own type where that is
        # safe: it is the only pass over every voxel.
        total = np.zeros(part.shape[1:], np.float32)
        for plane in part:
            plane = plane.astype(np.float32, copy=False)
            if not np.issubdtype(hu.dtype, np.integer):
                plane = np.nan_to_num(plane, nan=AIR_HU, posinf=2000.0, neginf=AIR_HU)
            total += np.clip(plane, AIR_HU, 2000.0)
        total = np.add.reduceat(total, np.arange(0, nj * fj, fj), axis=0)
        total = np.add.reduceat(total, np.arange(0, ni * fi, fi), axis=1)
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
