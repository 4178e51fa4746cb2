"""The one-page report of a case as HTML in one file, to read in a browser or to print from Slicer.

Only tables, plain styles and PNG pictures: what Qt's QTextDocument draws as a browser
does, so that the page on the screen and the PDF that Slicer makes are the same page.
Every text that comes out of a file, be it a header, a table or a card, is escaped.
"""

from __future__ import annotations

import html
import os
from pathlib import Path

from .. import __version__
from ..bmd.contrast import says_none, stated_agent
from ..bmd.export import fixed
from ..bmd.finding import Finding
from ..bmd.result import MEAN, LevelResult
from ..disclaimers import trained_on
from ..dxa import maker
from ..errors import CTBMDError
from ..safefile import check_writable, write_text
from .case import ReportCase
from .chart import AGES_WIDTH, HEIGHT, LEVELS_WIDTH, chart_png
from .drawing import data_url
from .earlier import TITLE as EARLIER_TITLE
from .pictures import GAP, IMAGE_SIDE, level_png, sagittal_png

SUFFIXES = (".html", ".htm")
WIDTH = 700
"""Pixels of the page, at 96 to the inch: A4 without its margins. All sizes are in pixels, so that
no screen's or printer's own resolution changes the page."""
_SCALE = 2  # picture pixels a page pixel
_SIDE_SHOWN = (230, 345)
_IMAGES_SHOWN = 182

TITLE = "Lumbar bone density, estimated from CT"
_WARNING_BACK, _HEAD_BACK, _TOTAL_BACK = "#fff1d6", "#e8eef4", "#f4f7fa"
_WARNING_INK = "#a04000"
_SMALL = "font-size:11px"
_CHOSEN = {
    "found": "found by CTBMD",
    "moved": "placed by hand",
    "added": "added by hand",
    "segment": "from the segmentation",
}
_SEX = {"F": "female", "M": "male"}


def report_html(case: ReportCase) -> str:
    """The report as an HTML page with its pictures inside."""
    parts = [
        _head(case),
        _banner(case),
        _answer(case),
        _caution(case),
        _earlier(case),
        _seen(case),
        _table(case),
        _findings(case),
        _facts(case),
    ]
    body = "\n".join(part for part in parts if part)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{TITLE}: {html.escape(case.name)}</title>\n"
        "<style>\n"
        "body { font-family: Arial, Helvetica, sans-serif; font-size: 12px; color: #111111;"
        f" background-color: #ffffff; max-width: {WIDTH}px; margin: 0; }}\n"
        "html { padding: 16px; }\n"
        "td, th { font-size: 12px; vertical-align: top; }\n"
        "</style>\n</head>\n<body>\n"
        f"{body}\n</body>\n</html>\n"
    )


def check_report(path: str | os.PathLike[str], overwrite: bool = False) -> None:
    """Refuse a report's file that could not be written, before the work is done.

    Raises
    ------
    CTBMDError
        Where the name does not end in .html, and as `safefile.check_writable`.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise CTBMDError(f"'{path.name}' must end in .html.", "output-suffix")
    check_writable(path, overwrite)


def write_report(case: ReportCase, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Write the report as one HTML file, whole or not at all.

    Raises
    ------
    CTBMDError
    """
    check_report(path, overwrite)
    return write_text(path, report_html(case), overwrite)


# -- the parts of the page, from above --------------------------------------------------
def _head(case: ReportCase) -> str:
    date = f"{case.date.day} {case.date:%B %Y}"
    lines = [f"<b>{html.escape(case.name)}</b>", *_person(case), f"Report made on {date}"]
    return (
        '<table width="100%" cellspacing="0" cellpadding="2"><tr>'
        f'<td width="66%"><span style="font-size:19px; font-weight:bold">{TITLE}</span><br>'
        "What a DXA of the spine would show, as estimated by CTBMD from a CT</td>"
        f'<td width="34%" align="right">{"<br>".join(lines)}</td></tr></table>'
    )


def _person(case: ReportCase) -> list[str]:
    """Who it is of, from the DICOM headers; nothing unless that is asked for."""
    if not case.with_identity:
        return ["Patient not named"]
    if case.source is None:
        return []
    named = (
        ("", case.source.said("PatientName").replace("^", " ").strip()),
        ("born ", _date(case.source.said("PatientBirthDate"))),
        ("CT of ", _date(case.source.said("StudyDate"))),
        ("accession number ", case.source.said("AccessionNumber")),
    )
    return [words + html.escape(value) for words, value in named if value]


