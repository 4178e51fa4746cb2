"""What the model does on real CT, where no DXA exists: response, repeatability, plausibility.

`python -m training.realcheck [--model DIR] [--data DIR] [--output FILE]`

Nothing is trained on these scans. For each one it prints

- response: the vertebrae's mineral is scaled by 0.7 to 1.3 in the volume and the
  change of the answer is set against the change of the areal BMD projected from
  the same edited volume (goal 0.8 to 1.2), once with the bone's edge found in each
  volume as a DXA finds it, which is what the network learned from, and once with
  the edge kept where it was;
- repeatability: SD of the L1-L4 answer over moved, turned, noisier and resampled
  versions of the same scan (goal at most 0.02 g/cm2);
- the answer beside the CT-derived areal BMD and beside the regression of Comp2Comp
  (aBMD = 0.002534 x HU + 0.2298, HU of the whole vertebra over L1-L4).
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from CTBMDLib.bundle import ModelBundle, default_bundle_folder
from CTBMDLib.images import body_centre, cut_plane, plane_positions
from CTBMDLib.levels import MEASURED, LevelSlice
from CTBMDLib.network import HU_PER_MG
from CTBMDLib.reading import read_ct
from CTBMDLib.volume import AIR_HU, CTVolume

from .virtual.traits import priors

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
LABELS = {"L1": 31, "L2": 30, "L3": 29, "L4": 28}
SOFT_HU = 20.0
"""HU counted as no mineral: between muscle and marrow fat."""
FACTORS = (0.7, 0.85, 1.15, 1.3)
COMP2COMP = (0.002534, 0.2298)
EDGE_G_CM2 = priors()["dxa"]["edge_g_cm2"]
"""Bone edge of the simulated DXA: what projects less is not counted, in mineral or in area."""


class Scan:
    """A real scan, cropped around its lumbar spine, with known centres and a bone mask."""

    def __init__(self, name, path, centres, labels=None):
        self.name = name
        volume = read_ct(path)
        self.levels = {
            level: LevelSlice(level, tuple(centres[level]))
            for level in MEASURED
            if level in centres
        }
        self.volume = crop(volume, np.array([item.ras for item in self.levels.values()]))
        if labels is not None:
            label_volume = read_labels(labels)
            self.masks = {
                level: self._on_grid(label_volume, LABELS[level]) for level in self.levels
            }
            self.how = "by labels"
        else:
            self.masks = simple_masks(self.volume, self.levels)
            self.how = "by a simple mask"

    def _on_grid(self, labels, value):
        part = CTVolume((labels.hu == value).astype(np.float32), labels.ijk_to_ras)
        return part.sample(grid_points(self.volume), order=0, fill=0) > 0.5

    @property
    def bone(self):
        return np.any(list(self.masks.values()), axis=0)

    def scaled(self, factor):
        """The volume with the mineral of all L1-L4 scaled."""
        near = ndimage.binary_dilation(self.bone, iterations=1)
        hu = self.volume.hu.astype(np.float32)
        hu = hu + (factor - 1) * np.maximum(hu - SOFT_HU, 0) * near
        return replace(self.volume, hu=hu)

    def projected(self, volume):
        """Areal BMD projected front to back, mean over the levels, g/cm2.

        The regions are those of the scan as it is, so that an edit changes
        mineral, not area.
        """
        near = {level: ndimage.binary_dilation(mask) for level, mask in self.masks.items()}
        return float(
            np.mean([shadow(volume, near[level])[0][self.regions[level]].mean() for level in near])
        )

    def projected_by_edge(self, volume):
        """The same with the bone's edge found in this very volume, as the simulated DXA does.

        With less mineral the thin rim falls below the edge and the area shrinks, so
        that areal BMD changes by less than the mineral.
        """
        near = {level: ndimage.binary_dilation(mask) for level, mask in self.masks.items()}
        values = []
        for level, mask in near.items():
            density, _ = shadow(volume, mask)
            axes = [axis for axis in range(3) if axis != volume.axis_kji_of_ras[1]]
            step = volume.spacing_mm[::-1][axes]
            bone = ndimage.gaussian_filter(density, 0.7 / step) > EDGE_G_CM2
            # Transverse processes are cut off 3 mm beside the body, as in the DXA.
            across = axes.index(volume.axis_kji_of_ras[0])
            columns = np.flatnonzero(self.regions[level].any(axis=1 - across))
            rim = int(round(3.0 / step[across]))
            beside = np.ones(bone.shape[across], bool)
            beside[max(columns[0] - rim, 0) : columns[-1] + rim + 1] = False
            bone[(beside, slice(None)) if across == 0 else (slice(None), beside)] = False
            values.append(density[bone].mean())
        return float(np.mean(values))

    @property
    def regions(self):
        return {level: region(self.volume, mask) for level, mask in self.masks.items()}

    @property
    def vertebra_hu(self):
        """Mean HU of the whole vertebrae."""
        return float(self.volume.hu[self.bone].mean())


def read_labels(path):
    """A label file as a volume; it is no CT, so the CT reader's checks do not apply."""
    from vtk import vtkNIFTIImageReader
    from vtk.util.numpy_support import vtk_to_numpy

    reader = vtkNIFTIImageReader()
    reader.SetFileName(str(path))
    reader.Update()
    image = reader.GetOutput()
    hu = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])
    form = reader.GetSFormMatrix() or reader.GetQFormMatrix()
    matrix = np.array([[form.GetElement(i, j) for j in range(4)] for i in range(4)])
    # VTK's matrix holds the directions; the spacing is kept apart.
    matrix[:3, :3] = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0) * image.GetSpacing()
    return CTVolume(hu.astype(np.int16), matrix)


