"""How well findings and the trabecular HU hold on virtual people, as a page.

    python -m training.evaluation.findings --count 15 --seed 31000 --output training/results/findings.md

All figures are of simulated CT. Points lie up to 6 mm off the bodies' middles. Of eight people
one each has cement, a dense focus, a hole, a screw, plaque before the spine, osteophytes, and a
dense endplate. L4 of every person is pressed lower by 15 to 40 %, see `pressed`.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numba as nb
import numpy as np

from CTBMDLib.bmd.centring import centred
from CTBMDLib.bmd.field import check_field
from CTBMDLib.bmd.heights import BodyHeights, grade, heights_of
from CTBMDLib.bmd.quality import check_images
from CTBMDLib.bmd.size import check_size
from CTBMDLib.bmd.structure import check_structure, look_at
from CTBMDLib.bmd.tissues import check_tissues, measure_tissues
from CTBMDLib.bmd.unlike import check_likeness
from CTBMDLib.levels import MEASURED, LevelSlice
from CTBMDLib.model.bundle import read_card
from CTBMDLib.model.images import ImageStandard, cut_images

from ..processes import results as in_processes
from ..virtual.bone import body_distance
from ..virtual.primitives import ANGLES, local
from ..virtual.raster import bone_raster
from ..virtual.volume import HA_PER_WATER, make_volume, random_options
from .pressed import FORMS, SHARES, draw_press, press

STANDARD = ImageStandard()
CORE_MM = 5.5
"""How deep under wall and endplate the true core begins."""
OFF_MM = 6.0
PLACE = 0.8
MEASURED_LESS_MM = np.array([1.1, 0.4, 1.05])
"""By how much the heights measured on healthy virtual bodies are lower than the drawn ones,
whose rims stand out."""
LOSSES = (
    ("below 15 %", 0.0, 0.15),
    ("15 to 20 %", 0.15, 0.20),
    ("20 to 25 %, grade 1", 0.20, 0.25),
    ("25 to 40 %, grade 2", 0.25, 0.40),
    ("from 40 %, grade 3", 0.40, 1.01),
)
CEMENT_HU, CEMENT_RADIUS_MM = 1200.0, 8.0
PLANTED = (
    "cement",
    "dense-focus",
    "lytic-focus",
    "metal-in-vertebra",
    "aortic-calcification",
    "osteophytes",
    "dense-endplate",
)
"""What a person has in or about L2, by the rest of the seed divided by eight; the eighth has nothing."""
PRESSED, PRESSED_LEVEL = "pressed", "L4"
OUTSIDE = ("aortic-calcification", "osteophytes")
"""Of these, what leaves the bone within the body as it is."""
SPUR_HU, SPUR_MM = 500.0, 7.0
DENSER_HU, DENSE_MM = 150.0, (1.0, 8.0)
"""Of a dense endplate: how much denser, and how deep under the upper one."""
SHIFT_HU, FACTOR, FLOOR_HU = 60.0, 1.3, -1024.0
SCALES = {
    "size 0.85": (0.85, 0.85),
    "size 1.25": (1.25, 1.25),
    "slices 0.75": (1.0, 0.75),
    "slices 1.33": (1.0, 1.33),
}
"""What a false spacing does to the size across and along the spine."""
SIZES = ("size-unlikely", "proportions-unlikely")
"""Either says that the spacing may be false."""
BUNDLE = Path(__file__).resolve().parents[2] / "Resources" / "Models" / "ctbmd-virtual"


@nb.njit(cache=True)
def _distances(axes, centre, rot, a, radius, slope, lips):
    """Distances beyond wall and endplate, and places to the front and up, mm; shape (4, Z, Y, X)."""
    xs, ys, zs = axes
    out = np.empty((4, zs.size, ys.size, xs.size), np.float32)
    for k in range(zs.size):
        for j in range(ys.size):
            for i in range(xs.size):
                u, v, w = local(xs[i], ys[j], zs[k], centre, rot)
                side, end, _ = body_distance(u, v, w, a, radius, slope, lips)
                out[0, k, j, i], out[1, k, j, i] = side, end
                out[2, k, j, i], out[3, k, j, i] = v, w
    return out


def distances(scene, n: int, axes) -> np.ndarray:
    """Of places along R, A and S from a virtual body; see `_distances`."""
    vertebrae, centres, rot, radius, slope, _, lips, _, _ = scene.spine
    shape = vertebrae[n], radius[n], slope[n], lips[n]
    return _distances(tuple(axes), centres[n], rot[n], *shape)


def true_core(scene, n: int, kvp: int, deep_mm: float = CORE_MM) -> tuple[float, np.ndarray]:
    """A virtual body's bone, `deep_mm` under its surface.

    Returns
    -------
    hu : float
        Mean without noise and blur.
    places : ndarray, shape (m, 3)
        Where it lies, RAS mm off the body's centre, 1 mm apart.
    """
    axes = [np.arange(x - 28, x + 28.1, 1.0) for x in scene.spine[1][n]]
    depth = -distances(scene, n, axes)[:2].max(axis=0)
    cover, water, ha, _, _ = bone_raster(*axes, 1.0, scene.spine)
    core = depth >= deep_mm
    hu = 1000 * (water[core] + HA_PER_WATER[kvp] * ha[core]) / np.maximum(cover[core], 1e-3)
    k, j, i = np.nonzero(core)
    places = np.stack([axes[0][i], axes[1][j], axes[2][k]], axis=1) - scene.spine[1][n]
    return float(hu.mean() - 1000), places


def true_heights(scene, n: int) -> BodyHeights:
    """Front, middle and back height of a virtual body as an exact measurement would see them."""
    vertebrae, _, _, radius, slope, _, lips, _, _ = scene.spine
    w = np.arange(-30, 30, 0.1)
    mm = []
    for v in (PLACE * radius[n][ANGLES // 4], 0.0, -PLACE * radius[n][3 * ANGLES // 4]):
        shape = vertebrae[n], radius[n], slope[n], lips[n]
        mm.append(0.1 * sum(body_distance(0.0, v, x, *shape)[1] < 0 for x in w))
    return BodyHeights(*(np.array(mm) - MEASURED_LESS_MM))


def planted_in(level: str, what: str):
    """A `repaint` for `make_volume` that puts what a finding is about into or before a level."""

    def paint(hu, xs, ys, zs, scene):
        if what in ("osteophytes", "dense-endplate"):
            return _paint_bone(hu, (xs, ys, zs), scene, scene.names.index(level), what)
        x, y, z = scene.centres[scene.names.index(level)]
        dx, dy, dz = xs - x, ys[:, None] - y, zs[:, None, None] - z

        def ball(radius, to_right=0.0):
            return (dx - to_right) ** 2 + (dy - 3) ** 2 + dz**2 < radius**2

        if what == "cement":
            hu[ball(CEMENT_RADIUS_MM)] = CEMENT_HU
        elif what == "dense-focus":
            hu[ball(4.0, 6.0)] += 600.0
        elif what == "lytic-focus":
            hu[ball(6.0, 6.0)] = 40.0
        elif what == "metal-in-vertebra":  # a pedicle screw
            hu[((dx - 12) ** 2 + dz**2 < 3.0**2) & (np.abs(dy + 12) < 24)] = 6000.0
        else:  # a shell of the aorta's wall
            far = np.hypot(dx + 3, dy - 32)
            hu[(far > 8) & (far < 10) & (dy > 33) & (np.abs(dz) < 14)] = 800.0
        return None

    return paint


def painted(what: str | None, how):
    """A `repaint` for `make_volume`: `what` planted in L2, and `PRESSED_LEVEL` pressed as `how` says."""

    def paint(hu, xs, ys, zs, scene):
        press(hu, (xs, ys, zs), scene, scene.names.index(PRESSED_LEVEL), how, distances)
        if what:
            planted_in("L2", what)(hu, xs, ys, zs, scene)

    return paint


def _paint_bone(hu, axes, scene, n: int, what: str) -> None:
    """Spurs on the front half of both rims, or denser bone under the upper endplate."""
    near = [
        np.flatnonzero(np.abs(x - c) < 34) for x, c in zip(axes, scene.spine[1][n], strict=True)
    ]
    part = hu[tuple(slice(x[0], x[-1] + 1) for x in near[::-1])]
    side, end, front, up = distances(
        scene, n, [x[i].astype(float) for x, i in zip(axes, near, strict=True)]
    )
    if what == "osteophytes":
        part[(side > 0) & (side < SPUR_MM) & (np.abs(end) < 3) & (front > 0)] = SPUR_HU
    else:
        low, high = DENSE_MM
        part[(-end > low) & (-end < high) & (side < -2) & (up > 0)] += DENSER_HU


def scaled(bodies: dict, across: float, along: float) -> dict:
    """Found bodies as a scan whose spacing is false by two factors would show them."""
    return {
        level: replace(
            body,
            centre=np.array([across, across, along]) * body.centre,
            half_width=across * body.half_width,
            half_depth=across * body.half_depth,
            top=along * body.top,
            bottom=along * body.bottom,
        )
        for level, body in bodies.items()
    }


def size_codes(structures: dict, across: float = 1.0, along: float | None = None) -> set:
    """What is told of the size of bodies, as they are found or as if the spacing were false."""
    along = across if along is None else along
    known = {level: x.body for level, x in structures.items() if x.heights is not None}
    bodies = scaled(known, across, along)
    heights = {level: heights_of(body) for level, body in bodies.items()}
    return {x.code for x in check_size(bodies, heights)}


def options_for(seed: int) -> dict:
    """How a person of the realistic population is scanned, L1 to L4 in view."""
    options = random_options(seed)
    options.update(top=2.4, bottom=6.6, outside_hu=None, population="realistic", metal=False)
    return options


def moved_point(level: str, truth: dict, rng) -> LevelSlice:
    """A level's point, as far off the body's middle as a person or the finder may put it."""
    off = rng.normal(size=3)
    off *= OFF_MM * rng.random() ** (1 / 3) / np.linalg.norm(off)
    return LevelSlice(level, tuple(np.array(truth["ras"]) + off), axis=truth["axis"])


def measure(seed: int) -> tuple[list[dict], dict]:
    """One virtual person of the realistic population: rows of the levels, and of the person."""
    options, how = options_for(seed), draw_press(seed)
    what = dict(enumerate(PLANTED)).get(seed % (len(PLANTED) + 1))
    options["repaint"] = painted(what, how)
    volume, truth = make_volume(seed, **options)
    scene, rng = truth["scene"], np.random.default_rng([seed, 9])
    structures, true, items = {}, {}, []
    for level in MEASURED:
        item = moved_point(level, truth["levels"][level], rng)
        items.append(item)
        structures[level] = look_at(volume, item)
        true[level] = true_heights(scene, scene.names.index(level))
    true[PRESSED_LEVEL] = how.heights(true[PRESSED_LEVEL])
    found = {level: x.heights for level, x in structures.items() if x.heights is not None}
    codes = {(x.level, x.code) for x in check_structure(structures)}
    rows = []
    for level in MEASURED:
        filled = {"L2": what, PRESSED_LEVEL: PRESSED}.get(level)
        core, places = true_core(scene, scene.names.index(level), options["kvp"])
        seen = volume.sample(truth["levels"][level]["ras"] + places)
        hu = structures[level].trabecular_hu
        inside = filled is not None and filled not in OUTSIDE
        rows.append(
            {
                "kvp": options["kvp"],
                "error": None if inside or hu is None else hu - core,
                "from_seen": None if inside or hu is None else hu - float(np.nanmean(seen)),
                "planted": filled,
                "lost": true[level].loss(level, true),
                "seen_lost": found[level].loss(level, found) if level in found else None,
                "form": how.form if level == PRESSED_LEVEL else None,
                "codes": {code for where, code in codes if where == level},
            }
        )
    of_whole = person(volume, items, structures, options, what, codes)
    return rows, {**of_whole, "own_plaque": bool(truth["facts"].get("plaque"))}


def left_behind(seed: int, folder: Path | None, measured):
    """What `measured(seed)` answers, from a folder where an earlier run of the same code left it.

    Parameters
    ----------
    seed : int
    folder : Path or None
        None keeps nothing.
    measured : callable(int)
        Its answer is kept as JSON, sets as lists.
    """
    if folder is None:
        return measured(seed)
    path = folder / f"{seed}.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(measured(seed), default=sorted), encoding="utf-8")
        new.replace(path)
    return json.loads(path.read_text(encoding="utf-8"))


def kept(seed: int, folder: Path | None) -> tuple[list[dict], dict]:
    """What `measure` says, see `left_behind`."""
    rows, one = left_behind(seed, folder, measure)
    return rows, one


def person(volume, items, structures, options, what, codes) -> dict:
    """What is told of the whole scan, and of the same scan where something is false."""
    places = [centred(volume, item, structures[item.level]) for item in items]
    images = [cut_images(volume, place, STANDARD) for place in places]
    seen = [check_images(part, STANDARD) for part in images]
    enhanced = options["contrast"] is not None
    shifted = replace(volume, hu=volume.hu + SHIFT_HU)
    # As a scanner stores it: what would be darker than air is cut off.
    steeper = replace(volume, hu=np.maximum(FACTOR * volume.hu.astype(np.float32), FLOOR_HU))
    told = {code for where, code in codes if where is None}
    told |= {x.code for part in seen for x in part if x.code == "contrast-suspected"}
    told |= size_codes(structures) | {x.code for x in check_field(volume, items)}

    def tissue(scan):
        tissues = measure_tissues(scan, items)
        return {x.code for x in check_tissues(tissues, options["kvp"], enhanced)}

    return {
        "contrast": options["contrast"],
        "narrow": bool(options["width_mm"]),
        "plaque": what == "aortic-calcification",
        "codes": told | tissue(volume),
        f"{SHIFT_HU:+.0f} HU": tissue(shifted),
        "like": unlike(images),
        f"HU x {FACTOR:g}": unlike([replace(x, hu=FACTOR * x.hu) for x in images])
        | tissue(steeper),
        **{name: size_codes(structures, *factors) for name, factors in SCALES.items()},
    }


def unlike(images) -> set:
    """What the bundle's card says of images, as it is or changed."""
    return {x.code for x in check_likeness(images, read_card(BUNDLE), STANDARD)}


