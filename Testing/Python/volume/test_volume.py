"""Geometry of a CT volume: storage order and direction must not matter."""

import numpy as np
import pytest
from scipy import ndimage

from CTBMDLib.volume import CTVolume


def linear_volume(permutation, signs, spacing=(1.5, 2.0, 3.0), origin=(5.0, -7.0, 11.0)):
    """A volume whose HU is R + 10 A + 100 S at every voxel, stored any way round."""
    matrix = np.eye(4)
    matrix[:3, :3] = (np.eye(3)[:, permutation] * signs) * np.array(spacing)
    matrix[:3, 3] = origin
    shape = (9, 8, 7)
    k, j, i = np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")
    ijk = np.stack([i, j, k], axis=-1)
    ras = ijk @ matrix[:3, :3].T + matrix[:3, 3]
    return CTVolume((ras @ [1.0, 10.0, 100.0]).astype(np.float32), matrix)


ORIENTATIONS = [
    ([0, 1, 2], [1, 1, 1]),
    ([0, 1, 2], [-1, -1, 1]),
    ([0, 1, 2], [-1, 1, -1]),
    ([1, 2, 0], [1, -1, -1]),
    ([2, 0, 1], [-1, 1, 1]),
]


@pytest.mark.parametrize("permutation, signs", ORIENTATIONS)
def test_sample_reads_patient_space_whatever_the_storage(permutation, signs):
    volume = linear_volume(permutation, signs)
    centre = volume.ras_bounds.mean(axis=1)
    points = centre + np.random.default_rng(0).uniform(-2, 2, (20, 3))
    np.testing.assert_allclose(volume.sample(points), points @ [1, 10, 100], rtol=1e-4, atol=0.02)


@pytest.mark.parametrize("permutation, signs", ORIENTATIONS)
def test_axes_are_named_by_direction(permutation, signs):
    volume = linear_volume(permutation, signs)
    # Column c of the matrix is array axis 2 - c; permutation[c] is its RAS row.
    expected = tuple(2 - permutation.index(row) for row in range(3))
    assert volume.axis_kji_of_ras == expected


def test_ijk_and_ras_are_inverse():
    volume = linear_volume([1, 2, 0], [1, -1, -1])
    ijk = np.random.default_rng(1).uniform(0, 6, (10, 3))
    np.testing.assert_allclose(volume.ijk_from_ras(volume.ras_from_ijk(ijk)), ijk, atol=1e-9)


def test_outside_is_the_fill_value():
    volume = linear_volume([0, 1, 2], [1, 1, 1])
    outside = volume.ras_bounds[:, 1] + 50
    assert np.isnan(volume.sample(outside))
    assert volume.sample(outside, fill=-1000.0) == -1000.0
    assert not volume.contains(outside)
    assert volume.contains(volume.ras_bounds.mean(axis=1), margin_mm=2)


def test_integer_storage_is_sampled_without_loss():
    volume = linear_volume([0, 1, 2], [1, 1, 1])
    whole = CTVolume(np.round(volume.hu).astype(np.int16), volume.ijk_to_ras)
    centre = whole.ras_from_ijk((3, 4, 4))
    assert whole.sample(centre) == pytest.approx(float(whole.hu[4, 4, 3]))


def test_no_volume_without_three_axes_or_a_matrix():
    with pytest.raises(ValueError, match="three axes"):
        CTVolume(np.zeros((3, 3)), np.eye(4))
    with pytest.raises(ValueError, match="4x4 matrix"):
        CTVolume(np.zeros((3, 3, 3)), np.eye(3))
    with pytest.raises(ValueError, match="cannot be right"):
        CTVolume(np.zeros((3, 3, 3)), np.zeros((4, 4)))


def test_linear_sampling_is_that_of_scipy():
    rng = np.random.default_rng(4)
    hu = rng.integers(-1000, 2000, (5, 9, 14)).astype(np.int16)
    points = rng.uniform(-0.5, 1, (3, 40_000)) + rng.uniform(0, 1, (3, 40_000)) * (
        np.array(hu.shape)[:, None] - 1.5
    )
    # As stored, turned in memory, one slice thick: each has its own way through.
    for array in (hu, hu[:, ::-1], hu.transpose(2, 0, 1), hu[:1], hu.astype(np.uint8)):
        inside = points * ((np.array(array.shape) - 0.5) / np.array(hu.shape))[:, None]
        found = CTVolume(array, np.eye(4)).sample_kji(inside)
        there = np.all((inside >= -0.5) & (inside <= np.array(array.shape)[:, None] - 0.5), axis=0)
        expected = ndimage.map_coordinates(array.astype(float), inside, order=1, mode="nearest")
        assert there.mean() > 0.5
        np.testing.assert_allclose(found[there], expected[there], atol=0.01)
        assert np.isnan(found[~there]).all()
