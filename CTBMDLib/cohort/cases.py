"""From a path to a volume and its chosen levels: the steps that one case and a batch share."""

from __future__ import annotations

from pathlib import Path

from ..errors import CTBMDError
from ..levels import LUMBAR, MEASURED, LevelSelection
from ..reading.reading import read_ct, read_labels
from ..reading.series import NoSuchSeriesError
from ..volume import CTVolume


def open_case(
    path,
    *,
    levels=None,
    segmentation=None,
    series_uid=None,
    progress=None,
    should_cancel=None,
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

    def part(start, share):
        return progress and (lambda done, text: progress(start + share * done, text))

    chosen = None if levels is None else load_levels(levels)
    wanted = series_uid or (chosen.series_uid if chosen else None)
    if not series_uid and Path(path).is_file() and not _is_dicom_name(path):
        wanted = None  # NIfTI and NRRD have no series; the check below answers for them
    try:
        volume = read_ct(
            path, series_uid=wanted, progress=part(0.0, 0.6), should_cancel=should_cancel
        )
    except NoSuchSeriesError:
        if chosen is None or series_uid:
            raise
        raise _foreign(levels, chosen, "which is not in this input") from None
    if chosen is None and segmentation is not None:
        chosen = _from_segmentation(volume, segmentation, should_cancel)
        levels = segmentation
    if chosen is None:
        return volume, _find(volume, path, part(0.6, 0.4), should_cancel)
    actual = volume.acquisition.series_uid
    if chosen.series_uid and chosen.series_uid != actual:
        what = f"and this is series {actual}" if actual else "and this CT does not name its series"
        raise _foreign(levels, chosen, what)
    if not any(item.level in LUMBAR for item in chosen):
        raise CTBMDError(f"'{levels}' names no lumbar level; L1-L4 are needed.")
    for item in chosen:
        if not volume.contains(item.ras):
            raise CTBMDError(
                f"{item.level} of '{levels}' lies outside the CT; check that both are of the same scan and that 'ras' is in mm (right, anterior, superior)."
            )
    return volume, chosen


def _from_segmentation(volume, path, should_cancel) -> LevelSelection:
    from ..spine.segments import guess_names, levels_from_labels

    labels, names = read_labels(path, should_cancel=should_cancel)
    names = names or guess_names(labels.hu, labels.ijk_to_ras)
    if not names:
        raise CTBMDError(
            f"The labels of '{path}' follow no scheme CTBMD knows (TotalSegmentator, VerSe); save it in 3D Slicer as .seg.nrrd with named segments."
        )
    uid = volume.acquisition.series_uid
    return levels_from_labels(labels.hu, labels.ijk_to_ras, names, series_uid=uid)


def load_levels(path) -> LevelSelection:
    """Read a levels file.

    Raises
    ------
    CTBMDError
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise CTBMDError(f"The levels file '{path}' does not exist; check the path.") from None
    except UnicodeDecodeError:
        raise CTBMDError(f"The levels file '{path}' is not a JSON text file.") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise CTBMDError(
            f"The levels file '{path}' cannot be read ({why}); check the file and its rights."
        ) from None
    try:
        return LevelSelection.from_json(text)
    except CTBMDError:
        raise
    except (TypeError, ValueError, AttributeError, OverflowError, RecursionError):
        raise CTBMDError(
            f"The levels file '{path}' is not as 'ctbmd levels' writes it; find the levels again."
        ) from None


def not_found(selection: LevelSelection) -> list[str]:
    """Levels of L1-L4 that the selection lacks."""
    return [level for level in MEASURED if level not in selection]


def _find(volume, path, progress, should_cancel) -> LevelSelection:
    from ..spine.locate import find_levels

    selection = find_levels(volume, progress=progress, should_cancel=should_cancel)
    if not any(item.level in LUMBAR for item in selection):
        raise CTBMDError(
            f"no lumbar level found in '{path}'; choose a scan that shows lumbar vertebrae."
        )
    return selection


def _is_dicom_name(path) -> bool:
    return not str(path).lower().endswith((".nii", ".nii.gz", ".nrrd", ".nhdr", ".hdr", ".img"))


def _foreign(path, selection, what) -> CTBMDError:
    return CTBMDError(
        f"The levels file '{path}' belongs to series {selection.series_uid}, {what}; find the levels again, or take 'series_uid' out of the file if it is the same scan."
    )
