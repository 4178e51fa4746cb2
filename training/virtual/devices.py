"""The DXA devices of `devices.toml`: gain on hydroxyapatite, edge and region, each with its source.

What a scan is converted by when it is shown is `CTBMDLib.dxa`; here is what a device
makes of a spine whose mineral is known, for the simulated DXA.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from CTBMDLib.dxa import DEVICES
from CTBMDLib.errors import CTBMDError

FILE = Path(__file__).parent / "devices.toml"

FIGURES = {"gain": ("g/g", 0.5, 1.5), "edge": ("g/cm2", 0.0, 1.0), "margin": ("mm", 0.0, 30.0)}
"""Unit of each figure of a device, and the range in which it can lie."""
QUANTITIES = {"abmd": ("g/cm2", 0.2, 2.0), "area": ("cm2", 10.0, 100.0)}
"""The same of what is checked."""
SEEN = ("read", "derived", "memory", "assumed")
USES = ("set", "test")
KEYS = ("value", "low", "high", "unit", "source", "seen")
CHECK_KEYS = ("id", "quantity", "lunar", "hologic", "low", "high", "unit", "source", "seen", "use")


@dataclass(frozen=True)
class Figure:
    """A figure of a device.

    Attributes
    ----------
    value, low, high : float
        What to take, and the band in which it may lie.
    unit, citation, population : str
    seen : {'read', 'derived', 'memory', 'assumed'}
    note : str
    """

    value: float
    low: float
    high: float
    unit: str
    citation: str
    population: str
    seen: str
    note: str = ""


@dataclass(frozen=True)
class SimulatedDevice:
    """What a DXA device makes of a spine.

    Attributes
    ----------
    name : str
        Of `CTBMDLib.dxa.DEVICES`.
    gain : Figure
        Grams shown for a gram of hydroxyapatite.
    edge : Figure
        g/cm2, as the device shows it, above which a pixel is bone.
    margin : Figure
        mm that the region reaches beyond the side of the vertebral body.
    """

    name: str
    gain: Figure
    edge: Figure
    margin: Figure


@dataclass(frozen=True)
class Check:
    """What the same women's two measurements have to be to each other.

    Attributes
    ----------
    id, unit, citation, population : str
    quantity : {'abmd', 'area'}
    lunar, hologic : float
        Means of the same people.
    low, high : float
        Band of the Hologic's.
    seen, use : str
    note : str
    """

    id: str
    quantity: str
    lunar: float
    hologic: float
    low: float
    high: float
    unit: str
    citation: str
    population: str
    seen: str
    use: str
    note: str = ""


@cache
def load_devices(path=FILE) -> dict[str, SimulatedDevice]:
    """The devices by name, in the order of `CTBMDLib.dxa.DEVICES`.

    Raises
    ------
    CTBMDError
        One sentence that names the file, the device and what is wrong with it.
    """
    path, content = Path(path), _content(path)
    rows = content.get("device")
    if not isinstance(rows, dict) or set(rows) != set(DEVICES):
        raise CTBMDError(f"{path.name} must have the devices {', '.join(DEVICES)}.", "dxa-devices")
    found = {}
    for name in DEVICES:
        figures = rows[name] if isinstance(rows[name], dict) else {}
        if set(figures) != set(FIGURES):
            raise CTBMDError(
                f"{path.name}: device '{name}' must have {', '.join(FIGURES)} and no more.",
                "dxa-devices",
            )
        made = {}
        for key, (unit, low, high) in FIGURES.items():
            row = figures[key]
            wrong = _wrong(row, KEYS, content, unit) or _outside(row, row["value"], low, high)
            if wrong:
                raise CTBMDError(f"{path.name}: {key} of '{name}' {wrong}.", "dxa-devices")
            made[key] = Figure(**_sourced(row, content))
        found[name] = SimulatedDevice(name, **made)
    return found


def load_checks(path=FILE) -> list[Check]:
    """What the devices have to give together, in the order of the file.

    Raises
    ------
    CTBMDError
    """
    path, content = Path(path), _content(path)
    rows, found = content.get("check"), {}
    if not isinstance(rows, list) or not rows:
        raise CTBMDError(f"{path.name} has no checks.", "dxa-checks")
    for number, row in enumerate(rows, start=1):
        named = str(row.get("quantity")) if isinstance(row, dict) else ""
        quantity = QUANTITIES.get(named, ("", 0.0, 0.0))
        wrong = _wrong(row, CHECK_KEYS, content, quantity[0])
        wrong = wrong or _outside(row, row["hologic"], *quantity[1:])
        if not wrong and row["use"] not in USES:
            wrong = f"has the use '{row['use']}', which is none of {', '.join(USES)}"
        if not wrong and row["id"] in found:
            wrong = "has an id that another has"
        if wrong:
            raise CTBMDError(f"{path.name}: check {number} {wrong}.", "dxa-checks")
        found[row["id"]] = Check(**_sourced(row, content))
    return list(found.values())


def _content(path: Path) -> dict:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CTBMDError(f"{path} cannot be read: {error.strerror}.", "no-devices-file") from error
    except ValueError as error:
        raise CTBMDError(f"{path} is not a TOML file: {error}.", "not-toml") from error


def _sourced(row: dict, content: dict) -> dict:
    """A row with the words of its source in place of the source's name."""
    source = content["source"][row["source"]]
    plain = {key: value for key, value in row.items() if key != "source"}
    return {**plain, "citation": source["citation"], "population": source["population"]}


def _wrong(row, keys: tuple[str, ...], content: dict, unit: str) -> str:
    """What is wrong with the form of a row, as the end of a sentence; empty where nothing is."""
    if not isinstance(row, dict):
        return "is no table"
    wrong = [f"has no {key}" for key in keys if key not in row]
    wrong += [f"has a field '{key}' that is not known" for key in row if key not in (*keys, "note")]
    if wrong:
        return wrong[0]
    source = content.get("source", {}).get(row["source"])
    if not isinstance(source, dict) or not all(source.get(x) for x in ("citation", "population")):
        return f"has the source '{row['source']}', which does not say its citation and population"
    if row["seen"] not in SEEN:
        return f"has seen '{row['seen']}', which is none of {', '.join(SEEN)}"
    if row["unit"] != unit:
        return f"has the unit '{row['unit']}' and not '{unit}'"
    # What nobody published or what was computed here must say what it rests on.
    unread = row["seen"] != "read" and not row.get("note")
    return f"is {row['seen']} and has no note that says from what" if unread else ""


def _outside(row: dict, value, low: float, high: float) -> str:
    numbers = [value, row["low"], row["high"], *(row[x] for x in ("lunar",) if x in row)]
    if not all(
        isinstance(x, (int, float)) and not isinstance(x, bool) and math.isfinite(x)
        for x in numbers
    ):
        return "has a figure that is no number"
    if not low <= row["low"] <= value <= row["high"] <= high:
        return f"does not lie in its band, within {low:g} to {high:g}"
    return ""
