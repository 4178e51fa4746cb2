"""Finding the lumbar vertebrae in whatever CT is loaded.

The way there (`trace`): a 3 mm copy (`grid`), the chain of places that look like body,
canal and arch (`column`), the straightened spine (`straightened`), discs and bodies seen
along it by a small network (`evidence`) and chained (`profile`). A line that runs beside the
bodies is turned back (`turned`), one that ends too early is carried on (`above`, `below`).
Names come from two witnesses (`witnesses`), rules for ribs and sacrum and a second small
network, weighed in `numbering`; then each body is measured in its midline (`midline`, `body`).
Both networks were trained on virtual volumes; every other number is in `settings`. One
`Traced` goes all the way, and no step copies the volume.
"""

from __future__ import annotations

import numpy as np

from ..levels import MEASURED, LevelSelection, LevelSlice
from ..progress import Progress, Report, ShouldCancel
from ..volume import CTVolume
from .above import follow_above
from .below import follow_further, with_body_below
from .body import measure_bodies
from .numbering import Numbering, number_spine
from .settings import SETTINGS, BodySettings, SpineSettings
from .trace import trace_spine
from .traced import Traced
from .transitional import transitional_findings
from .turned import turned_back
from .witnesses import witnesses

REPORTED = ("T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1")
"""Vertebrae `find_levels` names; what lies beyond is not needed."""

NOTHING_FOUND = "No lumbar vertebra was found in this CT."


def find_levels(
    volume: CTVolume,
    *,
    progress: Report | None = None,
    should_cancel: ShouldCancel | None = None,
    settings: SpineSettings = SETTINGS,
) -> LevelSelection:
    """Find the vertebral bodies from T11 to S1 that lie whole in a CT.

    Parameters
    ----------
    volume : CTVolume
        Any storage direction, spacing and field of view.
    progress : callable (fraction, text), optional
    should_cancel : callable () -> bool, optional
    settings : SpineSettings
        Those that the published results rest on where not given.

    Returns
    -------
    LevelSelection
        Empty where no lumbar vertebra is seen. Every level has its centre,
        confidence, axis and height; `numbering` says what the names rest on
        and the findings what a person should check. Only L1-L4 are included.

    Raises
    ------
    Cancelled
        Where `should_cancel()` answered True.
    """
    steps = Progress(progress, should_cancel)
    uid = volume.acquisition.series_uid
    nothing = LevelSelection((), uid, None, (NOTHING_FOUND,))
    traced = trace_spine(volume, steps, settings)
    if traced is None:
        return nothing
    steps.step(0.85, "Naming the vertebrae")
    traced, numbering = _followed(traced, steps)
    if not numbering.any_lumbar or len(traced.scores) < settings.body.min_bodies:
        return nothing
    levels = _levels(traced, numbering)
    if not any(item.level.startswith("L") for item in levels):
        return nothing
    findings = transitional_findings(
        traced.straight, traced.profiles.bone, traced.discs, numbering, settings.transitional
    )
    steps.step(1.0, "Levels found")
    return LevelSelection(levels, uid, numbering.decided_by, (*numbering.findings, *findings))


def _followed(traced: Traced, steps: Progress) -> tuple[Traced, Numbering]:
    """The chain from T11 to L5, as far as the CT shows them, and its names."""
    traced = turned_back(traced) or traced
    numbering = _names(traced)
    if not _begins_with_t11(numbering):
        longer = follow_above(traced, steps)
        if longer is not None:
            traced, numbering = longer, _names(longer)
    from_sacrum = numbering.decided_by in ("sacrum", "both")
    if from_sacrum and not _ends_with_l4(traced, numbering):
        return traced, numbering
    further = follow_further(traced, steps.part(0.85, 0.95))
    if further is not None:
        traced, numbering = further, _names(further)
    if numbering.decided_by != "neither" and _ends_with_l4(traced, numbering):
        longer = with_body_below(traced)
        if longer is not None:
            names = _names(longer)
            if names.first_lumbar == numbering.first_lumbar:
                return longer, names
    return traced, numbering


def _begins_with_t11(numbering: Numbering) -> bool:
    """Whether the chain surely holds T12 and T11, above which nothing is named."""
    return numbering.decided_by != "neither" and numbering.first_lumbar >= 2


def _ends_with_l4(traced: Traced, numbering: Numbering) -> bool:
    """Whether L5 is missing between the chain and the sacrum."""
    return numbering.name(len(traced.scores) - 1) == "L4"


def _names(traced: Traced) -> Numbering:
    """Names by what both witnesses see."""
    return number_spine(*witnesses(traced), traced.settings.numbering)


def _too_narrow(widths: list[float], numbering: Numbering, given: BodySettings) -> bool:
    """Whether bodies are narrower than lumbar ones, as those of the neck are.

    Where marrow is no denser than fat, only a part of a body's outline shows. So of a spine
    that has its ribs or its sacrum one body of a lumbar one's width is enough.
    """
    if numbering.decided_by != "neither":
        return max(widths) < given.min_width_mm
    return bool(np.median(widths) < given.min_width_mm)


def _levels(traced: Traced, numbering: Numbering) -> tuple[LevelSlice, ...]:
    """The named bodies; none where they are too narrow to be lumbar."""
    given = traced.settings.body
    names = {n: numbering.name(n) for n in range(len(traced.scores))}
    reported = [n for n, name in names.items() if name in REPORTED]
    bodies = measure_bodies(traced, reported)
    if not bodies or _too_narrow([body.width_mm for body in bodies], numbering, given):
        return ()
    levels = []
    for position, body in zip(reported, bodies, strict=True):
        name, score = str(names[position]), traced.scores[position]
        fit = 1.0 / (1.0 + np.exp(-given.fit_steepness * (score - given.fit_middle)))
        r, a, s = (float(x) for x in body.centre)
        up = tuple(float(x) for x in body.axis)
        levels.append(
            LevelSlice(
                level=name,
                ras=(r, a, s),
                confidence=float(np.clip(numbering.probability * fit, 0.0, given.max_confidence)),
                source="found",
                included=name in MEASURED,
                axis=(up[0], up[1], up[2]),
                height_mm=body.height_mm,
            )
        )
    return tuple(levels)
