"""Which cases there are: those of a folder, or of a table that lists them."""

from __future__ import annotations

import csv
import io
import os
import re
import stat
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any, NoReturn

from ..errors import CTBMDError
from ..progress import Progress
from ..reading.files import files_below, read_headers
from ..reading.series import sort_into_series
from ..reading.streams import stem
from ..safefile import cannot_be_read
from .dicomdir import is_dicomdir, studies_of
from .remote import is_remote, studies_at
from .tables import read_rows

VOLUME_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr")
CSV_COLUMNS = (
    "path",
    "case",
    "sex",
    "age",
    "kvp",
    "levels",
    "series_uid",
    "include",
    "person",
    "date",
)
LIST_SUFFIXES = (".csv", ".tsv", ".xlsx")
TABLE_COLUMNS = (*CSV_COLUMNS, "reason")
_BESIDE = (".json", ".txt", ".csv", ".tsv", ".md")


@dataclass(frozen=True)
class Case:
    """One row of work; None where the header is to be believed.

    Attributes
    ----------
    path : str
    case, sex, age, kvp, levels, series_uid, include, person, date : str or None
        As they were written; they are checked when the case is run, so that a
        wrong one fails alone.
    """

    path: str
    case: str | None = None
    sex: str | None = None
    age: str | None = None
    kvp: str | None = None
    levels: str | None = None
    series_uid: str | None = None
    include: str | None = None
    person: str | None = None
    date: str | None = None

    @property
    def title(self) -> str:
        """What to call the case in messages."""
        return self.case or Path(self.path).name


def list_cases(source: str | PathLike[str]) -> list[Case]:
    """The cases of a folder, of a table that lists them, of a DICOMDIR or of an archive.

    Parameters
    ----------
    source : str or Path
        A folder: each subfolder, ZIP, NIfTI and NRRD file in it is a case
        (a subfolder of NIfTI alone by its only file or the one called ct; one of
        several DICOM studies is a case for each, and so is each NIfTI, NRRD or ZIP
        deeper in it; an empty one is a case that fails); DICOM files lying directly
        in it are a case for each study. A DICOMDIR, or the address of an
        archive (see `remote`): each study with CT in it. A CSV,
        TSV or Excel file (its first sheet): a column `path` (relative to the file) and, where wanted, `case`,
        `sex`, `age`, `kvp`, `levels`, `series_uid`, `include`, and `person` and `date` of
        the scan (2024-03-01) for the follow-up of one person. A list that a batch has
        written without paths, such as that of its failures, takes them from the
        file beside it that says which case is which (`identity_file`).

    Raises
    ------
    CTBMDError
    """
    if is_remote(str(source)):
        return [Case(path) for path in studies_at(str(source))] or _none(source)
    source = Path(source)
    try:
        if stat.S_ISDIR(source.stat().st_mode):
            cases = _cases_of_folder(source)
        elif source.is_file() and source.suffix.lower() in LIST_SUFFIXES:
            cases = read_case_table(source)
        elif is_dicomdir(source):
            cases = _cases_of_index(source)
        else:
            raise CTBMDError(
                f"'{source}' is neither a folder nor a CSV list of cases, nor an Excel table (.xlsx) or a DICOMDIR.",
                "no-case-list",
            )
    except FileNotFoundError:
        raise CTBMDError(f"'{source}' does not exist; check the path.", "no-such-file") from None
    except OSError as error:
        raise CTBMDError(cannot_be_read(source, error), "unreadable-file") from None
    except ValueError as error:
        if isinstance(error, CTBMDError):
            raise
        raise CTBMDError(f"'{source}' is no path ({error}).", "no-such-file") from None
    return cases or _none(source)


def _none(source: object) -> NoReturn:
    raise CTBMDError(f"'{source}' holds no cases.", "no-cases")


def whole_path(path: str) -> str:
    """A path as it is from wherever one looks; that of a study in an archive as it is."""
    return path if is_remote(path) else str(Path(path).absolute())


def is_list(source: str | PathLike[str]) -> bool:
    """Whether the cases come from a table, whose names for them may be told."""
    path = Path(source)
    return path.suffix.lower() in LIST_SUFFIXES and not os.path.isdir(path)  # noqa: PTH112


