"""Make the model again from nothing: cohort, training, evaluation, report, bundle.

`python -m training.reproduce [--quick] [--studies] [--cohort patients.csv] [--work DIR]`

Every step leaves files in the work folder and is skipped where they are there, so
that a killed run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from CTBMDLib.errors import CTBMDError
from CTBMDLib.model.bundle import MAX_BYTES, save_bundle
from CTBMDLib.safefile import write_text

from .card import make_card
from .console import bar, say
from .evaluation import evaluate
from .evaluation.assess import assess
from .evaluation.report import write_report
from .evaluation.studies import Tools, judge_redrawn, run_studies
from .fitting.jobs import meet, ranks
from .fitting.members import (
    device_for,
    others,
    split_by_anatomy,
    train_members,
    training_images,
)
from .hospital.further import Options, run_hospital
from .plan import FULL, QUICK, Plan, command
from .virtual import checks, contact_sheet
from .virtual.anchors import load_anchors
from .virtual.cohort import make_cohort
from .virtual.patient import load_patient

TESTED = ("internal", "external", "asia", "several")
"""Parts that are only tested on."""
SHARED_DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"


def main(arguments=None) -> int:
    """The command line; 2 with one sentence on stderr for input that cannot be used."""
    options = parser().parse_args(arguments)
    plan = chosen_plan(options)
    work = options.work or Path("build") / ("reproduce-quick" if options.quick else "reproduce")
    work.mkdir(parents=True, exist_ok=True)
    results = options.results or work / "results"
    try:
        if options.cohort:
            how = Options(options.reference, options.device, options.workers, options.bundle)
            run_hospital(options.cohort, plan, work, results, how, say, bar)
        else:
            run(plan, work, results, options.bundle or work / "bundle", options)
    except CTBMDError as error:  # for people who do not program
        print(error, file=sys.stderr)
        return 2
    return 0


def parser() -> argparse.ArgumentParser:
    """The options of the command line."""
    made = argparse.ArgumentParser(prog="python -m training.reproduce", description=__doc__)
    add = made.add_argument
    add("--quick", action="store_true", help="a handful of patients, minutes")
    add("--cohort", type=Path, help="a hospital's own patients.csv")
    add("--work", type=Path, help="folder for cohort, images and checkpoints")
    add("--results", type=Path, help="folder for the report")
    add("--bundle", type=Path, help="folder for the bundle")
    add("--workers", type=int, help="processes for the cohort (all cores)")
    add("--device", default="auto", help="auto, cpu or cuda")
    add("--reference", help="reference table of the AUC of --cohort (none without it)")
    add("--train-patients", type=int, help="another number of training patients")
    add(
        "--studies",
        action="store_true",
        help="also networks for the report alone: learning curve, ablations, people drawn again",
    )
    return made


def chosen_plan(options) -> Plan:
    """The plan that the options ask for."""
    plan = QUICK if options.quick else FULL
    if options.train_patients:
        wide = replace(plan.parts["wide"], count=options.train_patients)
        again = plan.parts["off_middle"]
        again = replace(again, count=min(again.count, options.train_patients))
        plan = replace(plan, parts={**plan.parts, "wide": wide, "off_middle": again})
    return plan if options.studies else replace(plan, studies=None)


def run(plan: Plan, work, results, bundle_folder, options) -> dict | None:
    """Everything on virtual patients; answers the figures written to the report.

    Under `torchrun` the first process does what is not training, and answers; the
    others train their share and answer None.
    """
    clock = Clock(work / "seconds.json")
    first = ranks()[0] == 0
    if not first:
        meet()  # the cohorts and images are made once
    paths = clock.time("cohort", make_cohorts, plan, work, options.workers)
    wide, held = split_by_anatomy(paths["wide"], load_patient)
    off_middle = others(paths["off_middle"], held, load_patient)
    device = device_for(options.device)
    sources = {"train": wide, "train_off_middle": off_middle}
    train, valid = clock.time(
        "images", training_images, plan, work, sources, held, load_patient, bar
    )
    if first:
        meet()
    say(f"training on {len(train)} images of {len(wide)} patients, {device}")
    members = clock.time(
        "training",
        train_members,
        plan,
        train,
        valid,
        work,
        device=device,
        log=say,
        processes=options.workers,
    )
    tables, report = {}, {}
    if first:
        say("evaluating")
        tables = read_tables(plan, paths, held)
        report = clock.time("evaluation", assess, plan, members, tables, TESTED, train=train)
        report["anchors"] = clock.time(
            "anchors", judge_people, plan, work, results, options.workers
        )
        report["patients"] = {"train": len(wide), **{k: len(v) for k, v in tables.items()}}
        report["images"], report["scans"] = len(train), len(wide) + len(off_middle)
        # Before the studies, which take longer: a bundle is there to be tried.
        write_bundle(bundle_folder, plan, report, members)
    tools = Tools(Path(work), load_patient, say, bar, device, options.workers)
    if plan.studies is not None:
        sources = {**paths, "wide": wide}
        report["studies"] = clock.time("studies", run_studies, plan, sources, tables, tools)
    if not first:
        return None
    if plan.studies is not None:
        given = (plan, members, tables["external"], make_cohort, tools)
        report["redrawn"] = clock.time("redrawn", judge_redrawn, *given)
    report["seconds"] = clock.seconds
    write_report(results, report, tables)
    write_cohort_pages(results, work, paths)
    say(f"report in {results}; {sum(clock.seconds.values()) / 3600:.2f} hours in all")
    return report


class Clock:
    """Seconds of each stage, added up over resumed runs."""

    def __init__(self, file):
        self.file = Path(file)
        self.seconds = json.loads(self.file.read_text()) if self.file.is_file() else {}

    def time(self, stage, work, *arguments, **named):
        """Do a piece of work; its time counts also where it is broken off."""
        start = time.time()
        try:
            return work(*arguments, **named)
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.time() - start
            if ranks()[0] == 0:
                write_text(self.file, json.dumps(self.seconds), overwrite=True)


def make_cohorts(plan: Plan, work, workers: int | None) -> dict:
    """Write what is missing of every part; files by part."""
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
            workers=workers,
            progress=bar,
            changes=part.changes,
        )
    return paths


def judge_people(plan: Plan, work, results, workers=None) -> dict:
    """How the virtual people stand beside the published anchors; the table goes to the results.

    Returns
    -------
    dict
        'people', and for 'set' and 'test' how many anchors have which verdict.
    """
    file = Path(work) / "anchors.json"
    if not file.is_file():
        cohort, anchors = checks.virtual_people(plan.people, 0, bar, workers), load_anchors()
        text, verdicts = checks.report(cohort, anchors, checks.drawn(plan.people, 0))
        kept = {"text": text, "people": plan.people, **checks.counts(verdicts, anchors)}
        write_text(file, json.dumps(kept))
    kept = json.loads(file.read_text(encoding="utf-8"))
    Path(results).mkdir(parents=True, exist_ok=True)
    write_text(Path(results) / "anchors_after.txt", kept.pop("text") + "\n", overwrite=True)
    return kept


def read_tables(plan: Plan, paths, held_paths) -> dict:
    """The tables to evaluate on, by name."""
    wanted = {name: paths[name] for name in TESTED}
    # One cohort of a hundred tells the ends of the errors, which the interval is, too badly.
    several = [part for name, part in paths.items() if name.startswith("validation")]
    wanted["validation"] = [path for part in several for path in part]
    wanted["held"] = held_paths
    return {
        name: evaluate.read_table(part, load_patient, plan.standard)
        for name, part in wanted.items()
    }


def write_bundle(folder, plan: Plan, report, members) -> None:
    """Save the bundle and tell how large it is."""
    card = make_card(plan, report, "simulated", command(plan))
    save_bundle(folder, card, members, overwrite=True)
    size = sum(path.stat().st_size for path in Path(folder).iterdir())
    assert size < MAX_BYTES
    say(f"bundle in {folder} ({size / 1000:.0f} kB)")


def write_cohort_pages(results, work, paths) -> None:
    """What the virtual patients look like and how they compare with the literature.

    The sheet that shows them beside real CT stays in the work folder: pictures of
    patients are not the project's to spread.
    """
    folders = {paths[name][0].parent for name in ("validation", "internal")}
    text = checks.summary(sorted(folders))
    write_text(Path(results) / "cohort.txt", text + "\n", overwrite=True)
    records = [load_patient(path) for name in TESTED for path in paths[name][:2]]
    virtual = contact_sheet.virtual_slices(records)
    contact_sheet.draw(Path(results) / "contact_sheet.jpg", virtual, dpi=60)
    if SHARED_DATA.is_dir():
        real = contact_sheet.real_slices(SHARED_DATA)
        contact_sheet.draw(work / "contact_sheet_with_real.png", real + virtual)


if __name__ == "__main__":
    sys.exit(main())
