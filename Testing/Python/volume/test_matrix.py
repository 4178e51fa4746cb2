"""Shear, scale and reflection in a volume's matrix, on every way by which a matrix comes in."""

import itertools

import numpy as np
import pytest
from drawn_spine import CENTRE, spine
from volume_files import MATRIX, nifti_bytes, nrrd_header, write

from CTBMDLib.bmd.size import check_size
from CTBMDLib.bmd.structure import look_at
from CTBMDLib.errors import CTBMDError
from CTBMDLib.levels import LevelSlice
from CTBMDLib.reading.reading import read_ct
from CTBMDLib.volume import CTVolume

HU = np.random.default_rng(0).integers(-1000, 300, (9, 8, 7)).astype(np.int16)
ORDERS = list(itertools.permutations(range(3)))
SIGNS = list(itertools.product((1, -1), repeat=3))
PAIRS = list(itertools.permutations(range(3), 2))


def volume(matrix, folder=None):
    return CTVolume(HU, matrix, name="scan")


def nifti(matrix, folder):
    return read_ct(write(folder / "scan.nii", nifti_bytes(HU, matrix)))


def nrrd(matrix, folder):
    return read_ct(
        write(folder / "scan.nrrd", nrrd_header(HU, matrix).encode() + b"\n", HU.tobytes())
    )


WAYS = [volume, nifti, nrrd]


def sheared(row, column, amount):
    """A shear in the patient's axes: as a transform over the volume or a gantry makes it."""
    matrix = np.eye(4)
    matrix[row, column] = amount
    return matrix


def code(way, matrix, folder):
    """What a way says of a matrix; None where it takes it as it stands."""
    try:
        read = way(matrix, folder)
    except CTBMDError as error:
        assert "'scan" in str(error) and str(error).endswith(".") and "\n" not in str(error)
        return error.code
    np.testing.assert_allclose(read.ijk_to_ras, matrix, atol=1e-4)
    assert np.array_equal(read.hu, HU) and not read.reading_findings
    return None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("row", "column"), PAIRS)
def test_a_shear_is_refused_and_rounding_is_taken(way, row, column, tmp_path):
    straight = np.diag([0.9, 0.9, 0.9, 1.0])
    for amount, said in (
        (0.0, None), (1e-3, None), (-5e-3, None), (0.02, "oblique-axes"), (-0.1, "oblique-axes"),
        (0.27, "oblique-axes"), (3.0, "oblique-axes"),
    ):  # fmt: skip
        assert code(way, sheared(row, column, amount) @ straight, tmp_path) == said, amount


@pytest.mark.parametrize("way", WAYS)
def test_a_stretch_along_no_axis_of_the_voxels_is_a_shear(way, tmp_path):
    for axis in range(3):
        stretch = np.eye(4)
        stretch[axis, axis] = 1.1
        # MATRIX is turned about R: what stretches A or S bends the angle between its axes.
        assert code(way, stretch @ MATRIX, tmp_path) == (None if axis == 0 else "oblique-axes")
    assert code(way, np.diag([1.1, 1.1, 1.1, 1.0]) @ MATRIX, tmp_path) is None


@pytest.mark.parametrize("way", WAYS)
def test_every_order_and_reflection_is_taken_and_places_stay(way, tmp_path):
    for order, signs in itertools.product(ORDERS, SIGNS):
        matrix = MATRIX.copy()
        matrix[:3, :3] = MATRIX[:3, :3][:, order] * signs
        assert code(way, matrix, tmp_path) is None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("change", "value"),
    [((0, 0), 0.0), ((slice(3), 1), 0.0), ((0, 0), 1e4), ((slice(3), 2), 1e-3), ((2, 3), 1e6),
     ((0, 3), np.nan), ((1, 1), np.nan), ((1, 2), np.inf)],
)  # fmt: skip
def test_no_ct_has_such_a_matrix(way, change, value, tmp_path):
    matrix = np.diag([0.9, 0.9, 2.0, 1.0])
    matrix[change] = value
    with np.errstate(all="ignore"):  # the writers' own sums over such a matrix
        written = code(way, matrix, tmp_path) if way is not nifti else by_hand(matrix, tmp_path)
    assert written == "broken-geometry"


def by_hand(matrix, folder):
    raw = bytearray(nifti_bytes(HU))
    raw[280:328] = matrix[:3].astype("<f4").tobytes()
    return code(lambda *_: read_ct(write(folder / "scan.nii", bytes(raw))), matrix, folder)


def test_a_projection_is_no_place_in_the_patient():
    matrix = np.eye(4)
    matrix[3, 0] = 0.1
    with pytest.raises(CTBMDError, match="cannot be right"):
        CTVolume(HU, matrix)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(("units", "unit_mm"), [(2, 1.0), (1, 1000.0), (3, 0.001), (0, 1.0)])
@pytest.mark.parametrize(
    ("scale", "told"),
    [((1, 1, 1), False), ((1.01, 0.99, 1), False), ((1.05, 1.05, 1.04), True), ((1, 1, 0.8), True)],
)
def test_two_voxel_sizes_in_a_nifti_header_are_told(version, units, unit_mm, scale, told, tmp_path):
    """A registration has changed the sform; the size as it was measured still stands beside it."""
    stored = nifti_bytes(HU, MATRIX / unit_mm, units=units, version=version)
    moved = MATRIX.copy()
    moved[:3, :3] *= scale
    kind, start = ("<f4", 280) if version == 1 else ("<f8", 400)
    rows = (moved / unit_mm)[:3].astype(kind).tobytes()
    raw = stored[:start] + rows + stored[start + len(rows) :]
    read = read_ct(write(tmp_path / "scan.nii", raw))
    np.testing.assert_allclose(read.ijk_to_ras, moved, rtol=1e-5, atol=1e-4)
    assert len(read.reading_findings) == told
    if told:
        (text,) = read.reading_findings
        assert "two voxel sizes (0.8 x 1.2 x 2.5 mm as stored" in text
        assert f"{scale[0] * 0.8:.3g} x {scale[1] * 1.2:.3g} x {scale[2] * 2.5:.3g} mm by" in text


@pytest.fixture(scope="module")
def three_bodies():
    return spine(step=(1.5, 1.5, 2.0), beyond=35.0)


def size_codes(scan, scale):
    """What is told of the size of a scan under a transform that scales it."""
    scale = np.array(scale, float)
    scaled = CTVolume(scan.hu, np.diag([*scale, 1.0]) @ scan.ijk_to_ras)
    bodies = {}
    for number, level in ((1, "L2"), (0, "L3"), (-1, "L4")):
        ras = scale * (CENTRE + (0, 0, 36.0 * number))
        bodies[level] = look_at(scaled, LevelSlice(level, tuple(ras)))
    known = {level: x.body for level, x in bodies.items() if x.heights is not None}
    return [x.code for x in check_size(known, {k: bodies[k].heights for k in known})]


@pytest.mark.parametrize(
    ("scale", "told"),
    [
        ((1.08, 1.08, 1.08), []),
        ((0.8, 0.8, 0.8), ["size-unlikely"]),
        ((-1.3, 1.3, 1.3), ["size-unlikely"]),  # reflected as well
        ((1.0, 1.0, 0.78), ["proportions-unlikely"]),
    ],
)
def test_vertebrae_of_untrue_size_are_told_where_a_matrix_scales_them(three_bodies, scale, told):
    assert size_codes(three_bodies, scale) == told
