"""What an estimate answers: a row per vertebra, the L1-L4 row, and what is said beside them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import CTBMDError
from ..levels import SOURCES
from ..model.images import LevelImages
from .quality import Finding

TOTAL = "L1-L4"
MEAN = "mean"
SELECTIONS = (*SOURCES, MEAN)
"""How a row's slice was chosen; `MEAN` is the L1-L4 row, which has none of its own."""


@dataclass
class LevelResult:
    """One row of the table; the fields are its columns, in order.

    Attributes
    ----------
    case, series_uid, level : str or None
    slice_s_mm : float or None
        S of the middle image plane; None in the L1-L4 row.
    images : int
    bmd_g_cm2, bmd_low, bmd_high : float
        Estimate and its 90 % interval, g/cm2.
    t_score : float or None
    category : str or None
    trabecular_hu : float or None
    selection : str
        One of `SELECTIONS`.
    included : bool
        Whether the level counts in the L1-L4 mean; True in the L1-L4 row itself.
    levels : str or None
        The levels that the L1-L4 row is the mean of ('L1 L2 L4'); None in a level's row.
    findings : str
        Sentences, joined by '; '.
    dxa_scale : str or None
        The DXA device whose g/cm2 the values are; None where nobody knows.
    model, model_version, model_population : str
    left_out : str or None
        Why a level that was to count is left out of the mean; no column of its own, tables
        say it in `included`.

    Raises
    ------
    ValueError
        Where `selection` is none of `SELECTIONS`.
    """

    case: str
    series_uid: str | None
    level: str
    slice_s_mm: float | None
    images: int
    bmd_g_cm2: float
    bmd_low: float
    bmd_high: float
    t_score: float | None
    category: str | None
    trabecular_hu: float | None
    selection: str
    included: bool
    levels: str | None
    findings: str
    dxa_scale: str | None
    model: str
    model_version: str
    model_population: str
    left_out: str | None = None

    def __post_init__(self) -> None:
        if self.selection not in SELECTIONS:
            raise ValueError(f"selection must be one of {SELECTIONS}, not {self.selection!r}")


@dataclass
class BMDResult:
    """What `estimate` answers.

    Attributes
    ----------
    levels : list of LevelResult
        One per measured vertebra, from head to feet.
    total : LevelResult or None
        The L1-L4 row.
    total_reason : str or None
        Why there is no L1-L4 row.
    findings : list of Finding
    disclaimer : str
    sex, age, reference : str, float, str or None
        What the T-score was computed with; None where not known or chosen.
    images : dict of str to LevelImages
        What the network saw; empty after `from_dict`.
    """

    levels: list[LevelResult]
    total: LevelResult | None
    total_reason: str | None
    findings: list[Finding]
    disclaimer: str
    sex: str | None = None
    age: float | None = None
    reference: str | None = None
    images: dict[str, LevelImages] = field(default_factory=dict, repr=False, compare=False)

    @property
    def rows(self) -> list[LevelResult]:
        """The levels, then the L1-L4 row where there is one."""
        return [*self.levels, *([self.total] if self.total else [])]

    @property
    def dxa_scale(self) -> str | None:
        """The DXA device whose g/cm2 the values are; None where nobody knows."""
        return self.rows[0].dxa_scale if self.rows else None

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict of everything but the images."""
        return {
            "levels": [asdict(row) for row in self.levels],
            "total": asdict(self.total) if self.total else None,
            "total_reason": self.total_reason,
            "findings": [item.to_dict() for item in self.findings],
            "disclaimer": self.disclaimer,
            "sex": self.sex,
            "age": self.age,
            "reference": self.reference,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> BMDResult:
        """Read what `to_dict` wrote.

        Raises
        ------
        CTBMDError
            Where the content is no stored result, or one of before a row said
            in columns of its own whether it counts and what it is the mean of.
        """
        try:
            return cls(
                [_row(row) for row in data["levels"]],
                _row(data["total"]) if data["total"] else None,
                data["total_reason"],
                [Finding(**item) for item in data["findings"]],
                data["disclaimer"],
                data["sex"],
                data["age"],
                data["reference"],
            )
        except (TypeError, KeyError, ValueError):
            raise CTBMDError(
                "The stored result cannot be read; estimate again.", "stored-result"
            ) from None


def _row(stored: dict[str, Any]) -> LevelResult:
    # Results stored before a row named its DXA device: which it was is not known.
    return LevelResult(**{"dxa_scale": None, **stored})
