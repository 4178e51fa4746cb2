"""The estimate's interval where the tube voltage is not known."""

from __future__ import annotations

import pytest
from phantoms import CENTRES, bundle, phantom

from CTBMDLib.bmd.estimate import estimate
from CTBMDLib.levels import LevelSelection, LevelSlice
from CTBMDLib.model.bundle import ModelBundle


def test_an_unknown_voltage_widens_the_interval_by_the_cards_own_quantiles(tmp_path):
    bundle(tmp_path / "model", members=1)
    plain = ModelBundle.load(tmp_path / "model")
    card = plain.card["interval"]
    wider = {key: 2.5 * card[key] for key in ("quantile_level", "quantile_total")}
    made = ModelBundle(
        {**plain.card, "interval": {**card, "without_kvp": wider}}, plain.members, plain.folder
    )
    levels = LevelSelection([LevelSlice(x, CENTRES[x]) for x in ("L1", "L2", "L3")])

    def widths(model, kvp):
        result = estimate(phantom((4.0, 4.0, 5.0), kvp=kvp), levels, model)
        return [row.bmd_high - row.bmd_g_cm2 for row in (*result.levels, result.total)]

    assert widths(made, 120.0) == pytest.approx(widths(plain, 120.0))
    assert widths(made, None) == pytest.approx([2.5 * x for x in widths(plain, None)])
