"""The level finder on bodies without a lumbar spine: how many of how many gave none."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path

from CTBMDLib.levels import LUMBAR
from CTBMDLib.reading.reading import read_ct
from CTBMDLib.spine.locate import find_levels

from ..processes import results
from . import cases
from .bodies import EMPTY_BODIES
from .virtual import CERTAIN


def judge_empty(selection) -> str:
    """'none', 'unsure' (lumbar names, all said to be uncertain) or 'wrong'."""
    lumbar = [item for item in selection if item.level in LUMBAR]
    if not lumbar:
        return "none"
    if selection.numbering == "neither" or max(i.confidence for i in lumbar) < CERTAIN:
        return "unsure"
    return "wrong"


def one_body(name: str, seed: int) -> tuple:
    """(name, seed, verdict, names) of one body."""
    selection = find_levels(EMPTY_BODIES[name](seed))
    return name, seed, judge_empty(selection), _text(selection)


def real_crops(data: Path):
    """(name, volume) of parts of the real scans without a lumbar vertebra, as far as they are there."""
    file = data / "levels.json"
    truths = json.loads(file.read_text())["levels"] if file.exists() else {}
    for name, truth in truths.items():
        path = data / name
        volume = read_ct(path / "ct.nii.gz" if (path / "ct.nii.gz").exists() else path)
        low, high = volume.ras_bounds[2]
        top, bottom = truth["L1"][2] + 22, truth["L5"][2] - 55
        if high - top > 40:
            yield f"{name} above L1", cases.crop_s(volume, top, high)
        if bottom - low > 40:
            yield f"{name} below S1", cases.crop_s(volume, low, bottom)
    if (data / "ct_slices_liver").exists():
        yield "ct_slices_liver", read_ct(data / "ct_slices_liver")


def check_empty(count: int, first_seed: int, workers: int, data: Path) -> bool:
    """Print how many bodies of each kind gave no lumbar level; whether none gave a sure one."""
    jobs = [(name, first_seed + n) for name in EMPTY_BODIES for n in range(count)]
    table = defaultdict(Counter)
    for name, seed, verdict, text in results(one_body, jobs, workers):
        table[name][verdict] += 1
        print(f"{name:20s} {seed:6d} {verdict:7s} {text}", flush=True)
    for name, volume in real_crops(data):
        selection = find_levels(volume)
        verdict = judge_empty(selection)
        table["real scans' ends"][verdict] += 1
        print(f"{name:27s} {verdict:7s} {_text(selection)}", flush=True)
    print("\nnone: no lumbar level; unsure: lumbar names offered as 'numbering uncertain'\n")
    print(f"{'body':20s} none unsure wrong")
    for name, c in table.items():
        print(f"{name:20s} {c['none']:4d} {c['unsure']:6d} {c['wrong']:5d}")
    total = sum(table.values(), Counter())
    print(f"{total['none']} of {sum(total.values())} gave none")
    return not total["wrong"]


def _text(selection):
    return " ".join(f"{i.level}({i.confidence:.2f})" for i in selection) or "-"
