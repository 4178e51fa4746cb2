"""A hospital's own table of CT and DXA: one row a patient, every row checked before any work."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from ..bmd.quality import Finding
from ..bmd.result import TOTAL
from ..errors import CTBMDError
from ..levels import MEASURED
from .cases import load_levels
from .dxa_cells import check_dxa, number
from .include import named_levels
from .tables import read_rows

SPLITS = ("train", "validation", "test", "external")
COLUMNS = (
    *("case", "path", "patient", "levels", *MEASURED, TOTAL),
    *("split", "institution", "dxa_device", "sex", "age", "include"),
)

Look = Callable[[str | None, Path, Path | None], list[str]]


@dataclass(frozen=True)
class Pair:
    """A CT and the DXA of the same person.

    Attributes
    ----------
    case : str
        Names the CT; no two rows share it.
    path : Path
        DICOM folder, NIfTI or NRRD.
    levels : Path or None
        A corrected levels file.
    bmd : dict of str to float
        DXA areal BMD by level ('L1' ... 'L4'), g/cm2; may be empty.
    total : float
        DXA L1-L4, g/cm2: as given, else the mean of the given levels.
    split, institution, dxa_device, sex : str or None
    age : float or None
    patient : str or None
        The person, where several rows are of one; the header's PatientID tells it otherwise.
    include : tuple of str
        Levels that count although a finding leaves them out.
    """

    case: str
    path: Path
    levels: Path | None
    bmd: dict[str, float]
    total: float
    split: str | None = None
    institution: str | None = None
    dxa_device: str | None = None
    sex: str | None = None
    age: float | None = None
    patient: str | None = None
    include: tuple[str, ...] = ()


def read_pairs(path: str | PathLike[str], least: int = 1) -> list[Pair]:
    """Read the table and check every row.

    Parameters
    ----------
    path : path
        CSV with the columns `case, path`, at least one of `L1, L2, L3, L4, L1-L4`
        (g/cm2) and, where wanted, `patient, levels, split, institution,
        dxa_device, sex, age, include`; other columns are passed over. Paths are relative
        to the file.
    least : int
        Fewest rows that make sense.

    Raises
    ------
    CTBMDError
        Naming all errors of all rows at once.
    """
    pairs, errors = check_table(path)
    if not errors and len(pairs) < least:
        errors.append(f"it has {len(pairs)} patients, at least {least} are needed")
    if errors:
        raise table_error(path, errors)
    return pairs


def check_table(
    path: str | PathLike[str], look: Look | None = None
) -> tuple[list[Pair], list[str]]:
    """The usable rows of a table, and the errors of the others.

    Parameters
    ----------
    path : path
        See `read_pairs`.
    look : callable(case, ct, levels) -> list of str, optional
        Looks into each row's CT, which is there, and answers what is wrong with it.

    Raises
    ------
    CTBMDError
        Where the file is no such table at all.
    """
    path = Path(path)
    if not _exists(path):
        raise CTBMDError(f"The table '{path}' does not exist; check the path.", "no-such-file")
    rows = read_rows(path)
    known = {name.lower(): name for name in COLUMNS}
    columns = [known.get(title.lower(), title) for title in rows[0].cells] if rows else []
    missing = [name for name in ("case", "path") if name not in columns]
    if missing or not {*columns} & {*MEASURED, TOTAL}:
        raise CTBMDError(
            f"The table '{path}' needs the columns case, path and at least one of "
            f"{', '.join((*MEASURED, TOTAL))}.",
            "table-columns",
        )
    pairs, errors = [], _column_errors(columns)
    for line in rows[1:]:
        more = any(line.cells[len(columns) :])
        row = dict.fromkeys(columns, "") | dict(zip(columns, line.cells, strict=False))
        pair, wrong = _check(row, path.parent)
        ct, levels = (_file(row.get(name), path.parent) for name in ("path", "levels"))
        if look and ct and _exists(ct) and (levels is None or _is_file(levels)):
            wrong += [text.rstrip(".") for text in look(row.get("case"), ct, levels)]
        if more:
            wrong.append(
                "more cells than columns (where the comma is the decimal sign, separate by semicolons)"
            )
        errors += [f"line {line.line}: {error}" for error in dict.fromkeys(wrong)]
        if pair and not wrong:
            pairs.append(pair)
    return pairs, errors + _contradictions(pairs)


def table_error(path: str | PathLike[str], errors: Iterable[str]) -> CTBMDError:
    """All that is wrong with a table, as one sentence."""
    return CTBMDError(f"The table '{path}' cannot be used: {'; '.join(errors)}.", "table-rows")


def finding_words(findings: Iterable[Finding]) -> str:
    """What may mean a wrong CT, level or value among a case's findings, in few words."""
    findings = list(findings)
    low = " ".join(x.level for x in findings if x.code == "unsure-level" and x.level)
    words = {
        "numbering": "vertebra numbers uncertain",
        "sex": "another sex in the header than in the table",
        "contrast": "contrast agent stated",
    }
    codes = {x.code for x in findings}
    texts = [text for code, text in words.items() if code in codes]
    return "; ".join(texts + ([f"low confidence at {low}"] if low else []))


