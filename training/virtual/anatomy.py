"""One virtual person: traits drawn from the priors, and the scene they make.

Coordinates are RAS mm with the centre of L3 near the origin; the person lies
supine, so the back is at low A.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from . import materials
from .bone import mineral_of_vertebra
from .posterior import DENSER, MAX_PARTS, N_PART, posterior_parts, wear_facets
from .primitives import (
    ANGLES,
    BASIVERTEBRAL,
    CANAL_CENTRE,
    CANAL_U,
    CANAL_V,
    CONCAVE_BOTTOM,
    CONCAVE_TOP,
    DISC_BELOW,
    GRADIENT_R,
    GRADIENT_V,
    GRADIENT_W,
    HEIGHT,
    MARROW_FAT,
    N_VERTEBRA,
    REACH,
    RHO_CORTEX,
    RHO_CORTEX_POSTERIOR,
    RHO_POSTERIOR,
    RHO_TRABECULAR,
    SCHMORL_R,
    SCHMORL_SIDE,
    SCHMORL_U,
    SCHMORL_V,
    SCLEROSIS,
    SEED,
    SOURCE_FLARE,
    T_ENDPLATE,
    T_POSTERIOR,
    TEXTURE,
    WAIST,
    WEDGE,
)
from .traits import Traits, priors
from .trunk import trunk_scene

LEVELS = ("T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1", "S2")
"""Vertebrae of a scene, from head to feet."""

THETA = np.arange(ANGLES) * 2 * np.pi / ANGLES

MIDDLE_DENSITY = 0.26
"""Integral density of a vertebral body of middle age, g HA/cm3: only a reference for the arch."""

THICK_MM = 1.3
"""Wall of the posterior elements, before each part's own factor, that is not exceeded."""


@dataclass
class Scene:
    """Arrays that `raster.raster` fills a grid from.

    Attributes
    ----------
    spine, soft : tuple of ndarray
        Vertebrae and everything else, see `primitives` and `soft`.
    traits : Traits
    centres : ndarray, shape (10, 3)
        Body centres in RAS mm, order `LEVELS`.
    axes : ndarray, shape (10, 3)
        Unit vectors from feet to head.
    heights : ndarray, shape (10,)
    extent : ndarray, shape (2, 2)
        Low and high of x and y that hold body and table, mm.
    facts : dict
        What is worth knowing of the anatomy: scoliosis, deformity, ...
    names : tuple of 10 str
        `LEVELS`, or those of a variant.
    """

    spine: tuple
    soft: tuple
    traits: Traits
    centres: np.ndarray
    axes: np.ndarray
    heights: np.ndarray
    extent: np.ndarray
    facts: dict = field(default_factory=dict)
    names: tuple = LEVELS


def outline(width: float, depth: float, rng: np.random.Generator) -> np.ndarray:
    """Polar radius of a body's middle section, mm, shape (ANGLES,): kidney-like."""
    a, b = width / 2, depth / 2
    # Round in front, squarer at the back.
    front, back_n = rng.uniform(1.9, 2.15), rng.uniform(2.1, 2.5)
    n = front + (back_n - front) * 0.5 * (1 - np.sin(THETA))
    radius = (np.abs(np.cos(THETA) / a) ** n + np.abs(np.sin(THETA) / b) ** n) ** (-1 / n)
    back = np.angle(np.exp(1j * (THETA + np.pi / 2)))
    radius *= 1 - rng.uniform(0.06, 0.16) * np.exp(-((back / 0.55) ** 2))
    for k in (2, 3, 4):
        radius *= 1 + 0.010 * rng.normal() * np.cos(k * THETA + rng.uniform(0, 2 * np.pi))
    return radius


def _section_area(radius: np.ndarray) -> float:
    return float(0.5 * np.sum(radius**2) * 2 * np.pi / ANGLES)


def _slope(radius: np.ndarray) -> np.ndarray:
    """Factor from a radial to a normal distance."""
    derivative = (np.roll(radius, -1) - np.roll(radius, 1)) / (4 * np.pi / ANGLES)
    return 1 / np.sqrt(1 + (derivative / radius) ** 2)


