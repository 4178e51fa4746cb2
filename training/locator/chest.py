"""A virtual chest: T1 to T10 with ribs, sternum, lungs and heart, and no lumbar vertebra."""

from __future__ import annotations

import numpy as np

from CTBMDLib.volume import CTVolume

from ..virtual.primitives import ANGLES
from ..virtual.soft import CENTRE_X, CENTRE_Y, FOLLOW
from ..virtual.variants import chest_variant
from ..virtual.volume import make_volume

LUNG_HU, BLOOD_HU = -850.0, 45.0


def chest(seed: int = 0, lowest: int | None = None) -> CTVolume:
    """A chest CT that ends at T9 or T10.

    Parameters
    ----------
    seed : int
        Person, spacing, noise and contrast.
    lowest : {9, 10} or None
        The lowest thoracic vertebra that lies whole in view; None draws one.
    """
    return chest_and_truth(seed, lowest)[0]


def chest_and_truth(seed: int = 0, lowest: int | None = None, width_mm: float = 0.0):
    """A chest and its `truth`, as `virtual.volume.make_volume` gives it.

    A `width_mm` other than 0 is the side of a field of view about the spine.
    """
    rng = np.random.default_rng([seed, 61])
    lowest = int(rng.choice((9, 10))) if lowest is None else lowest
    options = {
        "population": "realistic",
        "top": float(rng.uniform(0.0, 1.5)),
        "bottom": lowest - 1.0,
        "width_mm": width_mm,
        "spacing_mm": float(rng.uniform(0.8, 1.8)),
        "between_mm": float(rng.choice([1.5, 2.5, 3.0, 5.0])),
        "noise_hu": float(np.exp(rng.uniform(np.log(8), np.log(50)))),
        "blur_mm": float(rng.uniform(0.7, 1.6)),
        "arms": str(rng.choice(["up", "down"], p=[0.8, 0.2])),
        "outside_hu": [None, -1024][int(rng.integers(2))],
    }
    blood = BLOOD_HU + float(rng.choice([0.0, 90.0, 250.0]))

    def repaint(hu, xs, ys, zs, scene):
        _inside_chest(hu, xs, ys, zs, scene, blood, np.random.default_rng([seed, 62]))

    return make_volume(seed, **options, variant=chest_variant(), repaint=repaint)


def _inside_chest(hu, xs, ys, zs, scene, blood, rng):
    """Lungs, mediastinum, heart, aorta, trachea and sternum into HU [z, y, x], in place."""
    body, tables = scene.soft[0], scene.soft[1]
    inner = np.append(tables[1], tables[1][0]) - 17.0
    order = np.argsort(scene.centres[:, 2])
    zc = scene.centres[order, 2]
    size = rng.uniform(0.9, 1.15)
    x, y = xs[None, :], ys[:, None]
    for k, z in enumerate(zs):
        sx, sy = (np.interp(z, zc, scene.centres[order, axis]) for axis in (0, 1))
        level = 9 - np.interp(z, zc, np.arange(10.0))  # T1 = 0
        cx, cy = body[CENTRE_X], body[CENTRE_Y] + body[FOLLOW] * sy
        # The cage is narrow at its top.
        cage = np.interp(level, (-0.5, 0.5, 3.0, 9.0), (0.35, 0.6, 0.95, 1.0))
        angle = np.arctan2(y - cy, x - cx) % (2 * np.pi)
        edge = np.interp(angle * ANGLES / (2 * np.pi), np.arange(ANGLES + 1), inner) * cage
        front = sy + 24.0
        plane = hu[k]
        inside = np.hypot(x - cx, y - cy) < edge
        spine = (np.abs(x - sx) < 21.0) & (y < front) | (np.hypot(x - sx, y - sy) < 24.0)
        soft = inside & ~spine & (plane < 160.0)
        plane[soft] = LUNG_HU
        # Mediastinum, wider at the heart, reaching from spine to sternum.
        heart = np.exp(-(((level - 6.8) / 1.9) ** 2))
        half = 26.0 + 34.0 * heart * size
        middle = sx - 14.0 * heart
        wide = (np.abs(x - middle) / half) ** 2.5 + (np.abs(y - front - 45.0) / 62.0) ** 2.5 < 1
        plane[soft & wide] = 20.0 - 60.0 * (1 - heart)
        chambers = np.hypot((x - middle) / (0.86 * half), (y - front - 48.0) / 42.0) < 1
        if level > 4.3:
            plane[soft & chambers] = blood if level < 8.6 else 50.0
        aorta = np.hypot(x - sx + 20.0, y - front + 6.0) < 12.0 * size
        if level > 3.6:
            plane[inside & aorta] = blood
        airway = np.hypot(x - sx - 3.0, y - front - 14.0) < 8.5
        if level < 4.6:
            plane[inside & airway] = -990.0
        # The dome of the diaphragm, with liver below it on the right.
        rise = 8.6 + np.hypot((x - cx - 55.0) / 75.0, (y - cy) / 70.0) ** 2
        plane[soft & (x > sx) & (level > rise)] = 58.0
        depth = edge.min() if level < 0 else np.interp(0.25 * ANGLES, np.arange(ANGLES + 1), inner)
        breast = cy + cage * depth + 6.0
        if 1.5 < level < 7.5:
            bone = (np.abs(x - cx) < 17.0) & (np.abs(y - breast) < 6.5)
            plane[bone] = 420.0
            plane[bone & (np.abs(y - breast) < 4.0) & (np.abs(x - cx) < 14.0)] = 130.0
