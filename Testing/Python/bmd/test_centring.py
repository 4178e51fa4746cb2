"""Images are taken about the middle of the body that a point lies in, wherever in it that is."""

from dataclasses import replace

import numpy as np
import pytest
from drawn_spine import CENTRE, HALF, level, spine

from CTBMDLib.bmd.centring import centred, check_centring, level_images
from CTBMDLib.bmd.estimate import estimate
from CTBMDLib.bmd.walls import find_body
from CTBMDLib.levels import LevelSelection, LevelSlice
from CTBMDLib.model.bundle import ModelBundle, default_bundle_folder
from CTBMDLib.model.images import ImageStandard, cut_images

STANDARD = ImageStandard()
OFF = [(0, 0, 0), (0, 0, 7), (0, 0, -7), (5, 0, 0), (-4, 4, 3), (0, -6, -5)]


@pytest.mark.parametrize("off", OFF)
@pytest.mark.parametrize("axis", [(0, 0, 1), (0, 0.4, 1)])
def test_a_point_anywhere_in_the_body_becomes_its_middle(off, axis):
    axis = np.array(axis, float) / np.linalg.norm(axis)
    volume, item = spine(axis=axis, noise=8), level(off)
    moved = centred(item, find_body(volume, item))
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
    assert centred(item, None) is item
    assert level_images(noise, item, STANDARD).s_mm.mean() == pytest.approx(item.ras[2], abs=1e-6)
    assert check_centring(item, None) == []


@pytest.mark.parametrize("off", [(0, 0, 15), (0, 0, -15), (30, 0, 0), (0, -22, 0)])
def test_a_point_outside_the_walls_is_nobodys_middle(off):
    body = find_body(spine(), level())
    item = level(off)
    assert centred(item, body) is item
    assert check_centring(item, body) == []


def test_a_middle_too_far_away_is_another_bodys():
    body = find_body(spine(), level())
    wide = replace(body, half_width=40.0, half_depth=30.0)
    assert centred(level((12, 0, 0)), wide) != level((12, 0, 0))
    assert centred(level((16, 0, 0)), wide) == level((16, 0, 0))


def test_who_reads_is_told_from_some_millimetres_on():
    volume = spine(noise=8)
    for off, told in (((0, 0, 1), False), ((2, 2, 0), False), ((0, 0, 8), True), ((7, 0, 0), True)):
        item = level(off)
        found = check_centring(item, find_body(volume, item))
        assert bool(found) == told
        if told:
            (one,) = found
            assert (one.code, one.level, one.severity) == ("off-middle", item.level, "note")
            assert "from the middle of the vertebral body" in one.text


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
    assert np.abs(shifts).max() < 0.02
    assert np.std(shifts) < 0.5 * np.std(before)
