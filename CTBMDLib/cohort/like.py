"""An estimate as its DXA was made: over the same vertebrae."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..bmd.result import BMDResult
from ..errors import CTBMDError


@dataclass(frozen=True)
class Like:
    """Estimate and DXA of the same vertebrae.

    Attributes
    ----------
    levels : str
        The vertebrae that the estimate is the mean of ('L1 L2 L4').
    bmd, dxa, half : float
        Estimate, DXA and half the width of the estimate's interval, g/cm2.
    hu : float or None
        Mean trabecular HU of the same vertebrae; None where one of them has none.
    """

    levels: str
    bmd: float
    dxa: float
    half: float
    hu: float | None


def like_dxa(result: BMDResult, bmd: dict[str, float], total: float) -> Like:
    """Estimate and DXA over the same levels.

    Parameters
    ----------
    result : BMDResult
    bmd : dict of str to float
        DXA by level, g/cm2; may be empty.
    total : float
        L1-L4 of the DXA, which counts where all levels are there or none is known.

    Raises
    ------
    CTBMDError
        Where too few of the DXA's levels were measured in the CT.
    """
    rows = [row for row in result.levels if row.level in bmd and row.included]
    if bmd and (len(bmd) < 4 or len(rows) < 4):
        if len(rows) < min(2, len(bmd)):
            raise CTBMDError(
                f"{', '.join(bmd)} measured by DXA, but not found in the CT.",
                "level-not-found",
            )
        hus = [row.trabecular_hu for row in rows if row.trabecular_hu is not None]
        return Like(
            " ".join(row.level for row in rows),
            float(np.mean([row.bmd_g_cm2 for row in rows])),
            float(np.mean([bmd[row.level] for row in rows])),
            float(np.mean([row.bmd_high - row.bmd_g_cm2 for row in rows])),
            float(np.mean(hus)) if len(hus) == len(rows) else None,
        )
    if result.total is None:
        raise CTBMDError(result.total_reason or "There is no L1-L4 value.", "no-total")
    return Like(
        result.total.levels or "",
        result.total.bmd_g_cm2,
        total,
        result.total.bmd_high - result.total.bmd_g_cm2,
        result.total.trabecular_hu,
    )
