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
SACRUM_ABOVE = (
    "Numbering uncertain: the two checks of the finder see the sacrum begin at different "
    "vertebrae; confirm or shift the labels."
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
RIBS_ALONE = (
    "The sacrum is not in view: the names rest on the last ribs alone, and one person in ten has "
    "a rib more or less; check the labels."
)
RIBS_DOUBTFUL = (
    "The sacrum is not in view: the names rest on the last ribs alone, which are {doubts}; "
    "confirm the labels."
)
RIBS_UNCERTAIN = (
    "Numbering uncertain: the sacrum is not in view, and the last ribs are {doubts}; "
    "confirm or shift the labels."
)
CUT_OFF = "cut off by the field of view"
ONE_SIDE = "seen on one side only"
SHORT = "short, thin or steep"
SEEN_FAINTLY = "seen faintly"
SEEN_DIFFERENTLY = "placed at different vertebrae by the two checks of the finder"
NOT_SEEN = "not in view"
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
    leaning : int or None
        Where the evidence puts L1, also where it is not enough for names.
    """

    first_lumbar: int
    probability: float
    decided_by: str
    lumbar_count: int | None
    findings: tuple[str, ...]
    any_lumbar: bool = True
    one_rib: tuple[str, str] | None = None
    evidence: float = 0.0
    leaning: int | None = None

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
        _l1_of(first, count),
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
    # A broad transverse process of L5, or the ilium beside it, looks like the sacrum to the
    # rules; where the network clearly sees none, theirs is not believed.
    denied = (network.ala <= settings.no_ala) & (rules.ala > 0)
    rules = replace(rules, ala=np.where(denied, 0.0, rules.ala))
    by_rules, by_network = (
        number_vertebrae(
            seen.seen_ribs(settings.rib_drop_mm), seen.ala, bars=seen.bars, settings=settings
        )
        for seen in (rules, network)
    )
    agreed = agree(by_rules, by_network, settings)
    if _sacrum_above(agreed, by_network, network.ala, settings):
        return replace(
            agreed,
            first_lumbar=agreed.first_lumbar - 1,
            probability=min(agreed.probability, settings.max_doubtful),
            decided_by="neither",
            findings=(SACRUM_ABOVE,),
        )
    if not agreed.any_lumbar or any(
        one.decided_by in ("sacrum", "both") or one.lumbar_count is not None
        for one in (by_rules, by_network, agreed)
    ):
        return agreed
    return _ribs_alone(rules, (by_rules, by_network), agreed, settings)


def _sacrum_above(
    agreed: Numbering, by_network: Numbering, ala: np.ndarray, settings: NumberingSettings
) -> bool:
    """Whether the network sees the sacrum begin at what would be L5 by the rules alone.

    Below the first one every segment of the sacrum has alae, and where the line leaves it for a
    while, the rules begin to count at the second. The network need not be sure of names of its
    own to gainsay that, and the upper of two places is the likelier one.
    """
    last = agreed.first_lumbar + USUAL_COUNT - 1
    if agreed.decided_by != "sacrum" or by_network.decided_by != "neither":
        return False
    if not 0 < last < len(ala):
        return False
    return bool(ala[last] > settings.clear and ala[last - 1] < -settings.clear / 2)


def _ribs_alone(
    rules: Evidence,
    witnesses: tuple[Numbering, Numbering],
    agreed: Numbering,
    settings: NumberingSettings,
) -> Numbering:
    """Names where no sacrum is in view: what the last ribs are worth decides how sure they are.

    The rules follow a rib to the vertebra that it springs from; the network takes a steep one
    for the vertebra that it passes, or overlooks it, so a rib that is followed on both sides
    decides against a network that sees none there.
    """
    by_rules, by_network = witnesses
    ribs = rules.seen_ribs(settings.rib_drop_mm)
    both_sure = all(one.decided_by == "rib" for one in witnesses)
    first = agreed.first_lumbar
    followed = last_followed_rib(ribs, rules.far, settings)
    overlooked = (
        followed is not None
        and by_rules.leaning == followed + 1
        and by_network.leaning is not None
        and (by_network.leaning < followed + 1 or by_network.decided_by == "neither")
    )
    if overlooked and followed is not None:
        first = followed + 1
    elif agreed.decided_by == "neither":
        contrary = agreed.findings == (CONTRADICTION,)
        text = RIBS_UNCERTAIN.format(doubts=SEEN_DIFFERENTLY)
        return replace(agreed, findings=(text,)) if contrary else agreed
    doubts = _rib_doubts(ribs, rules.far, first, settings)
    if by_rules.leaning != by_network.leaning:
        doubts.append(SEEN_DIFFERENTLY)
    elif not both_sure:
        doubts.append(SEEN_FAINTLY)
    doubts = list(dict.fromkeys(doubts))
    names = replace(agreed, first_lumbar=first, decided_by="rib", findings=(RIBS_ALONE,))
    if not doubts:
        return replace(names, probability=min(agreed.probability, settings.ribs_alone))
    text = " and ".join(doubts)
    if len(doubts) > 1 or (SEEN_DIFFERENTLY in doubts and not overlooked):
        return replace(
            names,
            probability=min(agreed.probability, settings.max_doubtful),
            decided_by="neither",
            findings=(RIBS_UNCERTAIN.format(doubts=text),),
        )
    return replace(
        names,
        probability=min(max(agreed.probability, by_rules.probability), settings.ribs_doubtful),
        findings=(RIBS_DOUBTFUL.format(doubts=text),),
    )


def last_followed_rib(
    ribs: np.ndarray, far: np.ndarray, settings: NumberingSettings = SETTINGS.numbering
) -> int | None:
    """Position of the last vertebra with a rib on both sides above one with none; None if unclear.

    Parameters
    ----------
    ribs : ndarray, shape (2, m)
        Evidence of the rules.
    far : ndarray of bool, shape (2, m)
        Where the CT reaches far enough to the side for it.
    settings : NumberingSettings
    """
    clear = settings.followed
    reaches = far | (np.abs(ribs) > clear)
    for position in range(ribs.shape[1] - 2, -1, -1):
        if not reaches[:, position : position + 2].all():
            continue
        if (ribs[:, position] >= clear).all() and (ribs[:, position + 1] <= -clear).all():
            return position
    return None


def _rib_doubts(
    ribs: np.ndarray, far: np.ndarray, first: int, settings: NumberingSettings
) -> list[str]:
    """What is against the last ribs, above L1 at position `first`, in words."""
    if not 0 < first < ribs.shape[1]:
        return [NOT_SEEN]
    at, below = ribs[:, first - 1], ribs[:, first]
    doubts = []
    # Only where the CT goes far to the side is there so much evidence.
    reaches = far | (np.abs(ribs) > settings.followed)
    if not reaches[:, first - 1 : first + 1].all():
        doubts.append(CUT_OFF)
    elif (at >= settings.followed).any() and (at < 0).any():
        doubts.append(ONE_SIDE)
    elif not (at >= settings.followed).all():
        doubts.append(SHORT)
    if (below >= settings.followed).any():
        doubts.append(SEEN_DIFFERENTLY)
    return doubts


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
