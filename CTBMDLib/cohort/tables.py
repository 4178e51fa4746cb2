"""Text tables that people make by hand and in spreadsheets: CSV, TSV and Excel, checked as they come in."""

from __future__ import annotations

import csv
import importlib.util
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ..errors import CTBMDError
from ..safefile import cannot_be_read

MAX_BYTES = 64 << 20
"""A table of a million rows has less; what is larger is no table of cases."""

_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes
    ----------
    line : int
        Its last line in the file, from 1.
    cells : tuple of str
        Without the white space around them.
    """

    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table as it stands in its file, so that it can be added to and stay as it was.

    Attributes
    ----------
    lines : list of str
        All of them, with their ends.
    delimiter : str
    rows : list of Row
        The titles first; empty rows are left out.
    """

    lines: list[str]
    delimiter: str
    rows: list[Row]

    def spans(self) -> list[tuple[int, int]]:
        """Which of `lines` each row is, as (first, end); empty ones before it are not its own."""
        spans, end = [], 0
        for row in self.rows:
            first = end
            while first < row.line - 1 and not self.lines[first].strip(" \t\r\n,;"):
                first += 1
            spans.append((first, row.line))
            end = row.line
        return spans


@dataclass(frozen=True)
class Record:
    """One row of a table by its titles.

    Attributes
    ----------
    line : int
        Its last line in the file, from 1.
    cells : dict of str to str
        By title in small letters; missing cells at the row's end are left out.
    surplus : bool
        Whether the row has more cells than the table has titles.
    """

    line: int
    cells: dict[str, str]
    surplus: bool


def read_records(path: Path) -> tuple[list[str], list[Record]]:
    """The titles of a table in small letters, and its rows by them.

    Raises
    ------
    CTBMDError
        See `read_rows`.
    """
    rows = read_rows(path)
    names = [title.lower() for title in rows[0].cells] if rows else []
    return names, [
        Record(
            row.line,
            dict(zip(names, row.cells, strict=False)),
            any(row.cells[len(names) :]),
        )
        for row in rows[1:]
    ]


def read_rows(path: Path) -> list[Row]:
    """The rows of a table, its titles first; empty rows are left out.

    The cells are separated by whatever of comma, semicolon and tab the titles
    hold most of, or as a first line `sep=;` says.

    Parameters
    ----------
    path : Path
        UTF-8, with or without its mark.

    Raises
    ------
    CTBMDError
        Where the file cannot be read, is no such text, or is no table.
    """
    if path.suffix.lower() == ".xlsx":
        return _sheet_rows(path)
    return read_table(path).rows


def read_table(path: Path) -> Table:
    """A table with its lines as they are; see `read_rows`.

    Raises
    ------
    CTBMDError
        As `read_rows`.
    """
    text = _text(path)
    lines = list(io.StringIO(text, newline=""))  # splitlines would part cells at U+2028 too
    skipped = 0
    if lines and lines[0].lower().startswith("sep=") and len(lines[0].rstrip("\r\n")) == 5:
        delimiter, skipped = lines[0][4], 1
    else:
        delimiter = max(",;\t", key=lines[0].count) if lines else ","
    try:
        return Table(lines, delimiter, list(_rows(lines[skipped:], delimiter, skipped)))
    except csv.Error as error:
        raise CTBMDError(
            f"'{path}' is not a table of cases ({error}); look for a quotation mark that is never "
            "closed.",
            "table-damaged",
        ) from None


def _rows(lines: list[str], delimiter: str, skipped: int) -> Iterator[Row]:
    reader = csv.reader(lines, delimiter=delimiter)
    for cells in reader:
        row = Row(reader.line_num + skipped, tuple(cell.strip() for cell in cells))
        if any(row.cells):
            yield row


def _sheet_rows(path: Path) -> list[Row]:
    """The rows of the first sheet of an Excel file, its cells as text."""
    if importlib.util.find_spec("openpyxl") is None:
        raise CTBMDError(
            f"To read '{path.name}', openpyxl is needed, which is not installed; save the table as "
            "'CSV UTF-8'.",
            "no-openpyxl",
        )
    import openpyxl

    try:
        if path.stat().st_size > MAX_BYTES:
            raise CTBMDError(f"'{path}' is too large for a table of cases.", "table-too-large")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        try:
            sheet = book.worksheets[0]
            rows = [
                Row(line, tuple(_cell_text(x) for x in cells))
                for line, cells in enumerate(sheet.iter_rows(values_only=True), start=1)
            ]
        finally:
            book.close()
    except CTBMDError:
        raise
    except OSError as error:
        raise CTBMDError(cannot_be_read(path, error), "table-unreadable") from None
    except Exception:  # openpyxl raises whatever a damaged archive makes it meet
        raise CTBMDError(
            f"'{path}' is not an Excel table that can be read; save it as 'CSV UTF-8'.",
            "table-damaged",
        ) from None
    return [row for row in rows if any(row.cells)]


def _cell_text(value: object) -> str:
    """A cell as a person reads it: whole numbers without a point, dates as 2024-03-01."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime):
        return value.date().isoformat()
    return str(value).strip()


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CTBMDError(
                f"'{path}' is larger than {MAX_BYTES >> 20} MB, which no table of cases is; check "
                "that it is the right file.",
                "table-too-large",
            )
        content = path.read_bytes()
    except OSError as error:
        raise CTBMDError(cannot_be_read(path, error), "table-unreadable") from None
    if content.startswith(_UTF16):
        raise _not_text(path, "it is UTF-16 ('Unicode text')")
    if b"\0" in content:
        raise _not_text(path, "it holds NUL characters")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _not_text(path, f"line {line} is in another encoding, such as Windows-1252") from None


def _not_text(path: Path, reason: str) -> CTBMDError:
    return CTBMDError(
        f"'{path}' cannot be read as a UTF-8 text table: {reason}; save it as 'CSV UTF-8'.",
        "list-not-text",
    )
