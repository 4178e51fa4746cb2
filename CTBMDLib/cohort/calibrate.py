"""Site calibration: a scale and an offset that bring a bundle onto a hospital's own DXA.

The line is fitted by scipy, which also gives its standard errors: scikit-learn's
LinearRegression has none, and 3D Slicer does not ship scikit-learn.
"""

from __future__ import annotations

import copy
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

import numpy as np

from ..bmd.estimate import estimate
from ..bmd.interval import conformal_quantile, interval_for, rescaled_half_widths, scaled_quantiles
from ..bmd.result import BMDResult
from ..dxa import common_device, device_named, maker
from ..errors import CTBMDError, shown
from ..model.bundle import ModelBundle, save_bundle
from ..progress import Progress, Report, ShouldCancel
from .like import like_dxa
from .pairs import Pair, finding_words, read_pairs, table_error

MIN_PAIRS = 20

SUSPECT = 4.0
"""Robust SDs from a robust line beyond which a pair is named: 1 in 16,000 of normal errors."""

MIN_SD = 0.015
"""g/cm2; the precision of DXA itself (CV 1.1-1.2 %), below which no spread is believed."""


@dataclass(frozen=True)
class Calibration:
    """A straight line from the bundle's L1-L4 to the site's DXA, and how well it holds.

    Attributes
    ----------
    scale, offset : float
        DXA = scale x estimate + offset, g/cm2.
    scale_interval, offset_interval : (float, float)
        95 % confidence intervals.
    pairs : int
    before, after : dict
        `bias`, `rmse`, `r`; `after` is leave-one-out.
    quantile_ratio : float
        By how much the prediction interval was widened or narrowed so that it
        holds 90 % of the leave-one-out errors.
    findings : tuple of str
        Sentences for whoever checks the pairs: those that do not fit, uncertain levels,
        several devices.
    dxa_device : str or None
        Whose g/cm2 the calibrated bundle answers in; None where nobody says.
    """

    scale: float
    offset: float
    scale_interval: tuple[float, float]
    offset_interval: tuple[float, float]
    pairs: int
    before: dict[str, float]
    after: dict[str, float]
    quantile_ratio: float
    findings: tuple[str, ...] = ()
    dxa_device: str | None = None

    def __str__(self) -> str:
        a, b = self.before, self.after
        return (
            f"Site calibration from {self.pairs} pairs of CT and DXA (L1-L4)\n"
            f"scale   {self.scale:.3f}  (95 % interval {self.scale_interval[0]:.3f} to {self.scale_interval[1]:.3f})\n"
            f"offset  {self.offset:+.3f} g/cm2  (95 % interval {self.offset_interval[0]:+.3f} to {self.offset_interval[1]:+.3f})\n"
            f"before                        bias {a['bias']:+.3f}  RMSE {a['rmse']:.3f} g/cm2  r {a['r']:.3f}\n"
            f"after, each pair left out     bias {b['bias']:+.3f}  RMSE {b['rmse']:.3f} g/cm2  r {b['r']:.3f}\n"
            f"DXA     {maker(self.dxa_device)}\n"
            + "".join(f"{finding}\n" for finding in self.findings)
        )


