"""Where the series that is read first shows no lumbar spine: the other series of the same person."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ..errors import CTBMDError
from ..levels import LevelSelection
from ..progress import Progress, ShouldCancel
from ..reading.reading import list_series, read_ct
from ..reading.series import SeriesInfo
from ..volume import CTVolume

LUMBAR_WORDS = re.compile(r"lumb|l-?spine|lws|abd|spine|trunk|torso|wirbel|rachis", re.IGNORECASE)
"""What a description of a series says that is likely to show the lumbar spine."""

NO_LEVEL = "no-lumbar-level"
"""Code of the error that another series may do better."""

Find = Callable[[CTVolume, Progress], LevelSelection]


def holds_several(path: str | Path) -> bool:
    """Whether a path may hold several series: a folder or an archive."""
    where = Path(path)
    return where.is_dir() or where.suffix.lower() == ".zip"


def in_order_of_promise(series: list[SeriesInfo], read: CTVolume) -> list[SeriesInfo]:
    """The other CT series of the person whose series was read, the likeliest first.

    Parameters
    ----------
    series : list of SeriesInfo
        All of the input, as `list_series` ranks them.
    read : CTVolume
        What was read already.

    Returns
    -------
    list of SeriesInfo
        Those whose description speaks of the lumbar spine or the abdomen, then
        the others, each in the given order; no scouts.
    """
    facts = read.acquisition
    others = [
        item
        for item in series
        if item.series_uid
        and item.series_uid != facts.series_uid
        and item.patient_id == facts.patient_id
        and item.modality == "CT"
        and item.plane != "scout"
    ]
    return sorted(others, key=lambda item: not LUMBAR_WORDS.search(item.description or ""))


def find_in_further_series(
    path: str | Path,
    read: CTVolume,
    find: Find,
    progress: Progress,
    should_cancel: ShouldCancel | None = None,
) -> tuple[CTVolume, LevelSelection]:
    """Read the other series one after another until one shows a lumbar level.

    Parameters
    ----------
    path : str or Path
        Folder or archive.
    read : CTVolume
        The series that shows none.
    find : callable(volume, progress)
        Finds the levels, or raises a `CTBMDError` of code `NO_LEVEL`.
    progress : Progress
    should_cancel : callable() -> bool, optional

    Returns
    -------
    (CTVolume, LevelSelection)
        The volume's `reading_findings` say first why it is not the usual series.

    Raises
    ------
    CTBMDError
        Naming every series that was tried and why it does not do.
    Cancelled
    """
    listed = list_series(path, should_cancel=should_cancel)
    uid = read.acquisition.series_uid
    first = next((item.title for item in listed if item.series_uid == uid), "the series read first")
    failed = [f"{first} shows none"]
    others = in_order_of_promise(listed, read)
    for number, item in enumerate(others):
        part = progress.part(number / len(others), (number + 1) / len(others))
        if item.problem is not None:
            failed.append(f"{item.title} cannot be read ({item.reason or 'unusable'})")
            continue
        try:
            volume = read_ct(
                path,
                series_uid=item.series_uid,
                progress=part.part(0.0, 0.6).step,
                should_cancel=should_cancel,
            )
            selection = find(volume, part.part(0.6, 1.0))
        except CTBMDError as error:
            why = "shows none" if error.code == NO_LEVEL else f"cannot be read ({error.code})"
            failed.append(f"{item.title} {why}")
            continue
        told = f"{first[0].upper()}{first[1:]} shows no lumbar vertebra; {item.title} was read instead."
        findings = (told, *volume.reading_findings)
        return replace(volume, reading_findings=findings), selection
    # Of a single series there is nothing to tell beside the sentence.
    tried = f" ({'; '.join(failed)})" if others else ""
    raise CTBMDError(
        f"no lumbar level found in '{path}'{tried}; choose a scan that shows lumbar vertebrae.",
        "no-lumbar-level",
    )
