"""A chosen point moved to the middle of the vertebral body that it lies in.

The network learned from images about the middle of the body. A point set by hand lies some
millimetres off it, and a quarter of a body further up or down moved the answer by up to
0.066 g/cm2 on real scans. The walls that are looked for anyway say where the middle is.
Where they may be another's (a disc between two endplates, the next vertebra, cement), the images
stay about the point, and the reader is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..levels import LevelSlice
from ..model.images import ImageStandard, LevelImages, cut_images
from ..volume import CTVolume
from .finding import Finding
from .shape import BodyShape
from .structure import METAL_MM3, Structure, look_at

MAX_MM, MAX_ALONG_MM = 14.0, 12.0
"""Farthest that a point is moved, and along the body: from its end to its middle are 12 to 15 mm,
so that what lies farther is in a disc or the next body's."""
BEYOND_PLATE_MM = 3.0
"""So far outside an endplate a point still belongs to the body: walls are found a little inside."""
MIN_CLEAR = 0.18
"""Least clearness of the walls (`BodyShape.clear`): hollow bodies have 0.2, and 0.17 was seen where a
disc had been taken for one."""
MIN_HEIGHT_MM = 18.0
"""Lowest body that is believed: a disc between two endplates was found to be 11 to 17.5 mm high.
A pressed body as low as that is read about its point."""
MAX_TURN_DEG = 25.0
"""Farthest that a body's axis may lie off the one that the finder has given."""
TOLD_MM = 5.0
"""From here on the reader is told: people place points by about as much (own choice)."""
WARNED_MM = 8.0
"""From here on the point lies nearer to the body's end than to its middle, and may be meant for
another body."""
APART_MM = 12.0
"""Places of two levels nearer than this lie in one body, as their points may not (`places`)."""


def centred(volume: CTVolume, item: LevelSlice, structure: Structure) -> LevelSlice:
    """A level with its point in the middle of its body, and the body's own axis and height.

    Parameters
    ----------
    volume : CTVolume
    item : LevelSlice
    structure : Structure
        What `look_at` has found about the point.

    Returns
    -------
    LevelSlice
        `item` itself where the walls are not clear, not all in view, too low or turned too far for
        a body, where cement or metal disturbs them, or where its point does not lie within them
        or too far from their middle: the point then is all that is known.
    """
    body = structure.body
    if body is None or _is_disturbed(structure):
        return item
    if not (_is_body(item, body) and _in_view(volume, body) and _within(item, body)):
        return item
    (r, a, s), (x, y, z) = body.centre.tolist(), body.up.tolist()
    return replace(item, ras=(r, a, s), axis=(x, y, z), height_mm=body.height_mm())


def _is_disturbed(structure: Structure) -> bool:
    """Whether cement or metal may be what was taken for walls."""
    return structure.cement_mm3 > 0 or structure.metal_mm3 >= METAL_MM3


def _is_body(item: LevelSlice, body: BodyShape) -> bool:
    """Whether the walls are plain and those of a body rather than of a disc or of another's."""
    if body.clear < MIN_CLEAR or body.height_mm() < MIN_HEIGHT_MM:
        return False
    if item.axis is None:
        return True
    along = abs(float(np.dot(item.axis, body.up))) / max(float(np.linalg.norm(item.axis)), 1e-9)
    return bool(along >= np.cos(np.radians(MAX_TURN_DEG)))


def _in_view(volume: CTVolume, body: BodyShape) -> bool:
    """Whether the outline's and the endplates' outermost places lie in the CT."""
    u, v, w = body.half_width, body.half_depth, 0.5 * body.height_mm()
    ends = np.array([(u, 0, 0), (-u, 0, 0), (0, v, 0), (0, -v, 0), (0, 0, w), (0, 0, -w)])
    return all(volume.contains(point) for point in body.points(ends))


def _within(item: LevelSlice, body: BodyShape) -> bool:
    """Whether the point lies in the body, and not so far from its middle that it may be another's."""
    away = np.asarray(item.ras, float) - body.centre
    if np.linalg.norm(away) > MAX_MM or abs(away @ body.up) > MAX_ALONG_MM:
        return False
    local = away @ np.stack([body.right, body.front, body.up]).T
    wall, plate = (float(np.min(mm)) for mm in body.depths_mm(local[None]))
    return wall > 0 and plate > -BEYOND_PLATE_MM


def level_images(volume: CTVolume, item: LevelSlice, standard: ImageStandard) -> LevelImages:
    """The images of one level as they are read: about the middle of its body, HU (n, size, size).

    Raises
    ------
    CTBMDError
        Where the chosen point or all of the images lie outside the volume.
    """
    if not volume.contains(item.ras):
        return cut_images(volume, item, standard)  # which refuses it
    return cut_images(volume, centred(volume, item, look_at(volume, item)), standard)


def check_centring(item: LevelSlice, where: LevelSlice, structure: Structure) -> list[Finding]:
    """What is to be said where the images of a level do not lie about its point, or ought not to.

    Parameters
    ----------
    item, where : LevelSlice
        As it was chosen, and what `centred` made of it.
    structure : Structure
    """
    moved = _apart(item.ras, where.ras)
    if moved >= TOLD_MM:
        text = (
            f"{item.level}: the chosen point lies {moved:.0f} mm from the middle of the vertebral "
            "body; the images were taken about the middle"
        )
        if moved < WARNED_MM:
            return [Finding("off-middle", item.level, f"{text}.", "note")]
        return [Finding("off-middle", item.level, f"{text}. Check that it is the right vertebra.")]
    body = structure.body
    if body is None or _is_disturbed(structure) or where is not item:
        return []
    off = _apart(item.ras, body.centre)
    if off < TOLD_MM:
        return []
    text = (
        f"{item.level}: the chosen point lies {off:.0f} mm from the middle of what looks like a "
        "vertebral body there, perhaps in a disc or at an endplate; the images were taken about the "
        "point. Check it."
    )
    return [Finding("point-unsure", item.level, text)]


def check_one_body(places: Sequence[LevelSlice]) -> list[Finding]:
    """A warning where two levels, as `centred` has placed them, lie in one body."""
    found = []
    for n, one in enumerate(places):
        for other in places[n + 1 :]:
            if _apart(one.ras, other.ras) < APART_MM:
                text = (
                    f"{one.level} and {other.level} lie in the same vertebral body; move one of the "
                    "points or take it out."
                )
                found += [Finding("one-body", x.level, text) for x in (one, other)]
    return found


def _apart(one: Sequence[float] | np.ndarray, other: Sequence[float] | np.ndarray) -> float:
    """Distance of two points, mm."""
    return float(np.linalg.norm(np.subtract(one, other)))
