"""Lost height, cement, metal and odd values: what is said and which levels then do not count."""

import numpy as np
import pytest
from drawn_spine import level, spine

from CTBMDLib.bmd import leftout
from CTBMDLib.bmd.finding import Finding
from CTBMDLib.bmd.heights import TEMPLATE_MM, BodyHeights, grade
from CTBMDLib.bmd.structure import check_structure, look_at


def healthy(size=1.0):
    return {name: BodyHeights(*(size * np.array(mm))) for name, mm in TEMPLATE_MM.items()}


def with_loss(name, front=0.0, middle=0.0, back=0.0, size=1.0):
    spine_heights = healthy(size)
    lost = np.array(TEMPLATE_MM[name]) * size * (1 - np.array([front, middle, back]))
    return {**spine_heights, name: BodyHeights(*lost)}


@pytest.mark.parametrize("size", [0.8, 1.0, 1.25])
def test_a_healthy_spine_of_any_size_has_lost_nothing(size):
    for name, own in healthy(size).items():
        assert own.loss(name, healthy(size)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("name", ["L1", "L3", "L4"])
@pytest.mark.parametrize(
    ("lost", "number"),
    [(0.15, 0), (0.19, 0), (0.21, 1), (0.24, 1), (0.26, 2), (0.39, 2), (0.41, 3)],
)
@pytest.mark.parametrize("kind", ["wedge", "biconcave", "crush"])
def test_grades_are_genants(name, lost, number, kind):
    where = {"wedge": (1, 0, 0), "biconcave": (0, 1, 0), "crush": (1, 1, 1)}[kind]
    spine_heights = with_loss(name, *(lost * np.array(where)))
    assert grade(spine_heights[name].loss(name, spine_heights)) == number


def test_with_too_few_others_only_the_own_proportions_count():
    crushed = with_loss("L2", 0.3, 0.3, 0.3)
    two = {name: crushed[name] for name in ("L2", "L3")}
    assert crushed["L2"].loss("L2", two) == pytest.approx(0)
    wedge = with_loss("L2", front=0.3)
    assert wedge["L2"].loss("L2", {"L2": wedge["L2"]}) == pytest.approx(0.3)


def codes(volume):
    return [x.code for x in check_structure({"L3": look_at(volume, level())})]


@pytest.mark.parametrize("noise", [0.0, 20.0])
@pytest.mark.parametrize("inside", [60.0, 150.0, 300.0])
def test_an_ordinary_body_has_no_finding(noise, inside):
    assert codes(spine(noise=noise, inside=inside)) == []


def ball(radius, at=(0.0, 0.0, 0.0)):
    x, y, z = at
    return lambda u, v, w: (u - x) ** 2 + (v - y) ** 2 + (w - z) ** 2 < radius**2


@pytest.mark.parametrize("radius", [6.0, 8.0, 10.0, 12.0])
def test_cement_is_told_from_a_wrong_point(radius):
    assert codes(spine(paint=ball(radius, (2, 1, 1)))) == ["cement"]


def test_a_dense_island_is_a_note():
    found = check_structure({"L3": look_at(spine(paint=ball(3.4, (6, 3, 1))), level())})
    assert [(x.code, x.severity) for x in found] == [("dense-focus", "note")]


def test_a_screw_is_metal_in_the_vertebra():
    def screw(u, v, w):
        return (np.hypot(np.abs(u) - 12, w - 3) < 3) & (v > -40) & (v < 8)

    volume = spine(paint=screw)
    volume.hu[volume.hu == 900] = 3000
    assert "metal-in-vertebra" in codes(volume)
    beside = spine(paint=lambda u, v, w: np.hypot(u - 42, v) < 3)
    beside.hu[beside.hu == 900] = 3000
    assert "metal-in-vertebra" not in codes(beside)


def test_a_hole_in_rich_bone_is_told():
    volume = spine(inside=200.0, paint=ball(7.5, (7, 3, 0)))
    volume.hu[volume.hu == 900] = 20
    assert codes(volume) == ["lytic-focus"]


def test_a_pressed_body_is_told():
    volume = spine(wedge=9.0)
    found = check_structure({"L3": look_at(volume, level((0, 0, -4)))})
    assert [x.code for x in found] == ["height-loss"]


@pytest.mark.parametrize(
    ("t", "odd"),
    [
        ({"L1": -1, "L2": -1.2, "L3": -1.1, "L4": -0.4}, []),
        ({"L1": -1, "L2": -1.2, "L3": -1.1, "L4": 0.2}, ["L4"]),
        ({"L1": -1, "L2": 0.3, "L3": -1.1, "L4": -1}, ["L2"]),
        ({"L1": -3, "L2": -2.2, "L3": -1.4, "L4": -0.6}, []),
        ({"L1": 1.5, "L2": 0.0}, []),
        ({"L1": None, "L2": None, "L3": None, "L4": None}, []),
    ],
)
def test_more_than_1_t_from_every_neighbour_leaves_a_level_out(t, odd):
    assert list(leftout.reasons([], t)) == odd


def test_findings_leave_levels_out_and_only_those_that_should():
    findings = [
        Finding("height-loss", "L2", "x"),
        Finding("cement", "L3", "x"),
        Finding("metal-in-vertebra", "L4", "x"),
        Finding("height-loss", "T12", "x"),
        Finding("noise", "L1", "x"),
        Finding("dense-focus", "L1", "x", "note"),
    ]
    assert leftout.reasons(findings, {}) == {"L2": "lost height", "L3": "cement", "L4": "metal"}
    # What is left out does not make its neighbours odd.
    t = {"L1": -1.0, "L2": 1.0, "L3": -1.1, "L4": -1.0}
    assert list(leftout.reasons(findings[:1], t)) == ["L2"]
    assert leftout.reasons([Finding("differs", "L1", "x")], {}) == {"L1": leftout.OTHER_BMD}


def test_what_is_left_out_is_said():
    out = {"L2": "cement"}
    told = leftout.tell(out, ["L1", "L3"], ["L4"])
    assert [(x.code, x.level) for x in told] == [("left-out", "L2"), ("counted-again", "L4")]
    assert leftout.tell(out, ["L1"], [])[-1].code == "too-few-levels"
    assert leftout.tell({}, ["L1"], []) == []
