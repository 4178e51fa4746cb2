"""Whether the chosen levels can be vertebrae of one spine: order, distance, line, axis."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise

import numpy as np

from ..errors import CTBMDError
from ..levels import ORDER, LevelSelection, LevelSlice
from .finding import Finding

SAME_PLACE_MM = 3.0
MIN_APART_MM = 12.0
"""A body pressed flat and its disc still measure this from centre to centre of neighbours."""
MIN_STEP_MM, MAX_STEP_MM = 29.0, 42.5
"""Mean distance of neighbouring lumbar centres that people may have; own choice, no source was read.

The CTs known here measure 31 to 39 mm. A spacing that is false by a quarter is seen in most people; of one
made 0.85 times too small, most are not.
"""
MIN_STEPS = 2
MAX_OFF_LINE_MM, MAX_OFF_END_MM = 15.0, 30.0
"""Between two neighbours, a spine bent to a radius of 60 mm leaves their line by 11 mm; an
end is looked for beyond its two neighbours, where that counts nearly threefold."""
MAX_AXIS_DEGREES = 40.0
"""Between a body's axis and the line through its neighbours."""
AXIS_LENGTH = (0.9, 1.1)


def refuse_impossible(levels: Sequence[LevelSlice]) -> None:
    """Refuse levels that no spine can have.

    Parameters
    ----------
    levels : sequence of LevelSlice
        From head to feet.

    Raises
    ------
    CTBMDError
        For an axis that is no direction, two levels at one place, and a level
        that does not lie below the one above it.
    """
    for item in levels:
        if item.axis is None:
            continue
        length = float(np.linalg.norm(np.asarray(item.axis, dtype=float)))
        if not AXIS_LENGTH[0] <= length <= AXIS_LENGTH[1]:  # true for NaN as well
            raise CTBMDError(
                f"The axis of {item.level} is no direction of length 1; correct it, or leave it out "
                "of the levels file.",
                "level-axis",
            )
    for upper, lower in combinations(levels, 2):
        if _distance(upper, lower) < SAME_PLACE_MM:
            raise CTBMDError(
                f"{upper.level} and {lower.level} are at the same place; move one of them to its "
                "own vertebra or remove it.",
                "levels-same-place",
            )
    for upper, lower in pairwise(levels):
        if lower.ras[2] >= upper.ras[2]:
            raise CTBMDError(
                f"{lower.level} lies above {upper.level}; correct the labels or the points.",
                "levels-order",
            )


def check_places(selection: LevelSelection) -> list[Finding]:
    """Findings on levels that contradict each other without being impossible."""
    spine = [x for x in selection if x.level not in ("S1", "S2")]  # the sacrum turns away
    order = [
        Finding(
            "levels-order",
            None,
            f"{lower.level} lies above {upper.level}; correct the labels or the points.",
        )
        for upper, lower in pairwise(selection)
        if lower.ras[2] >= upper.ras[2]
    ]
    if order:
        return order
    near = [(a, b) for a, b in combinations(spine, 2) if _distance(a, b) < MIN_APART_MM]
    if near:
        return [
            Finding(
                "levels-too-near",
                None,
                f"{a.level} and {b.level} lie only {_distance(a, b):.0f} mm apart, nearer than two "
                "vertebrae can; check their points.",
            )
            for a, b in near
        ]
    off = _off_line(spine)
    found = [
        Finding(
            "off-line",
            level,
            f"{level}: the point lies {distance:.0f} mm beside the line of the other levels; check it.",
        )
        for level, distance in off.items()
    ]
    found += _axes([x for x in spine if x.level not in off])
    return found if off else found + _steps(spine)


def _steps(spine: Sequence[LevelSlice]) -> list[Finding]:
    """Whether the distances of neighbours are those of a human spine in millimetres."""
    steps = [
        _distance(a, b)
        for a, b in pairwise(spine)
        if a.level.startswith("L") and ORDER.index(b.level) - ORDER.index(a.level) == 1
    ]
    if len(steps) < MIN_STEPS:
        return []
    mean = float(np.mean(steps))
    if MIN_STEP_MM <= mean <= MAX_STEP_MM:
        return []
    what = "near" if mean < MIN_STEP_MM else "far"
    text = (
        f"The lumbar levels lie {mean:.0f} mm apart on average, too {what} for an adult's vertebrae; "
        "check the labels, and whether the scan's spacing is true or was scaled."
    )
    return [Finding("spacing-unlikely", None, text)]


def _axes(spine: Sequence[LevelSlice]) -> list[Finding]:
    """Whether each axis runs along the spine, as its neighbours lie."""
    found = []
    for index, item in enumerate(spine):
        near = spine[max(index - 1, 0) : index + 2]
        axis = np.asarray(item.axis or (0, 0, 0), dtype=float)
        if len(near) < 2 or not 0 < np.linalg.norm(axis) < np.inf:
            continue  # what is no direction is refused by the estimate
        along = _point(near[0]) - _point(near[-1])
        cosine = float(along @ axis / (np.linalg.norm(along) * np.linalg.norm(axis)))
        angle = float(np.degrees(np.arccos(np.clip(abs(cosine), 0, 1))))
        if angle > MAX_AXIS_DEGREES:
            found.append(
                Finding(
                    "axis-off",
                    item.level,
                    f"{item.level}: its axis is {angle:.0f} degrees off the line of the spine; check "
                    "it, or leave it out of the levels file.",
                )
            )
    return found


def _off_line(spine: Sequence[LevelSlice]) -> dict[str, float]:
    """Levels far beside the line of the others, and by how many mm.

    One wrong point bends the line at its neighbours too: the one without which
    most of the rest agrees is taken, and the rest is looked at again.
    """
    spine, found = list(spine), {}
    while len(spine) > 3:
        off = _deviations(spine)
        if not off:
            break
        rest = {level: len(_deviations([x for x in spine if x.level != level])) for level in off}
        worst = min(off, key=lambda level: (rest[level], -off[level]))
        found[worst] = off[worst]
        spine = [x for x in spine if x.level != worst]
    return found


def _deviations(spine: Sequence[LevelSlice]) -> dict[str, float]:
    """How far each level beyond its limit lies from where its two neighbours put it, mm."""
    off = {}
    for index, item in enumerate(spine):
        end = index in (0, len(spine) - 1)
        start = min(max(index - 1, 0), len(spine) - 3)
        a, b = (x for x in spine[start : start + 3] if x is not item)
        first, second = _point(a), _point(b)
        along = (second - first) / np.linalg.norm(second - first)
        apart = _point(item) - first
        distance = float(np.linalg.norm(apart - (apart @ along) * along))
        if distance > (MAX_OFF_END_MM if end else MAX_OFF_LINE_MM):
            off[item.level] = distance
    return off


def _point(item: LevelSlice) -> np.ndarray:
    return np.asarray(item.ras, dtype=float)


def _distance(one: LevelSlice, other: LevelSlice) -> float:
    return float(np.linalg.norm(_point(one) - _point(other)))
