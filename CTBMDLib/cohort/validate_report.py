"""The figures of a validation: all pairs, then by sex, scanner, tube voltage and vertebra."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..bmd.reference import ReferenceTable
from ..levels import MEASURED
from ..model.bundle import ModelBundle
from .validate_pairs import G_CM2, Pair, Unit
from .validate_scale import is_simulated, other_scale
from .validate_statistics import (
    FEW_PERSONS,
    MIN_PERSONS,
    Figure,
    advantage,
    agreement,
    association,
    auc_advantage,
    discrimination,
    fitted_apart,
    person_count,
)

NETWORK, FITTED, HU = "network", "network, line fitted here", "trabecular HU, line fitted here"
ADVANTAGE = "network less HU"
"""Differences on the same pairs; that of RMSE is of both lines fitted here."""
OSTEOPOROSIS, LOW_MASS = "T <= -2.5", "T <= -1.0"
THRESHOLDS = {OSTEOPOROSIS: -2.5, LOW_MASS: -1.0}
"""WHO: osteoporosis; osteoporosis or low bone mass."""


@dataclass(frozen=True)
class Method:
    """The figures of one method in a group; `cases` are those that it has a value for."""

    cases: int
    figures: dict[str, Figure]


@dataclass(frozen=True)
class Group:
    """A group of pairs and the figures of each method.

    Attributes
    ----------
    cases, persons : int
    methods : dict of str to Method
        `NETWORK`, `FITTED`, `HU` and `ADVANTAGE`, as far as they can be told.
    with_condition : dict of str to int
        Pairs at or below each of `THRESHOLDS`, among those with a T-score.
    with_t_score : int
    """

    cases: int
    persons: int
    methods: dict[str, Method]
    with_condition: dict[str, int] = field(default_factory=dict)
    with_t_score: int = 0

    @property
    def few(self) -> bool:
        """Whether its intervals are too narrow to be trusted."""
        return self.persons < FEW_PERSONS


@dataclass(frozen=True)
class Report:
    """All figures of a validation.

    Attributes
    ----------
    unit : Unit
    simulated : str
        'all', 'some' or 'none' of the pairs are simulated, by what their header and table say.
    overall : Group
    groups : dict of str to dict of str to Group
        By what ('sex'), then by its value ('F').
    levels : dict of str to Group
        Single vertebrae in g/cm2: all of them, then each level.
    hu_line : list of float or None
        What the line of HU, fitted without the person, expects of each pair's DXA.
    warnings : list of str
        Sentences that a reader needs before the figures.
    """

    unit: Unit
    simulated: str
    overall: Group
    groups: dict[str, dict[str, Group]]
    levels: dict[str, Group]
    hu_line: list[float | None]
    warnings: list[str]


GROUPS: dict[str, Callable[[Pair], str]] = {
    "sex": lambda pair: {"F": "women", "M": "men"}.get(pair.sex or "", "unknown"),
    "CT manufacturer": lambda pair: pair.manufacturer or "unknown",
    "tube voltage": lambda pair: "unknown" if pair.kvp is None else f"{pair.kvp:.0f} kV",
    "contrast agent": lambda pair: "stated or suspected" if pair.contrast else "none seen",
    "levels": lambda pair: "found by CTBMD" if "found" in pair.chosen else "given",
    "DXA device": lambda pair: pair.row.device or "unknown",
}
"""What the pairs are parted by."""


def make_report(
    pairs: Sequence[Pair],
    unit: Unit,
    bundle: ModelBundle,
    reference: ReferenceTable | None,
    notes: Sequence[str] = (),
) -> Report:
    """Compute all figures.

    Parameters
    ----------
    pairs : sequence of Pair
        At least one, all with a DXA in `unit`.
    unit : Unit
    bundle : ModelBundle
    reference : ReferenceTable or None
    notes : sequence of str
        Sentences that come before the report's own warnings.
    """
    hu_line = _apart(pairs, unit, lambda pair: pair.hu)
    fitted = _apart(pairs, unit, unit.value)
    expected = {id(pair): x for pair, x in zip(pairs, hu_line, strict=True)}
    own = {id(pair): x for pair, x in zip(pairs, fitted, strict=True)}

    def group(part: Sequence[Pair]) -> Group:
        return _group(part, unit, [expected[id(x)] for x in part], [own[id(x)] for x in part])

    groups = {}
    for title, key in GROUPS.items():
        values = sorted({key(pair) for pair in pairs}, key=lambda x: (x == "unknown", x))
        if len(values) > 1:
            groups[title] = {
                value: group([pair for pair in pairs if key(pair) == value]) for value in values
            }
    simulated = [is_simulated(pair.manufacturer, pair.model, pair.row.device) for pair in pairs]
    return Report(
        unit,
        "all" if all(simulated) else "some" if any(simulated) else "none",
        group(pairs),
        groups,
        _levels(pairs),
        hu_line,
        [*notes, *_warnings(pairs, unit, bundle, reference)],
    )


def _apart(
    pairs: Sequence[Pair], unit: Unit, value: Callable[[Pair], float | None]
) -> list[float | None]:
    """What a line of DXA on `value`, fitted without the person, expects of each pair."""
    known = [(index, x) for index, pair in enumerate(pairs) if (x := value(pair)) is not None]
    out: list[float | None] = [None] * len(pairs)
    used = [pairs[index] for index, _ in known]
    line = fitted_apart(
        [x for _, x in known], [unit.dxa(p) for p in used], [p.person for p in used]
    )
    if line is not None:
        for (index, _), x in zip(known, line, strict=True):
            out[index] = float(x)
    return out


def _group(
    pairs: Sequence[Pair],
    unit: Unit,
    hu_line: Sequence[float | None],
    fitted: Sequence[float | None],
) -> Group:
    persons = [pair.person for pair in pairs]
    dxa = [unit.dxa(pair) for pair in pairs]
    value = [unit.value(pair) for pair in pairs]
    if unit.same:
        network = agreement(dxa, value, persons, half=[unit.half(pair) for pair in pairs])
    else:
        network = association(dxa, value, persons)
    methods = {NETWORK: network}
    counts = {NETWORK: len(pairs), FITTED: len(pairs)}
    if all(x is not None for x in fitted):
        line = agreement(dxa, fitted, persons)
        methods[FITTED] = {
            name: line[name] for name in ("bias", "sd", "rmse", "loa_low", "loa_high")
        }
    have = [index for index, pair in enumerate(pairs) if pair.hu is not None]
    if have:
        methods[HU] = _of_hu(
            [dxa[i] for i in have],
            [pairs[i].hu for i in have],
            [hu_line[i] for i in have],
            [persons[i] for i in have],
        )
        counts[HU] = counts[ADVANTAGE] = len(have)
        both = [fitted[i] for i in have], [hu_line[i] for i in have]
        methods[ADVANTAGE] = advantage(
            [dxa[i] for i in have],
            [value[i] for i in have],
            [pairs[i].hu for i in have],
            [persons[i] for i in have],
            fitted=None if None in both[0] + both[1] else both,
        )
    _add_auc(methods, pairs, unit)
    known = [pair.t_score for pair in pairs if pair.t_score is not None]
    return Group(
        len(pairs),
        person_count(persons),
        {name: Method(counts[name], figures) for name, figures in methods.items()},
        {name: sum(t <= limit for t in known) for name, limit in THRESHOLDS.items()},
        len(known),
    )


def _of_hu(
    dxa: list[float], hu: list[Any], line: Sequence[float | None], persons: list[int]
) -> dict[str, Figure]:
    """Correlations of the HU themselves; the rest of their line, fitted without the person."""
    figures = association(dxa, hu, persons)
    if all(x is not None for x in line):
        apart = agreement(dxa, line, persons)
        figures |= {name: apart[name] for name in ("bias", "sd", "rmse", "loa_low", "loa_high")}
    return figures


def _add_auc(methods: dict[str, dict[str, Figure]], pairs: Sequence[Pair], unit: Unit) -> None:
    """AUC at each threshold for the network, the HU and between them, over the pairs with a T-score."""
    if ADVANTAGE in methods:
        known = [p for p in pairs if p.t_score is not None and p.hu is not None]
        for name, limit in THRESHOLDS.items():
            methods[ADVANTAGE][f"auc {name}"] = auc_advantage(
                [p.t_score is not None and p.t_score <= limit for p in known],
                [unit.value(p) for p in known],
                [p.hu for p in known],
                [p.person for p in known],
            )
    for method, value in ((NETWORK, unit.value), (HU, lambda pair: pair.hu)):
        if method not in methods:
            continue
        known = [p for p in pairs if p.t_score is not None and value(p) is not None]
        for name, limit in THRESHOLDS.items():
            low = [p.t_score is not None and p.t_score <= limit for p in known]
            methods[method][f"auc {name}"] = discrimination(
                low, [value(p) for p in known], [p.person for p in known]
            )


def _levels(pairs: Sequence[Pair]) -> dict[str, Group]:
    """Single vertebrae, in g/cm2: all together, then each level."""
    out = {}
    for title, wanted in (("all", MEASURED), *((level, (level,)) for level in MEASURED)):
        items = [
            (pair.person, pair.by_level[level])
            for pair in pairs
            for level in wanted
            if level in pair.by_level
        ]
        if not items:
            continue
        persons = [person for person, _ in items]
        dxa = [item.dxa for _, item in items]
        methods = {
            NETWORK: Method(
                len(items),
                agreement(
                    dxa,
                    [item.bmd for _, item in items],
                    persons,
                    half=[item.half for _, item in items],
                ),
            )
        }
        have = [(person, item) for person, item in items if item.hu is not None]
        if have:
            known = [item.dxa for _, item in have]
            hu = [item.hu for _, item in have]
            who = [person for person, _ in have]
            line = fitted_apart(hu, known, who)
            fitted = [None] * len(have) if line is None else [float(x) for x in line]
            methods[HU] = Method(len(have), _of_hu(known, hu, fitted, who))
        out[title] = Group(len(items), person_count(persons), methods)
    return out


def _warnings(
    pairs: Sequence[Pair], unit: Unit, bundle: ModelBundle, reference: ReferenceTable | None
) -> list[str]:
    """What a reader needs to know before the figures, a sentence each."""
    count, persons = len(pairs), person_count([pair.person for pair in pairs])
    out = []
    if persons < MIN_PERSONS:
        out.append(
            f"Only {persons} person{'' if persons == 1 else 's'}: too few to tell anything; the charts show "
            "the pairs as they are."
        )
    elif persons < FEW_PERSONS:
        out.append(
            f"Only {persons} persons: the figures say little, and their intervals are too narrow."
        )
    out += _scale_warnings(pairs, unit)
    unknown = sum(pair.kvp is None for pair in pairs)
    if unknown:
        out.append(
            f"The tube voltage of {_share(unknown, count)} CT is unknown; the network then reads it from "
            "the image and may be misled, so state it in the column kvp where you know it."
        )
    contrast = sum(pair.contrast for pair in pairs)
    if contrast:
        out.append(
            f"In {_share(contrast, count)} CT contrast agent is stated or suspected, which raises HU and "
            "estimate; they are counted, and stand apart below."
        )
    found = sum("found" in pair.chosen for pair in pairs)
    if found:
        out.append(
            f"The vertebrae of {_share(found, count)} CT were found by CTBMD and not checked by a person."
        )
    days = sum(pair.row.interval_days is None for pair in pairs)
    if days:
        out.append(f"The days between CT and DXA are not given for {_share(days, count)} pairs.")
    if "calibration" in bundle.card or bundle.population != "simulated":
        out.append(
            "The model was fitted to patients; where they are those of this table, nothing here is a test."
        )
    return [*out, *_t_warnings(pairs, unit, reference)]


def _share(number: int, count: int) -> str:
    return f"all {count}" if number == count else f"{number} of {count}"


def _scale_warnings(pairs: Sequence[Pair], unit: Unit) -> list[str]:
    others: dict[tuple[str, str], int] = {}
    for pair in pairs:
        scale = other_scale(pair.row.device, pair.scale)
        if scale:
            key = (scale.capitalize(), pair.scale.capitalize())
            others[key] = others.get(key, 0) + 1
    what = "bias, RMSE, limits and coverage hold that difference too, while r and AUC do not"
    return [
        f"{number} of {len(pairs)} DXA are on the scale of {dxa} and the estimates on that of {answered}: {what}."
        for (dxa, answered), number in sorted(others.items())
        if unit.name == G_CM2
    ]


def _t_warnings(pairs: Sequence[Pair], unit: Unit, reference: ReferenceTable | None) -> list[str]:
    out = []
    given = sum(pair.row.t_score is not None for pair in pairs)
    by_table = sum(pair.row.t_score is None and pair.t_score is not None for pair in pairs)
    if by_table and reference:
        said = "" if not given else f" and {given} as the table gives them"
        out.append(
            f"T-scores of the DXA: {by_table} by the reference table {reference.name} ({reference.device}){said}."
        )
    missing = sum(pair.t_score is None for pair in pairs)
    if missing:
        todo = "the sex is unknown" if reference else "name a reference table (--reference)"
        out.append(
            f"Without a T-score and so without a part in the AUC: {_share(missing, len(pairs))} pairs; {todo}."
        )
    if not unit.same:
        out.append(
            "The DXA are given as T-scores and no reference table turns the estimates into T-scores, so "
            "there is no bias, RMSE, limit of agreement or coverage; name one with --reference."
        )
    return out


def report_dict(report: Report) -> dict[str, Any]:
    """The figures as JSON knows them; no NaN, unknown is None."""
    return {
        "unit": report.unit.name,
        "network_in_that_unit": report.unit.same,
        "simulated": report.simulated,
        "warnings": report.warnings,
        "overall": _group_dict(report.overall),
        "by": {
            title: {value: _group_dict(group) for value, group in groups.items()}
            for title, groups in report.groups.items()
        },
        "single_vertebrae_g_cm2": {
            level: _group_dict(group) for level, group in report.levels.items()
        },
    }


def _group_dict(group: Group) -> dict[str, Any]:
    return {
        "cases": group.cases,
        "persons": group.persons,
        "few_persons": group.few,
        "with_t_score": group.with_t_score,
        "with_condition": group.with_condition,
        "methods": {
            name: {
                "cases": method.cases,
                **{key: figure.to_dict() for key, figure in method.figures.items()},
            }
            for name, method in group.methods.items()
        },
    }