def _cases_of_folder(folder: Path) -> list[Case]:
    cases: list[Case] = []
    loose = []
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.suffix.lower() == ".parquet":  # the table of a batch, a folder of parts
            continue
        if entry.is_dir():
            cases += _case_of_subfolder(entry)
        elif entry.name.lower().endswith((*VOLUME_SUFFIXES, ".zip")):
            cases.append(Case(str(entry)))
        else:
            loose.append(entry)
    return cases + _loose_cases(loose)


def _loose_cases(files: list[Path]) -> list[Case]:
    """The cases of DICOM files lying side by side: the best series of each study."""
    best: dict[tuple[str | None, str | None], Any] = {}
    for series in _scan_quietly(files):
        best.setdefault((series.patient_id, series.study_uid), series)  # they come best first
    studies = sorted(best.items(), key=lambda study: study[1].frames[0].path)
    patients = [patient for (patient, _), _ in studies]
    cases = []
    for number, ((patient, _), series) in enumerate(studies):
        name = patient
        if patients.count(patient) > 1:
            name = f"{patient or 'unknown'} (study {patients[: number + 1].count(patient)})"
        # One file stands for its series: read_ct takes the rest from the folder.
        cases.append(Case(str(series.frames[0].path), case=name, series_uid=series.series_uid))
    return cases


def _case_of_subfolder(folder: Path) -> list[Case]:
    """The cases of a subfolder, at least one: what cannot be read fails with its name."""
    files = files_below(folder)
    volumes = [file for file in files if file.name.lower().endswith(VOLUME_SUFFIXES)]
    if volumes and all(f in volumes or f.suffix.lower() in _BESIDE for f in files):
        # A folder of NIfTI: its only volume, or the one called ct beside its labels.
        named = [file for file in volumes if stem(file).lower() == "ct"]
        chosen = volumes if len(volumes) == 1 else named
        if len(chosen) == 1:
            return [Case(str(chosen[0]), case=folder.name)]
    studies = _studies(files)
    deeper = _volumes_below(folder, files, studies)
    if len(studies) >= 2:
        return _cases_of_studies(folder, list(studies.values())) + deeper
    if deeper and not studies:
        return deeper
    return [Case(str(folder)), *deeper]


def _volumes_below(
    folder: Path, files: list[Path], studies: dict[tuple[str, str], list[Path]]
) -> list[Case]:
    """The NIfTI, NRRD and ZIP in folders below a subfolder, where no DICOM lies beside them.

    Of several volumes in one folder the one called ct; without such a one the folder
    is a case, whose failure says what lies there.
    """
    with_dicom = {file.parent for group in studies.values() for file in group}
    groups: dict[Path, list[Path]] = {}
    for file in files:
        if file.parent not in (folder, *with_dicom):
            groups.setdefault(file.parent, []).append(file)
    cases = []
    for where, group in groups.items():
        name = f"{folder.name}/{where.relative_to(folder).as_posix()}"
        zips = [file for file in group if file.suffix.lower() == ".zip"]
        cases += [Case(str(file), case=f"{name}/{file.name}") for file in zips]
        volumes = [file for file in group if file.name.lower().endswith(VOLUME_SUFFIXES)]
        named = [file for file in volumes if stem(file).lower() == "ct"]
        chosen = volumes if len(volumes) == 1 else named
        if volumes:
            cases.append(Case(str(chosen[0] if len(chosen) == 1 else where), case=name))
    return cases


def _cases_of_index(path: Path) -> list[Case]:
    """A case for each study with CT that a DICOMDIR lists; its files need not be there."""
    studies = [study for study in studies_of(path) if study.files]
    if not studies:
        raise CTBMDError(f"'{path}' lists no CT.", "no-cases")
    here = [[file for file in study.files if file.is_file()] for study in studies]
    there = _cases_of_studies(path.parent, [files for files in here if files])
    found = iter(there)
    lost = [str(study.files[0]) for study in studies]
    return [next(found) if files else Case(lost[n]) for n, files in enumerate(here)]


