"""Settings of the level finder, chosen on changed copies of virtual volumes.

python -m training.locator.check settings FOLDER [--count 40] [--seed 6420] [--workers 2]

Each volume is cut at random, in most copies also turned, resampled, stored the
other way, made noisier or given metal or contrast agent. The spine is found once
a copy; then every setting of a grid names what was seen, and a name that is
unflagged error costs as much as `WRONG_COST` copies called uncertain. A quarter of
the volumes is transitional, where a cut may leave nothing that tells the names;
they weigh as much as there are such people. The seeds are none of those that the
finder is tested on.
"""

from __future__ import annotations

import itertools
import pickle
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from CTBMDLib.levels import LUMBAR
from CTBMDLib.safefile import write_bytes
from CTBMDLib.spine.numbering import number_spine
from CTBMDLib.spine.settings import SETTINGS, NumberingSettings
from CTBMDLib.spine.trace import trace_spine
from CTBMDLib.spine.witnesses import Evidence, witnesses

from ..processes import results
from ..virtual.volume import make_volume
from . import cases
from .copies import with_contrast, with_metal
from .features import is_transitional, training_options
from .virtual import BINS, CERTAIN

LIMITS = SETTINGS.numbering
"""What the finder takes."""
VERDICTS = ("right", "uncertain", "wrong")
COPIES = 5
"""Random cuts of each volume, beside the whole of it."""
WRONG_COST = 10.0
"""A copy with an unflagged error in a name costs as much as so many called uncertain."""
TRANSITIONAL_SHARE = 0.1
"""Of people whose vertebrae are not counted as in the textbook, as `NumberingSettings.rare` has it."""
SAME_MM = 15.0
"""A vertebra of the chain is the true one whose centre lies so near."""
GRID = {
    "least": (0.6, 0.7, 0.8, 0.9, 0.95),
    "clear": (0.5, 1.0, 2.0),
    "rib_drop_mm": (5.0, 10.0, 15.0, 20.0, 24.0, 28.0, 40.0),
    "overrule": (0.7, 0.9, 1.0),
}


@dataclass(frozen=True)
class Copy:
    """What was seen in one changed copy, and what is true.

    Attributes
    ----------
    seed : int
    name : str
        How the copy was made.
    rules, network : Evidence
    scores : ndarray, shape (m,)
        How much each vertebra of the chain looks like one.
    true : tuple of (str or None), length m
        The true name of each vertebra of the chain.
    whole : tuple of str
        Lumbar vertebrae that lie whole in the copy.
    """

    seed: int
    name: str
    rules: Evidence
    network: Evidence
    scores: np.ndarray
    true: tuple
    whole: tuple


def random_copies(volume, centres: dict, seed: int, count: int = COPIES):
    """(name, volume, centres) of the whole, of `count` random cuts and of two ends without L1-L5.

    Parameters
    ----------
    volume : CTVolume
    centres : dict
        Name to RAS mm of every vertebra from T10 to S2.
    seed : int
    count : int
    """
    rng = np.random.default_rng([seed, 505])
    s = np.array([c[2] for c in centres.values()])
    yield "whole", volume, centres
    for number in range(count):
        # Between the ends lie at least two vertebrae, and at least one of them is lumbar.
        first = rng.uniform(-0.7, 5.5) if number % 3 else -1.0
        last = rng.uniform(first + 2.4, 10.0) if number % 3 != 1 else 10.5
        last = max(last, 4.0)
        place = np.arange(len(s), dtype=float)
        top, bottom = np.interp([first, last], place, s)
        top = volume.ras_bounds[2, 1] if first <= -0.7 else top
        bottom = volume.ras_bounds[2, 0] if last >= 9.7 else bottom
        cut = cases.crop_s(volume, bottom, top)
        yield from _changed(f"{first:.1f} to {last:.1f}", cut, centres, rng)
    yield from _ends(volume, centres, seed)


def _ends(volume, centres, seed):
    """What lies above the first lumbar vertebra: twice, cut below T12's body and through L1's top."""
    rng = np.random.default_rng([seed, 506])
    s = np.array([c[2] for c in centres.values()])
    for low in (rng.uniform(2.25, 2.5), rng.uniform(2.5, 2.75)):
        bottom = np.interp(low, np.arange(len(s), dtype=float), s)
        if volume.ras_bounds[2, 1] - bottom > 60.0:
            end = cases.crop_s(volume, bottom, volume.ras_bounds[2, 1])
            yield f"above {low:.2f}", end, centres


