"""Make the model again from nothing: cohort, training, evaluation, report, bundle.

`python -m training.reproduce [--quick] [--cohort patients.csv] [--work DIR]`

Every step leaves files in the work folder and is skipped where they are there, so
that a killed run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from CTBMDLib.bmd.reference import ReferenceTable
from CTBMDLib.disclaimers import RESEARCH_USE
from CTBMDLib.errors import CTBMDError
from CTBMDLib.model.bundle import MAX_BYTES, save_bundle
from CTBMDLib.model.network import ARCHITECTURE, parameter_shapes, predict_numpy

from .evaluation import evaluate
from .evaluation.studies import judge_redrawn, run_studies
from .fitting.dataset import cached_images
from .fitting.jobs import Job, meet, pick_device, ranks, train_jobs
from .plan import FULL, QUICK, Plan

RESULTS = Path(__file__).resolve().parent / "results"
REFERENCE = "nhanes-hologic"
SHORT = {"hu": "HU", "age": "age", "female": "sex", "bmi": "BMI", "slice_dxa": "slice DXA"}


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.reproduce", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a handful of patients, minutes")
    parser.add_argument("--cohort", type=Path, help="a hospital's own patients.csv")
    parser.add_argument("--work", type=Path, help="folder for cohort, images and checkpoints")
    parser.add_argument("--results", type=Path, help="folder for the report")
    parser.add_argument("--bundle", type=Path, help="folder for the bundle")
    parser.add_argument("--workers", type=int, help="processes for the cohort (all cores)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument(
        "--reference", help="reference table of the AUC of --cohort (none without it)"
    )
    parser.add_argument("--train-patients", type=int, help="another number of training patients")
    parser.add_argument("--no-studies", action="store_true", help="only what the bundle needs")
    options = parser.parse_args(arguments)
    plan = QUICK if options.quick else FULL
    if options.train_patients:
        wide = replace(plan.parts["wide"], count=options.train_patients)
        plan = replace(plan, parts={**plan.parts, "wide": wide})
    if options.no_studies:
        plan = replace(plan, studies=None)
    work = options.work or Path("build") / ("reproduce-quick" if options.quick else "reproduce")
    work.mkdir(parents=True, exist_ok=True)
    results = options.results or work / "results"
    try:
        if options.cohort:
            from .hospital.further import run_hospital

            return run_hospital(options.cohort, plan, work, results, options, say)
        run(plan, work, results, options.bundle or work / "bundle", options)
    except CTBMDError as error:  # for people who do not program
        print(error, file=sys.stderr)
        return 2
    return 0


def say(text):
    print(time.strftime("%H:%M:%S"), text, flush=True)


def run(plan: Plan, work, results, bundle_folder, options) -> dict | None:
    """Everything on virtual patients; answers the figures written to the report.

    Under `torchrun` the first process does what is not training, and answers; the
    others train their share and answer None.
    """
    from .virtual.cohort import load_patient

    clock = Clock(work / "seconds.json")
    first = ranks()[0] == 0
    if not first:
        meet()  # the cohorts and images are made once
    paths = clock.time("cohort", make_cohorts, plan, work, options)
    train_paths, held_paths = split_by_anatomy(paths["wide"], load_patient)
    device = _device(options.device)
    train, valid = clock.time(
        "images", training_images, plan, work, train_paths, held_paths, load_patient
    )
    if first:
        meet()
    say(f"training on {len(train)} images of {len(train_paths)} patients, {device}")
    members = clock.time(
        "training", train_members, plan, train, valid, work, device, None, options.workers
    )
    tables, report = {}, {}
    if first:
        say("evaluating")
        tables = {
            name: evaluate.read_table(paths[name], load_patient, plan.standard)
            for name in ("validation", "internal", "external")
        }
        tables["held"] = evaluate.read_table(held_paths, load_patient, plan.standard)
        report = clock.time("evaluation", assess, plan, members, tables)
        report["patients"] = {"train": len(train_paths), **{k: len(v) for k, v in tables.items()}}
        report["images"] = len(train)
        # Before the studies, which take longer: a bundle is there to be tried.
        save_bundle(bundle_folder, make_card(plan, report, "simulated"), members, overwrite=True)
        size = sum(path.stat().st_size for path in Path(bundle_folder).iterdir())
        assert size < MAX_BYTES
        say(f"bundle in {bundle_folder} ({size / 1000:.0f} kB)")
    if plan.studies is not None:
        paths["wide"] = train_paths
        given = (plan, work, paths, tables, device, options.workers, load_patient, say, _bar)
        report["studies"] = clock.time("studies", run_studies, *given)
    if not first:
        return None
    if plan.studies is not None:
        from .virtual.cohort import make_cohort

        given = (plan, work, members, tables["external"], make_cohort, load_patient)
        report["redrawn"] = clock.time("redrawn", judge_redrawn, *given, options.workers, say, _bar)
    report["seconds"] = clock.seconds
    from .evaluation.report import write_report

    write_report(results, report, tables)
    write_cohort_pages(results, work, paths)
    say(f"report in {results}; {sum(clock.seconds.values()) / 3600:.2f} hours in all")
    return report


class Clock:
    """Seconds of each stage, added up over resumed runs."""

    def __init__(self, file):
        self.file = Path(file)
        self.seconds = json.loads(self.file.read_text()) if self.file.is_file() else {}

    def time(self, stage, work, *arguments):
        start = time.time()
        try:
            return work(*arguments)
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.time() - start
            if ranks()[0] == 0:
                self.file.write_text(json.dumps(self.seconds))


def make_cohorts(plan: Plan, work, options) -> dict:
    """Write what is missing of every part; files by part."""
    from .virtual.cohort import make_cohort

    paths = {}
    for name, part in plan.parts.items():
        if plan.studies is None and name in ("paper", "wide_A"):
            continue
        say(f"cohort {name}: {part.count} virtual patients")
        paths[name] = make_cohort(
            work / "cohort" / name,
            part.count,
            part.seed,
            population=part.population,
            institution=part.institution,
            workers=options.workers,
            progress=_bar,
        )
    return paths


def write_cohort_pages(results, work, paths) -> None:
    """What the virtual patients look like and how they compare with the literature.

    The sheet that shows them beside real CT stays in the work folder: pictures of
    patients are not the project's to spread.
    """
    from .virtual import checks, contact_sheet
    from .virtual.cohort import load_patient

    folders = {paths[name][0].parent for name in ("validation", "internal")}
    text = checks.summary(sorted(folders))
    (Path(results) / "cohort.txt").write_text(text + "\n", encoding="utf-8")
    records = [load_patient(path) for path in (*paths["internal"][:2], *paths["external"][:2])]
    virtual = contact_sheet.virtual_slices(records)
    contact_sheet.draw(Path(results) / "contact_sheet.jpg", virtual, dpi=60)
    data = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    if data.is_dir():
        real = contact_sheet.real_slices(data)
        contact_sheet.draw(work / "contact_sheet_with_real.png", real + virtual)


def split_by_anatomy(paths, load):
    """Nine tenths of the anatomies to train, one tenth held out; never one anatomy in both."""
    anatomy = [load(path).anatomy_id for path in paths]
    order = list(dict.fromkeys(anatomy))
    held = set(order[:: max(min(10, len(order)), 2)])
    train = [path for path, name in zip(paths, anatomy, strict=True) if name not in held]
    return train, [path for path, name in zip(paths, anatomy, strict=True) if name in held]


def training_images(plan, work, train_paths, held_paths, load):
    """Random images to train on and standard images of the held-out anatomies."""
    train = cached_images(
        train_paths,
        load,
        work / "images" / "train",
        plan.standard,
        variation=plan.variation,
        count=plan.images_per_plane,
        progress=_bar,
    )
    valid = cached_images(
        held_paths, load, work / "images" / "held", plan.standard, variation=None, count=1
    )
    return train, valid


def train_members(
    plan: Plan, train, valid, work, device, initial=None, processes=None
) -> list[dict]:
    """One member a seed, each resumable; `initial` holds weights to start them from."""
    epochs = max(1, round(plan.images_seen / len(train)))
    settings = replace(plan.settings, epochs=epochs)
    jobs = [
        Job(
            f"member{seed}",
            train,
            valid,
            plan.standard,
            seed,
            settings,
            plan.augmentation,
            initial[index % len(initial)] if initial else None,
        )
        for index, seed in enumerate(plan.seeds)
    ]
    return train_jobs(jobs, work, device, processes, say)


def predictor(members, standard):
    """A function from images to the members' answers, by the NumPy path users run."""
    return lambda hu, kvp: np.stack(
        [predict_numpy(weights, hu, standard, kvp) for weights in members]
    )


