"""Figures of a model on patients it has not seen, with bootstrap intervals over patients."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import pairwise
from statistics import NormalDist

import numpy as np
from sklearn.metrics import roc_auc_score

from CTBMDLib.bmd.interval import WITHOUT_KVP, conformal_quantile, image_spread, spread
from CTBMDLib.dxa import HOLOGIC, SAME, Scale, device_named
from CTBMDLib.levels import MEASURED
from CTBMDLib.model.images import cut_images

from .baselines import patient_hu, slice_dxa

AGES = (20, 40, 60, 80, 100)
"""Years that part the groups of `by_age`."""


@dataclass
class Table:
    """One entry a patient.

    Attributes
    ----------
    names, anatomy : list of str
    sex : ndarray of str
    age, bmi, total, hu, slice_dxa : ndarray, shape (n,)
        `total` is the DXA L1-L4 in g/cm2; `hu` the mean trabecular HU;
        `slice_dxa` the mean of `baselines.slice_dxa`.
    levels : ndarray, shape (n, 4)
        DXA of L1-L4, NaN where a level is missing.
    images : list of dict of str to ndarray
        Standard images by level.
    kvp : ndarray, shape (n,)
        Tube voltage, NaN where unknown.
    device : str
        DXA device in whose g/cm2 `total` and `levels` are, of `CTBMDLib.dxa.DEVICES`.
    """

    names: list
    anatomy: list
    sex: np.ndarray
    age: np.ndarray
    bmi: np.ndarray
    total: np.ndarray
    levels: np.ndarray
    hu: np.ndarray
    slice_dxa: np.ndarray
    images: list
    kvp: np.ndarray
    device: str = HOLOGIC.name

    def __len__(self):
        return len(self.names)

    def first(self, count) -> Table:
        """The first patients of the table."""
        per_patient = [item.name for item in fields(self) if item.name != "device"]
        first = {name: getattr(self, name)[:count] for name in per_patient}
        return Table(**first, device=self.device)

    def untold(self) -> Table:
        """The same patients, their tube voltages kept from the network."""
        return replace(self, kvp=np.full(len(self), np.nan))

    @property
    def female(self):
        """1 for women, 0 for men, NaN where the sex is unknown."""
        return np.where(self.sex == "F", 1.0, np.where(self.sex == "M", 0.0, np.nan))


def read_table(paths, load, standard, progress=None) -> Table:
    """Cut the standard images of patients and compute the baselines' inputs."""
    rows, devices = [], set()
    for index, path in enumerate(paths):
        record = load(path)
        devices.add(getattr(record, "device", HOLOGIC.name))
        images = {
            level: cut_images(record.slabs[level], record.slices[level], standard).hu
            for level in MEASURED
            if level in record.slabs
        }
        rows.append(
            (
                str(path),
                record.anatomy_id,
                record.sex or "",
                np.nan if record.age_years is None else record.age_years,
                np.nan if record.bmi is None else record.bmi,
                record.bmd_total,
                [record.bmd.get(level, np.nan) for level in MEASURED],
                patient_hu(record),
                np.mean([slice_dxa(hu, standard).mean() for hu in images.values()]),
                {level: hu.astype(np.float32) for level, hu in images.items()},
                next(iter(record.slabs.values())).acquisition.kvp or np.nan,
            )
        )
        if progress:
            progress((index + 1) / len(paths), f"Reading patients {index + 1}/{len(paths)}")
    if len(devices) > 1:
        raise ValueError(f"patients of {len(devices)} DXA devices in one table: no scale is both")
    names, anatomy, sex, age, bmi, total, levels, hu, dxa, images, kvp = zip(*rows, strict=True)
    return Table(
        list(names),
        list(anatomy),
        np.array(sex),
        np.array(age, float),
        np.array(bmi, float),
        np.array(total, float),
        np.array(levels, float),
        np.array(hu, float),
        np.array(dxa, float),
        list(images),
        np.array(kvp, float),
        devices.pop() if devices else HOLOGIC.name,
    )


