"""A CT volume from a DICOM folder or file, NIfTI or NRRD; what is no usable CT is refused.

The way of a path: archive -> files -> series -> stack -> pixels -> gantry tilt
correction -> CTVolume. Each stage is a function of what the one before gave.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from zipfile import is_zipfile

import numpy as np

from ..errors import CTBMDError
from ..progress import Progress, Report, ShouldCancel
from ..safefile import cannot_be_read
from ..volume import CTVolume
from . import hounsfield
from .archive import unpacked
from .files import files_below, names_of, no_image_error, read_headers
from .gantry_tilt import correct_gantry_tilt
from .headers import DicomImage
from .joining import doubts, join, parts_sentence
from .nifti import read_nifti
from .nrrd import read_nrrd, segment_names
from .pixels import read_pixels
from .series import SeriesInfo, best_first, check_usable, choose, sort_into_series
from .stack import gantry_tilt_degrees, geometry
from .streams import cut

NIFTI_SUFFIXES = (".nii", ".nii.gz")
NRRD_SUFFIXES = (".nrrd", ".nhdr")
_PAIR_SUFFIXES = (".hdr", ".img", ".img.gz")
_PACKED_SUFFIXES = (".zip", ".gz", ".tgz", ".tar", ".7z", ".rar")
_UNPACKED = 0.2  # of the progress bar, where there is an archive
_HEADERS = 0.2
_PIXELS = 0.95
_MAX_NAMED = 12  # series named in the sentence about those that were left


@dataclass(frozen=True)
class _Found:
    """The series at a path, best first, its damaged files, the one file that was given, what may not be read."""

    series: list[SeriesInfo]
    damaged: list[Path]
    single: Path | None = None
    unreadable: tuple[Path, ...] = ()


def read_ct(
    path: str | Path,
    *,
    series_uid: str | None = None,
    progress: Report | None = None,
    should_cancel: ShouldCancel | None = None,
) -> CTVolume:
    """Read one CT series as a volume in Hounsfield units.

    Parameters
    ----------
    path : str or Path
        A folder or ZIP archive with DICOM files (searched with its subfolders;
        other series, other patients and other files may lie in it), one DICOM
        file (its whole series is then read from the folder it lies in, and
        `CTVolume.reading_findings` says so), a NIfTI file (.nii, .nii.gz) or an NRRD
        file (.nrrd, .nhdr).
    series_uid : str or None
        SeriesInstanceUID of the series to read, or its SeriesNumber. Without
        it the usable axial CT series with the most images is read, of equal
        ones that with a soft kernel; where none is axial, the usable CT series
        with the most images.
    progress : callable(float, str) or None
        Told the fraction done, 0 to 1, and a short text.
    should_cancel : callable() -> bool or None
        Asked between files and slices.

    Returns
    -------
    CTVolume
        int16 where that is lossless. `reading_findings` names the series that was
        read and, in the same line, those that were left.

    Raises
    ------
    CTBMDError
        With one sentence, for everything that is not one usable CT.
    Cancelled
    """
    with warnings.catch_warnings():
        # pydicom warns of every small fault in a header; what matters is refused in a sentence.
        warnings.simplefilter("ignore")
        return _read(_existing(path), series_uid, Progress(progress, should_cancel))


def list_series(
    path: str | Path, *, progress: Report | None = None, should_cancel: ShouldCancel | None = None
) -> list[SeriesInfo]:
    """The series of a folder, or of a DICOM file's folder, the one `read_ct` takes first.

    Only headers are read. A series that `read_ct` would refuse is listed with
    its `problem`.

    Raises
    ------
    CTBMDError
        Where there is no DICOM image.
    Cancelled
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        where = _existing(path)
        return _find(where, where, Progress(progress, should_cancel)).series


