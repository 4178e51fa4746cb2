"""The prediction interval: its formula and its conformal quantile, for the estimate and for whoever fits it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

QUANTILES = ("quantile_level", "quantile_total")
"""Entries of a card's `interval` that the spread is multiplied by, for a vertebra and for L1-L4."""

WITHOUT_KVP = "without_kvp"
"""Entry with quantiles of their own for a CT whose tube voltage nobody knows; a card may lack it."""


def interval_for(interval: dict[str, Any], kvp: float | None) -> dict[str, Any]:
    """The card's interval as it is for a CT of this tube voltage.

    Parameters
    ----------
    interval : dict
        The card's `interval`.
    kvp : float or None
        kV; None where it is unknown, which widens the interval by what that costs.
    """
    if kvp is not None:
        return interval
    return {**interval, **interval.get(WITHOUT_KVP, {})}


def scaled_quantiles(
    interval: dict[str, Any], factor: float, *, undo: bool = False
) -> dict[str, Any]:
    """A copy of a card's `interval` with every quantile times `factor`; `undo` divides by it."""

    def scaled(quantiles: dict[str, Any]) -> dict[str, Any]:
        # Division and not a factor of 1 / x: what is undone is what it was, to the last digit.
        return {k: quantiles[k] / factor if undo else quantiles[k] * factor for k in QUANTILES}

    out = {**interval, **scaled(interval)}
    if WITHOUT_KVP in interval:
        out[WITHOUT_KVP] = scaled(interval[WITHOUT_KVP])
    return out


def image_spread(values: Any) -> float:
    """Variance of a level's mean over its images.

    Parameters
    ----------
    values : ndarray, shape (members, n)
        Each member's answer to each image, g/cm2.

    Returns
    -------
    float
        (g/cm2)^2; 0 for a single image.
    """
    n = values.shape[1]
    return float(values.mean(axis=0).var(ddof=1) / n) if n > 1 else 0.0


def spread(floor: float, members: Any, images: Any) -> Any:
    """SD by which an estimate varies, before the conformal factor.

    Parameters
    ----------
    floor : float
        SD below which no estimate is believed, g/cm2.
    members, images : float or ndarray
        Variance over the members and of the mean over the images, (g/cm2)^2.

    Returns
    -------
    float or ndarray
        g/cm2.
    """
    return np.sqrt(floor**2 + members + np.maximum(images, 0.0))


def interval_half_width(
    interval: dict[str, Any], members: Any, image_variance: float, kind: str
) -> float:
    """Half width of the prediction interval, g/cm2.

    Split conformal prediction with a normalised score: training divides held-out
    patients' errors by the same spread and stores their quantile in the card.

    Parameters
    ----------
    interval : dict
        The card's `interval`, as `interval_for` gives it.
    members : array_like, shape (members,)
        Each member's estimate.
    image_variance : float
        Variance of the mean over images.
    kind : {'level', 'total'}
    """
    sd = spread(interval["floor_g_cm2"], np.var(members), image_variance)
    return float(interval[f"quantile_{kind}"] * sd)


def rescaled_half_widths(interval: dict[str, Any], half_widths: Any, scale: float) -> Any:
    """Half widths of L1-L4 as they become when estimates are multiplied by `scale`.

    The scale stretches what members and images differ by, but not the floor.

    Parameters
    ----------
    interval : dict
        The card's `interval` that the half widths were made with; its `quantile_total` may be
        one of each, shape (n,), where they were not all made with the same (`interval_for`).
    half_widths : array_like, shape (n,)
        g/cm2.
    scale : float

    Returns
    -------
    ndarray, shape (n,)
    """
    quantile, floor = np.asarray(interval["quantile_total"], float), interval["floor_g_cm2"]
    varied = (np.asarray(half_widths, float) / quantile) ** 2 - floor**2
    return quantile * spread(floor, scale**2 * np.maximum(varied, 0), 0.0)


def conformal_quantile(score: Any, level: float = 0.9) -> float:
    """Quantile of held-out scores that makes intervals hold `level` of new patients.

    Parameters
    ----------
    score : array_like, shape (n,)
        Absolute errors divided by the spread (or by a half width).
    level : float
        Share of new patients to hold, 0 to 1.
    """
    ordered = np.sort(np.asarray(score))
    rank = min(math.ceil((len(ordered) + 1) * level), len(ordered))
    return float(ordered[rank - 1])
