"""Everything but the vertebrae: skin to bowel, painted from the outside to the inside."""

# A patient's or a volume's bytes hang on these lines, so they stay as they are.
# ruff: noqa: C901, PLR0912, PLR0913, PLR0917, PLW3301
from __future__ import annotations

import numba as nb
import numpy as np

from .bone import canal_distance
from .primitives import (
    AIR,
    BLOOD,
    CANAL_CENTRE,
    CANAL_U,
    CANAL_V,
    CSF,
    DISC,
    DISC_BELOW,
    FAT,
    FOAM,
    GAS,
    HEIGHT,
    KIDNEY,
    LIPID,
    MATRIX,
    METAL,
    MUSCLE,
    ORAL,
    ORGAN_LIVER,
    REACH,
    RED_MARROW,
    SKIN,
    SOFT,
    STOOL,
    TABLE,
    WALL,
    capsule,
    cover,
    ellipse,
    ellipsoid,
    local,
    polar,
)
from .texture import noise

KEYS = np.array([0.0, 2.0, 3.0, 4.5, 6.0, 7.0, 8.5])
"""Levels (T10 = 0 ... S2 = 9) at which muscles and vessels are given."""

# Entries of Scene.soft's body vector
(
    CENTRE_X,
    CENTRE_Y,
    SKIN_T,
    TAPER,  # relative change of the outline per mm upwards
    TAPER_Z,
    SOFT_SEED,
    MUSCLE_FAT,  # mean fat share of muscle
    MUSCLE_STREAK,
    TABLE_ON,
    TABLE_Y,
    TABLE_WIDTH,
    TABLE_DEPTH,
    ARMS_ON,
    ARM_X,
    ARM_Y,
    ARM_R,
    SAC_SHARE,
    STRANDING,
    FOLLOW,  # how far the outline follows the spine's lordosis
    WIDEN,
    ARM_BONE,
    N_BODY,
) = range(22)

# Organ kinds
LIVER_KIND, KIDNEY_KIND, BOWEL_KIND, SOLID_KIND = 0, 1, 2, 3


@nb.njit(cache=True, fastmath=True)
def soft_plane(z, soft, spine):
    """What all voxels of one axial plane share: spine offset, scale, muscles, vessels.

    Returns
    -------
    ndarray
        x and y of the spine, level, outline scale, how many organs and hard
        parts are met, then centre, half axes and tilt of each muscle and each
        vessel in RAS mm, and from the end backwards the parts that are met.
    """
    body, _, muscles, vessels = soft[0], soft[1], soft[2], soft[3]
    centres = spine[1]
    n = centres.shape[0]
    t, x, y = 0.0, centres[0, 0], centres[0, 1]
    if z <= centres[n - 1, 2]:
        t = n - 1.0 + (centres[n - 1, 2] - z) / 30.0
        x, y = centres[n - 1, 0], centres[n - 1, 1]
    elif z >= centres[0, 2]:
        t = -(z - centres[0, 2]) / 25.0
    else:
        for i in range(n - 1):
            if centres[i, 2] >= z > centres[i + 1, 2]:
                f = (centres[i, 2] - z) / (centres[i, 2] - centres[i + 1, 2])
                t = i + f
                x = centres[i, 0] * (1 - f) + centres[i + 1, 0] * f
                y = centres[i, 1] * (1 - f) + centres[i + 1, 1] * f
                break
    m, v = muscles.shape[0], vessels.shape[0]
    # Organs and hard parts that this plane meets, as a list from the end backwards.
    organs, hard = soft[4], soft[7]
    plane = np.zeros(6 + 5 * (m + v) + organs.shape[0] + hard.shape[0])
    last = plane.size - 1
    for i in range(organs.shape[0]):
        if abs(z - organs[i, 2]) <= organs[i, 5] + 14.0:
            plane[last - int(plane[4])] = i
            plane[4] += 1
    last -= int(plane[4])
    for i in range(hard.shape[0]):
        if hard[i, 19] <= z <= hard[i, 20] and hard[i, 6] > 0.0:
            plane[last - int(plane[5])] = i
            plane[5] += 1
    plane[0], plane[1], plane[2] = x, y, t
    plane[3] = 1.0 + body[TAPER] * (z - body[TAPER_Z])
    k, g = 0, 0.0
    for i in range(KEYS.size - 1):
        if t >= KEYS[i]:
            k = i
    g = min(max((t - KEYS[k]) / (KEYS[k + 1] - KEYS[k]), 0.0), 1.0)
    for a in range(m):
        for q in range(5):
            plane[6 + 5 * a + q] = muscles[a, k, q] * (1 - g) + muscles[a, k + 1, q] * g
        plane[6 + 5 * a] += x
        plane[7 + 5 * a] += y
    for a in range(v):
        o = 6 + 5 * (m + a)
        for q in range(4):
            plane[o + q] = vessels[a, k, q] * (1 - g) + vessels[a, k + 1, q] * g
        plane[o] += x
        plane[o + 1] += y
    return plane


