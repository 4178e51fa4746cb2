"""Sentences that name what is wrong and where, and nothing else."""

import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from dicom_maker import body, uid, write_series

from CTBMDLib.errors import CTBMDError
from CTBMDLib.reading.files import names_of, shown_name
from CTBMDLib.reading.reading import list_series, read_ct


def refused(path):
    with pytest.raises(CTBMDError) as caught:
        read_ct(path)
    return str(caught.value), caught.value.code


def places(first, second, change=10, slices=24, between=None):
    gaps = [first] * change + ([between] if between else [])
    gaps += [second] * (slices - 1 - len(gaps))
    return [(-20.0, -16.0, float(z)) for z in np.round(100 + np.cumsum([0, *gaps]), 6)]


# -- a change of spacing -------------------------------------------------------
@pytest.mark.parametrize("numbered", [True, False])
@pytest.mark.parametrize("change", [3, 5, 12, 19, 20])
@pytest.mark.parametrize(
    ("first", "second"), [(3, 6), (6, 3), (2.5, 5), (5, 7.5), (1.25, 2), (1, 3)]
)
def test_a_change_of_spacing_is_told_where_it_is(tmp_path, first, second, change, numbered):
    def edit(k, data):
        if not numbered:
            del data.InstanceNumber

    write_series(tmp_path, body(24), positions=places(first, second, change), edit=edit)
    text, code = refused(tmp_path)
    assert code == "changing-spacing"
    assert (
        f"changes its spacing at 'series_{change:04d}.dcm' from {first:g} to {second:g} mm" in text
    )


def test_a_gap_of_its_own_between_two_spacings(tmp_path):
    write_series(tmp_path, body(24), positions=places(3, 6, between=4.1))
    assert "changes its spacing at 'series_0010.dcm' from 3 to 6 mm" in refused(tmp_path)[0]


def test_three_spacings_name_the_first_change(tmp_path):
    first = places(3, 6, 8, 16)
    more = [(-20.0, -16.0, first[-1][2] + 2.0 * n) for n in range(1, 9)]
    write_series(tmp_path, body(24), positions=first + more)
    assert "changes its spacing at 'series_0008.dcm' from 3 to 6 mm" in refused(tmp_path)[0]


@pytest.mark.parametrize("numbered", [True, False])
@pytest.mark.parametrize("lost", [[4], [4, 5], [4, 9], [4, 6], [3, 4, 5, 6], [5, 10, 15]])
def test_missing_slices_are_no_change_of_spacing(tmp_path, lost, numbered):
    def edit(k, data):
        if not numbered:
            del data.InstanceNumber

    write_series(tmp_path, body(24), edit=edit)
    for k in lost:
        (tmp_path / f"series_{k:04d}.dcm").unlink()
    text, code = refused(tmp_path)
    assert code == "missing-slices"
    count = "One slice is" if len(lost) == 1 else f"{len(lost)} slices are"
    assert text.startswith(f"{count} missing: a gap of ")


def test_every_second_slice_missing_by_the_numbers(tmp_path):
    write_series(tmp_path, body(24))
    for k in range(11, 20, 2):
        (tmp_path / f"series_{k:04d}.dcm").unlink()
    assert refused(tmp_path)[0].startswith("5 slices are missing")


# -- names ---------------------------------------------------------------------
def test_names_are_as_long_as_they_must_be():
    a, b, c = Path("/x/one/IM1"), Path("/x/two/IM1"), Path("/y/two/IM1")
    assert shown_name(a, [a]) == shown_name(a, [a, Path("/x/one/IM2")]) == "IM1"
    assert shown_name(a, [a, b, c]) == "one/IM1"
    assert shown_name(b, [a, b, c]) == "x/two/IM1"
    assert names_of([a, b]) == "'one/IM1', 'two/IM1'"
    assert names_of([a, b, c, Path("/IM2"), Path("/IM3")], most=2).endswith("' and 3 more")