@dataclass
class Predictions:
    """A model's answers for a `Table`.

    Attributes
    ----------
    total : ndarray, shape (n,)
    levels : ndarray, shape (n, 4)
    level_members : ndarray, shape (members, n, 4)
    image_variance : ndarray, shape (n, 4)
    scale : Scale
        From the model's g/cm2 to those of the table, in which all of these are.
    """

    total: np.ndarray
    levels: np.ndarray
    level_members: np.ndarray
    image_variance: np.ndarray
    scale: Scale = SAME

    def spread(self, floor):
        """SD before the conformal factor, (levels (n, 4), totals (n,))."""
        floor = floor * self.scale.slope
        level = spread(floor, self.level_members.var(axis=0), self.image_variance)
        count = np.isfinite(self.levels).sum(axis=1)
        total = spread(
            floor,
            np.nanmean(self.level_members, axis=2).var(axis=0),
            np.nansum(self.image_variance, axis=1) / count**2,
        )
        return level, total


def predict_table(predict, table: Table, model_device: str = HOLOGIC.name) -> Predictions:
    """Answers as `estimate` gives them: mean over images, members and levels.

    Parameters
    ----------
    predict : callable(hu (n, size, size), kvp (n,)) -> (members, n)
    table : Table
    model_device : str
        DXA device that the model answers as; its answers are converted to the table's.
    """
    stack, owner, kvp = [], [], []
    for index, images in enumerate(table.images):
        for level, hu in images.items():
            stack.append(hu)
            kvp += [table.kvp[index]] * len(hu)
            owner.append((index, MEASURED.index(level), len(hu)))
    values = predict(np.concatenate(stack), np.array(kvp))
    members = np.full((len(values), len(table), 4), np.nan)
    variance = np.full((len(table), 4), np.nan)
    start = 0
    for index, level, count in owner:
        part = values[:, start : start + count]
        members[:, index, level] = part.mean(axis=1)
        variance[index, level] = image_spread(part)
        start += count
    scale = Scale(model_device, table.device)
    members = scale.value(members)
    levels = members.mean(axis=0)
    return Predictions(
        np.nanmean(levels, axis=1), levels, members, variance * scale.slope**2, scale
    )


def figures(predicted, measured, low=None, *, draws=1000, seed=0) -> dict:
    """r, RMSE, bias, SD of differences, limits of agreement and AUC, with 95 % intervals.

    Parameters
    ----------
    predicted, measured : array_like, shape (n,)
        g/cm2.
    low : array_like of bool, optional
        Which patients have osteoporosis by DXA; gives the AUC.
    draws : int
        Bootstrap resamples of patients.

    Returns
    -------
    dict
        Name to (value, low, high); AUC is absent where one class is missing.
    """
    predicted, measured = np.asarray(predicted, float), np.asarray(measured, float)
    rng = np.random.default_rng(seed)
    n = len(predicted)

    def compute(index):
        p, m = predicted[index], measured[index]
        error = p - m
        out = {
            "r": np.corrcoef(p, m)[0, 1] if p.std() > 0 and m.std() > 0 else np.nan,
            "rmse": np.sqrt(np.mean(error**2)),
            "bias": error.mean(),
            "sd": error.std(ddof=1),
            "loa_low": error.mean() - 1.96 * error.std(ddof=1),
            "loa_high": error.mean() + 1.96 * error.std(ddof=1),
        }
        if low is not None:
            out["auc"] = auc(-p, np.asarray(low)[index])
        return out

    point = compute(np.arange(n))
    samples = [compute(rng.integers(0, n, n)) for _ in range(draws)]
    result = {}
    for name, value in point.items():
        if not np.isfinite(value):
            continue
        spread = np.array([sample[name] for sample in samples])
        spread = spread[np.isfinite(spread)]
        result[name] = tuple(float(x) for x in (value, *np.percentile(spread, [2.5, 97.5])))
    return result


def auc(score, positive) -> float:
    """Area under the ROC curve; NaN where one class is missing."""
    positive = np.asarray(positive, bool)
    if positive.all() or not positive.any():
        return float("nan")
    return float(roc_auc_score(positive, score))


