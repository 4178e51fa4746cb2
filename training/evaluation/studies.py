"""What the result owes to what: learning curve, ablations, negative controls, redrawn patients.

Every network of the first three sees the same number of images and has one seed, so
that a row differs from the base in what its name says and in nothing else but luck:
differences smaller than the intervals mean nothing. Only the published study's design
keeps its own number, each image sixty times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..fitting.augment import Augmentation
from ..fitting.dataset import Images, cached_images
from ..fitting.jobs import Job, ranks, train_jobs
from . import evaluate
from .assess import predictor

SMALL_MM, COARSE_MM = 96.0, 4.0

SHUFFLED = "Negative control"
PRIORS = "Sensitivity to the priors of the anatomy"
SCANNERS = "The same patients on another scanner"
SOURCES = "What the errors are made of"
AS_THEY_ARE = "as in the report"

_FILTER_A = {"institution.B.al_mm": 0.0, "institution.B.cu_mm": 0.0}


@dataclass(frozen=True)
class Redrawn:
    """A section of the report on external patients drawn again with other priors.

    Attributes
    ----------
    section : str
    patients : int
        The first so many of the external ones.
    changes : dict of str to dict
        Label to the changed priors, see `virtual.traits.changed_priors`.
    """

    section: str
    patients: int
    changes: dict


@dataclass(frozen=True)
class Studies:
    """Which networks are trained beside the bundle's.

    Attributes
    ----------
    curve : tuple of int
        Numbers of training patients; those beyond the cohort are left out.
    patients : int
        Training patients of the base of the ablations.
    images_seen : int
        Images each network is trained on, repeats counted.
    times : int
        How often the published study showed each image, changed: here as random cuts,
        each changed anew a dozen times.
    shuffles, shuffled_seen : int
        Networks that learn from the labels of other patients, each from another
        shuffle, and images each of them is trained on. One alone says little: its answer
        hardly varies, and what is left of a slope has a sign, so that its r is not near 0.
    redrawn : tuple of Redrawn
        What is judged on external patients drawn again.
    """

    curve: tuple = (25, 50, 100, 200, 400, 600)
    patients: int = 100
    images_seen: int = 36_000
    times: int = 60
    shuffles: int = 5
    shuffled_seen: int = 12_000
    redrawn: tuple = (
        Redrawn(
            PRIORS,
            24,
            {
                "posterior share, SD doubled": {"realistic.posterior_share_sd": 0.04},
                "shell a seventh thinner": {
                    "realistic.cortex_mm": {"F": (0.385, 0.05), "M": (0.37, 0.05)}
                },
                "shell not tied to trabecular density": {"realistic.cortex_tie": 0.0},
                "marrow fat, SD doubled": {"realistic.marrow_fat_sd": 0.14},
            },
        ),
        Redrawn(
            SCANNERS,
            50,
            {
                "the filter of A": dict(_FILTER_A),
                "slices of 5 mm": {"institution.B.thickness_mm": [5.0]},
                # Twice, so that as much is drawn as from B's two kernels and two voltages.
                "the kernel of A": {"institution.B.kernel": ["standard", "standard"]},
                "all of the scanner of A": {
                    **_FILTER_A,
                    "institution.B.thickness_mm": [5.0],
                    "institution.B.kernel": ["standard", "standard"],
                    "institution.B.kvp": [120, 120],
                    "institution.B.noise_hu": [8.0, 16.0],
                    "institution.B.pixel_mm": [0.90, 1.00],
                },
            },
        ),
        Redrawn(
            SOURCES,
            50,
            {
                "a DXA that soft tissue and marrow do not disturb": {"dxa.soft_tissue_error": 0.0},
                "marrow fat by age and sex alone": {"realistic.marrow_fat_sd": 0.0},
                "no wear or deformity": {
                    "realistic.osteophyte_mm": 0.0,
                    "realistic.facets_a_decade": {"F": 0.0, "M": 0.0},
                    "realistic.deformity_share": 0.0,
                    "realistic.schmorl_share": 0.0,
                    "realistic.sclerosis_share": 0.0,
                    "realistic.calcification_share": 0.0,
                    "realistic.scoliosis_share": 0.0,
                },
                "the same shares of mineral in everybody": {
                    "realistic.endplate_factor": (1.4, 0.0),
                    "realistic.posterior_share_sd": 0.0,
                    "realistic.arch_level_sd": 0.0,
                    "realistic.cortex_mm": {"F": (0.45, 0.0), "M": (0.43, 0.0)},
                    "realistic.arch": (1.06, 0.0),
                },
                "no texture, gradient or difference of levels": {
                    "bone.texture": (0.0, 0.0),
                    "bone.gradient_w": (0.34, 0.0),
                    "bone.gradient_v": (-0.15, 0.0),
                    "bone.gradient_r": (0.24, 0.0),
                    "realistic.level_sd": 0.0,
                },
            },
        ),
    )


@dataclass
class Study:
    """One network of the studies.

    Attributes
    ----------
    section, label : str
        Where its figures stand in the report.
    job : Job
    patients : int
        Training patients.
    """

    section: str
    label: str
    job: Job
    patients: int


@dataclass(frozen=True)
class Tools:
    """What the studies work with, whatever they ask.

    Attributes
    ----------
    work : Path
    load : callable(path) -> record
    say : callable(str)
    progress : callable(fraction, text)
    device : str
    workers : int or None
        Processes.
    """

    work: Path
    load: Callable
    say: Callable
    progress: Callable | None = None
    device: str = "cpu"
    workers: int | None = None


def run_studies(plan, sources, tables, tools: Tools) -> dict:
    """Train and judge the studies' networks.

    Parameters
    ----------
    plan : plan.Plan
        Its `studies` says which.
    sources : dict of str to list of Path
        Training patients: 'wide', 'wide_A' (one scanner), 'paper' (realistic
        patients of one institution) and 'held' (anatomies kept back).
    tables : dict of str to evaluate.Table
        'internal', 'external' and 'held', standard images.
    tools : Tools

    Returns
    -------
    dict of str to dict of str to dict
        Section, label: figures of `judge`.
    """
    studies = []
    for section, label, paths, how in questions(plan, sources):
        tools.say(f"{section}: {label}, cutting images")
        job = _job(plan, label, paths, how, tools)
        studies.append(Study(section, label, job, len(paths)))
    jobs = [study.job for study in studies]
    members = train_jobs(jobs, tools.work / "studies", tools.device, tools.workers, tools.say)
    if ranks()[0] > 0:
        return {}

    out, cut = {}, {plan.standard: tables}
    for study, weights in zip(studies, members, strict=True):
        standard = study.job.standard
        if standard not in cut:
            tools.say(f"cutting test images for '{study.label}'")
            cut[standard] = {
                name: evaluate.read_table([Path(x) for x in table.names], tools.load, standard)
                for name, table in tables.items()
            }
        section = out.setdefault(study.section, {})
        section[study.label] = {
            "patients": study.patients,
            **judge([weights], standard, cut[standard], plan.draws),
        }
        if study.label.startswith("base"):
            # The same network, shown the middle image of a level alone.
            alone = {name: middle_images(table) for name, table in tables.items()}
            section["one image a level instead of three"] = {
                "patients": study.patients,
                **judge([weights], standard, alone, plan.draws),
            }
    return out


def questions(plan, sources) -> list[tuple]:
    """(section, label, training patients, what is otherwise than in the base) of each network."""
    studies = plan.studies
    cuts = max(studies.times // 12, 1)
    base = sources["wide"][: studies.patients]
    ablations = (
        (f"base: {studies.patients} patients", base, {}),
        ("without augmentation", base, {"augmentation": Augmentation.none()}),
        ("images of 96 mm instead of 128", base, {"standard": small(plan.standard)}),
        ("pixels of 4 mm instead of 2", base, {"standard": coarse(plan.standard)}),
        ("one scanner (institution A) in training", sources["wide_A"], {}),
    )
    paper = (
        f"{len(sources['paper'])} realistic patients of institution A, each image x{studies.times}"
    )
    return [
        *(
            ("Learning curve", f"{n} patients", sources["wide"][:n], {})
            for n in curve_sizes(studies, len(sources["wide"]))
        ),
        *(("Ablations", *ablation) for ablation in ablations),
        (
            "Design of the published study",
            paper,
            sources["paper"],
            {"count": cuts, "epochs": studies.times // cuts},
        ),
        *((SHUFFLED, f"shuffle {n}", base, _shuffling(plan, n)) for n in range(studies.shuffles)),
    ]


def _job(plan, label, paths, how, tools) -> Job:
    """The training of one of the `questions`."""
    standard = how.get("standard", plan.standard)
    images = cached_images(
        paths,
        tools.load,
        tools.work / "images" / "train",
        standard,
        variation=plan.variation,
        count=how.get("count", plan.images_per_plane),
        progress=tools.progress,
    )
    if "shuffle" in how:
        images = shuffled(images, how["shuffle"])
    seen = how.get("seen", plan.studies.images_seen)
    epochs = how.get("epochs", max(1, round(seen / len(images))))
    settings = replace(plan.settings, epochs=epochs)
    augmentation = how.get("augmentation", plan.augmentation)
    name = _plain(label).strip("_")
    return Job(name, images, None, standard, 0, settings, augmentation)


def _plain(label: str) -> str:
    return "".join(x if x.isalnum() else "_" for x in label)


def _shuffling(plan, number) -> dict:
    """How a network of the negative control is trained."""
    return {
        "shuffle": number,
        "seen": plan.studies.shuffled_seen,
        # A change of mineral carries its label with it, and would teach what is to be unlearned.
        "augmentation": replace(plan.augmentation, mineral=0.0),
    }


def curve_sizes(studies: Studies, available: int) -> list[int]:
    """Sizes of the learning curve that the cohort allows; all of it is always one of them."""
    return sorted({min(n, available) for n in studies.curve})


def judge(members, standard, tables, draws=1000) -> dict:
    """Figures on the tested patients and the response to mineral of some networks."""
    predict, out = predictor(members, standard), {}
    for name in ("internal", "external"):
        answer = evaluate.predict_table(predict, tables[name])
        out[name] = evaluate.figures(answer.total, tables[name].total, draws=draws)
    held = evaluate.predict_table(predict, tables["held"])
    out["response"] = evaluate.response(held, tables["held"])[0]
    return out


def shuffled(images: Images, seed: int) -> Images:
    """The images with the labels of other patients; a patient's images stay together."""
    rng = np.random.default_rng(seed)
    present = np.unique(images.patient)
    mean = {p: images.bmd[images.patient == p].mean() for p in present}
    other = dict(zip(present, rng.permutation(present), strict=True))
    bmd = np.array([mean[other[p]] for p in images.patient], np.float32)
    return replace(images, bmd=bmd)


