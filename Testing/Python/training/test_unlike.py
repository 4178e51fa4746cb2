"""The card's likeness is of the training images, its limit of the validation patients."""

import numpy as np
from phantoms import STANDARD

from CTBMDLib.model.likeness import image_features, learn, possible
from training.card import make_card
from training.evaluation import unlike
from training.fitting.dataset import Images
from training.plan import QUICK


def images(count, seed, fat=-100.0):
    rng = np.random.default_rng(seed)
    hu = np.full((count, 64, 64), 50.0) + rng.normal(0, 8, (count, 1, 1))
    hu[:, :, :16] = hu[:, :, 48:] = fat
    hu[:, 16:30, 20:44] = rng.normal(200, 40, (count, 1, 1))
    return (hu + rng.normal(0, 10, hu.shape)).astype(np.float32)


def table(patients, seed, **how):
    hu = images(6 * patients, seed, **how).reshape(patients, 2, 3, 64, 64)
    rows = [dict(zip(("L1", "L2"), own, strict=True)) for own in hu]
    return type("Table", (), {"images": rows, "__len__": lambda self: patients})()


def test_what_the_card_keeps(monkeypatch):
    monkeypatch.setattr(unlike, "MAX_IMAGES", 100)
    train = Images(
        images(140, 1),
        np.ones(140),
        np.zeros(140, int),
        np.array(["L1"] * 140),
        ["a"],
        np.ones(140),
    )
    tables = {
        "validation": table(30, 2),
        "internal": table(20, 3),
        "external": table(10, 4, fat=-60.0),
    }
    tested = ("internal", "external")
    entry = unlike.likeness_of(train, tables, tested, STANDARD, "simulated patients")
    assert possible(entry) and entry["images"] == 100
    whole = learn(image_features(train.hu, STANDARD))
    assert np.allclose(entry["mean"], whole["mean"], atol=0.5)
    scores = unlike.patient_scores(entry, tables["validation"], STANDARD)
    assert entry["limit"] == round(scores.max(), 4)  # 30 patients cannot tell 1 %
    assert entry["false_alarms"] == round(1 / 31, 4)
    assert entry["measured_on"] == "30 held-out simulated patients"
    assert entry["share_above"]["internal"] <= 0.2 and entry["share_above"]["external"] == 1.0
    report = {
        "interval": {}, "patients": {"train": 1}, "images": 140, "tested": {},
        "plan": {"parts": {}}, "likeness": entry,
    }  # fmt: skip
    assert make_card(QUICK, report, "simulated")["likeness"] is entry
    del report["likeness"]
    assert "likeness" not in make_card(QUICK, report, "simulated")
