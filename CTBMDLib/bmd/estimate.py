"""The one call: a volume, the chosen levels and a model bundle give the bone density table."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field

import numpy as np

from .. import RESEARCH_USE
from ..errors import Cancelled, CTBMDError
from ..levels import MEASURED, LevelSelection
from ..model.bundle import ModelBundle
from ..model.images import LevelImages, cut_images
from ..volume import CTVolume
from . import quality
from .quality import Finding
from .reference import ReferenceTable, category
from .roi import trabecular_hu

TOTAL = "L1-L4"
SIMULATED_USE = "model trained on simulated CT; research use only"


@dataclass
class LevelResult:
    """One row of the table; the fields are its columns, in order.

    Attributes
    ----------
    case, series_uid, level : str or None
    slice_s_mm : float or None
        S of the middle image plane; None in the L1-L4 row.
    images : int
    bmd_g_cm2, bmd_low, bmd_high : float
        Estimate and its 90 % interval, g/cm2.
    t_score : float or None
    category : str or None
    trabecular_hu : float or None
    selection : str
        How the level was chosen; in the L1-L4 row the levels that count.
    findings : str
        Sentences, joined by '; '.
    model, model_version, model_population : str
    included : bool
        Whether the level counts in the L1-L4 mean (no column).
    """

    case: str
    series_uid: str | None
    level: str
    slice_s_mm: float | None
    images: int
    bmd_g_cm2: float
    bmd_low: float
    bmd_high: float
    t_score: float | None
    category: str | None
    trabecular_hu: float | None
    selection: str
    findings: str
    model: str
    model_version: str
    model_population: str
    included: bool = True


@dataclass
class BMDResult:
    """What `estimate` answers.

    Attributes
    ----------
    levels : list of LevelResult
        One per measured vertebra, from head to feet.
    total : LevelResult or None
        The L1-L4 row.
    total_reason : str or None
        Why there is no L1-L4 row.
    findings : list of Finding
    disclaimer : str
    sex, age, reference : str, float, str or None
        What the T-score was computed with; None where not known or chosen.
    images : dict of str to LevelImages
        What the network saw; empty after `from_dict`.
    """

    levels: list[LevelResult]
    total: LevelResult | None
    total_reason: str | None
    findings: list[Finding]
    disclaimer: str
    sex: str | None = None
    age: float | None = None
    reference: str | None = None
    images: dict[str, LevelImages] = field(default_factory=dict, repr=False, compare=False)

    @property
    def rows(self) -> list[LevelResult]:
        """The levels, then the L1-L4 row where there is one."""
        return [*self.levels, *([self.total] if self.total else [])]

    def to_dict(self) -> dict:
        """A JSON-ready dict of everything but the images."""
        return {
            "levels": [asdict(row) for row in self.levels],
            "total": asdict(self.total) if self.total else None,
            "total_reason": self.total_reason,
            "findings": [item.to_dict() for item in self.findings],
            "disclaimer": self.disclaimer,
            "sex": self.sex,
            "age": self.age,
            "reference": self.reference,
        }

    @classmethod
    def from_dict(cls, data: dict) -> BMDResult:
        """Read what `to_dict` wrote.

        Raises
        ------
        CTBMDError
            Where the content is no stored result.
        """
        try:
            return cls(
                [LevelResult(**row) for row in data["levels"]],
                LevelResult(**data["total"]) if data["total"] else None,
                data["total_reason"],
                [Finding(**item) for item in data["findings"]],
                data["disclaimer"],
                data["sex"],
                data["age"],
                data["reference"],
            )
        except (TypeError, KeyError):
            raise CTBMDError("The stored result cannot be read; estimate again.") from None


def estimate(
    volume: CTVolume,
    selection: LevelSelection,
    bundle: ModelBundle,
    *,
    case: str | None = None,
    sex: str | None = None,
    age: float | None = None,
    reference: ReferenceTable | None = None,
    device: str = "auto",
    backend: str | None = None,
    progress=None,
    should_cancel=None,
) -> BMDResult:
    """Estimate the areal BMD of the chosen lumbar levels.

    L1-L4 are measured whether or not they are included; L5 only where it is.

    Parameters
    ----------
    volume : CTVolume
    selection : LevelSelection
    bundle : ModelBundle
    case : str, optional
        What to call the patient; the header's patient id or the volume's name otherwise.
    sex : {'F', 'M'}, optional
        The header's where not given.
    age : float, optional
        Years; the header's where not given.
    reference : ReferenceTable, optional
        Gives T-scores where the sex is known.
    device, backend : str
        See `ModelBundle.predict`.
    progress : callable(fraction, text), optional
    should_cancel : callable() -> bool, optional

    Raises
    ------
    CTBMDError
        Where no lumbar level is chosen, a point lies outside the volume, or
        the selection belongs to another series.
    Cancelled
    """
    facts = volume.acquisition
    if selection.series_uid and facts.series_uid and selection.series_uid != facts.series_uid:
        raise CTBMDError("The chosen levels belong to another CT series; find them again.")
    if sex not in (None, "F", "M"):
        raise CTBMDError(f"The sex must be 'F' or 'M' or left out, not '{sex}'.")
    if age is not None and not 0 <= age <= 130:
        raise CTBMDError(f"An age of {age:g} years is not possible.")
    chosen = [
        item
        for item in selection
        if item.level in MEASURED or (item.level == "L5" and item.included)
    ]
    if not chosen:
        raise CTBMDError(
            "No lumbar level is chosen; find the lumbar slices or add a point for L1-L4."
        )

    findings = quality.check_volume(volume) + quality.check_selection(selection)
    if sex and facts.sex and sex != facts.sex:
        findings.append(
            Finding(
                "sex", None, f"The sex given ({sex}) is not the one in the header ({facts.sex})."
            )
        )
    images, trabecular = {}, {}
    for index, item in enumerate(chosen):
        _step(progress, should_cancel, 0.8 * index / len(chosen), f"Cutting images of {item.level}")
        images[item.level] = cut_images(volume, item, bundle.standard)
        trabecular[item.level] = trabecular_hu(volume, item)
        findings += quality.check_images(images[item.level], bundle.standard)

    _step(progress, should_cancel, 0.8, "Estimating bone density")
    stack = np.concatenate([x.hu for x in images.values()])
    values = bundle.predict(stack, device, backend, kvp=facts.kvp)
    parts = np.split(values, np.cumsum([len(x.hu) for x in images.values()])[:-1], axis=1)
    values = dict(zip(images, parts, strict=True))
    means = {level: float(x.mean()) for level, x in values.items()}
    findings += quality.check_neighbours({k: v for k, v in means.items() if k in MEASURED})
    findings += _check_range(means, bundle)

    # The header's sex and age are facts of the scan; nothing is assumed beyond them.
    sex = sex or facts.sex
    age = facts.age_years if age is None else age
    use = SIMULATED_USE if bundle.simulated else RESEARCH_USE.rstrip(".").lower()
    case = case or facts.patient_id or volume.name

    def row(level, s_mm, count, members, image_variance, kind, hu, how, included, about):
        bmd = float(np.mean(members))
        half = interval_half_width(bundle.card["interval"], members, image_variance, kind)
        t_score = reference.t_score(bmd, level, sex) if reference else None
        texts = [x.text for x in findings if about(x)]
        return LevelResult(
            case=case,
            series_uid=facts.series_uid,
            level=level,
            slice_s_mm=s_mm,
            images=count,
            bmd_g_cm2=bmd,
            # Density is not negative; a senseless estimate below zero keeps its interval.
            bmd_low=max(bmd - half, min(bmd, 0.0)),
            bmd_high=bmd + half,
            t_score=t_score,
            # One vertebra alone is never diagnosed, a simulated model never diagnoses.
            category=category(t_score) if level == TOTAL and not bundle.simulated else None,
            trabecular_hu=hu,
            selection=how,
            findings="; ".join([x.rstrip(".") for x in [*texts, use]]),
            model=bundle.name,
            model_version=bundle.version,
            model_population=bundle.population,
            included=included,
        )

    rows = []
    for item in chosen:
        value = values[item.level]
        counted = item.included and item.level in MEASURED
        rows.append(
            row(
                item.level,
                float(item.ras[2]),
                value.shape[1],
                value.mean(axis=1),
                image_spread(value),
                "level",
                trabecular[item.level],
                item.source if counted else f"{item.source}, not in the mean",
                counted,
                lambda x, level=item.level: x.level == level,
            )
        )
    counted = [r.level for r in rows if r.included]
    total = reason = None
    if len(counted) >= 2:
        hus = [trabecular[level] for level in counted]
        total = row(
            TOTAL,
            None,
            sum(values[level].shape[1] for level in counted),
            np.mean([values[level].mean(axis=1) for level in counted], axis=0),
            sum(image_spread(values[level]) for level in counted) / len(counted) ** 2,
            "total",
            None if None in hus else float(np.mean(hus)),
            "mean of " + " ".join(counted),
            True,
            lambda x: x.level is None,
        )
        doubtful = [
            level
            for level in counted
            if any(x.level == level and x.severity == "warning" for x in findings)
        ]
        if doubtful:
            # Whoever keeps this row alone must know that there is more to read.
            total.findings = f"see the findings of {' '.join(doubtful)}; {total.findings}"
        if len(counted) < 4:
            missing = " ".join(level for level in MEASURED if level not in counted)
            findings.append(
                Finding("incomplete", None, f"The L1-L4 mean is without {missing}.", "note")
            )
            total.findings = f"The L1-L4 mean is without {missing}; {total.findings}"
    else:
        reason = "An L1-L4 value needs at least two included levels of L1-L4."
        findings.append(Finding("no-total", None, reason, "note"))
    if reference and sex is None:
        findings.append(
            Finding("no-sex", None, "The sex is unknown, so there is no T-score.", "note")
        )
    if progress:
        progress(1.0, "Done")
    disclaimer = f"{RESEARCH_USE} " + (
        "The model was trained on simulated CT." if bundle.simulated else ""
    )
    return BMDResult(
        rows,
        total,
        reason,
        findings,
        disclaimer.strip(),
        sex,
        age,
        reference.name if reference else None,
        images,
    )


def image_spread(values) -> float:
    """Variance of a level's mean over its images, shape (members, n) in, (g/cm2)^2 out."""
    n = values.shape[1]
    return float(values.mean(axis=0).var(ddof=1) / n) if n > 1 else 0.0


