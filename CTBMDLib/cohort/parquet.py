"""The table of a batch as Parquet, where pyarrow is installed: a folder of parts, one run beside another.

'all.parquet/run-0001-4f0c.../part-0001.parquet': what pyarrow, pandas, DuckDB and Spark read
as one table. A run is filled under a hidden name, which they pass over, and is there at
once and whole; another run can be added beside it, and one that is run again takes its own place.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..bmd.export import COLUMNS, check_output, to_rows, write_result
from ..bmd.result import BMDResult
from ..dxa import maker
from ..errors import CTBMDError, shown
from ..model.bundle import ModelBundle
from ..safefile import check_writable, put_folder, why, write_with

SUFFIX = ".parquet"
PART_CASES = 5000
"""Cases of a part; the rows of a case are never in two."""
_NUMBERS = (
    "slice_s_mm", "bmd_g_cm2", "bmd_low", "bmd_high", "t_score", "trabecular_hu",
)  # fmt: skip
_RUN = re.compile(r"run-(\d{4,9})-([0-9a-f]{1,64})")
_PART = re.compile(r"part-\d{4,9}\.parquet")


def check_table(path: Path, overwrite: bool, append: bool = False) -> None:
    """As `export.check_output`, for Parquet too.

    Raises
    ------
    CTBMDError
        Also where rows shall be added to what is no Parquet table of parts.
    """
    if path.suffix.lower() != SUFFIX:
        if append:
            raise CTBMDError(
                f"Rows are added to a table of Parquet alone; name a {SUFFIX} instead of "
                f"'{path.name}', or take a new name.",
                "append-no-parquet",
            )
        check_output(path, overwrite)
        return
    if importlib.util.find_spec("pyarrow") is None:
        raise CTBMDError(
            "A Parquet table needs pyarrow, which is not installed; install it by: "
            "pip install pyarrow, or name a .csv.",
            "no-pyarrow",
        )
    if not os.path.isdir(path.parent):  # noqa: PTH112  Path raises for a name too long
        raise CTBMDError(
            f"The folder '{path.parent}' does not exist; make it or choose another.",
            "output-no-folder",
        )
    if not os.path.isdir(path):  # noqa: PTH112
        if append and path.exists():
            raise CTBMDError(
                f"'{path}' is a single file, to which nothing can be added; name another table.",
                "append-no-parts",
            )
        check_writable(path, overwrite)
        return
    if not _is_table(path):
        raise CTBMDError(
            f"'{path}' is a folder and no table of CTBMD; name another.", "output-is-folder"
        )
    if not (overwrite or append):
        raise CTBMDError(
            f"'{path}' exists already; choose another name, add to it (--append) or allow "
            "overwriting (--overwrite).",
            "output-exists",
        )
    check_writable(path.with_name(f"{path.name}.parts"), overwrite=True)


def check_alike(path: Path, bundle: ModelBundle, dxa_scale: str | None) -> None:
    """Refuse to add rows to a table of other columns, of another model or another DXA device.

    Raises
    ------
    CTBMDError
    """
    if not path.is_dir():
        return
    mine = (bundle.name, bundle.version, bundle.population)
    names = ["dxa_scale", "model", "model_version", "model_population"]
    for table in _read(path, names, but=""):
        for row in table.group_by(names).aggregate([]).to_pylist():
            if row["dxa_scale"] != dxa_scale:
                raise CTBMDError(
                    f"'{path}' is in the g/cm2 of another DXA device ({maker(row['dxa_scale'])}), "
                    "which one table must not mix; name another output, or estimate for that device.",
                    "dxa-mixed",
                )
            if tuple(row[name] for name in names[1:]) != mine:
                other = f"{row['model']} {row['model_version']}"
                raise CTBMDError(
                    f"'{path}' has rows of another model ({shown(other)}), these would be of "
                    f"{bundle.name} {bundle.version}; name another output.",
                    "study-model",
                )


def cases_in(path: Path, but: str) -> set[str]:
    """The cases of a table, those of the run `but` left out.

    Raises
    ------
    CTBMDError
        Where it cannot be read.
    """
    found: set[str] = set()
    if path.is_dir():
        for table in _read(path, ["case"], but):
            found.update(table.column("case").unique().to_pylist())
    return found


def write_table(
    results: Sequence[BMDResult], path: Path, run: str = "0", append: bool = False
) -> None:
    """Write a table by its suffix in the place of what lies there, whole or not at all.

    Parameters
    ----------
    results : sequence of BMDResult
    path : Path
    run : str
        Hexadecimal; the same run takes its own place again.
    append : bool
        Whether a Parquet table's other runs stay.

    Raises
    ------
    CTBMDError
    """
    if path.suffix.lower() != SUFFIX:
        write_result(results, path, overwrite=True)
    elif append and path.is_dir():
        put_folder(path / _name(path, run), lambda part: _write_parts(results, part))
    else:

        def fill(part: Path) -> None:
            (part / f"run-0001-{run}").mkdir()
            _write_parts(results, part / f"run-0001-{run}")

        put_folder(path, fill)


def write_single(results: Sequence[BMDResult], path: Path) -> None:
    """Write a table as one file, of Parquet too.

    Raises
    ------
    CTBMDError
    """
    if path.suffix.lower() != SUFFIX:
        write_result(results, path, overwrite=True)
        return
    parquet: Any = importlib.import_module("pyarrow.parquet")
    table = _table(results)
    write_with(path, lambda file: parquet.write_table(table, file), overwrite=True)


def _name(path: Path, run: str) -> str:
    """The folder of a run: its own, else the next number."""
    runs = {m[2]: int(m[1]) for m in map(_RUN.fullmatch, os.listdir(path)) if m}  # noqa: PTH208
    return f"run-{runs.get(run, 1 + max(runs.values(), default=0)):04d}-{run}"


def _write_parts(results: Sequence[BMDResult], folder: Path) -> None:
    for number, first in enumerate(range(0, len(results), PART_CASES), start=1):
        write_single(results[first : first + PART_CASES], folder / f"part-{number:04d}{SUFFIX}")


def _is_table(path: Path) -> bool:
    """Whether nothing but runs and their parts lies in a folder; what is hidden is no matter."""
    try:
        entries = list(path.iterdir())
        runs = [x for x in entries if not x.name.startswith(".")]
        parts = [y for x in runs if x.is_dir() for y in x.iterdir() if not y.name.startswith(".")]
    except OSError:
        return False
    if entries and not runs:  # somebody's hidden files and no table
        return False
    return all(_RUN.fullmatch(x.name) and x.is_dir() for x in runs) and all(
        _PART.fullmatch(x.name) and x.is_file() for x in parts
    )


def _read(path: Path, names: list[str], but: str) -> Iterator[Any]:
    """Columns of each part of a table, those of the run `but` left out.

    Raises
    ------
    CTBMDError
        Where a part is damaged, or has other columns.
    """
    parquet: Any = importlib.import_module("pyarrow.parquet")
    for run in sorted(x for x in path.iterdir() if (m := _RUN.fullmatch(x.name)) and m[2] != but):
        for part in sorted(x for x in run.iterdir() if _PART.fullmatch(x.name)):
            try:
                with parquet.ParquetFile(part) as file:
                    alike = file.schema_arrow.equals(_schema())
                    table = file.read(columns=names) if alike else None
            except (OSError, ValueError, RuntimeError, LookupError) as error:  # as pyarrow's are
                raise CTBMDError(
                    f"'{part}' cannot be read ({shown(why(error))}); copy it again, or name another "
                    "output.",
                    "table-unreadable",
                ) from None
            if table is None:
                raise CTBMDError(
                    f"'{path}' has other columns than this version of CTBMD writes; name another output.",
                    "study-columns",
                )
            yield table


def _schema() -> Any:
    """Each of `COLUMNS` with its one type: text, numbers, and unknown as null."""
    arrow: Any = importlib.import_module("pyarrow")
    types = {name: arrow.float64() for name in _NUMBERS} | {"images": arrow.int64()}
    return arrow.schema([(name, types.get(name, arrow.string())) for name in COLUMNS])


def _table(results: Sequence[BMDResult]) -> Any:
    arrow: Any = importlib.import_module("pyarrow")
    rows = [row for result in results for row in to_rows(result)]
    for row in rows:
        for name, value in row.items():
            if isinstance(value, str):  # a file name that is not UTF-8, see `safefile.write_text`
                row[name] = value.encode("utf-8", "backslashreplace").decode("utf-8")
    return arrow.Table.from_pylist(rows, schema=_schema())