def _column_errors(columns: Sequence[str]) -> list[str]:
    errors = []
    for name in dict.fromkeys(columns):
        if name and columns.count(name) > 1:
            errors.append(f"the column '{name}' appears twice")
        elif re.fullmatch(r"[TLS]\d+(-[TLS]\d+)?", name, re.I) and name not in COLUMNS:
            errors.append(
                f"the level of the column '{name}' is not used "
                f"({', '.join((*MEASURED, TOTAL))} are); take it out"
            )
    return errors


def _check(row: dict[str, str], folder: Path) -> tuple[Pair | None, list[str]]:
    """One row as a pair, or None and all that is wrong with it."""
    case = row.get("case", "")
    wrong = [] if case else ["no case"]
    ct, levels = _file(row.get("path"), folder), _file(row.get("levels"), folder)
    wrong += _check_files(row, ct, levels)
    bmd, total, errors = check_dxa(row)
    wrong += errors
    sex = (row.get("sex") or "").upper() or None
    if sex not in (None, "F", "M"):
        wrong.append(f"sex '{row['sex']}' must be F or M or empty")
    age = number(row["age"]) if row.get("age") else None
    if row.get("age") and (age is None or not 0 <= age <= 130):
        wrong.append(f"age '{row['age']}' is no age in years")
    split = (row.get("split") or "").lower() or None
    if split not in (None, *SPLITS):
        wrong.append(f"split '{row['split']}' must be one of {', '.join(SPLITS)} or empty")
    if wrong or ct is None or total is None:
        return None, wrong
    return Pair(
        case,
        ct,
        levels,
        bmd,
        total,
        split,
        row.get("institution") or None,
        row.get("dxa_device") or None,
        sex,
        age,
        row.get("patient") or None,
        named_levels(row.get("include")),
    ), []


def _check_files(row: dict[str, str], ct: Path | None, levels: Path | None) -> list[str]:
    wrong = []
    if ct is None:
        wrong.append("no path")
    elif not _exists(ct):
        wrong.append(f"'{row['path']}' does not exist")
    if levels is not None and not _is_file(levels):
        wrong.append(f"the levels file '{row['levels']}' does not exist")
    elif levels is not None:
        try:
            load_levels(levels)
        except CTBMDError as error:
            wrong.append(str(error).rstrip("."))
    return wrong


def _contradictions(pairs: Sequence[Pair]) -> list[str]:
    """What is wrong between rows: a case or a CT given twice, a patient in two splits."""
    errors = []
    cases: dict[str, list[Pair]] = {}
    splits: dict[str, str | None] = {}
    paths: dict[str, str] = {}
    for pair in pairs:
        cases.setdefault(pair.case, []).append(pair)
        if pair.patient and splits.setdefault(pair.patient, pair.split) != pair.split:
            errors.append(f"patient {pair.patient} is in two splits")
        if paths.setdefault(str(pair.path), pair.case) != pair.case:
            errors.append(f"'{pair.path}' is given for two cases")
    for case, rows in cases.items():
        if len(rows) > 1:
            errors.append(
                f"case {case} appears {len(rows)} times; give each CT a case of its own "
                "and the CTs of one person the same 'patient'"
            )
    return list(dict.fromkeys(errors))


def _file(text: str | None, folder: Path) -> Path | None:
    return Path(os.path.realpath(folder / text)) if text else None


# Path's own raise for a name too long, and resolve for links in a circle; os.path's do not.
def _exists(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113
