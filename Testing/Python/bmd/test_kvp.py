"""Tube voltage: given, in the header, contradicted, unknown; and what not knowing it costs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from phantoms import bundle, chosen, phantom

from CTBMDLib.bmd import quality
from CTBMDLib.bmd.estimate import USUAL_KVP, estimate
from CTBMDLib.errors import CTBMDError


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return bundle(tmp_path_factory.mktemp("models") / "b")


def of(result, code):
    return [x for x in result.findings if x.code == code]


def run(model, header=None, given=None, levels=("L1", "L2", "L3")):
    return estimate(phantom(kvp=header), chosen(levels), model, kvp=given, backend="numpy")


def test_given_and_header_are_the_same_thing(model):
    header, given = run(model, 100.0), run(model, None, 100.0)
    assert given.to_dict() == header.to_dict()
    assert [x.code for x in given.findings] == [x.code for x in header.findings]
    assert not of(given, "kvp-unknown") and not of(given, "kvp-contradicts")


def test_a_voltage_that_contradicts_the_header_is_used_and_told(model):
    result = run(model, 120.0, 100.0)
    (found,) = of(result, "kvp-contradicts")
    assert "100 kV" in found.text and "120 kV" in found.text and found.severity == "warning"
    assert result.total.bmd_g_cm2 == run(model, 100.0).total.bmd_g_cm2
    assert "tube voltage given" in result.total.findings
    assert not of(run(model, 120.0, 120.4), "kvp-contradicts")


@pytest.mark.parametrize("kvp", [39.9, 201.0, 0.0, -120.0, math.nan, math.inf])
def test_voltages_that_no_scanner_has_are_refused(model, kvp):
    with pytest.raises(CTBMDError, match="not possible") as caught:
        run(model, None, kvp)
    assert caught.value.code == "kvp"


@pytest.mark.parametrize("kvp", [40.0, 70.0, 150.0])
def test_voltages_outside_what_the_model_saw_are_told(model, kvp):
    assert of(run(model, None, kvp), "kvp")


def test_unknown_voltage_says_what_this_very_scan_would_give(model):
    result = run(model)
    (found,) = of(result, "kvp-unknown")
    for kvp in USUAL_KVP:
        there = run(model, kvp)
        assert f"{there.total.bmd_g_cm2:.3f} at {kvp:g} kV" in found.text
        assert not of(there, "kvp-unknown")
    assert f"instead of {result.total.bmd_g_cm2:.3f}" in found.text
    assert found.text.rstrip(".") in result.total.findings


def test_it_follows_what_is_counted(model):
    selection = chosen()
    selection.include("L2", False)
    (found,) = of(estimate(phantom(), selection, model, backend="numpy"), "kvp-unknown")
    there = estimate(phantom(kvp=140.0), selection, model, backend="numpy")
    assert f"{there.total.bmd_g_cm2:.3f} at 140 kV" in found.text


def test_without_a_mean_it_is_said_all_the_same(model):
    result = run(model, levels=("L1",))
    (found,) = of(result, "kvp-unknown")
    assert f"{run(model, 100.0, levels=('L1',)).levels[0].bmd_g_cm2:.3f} at 100 kV" in found.text
    assert "instead" not in found.text


def test_a_warning_where_the_interval_does_not_hold_it():
    effect = {100.0: 0.70, 120.0: 0.74, 140.0: 0.78}
    assert quality.kvp_unknown(effect, 0.74, 0.05).severity == "note"
    assert quality.kvp_unknown(effect, 0.74, 0.03).severity == "warning"
    assert quality.kvp_unknown(effect, None, None).severity == "note"


def test_the_value_itself_is_not_moved_by_looking(model):
    images = phantom()
    first = estimate(images, chosen(), model, backend="numpy").total.bmd_g_cm2
    assert first == np.float64(estimate(images, chosen(), model, backend="numpy").total.bmd_g_cm2)
