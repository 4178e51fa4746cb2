"""`ctbmd model calibrate`: a site's pairs of CT and DXA make a bundle that answers as its DXA."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from phantoms import CENTRES, STANDARD, card, chosen, phantom, random_weights
from volume_files import nifti_bytes, write

from CTBMDLib.cli import main
from CTBMDLib.model.bundle import save_bundle
from CTBMDLib.model.images import cut_images

COUNT = 20


def run(capsys, *arguments, code=0):
    assert main([str(x) for x in arguments]) == code
    return capsys.readouterr()


def totals(path):
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        return {row["case"]: float(row["bmd_g_cm2"]) for row in rows if row["level"] == "L1-L4"}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Scans of rising bone density, a bundle, and the list of both for a batch."""
    folder = tmp_path_factory.mktemp("site")
    plain = phantom(spacing=(3.0, 3.0, 3.0))
    _sensitive_bundle(folder / "model", plain)
    rows = ["path,case,levels"]
    for n in range(COUNT):
        hu = np.where(plain.hu == 200, 100 + 25 * n, plain.hu).astype(np.int16)
        write(folder / f"{n}.nii", nifti_bytes(hu, plain.ijk_to_ras))
        rows.append(f"{n}.nii,case{n},levels.json")
    (folder / "cases.csv").write_text("\n".join(rows))
    points = [{"level": x, "ras": list(CENTRES[x])} for x in ("L1", "L2", "L3")]
    (folder / "levels.json").write_text(json.dumps({"levels": points}))
    return folder


def _sensitive_bundle(folder, volume):
    """An untrained network hardly sees bone, or far too much: take one between."""
    level = chosen(("L2",))["L2"]
    images = []
    for bone in (100, 100 + 25 * COUNT):
        hu = np.where(volume.hu == 200, bone, volume.hu)
        images.append(cut_images(replace(volume, hu=hu), level, STANDARD).hu[:1])
    for factor in (0.1, 0.3, 1.0, 3.0, 10.0, 30.0):
        weights = random_weights(0)
        weights["scale"] *= factor
        made = save_bundle(folder, card(), [weights], overwrite=True)
        low, high = made.predict(np.concatenate(images), "cpu", "numpy")[0]
        if 0.2 < abs(high - low) < 1.5:
            return
    raise AssertionError("no factor makes the untrained network see bone")


def test_a_site_calibration(capsys, site, tmp_path):
    before = tmp_path / "before.csv"
    run(capsys, "batch", site / "cases.csv", "--model", site / "model", "--output", before)
    estimated = totals(before)
    low, high = min(estimated.values()), max(estimated.values())
    assert high - low > 0.1  # else there is nothing to calibrate

    def dxa(case):
        return 0.6 + 0.6 * (estimated[case] - low) / (high - low)

    rows = ["case,path,levels,L1-L4"]
    rows += [f"case{n},{n}.nii,levels.json,{dxa(f'case{n}'):.5f}" for n in range(COUNT)]
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