@nb.njit(inline="always", fastmath=True)
def _mix(val, share, w, h):
    val[0] += share * (w - val[0])
    val[1] += share * (h - val[1])


@nb.njit(inline="always", fastmath=True)
def _paint(val, share, tissue, kind):
    val[0] += share * (tissue[kind, 0] - val[0])
    val[1] += share * (tissue[kind, 1] - val[1])


@nb.njit(cache=True, fastmath=True)
def _outside(x, y, p, soft, tissue, val):
    """Air, couch and arms."""
    body = soft[0]
    val[0] = tissue[AIR, 0]
    val[1] = tissue[AIR, 1]
    if body[TABLE_ON] > 0:
        # A shallow trough: carbon shells around foam, under a mattress.
        sag = body[TABLE_Y] + 20.0 * (x / body[TABLE_WIDTH]) ** 2
        inside = abs(x) - body[TABLE_WIDTH]
        depth = sag - y
        d = max(max(-depth, depth - body[TABLE_DEPTH]), inside)
        _paint(val, cover(d, p), tissue, FOAM)
        shell = max(min(abs(depth - 1.0), abs(depth - body[TABLE_DEPTH] + 1.0)) - 0.9, inside)
        _paint(val, cover(shell, p), tissue, TABLE)
        mattress = max(max(depth, -depth - 12.0), abs(x) - 0.8 * body[TABLE_WIDTH])
        _paint(val, 0.5 * cover(mattress, p), tissue, FOAM)
    if body[ARMS_ON] > 0:
        for side in (-1.0, 1.0):
            cx = side * body[ARM_X]
            d = ellipse(x, y, cx, body[ARM_Y], body[ARM_R], 0.85 * body[ARM_R], 0.3 * side)
            _paint(val, cover(d, p), tissue, FAT)
            _paint(val, cover(d + 5.0, p), tissue, MUSCLE)
            for q in (-1.0, 1.0):
                b = np.sqrt((x - cx - 9.0 * q * body[ARM_BONE]) ** 2 + (y - body[ARM_Y]) ** 2)
                b -= 8.0 if body[ARM_BONE] > 0 else 11.0
                _paint(val, cover(b, p), tissue, MATRIX)
                _paint(val, cover(b + 2.8, p), tissue, LIPID)
                if body[ARM_BONE] == 0:
                    break


