"""A batch as one page to read: how many, why not, what was found, and which to look at first.

HTML in one file, its contact sheets within it; nothing is fetched from anywhere.
"""

from __future__ import annotations

import base64
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from statistics import fmean, stdev

from ..bmd.export import fixed
from ..bmd.reference import ReferenceTable, list_tables
from ..bmd.result import BMDResult
from ..disclaimers import disclaimer
from ..dxa import device_named, maker
from ..model.bundle import ModelBundle
from .failures import words_of
from .followup import CHANGED, Change, change_words, measured_of
from .outcome import Facts, need_of_a_look
from .sheets import MOST
from .validate_charts import Chart, Point

MOST_POINTS = 4000
"""Points of a chart; of more, every second or third ... is drawn."""
MOST_CHANGES = 200
_SEXES = (("F", "Women"), ("M", "Men"))

_CSS = """
:root{--ink:#1a1a1a;--soft:#5b6470;--line:#d5dae0;--dot:#1f5fa8}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1020px;padding:22px 26px 40px;color:var(--ink);background:#fff;
 font:15px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif}
h1{font-size:25px;margin:0 0 4px}h2{font-size:18px;margin:30px 0 8px;border-bottom:1px solid var(--line);padding-bottom:3px}
.use{border:2px solid #9a1c1c;padding:8px 12px;margin:12px 0;font-weight:600;color:#7a1010}
.soft{color:var(--soft)}
table{border-collapse:collapse;width:100%;font-size:13.5px;margin:6px 0 10px}
th,td{padding:4px 7px;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
th{border-bottom:2px solid var(--soft)}
td.n{text-align:right;white-space:nowrap}
.charts{display:grid;grid-template-columns:1fr 1fr;gap:10px 18px}
svg{width:100%;height:auto;font:12px system-ui,Arial,sans-serif}
svg .title{font-weight:600;font-size:13px;fill:var(--ink)}
svg .label{fill:var(--ink)}svg .tick,svg .note{fill:var(--soft);font-size:11px}
svg .grid{stroke:#eceff2}svg .frame{fill:none;stroke:#9aa3ad}
svg .dot{fill:var(--dot);fill-opacity:.5;stroke:none}
svg polyline{fill:none}svg .mean{stroke:#444;stroke-width:1.8}
svg .spread{stroke:#888;stroke-width:1.2;stroke-dasharray:5 4}
.case{break-inside:avoid;margin:14px 0;border:1px solid var(--line);padding:10px 12px}
.case img{max-width:100%;image-rendering:pixelated;background:#000;display:block;margin:6px 0}
footer{margin-top:28px;border-top:1px solid var(--line);padding-top:8px;color:var(--soft);font-size:13px}
@media print{body{padding:0;max-width:none}h2{break-after:avoid}svg,table,.use{break-inside:avoid}}
"""


@dataclass(frozen=True)
class Estimated:
    """A case with a result: what is known of its scan, and its contact sheet (PNG) or b''."""

    result: BMDResult
    facts: Facts = Facts()
    sheet: bytes = b""

    @property
    def case(self) -> str:
        """What it is called in the table."""
        return self.result.rows[0].case


def make_summary(
    name: str,
    estimated: Sequence[Estimated],
    failures: Mapping[str, Sequence[str]],
    changes: Sequence[Change],
    bundle: ModelBundle,
    reference: ReferenceTable | None,
) -> str:
    """The whole page.

    Parameters
    ----------
    name : str
        Of the table that it lies beside.
    estimated : sequence of Estimated
    failures : mapping of str to sequence of str
        By the code of the error, the cases that failed by it.
    changes : sequence of Change
    bundle : ModelBundle
    reference : ReferenceTable or None
        Shown beside the values; where None, an installed one of the same DXA device.
    """
    failed = sum(map(len, failures.values()))
    scale = estimated[0].result.dxa_scale if estimated else None
    table = reference or _reference_of(scale)
    words = disclaimer(bundle.population)
    said = "simulated CT" if bundle.simulated else "CT of patients"
    body = [
        "<h1>Bone density of many CTs</h1>",
        f'<div class="use">{escape(words)}</div>',
        f"<p>{escape(name)}: {_number(len(estimated) + failed, 'case')}, {len(estimated)} estimated, "
        f"{failed} failed. Model {escape(bundle.name)} {escape(bundle.version)}, trained on {said}; "
        f"g/cm2 of a {escape(maker(scale))}.</p>",
        *_why_not(estimated, failures),
        *_distribution(estimated, table),
        *_findings(estimated),
        *_scans(estimated),
        *_followup(changes),
        *_most_need(estimated),
        f"<footer>{escape(words)} Made by 'ctbmd batch'.</footer>",
    ]
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>CTBMD: {escape(name)}</title><style>{_CSS}</style>"
    )
    text = "\n".join(body)
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>\n{text}\n</body></html>\n'