def _date(text: str) -> str:
    """A DICOM date (YYYYMMDD) as people read it; as it is where it is none."""
    good = len(text) == 8 and text.isdecimal()
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if good else text


def _banner(case: ReportCase) -> str:
    simulated = case.result.levels[0].model_population == "simulated"
    more = " How well it does on patients is not known." if simulated else ""
    return (
        f'<table width="100%" cellspacing="0" cellpadding="5"><tr><td bgcolor="{_WARNING_BACK}">'
        f"<b>{html.escape(case.result.disclaimer)}</b>{more} "
        "Not for diagnosis or treatment.</td></tr></table>"
    )


def _answer(case: ReportCase) -> str:
    """The L1-L4 value in large, or why there is none."""
    total = case.result.total
    if total is None:
        reason = case.result.total_reason or "There is no L1-L4 value."
        return f'<p><span style="font-size:17px; font-weight:bold">No L1-L4 value.</span> {html.escape(reason)}</p>'
    parts = [f"Mean of {html.escape(total.levels or '')}."]
    if total.dxa_scale:
        parts.append(f"On the scale of a {maker(total.dxa_scale)} DXA.")
    parts.append(_scores(case, total))
    if total.category:
        parts.append(f"WHO category of the T-score: {html.escape(total.category)}.")
    return (
        f'<p><span style="font-size:20px; font-weight:bold">L1-L4: {fixed(total.bmd_g_cm2, 3)} g/cm²'
        f'</span> <span style="font-size:15px">&nbsp; 90 % interval {_interval(total)} g/cm²</span><br>'
        f"{' '.join(part for part in parts if part)}</p>"
    )


def _caution(case: ReportCase) -> str:
    """How many warnings there are, where the value is: they stand below it."""
    count = sum(item.severity == "warning" for item in case.result.findings)
    if not count:
        return ""
    many = "1 warning" if count == 1 else f"{count} warnings"
    return f'<p><b style="color:{_WARNING_INK}">{many} below: read before using a value.</b></p>'


def _earlier(case: ReportCase) -> str:
    """The change since an earlier CT, with all that casts doubt on it: no number without its warnings."""
    earlier = case.earlier
    if earlier is None:
        return ""
    called = f" ({html.escape(earlier.called)})" if earlier.called else ""
    lines = [
        f"<b>{EARLIER_TITLE}{called}:</b> {html.escape(earlier.words).replace('g/cm2', 'g/cm²')}"
    ]
    small = [html.escape(earlier.values()).replace("g/cm2", "g/cm²")] if earlier.values() else []
    sign = f'<b style="color:{_WARNING_INK}">Warning:</b> '
    small += [f"{sign}{html.escape(text.rstrip('.'))}." for text in earlier.warnings]
    lines += [f'<span style="{_SMALL}">{line}</span>' for line in small]
    return (
        f'<table width="100%" cellspacing="0" cellpadding="5"><tr><td bgcolor="{_TOTAL_BACK}">'
        f"{'<br>'.join(lines)}</td></tr></table>"
    )


def _interval(row: LevelResult) -> str:
    return f"{fixed(row.bmd_low, 3)} to {fixed(row.bmd_high, 3)}"


def _scores(case: ReportCase, row: LevelResult) -> str:
    """T- and Z-score in words, or why there is none."""
    result, table, z = case.result, case.reference, case.z_score(row)
    if table is None:
        return "No T-score, because no reference table was chosen."
    if result.sex is None:
        return "No T-score, because the sex is unknown."
    told = []
    if row.t_score is not None:
        told.append(f"T-score {fixed(row.t_score, 1)} (against young adults of the same sex)")
    if z is not None:
        told.append(f"Z-score {fixed(z, 1)} (against the same age and sex)")
    if not told:
        return "The reference table has no values for it."
    return f"{', '.join(told)}; reference: {html.escape(table.title)}."


