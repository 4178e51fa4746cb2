"""The DICOM headers that a report is filed by: of the patient, the study, and each image of the CT.

Only for output as DICOM, and for a report that is asked to name the patient. Nothing
else in CTBMD looks at a name or a date.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import is_zipfile

import numpy as np
import pydicom
from pydicom.valuerep import PersonName

from ..errors import CTBMDError
from ..progress import Progress
from . import headers
from .archive import unpacked
from .files import files_below

PERSON = (
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientAge",
)  # fmt: skip
STUDY = (
    "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber",
    "ReferringPhysicianName", "StudyDescription",
)  # fmt: skip
IMAGE = (
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "InstanceNumber",
    "ImagePositionPatient", "ImageOrientationPatient",
)  # fmt: skip
_TAGS: list[str] = ["SpecificCharacterSet", *PERSON, *STUDY, *IMAGE]


@dataclass(frozen=True)
class SourceSeries:
    """The headers of a CT's images: of one series, or of several that are parts of one scan.

    Attributes
    ----------
    headers : tuple of pydicom.Dataset
        One an image, by InstanceNumber, each with the tags named above.
    """

    headers: tuple[pydicom.Dataset, ...]

    def said(self, name: str) -> str:
        """A tag of the patient or study as text, '' where it is absent, empty or broken."""
        value = headers.get(self.headers[0], name)
        # A name is a sequence of letters to whoever asks; as text it keeps all its parts.
        return headers.text(str(value) if isinstance(value, PersonName) else value) or ""

    def nearest(self, ras: Sequence[float] | np.ndarray) -> pydicom.Dataset | None:
        """The image that a point in RAS mm lies in, None where none is near enough.

        The plane must lie within half the largest distance between neighbours.
        """
        if len(self.headers) == 1:
            return self.headers[0]
        point = np.array([-ras[0], -ras[1], ras[2]], float)
        first = headers.get(self.headers[0], "ImageOrientationPatient")
        try:
            normal = np.cross(*np.array(first, float).reshape(2, 3))
            places = [headers.get(x, "ImagePositionPatient") for x in self.headers]
            along = np.array(places, float) @ normal
        except (TypeError, ValueError):
            return None
        away = np.abs(along - point @ normal)
        steps = np.diff(np.unique(along))
        close = bool(steps.size) and away.min() <= steps.max() / 2 + 0.01
        return self.headers[int(np.argmin(away))] if close else None


def source_series(
    paths: Iterable[Path], series_uids: Collection[str] | None
) -> SourceSeries | None:
    """The headers of some series of one study among some files; None where there are none.

    Files that are no DICOM, are damaged, or may not be read are passed over, as are
    copies of an image.

    Parameters
    ----------
    paths : iterable of Path
    series_uids : collection of str or None
        None where all files are of the CT.
    """
    found: dict[str, pydicom.Dataset] = {}
    for path in paths:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pydicom warns of every small fault in a header
                header = pydicom.dcmread(
                    path, stop_before_pixels=True, specific_tags=_TAGS, force=True
                )
        except Exception:  # a broken header can raise nearly anything in the parser
            continue
        uid = headers.text(headers.get(header, "SOPInstanceUID"))
        series = headers.text(headers.get(header, "SeriesInstanceUID"))
        study = headers.text(headers.get(header, "StudyInstanceUID"))
        wanted = series_uids is None or series in series_uids
        if wanted and uid and series and study and headers.get(header, "SOPClassUID"):
            one = headers.get(next(iter(found.values()), header), "StudyInstanceUID")
            if headers.text(one) == study:
                found.setdefault(uid, header)
    ordered = sorted(
        found.values(), key=lambda x: headers.number(headers.get(x, "InstanceNumber")) or 0.0
    )
    return SourceSeries(tuple(ordered)) if ordered else None


def source_of(path: str | Path, series_uids: Collection[str]) -> SourceSeries | None:
    """The headers of the series that were read from a path; None where it is no DICOM.

    Parameters
    ----------
    path : path
        What `read_ct` was given: a folder, a DICOM file, a ZIP archive, NIfTI or NRRD.
    series_uids : collection of str
        Of the volume that was read.
    """
    path = Path(path)
    if not series_uids:
        return None
    if path.is_dir():
        return source_series(files_below(path), series_uids)
    if path.name.lower().endswith(".zip") and is_zipfile(path):
        with unpacked(path, Progress()) as folder:
            return source_series(files_below(folder), series_uids)
    return source_series(files_below(path.parent, recursive=False), series_uids)


def check_source(path: str | Path) -> None:
    """Refuse, before long work, a file that is plainly no DICOM.

    Raises
    ------
    CTBMDError
        As `required`.
    """
    if str(path).lower().endswith((".nii", ".nii.gz", ".nrrd", ".nhdr", ".hdr", ".img")):
        required(None)


def required(source: SourceSeries | None) -> SourceSeries:
    """The headers, or the sentence that there is no DICOM output without them.

    Raises
    ------
    CTBMDError
    """
    if source is None:
        raise CTBMDError(
            "A DICOM report is filed by the DICOM images of its CT, and this CT did not come from "
            "any; load its DICOM files, or choose another format.",
            "no-dicom-source",
        )
    return source
