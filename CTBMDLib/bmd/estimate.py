"""The one call: a volume, the chosen levels and a model bundle give the bone density table."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..disclaimers import disclaimer, row_disclaimer
from ..dxa import SAME, Scale, scale_for
from ..errors import CTBMDError
from ..levels import MEASURED, LevelSelection, LevelSlice
from ..model.bundle import ModelBundle
from ..model.images import ImageStandard, LevelImages, cut_images
from ..progress import Progress, Report, ShouldCancel
from ..volume import CTVolume
from . import leftout, quality
from .centring import centred, check_centring, check_one_body
from .field import check_field
from .heights import TEMPLATE_MM, heights_of
from .interval import image_spread, interval_for, interval_half_width
from .places import refuse_impossible
from .quality import Finding
from .reference import ReferenceTable, category
from .result import MEAN, TOTAL, BMDResult, LevelResult
from .size import check_size
from .structure import Structure, check_structure, look_at
from .tissues import check_tissues, correction_for, measure_tissues
from .unlike import check_likeness
from .walls import find_body

MIN_LEVELS = 2
"""Included levels of L1-L4 below which there is no L1-L4 value, as ISCD asks for DXA."""
MAX_AGE = 130.0
MIN_GIVEN_KVP, MAX_GIVEN_KVP = 40.0, 200.0
"""kV that a person may state; what the model has seen is narrower and has its own finding."""
UNNAMED = "case 1"
"""What a case is called where nobody has named it and nothing may tell who it is."""
USUAL_KVP = (100.0, 120.0, 140.0)
"""kV of nearly all CT of the abdomen, tried where the tube voltage is unknown."""


@dataclass(frozen=True)
class Cut:
    """One vertebra as it is looked at.

    Attributes
    ----------
    item : LevelSlice
    images : LevelImages
    structure : Structure
    where : LevelSlice
        `item` about the middle of its body, where the images were taken.
    left_out : str or None
        Why it does not count in the mean although it is included, see `leftout`.
    """

    item: LevelSlice
    images: LevelImages
    structure: Structure
    where: LevelSlice
    left_out: str | None = None

    @property
    def trabecular_hu(self) -> float | None:
        """Mean HU of the trabecular region; None where it is not in view."""
        return self.structure.trabecular_hu

    @property
    def level(self) -> str:
        """Name of the vertebra."""
        return self.item.level

    @property
    def counted(self) -> bool:
        """Whether the vertebra counts in the L1-L4 mean."""
        return self.item.included and self.level in MEASURED and self.left_out is None


@dataclass(frozen=True)
class Answer:
    """What the network says of one row's images.

    Attributes
    ----------
    members : ndarray, shape (members,)
        Each member's estimate, g/cm2.
    image_variance : float
        Variance of the mean over the images, (g/cm2)^2.
    images : int
    """

    members: np.ndarray
    image_variance: float
    images: int

    @property
    def bmd(self) -> float:
        """Mean over the members, g/cm2."""
        return float(np.mean(self.members))


@dataclass(frozen=True)
class Common:
    """What all rows of one case share."""

    case: str
    series_uid: str | None
    sex: str | None
    reference: ReferenceTable | None
    bundle: ModelBundle
    findings: list[Finding]
    scale: Scale = SAME
    kvp: float | None = None
    corrected: str | None = None

    def row(
        self,
        level: str,
        answer: Answer,
        selection: str,
        *,
        slice_s_mm: float | None = None,
        trabecular: float | None = None,
        included: bool = True,
        levels: str | None = None,
        left_out: str | None = None,
    ) -> LevelResult:
        """One row of the table, of a vertebra or of their mean (`TOTAL`)."""
        bundle, interval = self.bundle, interval_for(self.bundle.card["interval"], self.kvp)
        kind = "total" if level == TOTAL else "level"
        half = interval_half_width(interval, answer.members, answer.image_variance, kind)
        half = self.scale.half_width(half, kind, interval.get("level", 0.9))
        bmd = self.scale.value(answer.bmd)
        t_score = self.reference.t_score(bmd, level, self.sex) if self.reference else None
        about = None if level == TOTAL else level
        texts = [x.text for x in self.findings if x.level == about]
        if self.corrected and self.corrected not in texts:
            texts.insert(0, self.corrected)  # a row that is kept alone must say it too
        return LevelResult(
            case=self.case,
            series_uid=self.series_uid,
            level=level,
            slice_s_mm=slice_s_mm,
            images=answer.images,
            bmd_g_cm2=bmd,
            # Density is not negative; a senseless estimate below zero keeps its interval.
            bmd_low=max(bmd - half, min(bmd, 0.0)),
            bmd_high=bmd + half,
            t_score=t_score,
            # One vertebra alone is never diagnosed, a simulated model never diagnoses.
            category=category(t_score) if level == TOTAL and not bundle.simulated else None,
            trabecular_hu=trabecular,
            selection=selection,
            included=included,
            levels=levels,
            findings="; ".join(x.rstrip(".") for x in [*texts, row_disclaimer(bundle.population)]),
            dxa_scale=self.scale.target,
            model=bundle.name,
            model_version=bundle.version,
            model_population=bundle.population,
            left_out=left_out,
        )


def estimate(  # noqa: PLR0913  the library's one call; all but three are keywords
    volume: CTVolume,
    selection: LevelSelection,
    bundle: ModelBundle,
    *,
    case: str | None = None,
    sex: str | None = None,
    age: float | None = None,
    kvp: float | None = None,
    with_identity: bool = False,
    reference: ReferenceTable | None = None,
    dxa: str | None = None,
    device: str = "auto",
    backend: str | None = None,
    include: Collection[str] = (),
    correct_values: bool = False,
    progress: Report | None = None,
    should_cancel: ShouldCancel | None = None,
) -> BMDResult:
    """Estimate the areal BMD of the chosen lumbar levels.

    L1-L4 are measured whether or not they are included; L5 only where it is.

    Parameters
    ----------
    volume : CTVolume
    selection : LevelSelection
    bundle : ModelBundle
    case : str, optional
        What to call the case, instead of `UNNAMED`.
    sex : {'F', 'M'}, optional
        The header's where not given.
    age : float, optional
        Years; the header's where not given.
    kvp : float, optional
        Tube voltage in kV; the header's where not given, unknown where neither says.
    with_identity : bool
        Whether the result may tell who it is of: the header's patient id, or the
        volume's name, where no `case` is given; the series UID; and, in the findings,
        what was written of the contrast agent.
    reference : ReferenceTable, optional
        Gives T-scores where the sex is known; of the same DXA device as the values.
    dxa : {'hologic', 'lunar'}, optional
        The DXA device to compare with, in whose g/cm2 everything is answered; a
        site's own where the bundle was fitted to a site, else Hologic.
    device, backend : str
        See `ModelBundle.predict`.
    include : collection of str
        Levels of L1-L4 that count in the mean although a finding leaves them out.
    correct_values : bool
        Whether the values are first corrected by the scan's own air and fat; what was
        done is said in every row.
    progress : callable(fraction, text), optional
    should_cancel : callable() -> bool, optional

    Raises
    ------
    CTBMDError
        Where no lumbar level is chosen, a point lies outside the volume, the
        selection belongs to another series, the reference is of another device, or the
        values cannot be corrected.
    Cancelled
    """
    work = Progress(progress, should_cancel)
    check_person(sex, age)
    scale = scale_for(bundle.card, dxa)
    if reference:
        reference.check_device(scale.target)
    stated, volume = quality.check_kvp(kvp, volume.acquisition.kvp), with_kvp(volume, kvp)
    facts = volume.acquisition
    chosen = choose(volume, selection)
    findings = (
        quality.check_volume(volume, with_identity) + stated + quality.check_selection(selection)
    )
    findings += quality.check_sex(sex, facts.sex) + quality.check_scale(scale)
    volume, told, corrected = look_at_values(volume, chosen, findings, correct_values)
    findings += told + check_field(volume, chosen)
    cuts = cut(volume, chosen, bundle.standard, work.part(0.0, 0.8))
    findings += look_at_images(cuts, bundle)
    structures = {part.level: part.structure for part in cuts}
    findings = add_structure(findings, structures, neighbours(volume, selection, structures))

    work.step(0.8, "Estimating bone density")
    answers = predict(bundle, cuts, facts.kvp, device, backend)
    means = {level: float(x.mean()) for level, x in answers.items()}
    findings += quality.check_neighbours({k: v for k, v in means.items() if k in MEASURED})
    bounds = bundle.card.get("bmd_range_g_cm2")
    findings += quality.check_range(
        {level: scale.value(bmd) for level, bmd in means.items()},
        bounds and [scale.value(x) for x in bounds],
    )

    # The header's sex and age are facts of the scan; nothing is assumed beyond them.
    sex = sex or facts.sex
    common = Common(
        case=case or (with_identity and (facts.patient_id or volume.name)) or UNNAMED,
        series_uid=facts.series_uid if with_identity else None,
        sex=sex,
        reference=reference,
        bundle=bundle,
        findings=findings,
        scale=scale,
        kvp=facts.kvp,
        corrected=corrected,
    )
    cuts = leave_out(common, cuts, answers, include)
    levels, total, reason = rows(common, cuts, answers)
    if facts.kvp is None:
        effect = kvp_effect(bundle, cuts, device, backend)
        tell_kvp(findings, total, {kvp: scale.value(bmd) for kvp, bmd in effect.items()})
    work.step(1.0, "Done")
    return BMDResult(
        levels,
        total,
        reason,
        findings,
        disclaimer(bundle.population),
        sex,
        facts.age_years if age is None else age,
        reference.name if reference else None,
        {part.level: part.images for part in cuts},
    )


def check_person(sex: str | None, age: float | None) -> None:
    """Refuse what nobody's sex or age can be.

    Raises
    ------
    CTBMDError
    """
    if sex not in (None, "F", "M"):
        raise CTBMDError(f"The sex must be 'F' or 'M' or left out, not '{sex}'.", "sex")
    if age is not None and not 0 <= age <= MAX_AGE:
        raise CTBMDError(f"An age of {age:g} years is not possible.", "age")


def with_kvp(volume: CTVolume, kvp: float | None) -> CTVolume:
    """The volume with the tube voltage that a person states, kV; as it is where None.

    Raises
    ------
    CTBMDError
        For a voltage that no CT scanner has.
    """
    if kvp is None:
        return volume
    if not MIN_GIVEN_KVP <= kvp <= MAX_GIVEN_KVP:  # false for NaN as well
        raise CTBMDError(
            f"A tube voltage of {kvp:g} kV is not possible; state it in kV "
            f"({MIN_GIVEN_KVP:g}-{MAX_GIVEN_KVP:g}, usually 80-140) or leave it out.",
            "kvp",
        )
    return replace(volume, acquisition=replace(volume.acquisition, kvp=float(kvp)))


def look_at_values(
    volume: CTVolume, chosen: list[LevelSlice], findings: list[Finding], correct: bool
) -> tuple[CTVolume, list[Finding], str | None]:
    """The volume, corrected where that is asked for; what air, fat and muscle tell; what was done.

    Raises
    ------
    CTBMDError
        Where the values cannot be corrected.
    """
    kvp, tissues = volume.acquisition.kvp, measure_tissues(volume, chosen)
    if not correct:
        return (
            volume,
            check_tissues(tissues, kvp, any(x.code == "contrast" for x in findings)),
            None,
        )
    correction = correction_for(tissues, kvp)
    told = [Finding("values-corrected", None, correction.text, "note")]
    return correction.apply(volume), told, correction.text


def kvp_effect(
    bundle: ModelBundle, cuts: list[Cut], device: str = "auto", backend: str | None = None
) -> dict[float, float]:
    """What the mean of the counted levels would be at each of `USUAL_KVP`, g/cm2.

    From the same images; of all levels where none is counted.
    """
    parts = [part for part in cuts if part.counted] or cuts
    hu = np.concatenate([part.images.hu for part in parts])
    # One call for all voltages: the network is made ready once.
    values = bundle.predict(
        np.tile(hu, (len(USUAL_KVP), 1, 1)), device, backend, kvp=np.repeat(USUAL_KVP, len(hu))
    )
    ends = np.cumsum([len(part.images.hu) for part in parts])[:-1]
    return {
        kvp: float(np.mean([x.mean() for x in np.split(at, ends, axis=1)]))
        for kvp, at in zip(USUAL_KVP, np.split(values, len(USUAL_KVP), axis=1), strict=True)
    }


def tell_kvp(
    findings: list[Finding], total: LevelResult | None, effect: dict[float, float]
) -> None:
    """Say in `findings` and in the L1-L4 row what the unknown tube voltage means for this scan."""
    half = None if total is None else (total.bmd_high - total.bmd_low) / 2
    told = quality.kvp_unknown(effect, total.bmd_g_cm2 if total else None, half)
    for index, old in enumerate(findings):
        if old.code == told.code:
            findings[index] = told
            if total:
                total.findings = total.findings.replace(old.text.rstrip("."), told.text.rstrip("."))


def choose(volume: CTVolume, selection: LevelSelection) -> list[LevelSlice]:
    """The levels that are measured: L1-L4 in any case, L5 where it is included.

    Raises
    ------
    CTBMDError
        Where the selection belongs to another series, names none of them or
        has them where no spine can (`refuse_impossible`).
    """
    uid = volume.acquisition.series_uid
    if selection.series_uid and uid and selection.series_uid != uid:
        raise CTBMDError(
            "The chosen levels belong to another CT series; find them again.", "other-series"
        )
    chosen = [
        item
        for item in selection
        if item.level in MEASURED or (item.level == "L5" and item.included)
    ]
    if not chosen:
        raise CTBMDError(
            "No lumbar level is chosen; find the lumbar slices or add a point for L1-L4.",
            "no-level-chosen",
        )
    refuse_impossible(chosen)
    return chosen


def cut(
    volume: CTVolume, chosen: list[LevelSlice], standard: ImageStandard, progress: Progress
) -> list[Cut]:
    """The images of each level and the HU of its trabecular bone.

    Raises
    ------
    CTBMDError
        Where a point lies outside the volume.
    Cancelled
    """
    cuts = []
    for index, item in enumerate(chosen):
        progress.step(index / len(chosen), f"Cutting images of {item.level}")
        structure = look_at(volume, item)
        where = centred(volume, item, structure)
        cuts.append(Cut(item, cut_images(volume, where, standard), structure, where))
    return cuts


def look_at_images(cuts: Sequence[Cut], bundle: ModelBundle) -> list[Finding]:
    """What the images themselves give to doubt, and where they do not lie about their points."""
    findings = []
    for part in cuts:
        findings += quality.check_images(part.images, bundle.standard)
        findings += check_centring(part.item, part.where, part.structure)
    images = [part.images for part in cuts]
    findings += check_one_body([part.where for part in cuts])
    return findings + check_likeness(images, bundle.card, bundle.standard)


def neighbours(
    volume: CTVolume, selection: LevelSelection, known: dict[str, Structure]
) -> dict[str, Structure]:
    """Levels that are not measured but tell by their heights how tall this spine's bodies are."""
    found = {}
    for item in selection:
        if item.level in TEMPLATE_MM and item.level not in known:
            body = find_body(volume, item)
            found[item.level] = Structure(body, None, heights_of(body))
    return found