def _reference_of(scale: str | None) -> ReferenceTable | None:
    return next((x for x in list_tables() if scale and device_named(x.device) == scale), None)


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table; numbers stand to the right, and texts are escaped."""
    out = ["<table><thead><tr>", *(f"<th>{escape(x)}</th>" for x in head), "</tr></thead><tbody>"]
    for row in rows:
        cells = (
            f'<td class="n">{x}</td>' if isinstance(x, int) else f"<td>{escape(str(x))}</td>"
            for x in row
        )
        out.append(f"<tr>{''.join(cells)}</tr>")
    return "".join([*out, "</tbody></table>"])


def _why_not(estimated: Sequence[Estimated], failures: Mapping[str, Sequence[str]]) -> list[str]:
    without = Counter(
        x.result.total_reason or "no reason is known" for x in estimated if x.result.total is None
    )
    rows: list[tuple[object, ...]] = [
        ("failed", f"{words_of(code)} ({code})", len(cases), _some(cases))
        for code, cases in sorted(failures.items(), key=lambda x: (-len(x[1]), x[0]))
    ]
    for reason, count in without.most_common():
        cases = [
            x.case
            for x in estimated
            if x.result.total is None and (x.result.total_reason or "no reason is known") == reason
        ]
        rows.append(("levels, but no L1-L4 value", reason, count, _some(cases)))
    if not rows:
        return ["<h2>Why not</h2>", "<p>Every case gave an L1-L4 value.</p>"]
    return ["<h2>Why not</h2>", _table(("", "reason", "cases", "such as"), rows)]


def _some(cases: Sequence[str]) -> str:
    more = f" and {len(cases) - 3} more" if len(cases) > 3 else ""
    return ", ".join(cases[:3]) + more


def _distribution(estimated: Sequence[Estimated], table: ReferenceTable | None) -> list[str]:
    """Charts and a table of L1-L4 by sex and age."""
    once = without_copies(estimated)
    usable = [x for x in once if x.result.total]
    known = [x for x in usable if x.result.sex and x.result.age is not None]
    out = ["<h2>L1-L4 by sex and age</h2>"]
    if len(once) < len(estimated):
        out.append(
            f'<p class="soft">{_number(len(estimated) - len(once), "case")} with the slices, HU and values '
            "of another one, most likely a copy of the same CT, left out here: each CT counts once.</p>"
        )
    if len(known) < len(usable):
        out.append(
            f'<p class="soft">{len(usable) - len(known)} of {len(usable)} are not shown here: their sex or age is unknown.</p>'
        )
    if not known:
        return out
    beside = f"; lines: {table.title}, mean and one SD" if table else "; no reference of this DXA"
    charts = [_chart(title, sex, known, table) for sex, title in _SEXES]
    out.append(f'<div class="charts">{"".join(charts)}</div>')
    out.append(f'<p class="soft">A point is a CT{escape(beside)}.</p>')
    rows = []
    for sex, title in _SEXES:
        decades: dict[int, list[float]] = {}
        for x in known:
            if x.result.sex == sex and x.result.total and x.result.age is not None:
                decade = int(x.result.age // 10 * 10)
                decades.setdefault(decade, []).append(x.result.total.bmd_g_cm2)
        for decade, values in sorted(decades.items()):
            spread = fixed(stdev(values), 3) if len(values) > 1 else "-"
            rows.append(
                (title, f"{decade}-{decade + 9}", len(values), fixed(fmean(values), 3), spread,
                 _expected(table, sex, decade + 5))
            )  # fmt: skip
    head = ("sex", "age", "CTs", "mean g/cm2", "SD", "reference mean (SD) g/cm2")
    return [*out, _table(head, rows)]


def without_copies(estimated: Sequence[Estimated]) -> list[Estimated]:
    """Each CT once, by its first case: two in which all that was measured agrees are one CT."""
    seen: set[object] = set()
    out = []
    for x in estimated:
        measured = measured_of(x.result)
        if not measured or measured not in seen:
            out.append(x)
        seen.add(measured)
    return out


def _expected(table: ReferenceTable | None, sex: str, age: float) -> str:
    for row in table.rows if table else ():
        span = row["age"]
        if row["region"] == "L1-L4" and row["sex"] == sex and span and span[0] <= age <= span[1]:
            return f"{fixed(row['mean'], 3)} ({fixed(row['sd'], 3)})"
    return "none"


def _chart(title: str, sex: str, known: Sequence[Estimated], table: ReferenceTable | None) -> str:
    points = [
        Point(float(x.result.age), x.result.total.bmd_g_cm2, sex, x.case)
        for x in known
        if x.result.sex == sex and x.result.total and x.result.age is not None
    ]
    every = max(1, math.ceil(len(points) / MOST_POINTS))
    values = [p.y for p in points] or [1.0]
    low, high = min(0.4, *values, 0.4), max(1.6, *values, 1.6)
    ages = (min([20.0, *(p.x for p in points)]), max([90.0, *(p.x for p in points)]))
    told = f"{title}: {len(points)} CT{'' if len(points) == 1 else 's'}" + (
        f", every {every}th drawn" if every > 1 else ""
    )
    chart = Chart(told, "age, years", "L1-L4, g/cm2", ages, (low, high))
    chart.points(points[::every])
    rows = sorted(
        (sum(row["age"]) / 2, row["mean"], row["sd"])
        for row in (table.rows if table else ())
        if row["region"] == "L1-L4" and row["sex"] == sex and row["age"]
    )
    if rows:
        x = [row[0] for row in rows]
        for factor, style in ((0, "mean"), (1, "spread"), (-1, "spread")):
            chart.steps(x, [mean + factor * sd for _, mean, sd in rows], style)
    return chart.svg()


def _findings(estimated: Sequence[Estimated]) -> list[str]:
    """Each kind of finding with the number of CTs that have it, warnings first."""
    count: Counter[tuple[str, str]] = Counter()
    example: dict[tuple[str, str], str] = {}
    for x in estimated:
        for kind in {(item.severity, item.code) for item in x.result.findings}:
            count[kind] += 1
        for item in x.result.findings:
            example.setdefault((item.severity, item.code), item.text)
    if not count:
        return ["<h2>Findings</h2>", "<p>None.</p>"]
    kinds = sorted(count, key=lambda kind: (kind[0] != "warning", -count[kind], kind[1]))
    rows = [(kind[0], kind[1], count[kind], example[kind]) for kind in kinds]
    return ["<h2>Findings</h2>", _table(("", "finding", "CTs", "such as"), rows)]


def _scans(estimated: Sequence[Estimated]) -> list[str]:
    facts = [x.facts for x in estimated]
    kinds = (
        ("scanner", [" ".join(y for y in (x.manufacturer, x.scanner) if y) for x in facts]),
        ("tube voltage", [f"{x.kvp:g} kV" if x.kvp else "" for x in facts]),
        ("kernel", [x.kernel or "" for x in facts]),
        ("slice thickness", [f"{x.thickness_mm:g} mm" if x.thickness_mm else "" for x in facts]),
        ("contrast agent", [x.contrast or "" for x in facts]),
    )
    rows = [
        (title, value or "unknown", number)
        for title, values in kinds
        for value, number in Counter(values).most_common(30)
    ]
    return ["<h2>How the CTs were made</h2>", _table(("", "", "CTs"), rows)] if rows else []


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _followup(changes: Sequence[Change]) -> list[str]:
    if not changes:
        return []
    persons = len({x.person for x in changes})
    changed = sum(x.verdict == CHANGED for x in changes)
    rows = [
        (x.person, f"{x.earlier} - {x.later}", change_words(x), "; ".join(x.warnings) or "-")
        for x in changes[:MOST_CHANGES]
    ]
    more = f" The first {MOST_CHANGES} are shown." if len(changes) > MOST_CHANGES else ""
    return [
        "<h2>Follow-up</h2>",
        f"<p>{_number(persons, 'person')} with several CTs; {_number(len(changes), 'comparison')}, {changed} changed by more "
        f"than the least significant change.{more}</p>",
        _table(("person", "CTs", "change of the mean", "what else differs"), rows),
    ]


def most_need(results: Sequence[BMDResult]) -> list[int]:
    """The numbers of the results that most need a look, at most `MOST`, the neediest first."""
    order = sorted(range(len(results)), key=lambda n: -need_of_a_look(results[n]))
    return order[:MOST]


def _most_need(estimated: Sequence[Estimated]) -> list[str]:
    chosen = [estimated[n] for n in most_need([x.result for x in estimated])]
    out = [
        "<h2>Look at these first</h2>",
        '<p class="soft">Those without an L1-L4 value, then those with the most warnings, then those '
        "with the widest interval. The images are the middle one of each level, from head to feet, "
        "the patient's right on the left.</p>",
    ]
    for x in chosen:
        total = x.result.total
        value = (
            f"L1-L4 {total.bmd_g_cm2:.3f} g/cm2 ({total.bmd_low:.3f} - {total.bmd_high:.3f})"
            if total
            else x.result.total_reason or "no L1-L4 value"
        )
        warned = [item.text for item in x.result.findings if item.severity == "warning"]
        names = " ".join(row.level for row in x.result.levels)
        image = ""
        if x.sheet:
            data = base64.b64encode(x.sheet).decode("ascii")
            alt = escape(f"{x.case}: {names}", quote=True)
            image = f'<img alt="{alt}" src="data:image/png;base64,{data}">'
        items = "".join(f"<li>{escape(text)}</li>" for text in warned)
        out.append(
            f'<div class="case"><b>{escape(x.case)}</b>: {escape(value)}{image}'
            f'<span class="soft">{escape(names)}</span><ul>{items}</ul></div>'
        )
    return out