def counted(name: str, ill: int, told: int, well: int, false: int) -> str:
    """One row: who has it and who has not, of each how many are told; shares where there are any."""
    sensitivity = f"{100 * told / ill:.0f} %" if ill else "unknown"
    specificity = f"{100 * (1 - false / well):.0f} %" if well else "unknown"
    return f"| {name} | {ill} | {told} | {well} | {false} | {sensitivity} | {specificity} |"


def person_lines(people: list[dict]) -> list[str]:
    """Rows of the table of what is told of whole scans."""
    lines = []

    def add(name, wanted, ill, well):
        told = [sum(bool(set(wanted) & set(codes)) for codes in part) for part in (ill, well)]
        lines.append(counted(name, len(ill), told[0], len(well), told[1]))

    codes = [x["codes"] for x in people]
    for name, code, fact in (
        ("contrast in the vessels", "contrast-suspected", "contrast"),
        ("body cut by the field of view", "body-cut", "narrow"),
    ):
        ill = [x["codes"] for x in people if x[fact]]
        add(name, [code], ill, [x["codes"] for x in people if not x[fact]])
    plaque, clean = ["aortic-calcification"], [x for x in people if not x["own_plaque"]]
    well = [x["codes"] for x in clean if not x["plaque"]]
    add("plaque before L2", plaque, [x["codes"] for x in people if x["plaque"]], well)
    own = [x["codes"] for x in people if x["own_plaque"] and not x["plaque"]]
    add("an aorta calcified by the person's own age", plaque, own, well)
    shift = f"{SHIFT_HU:+.0f} HU"
    add(f"values off by {shift}", ["tissue-hu"], [x[shift] for x in people], codes)
    for name in SCALES:
        add(f"{name} times true, size or proportions", SIZES, [x[name] for x in people], codes)
    factor = f"HU x {FACTOR:g}"
    usual = [set(x["like"]) | set(x["codes"]) for x in people]
    strange = ["unlike-training", "tissue-hu"]
    add(f"{factor}, {' or '.join(strange)}", strange, [x[factor] for x in people], usual)
    return lines


