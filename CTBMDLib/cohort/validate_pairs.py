"""The pairs of a validation: what the CT gave beside what the DXA gave, in one unit."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..bmd.export import fixed, safe_text
from ..bmd.quality import Finding
from ..bmd.reference import ReferenceTable
from ..bmd.result import TOTAL, BMDResult
from ..levels import MEASURED
from ..model.bundle import ModelBundle
from ..volume import CTVolume
from .like import like_dxa
from .pairs import finding_words
from .validate_scale import answer_scale
from .validate_table import LeftOut, Measured, left_out

G_CM2, T_SCORE = "g/cm2", "T"
MAX_CT, MAX_YEARS = 10, 20.0
"""CT of one person in a table, and years between them, beyond which it is not one person."""
CONTRAST_CODES = ("contrast", "contrast-suspected")


@dataclass(frozen=True)
class LevelPair:
    """One vertebra by CT and by DXA, g/cm2; `hu` its trabecular HU or None."""

    dxa: float
    bmd: float
    half: float
    hu: float | None


@dataclass(frozen=True)
class Pair:
    """A CT and the DXA of the same person.

    Attributes
    ----------
    row : Measured
    person : int
        Number of the person within the table, from 1.
    sex : str or None
    age : float or None
    manufacturer, model, kernel : str or None
        Of the CT scanner.
    kvp, slice_thickness_mm : float or None
        As stated by the table or the header.
    chosen : str
        How the levels came about: 'found', 'moved', 'segment' ...
    levels : str
        What is compared ('L1 L2 L3 L4').
    dxa : float or None
        DXA, g/cm2.
    t_score : float or None
        DXA's own T-score, or that of its L1-L4 by the reference table.
    bmd, half : float
        The network's estimate over the same levels and half its interval, g/cm2.
    bmd_t, half_t : float or None
        The same as T-scores by the reference table.
    hu : float or None
        Trabecular HU of the same vertebrae.
    by_level : dict of str to LevelPair
    scale : str
        Whose g/cm2 the estimate is in.
    contrast : bool
        Whether a contrast agent is stated or suspected.
    findings : str
        What a reader should check, in few words.
    """

    row: Measured
    person: int
    sex: str | None
    age: float | None
    manufacturer: str | None
    model: str | None
    kernel: str | None
    kvp: float | None
    slice_thickness_mm: float | None
    chosen: str
    levels: str
    dxa: float | None
    t_score: float | None
    bmd: float
    half: float
    bmd_t: float | None
    half_t: float | None
    hu: float | None
    by_level: dict[str, LevelPair]
    scale: str
    contrast: bool
    findings: str


@dataclass(frozen=True)
class Unit:
    """What the figures are in.

    Attributes
    ----------
    name : {'g/cm2', 'T'}
    same : bool
        Whether the network's value is in it as well; where it is not, there is no
        bias, no limit of agreement and no coverage.
    """

    name: str
    same: bool

    @property
    def decimals(self) -> int:
        """Decimals that a value is shown with."""
        return 3 if self.name == G_CM2 else 2

    def dxa(self, pair: Pair) -> float:
        """The DXA of a pair that `in_one_unit` has kept."""
        value = pair.dxa if self.name == G_CM2 else pair.t_score
        if value is None:
            raise ValueError("the pair has no DXA in this unit")
        return value

    def value(self, pair: Pair) -> float:
        """The network's value, in the unit where `same`, else in g/cm2."""
        return pair.bmd if self.name == G_CM2 or pair.bmd_t is None else pair.bmd_t

    def half(self, pair: Pair) -> float:
        """Half its interval."""
        return pair.half if self.name == G_CM2 or pair.half_t is None else pair.half_t


def scan_facts(volume: CTVolume) -> dict[str, Any]:
    """What of a scan's header is wanted beside its result."""
    facts = volume.acquisition
    names = ("manufacturer", "model", "kernel", "kvp", "slice_thickness_mm", "patient_id")
    return {name: getattr(facts, name) for name in names}


