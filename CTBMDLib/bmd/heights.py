"""Heights of a vertebral body in front, middle and back, and whether it has lost of them.

Grades are those of Genant's semiquantitative method (J Bone Miner Res 1993;8:1137): mild
from 20 %, moderate from 25 %, severe from 40 % of lost height, whatever the cause: what is
not a fracture (Scheuermann's disease, an old short body) is for a person to tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .shape import BodyShape

PLACE = 0.8
"""Front and back height are taken at this share of the half depth, inside the rims."""
GRADES = ((0.40, 3), (0.25, 2), (0.20, 1))
WORDS = {1: "mild", 2: "moderate", 3: "severe"}
TEMPLATE_MM = {
    "T12": (24.5, 23.0, 26.5),
    "L1": (25.6, 23.3, 27.2),
    "L2": (26.6, 23.8, 26.9),
    "L3": (27.0, 24.0, 26.9),
    "L4": (27.3, 24.0, 26.0),
    "L5": (29.0, 24.0, 24.3),
}
"""Front, middle and back height of an unharmed spine as this way of measuring sees it: between
Masharawi 2008 (J Anat 212:114) and the three whole spines at hand. Only their proportions count."""
MIN_CLEAR = 0.25
"""Clearness of the walls (`BodyShape.clear`) below which heights stay unknown."""
MIN_OTHERS = 2
"""Other levels that a level's size is held against; with fewer only its own proportions count."""


@dataclass(frozen=True)
class BodyHeights:
    """Heights of one body along its own axis, mm."""

    front: float
    middle: float
    back: float

    def loss(self, level: str, others: Mapping[str, BodyHeights]) -> float:
        """Share of height lost in front, middle or back, whichever has lost most.

        Parameters
        ----------
        level : str
            A key of `TEMPLATE_MM`.
        others : mapping of str to BodyHeights
            The other levels of the same spine, which tell how tall its bodies are.
        """
        own = self.array / TEMPLATE_MM[level]
        # Front and middle against the body's own back wall, the last to give way.
        inner = 1 - own / own[2]
        scales = [x.array / TEMPLATE_MM[name] for name, x in others.items() if name != level]
        if len(scales) < MIN_OTHERS:
            return float(max(inner.max(), 0.0))
        outer = 1 - own / np.median(scales, axis=0)
        mean = 0.5 * (inner + outer)
        return float(max(mean[0], mean[1], outer[2], 0.0))

    @property
    def array(self) -> np.ndarray:
        """Front, middle, back, shape (3,)."""
        return np.array([self.front, self.middle, self.back])


def heights_of(body: BodyShape | None) -> BodyHeights | None:
    """Heights between the endplates of a body; None where they are not clear enough."""
    if body is None or body.clear < MIN_CLEAR:
        return None
    return BodyHeights(*(body.height_mm(0.0, v) for v in (PLACE, 0.0, -PLACE)))


def grade(loss: float) -> int:
    """Genant's grade of a lost share of height, 0 to 3."""
    return next((number for limit, number in GRADES if loss >= limit), 0)
