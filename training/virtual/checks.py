"""The published anchors beside the virtual people's own figures, and what fails.

`python -m training.virtual.checks --people N [--seed S]` draws N virtual people, measures
them without noise and prints every anchor of `anchors.toml` beside their own figure with
its standard error; anchors that may be set by and anchors that test stand apart.
`python -m training.virtual.checks FOLDER [FOLDER ...]` does the same with a cohort of files,
as far as those hold what is needed, after a summary of aBMD and HU by sex and age. All
figures are simulated. It is a report: it exits 0, with `--strict` 1 where not all passes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from CTBMDLib.bmd.roi import trabecular_hu
from CTBMDLib.dxa import HOLOGIC, Scale
from CTBMDLib.errors import CTBMDError

from ..processes import results
from .anchors import FILE, Anchor, load_anchors
from .estimates import Cohort
from .measures import measure_person, stratified_traits
from .patient import load_patient
from .revision import revision, revision_of
from .traits import Traits

# NHANES L1-L4 aBMD (Hologic), mean and SD g/cm2, by decade from 20 (PMC12995607, table 3).
NHANES = {
    "F": ((1.064, 0.106), (1.065, 0.110), (1.056, 0.134), (0.993, 0.141), (0.952, 0.142), (0.902, 0.167)),
    "M": ((1.057, 0.110), (1.042, 0.117), (1.051, 0.129), (1.053, 0.143), (1.070, 0.142), (1.068, 0.177)),
}  # fmt: skip

ALL_VERDICTS = {
    "pass": "inside the accepted band",
    "open": "outside, but by less than two standard errors: more people would tell",
    "FAIL": "outside by more",
    "-": "not judged: no such people, or not in what was measured",
}


def jang_hu(age: float) -> float:
    """Mean L1 HU at 120 kV by age: 226 under 30, falling evenly to 89 at 90 (Jang 2019)."""
    return float(np.interp(age, (25, 90), (226, 89)))


def patients(folders):
    """Records of the folders, one after the other, in the order of their paths."""
    for path in sorted(p for folder in folders for p in Path(folder).glob("*.npz")):
        yield load_patient(path)


def l1_hu(record) -> float:
    """Trabecular HU of L1 of a patient scanned at 120 kVp, as published HU are; NaN of others."""
    if "L1" not in record.slabs or record.protocol.get("kvp") != 120:
        return np.nan
    hu = trabecular_hu(record.slabs["L1"], record.slices["L1"])
    return np.nan if hu is None else hu


def hologic(record, bmd: float) -> float:
    """Areal BMD of a patient in a Hologic's g/cm2, whatever device it was simulated for."""
    return Scale(record.device, HOLOGIC.name).value(bmd)


