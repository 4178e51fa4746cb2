"""The same training and report on a hospital's own CT and DXA: `reproduce --cohort patients.csv`."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sklearn.linear_model import LinearRegression

from CTBMDLib.bmd.centring import centred
from CTBMDLib.bmd.reference import ReferenceTable
from CTBMDLib.bmd.structure import look_at
from CTBMDLib.cohort.cases import open_case
from CTBMDLib.dxa import common_device
from CTBMDLib.errors import CTBMDError
from CTBMDLib.levels import MEASURED
from CTBMDLib.model.bundle import ModelBundle, default_bundle_folder, save_bundle

from ..card import make_card
from ..console import bar, say
from ..evaluation import evaluate
from ..evaluation.assess import assess, predictor
from ..evaluation.report import write_report
from ..fitting.members import device_for, train_members, training_images
from .cases import Case, check_cases, counted

SHARES = (("train", 0.7), ("validation", 0.85), ("test", 1.0))
"""Where a patient without a split goes, by a hash of who it is."""

MIN_PATIENTS = {"train": 10, "validation": 9, "test": 5}
"""Fewest patients of a part. Nine, because the largest of n errors bounds the next one with
probability n / (n + 1), and the interval is to hold 90 %."""

EPOCHS, RATE = 20, 1e-3
"""Rounds through the patients' images and peak learning rate, when a trained bundle is the start."""

NAMES = {"internal": "internal test", "external": "other institutions"}

TABLES = {"validation": "validation", "internal": "test", "external": "external"}
"""The parts of the table by what the evaluation calls them."""

MIN_CLASS = 5
"""Fewest patients with and without osteoporosis for an AUC: an interval from one means nothing."""

SCOPE = (
    "they hold for its scanners, protocols, DXA devices and kind of patients, and were taken from "
    "its table as it is"
)


@dataclass
class HospitalRecord:
    """A patient as `dataset` and `evaluate` read one; see `virtual.patient.PatientRecord`."""

    slabs: dict
    slices: dict
    bmd: dict
    bmd_total: float
    anatomy_id: str
    sex: str | None
    age_years: float | None
    bmi: None = None


def load_case(case: Case) -> HospitalRecord:
    """Read a CT and put its DXA beside its levels.

    Where only L1-L4 was measured each level is labelled with it. Where the CT lacks a
    level that was measured, the total is the mean of those in both.

    Raises
    ------
    CTBMDError
    """
    pair = case.pair
    volume, selection = open_case(pair.path, levels=pair.levels)
    bmd = pair.bmd or dict.fromkeys(MEASURED, pair.total)
    # About the middle of the bodies, as `estimate` reads them.
    slices = {
        x.level: centred(volume, x, look_at(volume, x))
        for x in selection
        if x.level in bmd and x.included
    }
    whole = len(slices) == len(bmd)
    return HospitalRecord(
        dict.fromkeys(slices, volume),
        slices,
        {level: bmd[level] for level in slices},
        pair.total if whole else float(np.mean([bmd[level] for level in slices])),
        pair.case,
        case.sex,
        case.age,
    )


def split_of(cases: list[Case]) -> dict[str, list[Case]]:
    """CT by their part; never one person in two.

    Not scikit-learn's GroupShuffleSplit, in which an added patient moves others
    between the parts, and whose draw would change the weights of a resumed training.

    A given `split` counts; other institutions than the most frequent one are
    'external'; the rest is dealt out by a hash of the person, so that adding
    patients moves nobody. Only where a part would be too small are those of
    'train' that lie next to it in the hash's order moved over.
    """
    named = Counter(case.pair.institution for case in cases if case.pair.institution)
    home = named.most_common(1)[0][0] if named else None
    parts: dict[str, list[Case]] = {"train": [], "validation": [], "test": [], "external": []}
    dealt: dict[str, list[Case]] = {}
    for case in cases:
        if case.pair.split:
            parts[case.pair.split].append(case)
        elif case.pair.institution not in (None, home):
            parts["external"].append(case)
        else:
            dealt.setdefault(case.person, []).append(case)
    order = sorted(dealt, key=_place)
    part_of = {
        person: next(name for name, limit in SHARES if _place(person) < limit) for person in order
    }
    given = {name: len({case.person for case in part}) for name, part in parts.items()}
    for name in ("validation", "test"):
        lacking = MIN_PATIENTS[name] - given[name] - sum(x == name for x in part_of.values())
        spare = [person for person in order if part_of[person] == "train"]
        free = max(len(spare) + given["train"] - MIN_PATIENTS["train"], 0)
        if lacking > 0 and given[name] == 0:
            for person in spare[len(spare) - min(lacking, free, len(spare)) :]:
                part_of[person] = name
    for person in order:
        parts[part_of[person]] += dealt[person]
    return parts


