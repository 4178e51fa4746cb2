"""What is measured of a virtual person to hold it beside the published anchors.

Mineral, volumes and sections are taken from the anatomy itself, by filling a grid from
its shapes; areal BMD is the simulated DXA's, and HU those of one noise-free slice.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from CTBMDLib.bmd.roi import FORWARD_MM, SEMI_AXES_MM, THICKNESS_MM

from . import dxa
from .anatomy import LEVELS, Scene, make_scene
from .bone import bone_at
from .primitives import MARROW_FAT, REACH, RHO_CORTEX, WAIST
from .raster import slice_densities
from .scanner import Protocol, scan
from .traits import Traits, draw_traits, priors, with_mineral

MEASURED = ("L1", "L2", "L3", "L4")
HU_HA, HU_DISPLACED, HU_PER_MG = 1.61, 0.32, 1.35
"""HU of 1 mg/cm3 of hydroxyapatite on top of water, what it displaces, and its sum as the rod
of `phantoms` reads it, at 120 kVp: published volumetric densities are of one tube voltage."""

STEP_MM = 1.5
"""Grid of the mineral's census; 1.0 mm moves a body's mineral by less than 1 %."""

SLICE_GRID_MM, VIEWS = 2.0, 240
"""Coarse scan of the one slice: within 1 HU of the cohorts' 1 mm and 420 views."""

DECADES = range(20, 90, 10)
MAX_DRAWS = 20_000


@nb.njit(cache=True, fastmath=True)
def _census(xs, ys, zs, p, spine, span, side):
    """Mineral and volume of bodies and posterior elements; `side` marks bodies seen laterally."""
    first, last = span
    mineral = np.zeros((last - first, 2))
    single = np.zeros(last - first)
    volume = np.zeros((last - first, 2))
    out = np.zeros(6)
    for k in range(zs.size):
        for j in range(ys.size):
            for i in range(xs.size):
                bone_at(xs[i], ys[j], zs[k], p, max(first - 1, 0), last + 1, spine, out)
                n = int(out[4]) - 1 - first
                if out[0] <= 0.0 or n < 0 or n >= last - first:
                    continue
                part = 0 if out[5] > 0.0 else 1
                mineral[n, part] += out[3]
                volume[n, part] += out[0]
                if part == 0:
                    single[n] += (out[1] + HU_HA * out[2] - out[0]) / (HU_HA - HU_DISPLACED)
                    if out[0] > 0.5:
                        side[n, k, j] = True
    return mineral, volume, single


def census(scene: Scene, levels=MEASURED, step: float = STEP_MM):
    """Where the mineral lies.

    Parameters
    ----------
    scene : Scene
    levels : tuple of str
        Neighbours, from head to feet.
    step : float
        Grid, mm.

    Returns
    -------
    mineral : ndarray, shape (levels, 2)
        Grams in the body and in the posterior elements.
    volume : ndarray, shape (levels, 2)
        cm3 of the same.
    side : ndarray, shape (levels,)
        Area of the body seen from the side, cm2.
    single : ndarray, shape (levels,)
        Grams in the body as CT at one tube voltage takes them, with the marrow's fat in it.
    """
    first, last = LEVELS.index(levels[0]), LEVELS.index(levels[-1]) + 1
    c, reach = scene.centres[first:last], scene.spine[0][first:last, REACH].max()
    xs = np.arange(c[:, 0].min() - reach - 45, c[:, 0].max() + reach + 45, step)
    ys = np.arange(c[:, 1].min() - 105, c[:, 1].max() + reach + 12, step)
    zs = np.arange(c[-1, 2] - 58, c[0, 2] + 42, step)
    side = np.zeros((last - first, zs.size, ys.size), np.bool_)
    mineral, volume, single = _census(xs, ys, zs, step, scene.spine, (first, last), side)
    cell = step**3 / 1000
    area = side.sum(axis=(1, 2)) * step**2 / 100
    return mineral * cell, volume * cell, area, single * cell


def slab_share(scene: Scene, level: str = "L3", thickness: float = 10.0, step=STEP_MM) -> float:
    """Percentage of the mineral of an axial slab through a body's middle that is not the body's."""
    n = LEVELS.index(level)
    c, reach = scene.centres[n], scene.spine[0][n, REACH]
    xs = np.arange(c[0] - reach - 45, c[0] + reach + 45, step)
    ys = np.arange(c[1] - 105, c[1] + reach + 12, step)
    zs = c[2] + np.arange(-thickness / 2 + step / 2, thickness / 2, step)
    span = (n - 1, n + 2)
    side = np.zeros((3, zs.size, ys.size), np.bool_)
    mineral, _, _ = _census(xs, ys, zs, step, scene.spine, span, side)
    return float(100 * mineral[:, 1].sum() / mineral.sum())


def shell_share(scene: Scene, level: str = "L3", step: float = STEP_MM) -> float:
    """Percentage of a body's mineral that lies in its shell and endplates."""
    spine = list(scene.spine)
    bare = spine[0].copy()
    bare[:, RHO_CORTEX] = 0.0
    without = Scene(
        (bare, *spine[1:]), scene.soft, scene.traits, scene.centres, scene.axes, scene.heights,
        scene.extent,
    )  # fmt: skip
    whole = census(scene, (level,), step)[0][0, 0]
    return float(100 * (1 - census(without, (level,), step)[0][0, 0] / whole))


