"""Which vertebra is which: last rib, sacrum, and how sure the two make it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..levels import ORDER

_L1 = ORDER.index("L1")

CONTRADICTION = (
    "Numbering uncertain: the signs of ribs and sacrum contradict each other; "
    "confirm or shift the labels."
)

WEIGHT = 0.75
"""Weight of a piece of evidence in the sum; below 1, as neighbours are not independent."""


RARE = 1.6
"""What evidence must outweigh before a spine is taken for a transitional one."""


@dataclass(frozen=True)
class Limits:
    """What it takes to be sure of names, as copies of virtual volumes set it.

    `python -m training.locator.check settings` prints what other values cost.

    Attributes
    ----------
    clear : float
        Evidence beyond which the network has seen the sacrum, or has seen that it is none.
    least : float
        Probability below which names counted from one sign alone are uncertain.
    rib_drop_mm : float
        A rib comes down so far before it is told from a transverse process; that there is
        none counts only where the CT goes on so far below the vertebra.
    one_witness : float
        Confidence at most where one witness is sure of names and the other leans to others
        (31 of 31 names right there).
    overrule : float
        Evidence from which a network that counts four or six lumbar vertebrae makes names
        uncertain where the rules have seen rib, sacrum and five.
    """

    clear: float = 1.0
    least: float = 0.7
    rib_drop_mm: float = 20.0
    one_witness: float = 0.85
    overrule: float = 0.9


LIMITS = Limits()


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
    one_rib : (str, str) or None
        'L1' or 'T12', and 'left' or 'right', where it seems to bear a rib on that side only.
    evidence : float
        Probability before what is uncertain for another reason lowered it.
    """

    first_lumbar: int
    probability: float
    decided_by: str
    lumbar_count: int | None
    notes: tuple[str, ...]
    any_lumbar: bool = True
    one_rib: tuple[str, str] | None = None
    evidence: float = 0.0

    def name(self, position: int) -> str | None:
        """Name of a vertebra of the chain, None outside `ORDER`."""
        index = _L1 + position - self.first_lumbar
        return ORDER[index] if 0 <= index < len(ORDER) else None


