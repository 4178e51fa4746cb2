"""The bundled model does not count what is no bone: planted in the sample and in real scans."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from paths import ROOT

pytest.importorskip("torch")  # the code that plants belongs to the training
pytest.importorskip("sklearn")
pytest.importorskip("numba")

from CTBMDLib.levels import MEASURED, LevelSlice  # noqa: E402
from CTBMDLib.model.bundle import ModelBundle, default_bundle_folder  # noqa: E402
from CTBMDLib.model.images import cut_images  # noqa: E402
from CTBMDLib.reading.reading import read_ct  # noqa: E402
from training.evaluation import disturbed  # noqa: E402
from training.plan import FULL  # noqa: E402

SAMPLE = ROOT / "Resources" / "SampleData" / "CTBMDVirtualPatient.zip"
MOST = 0.010  # g/cm2
SCANS = ("sample", "ct_ts_example/ct.nii.gz", "ct_acrin_f46", "ct_sagittal_m42")


@pytest.fixture(scope="module")
def bundle():
    return ModelBundle.load(default_bundle_folder())


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("thing", disturbed.THINGS)
def test_planted_things_hardly_move_the_mean(scan, thing, bundle, shared_data):
    if scan == "sample":
        path, places = SAMPLE, json.loads(SAMPLE.with_suffix(".json").read_text())["levels"]
    else:
        path = shared_data(scan)
        places = json.loads(shared_data("levels.json").read_text())["levels"][scan.split("/")[0]]
    volume = read_ct(path)
    images = [
        cut_images(volume, LevelSlice(x, tuple(places[x])), bundle.standard).hu for x in MEASURED
    ]

    def mean(parts):
        kvp = volume.acquisition.kvp
        values = [bundle.predict(hu, backend="numpy", kvp=kvp).mean() for hu in parts]
        return float(np.mean(values))

    pairs = [disturbed.planted(hu, thing, bundle.standard) for hu in images]
    assert np.mean([which.mean() for _, which in pairs]) > 0.5
    assert abs(mean([hu for hu, _ in pairs]) - mean(images)) < MOST


def test_the_card_is_of_the_plan(bundle):
    """A number of the plan that is changed makes another bundle necessary."""
    training = bundle.card["training"]
    plain = json.loads(json.dumps(asdict(FULL)))
    assert bundle.version == FULL.version
    for name in ("images_seen", "augmentation", "variation"):
        assert training[name] == plain[name], name
    assert training["seeds"] == plain["seeds"]
    assert training["settings"] == {k: v for k, v in plain["settings"].items() if k != "epochs"}
    assert bundle.card["cohorts"] == plain["parts"]
    assert bundle.card["image"] == plain["standard"]
