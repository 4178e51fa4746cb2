"""What a cohort's own figure is for an anchor, with its standard error.

Sixty people are four in each sex and decade: too few to tell 10 HU. Means by sex and age
are therefore two-phase estimates: what is measured of the few is regressed on their
traits, and the regression is averaged over many whose traits alone were drawn. Spread, r,
lines and T-scores are the few people's own. Standard errors are bootstrapped over persons.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import numpy as np

from .anchors import Anchor
from .traits import Traits, draw_traits

BOOTSTRAPS = 200
FEW = 40
"""With fewer people than this, means are those of the people in the group."""

MANY = 12_000
YOUNG = (20.0, 40.0)
"""Whose mean and SD a T-score is taken against, years."""


def features(traits: dict[str, np.ndarray]) -> np.ndarray:
    """Traits as columns of a regression, shape (n, 16)."""
    t = traits
    male, age = (t["sex"] == "M").astype(float), (t["age"] - 55) / 20
    trabecular, section = t["trabecular"] * 10, t["section_cm2"] / 10
    return np.stack(
        [
            np.ones_like(age), male, age, male * age, age**2, trabecular, section,
            trabecular * section, t["height_cm"] / 170, t["cortex_mm"], t["endplate_factor"],
            t["posterior_share"], t["marrow_fat"], t["bmi"] / 25, t["arch"],
            t["facets"],
        ],
        axis=1,
    )  # fmt: skip


def columns(people: list[dict]) -> dict[str, np.ndarray]:
    """Rows of dicts as one array a key."""
    return {key: np.array([person[key] for person in people]) for key in people[0]}


def many_traits(seed: int, descent=None, count: int = MANY) -> dict[str, np.ndarray]:
    """Traits of many of the realistic population and a descent, as columns."""
    rng = np.random.default_rng([seed, 32])
    return columns([asdict(draw_traits(rng, "realistic", descent)) for _ in range(count)])


@dataclass
class Cohort:
    """People that were measured, and many whose traits are known.

    Attributes
    ----------
    traits : dict of str to ndarray
        Of the people, as `traits.Traits` names them.
    measured : dict of str to ndarray
        Quantities of `measures.measure_person`; NaN where one is not known.
    many : dict of str to ndarray or None
        Traits of the many; None for plain means.
    seed : int
        Of the bootstrap.
    people : {'western', 'east-asian'}
        Whose anchors they are held beside.
    others : dict of str to Cohort
        Those of the other descent, by `people`.
    """

    traits: dict
    measured: dict
    many: dict | None = None
    seed: int = 0
    people: str = "western"
    others: dict = field(default_factory=dict)

    def __post_init__(self):
        self.count = len(self.traits["age"])
        self.two_phase = self.many is not None and self.count >= FEW
        self.design = features(self.traits)
        self.many_design = features(self.many) if self.two_phase else None
        rng = np.random.default_rng([self.seed, 33])
        self.samples = [np.arange(self.count)]
        self.samples += [rng.integers(0, self.count, self.count) for _ in range(BOOTSTRAPS)]

    @classmethod
    def of(
        cls, traits: list[Traits], measured: list[dict], seed=0, people="western", alike=True
    ) -> Cohort:
        """From one `Traits` and one dict of quantities a person.

        `alike` tells whether they were drawn from the priors in force: only then are the many,
        who are drawn from those, people of their kind.
        """
        many = many_traits(seed, people) if alike and len(traits) >= FEW else None
        return cls(columns([asdict(t) for t in traits]), columns(measured), many, seed, people)

    def figure(self, anchor: Anchor) -> tuple[float, float, int]:
        """The cohort's own figure for an anchor.

        Returns
        -------
        value, error : float
            NaN where the cohort cannot give it.
        count : int
            People it rests on.
        """
        if anchor.people != self.people:
            other = self.others.get(anchor.people)
            return (np.nan, np.nan, 0) if other is None else other.figure(anchor)
        y = self.measured.get(self._key(anchor))
        if y is None or not np.isfinite(y).any():
            return np.nan, np.nan, 0
        values = np.array([self._value(anchor, y, sample) for sample in self.samples])
        spread = values[1:][np.isfinite(values[1:])]
        if not np.isfinite(values[0]) or spread.size < BOOTSTRAPS / 2:
            return np.nan, np.nan, 0
        return float(values[0]), float(spread.std(ddof=1)), int(np.isfinite(y).sum())

    def _key(self, anchor: Anchor) -> str:
        own = f"{anchor.quantity}_{anchor.level}"
        return own if anchor.level else anchor.quantity

    def _value(self, anchor: Anchor, y, sample) -> float:
        known = sample[np.isfinite(y[sample])]
        y = y[known]
        own = {
            "r_with_hu": self._line,
            "at_hu": self._line,
            "sd": lambda *_: float(np.std(y, ddof=1)) if y.size > 2 else np.nan,
            "sd_within_age": lambda *_: self._spread(y, known),
            "t_score": self._t_score,
            "women_less_men": self._difference,
            "change": self._change,
        }.get(anchor.statistic)
        if own is not None:
            return own(anchor, y, known)
        return self._mean(y, known, anchor.sex, anchor.age)

    def _change(self, anchor: Anchor, y, known) -> float:
        before, after = (
            self._mean(y, known, anchor.sex, age) for age in (anchor.age, anchor.age_to)
        )
        return 100 * (after / before - 1)

    def _difference(self, anchor: Anchor, y, known) -> float:
        women, men = (self._mean(y, known, sex, anchor.age) for sex in "FM")
        return women - men

    def _mean(self, y, known, sex, age) -> float:
        """Mean of a group: by regression on the many, or of the people in it."""
        if self.two_phase and y.size >= FEW / 2:
            fit, *_ = np.linalg.lstsq(self.design[known], y, rcond=None)
            group = _members(self.many, sex, age)
            return float((self.many_design[group] @ fit).mean())
        group = _members(self.traits, sex, age)[known]
        return float(y[group].mean()) if group.sum() > 1 else np.nan

    def _line(self, anchor: Anchor, y, known) -> float:
        hu = self.measured["l1_hu"][known]
        use = np.isfinite(hu) & _members(self.traits, anchor.sex, anchor.age)[known]
        if use.sum() < 4 or np.ptp(hu[use]) == 0:
            return np.nan
        if anchor.statistic == "r_with_hu":
            return float(np.corrcoef(hu[use], y[use])[0, 1])
        return float(np.polyval(np.polyfit(hu[use], y[use], 1), anchor.hu))

    def _spread(self, y, known, sex="all") -> float:
        """SD about a curve over age of each sex."""
        use = _members(self.traits, sex, None)[known]
        shape = self.design[known][use][:, :5]
        if use.sum() < 8:
            return np.nan
        fit, *_ = np.linalg.lstsq(shape, y[use], rcond=None)
        rank = np.linalg.matrix_rank(shape)
        return float(np.sqrt(np.sum((y[use] - shape @ fit) ** 2) / (use.sum() - rank)))

    def _t_score(self, anchor: Anchor, y, known) -> float:
        old, young = (self._mean(y, known, anchor.sex, age) for age in (anchor.age, YOUNG))
        return (old - young) / self._spread(y, known, anchor.sex)


def _members(traits: dict, sex: str, age) -> np.ndarray:
    """Mask of a sex and an age range."""
    low, high = age or (0.0, 200.0)
    inside = (traits["age"] >= low) & (traits["age"] < high)
    return inside if sex == "all" else inside & (traits["sex"] == sex)
