"""The level finder where the sacrum is out of view and ribs alone tell the names.

python -m training.locator.check ribs [--part set|test] [--count 25] [--workers 2]

Each volume ends above the sacrum; its ribs or its field of view make the last rib hard to
see. Names are those of the anatomy. Where the 12th ribs are absent or L1 bears a rib,
nothing in view can tell: there 'unsure' is all that can be asked. Settings were chosen on the
seeds of the part 'set'; those of 'test' are for one look at the end.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from CTBMDLib.levels import LUMBAR
from CTBMDLib.spine.locate import find_levels

from ..processes import results as in_processes
from ..virtual.variants import make_variant
from ..virtual.volume import make_volume, random_options
from .chest import chest_and_truth
from .virtual import BINS, CERTAIN, TOLERANCE_MM

PARTS = {"set": 12000, "test": 13000}
"""Seed of the first volume of each part."""
VERDICTS = ("right", "unsure", "wrong", "none")


def _plain(rng) -> dict:
    return {}


def _narrow(rng) -> dict:
    return {"width_mm": float(rng.uniform(105, 210))}


def _ends_above_l1(rng) -> dict:
    return {
        "top": float(rng.uniform(-0.3, 0.3)),
        "bottom": float(rng.uniform(2.05, 2.5)),
        "width_mm": float(rng.uniform(105, 260)),
    }


def _ends_at_l1_l2(rng) -> dict:
    return {
        "top": float(rng.uniform(0.6, 1.2)),
        "bottom": float(rng.uniform(3.1, 4.3)),
        "width_mm": float(rng.choice([0.0, rng.uniform(130, 260)])),
    }


def _coarse(rng) -> dict:
    """A portal-phase CT with a sharp kernel and thick slices, stored feet first."""
    return {
        "top": float(rng.uniform(0.8, 1.3)),
        "bottom": float(rng.uniform(3.4, 4.4)),
        "between_mm": 5.0,
        "noise_hu": float(rng.uniform(35, 80)),
        "blur_mm": 0.6,
        "contrast": "portal",
        "storage": "axial",
        "flip": (False, False, True),
    }


def _steep(rng) -> dict:
    return {"rib_fall": float(rng.uniform(2.2, 4.5))}


def _steep_narrow(rng) -> dict:
    return _steep(rng) | {"width_mm": float(rng.uniform(130, 220))}


def _short(rng) -> dict:
    return {
        "rib12_mm": tuple(float(x) for x in rng.uniform(20, 60, 2)),
        "rib_fall": float(rng.uniform(1.0, 2.6)),
    }


def _one_side(rng) -> dict:
    ends = [0.0, float(rng.uniform(40, 140))]
    rng.shuffle(ends)
    return {"rib12_mm": tuple(ends), "rib_fall": float(rng.uniform(1.0, 2.6))}


def _absent(rng) -> dict:
    return {"rib12_mm": (0.0, 0.0)}


def _at_l1(rng) -> dict:
    return {"rib_at_l1": "both", "rib_l1_mm": float(rng.uniform(30, 75))}


KINDS = {
    "usual ribs": _plain,
    "narrow field": _narrow,
    "ends above L1": _ends_above_l1,
    "T11 to L1 or L2": _ends_at_l1_l2,
    "thick slices, sharp kernel": _coarse,
    "steep ribs": _steep,
    "steep ribs, narrow field": _steep_narrow,
    "12th ribs of 20-60 mm": _short,
    "12th rib on one side": _one_side,
    "12th ribs absent": _absent,
    "ribs at L1": _at_l1,
}
"""What is made: kind to a function of a generator that gives options of `make_volume`, those
of `make_variant` among them."""
NARROW_CHEST = "chest, narrow field"
UNTOLD = ("12th ribs absent", "ribs at L1")
"""Kinds whose names nothing in view can tell."""
_VARIANT = ("rib12_mm", "rib_fall", "rib_at_l1", "rib_l1_mm")


def options_of(kind: str, seed: int) -> dict:
    """Options of `make_volume` of a kind and a seed."""
    rng = np.random.default_rng([seed, 101, *kind.encode()])
    options = random_options(seed) | {
        "top": float(rng.uniform(-0.3, 1.2)),
        "bottom": float(rng.uniform(3.6, 6.6)),
        "width_mm": 0.0,
    }
    drawn = KINDS[kind](rng)
    variant = {name: drawn.pop(name) for name in _VARIANT if name in drawn}
    options |= drawn
    if variant:
        options["variant"] = make_variant(**variant)
    return options


def make_case(kind: str, seed: int):
    """A virtual volume of a kind and its truth."""
    if kind == NARROW_CHEST:
        width = float(np.random.default_rng([seed, 102]).uniform(120, 220))
        return chest_and_truth(seed, width_mm=width)
    return make_volume(seed, **options_of(kind, seed))


def judge_names(volume, truth: dict, selection) -> dict:
    """What the names given are worth.

    Parameters
    ----------
    volume : CTVolume
    truth : dict
        As `make_volume` gives it.
    selection : LevelSelection

    Returns
    -------
    dict
        `verdict`: 'wrong' (a lumbar name is given with confidence and without doubt to what
        is another vertebra, or is none), 'right' (all lumbar bodies whole in view, or all but
        one, have their names, without doubt; nothing is offered where there is none),
        'none' (nothing is offered where there is one) or 'unsure'. `numbering`; `rows`:
        (level, confidence, right) of every lumbar level given.
    """
    places = {name: np.array(item["ras"]) for name, item in truth["levels"].items()}
    whole = []
    for name in LUMBAR:
        if name in places:
            item = truth["levels"][name]
            half = 0.5 * item["height_mm"] * np.array(item["axis"])
            if volume.contains(places[name] + half) and volume.contains(places[name] - half):
                whole.append(name)
    rows = []
    for item in selection:
        if item.level in LUMBAR:
            there = item.level in places
            away = np.linalg.norm(places[item.level] - item.ras) if there else np.inf
            rows.append((item.level, item.confidence, bool(away <= TOLERANCE_MM)))
    sure = not selection.numbering_uncertain
    named = {level for level, _, right in rows if right}
    if any(sure and confidence >= CERTAIN and not right for _, confidence, right in rows):
        verdict = "wrong"
    elif not rows:
        verdict = "none" if len(whole) > 1 else "right"
    elif sure and len(set(whole) - named) <= 1 and all(c >= CERTAIN for _, c, _ in rows):
        verdict = "right"
    else:
        verdict = "unsure"
    return {"verdict": verdict, "numbering": selection.numbering, "rows": rows, "whole": whole}


def one_case(kind: str, seed: int) -> dict:
    """Make, find and judge one case of a kind."""
    volume, truth = make_case(kind, seed)
    return {"kind": kind, "seed": seed, **judge_names(volume, truth, find_levels(volume))}


def jobs_of(part: str, count: int) -> list[tuple[str, int]]:
    """(kind, seed) of `count` volumes of each kind; no seed serves two kinds."""
    kinds = [*KINDS, NARROW_CHEST]
    return [
        (kind, PARTS[part] + number + len(kinds) * n)
        for number, kind in enumerate(kinds)
        for n in range(count)
    ]


def check_ribs(part: str, count: int, workers: int) -> bool:
    """Print the table of a part; whether there was no unflagged error where names can be told."""
    found = []
    for result in in_processes(one_case, jobs_of(part, count), workers):
        found.append(result)
        row = " ".join(f"{n}{'' if ok else '!'}({c:.2f})" for n, c, ok in result["rows"])
        print(
            f"{result['kind']:27s} {result['seed']:6d} {result['verdict']:7s} "
            f"{result['numbering'] or '-':8s} whole {','.join(result['whole']) or '-':15s} {row}",
            flush=True,
        )
    report(found)
    return not any(r["verdict"] == "wrong" for r in found if r["kind"] not in UNTOLD)


def report(found) -> None:
    """Print the verdicts of each kind and how often names of each confidence are right."""
    table = defaultdict(Counter)
    for r in found:
        table[r["kind"]][r["verdict"]] += 1
        table["all"][r["verdict"]] += 1
    print("\nVirtual volumes (simulated) that end above the sacrum; L1-L5.")
    print(f"{'kind':27s} {' '.join(f'{v:>7s}' for v in VERDICTS)}")
    for kind, counts in table.items():
        print(f"{kind:27s} {' '.join(f'{counts[v]:7d}' for v in VERDICTS)}")
    print("\nconfidence    levels  right (kinds whose names can be told)")
    rows = [row for r in found if r["kind"] not in UNTOLD for row in r["rows"]]
    for low, high in zip(BINS, BINS[1:], strict=False):
        part = [ok for _, c, ok in rows if low <= c < high or (high == 1.0 and c == 1.0)]
        print(f"{low:.1f}-{high:.1f} {len(part):11d}  {sum(part)}")
