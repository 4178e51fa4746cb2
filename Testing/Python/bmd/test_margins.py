"""How far the region stays from walls and endplates: blur carries cortex in, bone beside it is denser."""

from dataclasses import replace

import numpy as np
import pytest
from drawn_spine import CENTRE, HALF, level, spine
from scipy import ndimage

from CTBMDLib.bmd.margins import plate_margin_mm, voxels_mm, wall_margins_mm
from CTBMDLib.bmd.roi import find_region
from CTBMDLib.bmd.shape import outline_depth
from CTBMDLib.bmd.walls import find_body
from CTBMDLib.volume import CTVolume

CORE_MM, WALL_HU = 5.5, 1000.0
AXIAL, SAGITTAL, CORONAL = (1, 1, 5), (5, 1, 1), (1, 5, 1)


def turned(degrees: float, about: int) -> np.ndarray:
    a, b = [x for x in range(3) if x != about]
    matrix = np.eye(3)
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix[[a, a, b, b], [a, b, a, b]] = c, -s, s, c
    return matrix


def test_voxels_are_as_far_apart_as_the_grid_lies():
    axes = np.eye(3)
    for about in range(3):
        turn = turned(30, about)
        matrix = np.eye(4)
        matrix[:3, :3] = turn @ np.diag([0.7, 0.8, 4.0])[:, [2, 0, 1]]
        volume = CTVolume(np.zeros((4, 4, 4), np.float32), matrix)
        assert voxels_mm(volume, turn.T) == pytest.approx([0.7, 0.8, 4.0])
        assert voxels_mm(volume, axes).shape == (3,)


@pytest.mark.parametrize(
    ("step", "wide"), [(AXIAL, "plate"), (SAGITTAL, "side"), (CORONAL, "front")]
)
def test_thick_slices_keep_the_region_farther_from_what_they_cross_alone(step, wide):
    body = find_body(spine(), level())
    places = np.array([[15.0, 0, 0], [-15.0, 0, 0], [0, 10.0, 0], [0, -10.0, 0]])

    def margins(step):
        volume = spine(step=step)
        right, left, front, back = wall_margins_mm(volume, body, places)
        assert right == pytest.approx(left) and front == pytest.approx(back)
        return {"side": right, "front": front, "plate": plate_margin_mm(volume, body)}

    thin, thick = margins((1, 1, 1)), margins(step)
    assert thick[wide] > thin[wide] + 1
    for other in {"plate", "side", "front"} - {wide}:
        assert thick[other] == pytest.approx(thin[other], abs=0.1)


def test_the_outline_is_drawn_where_the_region_is_read():
    volume, body = spine(step=SAGITTAL), find_body(spine(), level())
    region = find_region(volume, level(), body)
    u, v, _ = ((region.outline_ras - body.centre) @ np.stack([body.right, body.front, body.up]).T).T
    size = body.half_width, body.half_depth
    corner = np.stack([u, v, 0 * u], 1)
    margin = wall_margins_mm(volume, body, corner)
    depth = outline_depth(u, v, *size)
    beside = np.abs(v) < 3
    assert depth[beside] == pytest.approx(margin[beside], abs=0.5)
    ahead = (np.abs(u) < 3) & (v > 0)
    assert depth[ahead] == pytest.approx(margin[ahead], abs=0.5)
    assert region.margin_mm == pytest.approx(margin.min(), abs=0.2)


def scanned(inside: float, rise: float, step, sigma: float):
    """A body denser by `rise` HU at its walls, as a scan of such slices shows it; and its true core."""
    fine = spine(inside=inside)
    k, j, i = np.indices(fine.hu.shape)
    u, v, w = np.stack([i, j, k], 0).reshape(3, -1) + (fine.ijk_to_ras[:3, 3] - CENTRE)[:, None]
    side, end = outline_depth(u, v, *HALF[:2]), HALF[2] - np.abs(w)
    hu = fine.hu.reshape(-1).copy()
    bone, wall = hu == inside, hu == 420
    hu[wall] = WALL_HU
    hu[bone] += rise * (1 - np.minimum(np.minimum(side, end), 12.0) / 12.0)[bone]
    core = hu[(side >= CORE_MM) & (end >= CORE_MM)].mean()
    blur = [max(sigma, 0.35 * x) for x in step[::-1]]
    hu = ndimage.gaussian_filter(hu.reshape(fine.hu.shape), blur)
    hu = np.ascontiguousarray(hu[:: step[2], :: step[1], :: step[0]])
    matrix = fine.ijk_to_ras @ np.diag([*step, 1.0])
    return replace(fine, hu=hu, ijk_to_ras=matrix), float(core)


@pytest.mark.parametrize("step", [(1, 1, 1), (2, 2, 2), AXIAL, SAGITTAL, CORONAL])
@pytest.mark.parametrize(("inside", "rise"), [(60.0, 10.0), (150.0, 25.0), (300.0, 45.0)])
def test_the_core_is_read_true_in_weak_and_dense_bone_through_any_slices(step, inside, rise):
    volume, core = scanned(inside, rise, step, 1.0)
    region = find_region(volume, level((2, -2, 2)))
    assert region.body is not None
    assert region.hu == pytest.approx(core, abs=2.3)
