"""Changed copies of a CT whose right answer is known: crops, turns, resampling, noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from CTBMDLib.volume import AIR_HU, CTVolume


def crop_s(volume: CTVolume, low: float, high: float) -> CTVolume:
    """The slices or rows between two S positions in mm."""
    axis = volume.axis_kji_of_ras[2]
    count = volume.hu.shape[axis]
    middle = (np.array(volume.hu.shape[::-1]) - 1) / 2
    ijk = np.repeat(middle[None], count, axis=0)
    ijk[:, 2 - axis] = np.arange(count)
    s = volume.ras_from_ijk(ijk)[:, 2]
    keep = np.flatnonzero((s >= low) & (s <= high))
    start, stop = keep[0], keep[-1] + 1
    index = [slice(None)] * 3
    index[axis] = slice(start, stop)
    matrix = volume.ijk_to_ras.copy()
    matrix[:3, 3] += matrix[:3, 2 - axis] * start
    return replace(volume, hu=volume.hu[tuple(index)], ijk_to_ras=matrix)


def restore(volume: CTVolume, order=(0, 1, 2), flip=(False, False, False)) -> CTVolume:
    """The same CT stored in another order and direction; patient positions stay."""
    hu = volume.hu
    matrix = volume.ijk_to_ras.copy()
    for axis in range(3):
        if flip[axis]:
            column = 2 - axis
            matrix[:3, 3] += matrix[:3, column] * (hu.shape[axis] - 1)
            matrix[:3, column] *= -1
            hu = np.flip(hu, axis)
    hu = hu.transpose(order)
    columns = [2 - order[2 - c] for c in range(3)]
    new = matrix.copy()
    new[:3, :3] = matrix[:3, columns]
    return replace(volume, hu=np.ascontiguousarray(hu), ijk_to_ras=new)


def respace(volume: CTVolume, axial_mm: float, in_plane_mm: float | None = None) -> CTVolume:
    """Resampled along S to slices of `axial_mm`, each the mean over its thickness."""
    axis = volume.axis_kji_of_ras[2]
    spacing = volume.spacing_mm[::-1]
    target = spacing.copy()
    target[axis] = axial_mm
    if in_plane_mm is not None:
        target[[a for a in range(3) if a != axis]] = in_plane_mm
    zoom = spacing / target
    hu = np.clip(volume.hu.astype(np.float32), -1024, 3000)
    sigma = [max(0.0, 0.35 * (1 / z - 1)) for z in zoom]
    hu = ndimage.gaussian_filter(hu, sigma)
    shape = [max(2, int(n * z)) for n, z in zip(hu.shape, zoom, strict=True)]
    out = ndimage.affine_transform(hu, 1 / zoom, output_shape=shape, order=1, mode="nearest")
    matrix = volume.ijk_to_ras.copy()
    matrix[:3, :3] /= zoom[::-1]
    return replace(volume, hu=out.astype(np.int16), ijk_to_ras=matrix)


def turn(volume: CTVolume, degrees: float, about: int, centre) -> tuple[CTVolume, np.ndarray]:
    """The patient turned about R (0), A (1) or S (2): only the geometry changes.

    Returns
    -------
    CTVolume
    ndarray, shape (4, 4)
        Maps old RAS to new RAS.
    """
    angle = np.deg2rad(degrees)
    a, b = [x for x in range(3) if x != about]
    rotation = np.eye(3)
    rotation[a, a] = rotation[b, b] = np.cos(angle)
    rotation[a, b], rotation[b, a] = -np.sin(angle), np.sin(angle)
    move = np.eye(4)
    move[:3, :3] = rotation
    move[:3, 3] = np.asarray(centre) - rotation @ np.asarray(centre)
    return replace(volume, ijk_to_ras=move @ volume.ijk_to_ras), move


def reslice(volume: CTVolume, move: np.ndarray) -> CTVolume:
    """A turned patient scanned on the same voxels as before (axial planes of the machine)."""
    inverse = np.linalg.inv(volume.ijk_to_ras)
    back = inverse @ np.linalg.inv(move) @ volume.ijk_to_ras  # new voxel -> old voxel
    matrix = back[:3, :3][::-1, ::-1]
    offset = back[:3, 3][::-1]
    out = ndimage.affine_transform(
        volume.hu.astype(np.float32), matrix, offset, order=1, mode="constant", cval=-1024.0
    )
    return replace(volume, hu=out.astype(np.int16))


def noisier(volume: CTVolume, factor: float, seed: int = 0) -> CTVolume:
    """Noise raised to `factor` times what soft tissue shows now, correlated over a voxel or so."""
    hu = volume.hu.astype(np.float32)
    middle = tuple(slice(n // 4, 3 * n // 4) for n in hu.shape)
    part = hu[middle]
    difference = np.abs(part[:, :, 1:] - part[:, :, :-1])
    soft = (np.abs(part[:, :, 1:] - 50) < 80) & (np.abs(part[:, :, :-1] - 50) < 80)
    sigma = float(np.median(difference[soft])) / 0.954 if soft.any() else 10.0
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(hu.shape, dtype=np.float32)
    noise = ndimage.gaussian_filter(noise, 0.6)
    noise *= sigma * np.sqrt(max(factor**2 - 1, 0.0)) / noise.std()
    return replace(volume, hu=np.clip(hu + noise, -1024, 3071).astype(np.int16))


def outside_circle(volume: CTVolume, value: float) -> CTVolume:
    """Outside the reconstruction circle of every stored plane set to `value`."""
    hu = volume.hu.astype(np.int16, copy=True)
    _, j, i = hu.shape
    y, x = np.mgrid[:j, :i]
    out = np.hypot((y - (j - 1) / 2) / (j / 2), (x - (i - 1) / 2) / (i / 2)) > 1
    hu[:, out] = value
    return replace(volume, hu=hu)


def with_arms(volume: CTVolume, offset_mm: float = 30.0) -> CTVolume:
    """Two arms (skin, muscle, one bone each) beside the trunk where there is air."""
    hu = volume.hu.astype(np.int16, copy=True)
    bounds = volume.ras_bounds
    k, j, i = (np.arange(n, dtype=np.float32) for n in hu.shape)
    m = volume.ijk_to_ras

    def coordinate(row):
        return (
            m[row, 0] * i[None, None]
            + m[row, 1] * j[None, :, None]
            + m[row, 2] * k[:, None, None]
            + m[row, 3]
        )

    r, a = coordinate(0), coordinate(1)
    middle = bounds[1].mean() - 20.0
    for x in (bounds[0, 0] + offset_mm, bounds[0, 1] - offset_mm):
        radius = np.hypot(r - x, a - middle)
        air = hu < AIR_HU + 400
        hu[(radius < 35) & air] = 50
        hu[(radius < 12) & air] = 700
        hu[(radius < 7) & air] = 100
    return replace(volume, hu=hu)
