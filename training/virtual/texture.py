"""Value noise that is a function of place: the same seed gives the same texture anywhere."""

from __future__ import annotations

import numba as nb


@nb.njit(inline="always", fastmath=True)
def _hash(i, j, k, seed):
    n = (i * 374761393 + j * 668265263 + k * 2147483647 + seed * 1274126177) & 0xFFFFFFFF
    n = ((n ^ (n >> 13)) * 1274126177) & 0xFFFFFFFF
    n = ((n ^ (n >> 15)) * 2246822519) & 0xFFFFFFFF
    return ((n ^ (n >> 16)) & 0xFFFFFF) / 8388607.5 - 1.0


@nb.njit(cache=True, fastmath=True)
def noise(x, y, z, seed):
    """Smooth noise in [-1, 1] with a correlation length of about one unit."""
    fx, fy, fz = x // 1.0, y // 1.0, z // 1.0
    i, j, k = int(fx), int(fy), int(fz)
    tx, ty, tz = x - fx, y - fy, z - fz
    tx = tx * tx * (3.0 - 2.0 * tx)
    ty = ty * ty * (3.0 - 2.0 * ty)
    tz = tz * tz * (3.0 - 2.0 * tz)
    low = (_hash(i, j, k, seed) * (1 - tx) + _hash(i + 1, j, k, seed) * tx) * (1 - ty) + (
        _hash(i, j + 1, k, seed) * (1 - tx) + _hash(i + 1, j + 1, k, seed) * tx
    ) * ty
    high = (_hash(i, j, k + 1, seed) * (1 - tx) + _hash(i + 1, j, k + 1, seed) * tx) * (1 - ty) + (
        _hash(i, j + 1, k + 1, seed) * (1 - tx) + _hash(i + 1, j + 1, k + 1, seed) * tx
    ) * ty
    return low * (1 - tz) + high * tz
