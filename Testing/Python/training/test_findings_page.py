"""The page on findings of virtual people: its truth, and how its counts come about."""

import numpy as np
import pytest
from scipy import ndimage

from CTBMDLib.bmd.heights import BodyHeights
from CTBMDLib.bmd.shape import BodyShape
from CTBMDLib.bmd.structure import Structure
from training.evaluation import findings
from training.evaluation.findings import (
    PLANTED,
    distances,
    kept,
    page,
    planted_in,
    size_codes,
    true_core,
    true_heights,
)
from training.evaluation.pressed import FORMS, Press, draw_press, press
from training.virtual.anatomy import make_scene
from training.virtual.primitives import HEIGHT, RHO_TRABECULAR
from training.virtual.traits import draw_traits


def scene():
    return make_scene(draw_traits(np.random.default_rng([5, 5]), "realistic"), 5, "realistic")


def test_the_true_core_follows_the_drawn_density_and_its_depth():
    plain, denser = scene(), scene()
    n = plain.names.index("L2")
    denser.spine[0][n, RHO_TRABECULAR] += 0.02
    step = true_core(denser, n, 120)[0] - true_core(plain, n, 120)[0]
    assert 15 < step < 60  # 20 mg/cm3, more towards walls and plates than in the middle
    (outer, wide), (inner, places) = (true_core(plain, n, 120, mm) for mm in (4.0, 6.0))
    assert outer > inner and len(wide) > len(places) > 2000
    assert np.abs(places).max() < 22 and np.abs(places.mean(axis=0)).max() < 4


def test_true_heights_follow_the_drawn_height():
    plain, lower = scene(), scene()
    n = plain.names.index("L3")
    lower.spine[0][n, HEIGHT] -= 5
    lost = true_heights(plain, n).array - true_heights(lower, n).array
    assert lost == pytest.approx([5, 5, 5], abs=0.7)


def row(error=1.0, planted=None, lost=0.0, codes=(), kvp=120, seen_lost=0.0):
    seen = None if error is None else error - 3
    return {
        "kvp": kvp,
        "error": error,
        "from_seen": seen,
        "planted": planted,
        "lost": lost,
        "seen_lost": seen_lost,
        "codes": set(codes),
    }


def person(contrast=None, narrow=False, plaque=False, codes=(), off=(), small=(), large=(), own=0):
    return {
        "contrast": contrast, "narrow": narrow, "plaque": plaque, "codes": set(codes),
        "+60 HU": set(off), "size 0.85": set(small), "size 1.25": set(large),
        "slices 0.75": {"proportions-unlikely"} if small else set(), "slices 1.33": set(),
        "own_plaque": bool(own),
        "like": {"unlike-training"} if narrow else set(),
        "HU x 1.3": set() if narrow else {"unlike-training"},
    }  # fmt: skip


def test_the_page_counts_what_is_told_of_those_who_have_it_and_of_those_who_have_not():
    rows = [
        row(), row(9.0), row(kvp=80), row(lost=0.3, codes=["height-loss"]), row(lost=0.3),
        row(lost=0.17, codes=["height-loss"]), row(None, "cement", codes=["cement"]),
        row(None, "cement"), row(codes=["cement"]), row(None, "lytic-focus", codes=["lytic-focus"]),
        row(None, "metal-in-vertebra"), row(codes=["dense-focus"]),
        row(None, "pressed", lost=0.22, seen_lost=0.26, codes=["height-loss"]),
        row(None, "pressed", lost=0.24, seen_lost=None),
        row(None, "pressed", lost=0.18, seen_lost=0.16),
    ]  # fmt: skip
    people = [
        person("portal", codes=["contrast-suspected", "tissue-hu"], off=["tissue-hu"]),
        person(narrow=True, codes=["body-cut"], small=["size-unlikely"]),
        person(plaque=True, codes=["body-cut", "aortic-calcification"], large=["size-unlikely"]),
        person(own=1, codes=["aortic-calcification"]),
    ]
    text = page(rows, "command", people)
    assert "| cement | 2 | 1 | 8 | 1 | 50 % | 88 % |" in text
    assert (
        "| lytic-focus | 1 | 1 | 8 | 0 |" in text
        and "| dense-focus | 0 | 0 | 8 | 1 | unknown |" in text
    )
    assert "| metal-in-vertebra | 1 | 0 | 8 | 0 |" in text
    assert "below 15 % | 4 | 2 | 5 | 0 |" in text
    assert "| as drawn, all tube voltages | 8 | +2.0 |" in text
    assert "| as drawn, 120 and 140 kV | 7 |" in text
    assert "| as the scan shows it, all tube voltages | 8 | -1.0 |" in text
    assert "| 20 to 25 %, grade 1 | 2 | 1 | 0 | 0 | 1 | 0 | +4.0 % | 0.0 % |" in text
    assert "| 15 to 20 % | 2 | 0 | 2 | 0 | 0 | 0 | -9.5 % | 7.5 % |" in text
    assert "| from 40 %, grade 3 | 0 | 0 | 0 | 0 | 0 | 0 | +nan % | nan % |" not in text
    assert "| contrast in the vessels | 1 | 1 | 3 | 0 |" in text
    assert "| body cut by the field of view | 1 | 1 | 3 | 1 |" in text
    assert "| plaque before L2 | 1 | 1 | 2 | 0 |" in text
    assert "calcified by the person's own age | 1 | 1 | 2 | 0 |" in text
    assert "| values off by +60 HU | 4 | 1 | 4 | 1 |" in text
    assert "| size 0.85 times true, size or proportions | 4 | 1 | 4 | 0 |" in text
    assert "| size 1.25 times true, size or proportions | 4 | 1 | 4 | 0 |" in text
    assert "| slices 0.75 times true, size or proportions | 4 | 1 | 4 | 0 |" in text
    assert "| HU x 1.3, unlike-training or tissue-hu | 4 | 3 | 4 | 2 |" in text
    assert "Simulated CT" in text


