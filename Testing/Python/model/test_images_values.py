"""The standard images by hand: a slow second statement of the cut, and the limits of each number."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, asdict, replace

import numpy as np
import pytest

from CTBMDLib.errors import CTBMDError
from CTBMDLib.levels import LevelSlice
from CTBMDLib.model.images import (
    ImageStandard,
    LevelImages,
    body_centre,
    cut_images,
    cut_plane,
    plane_positions,
)
from CTBMDLib.volume import CTVolume

SMALL = ImageStandard(spacing_mm=2.0, size_px=6, anterior_mm=5.0, slab_mm=5.0)


def grains(spacing=(1.0, 1.0, 1.2), shape=(26, 24, 22), seed=0) -> CTVolume:
    """Noise around RAS (0, 0, 0): each voxel that a cut reads shows in its value."""
    matrix = np.diag([*spacing, 1.0])
    matrix[:3, 3] = [-(n - 1) / 2 * step for n, step in zip(shape[::-1], spacing, strict=True)]
    hu = np.random.default_rng(seed).normal(40, 200, shape).astype(np.float32)
    return CTVolume(hu, matrix)


def by_hand(volume, centre, s, standard, sub, layers, degrees=0.0, shift=(0.0, 0.0)):
    """`cut_plane` pixel by pixel, with the numbers of sub-samples and layers given."""
    size, step = standard.size_px, standard.spacing_mm
    image = np.empty((size, size))
    cos, sin = np.cos(np.pi * degrees / 180), np.sin(np.pi * degrees / 180)
    for row in range(size):
        for column in range(size):
            within = []
            for y in range(sub):
                for x in range(sub):
                    right = size * step / 2 - (column + (x + 0.5) / sub) * step
                    front = standard.anterior_mm - (row + (y + 0.5) / sub) * step
                    r = centre[0] + shift[0] + cos * right - sin * front
                    a = centre[1] + shift[1] + sin * right + cos * front
                    heights = [
                        s + standard.slab_mm * ((z + 0.5) / layers - 0.5) for z in range(layers)
                    ]
                    values = volume.sample(np.array([[r, a, h] for h in heights]))
                    known = values[np.isfinite(values)]
                    within.append(known.mean() if known.size else np.nan)
            image[row, column] = np.mean(within)
    return image


CUTS = [
    # voxels, changes of the standard, sub-samples, layers
    ((1.0, 1.0, 1.2), {}, 2, 4),
    ((1.0, 1.9, 1.2), {}, 2, 4),
    ((1.9, 1.0, 1.2), {}, 2, 4),
    ((1.0, 1.9, 4.0), {}, 2, 2),
    ((1.9, 1.9, 4.0), {}, 1, 2),
    ((3.5, 4.5, 2.0), {}, 1, 2),
    ((5.0, 5.0, 2.0), {}, 1, 2),
    ((0.5, 0.5, 0.5), {}, 3, 5),
    ((0.8, 0.7, 1.6), {"slab_mm": 4.9}, 3, 3),
    ((1.0, 1.0, 4.0), {"slab_mm": 3.0, "spacing_mm": 1.5, "anterior_mm": 3.0}, 2, 2),
]


@pytest.mark.parametrize(("spacing", "change", "sub", "layers"), CUTS)
def test_a_plane_is_the_same_pixel_by_pixel(spacing, change, sub, layers):
    volume, standard = grains(spacing), replace(SMALL, **change)
    got = cut_plane(volume, (0.7, -0.4), 0.9, standard)
    want = by_hand(volume, (0.7, -0.4), 0.9, standard, sub, layers)
    assert got.dtype == np.float32 and got.shape == (6, 6)
    assert got == pytest.approx(want, abs=0.02, nan_ok=True)


def test_a_turned_and_moved_plane():
    volume = grains()
    for degrees, shift in ((20.0, (0.0, 0.0)), (0.0, (1.5, -0.8)), (-30.0, (-0.6, 1.1))):
        got = cut_plane(volume, (0.7, -0.4), 0.9, SMALL, degrees, shift)
        want = by_hand(volume, (0.7, -0.4), 0.9, SMALL, 2, 4, degrees, shift)
        assert got == pytest.approx(want, abs=0.02, nan_ok=True)
    still = cut_plane(volume, (0.7, -0.4), 0.9, SMALL)
    assert np.array_equal(still, cut_plane(volume, (0.7, -0.4), 0.9, SMALL, 0.0, (0.0, 0.0)))


def test_layers_outside_the_volume_do_not_count_and_pixels_outside_are_nan():
    volume = grains()
    top = float(volume.ras_bounds[2][1])
    # Three of the four layers lie inside, two or one.
    for s in (top, top + 1.0, top + 2.0):
        with np.errstate(all="raise"):
            got = cut_plane(volume, (6.0, -0.4), s, SMALL)
        want = by_hand(volume, (6.0, -0.4), s, SMALL, 2, 4)
        assert np.isnan(got).any() and np.isfinite(got).any()
        assert got == pytest.approx(want, abs=0.02, nan_ok=True)


def test_a_level_is_its_planes_about_its_axis():
    volume = grains(shape=(40, 24, 22))
    level = LevelSlice("L2", (0.4, -0.3, 1.0), axis=(0.1, 0.2, 0.9747), height_mm=24.0)
    images = cut_images(volume, level, SMALL)
    assert images.level == "L2" and images.inside == 1.0
    assert images.s_mm == pytest.approx([1 + 0.9747 * 4, 1.0, 1 - 0.9747 * 4])
    assert images.centre_ra_mm[0] == pytest.approx([0.4 + 0.4, -0.3 + 0.8])
    assert images.centre_ra_mm[2] == pytest.approx([0.4 - 0.4, -0.3 - 0.8])
    for image, centre, s in zip(images.hu, images.centre_ra_mm, images.s_mm, strict=True):
        assert np.array_equal(image, cut_plane(volume, centre, s, SMALL))


def test_planes_beyond_a_cropped_volume_are_drawn_in():
    volume = grains(shape=(9, 24, 22))
    low, high = volume.ras_bounds[2]
    images = cut_images(volume, LevelSlice("L1", (0.0, 0.0, 0.0), height_mm=40.0), SMALL)
    assert images.s_mm == pytest.approx([high, 0.0, low])
    assert images.inside == 1.0


def test_what_lies_outside_is_air_and_its_share_is_told():
    images = cut_images(grains(), LevelSlice("L1", (6.0, 0.0, 0.0)), SMALL)
    air = images.hu == -1000.0
    assert images.inside == pytest.approx(1 - air.mean())
    assert 0.05 < air.mean() < 0.5


def test_a_point_outside_is_refused_by_name():
    with pytest.raises(CTBMDError, match="L4 lies outside the CT volume; move it into the") as info:
        cut_images(grains(), LevelSlice("L4", (0, 0, 99.0)), SMALL)
    assert info.value.code == "point-outside"


def test_plane_positions_by_hand():
    level = LevelSlice("L3", (0.0, 0.0, 10.0))
    assert plane_positions(level, ImageStandard()) == pytest.approx([14.5, 10.0, 5.5])
    four = replace(ImageStandard(), images_per_level=4)
    known = replace(level, height_mm=32.0)
    assert plane_positions(known, four) == pytest.approx([16.0, 12.0, 8.0, 4.0])
    # A tilted body is crossed by fewer planes, but no more than half of them are lost.
    for upright, half in ((0.8, 6.4), (-0.8, 6.4), (0.5, 4.0), (0.3, 4.0)):
        tilted = replace(known, axis=(0.0, 0.6, upright))
        assert plane_positions(tilted, four)[0] == pytest.approx(10.0 + 0.75 * half)


def test_body_centre_by_hand():
    level = LevelSlice("L3", (1.0, 2.0, 10.0))
    assert body_centre(level, [8.0, 14.0]).tolist() == [[1.0, 2.0], [1.0, 2.0]]
    assert body_centre(level, 8.0).shape == (1, 2)
    leaning = replace(level, axis=(0.2, -0.4, 0.8))
    assert body_centre(leaning, [8.0, 14.0]) == pytest.approx(np.array([[0.5, 3.0], [2.0, 0.0]]))
    down = replace(level, axis=(-0.2, 0.4, -0.8))
    assert body_centre(down, 14.0)[0] == pytest.approx([2.0, 0.0])
    # Lying flat the axis says nothing of where the body is on another plane.
    for flat in (0.5, 0.4):
        assert body_centre(replace(level, axis=(0.2, 0.8, flat)), 14.0)[0].tolist() == [1.0, 2.0]
    assert body_centre(replace(level, axis=(0.2, 0.8, 0.6)), 13.0)[0] == pytest.approx([2.0, 6.0])


def test_the_standard_is_the_one_that_models_were_made_with():
    assert asdict(ImageStandard()) == {
        "spacing_mm": 2.0,
        "size_px": 64,
        "anterior_mm": 44.0,
        "slab_mm": 5.0,
        "images_per_level": 3,
        "nominal_height_mm": 27.0,
        "hu_low": -200.0,
        "hu_high": 1500.0,
    }
    with pytest.raises(FrozenInstanceError):
        ImageStandard().size_px = 32
    images = LevelImages("L1", np.zeros((1, 2, 2)), np.zeros(1), 1.0, np.zeros((1, 2)))
    with pytest.raises(FrozenInstanceError):
        images.inside = 0.5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"spacing_mm": 0}, "impossible 'spacing_mm'"),
        ({"spacing_mm": -0.5}, "impossible 'spacing_mm'"),
        ({"slab_mm": 1e5}, "impossible 'slab_mm'"),
        ({"hu_high": float("nan")}, "impossible 'hu_high'"),
        ({"anterior_mm": True}, "no number for 'anterior_mm'"),
        ({"size_px": "64"}, "no number for 'size_px'"),
        ({"hu_low": None}, "no number for 'hu_low'"),
        ({"colour": 1.0}, "does not state the image geometry"),
    ],
)
def test_a_card_with_another_geometry_is_refused(change, words):
    with pytest.raises(CTBMDError, match=words) as info:
        ImageStandard.from_dict({**ImageStandard().to_dict(), **change})
    assert info.value.code == "card-image"


def test_a_card_without_a_geometry_is_refused():
    fewer = ImageStandard().to_dict()
    del fewer["slab_mm"]
    for data in (fewer, None, list(fewer)):
        with pytest.raises(CTBMDError, match="does not state the image geometry"):
            ImageStandard.from_dict(data)


def test_a_card_may_hold_any_possible_number_and_a_low_below_nought():
    stated = {**ImageStandard().to_dict(), "spacing_mm": 0.5, "size_px": 128.0, "slab_mm": 50}
    stated = {**stated, "images_per_level": 1.0, "hu_low": -1024}
    standard = ImageStandard.from_dict(stated)
    assert standard.to_dict() == stated
    kinds = {name: type(value) for name, value in standard.to_dict().items()}
    assert {name for name, kind in kinds.items() if kind is int} == {"size_px", "images_per_level"}
    assert kinds["hu_low"] is kinds["slab_mm"] is float