def summary(folders) -> str:
    """Areal BMD (Hologic) and HU (120 kVp) by sex and age over all patients, as text."""
    rows = []
    for record in patients(folders):
        mean, sd = NHANES[record.sex][int(min(max((record.age_years - 20) // 10, 0), 5))]
        rows.append(
            (
                record.sex,
                record.age_years,
                hologic(record, record.bmd_total_true),
                (hologic(record, record.bmd_total_true) - mean) / sd,
                l1_hu(record),
            )
        )
    if not rows:
        return "no patients in these folders"
    lines = ["sex   age     n  aBMD g/cm2  z (NHANES)  L1 HU  Jang 2019"]
    sex, age, bmd, z, hu = (np.array(column) for column in zip(*rows, strict=True))
    for s in ("F", "M"):
        for low, high in ((20, 40), (40, 60), (60, 91), (20, 91)):
            use = (sex == s) & (age >= low) & (age < high)
            if use.any():
                seen = hu[use][np.isfinite(hu[use])]
                own = f"{seen.mean():5.0f}" if seen.size else "    -"
                lines.append(
                    f"{s}    {low}-{high - 1:<3} {use.sum():4d}  {bmd[use].mean():10.3f}"
                    f"  {z[use].mean():+10.2f}  {own}"
                    f"  {np.mean([jang_hu(a) for a in age[use]]):9.0f}"
                )
    known = np.isfinite(hu)
    if known.sum() > 3:
        r = np.corrcoef(hu[known], bmd[known])[0, 1]
        slope = np.polyfit(age[known], hu[known], 1)[0]
        lines.append(f"HU of L1 against simulated aBMD: r {r:.2f} (n {known.sum()})")
        lines.append(f"HU of L1 by age: {slope:+.2f} a year")
    return "\n".join(lines)


def virtual_people(count: int, seed: int, progress=None, workers: int | None = None) -> Cohort:
    """Draw and measure people of the realistic population, on all cores.

    Parameters
    ----------
    count, seed : int
        So many Western people, and half as many East Asian ones.
    progress : callable or None
        progress(fraction, text).
    workers : int or None
        Processes; None uses all cores.
    """
    todo = [("western", t) for t in stratified_traits(count, seed)]
    todo += [("east-asian", t) for t in stratified_traits(count // 2, seed, "east-asian")]
    measured = []
    jobs = [(person, 100_000 * seed + n) for n, (_, person) in enumerate(todo)]
    for found in results(measure_person, jobs, workers):
        measured.append(found)
        if progress is not None:
            done = len(measured)
            progress(done / len(todo), f"{done} of {len(todo)} virtual people")
    return by_descent([traits for _, traits in todo], measured, seed)


def by_descent(
    traits: list[Traits], measured: list[dict], seed: int = 0, alike: bool = True
) -> Cohort | None:
    """People of each descent beside their own anchors; None without any.

    `alike`: see `Cohort.of`. Wide people are nobody's: they are drawn independently of each other's traits, and left out.
    """
    cohorts = []
    for people in ("western", "east-asian"):
        own = [n for n, one in enumerate(traits) if one.descent == people]
        if own:
            chosen = [traits[n] for n in own], [measured[n] for n in own]
            cohorts.append(Cohort.of(*chosen, seed, people, alike))
    if not cohorts:
        return None
    cohorts[0].others.update({other.people: other for other in cohorts[1:]})
    return cohorts[0]


def people_of(folders) -> Cohort:
    """What a cohort's files tell of its patients; HU only where scanned at 120 kVp.

    Areal BMD of a Lunar becomes a Hologic's, whose g/cm2 the anchors are in. Of people that
    another revision of the simulator made, means are those of the people in a group.

    Raises
    ------
    CTBMDError
        Where the folders hold nobody of the realistic population.
    """
    traits, measured = [], []
    for record in patients(folders):
        traits.append(Traits(**record.facts["traits"]))
        bmd = {
            f"abmd_L{n}": hologic(record, record.bmd_true.get(f"L{n}", np.nan)) for n in range(1, 5)
        }
        measured.append(
            bmd
            | {
                "l1_hu": l1_hu(record),
                "abmd": hologic(record, record.bmd_total_true),
                "l1_l2_step": bmd["abmd_L2"] - bmd["abmd_L1"],
                "marrow_fat": 100 * record.facts["traits"]["marrow_fat"],
            }
        )
    alike = all(revision_of(folder) == revision() for folder in folders)
    cohort = by_descent(traits, measured, alike=alike)
    if cohort is None:
        raise CTBMDError(
            "These folders hold no virtual patients of the realistic population.", "no-patients"
        )
    return cohort


def verdict(anchor: Anchor, value: float, error: float) -> str:
    """One of `ALL_VERDICTS`."""
    if not np.isfinite(value):
        return "-"
    if anchor.low <= value <= anchor.high:
        return "pass"
    beyond = max(anchor.low - value, value - anchor.high)
    return "open" if beyond < 2 * error else "FAIL"


def _row(anchor: Anchor, cohort: Cohort) -> tuple[str, str]:
    """A line of the table, and its verdict."""
    value, error, _ = cohort.figure(anchor)
    both = float(np.hypot(error, anchor.se or 0.0))
    # Traits whose mean is known of many have no error of their own worth a z.
    z = f"{(value - anchor.value) / both:+6.1f}" if both > 1e-6 * abs(anchor.value) else "     -"
    mark = verdict(anchor, value, error)
    digits = 3 if anchor.unit == "g/cm2" else 2 if anchor.unit in ("1", "T", "g") else 1
    own = f"{value:9.{digits}f} {error:6.{digits}f} {z}" if np.isfinite(value) else " " * 23
    band = f"{anchor.low:.{digits}f} to {anchor.high:.{digits}f}"
    name = f"{anchor.id:26} {anchor.unit:6}"
    return f"{name} {anchor.value:9.{digits}f} {own}  {band:18} {mark:4}  {anchor.seen}", mark


def table(cohort: Cohort, anchors: list[Anchor]) -> tuple[str, list[str]]:
    """Every anchor beside the cohort's figure.

    Returns
    -------
    text : str
    verdicts : list of str
        In the order of the anchors.
    """
    title = f"{'anchor':26} {'unit':6} {'published':>9} {'simulated':>9} {'SE':>6} {'z':>6}  "
    title += f"{'accepted':18} {'':4}  published figure is"
    lines, verdicts = [], {}
    for use, head in (("set", "Anchors to set by"), ("test", "Anchors that test")):
        lines += [head, title]
        for anchor in (a for a in anchors if a.use == use):
            text, verdicts[anchor.id] = _row(anchor, cohort)
            lines.append(text)
        lines.append("")
    lines += [f"{mark}: {meaning}" for mark, meaning in ALL_VERDICTS.items()] + [""]
    marks = [verdicts[a.id] for a in anchors]
    for use, count in counts(marks, anchors).items():
        lines.append(f"{use}: " + ", ".join(f"{n} {mark}" for mark, n in count.items()))
        failed = [a.id for a in anchors if a.use == use and verdicts[a.id] == "FAIL"]
        lines.append(f"fails ({use}): " + (", ".join(failed) or "none"))
    return "\n".join(lines), marks


def counts(verdicts: list[str], anchors: list[Anchor]) -> dict:
    """How many anchors have each verdict, by use ('set', 'test')."""
    out = {}
    for use in ("set", "test"):
        marks = [mark for mark, a in zip(verdicts, anchors, strict=True) if a.use == use]
        out[use] = {mark: marks.count(mark) for mark in ALL_VERDICTS}
    return out


def without_anchor(cohort: Cohort) -> str:
    """Figures of the cohort for which no published one could be read."""
    lines = []
    for sex in "FM":
        who = cohort.traits["sex"] == sex
        for key, name, unit in (("area", "area", "cm2"), ("bmc", "BMC", "g")):
            y = cohort.measured.get(key)
            if y is not None and who.sum() > 1:
                lines.append(
                    f"L1-L4 {name} {sex}: {y[who].mean():.1f} ({y[who].std(ddof=1):.1f}) {unit}"
                )
    return "\n".join(lines)


def report(cohort: Cohort, anchors: list[Anchor], whom: str) -> tuple[str, list[str]]:
    """The printed text, and the anchors' verdicts in their order."""
    how = "regressed on traits over many draws" if cohort.two_phase else "of the people in a group"
    text, verdicts = table(cohort, anchors)
    parts = [
        f"Virtual people beside published anchors: {whom}.",
        f"Means are {how}; g/cm2 are those of a",
        "simulated Hologic. z counts both standard errors where one is published.",
        "All figures are simulated.",
        "",
        text,
        "",
        "Without a published figure that could be read, mean (SD):",
        without_anchor(cohort) or "nothing",
    ]
    return "\n".join(parts), verdicts


def drawn(count: int, seed: int) -> str:
    """Who `virtual_people` are, in words."""
    return (
        f"{count} Western people and {count // 2} East Asian ones,\n"
        f"drawn evenly over sexes and ages (seed {seed})"
    )


def main(argv=None) -> int:
    """`python -m training.virtual.checks`; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="*", help="a cohort of files")
    parser.add_argument("--people", type=int, help="draw so many virtual people instead")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--anchors", default=FILE, help="another anchors file")
    parser.add_argument("--strict", action="store_true", help="exit 1 where not all passes")
    a = parser.parse_args(argv)
    if bool(a.folder) == bool(a.people) or (a.people or 1) < 1:
        parser.error("give either folders or --people N")

    def progress(_fraction, text):
        print(f"\r{text}", end="", file=sys.stderr, flush=True)

    try:
        anchors = load_anchors(a.anchors)
        if a.people:
            cohort = virtual_people(a.people, a.seed, progress)
            print(file=sys.stderr)
            whom = drawn(a.people, a.seed)
        else:
            cohort, whom = people_of(a.folder), "a cohort of files"
            print(summary(a.folder) + "\n")
    except CTBMDError as error:
        raise SystemExit(str(error)) from None
    text, verdicts = report(cohort, anchors, whom)
    print(text)
    good = "pass" in verdicts and all(mark in ("pass", "-") for mark in verdicts)
    return 0 if good or not a.strict else 1


if __name__ == "__main__":
    sys.exit(main())
