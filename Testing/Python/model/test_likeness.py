"""Likeness: what an ordinary image scores, what a strange one does, and cards that say nothing."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from phantoms import STANDARD, bundle, chosen, phantom
from scipy import ndimage

from CTBMDLib.bmd.estimate import estimate
from CTBMDLib.bmd.unlike import check_likeness
from CTBMDLib.errors import CTBMDError
from CTBMDLib.model.card import card_text
from CTBMDLib.model.images import LevelImages
from CTBMDLib.model.likeness import (
    FEATURES,
    KEY,
    distances,
    image_features,
    learn,
    level_score,
    limit_for,
    possible,
)


def people(count, seed, noise=12.0):
    """Images of phantoms that differ in size, place, mineral, fat, blur and noise."""
    rng = np.random.default_rng(seed)
    j, i = np.indices((64, 64)).astype(float)
    out = []
    for _ in range(count):
        size, up, side = rng.normal(1, 0.08), rng.normal(22, 1.5), rng.normal(32, 1.5)
        image = np.full((64, 64), rng.normal(-100, 6))
        muscle = rng.normal(50, 6)
        image[((i - side) / (28 * size)) ** 2 + ((j - 30) / (26 * size)) ** 2 < 1] = muscle
        image[((i - side) / (15 * size)) ** 2 + ((j - 4) / (9 * size)) ** 2 < 1] = muscle - 20
        body = ((i - side) / (11 * size)) ** 2 + ((j - up) / (8 * size)) ** 2
        image[body < 1] = rng.normal(320, 60)
        image[body < 0.75] = rng.normal(160, 40)
        image[(abs(i - side) < 3) & (abs(j - up - 24) < 6)] = rng.normal(500, 80)
        image = ndimage.gaussian_filter(image, abs(rng.normal(0.7, 0.1)))
        image += ndimage.gaussian_filter(rng.normal(0, noise * rng.uniform(1, 3), image.shape), 0.6)
        out.append(image)
    return np.array(out, np.float32)


@pytest.fixture(scope="module")
def entry():
    made = learn(image_features(people(300, 1), STANDARD))
    held = people(300, 2).reshape(100, 3, 64, 64)
    scores = np.array([level_score(made, hu, STANDARD)[0] for hu in held])
    limit, alarms = limit_for(scores, 0.01)
    told = {"limit": limit, "false_alarms": alarms, "measured_on": "100 held-out drawings"}
    return json.loads(json.dumps({**made, **told}))


def found(entry, *hu):
    parts = [
        LevelImages(f"L{n + 1}", x, np.zeros(len(x)), 1.0, np.zeros((len(x), 2)))
        for n, x in enumerate(hu)
    ]
    return check_likeness(parts, {KEY: entry}, STANDARD)


def test_images_like_those_of_training_are_about_one_away_and_hold_the_false_alarm_rate(entry):
    away, shares = distances(entry, image_features(people(200, 3), STANDARD))
    assert 0.85 < np.sqrt(np.mean(away**2)) < 1.15
    assert shares.sum(axis=1) == pytest.approx(away**2)
    fresh = people(600, 4).reshape(200, 3, 64, 64)
    assert sum(bool(found(entry, hu)) for hu in fresh) <= 8  # 1 % of 200 is 2


STRANGE = {
    "upside down": lambda hu: hu[:, ::-1],
    "300 HU too high": lambda hu: hu + 300,
    "HU of 0 to 1": lambda hu: (hu + 200) / 1700,
    "white noise": lambda hu: np.random.default_rng(0).normal(0, 400, hu.shape),
    "blurred": lambda hu: ndimage.gaussian_filter(hu, (0, 4, 4)),
    "all air": lambda hu: np.full_like(hu, -1000),
    "metal": lambda hu: np.where(np.hypot(*(np.indices((64, 64)) - 40)) < 12, 3000, hu),
    "40 mm too far front": lambda hu: np.roll(hu, 20, 1),
}


@pytest.mark.parametrize("name", STRANGE)
def test_strange_images_are_told_by_level_and_reason(entry, name):
    hu = people(3, 5)
    strange = np.ascontiguousarray(STRANGE[name](hu), np.float32)
    (one,) = found(entry, people(3, 6), strange)
    assert (one.code, one.level, one.severity) == ("unlike-training", None, "warning")
    assert one.text.startswith("The images of L2 are unlike") and "nan" not in one.text
    assert "1 % of patients like its 100 held-out drawings" in one.text
    why = [feature for feature in FEATURES if f"most of all in {feature};" in one.text]
    assert why or "hardly any soft tissue" in one.text
    (all_levels,) = found(entry, strange, strange)
    assert all_levels.text.startswith("The images are unlike")


def test_the_limit_is_exceeded_by_the_share_it_names():
    scores = np.arange(1.0, 1000.0)
    assert limit_for(scores, 0.01) == (990.0, pytest.approx(0.01))
    limit, alarms = limit_for(np.arange(1.0, 10.0), 0.01)  # nine cannot tell 1 %
    assert limit == 9.0 and alarms == pytest.approx(0.1)


def test_a_card_says_nothing_without_statistics_or_with_those_of_another_version(entry):
    strange = np.full((3, 64, 64), -1000, np.float32)
    for card in ({}, {KEY: None}, {KEY: {**entry, "features": ["another"]}}):
        part = LevelImages("L1", strange, np.zeros(3), 1.0, np.zeros((3, 2)))
        assert check_likeness([part], card, STANDARD) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda e: e.update(mean=e["mean"][:-1]),
        lambda e: e["mean"].__setitem__(0, float("nan")),
        lambda e: e["sd"].__setitem__(3, 0.0),
        lambda e: e["inverse"].pop(),
        lambda e: e["inverse"][2].append(1.0),
        lambda e: e["inverse"][2].__setitem__(0, "1"),
        lambda e: e.update(limit=0),
        lambda e: e.update(limit=True),
        lambda e: e.pop("false_alarms"),
        lambda e: e.update(features="fat"),
    ],
)
def test_a_damaged_entry_is_refused_when_the_card_is_checked(entry, spoil, tmp_path):
    bad = copy.deepcopy(entry)
    spoil(bad)
    assert possible(entry) and not possible(bad)
    with pytest.raises(CTBMDError, match="likeness") as info:
        bundle(tmp_path / "b", **{KEY: bad})
    assert info.value.code == "card-likeness" and not (tmp_path / "b" / "card.json").exists()


def test_estimate_tells_it_and_the_card_reads_without_its_tables(entry, tmp_path):
    plain = estimate(phantom(kvp=120.0), chosen(), bundle(tmp_path / "a"))
    assert "unlike-training" not in [x.code for x in plain.findings]
    own = bundle(tmp_path / "b", **{KEY: entry})
    result = estimate(phantom(kvp=120.0), chosen(), own)  # a phantom is no person
    assert "unlike-training" in [x.code for x in result.findings]
    assert "unlike" in result.total.findings and "unlike" not in result.levels[0].findings
    text = card_text(own.card)
    assert "limit:" in text and "inverse" not in text