def make_pair(
    row: Measured,
    result: BMDResult,
    facts: dict[str, Any],
    bundle: ModelBundle,
    reference: ReferenceTable | None,
) -> Pair:
    """A row of the table beside what its CT gave; `person` is set by `number_persons`.

    Raises
    ------
    CTBMDError
        Where the CT does not show the vertebrae that the DXA measured.
    """
    # With a T-score alone, the mean of what the CT shows of L1-L4 stands beside it.
    like = like_dxa(result, row.bmd, row.total or 0.0)
    dxa = None if row.total is None else like.dxa
    t_score = row.t_score
    if t_score is None and reference and len(row.bmd) != 1:  # one vertebra is never diagnosed
        t_score = reference.t_score(row.total, TOTAL, result.sex)
    bmd_t = half_t = None
    if reference:
        bmd_t = reference.t_score(like.bmd, TOTAL, result.sex)
        high = reference.t_score(like.bmd + like.half, TOTAL, result.sex)
        half_t = None if bmd_t is None or high is None else high - bmd_t
    shown = {item.level: item for item in result.levels}
    codes = {item.code for item in result.findings}
    return Pair(
        row,
        0,
        result.sex,
        result.age,
        row.manufacturer or facts.get("manufacturer"),
        facts.get("model"),
        facts.get("kernel"),
        _kvp(row, facts),
        facts.get("slice_thickness_mm"),
        " ".join(dict.fromkeys(item.selection for item in result.levels)),
        like.levels,
        dxa,
        t_score,
        like.bmd,
        like.half,
        bmd_t,
        half_t,
        like.hu,
        {
            level: LevelPair(
                row.bmd[level],
                shown[level].bmd_g_cm2,
                shown[level].bmd_high - shown[level].bmd_g_cm2,
                shown[level].trabecular_hu,
            )
            for level in MEASURED
            if level in row.bmd and level in shown
        },
        answer_scale(result, bundle),
        bool(codes & {*CONTRAST_CODES}),
        _words(result.findings),
    )


def _kvp(row: Measured, facts: dict[str, Any]) -> float | None:
    text = row.case.kvp
    return float(text.replace(",", ".")) if text else facts.get("kvp")


def _words(findings: Sequence[Finding]) -> str:
    """What a reader should check: the words of `finding_words`, and warnings it has none for."""
    known = ("unsure-level", "numbering", "sex", "contrast")
    told = [
        f"{x.code.replace('-', ' ')}{f' ({x.level})' if x.level else ''}"
        for x in findings
        if x.severity == "warning" and x.code not in known
    ]
    words = finding_words(findings)
    return "; ".join([*([words] if words else []), *dict.fromkeys(told)])


def number_persons(
    pairs: Sequence[Pair], ids: Sequence[str | None]
) -> tuple[list[Pair], list[str]]:
    """The pairs with the number of their person, and what is to be said of it.

    Parameters
    ----------
    pairs : sequence of Pair
    ids : sequence of str or None
        PatientID of each header. A person is who the table's `patient` says, else
        the PatientID, else whoever the case is called after. A PatientID that
        cannot be of one person, such as the 'ANON' of a whole archive, is not
        believed.
    """
    asked = [None if pair.row.patient else header for pair, header in zip(pairs, ids, strict=True)]
    shared = {header for header in asked if header and not _one_person(pairs, asked, header)}
    numbers: dict[tuple[str, str], int] = {}
    out = []
    for pair, header in zip(pairs, asked, strict=True):
        row = pair.row
        key = ("case", row.case.title)
        if row.patient:
            key = ("table", row.patient)
        elif header and header not in shared:
            key = ("header", header)
        out.append(replace(pair, person=numbers.setdefault(key, len(numbers) + 1)))
    count = sum(header in shared for header in asked)
    told = (
        f"{count} CT share a PatientID that cannot be of one person, so each case name was taken for a "
        "person; add the column patient where several CT are of one."
    )
    return out, [told] if count else []


def _one_person(pairs: Sequence[Pair], ids: Sequence[str | None], header: str) -> bool:
    """Whether the CT of a PatientID may be of one person, by their number, sex and age."""
    own = [pair for pair, other in zip(pairs, ids, strict=True) if other == header]
    ages = [pair.age for pair in own if pair.age is not None]
    return (
        len(own) <= MAX_CT
        and len({pair.sex for pair in own if pair.sex}) < 2
        and (not ages or max(ages) - min(ages) <= MAX_YEARS)
    )


