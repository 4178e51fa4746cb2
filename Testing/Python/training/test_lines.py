"""Answers on real scans beside the published lines of areal BMD on HU."""

from __future__ import annotations

import numpy as np
import pytest
from phantoms import CENTRES, phantom

from CTBMDLib.levels import LevelSlice
from training.realct import lines
from training.virtual.anchors import load_anchors


@pytest.mark.parametrize("people", lines.PEOPLES)
def test_the_line_passes_its_published_points(people):
    points = [x for x in load_anchors() if x.statistic == "at_hu" and x.people == people]
    assert len(points) == 4
    for x in points:
        assert lines.expected(x.hu, people) == pytest.approx(x.value, abs=0.002)
    assert lines.expected(150, "western") > lines.expected(150, "east-asian")


@pytest.mark.parametrize("kvp", [None, 80.0, 120.0, 140.0])
def test_hu_are_those_of_the_usual_voltage(kvp):
    volume = phantom((2.0, 2.0, 2.0), bone_hu=200.0, kvp=kvp)
    hu = lines.hu_of_l1(volume, {"L1": LevelSlice("L1", CENTRES["L1"])})
    as_read = lines.trabecular_hu(volume, LevelSlice("L1", CENTRES["L1"]))
    if kvp in (None, 120.0):
        assert hu == pytest.approx(as_read)
    else:
        assert (hu > as_read) == (kvp > 120)


def test_the_mean_difference_is_told_with_its_error():
    results = [
        {"scan": "a", "l1_l4": lines.expected(150, "western") + 0.10, "l1_hu": 150.0},
        {"scan": "b", "l1_l4": lines.expected(110, "western") - 0.04, "l1_hu": 110.0},
        {"scan": "c", "l1_l4": 9.9, "l1_hu": None},
    ]
    text = "\n".join(lines.beside_the_lines(results))
    assert "| a | 150 |" in text
    assert "+0.100" in text
    assert "-0.040" in text
    assert f"mean of 2 (standard error {lines.band() / np.sqrt(2):.3f}) | | | | +0.030" in text
    assert "| c |" not in text
    assert "mean" not in "\n".join(lines.beside_the_lines(results[2:]))