def two_folders(folder, **options):
    """Two halves of a series with the same file names."""
    hu, positions = body(8), [(-20.0, -16.0, 2.5 * k) for k in range(8)]
    write_series(
        folder, hu, positions=positions, names=lambda k: f"{'ab'[k // 4]}/IM{k % 4}", **options
    )


def test_two_files_of_one_name_at_one_place_are_told_apart(tmp_path):
    write_series(tmp_path / "a")
    write_series(
        tmp_path / "b", edit=lambda k, data: setattr(data, "SOPInstanceUID", uid("second", k))
    )
    text, code = refused(tmp_path)
    assert code == "duplicate-slices"
    assert "'a/series_0000.dcm' and 'b/series_0000.dcm'" in text


def test_a_missing_and_a_damaged_file_are_told_from_their_namesakes(tmp_path):
    two_folders(tmp_path)
    content = (tmp_path / "b/IM1").read_bytes()
    (tmp_path / "b/IM1").write_bytes(content[:-700])
    assert "The file 'b/IM1' is cut off or damaged" in refused(tmp_path)[0]
    (tmp_path / "b/IM1").unlink()
    assert "after 'b/IM0' where slices" in refused(tmp_path)[0]


def test_damaged_files_left_out_are_told_apart(tmp_path):
    two_folders(tmp_path)
    for name in ("a/IM9", "b/IM9"):
        (tmp_path / name).write_bytes(bytes(128) + b"DICM" + b"\x02\x00")
    assert "Damaged files were left out: 'a/IM9', 'b/IM9'." in read_ct(tmp_path).reading_findings


# -- archives and folders ------------------------------------------------------
@pytest.mark.parametrize("kept", [0.0, 0.01, 0.3, 0.6, 0.9, 0.999])
@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_cut_short_is_damaged(tmp_path, kept, how):
    write_series(tmp_path / "dicom")
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w", how) as archive:
        for file in sorted((tmp_path / "dicom").iterdir()):
            archive.write(file, file.name)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    assert refused(path) == (
        "The file 'export.zip' is cut off or damaged; copy it again from where it came.",
        "damaged-file",
    )
    with pytest.raises(CTBMDError, match="cut off or damaged"):
        read_ct(path.rename(tmp_path / "EXPORT.ZIP"))


@pytest.fixture
def locked(monkeypatch):
    """Folders and files that the user may not read, also where the tests run as root."""
    paths: set[str] = set()
    scandir, open_path = os.scandir, Path.open

    def guarded_scandir(path="."):
        if os.fspath(path) in paths:
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    def guarded_open(self, *args, **options):
        if str(self) in paths:
            raise PermissionError(13, "Permission denied", str(self))
        return open_path(self, *args, **options)

    monkeypatch.setattr(os, "scandir", guarded_scandir)
    monkeypatch.setattr(Path, "open", guarded_open)
    return paths


def test_a_folder_that_may_not_be_read_is_not_empty(tmp_path, locked):
    write_series(tmp_path / "ct")
    locked.add(str(tmp_path / "ct"))
    for path in (tmp_path, tmp_path / "ct"):
        text, code = refused(path)
        assert code == "unreadable-folder" and f"'{tmp_path / 'ct'}' cannot be read" in text
        with pytest.raises(CTBMDError, match="cannot be read"):
            list_series(path)


def test_what_may_not_be_read_beside_a_series_is_named(tmp_path, locked):
    write_series(tmp_path / "ct")
    write_series(tmp_path / "other", series="other")
    locked.add(str(tmp_path / "other"))
    shutil.copy(tmp_path / "ct/series_0000.dcm", tmp_path / "ct/x.dcm")
    locked.add(str(tmp_path / "ct/x.dcm"))
    assert (
        "Left out, since you have no right to read it: 'other', 'x.dcm'."
        in read_ct(tmp_path).reading_findings
    )


def test_files_that_may_not_be_read(tmp_path, locked):
    write_series(tmp_path)
    locked.update(str(path) for path in tmp_path.iterdir())
    for path in (tmp_path, tmp_path / "series_0003.dcm"):
        text, code = refused(path)
        assert code == "unreadable-file" and "no right to read 'series_000" in text
