"""Levels that a person wants counted although a finding leaves them out, as they are written."""

from __future__ import annotations

import re


def named_levels(text: str | None) -> tuple[str, ...]:
    """The levels of an option or of a table's cell, such as 'L2, l3'; `estimate` checks them."""
    return tuple(word.upper() for word in re.split(r"[\s,;+]+", text or "") if word)
