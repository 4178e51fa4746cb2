"""Bright things in a CT that are no bone: oral contrast, stones, calcified vessels and nodes.

They are in the CT only. The DXA was made on another day, without contrast agent, and a stone
of some millimetres moves it by less than its precision.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .anatomy import LEVELS, Scene
from .primitives import MATRIX, ORAL
from .soft import BOWEL_KIND, SOLID_KIND

KIND, CONTENT = 6, 11
"""Columns of an organ, see `soft`."""

FILLED = 2.0
"""Content of a loop of bowel that holds oral contrast."""


def with_bright_things(scene: Scene, p: dict, rng: np.random.Generator) -> Scene:
    """The same person on the day of the CT.

    Parameters
    ----------
    scene : Scene
        Left as it is.
    p : dict
        The population's priors: `oral_contrast_share` of persons, `stones` and `calcified`
        (mean numbers beside L1-L4).
    rng : numpy.random.Generator

    Returns
    -------
    Scene
        With what was added counted in its facts.
    """
    soft = list(scene.soft)
    organs, tissue = soft[4].copy(), soft[8].copy()
    facts = dict(scene.facts)
    if rng.random() < p["oral_contrast_share"]:
        # 150-500 HU at 120 kVp, in loops as chance has it.
        tissue[ORAL] = 0.98, rng.uniform(0.10, 0.32)
        loops = np.flatnonzero(organs[:, KIND] == BOWEL_KIND)
        filled = loops[rng.random(loops.size) < rng.uniform(0.1, 0.9)]
        organs[filled, CONTENT] = FILLED
        facts["oral_contrast"] = int(filled.size)
    rows = [_stone(scene, rng) for _ in range(rng.poisson(p["stones"]))]
    rows += [_calcified(scene, rng) for _ in range(rng.poisson(p["calcified"]))]
    if rows:
        facts["bright_things"] = len(rows)
        organs = np.concatenate([organs, np.array(rows)])
    soft[4], soft[8] = organs, tissue
    return replace(scene, soft=tuple(soft), facts=facts)


def _beside(scene: Scene, rng):
    """A height between L1 and L4, the spine there, and its largest radius, mm."""
    first, last = LEVELS.index("L1"), LEVELS.index("L4")
    z = rng.uniform(scene.centres[last, 2] - 12, scene.centres[first, 2] + 12)
    order = slice(None, None, -1)
    x = np.interp(z, scene.centres[order, 2], scene.centres[order, 0])
    y = np.interp(z, scene.centres[order, 2], scene.centres[order, 1])
    return z, x, y, scene.spine[3][first : last + 1].max()


def _solid(centre, radii, rng) -> list:
    return [*centre, *radii, SOLID_KIND, 0.0, rng.integers(1, 2**30), 0.3, float(MATRIX), 0.0]


def _stone(scene: Scene, rng) -> list:
    """A stone in a ureter: in front of or beside the psoas, longer than wide."""
    z, x, y, reach = _beside(scene, rng)
    side = rng.choice([-1.0, 1.0])
    radius = rng.uniform(1.2, 4.0)
    centre = (x + side * (reach + rng.uniform(6, 26)), y + rng.uniform(-8, 22), z)
    return _solid(centre, (radius, radius, radius * rng.uniform(1, 2)), rng)


def _calcified(scene: Scene, rng) -> list:
    """A calcified artery, node or clip in front of the spine or beside it."""
    z, x, y, reach = _beside(scene, rng)
    radius = rng.uniform(0.8, 3.0)
    # At least 5 mm from the body's outline, which osteophytes can reach.
    angle = rng.uniform(0.05, 0.95) * np.pi
    far = reach + radius + rng.uniform(5, 40)
    centre = (x + far * np.cos(angle), y + far * np.sin(angle), z)
    return _solid(centre, (radius, radius, radius * rng.uniform(1, 3)), rng)
