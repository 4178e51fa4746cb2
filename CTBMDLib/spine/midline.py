"""The midline of each vertebra, by the likeness of its left to its right."""

from __future__ import annotations

import numpy as np

from .straightened import AHEAD, LATERAL, Straight

MOST_MM = 19.5
"""Largest distance of the midline from the line traced."""
OFF_COST, BEND_COST = 0.3, 1.0
"""HU that a mm off the line costs, and a mm aside from the vertebra above."""
REACH = 11
"""Steps to each side that are compared: 33 mm, pedicles, processes and muscle."""


def midline(straight: Straight, discs, tissue_hu: float) -> np.ndarray:
    """How far to the patient's right of the line each vertebra's midline lies.

    Bone alone misleads where it is faint, or where screws, plaque or a vessel
    full of contrast lie on one side. Body, canal, arch and muscles together
    are the same on both sides of the midline, and the midline bends little
    from one vertebra to the next.

    Parameters
    ----------
    straight : Straight
    discs : sequence of int, length m + 1
        Planes of the discs' middles.
    tissue_hu : float
        HU of muscle in this CT.

    Returns
    -------
    ndarray, shape (m,)
        mm.
    """
    step = 0.5 * (LATERAL[1] - LATERAL[0])
    most = int(round(MOST_MM / step))
    shift = step * np.arange(-most, most + 1)
    rows = (AHEAD >= -45.0) & (AHEAD <= 16.0)
    columns = np.arange(len(LATERAL))
    unlike = []
    for top, bottom in zip(discs, discs[1:], strict=False):
        margin = 0.15 * (bottom - top)
        part = straight.hu[int(top + margin) : int(bottom - margin) + 1][:, rows]
        above = np.clip(np.nan_to_num(part, nan=tissue_hu) - tissue_hu, -120.0, 200.0).mean(axis=0)
        row = []
        for twice in len(LATERAL) - 1 + np.arange(-most, most + 1):
            right = columns[(columns > twice / 2) & (columns <= twice / 2 + REACH)]
            right = right[(twice - right >= 0) & (right < len(LATERAL))]
            row.append(np.abs(above[:, right] - above[:, twice - right]).mean())
        unlike.append(row)
    cost = np.array(unlike) + OFF_COST * np.abs(shift)
    bend = BEND_COST * np.abs(shift[:, None] - shift)
    total, back = cost[0], []
    for row in cost[1:]:
        ways = total + bend
        back.append(ways.argmin(axis=1))
        total = row + ways.min(axis=1)
    path = [int(total.argmin())]
    for came in reversed(back):
        path.append(int(came[path[-1]]))
    return shift[path[::-1]]
