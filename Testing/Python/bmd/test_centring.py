"""Images are taken about the middle of the body that a point lies in, wherever in it that is."""

from dataclasses import replace

import numpy as np
import pytest
from drawn_spine import CENTRE, HALF, level, spine

from CTBMDLib.bmd.centring import centred, check_centring, check_one_body, level_images
from CTBMDLib.bmd.estimate import estimate
from CTBMDLib.bmd.structure import look_at
from CTBMDLib.bmd.walls import find_body
from CTBMDLib.errors import CTBMDError
from CTBMDLib.levels import LevelSelection, LevelSlice
from CTBMDLib.model.bundle import ModelBundle, default_bundle_folder
from CTBMDLib.model.images import ImageStandard, cut_images

STANDARD = ImageStandard()
OFF = [(0, 0, 0), (0, 0, 7), (0, 0, -7), (5, 0, 0), (-4, 4, 3), (0, -6, -5)]


def seen(volume, item):
    return centred(volume, item, look_at(volume, item))


def told(volume, item):
    structure = look_at(volume, item)
    return {x.code: x for x in check_centring(item, centred(volume, item, structure), structure)}


@pytest.mark.parametrize("off", OFF)
@pytest.mark.parametrize("axis", [(0, 0, 1), (0, 0.4, 1)])
def test_a_point_anywhere_in_the_body_becomes_its_middle(off, axis):
    axis = np.array(axis, float) / np.linalg.norm(axis)
    volume, item = spine(axis=axis, noise=8), level(off)
    moved = seen(volume, item)
    assert np.linalg.norm(np.subtract(moved.ras, CENTRE)) < 1.7
    assert moved.height_mm == pytest.approx(2 * HALF[2], abs=1.6)
    assert np.degrees(np.arccos(min(float(np.dot(moved.axis, axis)), 1.0))) < 5
    assert replace(moved, ras=item.ras, axis=item.axis, height_mm=item.height_mm) == item


def test_the_images_hardly_hang_on_the_point():
    volume = spine(noise=8)
    first = level_images(volume, level(), STANDARD)
    for off in OFF:
        other = level_images(volume, level(off), STANDARD)
        assert other.s_mm == pytest.approx(first.s_mm, abs=1.2)
        assert other.centre_ra_mm == pytest.approx(first.centre_ra_mm, abs=1.2)


def test_without_walls_the_point_is_all_that_is_known():
    rng = np.random.default_rng(4)
    volume, item = spine(), level((0, 0, 6))
    noise = replace(volume, hu=rng.normal(60, 20, volume.hu.shape).astype(np.float32))
    assert find_body(noise, item) is None
    assert seen(noise, item) is item
    assert level_images(noise, item, STANDARD).s_mm.mean() == pytest.approx(item.ras[2], abs=1e-6)
    assert told(noise, item) == {}


def test_a_point_outside_the_volume_is_refused_as_ever():
    with pytest.raises(CTBMDError, match="outside the CT volume"):
        level_images(spine(), level((0, 0, 200)), STANDARD)


@pytest.mark.parametrize("off", [(0, 0, 15), (0, 0, -15), (30, 0, 0), (0, -22, 0)])
def test_a_point_outside_the_body_or_far_from_its_middle_stays_and_is_told(off):
    volume, item = spine(), level(off)
    structure = replace(look_at(volume, level()), cement_mm3=0.0, metal_mm3=0.0)
    assert centred(volume, item, structure) is item
    (one,) = check_centring(item, item, structure)
    assert (one.code, one.severity) == ("point-unsure", "warning") and "Check it" in one.text


BODIES = {
    "walls that are not clear": {"clear": 0.17},
    "a disc": {"top": np.array([6.0, 0, 0, 0]), "bottom": np.array([-6.0, 0, 0, 0])},
    "wider than the view": {"half_width": 70.0},
    "taller than the view": {
        "top": np.array([50.0, 0, 0, 0]),
        "bottom": np.array([-50.0, 0, 0, 0]),
    },
}


@pytest.mark.parametrize("what", BODIES)
def test_walls_that_may_be_anothers_move_nothing(what):
    volume, item = spine(), level((0, 0, 4))
    structure = look_at(volume, item)
    assert centred(volume, item, structure) is not item
    other = replace(structure, body=replace(structure.body, **BODIES[what]))
    assert centred(volume, item, other) is item


@pytest.mark.parametrize("what", ["cement_mm3", "metal_mm3"])
def test_cement_and_metal_move_nothing(what):
    volume, item = spine(), level((0, 0, 6))
    structure = replace(look_at(volume, item), **{what: 900.0})
    assert centred(volume, item, structure) is item
    assert check_centring(item, item, structure) == []


def test_a_body_turned_far_off_the_spines_axis_moves_nothing():
    volume = spine()
    item, structure = level((0, 0, 4)), look_at(volume, level((0, 0, 4)))
    for degrees, moves in ((15, True), (35, False)):
        turn = np.radians(degrees)
        leaning = replace(item, axis=(0.0, float(np.sin(turn)), float(np.cos(turn))))
        assert (centred(volume, leaning, structure) is not leaning) == moves


def test_the_upper_end_of_a_body_is_still_the_body():
    """Walls are found a little inside; the cliff must not lie within the bone."""
    volume = spine(noise=8)
    for mm in (-9.0, -8.0, 8.0, 9.0):
        assert np.linalg.norm(np.subtract(seen(volume, level((0, 0, mm))).ras, CENTRE)) < 1.7