def _changed(name, volume, centres, rng):
    """The cut, or, in two of three cases, one that is changed in another way as well."""
    kind = int(rng.integers(0, 12))
    middle = volume.ras_bounds.mean(axis=1)
    lumbar = {n: np.array(c) for n, c in centres.items() if n in LUMBAR}
    if kind == 0:
        about, degrees = int(rng.integers(3)), float(rng.choice([-15, 15, 20]))
        volume, move = cases.turn(volume, degrees, about, middle)
        centres = {n: move[:3, :3] @ np.array(c) + move[:3, 3] for n, c in centres.items()}
        name += f", turned {degrees:.0f} about {'RAS'[about]}"
    elif kind == 1:
        volume = cases.noisier(volume, 3.0, int(rng.integers(1000)))
        name += ", noise x3"
    elif kind == 2:
        volume = cases.noisier(volume, 6.0, int(rng.integers(1000)))
        name += ", noise x6"
    elif kind in (3, 4):
        mm = (3.0, 5.0)[kind - 3]
        volume = cases.respace(volume, mm)
        name += f", {mm:.0f} mm slices"
    elif kind == 5:
        volume = cases.restore(volume, order=(2, 0, 1), flip=(True, False, True))
        name += ", stored sagittal and flipped"
    elif kind == 6:
        volume = with_contrast(volume, lumbar, float(rng.choice([150.0, 350.0])))
        name += ", contrast"
    elif kind == 7:
        volume = with_metal(volume, lumbar)
        name += ", screws"
    yield name, volume, centres


def look(volume, truth: dict, seed: int, count: int = COPIES, copies=random_copies) -> list[Copy]:
    """What the finder sees in the copies of one volume along its first trace.

    Parameters
    ----------
    volume : CTVolume
    truth : dict
        As `make_volume` gives it. Of a transitional spine the names are those counted up
        from the sacrum.
    seed, count : int
    """
    to_name = truth.get("from_sacrum", {})
    levels = {to_name.get(name, name): item for name, item in truth["levels"].items()}
    half = {n: 0.5 * v["height_mm"] * np.array(v["axis"]) for n, v in levels.items()}
    start = {n: np.array(v["ras"]) for n, v in levels.items()}
    out = []
    for name, copy, centres in copies(volume, start, seed, count):
        whole = tuple(
            n
            for n in LUMBAR
            if copy.contains(centres[n] + half[n]) and copy.contains(centres[n] - half[n])
        )
        traced = trace_spine(copy)
        if traced is None or len(traced.scores) < 2:
            continue
        discs = traced.discs
        places = traced.straight.point(0.5 * (discs[1:] + discs[:-1]))
        points = np.array(list(centres.values()))
        true = []
        for place in places:
            apart = np.linalg.norm(points - place, axis=1)
            near = list(centres)[int(apart.argmin())]
            true.append(near if apart.min() < SAME_MM else None)
        seen = witnesses(traced)
        out.append(Copy(seed, name, *seen, traced.scores, tuple(true), whole))
    return out


def judge_copy(copy: Copy, limits: NumberingSettings) -> str:
    """'right', 'uncertain' or 'wrong', as `check.judge` says of a selection."""
    numbering = number_spine(copy.rules, copy.network, limits)
    if not numbering.any_lumbar:
        return "uncertain" if copy.whole else "right"
    unsure, right = False, set()
    fits = 1.0 / (1.0 + np.exp(-4.0 * (copy.scores - 0.3)))
    for position, (true, fit) in enumerate(zip(copy.true, fits, strict=True)):
        name = numbering.name(position)
        if name not in LUMBAR:
            continue
        sure = numbering.decided_by != "neither" and numbering.probability * fit >= CERTAIN
        if name != true and sure:
            return "wrong"
        unsure |= not sure
        if name == true:
            right.add(name)
    return "right" if set(copy.whole) <= right and not unsure else "uncertain"


