"""Site calibration: a scale and an offset that bring a bundle onto a hospital's own DXA."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from .bundle import ModelBundle, save_bundle
from .errors import CTBMDError
from .estimate import BMDResult, estimate
from .pairs import read_pairs

LEAST_PAIRS = 20


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
    """

    scale: float
    offset: float
    scale_interval: tuple[float, float]
    offset_interval: tuple[float, float]
    pairs: int
    before: dict
    after: dict
    quantile_ratio: float

    def __str__(self):
        a, b = self.before, self.after
        return (
            f"Site calibration from {self.pairs} pairs of CT and DXA (L1-L4)\n"
            f"scale   {self.scale:.3f}  (95 % interval {self.scale_interval[0]:.3f} to {self.scale_interval[1]:.3f})\n"
            f"offset  {self.offset:+.3f} g/cm2  (95 % interval {self.offset_interval[0]:+.3f} to {self.offset_interval[1]:+.3f})\n"
            f"before                        bias {a['bias']:+.3f}  RMSE {a['rmse']:.3f} g/cm2  r {a['r']:.3f}\n"
            f"after, each pair left out     bias {b['bias']:+.3f}  RMSE {b['rmse']:.3f} g/cm2  r {b['r']:.3f}\n"
        )


def fit(estimated, measured) -> tuple[Calibration, np.ndarray]:
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
    x, y = np.asarray(estimated, float), np.asarray(measured, float)
    n = len(x)
    if n < LEAST_PAIRS:
        raise CTBMDError(
            f"A site calibration needs at least {LEAST_PAIRS} pairs of CT and DXA, not {n}."
        )
    if np.std(x) < 0.02 or np.std(y) < 0.02:
        raise CTBMDError(
            "The pairs hardly differ in bone density, so no line can be fitted; add patients with "
            "low and high values."
        )
    line = stats.linregress(x, y)
    if line.slope <= 0.2:
        raise CTBMDError(
            f"The estimates do not rise with the DXA values (slope {line.slope:.2f}); check that "
            "each CT belongs to its DXA and that the levels are right."
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


def _figures(estimated, measured):
    error = np.asarray(estimated) - measured
    return {
        "bias": float(error.mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "r": float(np.corrcoef(estimated, measured)[0, 1]),
    }


def calibrate(
    pairs_path, bundle: ModelBundle, output_folder, *, overwrite: bool = False, progress=None
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
    progress : callable(fraction, text), optional

    Raises
    ------
    CTBMDError
    """
    from .cases import open_case

    pairs = read_pairs(pairs_path, least=LEAST_PAIRS)
    cases = [pair.case for pair in pairs]
    twice = sorted({case for case in cases if cases.count(case) > 1})
    if twice:
        raise CTBMDError(
            f"A site calibration takes one CT a patient; these stand there twice: {', '.join(twice)}."
        )
    card = copy.deepcopy(bundle.card)
    card.pop("calibration", None)
    plain = ModelBundle(card, bundle.members, bundle.folder)
    estimated, measured, half_widths, faults = [], [], [], []
    for index, pair in enumerate(pairs):
        if progress:
            progress(index / len(pairs), f"Estimating {pair.case}")
        try:
            volume, selection = open_case(pair.path, levels=pair.levels)
            result = estimate(volume, selection, plain, case=pair.case)
            bmd, half = _like_dxa(result, pair, card["interval"])
        except CTBMDError as error:
            faults.append(f"{pair.case}: {error}")
            continue
        estimated.append(bmd)
        measured.append(pair.total)
        half_widths.append(half)
    if faults:
        raise CTBMDError(f"These pairs cannot be used: {' '.join(faults)}")
    calibration, errors = fit(estimated, measured)
    # Split conformal on the leave-one-out errors: the factor that makes the
    # interval hold 90 % of them.
    score = np.sort(np.abs(errors) / np.array(half_widths))
    rank = min(math.ceil((len(score) + 1) * card["interval"]["level"]), len(score))
    ratio = float(score[rank - 1])
    for key in ("quantile_level", "quantile_total"):
        # estimate() spreads the calibrated values, which the scale stretched already.
        card["interval"][key] = card["interval"][key] * ratio
    card["calibration"] = {
        "scale": calibration.scale,
        "offset_g_cm2": calibration.offset,
        "scale_interval_95": list(calibration.scale_interval),
        "offset_interval_95_g_cm2": list(calibration.offset_interval),
        "pairs": calibration.pairs,
        "dxa_devices": sorted({pair.dxa_device for pair in pairs if pair.dxa_device}),
        "before": calibration.before,
        "after_leave_one_out": calibration.after,
        "interval_ratio": ratio,
    }
    save_bundle(output_folder, card, bundle.members, overwrite=overwrite)
    if progress:
        progress(1.0, "Done")
    return Calibration(**{**calibration.__dict__, "quantile_ratio": ratio})


def _like_dxa(result: BMDResult, pair, interval):
    """The estimate over the levels that the DXA value was taken from, and its half interval."""
    if pair.bmd and len(pair.bmd) < 4:
        rows = [row for row in result.levels if row.level in pair.bmd]
        if len(rows) != len(pair.bmd):
            missing = sorted(set(pair.bmd) - {row.level for row in rows})
            raise CTBMDError(f"{', '.join(missing)} was measured by DXA but not found in the CT.")
        mean = float(np.mean([row.bmd_g_cm2 for row in rows]))
        return mean, float(np.mean([row.bmd_high - row.bmd_g_cm2 for row in rows]))
    if result.total is None:
        raise CTBMDError(result.total_reason)
    return result.total.bmd_g_cm2, result.total.bmd_high - result.total.bmd_g_cm2
