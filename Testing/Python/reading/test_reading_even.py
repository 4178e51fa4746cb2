"""Positions that are rounded in the header, or jitter: read, each slice in its place."""

import numpy as np
import pytest
from dicom_maker import CORONAL, SAGITTAL, body, lps_positions, write_series

from CTBMDLib.errors import CTBMDError
from CTBMDLib.reading.reading import read_ct

SPACINGS = (0.5, 0.625, 0.7, 0.75, 0.8, 1.25, 2.5, 3.75, 4.25)


def rounded(slices, spacing, step, jitter=0.0, seed=0, start=-417.3):
    """Positions in whole `step`s, after a jitter of up to `jitter` mm."""
    rng = np.random.default_rng(seed)
    places = start + spacing * np.arange(slices) + rng.uniform(-jitter, jitter, slices)
    if step:
        places = np.round(np.round(places / step) * step, 6)
    return [(-20.0, -16.0, float(z)) for z in places]


def check(volume, hu, spacing, tolerance):
    assert np.array_equal(volume.hu, hu)
    assert volume.spacing_mm[2] == pytest.approx(spacing, rel=0.03)
    ends = volume.ijk_to_ras[2, 3] + np.array([0, len(hu) - 1]) * volume.ijk_to_ras[2, 2]
    assert np.abs(ends - [-417.3, -417.3 + spacing * (len(hu) - 1)]).max() <= tolerance


@pytest.mark.parametrize("step", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("spacing", SPACINGS)
def test_rounded_positions_are_read(tmp_path, spacing, step):
    if spacing / step == 0.5:
        return  # cannot be told from two phases; see below
    hu = body(30)
    write_series(tmp_path, hu, positions=rounded(30, spacing, step))
    check(read_ct(tmp_path), hu, spacing, step)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("step", "spacing"),
    [(0.1, 0.625), (0.1, 1.25), (0.5, 0.75), (0.5, 3.3), (1.0, 0.75), (1.0, 5.0)],
)
def test_rounded_positions_that_jitter_are_read(tmp_path, spacing, step, seed):
    hu = body(40)
    write_series(tmp_path, hu, positions=rounded(40, spacing, step, step / 2, seed))
    check(read_ct(tmp_path), hu, spacing, 1.5 * step)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("spacing", [0.625, 1.25, 2.5, 4.25])
def test_a_jitter_of_a_tenth_is_read_even_without_numbers(tmp_path, spacing, seed):
    hu = body(40)
    positions = rounded(40, spacing, None, 0.1, seed)
    write_series(
        tmp_path, hu, positions=positions, edit=lambda k, data: delattr(data, "InstanceNumber")
    )
    check(read_ct(tmp_path), hu, spacing, 0.15)


@pytest.mark.parametrize("spacing", [0.625, 0.75])
@pytest.mark.parametrize("kind", ["up", "down", "shuffled files"])
def test_slices_that_share_a_place_keep_their_order(tmp_path, spacing, kind):
    hu, positions = body(30), rounded(30, spacing, 1.0)
    places = [position[2] for position in positions]
    assert len(set(places)) < 30
    order = range(29, -1, -1) if kind == "down" else range(30)
    files = np.random.default_rng(1).permutation(30)
    names = (lambda k: f"IM{files[k]}") if kind.startswith("shuffled") else None
    write_series(tmp_path, hu, positions=positions, order=order, names=names)
    assert np.array_equal(read_ct(tmp_path).hu, hu)


@pytest.mark.parametrize("orientation", [SAGITTAL, CORONAL])
def test_rounded_positions_of_other_planes(tmp_path, orientation):
    hu = body(30)
    positions = np.round(lps_positions(30, orientation, spacing=0.625), 1)
    write_series(tmp_path, hu, orientation=orientation, positions=positions)
    volume = read_ct(tmp_path)
    assert np.array_equal(volume.hu, hu)
    assert volume.spacing_mm[2] == pytest.approx(0.625, rel=0.01)


@pytest.mark.parametrize("numbered", [True, False])
@pytest.mark.parametrize("spacing", [0.625, 1.0, 1.25, 2.5, 3.0])
@pytest.mark.parametrize("step", [None, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("lost", [1, 15, 28])
def test_a_missing_slice_is_still_noticed(tmp_path, spacing, step, lost, numbered):
    def edit(k, data):
        if not numbered:
            del data.InstanceNumber

    write_series(tmp_path, body(30), positions=rounded(30, spacing, step), edit=edit)
    (tmp_path / f"series_{lost:04d}.dcm").unlink()
    with pytest.raises(CTBMDError) as caught:
        read_ct(tmp_path)
    assert caught.value.code in ("missing-slices", "uneven-spacing", "duplicate-slices")


@pytest.mark.parametrize("spacing", [0.625, 1.0, 2.5])
def test_two_phases_numbered_through_are_still_refused(tmp_path, spacing):
    positions = [p for p in rounded(15, spacing, None) for _ in range(2)]
    write_series(tmp_path, body(30), positions=positions)
    with pytest.raises(CTBMDError, match="two images at the same position in 15 places"):
        read_ct(tmp_path)


def test_evenly_spaced_slices_keep_the_geometry_of_their_ends(tmp_path):
    write_series(tmp_path, body(9), spacing=1.2)
    matrix = read_ct(tmp_path).ijk_to_ras
    assert matrix[2, 3] == 100.0 and matrix[2, 2] == pytest.approx(1.2, abs=1e-9)
