"""Whose g/cm2: the scale of a DXA device beside the scale that the values are given in.

The one place where the two meet; devices' values are never converted here.
"""

from __future__ import annotations

import re

from ..bmd.result import BMDResult
from ..model.bundle import ModelBundle

DEFAULT_SCALE = "hologic"
"""What bundles before 2.0.0 answer in; their cards do not say."""

_DEVICES = {
    "hologic": r"\bhologic\b|\bhorizon\b|\bdiscovery\b|\bqdr\b|\bdelphi\b",
    "lunar": r"\blunar\b|\bprodigy\b|\bidxa\b|\bdpx\b",
}
_SIMULATED = re.compile(r"\b(simulated|virtual)\b", re.IGNORECASE)


def device_scale(device: str | None) -> str | None:
    """The scale of a DXA device's g/cm2; None where its name tells none or both.

    Parameters
    ----------
    device : str or None
        As a person writes it: 'Hologic Horizon', 'GE Lunar iDXA', 'lunar'.
    """
    text = (device or "").lower()
    found = [scale for scale, pattern in _DEVICES.items() if re.search(pattern, text)]
    return found[0] if len(found) == 1 else None


def answer_scale(result: BMDResult, bundle: ModelBundle) -> str:
    """The scale that a result's values are in: its rows', else the bundle's card's."""
    rows = result.rows
    told = getattr(rows[0], "dxa_scale", None) if rows else None
    return str(told or bundle.card.get("dxa_scale") or DEFAULT_SCALE).lower()


def other_scale(device: str | None, answered: str) -> str | None:
    """The DXA device's scale where it is known to be another than the values'; else None."""
    scale = device_scale(device)
    return scale if scale is not None and scale != answered else None


def is_simulated(*texts: str | None) -> bool:
    """Whether a scanner's or a device's name says that it is simulated."""
    return any(_SIMULATED.search(text) for text in texts if text)