def assess(
    plan: Plan,
    members,
    tables,
    tested=("internal", "external"),
    reference=REFERENCE,
    kind="simulated patients",
) -> dict:
    """Figures, baselines, controls and coverage of an ensemble.

    Parameters
    ----------
    tables : dict of str to evaluate.Table
        'validation' fits the baselines and sets the interval; 'held' gives the response.
    reference : str or None
        Table of the T-scores that the AUC goes by; no AUC without one.
    kind : str
        What the patients are, for the card.
    """
    from .evaluation.baselines import Linear

    reference = reference and ReferenceTable.load(reference)
    predict = predictor(members, plan.standard)
    answers = {name: evaluate.predict_table(predict, table) for name, table in tables.items()}
    # The interval is for people, so it is set on the realistic patients, not the wide ones.
    interval = evaluate.interval_of(answers["validation"], tables["validation"], kind=kind)
    fitted = tables["validation"]
    baselines = {}
    for name, wanted in (
        ("trabecular HU", ("hu",)),
        ("HU + age + sex + BMI", ("hu", "age", "female", "bmi")),
        ("slice DXA", ("slice_dxa",)),
    ):
        known = [
            x for x in wanted if all(np.isfinite(getattr(t, x)).all() for t in tables.values())
        ]
        if len(known) < len(wanted):
            name = " + ".join(SHORT[x] for x in known)
        if not known:
            continue
        baselines[name] = (known, Linear().fit(_columns(fitted, known), fitted.total))
    report = {"plan": _plan_dict(plan), "interval": interval, "tested": {}}
    report["reference"] = reference and reference.name
    for name in tested:
        table, answer = tables[name], answers[name]
        low = evaluate.osteoporosis(table, reference)
        count = None if low is None else int(low.sum())
        known = np.isfinite(table.levels)
        entry = {
            "patients": len(table),
            "osteoporosis": count,
            "CNN": evaluate.figures(answer.total, table.total, low, draws=plan.draws),
            "CNN, single vertebrae": evaluate.figures(
                answer.levels[known], table.levels[known], draws=plan.draws
            ),
            "coverage": evaluate.coverage(answer, table, interval),
            "prediction": [float(x) for x in answer.total],
        }
        for title, (names, model) in baselines.items():
            guess = model.predict(_columns(table, names))
            entry[title] = evaluate.figures(guess, table.total, low, draws=plan.draws)
        blind = evaluate.predict_table(lambda hu, kvp: predict(mask_bone(hu), kvp), table)
        entry["CNN, bone masked out"] = evaluate.figures(
            blind.total, table.total, low, draws=plan.draws
        )
        report["tested"][name] = entry
    if "held" in tables:
        slope, groups = evaluate.response(answers["held"], tables["held"])
        off = 100 * np.log(answers["held"].total / tables["held"].total)
        report["response"] = {
            "slope": slope,
            "anatomies": groups,
            "error_percent": (float(off.mean()), float(off.std(ddof=1) / np.sqrt(len(off)))),
        }
        known = np.isfinite(tables["held"].levels)
        report["range"] = [
            float(np.round(np.min(tables["held"].levels[known]), 2)),
            float(np.round(np.max(tables["held"].levels[known]), 2)),
        ]
    return report


