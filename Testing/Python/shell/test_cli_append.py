"""`ctbmd estimate --append`: the rows of the screen go into a study's table, never twice unasked."""

import csv

import numpy as np
import pytest
from phantoms import bundle, chosen, phantom
from volume_files import nifti_bytes, write

from CTBMDLib.cli import main


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("case")
    volume = phantom()
    raw = nifti_bytes(volume.hu.astype(np.int16), volume.ijk_to_ras)
    levels = folder / "levels.json"
    levels.write_text(chosen().to_json())
    bundle(folder / "model", members=1)
    scan = write(folder / "scan.nii", raw)
    return [str(scan), "--levels", str(levels), "--model", str(folder / "model")]


def test_a_case_is_added_and_asked_about_when_it_comes_again(case, tmp_path, capsys):
    table, single = tmp_path / "study.csv", tmp_path / "one.csv"
    command = ["estimate", *case, "--append", str(table)]
    assert main([*command, "--case", "A", "--output", str(single)]) == 0
    assert "A: added" in capsys.readouterr().out
    assert table.read_text() == single.read_text(), "the table is as any other"
    assert main(command) == 2
    error = capsys.readouterr().err
    assert "has 'A' already, with the same values" in error and "--if-there" in error
    assert main([*command, "--if-there", "skip"]) == 0
    assert main([*command, "--if-there", "replace", "--age", "70"]) == 0
    with table.open(newline="") as lines:
        assert [row["case"] for row in csv.DictReader(lines)] == ["A"] * 4


def test_a_table_that_cannot_be_added_to_is_refused_before_the_work(case, tmp_path, capsys):
    assert main(["estimate", "no such scan", "--append", str(tmp_path / "study.json")]) == 2
    assert "must end in .csv or .tsv" in capsys.readouterr().err


@pytest.mark.parametrize("first", ["--output", "--append"])
@pytest.mark.parametrize("linked", [False, True])
def test_no_file_of_a_command_is_written_over_another(case, tmp_path, capsys, first, linked):
    """A study's table, a levels file or a list is not lost to '--overwrite'."""
    table, other = tmp_path / "study.csv", tmp_path / "other.csv"
    table.write_text("a table of many cases\n")
    if linked:
        other.symlink_to(table)
    second = "--append" if first == "--output" else "--output"
    again = str(other) if linked else str(tmp_path / "." / "x" / ".." / "study.csv")
    levels = tmp_path / "levels.json"
    levels.write_text("{}")
    site_list = tmp_path / "list.csv"
    site_list.write_text("path\nscan.nii\n")
    for command in (
        ["estimate", *case, first, str(table), second, again],
        ["estimate", case[0], "--levels", str(levels), "--output", str(levels)],
        ["batch", str(site_list), "--output", str(site_list)],
    ):
        assert main([*command, "--overwrite"]) == 2
        assert "would be written over another file" in capsys.readouterr().err
    assert table.read_text() == "a table of many cases\n" and levels.read_text() == "{}"
    assert site_list.read_text() == "path\nscan.nii\n"
