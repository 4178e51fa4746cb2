"""Levels that contradict themselves are refused or told, with the levels named; true spines are not."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from phantoms import bundle, chosen, phantom

from CTBMDLib.bmd.estimate import estimate
from CTBMDLib.bmd.places import check_places, refuse_impossible
from CTBMDLib.bmd.quality import check_selection
from CTBMDLib.errors import CTBMDError
from CTBMDLib.levels import LevelSelection, LevelSlice

NAMES = ("T12", "L1", "L2", "L3", "L4", "L5", "S1")


def spine(step=35.0, radius=150.0, side=0.0, names=NAMES, scale=1.0):
    """A lordotic spine with axes along its arc; `side` bends it to one side as well, mm."""
    items = []
    for n, name in enumerate(names):
        angle = (n - 3) * step / radius
        ras = (
            side * (1 - math.cos(angle * 2)),
            radius * math.cos(angle),
            -radius * math.sin(angle),
        )
        axis = (0.0, math.sin(angle), math.cos(angle))
        where = tuple(scale * x for x in ras)
        items.append(LevelSlice(name, where, included=name in NAMES[1:5], axis=axis))
    return items


def selection(items, **edits):
    return LevelSelection(tuple(replace(x, **edits.get(x.level, {})) for x in items))


def told(items, **edits):
    return [(x.code, x.level) for x in check_places(selection(items, **edits))]


def where(items, level, r=0.0, a=0.0, s=0.0):
    ras = next(x.ras for x in items if x.level == level)
    return {"ras": (ras[0] + r, ras[1] + a, ras[2] + s)}


@pytest.mark.parametrize("radius", [90.0, 120.0, 150.0, 300.0, 5000.0])
@pytest.mark.parametrize("side", [-20.0, 0.0, 20.0])
@pytest.mark.parametrize("step", [30.0, 35.0, 39.0])
def test_true_spines_have_no_finding(step, radius, side):
    items = spine(step, radius, side, NAMES[:6])
    assert told(items) == []
    refuse_impossible(items)
    assert told(items[1:5]) == [] and told(items[1:3]) == [] and told(items[2:3]) == []


def test_a_missing_level_is_no_contradiction():
    items = spine()
    assert told([x for x in items if x.level != "L2"]) == []
    assert told([x for x in items if x.level not in ("L2", "L3")]) == []


@pytest.mark.parametrize("axis", [(0, 0, 0), (0, 0, 100), (5, 0, 1), (0, 0, 0.5)])
@pytest.mark.parametrize("level", ["L1", "L3"])
def test_an_axis_that_is_no_direction_is_refused(axis, level):
    refused(selection(spine(), **{level: {"axis": axis}}), "level-axis", level)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_an_axis_that_is_not_finite_is_refused(bad, at):
    axis = [0.0, 0.0, 1.0]
    axis[at] = bad
    refused(selection(spine(), L2={"axis": tuple(axis)}), "level-axis", "L2")


def refused(levels, code, *named):
    check_selection(levels)  # whoever only looks gets no exception
    with pytest.raises(CTBMDError) as caught:
        refuse_impossible([x for x in levels if x.level in NAMES[1:5]])
    assert caught.value.code == code
    assert all(name in str(caught.value) for name in named)


@pytest.mark.parametrize(("one", "other"), [("L1", "L2"), ("L1", "L4"), ("L2", "L4")])
@pytest.mark.parametrize("apart", [0.0, 2.0])
def test_two_levels_at_one_place_are_refused(one, other, apart):
    items = spine()
    there = {other: where(items, one, r=apart)}
    refused(selection(items, **there), "levels-same-place", one, other)


@pytest.mark.parametrize(("one", "other"), [("L1", "L2"), ("L3", "L4")])
def test_levels_out_of_order_are_refused(one, other):
    items = spine()
    swapped = {one: where(items, other), other: where(items, one)}
    refused(selection(items, **swapped), "levels-order", one, other)


def test_levels_that_are_not_measured_are_told_out_of_order():
    items = spine()
    swapped = selection(items, T12=where(items, "L1", s=-5))
    assert [x.code for x in check_places(swapped)] == ["levels-order"]


@pytest.mark.parametrize("apart", [4.0, 5.0, 8.0, 11.5])
def test_levels_too_near_are_told(apart):
    items = spine()
    (found,) = check_places(selection(items, L2=where(items, "L1", s=-apart)))
    assert found.code == "levels-too-near" and "L1 and L2" in found.text


@pytest.mark.parametrize("level", NAMES[:6])
@pytest.mark.parametrize(("r", "a"), [(45.0, 0.0), (-45.0, 0.0), (0.0, 60.0), (0.0, -80.0)])
def test_a_point_far_off_the_line_is_told_and_no_other(level, r, a):
    items = spine(radius=400.0)
    assert told(items, **{level: where(items, level, r=r, a=a)}) == [("off-line", level)]


@pytest.mark.parametrize("level", NAMES[1:5])
def test_an_axis_across_the_spine_is_told(level):
    for axis in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.8, -0.6)):
        codes = told(spine(radius=2000.0), **{level: {"axis": axis}})
        assert codes == [("axis-off", level)]
    # Downwards along the spine is the same line.
    assert told(spine(radius=2000.0), **{level: {"axis": (0.0, 0.0, -1.0)}}) == []


@pytest.mark.parametrize(("scale", "word"), [(0.8, "near"), (1.25, "far"), (0.1, ""), (1.5, "far")])
def test_spacing_that_no_adult_has(scale, word):
    found = check_places(selection(spine(radius=400.0, scale=scale)))
    if scale == 0.1:
        assert {x.code for x in found} == {"levels-too-near"}
    else:
        assert [x.code for x in found] == ["spacing-unlikely"] and f"too {word}" in found[0].text


def test_the_estimate_refuses_and_tells(tmp_path):
    model = bundle(tmp_path / "b", members=1)
    plain = estimate(phantom(kvp=120.0), chosen(), model, backend="numpy")
    # The phantom is cut off beside its vertebrae and has no walls, which are rightly told.
    expected = {"incomplete", "no-sex", "body-cut", "trabecular-rest"}
    assert plain.findings and {x.code for x in plain.findings} <= expected
    for change in ({"axis": (0.0, 0.0, 0.0)}, {"ras": (3.0, -20.0, -15.0)}, {"ras": (3, -20, -40)}):
        levels = selection(list(chosen()), L2=change)
        with pytest.raises(CTBMDError, match="L2"):
            estimate(phantom(kvp=120.0), levels, model, backend="numpy")
    near = selection(list(chosen()), L2={"ras": (3.0, -20.0, 50.0)})
    result = estimate(phantom(kvp=120.0), near, model, backend="numpy")
    assert "L1 and L2 lie only 5 mm apart" in result.total.findings


def test_a_levels_file_with_json_infinity():
    data = chosen().to_dict()
    data["levels"][1]["axis"] = [0, 0, 1]
    text = json.dumps(data).replace("[0, 0, 1]", "[0, 0, 1e400]")
    levels = LevelSelection.from_json(text)
    assert not np.isfinite(levels["L2"].axis).all()
    with pytest.raises(CTBMDError, match="axis of L2"):
        refuse_impossible(list(levels))
