"""The same training and report on a hospital's own CT and DXA: `reproduce --cohort patients.csv`."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from CTBMDLib.bundle import ModelBundle, default_bundle_folder, save_bundle
from CTBMDLib.cases import open_case
from CTBMDLib.errors import CTBMDError
from CTBMDLib.levels import MEASURED
from CTBMDLib.pairs import Pair, read_pairs

from . import evaluate

SHARES = (("train", 0.7), ("validation", 0.8), ("test", 1.0))
"""Where a patient without a split goes, by a hash of the case's name."""


@dataclass
class HospitalRecord:
    """A patient as `dataset` and `evaluate` read one; see `cohort.PatientRecord`."""

    slabs: dict
    slices: dict
    bmd: dict
    bmd_total: float
    anatomy_id: str
    sex: str | None
    age_years: float | None
    bmi: None = None


def load_pair(pair: Pair) -> HospitalRecord:
    """Read a CT, choose its levels and put its DXA beside it.

    Where only L1-L4 was measured each level is labelled with it.

    Raises
    ------
    CTBMDError
    """
    volume, selection = open_case(pair.path, levels=pair.levels)
    bmd = pair.bmd or dict.fromkeys(MEASURED, pair.total)
    slices = {x.level: x for x in selection if x.level in bmd and volume.contains(x.ras)}
    if not slices:
        raise CTBMDError(f"{pair.case}: none of the levels measured by DXA was found in the CT.")
    facts = volume.acquisition
    return HospitalRecord(
        dict.fromkeys(slices, volume),
        slices,
        {level: bmd[level] for level in slices},
        pair.total,
        pair.case,
        pair.sex or facts.sex,
        facts.age_years if pair.age is None else pair.age,
    )


def split_of(pairs: list[Pair]) -> dict[str, list[Pair]]:
    """Patients by their part; never one patient in two.

    A given `split` counts; other institutions than the most frequent one are
    'external'; the rest is dealt out by a hash of the case, so that adding
    patients moves nobody.
    """
    named = Counter(pair.institution for pair in pairs if pair.institution)
    home = named.most_common(1)[0][0] if named else None
    parts: dict[str, list[Pair]] = {"train": [], "validation": [], "test": [], "external": []}
    for pair in pairs:
        part = pair.split
        if part is None and pair.institution not in (None, home):
            part = "external"
        if part is None:
            place = int(hashlib.sha256(pair.case.encode()).hexdigest()[:8], 16) / 2**32
            part = next(name for name, limit in SHARES if place < limit)
        parts[part].append(pair)
    return parts


def run_hospital(table, plan, work: Path, results: Path, options, say) -> int:
    """Train on a hospital's patients, starting from the bundle that comes with CTBMD."""
    from .report import write_report
    from .reproduce import assess, make_card, train_members, training_images

    started = time.time()
    parts = split_of(read_pairs(table, least=20))
    for name, least in (("train", 10), ("validation", 5), ("test", 5)):
        if len(parts[name]) < least:
            raise CTBMDError(
                f"Only {len(parts[name])} patients fall to '{name}', at least {least} are needed; "
                "add patients or set the column 'split'."
            )
    index = {}
    for name, pairs in parts.items():
        for number, pair in enumerate(pairs):
            digest = hashlib.sha256(f"{pair.case}|{pair.path}".encode()).hexdigest()[:8]
            index[f"{name}-{number:04d}-{digest}"] = pair

    def load(path):
        return load_pair(index[Path(path).name])

    paths = {name: [Path(key) for key in index if key.startswith(f"{name}-")] for name in parts}
    counts = ", ".join(f"{name} {len(items)}" for name, items in paths.items())
    say(f"patients: {counts}")
    train, valid = training_images(plan, work, paths["train"], paths["validation"], load)
    try:
        initial = ModelBundle.load(default_bundle_folder()).members
    except CTBMDError:
        initial = None
    members = train_members(plan, train, valid, work, "cpu", initial)
    tables = {"validation": evaluate.read_table(paths["validation"], load, plan.standard)}
    tables["internal"] = evaluate.read_table(paths["test"], load, plan.standard)
    tested = ["internal"]
    if paths["external"]:
        tables["external"] = evaluate.read_table(paths["external"], load, plan.standard)
        tested.append("external")
    plan = replace(plan, name="hospital", version="1.0.0", date=time.strftime("%Y-%m-%d"))
    report = assess(plan, members, tables, tested)
    report["patients"] = {"train": len(paths["train"]), **{k: len(v) for k, v in tables.items()}}
    report["images"] = len(train)
    report["hours"] = (time.time() - started) / 3600
    report["range"] = [float(train.bmd.min()), float(train.bmd.max())]
    card = make_card(plan, report, "patients")
    card["dxa_devices"] = sorted({p.dxa_device for p in index.values() if p.dxa_device})
    card["scanners"] = "those of the hospital's own CT"
    card["reproduce"] = f"python -m training.reproduce --cohort {Path(table).name}"
    folder = options.bundle or work / "bundle"
    save_bundle(folder, card, members, overwrite=True)
    write_report(results, report, tables, title="the hospital's own patients")
    say(f"bundle in {folder}, report in {results}")
    return 0
