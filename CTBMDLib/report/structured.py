"""The result as a DICOM structured report: TID 1500 in a Comprehensive 3D SR, made by highdicom.

One measurement group a vertebra, one for the L1-L4 mean, and one for the change since an
earlier CT where there is one: see `change`. The document is UNVERIFIED
(no person has signed it) and PARTIAL (a program has written it, and a person may add to it).
What it tells of patient, study and images: see `evidence`.
"""

from __future__ import annotations

import hashlib
import os
import uuid
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from .. import __version__
from ..bmd.export import fixed
from ..bmd.result import MEAN, TOTAL, LevelResult
from ..dxa import maker
from ..errors import CTBMDError
from ..safefile import check_writable
from . import concepts
from .case import ReportCase
from .change import change_groups
from .evidence import (
    SUFFIX,
    add_equipment,
    earlier_evidence,
    evidence,
    file_evidence,
    new_uid,
    sound_headers,
    write_dicom,
)
from .items import coded, line

SERIES_NUMBER = 9801


def check_structured(path: str | os.PathLike[str], overwrite: bool = False) -> None:
    """Refuse a structured report that could not be written, before the work is done.

    Raises
    ------
    CTBMDError
        Where highdicom is not installed, the name does not end in .dcm, and as
        `safefile.check_writable`.
    """
    _highdicom()
    path = Path(path)
    if path.suffix.lower() != SUFFIX:
        raise CTBMDError(f"'{path.name}' must end in {SUFFIX}.", "output-suffix")
    check_writable(path, overwrite)


def write_structured(
    case: ReportCase, path: str | os.PathLike[str], overwrite: bool = False
) -> Path:
    """Write the result as a DICOM structured report, whole or not at all.

    Raises
    ------
    CTBMDError
        As `check_structured`, and where the CT has no DICOM headers.
    """
    check_structured(path, overwrite)
    return write_dicom(structured_report(case), path, overwrite)


def structured_report(case: ReportCase) -> Dataset:
    """The result as a data set of a Comprehensive 3D SR.

    Raises
    ------
    CTBMDError
        Where highdicom is not installed or the CT has no DICOM headers.
    """
    with warnings.catch_warnings():
        # highdicom warns of every patient's name that has one part only.
        warnings.simplefilter("ignore")
        with sound_headers():
            document: Dataset = _document(_highdicom(), case)
    return document


def _document(sr: Any, case: ReportCase) -> Any:
    images, before = evidence(case), earlier_evidence(case)
    root = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=_observer(sr, case)),
        procedure_reported=coded(concepts.CT),
        imaging_measurements=[
            *(_group(sr, case, row, images) for row in case.result.rows),
            *change_groups(sr, case, before),
        ],
    )
    root[0].ContentSequence.extend(
        sr.TextContentItem(coded(concepts.COMMENT), text, "CONTAINS") for text in _remarks(case)
    )
    document = sr.Comprehensive3DSR(
        evidence=[*images, *before],
        content=root[0],
        series_instance_uid=new_uid(),
        series_number=SERIES_NUMBER,
        sop_instance_uid=new_uid(),
        instance_number=1,
        manufacturer="CTBMD",
        is_complete=False,
        is_final=False,
        is_verified=False,
    )
    add_equipment(document, case, SERIES_NUMBER)
    _name_scheme(document)
    file_evidence(document)
    return document


def _highdicom() -> Any:
    """The package that makes structured reports, where it is installed."""
    try:
        from highdicom import sr
    except ImportError:
        raise CTBMDError(
            "A DICOM structured report needs the Python package highdicom, which is not installed here "
            "(3D Slicer 5.12 and later have it); choose another format.",
            "no-highdicom",
        ) from None
    return sr


def _observer(sr: Any, case: ReportCase) -> Any:
    """CTBMD with its model as the device that has observed."""
    from pydicom.sr.codedict import codes

    first = case.result.levels[0]
    digest = hashlib.sha256(f"CTBMD {__version__} {first.model} {first.model_version}".encode())
    return sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=f"2.25.{uuid.UUID(bytes=digest.digest()[:16], version=5).int}",
            name="CTBMD",
            manufacturer_name="CTBMD",
            model_name=line(f"{first.model} {first.model_version}"),
        ),
    )


def _group(sr: Any, case: ReportCase, row: LevelResult, images: list[Dataset]) -> Any:
    """The measurements of one row of the result."""
    total = row.selection == MEAN
    levels = (row.levels or "").split() if total else [row.level]
    seen = [] if total else _seen(case, row.level, images)
    qualities = [
        sr.QualitativeEvaluation(
            coded(concepts.DXA_SCALE), coded(concepts.DXA_DEVICES[row.dxa_scale])
        )
    ] if row.dxa_scale else []  # fmt: skip
    if not total:
        counts = concepts.YES if row.included else concepts.NO
        qualities.append(sr.QualitativeEvaluation(coded(concepts.IN_MEAN), coded(counts)))
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=new_uid(), identifier=row.level),
        algorithm_id=sr.AlgorithmIdentification(
            name=line(f"CTBMD {__version__}, model {row.model}"),
            version=line(row.model_version),
        ),
        finding_sites=[
            sr.FindingSite(coded(concepts.VERTEBRAE[level]))
            for level in levels
            if level in concepts.VERTEBRAE
        ],
        measurements=_measurements(sr, case, row, images),
        qualitative_evaluations=qualities or None,
        source_images=[
            sr.SourceImageForMeasurementGroup(image.SOPClassUID, image.SOPInstanceUID)
            for image in seen
        ]
        or None,
    )
    group[0].ContentSequence.extend(
        sr.TextContentItem(coded(concepts.COMMENT), text, "CONTAINS") for text in _told(case, row)
    )
    return group


