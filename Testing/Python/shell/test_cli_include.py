"""The --include option: what a finding leaves out counts again, and a wrong level is one sentence."""

import csv

import numpy as np
import pytest
from phantoms import CENTRES, bundle, chosen, phantom
from volume_files import nifti_bytes, write

from CTBMDLib.cli import main


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
