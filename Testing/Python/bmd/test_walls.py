"""The body's walls and the region inside them, on drawn bodies of known shape and content."""

import numpy as np
import pytest
from drawn_spine import CENTRE, HALF, level, spine

from CTBMDLib.bmd.roi import core_points, find_region
from CTBMDLib.bmd.shape import outline, outline_depth
from CTBMDLib.bmd.walls import find_body
from CTBMDLib.levels import LevelSlice
from CTBMDLib.volume import CTVolume

OFF = [(0, 0, 0), (6, 0, 0), (-4, 4, 0), (0, -6, 0), (0, 5, 3), (0, 0, 6), (3, 3, -4)]


@pytest.mark.parametrize("off", OFF)
@pytest.mark.parametrize("inside", [45.0, 150.0, 300.0])
def test_the_walls_are_found_from_a_point_up_to_6_mm_off(off, inside):
    body = find_body(spine(inside=inside, noise=10), level(off))
    assert np.linalg.norm(body.centre - CENTRE) < 1.6
    assert body.half_width == pytest.approx(HALF[0], abs=1.5)
    assert body.half_depth == pytest.approx(HALF[1], abs=1.5)
    for place in (-0.7, 0.0, 0.7):
        assert body.height_mm(0, place) == pytest.approx(2 * HALF[2], abs=1.6)


@pytest.mark.parametrize("axis", [(0, 0, 1), (0, 0.4, 1), (0.2, -0.3, 1)])
@pytest.mark.parametrize("known", [True, False])
def test_the_axis_is_the_bodys_own(axis, known):
    axis = np.array(axis, float) / np.linalg.norm(axis)
    body = find_body(spine(axis=axis, noise=5), level(axis=tuple(axis) if known else None))
    assert np.degrees(np.arccos(min(body.up @ axis, 1.0))) < 5
    assert np.allclose(np.linalg.norm([body.right, body.front, body.up], axis=1), 1)


@pytest.mark.parametrize("step", [(1.0, 1.0, 1.0), (0.7, 0.7, 5.0), (3.0, 0.8, 0.8), (3, 3, 3)])
def test_the_region_reads_what_is_inside_for_every_sampling(step):
    region = find_region(spine(step=step, noise=15), level((2, -2, 2)))
    assert region.body is not None
    assert region.hu == pytest.approx(150, abs=4)


@pytest.mark.parametrize("vessel", [0.0, 200.0, 350.0])
@pytest.mark.parametrize("inside", [60.0, 150.0])
def test_a_vessel_before_the_body_is_no_part_of_it(vessel, inside):
    region = find_region(spine(inside=inside, vessel=vessel), level((0, 3, 0)))
    assert region.hu == pytest.approx(inside, abs=3)


def test_a_dense_island_is_left_out():
    island = spine(paint=lambda u, v, w: (u - 6) ** 2 + (v - 3) ** 2 + (w - 2) ** 2 < 3.5**2)
    assert find_region(island, level()).hu == pytest.approx(150, abs=3)


def test_a_wedge_and_a_sunken_middle_keep_their_depth():
    wedge = find_body(spine(wedge=8.0), level((0, 0, -3)))
    ratio = wedge.height_mm(0, 0.7) / wedge.height_mm(0, -0.7)
    true = (26 - 8 * 0.85) / (26 - 8 * 0.15)
    assert ratio == pytest.approx(true, abs=0.06)
    sunken = find_body(spine(sunken=8.0), level((0, 0, -3)))
    edge = 0.5 * (sunken.height_mm(0, 0.7) + sunken.height_mm(0, -0.7))
    assert edge - sunken.height_mm() == pytest.approx(8 * 0.49, abs=1.6)


def test_the_outline_lies_inside_the_walls_and_in_the_middle_plane():
    volume = spine()
    region = find_region(volume, level((3, 2, 4)))
    local = region.outline_ras - CENTRE
    depth = outline_depth(local[:, 0], local[:, 1], HALF[0], HALF[1])
    assert region.outline_ras.shape[1] == 3 and len(local) >= 24
    assert depth.min() > 3 and np.abs(local[:, 2]).max() < 3
    points = core_points(volume, region.body)
    assert np.abs(points[:, 2]).max() < HALF[2] - 4


def test_no_walls_where_there_is_no_body():
    rng = np.random.default_rng(2)
    noise = CTVolume(
        rng.normal(60, 20, (90, 110, 110)).astype(np.float32),
        np.array([[1.0, 0, 0, -50], [0, 1, 0, -70], [0, 0, 1, -38], [0, 0, 0, 1]]),
    )
    assert find_body(noise, level()) is None
    assert find_body(spine(), LevelSlice("L3", (3.0, -20.0, 56.0))) is None  # at the end of view
    assert find_region(noise, level()).body is None


def test_a_body_at_the_end_of_view_has_no_wall_where_view_ends():
    whole = spine(noise=5)
    cut = CTVolume(whole.hu[:66], whole.ijk_to_ras)  # 5 mm above the upper endplate
    body = find_body(cut, level((0, 0, 2)))
    assert body.height_mm() == pytest.approx(26, abs=2)


def test_depth_inside_an_outline_is_a_distance():
    ring = outline(20.0, 15.0)
    assert np.abs(outline_depth(*ring.T, 20.0, 15.0)).max() < 0.2
    assert outline_depth(np.array([0.0]), np.array([10.0]), 20.0, 15.0)[0] == pytest.approx(5, 0.1)
    assert outline_depth(np.array([15.0]), np.array([0.0]), 20.0, 15.0)[0] == pytest.approx(5, 0.1)
    assert outline_depth(np.array([30.0]), np.array([0.0]), 20.0, 15.0)[0] < -5


def test_a_real_cts_levels_read_what_an_experts_eroded_masks_read(shared_data):
    from pathlib import Path

    from scipy import ndimage

    from CTBMDLib.cohort.cases import open_case
    from CTBMDLib.reading.nifti import read_nifti

    folder = Path(shared_data("ct_ts_example"))
    volume, selection = open_case(folder / "ct.nii.gz")
    labels = read_nifti(folder / "vertebrae.nii.gz").hu
    bodies = read_nifti(folder / "vertebral_bodies.nii.gz").hu > 0
    for number, name in zip((31, 30, 29, 28), ("L1", "L2", "L3", "L4"), strict=True):
        core = ndimage.binary_erosion(bodies & (labels == number), iterations=2)
        hu = find_region(volume, selection[name]).hu
        assert hu == pytest.approx(volume.hu[core].mean(), abs=4), name
