"""The standard images: where they lie, how they look, whatever way the volume is stored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from phantoms import CENTRES, STANDARD, phantom

from CTBMDLib.bmd.roi import trabecular_hu
from CTBMDLib.errors import CTBMDError
from CTBMDLib.levels import LevelSlice
from CTBMDLib.model.images import ImageStandard, body_centre, cut_images, plane_positions
from CTBMDLib.volume import CTVolume


def gradient_volume(matrix, shape):
    """A volume whose HU is a linear function of RAS, so that any cut is known exactly."""
    volume = CTVolume(np.zeros(shape, np.float32), matrix)
    k, j, i = np.indices(shape)
    ras = volume.ras_from_ijk(np.stack([i, j, k], axis=-1))
    return replace(volume, hu=(ras @ [2.0, 3.0, 5.0]).astype(np.float32))


AXIAL = np.array([[-1.5, 0, 0, 100], [0, -1.5, 0, 100], [0, 0, 2.5, -100], [0, 0, 0, 1.0]])
SAGITTAL = np.array([[0, 0, 3.0, -100], [0.8, 0, 0, -110], [0, -0.8, 0, 100], [0, 0, 0, 1.0]])
OBLIQUE = AXIAL.copy()
OBLIQUE[:3, :3] = (
    np.array([[0.9848, -0.1736, 0], [0.1736, 0.9848, 0], [0, 0, 1]])
    @ np.array([[1, 0, 0], [0, 0.9848, -0.1736], [0, 0.1736, 0.9848]])
    @ AXIAL[:3, :3]
)
OBLIQUE[:3, 3] = -(OBLIQUE[:3, :3] @ [69, 69, 40])


@pytest.mark.parametrize(
    ("matrix", "shape"),
    [(AXIAL, (80, 140, 140)), (SAGITTAL, (68, 250, 260)), (OBLIQUE, (80, 140, 140))],
)
def test_pixels_are_where_the_standard_says(matrix, shape):
    volume = gradient_volume(matrix, shape)
    level = LevelSlice("L2", (5.0, 10.0, 0.0))
    images = cut_images(volume, level, STANDARD)
    size, step = STANDARD.size_px, STANDARD.spacing_mm
    centre = (np.arange(size) + 0.5) * step
    right = 5.0 + size * step / 2 - centre
    front = 10.0 + STANDARD.anterior_mm - centre
    want = 2 * right[None, None] + 3 * front[None, :, None] + 5 * images.s_mm[:, None, None]
    inside = slice(12, -12)
    got = images.hu[:, inside, inside]
    assert np.abs(got - want[:, inside, inside]).max() < 0.05


def test_first_row_is_anterior_and_first_column_right():
    volume = gradient_volume(AXIAL, (80, 140, 140))
    image = cut_images(volume, LevelSlice("L1", (0, 0, 0)), STANDARD).hu[0]
    assert image[20, 32] > image[40, 32]
    assert image[32, 20] > image[32, 40]


def test_planes_stay_in_the_middle_half_and_follow_the_body():
    level = LevelSlice("L3", (1.0, 2.0, 30.0), axis=(0.0, 0.3, 0.954), height_mm=28.0)
    s = plane_positions(level, STANDARD)
    assert len(s) == STANDARD.images_per_level
    assert np.all(np.diff(s) < 0)
    assert s.mean() == pytest.approx(30.0)
    assert np.abs(s - 30).max() + STANDARD.slab_mm / 2 <= 28 / 4 + 1
    centre = body_centre(level, s)
    along = (centre - [1.0, 2.0]) / (s - 30.0 + 1e-12)[:, None]
    assert along[0] == pytest.approx([0.0, 0.3 / 0.954])


def test_unknown_height_uses_the_nominal_one_and_single_plane_is_the_middle():
    level = LevelSlice("L3", (0, 0, 7.0))
    spread = plane_positions(level, STANDARD)
    assert np.abs(spread - 7).max() < STANDARD.nominal_height_mm / 4
    assert plane_positions(level, replace(STANDARD, images_per_level=1)) == pytest.approx([7.0])


def test_fine_and_coarse_volumes_look_alike():
    level = LevelSlice("L2", CENTRES["L2"])
    fine = cut_images(phantom((0.8, 0.8, 1.0)), level, STANDARD).hu
    coarse = cut_images(phantom((2.0, 2.0, 3.0)), level, STANDARD).hu
    assert np.abs(fine.mean() - coarse.mean()) < 2
    assert np.corrcoef(fine.ravel(), coarse.ravel())[0, 1] > 0.98


def test_the_part_outside_the_volume_is_air_and_counted():
    level = LevelSlice("L2", (75.0, -20.0, 20.0))
    images = cut_images(phantom(), level, STANDARD)
    assert 0.3 < images.inside < 0.9
    assert np.all(images.hu[:, :, 0] == -1000)
    assert np.isfinite(images.hu).all()


def test_a_point_outside_the_volume_is_refused():
    with pytest.raises(CTBMDError, match="L2 lies outside"):
        cut_images(phantom(), LevelSlice("L2", (0, 0, 500.0)), STANDARD)


def test_standard_round_trip_and_refusals():
    assert ImageStandard.from_dict(STANDARD.to_dict()) == STANDARD
    for change in ({"size_px": "64"}, {"spacing_mm": -1.0}, {"extra": 1}):
        with pytest.raises(CTBMDError):
            ImageStandard.from_dict({**STANDARD.to_dict(), **change})


def test_trabecular_region_reads_the_body():
    level = LevelSlice("L2", CENTRES["L2"])
    assert trabecular_hu(phantom(bone_hu=123.0), level) == pytest.approx(123.0)
    assert trabecular_hu(phantom(), LevelSlice("L2", (88.0, 0, 20.0))) is None