def in_one_unit(
    pairs: Sequence[Pair], reference: ReferenceTable | None
) -> tuple[Unit, list[Pair], list[LeftOut]]:
    """The unit that most DXA are given in, the pairs that have it, and the others.

    Raises
    ------
    CTBMDError
        Where there is no pair at all.
    """
    dense = sum(pair.dxa is not None for pair in pairs)
    if 2 * dense >= len(pairs):
        kept = [pair for pair in pairs if pair.dxa is not None]
        why = (
            "Only a T-score is given, and most rows are in g/cm2; add its reference (t_mean, t_sd)."
        )
        left = [left_out(pair.row, why) for pair in pairs if pair.dxa is None]
        return Unit(G_CM2, True), kept, left
    same = reference is not None
    kept, left = [], []
    for pair in pairs:
        if pair.t_score is None:
            why = "No T-score is given, and most rows have nothing else; name a reference table or the sex."
            left.append(left_out(pair.row, why))
        elif same and pair.bmd_t is None:
            why = "The sex is unknown, so the network's value has no T-score; add it to the table."
            left.append(left_out(pair.row, why))
        else:
            kept.append(pair)
    return Unit(T_SCORE, same), kept, left


PAIR_COLUMNS = (
    *("line", "case", "person", "levels", "dxa_g_cm2", "dxa_t", "network_g_cm2", "network_low"),
    *("network_high", "network_t", "difference", "inside_interval", "trabecular_hu", "hu_line"),
    *(f"{what}_{level}" for level in MEASURED for what in ("dxa", "network", "hu")),
    *("sex", "age", "manufacturer", "scanner_model", "kernel", "kvp", "slice_thickness_mm"),
    *("dxa_device", "dxa_scale", "interval_days", "chosen", "contrast", "findings"),
    *("model", "model_version", "model_population"),
)


def pair_table(
    pairs: Sequence[Pair], unit: Unit, hu_line: Sequence[float | None], bundle: ModelBundle
) -> str:
    """The pairs as a CSV, one row each; unknown stays empty.

    Parameters
    ----------
    pairs : sequence of Pair
    unit : Unit
    hu_line : sequence of float or None
        What the line of HU, fitted without the person, expects of each DXA.
    bundle : ModelBundle
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(PAIR_COLUMNS)
    model = (bundle.name, bundle.version, bundle.population)
    for pair, expected in zip(pairs, hu_line, strict=True):
        row = dict.fromkeys(PAIR_COLUMNS, "") | _cells(pair, unit, expected)
        row |= dict(zip(PAIR_COLUMNS[-3:], model, strict=True))
        writer.writerow([row[name] for name in PAIR_COLUMNS])
    return out.getvalue()


def _cells(pair: Pair, unit: Unit, expected: float | None) -> dict[str, str]:
    difference = unit.value(pair) - unit.dxa(pair) if unit.same else None
    cells: dict[str, Any] = {
        "line": pair.row.line,
        "case": safe_text(pair.row.case.title),
        "person": pair.person,
        "levels": pair.levels,
        "dxa_g_cm2": _number(pair.dxa, 3),
        "dxa_t": _number(pair.t_score, 2),
        "network_g_cm2": _number(pair.bmd, 3),
        "network_low": _number(pair.bmd - pair.half, 3),
        "network_high": _number(pair.bmd + pair.half, 3),
        "network_t": _number(pair.bmd_t, 2),
        "difference": _number(difference, unit.decimals),
        "inside_interval": ""
        if difference is None
        else ("yes" if abs(difference) <= unit.half(pair) else "no"),
        "trabecular_hu": _number(pair.hu, 1),
        "hu_line": _number(expected, unit.decimals),
        "sex": pair.sex or "",
        "age": _number(pair.age, 0),
        "manufacturer": safe_text(pair.manufacturer or ""),
        "scanner_model": safe_text(pair.model or ""),
        "kernel": safe_text(pair.kernel or ""),
        "kvp": _number(pair.kvp, 0),
        "slice_thickness_mm": _number(pair.slice_thickness_mm, 2),
        "dxa_device": safe_text(pair.row.device or ""),
        "dxa_scale": pair.scale,
        "interval_days": _number(pair.row.interval_days, 0),
        "chosen": pair.chosen,
        "contrast": "yes" if pair.contrast else "no",
        "findings": safe_text(pair.findings),
    }
    for level, item in pair.by_level.items():
        for what, value, decimals in (
            ("dxa", item.dxa, 3),
            ("network", item.bmd, 3),
            ("hu", item.hu, 1),
        ):
            cells[f"{what}_{level}"] = _number(value, decimals)
    return {name: str(value) for name, value in cells.items()}


def left_table(left: Sequence[LeftOut]) -> str:
    """The rows that were left out and why, as a CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("line", "case", "reason"))
    for item in sorted(left, key=lambda x: x.line):
        writer.writerow([safe_text(str(value)) for value in asdict(item).values()])
    return out.getvalue()


def _number(value: float | None, decimals: int) -> str:
    return "" if value is None else fixed(value, decimals)
