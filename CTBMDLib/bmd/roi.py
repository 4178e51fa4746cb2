"""Mean HU of the trabecular bone inside the walls of a vertebral body."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..levels import LevelSlice
from ..volume import CTVolume
from .finding import Finding
from .fitting import ridge
from .margins import plate_margin_mm, wall_margins_mm
from .shape import BodyShape, outline
from .walls import find_body

SHARES = (1.0, 0.8, 0.6, 0.45)
"""A body too small for the whole margin gets the next share of it."""
MIN_VOLUME_MM3 = 800.0
TRIM = 0.04
"""Share of the highest and of the lowest values left out: a vein, a dense island, a pixel of
noise. More would also take out what a mean over the body's core holds."""
VEIN_SIDE_MM, VEIN_HEIGHT_MM = 4.0, 3.0
"""Half width and half height of the back half's middle, where the basivertebral vein runs."""
SEMI_AXES_MM, FORWARD_MM, THICKNESS_MM = (10.0, 6.5), 1.5, 5.0
"""Of the elliptic disc about the chosen point, where the walls cannot be told."""
MIN_SEEN = 0.9
CROSSED_HU = 40.0
"""How much a plane across the region may exceed planes on both sides of it: more is an endplate,
so that the region has passed a disc. Without walls: how much a plane may lie off the others."""
MIN_PLANE_SHARE = 0.2
"""Of the points of a region's usual plane, below which a plane tells nothing: where endplates are
curved or slanted, the outermost planes hold a handful of points, whose median is noise."""
NEAR_SHARE = 0.6
"""Share of the margin from which on the region is so near to the walls that it is told."""
NEAR_WALLS, NO_WALLS, TOO_SMALL, CROSSED = "near-walls", "no-walls", "too-small", "crossed"
OUT_OF_VIEW, IN_PLATE = "out-of-view", "in-plate"
"""Why trabecular HU are not those of a body's whole region, or not read at all (the last two)."""


@dataclass(frozen=True)
class TrabecularRegion:
    """Where the trabecular HU of one vertebra are read.

    Attributes
    ----------
    hu : float
        Trimmed mean.
    body : BodyShape or None
        The walls it keeps clear of; None where they could not be told and an elliptic
        disc about the chosen point is read.
    margin_mm : float
        Least distance from the walls; 0 without them.
    outline_ras : ndarray, shape (n, 3)
        Corners of the region's outline in its middle plane, RAS mm, to be drawn closed.
    """

    hu: float
    body: BodyShape | None
    margin_mm: float
    outline_ras: np.ndarray


def trabecular_hu(volume: CTVolume, level_slice: LevelSlice) -> float | None:
    """HU of a vertebra's trabecular bone; None where the region is not in view."""
    region = find_region(volume, level_slice)
    return None if region is None else region.hu


def find_region(
    volume: CTVolume, level_slice: LevelSlice, body: BodyShape | None = None
) -> TrabecularRegion | None:
    """The trabecular region of a vertebra.

    Parameters
    ----------
    volume : CTVolume
    level_slice : LevelSlice
    body : BodyShape, optional
        Its walls, where they are known already; else they are looked for.

    Returns
    -------
    TrabecularRegion or None
        None where less than 90 % of the region lies inside the volume, or where an
        endplate runs through whatever could be read.
    """
    return read_region(volume, level_slice, body or find_body(volume, level_slice))[0]


def read_region(
    volume: CTVolume, level_slice: LevelSlice, body: BodyShape | None
) -> tuple[TrabecularRegion | None, str | None]:
    """The trabecular region of a vertebra whose walls were looked for.

    Parameters
    ----------
    volume : CTVolume
    level_slice : LevelSlice
    body : BodyShape or None
        None where the walls cannot be told.

    Returns
    -------
    region : TrabecularRegion or None
        As `find_region` gives it.
    doubt : str or None
        Why it is not the whole region (`NEAR_WALLS` and those below it); None where it is.
    """
    doubt = NO_WALLS
    if body is not None:
        doubt = TOO_SMALL
        for share in SHARES:
            local = core_points(volume, body, share)
            if len(local) >= MIN_VOLUME_MM3:
                values = volume.sample(body.points(local))
                if ridge(plane_medians(local[:, 2], values)) > CROSSED_HU:
                    doubt = CROSSED
                    break
                region = _region(volume, body, share, values)
                if region is None:
                    return None, OUT_OF_VIEW
                return region, NEAR_WALLS if share <= NEAR_SHARE else None
    region, lacking = _disc(volume, level_slice)
    return region, lacking or doubt