def middle_images(table: evaluate.Table) -> evaluate.Table:
    """The table with only the middle image of each level."""
    return replace(
        table,
        images=[
            {level: hu[len(hu) // 2][None] for level, hu in images.items()}
            for images in table.images
        ],
    )


def judge_redrawn(plan, members, base, make_cohort, tools: Tools) -> dict:
    """How the bundle answers where one thing of the external patients is another.

    They are drawn again from the same seeds, and the same random numbers, with some
    priors changed; nothing is trained anew.

    Parameters
    ----------
    plan : plan.Plan
    members : list of dict
        Weights by name.
    base : evaluate.Table
        The external patients as they are.
    make_cohort : callable
        `virtual.cohort.make_cohort`.
    tools : Tools

    Returns
    -------
    dict of str to dict of str to dict
        Section, label: figures of the CNN; 'change' of its error from the same patients as
        they were, g/cm2 (mean, low, high); by how much their DXA is another, % (mean, SD);
        r of trabecular HU and of slice DXA.
    """
    out = {}
    for study in plan.studies.redrawn:
        tables = {AS_THEY_ARE: base.first(study.patients)}
        for label, changes in study.changes.items():
            tools.say(f"{study.section}: {label}")
            paths = _redraw(plan, study, label, changes, make_cohort, tools)
            tables[label] = evaluate.read_table(paths, tools.load, plan.standard)
        out[study.section] = _redrawn_figures(plan, members, tables)
    return out


def _redraw(plan, study, label, changes, make_cohort, tools):
    part = plan.parts["external"]
    return make_cohort(
        tools.work / "cohort" / f"prior_{_plain(label)}",
        study.patients,
        part.seed,
        population=part.population,
        institution=part.institution,
        workers=tools.workers,
        progress=tools.progress,
        changes=changes,
    )[: study.patients]


def _redrawn_figures(plan, members, tables) -> dict:
    predict = predictor(members, plan.standard)
    rows, error = {}, {}
    for label, table in tables.items():
        answer = evaluate.predict_table(predict, table)
        error[label] = answer.total - table.total
        # The mean difference of two errors is the 'bias' of the one against the other.
        change = evaluate.figures(error[label], error[AS_THEY_ARE], draws=plan.draws)
        moved = 100 * (table.total / tables[AS_THEY_ARE].total - 1)
        rows[label] = {
            "patients": len(table),
            "dxa_moved_percent": (float(moved.mean()), float(moved.std(ddof=1))),
            "CNN": evaluate.figures(answer.total, table.total, draws=plan.draws),
            "change": change["bias"],
            "trabecular HU r": float(np.corrcoef(table.hu, table.total)[0, 1]),
            "slice DXA r": float(np.corrcoef(table.slice_dxa, table.total)[0, 1]),
        }
    return rows


def small(standard):
    """Image geometry of `SMALL_MM`."""
    return replace(
        standard,
        size_px=8 * round(SMALL_MM / standard.spacing_mm / 8),
        anterior_mm=standard.anterior_mm - (standard.size_px * standard.spacing_mm - SMALL_MM) / 4,
    )


def coarse(standard):
    """Image geometry with pixels of `COARSE_MM`."""
    return replace(
        standard,
        spacing_mm=COARSE_MM,
        size_px=8 * round(standard.size_px * standard.spacing_mm / COARSE_MM / 8),
    )