def _frames(rng, heights, discs, population, tilt_deg):
    """Centres and rotations along a spine with lordosis, scoliosis and rotation."""
    p = priors()[population]
    lordosis = (
        rng.normal(*p["lordosis"]) if population == "realistic" else rng.uniform(*p["lordosis"])
    )
    lordosis = float(np.clip(lordosis, 0.1, 1.8))
    tilt = np.radians(np.array(tilt_deg))
    tilt = tilt * np.where(tilt < np.radians(25), lordosis, 0.5 + 0.5 * lordosis)
    tilt = tilt + np.radians(rng.normal(0, 1.2, tilt.size)) + np.radians(rng.normal(0, 2.5))
    n = np.arange(len(LEVELS))
    cobb = rng.uniform(8, 26) if rng.random() < p["scoliosis_share"] else rng.uniform(0, 4)
    apex, sign = rng.uniform(3.0, 6.0), rng.choice([-1.0, 1.0])
    lean = np.radians(0.5 * cobb) * sign * np.sin(np.clip((n - apex) / 3.0, -1, 1) * np.pi / 2)
    lean = lean * np.exp(-(np.clip(np.abs(n - apex) - 3, 0, None) ** 2) / 4)
    turn = np.radians(0.45 * cobb) * sign * np.exp(-(((n - apex) / 2.5) ** 2))
    turn = turn + np.radians(rng.normal(0, 1.5)) + np.radians(rng.normal(0, 1.0, n.size))
    rotations = np.empty((n.size, 3, 3))
    for i in n:
        ct, st, cl, sl = np.cos(tilt[i]), np.sin(tilt[i]), np.cos(lean[i]), np.sin(lean[i])
        cr, sr = np.cos(turn[i]), np.sin(turn[i])
        about_x = np.array([[1, 0, 0], [0, ct, st], [0, -st, ct]])
        about_y = np.array([[cl, 0, sl], [0, 1, 0], [-sl, 0, cl]])
        about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        rotations[i] = about_y @ about_x @ about_z
    centres = np.zeros((n.size, 3))
    for i in n[1:]:
        step_up = rotations[i - 1][:, 2] * (heights[i - 1] / 2 + discs[i - 1] / 2)
        step_down = rotations[i][:, 2] * (heights[i] / 2 + discs[i - 1] / 2)
        centres[i] = centres[i - 1] - step_up - step_down
    centres -= centres[LEVELS.index("L3")]
    return centres, rotations, {"cobb_deg": float(cobb), "lordosis": lordosis}


@dataclass
class _Bodies:
    """The ten vertebrae while they are drawn, from head to feet.

    Attributes
    ----------
    names : tuple of 10 str
    vertebrae : ndarray, shape (10, N_VERTEBRA)
    radius, cortex, lips : ndarray, shape (10, ANGLES)
        Outline, thickness of the wall and reach of osteophytes, mm.
    parts : ndarray, shape (10, MAX_PARTS, N_PART)
        See `posterior_parts`.
    """

    names: tuple
    vertebrae: np.ndarray
    radius: np.ndarray
    cortex: np.ndarray
    lips: np.ndarray
    parts: np.ndarray

    @classmethod
    def blank(cls, names) -> _Bodies:
        """Vertebrae of which nothing is drawn yet."""
        count = len(names)
        return cls(
            names,
            np.zeros((count, N_VERTEBRA)),
            np.empty((count, ANGLES)),
            np.empty((count, ANGLES)),
            np.zeros((count, ANGLES)),
            np.zeros((count, MAX_PARTS, N_PART)),
        )


@dataclass(frozen=True)
class _Shared:
    """What is drawn once for all vertebrae of a person.

    Attributes
    ----------
    wear : float
        Scale of the osteophytes, mm.
    density_noise : ndarray, shape (10,)
        Relative deviation of each level's density from the person's.
    arch_noise : ndarray, shape (10,)
        Relative deviation of the mineral of each level's arch.
    deform_rate : float
        Probability of a deformity a vertebra.
    texture : float
    gradients : list of 3 float
        Relative rise of density along w, v and r.
    turn : ndarray, shape (3,)
        Phases of the wall's thickness, radians.
    """

    wear: float
    density_noise: np.ndarray
    arch_noise: np.ndarray
    deform_rate: float
    texture: float
    gradients: list
    turn: np.ndarray


