"""What the two small networks of the level finder see of virtual volumes, and the truth about it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from CTBMDLib.safefile import write_with
from CTBMDLib.spine import evidence as ev
from CTBMDLib.spine.bone import bone_map, tissue_level
from CTBMDLib.spine.column import Column, refine_column, trace_column
from CTBMDLib.spine.grid import central_box, make_grid, noise_level, quieter, reduce_ct
from CTBMDLib.spine.settings import FAINT, FIRM, SETTINGS
from CTBMDLib.spine.straightened import recentre, straighten

from ..virtual.traits import changed_priors
from ..virtual.variants import make_variant
from ..virtual.volume import make_volume, random_options
from .bodies import EMPTY_BODIES
from .chest import chest_and_truth
from .transitional import KINDS, draw_variant

LINES = 3
"""Lines a volume near the true one, with random shifts, turns and ends; the finder's come on top."""
TRANSITIONAL_EVERY = 4
"""One seed in so many is a spine of one of `transitional.KINDS`, by turns."""
RIB_FALL, RIB_12_MM = (1.0, 2.6), (110.0, 45.0)
"""Of volumes with steep ribs: range of `variants.Variant.rib_fall`, mean and SD of the last rib's
length (own estimates)."""
PRIORS = {
    "realistic.trabecular": {
        "F": [208.0, 204.0, 191.0, 168.0, 147.0, 131.0, 112.0],
        "M": [204.0, 194.0, 179.0, 170.0, 162.0, 154.0, 142.0],
    }
}
"""Mineral of the realistic half as it was when the networks were trained: what cohorts are drawn
from may be set anew, and the same command still makes the same weights."""
EMPTY = ("thighs and knees", "pelvis below S1", "metal hip", "water phantom", "QA phantom")
"""Of `bodies.EMPTY_BODIES`, those without any disc."""
RIB, NONE, ALA, UNKNOWN = 0, 1, 2, -1
"""What is beside a vertebra, as `evidence.SIDE_NAMES` counts."""
KEYS = ("central", "beside", "bodies", "discs", "sides", "last")


def is_transitional(seed: int) -> bool:
    """Whether the volume of a seed is a spine unlike the textbook's."""
    return seed % TRANSITIONAL_EVERY == TRANSITIONAL_EVERY - 1


