"""How well trabecular HU, lost heights and cement are told on virtual people, as a page.

    python -m training.evaluation.findings --count 15 --seed 31000 --output training/results/findings.md

All figures are of simulated CT. Points lie up to 6 mm off the bodies' middles.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numba as nb
import numpy as np

from CTBMDLib.bmd.heights import BodyHeights, grade
from CTBMDLib.bmd.structure import check_structure, look_at
from CTBMDLib.levels import MEASURED, LevelSlice

from ..virtual.bone import body_distance
from ..virtual.primitives import ANGLES, local
from ..virtual.raster import bone_raster
from ..virtual.volume import HA_PER_WATER, make_volume, random_options

CORE_MM = 5.5
"""How deep under wall and endplate the true core begins."""
OFF_MM = 6.0
PLACE = 0.8
MEASURED_LESS_MM = np.array([1.1, 0.4, 1.05])
"""By how much the heights measured on healthy virtual bodies are lower than the drawn ones,
whose rims stand out."""
CEMENT_HU, CEMENT_RADIUS_MM = 1200.0, 8.0


@nb.njit(cache=True)
def _depth(axes, centre, rot, a, radius, slope, lips):
    xs, ys, zs = axes
    out = np.empty((zs.size, ys.size, xs.size), np.float32)
    for k in range(zs.size):
        for j in range(ys.size):
            for i in range(xs.size):
                u, v, w = local(xs[i], ys[j], zs[k], centre, rot)
                side, end, _ = body_distance(u, v, w, a, radius, slope, lips)
                out[k, j, i] = -max(side, end)
    return out


def true_core_hu(scene, n: int, kvp: int, deep_mm: float = CORE_MM) -> float:
    """Mean HU without noise and blur of a virtual body's bone, `deep_mm` under its surface."""
    vertebrae, centres, rot, radius, slope, _, lips, _, _ = scene.spine
    axes = [np.arange(x - 28, x + 28.1, 1.0) for x in centres[n]]
    depth = _depth(tuple(axes), centres[n], rot[n], vertebrae[n], radius[n], slope[n], lips[n])
    cover, water, ha, _, _ = bone_raster(*axes, 1.0, scene.spine)
    core = depth >= deep_mm
    hu = 1000 * (water[core] + HA_PER_WATER[kvp] * ha[core]) / np.maximum(cover[core], 1e-3)
    return float(hu.mean() - 1000)


def true_heights(scene, n: int) -> BodyHeights:
    """Front, middle and back height of a virtual body as an exact measurement would see them."""
    vertebrae, _, _, radius, slope, _, lips, _, _ = scene.spine
    w = np.arange(-30, 30, 0.1)
    mm = []
    for v in (PLACE * radius[n][ANGLES // 4], 0.0, -PLACE * radius[n][3 * ANGLES // 4]):
        shape = vertebrae[n], radius[n], slope[n], lips[n]
        mm.append(0.1 * sum(body_distance(0.0, v, x, *shape)[1] < 0 for x in w))
    return BodyHeights(*(np.array(mm) - MEASURED_LESS_MM))


def cement_in(level: str):
    """A `repaint` for `make_volume` that fills a ball of a level's body with cement."""

    def paint(hu, xs, ys, zs, scene):
        x, y, z = scene.centres[scene.names.index(level)]
        far = (xs - x) ** 2 + (ys[:, None] - y) ** 2 + (zs[:, None, None] - z) ** 2
        hu[far < CEMENT_RADIUS_MM**2] = CEMENT_HU

    return paint


def measure(seed: int) -> list[dict]:
    """One virtual person of the realistic population, every second one with cement in L2."""
    options = random_options(seed)
    options.update(top=2.4, bottom=6.6, width_mm=150.0, outside_hu=None, population="realistic")
    cement = seed % 2 == 0
    if cement:
        options["repaint"] = cement_in("L2")
    volume, truth = make_volume(seed, **options)
    scene, rng = truth["scene"], np.random.default_rng([seed, 9])
    structures, true = {}, {}
    for level in MEASURED:
        off = rng.normal(size=3)
        off *= OFF_MM * rng.random() ** (1 / 3) / np.linalg.norm(off)
        ras = tuple(np.array(truth["levels"][level]["ras"]) + off)
        item = LevelSlice(level, ras, axis=truth["levels"][level]["axis"])
        structures[level] = look_at(volume, item)
        true[level] = true_heights(scene, scene.names.index(level))
    codes = {(x.level, x.code) for x in check_structure(structures)}
    rows = []
    for level in MEASURED:
        filled = cement and level == "L2"
        core = true_core_hu(scene, scene.names.index(level), options["kvp"])
        hu = structures[level].trabecular_hu
        rows.append(
            {
                "kvp": options["kvp"],
                "error": None if filled or hu is None else hu - core,
                "cement": filled,
                "lost": true[level].loss(level, true),
                "codes": {code for where, code in codes if where == level},
            }
        )
    return rows


def page(rows: list[dict], command: str) -> str:
    """The report of many levels, as Markdown."""
    out = [
        "# Findings on virtual people (generated)",
        "",
        f"Simulated CT. `{command}`: {len(rows)} vertebrae, points up to {OFF_MM:g} mm off.",
        "",
        "| trabecular HU minus true core | n | mean | SD | within 8 HU | 95th percentile |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, low in (("all tube voltages", 0), ("120 and 140 kV", 120)):
        e = np.array([r["error"] for r in rows if r["error"] is not None and r["kvp"] >= low])
        share, end = np.mean(np.abs(e) <= 8), np.percentile(np.abs(e), 95)
        line = f"{len(e)} | {e.mean():+.1f} | {e.std():.1f} | {100 * share:.0f} % | {end:.1f}"
        out.append(f"| {name} | {line} |")
    out += [
        "",
        "| finding | has it | told | has it not | told |",
        "| --- | --- | --- | --- | --- |",
    ]
    plain = [r for r in rows if not r["cement"]]
    sets = (
        ("cement", "cement", [r for r in rows if r["cement"]], plain),
        (
            "height-loss, true loss from 20 % against below 15 %",
            "height-loss",
            [r for r in plain if grade(r["lost"])],
            [r for r in plain if r["lost"] < 0.15],
        ),
    )
    for name, code, ill, well in sets:
        told = [sum(code in r["codes"] for r in part) for part in (ill, well)]
        out.append(f"| {name} | {len(ill)} | {told[0]} | {len(well)} | {told[1]} |")
    count = Counter(code for r in plain for code in r["codes"])
    rest = [f"{code} {number}" for code, number in sorted(count.items())]
    out += ["", f"All that was told of {len(plain)} levels without cement: {', '.join(rest)}.", ""]
    return "\n".join(out)


def main(arguments: list[str] | None = None) -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=15)
    parser.add_argument("--seed", type=int, default=31000)
    parser.add_argument("--output", type=Path, required=True)
    o = parser.parse_args(arguments)
    rows = [row for seed in range(o.seed, o.seed + o.count) for row in measure(seed)]
    command = f"python -m training.evaluation.findings --count {o.count} --seed {o.seed}"
    o.output.write_text(page(rows, command), encoding="utf-8")


if __name__ == "__main__":
    main()
