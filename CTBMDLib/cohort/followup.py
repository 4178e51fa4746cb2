"""Two CTs of one person: how much the density changed, and whether that can be told from chance.

The least significant change is what two measurements of the same bone must differ
by to be told apart with 95 % confidence: 2.77 times the precision (1.96 times the
square root of 2; ISCD). The precision is the SD of measuring again: a site's own,
else the repeatability that was measured of the model, where its card states one.
Used by the batch's table and page, the panel and its report.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..bmd.estimate import MIN_LEVELS
from ..bmd.export import fixed, safe_text
from ..bmd.result import BMDResult
from ..dxa import scale_for
from ..errors import CTBMDError
from ..levels import MEASURED
from ..reading.source import SourceSeries
from ..report.earlier import EarlierCT
from .outcome import Facts

LSC_FACTOR = 2.77
MAX_PRECISION = 0.5
"""g/cm2; a precision above it is a mistake in the unit."""
CHANGED, NOT_DISTINGUISHABLE, UNKNOWN = "changed", "not distinguishable", "unknown"
DAYS_PER_YEAR = 365.25
_MM = 0.5  # slices whose thickness differs by more are other slices
COLUMNS = (
    "person", "earlier", "later", "days", "levels", "bmd_earlier", "bmd_later", "change_g_cm2",
    "change_percent", "least_significant_change", "precision", "verdict", "warnings",
)  # fmt: skip


@dataclass(frozen=True)
class Scan:
    """An estimate of a person with what is known of its CT."""

    result: BMDResult
    facts: Facts = Facts()

    @property
    def case(self) -> str:
        """What the scan is called in its table."""
        return self.result.rows[0].case


@dataclass(frozen=True)
class Precision:
    """SD of measuring L1-L4 again, g/cm2, and where it is from: 'site' or 'model'."""

    sd: float
    source: str

    @property
    def least_significant_change(self) -> float:
        """The change that can be told from chance with 95 % confidence, g/cm2."""
        return LSC_FACTOR * self.sd

    def words(self) -> str:
        """Where it is from, for people."""
        if self.source == "site":
            return "the site's own precision"
        return (
            "the model's repeatability over altered copies of the same CT, which is better than "
            "that of scanning a person twice"
        )


@dataclass(frozen=True)
class Change:
    """How the later of two CTs differs from the earlier.

    Attributes
    ----------
    person : str
    earlier, later : str
        What the scans are called.
    days : int or None
        Between them; None where a date is unknown.
    levels : tuple of str
        Levels that count in both, of which the values are the means.
    before, after : float or None
        g/cm2; None where too few levels count in both.
    precision : Precision or None
    warnings : tuple of str
        What else may have changed the values.
    """

    person: str
    earlier: str
    later: str
    days: int | None
    levels: tuple[str, ...]
    before: float | None
    after: float | None
    precision: Precision | None
    warnings: tuple[str, ...] = ()

    @property
    def change(self) -> float | None:
        """g/cm2; negative for loss."""
        return None if self.before is None or self.after is None else self.after - self.before

    @property
    def percent(self) -> float | None:
        """The change in per cent of the earlier value."""
        return None if self.change is None or not self.before else 100 * self.change / self.before

    @property
    def verdict(self) -> str:
        """`CHANGED`, `NOT_DISTINGUISHABLE`, or `UNKNOWN` without a value or a precision."""
        if self.change is None or self.precision is None:
            return UNKNOWN
        # What is equal to the limit does not exceed it, rounding of the last bit included.
        more = abs(self.change) > self.precision.least_significant_change + 1e-12
        return CHANGED if more else NOT_DISTINGUISHABLE


def precision_of(
    card: dict[str, Any], dxa: str | None, site: float | None = None
) -> Precision | None:
    """The precision to judge changes by; None where nobody measured one.

    Parameters
    ----------
    card : dict
        Of the model; its metrics state a `repeatability_sd` in g/cm2 where it was measured.
    dxa : str or None
        The DXA device in whose g/cm2 the values are asked for; see `estimate`.
    site : float or None
        The site's own, g/cm2 of that device.

    Raises
    ------
    CTBMDError
        Where the site's own is no precision in g/cm2.
    """
    if site is not None:
        if not 0 < site <= MAX_PRECISION:  # false for NaN as well
            raise CTBMDError(
                f"A precision of {site:g} g/cm2 is not possible; give the SD of repeated measurements "
                "in g/cm2, such as 0.012.",
                "precision",
            )
        return Precision(float(site), "site")
    sd = _stated(card.get("metrics"))
    if sd is None:
        return None
    scale = scale_for(card, dxa)
    return Precision(abs(scale.value(sd) - scale.value(0.0)), "model")


def _stated(metrics: Any) -> float | None:
    """The first `repeatability_sd` in the metrics of a card."""
    if not isinstance(metrics, dict):
        return None
    for name, value in metrics.items():
        number = value[0] if isinstance(value, (list, tuple)) and value else value
        usable = isinstance(number, (int, float)) and not isinstance(number, bool)
        if name.startswith("repeatability_sd") and usable and 0 < number <= MAX_PRECISION:
            return float(number)
        found = _stated(value)
        if found is not None:
            return found
    return None


def compare(
    earlier: Scan, later: Scan, precision: Precision | None = None, person: str = "person 1"
) -> Change:
    """Compare two CTs of one person, by the levels that count in both.

    Raises
    ------
    CTBMDError
        Where their values are not in the same g/cm2, of one model and one DXA device.
    """
    a, b = earlier.result.rows[0], later.result.rows[0]
    if a.dxa_scale != b.dxa_scale:  # both unknown: of one site, as the model is the same
        raise CTBMDError(
            "The two CTs were estimated for different DXA devices; estimate both for the same.",
            "followup-dxa",
        )
    if (a.model, a.model_version) != (b.model, b.model_version):
        raise CTBMDError(
            f"The two CTs were estimated by different models ({a.model} {a.model_version}, "
            f"{b.model} {b.model_version}); estimate both by the same.",
            "followup-model",
        )
    levels = tuple(x for x in _counted(earlier.result) if x in _counted(later.result))
    enough = len(levels) >= MIN_LEVELS
    days = (earlier.facts.day, later.facts.day)
    return Change(
        person=person,
        earlier=earlier.case,
        later=later.case,
        days=None if None in days else days[1] - days[0],  # type: ignore[operator]
        levels=levels,
        before=_mean(earlier.result, levels) if enough else None,
        after=_mean(later.result, levels) if enough else None,
        precision=precision,
        warnings=(*differences(earlier, later), *_fewer(levels, precision)),
    )


def _fewer(levels: Sequence[str], precision: Precision | None) -> list[str]:
    """What is to be said where fewer vertebrae are compared than the precision was measured on."""
    if precision is None or not MIN_LEVELS <= len(levels) < len(MEASURED):
        return []
    return [
        f"The precision is that of {MEASURED[0]}-{MEASURED[-1]}; a mean of {len(levels)} vertebrae "
        "repeats less well, so that chance may explain more"
    ]


def _counted(result: BMDResult) -> list[str]:
    return [row.level for row in result.levels if row.included and row.level in MEASURED]


def _mean(result: BMDResult, levels: Sequence[str]) -> float:
    values = [row.bmd_g_cm2 for row in result.levels if row.level in levels]
    return sum(values) / len(values)


def differences(earlier: Scan, later: Scan) -> list[str]:
    """What differs between two CTs, or is unknown, and may have changed the value, a sentence each."""
    a, b = earlier.facts, later.facts
    out = []
    for name, x, y in (
        ("tube voltage", _unit(a.kvp, "kV"), _unit(b.kvp, "kV")),
        ("kernel", a.kernel, b.kernel),
        ("scanner", _scanner(a), _scanner(b)),
    ):
        if x is None or y is None:
            out.append(f"The {name} of {_which(x, y)} is unknown")
        elif x != y:
            out.append(f"The {name} differs ({x}, {y})")
    if a.thickness_mm is None or b.thickness_mm is None:
        out.append(f"The slice thickness of {_which(a.thickness_mm, b.thickness_mm)} is unknown")
    elif abs(a.thickness_mm - b.thickness_mm) > _MM:
        out.append(f"The slice thickness differs ({a.thickness_mm:g} mm, {b.thickness_mm:g} mm)")
    if "given" in (a.contrast, b.contrast) and a.contrast != b.contrast:
        out.append("Contrast agent was given for one of the two CTs only, as far as it is known")
    if a.day is None or b.day is None:
        out.append("The order of the two CTs is not known from dates")
    elif b.day < a.day:
        out.append("The CT called earlier is the later one by its date")
    out += _doubts(earlier, later)
    return out


def _doubts(earlier: Scan, later: Scan) -> list[str]:
    """What casts doubt on comparing the same bone of the same person."""
    out = []
    a, b = earlier.result, later.result
    if measured_of(a) and measured_of(a) == measured_of(b):
        out.append("Slices, HU and values are the same: these may be two copies of one CT")
    persons = (earlier.facts.person, later.facts.person)
    if None in persons:
        out.append("It is not known whether both CTs are of the same person")
    elif persons[0] != persons[1]:
        out.append("The patient IDs differ: these may be two persons")
    if a.sex and b.sex and a.sex != b.sex:
        out.append("The sex differs: these may be two persons")
    days = (earlier.facts.day, later.facts.day)
    if a.age is not None and b.age is not None and None not in days:
        years = (days[1] - days[0]) / DAYS_PER_YEAR  # type: ignore[operator]
        if abs((b.age - a.age) - years) > 2:
            out.append("The ages do not fit the time between the CTs: these may be two persons")
    if any(item.code in ("numbering", "mean-numbering") for x in (a, b) for item in x.findings):
        out.append("The vertebra numbers are uncertain, so other vertebrae may be compared")
    if any(item.code == "tissue-hu" for x in (a, b) for item in x.findings):
        out.append("Air, fat or muscle of a CT lie where they cannot, so its values are off")
    if _corrected(a) != _corrected(b):
        out.append("The values of only one of the two CTs were corrected by air and fat")
    if _counted(a) != _counted(b):
        out.append("Other levels count in the two CTs; the values are of those that count in both")
    return out


def _corrected(result: BMDResult) -> bool:
    return any(item.code == "values-corrected" for item in result.findings)


def measured_of(result: BMDResult) -> tuple[tuple[str, float | None, float | None, float], ...]:
    """What was measured of each level, unrounded: no two scans agree in it; () of too few levels."""
    if len(result.levels) < MIN_LEVELS:
        return ()
    return tuple((x.level, x.slice_s_mm, x.trabecular_hu, x.bmd_g_cm2) for x in result.levels)


def _which(x: object, y: object) -> str:
    if x is None and y is None:
        return "both CTs"
    return "the earlier CT" if x is None else "the later CT"


def _unit(value: float | None, unit: str) -> str | None:
    return None if value is None else f"{value:g} {unit}"


def _scanner(facts: Facts) -> str | None:
    return " ".join(x for x in (facts.manufacturer, facts.scanner) if x) or None


def changes_of(scans: Sequence[Scan], precision: Precision | None) -> list[Change]:
    """The changes of everybody with several CTs: each CT beside the first, and beside the one before.

    Persons are numbered in the order in which they appear; scans whose dates are
    not known keep the order in which they are given.
    """
    persons: dict[str, list[Scan]] = {}
    for scan in scans:
        if scan.facts.person:
            persons.setdefault(scan.facts.person, []).append(scan)
    several = [group for group in persons.values() if len(group) > 1]
    out = []
    for number, group in enumerate(several, start=1):
        person = f"person {number}"
        if all(scan.facts.day is not None for scan in group):
            group = sorted(group, key=lambda scan: scan.facts.day or 0)  # noqa: PLW2901
        for k in range(1, len(group)):
            for earlier in sorted({0, k - 1}):
                out.append(compare(group[earlier], group[k], precision, person))  # noqa: PERF401
    return out


def change_words(change: Change) -> str:
    """A change in one sentence, for page, panel and report."""
    if change.change is None or change.percent is None:
        return "Fewer than two levels count in both CTs, so no change can be given."
    when = "" if change.days is None else f" in {change.days} days"
    text = f"{change.change:+.3f} g/cm2 ({change.percent:+.1f} %){when}: "
    if change.precision is None:
        return (
            text + "whether this is more than chance is unknown, since no precision was measured."
        )
    limit = f"least significant change {change.precision.least_significant_change:.3f} g/cm2"
    return f"{text}{change.verdict} ({limit}, by {change.precision.words()})."


def reported(
    change: Change, called: str | None = None, source: SourceSeries | None = None
) -> EarlierCT:
    """A change as a report tells it.

    Parameters
    ----------
    change : Change
    called : str, optional
        What the earlier CT is called, where the report may tell who it is of.
    source : SourceSeries, optional
        The DICOM headers of the earlier CT, for a DICOM report.
    """
    precision = change.precision
    return EarlierCT(
        words=change_words(change),
        levels=change.levels,
        before=change.before,
        after=change.after,
        warnings=change.warnings,
        called=called,
        days=change.days,
        least_significant_change=precision.least_significant_change if precision else None,
        verdict=change.verdict,
        source=source,
    )


def to_dict(change: Change, called: str | None = None) -> dict[str, Any]:
    """A change for JSON: numbers rounded as in the tables, unknown is None; see `reported`."""
    precision = change.precision
    named = {} if called is None else {"earlier_ct": called}
    return {
        **named,
        "days": change.days,
        "levels": list(change.levels),
        "bmd_earlier": _rounded(change.before, 3),
        "bmd_later": _rounded(change.after, 3),
        "change_g_cm2": _rounded(change.change, 3),
        "change_percent": _rounded(change.percent, 1),
        "least_significant_change": precision and round(precision.least_significant_change, 3),
        "precision_sd": precision and round(precision.sd, 4),
        "precision": precision and precision.source,
        "verdict": change.verdict,
        "warnings": list(change.warnings),
    }


def _rounded(value: float | None, decimals: int) -> float | None:
    return None if value is None else round(value, decimals) + 0.0


def to_csv(changes: Sequence[Change]) -> str:
    """The changes as a table with the columns `COLUMNS`; what is unknown is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for x in changes:
        limit = x.precision.least_significant_change if x.precision else None
        writer.writerow(
            [
                x.person,
                safe_text(x.earlier),
                safe_text(x.later),
                "" if x.days is None else x.days,
                " ".join(x.levels),
                _cell(x.before, 3),
                _cell(x.after, 3),
                _cell(x.change, 3),
                _cell(x.percent, 1),
                _cell(limit, 3),
                x.precision.source if x.precision else "",
                x.verdict,
                "; ".join(x.warnings),
            ]
        )
    return out.getvalue()


def _cell(value: float | None, decimals: int) -> str:
    return "" if value is None else fixed(value, decimals)
