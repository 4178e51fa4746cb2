"""A chain of vertebrae carried on to the head, where the CT goes on above its first disc."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..progress import Progress
from .column import Column, refine_column
from .traced import Traced, trace_along


def follow_above(traced: Traced, progress: Progress | None = None) -> Traced | None:
    """The spine carried on above its first disc; None where no more of it is found.

    A trace of the lumbar spine may leave it for an aorta, the crura or the liver, or end, where
    bone is as dense as they are, and T12, which gives the names, is left out with its ribs. But
    a spine does not end at L2, nor does it leap aside from one vertebra to the next: so it is
    looked for again where the vertebrae below point to, without what was followed instead.

    Parameters
    ----------
    traced : Traced
    progress : Progress, optional
        Asked whether to go on.

    Raises
    ------
    Cancelled
    """
    progress = progress or Progress()
    best = traced
    for _ in range(traced.settings.above.rounds):
        if not goes_on_above(best):
            break
        longer = None
        for one in _carried_on(best):
            progress.step(0.5, "Following the spine to the head")
            least = best.worth if longer is None else longer.worth
            if one.worth > least and one.is_lumbar and keeps_discs(one, best):
                longer = one
        if longer is None:
            break
        best = longer
    return None if best is traced else best


def goes_on_above(traced: Traced) -> bool:
    """Whether the CT shows the place of one more vertebra above the first disc."""
    first, way = _top(traced)
    room = np.arange(0.0, traced.settings.above.room_mm + 1.0, 5.0)
    return all(traced.ct.volume.contains(first + mm * way) for mm in room)


def keeps_discs(longer: Traced, traced: Traced) -> bool:
    """Whether all discs of a trace are among those of a longer one.

    The first may be another where its vertebra is not plain: there the trace has begun to leave
    the spine, and what it took for a disc lies beside the one that the longer trace shows.
    """
    given = traced.settings.above
    theirs = longer.straight.centre[longer.discs]
    ours = traced.straight.centre[traced.discs]
    apart = np.linalg.norm(ours[:, None] - theirs[None], axis=2).min(axis=1)
    if len(apart) > given.min_sure_discs and traced.scores[0] < given.plain_score:
        apart = apart[1:]
    return bool(apart.max() <= given.same_disc_mm)


def _top(traced: Traced) -> tuple[np.ndarray, np.ndarray]:
    """RAS mm of the first disc and the way on to the head, as the first vertebra points, (3,)."""
    upper, lower = traced.straight.centre[traced.discs[:2]]
    way = (upper - lower) / max(float(np.linalg.norm(upper - lower)), 1e-6)
    return upper, way


def _carried_on(traced: Traced) -> Iterator[Traced]:
    """Traces that keep to this one below its first disc, each going on above it in another way."""
    ct, given = traced.ct, traced.settings.above
    first, way = _top(traced)
    height = traced.column.body[:, 2]
    sure = traced.column.part(height <= first[2])
    if len(sure) < given.min_nodes:
        return
    straight = _straight_on(traced, sure, first, way)
    yield trace_along(ct, straight, traced.kind)
    lost = traced.column.part(height > first[2] + given.lost_mm)
    away = [lost] if len(lost) >= given.min_lost_nodes else []
    for kind in given.kinds:
        column = refine_column(
            ct.reduced, straight, ct.tissue_hu, kind, away, ct.settings, keep=sure
        )
        yield trace_along(ct, column, traced.kind)


def _straight_on(traced: Traced, sure: Column, first: np.ndarray, way: np.ndarray) -> Column:
    """A column that goes straight on above its last sure node, as far as the CT does."""
    given = traced.settings.above
    # The trace runs beside the middle of the bodies that `recentre` finds: as far above as below.
    centre, height = traced.straight.centre[::-1], sure.body[:, 2]
    on = np.column_stack([np.interp(height, centre[:, 2], centre[:, i]) for i in (0, 1)])
    beside = np.append(np.median(sure.body[:, :2] - on, axis=0), 0.0)
    back = np.median(sure.canal - sure.body, axis=0)
    steps = np.arange(given.node_mm, given.reach_mm + 1.0, given.node_mm)[::-1]
    line = first + steps[:, None] * way
    line = line[[traced.ct.volume.contains(point) for point in line]] + beside
    return Column(
        np.concatenate([line, sure.body]),
        np.concatenate([line + back, sure.canal]),
        np.concatenate([np.ones(len(line)), sure.score]),
    )
