"""Whose g/cm2: the scale of a row's DXA device beside the scale that the values are given in.

The DXA itself is never converted, only the model's values (`dxa` says how).
"""

from __future__ import annotations

import re

from ..bmd.result import BMDResult
from ..dxa import DEVICES, device_named
from ..model.bundle import ModelBundle

UNKNOWN = "unknown"
"""The scale of a model that was fitted to the DXA of a site whose maker nobody said."""
_SIMULATED = re.compile(r"\b(simulated|virtual)\b", re.IGNORECASE)


def device_scale(device: str | None) -> str | None:
    """The scale of a DXA device's g/cm2; None where its name tells none or both.

    Parameters
    ----------
    device : str or None
        As a person writes it: 'Hologic Horizon', 'GE Lunar iDXA', 'lunar'.
    """
    return device_named(device)


def answer_scale(result: BMDResult, bundle: ModelBundle) -> str:
    """The scale that a result's values are in: its rows', else the bundle's own; or `UNKNOWN`."""
    return result.dxa_scale or bundle.dxa_device or UNKNOWN


def other_scale(device: str | None, answered: str) -> str | None:
    """The DXA device's scale where it is known to be another than the values'; else None."""
    scale = device_scale(device)
    return scale if answered in DEVICES and scale != answered else None


def is_simulated(*texts: str | None) -> bool:
    """Whether a scanner's or a device's name says that it is simulated."""
    return any(_SIMULATED.search(text) for text in texts if text)
