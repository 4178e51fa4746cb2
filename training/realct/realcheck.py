"""What the model does on real CT, where no DXA exists: response, repeatability, plausibility.

`python -m training.realct.realcheck [--model DIR] [--data DIR] [--output FILE]`

Nothing is trained on these scans. For each one it prints

- response: the vertebrae's mineral is scaled by 0.7 to 1.3 in the volume and the
  change of the answer is set against the change of the areal BMD projected from
  the same edited volume (goal, corrected, 0.85 to 1.15), once with the bone's edge found in each
  volume as a DXA finds it, which is what the network learned from, and once with
  the edge kept where it was; and both again with what that projection shows of a
  true change, which `yardstick` measures on virtual people in the scan's own voxels;
- repeatability: SD of the L1-L4 answer over moved points, and turned, noisier and resampled
  versions of the same scan (goal at most 0.015 g/cm2);
- the answer beside the CT-derived areal BMD and beside the regression of Comp2Comp
  (aBMD = 0.002534 x HU + 0.2298, HU of the whole vertebra over L1-L4);
- the answer beside lines of areal BMD on HU, see `lines`.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from CTBMDLib.disclaimers import RESEARCH_USE
from CTBMDLib.levels import MEASURED, LevelSlice
from CTBMDLib.model.bundle import ModelBundle, default_bundle_folder, save_bundle
from CTBMDLib.reading.reading import read_ct, read_labels
from CTBMDLib.safefile import write_text
from CTBMDLib.volume import AIR_HU

from .answers import answer, places
from .edited import Scan
from .lines import beside_the_lines, hu_of_l1
from .yardstick import PROJECTIONS, calibrate

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
FACTORS = (0.7, 0.85, 1.15, 1.3)
COMP2COMP = (0.002534, 0.2298)


def resampled(volume, spacing):
    """The volume on a grid of `spacing` mm along R, A and S, averaged where that is coarser."""
    bounds = volume.ras_bounds
    sigma = [max(spacing / s - 1, 0) * 0.42 for s in volume.spacing_mm[::-1]]
    smooth = replace(volume, hu=ndimage.gaussian_filter(volume.hu.astype(np.float32), sigma))
    axes = [np.arange(low, high + 1e-6, spacing) for low, high in bounds]
    s, a, r = np.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    hu = smooth.sample(np.stack([r, a, s], axis=-1), fill=AIR_HU)
    matrix = np.diag([spacing, spacing, spacing, 1.0])
    matrix[:3, 3] = bounds[:, 0]
    return replace(volume, hu=hu, ijk_to_ras=matrix)


def noisier(volume, seed=0):
    """The volume with its noise doubled in SD."""
    hu = volume.hu.astype(np.float32)
    axis_s = volume.axis_kji_of_ras[2]
    smooth_size = [3 if axis != axis_s else 1 for axis in range(3)]
    smooth = ndimage.uniform_filter(hu, smooth_size)
    soft = ndimage.binary_erosion((smooth > 0) & (smooth < 90), np.ones(smooth_size))
    residue = (hu - smooth)[soft]
    sd = 1.4826 * np.median(np.abs(residue))
    noise = np.random.default_rng(seed).normal(size=hu.shape).astype(np.float32)
    noise = ndimage.gaussian_filter(noise, [0.6 if axis != axis_s else 0 for axis in range(3)])
    scale = (noise - ndimage.uniform_filter(noise, smooth_size)).std()
    return replace(volume, hu=hu + np.sqrt(3) * sd / scale * noise), float(sd)


def check(scan, bundle):
    """All figures of one scan, as a dict."""
    here = places(scan.volume, scan.levels)
    base, each = answer(bundle, scan.volume, here)
    derived, by_edge = scan.projected(scan.volume), scan.projected_by_edge(scan.volume)
    response, shares = {}, calibrate(scan, FACTORS)
    for factor in FACTORS:
        edited = scan.scaled(factor)
        got = answer(bundle, edited, here)[0] - base  # the same places: the edit is no new scan
        want = scan.projected(edited) - derived
        response[factor] = {
            "edge": got / (scan.projected_by_edge(edited) - by_edge),
            "fixed": got / want,
            "relative": (got / base) / (want / derived),
        }
        for name in PROJECTIONS:
            response[factor][f"true_{name}"] = response[factor][name] * shares[factor][name][0]
    variants = {}

    def vary(kind, volume=None, rotation=0.0, **moved):
        seen = volume or scan.volume
        at = places(seen, scan.levels, **moved)
        value = answer(bundle, seen, at, rotation=rotation)[0]
        variants.setdefault(kind, []).append(value)

    for sign in (-1, 1):
        vary("point +-1/4 body", s_quarter=sign)
        vary("point 5 mm aside", move=(5 * sign, 0, 0))
        vary("point 5 mm aside", move=(0, 5 * sign, 0))
        vary("rotated 10 deg", rotation=10 * sign)
    noisy, noise = noisier(scan.volume)
    vary("noise doubled", noisy)
    for spacing in (1.0, 3.0):
        vary("resampled", resampled(scan.volume, spacing))
    everything = [base, *(x for values in variants.values() for x in values)]
    hu = scan.vertebra_hu
    return {
        "scan": scan.name,
        "l1_l4": base,
        "l1_hu": hu_of_l1(scan.volume, scan.levels),
        "levels": each,
        "response": response,
        "shares": shares,
        "repeatability_sd": float(np.std(everything, ddof=1)),
        "largest_shift": {k: max((x - base for x in v), key=abs) for k, v in variants.items()},
        "noise_hu": noise,
        "derived": derived,
        "vertebra_hu": hu,
        "comp2comp": COMP2COMP[0] * hu + COMP2COMP[1],
        "mask": scan.how,
    }


def load_scans(data=DATA):
    """The shared real scans that show lumbar levels; names what is missing."""
    data = Path(data)
    known = json.loads((data / "levels.json").read_text(encoding="utf-8"))["levels"]
    files = {
        "ct_ts_example": (data / "ct_ts_example" / "ct.nii.gz", "vertebrae.nii.gz"),
        "ct_acrin_f46": (data / "ct_acrin_f46", None),
        "ct_sagittal_m42": (data / "ct_sagittal_m42", None),
    }
    for name, (path, labels) in files.items():
        levels = {
            level: LevelSlice(level, tuple(known[name][level]))
            for level in MEASURED
            if level in known[name]
        }
        vertebrae = labels and read_labels(path.parent / labels)[0]
        yield Scan(name, read_ct(path), levels, vertebrae)


def _by_factor(results, form, key):
    """A Markdown table: a scan a row, a factor a column."""
    factors = " | ".join(f"x{f:g}" for f in FACTORS)
    rows = (
        f"| {x['scan']} | " + " | ".join(form.format(**x[key][f]) for f in FACTORS) + " |"
        for x in results
    )
    return [f"| scan | {factors} |", "| --- |" + " --- |" * len(FACTORS), *rows]


def to_text(results, bundle):
    """The figures as Markdown."""
    out = [
        RESEARCH_USE,
        "",
        f"Model {bundle.name} {bundle.version} (population: {bundle.population}). Real CT, nothing",
        "trained on it; no DXA exists for these people.",
        "",
        "| scan | L1-L4 | L1 L2 L3 L4 | CT-derived | difference | regression | difference |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for x in results:
        levels = " ".join(f"{v:.2f}" for v in x["levels"].values())
        out.append(
            f"| {x['scan']} | {x['l1_l4']:.3f} | {levels} | {x['derived']:.3f} | "
            f"{x['l1_l4'] - x['derived']:+.3f} | {x['comp2comp']:.3f} ({x['vertebra_hu']:.0f} HU, "
            f"{x['mask']}) | {x['l1_l4'] - x['comp2comp']:+.3f} |"
        )
    out += beside_the_lines(results)
    out += [
        "",
        "Response to scaled mineral: change of the answer over the change of the CT-derived value",
        "of the same edited volume, its bone edge found anew as the simulated DXA finds it; after the",
        "slash with the edge kept where it was; in brackets the latter with both relative to their own",
        "start.",
        "",
        *_by_factor(results, "{edge:.2f} / {fixed:.2f} ({relative:.2f})", "response"),
        "",
        "What these two projections show of a true change: on four virtual people, in the voxels, at",
        "the tube voltage and with the kind of mask of that scan, as shares of the change of their",
        "simulated DXA (mean, lowest to highest).",
        "",
        *_by_factor(
            results,
            "{edge[0]:.2f} ({edge[1]:.2f}-{edge[2]:.2f}) / {fixed[0]:.2f} ({fixed[1]:.2f}-{fixed[2]:.2f})",
            "shares",
        ),
        "",
        "Response with that taken into account (the first table times the second): change of the",
        "answer over the change that a DXA would show, by either projection. Goal 0.85 to 1.15.",
        "",
        *_by_factor(results, "{true_edge:.2f} / {true_fixed:.2f}", "response"),
    ]
    kinds = list(results[0]["largest_shift"])
    out += [
        "",
        "Repeatability of L1-L4, g/cm2: SD over all variants (goal 0.015) and largest shift of each.",
        "",
        "| scan | SD | " + " | ".join(kinds) + " | noise HU |",
        "| --- | --- |" + " --- |" * (len(kinds) + 1),
    ]
    for x in results:
        cells = (f"{x['largest_shift'][k]:+.3f}" for k in kinds)
        out.append(
            f"| {x['scan']} | {x['repeatability_sd']:.3f} | "
            + " | ".join(cells)
            + f" | {x['noise_hu']:.0f} |"
        )
    return "\n".join(out) + "\n"


def repeatability(results) -> dict:
    """What a card's metrics say of the repeatability on real scans.

    Returns
    -------
    dict
        'repeatability_sd': root mean square of the scans' SDs, g/cm2.
    """
    squares = [x["repeatability_sd"] ** 2 for x in results]
    return {
        "kind": "moved, turned, noisier and resampled copies of the same real CT",
        "scans": len(results),
        "repeatability_sd": round(float(np.sqrt(np.mean(squares))), 4),
    }


def into_card(bundle, results) -> None:
    """Write the repeatability into the bundle's own card."""
    metrics = {**bundle.card.get("metrics", {}), "real scans": repeatability(results)}
    save_bundle(bundle.folder, {**bundle.card, "metrics": metrics}, bundle.members, overwrite=True)


def main(arguments=None) -> int:
    """Print the figures; 2 where the scans are missing."""
    parser = argparse.ArgumentParser(
        prog="python -m training.realct.realcheck", description=__doc__
    )
    parser.add_argument("--model", type=Path, help="bundle folder (the installed one otherwise)")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the real scans")
    parser.add_argument("--output", type=Path, help="write the figures there too (.md)")
    parser.add_argument(
        "--into-card", action="store_true", help="write the repeatability into the bundle's card"
    )
    options = parser.parse_args(arguments)
    if not (options.data / "levels.json").is_file():
        print(f"missing: {options.data / 'levels.json'}", file=sys.stderr)
        return 2
    bundle = ModelBundle.load(options.model or default_bundle_folder())
    results = [check(scan, bundle) for scan in load_scans(options.data)]
    text = to_text(results, bundle)
    print(text, end="")
    if options.output:
        write_text(options.output, text, overwrite=True)
    if options.into_card:
        into_card(bundle, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
