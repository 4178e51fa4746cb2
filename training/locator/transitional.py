"""The level finder on virtual volumes with transitional anatomy: noted, unsure, or an unflagged error.

Which name a vertebra bears is then a convention. Here it is the one counted up
from the sacrum: the last vertebra above S1 is L5, whether there are four, five or
six without ribs. For all kinds but those with four and six this is the usual name
(T12 bears the last full rib). A short or absent 12th rib with five lumbar
vertebrae looks like six, a rib at L1 like four: to say so is right.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from CTBMDLib.levels import LUMBAR
from CTBMDLib.spine.locate import find_levels

from ..processes import results as in_processes
from ..virtual.variants import make_variant
from ..virtual.volume import make_volume, random_options
from .virtual import CERTAIN, TOLERANCE_MM

VERDICTS = ("noted", "unsure", "right", "wrong", "none")
KINDS = {
    "five lumbar (usual)": {},
    "six lumbar": {"lumbar_count": 6},
    "four lumbar": {"lumbar_count": 4},
    "rib at L1, both sides": {"rib_at_l1": "both", "rib_l1_mm": (30.0, 75.0)},
    "rib at L1, one side": {"rib_at_l1": ("left", "right"), "rib_l1_mm": (30.0, 75.0)},
    "L5 sacralised, both": {"sacralised_l5": "both"},
    "L5 sacralised, one": {"sacralised_l5": ("left", "right")},
    "12th ribs absent": {"rib12_mm": (0.0, 0.0)},
    "12th ribs 25-50 mm": {"rib12_mm": (25.0, 50.0)},
}
"""What is made; pairs are drawn from by the seed."""


def draw_variant(kind: str, seed: int) -> dict:
    """Arguments of `variants.make_variant` for a kind of `KINDS` and a seed."""
    rng = np.random.default_rng([seed, 91])
    out = dict(KINDS[kind])
    for name in ("rib_at_l1", "sacralised_l5"):
        if isinstance(out.get(name), tuple):
            out[name] = str(rng.choice(out[name]))
    if "rib_l1_mm" in out:
        out["rib_l1_mm"] = float(rng.uniform(*out["rib_l1_mm"]))
    if "rib12_mm" in out:
        out["rib12_mm"] = tuple(float(x) for x in rng.uniform(*out["rib12_mm"], 2))
    return out


def make_case(kind: str, seed: int):
    """A virtual volume of a kind, from above the last rib to S2, and its truth."""
    options = random_options(seed) | {"top": 0.0, "bottom": 9.0}
    options["width_mm"] = max(options["width_mm"], 200.0) if options["width_mm"] else 0.0
    return make_volume(seed, **options, variant=make_variant(**draw_variant(kind, seed)))


def judge_case(selection, truth: dict) -> dict:
    """What the finder said of a transitional spine.

    Parameters
    ----------
    selection : LevelSelection
    truth : dict
        As `make_volume` gives it, with 'from_sacrum'.

    Returns
    -------
    dict
        `verdict`: 'noted' (a note says possible transitional anatomy), 'unsure'
        (numbering 'neither', or every wrong name below the certain confidence),
        'right' (names given with confidence and by the convention), 'wrong' (a
        name given with confidence and without note that is not the convention's)
        or 'none' (no lumbar level). `agree`, `given`: lumbar names that are the
        convention's, and all given; `found`, `present`: lumbar bodies of the
        convention with a level within 12 mm, whatever its name, and all of them.
    """
    names = truth["from_sacrum"]
    places = {names[n]: np.array(item["ras"]) for n, item in truth["levels"].items()}
    wrong, agree, given = 0, 0, 0
    for item in selection:
        if item.level not in LUMBAR:
            continue
        given += 1
        near = item.level in places and np.linalg.norm(places[item.level] - item.ras)
        if near is not False and near <= TOLERANCE_MM:
            agree += 1
        elif item.confidence >= CERTAIN and selection.numbering != "neither":
            wrong += 1
    points = np.array([item.ras for item in selection]).reshape(-1, 3)
    present = [places[n] for n in LUMBAR if n in places]
    found = sum(
        bool(len(points) and np.linalg.norm(points - p, axis=1).min() <= TOLERANCE_MM)
        for p in present
    )
    if given == 0:
        verdict = "none"
    elif any("transitional" in note.lower() for note in selection.findings):
        verdict = "noted"
    elif wrong:
        verdict = "wrong"
    elif agree == given and not selection.numbering_uncertain:
        verdict = "right"
    else:
        verdict = "unsure"
    return {
        "verdict": verdict,
        "agree": agree,
        "given": given,
        "found": found,
        "present": len(present),
        "numbering": selection.numbering,
    }


def one_case(kind: str, seed: int) -> dict:
    """Make, find and judge one case of a kind."""
    volume, truth = make_case(kind, seed)
    return {"kind": kind, "seed": seed, **judge_case(find_levels(volume), truth)}


def check_transitional(count: int, first_seed: int, workers: int) -> bool:
    """Print the table over `count` volumes of each kind; whether none was an unflagged error."""
    jobs = [(kind, first_seed + n) for kind in KINDS for n in range(count)]
    results = []
    for result in in_processes(one_case, jobs, workers):
        results.append(result)
        print(
            f"{result['kind']:22s} {result['seed']:6d} {result['verdict']:7s} "
            f"{result['numbering'] or '-':8s} names {result['agree']}/{result['given']} "
            f"bodies {result['found']}/{result['present']}",
            flush=True,
        )
    report(results)
    return not any(r["verdict"] == "wrong" for r in results)


def report(results) -> None:
    """Print the verdicts of each kind."""
    table = defaultdict(Counter)
    for r in results:
        table[r["kind"]][r["verdict"]] += 1
        for key in ("agree", "given", "found", "present"):
            table[r["kind"]][key] += r[key]
    print("\nVirtual volumes (simulated); names by convention: counted up from the sacrum.")
    print("noted: 'possible transitional anatomy'; unsure: 'neither' or low confidence;")
    print("wrong: another name, with confidence and without note.\n")
    print(f"{'kind':22s} noted unsure right wrong none   names right   bodies within 12 mm")
    for kind, c in table.items():
        print(
            f"{kind:22s} {c['noted']:5d} {c['unsure']:6d} {c['right']:5d} {c['wrong']:5d} "
            f"{c['none']:4d}   {c['agree']:4d} of {c['given']:<4d}  {c['found']:4d} of {c['present']}"
        )