def make_scene(traits: Traits, seed: int, population: str = "realistic", variant=None) -> Scene:
    """Shapes of a person; the same traits and seed give the same scene.

    `traits.mineral` changes mineral only, so that scenes of one seed with
    different factors share every surface. A `variants.Variant` makes another
    spine than the textbook's.
    """
    rng = np.random.default_rng([seed, 11])
    p, lv, names = priors()[population], priors()["levels"], LEVELS
    if variant is not None:
        names, lv = variant.names, variant.levels(lv)
    outlines, factor = _sections(traits, lv, rng)
    heights, discs = _heights_and_discs(traits, lv, rng)
    centres, rotations, facts = _frames(rng, heights, discs, population, lv["tilt_deg"])
    shared = _draw_shared(traits, population, len(names), rng)
    bodies = _Bodies.blank(names)
    for i, name in enumerate(names):
        v = bodies.vertebrae[i]
        v[HEIGHT], v[DISC_BELOW] = heights[i], discs[i]
        depth = lv["depth"][i] * factor
        bodies.radius[i] = _draw_body(v, outlines[i] * factor, lv["wedge_mm"][i] / depth, rng)
        if rng.random() < shared.deform_rate and i < 8:
            _deform(v, depth, rng)
            facts.setdefault("deformed", []).append(name)
        else:
            rng.random(2)
        _draw_canal(v, bodies.radius[i], lv["canal_width"][i], lv["canal_depth"][i], factor, rng)
        _draw_density(v, i, traits, shared, p, rng)
        bodies.cortex[i] = _draw_wall(v, i, traits, lv["cortex"][i], shared.turn, rng)
        bodies.lips[i] = _draw_lips(shared.wear, rng)
        kind = None if variant is None else variant.kind(i)
        bodies.parts[i] = posterior_parts(
            i, bodies.radius[i], v, lv, factor, rng, kind, traits.arch
        )
    if variant is not None:
        variant.reshape(bodies.parts, bodies.vertebrae, bodies.radius)
    slope = np.array([_slope(r) for r in bodies.radius])
    _set_posterior(bodies, slope, traits, p, np.array(lv["arch"]) * (1 + shared.arch_noise))
    _wear_facets(bodies, traits, rng)
    scale_mineral(bodies.vertebrae, bodies.cortex, traits.mineral)
    bodies.parts[:, :, DENSER] *= traits.mineral
    tissue = tissue_table(rng, p["tissue_spread"])
    spine = (
        bodies.vertebrae, centres, rotations, bodies.radius, slope, bodies.cortex, bodies.lips,
        bodies.parts, tissue,
    )  # fmt: skip
    soft, extent = trunk_scene(spine, tissue, traits, p, rng, facts, variant)
    axes = rotations[:, :, 2].copy()
    return Scene(
        spine, soft, traits, centres, axes, bodies.vertebrae[:, HEIGHT], extent, facts, tuple(names)
    )


def _sections(traits, lv, rng):
    """Outlines of the bodies, and the factor that makes the mean section of L1-L3 the drawn one."""
    outlines = [outline(w, d, rng) for w, d in zip(lv["width"], lv["depth"], strict=True)]
    mean = np.mean([_section_area(r) for r in outlines[3:6]])
    return outlines, np.sqrt(traits.section_cm2 * 100 / mean)


def _heights_and_discs(traits, lv, rng):
    """Heights of the bodies and of the discs below them, mm."""
    men = traits.sex == "M"
    tall = (traits.height_cm / (173 if men else 160)) ** 0.8
    tall *= priors()["realistic"]["men_height_factor"] if men else 1.0
    count = len(lv["height"])
    heights = np.array(lv["height"]) * tall * (1 + rng.normal(0, 0.02, count))
    # Discs lose height with age, unevenly.
    worn = 1 - 0.004 * max(traits.age - 40, 0) * rng.uniform(0, 1.6, count)
    return heights, np.array(lv["disc"]) * tall * np.clip(worn, 0.35, 1.1)


