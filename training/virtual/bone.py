"""Vertebrae: distances to body and posterior elements, and the mineral inside them."""

# A patient's or a volume's bytes hang on these lines, so they stay as they are.
# ruff: noqa: C901, PLR0912, PLR0913, PLR0915, PLR0917
from __future__ import annotations

import numba as nb
import numpy as np

from .primitives import (
    BASIVERTEBRAL,
    CANAL_CENTRE,
    CANAL_U,
    CANAL_V,
    CONCAVE_BOTTOM,
    CONCAVE_TOP,
    GRADIENT_R,
    GRADIENT_V,
    GRADIENT_W,
    HEIGHT,
    LIPID,
    MARROW_FAT,
    MATRIX,
    REACH,
    RED_MARROW,
    RHO_CORTEX,
    RHO_CORTEX_POSTERIOR,
    RHO_POSTERIOR,
    RHO_TRABECULAR,
    SCHMORL_R,
    SCHMORL_SIDE,
    SCHMORL_U,
    SCHMORL_V,
    SCLEROSIS,
    SEED,
    SOURCE_FLARE,
    T_ENDPLATE,
    T_POSTERIOR,
    TEXTURE,
    WAIST,
    WEDGE,
    capsule,
    cover,
    ellipse,
    local,
    polar,
)
from .texture import noise


@nb.njit(cache=True, fastmath=True)
def body_distance(u, v, w, a, radius, slope, osteophyte):
    """Distances to the side and to the nearer endplate of a vertebral body."""
    h = a[HEIGHT]
    angle = np.arctan2(v, u)
    r = np.sqrt(u * u + v * v)
    edge = polar(radius, angle)
    rel = min(r / edge, 1.15)
    dome = max(1.0 - rel * rel, 0.0)
    ring = np.exp(-(((rel - 0.9) / 0.12) ** 2)) * 0.6
    half = 0.5 * h + 0.5 * a[WEDGE] * v + ring
    top = half - a[CONCAVE_TOP] * dome
    bottom = half - a[CONCAVE_BOTTOM] * dome
    if a[SCHMORL_R] > 0:
        g = ((u - a[SCHMORL_U]) ** 2 + (v - a[SCHMORL_V]) ** 2) / a[SCHMORL_R] ** 2
        dent = 0.8 * a[SCHMORL_R] * np.exp(-g)
        if a[SCHMORL_SIDE] > 0:
            top -= dent
        else:
            bottom -= dent
    d_end = max(w - top, -bottom - w)
    x = min(abs(2 * w / h), 1.2)
    scale = 1.0 - a[WAIST] * (1.0 - x * x)
    lip = polar(osteophyte, angle) * np.exp(-(((0.5 * h - abs(w)) / a[SOURCE_FLARE]) ** 2))
    d_side = (r - edge * scale - lip) * polar(slope, angle)
    return d_side, d_end, rel


@nb.njit(cache=True, fastmath=True)
def canal_distance(u, v, a):
    """Distance to the vertebral canal: an ellipse in front, narrowing to the back."""
    behind = (a[CANAL_CENTRE] - v) / a[CANAL_V]
    if behind > -0.4:
        u = u * (1.0 + 0.38 * (min(behind, 1.2) + 0.4))
    return ellipse(u, v, 0.0, a[CANAL_CENTRE], a[CANAL_U], a[CANAL_V], 0.0)


@nb.njit(cache=True, fastmath=True)
def posterior_distance(u, v, w, a, parts):
    """Distance to the posterior elements; the part's factor of shell thickness, and added density."""
    d, shell, denser = 1e3, 1.0, 0.0
    for n in range(parts.shape[0]):
        c = parts[n]
        if c[6] <= 0.0:
            continue
        # A sphere around the capsule settles most points.
        q = (u - c[11]) ** 2 + (v - c[12]) ** 2 + (w - c[13]) ** 2
        if q > (c[14] + 6.0) ** 2:
            continue
        e = capsule(u, v, w, c)
        # A smooth union: processes run into each other without a crease.
        k = 2.0
        if abs(d - e) < k:
            m = 0.5 + 0.5 * (e - d) / k
            shell = c[15] * (1 - m) + shell * m
            denser = c[16] * (1 - m) + denser * m
            d = e * (1 - m) + d * m - k * m * (1 - m)
        elif e < d:
            d, shell, denser = e, c[15], c[16]
    return max(d, -canal_distance(u, v, a)), shell, denser


@nb.njit(cache=True, fastmath=True)
def mineral_of_vertebra(grid_u, grid_v, grid_w, p, a, radius, slope, cortex, osteophyte, parts):
    """Distances and classes of one vertebra on a local grid, for solving its mineral.

    Returns
    -------
    body, posterior : ndarray
        Signed distances, shape (U, V, W); `posterior` is cut by the body.
    shell : ndarray
        Local thickness of the body's shell.
    factor : ndarray
        Local factor of the posterior elements' shell thickness.
    """
    shape = (grid_u.size, grid_v.size, grid_w.size)
    body = np.empty(shape, np.float32)
    post = np.empty(shape, np.float32)
    shell = np.empty(shape, np.float32)
    factor = np.empty(shape, np.float32)
    for i in range(shape[0]):
        for j in range(shape[1]):
            for k in range(shape[2]):
                u, v, w = grid_u[i], grid_v[j], grid_w[k]
                side, end, _ = body_distance(u, v, w, a, radius, slope, osteophyte)
                body[i, j, k] = max(side, end)
                post[i, j, k], factor[i, j, k], _ = posterior_distance(u, v, w, a, parts)
                shell[i, j, k] = a[T_ENDPLATE] if end > side else polar(cortex, np.arctan2(v, u))
    return body, post, shell, factor


