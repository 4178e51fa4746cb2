"""The one call: rows, mean, interval, T-score, findings, progress and cancel."""

from __future__ import annotations

import json

import numpy as np
import pytest
from phantoms import CENTRES, bundle, chosen, phantom

from CTBMDLib.bmd.estimate import estimate
from CTBMDLib.bmd.export import selection_words
from CTBMDLib.bmd.interval import (
    conformal_quantile,
    image_spread,
    interval_half_width,
    rescaled_half_widths,
)
from CTBMDLib.bmd.reference import ReferenceTable
from CTBMDLib.bmd.result import BMDResult
from CTBMDLib.errors import Cancelled, CTBMDError
from CTBMDLib.levels import LevelSelection, LevelSlice


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return bundle(tmp_path_factory.mktemp("models") / "b")


@pytest.fixture(scope="module")
def patients_model(tmp_path_factory):
    return bundle(tmp_path_factory.mktemp("models") / "p", population="patients")


def test_rows_and_mean(model):
    result = estimate(phantom(), chosen(), model)
    assert [row.level for row in result.rows] == ["L1", "L2", "L3", "L1-L4"]
    values = [row.bmd_g_cm2 for row in result.levels]
    assert result.total.bmd_g_cm2 == pytest.approx(np.mean(values))
    assert result.total.images == sum(row.images for row in result.levels) == 9
    assert result.total.slice_s_mm is None
    for row in result.rows:
        assert row.bmd_low < row.bmd_g_cm2 < row.bmd_high
        assert (row.model, row.model_version, row.model_population) == (
            "test",
            "0.0.1",
            "simulated",
        )
        assert row.case == "case 1"
        assert "simulated" in row.findings
    assert result.levels[0].trabecular_hu == pytest.approx(200.0)
    assert "Research use only" in result.disclaimer
    assert result.images["L1"].hu.shape == (3, 64, 64)


def test_excluded_levels_are_measured_but_not_counted(model):
    selection = chosen()
    selection.include("L2", False)
    result = estimate(phantom(), selection, model)
    rows = {row.level: row for row in result.levels}
    assert result.total.bmd_g_cm2 == pytest.approx(
        (rows["L1"].bmd_g_cm2 + rows["L3"].bmd_g_cm2) / 2
    )
    assert [(row.selection, row.included, row.levels) for row in result.rows] == [
        ("found", True, None),
        ("found", False, None),
        ("found", True, None),
        ("mean", True, "L1 L3"),
    ]
    words = [selection_words(row) for row in result.rows]
    assert words == ["found", "found, not in the mean", "found", "mean of L1 L3"]
    assert "without L2 L4" in result.total.findings


def test_the_mean_names_the_levels_that_have_findings_of_their_own(model):
    volume = phantom()
    assert "see the findings" not in estimate(volume, chosen(), model).total.findings
    k, j, i = np.rint(volume.ijk_from_ras(CENTRES["L2"])).astype(int)[::-1]
    volume.hu[k - 1 : k + 2, j - 3 : j + 3, i - 3 : i + 3] = 3000  # a screw
    result = estimate(volume, chosen(), model, include=("L2",))
    assert any(x.level == "L2" and x.severity == "warning" for x in result.findings)
    assert "see the findings of L2;" in result.total.findings
    selection = chosen()
    selection.include("L2", False)
    assert "see the findings" not in estimate(volume, selection, model).total.findings


def test_the_mean_needs_two_levels(model):
    result = estimate(phantom(), chosen(("L1",)), model)
    assert result.total is None
    assert "at least two" in result.total_reason
    assert len(result.rows) == 1


def test_l5_only_when_asked_and_other_vertebrae_never(model):
    where = (3.0, -20.0, -40.0)
    items = [LevelSlice(x, CENTRES[x]) for x in ("L1", "L2")]
    with_l5 = LevelSelection((*items, LevelSlice("L5", where), LevelSlice("T12", (3, -20, 90.0))))
    result = estimate(phantom(), with_l5, model)
    assert [row.level for row in result.rows] == ["L1", "L2", "L5", "L1-L4"]
    assert not result.levels[2].included
    assert (result.total.selection, result.total.levels) == ("mean", "L1 L2")
    with_l5.include("L5", False)
    assert [r.level for r in estimate(phantom(), with_l5, model).levels] == ["L1", "L2"]


def test_t_score_needs_sex_and_table(model, patients_model):
    table = ReferenceTable.load("nhanes-hologic")
    volume = phantom()
    assert estimate(volume, chosen(), model, sex="F").total.t_score is None
    unknown = estimate(volume, chosen(), model, reference=table)
    assert unknown.total.t_score is None and unknown.sex is None
    assert any(item.code == "no-sex" for item in unknown.findings)
    result = estimate(volume, chosen(), model, sex="F", reference=table)
    assert result.total.t_score == pytest.approx((result.total.bmd_g_cm2 - 1.064) / 0.106)
    # The table has no row for single vertebrae.
    assert all(row.t_score is None for row in result.levels)
    # Simulated training never gives a category; patients give one for the mean alone.
    assert all(row.category is None for row in result.rows)
    real = estimate(volume, chosen(), patients_model, sex="F", reference=table)
    assert real.total.category in ("normal", "low bone mass", "osteoporosis")
    assert all(row.category is None for row in real.levels)