def fit(estimated: Any, measured: Any) -> tuple[Calibration, np.ndarray]:
    """Fit the line by least squares.

    Parameters
    ----------
    estimated, measured : array_like, shape (n,)
        The bundle's and the DXA's L1-L4, g/cm2.

    Returns
    -------
    (Calibration, ndarray)
        The ndarray holds the leave-one-out errors, shape (n,), g/cm2.

    Raises
    ------
    CTBMDError
        With fewer than 20 pairs, without spread, or where the line falls.
    """
    from scipy import stats

    x, y = np.asarray(estimated, float), np.asarray(measured, float)
    n = len(x)
    if n < MIN_PAIRS:
        raise CTBMDError(
            f"A site calibration needs at least {MIN_PAIRS} pairs of CT and DXA, not {n}.",
            "too-few-pairs",
        )
    if np.std(x) < 0.02 or np.std(y) < 0.02:
        raise CTBMDError(
            "The pairs hardly differ in bone density, so no line can be fitted; add patients with "
            "low and high values.",
            "pairs-alike",
        )
    line = stats.linregress(x, y)
    if line.slope <= 0.2:
        raise CTBMDError(
            f"The estimates do not rise with the DXA values (slope {line.slope:.2f}); check that "
            "each CT belongs to its DXA and that the levels are right.",
            "line-falls",
        )
    t = stats.t.ppf(0.975, n - 2)
    residual = y - (line.intercept + line.slope * x)
    # Leave-one-out errors of a straight line in closed form (hat matrix).
    leverage = 1 / n + (x - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum()
    left_out = residual / (1 - leverage)
    calibration = Calibration(
        float(line.slope),
        float(line.intercept),
        (float(line.slope - t * line.stderr), float(line.slope + t * line.stderr)),
        (
            float(line.intercept - t * line.intercept_stderr),
            float(line.intercept + t * line.intercept_stderr),
        ),
        n,
        _figures(x, y),
        _figures(y - left_out, y),
        1.0,
    )
    return calibration, left_out


def _figures(estimated: np.ndarray, measured: np.ndarray) -> dict[str, float]:
    """Bias, RMSE and r of estimates against DXA."""
    error = np.asarray(estimated) - measured
    return {
        "bias": float(error.mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "r": float(np.corrcoef(estimated, measured)[0, 1]),
    }


@dataclass
class _Compared:
    """The pairs as the bundle and the DXA see them."""

    estimated: list[float]
    measured: list[float]
    half_widths: list[float]
    quantiles: list[float]
    words: dict[int, str]
    errors: list[str]

    def told(self, names: Sequence[str]) -> list[str]:
        """What was found in the pairs, a sentence each, under these names."""
        return [f"Check {names[index]}: {words}." for index, words in self.words.items()]


def calibrate(
    pairs_path: str | PathLike[str],
    bundle: ModelBundle,
    output_folder: str | PathLike[str],
    *,
    overwrite: bool = False,
    dxa: str | None = None,
    progress: Report | None = None,
    should_cancel: ShouldCancel | None = None,
) -> Calibration:
    """Estimate every pair, fit the line and write the calibrated bundle.

    The weights stay as they are; the card gains `calibration` and an interval
    that holds for the site. A bundle that is calibrated already is fitted anew.

    Parameters
    ----------
    pairs_path : path
        See `pairs.read_pairs`.
    bundle : ModelBundle
    output_folder : path
    overwrite : bool
    dxa : {'hologic', 'lunar'}, optional
        Device of the table's DXA, in whose g/cm2 the calibrated bundle answers; what
        the table's column says where left out.
    progress : callable(fraction, text), optional
    should_cancel : callable() -> bool, optional

    Raises
    ------
    CTBMDError
    Cancelled
    """
    work = Progress(progress, should_cancel)
    pairs = read_pairs(pairs_path, least=MIN_PAIRS)
    device = site_device(pairs, dxa)
    plain = _uncalibrated(bundle)
    interval = plain.card["interval"]
    seen = _compare(pairs, plain, work)
    if seen.errors:
        raise table_error(pairs_path, seen.errors)
    odd = suspects([pair.case for pair in pairs], seen.estimated, seen.measured)
    # The card is made to be handed on: it counts the pairs and names none.
    numbered = [f"pair {number}" for number in range(1, len(pairs) + 1)]
    told = suspects(numbered, seen.estimated, seen.measured) + seen.told(numbered)
    try:
        calibration, errors = fit(seen.estimated, seen.measured)
    except CTBMDError as error:
        raise CTBMDError(" ".join([str(error), *odd]), error.code) from None
    devices = sorted({pair.dxa_device for pair in pairs if pair.dxa_device})
    several = _about_devices(devices, device)
    findings = odd + seen.told([pair.case for pair in pairs]) + several
    # Split conformal on the leave-one-out errors: the factor that makes the
    # interval hold 90 % of them.
    half_widths = rescaled_half_widths(
        {**interval, "quantile_total": seen.quantiles}, seen.half_widths, calibration.scale
    )
    ratio = conformal_quantile(np.abs(errors) / half_widths, interval["level"])
    calibration = replace(
        calibration, quantile_ratio=ratio, findings=tuple(findings), dxa_device=device
    )
    card = _calibrated_card(plain.card, replace(calibration, findings=(*told, *several)))
    card["calibration"]["dxa_devices"] = devices
    low, high = min(seen.measured), max(seen.measured)
    card["calibration"]["dxa_range_g_cm2"] = [float(low), float(high)]
    save_bundle(output_folder, card, bundle.members, overwrite=overwrite)
    work.step(1.0, "Done")
    return calibration


def site_device(pairs: Sequence[Pair], dxa: str | None) -> str | None:
    """The maker of a table's DXA: what is said of all of it, else what its column says.

    Returns
    -------
    str or None
        None where a row names no maker or another one, and where they name several.

    Raises
    ------
    CTBMDError
        Where a row names another maker than is said.
    """
    if dxa is None:
        return common_device(pair.dxa_device for pair in pairs)
    for pair in pairs:
        if device_named(pair.dxa_device) not in (None, dxa):
            raise CTBMDError(
                f"The DXA is said to be of a {maker(dxa)}, and the table names '{shown(pair.dxa_device)}' for "
                f"{pair.case}; correct one of the two.",
                "dxa-contradicts",
            )
    return dxa


def _about_devices(texts: Sequence[str], device: str | None) -> list[str]:
    """What is to be said of the devices of a table, by their texts and their maker."""
    told = []
    if len(texts) > 1:
        told.append(
            f"The DXA is of {len(texts)} devices ({', '.join(texts)}), whose values need not "
            "agree; calibrate to each of them by itself."
        )
    if device is None:
        told.append(
            "The maker of the DXA is not known, so the calibrated model gives no T-score and its values "
            "are not converted; name the device (--dxa) if you know it."
        )
    return told


def _compare(pairs: list[Pair], plain: ModelBundle, progress: Progress) -> _Compared:
    """Estimate each pair's CT over the levels that its DXA measured."""
    from .cases import open_case

    seen = _Compared([], [], [], [], {}, [])
    persons: dict[str, list[str]] = {}
    for index, pair in enumerate(pairs):
        progress.step(index / len(pairs), f"Estimating {pair.case}")
        try:
            volume, selection = open_case(pair.path, levels=pair.levels)
            # In the model's own g/cm2, which the line starts from.
            own = plain.dxa_device
            result = estimate(
                volume,
                selection,
                plain,
                case=pair.case,
                sex=pair.sex,
                dxa=own,
                include=pair.include,
            )
            bmd, dxa, half = _like_dxa(result, pair)
        except CTBMDError as error:
            seen.errors.append(f"{pair.case}: {error}".rstrip("."))
            continue
        person = pair.patient or volume.acquisition.patient_id or pair.case
        persons.setdefault(person, []).append(pair.case)
        if words := finding_words(result.findings):
            seen.words[index] = words
        seen.estimated.append(bmd)
        seen.measured.append(dxa)
        seen.half_widths.append(half)
        used = interval_for(plain.card["interval"], volume.acquisition.kvp)
        seen.quantiles.append(used["quantile_total"])
    seen.errors += [
        f"{', '.join(cases)} are of one patient ({person}); a site calibration takes one CT each"
        for person, cases in persons.items()
        if len(cases) > 1
    ]
    return seen


def suspects(cases: Sequence[str], estimated: Any, measured: Any) -> list[str]:
    """Sentences on pairs far from a robust line through all of them.

    Theil and Sen's line and the median absolute deviation, because two swapped
    values bend a least-squares line towards themselves.
    """
    from scipy import stats

    x, y = np.asarray(estimated, float), np.asarray(measured, float)
    slope, offset = stats.theilslopes(y, x)[:2]
    sd = max(1.4826 * float(np.median(np.abs(y - offset - slope * x))), MIN_SD)

    def off(dxa: float, estimate: float) -> float:
        return float(abs(dxa - offset - slope * estimate) / sd)

    odd = [i for i in range(len(x)) if off(y[i], x[i]) > SUSPECT]
    swapped = [
        (i, j)
        for i in odd
        for j in odd
        if i < j and off(y[i], x[j]) < SUSPECT and off(y[j], x[i]) < SUSPECT
    ]
    texts = [
        f"Check {cases[i]} and {cases[j]}: their DXA values look swapped "
        f"({y[i]:.3f} and {y[j]:.3f} g/cm2)."
        for i, j in swapped
    ]
    told = {i for pair in swapped for i in pair}
    return texts + [
        f"Check {cases[i]}: its DXA of {y[i]:.3f} g/cm2 is far from the "
        f"{offset + slope * x[i]:.3f} that the other pairs let expect (wrong patient, wrong "
        "levels, fracture or metal?)."
        for i in odd
        if i not in told
    ]


def _uncalibrated(bundle: ModelBundle) -> ModelBundle:
    """The bundle as it was before any site calibration."""
    card = copy.deepcopy(bundle.card)
    old = card.pop("calibration", None)
    if old:
        card.pop("dxa_device", None)
        card.update(old.get("of", {}))
        card["interval"] = scaled_quantiles(
            card["interval"], old.get("interval_ratio", 1.0), undo=True
        )
    return ModelBundle(card, bundle.members, bundle.folder)


def _calibrated_card(plain: dict[str, Any], calibration: Calibration) -> dict[str, Any]:
    """The card of the calibrated bundle: a version of its own, and what it came from."""
    card = copy.deepcopy(plain)
    scale, offset = calibration.scale, calibration.offset
    digest = hashlib.sha256(f"{scale:.6f} {offset:.6f}".encode()).hexdigest()[:8]
    date = time.strftime("%Y-%m-%d")
    kept = ("version", "date", "bmd_range_g_cm2", "dxa_device")
    card["version"] = f"{plain['version']}+site.{date.replace('-', '')}.{digest}"
    card["date"] = date
    card["dxa_device"] = calibration.dxa_device
    if plain.get("bmd_range_g_cm2"):
        card["bmd_range_g_cm2"] = [scale * x + offset for x in plain["bmd_range_g_cm2"]]
    card["interval"] = scaled_quantiles(card["interval"], calibration.quantile_ratio)
    card["calibration"] = {
        "scale": scale,
        "offset_g_cm2": offset,
        "scale_interval_95": list(calibration.scale_interval),
        "offset_interval_95_g_cm2": list(calibration.offset_interval),
        "pairs": calibration.pairs,
        "before": calibration.before,
        "after_leave_one_out": calibration.after,
        "interval_ratio": calibration.quantile_ratio,
        "findings": list(calibration.findings),
        "metrics": "the figures under 'metrics' are of the model before this calibration",
        "of": {key: plain[key] for key in kept if key in plain},
    }
    return card


def _like_dxa(result: BMDResult, pair: Pair) -> tuple[float, float, float]:
    """Estimate and DXA over the same levels, and the half interval, g/cm2."""
    like = like_dxa(result, pair.bmd, pair.total)
    return like.bmd, like.dxa, like.half
