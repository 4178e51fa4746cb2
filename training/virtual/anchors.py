"""The published anchors: what is read from `anchors.toml`, and what may stand there.

An anchor is one published figure of real people with the band that is accepted of the
virtual ones. `use` says whether the priors may be set by it or whether it tests them;
the division stands at the top of the file and is never changed after the fact.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from CTBMDLib.errors import CTBMDError

FILE = Path(__file__).parent / "anchors.toml"

QUANTITIES = {
    "l1_hu": ("HU", -50.0, 500.0),
    "abmd": ("g/cm2", 0.2, 2.0),
    "l1_l2_step": ("g/cm2", -0.3, 0.3),
    "lateral_abmd": ("g/cm2", 0.1, 2.0),
    "body_mineral": ("g", 1.0, 20.0),
    "shell_share": ("%", 0.0, 100.0),
    "posterior_share": ("%", 0.0, 100.0),
    "posterior_slab": ("%", 0.0, 100.0),
    "trabecular_vbmd": ("mg/cm3", 10.0, 400.0),
    "integral_vbmd": ("mg/cm3", 50.0, 600.0),
    "body_section": ("cm2", 4.0, 20.0),
    "marrow_fat": ("%", 0.0, 100.0),
    "dxa_error": ("%", -50.0, 50.0),
}
"""Unit of each quantity, and the range in which a published mean can lie."""

STATISTICS = {
    "mean": (None, None),
    "women_less_men": (None, (-50.0, 50.0)),
    "sd": (None, (0.0, 50.0)),
    "sd_within_age": (None, (0.0, 100.0)),
    "at_hu": (None, None),
    "change": ("%", (-90.0, 90.0)),
    "r_with_hu": ("1", (-1.0, 1.0)),
    "t_score": ("T", (-6.0, 6.0)),
}
"""Unit and range where they are not the quantity's own."""

LEVELS = ("L1", "L2", "L3", "L4")


@dataclass(frozen=True)
class Anchor:
    """One published figure.

    Attributes
    ----------
    id : str
        Unique, for people to read.
    quantity, statistic : str
        Of `QUANTITIES` and `STATISTICS`.
    unit : str
    value : float
        As published.
    low, high : float
        What is accepted of the virtual people, same unit.
    use : {'set', 'test'}
    citation, population : str
    seen : {'read', 'memory', 'derived'}
    sex : {'F', 'M', 'all'}
    age, age_to : (float, float) or None
        Years, from the first up to and without the second; `age_to` ends a change.
    people : {'western', 'east-asian'}
        Of whom it is true.
    level : str or None
        One level; None for L1-L4 or as the quantity says.
    hu : float or None
        Where a line is read.
    sd, se : float or None
        Published spread between people, and standard error.
    note : str
    """

    id: str
    quantity: str
    statistic: str
    unit: str
    value: float
    low: float
    high: float
    use: str
    citation: str
    population: str
    seen: str
    sex: str = "all"
    age: tuple[float, float] | None = None
    age_to: tuple[float, float] | None = None
    people: str = "western"
    level: str | None = None
    hu: float | None = None
    sd: float | None = None
    se: float | None = None
    note: str = ""


WORDS = {
    "use": ("set", "test"),
    "seen": ("read", "memory", "derived"),
    "sex": ("F", "M", "all"),
    "people": ("western", "east-asian"),
    "level": LEVELS,
    "quantity": tuple(QUANTITIES),
    "statistic": tuple(STATISTICS),
}
NUMBERS = ("value", "low", "high", "hu", "sd", "se")
RANGES = ("age", "age_to")
NEEDED = ("quantity", "statistic", "unit", "value", "low", "high", "use", "source")
NEEDED_BY = {"change": ("age", "age_to"), "at_hu": ("hu",), "t_score": ("age",)}
TEXTS = ("unit", "note", "source")


