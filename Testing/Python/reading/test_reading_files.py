"""Reading NIfTI and NRRD: each voxel's place and value, and what is refused."""

import bz2
import gzip
import json

import numpy as np
import pytest
from dicom_maker import body
from volume_files import MATRIX, nifti_bytes, nrrd_header, write

from CTBMDLib.errors import Cancelled, CTBMDError
from CTBMDLib.reading.nifti import read_nifti
from CTBMDLib.reading.reading import read_ct

HU = body()


def check(volume, hu=HU, matrix=MATRIX, tolerance=1e-5):
    assert volume.hu.dtype == np.int16 and np.array_equal(volume.hu, hu)
    assert np.allclose(volume.ijk_to_ras, matrix, atol=tolerance)
    # Nothing is known of the acquisition, and nothing is made up.
    assert set(vars(volume.acquisition).values()) == {None}


def refused(path, **options) -> str:
    with pytest.raises(CTBMDError) as caught:
        read_ct(path, **options)
    text = str(caught.value)
    assert text.endswith(".") and "\n" not in text and len(text) < 300, text
    return text


# -- NIfTI ---------------------------------------------------------------------
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("form", ["sform", "qform"])
def test_nifti_in_both_versions_byte_orders_and_forms(tmp_path, version, order, form):
    raw = nifti_bytes(
        HU, version=version, order=order, sform=form == "sform", qform=form == "qform"
    )
    check(read_ct(write(tmp_path / "ct.nii", raw)))
    check(read_ct(write(tmp_path / "ct.nii.gz", raw, zipped=True)))


@pytest.mark.parametrize("kind", ["i2", "i4", "f4", "f8", "i8"])
def test_whole_numbers_become_int16_whatever_they_were_stored_as(tmp_path, kind):
    check(read_ct(write(tmp_path / "ct.nii", nifti_bytes(HU, kind=kind))))


def test_fractions_stay(tmp_path):
    hu = HU + np.float32(0.25)
    volume = read_ct(write(tmp_path / "ct.nii", nifti_bytes(hu, kind="f4")))
    assert volume.hu.dtype == np.float32 and np.array_equal(volume.hu, hu)


def test_nifti_scaling(tmp_path):
    stored = HU.astype(int) + 1024
    raw = nifti_bytes(stored, kind="u2", slope=1.0, intercept=-1024.0)
    check(read_ct(write(tmp_path / "ct.nii", raw)))
    half = nifti_bytes(2 * HU + 1, slope=0.5)
    volume = read_ct(write(tmp_path / "half.nii", half))
    assert volume.hu.dtype == np.float32 and np.array_equal(volume.hu, HU + 0.5)
    raw = nifti_bytes(HU, slope=0.0, intercept=500.0)  # slope 0: not scaled, by the standard
    check(read_ct(write(tmp_path / "ct.nii", raw)))


def test_two_orientations_that_disagree_are_named(tmp_path):
    raw = bytearray(nifti_bytes(HU, sform=1, qform=1))
    volume = read_ct(write(tmp_path / "a.nii", bytes(raw)))
    assert volume.reading_findings == ()
    raw[268:272] = np.array([MATRIX[0, 3] + 7], "<f4").tobytes()  # qoffset_x
    volume = read_ct(write(tmp_path / "b.nii", bytes(raw)))
    check(volume)
    assert "sform and qform, up to 7 mm apart" in volume.reading_findings[0]


def test_nifti_units(tmp_path):
    in_metres = MATRIX.copy()
    in_metres[:3] /= 1000
    check(read_ct(write(tmp_path / "ct.nii", nifti_bytes(HU, in_metres, units=1))))
    check(read_ct(write(tmp_path / "ct.nii", nifti_bytes(HU, units=0))))


def test_a_fourth_axis_of_one_is_no_fourth_dimension(tmp_path):
    raw = nifti_bytes(HU, dim=(4, *HU.shape[::-1], 1, 1, 1, 1))
    check(read_ct(write(tmp_path / "ct.nii", raw)))


def test_a_nifti_pair(tmp_path):
    raw = bytearray(nifti_bytes(HU))
    raw[344:348] = b"ni1\0"
    raw[108:112] = bytes(4)
    write(tmp_path / "ct.hdr", bytes(raw[:348]))
    assert "other is missing" in refused(tmp_path / "ct.hdr")
    write(tmp_path / "ct.img", bytes(raw[352:]))
    check(read_ct(tmp_path / "ct.hdr"))
    check(read_ct(tmp_path / "ct.img"))


