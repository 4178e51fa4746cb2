"""Posterior elements of a vertebra as stretched capsules in its own frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .primitives import CANAL_CENTRE, CANAL_U, CANAL_V, HEIGHT

MAX_PARTS, N_PART = 13, 17
DENSER = 16
"""Column of a part: density added inside, g HA/cm3."""

PILLARS, FACETS = (1, 7), (4, 5, 10, 11)
"""Rows of a lumbar or thoracic vertebra's parts; see `_one_side`."""


@dataclass(frozen=True)
class _Measures:
    """What the parts of one vertebra are placed by, mm in its frame.

    Attributes
    ----------
    height : float
        Of the body.
    canal_u, canal_v : float
        Half width and half depth of the canal.
    canal_centre, back : float
        v of the canal's centre and of its hind wall.
    half_width : float
        Largest radius of the body.
    size : float
        Factor on the thickness of the parts: of the body's size and of the arch's own.
    pedicle : float
        Half width of a pedicle.
    """

    height: float
    canal_u: float
    canal_v: float
    canal_centre: float
    back: float
    half_width: float
    size: float
    pedicle: float


def posterior_parts(index: int, radius, v, levels, size, rng, kind=None, arch=1.0) -> np.ndarray:  # noqa: PLR0917
    """Capsules of pedicles, pars, laminae, processes; shape (MAX_PARTS, N_PART).

    Parameters
    ----------
    index : int
        Level, T10 = 0.
    radius : ndarray
        Polar outline of the body, mm.
    v : ndarray
        The vertebra's row of parameters.
    levels : dict
        Table `levels` of the priors.
    size : float
        Linear size of the body's section against the mean woman's.
    rng : numpy Generator
    kind : {None, 'T', 'L', 'S'}
        Of a variant's vertebra; None takes it from the index.
    arch : float
        Factor on the thickness of the parts.

    Returns
    -------
    ndarray
        Ends (u, v, w) twice, two radii, scale per axis, then centre and radius of a
        sphere around it, then a factor of shell thickness and a density (g HA/cm3) added
        inside, which `wear_facets` sets; radius 0 is unused.
    """
    g = size**0.6
    at = _Measures(
        height=v[HEIGHT],
        canal_u=v[CANAL_U],
        canal_v=v[CANAL_V],
        canal_centre=v[CANAL_CENTRE],
        back=v[CANAL_CENTRE] - v[CANAL_V],
        half_width=radius.max(),
        size=g * arch,
        pedicle=levels["pedicle"][index] / 2 * g * rng.normal(1, 0.06),
    )
    jitter = rng.normal(0, 0.6, 12)
    if kind is None:
        kind = "S" if index >= 8 else "T" if index <= 2 else "L"
    if kind == "S":
        return _capsule_table(_sacral(at, (28.0 if index == 8 else 24.0) * g))
    thoracic = kind == "T"
    transverse = levels["transverse"][index] * g * rng.normal(1, 0.12)
    spinous = levels["spinous"][index] * g**0.5 * rng.normal(1, 0.08)
    rows = []
    for s, j in ((-1, jitter[:6]), (1, jitter[6:])):
        sweep = (0.15 + 0.35 * rng.random()) * transverse
        tip = _transverse_tip(at, s, j, transverse, sweep, thoracic)
        rows += _one_side(at, s, j, tip)
    rows.append(_spinous_process(at, spinous, -0.85 if thoracic else -0.5, rng))
    return _capsule_table(rows)


def _row(a, b, ra, rb, scale=(1.0, 1.0, 1.0), shell=1.0) -> list:
    """One capsule: ends, radii, scale per axis, factor of shell thickness."""
    return [*a, *b, ra, rb, *scale, shell]


def _sacral(at: _Measures, reach: float) -> list:
    """Alae, pedicles, laminae and the median crest of a sacral vertebra."""
    g, cu, cc, back = at.size, at.canal_u, at.canal_centre, at.back
    rows = []
    for s in (-1, 1):
        inner, outer = (s * 0.5 * at.half_width, -2, 0), (s * (at.half_width + reach), -16, -4)
        side, eave = (s * (cu + 4), cc, 0), (s * (cu + 2), back - 3, -3)
        rows += [
            _row(inner, outer, 15 * g, 15 * g, (1, 0.85, 0.8)),
            _row(side, eave, 5 * g, 4.5 * g, (1, 1, 0.4)),
            _row((s * (cu + 2), back - 3, -2), (0, back - 6, -3), 3.4, 3.4, (1, 1, 0.35)),
        ]
    rows.append(_row((0, back - 6, -2), (0, back - 14, -4), 3, 3, (1, 1, 0.4)))
    return rows