def grid_points(volume):
    """RAS of every voxel, shape (K, J, I, 3)."""
    k, j, i = np.indices(volume.hu.shape)
    return volume.ras_from_ijk(np.stack([i, j, k], axis=-1))


def crop(volume, centres, margin=((80, 80), (110, 75), (32, 32))):
    """The part of a volume around points, with margins in mm for R, A and S."""
    low = centres.min(axis=0) - [m[0] for m in margin]
    high = centres.max(axis=0) + [m[1] for m in margin]
    corners = np.array(
        [[r, a, s] for r in (low[0], high[0]) for a in (low[1], high[1]) for s in (low[2], high[2])]
    )
    ijk = volume.ijk_from_ras(corners)
    size = np.array(volume.hu.shape[::-1])
    first = np.clip(np.floor(ijk.min(axis=0)).astype(int), 0, size - 1)
    last = np.clip(np.ceil(ijk.max(axis=0)).astype(int) + 1, first + 1, size)
    (i0, j0, k0), (i1, j1, k1) = first, last
    matrix = volume.ijk_to_ras.copy()
    matrix[:3, 3] = volume.ras_from_ijk(first)
    return replace(volume, hu=volume.hu[k0:k1, j0:j1, i0:i1], ijk_to_ras=matrix)


def simple_masks(volume, levels):
    """Bone of each vertebra where there are no labels: dense, connected to the body, near its centre."""
    points = grid_points(volume)
    smooth = ndimage.gaussian_filter(volume.hu.astype(np.float32), 1.0 / volume.spacing_mm[::-1])
    names = list(levels)
    centres = np.array([levels[name].ras for name in names])
    order = np.argsort(centres[:, 2])
    masks = {}
    for place, index in enumerate(order):
        r, a, s = centres[index]
        below = centres[order[place - 1]][2] if place else s - 34
        above = centres[order[place + 1]][2] if place + 1 < len(order) else s + 34
        dr, da, z = points[..., 0] - r, points[..., 1] - a, points[..., 2]
        box = (np.abs(dr) < 46) & (da < 26) & (da > -72)
        box &= (z > (s + below) / 2) & (z < (s + above) / 2)
        body = (dr / 20) ** 2 + (da / 14) ** 2 < 1
        body &= np.abs(z - s) < 11
        dense = ((smooth > 110) & box) | (body & box)
        found, _ = ndimage.label(dense)
        wanted = np.bincount(found[body & box & (found > 0)]).argmax()
        masks[names[index]] = ndimage.binary_closing(found == wanted, iterations=1) & box
    return masks


def shadow(volume, mask):
    """Front-to-back projection of a masked vertebra's mineral, g/cm2 per pixel, and the pixel's area."""
    steps = volume.spacing_mm[::-1]
    axis = volume.axis_kji_of_ras[1]
    excess = np.maximum(volume.hu.astype(np.float32) - SOFT_HU, 0) * mask
    # An unknown tube voltage counts as 120 kV here, the common one.
    per_mg = np.interp(volume.acquisition.kvp or 120.0, *HU_PER_MG)
    density = excess.sum(axis=axis) / per_mg / 1000 * steps[axis] / 10
    others = [step for index, step in enumerate(steps) if index != axis]
    return density, float(np.prod(others) / 100)