def count_verdicts(copies, limits: NumberingSettings) -> dict:
    """How many copies are right, uncertain and wrong of usual and of transitional spines.

    Returns
    -------
    dict
        'usual' and 'transitional': counts of the three verdicts; 'cost': of a copy, where
        transitional ones weigh as `TRANSITIONAL_SHARE`.
    """
    counts = {kind: dict.fromkeys(VERDICTS, 0) for kind in ("usual", "transitional")}
    for copy in copies:
        kind = "transitional" if is_transitional(copy.seed) else "usual"
        counts[kind][judge_copy(copy, limits)] += 1
    cost = total = 0.0
    for kind, share in (("usual", 1 - TRANSITIONAL_SHARE), ("transitional", TRANSITIONAL_SHARE)):
        number = sum(counts[kind].values())
        if number:
            row = counts[kind]
            cost += share * (WRONG_COST * row["wrong"] + row["uncertain"]) / number
            total += share
    return counts | {"cost": cost / total if total else 0.0}


def one_volume(seed: int, steep: bool, folder: Path) -> list[Copy]:
    """Make a full-length virtual volume and look at its copies; what was seen is kept."""
    path = folder / f"{seed}.pkl"
    if path.exists():
        return pickle.loads(path.read_bytes())
    options = training_options(seed, steep) | {"top": 0.0, "bottom": 9.0}
    found = look(*make_volume(seed, **options), seed)
    write_bytes(path, pickle.dumps(found), overwrite=True)
    return found


def names_right(
    copies, limits: NumberingSettings, low: float = 0.0, high: float = 1.0
) -> tuple[int, int]:
    """Of the lumbar names whose numbering has a probability in [low, high): right, and all."""
    right = given = 0
    for copy in copies:
        numbering = number_spine(copy.rules, copy.network, limits)
        if not (numbering.any_lumbar and low <= numbering.probability < high):
            continue
        for position, true in enumerate(copy.true):
            name = numbering.name(position)
            if name in LUMBAR:
                given += 1
                right += name == true
    return right, given


def check_settings(folder: Path, count: int, first_seed: int, workers: int) -> NumberingSettings:
    """Print what every setting of `GRID` costs; the one that costs least.

    The second half of the `count` volumes has ribs that run down as in life; a quarter of all
    is transitional. `folder` keeps what was seen: empty it when the networks change.
    """
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(first_seed + n, 2 * n >= count, folder) for n in range(count)]
    return print_grid([copy for found in results(one_volume, jobs, workers) for copy in found])


def print_grid(copies) -> NumberingSettings:
    """Print the table over the grid and, for the best, each setting's own sensitivity."""
    table = {}
    for values in itertools.product(*GRID.values()):
        limits = replace(LIMITS, **dict(zip(GRID, values, strict=True)))
        table[limits] = count_verdicts(copies, limits)
    best = _middle([limits for limits, row in table.items() if row["cost"] <= _least(table)])
    print(
        f"{len(copies)} copies; an unflagged error in a name costs {WRONG_COST:.0f}, 'uncertain' 1\n"
    )
    head = "".join(f"{name:>12s}" for name in GRID)
    print(f"{'':{len(head)}s}    usual spines          transitional")
    print(f"{head}{2 * '   right unsure wrong'}  cost a copy")
    for name, values in GRID.items():
        print(f"-- {name}, the others as in the best")
        for value in values:
            limits = replace(best, **{name: value})
            _print_row(limits, table[limits], limits == best)
    print("-- as committed")
    _print_row(LIMITS, count_verdicts(copies, LIMITS), best == LIMITS)
    # With a limit of 0 the numberings that it limits are those of probability 0.
    right, given = names_right(copies, replace(best, one_witness=0.0), high=1e-9)
    print(f"\none witness sure, the other leaning to other names: {right} of {given} names right")
    print("probability of the numbering: lumbar names right")
    for low, high in zip(BINS, BINS[1:], strict=False):
        right, given = names_right(copies, best, low, high if high < 1 else 1.01)
        print(f"{low:.1f}-{high:.1f}: {right} of {given}")
    return best


def _least(table) -> float:
    return min(row["cost"] for row in table.values()) + 1e-9


def _middle(equal):
    """Of settings that cost the same, the one in the middle of each one's values."""
    for name in GRID:
        values = sorted({getattr(limits, name) for limits in equal})
        wanted = values[len(values) // 2]
        equal = [limits for limits in equal if getattr(limits, name) == wanted]
    return equal[0]


def _print_row(limits, row, is_best):
    values = "".join(f"{getattr(limits, name):12.2f}" for name in GRID)
    counts = "".join(
        f"   {part['right']:5d} {part['uncertain']:6d} {part['wrong']:5d}"
        for part in (row["usual"], row["transitional"])
    )
    print(f"{values}{counts}  {row['cost']:.3f}{'  <- least' if is_best else ''}")
