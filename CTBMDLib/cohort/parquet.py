"""The table of a batch as a Parquet file, where pyarrow is installed."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..bmd.export import COLUMNS, check_output, to_rows, write_result
from ..bmd.result import BMDResult
from ..errors import CTBMDError
from ..safefile import check_writable, write_with

SUFFIX = ".parquet"
_NUMBERS = (
    "slice_s_mm", "bmd_g_cm2", "bmd_low", "bmd_high", "t_score", "trabecular_hu",
)  # fmt: skip


def check_table(path: Path, overwrite: bool) -> None:
    """As `export.check_output`, for Parquet too.

    Raises
    ------
    CTBMDError
    """
    if path.suffix.lower() != SUFFIX:
        check_output(path, overwrite)
        return
    if importlib.util.find_spec("pyarrow") is None:
        raise CTBMDError(
            "A Parquet table needs pyarrow, which is not installed; install it by: "
            "pip install 'ctbmd[cohort]', or name a .csv.",
            "no-pyarrow",
        )
    if not os.path.isdir(path.parent):  # noqa: PTH112  Path raises for a name too long
        raise CTBMDError(
            f"The folder '{path.parent}' does not exist; make it or choose another.",
            "output-no-folder",
        )
    check_writable(path, overwrite)


def write_table(results: Sequence[BMDResult], path: Path) -> None:
    """Write a table by its suffix in the place of what lies there, whole or not at all.

    Raises
    ------
    CTBMDError
    """
    if path.suffix.lower() != SUFFIX:
        write_result(results, path, overwrite=True)
        return
    table = _table(results)
    parquet: Any = importlib.import_module("pyarrow.parquet")
    write_with(path, lambda file: parquet.write_table(table, file), overwrite=True)


def _table(results: Sequence[BMDResult]) -> Any:
    """The rows of `COLUMNS`, each column of one type: text, numbers, and unknown as null."""
    arrow: Any = importlib.import_module("pyarrow")
    types = {name: arrow.float64() for name in _NUMBERS} | {"images": arrow.int64()}
    schema = arrow.schema([(name, types.get(name, arrow.string())) for name in COLUMNS])
    rows = [row for result in results for row in to_rows(result)]
    for row in rows:
        for name, value in row.items():
            if isinstance(value, str):  # a file name that is not UTF-8, see `safefile.write_text`
                row[name] = value.encode("utf-8", "backslashreplace").decode("utf-8")
    return arrow.Table.from_pylist(rows, schema=schema)
