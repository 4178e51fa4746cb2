"""A line that runs beside the bodies, turned back about the canal until left is like right."""

from __future__ import annotations

import numpy as np

from ..volume import CTVolume
from .column import Column
from .settings import SETTINGS, TurnSettings
from .straightened import StraightenedSpine, sample_planes
from .traced import Traced, trace_along


def turned_back(traced: Traced) -> Traced | None:
    """The spine with its line turned about the canal; None where it is not turned.

    Where marrow is darker than the vessels and muscles beside it, what is followed may lie on
    one side of the bodies. The canal is found all the same, and body, canal, arch and muscles
    are alike on both sides of the plane through canal and spinous process: so the line is
    turned about the canal until they are.

    Parameters
    ----------
    traced : Traced
    """
    given = traced.settings.turn
    best = traced
    for _ in range(given.rounds):
        turns, gain = vertebra_turns(
            best.straight, best.reduced, best.discs, best.tissue_hu, best.settings.turn
        )
        far = np.abs(turns) >= given.min_deg
        if np.count_nonzero(far) < given.min_vertebrae or gain < given.min_gain:
            break
        found = trace_along(best.ct, _turned(best, turns), best.kind, in_middle=True)
        # In the middle of the bodies their discs are seen at least as well as beside it.
        if not found.is_lumbar or found.worth < best.worth:
            break
        best = found
    return None if best is traced else best


def vertebra_turns(
    straight: StraightenedSpine,
    reduced: CTVolume,
    discs: np.ndarray,
    tissue_hu: float,
    settings: TurnSettings = SETTINGS.turn,
) -> tuple[np.ndarray, float]:
    """How far each vertebra is turned against the frame of the line, about the canal.

    Parameters
    ----------
    straight : StraightenedSpine
    reduced : CTVolume
        Where the planes are sampled.
    discs : ndarray of int, shape (m + 1,)
        Planes of the discs' middles.
    tissue_hu : float
        HU of muscle in this CT.
    settings : TurnSettings

    Returns
    -------
    turns : ndarray, shape (m,)
        Degrees, to the patient's right where positive.
    gain : float
        How much more alike left and right are there than without a turn, as a share.
    """
    degrees = settings.step_deg * np.arange(-settings.steps, settings.steps + 1)
    unlike = np.array(
        [
            [_unlike(straight, reduced, planes, tissue_hu, angle, settings) for angle in degrees]
            for planes in _planes(straight, discs, settings)
        ]
    )
    # Of a vertebra that is not seen on both sides whichever way it is turned nothing is known.
    unlike[np.isnan(unlike).any(axis=1)] = 0.0
    unlike += settings.off_cost * np.abs(degrees)
    bend = settings.bend_cost * np.abs(degrees[:, None] - degrees)
    total, back = unlike[0], []
    for costs in unlike[1:]:
        ways = total + bend
        back.append(ways.argmin(axis=1))
        total = costs + ways.min(axis=1)
    path = [int(total.argmin())]
    for came in reversed(back):
        path.append(int(came[path[-1]]))
    best = np.array(path[::-1])
    without = float(unlike[:, settings.steps].sum())
    gain = 1.0 - float(unlike[np.arange(len(best)), best].sum()) / max(without, 1e-6)
    return degrees[best], gain if without > 0 else 0.0


def _planes(
    straight: StraightenedSpine, discs: np.ndarray, given: TurnSettings
) -> list[np.ndarray]:
    """Planes of each vertebra that are compared."""
    planes = []
    for top, bottom in zip(discs, discs[1:], strict=False):
        margin = given.margin * (bottom - top)
        at = np.arange(int(top + margin), int(bottom - margin) + 1, given.plane_step)
        planes.append(np.clip(at, 0, len(straight) - 1))
    return planes


def _unlike(
    straight: StraightenedSpine,
    reduced: CTVolume,
    planes: np.ndarray,
    tissue_hu: float,
    degrees: float,
    given: TurnSettings,
) -> float:
    """Mean difference between left and right of a vertebra, seen from the canal, HU.

    NaN where the CT does not show enough of both.
    """
    way, right = _about(straight.front[planes], straight.right[planes], degrees)
    canal = straight.centre[planes] - straight.canal_mm[planes, None] * straight.front[planes]
    reach = given.side_step_mm * np.arange(-given.reach, given.reach + 1)
    ahead = np.arange(*given.ahead_mm, given.side_step_mm)
    hu = sample_planes(reduced, canal, way, right, ahead, reach)
    above = np.clip(hu - tissue_hu, *given.hu_range).mean(axis=0)  # NaN where the CT ends
    # The canal's middle is known to within a sample: the plane may lie so far beside it.
    differences = []
    for aside in given.aside_mm:
        mirrored = np.stack([np.interp(2.0 * aside - reach, reach, row) for row in above])
        unlike = np.abs(above - mirrored)[:, given.edge : len(reach) - given.edge]
        both = np.isfinite(unlike)
        if both.mean() < given.min_seen:
            return np.nan
        differences.append(float(unlike[both].mean()))
    return min(differences)


def _about(
    front: np.ndarray, right: np.ndarray, degrees: float | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Front and right turned to the patient's right."""
    angle = np.deg2rad(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    return cos * front + sin * right, cos * right - sin * front


def _turned(traced: Traced, turns: np.ndarray) -> Column:
    """The line with each plane turned about the canal, as far as vertebrae were compared."""
    straight = traced.straight
    middles = 0.5 * (traced.discs[1:] + traced.discs[:-1])
    step = int(traced.settings.turn.node_mm)
    planes = np.arange(0, len(straight), step)
    height, nodes = straight.centre[planes, 2], traced.column.body[:, 2]
    planes = planes[(height <= nodes.max()) & (height >= nodes.min())]
    angle = np.interp(planes, middles, turns)[:, None]
    front, _ = _about(straight.front[planes], straight.right[planes], angle)
    apart = straight.canal_mm[planes, None]
    canal = straight.centre[planes] - apart * straight.front[planes]
    return Column(canal + apart * front, canal, np.ones(len(planes)))