def number_vertebrae(ribs, wings, *, bars: bool = False, limits: Limits = LIMITS) -> Numbering:
    """Name a chain of vertebrae from head to feet.

    Parameters
    ----------
    ribs : array_like, shape (2, m)
        Rib evidence left and right of each vertebra, -3 to 3; NaN where unseen.
    wings : array_like, shape (m,)
        Evidence for the wings of the sacrum, -3 to 3; NaN where unseen. The last
        entries may be places below the last disc.
    bars : bool
        The rib evidence is bone that reaches far out, whatever it is: long processes of
        L3, and the ilium beside L4 to S1, look like ribs to it.

    Notes
    -----
    Every place of L1 in the chain is weighed with 5 lumbar vertebrae, and,
    as less likely, with 4 or 6, or with a rib on one side of L1 or of T12 only. About one
    person in ten has a transitional vertebra, so the penalty is that of 1 in 10, not of the
    impossible.
    """
    ribs, wings = np.asarray(ribs, float), np.asarray(wings, float)
    m = len(wings)
    seen = np.isfinite(ribs)
    rib = np.where(seen.any(axis=0), np.nansum(ribs, axis=0) / np.maximum(seen.sum(axis=0), 1), 0.0)
    # A rib on one side alone: how clear the less clear of the two sides is.
    one = np.where(ribs[0] * ribs[1] < 0, np.abs(ribs).min(axis=0), 0.0)
    sacral = np.nan_to_num(wings)
    weight = 0.5 if bars else WEIGHT

    options = []
    for count in (5, 4, 6):
        for first in range(-count - 2, m + 1):
            score = 0.0 if count == 5 else -RARE
            if not bars:
                half = [weight * one[p] - RARE for p in (first - 1, first) if 0 <= p < m]
                score += max([0.0, *half])
            for position in range(m):
                below = position - first  # 0 at L1
                if below < 0:
                    score += weight * (rib[position] - sacral[position])
                elif below < count:
                    trust = 1.0
                    if bars:
                        last = below >= min(4, count - 1)
                        trust = 0.3 if last else (1.0, 1.0, 0.6, 0.4)[below]
                    score -= weight * (trust * rib[position] + sacral[position])
                elif below == count:
                    # Bone out to the ilium, or no rib.
                    score += weight * sacral[position]
                    score += rib[position] / 3 if bars else -weight * rib[position]
                else:  # the line may leave the sacrum's bend below S1
                    score += max(0.0, sacral[position]) / 6
            options.append((score, first, count))
    best_score, first, count = max(options)
    one_rib = None
    for name, position in (("T12", first - 1), ("L1", first)):
        if not bars and 0 <= position < m and weight * one[position] > RARE:
            one_rib = name, "left" if ribs[0, position] > 0 else "right"
    ribs_in_view = 0 < first < m and (
        (rib[first - 1] > 0 and rib[first] < 0) or one_rib is not None
    )
    end = first + count
    if bars:
        wing = sacral + 0.6 * rib
        sacrum_in_view = 0 < end < m and sacral[end] > 0 and wing[end] - wing[end - 1] > 1.5
    else:
        sacrum_in_view = (
            0 < end < m and sacral[end] > limits.clear and sacral[end - 1] < -limits.clear / 2
        )
    any_lumbar = first < m and end > 0

    # Labels are the same whether a lumbar vertebra more or less lies out of view.
    def l1_of(first, count):
        return first if first > 0 else first + count - 5

    weights = {}
    for score, f, c in options:
        name = l1_of(f, c)
        weights[name] = weights.get(name, 0.0) + np.exp(min(score - best_score, 0.0))
    label = l1_of(first, count)
    probability = evidence = float(weights[label] / sum(weights.values()))

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
    if decided == "sacrum" and first > 0 and rib[first - 1] < -1.0:
        # More than five vertebrae without ribs, and the sacrum below them.
        label, decided, probability = first + count - 5, "neither", min(probability, 0.5)
        notes.append(
            "Numbering uncertain: counted up from the sacrum, but no rib is seen where the "
            "12th belongs; confirm or shift the labels."
        )
    if decided in ("sacrum", "rib") and probability < limits.least:
        # One sign alone, and the rest of the evidence does not bear it out.
        decided = "neither"
        notes.append(
            f"Numbering uncertain: counted from the {'sacrum' if sacrum_in_view else 'last rib'}, "
            "which is not seen clearly; confirm or shift the labels."
        )
        probability = min(probability, 0.5)
    elif decided == "neither" and not notes:
        run = range(max(first, 0), min(end, m))
        if run and not ribs_in_view and not sacrum_in_view:
            # Nothing to count from: the names that put the run in the middle of L1-L5.
            label = max(first, 0) - (5 - len(run)) // 2
        notes.append(
            "Numbering uncertain: neither the last rib nor the sacrum is seen clearly; "
            "confirm or shift the labels."
        )
        probability = min(probability, 0.35)
    notes = tuple(notes)
    return Numbering(
        label, float(probability), decided, lumbar_count, notes, any_lumbar, one_rib, evidence
    )


def number_spine(rules, network, limits: Limits = LIMITS) -> Numbering:
    """Names out of what both witnesses see (`spine_witnesses.Evidence`)."""
    named = [
        number_vertebrae(
            seen.seen_ribs(limits.rib_drop_mm), seen.wings, bars=seen.bars, limits=limits
        )
        for seen in (rules, network)
    ]
    return agree(*named, limits)


def agree(rule: Numbering, network: Numbering, limits: Limits = LIMITS) -> Numbering:
    """One numbering out of those of two witnesses.

    Where both name the same vertebrae, what either has seen counts. Where only
    one of them is sure, it is followed, with less confidence where the other leans to
    other names. Where both are sure of different names, the names are uncertain.
    """
    sure = [n for n in (rule, network) if n.decided_by != "neither"]
    if len(sure) == 2:
        if rule.first_lumbar != network.first_lumbar:
            better = max(sure, key=lambda n: n.probability)
            return replace(better, probability=0.5, decided_by="neither", notes=(CONTRADICTION,))
        signs = {n.decided_by for n in sure}
        decided = signs.pop() if len(signs) == 1 else "both"
        count = rule.lumbar_count or network.lumbar_count
        better = max(sure, key=lambda n: n.probability)
        return replace(
            better, decided_by=decided, lumbar_count=count, notes=(), one_rib=network.one_rib
        )
    if len(sure) == 1:
        one = sure[0]
        other = network if one is rule else rule
        if other.lumbar_count in (4, 6):
            clear = other is network and other.evidence >= limits.overrule
            if clear or one.decided_by != "both":
                return other
        if other.first_lumbar == one.first_lumbar:
            return replace(one, one_rib=network.one_rib)
        return replace(one, probability=min(one.probability, limits.one_witness))
    first, second = (rule, network) if rule.lumbar_count is not None else (network, rule)
    return first if first.any_lumbar or not second.any_lumbar else second
