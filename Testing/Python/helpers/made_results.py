"""Results made up for tests of tables: no CT, no network."""

from __future__ import annotations

from CTBMDLib.bmd.estimate import UNNAMED
from CTBMDLib.bmd.result import BMDResult, LevelResult


def result(seed=0, case=UNNAMED, levels=("L1", "L2", "L3"), **changes) -> BMDResult:
    """A scan of its own for every `seed`, and its L1-L4 row; `changes` are of all rows."""

    def row(level, bmd, slice_s_mm, hu, selection, of=None):
        common = {"t_score": None, "category": None, "findings": "made up; research use only"}
        common |= {"dxa_scale": "hologic", "model": "test", "model_version": "0.0.1"}
        common |= {"model_population": "simulated", "series_uid": None, **changes}
        return LevelResult(
            case=case,
            level=level,
            slice_s_mm=slice_s_mm,
            images=3,
            bmd_g_cm2=bmd,
            bmd_low=bmd - 0.1,
            bmd_high=bmd + 0.1,
            trabecular_hu=hu,
            selection=selection,
            included=True,
            levels=of,
            **common,
        )

    rows = [
        row(
            level, 0.8 + 0.01 * n + 0.001 * seed, 50.0 - 30.5 * n + seed, 150.25 + n + seed, "found"
        )
        for n, level in enumerate(levels)
    ]
    total = row("L1-L4", 0.81 + 0.001 * seed, None, 151.0 + seed, "mean", " ".join(levels))
    return BMDResult(rows, total, None, [], "Research use only.")
