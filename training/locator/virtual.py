"""The level finder on random virtual volumes: how often right, and what its confidence is worth."""

from __future__ import annotations

import numpy as np

from CTBMDLib.levels import LUMBAR
from CTBMDLib.spine.locate import find_levels

from ..processes import results as in_processes
from ..virtual.volume import make_volume, random_options
from .planes import planes_of

TOLERANCE_MM = 12.0
CERTAIN = 0.6
"""A level below this confidence, or with numbering 'neither', counts as said to be uncertain."""
BINS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0)

DIFFICULTIES = {
    "scoliosis (Cobb 8 degrees or more)": lambda o, f: f.get("cobb_deg", 0.0) >= 8.0,
    "metal": lambda o, f: bool(f.get("metal")),
    "noise of 30 HU or more (sharp kernel, low dose)": lambda o, f: o["noise_hu"] >= 30.0,
    "contrast agent": lambda o, f: o["contrast"] is not None,
    "a deformed vertebra": lambda o, f: bool(f.get("deformed")),
    "4 or 5 mm between planes": lambda o, f: o["between_mm"] >= 4.0,
    "turned by 8 degrees or more": lambda o, f: max(np.abs(o["oblique_deg"])) >= 8.0,
    "stored sagittal or coronal": lambda o, f: o["storage"] != "axial",
    "field of view narrower than 260 mm": lambda o, f: o["width_mm"] > 0,
}
"""What makes a volume difficult, from the options drawn and the facts of its anatomy."""


def judge_volume(volume, truth: dict, selection, options: dict) -> dict:
    """Compare found levels with the anatomy of a virtual volume.

    Returns
    -------
    dict
        `whole`: lumbar bodies that lie whole in the volume, each with whether a
        given level, whatever its name, lies within 12 mm of its centre;
        `decidable`: whether T12 or the sacrum is in view; `numbering`; `found`: a
        row (level, confidence, mm to the body of that name, mm to the nearest
        body) for each lumbar level the finder gave; `planes`: see `planes_of`;
        `difficulties`: those of `DIFFICULTIES` that apply.
    """
    places = {name: np.array(item["ras"]) for name, item in truth["levels"].items()}
    given = np.array([item.ras for item in selection]).reshape(-1, 3)
    whole = {}
    for name in LUMBAR:
        item = truth["levels"][name]
        half = 0.5 * item["height_mm"] * np.array(item["axis"])
        if volume.contains(places[name] + half) and volume.contains(places[name] - half):
            apart = np.linalg.norm(given - places[name], axis=1)
            whole[name] = bool((apart <= TOLERANCE_MM).any())
    found = []
    for item in selection:
        if item.level in LUMBAR:
            distances = {n: float(np.linalg.norm(p - item.ras)) for n, p in places.items()}
            found.append(
                (item.level, item.confidence, distances[item.level], min(distances.values()))
            )
    return {
        "whole": whole,
        "decidable": truth["sacrum_in_view"] or truth["rib_in_view"],
        "numbering": selection.numbering,
        "found": found,
        "planes": planes_of(selection, truth["levels"]),
        "difficulties": [k for k, test in DIFFICULTIES.items() if test(options, truth["facts"])],
    }


def one_volume(seed: int) -> dict:
    """Find the levels of one random virtual volume; what `judge_volume` says, and the `seed`."""
    options = random_options(seed)
    volume, truth = make_volume(seed, **options)
    return {"seed": seed, **judge_volume(volume, truth, find_levels(volume), options)}


def check_virtual(count: int, first_seed: int, workers: int) -> None:
    """Print the shares and the reliability table over `count` volumes from `first_seed` on."""
    seeds = range(first_seed, first_seed + count)
    results = []
    for result in in_processes(one_volume, [(seed,) for seed in seeds], workers):
        results.append(result)
        row = " ".join(f"{n}:{mm:.0f}({c:.2f})" for n, c, mm, _ in result["found"])
        print(
            f"{result['seed']:6d} {result['numbering'] or '-':8s} "
            f"whole {','.join(result['whole']) or '-':15s} {row}",
            flush=True,
        )
    report(results)


def figures(results) -> dict:
    """Counts (part, whole) that `report` prints; see there for what each one is."""
    bodies = [(r, name, near) for r in results for name, near in r["whole"].items()]
    named = sum(
        any(n == name and mm <= TOLERANCE_MM for n, _, mm, _ in r["found"]) for r, name, _ in bodies
    )
    found = [(r, *row) for r in results for row in r["found"]]
    decidable = [row for row in found if row[0]["decidable"]]
    planes = sum(r["planes"]["planes"] for r in results)
    return {
        "bodies": (sum(near for *_, near in bodies), len(bodies)),
        "labels": (sum(mm <= TOLERANCE_MM for _, _, _, mm, _ in decidable), len(decidable)),
        "named": (named, len(bodies)),
        "on_body": (sum(nearest <= TOLERANCE_MM for *_, nearest in found), len(found)),
        "middle": (sum(r["planes"]["middle"] for r in results), planes),
        "clear": (sum(r["planes"]["clear"] for r in results), planes),
    }


def report(results) -> None:
    """Print what the results add up to."""
    whole = figures(results)
    found = [(r, *row) for r in results for row in r["found"]]
    silent = [
        row
        for row in found
        if row[3] > TOLERANCE_MM and row[2] >= CERTAIN and row[0]["numbering"] != "neither"
    ]
    decidable = [r for r in results if r["decidable"]]
    unsure = sum(r["numbering"] in (None, "neither") for r in decidable)
    print(f"\n{len(results)} virtual volumes (simulated), L1-L5:")
    for key, text in (
        ("bodies", "bodies whole in view within 12 mm of a level given, whatever its name"),
        ("labels", "levels given within 12 mm of the body of that name, T12 or sacrum in view"),
        ("named", "bodies whole in view found under their name within 12 mm"),
        ("on_body", "levels given that lie within 12 mm of some body"),
        ("middle", "image planes in the middle half of the true body"),
        ("clear", "image planes clear of its endplates"),
    ):
        print(f"{text}: {_share(*whole[key])}")
    print(f"volumes with T12 or sacrum in view called uncertain: {_share(unsure, len(decidable))}")
    volumes = len({r["seed"] for r, *_ in silent})
    print(
        f"unflagged errors (confidence >= 0.6, not 'neither'): {len(silent)} in {volumes} volumes"
    )
    print("\nconfidence    levels  right")
    for low, high in zip(BINS, BINS[1:], strict=False):
        rows = [row for row in found if low <= row[2] < high or (high == 1.0 and row[2] == 1.0)]
        right = sum(mm <= TOLERANCE_MM for _, _, _, mm, _ in rows)
        print(f"{low:.1f}-{high:.1f} {len(rows):11d}  {_share(right, len(rows))}")
    print(f"\n{'difficulty':48s} volumes  bodies found           labels right")
    for name in DIFFICULTIES:
        part = [r for r in results if name in r["difficulties"]]
        counts = figures(part)
        print(
            f"{name:48s} {len(part):7d}  {_share(*counts['bodies']):22s} "
            f"{_share(*counts['labels'])}"
        )


def _share(part, whole):
    return f"{part} of {whole} ({100 * part / whole:.1f} %)" if whole else "none"
