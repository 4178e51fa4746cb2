"""Posterior elements of a vertebra as stretched capsules in its own frame."""

# A patient's or a volume's bytes hang on these lines, so they stay as they are.
# ruff: noqa: PLR0915
from __future__ import annotations

import numpy as np

from .primitives import CANAL_CENTRE, CANAL_U, CANAL_V, HEIGHT

MAX_PARTS = 13


def posterior_parts(index: int, radius, v, levels, size, rng, kind=None) -> np.ndarray:
    """Capsules of pedicles, pars, laminae, processes; shape (MAX_PARTS, 16).

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

    Returns
    -------
    ndarray
        Ends (u, v, w) twice, two radii, scale per axis, then centre and radius of a
        sphere around it, then a factor of shell thickness; radius 0 is unused.
    """
    h, cu, cv, cc = v[HEIGHT], v[CANAL_U], v[CANAL_V], v[CANAL_CENTRE]
    half_width = radius.max()
    back = cc - cv
    g = size**0.6
    p = levels["pedicle"][index] / 2 * g * rng.normal(1, 0.06)
    rows = []

    shells = []

    def add(a, b, ra, rb, scale=(1.0, 1.0, 1.0), shell=1.0):
        rows.append([*a, *b, ra, rb, *scale])
        shells.append(shell)

    jitter = rng.normal(0, 0.6, 12)
    if kind is None:
        kind = "S" if index >= 8 else "T" if index <= 2 else "L"
    sacral = kind == "S"
    if sacral:
        reach = (28.0 if index == 8 else 24.0) * g
        for s in (-1, 1):
            add(
                (s * 0.5 * half_width, -2, 0),
                (s * (half_width + reach), -16, -4),
                15 * g,
                15 * g,
                (1, 0.85, 0.8),
            )
            add((s * (cu + 4), cc, 0), (s * (cu + 2), back - 3, -3), 5 * g, 4.5 * g, (1, 1, 0.4))
            add((s * (cu + 2), back - 3, -2), (0, back - 6, -3), 3.4, 3.4, (1, 1, 0.35))
        add((0, back - 6, -2), (0, back - 14, -4), 3, 3, (1, 1, 0.4))
    else:
        thoracic = kind == "T"
        transverse = levels["transverse"][index] * g * rng.normal(1, 0.12)
        spinous = levels["spinous"][index] * g**0.5 * rng.normal(1, 0.08)
        for s in (-1, 1):
            j = jitter[:6] if s < 0 else jitter[6:]
            root = (s * (cu + p * 0.8), cc - 1, 0.16 * h)
            start = (s * min(cu + p * 0.5, 0.72 * half_width), cc + cv + 7, 0.18 * h)
            add(start, root, p, p * 1.05, (1, 1, 0.62), 0.9)
            # Pars and articular pillar: the dense mass behind the pedicle.
            pillar_low = (s * (cu + 1.5 + j[0]), back - 2.5, -0.34 * h)
            pillar_top = (s * (cu + 0.75 * p), cc - 0.55 * cv, 0.14 * h)
            add(pillar_top, pillar_low, 5.2 * g, 4.8 * g, (1, 1, 0.75), 1.8)
            # Laminae fall off to the midline like a roof.
            eave = (s * (0.72 * cu), back + 1.0, -0.12 * h)
            add(eave, (0, back - 5.0, -0.22 * h), 3.2 * g, 3.4 * g, (1, 1, 0.36), 1.4)
            sweep = (0.15 + 0.35 * rng.random()) * transverse
            if thoracic:
                tip = (s * (half_width + transverse), back - 8, 0.22 * h)
            else:
                tip = (
                    s * (half_width + 0.95 * transverse),
                    cc - 4 - sweep + 1.5 * j[1],
                    (0.16 + 0.02 * j[2]) * h,
                )
            base = (s * (cu + p + 2), cc - 4, 0.14 * h)
            add(base, tip, 3.8 * g, 2.5 * g, (1, 1, 0.75), 0.8)
            facet = (s * (cu + 5.5 + j[3]), back - 0.5, 0.66 * h)
            add((s * (cu + p), cc - 4, 0.2 * h), facet, 4.6 * g, 4.2 * g, (1, 1, 0.8), 1.4)
            lower = (s * (cu + 0.5 + j[4]), back - 4.5 + j[5], -0.98 * h)
            add(pillar_low, lower, 4.4 * g, 3.9 * g, (1, 1, 0.8), 1.6)
        drop = -0.75 * h if thoracic else -0.36 * h
        add(
            (0, back - 4.5, -0.2 * h),
            (rng.normal(0, 1.0), back - spinous, drop),
            2.9 * g,
            3.9 * g,
            (1, 1, 0.36),
            0.8,
        )
    table = np.zeros((MAX_PARTS, 16))
    table[: len(rows), :11] = rows
    table[: len(rows), 15] = shells
    ends = table[:, :6].reshape(-1, 2, 3)
    table[:, 11:14] = ends.mean(axis=1)
    thick = table[:, 6:8].max(axis=1) / np.maximum(table[:, 8:11].min(axis=1), 0.1)
    table[:, 14] = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1) / 2 + thick
    return table
