"""What is no usable CT is refused, each with its own sentence."""

import zipfile

import numpy as np
import pydicom
import pytest
from dicom_maker import (
    AXIAL,
    body,
    lps_positions,
    uid,
    write_enhanced,
    write_file,
    write_series,
)

from CTBMDLib.errors import CTBMDError
from CTBMDLib.reading import pixels
from CTBMDLib.reading.reading import read_ct


def refused(path, **options) -> str:
    with pytest.raises(CTBMDError) as caught:
        read_ct(path, **options)
    text = str(caught.value)
    assert text.endswith(".") and "\n" not in text and len(text) < 300, text
    return text


def test_a_path_that_does_not_exist(tmp_path):
    assert "does not exist" in refused(tmp_path / "nowhere")
    with pytest.raises(CTBMDError, match="does not exist"):
        read_ct("x" * 5000)
    assert "No path was given" in refused("")


def test_an_empty_folder(tmp_path):
    assert "is empty" in refused(tmp_path)
    (tmp_path / "sub").mkdir()
    assert "is empty" in refused(tmp_path)


def test_a_folder_without_dicom(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    assert "holds no DICOM images" in refused(tmp_path)
    (tmp_path / "ct.nii.gz").write_bytes(b"\x1f\x8b")
    assert "to read 'ct.nii.gz', give the file itself" in refused(tmp_path)


def test_a_file_that_is_not_dicom(tmp_path):
    path = tmp_path / "report.pdf"
    for content in (b"%PDF-1.4 ...", b"", b"\0" * 1000):
        path.write_bytes(content)
        assert "'report.pdf' is not a CT image file" in refused(path)


def test_archives_that_cannot_be_read(tmp_path):
    (tmp_path / "export.rar").write_bytes(b"Rar!")
    assert "is an archive; unpack it and give the folder" in refused(tmp_path / "export.rar")
    write_series(tmp_path / "dicom")
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in (tmp_path / "dicom").iterdir():
            archive.write(file, file.name)
    content = path.read_bytes()
    path.write_bytes(content[:-2000])  # the directory of a ZIP stands at its end
    assert "'export.zip' is cut off or damaged" in refused(path)
    broken = bytearray(content)
    broken[len(content) // 3] ^= 0xFF
    path.write_bytes(broken)
    assert "cut off or damaged" in refused(path)
    locked = bytearray(content)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = locked.find(mark)
        while at >= 0:
            locked[at + offset] |= 1  # the flag of an encrypted member
            at = locked.find(mark, at + 1)
    path.write_bytes(locked)
    assert "locked by a password" in refused(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no images")
    text = refused(path)
    assert "export.zip' holds no DICOM images" in text and "ctbmd-" not in text


@pytest.mark.parametrize("modality", ["MR", "PT", "US"])
def test_another_modality(tmp_path, modality):
    write_series(tmp_path, modality=modality)
    assert f"These are {modality} images, not CT" in refused(tmp_path)
    assert f"These are {modality} images, not CT" in refused(tmp_path / "series_0000.dcm")


def test_a_named_series_of_another_modality(tmp_path):
    write_series(tmp_path)
    write_series(tmp_path, series="t2", modality="MR")
    text = refused(tmp_path, series_uid=uid("P1", "t2"))
    assert text.startswith("Series 3 't2' (MR, 8 images): these are MR images, not CT")


@pytest.mark.parametrize("word", ["LOCALIZER", "SCOUT"])
def test_a_scout(tmp_path, word):
    write_series(tmp_path, body(2), ImageType=["ORIGINAL", "PRIMARY", word])
    assert "scout view (localizer)" in refused(tmp_path)
    assert "scout view (localizer)" in refused(tmp_path / "series_0001.dcm")


def test_a_folder_of_scouts_and_mr_says_so_of_all(tmp_path):
    write_series(tmp_path, body(1), series="s", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write_series(tmp_path, series="t2", modality="MR")
    assert refused(tmp_path).startswith(
        "None of the 2 series here can be read; the nearest is series 3 's' (scout, 1 image): "
    )


@pytest.mark.parametrize(("slices", "said"), [(1, "only one slice"), (2, "only 2 slices")])
def test_fewer_than_three_slices(tmp_path, slices, said):
    write_series(tmp_path, body(slices))
    assert said in refused(tmp_path)


def test_a_missing_slice(tmp_path):
    write_series(tmp_path)
    (tmp_path / "series_0003.dcm").unlink()
    text = refused(tmp_path)
    assert "One slice is missing: a gap of 5.0 mm after 'series_0002.dcm'" in text
    (tmp_path / "series_0004.dcm").unlink()
    assert "2 slices are missing: a gap of 7.5 mm" in refused(tmp_path)


def test_two_images_at_one_place(tmp_path):
    write_series(tmp_path)
    second = pydicom.dcmread(tmp_path / "series_0003.dcm")
    second.SOPInstanceUID = uid("another image")
    write_file(tmp_path / "second.dcm", second)
    text = refused(tmp_path)
    assert "two images at the same position in 1 place" in text and "'second.dcm'" in text


def test_two_phases_in_one_series(tmp_path):
    write_series(tmp_path, names=lambda k: f"a{k}.dcm")
    write_series(
        tmp_path,
        names=lambda k: f"b{k}.dcm",
        edit=lambda k, data: setattr(data, "SOPInstanceUID", uid("second", k)),
    )
    assert "in 8 places" in refused(tmp_path)


@pytest.mark.parametrize("share", [0.25, -0.25, 0.5])
def test_uneven_spacing(tmp_path, share):
    positions = lps_positions(8)
    positions[4] = positions[4] + [0, 0, share * 2.5]
    write_series(tmp_path, positions=positions)
    assert "not evenly spaced" in refused(tmp_path)


def test_spacing_within_five_percent_is_read(tmp_path):
    positions = lps_positions(8)
    positions[4] = positions[4] + [0, 0, 0.04 * 2.5]
    write_series(tmp_path, positions=positions)
    assert read_ct(tmp_path).spacing_mm[2] == pytest.approx(2.5)


def test_slices_too_far_aslant_for_a_gantry(tmp_path):
    positions = [np.array([-20.0, -16.0 + 3.0 * n, 100.0 + 2.5 * n]) for n in range(8)]
    write_series(tmp_path, positions=positions)
    assert "50 degrees aslant of the line through them" in refused(tmp_path)


def test_slices_shifted_sideways(tmp_path):
    positions = lps_positions(8)
    positions[4] = positions[4] + [10, 0, 0]
    write_series(tmp_path, positions=positions)
    assert "shifted sideways" in refused(tmp_path)


def test_a_file_cut_off_in_its_pixels(tmp_path):
    write_series(tmp_path)
    path = tmp_path / "series_0003.dcm"
    path.write_bytes(path.read_bytes()[:-500])
    assert "'series_0003.dcm' is cut off or damaged" in refused(tmp_path)
    assert "'series_0003.dcm' is cut off or damaged" in refused(path)


def test_a_file_cut_off_in_its_header(tmp_path):
    write_series(tmp_path)
    path = tmp_path / "series_0003.dcm"
    content = path.read_bytes()
    rows = content.index(b"\x28\x00\x10\x00")
    path.write_bytes(content[:rows])
    assert "'series_0003.dcm' is cut off or damaged" in refused(tmp_path)
    assert "'series_0003.dcm' is cut off or damaged" in refused(path)


def test_a_file_cut_off_before_its_series_is_named_as_left_out(tmp_path):
    write_series(tmp_path)
    path = tmp_path / "series_0007.dcm"  # the last: no gap tells of it
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"\x20\x00\x0d\x00")])
    volume = read_ct(tmp_path)
    assert volume.hu.shape[0] == 7
    assert "Damaged files were left out: 'series_0007.dcm'." in volume.reading_findings


def test_no_pixel_data(tmp_path):
    write_series(tmp_path, edit=lambda k, data: delattr(data, "PixelData"))
    assert "has no pixel data" in refused(tmp_path)


def test_no_position(tmp_path):
    write_series(tmp_path, edit=lambda k, data: delattr(data, "ImagePositionPatient"))
    assert "do not say where they lie in the patient" in refused(tmp_path)


@pytest.mark.parametrize(
    ("tag", "value", "said"),
    [
        ("ImageOrientationPatient", [1, 0, 0, 1, 0, 0], "not two perpendicular directions"),
        ("ImageOrientationPatient", [0, 0, 0, 0, 0, 0], "not two perpendicular directions"),
        ("PixelSpacing", [0, 0], "pixel spacing in the header (0 x 0 mm) cannot be right"),
        ("RescaleSlope", "0", "rescale slope and intercept in the header (0 and -1024)"),
        ("RescaleIntercept", "9e12", "rescale slope and intercept in the header (1 and 9e+12)"),
        ("PixelSpacing", [30, 30], "pixel spacing in the header (30 x 30 mm) cannot be right"),
    ],
)
def test_a_header_that_cannot_be_right(tmp_path, tag, value, said):
    write_series(tmp_path, edit=lambda k, data: setattr(data, tag, value))
    assert said in refused(tmp_path)


def test_pixel_spacing_that_changes(tmp_path):
    write_series(
        tmp_path, edit=lambda k, data: setattr(data, "PixelSpacing", [1.5, 1.0 + 0.1 * (k > 3)])
    )
    assert "pixel spacing changes" in refused(tmp_path)


def test_colour_images(tmp_path):
    def colour(k, data):
        data.SamplesPerPixel, data.PlanarConfiguration = 3, 0
        data.PhotometricInterpretation = "RGB"
        data.BitsAllocated = data.BitsStored = 8
        data.HighBit = 7
        data.PixelData = bytes(3 * data.Rows * data.Columns)

    write_series(tmp_path, edit=colour)
    assert "in colour" in refused(tmp_path)


def test_an_unknown_compression_asks_for_the_decoder(tmp_path, monkeypatch):
    write_series(tmp_path)
    for path in tmp_path.glob("*.dcm"):
        data = pydicom.dcmread(path)
        data.compress(pydicom.uid.RLELossless)
        data.file_meta.TransferSyntaxUID = pydicom.uid.JPEG2000Lossless
        data.save_as(path)

    def no_decoder(data):
        raise RuntimeError(
            "Unable to decompress 'JPEG 2000 Image Compression (Lossless Only)' pixel data "
            "because all plugins are missing dependencies"
        )

    # What pydicom does on a computer without any JPEG 2000 decoder.
    monkeypatch.setattr(pydicom.Dataset, "pixel_array", property(no_decoder))
    text = refused(tmp_path)
    assert "compressed (JPEG 2000 Image Compression (Lossless Only))" in text
    assert "python-gdcm" in text


def test_pydicom_itself_says_that_a_decoder_is_missing(tmp_path):
    """No decoder at all exists in the test environment for MPEG-4 video."""
    write_series(tmp_path)
    for path in tmp_path.glob("*.dcm"):
        data = pydicom.dcmread(path)
        data.compress(pydicom.uid.RLELossless)
        data.file_meta.TransferSyntaxUID = pydicom.uid.MPEG4HP41
        data.save_as(path)
    assert "the decoder for that is not installed" in refused(tmp_path)


def test_damaged_compressed_pixels(tmp_path):
    write_series(tmp_path)
    path = tmp_path / "series_0002.dcm"
    data = pydicom.dcmread(path)
    data.compress(pydicom.uid.RLELossless)
    data.PixelData = pydicom.encaps.encapsulate([b"\x01\0\0\0" + bytes(100)])
    data.save_as(path)
    assert "'series_0002.dcm' is cut off or damaged" in refused(tmp_path)


# -- Hounsfield units ----------------------------------------------------------
@pytest.mark.parametrize("offset", [1024, 1000, 400, -400, -1024, -3000])
def test_a_wrong_intercept(tmp_path, offset):
    write_series(tmp_path, RescaleIntercept=str(-1024 + offset), edit=_store_as_if_1024)
    assert "not Hounsfield units" in refused(tmp_path)


def _store_as_if_1024(k, data):
    data.PixelData = (body()[k].astype(int) + 1024).astype("<i2").tobytes()


def test_an_image_without_content(tmp_path):
    write_series(tmp_path, np.full((5, 20, 20), -1000, np.int16))
    assert "The volume is empty" in refused(tmp_path)


def test_a_volume_of_labels(tmp_path):
    labels = np.zeros((5, 20, 20), np.int16)
    labels[2, 5:15, 5:15] = 29
    write_series(tmp_path, labels)
    assert "given as the segmentation" in refused(tmp_path)


def test_a_windowed_picture(tmp_path):
    windowed = np.clip((body(6).astype(float) + 160) / 400 * 255, 0, 255).astype(np.int16)
    write_series(tmp_path, windowed)
    assert "not Hounsfield units" in refused(tmp_path)


def test_a_body_with_no_air_around_it_is_read(tmp_path):
    inside = body(8, 64, 64)[:, 14:50, 14:50]  # muscle, bone and some fat
    assert inside.min() > -200
    write_series(tmp_path, inside)
    assert np.array_equal(read_ct(tmp_path).hu, inside)


@pytest.mark.parametrize("outside", [-3024, -2000, 0])
def test_any_filling_outside_the_body_is_read(tmp_path, outside):
    hu = body(8, 64, 64)
    hu[hu < -700] = outside
    write_series(tmp_path, hu)
    assert np.array_equal(read_ct(tmp_path).hu, hu)


def test_too_little_memory(tmp_path, monkeypatch):
    write_series(tmp_path)

    def no_memory(*args, **options):
        raise MemoryError

    monkeypatch.setattr(pixels.np, "empty", no_memory)
    assert "does not fit into the memory" in refused(tmp_path)


# -- multi-frame ---------------------------------------------------------------
def test_enhanced_ct_with_a_missing_frame(tmp_path):
    path = tmp_path / "e.dcm"
    write_enhanced(path, order=[0, 1, 2, 4, 5, 6])
    data = pydicom.dcmread(path)
    data.NumberOfFrames = 6
    data.save_as(path)
    assert "One slice is missing: a gap of 5.0 mm after frame 3 of 'e.dcm'" in refused(path)


def test_enhanced_ct_with_fewer_pixels_than_frames(tmp_path):
    path = tmp_path / "e.dcm"
    write_enhanced(path)
    data = pydicom.dcmread(path)
    data.PixelData = data.PixelData[:-2000]
    data.save_as(path)
    assert "'e.dcm' is cut off or damaged" in refused(path)


def test_a_multi_frame_image_that_is_no_enhanced_ct(tmp_path):
    write_series(tmp_path / "a")
    data = pydicom.dcmread(tmp_path / "a" / "series_0000.dcm")
    data.NumberOfFrames = 4
    data.PixelData = data.PixelData * 4
    write_file(tmp_path / "m.dcm", data)
    assert "only one slice" in refused(tmp_path / "m.dcm")
    assert tuple(data.ImageOrientationPatient) == AXIAL
