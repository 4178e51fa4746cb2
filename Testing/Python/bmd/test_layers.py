"""Whose endplate it is, in marrow of every density; and a region that passed one is not read."""

from dataclasses import replace

import numpy as np
import pytest
from drawn_spine import CENTRE, level, spine

from CTBMDLib.bmd import roi
from CTBMDLib.bmd.fitting import ridge
from CTBMDLib.bmd.layers import PLATE_MM, look_along
from CTBMDLib.bmd.roi import find_region
from CTBMDLib.bmd.structure import EMPTY_MM3, Structure, check_structure, look_at
from CTBMDLib.bmd.walls import find_body

AXIAL_MM = (1.0, 1.0, 2.0)


def near(body, region, inside, height=26.0):
    assert body.height_mm() == pytest.approx(height, abs=2.0)
    assert abs(body.centre[2] - CENTRE[2]) < 2.0
    assert region.body is not None
    assert region.hu == pytest.approx(inside, abs=4)


@pytest.mark.parametrize("inside", [-20.0, 0.0, 30.0, 60.0, 90.0, 130.0, 250.0])
@pytest.mark.parametrize("off", [(2, 1, 5.5), (-1, 2, -5.5)])
def test_no_marrow_hides_whose_endplates_they_are(inside, off):
    volume = spine(inside=inside, disc=80.0, noise=10, step=AXIAL_MM)
    body = find_body(volume, level(off))
    near(body, find_region(volume, level(off), body), inside)


@pytest.mark.parametrize("disc", [50.0, 110.0])
@pytest.mark.parametrize("axis", [(0, 0.35, 1), (0.15, -0.3, 1)])
def test_nor_does_a_tilt_that_nobody_has_told(disc, axis):
    volume = spine(inside=30.0, disc=disc, axis=axis, step=AXIAL_MM)
    off = 4 * np.array(axis) / np.linalg.norm(axis)
    region = find_region(volume, level(tuple(off)))
    assert region.body is not None and region.hu == pytest.approx(30, abs=4)


@pytest.mark.parametrize("inside", [20.0, 180.0])
def test_nor_do_thick_slices(inside):
    volume = spine(inside=inside, disc=90.0, step=(1.0, 1.0, 5.0))
    region = find_region(volume, level((0, 2, 4)))
    assert region.body is not None and region.hu == pytest.approx(inside, abs=8)


def test_a_neighbours_dense_endplate_is_not_taken_for_the_bodys_own():
    volume = spine(inside=180.0, disc=80.0, beside=1100.0, step=AXIAL_MM)
    near(body := find_body(volume, level((0, 0, 3))), find_region(volume, level(), body), 180)


def columns(heights, core=30.0, disc=80.0, plate=400.0):
    """Columns all alike: core, endplate, disc, endplate and core on either side of the middle."""
    w = np.abs(np.arange(-40, 41))
    own, far = heights
    hu = np.where((w > own) & (w < far), disc, core)
    hu = np.where((w == own) | (w == far), plate, hu).astype(np.float32)
    u, v = (x.ravel() for x in np.meshgrid(np.linspace(-0.5, 0.5, 5), np.linspace(-0.5, 0.5, 5)))
    return u, v, np.tile(hu, (25, 1))


@pytest.mark.parametrize("way", [1, -1])
@pytest.mark.parametrize("heights", [(8, 14), (12, 22), (16, 22)])
@pytest.mark.parametrize("core", [-30.0, 60.0, 110.0, 250.0])
def test_the_layers_put_the_endplate_where_the_core_ends(way, heights, core):
    # The columns' own rim is flat, where the layers expect it to rise a little.
    layers = look_along(*columns(heights, core), np.ones(81, bool), core, way)
    best = int(layers.told.argmax())
    assert abs(PLATE_MM[best] - heights[0]) <= 1
    plate = layers.plate(best, way)
    assert plate[0] == way * PLATE_MM[best] and np.all(plate[1:3] == 0)
    beyond = layers.told[np.abs(PLATE_MM - heights[1]) <= 1]
    assert layers.told[best] > 0.7 and np.all(beyond < layers.told[best] - 0.2)


def test_layers_out_of_view_tell_nothing():
    u, v, hu = columns((12, 22))
    assert not look_along(u, v, hu, np.zeros(81, bool), 30.0, 1).told.any()
    below = np.arange(81) <= 44
    told = look_along(u, v, hu, below, 30.0, 1).told
    assert np.isfinite(told).all()


def test_a_ridge_is_what_stands_out_on_both_sides():
    assert ridge(np.array([3.0, 2, 1, 2, 9])) == 0
    assert ridge(np.array([1.0, 5, 2, 9, 4])) == 5
    assert ridge(np.array([7.0])) == 0


def test_a_region_that_an_endplate_runs_through_is_not_read():
    volume = spine(inside=30.0, disc=80.0, step=AXIAL_MM)
    body = find_body(volume, level())
    assert find_region(volume, level(), body).body is body
    far = replace(body, top=body.top + [12.0, 0, 0, 0])
    region = find_region(volume, level(), far)
    assert region.body is None and region.hu == pytest.approx(30, abs=3)
    # Nor is the disc about a point that lies in an endplate.
    assert find_region(volume, level((0, 0, 12)), far) is None


def test_without_walls_nothing_is_read_across_an_endplate(monkeypatch):
    monkeypatch.setattr(roi, "find_body", lambda volume, item: None)
    volume = spine(inside=30.0, disc=80.0)
    assert find_region(volume, level()).hu == pytest.approx(30, abs=1)
    assert find_region(volume, level((0, 0, 11))) is None


def test_a_hollow_is_told_with_the_volume_that_was_counted():
    def told(**parts):
        found = check_structure({"L2": Structure(None, None, None, **parts)})
        return [(x.severity, x.text.split(" ml")[0].split()[-1]) for x in found]

    assert told(empty_mm3=EMPTY_MM3 - 1) == []
    assert told(empty_mm3=EMPTY_MM3) == [("note", "0.3")]
    assert told(hollow_mm3=180.0) == [("note", "0.2")]
    assert told(empty_mm3=300.0, hollow_mm3=900.0) == [("warning", "0.9")]


def test_a_hole_in_weak_bone_is_told_and_weak_bone_without_it_is_not():
    whole = spine(inside=85.0, disc=80.0, noise=8, step=AXIAL_MM)
    assert look_at(whole, level()).hole_mm3 == 0
    index = np.indices(whole.hu.shape)[::-1].reshape(3, -1)
    place = whole.ijk_to_ras[:3, :3] @ index + whole.ijk_to_ras[:3, 3:]
    far = np.linalg.norm(place.T - (CENTRE + [6, 4, 0]), axis=1).reshape(whole.hu.shape)
    hole = replace(whole, hu=np.where(far < 6.5, 15.0, whole.hu).astype(np.float32))
    item = look_at(hole, level())
    assert 200 < item.hole_mm3 < 1600