def _draw_shared(traits, population, count, rng) -> _Shared:
    p, bone = priors()[population], priors()["bone"]
    aged = max(traits.age - 40, 0) / 25 if population == "realistic" else 1
    return _Shared(
        wear=p["osteophyte_mm"] * max(traits.age - 35, 0) / 45 * abs(rng.normal(0, 0.6)),
        density_noise=rng.normal(0, p["level_sd"], count) - rng.normal(0, p["level_sd"] / 2),
        arch_noise=np.clip(rng.normal(0, p["arch_level_sd"], count), -0.3, 0.3),
        deform_rate=p["deformity_share"] * aged,
        texture=np.clip(rng.normal(*bone["texture"]), 0.03, 0.35),
        gradients=[rng.normal(*bone[k]) for k in ("gradient_w", "gradient_v", "gradient_r")],
        turn=rng.uniform(0, 2 * np.pi, 3),
    )


def _draw_body(v, radius, wedge, rng) -> np.ndarray:
    """Waist, wedge and endplates of a body, into its row `v`; its outline, mm.

    Parameters
    ----------
    v : ndarray, shape (N_VERTEBRA,)
    radius : ndarray, shape (ANGLES,)
        Outline of the waist, mm.
    wedge : float
        Height change per mm towards the front.
    rng : numpy Generator
    """
    # The drawn section is that of the waist; the rims stand out from it.
    v[WAIST] = rng.uniform(0.06, 0.13)
    v[WEDGE] = wedge
    v[CONCAVE_TOP], v[CONCAVE_BOTTOM] = rng.uniform(0.6, 2.2), rng.uniform(0.8, 2.8)
    return radius / (1 - v[WAIST] * 0.95)


def _deform(v, depth, rng) -> None:
    """Make a body of this depth (mm) a wedge, a biconcave one or one with a sunken top plate."""
    kind = rng.integers(3)
    loss = rng.uniform(0.12, 0.35) * v[HEIGHT]
    if kind == 0:
        v[WEDGE] += loss / depth
        v[HEIGHT] -= 0.5 * loss
        v[WEDGE] -= 2 * loss / depth
    elif kind == 1:
        v[CONCAVE_TOP] += 0.5 * loss
        v[CONCAVE_BOTTOM] += 0.4 * loss
    else:
        v[CONCAVE_TOP] += 0.8 * loss


def _draw_canal(v, radius, width, depth, size, rng) -> None:
    """Seed, rims, basivertebral vein and spinal canal, into a vertebra's row.

    Parameters
    ----------
    v : ndarray, shape (N_VERTEBRA,)
    radius : ndarray, shape (ANGLES,)
        The body's outline, mm.
    width, depth : float
        Of the mean woman's canal, mm.
    size : float
        Linear size of the body's section against hers.
    rng : numpy Generator
    """
    v[REACH] = radius.max()
    v[SEED] = int(rng.integers(1, 2**30))
    v[SOURCE_FLARE] = rng.uniform(2.5, 4.5)
    v[BASIVERTEBRAL] = rng.uniform(*priors()["bone"]["basivertebral"])
    v[CANAL_U] = width / 2 * size**0.5 * rng.normal(1, 0.03)
    v[CANAL_V] = depth / 2 * size**0.5 * rng.normal(1, 0.05)
    back = radius[np.argmin(np.abs(THETA - 1.5 * np.pi))]
    v[CANAL_CENTRE] = -back * (1 - v[WAIST]) - v[CANAL_V] + 0.3


