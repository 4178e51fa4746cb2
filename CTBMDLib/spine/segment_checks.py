"""Whether labelled vertebrae lie where the CT has them: on bone, and under the names it tells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..errors import CTBMDError
from ..levels import LUMBAR, ORDER, LevelSelection
from ..volume import CTVolume
from .bone import tissue_level
from .grid import reduce_ct
from .locate import find_levels
from .settings import SEGMENTS, SegmentSettings


def held_against(
    volume: CTVolume,
    selection: LevelSelection,
    points: Mapping[str, np.ndarray],
    settings: SegmentSettings = SEGMENTS,
) -> LevelSelection:
    """Levels from labels with what the CT says against them.

    Parameters
    ----------
    volume : CTVolume
    selection : LevelSelection
        From the labels.
    points : mapping of str to ndarray, shape (n, 3)
        RAS mm of each label's voxels, by vertebra.
    settings : SegmentSettings

    Returns
    -------
    LevelSelection
        With a sentence for each contradiction; `numbering` is 'neither' where names or
        places contradict.

    Raises
    ------
    CTBMDError
        Where the labels lie on no bone.
    """
    if not selection.levels:
        return selection
    move, bone_hu = _better_place(volume, np.concatenate(list(points.values())), settings)
    off = float(np.linalg.norm(move))
    if bone_hu < settings.min_bone_hu:
        raise CTBMDError(
            "The segmentation does not lie on bone in this CT; choose the one that was made of "
            "this scan.",
            "segmentation-not-on-bone",
        )
    finding: str | None
    if off >= settings.min_off_mm:
        finding = (
            f"Numbering uncertain: the segmentation lies about {off:.0f} mm beside the bone that "
            "it should cover; choose the one that was made of this scan."
        )
    else:
        finding = _against_the_finder(selection, find_levels(volume), settings)
    if finding is None:
        return selection
    uncertain = finding.startswith("Numbering uncertain")
    return replace(
        selection,
        numbering="neither" if uncertain else selection.numbering,
        findings=(finding, *selection.findings),
    )


def _better_place(
    volume: CTVolume, points: np.ndarray, settings: SegmentSettings
) -> tuple[np.ndarray, float]:
    """How far labels must move to lie on much more bone, RAS mm; 0 where they lie well.

    Also by how many HU they are denser than soft tissue as they lie.
    """
    reduced = reduce_ct(volume)
    tissue = tissue_level(reduced)
    some = points[:: max(1, len(points) // settings.samples)]

    def value(move: np.ndarray) -> float:
        hu = reduced.sample(some + move, fill=tissue)
        return float(np.clip(hu - tissue, *settings.hu_range).mean())

    here = value(np.zeros(3))
    best, move = here, np.zeros(3)
    reach = settings.reach_mm
    for step in settings.grid_mm:
        around = np.arange(-reach, reach + 0.5 * step, step)
        tries = [move + np.array([r, a, s]) for r in around for a in around for s in around]
        values = [value(at) for at in tries]
        if max(values) > best:
            best, move = max(values), tries[int(np.argmax(values))]
        reach = step
    if best < (1.0 + settings.min_gain) * max(here, 0.0):
        move = np.zeros(3)
    return move, here


def _against_the_finder(
    selection: LevelSelection, found: LevelSelection, settings: SegmentSettings
) -> str | None:
    """What contradicts the levels that are found in the CT itself, as a sentence."""
    seen = {item.level: np.array(item.ras) for item in found}
    if len(seen) < settings.min_lumbar:
        return None
    heights = [item.ras[2] for item in found]
    apart, steps = {}, []
    for item in selection:
        ras = np.array(item.ras)
        if not min(heights) <= ras[2] <= max(heights):
            continue
        near = min(seen, key=lambda level: float(np.linalg.norm(seen[level] - ras)))  # noqa: B023
        apart[item.level] = float(np.linalg.norm(seen[near] - ras))
        if apart[item.level] <= settings.same_body_mm:
            steps.append(ORDER.index(near) - ORDER.index(item.level))
    beside = [level for level, mm in apart.items() if mm > settings.same_body_mm]
    if len(beside) > len(apart) / 2:
        return (
            f"Numbering uncertain: {' '.join(beside)} of the segmentation lie beside the vertebrae "
            "that are seen in the CT; choose the segmentation that was made of this scan."
        )
    if steps and not found.numbering_uncertain:
        step, count = Counter(steps).most_common(1)[0]
        if step and count > len(steps) / 2:
            level = next(x.level for x in selection if x.level in LUMBAR)
            other = ORDER[max(0, min(ORDER.index(level) + step, len(ORDER) - 1))]
            return (
                f"Numbering uncertain: {level} of the segmentation is taken for {other} in the CT "
                f"itself, counted from {_counted(found)}; confirm or shift the labels."
            )
    if beside:
        return (
            f"{' '.join(beside)} of the segmentation lie beside the vertebrae that are seen in the "
            "CT; check the segments."
        )
    return None


def _counted(found: LevelSelection) -> str:
    """What the finder has counted from."""
    signs = {"rib": "the last rib", "both": "the last rib and the sacrum"}
    return signs.get(found.numbering or "", "the sacrum")
