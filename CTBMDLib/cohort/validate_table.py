"""The table of a validation: CT paths with the DXA of the same persons; a bad row is listed, not fatal."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..bmd.result import TOTAL
from ..errors import CTBMDError
from ..levels import MEASURED
from .caselist import CSV_COLUMNS, Case
from .dxa_cells import BMD_RANGE, check_dxa, number
from .tables import Record, read_records

T_RANGE = (-9.0, 9.0)
"""Outside it a T-score is a mistake."""

MAX_DAYS = 365.0
"""Days between CT and DXA beyond which a pair is left out unless asked for.

A woman loses some 2 % a year about the menopause; a year keeps that below the
precision that is looked for (training/EVIDENCE.md).
"""

DXA_COLUMNS = (*MEASURED, TOTAL, "t_score", "t_mean", "t_sd")
FACT_COLUMNS = ("patient", "device", "interval_days", "manufacturer", "segmentation", "left_out")
KNOWN_COLUMNS = (*CSV_COLUMNS, *DXA_COLUMNS, *FACT_COLUMNS)
"""Columns that are read; others are passed over."""
ALIASES = {
    "dxa_device": "device",
    "t-score": "t_score",
    "tscore": "t_score",
    "t": "t_score",
    "t_l1-l4": "t_score",
    "days": "interval_days",
    "interval": "interval_days",
    "scanner": "manufacturer",
    "vendor": "manufacturer",
    "person": "patient",
    "patient_id": "patient",
    "dicom": "path",
    "ct": "path",
}
"""Other titles that are understood; the table's own column of that name comes first."""


@dataclass(frozen=True)
class Measured:
    """A CT of the table and the DXA of the same person.

    Attributes
    ----------
    line : int
        Of the table's file, from 1.
    case : Case
        Called what the table calls it, or by its line.
    segmentation : str or None
        A label volume of the vertebrae, where there is no levels file.
    bmd : dict of str to float
        DXA areal BMD by level ('L1' ... 'L4'), g/cm2; may be empty.
    total : float or None
        DXA L1-L4, g/cm2: as given, from the T-score and its reference, or the
        mean of the levels.
    t_score : float or None
        As the DXA's report gives it.
    patient, device, manufacturer : str or None
    interval_days : float or None
        Between CT and DXA, without its sign.
    """

    line: int
    case: Case
    bmd: dict[str, float]
    total: float | None
    t_score: float | None
    segmentation: str | None = None
    patient: str | None = None
    device: str | None = None
    manufacturer: str | None = None
    interval_days: float | None = None


@dataclass(frozen=True)
class LeftOut:
    """A row of the table that is not compared, and the sentence why."""

    line: int
    case: str
    reason: str


def read_measured(
    path: Path, max_days: float | None = MAX_DAYS
) -> tuple[list[Measured], list[LeftOut]]:
    """The rows that can be compared, and the others; every row is in one of the two.

    Parameters
    ----------
    path : Path
        CSV or TSV with the column `path`, at least one of `L1, L2, L3, L4, L1-L4`
        (g/cm2) and `t_score`, and where wanted those of a list of cases (`case,
        sex, age, kvp, levels, series_uid, include`), `segmentation, patient, device,
        interval_days, manufacturer`, `t_mean, t_sd` (g/cm2), the reference that the
        T-score was made with, and `left_out`: why a person leaves the row out.
        Other columns are passed over.
    max_days : float or None
        Pairs further apart are left out; None keeps them.

    Raises
    ------
    CTBMDError
        Where the file is no such table at all.
    """
    check_table_path(path)
    names, records = read_records(path)
    twice = [name for name in KNOWN_COLUMNS if names.count(name.lower()) > 1]
    if twice:
        raise CTBMDError(
            f"The column '{twice[0]}' of '{path}' appears twice; take one out.", "list-columns"
        )
    titles = {*names} | {ALIASES[name] for name in names if name in ALIASES}
    values = (*(level.lower() for level in MEASURED), TOTAL.lower(), "t_score")
    if "path" not in titles or not titles & {*values}:
        raise CTBMDError(
            f"The table '{path}' needs a column path and at least one of {', '.join(MEASURED)}, "
            f"{TOTAL} (g/cm2) and t_score.",
            "table-columns",
        )
    if not records:
        raise CTBMDError(f"The table '{path}' has no rows below its titles.", "no-cases")
    rows: list[Measured] = []
    left: list[LeftOut] = []
    seen: dict[tuple[str, str], int] = {}
    for record in map(_named, records):
        row, wrong = _row(record, path.parent, max_days)
        if not wrong:
            key = (os.path.realpath(row.case.path), row.case.series_uid or "")
            first = seen.setdefault(key, record.line)
            if first != record.line:
                wrong.append(f"it names the same CT as line {first}")
        if wrong:
            left.append(left_out(row, sentence(wrong)))
        else:
            rows.append(row)
    return rows, left


def check_table_path(path: Path) -> None:
    """Refuse a table that is not there.

    Raises
    ------
    CTBMDError
    """
    if not os.path.exists(path):  # noqa: PTH110  Path's raises for a name too long
        raise CTBMDError(f"The table '{path}' does not exist; check the path.", "no-such-file")


