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