def test_who_reads_is_told_from_some_millimetres_on():
    volume = spine(noise=8)
    cases = [((0, 0, 1), None), ((2, 2, 0), None), ((0, 0, 6.5), "note"), ((6.5, 0, 0), "note")]
    for off, severity in [*cases, ((0, 0, 10), "warning"), ((10, 0, 0), "warning")]:
        found = told(volume, level(off))
        assert set(found) == ({"off-middle"} if severity else set())
        if severity:
            assert found["off-middle"].severity == severity
            assert "from the middle of the vertebral body" in found["off-middle"].text
            assert ("right vertebra" in found["off-middle"].text) == (severity == "warning")


def test_two_levels_in_one_body_are_told():
    volume, bundle = spine(noise=8), ModelBundle.load(default_bundle_folder())
    upper, lower = replace(level((0, 0, 7)), level="L2"), replace(level((0, 0, -7)), level="L3")
    result = estimate(volume, LevelSelection((upper, lower)), bundle, backend="numpy")
    found = [x for x in result.findings if x.code == "one-body"]
    assert [x.level for x in found] == ["L2", "L3"]
    assert all(x.severity == "warning" and "same vertebral body" in x.text for x in found)


@pytest.mark.parametrize(("mm", "told"), [(0.0, True), (11.5, True), (12.5, False), (30.0, False)])
def test_from_when_on_two_places_are_two_bodies(mm, told):
    upper = replace(level(), level="L2")
    lower = replace(upper, level="L3", ras=(*upper.ras[:2], upper.ras[2] - mm))
    assert bool(check_one_body([upper, lower])) == told


@pytest.mark.parametrize(
    ("half_height", "along", "moves"),
    [
        (16.0, 11.5, True),
        (16.0, 12.5, False),
        (9.5, 12.0, True),
        (9.5, 11.0, True),
        (8.8, 4, False),
    ],
)
@pytest.mark.parametrize("way", [-1, 1])
def test_how_far_up_and_down_a_point_is_still_its_bodys(half_height, along, moves, way):
    volume, item = spine(), level((0, 0, way * along))
    structure = look_at(volume, level())
    plates = {"top": [half_height, 0, 0, 0], "bottom": [-half_height, 0, 0, 0]}
    body = replace(structure.body, **{k: np.array(v) for k, v in plates.items()})
    assert (centred(volume, item, replace(structure, body=body)) is not item) == moves


def test_a_point_well_beyond_an_endplate_is_not_its_bodys():
    volume, item = spine(), level((0, 0, 11.9))
    structure = look_at(volume, level())
    shift = item.ras[2] - structure.body.centre[2]
    for beyond, moves in ((2.5, True), (3.5, False)):
        plate = np.array([shift - beyond, 0, 0, 0])
        low = replace(structure.body, top=plate, bottom=np.array([-18.5 + plate[0], 0, 0, 0]))
        assert (centred(volume, item, replace(structure, body=low)) is not item) == moves


def test_an_estimate_says_where_its_images_lie_and_moves_no_point():
    volume, bundle = spine(noise=8), ModelBundle.load(default_bundle_folder())
    near, far = level((0, 0, 1)), level((0, 0, 8))
    values = {}
    for item in (near, far):
        selection = LevelSelection((item,))
        result = estimate(volume, selection, bundle, backend="numpy")
        (row,) = result.levels
        images = result.images[item.level]
        assert row.slice_s_mm == pytest.approx(float(np.median(images.s_mm)))
        assert row.slice_s_mm == pytest.approx(CENTRE[2], abs=1.2)
        assert selection[item.level] == item
        values[item] = row.bmd_g_cm2
        codes = {x.code for x in result.findings}
        assert ("off-middle" in codes) == (item is far)
        assert ("images were taken about the middle" in row.findings) == (item is far)
    assert values[near] == pytest.approx(values[far], abs=0.01)


@pytest.mark.slow
def test_a_virtual_persons_answer_hardly_hangs_on_the_points():
    """Simulated: points a quarter of a body off and 4 mm aside against the true middles."""
    from training.virtual.volume import make_volume, random_options

    bundle, shifts, before = ModelBundle.load(default_bundle_folder()), [], []
    for seed in (24602, 24605, 24607):
        options = random_options(seed)
        options.update(top=2.4, bottom=6.6, outside_hu=None, metal=False)
        volume, truth = make_volume(seed, **options)
        true = {
            name: LevelSlice(name, tuple(place["ras"]), axis=tuple(place["axis"]), height_mm=place["height_mm"])
            for name, place in truth["levels"].items()
            if name in ("L1", "L2", "L3", "L4")
        }  # fmt: skip

        def mean(items, read=level_images, volume=volume):
            hu = np.concatenate([read(volume, item, STANDARD).hu for item in items])
            return float(bundle.predict(hu, backend="numpy", kvp=volume.acquisition.kvp).mean())

        middle = mean(true.values())
        for way in (-1, 1):
            off = [
                LevelSlice(
                    name,
                    tuple(np.add(item.ras, 0.25 * way * item.height_mm * np.array(item.axis)) + (4.0 * way, 0, 0)),
                )
                for name, item in true.items()
            ]  # fmt: skip
            shifts.append(mean(off) - middle)
            before.append(mean(off, cut_images) - middle)
    assert np.abs(shifts).max() < 0.03
    assert np.std(shifts) < 0.5 * np.std(before)