def left_out(row: Measured, reason: str) -> LeftOut:
    """The row as one that is not compared; the reason does not tell where its files lie."""
    for what, name in (
        ("the CT", row.case.path),
        ("the levels file", row.case.levels),
        ("the segmentation", row.segmentation),
    ):
        if name:
            for text in (str(name), Path(name).name):
                reason = reason.replace(f"'{text}'", what)
    return LeftOut(row.line, row.case.title, f"{reason[:1].upper()}{reason[1:]}")


def sentence(parts: Iterable[str]) -> str:
    """Parts of a reason as one sentence; never empty."""
    text = "; ".join(x for part in parts if (x := part.strip(". "))) or "the table leaves it out"
    return f"{text[:1].upper()}{text[1:]}."


def _named(record: Record) -> Record:
    """The record under the titles of the program, whatever synonyms the table has."""
    cells = dict(record.cells)
    for other, name in ALIASES.items():
        if cells.get(other) and not cells.get(name):
            cells[name] = cells[other]
    return Record(record.line, cells, record.surplus)


def _row(record: Record, folder: Path, max_days: float | None) -> tuple[Measured, list[str]]:
    """One row as what was measured, and what is wrong with it."""
    cells = record.cells
    case, segmentation = _case(record, folder)
    if cells.get("left_out"):
        return Measured(record.line, case, {}, None, None, segmentation), [cells["left_out"]]
    wrong = _check_files(case, segmentation)
    if record.surplus:
        wrong.append(
            "more cells than columns (where the comma is the decimal sign, separate by semicolons)"
        )
    t_score, reference, errors = _t_score(cells)
    given = {name: cells.get(name.lower(), "") for name in (*MEASURED, TOTAL)}
    bmd, total, faults = check_dxa(given)
    if t_score is not None:
        faults = [fault for fault in faults if fault != "no DXA value"]
        if total is None and reference is not None:
            total = reference[0] + reference[1] * t_score
            if not BMD_RANGE[0] <= total <= BMD_RANGE[1]:
                faults.append(f"its T-score and reference make {total:.3f} g/cm2, which is no BMD")
    days = cells.get("interval_days") or None
    apart = number(days) if days else None
    if days and apart is None:
        wrong.append(f"interval_days '{days}' is no number of days")
    elif apart is not None and max_days is not None and abs(apart) > max_days:
        wrong.append(
            f"CT and DXA lie {abs(apart):g} days apart (at most {max_days:g} are compared)"
        )
    wrong += errors + faults
    if total is None and t_score is None and not wrong:
        wrong.append("no DXA value")
    measured = Measured(
        record.line,
        case,
        bmd,
        total,
        t_score,
        segmentation,
        cells.get("patient") or None,
        cells.get("device") or None,
        cells.get("manufacturer") or None,
        None if apart is None else abs(apart),
    )
    return measured, wrong


def _case(record: Record, folder: Path) -> tuple[Case, str | None]:
    """The case of a row and its segmentation; files are relative to the table."""
    cells = record.cells
    values = {name: cells.get(name) or None for name in (*CSV_COLUMNS, "segmentation")}
    for name in ("path", "levels", "segmentation"):
        if values[name]:
            values[name] = str(folder / str(values[name]))
    path, segmentation = values.pop("path") or "", values.pop("segmentation")
    values["case"] = values["case"] or f"line {record.line}"
    return Case(path, **values), segmentation


def _check_files(case: Case, segmentation: str | None) -> list[str]:
    if not case.path:
        return ["no CT is named"]
    wrong = []
    for what, name in (
        ("CT", case.path),
        ("levels file", case.levels),
        ("segmentation", segmentation),
    ):
        if name and not os.path.exists(name):  # noqa: PTH110  Path's raises for a name too long
            wrong.append(f"the {what} does not exist")
    return wrong


def _t_score(
    cells: dict[str, str],
) -> tuple[float | None, tuple[float, float] | None, list[str]]:
    """The T-score, its reference (mean, SD in g/cm2) where both are given, and what is wrong."""
    wrong = []
    found: dict[str, float | None] = {}
    for name in ("t_score", "t_mean", "t_sd"):
        text = cells.get(name) or ""
        found[name] = number(text) if text else None
        if text and found[name] is None:
            wrong.append(f"{name} '{text}' is no number")
    t_score, mean, sd = found["t_score"], found["t_mean"], found["t_sd"]
    if t_score is not None and not T_RANGE[0] <= t_score <= T_RANGE[1]:
        wrong.append(f"t_score {t_score:g} is no T-score")
        t_score = None
    if mean is not None and not 0.5 <= mean <= 2.0:
        wrong.append(f"t_mean {mean:g} is no young adults' mean in g/cm2")
    if sd is not None and not 0.05 <= sd <= 0.3:
        wrong.append(f"t_sd {sd:g} is no young adults' SD in g/cm2")
    reference = (mean, sd) if mean is not None and sd is not None and not wrong else None
    return t_score, reference, wrong