def _measurements(sr: Any, case: ReportCase, row: LevelResult, images: list[Dataset]) -> list[Any]:
    """The numbers of a row; what is unknown is left out."""
    total = row.selection == MEAN
    mean = coded(concepts.MEAN) if total else None
    unit = coded(concepts.G_CM2)

    def number(
        concept: concepts.Concept, value: float, decimals: int, unit: Any, **more: Any
    ) -> Any:
        return sr.Measurement(coded(concept), round(float(value), decimals) + 0.0, unit, **more)

    place = None if total else _place(sr, case, row.level, images)
    out = [
        number(
            concepts.ABMD, row.bmd_g_cm2, 3, unit, derivation=mean, referenced_coordinates=place
        ),
        number(concepts.ABMD_LOW, row.bmd_low, 3, unit),
        number(concepts.ABMD_HIGH, row.bmd_high, 3, unit),
    ]
    if row.trabecular_hu is not None:
        out.append(number(concepts.TRABECULAR, row.trabecular_hu, 1, coded(concepts.HU)))
    for concept, value, young in (
        (concepts.T_SCORE, row.t_score, True),
        (concepts.Z_SCORE, case.z_score(row), False),
    ):
        if value is not None:
            known = _population(sr, case, row, young)
            one = coded(concepts.NO_UNIT)
            out.append(number(concept, value, 1, one, properties=known))
    return out


def _population(sr: Any, case: ReportCase, row: LevelResult, young: bool) -> Any:
    """Mean and SD of the reference that a score is held against, and where they are from."""
    reference = case.reference
    found = case.reference_row(row.level, young)
    if reference is None or found is None:
        return None
    numbers = [
        sr.NumContentItem(
            coded(concept), found[key], coded(concepts.G_CM2), relationship_type="HAS PROPERTIES"
        )
        for concept, key in ((concepts.POPULATION_MEAN, "mean"), (concepts.POPULATION_SD, "sd"))
    ]
    ages = f", age {found['age'][0]:g}-{found['age'][1]:g}" if found["age"] else ""
    told = f"{reference.title}; {row.level}, sex {found['sex']}{ages}; DXA {reference.device}"
    return sr.MeasurementProperties(
        measurement_statistical_properties=sr.MeasurementStatisticalProperties(
            numbers, description=line(told, 1024), authority=line(reference.source, 1024)
        )
    )


def _seen(case: ReportCase, level: str, images: list[Dataset]) -> list[Dataset]:
    """The CT's images that lie nearest to the planes that were read of a level."""
    source, read = case.source, case.images(level)
    if source is None:
        return []
    known = {id(header): image for header, image in zip(source.headers, images, strict=True)}
    found = []
    for (r, a), s in zip(read.centre_ra_mm, read.s_mm, strict=True):
        header = source.nearest(case.in_patient((r, a, s)))
        if header is not None and known[id(header)] not in found:
            found.append(known[id(header)])
    return found


def _place(sr: Any, case: ReportCase, level: str, images: list[Dataset]) -> list[Any] | None:
    """The middle of the images that were read of a body, in the patient's coordinates, LPS mm."""
    frame = images[0].get("FrameOfReferenceUID")
    if not frame:
        return None
    r, a, s = case.in_patient(case.images(level).middle_ras)
    point = np.array([[-r, -a, s]])
    return [sr.CoordinatesForMeasurement3D("POINT", point, str(frame))]


def _told(case: ReportCase, row: LevelResult) -> list[str]:
    """What is to be said of one row: why it is left out, and its findings."""
    about = None if row.selection == MEAN else row.level
    told = [item.text for item in case.result.findings if item.level == about]
    if row.left_out and not any(row.left_out in text for text in told):
        told.insert(0, f"{row.level} is left out of the L1-L4 mean ({row.left_out}).")
    return [line(text, 1024) for text in told]


def _remarks(case: ReportCase) -> list[str]:
    """What is to be said of the document as a whole; what it is not for comes first."""
    result = case.result
    told = [f"{result.disclaimer} Not for diagnosis or treatment."]
    scale = f", on the scale of a {maker(result.dxa_scale)} DXA" if result.dxa_scale else ""
    told.append(
        f"Areal BMD as estimated from the CT by a model, not measured by DXA{scale}. The limits are those "
        "of the 90 % interval of the model's held-out test."
    )
    total = result.total
    if total is None:
        told.append(result.total_reason or f"There is no {TOTAL} value.")
    elif total.t_score is not None and case.reference is not None:
        told.append(
            f"T-score {fixed(total.t_score, 1)}: reference {case.reference.title} (DXA "
            f"{case.reference.device}; {case.reference.source})."
        )
    if total is None:
        told += [item.text for item in result.findings if item.level is None]
    return [line(text, 1024) for text in told]


def _name_scheme(document: Dataset) -> None:
    """Say in the document whose codes '99CTBMD' are."""
    item = Dataset()
    item.CodingSchemeDesignator = concepts.SCHEME
    item.CodingSchemeName = concepts.SCHEME_NAME
    item.CodingSchemeVersion = concepts.SCHEME_VERSION
    item.CodingSchemeResponsibleOrganization = concepts.ORGANIZATION
    kept = [x for x in document.get("CodingSchemeIdentificationSequence", []) or []]
    document.CodingSchemeIdentificationSequence = [*kept, item]
