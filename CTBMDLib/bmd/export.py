"""A result as rows, as a readable table and as a CSV, TSV or JSON file."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from os import PathLike
from pathlib import Path
from typing import Any

from ..dxa import maker
from ..errors import CTBMDError
from ..safefile import check_writable, write_text
from .result import MEAN, BMDResult, LevelResult

COLUMNS = tuple(item.name for item in fields(LevelResult) if item.name != "left_out")
"""The columns of every table, in order."""

SUFFIXES = (".csv", ".tsv", ".json")

_DECIMALS = {
    "slice_s_mm": 2,
    "bmd_g_cm2": 3,
    "bmd_low": 3,
    "bmd_high": 3,
    "t_score": 1,
    "trabecular_hu": 1,
}


def to_rows(result: BMDResult) -> list[dict[str, Any]]:
    """One dict a row with the keys `COLUMNS`; numbers rounded, unknown is None.

    `included` is 'yes', 'no', or 'no: ' and why the level is left out, as in every file.
    """
    rows = []
    for item in result.rows:
        row: dict[str, Any] = {}
        for name in COLUMNS:
            value = getattr(item, name)
            if name == "included":
                value = "yes" if value else "no" + (f": {item.left_out}" if item.left_out else "")
            if name in _DECIMALS and value is not None:
                # Adding 0.0 turns the -0.0 of rounding into 0.0.
                value = round(float(value), _DECIMALS[name]) + 0.0
            row[name] = value
        rows.append(row)
    return rows


def to_json(results: list[BMDResult], more: Mapping[str, Any] | None = None) -> str:
    """JSON of one or several results, with findings and disclaimer; `more` is added to each."""
    cases = [
        {
            "disclaimer": result.disclaimer,
            "sex": result.sex,
            "age": result.age,
            "reference": result.reference,
            "dxa_scale": result.dxa_scale,
            "total_reason": result.total_reason,
            "findings": [item.to_dict() for item in result.findings],
            "rows": to_rows(result),
            **(more or {}),
        }
        for result in results
    ]
    content = cases[0] if len(cases) == 1 else {"results": cases}
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_delimited(results: list[BMDResult], delimiter: str, point: str = ".") -> str:
    """CSV or TSV of one or several results, one header line; `point` is the decimal sign."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerow(COLUMNS)
    for result in results:
        for row in to_rows(result):
            writer.writerow([_cell(name, row[name], point) for name in COLUMNS])
    return out.getvalue()


def _cell(name: str, value: Any, point: str) -> Any:
    if value is None:
        return ""
    if name in _DECIMALS:
        return fixed(value, _DECIMALS[name]).replace(".", point)
    return safe_text(value) if isinstance(value, str) else value


def safe_text(text: str) -> str:
    """A text on one line that no spreadsheet runs as a formula."""
    text = " ".join(text.split())
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text


def check_output(path: str | PathLike[str], overwrite: bool = False) -> None:
    """Refuse an output that could not be written, before the work is done.

    Raises
    ------
    CTBMDError
        Where the suffix is unknown, the folder does not exist or cannot be written
        into, the name is too long, or the file exists and may not be replaced.
    """
    path = Path(path)
    _check_suffix(path)
    if not os.path.isdir(path.parent):  # noqa: PTH112  Path raises for a name too long
        raise CTBMDError(
            f"The folder '{path.parent}' does not exist; make it or choose another.",
            "output-no-folder",
        )
    check_writable(path, overwrite)


def _check_suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise CTBMDError(f"'{path.name}' must end in {', '.join(SUFFIXES)}.", "output-suffix")
    return suffix