def check_region(level: str, region: TrabecularRegion | None, doubt: str | None) -> list[Finding]:
    """A finding where the HU beside a level are those of a rest of its region, or not read."""
    if doubt is None:
        return []
    if region is None:
        # The images for the network are cut about the same point.
        severity = "note" if doubt == OUT_OF_VIEW else "warning"
        why = {
            OUT_OF_VIEW: "part of the body lies outside the scan.",
            IN_PLATE: "an endplate seems to run through the chosen place; check the slice.",
        }[doubt]
        text = f"{level}: the trabecular HU are not read, because {why}"
        return [Finding("trabecular-unread", level, text, severity)]
    if doubt == NEAR_WALLS:
        text = (
            f"{level}: the body is small, so its trabecular HU are read up to {region.margin_mm:.0f} mm "
            "from its walls, whose cortex may raise them."
        )
        return [Finding("trabecular-rest", level, text, "note")]
    why = {
        NO_WALLS: "the walls of the body cannot be told",
        TOO_SMALL: "the body is too low or too narrow for more",
        CROSSED: "a plane as dense as an endplate runs through the body",
    }[doubt]
    text = (
        f"{level}: {why}, so the trabecular HU are those of a small disc about the chosen point; "
        "check the slice."
    )
    return [Finding("trabecular-rest", level, text, "note")]


def core_points(volume: CTVolume, body: BodyShape, share: float = 1.0) -> np.ndarray:
    """Places (u, v, w) in mm, 1 mm apart, clear of walls, endplates and vein; shape (n, 3).

    `share` is how much of the margins is kept.
    """
    reach = (body.half_width, body.half_depth, max(body.top[0], -body.bottom[0]) + 4)
    axes = [np.arange(-np.ceil(x), np.ceil(x) + 1) for x in reach]
    local = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    u, v, w = local.T
    vein = (v < 0) & (np.abs(u) < VEIN_SIDE_MM) & (np.abs(w) < VEIN_HEIGHT_MM)
    wall, plate = body.depths_mm(local)
    deep = wall >= share * wall_margins_mm(volume, body, local)
    deep &= plate >= share * plate_margin_mm(volume, body)
    return np.asarray(local[deep & ~vein])


def plane_medians(height: np.ndarray, hu: np.ndarray) -> np.ndarray:
    """Median HU of each plane of a region, from below: an island changes none, an endplate does.

    A plane of too few known places (`MIN_PLANE_SHARE`) is left out.

    Parameters
    ----------
    height : ndarray, shape (n,)
        Of each place along the axis, mm, in planes.
    hu : ndarray, shape (n,)
        NaN where it is unknown.
    """
    known = np.isfinite(hu)
    height, hu = height[known], hu[known]
    at, count = np.unique(height, return_counts=True)
    if not len(at):
        return np.zeros(1)
    at = at[count >= MIN_PLANE_SHARE * np.median(count)]
    return np.array([np.median(hu[height == x]) for x in at])


def _region(
    volume: CTVolume, body: BodyShape, share: float, values: np.ndarray
) -> TrabecularRegion | None:
    known = np.sort(values[np.isfinite(values)])
    if len(known) < MIN_SEEN * len(values):
        return None
    cut = int(TRIM * len(known))
    edge = outline(body.half_width, body.half_depth)
    margins = share * wall_margins_mm(volume, body, edge)
    # Shrunk by the margin: along each ray to where the outline is that deep.
    edge = edge * np.clip(1 - margins / np.linalg.norm(edge, axis=1), 0.1, 1)[:, None]
    corners = np.concatenate([edge, np.zeros((len(edge), 1))], axis=1)
    mean = float(known[cut : len(known) - cut].mean())
    return TrabecularRegion(mean, body, float(margins.min()), body.points(corners))


def _disc(volume: CTVolume, level_slice: LevelSlice) -> tuple[TrabecularRegion | None, str | None]:
    """An axial elliptic disc, a little before the chosen point: as it is drawn by hand.

    Or None and why it is not read.
    """
    centre = np.add(level_slice.ras, (0.0, FORWARD_MM, 0.0))
    x, y = (np.arange(-half, half + 0.01, 1.0) for half in SEMI_AXES_MM)
    z = np.linspace(-THICKNESS_MM / 2, THICKNESS_MM / 2, 5)
    local = np.stack(np.meshgrid(x, y, z, indexing="ij"), axis=-1).reshape(-1, 3)
    inside = np.hypot(local[:, 0] / SEMI_AXES_MM[0], local[:, 1] / SEMI_AXES_MM[1]) <= 1
    values = volume.sample(centre + local[inside])
    known = values[np.isfinite(values)]
    if len(known) < MIN_SEEN * len(values):
        return None, OUT_OF_VIEW
    planes = plane_medians(local[inside, 2], values)
    if np.abs(planes - np.median(planes)).max() > CROSSED_HU:
        return None, IN_PLATE
    angle = np.arange(48) * 2 * np.pi / 48
    ring = np.stack(
        [SEMI_AXES_MM[0] * np.cos(angle), SEMI_AXES_MM[1] * np.sin(angle), 0 * angle], 1
    )
    return TrabecularRegion(float(known.mean()), None, 0.0, centre + ring), None
