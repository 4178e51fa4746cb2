"""A hospital's own table of CT and DXA: one row a patient, every row checked before any work."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from .errors import CTBMDError
from .estimate import TOTAL
from .levels import MEASURED

SPLITS = ("train", "validation", "test", "external")
BMD_RANGE = (0.2, 2.5)
"""g/cm2; outside it a value is a mistake, most often one in mg or a T-score."""


@dataclass(frozen=True)
class Pair:
    """A CT and the DXA of the same person.

    Attributes
    ----------
    case : str
        Names the patient; rows of one case are one patient.
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


def read_pairs(path, least: int = 1) -> list[Pair]:
    """Read the table and check every row.

    Parameters
    ----------
    path : path
        CSV with the columns `case, path`, at least one of `L1, L2, L3, L4, L1-L4`
        (g/cm2) and, where wanted, `levels, split, institution, dxa_device, sex,
        age`. Paths are relative to the file.
    least : int
        Fewest rows that make sense.

    Raises
    ------
    CTBMDError
        Naming all faults of all rows at once.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not a text file"
        raise CTBMDError(f"The table '{path}' cannot be read ({why}).") from None
    head = text.splitlines()[0] if text.strip() else ""
    delimiter = max(",;\t", key=head.count)
    reader = csv.DictReader(text.splitlines(), delimiter=delimiter)
    columns = {(name or "").strip() for name in reader.fieldnames or ()}
    missing = [name for name in ("case", "path") if name not in columns]
    if missing or not columns & {*MEASURED, TOTAL}:
        raise CTBMDError(
            f"The table '{path}' needs the columns case, path and at least one of "
            f"{', '.join((*MEASURED, TOTAL))}."
        )
    pairs, faults = [], []
    for number, raw in enumerate(reader, start=2):
        row = {
            (k or "").strip(): (v or "").strip()
            for k, v in raw.items()
            if isinstance(v, str | None)
        }
        if not any(row.values()):
            continue
        pair, wrong = _check(row, path.parent)
        faults += [f"line {number}: {fault}" for fault in wrong]
        if pair:
            pairs.append(pair)
    faults += _contradictions(pairs)
    if not faults and len(pairs) < least:
        faults.append(f"it has {len(pairs)} patients, at least {least} are needed")
    if faults:
        raise CTBMDError(f"The table '{path}' cannot be used: {'; '.join(faults)}.")
    return pairs


def _check(row, folder):
    wrong = []
    case = row.get("case", "")
    if not case:
        wrong.append("no case")
    ct = _file(row.get("path"), folder)
    if ct is None:
        wrong.append("no path")
    elif not ct.exists():
        wrong.append(f"'{row['path']}' does not exist")
    levels = _file(row.get("levels"), folder)
    if levels is not None and not levels.is_file():
        wrong.append(f"the levels file '{row['levels']}' does not exist")
    values = {}
    for name in (*MEASURED, TOTAL):
        if not row.get(name):
            continue
        value = _number(row[name])
        if value is None:
            wrong.append(f"{name} '{row[name]}' is no number")
        elif not BMD_RANGE[0] <= value <= BMD_RANGE[1]:
            wrong.append(
                f"{name} {value:g} is no areal BMD in g/cm2 ({BMD_RANGE[0]} to {BMD_RANGE[1]})"
            )
        else:
            values[name] = value
    if not values and not any(row.get(name) for name in (*MEASURED, TOTAL)):
        wrong.append("no DXA value")
    sex = (row.get("sex") or "").upper() or None
    if sex not in (None, "F", "M"):
        wrong.append(f"sex '{row['sex']}' must be F or M or empty")
    age = _number(row["age"]) if row.get("age") else None
    if row.get("age") and (age is None or not 0 <= age <= 130):
        wrong.append(f"age '{row['age']}' is no age in years")
    split = (row.get("split") or "").lower() or None
    if split not in (None, *SPLITS):
        wrong.append(f"split '{row['split']}' must be one of {', '.join(SPLITS)} or empty")
    if wrong:
        return None, wrong
    bmd = {name: values[name] for name in MEASURED if name in values}
    total = values.get(TOTAL) or sum(bmd.values()) / len(bmd)
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
    ), []


def _contradictions(pairs):
    faults, splits, paths = [], {}, {}
    for pair in pairs:
        if splits.setdefault(pair.case, pair.split) != pair.split:
            faults.append(f"case {pair.case} stands in two splits")
        if paths.setdefault(str(pair.path), pair.case) != pair.case:
            faults.append(f"'{pair.path}' is given for two cases")
    return faults


def _file(text, folder):
    return (folder / text).resolve() if text else None


def _number(text):
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return None
    return value if value == value and abs(value) < 1e6 else None
