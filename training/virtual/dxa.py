"""Dual-energy AP absorptiometry of a scene: areal BMD per lumbar level."""

# A patient's or a volume's bytes hang on these lines, so they stay as they are.
# ruff: noqa: N818
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from . import materials
from .anatomy import LEVELS, Scene
from .devices import load_devices
from .raster import bone_raster, soft_raster
from .traits import priors

LOW_KEV, HIGH_KEV = 40, 70
MEASURED = ("L1", "L2", "L3", "L4")


@dataclass(frozen=True)
class DXA:
    """A simulated DXA.

    Attributes
    ----------
    bmd : dict of str to float
        Areal BMD per level, g/cm2, without precision error.
    area_cm2, bmc_g : dict of str to float
    image : ndarray, shape (Z, X)
        Bone mineral per area over the region, g/cm2; row 0 lowest.
    region : ndarray, shape (Z, X), int
        0 none, 1 to 4 for L1 to L4.
    mineral_g : dict of str to float
        True mineral of the rows of each level.
    gain : float
        What the device makes of a gram of hydroxyapatite, g.
    """

    bmd: dict
    area_cm2: dict
    bmc_g: dict
    image: np.ndarray
    region: np.ndarray
    mineral_g: dict
    gain: float = 1.0

    @property
    def total(self) -> float:
        """L1-L4: mineral over area, g/cm2."""
        return sum(self.bmc_g.values()) / sum(self.area_cm2.values())

    def without(self, levels) -> DXA:
        """The same with some levels left out, as a vertebra with screws is (ISCD)."""
        kept = [
            {level: x for level, x in part.items() if level not in levels}
            for part in (self.bmd, self.area_cm2, self.bmc_g, self.mineral_g)
        ]
        return DXA(*kept[:3], self.image, self.region, kept[3], self.gain)


def attenuation(kev: int) -> tuple[float, float]:
    """Mass attenuation of water and HA at a tabulated energy, cm2/g."""
    index = int(np.flatnonzero(materials.energies_kev() == kev)[0])
    return (
        float(materials.mass_attenuation("water")[index]),
        float(materials.mass_attenuation("hydroxyapatite")[index]),
    )


