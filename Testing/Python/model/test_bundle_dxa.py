"""The card's DXA device: known ones, none at all, and what is refused in one sentence."""

import json

import pytest
from phantoms import bundle

from CTBMDLib.dxa import DEVICES
from CTBMDLib.errors import CTBMDError
from CTBMDLib.model.bundle import ModelBundle, default_bundle_folder
from CTBMDLib.model.card import card_text
from CTBMDLib.weights import SIGNATURE

LINE = {"scale": 1.0, "offset_g_cm2": 0.0}


def load_with(folder, **changes):
    path = folder / "card.json"
    card = {**json.loads(path.read_text()), **changes}
    card.pop(SIGNATURE, None)  # as whoever edits a card is told to
    path.write_text(json.dumps(card))
    return ModelBundle.load(folder)


@pytest.fixture
def folder(tmp_path):
    bundle(tmp_path / "b", members=1)
    return tmp_path / "b"


@pytest.mark.parametrize("name", DEVICES)
def test_a_known_device_is_kept_and_shown(folder, name):
    made = load_with(folder, dxa_device=name)
    assert made.dxa_device == name
    assert f"dxa device: {name}" in card_text(made.card)


def test_a_card_without_a_device_is_hologics(folder):
    made = ModelBundle.load(folder)
    assert "dxa_device" not in made.card and made.dxa_device == "hologic"
    assert ModelBundle.load(default_bundle_folder()).dxa_device in DEVICES


@pytest.mark.parametrize("wrong", ["norland", "Hologic", "", 3, True, ["hologic"], {"a": 1}, None])
def test_an_unknown_device_is_one_sentence(folder, wrong):
    with pytest.raises(CTBMDError, match="must be one of hologic, lunar") as info:
        load_with(folder, dxa_device=wrong)
    assert info.value.code == "card-dxa-device" and "\n" not in str(info.value)


@pytest.mark.parametrize("of_a_site", [{"calibration": LINE}, {"population": "patients"}])
def test_a_sites_device_may_be_unknown(folder, of_a_site):
    assert load_with(folder, dxa_device=None, **of_a_site).dxa_device is None


def test_the_device_before_a_calibration_is_checked_as_well(folder):
    with pytest.raises(CTBMDError, match="must be one of hologic, lunar"):
        load_with(folder, dxa_device="lunar", calibration={**LINE, "of": {"dxa_device": "norland"}})
    load_with(folder, dxa_device="lunar", calibration={**LINE, "of": {"dxa_device": "hologic"}})
