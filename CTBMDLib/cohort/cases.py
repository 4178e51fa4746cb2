"""From a path to a volume and its chosen levels: the steps that one case and a batch share."""

from __future__ import annotations

import os
from os import fspath
from pathlib import Path

from ..errors import CTBMDError
from ..levels import LUMBAR, MEASURED, LevelSelection
from ..progress import Progress, Report, ShouldCancel
from ..reading.reading import read_ct, read_labels
from ..reading.series import NoSuchSeriesError
from ..reading.temporary import clear_left_behind
from ..safefile import cannot_be_read
from ..volume import CTVolume
from .further import NO_LEVEL, find_in_further_series, holds_several

PathType = str | Path

MAX_LEVELS_BYTES = 4 << 20
"""Some thousand times what a levels file has."""


def open_case(
    path: PathType,
    *,
    levels: PathType | None = None,
    segmentation: PathType | None = None,
    series_uid: str | None = None,
    progress: Report | None = None,
    should_cancel: ShouldCancel | None = None,
) -> tuple[CTVolume, LevelSelection]:
    """Read a CT and choose its levels: a file's, a segmentation's, or else found ones.

    Parameters
    ----------
    path : str or Path
        What `read_ct` reads.
    levels : str or Path or None
        A file as `ctbmd levels` writes it. The series it names is the one that
        is read, where the folder holds several.
    segmentation : str or Path or None
        A label volume of vertebrae, where there is no levels file.
    series_uid : str or None
    progress, should_cancel : callables or None

    Raises
    ------
    CTBMDError
        For an unusable input, a levels file of another series, and a scan
        without a lumbar level.
    Cancelled
    """
    clear_left_behind()
    work = Progress(progress, should_cancel)
    chosen = None if levels is None else load_levels(levels)
    given = levels if levels is not None else segmentation
    wanted = series_uid or (chosen.series_uid if chosen else None)
    is_file = os.path.isfile(path)  # noqa: PTH113  Path's raises for a name too long
    if not series_uid and is_file and not _is_dicom_name(path):
        wanted = None  # NIfTI and NRRD have no series; the check below answers for them
    try:
        volume = read_ct(
            path, series_uid=wanted, progress=work.part(0.0, 0.6).step, should_cancel=should_cancel
        )
    except OSError as error:
        raise CTBMDError(cannot_be_read(path, error), "unreadable-file") from None
    except NoSuchSeriesError:
        if chosen is None or series_uid:
            raise
        raise _foreign(given, chosen, "which is not in this input") from None
    if chosen is None and segmentation is not None:
        chosen = _from_segmentation(volume, segmentation, should_cancel)
    if chosen is None:
        return _found(volume, path, series_uid, work.part(0.6, 1.0), should_cancel)
    actual = volume.acquisition.series_uid
    if chosen.series_uid and chosen.series_uid != actual:
        what = f"and this is series {actual}" if actual else "and this CT does not name its series"
        raise _foreign(given, chosen, what)
    if not any(item.level in LUMBAR for item in chosen):
        raise CTBMDError(f"'{given}' names no lumbar level; L1-L4 are needed.", "no-lumbar-level")
    for item in chosen:
        if not volume.contains(item.ras):
            raise CTBMDError(
                f"{item.level} of '{given}' lies outside the CT; check that both are of the same scan and that 'ras' is in mm (right, anterior, superior).",
                "point-outside",
            )
    return volume, chosen


def _from_segmentation(
    volume: CTVolume, path: PathType, should_cancel: ShouldCancel | None
) -> LevelSelection:
    from ..spine.segments import guess_names, levels_from_labels

    labels, written = read_labels(path, should_cancel=should_cancel)
    names = written or guess_names(labels.hu, labels.ijk_to_ras)
    if not names:
        raise CTBMDError(
            f"The labels of '{path}' follow no scheme CTBMD knows (TotalSegmentator, VerSe); save it in 3D Slicer as .seg.nrrd with named segments.",
            "labels-unknown",
        )
    uid = volume.acquisition.series_uid
    return levels_from_labels(labels.hu, labels.ijk_to_ras, names, series_uid=uid, volume=volume)


def load_levels(path: PathType) -> LevelSelection:
    """Read a levels file.

    Raises
    ------
    CTBMDError
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_LEVELS_BYTES:
            raise CTBMDError(
                f"The levels file '{path}' is larger than {MAX_LEVELS_BYTES >> 20} MB; give the one "
                "that 'ctbmd levels' wrote.",
                "levels-too-large",
            )
        text = path.read_text(encoding="utf-8-sig")
    except CTBMDError:
        raise
    except FileNotFoundError:
        raise CTBMDError(
            f"The levels file '{path}' does not exist; check the path.", "no-such-file"
        ) from None
    except UnicodeDecodeError:
        raise CTBMDError(
            f"The levels file '{path}' is not a JSON text file.", "levels-not-text"
        ) from None
    except (OSError, ValueError) as error:
        raise CTBMDError(
            cannot_be_read(path, error, "The levels file"), "levels-unreadable"
        ) from None
    try:
        return LevelSelection.from_json(text)
    except CTBMDError:
        raise
    except (TypeError, ValueError, AttributeError, OverflowError, RecursionError):
        raise CTBMDError(
            f"The levels file '{path}' is not as 'ctbmd levels' writes it; find the levels again.",
            "levels-format",
        ) from None


def not_found(selection: LevelSelection) -> list[str]:
    """Levels of L1-L4 that the selection lacks."""
    return [level for level in MEASURED if level not in selection]


def _find(
    volume: CTVolume, path: PathType, progress: Progress, should_cancel: ShouldCancel | None
) -> LevelSelection:
    from ..spine.locate import find_levels

    selection = find_levels(volume, progress=progress.step, should_cancel=should_cancel)
    if not any(item.level in LUMBAR for item in selection):
        raise CTBMDError(
            f"no lumbar level found in '{path}'; choose a scan that shows lumbar vertebrae.",
            "no-lumbar-level",
        )
    return selection


def _found(
    volume: CTVolume,
    path: PathType,
    series_uid: str | None,
    progress: Progress,
    should_cancel: ShouldCancel | None,
) -> tuple[CTVolume, LevelSelection]:
    """The volume and its levels; another series' where this one has none and none was asked for."""
    alone = series_uid is not None or not holds_several(path)
    try:
        return volume, _find(volume, path, progress.part(0.0, 1.0 if alone else 0.5), should_cancel)
    except CTBMDError as error:
        if alone or error.code != NO_LEVEL:
            raise
    return find_in_further_series(
        path,
        volume,
        lambda other, part: _find(other, path, part, should_cancel),
        progress.part(0.5, 1.0),
        should_cancel,
    )


def _is_dicom_name(path: PathType) -> bool:
    return not fspath(path).lower().endswith((".nii", ".nii.gz", ".nrrd", ".nhdr", ".hdr", ".img"))


def _foreign(path: PathType | None, selection: LevelSelection, what: str) -> CTBMDError:
    return CTBMDError(
        f"The levels file '{path}' belongs to series {selection.series_uid}, {what}; find the levels again, or take 'series_uid' out of the file if it is the same scan.",
        "other-series",
    )
