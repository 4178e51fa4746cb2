"""Gantry tilt correction: everything lies where it lay."""

import numpy as np
import pytest
from dicom_maker import body, lps_positions, write_series

from CTBMDLib.errors import Cancelled
from CTBMDLib.reading.reading import read_ct

ROW, COLUMN = 1.0, 1.5  # PixelSpacing [1.5, 1.0]


def scene(lps):
    """HU at LPS points: a leaning column of bone in an oval of muscle, smooth everywhere."""
    x, y, z = np.moveaxis(np.asarray(lps, float), -1, 0)
    z = z - 143.0
    muscle = 1 / (1 + np.exp((np.hypot(x / 40, y / 50) - 1) * 12))
    bone = np.exp(-((x - 6 - 0.1 * z) ** 2 + (y - 10) ** 2) / 120)
    return -1000 + 1050 * muscle + 250 * bone * muscle


def tilted_series(folder, degrees, slices=30, spacing=3.0, sign=1, **tags):
    """A series whose table moves along z while its slices lean about the left-right axis."""
    angle = sign * np.radians(degrees)
    orientation = (1, 0, 0, 0, np.cos(angle), np.sin(angle))
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    start = np.array([-60.0, 0.0, 100.0]) - column * COLUMN * 42
    positions = [start + [0, 0, spacing * n] for n in range(slices)]
    j, i = np.mgrid[:85, :121]
    planes = [
        scene(p + i[..., None] * ROW * row + j[..., None] * COLUMN * column) for p in positions
    ]
    hu = np.rint(planes).astype(np.int16)
    write_series(folder, hu, positions=positions, orientation=orientation, **tags)
    return hu, positions


@pytest.mark.parametrize("degrees", [2, 15, 28])
@pytest.mark.parametrize("sign", [1, -1])
def test_everything_lies_where_it_lay(tmp_path, degrees, sign):
    tilted_series(tmp_path, degrees, sign=sign)
    volume = read_ct(tmp_path)
    assert volume.hu.dtype == np.int16
    axes = volume.ijk_to_ras[:3, :3] / volume.spacing_mm
    assert np.allclose(axes.T @ axes, np.eye(3), atol=1e-6)
    rng = np.random.default_rng(0)
    lps = rng.uniform((-30, -35, 130), (30, 35, 157), (4000, 3))
    got = volume.sample(lps * (-1, -1, 1))
    assert np.isfinite(got).all()
    error = got - scene(lps)
    assert np.abs(error).mean() < 1 and np.abs(error).max() < 6
    assert (
        f"tilted by {degrees} degrees; gantry tilt correction was applied"
        in volume.reading_findings[1]
    )


def test_a_shift_by_whole_pixels_changes_no_value(tmp_path):
    hu = body(6, 40, 40)
    positions = [p + [0, COLUMN * k, 0] for k, p in enumerate(lps_positions(6, spacing=3.0))]
    write_series(tmp_path, hu, positions=positions)
    volume = read_ct(tmp_path)
    assert volume.hu.shape == (6, 45, 40)
    for k in range(6):
        assert np.array_equal(volume.hu[k, k : k + 40], hu[k])
        assert (volume.hu[k, :k] == -1000).all() and (volume.hu[k, k + 40 :] == -1000).all()
    place = np.array(positions[4]) + [7 * ROW, 11 * COLUMN, 0]
    assert volume.sample(place * (-1, -1, 1), order=0) == hu[4, 11, 7]


def test_a_series_without_tilt_is_preferred(tmp_path):
    tilted_series(tmp_path, 15, series="tilted")
    write_series(tmp_path, body(5), series="straight")
    assert read_ct(tmp_path).acquisition.series_description == "straight"


def test_cancel_is_obeyed(tmp_path):
    tilted_series(tmp_path, 15, slices=4)
    calls = iter(range(1000))
    with pytest.raises(Cancelled):
        # 4 headers and 4 slices are asked about before gantry tilt correction.
        read_ct(tmp_path, should_cancel=lambda: next(calls) >= 9)
