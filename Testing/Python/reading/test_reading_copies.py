"""Files copied twice are read once; enhanced CT stored one frame a file."""

import shutil

import numpy as np
import pydicom
import pytest
from dicom_maker import body, uid, write_enhanced, write_enhanced_files, write_file, write_series

from CTBMDLib.errors import CTBMDError
from CTBMDLib.reading.reading import list_series, read_ct

COPIED = [[3], [0], [7], [2, 3, 6], list(range(8))]


@pytest.mark.parametrize("copied", COPIED)
@pytest.mark.parametrize("where", ["beside", "above", "subfolder"])
def test_copied_files_are_read_once(tmp_path, copied, where):
    hu = write_series(tmp_path)
    for k in copied:
        name = {"beside": f"series_{k:04d} (1).dcm", "above": f"a{k}.dcm"}.get(where)
        target = tmp_path / (name or f"copy/series_{k:04d}.dcm")
        target.parent.mkdir(exist_ok=True)
        shutil.copy(tmp_path / f"series_{k:04d}.dcm", target)
    volume = read_ct(tmp_path)
    assert np.array_equal(volume.hu, hu)
    (line,) = [x for x in volume.reading_findings if "left out" in x]
    if len(copied) == 1:
        assert line.endswith("' is a copy of an image that was read, and was left out.")
    else:
        assert line.startswith(f"{len(copied)} files, such as '")
        assert line.endswith("', are copies of images that were read, and were left out.")
    assert list_series(tmp_path)[0].images == 8


def test_a_series_copied_into_two_other_folders_is_read_once(tmp_path):
    hu = write_series(tmp_path / "a")
    for other in ("b", "c/d"):
        shutil.copytree(tmp_path / "a", tmp_path / other)
    volume = read_ct(tmp_path)
    assert np.array_equal(volume.hu, hu)
    assert any(x.startswith("16 files, such as 'b/") for x in volume.reading_findings)


def test_a_copy_stands_for_its_series_too(tmp_path):
    hu = write_series(tmp_path)
    shutil.copy(tmp_path / "series_0003.dcm", tmp_path / "z.dcm")
    for name in ("series_0003.dcm", "z.dcm"):
        assert np.array_equal(read_ct(tmp_path / name).hu, hu)


@pytest.mark.parametrize("name", ["a.dcm", "z.dcm"])
def test_of_a_file_and_its_cut_off_copy_the_whole_one_is_read(tmp_path, name):
    hu = write_series(tmp_path)
    content = (tmp_path / "series_0003.dcm").read_bytes()
    (tmp_path / name).write_bytes(content[:-700])
    assert np.array_equal(read_ct(tmp_path).hu, hu)


def test_a_uid_that_every_image_has_leaves_nothing_out(tmp_path):
    hu = write_series(tmp_path, edit=lambda k, data: setattr(data, "SOPInstanceUID", uid("all")))
    assert np.array_equal(read_ct(tmp_path).hu, hu)


def test_files_without_a_uid_are_no_copies(tmp_path):
    write_series(tmp_path)
    for path in sorted(tmp_path.iterdir()):
        data = pydicom.dcmread(path)
        del data.SOPInstanceUID
        data.save_as(path)
        data.save_as(tmp_path / f"b{path.name}")
    with pytest.raises(CTBMDError, match="two images at the same position in 8 places"):
        read_ct(tmp_path)


def test_a_copied_multi_frame_file(tmp_path):
    hu = write_enhanced(tmp_path / "e.dcm")
    shutil.copy(tmp_path / "e.dcm", tmp_path / "f.dcm")
    assert np.array_equal(read_ct(tmp_path).hu, hu)


# -- enhanced CT, one frame a file ---------------------------------------------
@pytest.mark.parametrize("slices", [3, 8, 20])
@pytest.mark.parametrize("spacing", [0.625, 2.5, 5.0])
def test_enhanced_ct_with_one_frame_a_file(tmp_path, slices, spacing):
    order = np.random.default_rng(slices).permutation(slices).tolist()
    hu = write_enhanced_files(tmp_path, body(slices), spacing=spacing, order=order)
    for path in (tmp_path, tmp_path / "enhanced_0001.dcm"):
        volume = read_ct(path)
        assert np.array_equal(volume.hu, hu)
        assert volume.spacing_mm[2] == pytest.approx(spacing)
        facts = volume.acquisition
        assert (facts.kvp, facts.kernel, facts.slice_thickness_mm) == (100.0, "Br40", 2.5)


def test_enhanced_ct_without_a_number_of_frames(tmp_path):
    hu = write_enhanced_files(tmp_path, edit=lambda k, data: delattr(data, "NumberOfFrames"))
    assert np.array_equal(read_ct(tmp_path).hu, hu)


def test_enhanced_ct_in_parts_of_several_frames(tmp_path):
    hu = write_enhanced(tmp_path / "whole.dcm")
    whole = pydicom.dcmread(tmp_path / "whole.dcm")
    (tmp_path / "whole.dcm").unlink()
    for n, (a, b) in enumerate(((0, 3), (3, 4), (4, 8))):
        part = pydicom.dcmread(write_file(tmp_path / f"part{n}.dcm", whole))
        part.SOPInstanceUID = uid("part", n)
        part.NumberOfFrames = b - a
        part.PerFrameFunctionalGroupsSequence = whole.PerFrameFunctionalGroupsSequence[a:b]
        size = len(whole.PixelData) // 8
        part.PixelData = whole.PixelData[a * size : b * size]
        write_file(tmp_path / f"part{n}.dcm", part)
    assert np.array_equal(read_ct(tmp_path).hu, hu)


def test_an_enhanced_ct_file_missing_is_noticed(tmp_path):
    write_enhanced_files(tmp_path)
    (tmp_path / "enhanced_0004.dcm").unlink()
    with pytest.raises(CTBMDError, match="One slice is missing"):
        read_ct(tmp_path)


def test_an_enhanced_ct_without_positions_is_refused(tmp_path):
    write_enhanced_files(
        tmp_path, edit=lambda k, data: delattr(data, "PerFrameFunctionalGroupsSequence")
    )
    with pytest.raises(CTBMDError, match="do not say where they lie"):
        read_ct(tmp_path)