def write_result(
    result: BMDResult | Sequence[BMDResult],
    path: str | PathLike[str],
    overwrite: bool = False,
    more: Mapping[str, Any] | None = None,
    decimal_comma: bool = False,
) -> Path:
    """Write a result, or a list of results, by the file's suffix.

    The file is written whole or not at all.

    Parameters
    ----------
    result : BMDResult or list of BMDResult
    path : path
        Ends in .csv, .tsv or .json.
    overwrite : bool
        Whether an existing file may be replaced.
    more : mapping, optional
        What a JSON file says besides; a table has no place for it.
    decimal_comma : bool
        Whether numbers have decimal commas, as spreadsheets of many countries write and read
        them: a .csv then has semicolons, a .tsv its tabs. JSON has points.

    Raises
    ------
    CTBMDError
        Where the suffix is unknown, the file exists or cannot be written, or the
        results are in the g/cm2 of different DXA devices.
    """
    results = [result] if isinstance(result, BMDResult) else list(result)
    scales = {maker(item.dxa_scale): item for item in results}
    if len(scales) > 1:
        raise CTBMDError(
            f"The results are in the g/cm2 of different DXA devices ({', '.join(scales)}), which one "
            "table must not mix; estimate them for one device, or write a file for each.",
            "dxa-mixed",
        )
    path = Path(path)
    suffix = _check_suffix(path)
    if suffix == ".json":
        text = to_json(results, more)
    else:
        comma = ";" if decimal_comma else ","
        delimiter = comma if suffix == ".csv" else "\t"
        text = to_delimited(results, delimiter, "," if decimal_comma else ".")
    # Spreadsheet programs take UTF-8 for granted only with its mark.
    plain = text.encode("utf-8", "backslashreplace").isascii()
    encoding = "utf-8" if suffix == ".json" or plain else "utf-8-sig"
    return write_text(path, text, overwrite, encoding)


def selection_words(row: LevelResult) -> str:
    """How a row came about, for people: 'found, not in the mean', 'mean of L1 L2'."""
    if row.selection == MEAN:
        return f"mean of {row.levels}"
    if row.included:
        return row.selection
    why = f" ({row.left_out})" if row.left_out else ""
    return f"{row.selection}, not in the mean{why}"


def format_table(result: BMDResult) -> str:
    """The result as a table to read: levels, L1-L4, findings, disclaimer."""
    head = ("level", "slice S mm", "BMD g/cm2", "90 % interval", "T-score", "trabec. HU", "chosen")
    lines = [
        (
            item.level,
            _number(item.slice_s_mm, 1, ""),
            _number(item.bmd_g_cm2, 3),
            f"{item.bmd_low:.3f} - {item.bmd_high:.3f}",
            _number(item.t_score, 1, "-"),
            _number(item.trabecular_hu, 0),
            selection_words(item),
        )
        for item in result.rows
    ]
    widths = [max(len(row[i]) for row in (head, *lines)) for i in range(len(head))]

    def line(row: Sequence[str]) -> str:
        cells = [
            text.ljust(width) if i in (0, len(head) - 1) else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    out = [f"{result.levels[0].case}", line(head), "-" * len(line(head)), *map(line, lines)]
    if result.total is None and result.total_reason:
        out.append(result.total_reason)
    known = "unknown" if result.age is None else f"{result.age:g} y"
    out.append(
        f"sex {result.sex or 'unknown'}, age {known}, reference {result.reference or 'none'}, "
        f"DXA scale {maker(result.dxa_scale)}"
    )
    if result.total is not None and result.total.category:
        out.append(f"WHO category of the L1-L4 T-score: {result.total.category}")
    out += [f"{item.severity}: {item.text}" for item in result.findings]
    first = result.levels[0]
    out.append(f"model {first.model} {first.model_version} (population: {first.model_population})")
    out.append(result.disclaimer)
    return "\n".join(out) + "\n"


def report_text(result: BMDResult) -> str:
    """A plain-text report: title, table, findings, disclaimer."""
    title = "Areal bone mineral density estimated from CT (CTBMD)"
    return f"{title}\n{'=' * len(title)}\n\n{format_table(result)}"


def _number(value: float | None, decimals: int, unknown: str = "unknown") -> str:
    return unknown if value is None else fixed(value, decimals)


def fixed(value: float, decimals: int) -> str:
    """A number with fixed decimals, never '-0.0'."""
    return f"{round(value, decimals) + 0.0:.{decimals}f}"
