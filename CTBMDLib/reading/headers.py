"""What the DICOM header says of the scan and the person; unknown stays None.

The patient's name, address and dates are never looked at.
"""

from __future__ import annotations

import math
import re

from ..volume import Acquisition

DAYS_PER_YEAR = 365.25
_AGE_UNITS = {"Y": 1.0, "M": 12.0, "W": DAYS_PER_YEAR / 7, "D": DAYS_PER_YEAR}


def age_years(text) -> float | None:
    """Years from a DICOM age string (VR AS, PS3.5 6.2), such as '042Y' or '018M'.

    Parameters
    ----------
    text : str or None

    Returns
    -------
    float or None
        None for anything that is not three digits (fewer are accepted) and one
        of D, W, M, Y, and for an age of 0 years, which scanners write for
        'not entered', or above 120.
    """
    match = re.fullmatch(r"\s*(\d{1,3})\s*([DWMY])\s*", str(text or "").upper())
    if not match:
        return None
    years = int(match[1]) / _AGE_UNITS[match[2]]
    return years if 0 < years <= 120 else None


def number(value) -> float | None:
    """A finite float, or None for anything else (empty, text, several values)."""
    try:
        result = float(value)
    except (TypeError, ValueError):
        return None
    return result if math.isfinite(result) else None


def text(value) -> str | None:
    """A stripped text, or None when there is none."""
    if value is None:
        return None
    if not isinstance(value, (str, bytes)) and hasattr(value, "__iter__"):
        value = " ".join(str(item) for item in value if item)
    result = "".join(x if x.isprintable() else " " for x in str(value))
    result = " ".join(result.split())
    return result or None


def get(header, name):
    """A tag's value, or None when it is absent or cannot be read."""
    try:
        return header.get(name)
    except Exception:  # pydicom raises many kinds on a broken value; broken is unknown
        return None


def acquisition(header, groups=()) -> Acquisition:
    """The facts of a series.

    Parameters
    ----------
    header : pydicom.Dataset
        Header of one image of the series.
    groups : iterable of pydicom.Dataset
        Functional groups of an enhanced multi-frame image, where tube voltage,
        kernel and thickness are kept in sequences.

    Returns
    -------
    Acquisition
    """
    sex = text(get(header, "PatientSex"))
    kvp = number(get(header, "KVP"))
    kernel = text(get(header, "ConvolutionKernel"))
    thickness = number(get(header, "SliceThickness"))
    current = number(get(header, "XRayTubeCurrent"))
    for group in groups:
        kvp = kvp or number(nested(group, "CTXRayDetailsSequence", "KVP"))
        kernel = kernel or text(nested(group, "CTReconstructionSequence", "ConvolutionKernel"))
        thickness = thickness or number(nested(group, "PixelMeasuresSequence", "SliceThickness"))
        current = current or number(nested(group, "CTExposureSequence", "XRayTubeCurrentInmA"))
    return Acquisition(
        modality=text(get(header, "Modality")),
        kvp=kvp if kvp and kvp > 0 else None,
        kernel=kernel,
        slice_thickness_mm=thickness if thickness and thickness > 0 else None,
        tube_current_ma=current if current and current > 0 else None,
        contrast_agent=_contrast(header),
        manufacturer=text(get(header, "Manufacturer")),
        model=text(get(header, "ManufacturerModelName")),
        sex=sex if sex in ("F", "M") else None,
        age_years=age_years(get(header, "PatientAge")),
        patient_id=text(get(header, "PatientID")),
        study_uid=text(get(header, "StudyInstanceUID")),
        series_uid=text(get(header, "SeriesInstanceUID")),
        series_description=text(get(header, "SeriesDescription")),
    )


def nested(group, sequence: str, name: str):
    """Value of `name` in the first item of `sequence`, or None."""
    items = get(group, sequence)
    return get(items[0], name) if items else None


def _contrast(header) -> str | None:
    agent = text(get(header, "ContrastBolusAgent"))
    if agent is None:  # enhanced CT keeps the agent as a code
        agent = text(nested(header, "ContrastBolusAgentSequence", "CodeMeaning"))
    return agent
