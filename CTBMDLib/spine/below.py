"""A chain of vertebrae followed anew below, where its line left the spine or its last disc is faint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..progress import Progress
from .column import Column, joined, refine_column
from .evidence import see_discs
from .settings import BoneKind
from .trace import attempt
from .traced import Traced, trace_along


def follow_further(traced: Traced, progress: Progress | None = None) -> Traced | None:
    """The spine followed anew from where its chain of discs ends; None where no more is found.

    Below L4 a trace may leave the spine for an iliac artery full of contrast. What it
    followed there is left out of the next one, and of the one after that, as long as each
    shows more of the spine.

    Parameters
    ----------
    traced : Traced
    progress : Progress, optional
        Asked whether to go on.

    Raises
    ------
    Cancelled
    """
    best = traced
    wrong: list[Column] = []
    others: dict[BoneKind, Traced | None] = {}
    for _ in range(traced.settings.trace.further_rounds):
        below = np.count_nonzero(best.profiles.seen[best.discs[-1] :])
        if below < traced.settings.trace.lost_mm:
            break
        if (lost := _lost_below(best)) is not None:
            wrong.append(lost)
        found = [
            *_keeping_away(best, wrong),
            *_with_others_below(best, others, progress or Progress()),
        ]
        better = [one for one in found if one.worth > best.worth and one.is_lumbar]
        if not better:
            break
        best = max(better, key=lambda one: one.worth)
    return None if best is traced else best


def _lost_below(traced: Traced) -> Column | None:
    """What a trace followed far below its last disc; None where that is next to nothing."""
    given = traced.settings.trace
    last = traced.straight.centre[traced.discs[-1], 2]
    lost = traced.column.body[:, 2] < last - given.lost_mm
    return traced.column.part(lost) if np.count_nonzero(lost) >= given.min_lost_nodes else None


def _keeping_away(traced: Traced, wrong: Sequence[Column]) -> list[Traced]:
    """The trace again, away from wrong columns and, above its last disc, where it was.

    It is given as it is and, as the first one may have seen more above, joined to that.
    """
    ct, given = traced.ct, traced.settings.trace
    last = traced.straight.centre[traced.discs[-1], 2]
    height = traced.column.body[:, 2]
    right = traced.column.part(height >= last - given.lost_mm)
    sure = traced.column.part(height >= last)
    if not wrong or len(right) < given.min_right_nodes or not len(sure):
        return []
    column = refine_column(
        ct.reduced, right, ct.tissue_hu, traced.kind, wrong, ct.settings, keep=sure
    )
    joined = join_below(traced, column)
    columns = [column] if joined is None else [column, joined]
    return [trace_along(ct, one, traced.kind) for one in columns]


def _with_others_below(
    traced: Traced, others: dict[BoneKind, Traced | None], progress: Progress
) -> list[Traced]:
    """Traces that see bone in other ways, and this one joined to each below its last disc.

    What each way sees is kept in `others`: it is the same whatever was followed before.
    """
    found = []
    for kind in traced.settings.trace.others:
        if kind == traced.kind:
            continue
        if kind not in others:
            others[kind] = attempt(traced.ct, kind, [], progress)
        other = others[kind]
        if other is None:
            continue
        found.append(other)
        column = join_below(traced, other.column)
        if column is not None:
            found.append(trace_along(traced.ct, column, traced.kind))
    return found


def join_below(traced: Traced, column: Column) -> Column | None:
    """A trace as far as its last disc, then another column; None if either part is short."""
    last = traced.straight.centre[traced.discs[-1], 2]
    above = traced.column.part(traced.column.body[:, 2] >= last)
    return joined(above, column.part(column.body[:, 2] < last), traced.settings.trace.min_nodes)


def with_body_below(traced: Traced) -> Traced | None:
    """The chain with one body more, where its lower disc is not plain; None where it is cut.

    For a vertebra that must be there by its names: L5 below the disc L4/5, as no spine ends there.

    Parameters
    ----------
    traced : Traced
    """
    given = traced.settings.trace
    last = int(traced.discs[-1])
    height = float(np.median(np.diff(traced.discs)[-3:]))
    low, high = (last + int(round(share * height)) for share in given.added_height)
    seen = traced.profiles.seen
    if high >= len(seen) or not seen[last : low + 1].all():
        return None
    disc, _ = see_discs(traced.straight, traced.tissue_hu)
    plane = low + int(np.argmax(np.where(seen[low : high + 1], disc[low : high + 1], -np.inf)))
    return replace(
        traced,
        discs=np.append(traced.discs, plane),
        scores=np.append(traced.scores, given.added_score),
    )
