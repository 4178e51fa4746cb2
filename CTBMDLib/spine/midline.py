"""The midline of each vertebra, by the likeness of its left to its right."""

from __future__ import annotations

import numpy as np

from .settings import SETTINGS, MidlineSettings
from .straightened import AHEAD, LATERAL, StraightenedSpine, between


def midline(
    straight: StraightenedSpine,
    discs: np.ndarray | list[int],
    tissue_hu: float,
    settings: MidlineSettings = SETTINGS.midline,
) -> np.ndarray:
    """How far to the patient's right of the line each vertebra's midline lies.

    Bone alone misleads where it is faint, or where screws, plaque or a vessel
    full of contrast lie on one side. Body, canal, arch and muscles together
    are the same on both sides of the midline, and the midline bends little
    from one vertebra to the next.

    Parameters
    ----------
    straight : StraightenedSpine
    discs : sequence of int, length m + 1
        Planes of the discs' middles.
    tissue_hu : float
        HU of muscle in this CT.
    settings : MidlineSettings

    Returns
    -------
    ndarray, shape (m,)
        mm.
    """
    step = 0.5 * (LATERAL[1] - LATERAL[0])
    most = int(round(settings.max_mm / step))
    shift = step * np.arange(-most, most + 1)
    rows = between(AHEAD, settings.ahead_mm)
    columns = np.arange(len(LATERAL))
    unlike = []
    for top, bottom in zip(discs, discs[1:], strict=False):
        margin = settings.margin * (bottom - top)
        part = straight.hu[int(top + margin) : int(bottom - margin) + 1][:, rows]
        above = np.nan_to_num(part, nan=tissue_hu) - tissue_hu
        above = np.clip(above, *settings.hu_range).mean(axis=0)
        row = []
        for twice in len(LATERAL) - 1 + np.arange(-most, most + 1):
            right = columns[(columns > twice / 2) & (columns <= twice / 2 + settings.reach)]
            right = right[(twice - right >= 0) & (right < len(LATERAL))]
            row.append(np.abs(above[:, right] - above[:, twice - right]).mean())
        unlike.append(row)
    cost = np.array(unlike) + settings.off_cost * np.abs(shift)
    bend = settings.bend_cost * np.abs(shift[:, None] - shift)
    total, back = cost[0], []
    for costs in cost[1:]:
        ways = total + bend
        back.append(ways.argmin(axis=1))
        total = costs + ways.min(axis=1)
    path = [int(total.argmin())]
    for came in reversed(back):
        path.append(int(came[path[-1]]))
    middles: np.ndarray = shift[path[::-1]]
    return middles
