"""The studies of a DICOMDIR: the index file of a CD or of an archive's export."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CTBMDError
from ..safefile import cannot_be_read

NAME = "DICOMDIR"
_MAX_RECORDS = 5_000_000


@dataclass(frozen=True)
class IndexedStudy:
    """A study as the index has it.

    Attributes
    ----------
    patient_id, study_uid : str
    files : list of Path
        Of its CT series; they need not be there.
    others : list of str
        Its other series, in words.
    """

    patient_id: str
    study_uid: str
    files: list[Path]
    others: list[str]


def is_dicomdir(path: Path) -> bool:
    """Whether a file is called as the standard calls an index."""
    return path.name.upper() == NAME and path.is_file()


def studies_of(path: Path) -> list[IndexedStudy]:
    """The studies that an index lists, in its order.

    Raises
    ------
    CTBMDError
        Where the file is no index.
    """
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            index = pydicom.dcmread(path)
            return list(_studies(index, path.parent))
        except OSError as error:
            raise CTBMDError(cannot_be_read(path, error), "unreadable-file") from None
        except Exception:  # pydicom raises whatever it meets
            raise CTBMDError(
                f"'{path}' is no DICOMDIR that can be read; give the folder that it lies in.",
                "dicomdir-damaged",
            ) from None


def _studies(index: Any, folder: Path) -> Iterator[IndexedStudy]:
    """Walk patients, studies, series, images along the records' offsets."""
    records = {record.seq_item_tell: record for record in index.DirectoryRecordSequence}
    first = index.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity

    def siblings(offset: int) -> Iterator[Any]:
        for _ in range(_MAX_RECORDS):
            if not offset:
                return
            record = records[offset]
            yield record
            offset = record.OffsetOfTheNextDirectoryRecord
        raise ValueError("the records of the index go in a circle")

    def below(record: Any, kind: str) -> Iterator[Any]:
        lower = record.get("OffsetOfReferencedLowerLevelDirectoryEntity") or 0
        return (x for x in siblings(lower) if x.DirectoryRecordType == kind)

    for patient in siblings(first):
        if patient.DirectoryRecordType != "PATIENT":
            continue
        for study in below(patient, "STUDY"):
            files: list[Path] = []
            others: list[str] = []
            for series in below(study, "SERIES"):
                images = [_file(folder, image) for image in below(series, "IMAGE")]
                modality = str(series.get("Modality") or "unknown modality")
                if modality == "CT":
                    files += [image for image in images if image]
                else:
                    number = series.get("SeriesNumber")
                    others.append(f"series {'' if number is None else f'{number} '}({modality})")
            yield IndexedStudy(
                str(patient.get("PatientID") or ""),
                str(study.get("StudyInstanceUID") or ""),
                files,
                others,
            )


def _file(folder: Path, record: Any) -> Path | None:
    """The file of an image's record; None where it names none inside the index's folder."""
    parts = record.get("ReferencedFileID")
    if not parts:
        return None
    names = [parts] if isinstance(parts, str) else [str(x) for x in parts]
    if any(name in ("", ".", "..") or "/" in name or "\\" in name for name in names):
        return None
    exact = folder.joinpath(*names)
    # A CD's names are capitals, which a copy often has in small letters.
    small = folder.joinpath(*(name.lower() for name in names))
    return small if not exact.exists() and small.exists() else exact
