"""Whether the body reaches beyond a scan's field of view beside a level."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..levels import LevelSlice
from ..volume import CTVolume
from .finding import Finding

STEP_MM = 2.0
TISSUE_HU = -250.0
MIN_SHARE = 0.06
"""Share of the field's edge in tissue; a hand or the table's frame covers less."""
RING_MM = 5.0
"""Width of the edge that is looked at."""
ROUND, CORNER = 0.96, 1.06
"""A round field ends before this share of the picture's inscribed ellipse, and beyond this one
lies padding alone."""


def check_field(volume: CTVolume, levels: Sequence[LevelSlice]) -> list[Finding]:
    """A finding where the body is cut by the field of view in planes of the levels.

    Parameters
    ----------
    volume : CTVolume
    levels : sequence of LevelSlice
    """
    shares = {item.level: edge_in_tissue(volume, item.ras[2]) for item in levels}
    cut = [level for level, share in shares.items() if share >= MIN_SHARE]
    if not cut:
        return []
    text = (
        f"The body reaches beyond the field of view beside {' '.join(cut)} (up to "
        f"{100 * max(shares[level] for level in cut):.0f} % of its edge); HU near a cut edge can be too "
        "high, so prefer a series that shows the whole body where there is one."
    )
    return [Finding("body-cut", None, text, "note")]


def edge_in_tissue(volume: CTVolume, s: float) -> float:
    """Share of the field's edge that lies in tissue, in the axial plane at S = `s` mm."""
    from scipy import ndimage

    (r0, r1), (a0, a1) = volume.ras_bounds[:2]
    rr, aa = np.meshgrid(np.arange(r0, r1 + 0.1, STEP_MM), np.arange(a0, a1 + 0.1, STEP_MM))
    hu = volume.sample(np.stack([rr, aa, np.full_like(rr, s)], axis=-1))
    # A tilted volume leaves corners of the plane unseen: its edge is where seeing ends.
    seen = np.isfinite(hu)
    if not seen.any():
        return 0.0
    hu = np.where(seen, hu, -3000.0)
    x = (rr - rr.mean()) / max(float(np.ptp(rr)) / 2, STEP_MM)
    y = (aa - aa.mean()) / max(float(np.ptp(aa)) / 2, STEP_MM)
    beyond = seen & (np.hypot(x, y) > CORNER)
    field = seen
    # Padding is one value; masked air looks the same, and then this edge is in air.
    if beyond.any() and np.ptp(hu[beyond]) == 0:
        field = seen & (np.hypot(x, y) <= ROUND)
    inner = ndimage.binary_erosion(field, iterations=max(1, round(RING_MM / STEP_MM)))
    edge = field & ~inner
    # Beyond the field nothing was measured that could be averaged with what was.
    weight = np.maximum(ndimage.uniform_filter(field.astype(float), 3), 0.1)
    smooth = ndimage.uniform_filter(np.where(field, hu, 0.0), 3) / weight
    return float((smooth[edge] > TISSUE_HU).mean()) if edge.any() else 0.0