@nb.njit(cache=True, fastmath=True)
def _trabecular(u, v, w, rel, depth, a):
    x = min(abs(2 * w / a[HEIGHT]), 1.0)
    rho = a[RHO_TRABECULAR] * (
        1.0
        + a[GRADIENT_W] * (x * x - 0.33)
        + a[GRADIENT_V] * v / a[REACH]
        + a[GRADIENT_R] * (rel * rel - 0.4)
    )
    seed = int(a[SEED])
    fine = noise(u / 1.6, v / 1.6, w / 3.0, seed) + 0.8 * noise(u / 4.5, v / 4.5, w / 6.0, seed + 7)
    rho *= 1.0 + a[TEXTURE] * fine
    if a[SCLEROSIS] > 0.0:
        rho += a[SCLEROSIS] * np.exp(-(((0.5 * a[HEIGHT] - abs(w)) / 3.0) ** 2))
    if a[BASIVERTEBRAL] > 0.0 and abs(w) < 4.0 and v < 1.0:
        # The vein's canal opens at the back and forks in the middle.
        d = abs(u) - 1.6 if v < -7.0 else abs(abs(u) - 0.9 * (v + 8.0)) - 1.0
        rho *= 1.0 - a[BASIVERTEBRAL] * cover(d, 2.0) * cover(abs(w) - 2.0, 2.0)
    return max(rho, 0.0)


@nb.njit(cache=True, fastmath=True)
def bone_at(x, y, z, p, first, last, s, out):
    """Bone at a point: out = (cover, water, HA, mineral, vertebra + 1, is_body)."""
    vertebrae, centres, rot, radius, slope, cortex, osteophyte, parts, tissue = s
    for n in range(6):
        out[n] = 0.0
    d_best, d_second, best = 1e3, 1e3, -1
    b_side, b_end, b_rel, b_post, b_shell, b_denser = 0.0, 0.0, 0.0, 0.0, 1.0, 0.0
    bu, bv, bw = 0.0, 0.0, 0.0
    for n in range(first, last):
        u, v, w = local(x, y, z, centres[n], rot[n])
        a = vertebrae[n]
        if abs(w) > 0.5 * a[HEIGHT] + 32.0 or abs(u) > a[REACH] + 45.0 or v > a[REACH] + 8.0:
            continue
        if v < -110.0:
            continue
        side, end, rel, d = 1e3, 1e3, 1.0, 1e3
        if abs(w) < 0.5 * a[HEIGHT] + 6.0:
            side, end, rel = body_distance(u, v, w, a, radius[n], slope[n], osteophyte[n])
            d = max(side, end)
        post, factor, denser = 1e3, 1.0, 0.0
        if v < 4.0:
            post, factor, denser = posterior_distance(u, v, w, a, parts[n])
        d = min(d, post)
        if d < d_best:
            d_second, d_best, best = d_best, d, n
            b_side, b_end, b_rel, b_post, b_shell, b_denser = side, end, rel, post, factor, denser
            bu, bv, bw = u, v, w
        elif d < d_second:
            d_second = d
    if best < 0 or d_best > p:
        return
    # Where two vertebrae would touch they leave a joint gap of about 1.6 mm.
    shift = 0.0
    if d_best + d_second < 1.6:
        shift = 0.5 * (d_best - d_second + 1.6) - d_best
        shift = max(shift, 0.0)
    a = vertebrae[best]
    body = max(b_side, b_end)
    d = d_best + shift
    share_in = cover(d, p)
    if share_in <= 0.0:
        return
    angle = np.arctan2(bv, bu)
    if body <= b_post:
        # Side and endplate thickness pass into each other over 1 mm at the rim.
        m = min(max(0.5 + 0.5 * (b_end - b_side), 0.0), 1.0)
        t = m * a[T_ENDPLATE] + (1 - m) * polar(cortex[best], angle)
        if a[BASIVERTEBRAL] > 0.0 and abs(bu) < 4.0 and abs(bw) < 3.5 and bv < -4.0:
            t *= 1.0 - 0.8 * a[BASIVERTEBRAL]
        rho_c = a[RHO_CORTEX]
        rho = _trabecular(bu, bv, bw, b_rel, -body, a)
        out[5] = 1.0
    else:
        t = a[T_POSTERIOR] * b_shell
        rho_c = a[RHO_CORTEX_POSTERIOR]
        rho = a[RHO_POSTERIOR] * (
            1.0 + 1.2 * a[TEXTURE] * noise(bu / 2.5, bv / 2.5, bw / 2.5, int(a[SEED]) + 3)
        )
        rho = min(rho + b_denser, rho_c)
    inner = cover(d + t, p)
    mineral = (share_in - inner) * rho_c + inner * max(rho, 0.0)
    fat = a[MARROW_FAT]
    if fat > 0.0:
        fat = min(
            max(fat + 0.12 * noise(bu / 7.0, bv / 7.0, bw / 7.0, int(a[SEED]) + 11), 0.0), 1.0
        )
    mw = fat * tissue[LIPID, 0] + (1 - fat) * tissue[RED_MARROW, 0]
    mh = fat * tissue[LIPID, 1] + (1 - fat) * tissue[RED_MARROW, 1]
    share = min(mineral / 1.15, share_in)
    out[0] = share_in
    out[1] = (share_in - share) * mw + share * tissue[MATRIX, 0]
    out[2] = (share_in - share) * mh + share * tissue[MATRIX, 1]
    out[3] = mineral
    out[4] = best + 1.0