def _seen(case: ReportCase) -> str:
    """The spine from the side, and the chart."""
    aged = bool(case.by_age()) and case.result.age is not None
    width = (LEVELS_WIDTH + (AGES_WIDTH if aged else 0)) // _SCALE
    told = "Bars are the 90 % intervals."
    if any(not row.included for row in case.result.levels):
        told += " Grey: left out of the mean."
    if aged and case.reference is not None:
        told += (
            " On the right, the line is the reference's mean by age, the darker band 1 SD and the "
            f"lighter band 2 SD of it ({html.escape(case.reference.device)}, L1-L4)."
        )
    else:
        told += f" Without values by age: {_why_no_ages(case)}."
    left = _picture(sagittal_png(case), *_SIDE_SHOWN, "Spine from the side")
    right = _picture(chart_png(case), width, HEIGHT // _SCALE, "Chart of the values")
    return (
        '<table width="100%" cellspacing="0" cellpadding="2"><tr>'
        f'<td width="{_SIDE_SHOWN[0]}">{left}</td>'
        f'<td>{right}<br><span style="{_SMALL}">{told}</span>{_side_caption(case)}</td></tr></table>'
    )


def _side_caption(case: ReportCase) -> str:
    out = any(not row.included for row in case.result.levels)
    more = " Orange and dashed: left out of the mean." if out else ""
    return (
        f'<p><span style="{_SMALL}">On the left, the spine from the side, cut along its own midline: '
        f"each line is one axial image that was read.{more} <b>Check that the vertebrae bear the right "
        "names and that the lines lie in the middle of the bodies.</b></span></p>"
    )


def _why_no_ages(case: ReportCase) -> str:
    if case.reference is None:
        return "no reference table was chosen"
    if case.result.sex is None or case.result.age is None:
        return "sex or age is unknown"
    return "the reference table has none"


def _picture(png: bytes, width: int, height: int, words: str) -> str:
    return f'<img src="{data_url(png)}" width="{width}" height="{height}" alt="{words}">'


def _table(case: ReportCase) -> str:
    """A row a level with its images and findings, and the mean."""
    rows = case.result.rows
    scored = any(row.t_score is not None or case.z_score(row) is not None for row in rows)
    heads = [
        ("Level", 52),
        ("Images that were read", _IMAGES_SHOWN),
        ("BMD g/cm²<br>90 % interval", 88),
    ]
    heads += [("T, Z", 48)] if scored else []
    heads += [("Trabec.<br>HU", 60), ("In the mean", 92)]
    head = "".join(
        f'<th align="left" bgcolor="{_HEAD_BACK}" width="{width}">{words}</th>'
        for words, width in heads
    )
    head += f'<th align="left" bgcolor="{_HEAD_BACK}">Findings</th>'
    body = "\n".join(_row(case, row, scored) for row in rows)
    return (
        '<table width="100%" border="0" cellspacing="1" cellpadding="3">'
        f"<tr>{head}</tr>\n{body}</table>"
    )


def _row(case: ReportCase, row: LevelResult, scored: bool) -> str:
    total = row.selection == MEAN
    back = f' bgcolor="{_TOTAL_BACK}"' if total else ""
    hu = "unknown" if row.trabecular_hu is None else fixed(row.trabecular_hu, 0)
    name = f"<b>{html.escape(row.level)}</b>"
    cells = [name, "mean" if total else _images(case, row)]
    if row.slice_s_mm is not None:
        cells[0] += f'<br><span style="{_SMALL}">S&nbsp;{_whole(row.slice_s_mm)}</span>'
    cells.append(
        f'<b>{fixed(row.bmd_g_cm2, 3)}</b><br><span style="{_SMALL}">{_interval(row)}</span>'
    )
    if scored:
        t, z = row.t_score, case.z_score(row)
        known = [f"{name}&nbsp;{fixed(x, 1)}" for name, x in (("T", t), ("Z", z)) if x is not None]
        cells.append("<br>".join(known) or "–")
    cells += [hu, _counted(row), _told(case, row)]
    return "<tr>" + "".join(f"<td{back}>{cell}</td>" for cell in cells) + "</tr>"


def _whole(value: float) -> str:
    """A number without decimals, its sign one that no line is broken at."""
    return fixed(value, 0).replace("-", "\u2212")


def _images(case: ReportCase, row: LevelResult) -> str:
    images = case.images(row.level)
    count = len(images.hu)
    # However many images a model reads of a level, they stay as wide as the column.
    width = min((count * IMAGE_SIDE + (count - 1) * GAP) // _SCALE, _IMAGES_SHOWN)
    height = round(width * IMAGE_SIDE / (count * IMAGE_SIDE + (count - 1) * GAP))
    return _picture(level_png(images), width, height, f"Images of {html.escape(row.level)}")


def _counted(row: LevelResult) -> str:
    if row.selection == MEAN:
        return html.escape(row.levels or "")
    if row.included:
        how = _CHOSEN.get(row.selection, row.selection)
        return f'yes<br><span style="{_SMALL}">{html.escape(how)}</span>'
    why = f": {html.escape(row.left_out)}" if row.left_out else ""
    return f"<b>no</b>{why}"


def _told(case: ReportCase, row: LevelResult) -> str:
    """The findings of one level in words; that it is left out stands in its own column."""
    if row.selection == MEAN:
        return "see below" if any(x.level is None for x in case.result.findings) else ""
    about = [x for x in case.result.findings if x.level == row.level and x.code != "left-out"]
    return "<br>".join(_sentence(item, row.level) for item in _sorted(about)) or "none"


def _sorted(findings: list[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda item: item.severity != "warning")


def _sentence(item: Finding, level: str | None = None) -> str:
    text = item.text.removeprefix(f"{level}: ") if level else item.text
    text = html.escape(text[:1].upper() + text[1:])
    sign = f'<b style="color:{_WARNING_INK}">Warning:</b> ' if item.severity == "warning" else ""
    return f'<span style="{_SMALL}">{sign}{text}</span>'


def _findings(case: ReportCase) -> str:
    """What is to be said of the scan as a whole."""
    measured = {row.level for row in case.result.levels}
    about = [item for item in case.result.findings if item.level not in measured]
    lines = [_sentence(item, item.level) for item in _sorted(about)] or ["None."]
    return f"<p><b>Findings about the whole scan</b><br>{'<br>'.join(lines)}</p>"


def _facts(case: ReportCase) -> str:
    """How the scan was made, by which model the values are, and what the words mean."""
    first, result = case.result.levels[0], case.result
    age = "unknown" if result.age is None else f"{result.age:.0f} years"
    scan = ", ".join((*_scan(case), f"sex {_SEX.get(result.sex or '', 'unknown')}", f"age {age}"))
    scale = f"values on the scale of a {maker(first.dxa_scale)} DXA"
    model = (
        f"{html.escape(first.model)} {html.escape(first.model_version)}, trained on "
        f"{trained_on(first.model_population)}; CTBMD {__version__}; "
        f"{scale if first.dxa_scale else 'DXA device unknown'}"
    )
    lines = [f"<b>Scan:</b> {scan}.", f"<b>Model:</b> {model}."]
    if case.reference is not None:
        table = case.reference
        lines.append(
            f"<b>Reference:</b> {html.escape(table.title)}; DXA: {html.escape(table.device)}; "
            f"source: {html.escape(table.source)}."
        )
    lines.append(
        "<b>Words:</b> BMD, areal bone mineral density; 90 % interval, the range calibrated to hold "
        "the reference value of 90 % of the model's held-out "
        f"{'simulated persons' if first.model_population == 'simulated' else 'patients'}; trabec. HU, "
        "mean CT number of the spongy bone inside the vertebral body; S, place along the body in mm. On "
        "the images, the front is up and the patient's right is on the left."
    )
    if case.with_identity and first.series_uid:
        others = [uid for uid in case.volume.series_uids if uid != first.series_uid]
        lines.append(f"<b>Series:</b> {html.escape(', '.join([first.series_uid, *others]))}")
    # A style of the paragraph alone would leave bold words as large as they are elsewhere.
    small = (f'<span style="{_SMALL}">{line}</span>' for line in lines)
    return f"<p>{'<br>'.join(small)}</p>"


def _scan(case: ReportCase) -> list[str]:
    """Facts of the acquisition, 'unknown' where they are; no free text unless identity is asked."""
    a = case.volume.acquisition
    agent = stated_agent(a)
    if agent is not None:
        contrast = html.escape(agent) if case.with_identity else "stated"
    else:
        contrast = "stated to be none" if says_none(a.contrast_agent) else "not stated"
    spacing = " x ".join(f"{x:.2f}" for x in case.volume.spacing_mm)
    scanner = html.escape(" ".join(x for x in (a.manufacturer, a.model) if x)) or "unknown"
    return [
        f"tube voltage {a.kvp:g} kV" if a.kvp else "tube voltage unknown",
        f"kernel {html.escape(a.kernel or 'unknown')}",
        f"slice thickness {a.slice_thickness_mm:g} mm"
        if a.slice_thickness_mm
        else "slice thickness unknown",
        f"voxels {spacing} mm",
        f"scanner {scanner}",
        f"contrast agent {contrast}",
    ]
