"""The trunk around the spine: outline, muscles, vessels, organs, ribs, pelvis, couch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .primitives import ANGLES, CANAL_CENTRE, CANAL_U, HEIGHT, REACH
from .soft import (
    BOWEL_KIND,
    CENTRE_X,
    CENTRE_Y,
    FOLLOW,
    KEYS,
    KIDNEY_KIND,
    LIVER_KIND,
    MUSCLE_FAT,
    MUSCLE_STREAK,
    N_BODY,
    SAC_SHARE,
    SKIN_T,
    SOFT_SEED,
    SOLID_KIND,
    STRANDING,
    TABLE_DEPTH,
    TABLE_ON,
    TABLE_WIDTH,
    TABLE_Y,
    TAPER,
    TAPER_Z,
)
from .traits import Traits

THETA = np.arange(ANGLES) * 2 * np.pi / ANGLES
N_HARD = 21


@dataclass(frozen=True)
class _Trunk:
    """What the parts of a trunk are placed by; lengths and places in RAS mm.

    Attributes
    ----------
    traits : Traits
    p : dict
        The population's priors.
    centres : ndarray, shape (10, 3)
        Of the vertebrae.
    a, front : float
        Mean half width of the lumbar bodies, and how far they reach to the front.
    body : ndarray, shape (N_BODY,)
        See `soft`.
    width, depth, y_back : float
        Of the skin, and where its back lies.
    under_back, under_side, under_front : float
        Thickness of the fat under the skin.
    """

    traits: Traits
    p: dict
    centres: np.ndarray
    a: float
    front: float
    body: np.ndarray
    width: float
    depth: float
    y_back: float
    under_back: float
    under_side: float
    under_front: float


def trunk_scene(spine, tissue, traits, p, rng, facts, variant=None):
    """Draw the trunk of a person.

    Parameters
    ----------
    spine : tuple of ndarray
        Of the scene, see `anatomy`.
    tissue : ndarray, shape (21, 2)
        Water and HA density, g/cm3.
    traits : Traits
    p : dict
        The population's priors.
    rng : numpy Generator
    facts : dict
        Plaque and metal are noted in it.
    variant : variants.Variant or None

    Returns
    -------
    soft : tuple of ndarray
        See `soft.soft_tissue`.
    extent : ndarray, shape (2, 2)
        Low and high of x and y that hold body and couch, mm.
    """
    trunk = _draw_size(spine, traits, p, rng)
    tables, tone = _draw_outline(trunk, rng)
    skin, fascia, _ = tables
    muscles, kinds = _draw_muscles(trunk, spine, tone, rng)
    vessels, calcium = _draw_vessels(trunk, facts, rng)
    organs = _draw_organs(trunk, rng)
    _draw_couch(trunk, rng)
    hard = _draw_hard(trunk, spine, fascia, rng, facts, variant)
    soft = (
        trunk.body, tables, np.array(muscles, dtype=float), np.array(vessels, dtype=float),
        np.array(organs, dtype=float), calcium, np.array(kinds, dtype=float), _hard_table(hard),
        tissue,
    )  # fmt: skip
    assert soft[2].shape[1] == soft[3].shape[1] == KEYS.size
    return soft, _extent(trunk.body, skin)


def _draw_size(spine, traits, p, rng) -> _Trunk:
    """Size of a trunk, its fat, and all of `body` but the couch and the arms."""
    men = traits.sex == "M"
    bmi, age, radius = traits.bmi, traits.age, spine[3]
    a = radius[3:7].max(axis=1).mean()
    front = np.mean([r[ANGLES // 4] for r in radius[3:7]])
    body = np.zeros(N_BODY)
    body[SOFT_SEED] = int(rng.integers(1, 2**30))
    body[SKIN_T] = rng.uniform(1.2, 2.2)
    body[TAPER] = rng.uniform(-0.0002, 0.0006)
    body[TAPER_Z] = 0.0
    fat_age = 0.02 + 0.0022 * max(age - 30, 0) + 0.004 * max(bmi - 22, 0)
    body[MUSCLE_FAT] = np.clip(fat_age * rng.uniform(0.4, 1.5), 0.0, 0.4)
    body[MUSCLE_STREAK] = np.clip(fat_age * rng.uniform(1.0, 6.0), 0.0, 1.2)
    body[SAC_SHARE] = rng.uniform(0.80, 1.0)
    body[STRANDING] = rng.uniform(0.1, 0.5)
    lean = rng.normal(0, 1)
    width = 308 + (bmi - 24) * rng.uniform(7.5, 10.5) + 9 * lean + (12 if men else 0)
    width = max(width + 2.0 * (a - 22), 240.0)
    under_back = max(4 + (bmi - 19) * rng.uniform(0.8, 1.6) + (2 if not men else 0), 2.5)
    under_side = max(5 + (bmi - 19) * rng.uniform(0.9, 1.7), 3.0)
    under_front = max(6 + (bmi - 19) * rng.uniform(0.8, 2.0) + (3 if not men else 0), 3.0)
    # The spinous processes lie just under the fat of the back.
    tips = [row[np.argmin(row[:, 4]), 4] for row in spine[7][3:7]]
    y_back = float(np.mean(tips)) - rng.uniform(4, 8) - under_back
    depth = max(
        205 + (bmi - 24) * rng.uniform(7, 10) + 7 * rng.normal() + (12 if men else 0), 165.0
    )
    depth = max(depth, -y_back + front + 70 + under_front)
    body[CENTRE_Y] = y_back + depth / 2
    body[CENTRE_X] = rng.normal(0, 4)
    body[FOLLOW] = 0.35
    return _Trunk(
        traits, p, spine[1], a, front, body, width, depth, y_back,
        under_back, under_side, under_front,
    )  # fmt: skip


def _draw_outline(trunk: _Trunk, rng):
    """Polar radii of the trunk's layers.

    Returns
    -------
    tables : ndarray, shape (3, ANGLES)
        Skin, fascia and inner side of the abdominal wall, mm.
    tone : float
        Thickness of the person's muscles against the usual.
    """
    traits, width, depth = trunk.traits, trunk.width, trunk.depth
    n_front, n_back = rng.uniform(2.0, 2.4), rng.uniform(2.4, 3.2)
    n = np.where(np.sin(THETA) > 0, n_front, n_back)
    c, s = np.abs(np.cos(THETA)), np.abs(np.sin(THETA))
    skin = ((c / (width / 2)) ** n + (s / (depth / 2)) ** n) ** (-1 / n)
    at_back = np.angle(np.exp(1j * (THETA + np.pi / 2)))
    groove = rng.uniform(2, 13) * max(1 - (traits.bmi - 22) / 15, 0)
    skin -= groove * np.exp(-((at_back / 0.16) ** 2))
    for k in (2, 3):
        skin *= 1 + 0.008 * rng.normal() * np.cos(k * THETA + rng.uniform(0, 2 * np.pi))
    back = np.clip(np.cos(at_back), 0, 1) ** 2
    front = np.clip(-np.cos(at_back), 0, 1) ** 2
    side = 1 - back - front
    under = trunk.under_back * back + trunk.under_front * front + trunk.under_side * side
    under *= 1 + 0.1 * np.cos(3 * THETA + rng.uniform(0, 6))
    flank = np.exp(-(((np.abs(at_back) - 0.95) / 0.35) ** 2))
    under = under + 0.5 * trunk.under_back * flank
    fascia = skin - trunk.body[SKIN_T] - under
    usual = 1.1 if traits.sex == "M" else 0.9
    tone = np.clip(rng.normal(1, 0.2) * usual * (1 - 0.003 * (traits.age - 40)), 0.45, 1.6)
    wall = tone * (17 * np.exp(-(((np.abs(at_back) - 1.75) / 0.55) ** 2)) + 9 * front + 0.8)
    wall = np.where(np.abs(at_back) < 0.75, 0.6, wall)
    return np.stack([skin, fascia, fascia - wall]), tone


def _draw_muscles(trunk: _Trunk, spine, tone, rng):
    """Muscles of both sides, and how fat each is.

    Returns
    -------
    muscles : list of list of (u, v, half axis, half axis, tilt)
        Each at `KEYS`, mm and radians.
    kinds : list of (fat, lump, share)
        Mean fat share, size of its lumps and factor on the streaks.
    """
    a, front, body = trunk.a, trunk.front, trunk.body
    m = tone * (a / 21.0) ** 0.7
    back_v = trunk.y_back + trunk.under_back + body[SKIN_T] + 1.5
    deep = np.mean([v[CANAL_CENTRE] for v in spine[0][3:7]])
    mid = 0.5 * (back_v + deep + 1)
    thick = 0.5 * (deep + 1 - back_v)
    lateral = rng.uniform(0.9, 1.1)
    psoas = [
        (a, -8, 0, 0, 0),
        (a - 1, -9, 5 * m, 8 * m, 0),
        (a + 4 * m, -9, 8.5 * m, 13 * m, 0),
        (a + 8.5 * m, -9, 13.5 * m, 19 * m, 0.05),
        (a + 13 * m, -6, 17.5 * m, 22 * m, 0.12),
        (a + 17 * m, 2, 18 * m, 22 * m, 0.2),
        (a + 30 * m, 14, 18 * m, 20 * m, 0.3),
    ]
    erector = [
        (30, mid, 26 * lateral, thick * 0.95, 0), (33, mid, 28 * lateral, thick, 0),
        (35, mid, 30 * lateral, thick * 1.05, 0), (37, mid - 1, 32 * lateral, thick * 1.1, 0),
        (40, mid - 2, 29 * lateral, thick * 1.0, 0), (38, mid - 2, 24, thick * 0.85, 0),
        (32, mid - 4, 16, thick * 0.6, 0),
    ]  # fmt: skip
    multifidus = [
        (9, mid, 7, thick * 0.8, 0), (10, mid, 8, thick * 0.8, 0), (11, mid, 9, thick * 0.85, 0),
        (13, mid, 11, thick * 0.9, 0), (16, mid, 14, thick * 0.95, 0), (18, mid, 16, thick, 0),
        (16, mid - 2, 14, thick * 0.8, 0),
    ]  # fmt: skip
    q = 0.8 + 0.2 * m
    quadratus = [
        (a + 20, deep, 0, 0, 0), (a + 22, deep, 0, 0, 0), (a + 26, deep, 9 * q, 6 * q, -0.3),
        (a + 34, deep, 15 * q, 8 * q, -0.4), (a + 42, deep - 2, 19 * q, 9 * q, -0.4),
        (a + 44, deep - 4, 15 * q, 8 * q, -0.4), (a + 44, deep, 0, 0, 0),
    ]  # fmt: skip
    crus = [
        (10, front + 5, 5, 7, 0), (10, front + 5, 5, 7, 0), (11, front + 3, 5, 6, 0),
        (13, front + 1, 3, 4, 0), (13, front, 0, 0, 0), (13, front, 0, 0, 0), (13, front, 0, 0, 0),
    ]  # fmt: skip
    muscles, kinds = [], []
    for s in (-1.0, 1.0):
        for shape, lump, share in (
            (psoas, 1.2, 0.35), (quadratus, 1.2, 0.6), (erector, 2.2, 1.0),
            (multifidus, 1.5, 1.5), (crus, 0.5, 0.2),
        ):  # fmt: skip
            k = 1 + 0.05 * rng.normal()
            muscles.append([(s * u, v, x * k, y * k, s * t) for u, v, x, y, t in shape])
            kinds.append([body[MUSCLE_FAT] * share, lump, share])
    return muscles, kinds


def _draw_vessels(trunk: _Trunk, facts, rng):
    """Aorta and left iliac artery, vena cava, right iliac artery, left iliac vein.

    Returns
    -------
    vessels : list of list of (x, y, half axis, half axis)
        Each at `KEYS`, mm.
    calcium : ndarray, shape (4, 3)
        Extent, thickness (mm) and seed of each one's plaques.
    """
    front, age = trunk.front, trunk.traits.age
    ra = (10.5 if trunk.traits.sex == "M" else 9.0) * (1 + 0.003 * (age - 50)) * rng.normal(1, 0.08)
    rv = rng.uniform(0.55, 1.0)
    swing = rng.normal(0, 3)
    vessels = [
        [(-4 + swing, front + ra + 2, ra, ra)] * 2 + [(-7 + swing, front + ra + 1, ra, ra)]
        + [(-9 + swing, front + ra, 0.95 * ra, 0.95 * ra), (-6 + swing, front + 0.9 * ra, 0.9 * ra, 0.85 * ra)]
        + [(-20, front + 6, 0.6 * ra, 0.65 * ra), (-38, front + 2, 0.55 * ra, 0.6 * ra)],
        [(16, front + 11, 12, 11 * rv), (16, front + 9, 12, 11 * rv), (17, front + 7, 12, 10 * rv)]
        + [(17, front + 5, 11, 9 * rv), (15, front + 5, 11, 9 * rv), (24, front + 5, 9, 7), (38, front - 2, 8, 7)],
        [(0, 0, 0, 0)] * 4 + [(4, front + ra + 6, 0, 0), (14, front + 12, 0.6 * ra, 0.6 * ra), (36, front + 8, 0.55 * ra, 0.6 * ra)],
        [(0, 0, 0, 0)] * 5 + [(-12, front + 4, 7, 6), (-34, front - 6, 7, 6)],
    ]  # fmt: skip
    plaque = 0.0
    if age > 45 and rng.random() < trunk.p["calcification_share"] * min((age - 45) / 20, 1.0):
        plaque = rng.uniform(0.1, 0.7)
        facts["plaque"] = float(plaque)
    calcium = np.array(
        [
            [plaque, 1.6, rng.integers(1, 2**30)],
            [0, 0, 1],
            [0.8 * plaque, 1.4, rng.integers(1, 2**30)],
            [0, 0, 1],
        ],
        dtype=float,
    )
    return vessels, calcium


class _Cavity:
    """The organs of a trunk, and the room that they lie in.

    Attributes
    ----------
    half_width, front : float
        How far the abdominal cavity reaches to the side of the middle, and to the front.
    rows : list of list
        Centre, half axes, kind, wall, seed, bump, extra, content of each organ.
    """

    def __init__(self, trunk: _Trunk, rng) -> None:
        self.half_width = trunk.width / 2 - trunk.under_side - 15
        self.front = trunk.y_back + trunk.depth - trunk.under_front - 12
        self.rows = []
        self._rng = rng

    def add(self, kind, c, r, wall=0.0, bump=0.0, extra=0.0, content=0.0) -> None:
        """Put an organ at `c` with half axes `r`, mm; its seed is drawn here."""
        seed = self._rng.integers(1, 2**30)
        self.rows.append([*c, *r, kind, wall, seed, bump, extra, content])


def _draw_organs(trunk: _Trunk, rng) -> list:
    """Liver, spleen, stomach, kidneys, duodenum and pancreas, bowel; one row each.

    Later organs are painted over earlier ones.
    """
    cavity = _Cavity(trunk, rng)
    _draw_solid_organs(cavity, trunk, rng)
    _draw_bowel(cavity, trunk, rng)
    return cavity.rows


def _draw_solid_organs(cavity: _Cavity, trunk: _Trunk, rng) -> None:
    """Liver, spleen, stomach, kidneys, duodenum and pancreas."""
    wide, cy, front = cavity.half_width, trunk.body[CENTRE_Y], trunk.front
    z = trunk.centres[:, 2]
    cavity.add(
        LIVER_KIND,
        (0.45 * wide, cy + 10, z[2] + rng.uniform(15, 45)),
        (0.55 * wide, 0.36 * trunk.depth, rng.uniform(70, 105)),
        0,
        6,
    )
    spleen = (-0.72 * wide, cy - 20, z[1] + rng.uniform(-10, 20))
    cavity.add(SOLID_KIND, spleen, (0.22 * wide, 42, 48), 0, 4, 4)
    stomach = (-0.4 * wide, cavity.front - 45, z[2] + 5)
    cavity.add(BOWEL_KIND, stomach, (50, 32, 45), 3.5, 4, rng.uniform(-10, 30), 0.3)
    for s in (-1.0, 1.0):
        drop = rng.normal(0, 10) - (8 if s > 0 else 0)
        kr = rng.uniform(0.88, 1.12)
        x = s * (trunk.a + 36 + rng.uniform(0, 12))
        kidney = (x, front - 20 + rng.normal(0, 5), z[4] + 14 + drop)
        cavity.add(KIDNEY_KIND, kidney, (27 * kr, 29 * kr, 54 * kr), 0, 3, -s * 14)
    cavity.add(SOLID_KIND, (25, front + 28, z[4]), (14, 12, 30), 0, 4, 7)  # duodenum, pancreas head
    cavity.add(SOLID_KIND, (-12, front + 34, z[3]), (34, 9, 12), 0, 3, 7)


def _draw_bowel(cavity: _Cavity, trunk: _Trunk, rng) -> None:
    """Loops of small bowel, some with gas, then ascending, descending and transverse colon."""
    wide, cy, front = cavity.half_width, trunk.body[CENTRE_Y], trunk.front
    z = trunk.centres[:, 2]
    room = max(cavity.front - 20 - (front + 30), 20)
    for _ in range(int(rng.integers(55, 120))):
        r = rng.uniform(9, 16)
        c = (
            rng.uniform(-0.75, 0.75) * wide,
            front + 32 + room * rng.random(),
            rng.uniform(z[9] - 20, z[3]),
        )
        gas = rng.uniform(-0.2, 0.7) * r if rng.random() < 0.3 else 99.0
        axes = (r * rng.uniform(1, 2.0), r, r * rng.uniform(1, 2.0))
        cavity.add(BOWEL_KIND, c, axes, 2.2, 3, gas, 0.1)
    for c, r in (
        ((0.80 * wide, cy + 5, z[6]), (24, 26, 85)),
        ((-0.84 * wide, cy - 5, z[5]), (15, 17, 110)),
        ((0, cavity.front - 22, z[5] + rng.normal(0, 15)), (0.65 * wide, 18, 20)),
    ):
        cavity.add(BOWEL_KIND, c, r, 2.5, 4, rng.uniform(-0.3, 0.6) * r[1], 1.0)


def _draw_couch(trunk: _Trunk, rng) -> None:
    body = trunk.body
    body[TABLE_ON] = 1.0
    body[TABLE_Y] = trunk.y_back - rng.uniform(3, 14)
    body[TABLE_WIDTH] = rng.uniform(190, 215)
    body[TABLE_DEPTH] = rng.uniform(22, 45)


def _draw_hard(trunk: _Trunk, spine, fascia, rng, facts, variant) -> list:
    """Capsules of ribs, iliac wings and, in some, screws and rods."""
    make_ribs = ribs if variant is None else variant.ribs
    hard = [*make_ribs(trunk.centres, spine[3], spine[0], trunk.body, fascia, rng)]
    if variant is None or variant.pelvis:
        hard += pelvis(trunk.centres, trunk.a, rng)
    if rng.random() < trunk.p["metal_share"]:
        hard += _screws(spine, rng)
        facts["metal"] = True
    return hard


def _hard_table(hard) -> np.ndarray:
    """Capsules with the box around each, shape (at least 1, N_HARD)."""
    table = np.zeros((max(len(hard), 1), N_HARD))
    for row, values in zip(table, hard, strict=False):
        row[: len(values)] = values
        ends = np.stack([row[0:3], row[3:6]])
        reach = max(row[6], row[7]) / row[8:11] + 2.0
        row[15:21:2], row[16:21:2] = (ends - reach).min(axis=0), (ends + reach).max(axis=0)
    return table


def _extent(body, skin) -> np.ndarray:
    """Low and high of x and y that hold body and couch, mm, shape (2, 2)."""
    half = max(skin.max() * 1.08, body[TABLE_WIDTH]) + 6
    low = body[TABLE_Y] - body[TABLE_DEPTH] - 4
    high = body[CENTRE_Y] + skin[ANGLES // 4 - 6 : ANGLES // 4 + 7].max() * 1.08 + 18
    return np.array([[body[CENTRE_X] - half, body[CENTRE_X] + half], [low, high]])


def ribs(  # noqa: PLR0917 - a variant's own ribs are called the same way
    centres, radius, vertebrae, body, fascia, rng, levels=(0, 1, 2), lengths=(230.0, 185.0, 115.0)
):
    """Capsule chains of the ribs at `levels`, both sides, in RAS mm."""
    rows = []
    for i, usual in zip(levels, lengths, strict=True):
        c = centres[i]
        length = usual * rng.uniform(0.8, 1.15)
        for s in (-1.0, 1.0):
            start = c + [s * (vertebrae[i, REACH] + 5), -14, 0.25 * vertebrae[i, HEIGHT]]
            angle = -np.pi / 2 + s * np.radians(38)
            cx, cy = body[CENTRE_X], body[CENTRE_Y] + body[FOLLOW] * c[1]
            points, travelled, z = [start], 0.0, start[2] - 10
            while travelled < length:
                t = angle * ANGLES / (2 * np.pi) % ANGLES
                r = np.interp(t, np.arange(ANGLES + 1), np.append(fascia, fascia[0])) - 9
                points.append(np.array([cx + r * np.cos(angle), cy + r * np.sin(angle), z]))
                step = s * np.radians(9)
                angle += step
                travelled += abs(step) * r
                z -= abs(step) * r * (0.42 + 0.08 * min(i, 2))
            for b, e in zip(points[:-1], points[1:], strict=True):
                rows.append([*b, *e, 4.2, 4.2, 1.0, 1.0, 0.62, 1.0, 0.12, 1.0, 0.0])
    return rows


def pelvis(centres, a, rng):
    """Iliac wings as fans of flat capsules, in RAS mm."""
    s1 = centres[8]
    rows = []
    width = rng.uniform(0.92, 1.08) * (0.6 + 0.4 * a / 22)
    for s in (-1.0, 1.0):
        hub = s1 + [s * 58 * width, -38, -30]
        rim = [
            (48, -62, 22),
            (66, -52, 44),
            (92, -30, 58),
            (116, 0, 54),
            (128, 26, 30),
            (126, 40, 0),
        ]
        for (x0, y0, z0), (x1, y1, z1) in zip(rim[:-1], rim[1:], strict=True):
            mid = s1 + [s * 0.5 * (x0 + x1) * width, 0.5 * (y0 + y1), 0.5 * (z0 + z1)]
            rows.append([*hub, *mid, 7.0, 5.0, 1.0, 1.0, 1.0, 1.3, 0.12, 1.0, 0.0])
            e0, e1 = s1 + [s * x0 * width, y0, z0], s1 + [s * x1 * width, y1, z1]
            rows.append([*e0, *e1, 5.5, 5.5, 1.0, 1.0, 1.0, 1.5, 0.12, 1.0, 0.0])
            low = 0.5 * (hub + mid)
            rows.append([*low, *(0.5 * (hub + e1)), 5.0, 5.0, 1.0, 1.0, 1.0, 1.2, 0.12, 1.0, 0.0])
    return rows


def _screws(spine, rng):
    """Pedicle screws and rods of a two- or three-level fusion from L4 down."""
    rows = []
    vertebrae, centres, rot = spine[0], spine[1], spine[2]
    heads = {-1.0: [], 1.0: []}
    for i in range(6, 8 + int(rng.integers(0, 2))):
        u, v = vertebrae[i, CANAL_U] + 8, vertebrae[i, CANAL_CENTRE] - 18
        for s in (-1.0, 1.0):
            tail = centres[i] + rot[i] @ [s * u, v, 5]
            tip = centres[i] + rot[i] @ [s * 8.0, 8.0, 4]
            rows.append([*tail, *tip, 3.2, 2.6, 1, 1, 1, 0, 0, 0, 1.0])
            heads[s].append(tail)
    for s in (-1.0, 1.0):
        for b, e in zip(heads[s][:-1], heads[s][1:], strict=True):
            rows.append([*b, *e, 2.8, 2.8, 1, 1, 1, 0, 0, 0, 1.0])
    return rows
