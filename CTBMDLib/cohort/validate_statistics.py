"""How two measurements agree, with bootstrap intervals over persons; numpy alone.

Every figure is a function of weights: a weight of one for each pair gives the
figure itself, and how often a draw holds the pair's person gives that of the
draw. So there is one formula for both, and the draws are computed all at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

DRAWS = 2000
MIN_DRAWS, MAX_WEIGHTS = 200, 5_000_000
"""Of ten thousand pairs there are fewer draws, so that they fit into the memory."""
SEED = 20261128
MIN_PERSONS = 5
"""Below it there is no figure: five points lie on some line by chance."""
FEW_PERSONS = 20
"""Below it the figures are marked: percentile intervals of fewer persons are too narrow."""
MIN_CLASS = 5
"""Persons with and without the condition that an AUC needs."""
MIN_LINE = 10
"""Persons that a line needs which is fitted with each person left out."""
MIN_DEFINED = 0.9
"""Share of the draws that must give a figure for it to have an interval."""

TOO_FEW = "too few to tell"

Weights = np.ndarray
Statistic = Callable[[Weights], np.ndarray]


@dataclass(frozen=True)
class Figure:
    """A figure and its 95 % interval.

    Attributes
    ----------
    value : float or None
        None where it cannot be told.
    low, high : float or None
        None where the draws do not give an interval.
    note : str or None
        Why something is None.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    note: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON knows it; never NaN."""
        interval = None if self.low is None or self.high is None else [self.low, self.high]
        return {"value": self.value, "interval_95": interval, "note": self.note}


def person_count(persons: Any) -> int:
    """How many different persons there are."""
    return len(np.unique(np.asarray(persons)))


def draw_weights(persons: Any, draws: int = DRAWS) -> Weights:
    """Weights of each pair: a first row of ones, then one row a draw of persons.

    Parameters
    ----------
    persons : array_like, shape (n,)
        Whose each pair is; all pairs of a person are drawn together.
    draws : int

    Returns
    -------
    ndarray, shape (1 + draws, n)
    """
    persons = np.asarray(persons)
    _, index = np.unique(persons, return_inverse=True)
    draws = min(draws, max(MIN_DRAWS, MAX_WEIGHTS // max(len(persons), 1)))
    count = int(index.max()) + 1 if len(index) else 0
    rng = np.random.default_rng(SEED)
    times = rng.multinomial(count, np.full(count, 1 / count), size=draws) if count else None
    ones = np.ones((1, len(persons)))
    return ones if times is None else np.concatenate([ones, times[:, index]])


def agreement(
    dxa: Any, value: Any, persons: Any, *, half: Any = None, draws: int = DRAWS
) -> dict[str, Figure]:
    """The figures of a value that is given in the DXA's own unit.

    Parameters
    ----------
    dxa, value : array_like, shape (n,)
    persons : array_like, shape (n,)
    half : array_like, shape (n,), optional
        Half width of each value's prediction interval.
    draws : int

    Returns
    -------
    dict of str to Figure
        `r`, `rho`, `ccc`, `bias` and `sd` (of value - DXA), `rmse`, `loa_low`, `loa_high`,
        `slope` and `intercept` of DXA = intercept + slope x value, and `coverage` where
        `half` is given.
    """
    x, y = np.asarray(value, float), np.asarray(dxa, float)
    error = x - y
    statistics: dict[str, Statistic] = {
        "r": lambda w: _pearson(w, x, y),
        "rho": lambda w: _pearson(w, _ranks(w, x), _ranks(w, y)),
        "ccc": lambda w: _concordance(w, x, y),
        "bias": lambda w: _mean(w, error),
        "sd": lambda w: _sd(w, error),
        "rmse": lambda w: np.sqrt(_mean(w, error**2)),
        "loa_low": lambda w: _mean(w, error) - 1.96 * _sd(w, error),
        "loa_high": lambda w: _mean(w, error) + 1.96 * _sd(w, error),
        "slope": lambda w: _line(w, x, y)[0],
        "intercept": lambda w: _line(w, x, y)[1],
    }
    if half is not None:
        inside = (np.abs(error) <= np.asarray(half, float)).astype(float)
        statistics["coverage"] = lambda w: _mean(w, inside)
    return _figures(statistics, persons, draws, shares=("coverage",))


def association(dxa: Any, value: Any, persons: Any, draws: int = DRAWS) -> dict[str, Figure]:
    """`r` and `rho` of a value in another unit than the DXA's."""
    x, y = np.asarray(value, float), np.asarray(dxa, float)
    return _figures(
        {
            "r": lambda w: _pearson(w, x, y),
            "rho": lambda w: _pearson(w, _ranks(w, x), _ranks(w, y)),
        },
        persons,
        draws,
    )