def training_options(seed: int, steep: bool = False) -> dict:
    """Options of the volume of a seed: every fourth is a spine unlike the textbook's.

    With `steep`, ribs run down as much as in life, which the usual scene's do not, and most
    last ribs are shorter, not alike on both sides.
    """
    options = random_options(seed)
    drawn = {}
    if is_transitional(seed):
        kinds = [kind for kind, given in KINDS.items() if given]
        drawn = draw_variant(kinds[seed // TRANSITIONAL_EVERY % len(kinds)], seed)
    if steep:
        rng = np.random.default_rng([seed, 94])
        drawn["rib_fall"] = float(rng.uniform(*RIB_FALL))
        lengths = rng.normal(RIB_12_MM[0], RIB_12_MM[1]) + rng.normal(0, 12.0, 2)
        if rng.random() < 0.7 and "rib12_mm" not in drawn:
            drawn["rib12_mm"] = tuple(float(x) for x in lengths.clip(30.0, 220.0))
    if drawn:
        options["variant"] = make_variant(**drawn)
    return options


def sides_of(levels: dict) -> tuple[np.ndarray, np.ndarray]:
    """What lies beside each true vertebra.

    Parameters
    ----------
    levels : dict
        'levels' of the truth that `virtual.volume.make_volume` gives, from head to feet.

    Returns
    -------
    sides : ndarray of int, shape (2, n)
        `RIB`, `NONE` or `ALA` on the left and right.
    last : ndarray of int, shape (2,)
        The vertebra with each side's last rib where that is one of the usual length, else -1.
    """
    sides = np.full((2, len(levels)), NONE)
    last = np.full(2, -1)
    for number, (name, item) in enumerate(levels.items()):
        for side in range(2):
            if name[0] == "S":
                sides[side, number] = ALA
            elif item["rib_mm"][side] > 0:
                sides[side, number] = RIB
                last[side] = number if np.isinf(item["rib_mm"][side]) else -1
    return sides, last


def jittered_line(volume, levels, rng) -> Column | None:
    """A line near the true one, as a trace might find it; None where little is in view."""
    ras, axes, heights = (
        np.array([item[k] for item in levels.values()]) for k in ("ras", "axis", "height_mm")
    )
    ends = 0.3 * axes * heights[:, None]
    knots = np.stack([ras + ends, ras - ends], axis=1).reshape(-1, 3)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    at = np.arange(0, length[-1], 6.0)
    line, up = (
        np.column_stack([np.interp(at, length, v[:, i]) for i in range(3)])
        for v in (knots, np.repeat(axes, 2, axis=0))
    )
    inside = np.flatnonzero([volume.contains(p) for p in line])
    if len(inside) < 5:
        return None
    first, last = inside[0], inside[-1] + 1
    if last - first > 12 and rng.random() < 0.3:
        first = rng.integers(first, last - 11)
        last = rng.integers(first + 10, last + 1)
    line, up = line[first:last], up[first:last]
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    front = np.array([0.0, 1.0, 0.0]) - up * up[:, 1:2]
    front /= np.linalg.norm(front, axis=1, keepdims=True)
    right = np.cross(front, up)
    wave = np.arange(len(line))

    def drift(constant, swing):
        phase = wave / rng.uniform(4, 12) + rng.uniform(0, 2 * np.pi)
        return (rng.normal(0, constant) + swing * rng.normal() * np.sin(phase))[:, None]

    body = line + drift(3.0, 2.5) * front + drift(2.5, 2.0) * right
    turn = rng.normal(0, 0.1)
    canal = body - rng.uniform(21, 27) * (np.cos(turn) * front + np.sin(turn) * right)
    return Column(body, canal, np.ones(len(body)))


def traced_lines(quiet, tissue_hu: float) -> list[Column]:
    """The lines the finder itself follows: its first, and one that keeps away from it.

    The second is as a rule no spine, and so teaches what is none.
    """
    found = []
    grid = make_grid(quiet, central_box(quiet))
    for kind in (FIRM, FAINT):
        bone = bone_map(grid.hu, kind.level_hu(tissue_hu), kind.gain)
        column = trace_column(grid, bone, kind.min_score, found, SETTINGS.trace.every)
        if column is not None and len(column) > 4:
            found.append(refine_column(quiet, column, tissue_hu, kind, list(found)))
    return [recentre(quiet, column, tissue_hu) for column in found]


def place(straight, point) -> tuple[float, float]:
    """Plane of a straightened spine that a point lies in, and its distance from the line."""
    apart = np.linalg.norm(straight.centre - point, axis=1)
    at = int(apart.argmin())
    return at - float((point - straight.centre[at]) @ straight.up[at]), float(apart[at])


def measure_volume(volume, levels: dict, seed: int) -> list[dict]:
    """Blocks and true places along several lines of one volume.

    Parameters
    ----------
    volume : CTVolume
    levels : dict
        'levels' of its truth; empty for a body without a spine.
    seed : int
        For the lines near the true one.

    Returns
    -------
    list of dict
        `KEYS`: 'central' and 'beside' as `CTBMDLib.spine.evidence` makes them; 'bodies' (n, 3): plane,
        distance from the line and height; 'discs' (n + 1, 2): plane and distance; 'sides' and
        'last' as `sides_of` gives them.
    """
    reduced = reduce_ct(volume)
    tissue = tissue_level(reduced)
    noise = noise_level(make_grid(reduced, central_box(reduced)))
    quiet = quieter(reduced, noise)
    rims = [
        (np.array(v["ras"]), 0.5 * v["height_mm"] * np.array(v["axis"]), v["height_mm"])
        for v in levels.values()
    ]
    discs = [rims[0][0] + 1.2 * rims[0][1]] if rims else []
    discs += [0.5 * (a - x + b + y) for (a, x, _), (b, y, _) in zip(rims, rims[1:], strict=False)]
    sides, last = sides_of(levels)
    rng = np.random.default_rng([seed, 88])
    lines = [jittered_line(volume, levels, rng) for _ in range(LINES)] if levels else []
    rows = []
    for column in [*lines, *traced_lines(quiet, tissue)]:
        if column is None:
            continue
        straight = straighten(volume, column, noise)
        rows.append(
            {
                "central": ev.central_channels(straight, tissue).astype(np.float16),
                "beside": ev.side_channels(straight, quiet, tissue).astype(np.float16),
                "bodies": np.reshape([(*place(straight, c), h) for c, _, h in rims], (-1, 3)),
                "discs": np.reshape([place(straight, d) for d in discs], (-1, 2)),
                "sides": sides,
                "last": last,
            }
        )
    return rows


def measure(seed: int, steep: bool = False) -> list[dict]:
    """`measure_volume` of the virtual volume of a seed."""
    with changed_priors(PRIORS):
        volume, truth = make_volume(seed, **training_options(seed, steep))
    return measure_volume(volume, truth["levels"], seed)


def measure_empty(seed: int) -> list[dict]:
    """`measure_volume` of one body of each kind of `EMPTY`, and of a chest with its ribs."""
    rows = []
    for kind in EMPTY:
        rows += measure_volume(EMPTY_BODIES[kind](seed), {}, seed)
    with changed_priors(PRIORS):
        volume, truth = chest_and_truth(seed)
    return rows + measure_volume(volume, truth["levels"], seed)


def features(folder: Path, seeds, steep_seeds=(), empty_seeds=()) -> list[dict]:
    """`measure` and `measure_empty` of every seed, kept in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(f"{seed}.npz", measure, (seed,)) for seed in seeds]
    jobs += [(f"steep_{seed}.npz", measure, (seed, True)) for seed in steep_seeds]
    jobs += [(f"empty_{seed}.npz", measure_empty, (seed,)) for seed in empty_seeds]
    rows = []
    for name, make, given in jobs:
        path = folder / name
        if not path.exists():
            write(path, make(*given))
        with np.load(path) as data:
            rows += [{key: data[f"{n}.{key}"] for key in KEYS} for n in range(int(data["count"]))]
    for row in rows:
        for key in KEYS[:4]:
            row[key] = row[key].astype(np.float32)
    return rows


def write(path: Path, rows: list[dict]) -> None:
    """Keep rows in a file; a run that is killed leaves no half of one."""
    flat = {f"{n}.{key}": v for n, row in enumerate(rows) for key, v in row.items()}
    write_with(
        path, lambda file: np.savez_compressed(file, count=len(rows), **flat), overwrite=True
    )
