"""Reading DICOM: which series, where each voxel lies, and its HU."""

import shutil
import zipfile

import numpy as np
import pydicom
import pytest
from dicom_maker import (
    AXIAL,
    CORONAL,
    SAGITTAL,
    body,
    lps_positions,
    uid,
    write_enhanced,
    write_series,
)
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from CTBMDLib.errors import Cancelled, CTBMDError
from CTBMDLib.reading.reading import list_series, read_ct

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


def hu_at_lps(volume, lps):
    return volume.sample(np.asarray(lps, float) @ LPS_TO_RAS, order=0)


def check_places(volume, hu, orientation=AXIAL, spacing=2.5):
    """Every corner and some inner voxels are found at their DICOM position."""
    positions = lps_positions(len(hu), orientation, spacing=spacing)
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    for k in (0, 1, len(hu) - 1):
        for j, i in ((0, 0), (5, 9), (hu.shape[1] - 1, 0), (16, 20), (20, hu.shape[2] - 1)):
            place = positions[k] + row * 1.0 * i + column * 1.5 * j  # PixelSpacing [1.5, 1.0]
            assert hu_at_lps(volume, place) == hu[k, j, i]


@pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL, CORONAL])
def test_every_voxel_lies_where_the_header_says(tmp_path, orientation):
    hu = write_series(tmp_path, orientation=orientation)
    volume = read_ct(tmp_path)
    assert volume.hu.dtype == np.int16
    check_places(volume, hu, orientation)
    assert np.allclose(volume.spacing_mm, (1.0, 1.5, 2.5))


def test_an_oblique_series_keeps_its_angle(tmp_path):
    angle = np.radians(17)
    orientation = (1, 0, 0, 0, np.cos(angle), np.sin(angle))
    hu = write_series(tmp_path, orientation=orientation)
    check_places(read_ct(tmp_path), hu, orientation)


def test_slices_are_sorted_by_position_not_by_name_or_number(tmp_path):
    order = [3, 0, 7, 1, 6, 2, 5, 4]
    hu = write_series(tmp_path, order=order)
    check_places(read_ct(tmp_path), hu)


def test_slices_that_descend_are_read_alike(tmp_path):
    up = write_series(tmp_path / "up")
    down = lps_positions(len(up))[::-1]
    write_series(tmp_path / "down", up[::-1], positions=down)
    a, b = read_ct(tmp_path / "up"), read_ct(tmp_path / "down")
    assert np.array_equal(a.hu, b.hu) and np.allclose(a.ijk_to_ras, b.ijk_to_ras)