def _place(person: str) -> float:
    return int(hashlib.sha256(person.encode()).hexdigest()[:8], 16) / 2**32


def too_small(parts) -> list[str]:
    """Faults of parts with too few patients."""
    faults = []
    for name, least in MIN_PATIENTS.items():
        count = len({case.person for case in parts[name]})
        if count < least:
            faults.append(
                f"{count} usable patients fall to '{name}', at least {least} are needed: add patients, "
                "or set the column 'split' or leave it empty to have them dealt out"
            )
    return faults


@dataclass(frozen=True)
class Options:
    """How a hospital's training is run.

    Attributes
    ----------
    reference : str or None
        Table of the T-scores; no AUC without one.
    device : str
    workers : int or None
        Processes.
    bundle : Path or None
        Folder for the bundle; in the work folder if None.
    """

    reference: str | None = None
    device: str = "cpu"
    workers: int | None = None
    bundle: Path | None = None


def run_hospital(
    table, plan, work: Path, results: Path, options: Options, log=say, progress=bar
) -> None:
    """Train on a hospital's patients, starting from the bundle that comes with CTBMD.

    Parameters
    ----------
    table : path
        The hospital's patients.csv.
    plan : plan.Plan
    work, results : Path
        Folders for what is kept between calls, and for the report.
    options : Options
    log : callable(str)
    progress : callable(fraction, text)

    Raises
    ------
    CTBMDError
        Where the table, its CT or the reference cannot be used; nothing was trained then.
    """
    started = time.time()
    if options.reference:
        ReferenceTable.load(options.reference)  # refused now, not after the training
    cases, parts = read_cases(table, work, log, progress)
    index = {case.digest: case for case in cases}

    def load(path):
        return load_case(index[Path(path).name])

    paths = {name: [Path(case.digest) for case in part] for name, part in parts.items()}
    start = _start()
    train, valid = training_images(
        plan, work, {"train": paths["train"]}, paths["validation"], load, progress
    )
    key = _training_key(start, paths)
    plan = site_plan(plan, start, len(train), parts["train"], key)
    device = device_for(options.device)
    log(f"training on {len(train)} images, {device}")
    members = train_members(
        plan,
        train,
        valid,
        work / f"training-{key}",
        device=device,
        log=log,
        initial=start and start.members,
        processes=options.workers,
    )
    log("evaluating")
    tables = {
        name: evaluate.read_table(paths[part], load, plan.standard)
        for name, part in TABLES.items()
        if paths[part]
    }
    tested = [name for name in ("internal", "external") if name in tables]
    report = assess(plan, members, tables, tested, options.reference, kind="patients", train=train)
    if start:
        _add_start(report, start, tables, tested, plan)
    report |= {
        "patients": {"train": len(paths["train"]), **{k: len(v) for k, v in tables.items()}},
        "images": len(train),
        "hours": (time.time() - started) / 3600,
        "range": [float(train.bmd.min()), float(train.bmd.max())],
        "scope": SCOPE,
        "names": NAMES,
        "cohort": _cohort(table, cases, _drop_weak_auc(report)),
        "findings": {case.pair.case: case.findings for case in cases if case.findings},
    }
    folder = options.bundle or work / "bundle"
    save_bundle(folder, _card(plan, report, start), members, overwrite=True)
    write_report(results, report, tables, title="the hospital's own patients")
    log(f"bundle in {folder}, report in {results}")


