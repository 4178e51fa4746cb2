"""What a batch would do: which series of each case would be read, and what is left out and why.

Only headers are read; nothing is written.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from ..errors import CTBMDError
from ..reading.files import files_below
from ..reading.reading import list_series
from ..reading.series import SeriesInfo
from .caselist import VOLUME_SUFFIXES, Case, list_cases
from .dicomdir import is_dicomdir, studies_of
from .further import LUMBAR_WORDS
from .journal import case_key, finished_keys
from .remote import is_remote

FINISHED, DO, FAIL = "finished", "do", "fail"


@dataclass(frozen=True)
class Planned:
    """A case of a batch that has not run.

    Attributes
    ----------
    case : Case
    what : str
        `DO`; `FINISHED` by an interrupted run; `FAIL` where its headers show already
        that it cannot be used.
    text : str
        The series that would be read, or why it cannot.
    left : list of (str, str)
        The other series, each with why it is left: they are tried, the likeliest
        first, where the first shows no lumbar vertebra.
    """

    case: Case
    what: str
    text: str
    left: list[tuple[str, str]]


def plan(source: str | PathLike[str], output: str | PathLike[str]) -> Iterator[Planned]:
    """What each case of a source would come to.

    Parameters
    ----------
    source : str or Path
        See `list_cases`.
    output : str or Path
        The batch's, beside which an interrupted run left its journal.

    Raises
    ------
    CTBMDError
        Where there are no cases.
    """
    done = finished_keys(Path(output))
    for case in list_cases(source):
        if done and case_key(case) in done:
            yield Planned(case, FINISHED, "finished by an interrupted run", [])
        else:
            yield _look(case)


def not_cases(source: str | PathLike[str]) -> list[tuple[str, str]]:
    """What lies in a source and is no case, each with why; of a list there is nothing."""
    if is_remote(str(source)):
        return []
    path = Path(source)
    if is_dicomdir(path):
        out = []
        for number, study in enumerate(studies_of(path), start=1):
            why = "no CT in it" if not study.files else "no CT"
            out += [(f"study {number}: {other}", why) for other in study.others]
        return out
    if not path.is_dir():
        return []
    loose = [x for x in files_below(path, recursive=False) if not _is_volume(x)]
    return [(x.name, "no DICOM image") for x in loose if not _is_dicom(x)]


def _is_volume(path: Path) -> bool:
    return path.name.lower().endswith((*VOLUME_SUFFIXES, ".zip"))


def _is_dicom(path: Path) -> bool:
    """Whether a file says that it is DICOM, or is a slice that reading takes for one."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM" or bool(list_series(path))
    except (OSError, CTBMDError):
        return False


def _look(case: Case) -> Planned:
    if is_remote(case.path):
        return Planned(case, DO, "a study of the archive with CT in it", [])
    path = Path(case.path)
    try:
        there = os.path.exists(path)  # noqa: PTH110  Path's raises for a name too long
        if there and (path.is_dir() or not path.name.lower().endswith(VOLUME_SUFFIXES)):
            return _of_series(case, list_series(path))
    except CTBMDError as error:
        return Planned(case, FAIL, " ".join(str(error).split()), [])
    except OSError as error:
        return Planned(case, FAIL, str(error), [])
    if not there:
        return Planned(case, FAIL, f"'{path}' does not exist; check the path.", [])
    return Planned(case, DO, f"the volume {path.name}", [])


def _of_series(case: Case, series: list[SeriesInfo]) -> Planned:
    """The series that is read first, as `read_ct` ranks them or the list names it."""
    named = [x for x in series if case.series_uid in (x.series_uid, x.number)]
    if case.series_uid and not named:
        return Planned(case, FAIL, f"there is no series {case.series_uid} in it", [])
    first = named[0] if case.series_uid else series[0]
    left = [(x.title, _why_left(x, first)) for x in series if x is not first]
    if first.problem:
        return Planned(case, FAIL, f"{first.title}: {first.problem}", left)
    return Planned(case, DO, first.title, left)


def _why_left(series: SeriesInfo, first: SeriesInfo) -> str:
    if series.modality != "CT":
        return "no CT"
    if series.plane == "scout":
        return "a scout view"
    if series.problem:
        return series.reason or series.problem
    if series.patient_id != first.patient_id:
        return "of another patient"
    words = " and its description names the region" * bool(
        LUMBAR_WORDS.search(series.description or "")
    )
    return f"ranked after it{words}; read where the first shows no lumbar vertebra"
