"""The DXA cells of a table, checked: areal BMD by vertebra and of L1-L4."""

from __future__ import annotations

import math

from ..bmd.result import TOTAL
from ..levels import MEASURED

BMD_RANGE = (0.2, 2.5)
"""g/cm2; outside it a value is a mistake, most often one in mg or a T-score."""

ROUNDING = 0.006
"""g/cm2 by which a printed L1-L4 may lie outside its printed levels."""


def check_dxa(row: dict[str, str]) -> tuple[dict[str, float], float | None, list[str]]:
    """What a row of a table says of a DXA.

    Parameters
    ----------
    row : dict of str to str
        Cells by title; `L1` ... `L4` and `L1-L4` are read, in g/cm2.

    Returns
    -------
    (dict of str to float, float or None, list of str)
        BMD by level, L1-L4 (given, or else the mean of the levels), g/cm2, and
        what is wrong with them.
    """
    wrong = []
    values = {}
    for name in (*MEASURED, TOTAL):
        if not row.get(name):
            continue
        value = number(row[name])
        if value is None:
            wrong.append(f"{name} '{row[name]}' is no number")
        elif not BMD_RANGE[0] <= value <= BMD_RANGE[1]:
            wrong.append(
                f"{name} {value:g} is no areal BMD in g/cm2 "
                f"({BMD_RANGE[0]} to {BMD_RANGE[1]}){_guess(value)}"
            )
        else:
            values[name] = value
    bmd = {name: values[name] for name in MEASURED if name in values}
    parts = list(bmd.values())
    total = values.get(TOTAL)
    # L1-L4 is the levels' mineral over their area, so it lies between them.
    if total and len(parts) == 4 and not min(parts) - ROUNDING <= total <= max(parts) + ROUNDING:
        wrong.append(
            f"L1-L4 {total:g} does not lie between its levels "
            f"({min(parts):g} to {max(parts):g}); they are not of one DXA"
        )
    if not values and not any(row.get(name) for name in (*MEASURED, TOTAL)):
        wrong.append("no DXA value")
    if total is None and parts:
        total = sum(parts) / len(parts)
    return bmd, total, wrong


def _guess(value: float) -> str:
    if BMD_RANGE[0] <= value / 1000 <= BMD_RANGE[1]:
        return f"; it looks like mg/cm2, then {value / 1000:g} is meant"
    return "; it looks like a T-score" if -7 <= value < 0 else ""


def number(text: str) -> float | None:
    """A finite number, with a point or a comma; None for anything else."""
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) < 1e6 else None