def load_anchors(path=FILE) -> list[Anchor]:
    """Read and check an anchors file.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    list of Anchor
        In the order of the file.

    Raises
    ------
    CTBMDError
        One sentence that names the file, the anchor and what is wrong with it.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CTBMDError(f"{path} cannot be read: {error.strerror}.", "no-anchors-file") from error
    except ValueError as error:
        raise CTBMDError(f"{path} is not a TOML file: {error}.", "not-toml") from error
    sources, rows = content.get("source", {}), content.get("anchor", [])
    if not isinstance(sources, dict) or not isinstance(rows, list) or not rows:
        raise CTBMDError(f"{path} holds no anchors.", "no-anchors")
    found: dict[str, Anchor] = {}
    for number, row in enumerate(rows, start=1):
        name = row.get("id")
        if not isinstance(name, str) or not name:
            raise CTBMDError(f"{path.name}: anchor {number} has no id.", "anchor")
        wrong = "appears twice" if name in found else _wrong(row, sources)
        if wrong:
            raise CTBMDError(f"{path.name}: anchor '{name}' {wrong}.", "anchor")
        found[name] = _anchor(row, sources[row["source"]])
    return list(found.values())


def _anchor(row: dict, source: dict) -> Anchor:
    plain = {key: value for key, value in row.items() if key != "source"}
    plain |= {key: float(plain[key]) for key in NUMBERS if key in plain}
    plain |= {key: (float(row[key][0]), float(row[key][1])) for key in RANGES if key in row}
    for key in ("population", "seen"):
        plain.setdefault(key, source[key])
    return Anchor(citation=source["citation"], **plain)


def _wrong(row: dict, sources: dict) -> str:
    """What is wrong with one anchor, as the end of a sentence; empty where nothing is."""
    return _wrong_form(row) or _wrong_source(row, sources) or _wrong_figures(row)


def _number(x) -> bool:
    return isinstance(x, (int, float)) and not isinstance(x, bool)


def _wrong_form(row: dict) -> str:
    """Names, types and words."""
    known = {field for field in Anchor.__dataclass_fields__ if field != "citation"} | {"source"}
    needed = NEEDED + NEEDED_BY.get(row.get("statistic"), ())
    problems = [f"has no {key}" for key in needed if key not in row]
    problems += [f"has a field '{key}' that is not known" for key in row if key not in known]
    problems += [
        f"has {key} {row[key]!r}, which is none of {', '.join(words)}"
        for key, words in WORDS.items()
        if key in row and row[key] not in words
    ]
    problems += [
        f"has a {key} that is no number" for key in NUMBERS if not _number(row.get(key, 0))
    ]
    problems += [
        f"has a {key} that is no text" for key in TEXTS if not isinstance(row.get(key, ""), str)
    ]
    for key in RANGES:
        ages = row.get(key, [20, 90])
        good = isinstance(ages, list) and len(ages) == 2 and all(_number(a) for a in ages)
        if not good or not 0 <= ages[0] < ages[1] <= 120:
            problems.append(f"has an {key} that is no range of years")
    return problems[0] if problems else ""


def _wrong_source(row: dict, sources: dict) -> str:
    source = sources.get(row["source"])
    if not isinstance(source, dict):
        return f"names a source '{row['source']}' that the file does not hold"
    for key in ("citation", "population", "seen"):
        if not isinstance(source.get(key), str) or not source[key]:
            return f"has a source '{row['source']}' without {key}"
    if source["seen"] not in WORDS["seen"]:
        return f"has a source '{row['source']}' with an unknown 'seen'"
    return ""


def _wrong_figures(row: dict) -> str:
    """Units and ranges."""
    unit, lowest, highest = QUANTITIES[row["quantity"]]
    own_unit, own_range = STATISTICS[row["statistic"]]
    unit = own_unit or unit
    lowest, highest = own_range or (lowest, highest)
    if row["unit"] != unit:
        return f"is in {row['unit']} and should be in {unit}"
    if not lowest <= row["value"] <= highest:
        return f"has a value of {row['value']} {unit}, outside {lowest:g} to {highest:g}"
    if not row["low"] <= row["value"] <= row["high"] or row["low"] >= row["high"]:
        return "accepts a band that does not hold its own value"
    for key in ("sd", "se"):
        if row.get(key, 1.0) <= 0:
            return f"has an {key} that is not above zero"
    return ""