@nb.njit(cache=True, fastmath=True)
def _organs(x, y, z, p, plane, inside, soft, tissue, val):
    organs = soft[4]
    active = int(plane[4])
    for a in range(active):
        o = organs[int(plane[plane.size - 1 - a])]
        dx, dy, dz = x - o[0], y - o[1], z - o[2]
        if abs(dx) > o[3] + 14 or abs(dy) > o[4] + 14:
            continue
        seed = int(o[8])
        kind = int(o[6])
        d = ellipsoid(dx, dy, dz, o[3], o[4], o[5])
        if d > o[9] + (12.5 if kind == KIDNEY_KIND else p):
            continue
        d += o[9] * noise(x / 14.0, y / 14.0, z / 14.0, seed)
        if kind == KIDNEY_KIND:
            _paint(val, cover(d - 10.0, 4.0) * inside, tissue, FAT)
            _paint(val, cover(d, p) * inside, tissue, KIDNEY)
            hilum = ellipsoid(dx - o[10], dy, dz, 0.45 * o[3], 0.4 * o[4], 0.6 * o[5])
            lobes = hilum + 3.0 * noise(x / 6.0, y / 6.0, z / 6.0, seed + 1)
            _paint(val, cover(lobes, 2.0) * cover(d - 2.0, p) * inside, tissue, FAT)
        elif kind == BOWEL_KIND:
            _paint(val, cover(d, p) * inside, tissue, WALL)
            lumen = cover(d + o[7], p) * inside
            if lumen > 0.0:
                if o[11] > 1.5:
                    _paint(val, lumen, tissue, ORAL)
                elif o[11] > 0.5:
                    mush = 0.5 + 0.5 * noise(x / 4.0, y / 4.0, z / 4.0, seed + 2)
                    air = 0.35 * max(mush - 0.55, 0.0) / 0.45
                    _mix(
                        val,
                        lumen,
                        tissue[STOOL, 0] * (1 - air) + tissue[GAS, 0] * air,
                        tissue[STOOL, 1] * (1 - air) + tissue[GAS, 1] * air,
                    )
                else:
                    _paint(val, lumen, tissue, STOOL if o[11] > 0.25 else SOFT)
                # Gas collects at the front of a supine patient, with a level below it.
                _paint(val, lumen * cover(o[10] - dy, p), tissue, GAS)
        elif kind == LIVER_KIND:
            _paint(val, cover(d, p) * inside, tissue, ORGAN_LIVER)
            ves = noise(x / 9.0, y / 9.0, z / 16.0, seed + 3)
            if abs(ves) < 0.04:
                _paint(val, 0.6 * cover(d + 6.0, 6.0) * inside, tissue, BLOOD)
        else:
            _paint(val, cover(d, p) * inside, tissue, int(o[10]))


@nb.njit(cache=True, fastmath=True)
def _vessels(x, y, z, p, plane, first, inside, soft, tissue, val):
    calcium = soft[5]
    for n in range(soft[3].shape[0]):
        o = first + 5 * n
        if plane[o + 2] < 0.5:
            continue
        d = ellipse(x, y, plane[o], plane[o + 1], plane[o + 2], plane[o + 3], 0.0)
        if d > 3.0:
            continue
        _paint(val, cover(d, p) * inside, tissue, BLOOD)
        if calcium[n, 0] > 0.0:
            angle = np.arctan2(y - plane[o + 1], x - plane[o])
            c, s = np.cos(angle), np.sin(angle)
            patch = noise(1.6 * c + 31.0, 1.6 * s + 17.0, z / 14.0, int(calcium[n, 2]))
            patch = max(patch - 1.0 + 1.6 * calcium[n, 0], 0.0)
            if patch > 0.0:
                # Dystrophic calcium: 0.3-0.6 g/cm3 in plaques of 1-2.5 mm.
                plaque = abs(d + 0.8) - min(0.6 + 1.5 * patch, calcium[n, 1])
                share = cover(plaque, p) * inside
                _mix(val, share, 0.95, 0.45)


