"""Which vertebra is which: last rib, sacrum, and how sure the two make it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from ..levels import ORDER
from .settings import SETTINGS, NumberingSettings
from .witnesses import Evidence

_L1 = ORDER.index("L1")

USUAL_COUNT = 5
COUNTS = (USUAL_COUNT, 4, 6)
"""Lumbar vertebrae that are weighed."""

CONTRADICTION = (
    "Numbering uncertain: the signs of ribs and sacrum contradict each other; "
    "confirm or shift the labels."
)
SIX_LUMBAR = (
    "Possible transitional anatomy: six vertebrae without ribs between the last rib and "
    "the sacrum (a sixth lumbar vertebra, or a very short 12th rib); confirm the labels."
)
FOUR_LUMBAR = (
    "Possible transitional anatomy: only four vertebrae without ribs between the last rib "
    "and the sacrum (a rib at L1, or L5 joined to the sacrum); confirm the labels."
)
NO_TWELFTH_RIB = (
    "Numbering uncertain: counted up from the sacrum, but no rib is seen where the "
    "12th belongs; confirm or shift the labels."
)
NOTHING_CLEAR = (
    "Numbering uncertain: neither the last rib nor the sacrum is seen clearly; "
    "confirm or shift the labels."
)


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
    findings : tuple of str
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
    findings: tuple[str, ...]
    any_lumbar: bool = True
    one_rib: tuple[str, str] | None = None
    evidence: float = 0.0

    def name(self, position: int) -> str | None:
        """Name of a vertebra of the chain, None outside `ORDER`."""
        index = _L1 + position - self.first_lumbar
        return ORDER[index] if 0 <= index < len(ORDER) else None


class _Signs:
    """What one witness sees along a chain, and what it says for each way to name it."""

    def __init__(
        self, ribs: np.ndarray, ala: np.ndarray, bars: bool, settings: NumberingSettings
    ) -> None:
        seen = np.isfinite(ribs)
        mean = np.nansum(ribs, axis=0) / np.maximum(seen.sum(axis=0), 1)
        self.bars = bars
        self.settings = settings
        self.length = len(ala)
        self.ribs = ribs
        self.rib = np.where(seen.any(axis=0), mean, 0.0)
        # A rib on one side alone: how clear the less clear of the two sides is.
        self.one = np.where(ribs[0] * ribs[1] < 0, np.abs(ribs).min(axis=0), 0.0)
        self.ala = np.nan_to_num(ala)
        self.weight = settings.rule_weight if bars else settings.weight

    def options(self) -> list[tuple[float, int, int]]:
        """(score, position of L1, lumbar vertebrae) of every way to name the chain."""
        return [
            (self._score(first, count), first, count)
            for count in COUNTS
            for first in range(-count - 2, self.length + 1)
        ]

    def _score(self, first: int, count: int) -> float:
        """What speaks for L1 at `first` and `count` lumbar vertebrae."""
        given, weight, rib, ala = self.settings, self.weight, self.rib, self.ala
        score = 0.0 if count == USUAL_COUNT else -given.rare
        if not self.bars:
            half = [
                weight * self.one[p] - given.rare
                for p in (first - 1, first)
                if 0 <= p < self.length
            ]
            score += max([0.0, *half])
        for position in range(self.length):
            below = position - first  # 0 at L1
            if below < 0:
                score += weight * (rib[position] - ala[position])
            elif below < count:
                score -= weight * (self._trust(below, count) * rib[position] + ala[position])
            elif below == count:
                # Bone out to the ilium, or no rib.
                score += weight * ala[position]
                ilium = rib[position] / given.rule_ilium_divisor
                score += ilium if self.bars else -weight * rib[position]
            else:
                score += max(0.0, ala[position]) / given.below_sacrum_divisor
        return score

    def _trust(self, below: int, count: int) -> float:
        """How far a rib is believed at the lumbar vertebra `below` L1."""
        if not self.bars:
            return 1.0
        given = self.settings
        if below >= min(len(given.rule_trust), count - 1):
            return given.rule_trust_last
        return given.rule_trust[below]

    def one_rib(self, first: int) -> tuple[str, str] | None:
        """'T12' or 'L1' and the side where it seems to bear a rib on that side only."""
        found = None
        for name, position in (("T12", first - 1), ("L1", first)):
            inside = not self.bars and 0 <= position < self.length
            if inside and self.weight * self.one[position] > self.settings.rare:
                found = name, "left" if self.ribs[0, position] > 0 else "right"
        return found

    def last_rib_in_view(self, first: int) -> bool:
        """Whether the vertebra above L1 has ribs on both sides, and L1 has none."""
        if not 0 < first < self.length:
            return False
        return bool(self.rib[first - 1] > 0 and self.rib[first] < 0)

    def sacrum_in_view(self, end: int) -> bool:
        """Whether the sacrum begins at the position `end`."""
        if not 0 < end < self.length:
            return False
        given, ala = self.settings, self.ala
        if self.bars:
            both = ala + given.rule_ala_rib * self.rib
            return bool(ala[end] > 0 and both[end] - both[end - 1] > given.rule_ala_step)
        return bool(ala[end] > given.clear and ala[end - 1] < -given.clear / 2)


def number_vertebrae(
    ribs: ArrayLike,
    ala: ArrayLike,
    *,
    bars: bool = False,
    settings: NumberingSettings = SETTINGS.numbering,
) -> Numbering:
    """Name a chain of vertebrae from head to feet.

    Parameters
    ----------
    ribs : array_like, shape (2, m)
        Rib evidence left and right of each vertebra, -3 to 3; NaN where unseen.
    ala : array_like, shape (m,)
        Evidence for the sacral ala, -3 to 3; NaN where unseen. The last
        entries may be places below the last disc.
    bars : bool
        The rib evidence is bone that reaches far out, whatever it is: long processes of
        L3, and the ilium beside L4 to S1, look like ribs to it.
    settings : NumberingSettings

    Notes
    -----
    Every place of L1 in the chain is weighed with 5 lumbar vertebrae, and,
    as less likely, with 4 or 6, or with a rib on one side of L1 or of T12 only. About one
    person in ten has a transitional vertebra, so the penalty is that of 1 in 10, not of the
    impossible.
    """
    signs = _Signs(np.asarray(ribs, float), np.asarray(ala, float), bars, settings)
    options = signs.options()
    best_score, first, count = max(options)
    weights: dict[int, float] = {}
    for score, other, number in options:
        name = _l1_of(other, number)
        weights[name] = weights.get(name, 0.0) + np.exp(min(score - best_score, 0.0))
    probability = float(weights[_l1_of(first, count)] / sum(weights.values()))
    any_lumbar = first < signs.length and first + count > 0
    return _decided(signs, first, count, probability, any_lumbar)


def _l1_of(first: int, count: int) -> int:
    """Position of L1 by which names are compared.

    They are the same whether a lumbar vertebra more or less lies out of view.
    """
    return first if first > 0 else first + count - USUAL_COUNT


def _decided(
    signs: _Signs, first: int, count: int, probability: float, any_lumbar: bool
) -> Numbering:
    """The most likely names with what decided them; uncertain where the signs are not enough."""
    given = signs.settings
    end = first + count
    one_rib = signs.one_rib(first)
    ribs_in_view = signs.last_rib_in_view(first) or (
        one_rib is not None and 0 < first < signs.length
    )
    sacrum_in_view = signs.sacrum_in_view(end)
    decided = {(True, True): "both", (False, True): "sacrum", (True, False): "rib"}.get(
        (ribs_in_view, sacrum_in_view), "neither"
    )
    sure = Numbering(
        _l1_of(first, count),
        probability,
        decided,
        count if decided == "both" else None,
        (),
        any_lumbar,
        one_rib,
        probability,
    )

    def uncertain(label: int, most: float, finding: str) -> Numbering:
        return replace(
            sure,
            first_lumbar=label,
            probability=min(probability, most),
            decided_by="neither",
            findings=(finding,),
        )

    # Counted up from the sacrum, as most reports do; a person must confirm.
    from_sacrum = end - USUAL_COUNT
    if decided == "both" and count != USUAL_COUNT:
        finding = SIX_LUMBAR if count > USUAL_COUNT else FOUR_LUMBAR
        return uncertain(from_sacrum, given.max_doubtful, finding)
    if decided == "sacrum" and first > 0 and signs.rib[first - 1] < given.no_rib:
        # More than five vertebrae without ribs, and the sacrum below them.
        return uncertain(from_sacrum, given.max_doubtful, NO_TWELFTH_RIB)
    if decided in ("sacrum", "rib") and probability < given.least:
        # One sign alone, and the rest of the evidence does not bear it out.
        seen = "sacrum" if decided == "sacrum" else "last rib"
        finding = (
            f"Numbering uncertain: counted from the {seen}, "
            "which is not seen clearly; confirm or shift the labels."
        )
        return uncertain(sure.first_lumbar, given.max_doubtful, finding)
    if decided == "neither":
        label = sure.first_lumbar
        run = range(max(first, 0), min(end, signs.length))
        if run:
            # Nothing to count from: the names that put the run in the middle of L1-L5.
            label = max(first, 0) - (USUAL_COUNT - len(run)) // 2
        return uncertain(label, given.max_unseen, NOTHING_CLEAR)
    return sure


def number_spine(
    rules: Evidence, network: Evidence, settings: NumberingSettings = SETTINGS.numbering
) -> Numbering:
    """Names out of what both witnesses see."""
    by_rules, by_network = (
        number_vertebrae(
            seen.seen_ribs(settings.rib_drop_mm), seen.ala, bars=seen.bars, settings=settings
        )
        for seen in (rules, network)
    )
    return agree(by_rules, by_network, settings)


def agree(
    rule: Numbering, network: Numbering, settings: NumberingSettings = SETTINGS.numbering
) -> Numbering:
    """One numbering out of those of two witnesses.

    Where both name the same vertebrae, what either has seen counts. Where only
    one of them is sure, it is followed, with less confidence where the other leans to
    other names. Where both are sure of different names, the names are uncertain.
    """
    sure = [n for n in (rule, network) if n.decided_by != "neither"]
    if len(sure) == 2:
        return _both_sure(rule, network, settings)
    if len(sure) == 1:
        one = sure[0]
        other = network if one is rule else rule
        if other.lumbar_count in (4, 6):
            clear = other is network and other.evidence >= settings.overrule
            if clear or one.decided_by != "both":
                return other
        if other.first_lumbar == one.first_lumbar:
            return replace(one, one_rib=network.one_rib)
        return replace(one, probability=min(one.probability, settings.one_witness))
    first, second = (rule, network) if rule.lumbar_count is not None else (network, rule)
    return first if first.any_lumbar or not second.any_lumbar else second


def _both_sure(rule: Numbering, network: Numbering, settings: NumberingSettings) -> Numbering:
    """Names where both witnesses are sure of theirs."""
    better = max((rule, network), key=lambda n: n.probability)
    if rule.first_lumbar != network.first_lumbar:
        return replace(
            better,
            probability=settings.max_doubtful,
            decided_by="neither",
            findings=(CONTRADICTION,),
        )
    signs = {rule.decided_by, network.decided_by}
    return replace(
        better,
        decided_by=signs.pop() if len(signs) == 1 else "both",
        lumbar_count=rule.lumbar_count or network.lumbar_count,
        findings=(),
        one_rib=network.one_rib,
    )