def _cases_of_studies(folder: Path, studies: list[list[Path]]) -> list[Case]:
    """A case for each study: by its own folder, or by its best series where they are mixed."""
    roots = [Path(os.path.commonpath([file.parent for file in files])) for files in studies]
    cases = []
    for number, (root, files) in enumerate(zip(roots, studies, strict=True)):
        others = [file for other in studies if other is not files for file in other]
        if not any(file.is_relative_to(root) for file in others):
            cases.append(
                Case(str(root), case=f"{folder.name}/{root.relative_to(folder).as_posix()}")
            )
            continue
        series = _scan_quietly(files)
        cases.append(
            Case(
                str(root if series else files[0]),
                case=f"{folder.name} (study {number + 1})",
                series_uid=series[0].series_uid if series else None,
            )
        )
    return cases


def _studies(files: list[Path]) -> dict[tuple[str, str], list[Path]]:
    """The DICOM files of each study, in the files' order; others are left out."""
    import pydicom

    found: dict[tuple[str, str], list[Path]] = {}
    tags = ["PatientID", "StudyInstanceUID"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for file in files:
            try:
                if not file.is_file():  # a pipe would wait for ever
                    continue
                header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=tags)
                patient, study = (str(header.get(tag) or "") for tag in tags)
            except Exception:  # pydicom raises whatever it meets; reading the case says why
                continue
            if study:
                found.setdefault((patient, study), []).append(file)
    return found


def _scan_quietly(files: list[Path]) -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pydicom, see reading.read_ct
        return sort_into_series(read_headers(files, Progress()).images) if files else []


def identity_file(path: Path) -> Path:
    """The file that says which case is which, of a batch's table or list of failures."""
    return path.with_name(f"{path.stem.removesuffix('.failures')}.identity.csv")


def _with_paths(cases: list[Case], path: Path) -> list[Case]:
    """Cases of a list that names them only, as the file beside it knows them."""
    known = {case.case: case for case in read_case_table(identity_file(path))}
    lost = [case.title for case in cases if case.case not in known]
    if lost:
        raise CTBMDError(
            f"'{identity_file(path)}' does not say where '{lost[0]}' of '{path}' lies.",
            "list-lost-case",
        )
    return [known[case.case] for case in cases]


def read_case_table(path: Path) -> list[Case]:
    """The cases of a table; see `list_cases`.

    Raises
    ------
    CTBMDError
    """
    rows = read_rows(path)
    names = [title.lower() for title in rows[0].cells] if rows else []
    beside = identity_file(path)
    nameless = "path" not in names and "case" in names and beside != path and beside.is_file()
    if "path" not in names and not nameless:
        raise CTBMDError(
            f"'{path}' has no column 'path'; its columns may be {', '.join(CSV_COLUMNS)}.",
            "list-columns",
        )
    twice = [name for name in CSV_COLUMNS if names.count(name) > 1]
    if twice:
        raise CTBMDError(
            f"The column '{twice[0]}' of '{path}' appears twice; take one out.", "list-columns"
        )
    cases = []
    for row in rows[1:]:
        if any(row.cells[len(names) :]):
            raise CTBMDError(
                f"Line {row.line} of '{path}' has more cells than columns; where the comma is the "
                "decimal sign, separate the cells by semicolons.",
                "list-cells",
            )
        found = dict(zip(names, row.cells, strict=False))
        values = {name: found.get(name, "") for name in CSV_COLUMNS}
        if not any(values.values()):
            continue
        for name in ("path", "levels"):
            if values[name] and not is_remote(values[name]):
                values[name] = str(path.parent / _unescaped(values[name]))
        cases.append(Case(values.pop("path"), **{k: v or None for k, v in values.items()}))
    return _with_paths(cases, path) if nameless else cases


def _unescaped(name: str) -> str:
    r"""A file name whose bytes that are not UTF-8 were written as `\udcfc`."""
    return re.sub(r"\\udc([89a-f][0-9a-f])", lambda byte: chr(0xDC00 + int(byte[1], 16)), name)


def case_table(rows: Sequence[tuple[Case, str]]) -> str:
    """Cases, and why they failed, as a CSV that is itself a list of cases.

    Parameters
    ----------
    rows : sequence of (Case, str)
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, TABLE_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for case, reason in rows:
        row = {name: value or "" for name, value in asdict(case).items()}
        for name in ("path", "levels"):  # read again from wherever the list lies
            if row[name]:
                row[name] = whole_path(row[name])
        writer.writerow(row | {"reason": reason})
    return out.getvalue()
