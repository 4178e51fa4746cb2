"""The --include option: what a finding leaves out counts again, and a wrong level is one sentence."""

import csv
from pathlib import Path

import numpy as np
import pytest
from phantoms import CENTRES, bundle, chosen, phantom
from volume_files import nifti_bytes, write

from CTBMDLib.cli import main
from CTBMDLib.cohort.include import named_levels
from CTBMDLib.cohort.pairs import read_pairs


@pytest.fixture
def case(tmp_path):
    """A scan with a screw through L2, its levels and a model."""
    volume = phantom()
    k, j, i = np.rint(volume.ijk_from_ras(CENTRES["L2"])).astype(int)[::-1]
    volume.hu[k - 1 : k + 2, j - 3 : j + 3, i - 3 : i + 3] = 3000
    raw = nifti_bytes(volume.hu.astype(np.int16), volume.ijk_to_ras)
    scan = write(tmp_path / "scan.nii", raw)
    levels = tmp_path / "levels.json"
    levels.write_text(chosen().to_json())
    bundle(tmp_path / "model", members=1, calibration={"scale": 1.0, "offset_g_cm2": 1.0})
    return [str(scan), "--levels", str(levels), "--model", str(tmp_path / "model")]


def included(case, folder, *more) -> dict:
    table = folder / "out.csv"
    assert main(["estimate", *case, *more, "--output", str(table), "--overwrite"]) == 0
    with table.open(newline="") as lines:
        return {row["level"]: row["included"] for row in csv.DictReader(lines)}


def test_a_level_left_out_says_why_and_counts_again_on_request(case, tmp_path):
    before = included(case, tmp_path)
    assert before["L2"].startswith("no: ") and before["L2"] != "no: "
    assert included(case, tmp_path, "--include", "l2")["L2"] == "yes"


@pytest.mark.parametrize("level", ["L5", "T12", "L9"])
def test_a_level_that_is_not_measured_cannot_be_included(case, level, capsys):
    assert main(["estimate", *case, "--include", level]) == 2
    error = capsys.readouterr().err
    assert level in error and "cannot be included" in error and error.count("\n") == 1


def test_levels_are_named_in_any_common_writing():
    assert named_levels("l2, L3;L4 l1+L9") == ("L2", "L3", "L4", "L1", "L9")
    assert named_levels(None) == named_levels(" ,") == ()


def test_a_list_includes_levels_and_a_wrong_one_fails_alone(case, tmp_path):
    scan, levels, model = case[0], case[2], case[4]
    rows = ["path,case,levels,include", f"{scan},A,{levels},", f"{scan},B,{levels},l2"]
    rows.append(f"{scan},C,{levels},L9")
    (tmp_path / "list.csv").write_text("\n".join(rows) + "\n")
    out = tmp_path / "batch.csv"
    assert main(["batch", str(tmp_path / "list.csv"), "--model", model, "--output", str(out)]) == 0
    with out.open(newline="") as lines:
        second = [row["included"] for row in csv.DictReader(lines) if row["level"] == "L2"]
    assert second[0].startswith("no: ") and second[1:] == ["yes"]
    with (tmp_path / "batch.identity.csv").open(newline="") as lines:
        known = {row["include"]: row["reason"] for row in csv.DictReader(lines)}
    assert "L9 cannot be included" in known["L9"] and not known["l2"]


def test_calibrate_reads_the_column(case, tmp_path):
    scan, levels = case[0], case[2]
    write(tmp_path / "other.nii", Path(scan).read_bytes())
    table = tmp_path / "pairs.csv"
    table.write_text(
        f"case,path,levels,L1-L4,include\nA,{scan},{levels},0.9,L2 l3\nB,other.nii,,1,\n"
    )
    assert [pair.include for pair in read_pairs(table)] == [("L2", "L3"), ()]