def add_structure(
    findings: list[Finding], known: dict[str, Structure], others: dict[str, Structure]
) -> list[Finding]:
    """The findings with what the bodies show; a body full of cement is no wrongly placed point."""
    told = [x for x in check_structure({**known, **others}) if x.level in (*known, None)]
    dense = {x.level for x in told if x.code in ("cement", "metal-in-vertebra")}
    kept = [x for x in findings if not (x.code == "not-bone" and x.level in dense)]
    every = {**known, **others}
    if not any(x.code == "spacing-unlikely" for x in findings):
        bodies = {level: x.body for level, x in every.items() if x.body is not None}
        heights = {level: x.heights for level, x in every.items() if x.heights is not None}
        told += check_size(bodies, heights)
    return kept + told


def leave_out(
    common: Common, cuts: list[Cut], answers: dict[str, np.ndarray], include: Collection[str]
) -> list[Cut]:
    """The levels, those marked that do not count in the mean; adds to `common.findings` which.

    Raises
    ------
    CTBMDError
        Where `include` names a level that is not measured.
    """
    wrong = [level for level in include if level not in answers or level not in MEASURED]
    if wrong:
        have = " ".join(part.level for part in cuts if part.level in MEASURED)
        raise CTBMDError(
            f"{wrong[0]} cannot be included; the measured levels of L1-L4 are {have}.",
            "include-unknown",
        )
    cuts = [
        replace(part, item=replace(part.item, included=True)) if part.level in include else part
        for part in cuts
    ]
    t_scores = {part.level: level_row(common, part, answers[part.level]).t_score for part in cuts}
    why = leftout.reasons(common.findings, t_scores)
    wanted = [part.level for part in cuts if part.counted]
    out = {level: why[level] for level in wanted if level in why and level not in include}
    cuts = [replace(part, left_out=out.get(part.level)) for part in cuts]
    kept = [level for level in wanted if level in why and level in include]
    common.findings.extend(leftout.tell(out, [part.level for part in cuts if part.counted], kept))
    return cuts


