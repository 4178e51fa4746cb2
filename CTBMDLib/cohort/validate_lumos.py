"""LUMOS as a table for a validation: 280 lumbar CT beside the aBMD of the same persons.

LUMOS (Shi 2025, Proc ACM Multimedia, 10.1145/3746027.3758282; zenodo 18173664; CC BY-NC 4.0)
comes as ZIP archives of folders `lumos_ct_001/lumos_ct_001_1.dcm ...` and a spreadsheet
`lumos_clinical_data.xlsx` with the columns `patient_id, age, gender, bmd_L1-L4, T_L1-L4` and
others. That form was read from its README and from what public programs read of it; the data
themselves have not been seen.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..bmd.result import TOTAL
from ..errors import CTBMDError
from ..levels import MEASURED
from .tables import Record
from .validate_cases import read_subjects, write_cases

ID_TITLES = ("patient_id", "id", "patient")
_FOLDER = re.compile(r"lumos_ct_0*(\d+)", re.IGNORECASE)
_SEX = {"female": "F", "f": "F", "male": "M", "m": "M"}


def lumos_table(images: Path, clinical: Path, folder: Path, overwrite: bool) -> Path:
    """Make the table of a validation from LUMOS' folders and its clinical table.

    Parameters
    ----------
    images : Path
        Searched with its subfolders for `lumos_ct_NNN`; the archives must be unpacked.
    clinical : Path
        `lumos_clinical_data` saved as CSV.
    folder : Path
        Gets `cases.csv`.
    overwrite : bool

    Returns
    -------
    Path
        `cases.csv`: every CT once, and nobody who has radiographs only.

    Raises
    ------
    CTBMDError
    """
    scans = _scans(images)
    column, records = read_subjects(clinical, ID_TITLES)
    by_number = {_number(record.cells[column]): record for record in records}
    rows = []
    for number, path in sorted(scans.items()):
        row = {"path": str(path), "case": f"lumos_ct_{number:03d}", "patient": str(number)}
        record = by_number.get(number)
        if record is None:
            row["left_out"] = "no row of this patient in the table"
        else:
            row |= _cells(record)
        rows.append(row)
    return write_cases(rows, folder, overwrite)


def _scans(images: Path) -> dict[int, Path]:
    """The folder of each CT by the patient's number."""
    if not images.is_dir():
        raise CTBMDError(f"'{images}' is no folder; name that of LUMOS' CT.", "no-such-folder")
    found: dict[int, Path] = {}
    for path in sorted(images.rglob("lumos_ct_*")):
        match = _FOLDER.fullmatch(path.name)
        if match and path.is_dir():
            found.setdefault(int(match.group(1)), path)
    if not found:
        packed = next(images.rglob("lumos_ct_*.zip"), None)
        todo = (
            "unpack the archives lumos_ct_..._dcm.zip there first"
            if packed
            else "its folders are called lumos_ct_001 and so on"
        )
        raise CTBMDError(f"'{images}' holds no CT of LUMOS; {todo}.", "no-cases")
    return found


def _number(text: str) -> int | None:
    digits = re.search(r"(\d+)(\.0*)?$", text.strip())
    return int(digits.group(1)) if digits else None


def _cells(record: Record) -> dict[str, str]:
    """The cells of a patient as a validation reads them."""
    cells = record.cells
    out = {name: cells.get(f"bmd_{name.lower()}", "") for name in (*MEASURED, TOTAL)}
    out["t_score"] = cells.get(f"t_{TOTAL.lower()}", "")
    out["sex"] = _SEX.get(cells.get("gender", "").lower(), "")
    out["age"] = cells.get("age", "")
    return {name: value for name, value in out.items() if value}