def _draw_density(v, i, traits, shared: _Shared, p, rng) -> None:
    """Marrow, cancellous bone, sclerosis and Schmorl's node of level `i`, into its row."""
    v[GRADIENT_W], v[GRADIENT_V], v[GRADIENT_R] = shared.gradients
    v[TEXTURE] = shared.texture
    v[MARROW_FAT] = np.clip(traits.marrow_fat + rng.normal(0, 0.02), 0.02, 0.95)
    trend = 1 + priors()["realistic"]["level_trend"] * (i - 5)
    # The drawn density is that of the body's centre; the gradients rise from it.
    centre = 1 - 0.33 * shared.gradients[0] - 0.4 * shared.gradients[2]
    spread = np.clip(1 + shared.density_noise[i], 0.6, 1.4)
    v[RHO_TRABECULAR] = traits.trabecular * trend * spread / centre
    if rng.random() < p["sclerosis_share"] * max(traits.age - 30, 0) / 40:
        v[SCLEROSIS] = rng.uniform(*p["sclerosis"])
    if rng.random() < p["schmorl_share"] / 2:
        v[SCHMORL_R] = rng.uniform(3, 6)
        v[SCHMORL_U], v[SCHMORL_V] = rng.uniform(-8, 8), rng.uniform(-6, 4)
        v[SCHMORL_SIDE] = rng.choice([-1.0, 1.0])


def _draw_wall(v, i, traits, share, turn, rng) -> np.ndarray:
    """Endplates of level `i`, into its row; thickness of its wall, mm, shape (ANGLES,).

    `share` is the level's thickness against the person's.
    """
    v[T_ENDPLATE] = share * traits.cortex_mm * traits.endplate_factor
    v[RHO_CORTEX], v[RHO_CORTEX_POSTERIOR] = traits.cortex_ha, traits.posterior_ha
    # The wall is not even: thicker at the front of the waist and at the back's corners.
    wave = 1 + 0.18 * np.cos(THETA + turn[0]) + 0.14 * np.cos(2 * THETA + turn[1])
    wave += 0.10 * np.cos(3 * THETA + turn[2] + i)
    return share * traits.cortex_mm * wave * np.clip(rng.normal(1, 0.08), 0.7, 1.3)


def _draw_lips(wear, rng) -> np.ndarray:
    """Reach of three osteophytes around a body, mm, shape (ANGLES,)."""
    spurs = np.zeros(ANGLES)
    for _ in range(3):
        at, height = rng.uniform(-0.6, np.pi + 0.6), wear * abs(rng.normal(0, 1))
        spurs += height * np.exp(-((np.angle(np.exp(1j * (THETA - at))) / 0.35) ** 2))
    return np.minimum(spurs, 9.0)


def scale_mineral(vertebrae: np.ndarray, cortex: np.ndarray, factor: float) -> None:
    """Multiply all bone mineral: trabecular density, and thickness of the shells, in place."""
    for column in (RHO_TRABECULAR, RHO_POSTERIOR, SCLEROSIS, T_ENDPLATE, T_POSTERIOR):
        vertebrae[:, column] *= factor
    cortex *= factor


def _set_posterior(bodies: _Bodies, slope, traits, p, levels) -> None:
    """Mineral of the posterior elements: a shell and a density within that give them their share.

    Parameters
    ----------
    bodies : _Bodies
        Its vertebrae are changed.
    slope : ndarray, shape (10, ANGLES)
        Factor from a radial to a normal distance.
    traits : Traits
    p : dict
        The population's priors.
    levels : sequence of 10 float
        Each level's arch against what its body alone would ask for.
    """
    # Of a descent where people have one; wide people have none.
    follows = p.get("descent", {}).get(traits.descent, p)["arch_follows"]
    for i, name in enumerate(bodies.names):
        v = bodies.vertebrae[i]
        # Cancellous bone of the arch is denser than the body's (own estimate).
        v[RHO_POSTERIOR] = traits.trabecular * 1.4
        if name[0] == "S":
            v[T_POSTERIOR] = 2.0 * traits.cortex_mm
        elif name not in ("T10", "T11"):
            _fill_arch(bodies, i, slope[i], traits.posterior_share, follows, levels[i])
    for column in (T_POSTERIOR, RHO_POSTERIOR):
        bodies.vertebrae[:2, column] = bodies.vertebrae[2, column]