def interval_half_width(interval: dict, members, image_variance: float, kind: str) -> float:
    """Half width of the prediction interval, g/cm2.

    Split conformal prediction with a normalised score: training divides held-out
    patients' errors by the same spread and stores their quantile in the card.

    Parameters
    ----------
    interval : dict
        The card's `interval`.
    members : array_like, shape (members,)
        Each member's estimate.
    image_variance : float
        Variance of the mean over images.
    kind : {'level', 'total'}
    """
    spread = math.sqrt(
        interval["floor_g_cm2"] ** 2 + float(np.var(members)) + max(image_variance, 0.0)
    )
    return interval[f"quantile_{kind}"] * spread


def _check_range(means, bundle):
    """Values outside what the model was trained on."""
    bounds = bundle.card.get("bmd_range_g_cm2")
    if not bounds:
        return []
    return [
        Finding(
            "outside-training",
            level,
            f"{level}: {value:.2f} g/cm2 lies outside the values the model was trained on "
            f"({bounds[0]:.2f}-{bounds[1]:.2f}).",
        )
        for level, value in means.items()
        if not bounds[0] <= value <= bounds[1]
    ]


def _step(progress, should_cancel, fraction, text):
    if should_cancel and should_cancel():
        raise Cancelled
    if progress:
        progress(fraction, text)
