"""Lists of cases and pairs, as people and spreadsheets write them."""

import errno
import os
from pathlib import Path

import pytest

from CTBMDLib.cohort import tables
from CTBMDLib.cohort.caselist import Case, list_cases
from CTBMDLib.cohort.cases import load_levels, open_case
from CTBMDLib.cohort.pairs import check_table, read_pairs
from CTBMDLib.errors import CTBMDError

LONG = "x" * 140_000


def written(folder, content, name="list.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize(
    "text",
    [
        "path,case,age\na.nii,A,\"61,5\"\n",
        "path;case;age\na.nii;A;61,5\n",
        "sep=;\npath;case;age\na.nii;A;61,5\n",
        "SEP=,\npath,case,age\na.nii,A,\"61,5\"\n",
        "path\tcase\tage\na.nii\tA\t61,5\n",
        "path;case;age;;\na.nii;A;61,5;;\n;;;;\n",
    ],
)  # fmt: skip
def test_the_ways_of_spreadsheets(tmp_path, text, mark, end):
    path = written(tmp_path, mark + text.replace("\n", end))
    assert list_cases(path) == [Case(str(tmp_path / "a.nii"), case="A", age="61,5")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("path\nMüller.nii\n".encode("cp1252"), "line 2 is in another encoding, such as Windows"),
        ("path\na.nii\n".encode("utf-16"), "UTF-16"),
        ("path\na.nii\n".encode("utf-16-le"), "NUL"),
        ("path\na.nii\n".encode("utf-16-be"), "NUL"),
        (b"path\na\0.nii\n", "NUL"),
        (f"path,case\na.nii,{LONG}\n", "field larger than field limit"),
        (f'path,case\na.nii,"{LONG}', "field larger than field limit"),
        ("path,age\na.nii,61,5\n", "Line 2 .* more cells than columns"),
        ("path,case\na.nii,A\nb.nii,B,C\n", "Line 3 .* more cells than columns"),
        ("path,case,path\na.nii,A,b.nii\n", "'path' .* appears twice"),
        ("sep=;\n", "no column 'path'"),
        (b"\x89PNG\r\n\x1a\n", "UTF-8 text table"),
    ],
)
def test_what_is_no_list_is_told_in_one_sentence(tmp_path, content, said):
    with pytest.raises(CTBMDError, match=said) as caught:
        list_cases(written(tmp_path, content))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "content",
    [
        "case,path,L1-L4\nMüller,a.nii,0.9\n".encode("cp1252"),
        "case,path,L1-L4\nM,a.nii,0.9\n".encode("utf-16"),
        b"case,path,L1-L4\nM\0,a.nii,0.9\n",
        f"case,path,L1-L4\n{LONG},a.nii,0.9\n",
    ],
)
def test_pairs_are_read_by_the_same_rules(tmp_path, content):
    with pytest.raises(CTBMDError) as caught:
        read_pairs(written(tmp_path, content))
    assert caught.value.code in ("list-not-text", "table-damaged")


def test_pairs_of_a_spreadsheet_with_its_separator_line(tmp_path):
    (tmp_path / "a.nii").write_bytes(b"")
    path = written(tmp_path, "sep=;\ncase;path;L1-L4;age\nM;a.nii;0,912;61,5\n")
    (pair,) = read_pairs(path)
    assert (pair.total, pair.age, pair.path) == (0.912, 61.5, tmp_path / "a.nii")
    path = written(tmp_path, "case,path,L1-L4\n\nM,a.nii,0,912\n")
    assert "line 3: more cells than columns" in " ".join(check_table(path)[1])


def test_a_name_too_long_in_a_row_is_that_rows_error(tmp_path):
    (tmp_path / "a.nii").write_bytes(b"")
    (tmp_path / "loop").symlink_to("loop")
    rows = [
        f"A,{'x' * 300}.nii,0.9",
        "B,loop/a.nii,0.9",
        f"C,{'y/' * 3000}a.nii,0.9",
        "D,a.nii,0.9",
    ]
    path = written(tmp_path, "case,path,L1-L4\n" + "\n".join(rows) + "\n")
    pairs, errors = check_table(path)
    assert [pair.case for pair in pairs] == ["D"] and len(errors) == 3
    assert all("does not exist" in error for error in errors)


# -- what the operating system says ---------------------------------------------
def refusing(monkeypatch, place, name, number, of):
    """Let a method of Path fail for one path, as a full disk or missing rights would."""
    real = getattr(place, name)

    def call(self, *args, **options):
        if Path(self) == of:
            raise OSError(number, os.strerror(number))
        return real(self, *args, **options)

    monkeypatch.setattr(place, name, call)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("call", [list_cases, read_pairs])
def test_a_list_that_cannot_be_read(tmp_path, monkeypatch, call, number):
    path = written(tmp_path, "path\na.nii\n")
    refusing(monkeypatch, tables.Path, "read_bytes", number, path)
    with pytest.raises(CTBMDError, match=os.strerror(number)) as caught:
        call(path)
    assert caught.value.code == "table-unreadable"


def test_a_folder_that_cannot_be_read(tmp_path, monkeypatch):
    (tmp_path / "a.nii").write_bytes(b"")
    refusing(monkeypatch, Path, "iterdir", errno.EACCES, tmp_path)
    with pytest.raises(CTBMDError, match="cannot be read .Permission denied") as caught:
        list_cases(tmp_path)
    assert caught.value.code == "unreadable-file"


@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + ".csv", "a\0b", "y/" * 3000])
def test_paths_that_the_system_does_not_take(tmp_path, name):
    for call in (list_cases, read_pairs, open_case, load_levels):
        with pytest.raises(CTBMDError):
            call(tmp_path / name)


def test_a_levels_file_of_many_megabytes_is_not_read(tmp_path):
    path = tmp_path / "levels.json"
    with path.open("wb") as file:
        file.truncate(96 << 20)
    with pytest.raises(CTBMDError, match="larger than") as caught:
        load_levels(path)
    assert caught.value.code == "levels-too-large"


def test_a_list_of_many_megabytes_is_not_read(tmp_path):
    path = tmp_path / "list.csv"
    with path.open("wb") as file:
        file.truncate(tables.MAX_BYTES + 1)
    with pytest.raises(CTBMDError) as caught:
        list_cases(path)
    assert caught.value.code == "table-too-large"