@pytest.mark.parametrize("share", [0.15, 0.40])
@pytest.mark.parametrize("form", FORMS)
def test_a_pressed_body_loses_its_share_where_its_form_says(form, share):
    drawn = scene()
    n = drawn.names.index("L4")
    up = drawn.spine[2][n][:, 2]
    axes = [np.arange(c - 40, c + 40.5, 1.0) for c in drawn.spine[1][n]]
    side, end = distances(drawn, n, axes)[:2]
    hu = np.where((side < 0) & (end < 0), 1000.0, 0.0).astype(np.float32)
    before = hu.copy()
    how = Press(form, share)
    press(hu, axes, drawn, n, how, distances)
    assert np.array_equal(hu[side > 5], before[side > 5])
    whole = true_heights(drawn, n)
    along = np.arange(-25, 25, 0.1)[:, None] * up

    def tall(image, v):
        radius, front = drawn.spine[3][n], drawn.spine[2][n][:, 1]
        reach = radius[18] if v > 0 else radius[54]
        place = (drawn.spine[1][n] + v * 0.8 * reach * front + along - [a[0] for a in axes])[
            :, ::-1
        ]
        return 0.1 * (ndimage.map_coordinates(image, place.T, order=1) > 500).sum()

    shares = [1 - tall(hu, v) / tall(before, v) for v in (1, 0, -1)]
    assert shares == pytest.approx(share * np.array(FORMS[form]), abs=0.045)
    kept_heights = how.heights(whole).array / whole.array
    assert 1 - kept_heights == pytest.approx(share * np.array(FORMS[form]))


def test_the_press_of_a_person_is_drawn_once_and_within_its_range():
    drawn = [draw_press(seed) for seed in range(200)]
    assert drawn == [draw_press(seed) for seed in range(200)]
    assert {x.form for x in drawn} == set(FORMS)
    assert 0.15 <= min(x.share for x in drawn) < 0.18 and 0.37 < max(x.share for x in drawn) <= 0.4


@pytest.mark.parametrize("what", PLANTED)
def test_what_is_planted_lies_in_or_before_its_level(what):
    drawn = scene()
    x, y, z = drawn.centres[drawn.names.index("L2")]
    xs, ys, zs = (np.arange(c - 60, c + 60.0, 1.0) for c in (x, y, z))
    hu = np.full((len(zs), len(ys), len(xs)), 100.0, np.float32)
    planted_in("L2", what)(hu, xs, ys, zs, drawn)
    k, j, i = np.nonzero(hu != 100)
    assert 100 < len(k) < 8000 and np.abs(zs[k] - z).max() <= 22
    assert (ys[j].min() > y + 30) == (what == "aortic-calcification")
    _, core = true_core(drawn, drawn.names.index("L2"), 120, 8.0)
    inside = np.rint(core + 60).astype(int)
    untouched = (hu[inside[:, 2], inside[:, 1], inside[:, 0]] == 100).all()
    # Pedicle screws lie to the side and end in front of the core.
    assert untouched == (what in ("aortic-calcification", "osteophytes", "dense-endplate"))


def test_a_false_spacing_scales_bodies_and_is_told():
    half = np.array([13.0, 0, 0, 0])
    bodies = {
        level: Structure(
            BodyShape(np.array([0, 0, -35.0 * n]), *np.eye(3), 21.5, 16.7, half, -half, 0.5),
            None, BodyHeights(26, 26, 26),
        )
        for n, level in enumerate(("L1", "L2", "L3"))
    }  # fmt: skip
    assert size_codes(bodies) == set() and size_codes({}) == set()
    assert size_codes(bodies, 0.8) == size_codes(bodies, 1.25) == {"size-unlikely"}
    assert (
        size_codes(bodies, 1.0, 0.75) == size_codes(bodies, 1.0, 1.33) == {"proportions-unlikely"}
    )


def test_a_person_once_measured_is_taken_from_the_folder(tmp_path, monkeypatch):
    asked = []

    def measured(seed):
        asked.append(seed)
        return [row(codes=["cement", "a"])], person(codes=["body-cut"])

    monkeypatch.setattr(findings, "measure", measured)
    once, again = kept(7, tmp_path / "people"), kept(7, tmp_path / "people")
    assert once == again and asked == [7]
    rows, one = once
    assert rows[0]["codes"] == ["a", "cement"] and one["codes"] == ["body-cut"]
    assert page(rows, "command", [one]) == page(measured(7)[0], "command", [measured(7)[1]])
    kept(8, None)
    assert asked[-1] == 8
