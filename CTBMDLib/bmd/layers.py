"""Which endplates are a body's own: the layers met along its axis, explained as a whole.

From the body's core outwards lie its endplate, a disc, the neighbour's endplate and the
neighbour's core. One edge by itself does not tell whose it is: in fatty marrow, darker
than a disc, the step from bone to disc is the neighbour's. All layers together do.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .shape import plate_mm

PLATE_MM = np.arange(3.0, 27.1, 1.0)
"""Distance of an endplate from the point, which may lie off the middle."""
DISC_MM = np.arange(2.0, 17.1, 1.0)
BLURS_MM = (1.0, 1.6, 2.4)
PLATE_THICK_MM = 0.7
"""Of an endplate's dense bone; about 1.65 times a wall of 0.44 mm."""
REACH_MM, FULL_MM = 34, 22.0
"""How far layers are looked at, and from where on they count less: another body may begin."""
INNER = 0.7
"""Share of the outline within which the layers are flat enough."""
SLOPES_RIGHT, SLOPES_FRONT = np.arange(-4.0, 4.1, 2.0), np.arange(-8.0, 8.1, 2.0)
RIM_MM = 1.5
BRIGHT_HU, DARK_HU = 100.0, -100.0
"""Over the core: from here on bone is simply dense, so that a sclerotic endplate of the neighbour
or an osteophyte weighs no more than the body's own endplate; and gas in a disc."""
MIN_PART = 0.05
"""Norm below which one part of a profile is no more than what the others make up already."""
MAX_DISC_HU = 150.0
"""What lies between two endplates and is brighter than this is no disc."""


@dataclass(frozen=True)
class Layers:
    """What is met on one side of a point.

    Attributes
    ----------
    told : ndarray, shape (len(PLATE_MM),)
        Share of what varies along the axis that is explained by an endplate at each distance.
    right, front : ndarray, shape (len(PLATE_MM),)
        Its rise to the right and to the front, mm.
    """

    told: np.ndarray
    right: np.ndarray
    front: np.ndarray

    def plate(self, index: int, way: int) -> np.ndarray:
        """The endplate at one of the distances, shape (4,), see `plate_mm`."""
        at = way * PLATE_MM[index], self.right[index], self.front[index], way * RIM_MM
        return np.array(at)


def look_along(
    u: np.ndarray, v: np.ndarray, hu: np.ndarray, seen: np.ndarray, core: float, way: int
) -> Layers:
    """The layers above (`way` 1) or below (-1) the middle of columns.

    Parameters
    ----------
    u, v : ndarray, shape (n,)
        Places of the columns as shares of half width and half depth.
    hu : ndarray, shape (n, w)
        1 mm apart, the point looked from in the middle.
    seen : ndarray of bool, shape (w,)
        Heights that are in view.
    core : float
        HU of the body's core.
    way : int
    """
    inner = np.hypot(u, v) < INNER
    u, v, hu = u[inner], v[inner], np.clip(hu[inner], DARK_HU, core + BRIGHT_HU)
    slopes = np.stack(np.meshgrid(SLOPES_RIGHT, SLOPES_FRONT, indexing="ij"), -1).reshape(-1, 2)
    shapes = np.concatenate(
        [np.zeros((len(slopes), 1)), slopes, np.full((len(slopes), 1), way * RIM_MM)], 1
    )
    middle = hu.shape[1] // 2
    along = np.arange(REACH_MM + 1)
    place = middle + plate_mm(shapes, u, v)[..., None] + way * along
    place = np.clip(place, 0, hu.shape[1] - 1.001)
    k = place.astype(np.intp)
    f = (place - k).astype(np.float32)
    flat = hu.reshape(-1)
    k += (np.arange(len(u)) * hu.shape[1])[:, None]
    profiles = (flat[k] * (1 - f) + flat[k + 1] * f).mean(axis=1)
    weight = np.sqrt(seen[np.clip(middle + way * along, 0, len(seen) - 1)] * _taper(along))
    bases, levels = _bases(tuple(weight.tolist()))
    profiles = profiles * weight
    part = np.einsum("mpk,sk->smp", bases, profiles)
    disc = np.einsum("mp,smp->sm", levels, part)
    true = (part[..., 2] > 0) & (disc <= MAX_DISC_HU)
    explained = np.where(true, part[..., 1] ** 2 + part[..., 2] ** 2, 0.0)
    total = (profiles**2).sum(axis=1) - part[:, 0, 0] ** 2
    # One measure for all slopes: what the flattest leaves over counts as unexplained there too.
    told = explained / max(float(total.max()), 1e-6)
    told = told.reshape(len(slopes), len(PLATE_MM), -1).max(axis=2)
    best = told.argmax(axis=0)
    return Layers(told[best, np.arange(len(PLATE_MM))], slopes[best, 0], slopes[best, 1])


def _taper(along: np.ndarray) -> np.ndarray:
    return np.asarray(np.clip(1 - (along - FULL_MM) / (REACH_MM - FULL_MM + 4), 0.0, 1.0))


@lru_cache(maxsize=8)
def _bases(weight: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Profiles of layers, and what tells the disc's HU.

    Returns
    -------
    bases : ndarray, shape (n, 3, places)
        Orthonormal: a constant, the disc, both endplates; in the order of `PLATE_MM`,
        `DISC_MM` and `BLURS_MM`.
    disc : ndarray, shape (n, 3)
        Weights of the three parts of a profile in the HU of its disc.
    """
    from scipy.special import erf

    along = np.arange(len(weight))
    plate, disc, blur = np.meshgrid(PLATE_MM, DISC_MM, BLURS_MM, indexing="ij")

    def beyond(edge: np.ndarray) -> np.ndarray:
        return np.asarray(
            0.5 * (1 + erf((along - edge[..., None]) / (blur[..., None] * np.sqrt(2))))
        )

    far = plate + disc
    box = beyond(plate) - beyond(far)
    lines = (
        beyond(plate - PLATE_THICK_MM) - beyond(plate) + beyond(far) - beyond(far + PLATE_THICK_MM)
    )
    columns = np.stack([np.ones_like(box), box, lines], axis=-1) * np.array(weight)[:, None]
    columns = columns.reshape(-1, len(weight), 3)
    q, r = np.linalg.qr(columns)
    sign = np.sign(np.diagonal(r, axis1=1, axis2=2))
    # Where too little is in view to tell the parts from each other, they explain nothing.
    told = np.abs(np.diagonal(r, axis1=1, axis2=2)).min(axis=1) > MIN_PART
    q = q * (sign * told[:, None])[:, None, :]
    r = np.where(told[:, None, None], r * sign[:, :, None], np.eye(3))
    # The constant and the disc's own part together, from what the three parts measure.
    disc_hu = np.linalg.solve(np.swapaxes(r, 1, 2), np.array([[1.0], [1.0], [0.0]]))[..., 0]
    return np.ascontiguousarray(np.moveaxis(q, 1, 2)), disc_hu
