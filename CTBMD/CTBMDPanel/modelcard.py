"""A model bundle's card in words."""

from slicer.i18n import tr as _

from CTBMDLib import RESEARCH_USE

_FIRST = ("name", "version", "date", "population", "summary", "members", "patients")


def researchUse(card):
    """The line that is always visible.

    Parameters
    ----------
    card : dict or None
        None where no model could be loaded; the line then says what the model
        that comes with the module is.
    """
    if card is not None and card["population"] != "simulated":
        return _("{use} Model trained on CT of patients.").format(use=RESEARCH_USE)
    return _("{use} Model trained on simulated CT.").format(use=RESEARCH_USE)


def cardText(card):
    """The card as lines of text, name and population first."""
    keys = [key for key in _FIRST if key in card] + [key for key in card if key not in _FIRST]
    return "\n".join(_lines(card, keys, ""))


def _lines(card, keys, indent):
    lines = []
    for key in keys:
        value = card[key]
        name = key.replace("_", " ")
        if isinstance(value, dict):
            lines.append(f"{indent}{name}:")
            lines += _lines(value, list(value), indent + "   ")
        elif isinstance(value, list) and not any(isinstance(item, (dict, list)) for item in value):
            lines.append(f"{indent}{name}: " + ", ".join(_value(item) for item in value))
        elif isinstance(value, list):
            lines.append(f"{indent}{name}: " + "; ".join(str(item) for item in value))
        else:
            lines.append(f"{indent}{name}: {_value(value)}")
    return lines


def _value(value):
    if value is None:
        return _("unknown")
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)
