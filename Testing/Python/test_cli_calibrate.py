"""`ctbmd model calibrate`: a site's pairs of CT and DXA make a bundle that answers as its DXA."""

import csv
import json

import numpy as np
import pytest
from phantoms import CENTRES, card, phantom, random_weights
from volume_files import nifti_bytes, write

from CTBMDLib.bundle import save_bundle
from CTBMDLib.cli import main

COUNT = 20


def run(capsys, *arguments, code=0):
    assert main([str(x) for x in arguments]) == code
    return capsys.readouterr()


def totals(path):
    with open(path, newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        return {row["case"]: float(row["bmd_g_cm2"]) for row in rows if row["level"] == "L1-L4"}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Scans of rising bone density, a bundle, and the list of both for a batch."""
    folder = tmp_path_factory.mktemp("site")
    weights = random_weights(0)
    weights["scale"] *= 20  # an untrained network hardly sees bone
    save_bundle(folder / "model", card(), [weights])
    plain = phantom(spacing=(3.0, 3.0, 3.0))
    rows = ["path,case,levels"]
    for n in range(COUNT):
        hu = np.where(plain.hu == 200, 100 + 25 * n, plain.hu).astype(np.int16)
        write(folder / f"{n}.nii", nifti_bytes(hu, plain.ijk_to_ras))
        rows.append(f"{n}.nii,case{n},levels.json")
    (folder / "cases.csv").write_text("\n".join(rows))
    points = [{"level": x, "ras": list(CENTRES[x])} for x in ("L1", "L2", "L3")]
    (folder / "levels.json").write_text(json.dumps({"levels": points}))
    return folder


def test_a_site_calibration(capsys, site, tmp_path):
    before = tmp_path / "before.csv"
    run(capsys, "batch", site / "cases.csv", "--model", site / "model", "--output", before)
    estimated = totals(before)
    low, high = min(estimated.values()), max(estimated.values())
    assert high - low > 0.1  # else there is nothing to calibrate

    def dxa(case):
        return 0.6 + 0.6 * (estimated[case] - low) / (high - low)

    rows = ["case,path,levels,L1-L4"]
    for n in range(COUNT):
        rows.append(f"case{n},{n}.nii,levels.json,{dxa(f'case{n}'):.5f}")
    (site / "pairs.csv").write_text("\n".join(rows))
    new = tmp_path / "calibrated"
    out, err = run(
        capsys, "model", "calibrate", site / "pairs.csv", "--model", site / "model", "--output", new
    )
    assert err == "" and f"Written: {new}" in out and "scale" in out
    assert "calibration" in run(capsys, "model", "show", "--model", new).out
    run(capsys, "model", "check", "--model", new)
    after = tmp_path / "after.csv"
    run(capsys, "batch", site / "cases.csv", "--model", new, "--output", after)
    for case, value in totals(after).items():
        assert value == pytest.approx(dxa(case), abs=0.003), case

    _, err = run(
        capsys, "model", "calibrate", site / "pairs.csv", "--model", site / "model",
        "--output", new, code=2,
    )  # fmt: skip
    assert err.startswith("ctbmd: ") and err.count("\n") == 1 and "already" in err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("case,path,L1-L4\ncase0,0.nii,0.9\n", "at least 20"),
        ("case,path,L1-L4\ncase0,gone.nii,0.9\n", "'gone.nii' does not exist"),
        ("case,path,L1-L4\ncase0,0.nii,900\n", "no areal BMD in g/cm2"),
        ("case,path\ncase0,0.nii\n", "needs the columns"),
    ],
)
def test_pairs_that_are_refused(capsys, site, tmp_path, text, said):
    pairs = site / "refused.csv"
    pairs.write_text(text)
    output = tmp_path / "new"
    _, err = run(
        capsys, "model", "calibrate", pairs, "--model", site / "model", "--output", output, code=2
    )
    assert said in err and err.count("\n") == 1 and not output.exists()