def test_sex_comes_from_the_header_and_a_contradiction_is_told(model):
    result = estimate(phantom(sex="M", age_years=55.0), chosen(), model)
    assert (result.sex, result.age) == ("M", 55.0)
    result = estimate(phantom(sex="M"), chosen(), model, sex="F")
    assert result.sex == "F"
    assert any(item.code == "sex" for item in result.findings)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sex": "X"}, "sex must be"),
        ({"age": -3}, "not possible"),
        ({"selection": LevelSelection()}, "No lumbar level"),
        ({"selection": LevelSelection((LevelSlice("T12", (0, 0, 0)),))}, "No lumbar level"),
        ({"selection": LevelSelection((LevelSlice("L1", (0, 0, 999.0)),))}, "outside"),
        ({"selection": LevelSelection(chosen().levels, series_uid="1.2.9")}, "another CT series"),
    ],
)
def test_refusals(model, change, words):
    arguments = {"selection": chosen(), **change}
    with pytest.raises(CTBMDError, match=words):
        estimate(phantom(series_uid="1.2.3"), arguments.pop("selection"), model, **arguments)


def test_progress_and_cancel(model):
    seen = []
    estimate(phantom(), chosen(), model, progress=lambda f, text: seen.append((f, text)))
    fractions = [f for f, _ in seen]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert any("L2" in text for _, text in seen)
    calls = iter([False, False, True])
    with pytest.raises(Cancelled):
        estimate(phantom(), chosen(), model, should_cancel=lambda: next(calls))


def test_result_round_trip(model):
    result = estimate(
        phantom(sex="F"), chosen(), model, reference=ReferenceTable.load("nhanes-hologic")
    )
    again = BMDResult.from_dict(json.loads(json.dumps(result.to_dict())))
    assert again == result
    with pytest.raises(CTBMDError, match="cannot be read"):
        BMDResult.from_dict({"levels": []})


def test_a_result_of_an_older_scene_is_refused(model):
    """Rows once said in `selection` what `included` and `levels` say now."""
    stored = estimate(phantom(), chosen(), model).to_dict()
    for row in [*stored["levels"], stored["total"]]:
        del row["levels"]
    with pytest.raises(CTBMDError, match="cannot be read; estimate again") as info:
        BMDResult.from_dict(stored)
    assert info.value.code == "stored-result"
    stored = estimate(phantom(), chosen(), model).to_dict()
    stored["total"]["selection"] = "mean of L1 L2 L3"
    with pytest.raises(CTBMDError, match="cannot be read; estimate again"):
        BMDResult.from_dict(stored)


def test_interval_grows_with_disagreement():
    interval = {"floor_g_cm2": 0.02, "quantile_level": 2.0, "quantile_total": 1.0}
    quiet = interval_half_width(interval, [1.0, 1.0], 0.0, "level")
    assert quiet == pytest.approx(0.04)
    assert interval_half_width(interval, [1.0, 1.0], 0.0, "total") == pytest.approx(0.02)
    assert interval_half_width(interval, [0.9, 1.1], 0.0, "level") == pytest.approx(
        2 * np.hypot(0.02, 0.1)
    )
    assert interval_half_width(interval, [1.0], 0.01, "level") > quiet
    assert image_spread(np.array([[1.0, 1.2], [1.0, 1.2]])) == pytest.approx(0.01)
    assert image_spread(np.array([[1.0], [1.1]])) == 0.0


def test_a_scale_stretches_the_interval_but_not_its_floor():
    interval = {"floor_g_cm2": 0.02, "quantile_level": 2.0, "quantile_total": 1.5}
    members = np.array([0.9, 1.0, 1.2])
    half = interval_half_width(interval, members, 1e-4, "total")
    wider = interval_half_width(interval, 1.3 * members, 1.3**2 * 1e-4, "total")
    assert rescaled_half_widths(interval, [half], 1.3) == pytest.approx([wider])
    floor = interval_half_width(interval, [1.0], 0.0, "total")
    assert rescaled_half_widths(interval, [floor], 1.3) == pytest.approx([floor])


def test_the_conformal_quantile_counts_the_new_patient():
    # The 18th of 19: 0.9 x (19 + 1), not 0.9 x 19.
    assert conformal_quantile(np.arange(1, 20)[::-1]) == 18
    assert conformal_quantile([3.0, 1.0, 2.0]) == 3.0  # too few for 90 %: the largest
    assert conformal_quantile(np.arange(1, 20), 0.5) == 10


@pytest.mark.parametrize("numbering", ["neither", "rib", "segment", "user", None])
def test_a_mean_of_uncertain_names_is_not_given_in_silence(model, numbering):
    selection = chosen()
    selection.numbering = numbering
    result = estimate(phantom(), selection, model)
    told = [item for item in result.findings if item.code == "mean-numbering"]
    if numbering == "neither":
        assert len(told) == 1 and told[0].severity == "warning"
        assert result.total.findings.count("one higher or one lower") == 1
    else:
        assert not told and "one higher" not in result.total.findings