@nb.njit(cache=True, fastmath=True)
def _muscles(x, y, z, p, plane, soft, tissue, val):
    body, kinds = soft[0], soft[6]
    seed = int(body[SOFT_SEED])
    for n in range(soft[2].shape[0]):
        o = 6 + 5 * n
        if plane[o + 2] < 1.0:
            continue
        reach = max(plane[o + 2], plane[o + 3]) + 4.0
        if abs(x - plane[o]) > reach or abs(y - plane[o + 1]) > reach:
            continue
        d = ellipse(x, y, plane[o], plane[o + 1], plane[o + 2], plane[o + 3], plane[o + 4])
        if d > kinds[n, 1] + 0.9 + p:
            continue
        d += kinds[n, 1] * noise(x / 9.0, y / 9.0, z / 25.0, seed + n)
        # A thin layer of fat parts neighbouring muscles.
        _paint(val, 0.6 * cover(d - 0.9, p), tissue, FAT)
        share = cover(d + 0.3, p)
        if share <= 0.0:
            continue
        # Fibres run head to feet, and so do the streaks of fat between them.
        streak = noise(x / 3.2, y / 3.2, z / 22.0, seed + 40 + n)
        coarse = noise(x / 9.0, y / 9.0, z / 30.0, seed + 60 + n)
        fat = kinds[n, 0] * (1.0 + 0.8 * coarse) + body[MUSCLE_STREAK] * kinds[n, 2] * max(
            streak - 0.35, 0.0
        )
        fat = min(max(fat, 0.0), 0.95)
        _mix(
            val,
            share,
            tissue[MUSCLE, 0] * (1 - fat) + tissue[FAT, 0] * fat,
            tissue[MUSCLE, 1] * (1 - fat) + tissue[FAT, 1] * fat,
        )


@nb.njit(cache=True, fastmath=True)
def _between_bones(x, y, z, p, soft, spine, tissue, val):
    """Discs, and what lies in the canal: epidural fat around the sac and its roots."""
    vertebrae, centres, rot, radius = spine[0], spine[1], spine[2], spine[3]
    body = soft[0]
    near, best = 1e9, -1
    for n in range(centres.shape[0]):
        if abs(z - centres[n, 2]) < near:
            near, best = abs(z - centres[n, 2]), n
        a = vertebrae[n]
        if a[DISC_BELOW] <= 0.0 or z > centres[n, 2] or z < centres[n, 2] - 45.0:
            continue
        u, v, w = local(x, y, z, centres[n], rot[n])
        if abs(u) > a[REACH] + 6.0 or abs(v) > a[REACH] + 6.0:
            continue
        if w < 0.0 and w > -0.5 * a[HEIGHT] - a[DISC_BELOW] - 5.0:
            r = np.sqrt(u * u + v * v)
            bulge = 1.0 if w < -0.5 * a[HEIGHT] - 1.0 else -2.0
            d = r - polar(radius[n], np.arctan2(v, u)) - bulge
            _paint(val, cover(d, p), tissue, DISC)
    a = vertebrae[best]
    u, v, w = local(x, y, z, centres[best], rot[best])
    if abs(u) < a[CANAL_U] + 3.0 and abs(v - a[CANAL_CENTRE]) < a[CANAL_V] + 3.0:
        d = canal_distance(u, v, a) - 0.6
        _paint(val, cover(d, p), tissue, FAT)
        # The sac leaves fat mostly behind and at the corners.
        d += 0.6 + (1.0 - body[SAC_SHARE]) * (a[CANAL_V] + 3.0 * abs(u) / a[CANAL_U])
        share = cover(d, p)
        if share > 0.0:
            root = 0.55 + 0.3 * noise(x / 2.5, y / 2.5, z / 15.0, int(body[SOFT_SEED]) + 5)
            _mix(
                val,
                share,
                tissue[CSF, 0] * (1 - root) + tissue[MUSCLE, 0] * root,
                tissue[CSF, 1] * (1 - root) + tissue[MUSCLE, 1] * root,
            )