def test_nifti_agrees_with_vtk(tmp_path):
    """An independent reader puts every voxel at the same place."""
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkIOImage import vtkNIFTIImageReader

    for form in ("sform", "qform"):
        raw = nifti_bytes(HU, sform=form == "sform", qform=form == "qform")
        path = write(tmp_path / f"{form}.nii", raw)
        reader = vtkNIFTIImageReader()
        reader.SetFileName(str(path))
        reader.Update()
        image = reader.GetOutput()
        values = vtk_to_numpy(image.GetPointData().GetScalars())
        values = values.reshape(image.GetDimensions()[::-1])
        matrix = reader.GetSFormMatrix() if form == "sform" else reader.GetQFormMatrix()
        matrix = np.array([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)])
        k, j, i = np.random.default_rng(0).integers(0, values.shape, (200, 3)).T
        points = np.stack([i, j, k], axis=1) * image.GetSpacing()
        ras = points @ matrix[:3, :3].T + matrix[:3, 3]
        assert np.array_equal(read_ct(path).sample(ras, order=0), values[k, j, i])


def test_the_real_nifti_lies_where_its_labels_say(shared_data):
    volume = read_ct(shared_data("ct_ts_example/ct.nii.gz"))
    labels = read_nifti(shared_data("ct_ts_example/vertebrae.nii.gz"))
    bodies = read_nifti(shared_data("ct_ts_example/vertebral_bodies.nii.gz"))
    levels = json.loads(shared_data("levels.json").read_text())["levels"]["ct_ts_example"]
    assert np.array_equal(volume.ijk_to_ras, labels.ijk_to_ras)
    for number, level in zip(range(31, 26, -1), levels, strict=True):
        k, j, i = np.nonzero((labels.hu == number) & (bodies.hu > 0))
        centre = volume.ras_from_ijk([i.mean(), j.mean(), k.mean()])
        assert np.allclose(centre, levels[level], atol=0.1), level
        assert 150 < volume.hu[labels.hu == number].mean() < 260, level


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dim": (2, 40, 32, 1, 1, 1, 1, 1)}, "single 2-D image"),
        ({"dim": (3, 40, 32, 1, 1, 1, 1, 1)}, "single 2-D image"),
        ({"dim": (3, 40, 32, 2, 1, 1, 1, 1)}, "only 2 slices"),
        ({"dim": (4, 40, 32, 4, 2, 1, 1, 1)}, "a series of 2 volumes (4-D)"),
        ({"dim": (0, 40, 32, 8, 1, 1, 1, 1)}, "cut off or damaged"),
        ({"dim": (3, 40, -32, 8, 1, 1, 1, 1)}, "cut off or damaged"),
        ({"dim": (3, 4000, 3200, 800, 1, 1, 1, 1)}, "cut off or damaged"),
        ({"datatype": 128}, "colour image"),
        ({"datatype": 32}, "a kind CT does not have"),
        ({"sform": 0}, "does not say how it lies in the patient"),
    ],
)
def test_nifti_headers_that_are_refused(tmp_path, options, said):
    assert said in refused(write(tmp_path / "ct.nii", nifti_bytes(HU, **options)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan(tmp_path, value):
    hu = HU.astype(np.float32)
    hu[3, 4, 5] = value
    assert "not numbers" in refused(write(tmp_path / "ct.nii", nifti_bytes(hu, kind="f4")))
    hu[0] += 0.5  # not whole numbers either
    assert "not numbers" in refused(write(tmp_path / "ct.nii", nifti_bytes(hu, kind="f4")))


def test_sheared_axes(tmp_path):
    sheared = MATRIX.copy()
    sheared[1, 2] += 0.4
    assert "not at right angles" in refused(write(tmp_path / "ct.nii", nifti_bytes(HU, sheared)))


def test_a_matrix_of_nothing(tmp_path):
    for value in (0.0, np.nan, 1e30):
        broken = MATRIX.copy()
        broken[:3, 1] = value
        raw = bytearray(nifti_bytes(HU))
        raw[280:328] = broken[:3].astype("<f4").tobytes()
        assert "cannot be right" in refused(write(tmp_path / "ct.nii", bytes(raw)))


def test_files_cut_off(tmp_path):
    raw = nifti_bytes(HU)
    zipped = gzip.compress(raw)
    for content, name in ((raw[:-100], "a.nii"), (zipped[:-400], "b.nii.gz"), (raw[:352], "c.nii")):
        assert "cut off or damaged" in refused(write(tmp_path / name, content))
    assert "not a NIfTI file" in refused(write(tmp_path / "d.nii", raw[:100]))
    assert "not a NIfTI file" in refused(write(tmp_path / "e.nii", b""))
    assert "not a NIfTI file" in refused(write(tmp_path / "f.nii.gz", b"%PDF-1.4" * 90))


def test_the_checksum_counts_where_a_stream_holds_more_than_the_volume(tmp_path):
    packed = bytearray(gzip.compress(nifti_bytes(HU) + b"more" * 5000))
    check(read_ct(write(tmp_path / "ct.nii.gz", bytes(packed))))
    packed[-6] ^= 1  # in the checksum, after the last voxel
    assert "cut off or damaged" in refused(write(tmp_path / "ct.nii.gz", bytes(packed)))


@pytest.mark.parametrize(
    "name, code",
    [("", "no-path"), ("absent", "no-such-file"), ("a.txt", "not-an-image"), ("b", "empty-folder")],
)
def test_an_error_has_a_code(tmp_path, name, code):
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "b").mkdir()
    with pytest.raises(CTBMDError) as caught:
        read_ct(tmp_path / name if name else "")
    assert caught.value.code == code


def test_damaged_gzip(tmp_path):
    zipped = bytearray(gzip.compress(nifti_bytes(HU)))
    zipped[len(zipped) // 2] ^= 0xFF
    assert "cut off or damaged" in refused(write(tmp_path / "ct.nii.gz", bytes(zipped)))
    zipped = bytearray(gzip.compress(HU.tobytes()))
    zipped[len(zipped) // 2] ^= 0xFF
    text = nrrd_header(HU, encoding="gzip").encode()
    assert "cut off or damaged" in refused(write(tmp_path / "a.nrrd", text, b"\n", bytes(zipped)))


def test_an_analyze_file(tmp_path):
    raw = bytearray(nifti_bytes(HU))
    raw[344:348] = bytes(4)
    assert "ANALYZE" in refused(write(tmp_path / "ct.nii", bytes(raw)))


def test_not_hounsfield_units(tmp_path):
    raw = nifti_bytes(HU.astype(int) + 1024)
    assert "not Hounsfield units" in refused(write(tmp_path / "ct.nii", raw))


def test_a_file_has_no_series_to_name(tmp_path):
    path = write(tmp_path / "ct.nii", nifti_bytes(HU))
    assert "no series to choose from" in refused(path, series_uid="1.2.3")


def test_progress_and_cancel(tmp_path):
    path = write(tmp_path / "ct.nii.gz", nifti_bytes(HU), zipped=True)
    seen = []
    read_ct(path, progress=lambda done, text: seen.append(done))
    assert seen[0] == 0.0 and seen[-1] == 1.0
    with pytest.raises(Cancelled):
        read_ct(path, should_cancel=lambda: True)


# -- NRRD ----------------------------------------------------------------------
SPACES = (
    "left-posterior-superior",
    "right-anterior-superior",
    "left-anterior-superior",
    "LPS",
    "RAS",
)


@pytest.mark.parametrize("space", SPACES)
def test_nrrd_in_every_space(tmp_path, space):
    long = {"LPS": SPACES[0], "RAS": SPACES[1]}.get(space, space)
    text = nrrd_header(HU, space=long).replace(f"space: {long}", f"space: {space}")
    check(read_ct(write(tmp_path / "ct.nrrd", text.encode(), b"\n", HU.tobytes())))


@pytest.mark.parametrize("encoding", ["raw", "gzip", "gz", "bzip2"])
def test_nrrd_encodings_attached_and_detached(tmp_path, encoding):
    pack = {"raw": bytes, "bzip2": bz2.compress}.get(encoding, gzip.compress)
    data = pack(HU.tobytes())
    text = nrrd_header(HU, encoding=encoding)
    check(read_ct(write(tmp_path / "a.nrrd", text.encode(), b"\n", data)))
    write(tmp_path / "pixels.bin", data)
    text = nrrd_header(HU, encoding=encoding, data_file="pixels.bin")
    check(read_ct(write(tmp_path / "d.nhdr", text.encode())))


def test_nrrd_line_ends_big_endian_and_skips(tmp_path):
    text = nrrd_header(HU, endian="big").replace("\n", "\r\n")
    check(read_ct(write(tmp_path / "a.nrrd", text.encode(), b"\r\n", HU.astype(">i2").tobytes())))
    write(tmp_path / "p.raw", b"one line\n123", HU.tobytes())
    text = nrrd_header(HU, data_file="p.raw", line_skip="1", byte_skip="3")
    check(read_ct(write(tmp_path / "b.nhdr", text.encode())))
    text = nrrd_header(HU, data_file="p.raw", byte_skip="-1")
    check(read_ct(write(tmp_path / "c.nhdr", text.encode())))


def test_nrrd_types(tmp_path):
    for kind, dtype in (("int16", "<i2"), ("int", "<i4"), ("float", "<f4"), ("double", "<f8")):
        text = nrrd_header(HU, kind=kind)
        check(read_ct(write(tmp_path / "a.nrrd", text.encode(), b"\n", HU.astype(dtype).tobytes())))


def test_an_nrrd_list_axis_of_one_is_dropped(tmp_path):
    text = nrrd_header(HU)
    text = text.replace("dimension: 3", "dimension: 4").replace("sizes: ", "sizes: 1 ")
    text = text.replace("space directions: ", "space directions: none ")
    text = text.replace("kinds: domain", "kinds: list domain")
    check(read_ct(write(tmp_path / "a.nrrd", text.encode(), b"\n", HU.tobytes())))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"space": None}, "does not say how it lies in the patient"),
        ({"space": "scanner-xyz"}, "does not say how it lies in the patient"),
        ({"space_directions": None}, "does not say how it lies in the patient"),
        ({"space_directions": "(1,0,0) none (0,0,1)"}, "does not say how it lies in the patient"),
        ({"space_origin": None}, "does not say how it lies in the patient"),
        ({"space_origin": "(nan,0,0)"}, "cannot be right"),
        ({"space_directions": "(0,0,0) (0,1,0) (0,0,1)"}, "cannot be right"),
        ({"space_directions": "(1,0,0) (0,1,0) (0,0.3,1)"}, "not at right angles"),
        ({"space_units": '"m" "m" "m"'}, "measured in m, not in mm"),
        ({"encoding": "ascii"}, "stored as 'ascii'"),
        ({"type": "block"}, "a kind CT does not have"),
        ({"type": None}, "no type given"),
        ({"sizes": "40 32"}, "cut off or damaged"),
        ({"sizes": "40 32 80"}, "cut off or damaged"),
        ({"sizes": "many"}, "cut off or damaged"),
        ({"dimension": "2", "sizes": "40 32"}, "single 2-D image"),
        ({"dimension": "4", "sizes": "40 32 4 2"}, "a series of 2 volumes (4-D)"),
        ({"kinds": "RGB-color domain domain"}, "colour image"),
        ({"endian": None}, "cut off or damaged"),
        ({"data_file": "gone.raw"}, "data file 'gone.raw'"),
        ({"data_file": "LIST"}, "several files"),
        ({"data_file": "x%03d.raw 1 8 1"}, "several files"),
        ({"byte_skip": "x"}, "cut off or damaged"),
    ],
)
def test_nrrd_headers_that_are_refused(tmp_path, fields, said):
    text = nrrd_header(HU, **fields)
    assert said in refused(write(tmp_path / "ct.nrrd", text.encode(), b"\n", HU.tobytes()))


