"""What lies inside one vertebra beside ordinary bone: cement, metal, a dense or an empty place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..levels import LevelSlice
from ..volume import CTVolume
from .around import Around, check_around, look_around
from .finding import Finding
from .heights import WORDS, BodyHeights, grade, heights_of
from .roi import TrabecularRegion, check_region, read_region
from .shape import BodyShape
from .walls import find_body

METAL_HU, METAL_MM3 = 2000.0, 60.0
"""Volume of metal in the vertebra; a screw has a thousand mm3, a dense facet none of it."""
CEMENT_HU, CEMENT_OVER_HU, CEMENT_MM3, CEMENT_REACH_MM = 700.0, 300.0, 500.0, 12.0
"""Cement is denser than any cancellous bone and fills a good part of a millilitre. It is looked
for around the chosen point as well: so much of it draws the walls to its own edge."""
FOCUS_OVER_HU, FOCUS_MM3 = 200.0, 80.0
EMPTY_UNDER_HU, EMPTY_SHARE, EMPTY_MM3, LARGE_MM3 = 50.0, 0.6, 350.0, 600.0
"""A hole: this far under the bone around it, and below this share of its HU. A ball of soft tissue
12 mm across, painted into 14 levels of the shared scans, has 314 to 727 mm3 of it, and the levels
as they are have 0 to 339. From the larger volume on it is told as a warning."""
HOLLOW_MM, HOLLOW_DEEP_MM, HOLLOW_SHARE, HOLLOW_UNDER_HU = 3.0, 7.0, 0.45, 30.0
"""A hole in weak bone has no 50 HU to lose: a weighted mean (sigma) of a place as wide as a hole of
12 mm, this deep in the body, that lies by this share of the core's HU and by so many HU under it.
Set between levels as they are (111 virtual ones have at most 0.22 where 30 HU are lost, 17 of the
real scans at most 0.35) and 91 virtual ones with such a hole, half of which have 0.45 or more. With
`EMPTY_MM3` beside it, 72 of the 91 are told, and 74 with 0.40, which lay closer to whole bone."""
HOLLOW_REACH_MM = 8.0
"""How far around the lowest place its volume is counted."""
SMOOTH_MM = 1.5
"""Sigma over which noise is averaged before places are looked for."""
DEEP_MM = 3.5
"""Places nearer to a wall or an endplate may be cortex."""
VEIN_SIDE_MM, VEIN_HEIGHT_MM, VEIN_FRONT_MM = 8.0, 6.0, 3.0
"""Where the basivertebral vein may leave a hole of its own."""
ARCH_MM = 48.0
"""How far behind the body's middle screws, rods and plates are looked for."""


@dataclass(frozen=True)
class Structure:
    """One vertebra as its walls and its inside show it.

    Attributes
    ----------
    body : BodyShape or None
    region : TrabecularRegion or None
    heights : BodyHeights or None
    metal_mm3, cement_mm3, dense_mm3, empty_mm3 : float
        Volume of metal in body and arch, and of the largest such place within the body; 0
        where the walls are not known.
    hollow_mm3 : float
        Of a place that is empty against the bone around it as a whole; 0 where there is none.
    around : Around
        What lies about the body.
    doubt : str or None
        Why the region is a rest of the body's, or none (`roi.read_region`).
    """

    body: BodyShape | None
    region: TrabecularRegion | None
    heights: BodyHeights | None
    metal_mm3: float = 0.0
    cement_mm3: float = 0.0
    dense_mm3: float = 0.0
    empty_mm3: float = 0.0
    around: Around = Around()
    hollow_mm3: float = 0.0
    doubt: str | None = None

    @property
    def hole_mm3(self) -> float:
        """Volume that holds hardly any bone, where it is large or plain enough to be told; else 0."""
        return max(self.empty_mm3 if self.empty_mm3 >= EMPTY_MM3 else 0.0, self.hollow_mm3)

    @property
    def trabecular_hu(self) -> float | None:
        """Mean HU of the trabecular region; None where it is not in view."""
        return None if self.region is None else self.region.hu


def look_at(volume: CTVolume, item: LevelSlice) -> Structure:
    """Walls, region, heights and contents of one vertebra."""
    body = find_body(volume, item)
    region, doubt = read_region(volume, item, body)
    cement = _around(volume, item)
    if body is None or region is None:
        return Structure(body, region, None, cement_mm3=cement, doubt=doubt)
    local, hu = _sampled(volume, body, region.hu)
    wall, plate = body.depths_mm(local)
    deep = np.minimum(wall, plate) >= DEEP_MM
    core = region.hu
    u, v, w = np.moveaxis(local, -1, 0)
    vein = (v < VEIN_FRONT_MM) & (np.abs(u) < VEIN_SIDE_MM) & (np.abs(w) < VEIN_HEIGHT_MM)
    arch = (plate >= -4) & (wall < 0) & (v < 0) & (np.abs(u) < body.half_width + 6)
    low = min(core - EMPTY_UNDER_HU, EMPTY_SHARE * core)
    inside = _largest(deep & (hu > max(CEMENT_HU, core + CEMENT_OVER_HU)))
    cement = max(cement, inside if inside >= CEMENT_MM3 else 0.0)
    return Structure(
        body,
        region,
        None if cement else heights_of(body),
        float(((hu > METAL_HU) & (deep | arch)).sum()),
        cement,
        _largest(deep & (hu > core + FOCUS_OVER_HU)),
        _largest(deep & ~vein & (hu < low)),
        look_around(volume, body, core),
        _hollow(local, hu, ~vein, body, core),
        doubt,
    )


