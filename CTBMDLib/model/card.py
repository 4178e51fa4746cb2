"""A model's card as text to read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

FIRST = ("name", "version", "date", "population", "summary", "members", "patients")
"""Entries that a reader looks for; the others follow as the card has them."""
_FOR_COMPUTERS = {"likeness": ("mean", "sd", "inverse")}
"""Tables of numbers that nobody reads."""


def card_text(card: dict[str, Any], unknown: str = "unknown") -> str:
    """The card as indented lines of 'entry: value', without a line end after the last.

    Parameters
    ----------
    card : dict
    unknown : str
        What is said for an entry that is None.
    """
    ordered = {key: card[key] for key in FIRST if key in card}
    shown = {**ordered, **card}
    for entry, hidden in _FOR_COMPUTERS.items():
        if isinstance(shown.get(entry), dict):
            shown[entry] = {k: v for k, v in shown[entry].items() if k not in hidden}
    return "\n".join(_lines(shown, unknown, 0))


def _lines(card: dict[str, Any], unknown: str, indent: int) -> Iterator[str]:
    pad = "  " * indent
    for key, value in card.items():
        name = key.replace("_", " ")
        if isinstance(value, dict):
            yield f"{pad}{name}:"
            yield from _lines(value, unknown, indent + 1)
        elif isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
            yield f"{pad}{name}:"
            for item in value:
                yield f"{pad}  {json.dumps(item, ensure_ascii=False)}"
        elif isinstance(value, list):
            yield f"{pad}{name}: {', '.join(_value(item, unknown) for item in value)}"
        else:
            yield f"{pad}{name}: {_value(value, unknown)}"


def _value(value: Any, unknown: str) -> str:
    if value is None:
        return unknown
    return f"{value:g}" if isinstance(value, float) else str(value)
