"""What CTBMD is not for, in words: the one place that the panel, tables and reports take them from."""

from __future__ import annotations

RESEARCH_USE = "Research use only, not a medical device."

_TRAINED_ON = {"simulated": "simulated CT", "patients": "CT of patients"}


def trained_on(population: str) -> str:
    """What a model learned from, in words.

    Parameters
    ----------
    population : {'simulated', 'patients'}
        As the model's card says.
    """
    return _TRAINED_ON[population]


def disclaimer(population: str) -> str:
    """The sentences that stand below every result of a model."""
    if population != "simulated":
        return RESEARCH_USE
    return f"{RESEARCH_USE} The model was trained on {trained_on(population)}."


def row_disclaimer(population: str) -> str:
    """The words that end the findings of every row, so that a copied row keeps them."""
    if population != "simulated":
        return RESEARCH_USE.rstrip(".").lower()
    return f"model trained on {trained_on(population)}; research use only"
