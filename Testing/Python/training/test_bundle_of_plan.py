"""The bundle that is shipped is the one that the plan makes: what was trained, how and on whom."""

import json
from dataclasses import asdict

import pytest

pytest.importorskip("torch")
from paths import ROOT  # noqa: E402

from training.plan import FULL  # noqa: E402


def plain(value):
    return json.loads(json.dumps(value))


def test_the_card_says_what_the_plan_says():
    card = json.loads((ROOT / "Resources/Models/ctbmd-virtual/card.json").read_text())
    training = card["training"]
    assert card["version"] == FULL.version and card["date"] == FULL.date
    settings = plain(asdict(FULL.settings))
    del settings["epochs"]  # follows from the images and how many are seen
    assert training["settings"] == settings
    assert training["augmentation"] == plain(asdict(FULL.augmentation))
