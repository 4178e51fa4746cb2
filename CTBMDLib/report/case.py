"""What a report is about: one CT, its levels, its result, and what it is held against."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..bmd.centring import level_images
from ..bmd.contrast import check_contrast
from ..bmd.estimate import UNNAMED
from ..bmd.reference import ReferenceTable
from ..bmd.result import TOTAL, BMDResult, LevelResult
from ..errors import CTBMDError
from ..levels import LevelSelection
from ..model.images import ImageStandard, LevelImages, cut_images
from ..reading.source import SourceSeries
from ..volume import CTVolume
from .earlier import EarlierCT


@dataclass(frozen=True)
class ReportCase:
    """One case as it is reported.

    Attributes
    ----------
    result : BMDResult
    volume : CTVolume
    selection : LevelSelection
        The levels that the result was made from.
    standard : ImageStandard
        How the model's images are cut, for those that a result out of a scene has lost.
    reference : ReferenceTable, optional
        The table that the T-scores are from.
    with_identity : bool
        Whether the report may tell who it is of.
    source : SourceSeries, optional
        The DICOM headers of the CT.
    date : datetime.date
        Of the report.
    patient_from_world : ndarray, shape (4, 4), optional
        From the volume's coordinates to those of its DICOM headers, RAS mm; None where
        they are the same.
    earlier : EarlierCT, optional
        What has changed since an earlier CT of the person.
    """

    result: BMDResult
    volume: CTVolume
    selection: LevelSelection
    standard: ImageStandard
    reference: ReferenceTable | None = None
    with_identity: bool = False
    source: SourceSeries | None = None
    date: datetime.date = field(default_factory=datetime.date.today)
    patient_from_world: np.ndarray | None = None
    earlier: EarlierCT | None = None

    def __post_init__(self) -> None:
        """Refuse a result and levels that do not belong together."""
        missing = [row.level for row in self.result.levels if row.level not in self.selection]
        if missing or not self.result.levels:
            raise CTBMDError(
                "The result does not belong to these levels; estimate again before the report is made.",
                "report-levels",
            )

    @property
    def name(self) -> str:
        """What the case is called."""
        return self.result.levels[0].case

    def images(self, level: str) -> LevelImages:
        """The images that were read of a level."""
        kept = self.result.images.get(level)
        if kept:
            return kept
        item = self.selection[level]
        found = level_images(self.volume, item, self.standard)
        read_at = next((x.slice_s_mm for x in self.result.levels if x.level == level), None)
        if read_at is None:
            return found
        # A result of CTBMD before 2.3.1 was read about the point itself.
        about_point = cut_images(self.volume, item, self.standard)
        if abs(np.median(about_point.s_mm) - read_at) < abs(np.median(found.s_mm) - read_at):
            return about_point
        return found

    def reference_row(self, level: str, young: bool) -> dict[str, Any] | None:
        """The reference's row for a level and the sex: of young adults, or of the person's age."""
        result = self.result
        if self.reference is None or result.sex is None:
            return None
        for item in self.reference.rows:
            if item["region"] != level or item["sex"] != result.sex:
                continue
            ages, age = item["age"], result.age
            same = bool(ages and age is not None and ages[0] <= int(age) <= ages[1])
            if item["young"] if young else same:
                return item
        return None

    def z_score(self, row: LevelResult) -> float | None:
        """How many SD a row lies from the mean of the same age and sex, where the table knows it."""
        found = self.reference_row(row.level, young=False)
        return None if found is None else float((row.bmd_g_cm2 - found["mean"]) / found["sd"])

    def in_patient(self, ras: Sequence[float]) -> np.ndarray:
        """A point of the volume's coordinates in those of its DICOM headers, RAS mm."""
        point = np.array([*ras, 1.0], float)
        matrix = np.eye(4) if self.patient_from_world is None else self.patient_from_world
        return np.asarray(matrix @ point)[:3]

    def by_age(self) -> list[tuple[float, float, float]]:
        """Age in years, mean and SD in g/cm2 of the table's L1-L4 for the sex, by age."""
        if self.reference is None or self.result.sex is None:
            return []
        return sorted(
            (sum(row["age"]) / 2, row["mean"], row["sd"])
            for row in self.reference.rows
            if row["region"] == TOTAL and row["sex"] == self.result.sex and row["age"]
        )


def identified(result: BMDResult, volume: CTVolume) -> BMDResult:
    """A result that tells who it is of: patient id or name of the volume, series, contrast agent.

    The same as `estimate` gives `with_identity`; what was called by a name keeps it.
    """
    facts = volume.acquisition
    quoted = {item.code: item.text for item in check_contrast(facts, quote=True)}
    findings, changed = [], {}
    for item in result.findings:
        text = quoted.get(item.code, item.text)
        changed[item.text.rstrip(".")] = text.rstrip(".")
        findings.append(replace(item, text=text))

    def row(item: LevelResult) -> LevelResult:
        told = item.findings
        for old, new in changed.items():
            told = told.replace(old, new)
        known = facts.patient_id or volume.name
        case = known if item.case == UNNAMED and known else item.case
        return replace(item, case=case, series_uid=facts.series_uid, findings=told)

    return replace(
        result,
        levels=[row(item) for item in result.levels],
        total=row(result.total) if result.total else None,
        findings=findings,
    )
