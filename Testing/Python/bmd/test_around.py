"""What lies about a body: plaque, spurs and sclerosis are told, what is healthy is not."""

from dataclasses import replace

import numpy as np
import pytest
from drawn_spine import CENTRE, HALF, level, spine

from CTBMDLib.bmd.around import Around, check_around
from CTBMDLib.bmd.estimate import add_structure
from CTBMDLib.bmd.structure import Structure, check_structure, look_at

FRONT, TOP = HALF[1], HALF[2]


def painted(hu, where, **how):
    """A drawn spine with `hu` where `where(u, v, w)` is true, mm off the body's middle."""
    volume = spine(noise=10, **how)
    k, j, i = np.indices(volume.hu.shape)
    ras = volume.ras_from_ijk(np.stack([i, j, k], axis=-1)) - CENTRE
    return replace(volume, hu=np.where(where(*np.moveaxis(ras, -1, 0)), hu, volume.hu))


def codes(volume):
    return {x.code: x for x in check_structure({"L3": look_at(volume, level())})}


def shell(u, v, w):
    """A calcified arc of the aorta's wall."""
    far = np.hypot(u + 3, v - FRONT - 14)
    return (far > 8) & (far < 10.5) & (v > FRONT + 16) & (np.abs(w) < 9)


def spurs(u, v, w):
    out = np.hypot(u / HALF[0], v / FRONT)
    return (out > 1) & (out < 1.4) & (v > 2) & (np.abs(np.abs(w) - TOP) < 3)


def sclerosis(u, v, w):
    return (np.hypot(u / HALF[0], v / FRONT) < 0.95) & (w > TOP - 9) & (w < TOP - 1)


def hole(radius):
    return lambda u, v, w: np.sqrt((u - 6) ** 2 + (v - 3) ** 2 + w**2) < radius


@pytest.mark.parametrize(
    "hu, where, code",
    [
        (700.0, shell, "aortic-calcification"),
        (600.0, spurs, "osteophytes"),
        (330.0, sclerosis, "dense-endplate"),
        (40.0, hole(6.0), "lytic-focus"),
    ],
)
def test_each_is_told_where_it_is_and_only_there(hu, where, code):
    told = codes(painted(hu, where))
    assert set(told) == {code} and told[code].text.endswith(".")
    if code == "aortic-calcification":
        assert "L3" in told[code].text and "not necessarily this value" in told[code].text


def test_a_healthy_spine_and_a_bright_vessel_get_no_word():
    assert codes(spine(noise=10)) == {}
    assert codes(spine(noise=10, vessel=320.0)) == {}  # arterial contrast
    assert codes(painted(40.0, hole(3.0))) == {}
    assert "lytic-focus" in codes(painted(40.0, hole(6.0), inside=110.0))


@pytest.mark.parametrize("inside", [80.0, 95.0, 130.0])
@pytest.mark.parametrize("step", [(1.0, 1.0, 1.0), (0.9, 0.9, 4.0)])
def test_a_hole_is_told_in_weak_bone_and_thick_slices_too(inside, step):
    """As much marrow without bone as a metastasis leaves: little HU to lose, and blurred."""
    how = {"inside": inside, "step": step}
    assert set(codes(painted(15.0, hole(6.5), **how))) == {"lytic-focus"}
    assert codes(spine(noise=20, **how)) == {}


def test_what_holds_less_bone_by_nature_is_no_hole():
    def fade(amount, along):
        def draw(u, v, w):
            return np.clip(1 - amount * along(u, v, w), 0, 1)

        volume = spine(noise=15, inside=120.0)
        k, j, i = np.indices(volume.hu.shape)
        ras = volume.ras_from_ijk(np.stack([i, j, k], axis=-1)) - CENTRE
        bone = (volume.hu > 70) & (volume.hu < 170)
        part = draw(*np.moveaxis(ras, -1, 0))
        return codes(replace(volume, hu=np.where(bone, volume.hu * part, volume.hu)))

    assert (
        fade(0.25, lambda u, v, w: 1 - np.minimum(np.abs(w) / TOP, 1)) == {}
    )  # poor in the middle
    assert fade(0.3, lambda u, v, w: np.clip(v / FRONT, 0, 1)) == {}  # poor in front
    vein = fade(0.9, lambda u, v, w: (np.abs(u) < 3) & (np.abs(w) < 3) & (v < 1))
    assert vein == {}


def test_an_end_of_view_is_no_hole():
    whole = spine(noise=10)
    assert "lytic-focus" not in codes(replace(whole, hu=whole.hu[:59]))  # 2 mm above the endplate


def test_one_word_for_the_aorta_of_all_levels_and_none_beside_metal():
    plaque = Structure(None, None, None, around=Around(calcified_mm3=150.0))
    (one,) = check_structure({"L3": plaque, "L4": plaque})
    assert one.level is None and "0.3 ml" in one.text and "L3 L4" in one.text
    assert [x.code for x in add_structure([], {"L3": plaque}, {})] == ["aortic-calcification"]
    screw = Structure(None, None, None, metal_mm3=900.0, around=Around(500.0, 5000.0, 300.0))
    assert [x.code for x in check_structure({"L3": screw})] == ["metal-in-vertebra"]
    assert check_around({"L3": Around(99.0, 899.0, 79.0)}) == []
    told = check_around({"L3": Around(100.0, 900.0, 80.0)})
    assert [x.code for x in told] == ["aortic-calcification", "osteophytes", "dense-endplate"]
