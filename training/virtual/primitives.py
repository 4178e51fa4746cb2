"""Signed distances of simple shapes, and the columns of a scene's arrays.

Each shape is a signed distance (mm, negative inside). A voxel takes its share
of a shape by the distance to its surface, so that a 0.4 mm cortex keeps its
mass in 1 mm voxels. Coordinates are RAS mm. The scene is plain arrays (see
`anatomy.Scene`), because numba compiles for those.
"""

# A patient's or a volume's bytes hang on these lines, so they stay as they are.
# ruff: noqa: D103
from __future__ import annotations

import numba as nb
import numpy as np

ANGLES = 72
"""Entries of a polar table (5 degrees each)."""

# Columns of Scene.vertebrae
(
    HEIGHT,  # body height in its middle, mm
    WEDGE,  # height change per mm towards the front
    CONCAVE_TOP,
    CONCAVE_BOTTOM,
    WAIST,  # share by which the middle is narrower
    T_ENDPLATE,
    RHO_TRABECULAR,  # g HA / cm3
    GRADIENT_W,  # relative rise towards the endplates
    GRADIENT_V,  # relative change to the front
    GRADIENT_R,  # relative rise towards the cortex
    TEXTURE,
    CANAL_U,
    CANAL_V,
    CANAL_CENTRE,
    T_POSTERIOR,
    RHO_POSTERIOR,
    RHO_CORTEX,
    RHO_CORTEX_POSTERIOR,
    MARROW_FAT,
    SEED,
    REACH,  # bounding radius in the plane
    SCLEROSIS,  # g HA / cm3 added under the endplates
    BASIVERTEBRAL,
    SCHMORL_U,
    SCHMORL_V,
    SCHMORL_R,  # 0: none
    SCHMORL_SIDE,  # +1 top, -1 bottom
    DISC_BELOW,  # disc height under this body, mm (0: none)
    SOURCE_FLARE,  # osteophyte reach along w, mm
    N_VERTEBRA,
) = range(30)

# Columns of Scene.tissue
WATER, HA = 0, 1
# Rows of Scene.tissue
(
    AIR,
    SKIN,
    FAT,
    MUSCLE,
    ORGAN_LIVER,
    KIDNEY,
    BLOOD,
    SOFT,
    DISC,
    CSF,
    LIPID,
    RED_MARROW,
    MATRIX,
    CARTILAGE,
    GAS,
    TABLE,
    FOAM,
    METAL,
    WALL,
    STOOL,
    ORAL,  # contrast agent in the bowel
) = range(21)


@nb.njit(inline="always", fastmath=True)
def cover(d, p):
    c = 0.5 - d / p
    return 0.0 if c <= 0.0 else (1.0 if c >= 1.0 else c)


@nb.njit(inline="always", fastmath=True)
def polar(table, angle):
    t = angle * (ANGLES / (2 * np.pi))
    if t < 0:
        t += ANGLES
    i = int(t)
    f = t - i
    i %= ANGLES
    j = i + 1
    if j == ANGLES:
        j = 0
    return table[i] * (1 - f) + table[j] * f


@nb.njit(cache=True, fastmath=True)
def capsule(px, py, pz, c):
    """Distance to a tapered, stretched capsule: ends, radii and a scale per axis."""
    sx, sy, sz = c[8], c[9], c[10]
    ax, ay, az = c[0] * sx, c[1] * sy, c[2] * sz
    bx, by, bz = c[3] * sx - ax, c[4] * sy - ay, c[5] * sz - az
    qx, qy, qz = px * sx - ax, py * sy - ay, pz * sz - az
    length = bx * bx + by * by + bz * bz
    t = (qx * bx + qy * by + qz * bz) / (length + 1e-9)
    t = min(max(t, 0.0), 1.0)
    rx, ry, rz = qx - t * bx, qy - t * by, qz - t * bz
    r = np.sqrt(rx * rx + ry * ry + rz * rz) + 1e-9
    # The stretched distance is brought back to mm by its own gradient.
    gx, gy, gz = rx * sx / r, ry * sy / r, rz * sz / r
    return (r - (c[6] + t * (c[7] - c[6]))) / (np.sqrt(gx * gx + gy * gy + gz * gz) + 1e-6)


@nb.njit(cache=True, fastmath=True)
def ellipse(px, py, cx, cy, rx, ry, tilt):
    dx, dy = px - cx, py - cy
    c, s = np.cos(tilt), np.sin(tilt)
    u, v = dx * c + dy * s, -dx * s + dy * c
    k0 = np.sqrt((u / rx) ** 2 + (v / ry) ** 2) + 1e-9
    k1 = np.sqrt((u / (rx * rx)) ** 2 + (v / (ry * ry)) ** 2) + 1e-9
    return k0 * (k0 - 1.0) / k1


@nb.njit(cache=True, fastmath=True)
def ellipsoid(dx, dy, dz, rx, ry, rz):
    k0 = np.sqrt((dx / rx) ** 2 + (dy / ry) ** 2 + (dz / rz) ** 2) + 1e-9
    k1 = np.sqrt((dx / (rx * rx)) ** 2 + (dy / (ry * ry)) ** 2 + (dz / (rz * rz)) ** 2) + 1e-9
    return k0 * (k0 - 1.0) / k1


@nb.njit(cache=True, fastmath=True)
def local(x, y, z, centre, rot):
    dx, dy, dz = x - centre[0], y - centre[1], z - centre[2]
    return (
        dx * rot[0, 0] + dy * rot[1, 0] + dz * rot[2, 0],
        dx * rot[0, 1] + dy * rot[1, 1] + dz * rot[2, 1],
        dx * rot[0, 2] + dy * rot[1, 2] + dz * rot[2, 2],
    )