def height_lines(rows: list[dict]) -> list[str]:
    """A table of true grades of lost height beside those that are found."""
    out = [
        "",
        f"L4 of every person is pressed by {100 * SHARES[0]:.0f} to {100 * SHARES[1]:.0f} % "
        f"({', '.join(FORMS)}); Genant's grade by the true heights against that by the measured ones:",
        "",
        "| true loss | n | heights unknown | found grade 0 | 1 | 2 | 3 | found minus true loss, mean | SD |",
        "| --- " * 9 + "|",
    ]
    for name, low, high in LOSSES:
        part = [r for r in rows if low <= r["lost"] < high]
        known = [r for r in part if r["seen_lost"] is not None]
        grades = Counter(grade(r["seen_lost"]) for r in known)
        off = 100 * np.array([r["seen_lost"] - r["lost"] for r in known])
        error = f"{off.mean():+.1f} % | {off.std():.1f} %" if len(off) else "|"
        counts = " | ".join(str(grades[g]) for g in range(4))
        out.append(f"| {name} | {len(part)} | {len(part) - len(known)} | {counts} | {error} |")
    return out


def page(rows: list[dict], command: str, people: list[dict]) -> str:
    """The report of many levels, as Markdown."""
    out = [
        "# Findings on virtual people (generated)",
        "",
        f"Simulated CT. `{command}`: {len(rows)} vertebrae, points up to {OFF_MM:g} mm off.",
        "",
        "| trabecular HU minus that of the true core | n | mean | SD | within 8 HU | 95th percentile |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, key, low in (
        ("as drawn, all tube voltages", "error", 0),
        ("as drawn, 120 and 140 kV", "error", 120),
        ("as the scan shows it, all tube voltages", "from_seen", 0),
    ):
        e = np.array([r[key] for r in rows if r["error"] is not None and r["kvp"] >= low])
        share, end = np.mean(np.abs(e) <= 8), np.percentile(np.abs(e), 95)
        line = f"{len(e)} | {e.mean():+.1f} | {e.std():.1f} | {100 * share:.0f} % | {end:.1f}"
        out.append(f"| {name} | {line} |")
    out += [
        "",
        f"The true core begins {CORE_MM:g} mm under wall and endplate. As the scan shows it: the mean that a "
        "perfect mask of it would read in the same scan, with what blur carries in from the cortex.",
        "",
        "| finding | has it | told | has it not | told | sensitivity | specificity |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    plain = [r for r in rows if not r["planted"]]
    whole = [r for r in rows if r["planted"] in (None, PRESSED)]
    sets = (
        *(
            (name, name, [r for r in rows if r["planted"] == name], plain)
            for name in PLANTED
            if name != "aortic-calcification"
        ),
        (
            "height-loss, true loss from 20 % against below 15 %",
            "height-loss",
            [r for r in whole if grade(r["lost"])],
            [r for r in whole if r["lost"] < 0.15],
        ),
    )
    for name, code, ill, well in sets:
        told = [sum(code in r["codes"] for r in part) for part in (ill, well)]
        out.append(counted(name, len(ill), told[0], len(well), told[1]))
    out += person_lines(people)
    out += height_lines(whole)
    count = Counter(code for r in plain for code in r["codes"])
    rest = [f"{code} {number}" for code, number in sorted(count.items())]
    out += [
        "",
        f"All that was told of {len(plain)} levels without anything planted: {', '.join(rest)}.",
        "",
    ]
    return "\n".join(out)


def main(arguments: list[str] | None = None) -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=15)
    parser.add_argument("--seed", type=int, default=31000)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--keep", type=Path, help="folder that keeps each person, to go on later")
    parser.add_argument("--workers", type=int, default=1)
    o = parser.parse_args(arguments)
    seeds = range(o.seed, o.seed + o.count)
    measured = list(in_processes(kept, [(seed, o.keep) for seed in seeds], o.workers))
    rows = [row for levels, _ in measured for row in levels]
    command = f"python -m training.evaluation.findings --count {o.count} --seed {o.seed}"
    o.output.write_text(page(rows, command, [x for _, x in measured]), encoding="utf-8")


if __name__ == "__main__":
    main()
