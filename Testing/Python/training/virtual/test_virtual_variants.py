"""Transitional spines: their shapes, and how the finder's answers to them are judged."""

import numpy as np
import pytest

from CTBMDLib.levels import LevelSelection, LevelSlice
from training.locator.features import sides_of, training_options
from training.locator.transitional import KINDS, draw_variant, judge_case
from training.virtual.anatomy import make_scene
from training.virtual.traits import draw_traits
from training.virtual.variants import beside, from_sacrum, make_variant
from training.virtual.volume import make_volume, random_options

SEED = 31


def scene(**how):
    traits = draw_traits(np.random.default_rng([SEED, 5]), "realistic")
    return make_scene(traits, SEED, "realistic", make_variant(**how) if how else None)


@pytest.fixture(scope="module")
def usual():
    return scene()


def rib_rows(made):
    hard = made.soft[7]
    return hard[np.isclose(hard[:, 10], 0.62) & (hard[:, 6] == 4.2)]


def rib_length(made, index, side):
    """Length of the rib that starts beside a vertebra, mm."""
    rows = rib_rows(made)
    starts = rows[:, :3] - made.centres[index]
    near = (np.abs(starts[:, 2]) < 12) & (starts[:, 0] * side > 0) & (np.abs(starts[:, 0]) < 45)
    at = np.flatnonzero(near)
    if not len(at):
        return 0.0
    length, n = 0.0, at[0]
    while True:
        length += np.linalg.norm(rows[n, 3:6] - rows[n, :3])
        if n + 1 >= len(rows) or not np.allclose(rows[n + 1, :3], rows[n, 3:6]):
            return length
        n += 1


def test_five_with_the_usual_ribs_is_the_usual_spine(usual):
    same = scene(lumbar_count=5)
    for one, other in zip(usual.spine[:8], same.spine[:8], strict=True):
        assert np.array_equal(one, other)
    assert same.names == usual.names


def test_ribs_may_run_down_more_and_nothing_else_changes(usual):
    steep = scene(rib_fall=2.0)
    before, after = rib_rows(usual), rib_rows(steep)
    assert len(before) == len(after) > 50
    assert np.allclose(before[:, [0, 1, 3, 4]], after[:, [0, 1, 3, 4]])
    heads = [0, *(np.flatnonzero(np.any(before[1:, :3] != before[:-1, 3:6], axis=1)) + 1)]
    for start, end in zip(heads, [*heads[1:], len(before)], strict=True):
        drop = [rows[start, 2] - rows[end - 1, 5] for rows in (before, after)]
        assert drop[1] == pytest.approx(2 * drop[0], rel=1e-6) and drop[0] > 20
    for one, other in zip(usual.spine[:2], steep.spine[:2], strict=True):
        assert np.array_equal(one, other)


def test_truth_tells_ribs_and_joins_of_each_side():
    made = make_variant(rib_at_l1="right", sacralised_l5="left", rib12_mm=(0.0, 90.0))
    told = beside(made.names, made)
    assert told["T11"]["rib_mm"] == (np.inf, np.inf) and told["T12"]["rib_mm"] == (0.0, 90.0)
    assert told["L1"]["rib_mm"] == (0.0, 45.0) and told["L2"]["rib_mm"] == (0.0, 0.0)
    assert told["L5"]["joined"] == (True, False) and told["S1"]["joined"] == (False, False)
    names = ("T12", "L1", "S1")
    assert [beside(names)[n]["rib_mm"][0] for n in names] == [np.inf, 0.0, 0.0]
    levels = {name: told[name] for name in made.names}
    sides, last = sides_of(levels)
    assert sides[:, made.names.index("L1")].tolist() == [1, 0]
    assert sides[:, made.names.index("T12")].tolist() == [1, 0] and sides[0, -1] == 2
    # The last rib that is as usual is on the left that of T11; on the right none is.
    assert last.tolist() == [1, -1]


@pytest.mark.parametrize("count, first", [(4, "T9"), (5, "T10"), (6, "T11")])
def test_count_of_vertebrae_without_ribs(count, first):
    made = scene(lumbar_count=count)
    assert made.names[0] == first and made.names[-2:] == ("S1", "S2")
    lumbar = [i for i, name in enumerate(made.names) if name[0] == "L"]
    assert len(lumbar) == count
    for i, name in enumerate(made.names[:8]):
        lengths = [rib_length(made, i, side) for side in (-1, 1)]
        assert (min(lengths) > 100) if name[0] == "T" else (max(lengths) == 0), name
    # Bodies follow one another by their heights and a disc, whatever their number.
    steps = np.linalg.norm(np.diff(made.centres, axis=0), axis=1)[:8]
    between = 0.5 * (made.heights[:8] + made.heights[1:9])
    assert np.all(steps > between + 1) and np.all(steps < between + 16)


