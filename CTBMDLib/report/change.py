"""The change since an earlier CT as a measurement group of a structured report.

TID 1500 has no place for a change between two studies, but its groups (TID 1501) may be
extended: this one holds the change, what it must exceed, and the days between, under
CTBMD's own codes. The earlier CT's images are among the report's pertinent other evidence,
or beside those of this CT where both are of one study, and the group names their series.
"""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset

from . import concepts
from .case import ReportCase
from .earlier import TITLE
from .evidence import new_uid
from .items import coded, line

UNREFERENCED = (
    "This report does not refer to the images of the earlier CT: they have no DICOM headers, or these "
    "name another patient."
)


def change_groups(sr: Any, case: ReportCase, before: list[Dataset]) -> list[Any]:
    """The group of the change, [] where the case has no earlier CT.

    Parameters
    ----------
    sr : module
        highdicom.sr.
    case : ReportCase
    before : list of Dataset
        See `evidence.earlier_evidence`.
    """
    earlier = case.earlier
    if earlier is None:
        return []
    measurements = _measurements(sr, case)
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=new_uid(), identifier=TITLE),
        finding_sites=[
            sr.FindingSite(coded(concepts.VERTEBRAE[level]))
            for level in earlier.levels
            if level in concepts.VERTEBRAE
        ],
        measurements=measurements or None,
        qualitative_evaluations=[
            sr.QualitativeEvaluation(
                coded(concepts.VERDICT), coded(concepts.VERDICTS[earlier.verdict])
            )
        ],
    )
    content = group[0].ContentSequence
    for uid in dict.fromkeys(item.SeriesInstanceUID for item in before):
        content.append(sr.UIDRefContentItem(coded(concepts.EARLIER_SERIES), uid, "CONTAINS"))
    told = [*earlier.lines()[1:], *([] if before else [UNREFERENCED])]
    if earlier.called:
        told.insert(0, f"The earlier CT: {earlier.called}")
    content.extend(
        sr.TextContentItem(coded(concepts.COMMENT), line(text, 1024), "CONTAINS") for text in told
    )
    return [group]


def _measurements(sr: Any, case: ReportCase) -> list[Any]:
    """The numbers of a change; what is unknown is left out."""
    earlier = case.earlier
    if earlier is None:
        return []
    percent = None
    if earlier.change is not None and earlier.before:
        percent = 100 * earlier.change / earlier.before
    mean = coded(concepts.MEAN)
    rows = (
        (concepts.CHANGE, earlier.change, 3, concepts.G_CM2, None),
        (concepts.CHANGE_PERCENT, percent, 1, concepts.PERCENT, None),
        (concepts.ABMD_EARLIER, earlier.before, 3, concepts.G_CM2, mean),
        (concepts.ABMD_LATER, earlier.after, 3, concepts.G_CM2, mean),
        (
            concepts.LEAST_SIGNIFICANT_CHANGE,
            earlier.least_significant_change,
            3,
            concepts.G_CM2,
            None,
        ),
        (concepts.INTERVAL, earlier.days, 0, concepts.DAY, None),
    )
    return [
        sr.Measurement(
            coded(concept), round(float(value), decimals) + 0.0, coded(unit), derivation=how
        )
        for concept, value, decimals, unit, how in rows
        if value is not None
    ]
