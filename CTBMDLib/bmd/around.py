"""Dense things about a vertebral body: calcified vessels, osteophytes, sclerotic endplates.

A DXA from the front counts all of them as bone. The network looks at the vertebra and need
not, so that both can differ; that is said where they are found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..volume import CTVolume
from .finding import Finding
from .shape import BodyShape

CALCIFIED_HU, ENHANCED_HU = 200.0, 450.0
"""Plaque, and what it must exceed where the vessel itself is bright."""
VESSEL_HU = 130.0
"""Median beside the plaque from which the vessel is taken for enhanced."""
CLEAR_MM, REACH_MM, SIDE_MM = 4.0, 34.0, 30.0
"""From the body's front: nearer lie its osteophytes, farther the bowel with its contrast."""
CALCIFIED_MM3 = 100.0
SPUR_HU, SPUR_MM, SPUR_MM3 = 200.0, (2.5, 10.0), 900.0
"""Osteophytes: bone beside the wall at the height of the endplates, in front and at the sides. The
shared scans' levels have 4 to 396 mm3 of it. Own estimates: published is what spurs add to a DXA by
their length (Rand 1997, Acta Radiol 38:210: 4 to 7 % at 10 mm, 13 to 23 % at 10-20 mm), no volume."""
BAND_MM, DENSE_OVER_HU = (4.0, 7.0), 80.0
"""Sclerosis: bone this deep under an endplate, and how much denser than the core it is; 0 to 26 HU
in the shared scans' levels. Own estimates: bone beside a worn disc is known to be denser (Zhu 2021,
BMC Musculoskelet Disord 22:509), but no limit is published."""


@dataclass(frozen=True)
class Around:
    """What lies about one body.

    Attributes
    ----------
    calcified_mm3 : float
        Of vessels in front of it.
    spurs_mm3 : float
        Of bone beside its rims.
    dense_over_hu : float
        By how much the denser band under an endplate exceeds the core, HU.
    """

    calcified_mm3: float = 0.0
    spurs_mm3: float = 0.0
    dense_over_hu: float = 0.0


def look_around(volume: CTVolume, body: BodyShape, core_hu: float) -> Around:
    """Measure what lies about a body whose core has `core_hu`."""
    from scipy import ndimage

    side = max(SIDE_MM, np.ceil(body.half_width) + SPUR_MM[1])
    half = np.ceil(max(body.top[0], -body.bottom[0])) + 3
    front = np.ceil(body.half_depth) + REACH_MM
    u, v, w = (
        np.arange(-x, y + 1) for x, y in ((side, side), (body.half_depth, front), (half, half))
    )
    local = np.stack(np.meshgrid(u, v, w, indexing="ij"), axis=-1)
    hu = np.nan_to_num(volume.sample(body.points(local)), nan=0.0)
    wall, plate = body.depths_mm(local)
    uu, vv, ww = np.moveaxis(local, -1, 0)
    before = (vv > body.half_depth + CLEAR_MM) & (np.abs(uu) < SIDE_MM)
    level = np.abs(ww) <= half - 2
    # What grows out of the body reaches its front; a vessel's wall does not.
    limit = CALCIFIED_HU
    tissue = hu[before & level & (hu > -20)]
    if tissue.size and np.percentile(tissue, 75) > VESSEL_HU:
        limit = ENHANCED_HU
    labels, _ = ndimage.label(hu > limit)
    grown = np.unique(labels[(wall > -CLEAR_MM) & (labels > 0)])
    calcified = before & level & (labels > 0) & ~np.isin(labels, grown)
    rim = (wall < -SPUR_MM[0]) & (wall > -SPUR_MM[1]) & (np.abs(plate) < 6) & (vv > 0)
    # What is as bright at the body's waist too is a vessel that runs along it.
    bone = hu > max(SPUR_HU, core_hu + 60)
    along = bone[:, :, np.abs(w) <= 3].mean(axis=2) > 0.5
    rim &= ~ndimage.binary_dilation(along, iterations=3)[:, :, None]
    middle = (wall > 6) & (plate >= BAND_MM[0]) & (plate < BAND_MM[1])
    bands = [hu[middle & (ww > 0)], hu[middle & (ww < 0)]]
    over = [float(np.median(x)) - core_hu for x in bands if x.size > 200]
    return Around(
        float(calcified.sum()),
        float((rim & bone).sum()),
        max([0.0, *over]),
    )


def check_around(around: Mapping[str, Around]) -> list[Finding]:
    """Findings on what lies about the bodies, by level.

    Parameters
    ----------
    around : mapping of str to Around
    """
    found = []
    calcified = {k: x.calcified_mm3 for k, x in around.items() if x.calcified_mm3 >= CALCIFIED_MM3}
    if calcified:
        text = (
            f"{sum(calcified.values()) / 1000:.1f} ml as dense as bone lie in front of "
            f"{' '.join(calcified)} (mostly a calcified aorta): they raise a DXA from the front, but not necessarily this "
            "value, so both can differ."
        )
        found.append(Finding("aortic-calcification", None, text, "note"))
    for level, x in around.items():
        if x.spurs_mm3 >= SPUR_MM3:
            text = (
                f"{level}: {x.spurs_mm3 / 1000:.1f} ml of bone stand out from its rims (osteophytes), "
                "which raise a DXA and may raise this value."
            )
            found.append(Finding("osteophytes", level, text, "note"))
        if x.dense_over_hu >= DENSE_OVER_HU:
            text = (
                f"{level}: bone under an endplate is {x.dense_over_hu:.0f} HU denser than the core "
                "(sclerosis of a worn disc), so its value may be too high."
            )
            found.append(Finding("dense-endplate", level, text, "note"))
    return found