def predict(
    bundle: ModelBundle,
    cuts: list[Cut],
    kvp: float | None,
    device: str = "auto",
    backend: str | None = None,
) -> dict[str, np.ndarray]:
    """Each member's answer to each image, by level; shape (members, images), g/cm2."""
    stack = np.concatenate([part.images.hu for part in cuts])
    values = bundle.predict(stack, device, backend, kvp=kvp)
    ends = np.cumsum([len(part.images.hu) for part in cuts])[:-1]
    parts = np.split(values, ends, axis=1)
    return {part.level: value for part, value in zip(cuts, parts, strict=True)}


def rows(
    common: Common, cuts: list[Cut], answers: dict[str, np.ndarray]
) -> tuple[list[LevelResult], LevelResult | None, str | None]:
    """The rows of the levels, the L1-L4 row or None, and why there is none.

    Adds to `common.findings` what is to be said of the mean and of the T-score.
    """
    levels = [level_row(common, part, answers[part.level]) for part in cuts]
    total, reason = total_row(common, [part for part in cuts if part.counted], answers)
    if common.reference and common.sex is None:
        text = "The sex is unknown, so there is no T-score."
        common.findings.append(Finding("no-sex", None, text, "note"))
    return levels, total, reason


def level_row(common: Common, part: Cut, values: np.ndarray) -> LevelResult:
    """The row of one vertebra; `values` has the shape (members, images)."""
    return common.row(
        part.level,
        Answer(values.mean(axis=1), image_spread(values), values.shape[1]),
        part.item.source,
        slice_s_mm=float(np.median(part.images.s_mm)),
        trabecular=part.trabecular_hu,
        included=part.counted,
        left_out=part.left_out,
    )


