"""One table for a study, to which cases are added one at a time, by hand and by several people.

What stands in it stays as it is, comments and columns of one's own included. A case
is never there twice without a word: it is known again by its name, and by its scan
whatever it is called.
"""

from __future__ import annotations

import csv
import io
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..bmd.estimate import UNNAMED
from ..bmd.export import COLUMNS, check_output, safe_text, to_delimited
from ..bmd.result import BMDResult
from ..dxa import maker, scale_for
from ..errors import CTBMDError, shown
from ..model.bundle import ModelBundle
from ..safefile import check_writable, write_text
from .filelock import PATIENCE_S, locked
from .tables import Table, read_table

SUFFIXES = (".csv", ".tsv")
MODEL = ("model", "model_version", "model_population")
NUMBERS = ("slice_s_mm", "bmd_g_cm2", "bmd_low", "bmd_high", "t_score", "trabecular_hu")
"""Columns that may have a decimal comma."""
SCAN = ("level", "slice_s_mm", "trabecular_hu")
"""By what a scan and its slices are known again, under whatever name and model: positions
to 0.01 mm and mean HU to 0.1 of several levels."""
REPLACE, SKIP = "replace", "skip"

_ROOM = 1 << 16  # bytes that the rows of a case never need
_NUMBERED = re.compile(r"case (\d{1,9})")
_SEP = re.compile("sep=.\r?\n", re.IGNORECASE)
_BOM = b"\xef\xbb\xbf"

_Record = dict[str, str]


class CaseThereError(CTBMDError):
    """The case is in the table already, and nobody has said what to do.

    Attributes
    ----------
    case : str
        What it is called there.
    same : bool
        Whether its rows there are just those that were to be added.
    """

    def __init__(self, path: Path, case: str, same: bool) -> None:
        how = "with the same values" if same else "with other values"
        super().__init__(
            f"'{path}' has '{shown(case)}' already, {how}; replace it or skip it (--if-there).",
            "case-there",
        )
        self.case, self.same = case, same


@dataclass(frozen=True)
class Appended:
    """What became of a case.

    Attributes
    ----------
    path : Path
    case : str
        What it is called in the table.
    did : {'added', 'replaced', 'skipped'}
    """

    path: Path
    case: str
    did: str


def check_table(
    path: str | os.PathLike[str],
    bundle: ModelBundle | None = None,
    *,
    dxa: str | None = None,
    mixed: bool = False,
    if_there: str | None = None,
) -> None:
    """Refuse a study table that could not be written, before the work is done.

    Parameters
    ----------
    path : path-like
    bundle : ModelBundle, optional
        By whose results it would be added to; what is in the table is then looked at too.
    dxa : {'hologic', 'lunar'}, optional
        See `estimate`.
    mixed : bool
    if_there : {'replace', 'skip'}, optional
        See `append_result`.

    Raises
    ------
    CTBMDError
        As `append_result`, where that is known beforehand.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise CTBMDError(
            f"'{path.name}' must end in {' or '.join(SUFFIXES)}, as a study's table does.",
            "output-suffix",
        )
    check_output(path, overwrite=True)
    if bundle is None:
        return
    path = Path(os.path.realpath(path))
    with locked(path):
        there = _Study(path, decimal_comma=False)
        there.check_columns(mixed)
        row = dict(zip(MODEL, (bundle.name, bundle.version, bundle.population), strict=True))
        row["dxa_scale"] = scale_for(bundle.card, dxa).target or ""
        if if_there != REPLACE:  # which rows are replaced is known only when all is computed
            there.check_model(row, [], mixed)
        there.with_rows([{**dict.fromkeys(COLUMNS, ""), **row}], [])
        size = path.stat().st_size if path.exists() else 0
        check_writable(path, overwrite=True, room=size + _ROOM)


def append_result(
    result: BMDResult,
    path: str | os.PathLike[str],
    *,
    case: str | None = None,
    if_there: str | None = None,
    mixed: bool = False,
    decimal_comma: bool = False,
    patience_s: float = PATIENCE_S,
) -> Appended:
    """Add a result's rows to a table, which is made where there is none.

    Parameters
    ----------
    result : BMDResult
    path : path-like
        Ends in .csv or .tsv; what separates the cells of an existing one is seen from it.
    case : str, optional
        What to call the case; else what the result calls it, or where that is
        nobody's name, the next 'case 1', 'case 2' ...
    if_there : {'replace', 'skip'}, optional
        What to do with a case that is there already.
    mixed : bool
        Whether a table with other columns, or with rows of another model, will do:
        columns that it lacks are added to it, and its own stay empty.
    decimal_comma : bool
        Whether a new table has decimal commas, and semicolons where it is a .csv; an
        existing one keeps its own.
    patience_s : float
        Seconds to wait for another writer.

    Raises
    ------
    CaseThereError
        Where the case is there already and `if_there` does not say what to do.
    CTBMDError
        Where the table is another, cannot be read or written, or is in the g/cm2 of
        another DXA device.
    """
    check_table(path)
    path = Path(os.path.realpath(path))  # a link stays one
    with locked(path, patience_s):
        there = _Study(path, decimal_comma)
        there.check_columns(mixed)
        rows = _records(result)
        name, old = there.find(rows, _given(case, result))
        for row in rows:
            row["case"] = safe_text(name)
        if old:
            same = _content(rows) == _content([there.records[i] for i in old])
            if if_there is None:
                raise CaseThereError(path, there.records[old[0]]["case"], same)
            if if_there == SKIP:
                return Appended(path, there.records[old[0]]["case"], "skipped")
        there.check_model(rows[0], old, mixed)
        there.write(rows, old)
    return Appended(path, name, "replaced" if old else "added")


def _given(case: str | None, result: BMDResult) -> str | None:
    case = " ".join((case or "").split())
    named = result.rows[0].case
    return case or (named if named != UNNAMED else None)


def _records(result: BMDResult) -> list[_Record]:
    """The rows of a result by their columns, as a table has them."""
    text = io.StringIO(to_delimited([result], "\t"), newline="")
    return list(csv.DictReader(text, delimiter="\t"))


def _value(name: str, cell: str) -> str | float:
    """A cell as it is compared: a spreadsheet may have dropped a zero or set a decimal comma."""
    if name in NUMBERS:
        try:
            return round(float(cell.replace(",", ".")), 6)
        except ValueError:
            pass
    return " ".join(cell.split())


def _content(rows: Sequence[_Record]) -> set[tuple[str | float, ...]]:
    names = [name for name in COLUMNS if name not in ("case", "series_uid")]
    return {tuple(_value(name, row.get(name, "")) for name in names) for row in rows}


def _scan(rows: Sequence[_Record]) -> frozenset[tuple[str | float, ...]]:
    """What a case's scan and slices are known by; empty where too little is known of them."""
    known = [row for row in rows if row.get("slice_s_mm") and row.get("trabecular_hu")]
    if len(known) < 2:
        known = []
    return frozenset(tuple(_value(name, row[name]) for name in SCAN) for row in known)


