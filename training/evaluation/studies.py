"""What the result owes to what: learning curve, ablations, negative controls, redrawn patients.

Every network of the first three sees the same number of images and has one seed, so
that a row differs from the base in what its name says and in nothing else but luck:
differences smaller than the intervals mean nothing. Only the published study's design
keeps its own number, each image sixty times.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from CTBMDLib.model.network import predict_numpy

from ..fitting.augment import Augmentation
from ..fitting.dataset import Images, cached_images
from ..fitting.jobs import Job, ranks, train_jobs
from . import evaluate

SMALL_MM, COARSE_MM = 96.0, 4.0

SHUFFLED = "Negative control"
PRIORS = "Sensitivity to the priors of the anatomy"
SCANNERS = "The same patients on another scanner"
SOURCES = "What the errors are made of"


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
                "posterior share, SD doubled": {"realistic.posterior_share": (0.50, 0.05)},
                "shell 0.38 mm instead of 0.44": {"realistic.cortex_mm": (0.38, 0.06)},
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
                    "realistic.deformity_share": 0.0,
                    "realistic.schmorl_share": 0.0,
                    "realistic.sclerosis_share": 0.0,
                    "realistic.calcification_share": 0.0,
                    "realistic.scoliosis_share": 0.0,
                },
                "the same shares of mineral in everybody": {
                    "realistic.endplate_factor": (1.65, 0.0),
                    "realistic.posterior_share": (0.50, 0.0),
                    "realistic.cortex_mm": (0.44, 0.0),
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


def run_studies(plan, work, sources, tables, device, processes, load, say, progress) -> dict:
    """Train and judge the studies' networks.

    Parameters
    ----------
    plan : reproduce.Plan
        Its `studies` says which.
    work : Path
    sources : dict of str to list of Path
        Training patients: 'wide', 'wide_A' (one scanner), 'paper' (realistic
        patients of one institution) and 'held' (anatomies kept back).
    tables : dict of str to evaluate.Table
        'internal', 'external' and 'held', standard images.

    Returns
    -------
    dict of str to dict of str to dict
        Section, label: figures of `judge`.
    """
    times = plan.studies.times
    cuts = max(times // 12, 1)
    plans = [
        *(
            ("Learning curve", f"{n} patients", sources["wide"][:n], {})
            for n in curve_sizes(plan.studies, len(sources["wide"]))
        ),
        ("Ablations", f"base: {plan.studies.patients} patients", None, {}),
        ("Ablations", "without augmentation", None, {"augmentation": Augmentation.none()}),
        ("Ablations", "images of 96 mm instead of 128", None, {"standard": _small(plan.standard)}),
        ("Ablations", "pixels of 4 mm instead of 2", None, {"standard": _coarse(plan.standard)}),
        ("Ablations", "one scanner (institution A) in training", sources["wide_A"], {}),
        (
            "Design of the published study",
            f"{len(sources['paper'])} realistic patients of institution A, each image x{times}",
            sources["paper"],
            {"count": cuts, "epochs": times // cuts},
        ),
        *(
            (SHUFFLED, f"shuffle {n}", None, _shuffling(plan, n))
            for n in range(plan.studies.shuffles)
        ),
    ]
    jobs, judged = [], []
    for section, label, paths, how in plans:
        paths = sources["wide"][: plan.studies.patients] if paths is None else paths
        standard = how.get("standard", plan.standard)
        say(f"{section}: {label}, cutting images")
        images = cached_images(
            paths,
            load,
            work / "images" / "train",
            standard,
            variation=plan.variation,
            count=how.get("count", plan.images_per_plane),
            progress=progress,
        )
        if "shuffle" in how:
            images = shuffled(images, how["shuffle"])
        seen = how.get("seen", plan.studies.images_seen)
        epochs = how.get("epochs", max(1, round(seen / len(images))))
        settings = replace(plan.settings, epochs=epochs)
        augmentation = how.get("augmentation", plan.augmentation)
        name = "".join(x if x.isalnum() else "_" for x in label).strip("_")
        jobs.append(Job(name, images, None, standard, 0, settings, augmentation))
        judged.append((section, label, standard, len(paths)))
    members = train_jobs(jobs, work / "studies", device, processes, say)
    if ranks()[0] > 0:
        return {}

    out, cut = {}, {plan.standard: tables}
    for (section, label, standard, patients), weights in zip(judged, members, strict=True):
        if standard not in cut:
            say(f"cutting test images for '{label}'")
            cut[standard] = {
                name: evaluate.read_table([Path(x) for x in table.names], load, standard)
                for name, table in tables.items()
            }
        out.setdefault(section, {})[label] = {
            "patients": patients,
            **judge([weights], standard, cut[standard], plan.draws),
        }
        if label.startswith("base"):
            # The same network, shown the middle image of a level alone.
            alone = {name: middle_images(table) for name, table in tables.items()}
            out[section]["one image a level instead of three"] = {
                "patients": patients,
                **judge([weights], standard, alone, plan.draws),
            }
    return out


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

    def predict(hu, kvp):
        return np.stack([predict_numpy(weights, hu, standard, kvp) for weights in members])

    out = {}
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


def judge_redrawn(plan, work, members, base, make_cohort, load, workers, say, progress):
    """How the bundle answers where one thing of the external patients is another.

    They are drawn again from the same seeds, and the same random numbers, with some
    priors changed; nothing is trained anew.

    Returns
    -------
    dict of str to dict of str to dict
        Section, label: figures of the CNN; 'change' of its error from the same patients as
        they were, g/cm2 (mean, low, high); by how much their DXA is another, % (mean, SD);
        r of trabecular HU and of slice DXA.
    """
    part, out = plan.parts["external"], {}

    def predict(hu, kvp):
        return np.stack([predict_numpy(weights, hu, plan.standard, kvp) for weights in members])

    for study in plan.studies.redrawn:
        tables = {"as in the report": base.first(study.patients)}
        for label, changes in study.changes.items():
            say(f"{study.section}: {label}")
            name = "prior_" + "".join(x if x.isalnum() else "_" for x in label)
            paths = make_cohort(
                work / "cohort" / name,
                study.patients,
                part.seed,
                population=part.population,
                institution=part.institution,
                workers=workers,
                progress=progress,
                changes=changes,
            )
            tables[label] = evaluate.read_table(paths[: study.patients], load, plan.standard)
        rows, error = {}, {}
        for label, table in tables.items():
            answer = evaluate.predict_table(predict, table)
            error[label] = answer.total - table.total
            # The mean difference of two errors is the 'bias' of the one against the other.
            change = evaluate.figures(error[label], error["as in the report"], draws=plan.draws)
            moved = 100 * (table.total / tables["as in the report"].total - 1)
            rows[label] = {
                "patients": len(table),
                "dxa_moved_percent": (float(moved.mean()), float(moved.std(ddof=1))),
                "CNN": evaluate.figures(answer.total, table.total, draws=plan.draws),
                "change": change["bias"],
                "trabecular HU r": float(np.corrcoef(table.hu, table.total)[0, 1]),
                "slice DXA r": float(np.corrcoef(table.slice_dxa, table.total)[0, 1]),
            }
        out[study.section] = rows
    return out


def _small(standard):
    return replace(
        standard,
        size_px=8 * round(SMALL_MM / standard.spacing_mm / 8),
        anterior_mm=standard.anterior_mm - (standard.size_px * standard.spacing_mm - SMALL_MM) / 4,
    )


def _coarse(standard):
    return replace(
        standard,
        spacing_mm=COARSE_MM,
        size_px=8 * round(standard.size_px * standard.spacing_mm / COARSE_MM / 8),
    )
