"""A hospital's own table and the site calibration made from it."""

from __future__ import annotations

import numpy as np
import pytest
from phantoms import bundle, chosen, phantom

from CTBMDLib.bmd.estimate import estimate
from CTBMDLib.cohort import cases
from CTBMDLib.cohort.calibrate import calibrate, fit, suspects
from CTBMDLib.cohort.pairs import read_pairs
from CTBMDLib.errors import CTBMDError
from CTBMDLib.model.bundle import ModelBundle


def table(path, text):
    (path.parent / "ct.nii").write_bytes(b"")
    (path.parent / "ct2.nii").write_bytes(b"")
    path.write_text(text)
    return path


def test_reads_levels_totals_and_facts(tmp_path):
    path = table(
        tmp_path / "p.csv",
        "case,path,L1,L2,L1-L4,sex,age,split,dxa_device\n"
        "a,ct.nii,0.8,1.0,,f,61,train,Horizon\n\n"
        "b,ct2.nii,,,1.05,,,,\n",
    )
    a, b = read_pairs(path)
    assert (a.case, a.sex, a.age, a.split, a.dxa_device) == ("a", "F", 61.0, "train", "Horizon")
    assert a.path == tmp_path / "ct.nii"
    assert a.bmd == {"L1": 0.8, "L2": 1.0} and a.total == pytest.approx(0.9)
    assert b.bmd == {} and b.total == 1.05 and b.sex is None and b.age is None


def test_semicolons_and_decimal_commas(tmp_path):
    path = table(tmp_path / "p.csv", "case;path;L1-L4\na;ct.nii;0,95\n")
    assert read_pairs(path)[0].total == pytest.approx(0.95)


def test_all_faults_are_told_at_once(tmp_path):
    path = table(
        tmp_path / "p.csv",
        "case,path,levels,L1,L1-L4,sex,age,split\n"
        ",ct.nii,,1.0,,,,\n"
        "b,nowhere.nii,,1.0,,,,\n"
        "c,ct.nii,gone.json,1.0,,,,\n"
        "d,ct.nii,,1050,,,,\n"
        "e,ct.nii,,x,,,,\n"
        "f,ct.nii,,,,,,\n"
        "g,ct.nii,,1.0,,W,,\n"
        "h,ct.nii,,1.0,,,old,\n"
        "i,ct.nii,,1.0,,,,later\n"
        "j,ct2.nii,,1.0,,,,train\n"
        "j,ct2.nii,,1.0,,,,test\n",
    )
    with pytest.raises(CTBMDError) as info:
        read_pairs(path)
    text = str(info.value)
    for part in (
        "line 2: no case",
        "line 3: 'nowhere.nii' does not exist",
        "line 4: the levels file",
        "line 5: L1 1050 is no areal BMD",
        "line 6: L1 'x' is no number",
        "line 7: no DXA value",
        "line 8: sex 'W'",
        "line 9: age 'old'",
        "line 10: split 'later'",
        "case j appears 2 times",
    ):
        assert part in text, part


def test_tables_without_the_columns(tmp_path):
    with pytest.raises(CTBMDError, match="needs the columns"):
        read_pairs(table(tmp_path / "p.csv", "patient,file\n1,2\n"))
    with pytest.raises(CTBMDError, match="needs the columns"):
        read_pairs(table(tmp_path / "p.csv", ""))
    with pytest.raises(CTBMDError, match="does not exist; check the path"):
        read_pairs(tmp_path / "none.csv")
    with pytest.raises(CTBMDError, match="at least 20"):
        read_pairs(table(tmp_path / "p.csv", "case,path,L1\na,ct.nii,1.0\n"), least=20)


def test_the_line_is_recovered_and_leave_one_out_is_what_it_says():
    rng = np.random.default_rng(0)
    x = rng.uniform(0.6, 1.3, 40)
    y = 1.2 * x - 0.1 + rng.normal(0, 0.03, 40)
    found, errors = fit(x, y)
    assert found.scale_interval[0] < 1.2 < found.scale_interval[1]
    assert found.offset_interval[0] < -0.1 < found.offset_interval[1]
    by_hand = []
    for i in range(40):
        keep = np.arange(40) != i
        slope, offset = np.polyfit(x[keep], y[keep], 1)
        by_hand.append(y[i] - slope * x[i] - offset)
    assert errors == pytest.approx(by_hand, abs=1e-9)
    assert found.after["rmse"] == pytest.approx(np.sqrt(np.mean(np.square(by_hand))))
    assert found.after["rmse"] < found.before["rmse"]
    assert "scale" in str(found)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (np.linspace(0.6, 1.2, 19), np.linspace(0.6, 1.2, 19), "at least 20"),
        (np.full(25, 1.0), np.linspace(0.6, 1.2, 25), "hardly differ"),
        (np.linspace(0.6, 1.2, 25), np.linspace(1.2, 0.6, 25), "do not rise"),
    ],
)
def test_fits_that_make_no_sense(x, y, words):
    with pytest.raises(CTBMDError, match=words):
        fit(x, y)


def test_pairs_that_do_not_fit_are_named():
    rng = np.random.default_rng(1)
    x = rng.uniform(0.6, 1.3, 24)
    y = 1.1 * x + 0.03 + rng.normal(0, 0.03, 24)
    cases = [f"c{n}" for n in range(24)]
    assert suspects(cases, x, y) == []
    low, high = int(np.argmin(x)), int(np.argmax(x))
    swapped = y.copy()
    swapped[[low, high]] = y[[high, low]]
    (text,) = suspects(cases, x, swapped)
    assert "swapped" in text and f"c{low}" in text and f"c{high}" in text
    alone = y.copy()
    alone[5] += 0.4
    (text,) = suspects(cases, x, alone)
    assert text.startswith("Check c5:") and "swapped" not in text


def test_a_calibrated_bundle_answers_as_the_sites_dxa(tmp_path, monkeypatch):
    """Twenty CT of different bone; the DXA is a known line of what the plain bundle says."""
    plain = bundle(tmp_path / "plain")
    volumes, lines = {}, ["case,path,L1-L4"]
    for index in range(20):
        path = tmp_path / f"{index}.nii"
        path.write_bytes(b"")
        volumes[path] = phantom((4.0, 4.0, 5.0), bone_hu=60.0 + 25 * index)
        bmd = estimate(volumes[path], chosen(), plain).total.bmd_g_cm2
        lines.append(f"{index},{path.name},{0.6 * bmd + 0.2:.6f}")
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    monkeypatch.setattr(cases, "open_case", lambda path, levels=None: (volumes[path], chosen()))
    report = calibrate(tmp_path / "pairs.csv", plain, tmp_path / "site")
    assert report.scale == pytest.approx(0.6, abs=1e-3)
    assert report.offset == pytest.approx(0.2, abs=1e-3)
    site = ModelBundle.load(tmp_path / "site")
    assert site.card["calibration"]["pairs"] == 20
    assert site.population == "simulated"
    volume = volumes[tmp_path / "7.nii"]
    want = 0.6 * estimate(volume, chosen(), plain).total.bmd_g_cm2 + 0.2
    assert estimate(volume, chosen(), site).total.bmd_g_cm2 == pytest.approx(want, abs=1e-3)
    # Calibrating again starts from the plain network, not from the first line.
    again = calibrate(tmp_path / "pairs.csv", site, tmp_path / "again")
    assert again.scale == pytest.approx(0.6, abs=1e-3)