def test_an_nrrd_that_says_it_is_mr(tmp_path):
    text = nrrd_header(HU) + "modality:=DWMRI\n"
    path = write(tmp_path / "ct.nrrd", text.encode(), b"\n", HU.tobytes())
    assert "is DWMRI, not CT" in refused(path)


def test_nrrd_files_cut_off(tmp_path):
    text = nrrd_header(HU).encode() + b"\n"
    assert "cut off or damaged" in refused(write(tmp_path / "a.nrrd", text, HU.tobytes()[:-2]))
    text = nrrd_header(HU, encoding="gzip").encode() + b"\n"
    data = gzip.compress(HU.tobytes())
    assert "cut off or damaged" in refused(write(tmp_path / "b.nrrd", text, data[:-300]))
    assert "cut off or damaged" in refused(
        write(tmp_path / "c.nrrd", text, b"not gzip at all" * 99)
    )
    assert "not an NRRD file" in refused(write(tmp_path / "d.nrrd", b"PK\x03\x04"))
    assert "not an NRRD file" in refused(write(tmp_path / "e.nrrd", b""))


@pytest.mark.parametrize("name", ["ct.nrrd", "ct.nhdr", "ct.nii.gz"])
def test_what_slicer_writes_is_read_back_the_same(tmp_path, name):
    slicer = pytest.importorskip("slicer")
    vtk = pytest.importorskip("vtk")
    from vtkmodules.util.numpy_support import numpy_to_vtk

    scene = slicer.vtkMRMLScene()
    node = slicer.vtkMRMLScalarVolumeNode()
    scene.AddNode(node)
    image = vtk.vtkImageData()
    image.SetDimensions(*HU.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(HU.ravel(), deep=1))
    node.SetAndObserveImageData(image)
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(MATRIX.ravel())
    node.SetIJKToRASMatrix(matrix)
    storage = (
        slicer.vtkMRMLVolumeArchetypeStorageNode()
        if name.endswith(".gz")
        else slicer.vtkMRMLNRRDStorageNode()
    )
    scene.AddNode(storage)
    storage.SetFileName(str(tmp_path / name))
    assert storage.WriteData(node)
    check(read_ct(tmp_path / name), tolerance=1e-4)
