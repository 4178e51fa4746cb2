"""Which vertebra is which: last rib, sacrum, and how sure the two make it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .levels import ORDER

_L1 = ORDER.index("L1")


@dataclass(frozen=True)
class Numbering:
    """Names for a chain of vertebrae.

    Attributes
    ----------
    first_lumbar : int
        Position of L1 in the chain; may be negative or past its end.
    probability : float
        Share of the evidence for these names, 0 to 1.
    decided_by : {'sacrum', 'rib', 'both', 'neither'}
    lumbar_count : int or None
        Rib-free vertebrae between the last rib and the sacrum where both are in view.
    notes : tuple of str
    any_lumbar : bool
        False where the chain shows no lumbar vertebra at all.
    """

    first_lumbar: int
    probability: float
    decided_by: str
    lumbar_count: int | None
    notes: tuple[str, ...]
    any_lumbar: bool = True

    def name(self, position: int) -> str | None:
        """Name of a vertebra of the chain, None outside `ORDER`."""
        index = _L1 + position - self.first_lumbar
        return ORDER[index] if 0 <= index < len(ORDER) else None


def number_vertebrae(ribs, wings) -> Numbering:
    """Name a chain of vertebrae from head to feet.

    Parameters
    ----------
    ribs : array_like, shape (2, m)
        Rib evidence left and right of each vertebra, -3 to 3; NaN where unseen.
    wings : array_like, shape (m,)
        Evidence for the wings of the sacrum, -3 to 3; NaN where unseen. The last
        entries may be places below the last disc.

    Notes
    -----
    Every place of L1 in the chain is weighed with 5 lumbar vertebrae, and,
    as less likely, with 4 or 6. About one person in ten has a transitional
    vertebra, so the penalty is that of 1 in 10, not of the impossible.
    """
    ribs, wings = np.asarray(ribs, float), np.asarray(wings, float)
    m = len(wings)
    seen = np.isfinite(ribs)
    rib = np.where(seen.any(axis=0), np.nansum(ribs, axis=0) / np.maximum(seen.sum(axis=0), 1), 0.0)
    sacral = np.nan_to_num(wings)

    options = []
    for count in (5, 4, 6):
        for first in range(-count - 2, m + 1):
            score = 0.0
            for position in range(m):
                below = position - first  # 0 at L1
                if below < 0:
                    score += rib[position] / 2 - sacral[position] / 2
                elif below < count:
                    score -= rib[position] / 2 + sacral[position] / 2
                elif below == count:
                    score += sacral[position] / 2 - rib[position] / 2
                else:  # the line may leave the sacrum's bend below S1
                    score += max(0.0, sacral[position]) / 6
            options.append((score - (0.0 if count == 5 else 1.6), first, count))
    best_score, first, count = max(options)
    ribs_in_view = 0 < first < m and rib[first - 1] > 0 and rib[first] < 0
    end = first + count
    sacrum_in_view = 0 < end < m and sacral[end] > 0 and sacral[end - 1] < 0
    any_lumbar = first < m and end > 0

    # Labels are the same whether a lumbar vertebra more or less lies out of view.
    def l1_of(first, count):
        return first if 0 < first else first + count - 5

    weights = {}
    for score, f, c in options:
        name = l1_of(f, c)
        weights[name] = weights.get(name, 0.0) + np.exp(min(score - best_score, 0.0))
    label = l1_of(first, count)
    probability = weights[label] / sum(weights.values())

    notes = []
    decided = "neither"
    lumbar_count = None
    if ribs_in_view and sacrum_in_view:
        decided, lumbar_count = "both", count
    elif sacrum_in_view:
        decided = "sacrum"
    elif ribs_in_view:
        decided = "rib"
    if lumbar_count == 6:
        notes.append(
            "Possible transitional anatomy: six vertebrae without ribs between the last rib and "
            "the sacrum (a sixth lumbar vertebra, or a very short 12th rib); confirm the labels."
        )
    elif lumbar_count == 4:
        notes.append(
            "Possible transitional anatomy: only four vertebrae without ribs between the last rib "
            "and the sacrum (a rib at L1, or L5 joined to the sacrum); confirm the labels."
        )
    if lumbar_count in (4, 6):
        # Counted up from the sacrum, as most reports do; a person must confirm.
        label, decided, probability = first + count - 5, "neither", min(probability, 0.5)
    if decided in ("sacrum", "rib") and probability < 0.8:
        # One sign alone, and the rest of the evidence does not bear it out.
        decided = "neither"
        notes.append(
            f"Numbering uncertain: counted from the {'sacrum' if sacrum_in_view else 'last rib'}, "
            "which is not seen clearly; confirm or shift the labels."
        )
        probability = min(probability, 0.5)
    elif decided == "neither" and lumbar_count is None:
        run = range(max(first, 0), min(end, m))
        if len(run) and not ribs_in_view and not sacrum_in_view:
            # Nothing to count from: the names that put the run in the middle of L1-L5.
            label = max(first, 0) - (5 - len(run)) // 2
        notes.append(
            "Numbering uncertain: neither the last rib nor the sacrum is seen clearly; "
            "confirm or shift the labels."
        )
        probability = min(probability, 0.35)
    return Numbering(label, float(probability), decided, lumbar_count, tuple(notes), any_lumbar)