def osteoporosis(table: Table, reference) -> np.ndarray | None:
    """Which patients have a T-score of -2.5 or less by DXA; None where that is not known of all."""
    if reference is None or not np.isfinite(table.female).all():
        return None
    # A reference is of one device: what another measured is converted to it.
    target = device_named(reference.device) or table.device
    total = Scale(table.device, target).value(table.total)
    t = [reference.t_score(bmd, "L1-L4", sex) for bmd, sex in zip(total, table.sex, strict=True)]
    return np.array([x is not None and x <= -2.5 for x in t])


def interval_of(
    predictions: Predictions,
    table: Table,
    floor=0.02,
    level=0.9,
    kind="patients",
    without_kvp: Predictions | None = None,
) -> dict:
    """The card's `interval`, from held-out patients of a `kind` in words.

    `without_kvp` are the answers where the tube voltage was not told; they give such CTs
    quantiles of their own.
    """
    out = {
        "level": level,
        "floor_g_cm2": floor,
        **_quantiles(predictions, table, floor, level),
        "measured_on": f"{len(table)} held-out {kind}",
    }
    if without_kvp is not None:
        out[WITHOUT_KVP] = _quantiles(without_kvp, table, floor, level)
    return out


def _quantiles(predictions: Predictions, table: Table, floor, level) -> dict:
    """Conformal quantiles of single vertebrae and of L1-L4."""
    level_sd, total_sd = predictions.spread(floor)
    known = np.isfinite(table.levels) & np.isfinite(predictions.levels)
    level_score = np.abs(predictions.levels - table.levels)[known] / level_sd[known]
    total_score = np.abs(predictions.total - table.total) / total_sd
    return {
        "quantile_level": conformal_quantile(level_score, level),
        "quantile_total": conformal_quantile(total_score, level),
    }


def coverage(predictions: Predictions, table: Table, interval: dict) -> dict:
    """Share of DXA values inside the interval, and its mean half width."""
    level_sd, total_sd = predictions.spread(interval["floor_g_cm2"])
    known = np.isfinite(table.levels) & np.isfinite(predictions.levels)
    z = NormalDist().inv_cdf((1 + interval["level"]) / 2)
    half_level = np.hypot(interval["quantile_level"] * level_sd, z * predictions.scale.sd("level"))
    half_total = np.hypot(interval["quantile_total"] * total_sd, z * predictions.scale.sd("total"))
    inside = np.abs(predictions.levels - table.levels) <= half_level
    return {
        "levels": float(inside[known].mean()),
        "total": float((np.abs(predictions.total - table.total) <= half_total).mean()),
        "half_width_total_g_cm2": float(half_total.mean()),
    }


def by_age(predictions: Predictions, table: Table) -> list[dict]:
    """Errors of L1-L4 by age: what of a person goes with age and no image shows moves them.

    Returns
    -------
    list of dict
        'from' and 'to' in years, 'patients', 'bias' and 'sd' in g/cm2 of each group of
        `AGES` with two people or more.
    """
    error, out = predictions.total - table.total, []
    for low, high in pairwise(AGES):
        inside = (table.age >= low) & (table.age < high)
        if inside.sum() > 1:
            group = error[inside]
            spread = float(group.std(ddof=1))
            out.append(
                {
                    "from": low,
                    "to": high,
                    "patients": len(group),
                    "bias": float(group.mean()),
                    "sd": spread,
                }
            )
    return out


def response(predictions: Predictions, table: Table) -> tuple[float, int]:
    """Slope of the answer against DXA within groups of one anatomy, and the number of groups.

    1 means that a change of mineral is answered in full.
    """
    dx, dy, groups = [], [], 0
    for anatomy in sorted(set(table.anatomy)):
        index = [i for i, name in enumerate(table.anatomy) if name == anatomy]
        if len(index) > 1:
            groups += 1
            dx.append(table.total[index] - table.total[index].mean())
            dy.append(predictions.total[index] - predictions.total[index].mean())
    if not groups:
        return float("nan"), 0
    dx, dy = np.concatenate(dx), np.concatenate(dy)
    return float((dx * dy).sum() / (dx * dx).sum()), groups
