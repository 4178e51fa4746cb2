"""Whether the vertebrae have a human size: a header's spacing can be false, a scan scaled."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from ..levels import ORDER
from .finding import Finding
from .heights import BodyHeights
from .shape import BodyShape

WIDTH_MM = {"T12": 38.5, "L1": 40.5, "L2": 42.0, "L3": 43.5, "L4": 45.5, "L5": 48.0}
DEPTH_MM, HEIGHT_MM, STEP_MM = 33.5, 26.3, 35.0
"""Of adults as the walls are found here (both sexes), and from centre to centre. Between the
priors of the virtual people (Masharawi 2008, Gilsanz 1994) and the three whole spines at hand."""
ALONG_WEIGHT = 0.8
"""What the size along the spine counts against that across it. People's bodies differ twice as much in
width and depth (SD 11 % of 28 virtual people) as in height and distance (5 %), which tell a false scale."""
SIZE_RANGE = (0.87, 1.14)
"""Size against these, own estimate, set on those 28 virtual people (simulated), where a scale of 1.25 was told
of 86 %, of 0.85 of 82 % and a true one of none; on two times 24 fresh ones of 75 and 75 %, of 71 and
79 % and, wrongly, of 8 and 0 %."""
PROPORTION_RANGE = (0.82, 1.22)
"""Size along the spine against size across it, own estimate."""
MIN_BODIES = 2


def sizes(
    bodies: Mapping[str, BodyShape], heights: Mapping[str, BodyHeights]
) -> tuple[float, float] | None:
    """Size along and across the spine against an adult's; None where too little is known.

    Parameters
    ----------
    bodies : mapping of str to BodyShape
        Found bodies by level.
    heights : mapping of str to BodyHeights
        Of those whose endplates are clear.
    """
    clear = [level for level in ORDER if level in heights and level in WIDTH_MM]
    steps = [
        float(np.linalg.norm(bodies[a].centre - bodies[b].centre))
        for a, b in pairwise(clear)
        if ORDER.index(b) - ORDER.index(a) == 1
    ]
    if len(clear) < MIN_BODIES or not steps:
        return None
    # Medians, so that one pressed or badly found body counts little.
    tall = np.median([heights[level].array.mean() for level in clear]) / HEIGHT_MM
    wide = np.median([2 * bodies[level].half_width / WIDTH_MM[level] for level in clear])
    deep = np.median([2 * bodies[level].half_depth for level in clear]) / DEPTH_MM
    return float(np.sqrt(tall * np.median(steps) / STEP_MM)), float(np.sqrt(wide * deep))


def check_size(
    bodies: Mapping[str, BodyShape], heights: Mapping[str, BodyHeights]
) -> list[Finding]:
    """A finding where the bodies are no adult's in size, or along and across disagree."""
    measured = sizes(bodies, heights)
    if measured is None:
        return []
    along, across = measured
    size, proportion = along**ALONG_WEIGHT * across ** (1 - ALONG_WEIGHT), along / across
    # First, for it says more: which of the two is false.
    if not PROPORTION_RANGE[0] <= proportion <= PROPORTION_RANGE[1]:
        text = (
            f"The vertebrae have {100 * along:.0f} % of an adult's usual size along the spine but "
            f"{100 * across:.0f} % across it; check whether the distance between slices and the pixel "
            "size are true."
        )
        return [Finding("proportions-unlikely", None, text)]
    if not SIZE_RANGE[0] <= size <= SIZE_RANGE[1]:
        text = (
            f"The vertebrae have {100 * size:.0f} % of an adult's usual size; if this is no very "
            f"{'small' if size < 1 else 'large'} person, the spacing in the header is false or the scan "
            "was scaled, and bone density is off."
        )
        return [Finding("size-unlikely", None, text)]
    return []