def total_row(
    common: Common, counted: list[Cut], answers: dict[str, np.ndarray]
) -> tuple[LevelResult | None, str | None]:
    """The L1-L4 row, or None and the reason why there is none.

    Adds to `common.findings` what is to be said of the mean.
    """
    findings = common.findings
    if len(counted) < MIN_LEVELS:
        reason = "An L1-L4 value needs at least two included levels of L1-L4."
        findings.append(Finding("no-total", None, reason, "note"))
        return None, reason
    names = [part.level for part in counted]
    values = [answers[name] for name in names]
    hus = [part.trabecular_hu for part in counted]
    answer = Answer(
        np.mean([x.mean(axis=1) for x in values], axis=0),
        sum(image_spread(x) for x in values) / len(values) ** 2,
        sum(x.shape[1] for x in values),
    )
    known = [hu for hu in hus if hu is not None]
    trabecular = float(np.mean(known)) if len(known) == len(hus) else None
    total = common.row(TOTAL, answer, MEAN, trabecular=trabecular, levels=" ".join(names))
    warned = [x.level for x in findings if x.severity == "warning"]
    telling = [name for name in names if name in warned]
    if telling:
        # Whoever keeps this row alone must know that there is more to read.
        total.findings = f"see the findings of {' '.join(telling)}; {total.findings}"
    tell_names_doubt(findings, total)
    missing = [name for name in MEASURED if name not in names]
    if missing:
        text = f"The L1-L4 mean is without {' '.join(missing)}"
        findings.append(Finding("incomplete", None, f"{text}.", "note"))
        total.findings = f"{text}; {total.findings}"
    return total, None


def tell_names_doubt(findings: list[Finding], total: LevelResult) -> None:
    """Say in `findings` and in the L1-L4 row that uncertain names make it the mean of others."""
    if not any(item.code == "numbering" for item in findings):
        return
    text = (
        "The vertebra numbers are uncertain, so the L1-L4 mean may be that of the vertebrae one "
        "higher or one lower; confirm the labels first"
    )
    findings.append(Finding("mean-numbering", None, f"{text}."))
    total.findings = f"{text}; {total.findings}"
