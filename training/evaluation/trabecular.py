"""How true the HU of the trabecular region are on virtual people, as a page.

    python -m training.evaluation.trabecular --count 50 --seed 41000 --output training/results/trabecular.md

Simulated CT. Points lie up to 6 mm off the bodies' middles. The true core is known without blur and
noise; beside it stands what a perfect mask of it reads in the same scan, into which blur carries
cortex and endplates, and what the region reads that is laid by the drawn surface of the body instead
of the walls found in the scan: what the two differ by is the finding's fault.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from CTBMDLib.bmd.roi import find_region
from CTBMDLib.levels import MEASURED

from ..processes import results as in_processes
from ..virtual.volume import make_volume
from .drawn_body import drawn_body
from .findings import CORE_MM, OFF_MM, left_behind, moved_point, options_for, true_core

WITHIN_HU = 8.0
FATTY_HU, DENSE_HU = 60.0, 180.0
"""Of the core: below the first its marrow is darker than most discs."""
THICK_MM = 4.0
"""Distance of slices from which a scan counts as thick."""


def measure(seed: int) -> list[dict]:
    """The levels of one virtual person: true HU, a perfect mask's, and the region's."""
    options = options_for(seed)
    volume, truth = make_volume(seed, **options)
    scene, rng = truth["scene"], np.random.default_rng([seed, 9])
    rows = []
    for level in MEASURED:
        at = truth["levels"][level]
        n, item = scene.names.index(level), moved_point(level, at, rng)
        region = find_region(volume, item)
        laid = find_region(volume, item, drawn_body(scene, n, at["ras"]))
        core, places = true_core(scene, n, options["kvp"])
        rows.append(
            {
                "level": level,
                "kvp": options["kvp"],
                "between": options["between_mm"],
                "core": core,
                "seen": float(np.nanmean(volume.sample(at["ras"] + places))),
                "hu": None if region is None else region.hu,
                "laid": None if laid is None else laid.hu,
                "walls": region is not None and region.body is not None,
            }
        )
    return rows


def kept(seed: int, folder: Path | None) -> list[dict]:
    """What `measure` says, see `findings.left_behind`."""
    return list(left_behind(seed, folder, measure))


def line(name: str, rows: list[dict], key: str, against: str) -> str:
    """One row of a table: how `key` differs from `against`."""
    known = [r for r in rows if r[key] is not None and r[against] is not None]
    off = np.array([r[key] - r[against] for r in known])
    unknown = len(rows) - len(off)
    if not len(off):
        return f"| {name} | 0 | {unknown} | | | | | |"
    size = np.abs(off)
    return (
        f"| {name} | {len(off)} | {unknown} | {off.mean():+.1f} | {off.std():.1f} | {size.mean():.1f} | "
        f"{100 * np.mean(size <= WITHIN_HU):.0f} % | {np.percentile(size, 95):.1f} |"
    )


def table(what: str, against: str, parts: list[tuple[str, list[dict], str]]) -> list[str]:
    """A table of how values differ from the true core or from a perfect mask's."""
    head = f"| {what} | n | unknown | mean | SD | mean size | within {WITHIN_HU:g} HU | 95th percentile |"
    rows = [line(name, rows, key, against) for name, rows, key in parts if rows]
    return ["", head, "| --- " * 8 + "|", *rows]


def page(people: list[list[dict]], command: str, looked_at: int, before: list[list[dict]]) -> str:
    """The report, as Markdown.

    Parameters
    ----------
    people : list of list of dict
        `measure` of each person.
    command : str
    looked_at : int
        How many of the first were looked at while the region was made.
    before : list of list of dict
        The same people as an earlier version read them; empty where there is none.
    """
    rows = [r for one in people for r in one]
    new = [r for one in people[looked_at:] for r in one]
    old = [r for one in before[looked_at:] for r in one]
    parts = [
        ("the region", new, "hu"),
        ("the region of the version before", old, "hu"),
        ("the region laid by the drawn surface", new, "laid"),
        ("a perfect mask in the same scan", new, "seen"),
        ("the region, all people", rows if looked_at else [], "hu"),
        (f"core below {FATTY_HU:g} HU", [r for r in rows if r["core"] < FATTY_HU], "hu"),
        (
            f"core {FATTY_HU:g} to {DENSE_HU:g} HU",
            [r for r in rows if FATTY_HU <= r["core"] < DENSE_HU],
            "hu",
        ),
        (f"core from {DENSE_HU:g} HU", [r for r in rows if r["core"] >= DENSE_HU], "hu"),
        (f"slices under {THICK_MM:g} mm", [r for r in rows if r["between"] < THICK_MM], "hu"),
        (f"slices from {THICK_MM:g} mm", [r for r in rows if r["between"] >= THICK_MM], "hu"),
    ]
    walls = sum(r["walls"] for r in rows)
    fresh = (
        f"The first {looked_at} people were looked at while the region was made; the first four "
        "lines are of the others."
        if looked_at
        else "None of them was looked at while the region was made."
    )
    return "\n".join(
        [
            "# Trabecular HU on virtual people (generated)",
            "",
            f"Simulated CT. `{command}`: {len(rows)} vertebrae of {len(people)} people, points up to "
            f"{OFF_MM:g} mm off. {fresh} The true core begins {CORE_MM:g} mm under wall and endplate; its HU are those without blur and noise. Walls were "
            f"found in {walls} of {len(rows)}.",
            *table("minus the true core", "core", parts),
            "",
            "What blur carries into a perfect mask is no fault of a region; against such a mask in the same scan:",
            *table("minus a perfect mask", "seen", [x for x in parts[:5] if x[2] != "seen"]),
            "",
            "What walls and endplates found in the scan, instead of the drawn ones, change in the region:",
            *table("minus the region laid by the drawn surface", "laid", [parts[0], parts[4]]),
            "",
        ]
    )


def main(arguments: list[str] | None = None) -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=41000)
    parser.add_argument("--looked-at", type=int, default=0, help="the first so many are not fresh")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--keep", type=Path, help="folder that keeps each person, to go on later")
    parser.add_argument("--before", type=Path, help="such a folder of an earlier version")
    parser.add_argument("--workers", type=int, default=1)
    o = parser.parse_args(arguments)
    seeds = range(o.seed, o.seed + o.count)
    people = list(in_processes(kept, [(seed, o.keep) for seed in seeds], o.workers))
    before = [kept(seed, o.before) for seed in seeds] if o.before else []
    command = f"python -m training.evaluation.trabecular --count {o.count} --seed {o.seed}"
    text = page(people, command, o.looked_at, before)
    o.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
