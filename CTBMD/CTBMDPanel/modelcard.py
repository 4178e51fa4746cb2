"""A model bundle's card in words."""

from slicer.i18n import tr as _

from CTBMDLib.disclaimers import RESEARCH_USE, trained_on
from CTBMDLib.model.card import card_text


def researchUse(card):
    """The line that is always visible.

    Parameters
    ----------
    card : dict or None
        None where no model could be loaded; the line then says what the model
        that comes with the module is.
    """
    population = "simulated" if card is None else card["population"]
    words = _("{use} Model trained on {what}.")
    return words.format(use=_(RESEARCH_USE), what=_(trained_on(population)))


def cardText(card):
    """The card as lines of text, name and population first."""
    return card_text(card, _("unknown"))