def test_short_and_absent_ribs_and_a_rib_at_l1():
    made = scene(rib12_mm=(0.0, 40.0), rib_at_l1="left", rib_l1_mm=55.0)
    t12, l1 = made.names.index("T12"), made.names.index("L1")
    assert rib_length(made, t12, -1) == 0 and abs(rib_length(made, t12, 1) - 40) < 0.1
    assert abs(rib_length(made, l1, -1) - 55) < 0.1 and rib_length(made, l1, 1) == 0


def test_a_sacralised_l5_has_bone_from_its_body_to_the_ala():
    options = {"noise_hu": 0, "spacing_mm": 1.5, "between_mm": 1.5, "top": 6, "bottom": 8}
    shown = {}
    for side in (None, "right"):
        # A person who stands straight: of others one ala reaches up to where the other does not.
        volume, truth = make_volume(34, sacralised_l5=side, width_mm=160.0, **options)
        l5 = truth["levels"]["L5"]
        centre, axis = np.array(l5["ras"]), np.array(l5["axis"])
        front = np.cross(axis, [1.0, 0, 0])  # to the front in RAS
        front *= np.sign(front[1])
        for sign, name in ((-1, "left"), (1, "right")):
            # Above the ala of the other side, whose disc is as low.
            points = [
                centre + [sign * x, 0, 0] - z * axis - y * front
                for x in (36, 41, 46)
                for z in (6, 9)
                for y in (18, 22, 26)
            ]
            shown[side, name] = float(np.mean(volume.sample(np.array(points)) > 150))
    print(shown)
    assert shown["right", "right"] > 0.6
    assert shown["right", "left"] < 0.2 and shown[None, "right"] < 0.2


def test_names_counted_from_the_sacrum():
    six = from_sacrum(make_variant(6).names)
    assert six["L6"] == "L5" and six["L1"] == "T12" and six["S1"] == "S1"
    four = from_sacrum(make_variant(4).names)
    assert four["L4"] == "L5" and four["T12"] == "L1"
    five = from_sacrum(make_variant(5).names)
    assert all(own == counted for own, counted in five.items())


def test_the_options_are_not_drawn_at_random_and_wrong_ones_are_refused():
    new = {"lumbar_count", "rib_at_l1", "sacralised_l5", "rib12_mm", "variant", "repaint"}
    assert not new & set(random_options(3))
    with pytest.raises(ValueError, match="4, 5 or 6"):
        make_variant(7)
    with pytest.raises(ValueError, match="rib_at_l1"):
        make_variant(rib_at_l1="middle")
    for kind in KINDS:
        assert draw_variant(kind, 4) == draw_variant(kind, 4)
        make_variant(**draw_variant(kind, 4))


# -- the judge ----------------------------------------------------------------------
def truth_of(count):
    names = make_variant(count).names
    return {
        "levels": {name: {"ras": (0.0, 0.0, -36.0 * i)} for i, name in enumerate(names)},
        "from_sacrum": from_sacrum(names),
    }


def answer(shift=0, confidence=0.9, numbering="both", notes=()):
    """L1-L5 at places 3 to 7 of the ten, moved by `shift` places to the feet."""
    levels = tuple(
        LevelSlice(f"L{n + 1}", (0.0, 0.0, -36.0 * (3 + n + shift)), confidence) for n in range(5)
    )
    return LevelSelection(levels, None, numbering, notes)


@pytest.mark.parametrize("count", [4, 5, 6])
def test_verdicts(count):
    truth = truth_of(count)
    assert judge_case(answer(), truth)["verdict"] == "right"
    wrong = judge_case(answer(shift=-1), truth)
    assert wrong["verdict"] == "wrong" and wrong["agree"] == 0 and wrong["found"] == 4
    assert judge_case(answer(-1, numbering="neither"), truth)["verdict"] == "unsure"
    assert judge_case(answer(-1, confidence=0.4), truth)["verdict"] == "unsure"
    note = ("Possible transitional anatomy: ...",)
    assert judge_case(answer(-1, notes=note), truth)["verdict"] == "noted"
    assert judge_case(LevelSelection(()), truth)["verdict"] == "none"


def test_a_quarter_of_the_training_volumes_is_transitional():
    drawn = [training_options(seed) for seed in range(40)]
    strange = [n for n, options in enumerate(drawn) if "variant" in options]
    assert strange == list(range(3, 40, 4))
    kinds = {
        (v["variant"].names, str(v["variant"].rib_mm), v["variant"].wings)
        for v in drawn
        if "variant" in v
    }
    assert len(kinds) >= 8
    steep = [training_options(seed, steep=True)["variant"] for seed in range(40)]
    assert all(1.0 <= v.rib_fall <= 2.6 for v in steep)
    shorter = [v for v in steep if np.isfinite(v.rib_mm[v.names.index("T12")]).all()]
    assert 20 <= len(shorter) < 40