def _fill_arch(bodies: _Bodies, i, slope, share, follows, level) -> None:
    """Wall and inner density with which the arch has its mineral, into the vertebra's row.

    The arch of a body as dense as `MIDDLE_DENSITY` has `share` of the vertebra's mineral.
    Where the body is denser or less dense, the arch follows with the power `follows`: 1
    keeps the share, 0 the grams. Its wall carries it up to `THICK_MM`, the inside the rest.
    """
    v, step = bodies.vertebrae[i], 1.6
    u = np.arange(-v[REACH] - 36, v[REACH] + 36, step)
    w = np.arange(-1.2 * v[HEIGHT], 1.0 * v[HEIGHT], step)
    y = np.arange(-100, v[REACH] + 4, step)
    body, post, shell, factor = mineral_of_vertebra(
        u, y, w, step, v, bodies.radius[i], slope, bodies.cortex[i], bodies.lips[i], bodies.parts[i]
    )
    cell = step**3 / 1000.0

    def cover(d):
        return np.clip(0.5 - d / step, 0, 1)

    near = body < 2
    outer, inner = cover(body[near]), cover(body[near] + shell[near])
    in_body = cell * np.sum((outer - inner) * v[RHO_CORTEX] + inner * v[RHO_TRABECULAR])
    middle = cell * outer.sum() * MIDDLE_DENSITY
    wanted = level * share / (1 - share) * middle * (in_body / middle) ** follows
    near = (post < 1) & (body > -1)
    d, free, k = post[near], 1 - cover(body[near]), factor[near]
    thickness = np.linspace(0.15, THICK_MM, 30)
    walls, within = np.empty(30), np.empty(30)
    for n, t in enumerate(thickness):
        inside = cover(d + k * t)
        walls[n] = cell * v[RHO_CORTEX_POSTERIOR] * np.sum(free * (cover(d) - inside))
        within[n] = cell * np.sum(free * inside)
    total = walls + within * v[RHO_POSTERIOR]
    v[T_POSTERIOR] = np.interp(wanted, total, thickness)
    left = wanted - np.interp(wanted, total, walls)
    room = np.interp(wanted, total, within)
    v[RHO_POSTERIOR] = np.clip(left / max(room, 1e-3), 0.02, v[RHO_CORTEX_POSTERIOR])


def _wear_facets(bodies: _Bodies, traits, rng) -> None:
    """Arthrosis of the facet joints of a person, added to what the arch has."""
    bone = priors()["bone"]
    for i, name in enumerate(bodies.names):
        if name[0] != "S":
            wear_facets(
                bodies.parts[i], traits.facets, bone["facet_swelling"], bone["facet_sclerosis"], rng
            )


def tissue_table(rng: np.random.Generator, spread_factor: float = 1.0) -> np.ndarray:
    """Water and HA density of each soft tissue with a person's spread, shape (21, 2).

    At 1.0 the fat of people at 120 kVp has an SD of 7 HU (most between -115 and -85), their
    muscle one of 8 HU (30 to 65).
    """
    names = (
        None, "skin", "adipose", "muscle", "liver", "kidney", "blood", "muscle", "disc", "csf",
        "lipid", "red_marrow", None, "cartilage", None, "carbon_fibre", "foam", "titanium",
        "muscle", "water", "water",
    )  # fmt: skip
    table = np.zeros((len(names), 2))
    for i, name in enumerate(names):
        if name is not None:
            table[i] = materials.basis(name)
    air = 0.0012
    table[0], table[14] = (air, 0.0), (air, 0.0)
    table[12] = materials.matrix_basis()
    spread = {
        1: 0.01,
        2: 0.0075,
        3: 0.0075,
        4: 0.010,
        5: 0.006,
        6: 0.006,
        7: 0.012,
        8: 0.012,
        19: 0.02,
    }
    for i, sd in spread.items():
        table[i] *= 1 + spread_factor * sd * float(np.clip(rng.normal(), -2, 2))
    table[7] *= 0.985
    table[19] *= 1.02
    return table
