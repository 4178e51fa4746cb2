"""What the adapters of public data sets share: the table that they make for a validation."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..errors import CTBMDError
from ..safefile import write_text
from .tables import Record, read_records
from .validate_table import KNOWN_COLUMNS

CASES = "cases.csv"


def write_cases(rows: Iterable[dict[str, str]], folder: Path, overwrite: bool) -> Path:
    """Write the table of cases; one that is there already and says the same stays.

    It names where the CT lie, so that only the user may read it.

    Parameters
    ----------
    rows : iterable of dict
        By the titles of `KNOWN_COLUMNS`.
    folder : Path
    overwrite : bool

    Raises
    ------
    CTBMDError
        Where it cannot be written, or another table of that name may not be replaced.
    """
    rows = list(rows)
    titles = [name for name in KNOWN_COLUMNS if any(row.get(name) for row in rows)]
    out = io.StringIO()
    writer = csv.DictWriter(out, titles, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    path = folder / CASES
    same = path.is_file() and path.read_text(encoding="utf-8", errors="replace") == out.getvalue()
    return path if same else write_text(path, out.getvalue(), overwrite, private=True)


def read_subjects(path: Path, titles: Sequence[str]) -> tuple[str, list[Record]]:
    """The rows of a table of DXA, and which of its columns names the subject.

    Parameters
    ----------
    path : Path
    titles : sequence of str
        Columns that may name it, in small letters; the first that is there counts.

    Raises
    ------
    CTBMDError
        Where there is none, or the file is no table.
    """
    names, records = read_records(path)
    column = next((title for title in titles if title in names), None)
    if column is None:
        raise CTBMDError(
            f"The table '{path}' has no column that names the subject; call it '{titles[0]}'.",
            "table-columns",
        )
    return column, [record for record in records if record.cells.get(column)]


def known_cells(record: Record) -> dict[str, str]:
    """The cells of a row that a validation reads, under its titles."""
    return {
        name: record.cells[name.lower()] for name in KNOWN_COLUMNS if record.cells.get(name.lower())
    }
