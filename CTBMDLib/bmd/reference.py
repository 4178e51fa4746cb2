"""Reference tables: the files that T-scores are computed from, and their thresholds.

A table is a JSON file that a user can read, correct and replace; no reference
value stands in the code.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from ..dxa import device_named, maker
from ..errors import CTBMDError, shown
from ..safefile import cannot_be_read

FOLDER = Path(__file__).resolve().parents[1] / "References"

WHO_CATEGORIES = ((-2.5, "osteoporosis"), (-1.0, "low bone mass"))


@dataclass(frozen=True)
class ReferenceTable:
    """Young-adult reference values by region and sex.

    Attributes
    ----------
    name : str
        Short name to choose it by.
    title, source, note : str
        What it is and where it was read, shown to the user.
    device : str
        The DXA that it is of, such as 'Hologic' or 'GE Lunar Prodigy'.
    rows : tuple of dict
        `region` ('L1' ... 'L1-L4'), `sex` ('F' or 'M'), `age` (from, to),
        `mean` and `sd` in g/cm2, `young` (True for the T-score's reference).
    path : Path
    """

    name: str
    title: str
    source: str
    device: str
    note: str
    rows: tuple[dict[str, Any], ...]
    path: Path

    @classmethod
    def load(cls, path: str | PathLike[str]) -> ReferenceTable:
        """Read a table by its path, or one that comes with CTBMD by its name.

        Raises
        ------
        CTBMDError
            Where the file is missing or a row is not usable; names the row.
        """
        given = Path(path)
        path = given if given.suffix or given.is_file() else FOLDER / f"{path}.json"
        if not path.is_file():
            have = ", ".join(item.stem for item in sorted(FOLDER.glob("*.json"))) or "none"
            raise CTBMDError(
                f"There is no reference table '{given}'; installed are: {have}; or name a JSON file.",
                "no-reference-table",
            )
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise CTBMDError(
                cannot_be_read(path, error, "The reference table"), "reference-unreadable"
            ) from None
        except (ValueError, RecursionError):
            raise CTBMDError(
                f"The reference table '{path}' is not readable as JSON; correct it, or choose an installed one.",
                "reference-json",
            ) from None
        if not isinstance(data, dict) or not isinstance(data.get("rows"), list):
            raise CTBMDError(f"The reference table '{path}' has no list 'rows'.", "reference-rows")
        for key in ("name", "title", "source", "device"):
            if not isinstance(data.get(key), str) or not data[key]:
                raise CTBMDError(
                    f"The reference table '{path}' does not state its '{key}'.", "reference-entry"
                )
        rows = tuple(_row(row, number, path) for number, row in enumerate(data["rows"], start=1))
        young = [(row["region"], row["sex"]) for row in rows if row["young"]]
        if not young:
            raise CTBMDError(
                f"The reference table '{path}' marks no row as 'young': true.", "reference-young"
            )
        if len(set(young)) != len(young):
            raise CTBMDError(
                f"The reference table '{path}' has two young rows for one region and sex.",
                "reference-young",
            )
        return cls(
            data["name"],
            data["title"],
            data["source"],
            data["device"],
            str(data.get("note", "")),
            rows,
            path,
        )

    def check_device(self, name: str | None) -> None:
        """Refuse values of another DXA device than the table's.

        They are not converted for it: two makers' values of a person do not agree
        well enough (`dxa`), and ISCD compares none across devices.

        Parameters
        ----------
        name : str or None
            Of `dxa.DEVICES`; None where nobody knows the device.

        Raises
        ------
        CTBMDError
        """
        if name is None:
            raise CTBMDError(
                "The model was fitted to a DXA whose maker its card does not name, so there is no "
                f"T-score from the reference table '{self.name}'; take the table out, or calibrate the "
                "model again and name the device.",
                "reference-device",
            )
        if device_named(self.device) != name:
            raise CTBMDError(
                f"The reference table '{self.name}' is of DXA by {shown(self.device)} and the values are those "
                f"of a {maker(name)}; choose a table of a {maker(name)}, or none.",
                "reference-device",
            )

    def t_score(self, bmd: float | None, level: str, sex: str | None) -> float | None:
        """(bmd - young mean) / young SD, or None where the table has no such row.

        Parameters
        ----------
        bmd : float or None
            g/cm2.
        level : str
            'L1' ... 'L5' or 'L1-L4'.
        sex : {'F', 'M'} or None
        """
        if bmd is None or sex is None:
            return None
        for row in self.rows:
            if row["young"] and row["region"] == level and row["sex"] == sex:
                return float((bmd - row["mean"]) / row["sd"])
        return None


def _row(row: Any, number: int, path: Path) -> dict[str, Any]:
    where = f"Row {number} of the reference table '{path}'"
    if not isinstance(row, dict):
        raise CTBMDError(f"{where} is no record.", "reference-row")
    if row.get("sex") not in ("F", "M"):
        raise CTBMDError(f"{where} must have the sex 'F' or 'M'.", "reference-row")
    if row.get("region") not in ("L1", "L2", "L3", "L4", "L5", "L1-L4", "L2-L4"):
        raise CTBMDError(
            f"{where} has an unknown region '{shown(row.get('region'))}'.", "reference-row"
        )
    for key, high in (("mean", 3.0), ("sd", 1.0)):
        value = row.get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < high:
            raise CTBMDError(
                f"{where} needs a '{key}' in g/cm2 between 0 and {high:g}.", "reference-row"
            )
    age = row.get("age")
    if age is not None and not (
        isinstance(age, list) and len(age) == 2 and all(isinstance(x, (int, float)) for x in age)
    ):
        raise CTBMDError(f"{where} has an 'age' that is not [from, to].", "reference-row")
    return {
        "region": row["region"],
        "sex": row["sex"],
        "age": tuple(age) if age else None,
        "mean": float(row["mean"]),
        "sd": float(row["sd"]),
        "young": bool(row.get("young", False)),
    }


def list_tables() -> list[ReferenceTable]:
    """The tables that come with CTBMD, by name."""
    return [ReferenceTable.load(path) for path in sorted(FOLDER.glob("*.json"))]


def category(t_score: float | None) -> str | None:
    """WHO category of a T-score (normal at -1 and above, osteoporosis at -2.5 and below)."""
    if t_score is None:
        return None
    if t_score <= WHO_CATEGORIES[0][0]:
        return WHO_CATEGORIES[0][1]
    if t_score < WHO_CATEGORIES[1][0]:
        return WHO_CATEGORIES[1][1]
    return "normal"
