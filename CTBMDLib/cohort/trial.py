"""A trial of a model bundle on a drawn scan: whatever an estimate would trip over shows itself."""

from __future__ import annotations

import numpy as np

from ..bmd.estimate import estimate
from ..bmd.export import to_delimited, to_json
from ..errors import CTBMDError
from ..levels import MEASURED, LevelSelection, LevelSlice
from ..model.bundle import ModelBundle
from ..volume import Acquisition, CTVolume

STEP_MM = 34.0
"""From one vertebra of the drawing to the next."""


def drawn_scan() -> tuple[CTVolume, LevelSelection]:
    """A body with an upright column of bone, and L1-L4 in it; the figures mean nothing."""
    spacing = np.array([4.0, 4.0, 5.0])
    s, a, r = np.meshgrid(
        np.arange(-100, 100.1, spacing[2]),
        np.arange(-120, 80.1, spacing[1]),
        np.arange(-100, 100.1, spacing[0]),
        indexing="ij",
    )
    hu = np.where((r / 90) ** 2 + ((a + 20) / 90) ** 2 < 1, 50.0, -100.0)
    hu += 200 * np.exp(-(((r / 22) ** 2 + (a / 18) ** 2) ** 2) + 0 * s)
    matrix = np.diag([*spacing, 1.0])
    matrix[:3, 3] = -100, -120, -100
    volume = CTVolume(np.rint(hu).astype(np.int16), matrix, Acquisition(kvp=120.0), name="drawing")
    places = [(0.0, 0.0, (1.5 - n) * STEP_MM) for n in range(len(MEASURED))]
    levels = [LevelSlice(x, place) for x, place in zip(MEASURED, places, strict=True)]
    return volume, LevelSelection(tuple(levels))


def try_out(bundle: ModelBundle) -> int:
    """Estimate the drawing as a scan is estimated, and export the answer; the number of rows.

    Raises
    ------
    CTBMDError
        For whatever the bundle does not do.
    """
    result = estimate(*drawn_scan(), bundle, backend="numpy")
    values = [x for row in result.rows for x in (row.bmd_g_cm2, row.bmd_low, row.bmd_high)]
    if len(result.rows) != len(MEASURED) + 1 or not np.isfinite(values).all():
        raise CTBMDError(
            f"The model '{bundle.name}' does not compute; copy the bundle again.",
            "model-does-not-compute",
        )
    to_json([result])
    to_delimited([result], ",")
    return len(result.rows)