def read_cases(table, work: Path, log, progress) -> tuple[list[Case], dict[str, list[Case]]]:
    """The usable cases of a table and their parts; what was found in them is told.

    Raises
    ------
    CTBMDError
        Where anything of the table cannot be used, with all that is wrong with it.
    """
    cases, faults = check_cases(table, work, progress)
    parts = split_of(cases)
    faults += too_small(parts)
    if faults:
        listed = "".join(f"\n- {fault}" for fault in faults)
        raise CTBMDError(
            f"The table '{table}' cannot be used; nothing was trained:{listed}", "unusable-table"
        )
    counts = ", ".join(f"{name} {len(part)}" for name, part in parts.items())
    log(f"CT: {counts}; of {len({case.person for case in cases})} patients")
    for case in cases:
        if case.findings:
            log(f"check {case.pair.case}: {case.findings}")
    if any(case.findings for case in cases):
        log(f"the levels that were found, to be corrected: {Path(work) / 'levels'}")
    return cases, parts


def _training_key(start: ModelBundle | None, paths) -> str:
    """Other patients, labels or starting weights are another training."""
    weights = start.card["weights_sha256"] if start else ""
    trained_on = sorted(path.name for name in ("train", "validation") for path in paths[name])
    return hashlib.sha256(" ".join([weights, *trained_on]).encode()).hexdigest()[:8]


def site_plan(plan, start: ModelBundle | None, images: int, trained_on: list[Case], key: str):
    """The plan under the site's name and version, shorter where a trained bundle is the start."""
    if start:
        seen = min(plan.images_seen, EPOCHS * images)
        plan = replace(plan, images_seen=seen, settings=replace(plan.settings, rate=RATE))
    date = time.strftime("%Y-%m-%d")
    home = Counter(case.pair.institution for case in trained_on).most_common(1)[0][0]
    return replace(
        plan,
        parts={},
        studies=None,
        name=f"ctbmd-site-{home}" if home else "ctbmd-site",
        version=f"1.0.0+{date.replace('-', '')}.{key}",
        date=date,
    )


def _cohort(table, cases, findings) -> dict:
    """What the table holds, for card and report."""
    return {
        "table": Path(table).name,
        "institutions": counted(case.pair.institution for case in cases),
        "scanners": counted(case.scanner for case in cases),
        "dxa_devices": counted(case.pair.dxa_device for case in cases),
        "sex": counted(case.sex for case in cases),
        "only_L1-L4_measured": sum(not case.pair.bmd for case in cases),
        "findings": findings,
    }


def _card(plan, report, start: ModelBundle | None) -> dict:
    cohort = report["cohort"]
    card = make_card(plan, report, "patients", dxa_device=common_device(cohort["dxa_devices"]))
    card["cohort"] = cohort
    card["scanners"] = list(cohort["scanners"])
    card["dxa_devices"] = list(cohort["dxa_devices"])
    if start:
        keep = ("name", "version", "population", "weights_sha256")
        card["training"]["started_from"] = {name: start.card[name] for name in keep}
    card["reproduce"] = f"python -m training.reproduce --cohort {cohort['table']}"
    return card


def _drop_weak_auc(report) -> list[str]:
    """Take out the AUC of parts with too few of a class; sentences that say so."""
    findings = []
    for name, entry in report["tested"].items():
        low = entry["osteoporosis"]
        if low is None or min(low, entry["patients"] - low) >= MIN_CLASS:
            continue
        for values in entry.values():
            if isinstance(values, dict):
                values.pop("auc", None)
        findings.append(
            f"No AUC for {NAMES[name]}: {low} of {entry['patients']} patients have T <= -2.5, and at "
            f"least {MIN_CLASS} with and without are needed."
        )
    return findings


def _start() -> ModelBundle | None:
    try:
        return ModelBundle.load(default_bundle_folder())
    except CTBMDError:
        return None


def _add_start(report, start: ModelBundle, tables, tested, plan) -> None:
    """Figures of the bundle that the training started from: as it is, and calibrated."""
    predict = predictor(start.members, start.standard)
    answers = {name: evaluate.predict_table(predict, table).total for name, table in tables.items()}
    line = LinearRegression().fit(answers["validation"][:, None], tables["validation"].total)
    for name in tested:
        entry, table = report["tested"][name], tables[name]
        reference = report["reference"] and ReferenceTable.load(report["reference"])
        low = evaluate.osteoporosis(table, reference)
        title = f"{start.name} {start.version}"
        for label, guess in (
            (f"{title}, not trained further", answers[name]),
            (f"{title}, scale and offset only", line.predict(answers[name][:, None])),
        ):
            entry[label] = evaluate.figures(guess, table.total, low, draws=plan.draws)