def test_folders_are_searched_with_their_subfolders(tmp_path):
    hu = write_series(tmp_path, names=lambda k: f"part{k % 3}/deeper/IM{k}")
    (tmp_path / "part0" / "notes.txt").write_text("not an image")
    (tmp_path / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    volume = read_ct(tmp_path)
    assert volume.hu.shape == hu.shape
    assert volume.reading_findings == ("Read series 3 'series' (axial, 8 images).",)


def mixed_folder(folder):
    """An axial series, a larger sagittal one, another patient's, a scout, an MR."""
    write_series(folder, body(6), series="axial")
    write_series(folder, body(12), series="sagittal", orientation=SAGITTAL, SeriesNumber=4)
    write_series(folder, body(5), series="other", patient="P2")
    write_series(folder, body(1), series="scout", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write_series(folder, body(4), series="t2", modality="MR")


def test_of_a_mixed_folder_the_largest_axial_ct_is_read_and_the_rest_named_in_one_line(tmp_path):
    mixed_folder(tmp_path)
    volume = read_ct(tmp_path)
    assert volume.acquisition.series_uid == uid("P1", "axial")
    (line,) = volume.reading_findings
    assert line.startswith("Read series 3 'axial' (axial, 6 images) of patient P1; left out: ")
    for part in (
        "'sagittal' (sagittal, 12 images)",
        "'other' (axial, 5 images) of patient P2",
        "(scout, 1 image)",
        "(MR, 4 images)",
    ):
        assert part in line
    assert "\n" not in line and "Secret" not in line


def test_the_named_series_is_read(tmp_path):
    mixed_folder(tmp_path)
    for patient, series, images in (("P1", "sagittal", 12), ("P2", "other", 5)):
        volume = read_ct(tmp_path, series_uid=uid(patient, series))
        assert volume.hu.shape[0] == images
        assert volume.acquisition.patient_id == patient


def test_a_series_can_be_named_by_its_number(tmp_path):
    mixed_folder(tmp_path)
    assert read_ct(tmp_path, series_uid="4").acquisition.series_description == "sagittal"
    with pytest.raises(CTBMDError, match="Several series have the number 3; name one by its UID"):
        read_ct(tmp_path, series_uid="3")


def test_a_named_series_that_is_not_there_is_refused_with_what_is_there(tmp_path):
    mixed_folder(tmp_path)
    with pytest.raises(CTBMDError, match=r"no series 1\.2\.3 here.*'axial' \(axial, 6 images\)"):
        read_ct(tmp_path, series_uid="1.2.3")


def test_without_an_axial_series_the_largest_ct_is_read(tmp_path):
    write_series(tmp_path, body(9), series="sagittal", orientation=SAGITTAL)
    write_series(tmp_path, body(5), series="coronal", orientation=CORONAL)
    assert read_ct(tmp_path).acquisition.series_description == "sagittal"


def test_a_usable_series_is_preferred_to_a_larger_broken_one(tmp_path):
    def skip(k, data):
        if k == 4:
            data.ImagePositionPatient[2] += 1.2

    write_series(tmp_path, body(12), series="broken", edit=skip)
    write_series(tmp_path, body(6), series="good")
    volume = read_ct(tmp_path)
    assert volume.acquisition.series_description == "good"
    assert "'broken' (axial, 12 images) [uneven spacing]" in volume.reading_findings[0]


def test_a_scout_inside_the_series_is_left_out(tmp_path):
    hu = write_series(tmp_path)
    write_series(
        tmp_path,
        body(1, 50, 60),
        series="series",
        orientation=CORONAL,
        names=lambda k: "scout.dcm",
        edit=lambda k, data: setattr(data, "SOPInstanceUID", uid("scout")),
    )
    volume = read_ct(tmp_path)
    assert volume.hu.shape == hu.shape
    assert (
        "left out: series 3 'series' (coronal, 1 image) [only one slice]"
        in volume.reading_findings[0]
    )


def test_one_file_stands_for_its_series(tmp_path):
    hu = write_series(tmp_path)
    write_series(tmp_path, body(12), series="larger")
    volume = read_ct(tmp_path / "series_0005.dcm")
    check_places(volume, hu)
    assert volume.reading_findings[1] == (
        "'series_0005.dcm' is one of 8 images of its series; all of them were read from its folder."
    )


def test_a_zip_archive_is_read_as_its_folder(tmp_path):
    hu = write_series(tmp_path / "dicom", PatientID=None)
    path = tmp_path / "study of monday.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in (tmp_path / "dicom").iterdir():
            archive.write(file, f"DICOM/PA0/{file.name}")
        archive.writestr("../outside.txt", "stays inside the temporary folder")
    seen = []
    volume = read_ct(path, progress=lambda done, text: seen.append(done))
    check_places(volume, hu)
    assert volume.name == "study of monday"
    assert seen == sorted(seen) and seen[-1] == pytest.approx(1.0)
    with pytest.raises(Cancelled):
        read_ct(path, should_cancel=lambda: True)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["dicom", path.name]


def test_list_series_names_what_cannot_be_read_and_why(tmp_path):
    mixed_folder(tmp_path)
    series = list_series(tmp_path)
    assert [s.description for s in series] == ["axial", "other", "sagittal", "scout", "t2"]
    assert [s.reason for s in series] == [None, None, None, "scout", "MR"]
    assert "MR images, not CT" in series[-1].problem


# -- HU ------------------------------------------------------------------------
def test_rescale_is_taken_from_each_slice(tmp_path):
    hu = write_series(tmp_path, rescale=lambda k: (1, -1024 - 10 * k))
    volume = read_ct(tmp_path)
    assert volume.hu.dtype == np.int16 and np.array_equal(volume.hu, hu)


def test_a_fractional_slope_is_read_as_float32(tmp_path):
    hu = write_series(tmp_path, rescale=lambda k: (round(0.5 + 0.1 * k, 3), -1000))
    volume = read_ct(tmp_path)
    assert volume.hu.dtype == np.float32
    assert np.abs(volume.hu - hu).max() < 0.61  # half a stored step


def test_whole_numbers_written_with_a_fractional_slope_come_back_as_int16(tmp_path):
    hu = (body() // 4 * 4).astype(np.int16)
    write_series(tmp_path, hu, rescale=lambda k: (0.5, -1024))
    volume = read_ct(tmp_path)
    assert volume.hu.dtype == np.int16 and np.array_equal(volume.hu, hu)


@pytest.mark.parametrize(("sign", "intercept"), [(0, -1024), (1, -1024), (1, 0)])
@pytest.mark.parametrize("stored", [12, 16])
def test_signed_and_unsigned_pixels(tmp_path, sign, intercept, stored):
    hu = write_series(
        tmp_path,
        PixelRepresentation=sign,
        RescaleIntercept=intercept,
        BitsStored=stored,
        HighBit=stored - 1,
    )
    assert np.array_equal(read_ct(tmp_path).hu, hu)


def test_unused_high_bits_are_ignored(tmp_path):
    def overlay(k, data):
        stored = np.frombuffer(data.PixelData, "<u2") | 0xA000
        data.PixelData = stored.astype("<u2").tobytes()

    hu = write_series(tmp_path, PixelRepresentation=0, BitsStored=12, HighBit=11, edit=overlay)
    assert np.array_equal(read_ct(tmp_path).hu, hu)


def test_values_beyond_int16_are_kept(tmp_path):
    def metal(k, data):
        stored = np.frombuffer(data.PixelData, "<u2").copy()
        stored[700] = 65535
        data.PixelData = stored.tobytes()

    write_series(tmp_path, PixelRepresentation=0, edit=metal)
    volume = read_ct(tmp_path)
    assert volume.hu.dtype == np.float32 and volume.hu.max() == 65535 - 1024


@pytest.mark.parametrize("written_as", [-2000, 63536, -32768])
def test_padding_becomes_air(tmp_path, written_as):
    def pad(k, data):
        stored = np.frombuffer(data.PixelData, "<i2").copy()
        stored[:41] = written_as if written_as < 0 else written_as - 65536
        data.PixelData = stored.tobytes()
        vr = "SS" if written_as < 0 else "US"
        data.add_new("PixelPaddingValue", vr, written_as)

    hu = write_series(tmp_path, edit=pad)
    volume = read_ct(tmp_path)
    assert volume.hu.dtype == np.int16
    assert (volume.hu[:, 0] == -1000).all() and (volume.hu[:, 1, 0] == -1000).all()
    assert np.array_equal(volume.hu[:, 2:], hu[:, 2:])


def test_a_padding_value_that_also_occurs_in_the_body_changes_only_the_border(tmp_path):
    hu = body()
    hu[:, :2] = 0
    hu[:, 16, 20] = 0
    write_series(tmp_path, hu, edit=lambda k, d: d.add_new("PixelPaddingValue", "SS", 1024))
    volume = read_ct(tmp_path)
    assert (volume.hu[:, :2] == -1000).all()
    assert (volume.hu[:, 16, 20] == 0).all()


def test_implicit_vr_and_files_without_a_preamble(tmp_path):
    hu = write_series(tmp_path, syntax=ImplicitVRLittleEndian)
    for path in tmp_path.glob("*.dcm"):
        data = pydicom.dcmread(path)
        with pydicom.filebase.DicomBytesIO() as stream:
            stream.is_little_endian, stream.is_implicit_VR = True, True
            pydicom.filewriter.write_dataset(stream, data)
            path.write_bytes(stream.getvalue())
    assert np.array_equal(read_ct(tmp_path).hu, hu)


def test_big_endian_files(tmp_path):
    def swap(k, data):
        data.PixelData = np.frombuffer(data.PixelData, "<i2").astype(">i2").tobytes()

    hu = write_series(tmp_path, syntax=ExplicitVRBigEndian, edit=swap)
    assert np.array_equal(read_ct(tmp_path).hu, hu)


def test_deflated_files(tmp_path):
    hu = write_series(tmp_path, syntax=DeflatedExplicitVRLittleEndian)
    assert np.array_equal(read_ct(tmp_path).hu, hu)


def test_compressed_files_are_decoded(tmp_path):
    hu = write_series(tmp_path)
    for path in tmp_path.glob("*.dcm"):
        data = pydicom.dcmread(path)
        data.compress(RLELossless)
        data.save_as(path)
    assert np.array_equal(read_ct(tmp_path).hu, hu)


def test_jpeg_2000_and_jpeg_ls_where_their_decoders_are_installed(tmp_path):
    gdcm = pytest.importorskip("gdcm")
    for name, kind in (("j2k", gdcm.TransferSyntax.JPEG2000Lossless),
                       ("jls", gdcm.TransferSyntax.JPEGLSLossless),
                       ("jpg", gdcm.TransferSyntax.JPEGLosslessProcess14_1)):  # fmt: skip
        folder = tmp_path / name
        hu = write_series(folder)
        for path in folder.glob("*.dcm"):
            reader = gdcm.ImageReader()
            reader.SetFileName(str(path))
            assert reader.Read()
            change = gdcm.ImageChangeTransferSyntax()
            change.SetTransferSyntax(gdcm.TransferSyntax(kind))
            change.SetInput(reader.GetImage())
            assert change.Change()
            writer = gdcm.ImageWriter()
            writer.SetFileName(str(path))
            writer.SetFile(reader.GetFile())
            writer.SetImage(change.GetOutput())
            assert writer.Write()
        assert np.array_equal(read_ct(folder).hu, hu), name


def test_enhanced_multi_frame_ct(tmp_path):
    hu = write_enhanced(
        tmp_path / "enhanced.dcm",
        order=[4, 2, 0, 1, 3, 7, 6, 5],
        rescale=lambda k: (1, -1024 - k),
    )
    for path in (tmp_path, tmp_path / "enhanced.dcm"):
        volume = read_ct(path)
        check_places(volume, hu)
        facts = volume.acquisition
        assert (facts.kvp, facts.kernel, facts.slice_thickness_mm) == (100.0, "Br40", 2.5)
        assert facts.tube_current_ma == 150.0


# -- real scans ----------------------------------------------------------------
def test_the_axial_real_series(shared_data):
    volume = read_ct(shared_data("ct_acrin_f46"))
    assert volume.hu.shape == (99, 512, 512) and volume.hu.dtype == np.int16
    assert np.allclose(volume.spacing_mm, (0.9765625, 0.9765625, 4.25), atol=1e-3)
    facts = volume.acquisition
    assert (facts.kvp, facts.kernel, facts.sex, facts.age_years) == (140.0, "SOFT", "F", 49.0)
    assert facts.slice_thickness_mm == 5.0


def test_the_mixed_real_folder_gives_its_sagittal_ct(shared_data):
    volume = read_ct(shared_data("ct_sagittal_m42"))
    assert volume.hu.shape == (38, 512, 512)
    assert volume.axis_kji_of_ras == (0, 2, 1)
    assert np.allclose(volume.spacing_mm, (0.633, 0.633, 3.0), atol=1e-3)
    (line,) = volume.reading_findings
    assert "(sagittal, 38 images)" in line and "(MR, 2 images)" in line
    assert line.count("(scout, 1 image)") == 2


def test_three_real_slices_are_enough_to_be_read(shared_data):
    volume = read_ct(shared_data("ct_slices_liver"))
    assert volume.hu.shape == (3, 512, 512)
    assert volume.hu.min() >= -1024  # the padding of -2000 in the file is air now


def test_a_copy_of_one_real_slice_cannot_be_read(shared_data, tmp_path):
    shutil.copy(shared_data("ct_slices_liver/dcmqi_01.dcm"), tmp_path)
    with pytest.raises(CTBMDError, match="only one slice"):
        read_ct(tmp_path)
