"""A model is compared with a DXA of another maker on that maker's scale."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("sklearn")

from CTBMDLib.bmd.reference import ReferenceTable  # noqa: E402
from CTBMDLib.dxa import Scale  # noqa: E402
from training.evaluation import evaluate  # noqa: E402

INTERVAL = {"level": 0.9, "floor_g_cm2": 0.02, "quantile_level": 2.0, "quantile_total": 1.5}
HOLOGIC = np.array([0.60, 0.75, 0.80, 0.95, 1.10])


def table(total, device):
    n = len(total)
    blank = np.full(n, np.nan)
    images = [{"L2": np.zeros((2, 4, 4)), "L3": np.zeros((2, 4, 4))} for _ in total]
    levels = np.full((n, 4), np.nan)
    levels[:, 1:3] = np.asarray(total)[:, None]
    return evaluate.Table(
        [""] * n, [""] * n, np.array(["F"] * n), blank, blank, np.array(total), levels,
        blank, blank, images, blank, device,
    )  # fmt: skip


def true_answer(hu, kvp):
    """Two members that know everybody's Hologic value and are 0.01 on either side of it."""
    each = np.repeat(HOLOGIC, 4)
    return np.stack([each - 0.01, each + 0.01])


@pytest.mark.parametrize("device", ["hologic", "lunar"])
def test_a_perfect_model_is_perfect_on_either_scale(device):
    scale = Scale("hologic", device)
    asked = table(scale.value(HOLOGIC), device)
    answer = evaluate.predict_table(true_answer, asked)
    assert answer.total == pytest.approx(asked.total)
    assert answer.levels[:, 1:3] == pytest.approx(asked.levels[:, 1:3])
    held = evaluate.coverage(answer, asked, INTERVAL)
    sd = np.hypot(0.02, 0.01)
    half = scale.half_width(1.5 * sd, "total")
    assert held["half_width_total_g_cm2"] == pytest.approx(half)
    assert held["total"] == held["levels"] == 1.0


def test_who_has_osteoporosis_does_not_hang_on_the_maker():
    reference = ReferenceTable.load("nhanes-hologic")
    lunar = table(Scale("hologic", "lunar").value(HOLOGIC), "lunar")
    low = evaluate.osteoporosis(lunar, reference)
    assert np.array_equal(low, evaluate.osteoporosis(table(HOLOGIC, "hologic"), reference))
    assert low.any()
    assert not low.all()
    # Without conversion the same numbers would make fewer ill.
    assert evaluate.osteoporosis(table(lunar.total, "hologic"), reference).sum() < low.sum()


def test_two_makers_in_one_table_are_refused():
    slab = SimpleNamespace(acquisition=SimpleNamespace(kvp=120.0))
    people = [
        SimpleNamespace(
            slabs={"L1": slab}, slices={"L1": None}, bmd={}, bmd_total=1.0, anatomy_id="", sex="F",
            age_years=50.0, bmi=22.0, device=device,
        )
        for device in ("hologic", "lunar")
    ]  # fmt: skip
    blank = SimpleNamespace(hu=np.zeros((1, 4, 4)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "cut_images", lambda *given: blank)
        patch.setattr(evaluate, "patient_hu", lambda record: 100.0)
        patch.setattr(evaluate, "slice_dxa", lambda hu, standard: np.zeros(1))
        with pytest.raises(ValueError, match="2 DXA devices"):
            evaluate.read_table([0, 1], lambda n: people[n], None)
        both = evaluate.read_table([1, 1], lambda n: people[n], None)
    assert both.device == "lunar"
    assert both.first(1).device == "lunar"
