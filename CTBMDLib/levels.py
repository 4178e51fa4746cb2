"""Which slices were chosen for which vertebra, by whom, and every edit on that choice."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from .errors import CTBMDError, shown

ORDER = ("T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1", "S2")
"""Vertebrae that can be named, from head to feet."""

LUMBAR = ("L1", "L2", "L3", "L4", "L5")
MEASURED = ("L1", "L2", "L3", "L4")
"""Vertebrae whose mean is the L1-L4 value; L5 is measured only when asked for."""

SOURCES = ("found", "moved", "added", "segment")
REASONS = ("fracture", "hardware", "cement", "degeneration", "other")
"""Why a person leaves a vertebra out of the mean."""
Point: TypeAlias = tuple[float, float, float]

NUMBERINGS = ("sacrum", "rib", "both", "neither", "segment", "user")


@dataclass(frozen=True)
class LevelSlice:
    """One vertebra and the place where its images are taken.

    Attributes
    ----------
    level : str
        One of `ORDER`.
    ras : tuple of 3 float
        Centre of the vertebral body in RAS mm; the middle image plane is the
        plane of constant S through it.
    confidence : float or None
        0 to 1 as the finder gave it; None where a person chose.
    source : {'found', 'moved', 'added', 'segment'}
    included : bool
        Whether the vertebra counts in the L1-L4 mean.
    axis : tuple of 3 float or None
        Unit vector along the body from feet to head, if known.
    height_mm : float or None
        Height of the body along `axis` (endplate to endplate), if known.
    reason : str or None
        Why a person has left it out, one of `REASONS`; None where it is included or
        no reason was given.
    """

    level: str
    ras: tuple[float, float, float]
    confidence: float | None = None
    source: str = "found"
    included: bool = True
    axis: tuple[float, float, float] | None = None
    height_mm: float | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        if self.included:
            object.__setattr__(self, "reason", None)
        if self.reason is not None and self.reason not in REASONS:
            raise CTBMDError(
                f"'{self.reason}' is no reason to leave a vertebra out; use one of "
                f"{', '.join(REASONS)}.",
                "unknown-reason",
            )
        if self.level not in ORDER:
            raise CTBMDError(
                f"'{shown(self.level)}' is not a vertebra CTBMD knows; use one of {', '.join(ORDER)}.",
                "unknown-level",
            )
        if self.source not in SOURCES:
            raise CTBMDError(
                f"'{shown(self.source)}' is not a source; use one of {', '.join(SOURCES)}.",
                "unknown-source",
            )
        ras = _three(self.ras)
        if ras is None or not all(map(math.isfinite, ras)):
            raise CTBMDError(
                f"The position of {shown(self.level)} must be three numbers in mm (RAS).",
                "level-position",
            )
        object.__setattr__(self, "ras", ras)


@dataclass
class LevelSelection:
    """The chosen levels of one series, with undo.

    Attributes
    ----------
    levels : tuple of LevelSlice
        Ordered from head to feet; each level at most once.
    series_uid : str or None
        The series the choice belongs to.
    numbering : str or None
        What decided the numbering, one of `NUMBERINGS`; 'neither' means the
        labels are uncertain and a person must confirm them.
    findings : tuple of str
        Sentences for the user, such as possible transitional anatomy.
    """

    levels: tuple[LevelSlice, ...] = ()
    series_uid: str | None = None
    numbering: str | None = None
    findings: tuple[str, ...] = ()
    _history: list[tuple[tuple[LevelSlice, ...], str | None]] = field(
        default_factory=list, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        self.levels = _ordered(self.levels)

    # -- looking -------------------------------------------------------------
    def __iter__(self) -> Iterator[LevelSlice]:
        return iter(self.levels)

    def __len__(self) -> int:
        return len(self.levels)

    def __contains__(self, level: object) -> bool:
        return any(item.level == level for item in self.levels)

    def __getitem__(self, level: str) -> LevelSlice:
        for item in self.levels:
            if item.level == level:
                return item
        raise KeyError(level)

    @property
    def numbering_uncertain(self) -> bool:
        """True where what is in view does not decide which vertebra is which; `findings` say why."""
        return self.numbering == "neither"

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit to take back."""
        return bool(self._history)

    # -- editing -------------------------------------------------------------
    def move(self, level: str, ras: Iterable[float]) -> None:
        """Move a level's point to `ras` (mm)."""
        old = self._get(level)
        self._replace(old, replace(old, ras=_point(ras, level), source="moved", confidence=None))

    def use_slice(self, level: str, s_mm: float) -> None:
        """Take a level's images at S = `s_mm`, following the body's axis in the plane."""
        old = self._get(level)
        r, a, s = old.ras
        if old.axis is not None and abs(old.axis[2]) > 0.5:
            step = (s_mm - s) / old.axis[2]
            r, a = r + step * old.axis[0], a + step * old.axis[1]
        self.move(level, (r, a, s_mm))

    def relabel(self, level: str, new_level: str) -> None:
        """Call a level by another name; refused when that name is taken."""
        old = self._get(level)
        if new_level != level and new_level in self:
            raise CTBMDError(
                f"{new_level} is already chosen; remove or rename it before {level} takes its name.",
                "level-taken",
            )
        changed = replace(old, level=new_level, source="moved", confidence=None)
        self._replace(old, replace(changed, included=new_level in MEASURED))
        self.numbering = "user"

    def shift(self, steps: int) -> None:
        """Rename all levels `steps` towards the feet (+) or the head (-).

        L1 becomes L2 for +1. Refused when a level would leave `ORDER`. The
        include marks stay with the vertebra unless it enters or leaves L1-L4.
        """
        indices = [ORDER.index(item.level) + steps for item in self.levels]
        if not indices:
            return
        if min(indices) < 0 or max(indices) >= len(ORDER):
            end = ORDER[0] if min(indices) < 0 else ORDER[-1]
            raise CTBMDError(
                f"The labels cannot be shifted further: one would pass {end}.", "level-order-end"
            )
        shifted = []
        for item, index in zip(self.levels, indices, strict=True):
            was, now = item.level in MEASURED, ORDER[index] in MEASURED
            included = item.included if was == now else now
            shifted.append(replace(item, level=ORDER[index], included=included))
        self._change(shifted)
        self.numbering = "user"

    def add(self, level: str, ras: Iterable[float], included: bool | None = None) -> None:
        """Add a level a person points at."""
        if level in self:
            raise CTBMDError(
                f"{level} is already chosen; move it instead of adding it again.", "level-taken"
            )
        included = level in MEASURED if included is None else included
        self._change([*self.levels, LevelSlice(level, _point(ras, level), None, "added", included)])

    def remove(self, level: str) -> None:
        """Take a level out of the selection."""
        old = self._get(level)
        self._change([item for item in self.levels if item is not old])

    def include(self, level: str, included: bool, reason: str | None = None) -> None:
        """Count a level in the L1-L4 mean or leave it out, for one of `REASONS` or none."""
        old = self._get(level)
        self._replace(old, replace(old, included=bool(included), reason=reason))

    def undo(self) -> bool:
        """Take the last edit back; False when there is none."""
        if not self._history:
            return False
        self.levels, self.numbering = self._history.pop()
        return True

    def _get(self, level: str) -> LevelSlice:
        try:
            return self[level]
        except KeyError:
            have = ", ".join(item.level for item in self.levels) or "none"
            raise CTBMDError(
                f"{level} is not among the chosen levels ({have}).", "level-not-chosen"
            ) from None

    def _replace(self, old: LevelSlice, new: LevelSlice) -> None:
        self._change([new if item is old else item for item in self.levels])

    def _change(self, levels: Iterable[LevelSlice]) -> None:
        ordered = _ordered(levels)
        self._history.append((self.levels, self.numbering))
        self.levels = ordered

    # -- to and from files and markups -----------------------------------------
    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict, the format of `ctbmd levels`."""
        levels = []
        for item in self.levels:
            entry: dict[str, Any] = {
                "level": item.level,
                "ras": [round(x, 2) for x in item.ras],
                "confidence": None if item.confidence is None else round(item.confidence, 3),
                "source": item.source,
                "included": item.included,
            }
            if item.axis is not None:
                entry["axis"] = [round(float(x), 4) for x in item.axis]
            if item.height_mm is not None:
                entry["height_mm"] = round(float(item.height_mm), 1)
            if item.reason is not None:
                entry["reason"] = item.reason
            levels.append(entry)
        return {
            "series_uid": self.series_uid,
            "numbering": self.numbering,
            "findings": list(self.findings),
            "levels": levels,
        }

    def to_json(self) -> str:
        """The text of a levels file, as `ctbmd levels` writes it."""
        return json.dumps(self.to_dict(), indent=1) + "\n"

    @classmethod
    def from_dict(cls, data: Any) -> LevelSelection:
        """Read what `to_dict` wrote, or the same after a person edited it.

        Only `levels` with `level` and `ras` must be there.

        Raises
        ------
        CTBMDError
            Where the content is not a selection of levels.
        """
        if not isinstance(data, dict) or not isinstance(data.get("levels"), list):
            raise CTBMDError(
                "The levels file has no list 'levels'; write one with 'ctbmd levels INPUT --output levels.json'.",
                "levels-file",
            )
        levels = []
        for number, entry in enumerate(data["levels"], start=1):
            if not isinstance(entry, dict) or "level" not in entry or "ras" not in entry:
                raise CTBMDError(
                    f"Entry {number} of the levels file lacks 'level' or 'ras'.", "levels-file"
                )
            confidence = entry.get("confidence")
            if confidence is not None and (
                isinstance(confidence, bool)
                or not isinstance(confidence, (int, float))
                or not 0 <= confidence <= 1
            ):
                raise CTBMDError(
                    f"The confidence of {shown(entry['level'])} must be a number from 0 to 1 or absent.",
                    "level-confidence",
                )
            included = entry.get("included", entry["level"] in MEASURED)
            if not isinstance(included, bool):
                raise CTBMDError(
                    f"The included mark of {shown(entry['level'])} must be true or false, or absent.",
                    "level-included",
                )
            ras = entry["ras"]
            levels.append(
                LevelSlice(
                    level=str(entry["level"]),
                    ras=_point(ras if isinstance(ras, (list, tuple)) else (), str(entry["level"])),
                    confidence=confidence,
                    source=entry.get("source") or "moved",
                    included=included,
                    axis=_vector(entry.get("axis"), entry["level"]),
                    height_mm=_height(entry.get("height_mm"), entry["level"]),
                    reason=None if entry.get("reason") is None else str(entry["reason"]),
                )
            )
        numbering = data.get("numbering")
        if numbering is not None and numbering not in NUMBERINGS:
            raise CTBMDError(
                f"The numbering of the levels file must be one of {', '.join(NUMBERINGS)}, or absent.",
                "levels-file",
            )
        uid = data.get("series_uid")
        # Files of version 1.0.0 and before call them notes.
        findings = data.get("findings") or data.get("notes") or []
        if not isinstance(findings, list):
            raise CTBMDError(
                "The findings of the levels file must be a list of sentences or absent.",
                "levels-file",
            )
        return cls(
            tuple(levels),
            series_uid=None if uid is None else str(uid),
            numbering=numbering,
            findings=tuple(str(text) for text in findings),
        )

    @classmethod
    def from_json(cls, text: str) -> LevelSelection:
        """Read the text of a levels file.

        Raises
        ------
        CTBMDError
        """
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise CTBMDError(
                f"The levels file is damaged near line {error.lineno} (a comma, quote or bracket too few or too many?); correct it or write it anew with 'ctbmd levels'.",
                "levels-file",
            ) from None
        except RecursionError:
            raise CTBMDError(
                "The levels file is nested too deeply to be a list of levels.", "levels-file"
            ) from None
        return cls.from_dict(data)

    def to_points(self) -> list[tuple[str, Point]]:
        """(label, RAS) per level, the content of a markups node."""
        return [(item.level, item.ras) for item in self.levels]

    def update_from_points(self, points: Iterable[tuple[str, Iterable[float]]]) -> bool:
        """Take over positions from markups: moved, added and removed points.

        Parameters
        ----------
        points : iterable of (str, (r, a, s))
            Label and RAS mm of every defined point.

        Returns
        -------
        bool
            Whether anything changed; all changes are one step of undo.
        """
        placed = {label: _point(ras, label) for label, ras in points}
        levels = []
        for item in self.levels:
            if item.level not in placed:
                continue
            ras = placed.pop(item.level)
            distance = max(abs(x - y) for x, y in zip(ras, item.ras, strict=True))
            still = not distance > 1e-3
            levels.append(
                item if still else replace(item, ras=ras, source="moved", confidence=None)
            )
        levels += [
            LevelSlice(label, ras, None, "added", label in MEASURED)
            for label, ras in placed.items()
        ]
        changed = _ordered(levels)
        if changed == self.levels:
            return False
        self._change(changed)
        return True


def _ordered(levels: Iterable[LevelSlice]) -> tuple[LevelSlice, ...]:
    ordered = tuple(sorted(levels, key=lambda item: ORDER.index(item.level)))
    names = [item.level for item in ordered]
    for name in names:
        if names.count(name) > 1:
            raise CTBMDError(
                f"{name} is named twice; each level may be chosen once.", "level-twice"
            )
    return ordered


def _three(values: Any) -> Point | None:
    """Three floats, or None where `values` is anything else."""
    try:
        x, y, z = (float(value) for value in values)
    except (TypeError, ValueError):
        return None
    return x, y, z


def _point(values: Any, level: str) -> Point:
    point = _three(values)
    if point is None:
        raise CTBMDError(
            f"The position of {shown(level)} must be three numbers in mm (RAS).", "level-position"
        )
    return point


def _vector(value: Any, level: str) -> Point | None:
    if value is None:
        return None
    vector = _three(value)
    if vector is None:
        raise CTBMDError(
            f"The axis of {shown(level)} must be three numbers or absent.", "level-axis"
        )
    return vector


def _height(value: Any, level: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 5 <= value <= 80:
        raise CTBMDError(
            f"The body height of {shown(level)} must be 5 to 80 mm or absent.", "level-height"
        )
    return float(value)
