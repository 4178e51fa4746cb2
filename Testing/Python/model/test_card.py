"""The card as text: what a reader looks for first, unknown in words, nothing left out."""

from CTBMDLib.disclaimers import RESEARCH_USE, disclaimer, row_disclaimer
from CTBMDLib.model.bundle import ModelBundle, default_bundle_folder
from CTBMDLib.model.card import card_text

CARD = {
    "format": "x",
    "members": 2,
    "interval": {"level": 0.9, "quantile_level": 3.8896412221},
    "kvp": None,
    "scanners": ["A", None],
    "tables": [{"a": 1}],
    "name": "n",
}


def test_the_lines():
    assert card_text(CARD, "not known").splitlines() == [
        "name: n",
        "members: 2",
        "format: x",
        "interval:",
        "  level: 0.9",
        "  quantile level: 3.88964",
        "kvp: not known",
        "scanners: A, not known",
        "tables:",
        '  {"a": 1}',
    ]


def test_nothing_of_the_bundled_card_is_left_out():
    card = ModelBundle.load(default_bundle_folder()).card
    text = card_text(card)
    assert all(f"{key.replace('_', ' ')}:" in text for key in card)
    assert text.splitlines()[0] == f"name: {card['name']}"


def test_the_sentences_below_a_result():
    assert disclaimer("simulated") == f"{RESEARCH_USE} The model was trained on simulated CT."
    assert disclaimer("patients") == RESEARCH_USE
    assert row_disclaimer("simulated") == "model trained on simulated CT; research use only"
    assert row_disclaimer("patients") == "research use only, not a medical device"