def region(volume, mask):
    """What a DXA's edge detection would outline in the shadow.

    Pixels above 40 % of the dense part's median: the body, not the thin
    transverse processes nor the mask's rim.
    """
    density, _ = shadow(volume, mask)
    dense = np.median(density[density > 0.5 * np.percentile(density[density > 0], 90)])
    return density > 0.4 * dense


def answer(bundle, volume, levels, *, move=(0, 0, 0), rotation=0.0, s_quarter=0.0):
    """Mean over L1-L4 and each level's value, g/cm2."""
    standard = bundle.standard
    images, owner = [], []
    for level, item in levels.items():
        height = item.height_mm or standard.nominal_height_mm
        for s in plane_positions(item, standard) + s_quarter * height / 4:
            image = cut_plane(
                volume, body_centre(item, s)[0], s, standard, rotation, shift_mm=tuple(move[:2])
            )
            images.append(np.where(np.isfinite(image), image, AIR_HU))
            owner.append(level)
    kvp = volume.acquisition.kvp
    values = bundle.predict(np.stack(images), backend="numpy", kvp=kvp).mean(axis=0)
    owner = np.array(owner)
    each = {level: float(values[owner == level].mean()) for level in levels}
    return float(np.mean(list(each.values()))), each


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
    base, each = answer(bundle, scan.volume, scan.levels)
    derived, by_edge = scan.projected(scan.volume), scan.projected_by_edge(scan.volume)
    response = {}
    for factor in FACTORS:
        edited = scan.scaled(factor)
        got = answer(bundle, edited, scan.levels)[0] - base
        want = scan.projected(edited) - derived
        response[factor] = {
            "edge": got / (scan.projected_by_edge(edited) - by_edge),
            "fixed": got / want,
            "relative": (got / base) / (want / derived),
        }
    variants = {}

    def vary(kind, volume=None, **how):
        value = answer(bundle, volume or scan.volume, scan.levels, **how)[0]
        variants.setdefault(kind, []).append(value)

    for sign in (-1, 1):
        vary("slice +-1/4 body", s_quarter=sign)
        vary("crop 5 mm", move=(5 * sign, 0, 0))
        vary("crop 5 mm", move=(0, 5 * sign, 0))
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
        "levels": each,
        "response": response,
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
        yield Scan(name, path, known[name], labels and path.parent / labels)


def to_text(results, bundle):
    """The figures as Markdown."""
    out = [
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
    factors = " | ".join(f"x{f:g}" for f in FACTORS)
    out += [
        "",
        "Response to scaled mineral: change of the answer over the change of the CT-derived value",
        "of the same edited volume, its bone edge found anew as the simulated DXA finds it; after the",
        "slash with the edge kept where it was; in brackets the latter with both relative to their own",
        "start. Goal 0.8 to 1.2.",
        "",
        f"| scan | {factors} |",
        "| --- |" + " --- |" * len(FACTORS),
    ]
    for x in results:
        cells = (
            f"{r['edge']:.2f} / {r['fixed']:.2f} ({r['relative']:.2f})"
            for r in x["response"].values()
        )
        out.append(f"| {x['scan']} | " + " | ".join(cells) + " |")
    kinds = list(results[0]["largest_shift"])
    out += [
        "",
        "Repeatability of L1-L4, g/cm2: SD over all variants (goal 0.02) and largest shift of each.",
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


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.realcheck", description=__doc__)
    parser.add_argument("--model", type=Path, help="bundle folder (the installed one otherwise)")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the real scans")
    parser.add_argument("--output", type=Path, help="write the figures there too (.md)")
    options = parser.parse_args(arguments)
    if not (options.data / "levels.json").is_file():
        print(f"missing: {options.data / 'levels.json'}", file=sys.stderr)
        return 2
    bundle = ModelBundle.load(options.model or default_bundle_folder())
    results = [check(scan, bundle) for scan in load_scans(options.data)]
    text = to_text(results, bundle)
    print(text, end="")
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
