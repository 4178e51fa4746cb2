"""A validation as one page to read and to print: HTML in one file, nothing fetched from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from ..bmd.export import fixed
from ..disclaimers import disclaimer
from ..model.bundle import ModelBundle
from .validate_charts import Point, bland_altman, roc, scatter
from .validate_pairs import Pair, Unit
from .validate_report import (
    ADVANTAGE,
    FITTED,
    HU,
    LOW_MASS,
    NETWORK,
    OSTEOPOROSIS,
    THRESHOLDS,
    Group,
    Report,
)
from .validate_statistics import (
    FEW_PERSONS,
    MIN_CLASS,
    MIN_LINE,
    MIN_PERSONS,
    Figure,
    line_through,
    roc_points,
)
from .validate_table import LeftOut

WORST = 10
"""Pairs that are shown as those that differ most."""

_CSS = """
:root{--net:#1f5fa8;--hu:#b8590b;--ink:#1a1a1a;--soft:#5b6470;--line:#d5dae0}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1020px;padding:22px 26px 40px;color:var(--ink);background:#fff;
 font:15px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif}
h1{font-size:25px;margin:0 0 4px}h2{font-size:18px;margin:30px 0 8px;border-bottom:1px solid var(--line);padding-bottom:3px}
h3{font-size:15px;margin:16px 0 4px}
.use{border:2px solid #9a1c1c;padding:8px 12px;margin:12px 0;font-weight:600;color:#7a1010}
.flow{margin:8px 0;color:var(--soft)}
ul{margin:6px 0;padding-left:22px}
table{border-collapse:collapse;width:100%;font-size:13.5px;margin:6px 0 10px}
th,td{padding:4px 7px;border-bottom:1px solid var(--line);text-align:right;vertical-align:top}
th{font-weight:600;border-bottom:2px solid var(--soft);vertical-align:bottom}
th:first-child,td:first-child,.words td,.words th{text-align:left}
td small{display:block;color:var(--soft);font-size:11.5px;white-space:nowrap}
.none{color:var(--soft)}
.net{color:var(--net)}.hu{color:var(--hu)}
.charts{display:grid;grid-template-columns:1fr 1fr;gap:10px 18px}
svg{width:100%;height:auto;font:12px system-ui,Arial,sans-serif}
svg .title{font-weight:600;font-size:13px;fill:var(--ink)}
svg .label{fill:var(--ink)}svg .tick,svg .note{fill:var(--soft);font-size:11px}
svg .note{font-weight:600;paint-order:stroke;stroke:#fff;stroke-width:3px}
svg .grid{stroke:#eceff2}svg .frame{fill:none;stroke:#9aa3ad}
svg .dot{fill-opacity:.55;stroke-width:1}
svg .dot.network{fill:var(--net);stroke:var(--net)}svg .dot.hu{fill:var(--hu);stroke:var(--hu)}
svg line,svg polyline{fill:none;stroke-width:1.6}
svg .grid{stroke-width:1}
svg .identity{stroke:#8a939d;stroke-dasharray:2 3}
svg .network:not(.dot){stroke:var(--net)}svg .hu:not(.dot){stroke:var(--hu)}
svg .limit{stroke-dasharray:6 4}
svg .curve{stroke-width:2}
.tell{border:1px solid var(--line);padding:14px;color:var(--soft);align-self:center}
footer{margin-top:28px;border-top:1px solid var(--line);padding-top:8px;color:var(--soft);font-size:13px}
@media print{body{padding:0;max-width:none}h2{break-after:avoid}svg,table,.use{break-inside:avoid}}
"""


@dataclass(frozen=True)
class Page:
    """What the page tells beside its figures."""

    table: str
    date: str
    rows: int
    max_days: float | None


def make_page(
    page: Page, report: Report, pairs: Sequence[Pair], left: Sequence[LeftOut], bundle: ModelBundle
) -> str:
    """The whole page.

    Parameters
    ----------
    page : Page
    report : Report
    pairs : sequence of Pair
        Those that the figures are of.
    left : sequence of LeftOut
    bundle : ModelBundle
    """
    what = _what(report)
    overall = report.overall
    body = [
        f"<h1>Bone density from CT beside DXA{escape(what)}</h1>",
        f'<div class="use">{escape(disclaimer(bundle.population))}</div>',
        f"<p>Model {escape(bundle.name)} {escape(bundle.version)} (population: {escape(bundle.population)}), "
        f"table {escape(page.table)}, {escape(page.date)}. Its weights were not changed. "
        "'Network' is the estimate as it comes. "
        "The trabecular HU of the same vertebrae, as a reader would draw them, stand beside it.</p>",
        f'<p class="flow">{page.rows} rows in the table: {len(left) or "none"} left out, '
        f"{overall.cases} CT of {overall.persons} persons compared.</p>",
        *_list("Before you read the figures", report.warnings),
        f"<h2>Agreement of L1-L4{escape(what)}</h2>",
        _overall_table(report),
        _explained(report),
        f"<h2>Figures{escape(what)}</h2>",
        *_charts(report, pairs),
        *_groups(report, what),
        *_vertebrae(report, what),
        *_worst(report, pairs),
        *_left(left),
        *_methods(page, report),
        f"<footer>{escape(disclaimer(bundle.population))} Made by 'ctbmd validate'.</footer>",
    ]
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>CTBMD beside DXA{escape(what)}</title><style>{_CSS}</style>"
    )
    text = "\n".join(body)
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>\n{text}\n</body></html>\n'


def _what(report: Report) -> str:
    return {
        "all": " (simulated CT, simulated DXA)",
        "some": " (partly simulated)",
        "none": "",
    }[report.simulated]


def _list(title: str, sentences: Sequence[str]) -> list[str]:
    if not sentences:
        return []
    items = "".join(f"<li>{escape(text)}</li>" for text in sentences)
    return [f"<h3>{escape(title)}</h3>", f"<ul>{items}</ul>"]


def _cell(
    figure: Figure | None, decimals: int, *, signed: bool = False, percent: bool = False
) -> str:
    if figure is None:
        return '<td class="none">-</td>'
    if figure.value is None:
        return _no_cell(figure.note)

    def shown(value: float) -> str:
        if percent:
            return f"{100 * value:.0f} %"
        return _plain(Figure(value), decimals, signed)

    if figure.low is None or figure.high is None:
        said = escape(figure.note or "")
    else:
        said = f"{shown(figure.low)} to {shown(figure.high)}"
    return f"<td>{shown(figure.value)}<small>{said}</small></td>"


def _no_cell(note: str | None) -> str:
    """A cell that says why it has no figure: 'too few to tell', and below it how few."""
    what, _, more = (note or "unknown").partition(": ")
    below = f"<small>{escape(more)}</small>" if more else ""
    return f'<td class="none">{escape(what)}{below}</td>'


def _limits(figures: dict[str, Figure], decimals: int) -> str:
    low, high = figures.get("loa_low"), figures.get("loa_high")
    if low is None or high is None:
        return '<td class="none">-</td>'
    if low.value is None or high.value is None:
        return _no_cell(low.note or high.note)
    return f"<td>{low.value:+.{decimals}f} to {high.value:+.{decimals}f}</td>"


def _table(head: Sequence[str], rows: Sequence[str], style: str = "") -> str:
    titles = "".join(f"<th>{title}</th>" for title in head)
    kind = f' class="{style}"' if style else ""
    return f"<table{kind}><thead><tr>{titles}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


_COLOURS = {NETWORK: "net", FITTED: "net", HU: "hu", ADVANTAGE: ""}


def _overall_table(report: Report) -> str:
    unit, d = report.unit, report.unit.decimals
    head = ["", "pairs", "r", "rho", "Lin's ccc", f"bias {unit.name}", f"RMSE {unit.name}"]
    head += [f"limits of agreement {unit.name}", "AUC T &le; -2.5", "AUC T &le; -1"]
    rows = []
    for name, method in report.overall.methods.items():
        f = method.figures
        cells = [
            f'<td class="{_COLOURS[name]}">{escape(name)}</td><td>{method.cases}</td>',
            _cell(f.get("r"), 3, signed=name == ADVANTAGE),
            _cell(f.get("rho"), 3, signed=name == ADVANTAGE),
            _cell(f.get("ccc"), 3),
            _cell(f.get("bias"), d, signed=True),
            _cell(f.get("rmse"), d, signed=name == ADVANTAGE),
            _limits(f, d),
            _cell(f.get(f"auc {OSTEOPOROSIS}"), 3, signed=name == ADVANTAGE),
            _cell(f.get(f"auc {LOW_MASS}"), 3, signed=name == ADVANTAGE),
        ]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    table = _table(head, rows)
    network = report.overall.methods[NETWORK].figures
    if not unit.same:
        return table
    more = _table(
        [
            "network",
            "slope",
            f"intercept {unit.name}",
            "inside its 90 % interval",
            f"SD of differences {unit.name}",
        ],
        [
            "<tr><td>calibration and coverage</td>"
            + _cell(network.get("slope"), 3)
            + _cell(network.get("intercept"), d, signed=True)
            + _cell(network.get("coverage"), 2, percent=True)
            + _cell(network.get("sd"), d)
            + "</tr>"
        ],
    )
    return table + more


def _explained(report: Report) -> str:
    overall = report.overall
    counts = (
        f"{overall.with_condition[OSTEOPOROSIS]} of {overall.with_t_score} pairs with a T-score are at or "
        f"below -2.5 by DXA, {overall.with_condition[LOW_MASS]} at or below -1. "
        if overall.with_t_score
        else ""
    )
    return (
        f"<p>{counts}Below each figure stands its 95 % interval (bootstrap over persons). Bias is CT minus DXA. "
        f"<b>{escape(HU)}</b>: r and AUC are those of the HU themselves; for bias, RMSE and limits a line "
        "from HU to this table's DXA was fitted with each person left out in turn, so its bias is near "
        f"zero by construction. <b>{escape(FITTED)}</b> gives the network the same advantage and is the "
        "fair row to hold the HU against; the row above it is the network as it comes. "
        f"<b>{escape(ADVANTAGE)}</b>: differences on the same pairs, that of the RMSE between the two fitted "
        "lines; where its interval holds 0, the two cannot be told apart here. Slope and intercept "
        "are of DXA = intercept + slope x estimate: 1 and 0 where the estimate is calibrated.</p>"
    )


def _charts(report: Report, pairs: Sequence[Pair]) -> list[str]:
    unit = report.unit
    dxa = f"DXA L1-L4, {unit.name}"
    own = unit.name if unit.same else "g/cm2"
    label = f"network, {own}"
    points = _points(pairs, unit, [unit.value(pair) for pair in pairs])
    charts = [_scatter("Network", (label, dxa), points, "network", unit.same)]
    hu_pairs = [pair for pair in pairs if pair.hu is not None]
    if hu_pairs:
        hu = _points(hu_pairs, unit, [pair.hu or 0.0 for pair in hu_pairs])
        charts.append(_scatter("Trabecular HU", ("trabecular HU", dxa), hu, "hu", False))
    both = f"mean of both, {unit.name}"
    lined = [(p, x) for p, x in zip(pairs, report.hu_line, strict=True) if x is not None]
    by_line = _points([p for p, _ in lined], unit, [x for _, x in lined])
    if unit.same:
        charts.append(
            bland_altman(
                "Bland-Altman: network",
                (both, f"network - DXA, {unit.name}"),
                points,
                "network",
                unit.decimals if report.overall.persons >= MIN_PERSONS else None,
                by_line,
            )
        )
    else:
        charts.append(_tell("No Bland-Altman chart: estimate and DXA are in different units."))
    if lined:
        charts.append(
            bland_altman(
                "Bland-Altman: HU by its line, each person left out",
                (both, f"HU by its line - DXA, {unit.name}"),
                by_line,
                "hu",
                unit.decimals,
                points if unit.same else (),
            )
        )
    else:
        charts.append(_tell(f"No line of the HU: it needs at least {MIN_LINE} persons with HU."))
    charts += [_roc(name, report, pairs) for name in THRESHOLDS]
    legend = "<p class='flow'>Discs: women; squares: men; triangles: sex unknown. Every mark is one CT.</p>"
    return [legend, '<div class="charts">', *charts, "</div>"]


def _points(pairs: Sequence[Pair], unit: Unit, values: Sequence[float]) -> list[Point]:
    return [
        Point(x, unit.dxa(pair), pair.sex or "", pair.row.case.title)
        for pair, x in zip(pairs, values, strict=True)
    ]


def _scatter(
    title: str, labels: tuple[str, str], points: Sequence[Point], colour: str, identity: bool
) -> str:
    line = line_through([p.x for p in points], [p.y for p in points])
    if len(points) < MIN_PERSONS:
        line = None
    words = (
        ""
        if line is None
        else f"line through these very pairs (in-sample): {line[1]:.3f} + {line[0]:.3g} x"
    )
    return scatter(
        title, labels, points, colour=colour, identity=identity, line=line, line_name=words
    )


def _tell(words: str) -> str:
    return f'<div class="tell">{escape(words)}</div>'


def _roc(name: str, report: Report, pairs: Sequence[Pair]) -> str:
    limit = THRESHOLDS[name]
    title = f"ROC for DXA {name.replace('<=', '≤')}"
    curves = []
    notes = []
    for method, style, value in (
        (NETWORK, "network", report.unit.value),
        (HU, "hu", lambda pair: pair.hu),
    ):
        figure = (
            report.overall.methods[method].figures.get(f"auc {name}")
            if method in report.overall.methods
            else None
        )
        if figure is None:
            continue
        if figure.value is None:
            notes.append(figure.note or "")
            continue
        known = [p for p in pairs if p.t_score is not None and value(p) is not None]
        low = [(p.t_score or 0.0) <= limit for p in known]
        x, y = roc_points(low, [value(p) for p in known])
        short = "network" if method == NETWORK else "trabecular HU"
        curves.append((f"{short}: AUC {figure.value:.3f}", style, x, y))
    if curves:
        return roc(title, curves)
    why = notes[0] if notes else "there are no T-scores"
    return _tell(
        f"{title}: {why}. An AUC needs at least {MIN_CLASS} persons with and {MIN_CLASS} without."
    )


def _groups(report: Report, what: str) -> list[str]:
    if not report.groups:
        return []
    out = [f"<h2>By group{escape(what)}</h2>"]
    for title, groups in report.groups.items():
        rows = [
            row for value, group in groups.items() for row in _group_rows(value, group, report.unit)
        ]
        out.append(_table([escape(title), *_group_head(report.unit)], rows))
    out.append(
        f"<p class='flow'>* fewer than {FEW_PERSONS} persons: the interval is too narrow. The line of the "
        "HU is that of the whole table.</p>"
    )
    return out


def _group_head(unit: Unit) -> list[str]:
    return [
        *("", "pairs", "persons", "r", f"bias {unit.name}", f"RMSE {unit.name}"),
        *(f"limits {unit.name}", "AUC T &le; -2.5", "inside interval"),
    ]


def _group_rows(value: str, group: Group, unit: Unit) -> list[str]:
    out = []
    star = "*" if group.few else ""
    for index, name in enumerate(x for x in (NETWORK, HU) if x in group.methods):
        method = group.methods[name]
        f, d = method.figures, unit.decimals
        short = "network" if name == NETWORK else "HU"
        first = f"{escape(value)}{star}" if index == 0 else ""
        cells = [
            f'<td>{first}</td><td class="{_COLOURS[name]}">{short}</td>',
            f"<td>{method.cases}</td><td>{group.persons if index == 0 else ''}</td>",
            _cell(f.get("r"), 3),
            _cell(f.get("bias"), d, signed=True),
            _cell(f.get("rmse"), d),
            _limits(f, d),
            _cell(f.get(f"auc {OSTEOPOROSIS}"), 3),
            _cell(f.get("coverage"), 2, percent=True),
        ]
        out.append(f"<tr>{''.join(cells)}</tr>")
    return out


def _vertebrae(report: Report, what: str) -> list[str]:
    if not report.levels:
        return []
    head = [
        "level",
        "",
        "vertebrae",
        "persons",
        "r",
        "bias g/cm2",
        "RMSE g/cm2",
        "limits g/cm2",
        "inside interval",
    ]
    rows = []
    for level, group in report.levels.items():
        star = "*" if group.few else ""
        for index, (name, method) in enumerate(group.methods.items()):
            f = method.figures
            cells = [
                f"<td>{escape(level) + star if index == 0 else ''}</td>",
                f'<td class="{_COLOURS[name]}">{"network" if name == NETWORK else "HU"}</td>',
                f"<td>{method.cases}</td><td>{group.persons if index == 0 else ''}</td>",
                _cell(f.get("r"), 3),
                _cell(f.get("bias"), 3, signed=True),
                _cell(f.get("rmse"), 3),
                _limits(f, 3),
                _cell(f.get("coverage"), 2, percent=True),
            ]
            rows.append(f"<tr>{''.join(cells)}</tr>")
    return [f"<h2>Single vertebrae{escape(what)}</h2>", _table(head, rows)]


def _worst(report: Report, pairs: Sequence[Pair]) -> list[str]:
    unit, d = report.unit, report.unit.decimals
    if not unit.same:
        return []
    far = sorted(pairs, key=lambda p: -abs(unit.value(p) - unit.dxa(p)))[:WORST]
    rows = [
        f"<tr><td>{escape(p.row.case.title)}</td><td>{unit.dxa(p):.{d}f}</td><td>{unit.value(p):.{d}f}</td>"
        f"<td>{unit.value(p) - unit.dxa(p):+.{d}f}</td><td>{'' if p.hu is None else f'{p.hu:.0f}'}</td>"
        f"<td>{escape(p.findings or 'nothing found')}</td></tr>"
        for p in far
    ]
    head = ["case", f"DXA {unit.name}", f"network {unit.name}", "difference", "HU", "to be checked"]
    return ["<h2>Pairs that differ most</h2>", _table(head, rows)]


def _left(left: Sequence[LeftOut]) -> list[str]:
    if not left:
        return ["<h2>Left out</h2>", "<p>No row was left out.</p>"]
    rows = [
        f"<tr><td>{item.line}</td><td>{escape(item.case)}</td><td>{escape(item.reason)}</td></tr>"
        for item in sorted(left, key=lambda x: x.line)
    ]
    return ["<h2>Left out</h2>", _table(["line", "case", "why"], rows, "words")]


def _methods(page: Page, report: Report) -> list[str]:
    apart = (
        "Pairs were compared whatever time lay between CT and DXA."
        if page.max_days is None
        else f"Pairs whose CT and DXA lie more than {page.max_days:g} days apart were left out; those whose "
        "interval is unknown were kept."
    )
    text = (
        "Estimate and DXA are compared over the same vertebrae: L1-L4 where the DXA gives L1-L4 or all four, "
        "else the mean of those that both have. Intervals come from drawing persons with all their CT "
        f"(percentiles of 2.5 and 97.5 %). Fewer than {MIN_PERSONS} persons give no figure, fewer than "
        f"{MIN_CLASS} with or without the condition no AUC. Limits of agreement are the mean difference "
        f"-+1.96 SD. {apart}"
    )
    return ["<h2>How it was computed</h2>", f"<p>{escape(text)}</p>"]


def summary_lines(report: Report) -> list[str]:
    """The main figures in a few lines of plain text, for the screen."""
    what = _what(report).strip(" ()")
    unit, d = report.unit.name, report.unit.decimals
    shown = {
        "r": ("r", 3, ""),
        "bias": ("bias", d, f" {unit}"),
        "rmse": ("RMSE", d, f" {unit}"),
        f"auc {OSTEOPOROSIS}": (f"AUC {OSTEOPOROSIS}", 3, ""),
    }
    out = [f"{what[0].upper()}{what[1:]}:"] if what else []
    for name, method in report.overall.methods.items():
        parts = []
        for key, (title, decimals, after) in shown.items():
            figure = method.figures.get(key)
            if figure is None:
                continue
            sign = key == "bias" or name == ADVANTAGE
            parts.append(
                f"{title} {_plain(figure, decimals, sign)}{after if figure.value is not None else ''}"
            )
        cover = method.figures.get("coverage")
        if cover is not None and cover.value is not None:
            parts.append(f"{100 * cover.value:.0f} % inside the 90 % interval")
        out.append(f"{name} ({method.cases} pairs): {', '.join(parts)}")
    return out


def _plain(figure: Figure, decimals: int, sign: bool) -> str:
    if figure.value is None:
        return figure.note or "unknown"
    text = fixed(figure.value, decimals)
    return f"+{text}" if sign and float(text) > 0 else text