def _region(scene: Scene, level: str):
    """Axes and mask of the trabecular region of `CTBMDLib.bmd.roi`, mm RAS."""
    x, y, _ = scene.centres[LEVELS.index(level)]
    u = np.arange(-SEMI_AXES_MM[0], SEMI_AXES_MM[0] + 0.01, 1.0)
    v = np.arange(-SEMI_AXES_MM[1], SEMI_AXES_MM[1] + 0.01, 1.0)
    inside = (u[None] / SEMI_AXES_MM[0]) ** 2 + (v[:, None] / SEMI_AXES_MM[1]) ** 2 <= 1
    return x + u, y + FORWARD_MM + v, inside


def noise_free_hu(scene: Scene, level: str = "L1", grid: float = SLICE_GRID_MM, views=VIEWS):
    """HU of the trabecular region in one noise-free slice at 120 kVp, on a scanner of the middle."""
    xs, ys, inside = _region(scene, level)
    fine_x = np.arange(*scene.extent[0], grid)
    fine_y = np.arange(*scene.extent[1], grid)
    z = scene.centres[LEVELS.index(level), 2]
    water, ha, _ = slice_densities(scene, fine_x, fine_y, z, THICKNESS_MM, grid)
    protocol = Protocol(
        kvp=120.0, kernel="standard", thickness_mm=THICKNESS_MM, **middle_filtration()
    )
    image = scan(water, ha, grid, (fine_x[0], fine_y[0]), xs, ys, protocol, None, views)
    return float(image[inside].mean())


def middle_filtration() -> dict[str, float]:
    """Filtration half way through what the wide population's scanners have, mm."""
    mixed = priors()["institution"]["mixed"]
    return {"al_mm": mixed["al_mm"] / 2, "cu_mm": mixed["cu_mm"] / 2}


def body_section(scene: Scene) -> float:
    """Mean cross-section of the bodies of L1-L3 at their waist, cm2."""
    areas = []
    for level in MEASURED[:3]:
        n = LEVELS.index(level)
        radius = scene.spine[3][n] * (1 - scene.spine[0][n, WAIST])
        areas.append(0.5 * np.sum(radius**2) * 2 * np.pi / radius.size / 100)
    return float(np.mean(areas))


def seen_by_dxa(traits: Traits, seed: int):
    """Scene and its DXA; as in a cohort, one without a bone edge is given more mineral."""
    while True:
        scene = make_scene(traits, seed)
        try:
            return scene, dxa.measure(scene)
        except dxa.NoBoneEdge:
            traits = with_mineral(traits, 1.2 * traits.mineral)


def measure_person(traits: Traits, seed: int) -> dict[str, float]:
    """All quantities of one person of the realistic population.

    Returns
    -------
    dict of str to float
        By name of the quantity; a level's own as `abmd_L1`, `body_mineral_L3`; units as in
        `anchors.QUANTITIES`; `area` in cm2 and `bmc` in g.
    """
    scene, seen = seen_by_dxa(traits, seed)
    mineral, volume, side, single = census(scene)
    l3, lumbar = MEASURED.index("L3"), [LEVELS.index(level) for level in MEASURED]
    l1_hu = noise_free_hu(scene)
    out = {
        "l1_hu": l1_hu,
        "abmd": seen.total,
        "l1_l2_step": seen.bmd["L2"] - seen.bmd["L1"],
        "area": sum(seen.area_cm2.values()),
        "bmc": sum(seen.bmc_g.values()),
        "dxa_error": 100
        * (sum(seen.bmc_g.values()) / seen.gain / sum(seen.mineral_g.values()) - 1),
        "lateral_abmd": mineral[1:, 0].sum() / side[1:].sum(),
        "shell_share_L3": shell_share(scene),
        "posterior_share": 100 * mineral[:, 1].sum() / mineral.sum(),
        "posterior_slab_L3": slab_share(scene),
        "trabecular_vbmd": l1_hu / HU_PER_MG,
        "integral_vbmd_L3": 1000 * single[l3] / volume[l3, 0],
        "body_section": body_section(scene),
        "marrow_fat": 100 * scene.spine[0][lumbar, MARROW_FAT].mean(),
    }
    for n, level in enumerate(MEASURED):
        out |= {f"abmd_{level}": seen.bmd[level], f"body_mineral_{level}": mineral[n, 0]}
    return {key: float(value) for key, value in out.items()}


def stratified_traits(count: int, seed: int, descent: str | None = None) -> list[Traits]:
    """Persons spread evenly over sexes and decades from 20 to 89 years.

    Drawn from the realistic priors until each fits its place, so that within a sex and a
    decade they are what a cohort would have there.
    """
    rng = np.random.default_rng([seed, 31])
    places = [(sex, decade) for decade in DECADES for sex in ("F", "M")]
    waiting: dict[tuple[str, int], list[Traits]] = {place: [] for place in places}
    people: list[Traits] = []
    for n in range(count):
        # Steps of 5 through the 14 places: a few people already span sexes and ages.
        place = places[5 * n % len(places)]
        for _ in range(MAX_DRAWS):
            if waiting[place]:
                break
            drawn = draw_traits(rng, "realistic", descent)
            waiting[drawn.sex, min(int(drawn.age // 10) * 10, 80)].append(drawn)
        people.append(waiting[place].pop(0))
    return people