def discrimination(low: Any, value: Any, persons: Any, draws: int = DRAWS) -> Figure:
    """Area under the ROC curve of a value that is lower in those who have the condition.

    Parameters
    ----------
    low : array_like of bool, shape (n,)
        Who has it by DXA.
    value : array_like, shape (n,)
    persons : array_like, shape (n,)
    draws : int
    """
    has, score = np.asarray(low, bool), np.asarray(value, float)
    persons = np.asarray(persons)
    if not len(has):
        return Figure(None, note="no T-scores")
    ill, well = person_count(persons[has]), person_count(persons[~has])
    if min(ill, well) < MIN_CLASS:
        return Figure(None, note=f"{TOO_FEW}: {ill} with and {well} without")
    return _figures({"auc": lambda w: _auc(w, score, has)}, persons, draws)["auc"]


def advantage(
    dxa: Any,
    value: Any,
    other: Any,
    persons: Any,
    *,
    fitted: tuple[Any, Any] | None = None,
    draws: int = DRAWS,
) -> dict[str, Figure]:
    """How much better one value is than another on the same pairs; each draw holds both.

    Parameters
    ----------
    dxa, value, other : array_like, shape (n,)
    persons : array_like, shape (n,)
    fitted : (array_like, array_like), optional
        What the lines of both expect of each DXA; see `fitted_apart`.
    draws : int

    Returns
    -------
    dict of str to Figure
        The differences of `r`, `rho` and, where `fitted`, `rmse`.
    """
    x, z, y = (np.asarray(a, float) for a in (value, other, dxa))
    statistics: dict[str, Statistic] = {
        "r": lambda w: _pearson(w, x, y) - _pearson(w, z, y),
        "rho": lambda w: (
            _pearson(w, _ranks(w, x), _ranks(w, y)) - _pearson(w, _ranks(w, z), _ranks(w, y))
        ),
    }
    if fitted is not None:
        own, others = (np.asarray(a, float) - y for a in fitted)
        statistics["rmse"] = lambda w: np.sqrt(_mean(w, own**2)) - np.sqrt(_mean(w, others**2))
    return _figures(statistics, persons, draws)


def auc_advantage(low: Any, value: Any, other: Any, persons: Any, draws: int = DRAWS) -> Figure:
    """The difference of two AUC on the same pairs; see `discrimination`."""
    has, x, z = np.asarray(low, bool), np.asarray(value, float), np.asarray(other, float)
    plain = discrimination(low, value, persons, draws=1)
    if plain.value is None:
        return plain
    return _figures({"auc": lambda w: _auc(w, x, has) - _auc(w, z, has)}, persons, draws)["auc"]


def roc_points(low: Any, value: Any) -> tuple[np.ndarray, np.ndarray]:
    """1 - specificity and sensitivity at every threshold, from 0 to 1; shape (k,) each."""
    has, score = np.asarray(low, bool), np.asarray(value, float)
    thresholds = np.unique(score)
    hit = np.array([0.0, *(np.mean(score[has] <= x) for x in thresholds)])
    false = np.array([0.0, *(np.mean(score[~has] <= x) for x in thresholds)])
    return false, hit


def fitted_apart(value: Any, dxa: Any, persons: Any) -> np.ndarray | None:
    """What a line through all other persons expects of each pair's DXA.

    Returns
    -------
    ndarray, shape (n,), or None
        None with fewer than `MIN_LINE` persons, or where the values hardly differ.
    """
    x, y, persons = np.asarray(value, float), np.asarray(dxa, float), np.asarray(persons)
    if person_count(persons) < MIN_LINE:
        return None
    out = np.empty(len(x))
    for person in np.unique(persons):
        own = persons == person
        line = line_through(x[~own], y[~own])
        if line is None:
            return None
        out[own] = line[0] * x[own] + line[1]
    return out


