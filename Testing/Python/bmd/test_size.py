"""Human size: vertebrae of people pass, those of a false spacing are told."""

from dataclasses import replace

import numpy as np
import pytest

from CTBMDLib.bmd.estimate import add_structure
from CTBMDLib.bmd.heights import heights_of
from CTBMDLib.bmd.quality import Finding
from CTBMDLib.bmd.shape import BodyShape
from CTBMDLib.bmd.size import DEPTH_MM, HEIGHT_MM, STEP_MM, WIDTH_MM, check_size
from CTBMDLib.bmd.structure import Structure

LEVELS = ("L1", "L2", "L3", "L4")


def person(scale=(1.0, 1.0, 1.0), levels=LEVELS, clear=0.5):
    """Bodies of usual size, scaled to the right, to the front and up."""
    x, y, z = scale
    half = z * HEIGHT_MM / 2
    return {
        level: BodyShape(
            np.array([0.0, 0.0, -z * STEP_MM * n]), *np.eye(3), x * WIDTH_MM[level] / 2,
            y * DEPTH_MM / 2, np.array([half, 0, 0, 0]), np.array([-half, 0, 0, 0]), clear,
        )
        for n, level in enumerate(levels)
    }  # fmt: skip


def codes(bodies):
    heights = {k: heights_of(x) for k, x in bodies.items()}
    return [x.code for x in check_size(bodies, {k: x for k, x in heights.items() if x})]


@pytest.mark.parametrize("size", [0.9, 0.95, 1.0, 1.05, 1.1])
def test_people_from_small_to_tall_get_no_word(size):
    assert codes(person((size,) * 3)) == []
    assert codes(person((size * 0.95, size, size * 1.05))) == []


@pytest.mark.parametrize("size", [0.7, 0.85, 1.25, 1.5])
def test_a_scan_scaled_in_all_directions_is_told(size):
    bodies = person((size,) * 3)
    assert codes(bodies) == ["size-unlikely"]
    (one,) = check_size(bodies, {k: heights_of(x) for k, x in bodies.items()})
    assert f"{100 * size:.0f} % of an adult" in one.text and one.level is None
    assert ("small" in one.text) == (size < 1)


@pytest.mark.parametrize("scale", [(1, 1, 0.8), (1, 1, 1.25), (0.8, 0.8, 1), (1.25, 1.25, 1)])
def test_one_false_direction_is_told(scale):
    assert codes(person(scale)) == ["proportions-unlikely"]


def test_wide_and_slender_people_of_one_height_are_no_false_scale():
    # Width and depth of people's bodies differ by 11 % (SD) where their heights do by 5 %.
    assert codes(person((1.17, 1.17, 1.03))) == codes(person((0.82, 0.82, 0.95))) == []
    assert codes(person((1.05, 1.05, 1.2))) == ["size-unlikely"]


def test_one_odd_body_and_unknown_ones_count_for_nothing():
    bodies = person()
    bodies["L2"] = replace(bodies["L2"], half_width=33.0, top=np.array([5.0, 0, 0, 0]))
    assert codes(bodies) == []
    wrong = (1.5, 1.5, 1.5)
    assert codes(person(wrong, clear=0.1)) == []  # walls that are not believed
    assert codes(person(wrong, levels=("L1",))) == [] and codes({}) == []
    apart = person(wrong)
    assert codes({k: apart[k] for k in ("L1", "L3")}) == []  # no neighbours


def test_an_estimate_tells_it_once():
    def known(size):
        return {k: Structure(x, None, heights_of(x)) for k, x in person((size,) * 3).items()}

    def told(findings, size):
        return [x.code for x in add_structure(findings, known(size), {})]

    assert told([], 1.0) == []
    assert told([], 0.8) == ["size-unlikely"]
    said = Finding("spacing-unlikely", None, "said")  # by the points already
    assert told([said], 0.8) == ["spacing-unlikely"]
    # Levels that are not measured count, and unknown bodies do not.
    some = {"L4": Structure(None, None, None)}
    assert [x.code for x in add_structure([], some, known(0.8))] == ["size-unlikely"]
    assert add_structure([], some, {}) == []
