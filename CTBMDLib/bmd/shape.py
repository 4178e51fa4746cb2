"""The shape of one vertebral body: outline, endplates, and how deep a place lies inside."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

ANGLES = 48
"""Corners of an outline."""


@dataclass(frozen=True)
class BodyShape:
    """One vertebral body as its walls show it.

    Attributes
    ----------
    centre : ndarray, shape (3,)
        RAS mm of the middle of outline and endplates.
    right, front, up : ndarray, shape (3,)
        Unit vectors of the body's own axes.
    half_width, half_depth : float
        Of the outline, mm.
    top, bottom : ndarray, shape (4,)
        Endplates as height over the centre, mm: `plate_mm`.
    clear : float
        How much the walls stand out, 0 to 1.
    """

    centre: np.ndarray
    right: np.ndarray
    front: np.ndarray
    up: np.ndarray
    half_width: float
    half_depth: float
    top: np.ndarray
    bottom: np.ndarray
    clear: float

    def points(self, local: np.ndarray) -> np.ndarray:
        """RAS mm of places (u, v, w) in mm to the right, front and head; shape (..., 3)."""
        return np.asarray(self.centre + local @ np.stack([self.right, self.front, self.up]))

    def depths_mm(self, local: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How deep places (u, v, w) lie under the nearest wall and under the nearest endplate, mm."""
        u, v, w = np.moveaxis(local, -1, 0)
        side = outline_depth(u, v, self.half_width, self.half_depth)
        rel_u, rel_v = u / self.half_width, v / self.half_depth
        top = plate_mm(self.top, rel_u, rel_v) - w
        bottom = w - plate_mm(self.bottom, rel_u, rel_v)
        return side, np.asarray(np.minimum(top, bottom))

    def outward(self, local: np.ndarray) -> np.ndarray:
        """Where the wall nearest to places (u, v, ...) in mm looks, unit vectors in RAS.

        Shape (..., n) -> (..., 3); zero on the axis, where no wall is nearest.
        """
        u, v = local[..., 0] / self.half_width**2, local[..., 1] / self.half_depth**2
        size = np.maximum(np.hypot(u, v), 1e-9)
        return np.asarray((u / size)[..., None] * self.right + (v / size)[..., None] * self.front)

    def height_mm(self, u: float = 0.0, v: float = 0.0) -> float:
        """Distance of the endplates at a place of the outline (-1 to 1 to each side), mm."""
        place = np.array([u]), np.array([v])
        return float((plate_mm(self.top, *place) - plate_mm(self.bottom, *place))[0])


def plate_mm(plate: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Height of an endplate at places given as shares of the half width and half depth.

    Parameters
    ----------
    plate : ndarray, shape (..., 4)
        Height in the middle, rise to the right, rise to the front, and rise of the rim
        over the middle, mm.
    """
    middle, right, front, rim = np.moveaxis(plate, -1, 0)[..., None]
    return np.asarray(middle + right * u + front * v + rim * (u**2 + v**2))


@lru_cache(maxsize=1)
def template() -> tuple[np.ndarray, np.ndarray]:
    """Angle and radius of a body's outline with half width and half depth 1, shape (ANGLES,).

    Squarer at the back than in front, the canal's side a little hollow.
    """
    angle = (np.arange(ANGLES) + 0.5) * 2 * np.pi / ANGLES
    power = 2.05 + 0.25 * 0.5 * (1 - np.sin(angle))
    radius = (np.abs(np.cos(angle)) ** power + np.abs(np.sin(angle)) ** power) ** (-1 / power)
    back = np.angle(np.exp(1j * (angle + np.pi / 2)))
    radius *= 1 - 0.11 * np.exp(-((back / 0.55) ** 2))
    return angle, radius


def outline(half_width: float, half_depth: float) -> np.ndarray:
    """Corners (u, v) of an outline in mm, shape (ANGLES, 2)."""
    angle, radius = template()
    return np.stack([half_width * radius * np.cos(angle), half_depth * radius * np.sin(angle)], 1)


def outline_depth(u: np.ndarray, v: np.ndarray, half_width: float, half_depth: float) -> np.ndarray:
    """How deep places (u, v) lie inside an outline, mm; negative outside."""
    angle, radius = template()
    x, y = u / half_width, v / half_depth
    at = np.interp(np.arctan2(y, x), angle - 2 * np.pi, radius, period=2 * np.pi)
    rel = np.hypot(x, y)
    # Along the ray from the middle, foreshortened as an ellipse's normal is.
    length = np.hypot(u, v)
    edge = length * at / np.maximum(rel, 1e-6)
    edge = np.where(rel < 1e-6, min(half_width, half_depth), edge)
    slant = np.hypot(x / half_width, y / half_depth) * np.maximum(length, 1e-6)
    slant = np.where(rel < 1e-6, 1.0, rel**2 / np.maximum(slant, 1e-9))
    return np.asarray((edge - length) * np.clip(slant, 0.3, 1.0))