def line_through(x: Any, y: Any) -> tuple[float, float] | None:
    """Slope and intercept of least squares; None where x hardly differs."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    if len(x) < 3:
        return None
    slope, intercept = _line(np.ones((1, len(x))), x, y)
    if not (np.isfinite(slope[0]) and np.isfinite(intercept[0])):
        return None
    return float(slope[0]), float(intercept[0])


def _figures(
    statistics: dict[str, Statistic], persons: Any, draws: int, shares: tuple[str, ...] = ()
) -> dict[str, Figure]:
    count = person_count(persons)
    if count < MIN_PERSONS:
        note = f"{TOO_FEW}: {count} {'person' if count == 1 else 'persons'}"
        return {name: Figure(None, note=note) for name in statistics}
    weights = draw_weights(persons, draws)
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            name: _figure(statistic(weights), count, name in shares)
            for name, statistic in statistics.items()
        }


def _figure(values: np.ndarray, persons: int, share: bool) -> Figure:
    """The figure of the first row and the interval of the draws."""
    value, drawn = float(values[0]), values[1:]
    if not np.isfinite(value):
        return Figure(None, note="the values hardly differ")
    known = drawn[np.isfinite(drawn)]
    if not len(drawn) or len(known) < MIN_DEFINED * len(drawn):
        return Figure(value, note="no interval: too many draws give no figure")
    if share and value in (0.0, 1.0):
        # All draws agree; what persons like these leave open is the exact binomial limit.
        reach = float(0.025 ** (1 / persons))
        return Figure(value, *((reach, 1.0) if value == 1.0 else (0.0, 1 - reach)))
    low, high = (float(x) for x in np.percentile(known, (2.5, 97.5)))
    if high - low < 1e-12:
        return Figure(value, note="no interval: all draws agree")
    return Figure(value, low, high)


def _mean(w: Weights, x: np.ndarray) -> np.ndarray:
    """Weighted mean of each row; `x` of shape (n,) or that of `w`."""
    return np.asarray((w * x).sum(axis=1) / w.sum(axis=1))


def _covariance(w: Weights, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    a = x - _mean(w, x)[:, None]
    b = y - _mean(w, y)[:, None]
    return _mean(w, a * b)


def _variance(w: Weights, x: np.ndarray) -> np.ndarray:
    variance = _covariance(w, x, x)
    # Rounding leaves a trace of variance in values that are all alike.
    size = _mean(w, np.asarray(x) ** 2)
    return np.where(variance > 1e-12 * np.maximum(size, 1e-12), variance, 0.0)


def _sd(w: Weights, x: np.ndarray) -> np.ndarray:
    n = w.sum(axis=1)
    return np.asarray(np.sqrt(_covariance(w, x, x) * n / (n - 1)))


def _pearson(w: Weights, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    product = _variance(w, x) * _variance(w, y)
    return np.asarray(_covariance(w, x, y) / np.sqrt(np.where(product > 0, product, np.nan)))


def _concordance(w: Weights, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Lin's coefficient (Biometrics 1989; 45:255): r, less what lies off the line of identity."""
    apart = _variance(w, x) + _variance(w, y) + (_mean(w, x) - _mean(w, y)) ** 2
    return np.asarray(2 * _covariance(w, x, y) / np.where(apart > 0, apart, np.nan))


def _line(w: Weights, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope and intercept of y on x."""
    variance = _variance(w, x)
    slope = _covariance(w, x, y) / np.where(variance > 0, variance, np.nan)
    return slope, _mean(w, y) - slope * _mean(w, x)


def _below(w: Weights, x: np.ndarray) -> np.ndarray:
    """Weight of what lies below each value, and half of what ties with it; shape of `w`."""
    values, group = np.unique(x, return_inverse=True)
    sums = np.zeros((len(w), len(values)))
    for place in range(len(x)):
        sums[:, group[place]] += w[:, place]
    lower = np.cumsum(sums, axis=1) - sums / 2
    return np.asarray(lower[:, group])


def _ranks(w: Weights, x: np.ndarray) -> np.ndarray:
    """Mean ranks within each draw, less one half; shape of `w`."""
    return _below(w, x)


def _auc(w: Weights, score: np.ndarray, has: np.ndarray) -> np.ndarray:
    """Probability that one who has it lies below one who has it not; ties count half."""
    ill, well = w * has, w * ~has
    total = ill.sum(axis=1) * well.sum(axis=1)
    above = well.sum(axis=1)[:, None] - _below(well, score)
    return np.asarray((ill * above).sum(axis=1) / np.where(total > 0, total, np.nan))