@nb.njit(cache=True, fastmath=True)
def _hard(x, y, z, p, plane, soft, tissue, val):
    """Ribs, pelvis and metal: capsules with a shell."""
    hard = soft[7]
    first = plane.size - 1 - int(plane[4])
    for n in range(int(plane[5])):
        o = hard[int(plane[first - n])]
        if x < o[15] or x > o[16] or y < o[17] or y > o[18]:
            continue
        d = capsule(x, y, z, o)
        share = cover(d, p)
        if share <= 0.0:
            continue
        if o[14] > 0.5:
            _paint(val, share, tissue, METAL)
            continue
        inner = cover(d + o[11], p)
        mineral = (share - inner) * o[13] + inner * o[12]
        f = mineral / 1.15
        mw = 0.5 * (tissue[LIPID, 0] + tissue[RED_MARROW, 0])
        mh = 0.5 * (tissue[LIPID, 1] + tissue[RED_MARROW, 1])
        val[0] = (1 - share) * val[0] + (share - f) * mw + f * tissue[MATRIX, 0]
        val[1] = (1 - share) * val[1] + (share - f) * mh + f * tissue[MATRIX, 1]


@nb.njit(cache=True, fastmath=True)
def soft_tissue(x, y, z, p, plane, soft, spine, val):
    """Water and HA density of the soft tissue at a point, into `val`."""
    body, tables, tissue = soft[0], soft[1], soft[8]
    cx = body[CENTRE_X]
    cy = body[CENTRE_Y] + body[FOLLOW] * plane[1]
    dx, dy = x - cx, y - cy
    r = np.sqrt(dx * dx + dy * dy)
    angle = np.arctan2(dy, dx)
    scale = plane[3]
    d_skin = r - polar(tables[0], angle) * scale
    val[0], val[1] = 0.0, 0.0
    if d_skin > -1.0:
        _outside(x, y, p, soft, tissue, val)
        if d_skin > p:
            return
    _paint(val, cover(d_skin, p), tissue, SKIN)
    seed = int(body[SOFT_SEED])
    under = cover(d_skin + body[SKIN_T], p)
    _paint(val, under, tissue, FAT)
    fascia = polar(tables[1], angle) * scale
    d_fascia = r - fascia
    if d_fascia > -3.0:
        # Fat is not even: septa and small vessels are a little denser.
        grain = body[STRANDING] * max(noise(x / 4.0, y / 4.0, z / 8.0, seed + 1) - 0.3, 0.0)
        _paint(val, under * grain, tissue, MUSCLE)
    if d_fascia < 2.0:
        wall = (polar(tables[1], angle) - polar(tables[2], angle)) * scale
        layer = abs(abs(d_fascia + 0.5 * wall) - wall / 6.0) - 0.5
        fat = 0.55 * cover(layer, 1.5) + body[MUSCLE_FAT]
        share = cover(d_fascia, p)
        if wall < 0.5:
            share = 0.0
        _mix(
            val,
            share,
            tissue[MUSCLE, 0] * (1 - fat) + tissue[FAT, 0] * fat,
            tissue[MUSCLE, 1] * (1 - fat) + tissue[FAT, 1] * fat,
        )
        inside = cover(d_fascia + wall, p)
        if inside > 0.0:
            _paint(val, inside, tissue, FAT)
            # Small vessels and folds of the mesentery, as blobs and strands.
            blob = noise(x / 5.0, y / 5.0, z / 9.0, seed + 2)
            blob += 0.5 * noise(x / 2.5, y / 2.5, z / 6.0, seed + 4)
            grain = min(max(2.2 * (blob - 0.55), 0.0), 1.0) * min(2.2 * body[STRANDING], 1.0)
            _paint(val, inside * grain, tissue, SOFT)
            _organs(x, y, z, p, plane, inside, soft, tissue, val)
            _vessels(x, y, z, p, plane, 6 + 5 * soft[2].shape[0], inside, soft, tissue, val)
        _muscles(x, y, z, p, plane, soft, tissue, val)
        if abs(x - plane[0]) < 60.0 and abs(y - plane[1]) < 75.0:
            _between_bones(x, y, z, p, soft, spine, tissue, val)
    _hard(x, y, z, p, plane, soft, tissue, val)