def read_labels(
    path: str | Path, *, should_cancel: ShouldCancel | None = None
) -> tuple[CTVolume, dict[int, str]]:
    """Read a label volume: NIfTI, NRRD, or a Slicer segmentation (.seg.nrrd).

    Returns
    -------
    (CTVolume, dict)
        The labels in place of HU (int16), and {value: name} where the file
        names its segments, which only a Slicer segmentation does.

    Raises
    ------
    CTBMDError, Cancelled
    """
    where = _existing(path)
    progress = Progress(None, should_cancel)
    names: dict[int, str] = {}
    try:
        if _is_file(where, NIFTI_SUFFIXES):
            volume = read_nifti(where, progress)
        elif _is_file(where, NRRD_SUFFIXES):
            volume, names = read_nrrd(where, progress), segment_names(where)
        else:
            raise CTBMDError(
                f"'{where.name}' is no label volume; give a segmentation as NIfTI or NRRD.",
                "not-labels",
            )
    except OSError as error:
        raise CTBMDError(cannot_be_read(where, error), "unreadable-file") from None
    if volume.hu.dtype != np.int16 or volume.hu.min() < 0:
        raise CTBMDError(
            f"'{where.name}' is no label volume: its values are not whole numbers from 0 up.",
            "not-labels",
        )
    return volume, names


def _existing(path: str | Path) -> Path:
    if not str(path).strip():
        raise CTBMDError(
            "No path was given; name a DICOM folder or file, NIfTI or NRRD.", "no-path"
        )
    path = Path(path)
    try:
        exists = path.exists()
    except (OSError, ValueError):
        exists = False
    if not exists:
        raise CTBMDError(f"'{path}' does not exist; check the path.", "no-such-file")
    return path


def _is_file(path: Path, suffixes: tuple[str, ...]) -> bool:
    return path.is_file() and path.name.lower().endswith(suffixes)


def _read(path: Path, series_uid: str | None, progress: Progress) -> CTVolume:
    if _is_file(path, (*NIFTI_SUFFIXES, *_PAIR_SUFFIXES, *NRRD_SUFFIXES)):
        return _read_volume_file(path, series_uid, progress)
    if _is_file(path, (".zip",)):
        if not is_zipfile(path):  # its directory stands at its end
            raise cut(path)
        with unpacked(path, progress.part(0.0, _UNPACKED)) as folder:
            return _read_dicom(folder, path, series_uid, progress.part(_UNPACKED, 1.0))
    return _read_dicom(path, path, series_uid, progress)


def _read_volume_file(path: Path, series_uid: str | None, progress: Progress) -> CTVolume:
    if series_uid is not None:
        raise CTBMDError(
            f"'{path.name}' is not DICOM and has no series to choose from; leave the series out.",
            "no-series",
        )
    progress.step(0.0, f"Reading {path.name}")
    read_file = read_nrrd if path.name.lower().endswith(NRRD_SUFFIXES) else read_nifti
    try:
        volume = read_file(path, progress)
    except OSError as error:
        raise CTBMDError(cannot_be_read(path, error), "unreadable-file") from None
    hounsfield.check(volume.hu)
    progress.step(1.0, "CT read")
    return volume


def _read_dicom(path: Path, shown: Path, series_uid: str | None, progress: Progress) -> CTVolume:
    """Read from `path`; `shown` is what the user calls it."""
    found = _find(path, shown, progress.part(0.0, _HEADERS))
    chosen = choose(found.series, series_uid)
    check_usable(chosen, found.series, series_uid is not None)
    hu = read_pixels(chosen.frames, progress.part(_HEADERS, _PIXELS))
    hounsfield.check(hu)
    if chosen.tilted:
        hu, matrix = correct_gantry_tilt(hu, chosen.frames, progress)
    else:
        matrix = geometry(chosen.frames)
    progress.step(1.0, "CT read")
    facts = chosen.acquisition
    name = shown.resolve().name if shown.is_dir() else shown.stem
    if found.single is not None:
        name = shown.resolve().parent.name
    return CTVolume(
        hu,
        matrix,
        facts,
        name=facts.patient_id or name or "CT",
        reading_findings=_findings(chosen, found),
        series_uids=tuple(x.series_uid for x in chosen.parts or (chosen,) if x.series_uid),
    )


def _find(path: Path, shown: Path, progress: Progress) -> _Found:
    """The series of a folder, or the series that one file belongs to."""
    return _find_in_folder(path, shown, progress) if path.is_dir() else _find_of(path, progress)