def mineral_image(low: np.ndarray, high: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """Bone mineral per area from two log attenuations, g/cm2.

    Parameters
    ----------
    low, high : ndarray
        -ln(I/I0) at 40 and 70 keV.
    baseline : ndarray of bool
        Where there is soft tissue alone; its ratio of low to high is fitted as
        a plane over the image, so that a slope of fat is taken out.
    """
    ratio = low / np.maximum(high, 1e-6)
    z, x = np.indices(low.shape)
    design = np.stack([np.ones(low.size), x.ravel() / 50.0 - 1, z.ravel() / 50.0 - 1], axis=1)
    use = baseline.ravel() & np.isfinite(ratio.ravel())
    if use.sum() < 50:
        raise ValueError("too little soft tissue beside the spine for a baseline")
    # Ribs and other bone beside the spine stand out, and are left out in a few rounds.
    for _ in range(4):
        fit, *_rest = np.linalg.lstsq(design[use], ratio.ravel()[use], rcond=None)
        residual = ratio.ravel() - design @ fit
        spread = 1.4826 * np.median(np.abs(residual[use]))
        use = baseline.ravel() & (np.abs(residual) < 2.0 * spread + 1e-9)
    line = (design @ fit).reshape(low.shape)
    mu_low, mu_high = attenuation(LOW_KEV)[1], attenuation(HIGH_KEV)[1]
    return (low - line * high) / (mu_low - line * mu_high)


class NoBoneEdge(ValueError):
    """A vertebra that DXA does not see: an areal BMD of it does not exist."""


def measure(
    scene: Scene, step: float = 1.0, depth_step: float = 2.0, device: str = "hologic"
) -> DXA:
    """Scan a scene from front to back and evaluate L1 to L4.

    Parameters
    ----------
    scene : Scene
    step : float
        Pixel of the projection, mm.
    depth_step : float
        Sampling along the beam, mm.
    device : {'hologic', 'lunar'}
        Whose gain, edge and region, see `devices`.

    Raises
    ------
    NoBoneEdge
        Where a level has so little mineral that none of it is told from soft tissue.
    """
    first, last = LEVELS.index("L1"), LEVELS.index("L4")
    cuts = _disc_planes(scene, first, last)
    low, high = cuts.min() - 4, cuts.max() + 4
    zs = np.arange(low, high, step)
    middle = scene.centres[first : last + 1, 0].mean()
    xs = np.arange(middle - 62, middle + 62, step)
    ys = np.arange(scene.extent[1, 0] + 30, scene.extent[1, 1], depth_step)
    cover, water, ha, mineral, _ = bone_raster(xs, ys, zs, max(step, 1.0), scene.spine)
    # Soft tissue on a grid three times coarser, each of its voxels used for its block.
    coarse = 3
    soft_w, soft_h = (
        part.repeat(coarse, 0).repeat(coarse, 2)[: zs.size, :, : xs.size]
        for part in soft_raster(
            xs[::coarse] + step, ys, zs[::coarse] + step, coarse * step, scene.spine, scene.soft
        )
    )
    cm = depth_step / 10
    w = (water + (1 - cover) * soft_w).sum(axis=1, dtype=float) * cm
    h = (ha + (1 - cover) * soft_h).sum(axis=1, dtype=float) * cm
    truth = mineral.sum(axis=1, dtype=float) * cm
    signal = []
    for kev in (LOW_KEV, HIGH_KEV):
        mu = attenuation(kev)
        signal.append(w * mu[0] + h * mu[1])
    centre_x = np.interp(zs, scene.centres[::-1, 2], scene.centres[::-1, 0])
    offset = np.abs(xs[None] - centre_x[:, None])
    half = scene.spine[3].max(axis=1)[first : last + 1].mean()
    baseline = (offset > half + 8) & (offset < half + 36) & (truth < 0.02)
    image = mineral_image(*signal, baseline)
    left = priors()["dxa"]["soft_tissue_error"]
    if left != 1.0:
        image = truth + left * (image - truth)
    made = load_devices()[device]
    image *= made.gain.value
    bone = _within_edge(image, made.edge.value, offset < half + made.margin.value)
    region = np.zeros(bone.shape, int)
    for n in range(4):
        # A region's borders lie along the discs' tilt in the plane of the image.
        top, bottom = cuts[n], cuts[n + 1]
        upper = top[0] + (xs - middle) / 124 * (top[1] - top[0]) + (top[1] - top[0]) / 2
        lower = (
            bottom[0] + (xs - middle) / 124 * (bottom[1] - bottom[0]) + (bottom[1] - bottom[0]) / 2
        )
        inside = (zs[:, None] <= upper[None]) & (zs[:, None] > lower[None])
        region[inside & bone] = n + 1
    pixel = (step / 10) ** 2
    bmd, area, bmc, grams = {}, {}, {}, {}
    for n, level in enumerate(MEASURED):
        use = region == n + 1
        if not use.any():
            raise NoBoneEdge(f"no bone of {level} is above the edge of {made.edge.value} g/cm2")
        area[level] = float(use.sum() * pixel)
        bmc[level] = float(image[use].sum() * pixel)
        bmd[level] = bmc[level] / area[level]
        grams[level] = float(truth[use].sum() * pixel)
    return DXA(bmd, area, bmc, image, region, grams, made.gain.value)


def _within_edge(image, edge, region) -> np.ndarray:
    """Pixels of the spine: above the edge, and within the region's borders beside it.

    Parameters
    ----------
    image : ndarray, shape (Z, X)
        Bone mineral as the device shows it, g/cm2.
    edge : float
        g/cm2.
    region : ndarray of bool, shape (Z, X)
        Cuts the transverse processes off.
    """
    bone = (ndimage.gaussian_filter(image, 0.7) > edge) & region
    bone = ndimage.binary_opening(bone, iterations=1)
    parts, count = ndimage.label(bone)
    if count:
        sizes = ndimage.sum(bone, parts, np.arange(1, count + 1))
        bone = np.isin(parts, 1 + np.flatnonzero(sizes > 0.05 * sizes.max()))
    return ndimage.binary_fill_holes(bone)


def _disc_planes(scene: Scene, first: int, last: int) -> np.ndarray:
    """Heights of the disc middles at x = -62 and +62 mm of the spine, shape (5, 2)."""
    planes = []
    for n in range(first - 1, last + 1):
        upper = scene.centres[n] - scene.axes[n] * scene.heights[n] / 2
        lower = scene.centres[n + 1] + scene.axes[n + 1] * scene.heights[n + 1] / 2
        point = 0.5 * (upper + lower)
        lean = 0.5 * (scene.axes[n] + scene.axes[n + 1])
        slope = -lean[0] / max(lean[2], 0.3)
        planes.append((point[2] - 62 * slope, point[2] + 62 * slope))
    return np.array(planes)


def with_precision_error(dxa: DXA, rng: np.random.Generator) -> tuple[dict, float]:
    """The measured values: true ones times a common and a level's own error.

    Returns
    -------
    bmd : dict
        Per level, g/cm2.
    total : float
        L1-L4, area-weighted.
    """
    p = priors()["dxa"]
    common = 1 + p["common_cv"] * rng.normal()
    bmd = {k: v * common * (1 + p["level_cv"] * rng.normal()) for k, v in dxa.bmd.items()}
    area = sum(dxa.area_cm2.values())
    return bmd, float(sum(bmd[k] * dxa.area_cm2[k] for k in bmd) / area)