def _transverse_tip(at: _Measures, s, j, length, sweep, thoracic) -> tuple:
    """Tip of the transverse process on side `s`; `j` are the side's own deviations."""
    if thoracic:
        return (s * (at.half_width + length), at.back - 8, 0.22 * at.height)
    return (
        s * (at.half_width + 0.95 * length),
        at.canal_centre - 4 - sweep + 1.5 * j[1],
        (0.16 + 0.02 * j[2]) * at.height,
    )


def _one_side(at: _Measures, s, j, tip) -> list:
    """The six capsules of one side, which `variants` counts on: the fourth is the transverse process.

    Parameters
    ----------
    at : _Measures
    s : {-1, 1}
        Left or right.
    j : ndarray, shape (6,)
        Deviations from symmetry, mm.
    tip : tuple of 3 float
        Of the transverse process.
    """
    h, g, p, back = at.height, at.size, at.pedicle, at.back
    cu, cv, cc = at.canal_u, at.canal_v, at.canal_centre
    root = (s * (cu + p * 0.8), cc - 1, 0.22 * h)
    start = (s * min(cu + p * 0.5, 0.72 * at.half_width), cc + cv + 7, 0.24 * h)
    # Pars and articular pillar: the dense mass behind the pedicle.
    pillar_low = (s * (cu + 1.5 + j[0]), back - 2.5, -0.45 * h)
    pillar_top = (s * (cu + 0.75 * p), cc - 0.55 * cv, 0.14 * h)
    # Laminae fall off to the midline like a roof.
    eave = (s * (0.72 * cu), back + 1.0, -0.24 * h)
    base = (s * (cu + p + 2), cc - 4, 0.14 * h)
    facet = (s * (cu + 5.5 + j[3]), back - 0.5, 0.66 * h)
    lower = (s * (cu + 0.5 + j[4]), back - 4.5 + j[5], -0.98 * h)
    return [
        _row(start, root, p, p * 1.05, (1, 1, 0.58), 0.9),
        _row(pillar_top, pillar_low, 5.2 * g, 4.8 * g, (1, 1, 0.75), 1.4),
        _row(eave, (0, back - 5.0, -0.34 * h), 3.2 * g, 3.4 * g, (1, 1, 0.34), 1.4),
        _row(base, tip, 3.4 * g, 1.9 * g, (1, 1, 0.7), 0.6),
        _row((s * (cu + p), cc - 4, 0.2 * h), facet, 5.1 * g, 4.9 * g, (1, 1, 0.75), 2.1),
        _row(pillar_low, lower, 4.9 * g, 4.8 * g, (1, 1, 0.75), 2.2),
    ]


def _spinous_process(at: _Measures, length, drop, rng) -> list:
    """The spinous process, whose tip lies `drop` body heights above the body's middle."""
    g, h, back = at.size, at.height, at.back
    tip = (rng.normal(0, 1.0), back - length, drop * h)
    return _row((0, back - 4.5, -0.34 * h), tip, 2.9 * g, 4.0 * g, (1, 1, 0.33), 0.9)


def _capsule_table(rows) -> np.ndarray:
    """Rows of `_row` with a sphere around each, shape (MAX_PARTS, N_PART)."""
    rows = np.array(rows)
    table = np.zeros((MAX_PARTS, N_PART))
    table[: len(rows), :11] = rows[:, :11]
    table[: len(rows), 15] = rows[:, 11]
    return _with_spheres(table)


def _with_spheres(table) -> np.ndarray:
    """The table with the sphere around each capsule, in place."""
    ends = table[:, :6].reshape(-1, 2, 3)
    table[:, 11:14] = ends.mean(axis=1)
    thick = table[:, 6:8].max(axis=1) / np.maximum(table[:, 8:11].min(axis=1), 0.1)
    table[:, 14] = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1) / 2 + thick
    return table


def wear_facets(table, grade, swelling, sclerosis, rng) -> None:
    """Arthrosis of the facet joints, in place: larger, and denser inside.

    What it adds shows in the projection from front to back and hardly in an axial image
    through the body's middle: the joints lie at the height of the discs.

    Parameters
    ----------
    table : ndarray, shape (MAX_PARTS, N_PART)
        Of a lumbar or thoracic vertebra.
    grade : float
        0 to 3.
    swelling : float
        Relative growth of the radii a grade.
    sclerosis : float
        g HA/cm3 added a grade; half of it in the articular pillars.
    rng : numpy.random.Generator
        The two sides, and the levels, differ.
    """
    sides = np.clip(grade * rng.uniform(0.5, 1.5, 2), 0, 3.5)
    for rows, share in ((FACETS, 1.0), (PILLARS, 0.5)):
        for row in rows:
            side = sides[0 if row < 6 else 1]  # noqa: PLR2004 - six parts a side
            table[row, 6:8] *= 1 + share * swelling * side
            table[row, DENSER] = share * sclerosis * side
    _with_spheres(table)