def _hollow(
    local: np.ndarray, hu: np.ndarray, free: np.ndarray, body: BodyShape, core: float
) -> float:
    """Volume of the emptiest place as large as a hole of 12 mm, mm3; 0 where it is bone.

    Parameters
    ----------
    local, hu : ndarray
        Places and their HU, see `_sampled`.
    free : ndarray of bool
        Places where no vein leaves a hole of its own.
    body : BodyShape
    core : float
        HU of the body's trabecular bone.
    """
    from scipy import ndimage

    wall, plate = body.depths_mm(local)
    inside = free & (np.minimum(wall, plate) >= HOLLOW_DEEP_MM)
    if not inside.any():
        return 0.0
    wide = np.where(inside, ndimage.gaussian_filter(hu, HOLLOW_MM), np.inf)
    under = core - float(wide.min())
    if under < max(HOLLOW_UNDER_HU, HOLLOW_SHARE * core):
        return 0.0
    place = local.reshape(-1, 3)[int(wide.argmin())]
    near = np.linalg.norm(local - place, axis=-1) <= HOLLOW_REACH_MM
    return float((near & (hu < core - under / 2)).sum())


def _around(volume: CTVolume, item: LevelSlice) -> float:
    """Volume of cement about the chosen point, mm3; 0 where there is none."""
    axis = np.arange(-CEMENT_REACH_MM, CEMENT_REACH_MM + 1)
    local = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    near = np.linalg.norm(local, axis=-1) <= CEMENT_REACH_MM
    hu = np.nan_to_num(volume.sample(np.asarray(item.ras) + local), nan=0.0)
    # A wall that the ball reaches is thin; what is left after two shrinkings is a mass.
    from scipy import ndimage

    dense = near & (hu > CEMENT_HU)
    seed = ndimage.binary_erosion(dense, iterations=2)
    mass = _largest(ndimage.binary_dilation(seed, iterations=2, mask=dense)) if seed.any() else 0.0
    return mass if mass >= CEMENT_MM3 else 0.0


def _sampled(volume: CTVolume, body: BodyShape, unseen: float) -> tuple[np.ndarray, np.ndarray]:
    """Places (u, v, w) 1 mm apart in body and arch, shape (..., 3), and their smoothed HU.

    What is not in view has `unseen` HU: an end of view is no hole.
    """
    from scipy import ndimage

    side = np.ceil(body.half_width) + 8
    half = np.ceil(max(body.top[0], -body.bottom[0])) + 4
    u = np.arange(-side, side + 1)
    v = np.arange(-ARCH_MM, np.ceil(body.half_depth) + 2)
    w = np.arange(-half, half + 1)
    local = np.stack(np.meshgrid(u, v, w, indexing="ij"), axis=-1)
    hu = np.nan_to_num(volume.sample(body.points(local)), nan=unseen)
    return local, np.asarray(ndimage.gaussian_filter(hu, SMOOTH_MM / 2))


def _largest(places: np.ndarray) -> float:
    """Volume of the largest connected place, mm3."""
    from scipy import ndimage

    labels, count = ndimage.label(places)
    return float(np.bincount(labels.ravel())[1:].max()) if count else 0.0


def check_structure(structures: dict[str, Structure]) -> list[Finding]:
    """Findings on what the levels' bodies have lost or hold, one list for all levels."""
    heights = {level: x.heights for level, x in structures.items() if x.heights is not None}
    found = []
    for level, item in structures.items():
        if item.heights is not None:
            found += _height(level, item.heights, heights)
        if not item.cement_mm3 and item.metal_mm3 < METAL_MM3:
            found += check_region(level, item.region, item.doubt)
        if item.metal_mm3 >= METAL_MM3:
            text = f"{level}: metal lies in the vertebra, so its value is wrong, mostly too high."
            found.append(Finding("metal-in-vertebra", level, text))
        elif item.cement_mm3:
            text = (
                f"{level}: {item.cement_mm3 / 1000:.1f} ml of cement or another very dense mass lies "
                "in the body, so its value is too high."
            )
            found.append(Finding("cement", level, text))
        elif item.dense_mm3 >= FOCUS_MM3:
            text = (
                f"{level}: a dense focus of {item.dense_mm3 / 1000:.1f} ml lies in the body "
                "(bone island, sclerosis, metastasis); look at it."
            )
            found.append(Finding("dense-focus", level, text, "note"))
        if item.hole_mm3:
            text = (
                f"{level}: a place of {item.hole_mm3 / 1000:.1f} ml in the body holds hardly any bone "
                "(haemangioma, cyst, lysis); look at it."
            )
            severity = "warning" if item.hole_mm3 >= LARGE_MM3 else "note"
            found.append(Finding("lytic-focus", level, text, severity))
    # Screws and cement that stand out are told already.
    whole = {
        k: x.around for k, x in structures.items() if not x.cement_mm3 and x.metal_mm3 < METAL_MM3
    }
    return found + check_around(whole)


def _height(level: str, own: BodyHeights, all_heights: dict[str, BodyHeights]) -> list[Finding]:
    loss = own.loss(level, all_heights)
    number = grade(loss)
    if not number:
        return []
    text = (
        f"{level} has lost {100 * loss:.0f} % of its height (front {own.front:.0f}, middle "
        f"{own.middle:.0f}, back {own.back:.0f} mm; Genant grade {number}, {WORDS[number]}); look for "
        "a fracture."
    )
    return [Finding("height-loss", level, text)]