def _find_in_folder(path: Path, shown: Path, progress: Progress) -> _Found:
    unreadable: list[Path] = []
    files = files_below(path, unreadable=unreadable)
    if unreadable and not files:
        raise CTBMDError(
            f"The folder '{shown if path in unreadable else unreadable[0]}' cannot be read; ask for the right to read it or copy the series to a folder of your own.",
            "unreadable-folder",
        )
    if not files:
        raise CTBMDError(f"'{shown}' is empty; choose the folder of a CT series.", "empty-folder")
    headers = read_headers(files, progress)
    if not headers.images:
        raise no_image_error(shown, headers)
    return _Found(
        _series_of(headers.images),
        headers.damaged,
        unreadable=(*unreadable, *headers.forbidden),
    )


def _series_of(images: list[DicomImage]) -> list[SeriesInfo]:
    return best_first(join(sort_into_series(images)))


def _find_of(path: Path, progress: Progress) -> _Found:
    progress.check()
    headers = read_headers([path], Progress())
    if path.suffix.lower() in _PACKED_SUFFIXES:
        raise CTBMDError(
            f"'{path.name}' is an archive; unpack it and give the folder.", "packed-archive"
        )
    if headers.forbidden:
        raise CTBMDError(
            f"You have no right to read '{path.name}'; ask for it or copy the series to a folder of your own.",
            "unreadable-file",
        )
    if headers.other or not (headers.images or headers.damaged):
        raise CTBMDError(
            f"'{path.name}' is not a CT image file; give a DICOM folder or file, NIfTI (.nii, .nii.gz) or NRRD (.nrrd, .nhdr).",
            "not-an-image",
        )
    if headers.damaged:
        raise cut(path)
    alone = sort_into_series(headers.images)
    own = alone[0]
    if own.frames[0].index is not None or own.reason not in ("only one slice", None):
        return _Found(alone, [])  # multi-frame, or nothing that its neighbours could mend
    beside = read_headers(files_below(path.parent, recursive=False), progress)
    series = _series_of(beside.images)
    stack = [item for item in series if path in (*(f.path for f in item.frames), *item.copies)]
    return _Found(stack or alone, beside.damaged, path, tuple(beside.forbidden))


def _findings(chosen: SeriesInfo, found: _Found) -> tuple[str, ...]:
    """What the user is told of the reading, a sentence each."""
    findings = [_which_series(chosen, found.series)]
    if chosen.parts:
        findings.append(parts_sentence(chosen))
    findings += doubts(chosen, found.series)
    if found.single is not None:
        findings.append(
            f"'{found.single.name}' is one of {chosen.images} images of its series; all of them were read from its folder."
        )
    if chosen.copies:
        count = len(chosen.copies)
        named = names_of(chosen.copies[:1], [frame.path for frame in chosen.frames])
        findings.append(
            f"{named} is a copy of an image that was read, and was left out."
            if count == 1
            else f"{count} files, such as {named}, are copies of images that were read, and were left out."
        )
    if found.damaged:
        read = [frame.path for frame in chosen.frames]
        findings.append(f"Damaged files were left out: {names_of(found.damaged, read)}.")
    if found.unreadable:
        findings.append(
            f"Left out, since you have no right to read it: {names_of(found.unreadable)}."
        )
    if chosen.tilted:
        angle = gantry_tilt_degrees(chosen.frames)
        findings.append(
            f"The gantry was tilted by {angle:.0f} degrees; gantry tilt correction was applied, which blurs the slices slightly."
        )
    return tuple(findings)


def _which_series(chosen: SeriesInfo, series: list[SeriesInfo]) -> str:
    used = f"Read {chosen.title}"
    patients = {item.patient_id for item in series}
    if len(patients) > 1 and chosen.patient_id:
        used += f" of patient {chosen.patient_id}"
    left = []
    for item in series:
        if item is chosen:
            continue
        title = item.title
        if len(patients) > 1 and item.patient_id != chosen.patient_id:
            title += f" of patient {item.patient_id or 'unknown'}"
        if item.problem and item.reason not in (item.plane, item.modality):
            title += f" [{item.reason}]"
        left.append(title)
    if left:
        used += "; left out: " + ", ".join(left[:_MAX_NAMED])
        if len(left) > _MAX_NAMED:
            used += f" and {len(left) - _MAX_NAMED} more"
    return used + "."