class _Study:
    """A table as it is on the disk, locked by the caller; `records` are its rows by column."""

    def __init__(self, path: Path, decimal_comma: bool) -> None:
        self.path = path
        self.titles = list(COLUMNS)
        self._table: Table | None = None
        self._bom = self._private = False
        self._end = "\n"
        self.delimiter = "\t" if path.suffix.lower() == ".tsv" else ";" if decimal_comma else ","
        if path.exists() and path.stat().st_size > len(_BOM):
            self._read()
        self.records = self._by_title()
        points = "".join(row.get(name, "") for row in self.records for name in NUMBERS)
        # A spreadsheet writes its decimal comma, in quotation marks, between commas as well; a
        # new table has it beside semicolons, and beside tabs where that is asked for.
        by_itself = self.delimiter == ";" or (self.delimiter == "\t" and decimal_comma)
        self._comma = "," in points or (by_itself and "." not in points)

    def _read(self) -> None:
        self._table = table = read_table(self.path)
        self.titles = [cell.lower() for cell in table.rows[0].cells] if table.rows else []
        self.delimiter = table.delimiter
        with self.path.open("rb") as file:
            self._bom = file.read(len(_BOM)) == _BOM
        self._private = not stat.S_IMODE(self.path.stat().st_mode) & 0o077
        self._end = "\r\n" if table.lines and table.lines[0].endswith("\r\n") else "\n"

    def _by_title(self) -> list[_Record]:
        rows = self._table.rows[1:] if self._table else []
        for row in rows:
            if any(row.cells[len(self.titles) :]):
                raise CTBMDError(
                    f"Line {row.line} of '{self.path}' has more cells than columns; mend it first.",
                    "study-cells",
                )
        return [dict(zip(self.titles, row.cells, strict=False)) for row in rows]

    def check_columns(self, mixed: bool) -> None:
        """Refuse what is no table of cases, and one of other columns unless `mixed`.

        Raises
        ------
        CTBMDError
        """
        titles = self.titles
        needed = ("case", "level", "bmd_g_cm2")
        if len(set(titles)) < len(titles) or not all(name in titles for name in needed):
            raise CTBMDError(
                f"'{self.path}' is not a table of CTBMD; choose another, or a new name.",
                "study-no-table",
            )
        lacks = [name for name in COLUMNS if name not in titles]
        more = [name for name in titles if name not in COLUMNS]
        if (lacks or more) and not mixed:
            what = f"lacks {', '.join(lacks)}" if lacks else f"has its own: {', '.join(more)}"
            raise CTBMDError(
                f"'{self.path}' has other columns ({shown(what)}); choose another table, or allow it "
                "(--mixed).",
                "study-columns",
            )

    def find(self, rows: list[_Record], wanted: str | None) -> tuple[str, list[int]]:
        """What to call a case, and which records are it already.

        Raises
        ------
        CTBMDError
            Where the name is another case's, while the scan is there by another name.
        """
        cases: dict[str, list[int]] = {}
        for index, record in enumerate(self.records):
            cases.setdefault(record.get("case", ""), []).append(index)
        scan = _scan(rows)
        known = [
            name
            for name, indices in cases.items()
            if scan and scan == _scan([self.records[i] for i in indices])
        ]
        name = None if wanted is None else safe_text(wanted)
        if name in cases:
            if known and name not in known:
                raise CTBMDError(
                    f"'{self.path}' has another case called '{shown(name)}', and this scan as "
                    f"'{shown(known[0])}'; choose another name.",
                    "study-name-taken",
                )
            return wanted or name, cases[name]
        if known:
            return wanted or known[0], cases[known[0]]
        numbers = [int(m[1]) for m in map(_NUMBERED.fullmatch, cases) if m]
        return wanted or f"case {max(numbers, default=0) + 1}", []

    def check_model(self, row: _Record, old: list[int], mixed: bool) -> None:
        """Refuse rows of another model beside those that stay, and of another DXA device.

        Raises
        ------
        CTBMDError
        """
        stay = [record for i, record in enumerate(self.records) if i not in old]
        devices = {x["dxa_scale"] for x in stay if "dxa_scale" in x} - {row["dxa_scale"]}
        if devices:
            raise CTBMDError(
                f"'{self.path}' is in the g/cm2 of another DXA device ({maker(devices.pop() or None)}), "
                "which one table must not mix; choose another table, or estimate for that device.",
                "dxa-mixed",
            )
        mine = tuple(row[name] for name in MODEL)
        others = [x for x in stay if tuple(x.get(name, "") for name in MODEL) != mine]
        if others and not mixed:
            names = (" ".join((x.get("model", ""), x.get("model_version", ""))) for x in others)
            raise CTBMDError(
                f"'{self.path}' has rows of another model ({shown(next(names))}), these are of "
                f"{mine[0]} {mine[1]}; choose another table, or allow it (--mixed).",
                "study-model",
            )

    def write(self, rows: list[_Record], old: list[int]) -> None:
        """Write the table with `rows` in the place of the records `old`, else at its end.

        What a person wrote beside a level, in a column of their own, stays beside it.

        Raises
        ------
        CTBMDError
        """
        text = self.with_rows(rows, old)
        was = "" if self._table is None else "".join(self._table.lines)
        mark = self._bom or (was.isascii() and not text.isascii())
        encoding = "utf-8-sig" if mark else "utf-8"
        write_text(self.path, text, overwrite=True, encoding=encoding, private=self._private)

    def with_rows(self, rows: list[_Record], old: list[int]) -> str:
        """The text that `write` writes.

        Raises
        ------
        CTBMDError
            Where the table is damaged.
        """
        titles = [*self.titles, *(name for name in COLUMNS if name not in self.titles)]
        if self._comma:
            rows = [
                {k: v.replace(".", ",") if k in NUMBERS else v for k, v in row.items()}
                for row in rows
            ]
        own = [name for name in titles if name not in COLUMNS]
        before = {self.records[i].get("level"): self.records[i] for i in old}
        rows = [
            {**row, **{x: before.get(row["level"], {}).get(x, "") for x in own}} for row in rows
        ]
        new = "".join(self._line([row[name] for name in titles]) for row in rows)
        out = [self._line(titles)] if self._table is None else self._kept(titles, old, new)
        text = "".join(out) + ("" if old else new)
        self._check_whole(text, 1 + len(self.records) - len(old) + len(rows))
        return text

    def _check_whole(self, text: str, rows: int) -> None:
        """Refuse a table in which a quotation mark that is never closed would swallow new rows."""
        lines = io.StringIO(text.partition("\n")[2] if _SEP.match(text) else text, newline="")
        found = sum(
            any(x.strip() for x in row) for row in csv.reader(lines, delimiter=self.delimiter)
        )
        if found != rows:
            raise CTBMDError(
                f"'{self.path}' is damaged; look for a quotation mark that is never closed.",
                "table-damaged",
            )

    def _kept(self, titles: list[str], old: list[int], new: str) -> list[str]:
        """The lines that stay, as they are but for columns that were added."""
        assert self._table is not None
        table = self._table
        out: list[str] = []
        added = titles[len(self.titles) :]
        end = 0
        for number, (row, (first, last)) in enumerate(zip(table.rows, table.spans(), strict=True)):
            text = "".join(table.lines[first:last])
            out += table.lines[end:first]
            end = last
            if number - 1 in old:
                out.append(new if number - 1 == old[0] else "")
                continue
            bare = text.rstrip("\r\n")
            if added:
                more = added if number == 0 else [""] * (len(titles) - len(row.cells))
                bare += "".join(self.delimiter + name for name in more)
            out.append(bare + (text[len(text.rstrip("\r\n")) :] or self._end))
        rest = table.lines[end:]
        return [*out, *rest]

    def _line(self, cells: Sequence[str]) -> str:
        out = io.StringIO()
        csv.writer(out, delimiter=self.delimiter, lineterminator=self._end).writerow(cells)
        return out.getvalue()
