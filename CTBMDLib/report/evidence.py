"""Who and what a DICOM report says that it is of: the patient, the study and the images it refers to.

With identity, a report is filed beside its CT: the patient and study of the CT's headers
are taken over, and the report refers to the CT's own images.

Without identity, a report holds nothing by which a stranger could find the patient or
the CT. A UID is such a thing: it is the key to the images in the archive, and many
scanners build it of their serial number and the time of the scan. So:

- it must not hold: name, patient id, birth date, study date and time, accession
  number, referring physician, descriptions (free text), nor any UID of the CT;
- it holds: a case name, sex and age (needed to read a T-score), and UIDs that are made
  from those of the CT by SHA-256. The same CT gives the same UIDs, so that the reports of
  one CT lie together, and whoever has the CT can compute them and find which CT it is;
  nobody can compute the CT's UIDs from them.
- it says so: Patient Identity Removed is YES, with the method.

A report without identity therefore refers to its images by UIDs that only the owner of
the CT can resolve; one that shall lie in the archive beside its CT needs the identity.
"""

from __future__ import annotations

import datetime
import hashlib
import io
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import validate_value

from .. import __version__
from ..bmd.estimate import UNNAMED
from ..errors import CTBMDError, shown
from ..reading import headers
from ..reading.source import IMAGE, PERSON, STUDY, required
from ..safefile import write_bytes
from .case import ReportCase

METHOD = "CTBMD: patient, study and UIDs of the CT replaced (SHA-256)"
SERIES_DESCRIPTION = "CTBMD bone density, research use only"
SUFFIX = ".dcm"
_UTF_8 = "ISO_IR 192"


def evidence(case: ReportCase) -> list[Dataset]:
    """Headers of the CT's images as a report may hold them, one an image.

    Raises
    ------
    CTBMDError
        Where the CT has no DICOM headers.
    """
    source = required(case.source)
    person = _person(case)
    out = []
    for header in source.headers:
        item = Dataset()
        item.update(person)
        for name in IMAGE:
            value = headers.get(header, name)
            if value is None:
                continue
            if not case.with_identity and name.endswith("InstanceUID"):
                value = replaced_uid(str(value))
            if not case.with_identity and name == "FrameOfReferenceUID":
                value = replaced_uid(str(value))
            setattr(item, name, value)
        out.append(item)
    return out


def earlier_evidence(case: ReportCase) -> list[Dataset]:
    """What a report refers to the images of the earlier CT by, one an image; [] where it has no headers.

    Without identity by replaced UIDs, as those of the CT itself.
    """
    source = None if case.earlier is None else case.earlier.source
    out = []
    for header in source.headers if source else ():
        item = Dataset()
        for name in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
            value = str(headers.get(header, name))
            secret = not case.with_identity and name != "SOPClassUID"
            setattr(item, name, replaced_uid(value) if secret else value)
        out.append(item)
    return out


def file_evidence(document: Dataset) -> None:
    """Part what a report refers to by study: its own, and the pertinent other evidence.

    Some versions of highdicom part it by whether the content refers to an image.
    """
    names = "CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence"
    studies = [item for name in names for item in document.get(name) or []]
    own = document.StudyInstanceUID
    for name, same in zip(names, (True, False), strict=True):
        part = [item for item in studies if (item.StudyInstanceUID == own) == same]
        if part:
            setattr(document, name, part)
        elif name in document:
            delattr(document, name)


@contextmanager
def sound_headers() -> Iterator[None]:
    """Turn what pydicom and highdicom raise over a header's values into one sentence.

    Raises
    ------
    CTBMDError
    """
    try:
        yield
    except CTBMDError:
        raise
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise CTBMDError(
            f"The DICOM headers of this CT break DICOM's rules ({shown(error)}), so no DICOM report can "
            "refer to them; choose another format.",
            "dicom-source",
        ) from error


def replaced_uid(uid: str) -> str:
    """A UID that stands for another one: always the same, and no way leads back."""
    digest = hashlib.sha256(f"CTBMD {uid}".encode()).digest()
    return f"2.25.{uuid.UUID(bytes=digest[:16], version=5).int}"


def new_uid() -> str:
    """A UID that nothing else has."""
    return f"2.25.{uuid.uuid4().int}"


def _person(case: ReportCase) -> Dataset:
    """The attributes of patient and study; those that must be there are, if need be empty."""
    item = Dataset()
    item.SpecificCharacterSet = _UTF_8
    source = required(case.source)
    if case.with_identity:
        for name in (*PERSON, *STUDY):
            value = source.said(name)
            must = name not in ("IssuerOfPatientID", "PatientAge", "StudyDescription")
            if value or must:
                _set(item, name, value)
        return item
    first = source.headers[0]
    study = str(headers.get(first, "StudyInstanceUID"))
    # Not UNNAMED, which every unnamed person is called: two must not become one patient.
    named = case.name if case.name != UNNAMED else f"CTBMD-{_short(study)}"
    result = case.result
    for name in ("PatientBirthDate", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"):
        setattr(item, name, "")
    item.PatientName = item.PatientID = _long(named) or "unknown"
    item.PatientSex = result.sex or ""
    item.ReferringPhysicianName = ""
    item.StudyInstanceUID = replaced_uid(study)
    if result.age is not None:
        item.PatientAge = f"{int(result.age):03d}Y"
    item.PatientIdentityRemoved = "YES"
    item.DeidentificationMethod = METHOD
    return item


def _set(item: Dataset, name: str, value: str) -> None:
    """An attribute as it was written; empty where what was written breaks the standard's rules."""
    try:
        validate_value(dictionary_VR(name), value, pydicom.config.RAISE)
    except ValueError:
        value = ""
    setattr(item, name, value)


def _short(uid: str) -> str:
    return hashlib.sha256(f"CTBMD {uid}".encode()).hexdigest()[:10].upper()


def add_equipment(item: Dataset, case: ReportCase, number: int) -> None:
    """The attributes of the report's own series and of what made it."""
    first, now = case.result.levels[0], datetime.datetime.now()
    item.SeriesDescription = SERIES_DESCRIPTION
    item.SeriesNumber = number
    item.InstanceNumber = 1
    item.Manufacturer = "CTBMD"
    item.ManufacturerModelName = _long(first.model)
    item.SoftwareVersions = [_long(f"CTBMD {__version__}"), _long(f"model {first.model_version}")]
    item.ContentDate = item.SeriesDate = item.InstanceCreationDate = f"{now:%Y%m%d}"
    item.ContentTime = item.SeriesTime = item.InstanceCreationTime = f"{now:%H%M%S}"


def _long(text: str) -> str:
    """A text as a DICOM long string: one line, 64 letters, and no sign that separates two."""
    return (headers.text(text.replace("\\", "/")) or "")[:64]


def write_dicom(item: Dataset, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Write a data set as a DICOM file, whole or not at all.

    Raises
    ------
    CTBMDError
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = item.SOPClassUID
    meta.MediaStorageSOPInstanceUID = item.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    item.file_meta = meta
    item.preamble = b"\0" * 128
    how: dict[str, Any] = {"enforce_file_format": True}
    if int(pydicom.__version__.partition(".")[0]) < 3:
        how = {"write_like_original": False}
        item.is_little_endian, item.is_implicit_VR = True, False
    buffer = io.BytesIO()
    with sound_headers():
        pydicom.dcmwrite(buffer, item, **how)
    return write_bytes(path, buffer.getvalue(), overwrite)
