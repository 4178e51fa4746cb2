"""The edit and the projections of realcheck on a person whose simulated DXA is known."""

import numpy as np
import phantoms
import pytest

pytest.importorskip("numba")

from CTBMDLib.cohort.followup import precision_of  # noqa: E402
from CTBMDLib.model.bundle import ModelBundle, default_bundle_folder  # noqa: E402
from training.realct import realcheck  # noqa: E402
from training.realct.answers import answer  # noqa: E402
from training.realct.yardstick import COARSE, Geometry, shares, virtual_scan  # noqa: E402


@pytest.mark.slow
def test_the_edit_is_answered_and_an_edge_found_anew_answers_less_than_one_kept():
    bundle = ModelBundle.load(default_bundle_folder())
    found = shares(343, COARSE, (1.3,), lambda *given: answer(bundle, *given)[0])[1.3]
    print(f"simulated: {found}")
    assert 0.7 < found["network"] < 1.3
    assert 0.7 < found["anew"] < 1.3
    # In thick voxels the edge takes in more of a denser bone's rim.
    assert 0.6 < found["edge"] < found["fixed"] < 1.4


@pytest.mark.slow
def test_a_scan_is_imitated_in_its_own_voxels_and_planes():
    wanted = Geometry(1.5, 4.0, "sagittal", 140, False)
    assert Geometry.of(virtual_scan(343, wanted)) == wanted
    wanted = Geometry(2.5, 2.0, "coronal", 80)
    assert Geometry.of(virtual_scan(343, wanted)) == wanted


def test_true_labels_hold_each_vertebra_round_its_own_centre():
    scan = virtual_scan(343, Geometry(3.0, 3.0, labelled=True))
    assert scan.how == "by labels"
    for level, item in scan.levels.items():
        i, j, k = scan.volume.ijk_from_ras(item.ras).round().astype(int)
        assert scan.masks[level][k, j, i]
        # A whole vertebra of a small or a large person, cm3.
        assert 25 < scan.masks[level].sum() * 0.027 < 110


@pytest.mark.slow
def test_the_check_of_a_scan_takes_the_shares_into_account(monkeypatch):
    from training.realct import realcheck

    half = dict.fromkeys(("edge", "fixed"), (0.5, 0.4, 0.6))
    monkeypatch.setattr(realcheck, "calibrate", lambda scan, factors: dict.fromkeys(factors, half))
    bundle = ModelBundle.load(default_bundle_folder())
    found = realcheck.check(virtual_scan(343, COARSE), bundle)
    for one in found["response"].values():
        assert 0.5 < one["fixed"] < 1.5
        assert one["true_fixed"] == pytest.approx(0.5 * one["fixed"])
        assert one["true_edge"] == pytest.approx(0.5 * one["edge"])
    assert 0.0 < found["repeatability_sd"] < 0.05
    text = realcheck.to_text([found], bundle)
    assert "not a medical device" in text and "0.50 (0.40-0.60) / 0.50 (0.40-0.60)" in text
    assert f"| {found['response'][0.7]['true_edge']:.2f} / " in text


def test_the_repeatability_goes_into_the_card_and_judges_changes(tmp_path):
    model = phantoms.bundle(tmp_path / "model")
    results = [{"repeatability_sd": sd} for sd in (0.010, 0.014)]
    device = model.dxa_device
    assert precision_of(model.card, device) is None
    realcheck.into_card(model, results)
    again = ModelBundle.load(tmp_path / "model")
    assert again.signed and again.card["weights_sha256"] == model.card["weights_sha256"]
    assert again.card["metrics"]["real scans"]["scans"] == 2
    sd = precision_of(again.card, device).sd
    assert sd == pytest.approx(np.sqrt((0.010**2 + 0.014**2) / 2), abs=1e-4)