def _columns(table, names):
    return np.column_stack([getattr(table, name) for name in names])


def mask_bone(hu):
    """Images with everything denser than soft tissue set to soft tissue: a negative control."""
    return np.where(hu > 80, 50, hu).astype(np.float32)


def make_card(plan: Plan, report: dict, population: str) -> dict:
    """The bundle's card."""
    metrics = {}
    for name, entry in report["tested"].items():
        metrics[name] = {
            "patients": entry["patients"],
            "kind": "simulated CT against simulated DXA"
            if population == "simulated"
            else "CT against DXA of the site's own table",
            "L1-L4": entry["CNN"],
            "single_vertebrae": entry["CNN, single vertebrae"],
            "interval_coverage": entry["coverage"],
        }
    card = {
        "name": plan.name,
        "version": plan.version,
        "date": plan.date,
        "population": population,
        "title": "Areal BMD of a lumbar vertebra from one axial CT image",
        "use": RESEARCH_USE,
        "image": plan.standard.to_dict(),
        "interval": report["interval"],
        "bmd_range_g_cm2": report.get("range"),
        "training": {
            "patients": report["patients"]["train"],
            "images": report["images"],
            "images_seen": plan.images_seen,
            "settings": {k: v for k, v in asdict(plan.settings).items() if k != "epochs"},
            "augmentation": asdict(plan.augmentation),
            "variation": asdict(plan.variation),
            "seeds": list(plan.seeds),
            "parameters_per_member": int(sum(np.prod(s) for s in parameter_shapes().values())),
        },
        "metrics": metrics,
    }
    if population == "simulated":
        card["training"]["kind"] = (
            "simulated CT and simulated DXA of virtual patients of known mineral content; mineral, "
            "size and age drawn independently and wider than life"
        )
        card["scanners"] = (
            "simulated: tube voltage, filtration, kernel, slice thickness, noise, pixel size, scatter "
            "and bowtie drawn at random (institution 'mixed' of training/virtual/priors.toml); tested "
            "on institutions A and B"
        )
        card["reproduce"] = _command(plan)
        card["cohorts"] = report["plan"]["parts"]
    return {key: value for key, value in card.items() if value is not None}


def _command(plan):
    """The call that makes a bundle of this plan again."""
    words = ["python -m training.reproduce"]
    whole = QUICK if plan.name == QUICK.name else FULL
    if whole is QUICK:
        words.append("--quick")
    count = plan.parts["wide"].count
    if count != whole.parts["wide"].count:
        words.append(f"--train-patients {count}")
    return " ".join(words)


def _plan_dict(plan):
    return json.loads(json.dumps({**asdict(plan), "architecture": ARCHITECTURE}))


def _device(wanted):
    import torch

    device = pick_device(wanted)
    if device == "cpu":
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    return device


def _bar(fraction, text):
    if sys.stderr.isatty():
        end = "\n" if fraction >= 1 else ""
        print(f"\r[{'#' * int(30 * fraction):<30}] {text}", end=end, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
