"""The rasteriser: a scene of implicit shapes to water and hydroxyapatite densities.

A voxel takes its share of a shape by its distance to the surface, so that a
0.4 mm cortex keeps its mass in 1 mm voxels. Coordinates are RAS mm. The scene
is plain arrays (see `anatomy.Scene`), because numba compiles for those.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from .bone import bone_at
from .primitives import REACH
from .soft import soft_plane, soft_tissue


@nb.njit(cache=True, fastmath=True)
def bone_raster(xs, ys, zs, p, spine):
    """Bone of a grid.

    Parameters
    ----------
    xs, ys, zs : ndarray
        RAS mm of the voxel centres along each axis.
    p : float
        Width in mm over which a surface is blended, about one voxel.
    spine : tuple of ndarray
        `Scene.spine`.

    Returns
    -------
    cover : ndarray, shape (Z, Y, X), float32
        Share of the voxel that is bone.
    water, ha, mineral : ndarray, shape (Z, Y, X), float32, g/cm3
        Already weighted by the share; `mineral` is the bone mineral alone.
    label : ndarray, shape (Z, Y, X), int8
        Vertebra number + 1 where its bone fills the larger part; negative in
        the posterior elements.
    """
    shape = (zs.size, ys.size, xs.size)
    cover = np.zeros(shape, np.float32)
    water = np.zeros(shape, np.float32)
    ha = np.zeros(shape, np.float32)
    mineral = np.zeros(shape, np.float32)
    label = np.zeros(shape, np.int8)
    centres = spine[1]
    out = np.zeros(6)
    for k in range(shape[0]):
        z = zs[k]
        first, last = 0, centres.shape[0]
        while first < last and centres[first, 2] > z + 75.0:
            first += 1
        while last > first and centres[last - 1, 2] < z - 75.0:
            last -= 1
        lo_x, hi_x, lo_y, hi_y = 1e9, -1e9, 1e9, -1e9
        for n in range(first, last):
            reach = spine[0][n, REACH] + 62.0
            lo_x, hi_x = min(lo_x, centres[n, 0] - reach), max(hi_x, centres[n, 0] + reach)
            lo_y, hi_y = min(lo_y, centres[n, 1] - 115.0), max(hi_y, centres[n, 1] + 50.0)
        for j in range(shape[1]):
            if ys[j] < lo_y or ys[j] > hi_y:
                continue
            for i in range(shape[2]):
                if xs[i] < lo_x or xs[i] > hi_x:
                    continue
                bone_at(xs[i], ys[j], z, p, first, last, spine, out)
                if out[0] > 0.0:
                    cover[k, j, i], water[k, j, i], ha[k, j, i] = out[0], out[1], out[2]
                    mineral[k, j, i] = out[3]
                    if out[0] > 0.5:
                        label[k, j, i] = int(out[4]) if out[5] > 0 else -int(out[4])
    return cover, water, ha, mineral, label


@nb.njit(cache=True, fastmath=True)
def soft_raster(xs, ys, zs, p, spine, soft):
    """Water and HA density (g/cm3) of everything but the vertebrae, shape (Z, Y, X), float32."""
    shape = (zs.size, ys.size, xs.size)
    water = np.zeros(shape, np.float32)
    ha = np.zeros(shape, np.float32)
    val = np.zeros(2)
    for k in range(shape[0]):
        plane = soft_plane(zs[k], soft, spine)
        for j in range(shape[1]):
            for i in range(shape[2]):
                soft_tissue(xs[i], ys[j], zs[k], p, plane, soft, spine, val)
                water[k, j, i], ha[k, j, i] = val[0], val[1]
    return water, ha


def slice_densities(scene, xs, ys, z, thickness, p=1.0):
    """Water and HA densities of one axial slice, averaged over its thickness.

    Bone is averaged over several planes; soft tissue, which changes slowly
    along the body, is taken in the middle one.

    Returns
    -------
    water, ha, mineral : ndarray, shape (Y, X)
    """
    planes = 2 if thickness <= 1.5 else 3 if thickness <= 3.5 else 4
    zs = z + thickness * ((np.arange(planes) + 0.5) / planes - 0.5)
    cover, water, ha, mineral, _ = bone_raster(xs, ys, zs, p, scene.spine)
    soft_water, soft_ha = soft_raster(xs, ys, np.array([float(z)]), p, scene.spine, scene.soft)
    rest = 1 - cover.mean(axis=0)
    return (
        water.mean(axis=0) + rest * soft_water[0],
        ha.mean(axis=0) + rest * soft_ha[0],
        mineral.mean(axis=0),
    )
