"""The level finder on random virtual volumes: how often right, and what its confidence is worth."""

from __future__ import annotations

import multiprocessing

import numpy as np

from CTBMDLib.levels import LUMBAR
from CTBMDLib.locate import find_levels

TOLERANCE_MM = 12.0
CERTAIN = 0.6
"""A level below this confidence, or with numbering 'neither', counts as said to be uncertain."""
BINS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0)


def one_volume(seed: int) -> dict:
    """Find the levels of one random virtual volume and compare them with its anatomy.

    Returns
    -------
    dict
        `whole`: lumbar bodies that lie whole in the volume; `decidable`: whether
        T12 or the sacrum is in view; `numbering`; `found`: a row (level,
        confidence, mm to the body of that name, mm to the nearest body) for each
        lumbar level the finder gave.
    """
    from .virtual.volume import make_volume, random_options

    volume, truth = make_volume(seed, **random_options(seed))
    places = {name: np.array(item["ras"]) for name, item in truth["levels"].items()}
    whole = []
    for name in LUMBAR:
        item = truth["levels"][name]
        half = 0.5 * item["height_mm"] * np.array(item["axis"])
        if volume.contains(places[name] + half) and volume.contains(places[name] - half):
            whole.append(name)
    selection = find_levels(volume)
    found = []
    for item in selection:
        if item.level in LUMBAR:
            distances = {n: float(np.linalg.norm(p - item.ras)) for n, p in places.items()}
            found.append(
                (item.level, item.confidence, distances[item.level], min(distances.values()))
            )
    return {
        "seed": seed,
        "whole": whole,
        "decidable": truth["sacrum_in_view"] or truth["rib_in_view"],
        "numbering": selection.numbering,
        "found": found,
    }


def check_virtual(count: int, first_seed: int, workers: int) -> None:
    """Print the shares and the reliability table over `count` volumes from `first_seed` on."""
    seeds = range(first_seed, first_seed + count)
    results = []
    # Fresh processes: compiled code and arrays of one volume are not kept by the next.
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for result in pool.imap(one_volume, seeds):
            results.append(result)
            row = " ".join(f"{n}:{mm:.0f}({c:.2f})" for n, c, mm, _ in result["found"])
            print(
                f"{result['seed']:6d} {result['numbering'] or '-':8s} "
                f"whole {','.join(result['whole']) or '-':15s} {row}",
                flush=True,
            )
    report(results)


def report(results) -> None:
    """Print what the results add up to."""
    in_view = sum(len(r["whole"]) for r in results)
    hits = sum(
        any(name == n and mm <= TOLERANCE_MM for n, _, mm, _ in r["found"])
        for r in results
        for name in r["whole"]
    )
    found = [(r, *row) for r in results for row in r["found"]]
    on_body = sum(nearest <= TOLERANCE_MM for *_, nearest in found)
    decidable = [row for row in found if row[0]["decidable"]]
    labelled = sum(mm <= TOLERANCE_MM for _, _, _, mm, _ in decidable)
    silent = [
        row
        for row in found
        if row[3] > TOLERANCE_MM and row[2] >= CERTAIN and row[0]["numbering"] != "neither"
    ]
    print(f"\n{len(results)} virtual volumes (simulated), L1-L5:")
    print(f"bodies whole in view found under their name within 12 mm: {_share(hits, in_view)}")
    print(f"levels given that lie within 12 mm of some body: {_share(on_body, len(found))}")
    print(
        "levels given that lie within 12 mm of the body of that name, T12 or sacrum in view: "
        + _share(labelled, len(decidable))
    )
    volumes = len({r["seed"] for r, *_ in silent})
    print(
        f"wrong in silence (confidence >= 0.6, not 'neither'): {len(silent)} in {volumes} volumes"
    )
    print("\nconfidence    levels  right")
    for low, high in zip(BINS, BINS[1:], strict=False):
        rows = [row for row in found if low <= row[2] < high or (high == 1.0 and row[2] == 1.0)]
        right = sum(mm <= TOLERANCE_MM for _, _, _, mm, _ in rows)
        print(f"{low:.1f}-{high:.1f} {len(rows):11d}  {_share(right, len(rows))}")


def _share(part, whole):
    return f"{part} of {whole} ({100 * part / whole:.1f} %)" if whole else "none"
