"""A CT volume from a DICOM folder or file, NIfTI or NRRD; what is no usable CT is refused."""

from __future__ import annotations

import warnings
from pathlib import Path
from zipfile import is_zipfile

import numpy as np

from ..errors import Cancelled, CTBMDError
from ..volume import CTVolume
from . import hounsfield
from .archive import unpacked
from .headers import acquisition
from .nifti import read_nifti
from .nrrd import read_nrrd, segment_names
from .pixels import read_pixels
from .series import SeriesInfo, files_below, no_series_error, scan
from .stack import geometry, leans
from .tilt import straighten, tilt_degrees

_HEADER_SHARE = 0.2  # of the progress bar
_PIXEL_SHARE = 0.75


class NoSuchSeries(CTBMDError):
    """The series that was asked for is not in the input."""


def read_ct(path, *, series_uid=None, progress=None, should_cancel=None) -> CTVolume:
    """Read one CT series as a volume in Hounsfield units.

    Parameters
    ----------
    path : str or Path
        A folder or ZIP archive with DICOM files (searched with its subfolders;
        other series, other patients and other files may lie in it), one DICOM
        file (its whole series is then read from the folder it lies in, and
        `CTVolume.remarks` says so), a NIfTI file (.nii, .nii.gz) or an NRRD
        file (.nrrd, .nhdr).
    series_uid : str or None
        SeriesInstanceUID of the series to read, or its SeriesNumber. Without
        it the usable axial CT series with the most images is read; where none
        is axial, the usable CT series with the most images.
    progress : callable(float, str) or None
        Told the fraction done, 0 to 1, and a short text.
    should_cancel : callable() -> bool or None
        Asked between files and slices.

    Returns
    -------
    CTVolume
        int16 where that is lossless. `remarks` names the series that was read
        and, in the same line, those that were left.

    Raises
    ------
    CTBMDError
        With one sentence, for everything that is not one usable CT.
    Cancelled
    """
    with warnings.catch_warnings():
        # pydicom warns of every small fault in a header; what matters is refused in a sentence.
        warnings.simplefilter("ignore")
        return _read(_existing(path), series_uid, progress, should_cancel)


def list_series(path, *, progress=None, should_cancel=None) -> list[SeriesInfo]:
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
        found, _ = _scan(_existing(path), progress, should_cancel)
    return found.series


def _read(path, series_uid, progress, should_cancel) -> CTVolume:
    low = path.name.lower()
    if path.is_file() and low.endswith((".nii", ".nii.gz", ".hdr", ".img", ".img.gz")):
        read_file = read_nifti
    elif path.is_file() and low.endswith((".nrrd", ".nhdr")):
        read_file = read_nrrd
    elif path.is_file() and low.endswith(".zip") and is_zipfile(path):
        with unpacked(path, _part(progress, 0.0, 0.2), should_cancel) as folder:
            return _read_dicom(folder, path, series_uid, _part(progress, 0.2, 0.8), should_cancel)
    else:
        return _read_dicom(path, path, series_uid, progress, should_cancel)
    if series_uid is not None:
        raise CTBMDError(
            f"'{path.name}' is not DICOM and has no series to choose from; leave the series out."
        )
    if should_cancel and should_cancel():
        raise Cancelled
    if progress:
        progress(0.0, f"Reading {path.name}")
    try:
        volume = read_file(path, should_cancel)
    except OSError as error:
        raise CTBMDError(f"'{path}' cannot be read ({error.strerror or error}).") from None
    hounsfield.check(volume.hu)
    if progress:
        progress(1.0, "CT read")
    return volume


def read_labels(path, *, should_cancel=None) -> tuple[CTVolume, dict[int, str]]:
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
    path = _existing(path)
    low = path.name.lower()
    try:
        if path.is_file() and low.endswith((".nii", ".nii.gz")):
            volume, names = read_nifti(path, should_cancel), {}
        elif path.is_file() and low.endswith((".nrrd", ".nhdr")):
            volume, names = read_nrrd(path, should_cancel), segment_names(path)
        else:
            raise CTBMDError(
                f"'{path.name}' is no label volume; give a segmentation as NIfTI or NRRD."
            )
    except OSError as error:
        raise CTBMDError(f"'{path}' cannot be read ({error.strerror or error}).") from None
    if volume.hu.dtype != np.int16 or volume.hu.min() < 0:
        raise CTBMDError(
            f"'{path.name}' is no label volume: its values are not whole numbers from 0 up."
        )
    return volume, names


def _existing(path) -> Path:
    if not str(path).strip():
        raise CTBMDError("No path was given; name a DICOM folder or file, NIfTI or NRRD.")
    path = Path(path)
    try:
        exists = path.exists()
    except (OSError, ValueError):
        exists = False
    if not exists:
        raise CTBMDError(f"'{path}' does not exist; check the path.")
    return path


def _scan(path, progress, should_cancel, shown=None):
    """Headers of a folder, or of the series that one file belongs to: (Scan, file or None)."""
    if path.is_dir():
        files = files_below(path)
        if not files:
            raise CTBMDError(f"'{shown or path}' is empty; choose the folder of a CT series.")
        found = scan(files, progress, should_cancel)
        if not found.series:
            raise no_series_error(shown or path, found)
        return found, None
    alone = scan([path], None, should_cancel)
    if path.suffix.lower() in (".zip", ".gz", ".tgz", ".tar", ".7z", ".rar"):
        raise CTBMDError(f"'{path.name}' is an archive; unpack it and give the folder.")
    if alone.other or not (alone.series or alone.damaged):
        raise CTBMDError(
            f"'{path.name}' is not a CT image file; give a DICOM folder or file, NIfTI (.nii, .nii.gz) or NRRD (.nrrd, .nhdr)."
        )
    if alone.damaged:
        raise CTBMDError(
            f"The file '{path.name}' is cut off or damaged; copy it again from where it came."
        )
    own = alone.series[0]
    if own.frames[0].index is not None or own.reason not in ("only one slice", None):
        return alone, None  # multi-frame, or nothing that its neighbours could mend
    found = scan(files_below(path.parent, recursive=False), progress, should_cancel)
    stack = [s for s in found.series if any(f.path == path for f in s.frames)]
    found.series = stack or alone.series
    return found, path


def _part(progress, start, share):
    """A progress callable for a part of the work, or None."""
    return progress and (lambda done, text: progress(start + share * done, text))


def _read_dicom(path, shown, series_uid, progress, should_cancel) -> CTVolume:
    """Read from `path`; `shown` is what the user calls it."""
    found, single = _scan(path, _part(progress, 0.0, _HEADER_SHARE), should_cancel, shown)
    chosen = _choose(found.series, series_uid)
    if chosen.problem is not None:
        raise CTBMDError(_refusal(chosen, found.series, series_uid is not None))
    hu = read_pixels(chosen.frames, _part(progress, _HEADER_SHARE, _PIXEL_SHARE), should_cancel)
    hounsfield.check(hu)
    tilted = leans(chosen.frames)
    if tilted:
        hu, matrix = straighten(hu, chosen.frames, should_cancel)
    else:
        matrix = geometry(chosen.frames)
    if progress:
        progress(1.0, "CT read")
    facts = acquisition(chosen.header, chosen.groups)
    name = shown.resolve().name if shown.is_dir() else shown.stem
    if single is not None:
        name = shown.resolve().parent.name
    remarks = _remarks(chosen, found, single)
    if tilted:
        angle = tilt_degrees(chosen.frames)
        remarks += (
            f"The gantry was tilted by {angle:.0f} degrees; the slices were put straight, which blurs them slightly.",
        )
    return CTVolume(hu, matrix, facts, name=facts.patient_id or name or "CT", remarks=remarks)


def _choose(series, series_uid) -> SeriesInfo:
    if series_uid is None:
        return series[0]
    wanted = str(series_uid).strip()
    named = [item for item in series if item.series_uid == wanted]
    if not named:  # the number on the scanner's console, where it is unique
        named = [item for item in series if wanted and item.number == wanted]
        if len({item.series_uid for item in named}) > 1:
            have = "; ".join(f"{item.title} {item.series_uid}" for item in named[:5])
            raise NoSuchSeries(
                f"Several series have the number {wanted}; name one by its UID: {have}."
            )
    if not named:
        have = "; ".join(f"{item.title} {item.series_uid}" for item in series[:5])
        raise NoSuchSeries(f"There is no series {wanted} here; there are: {have}.")
    return named[0]


def _refusal(chosen, series, named) -> str:
    """The chosen series' problem, and which one it is where there are several."""
    if len(series) == 1:
        return chosen.problem
    problem = chosen.problem[0].lower() + chosen.problem[1:]
    if named:
        return f"{chosen.title[0].upper()}{chosen.title[1:]}: {problem}"
    return f"None of the {len(series)} series here can be read; the nearest is {chosen.title}: {problem}"


def _remarks(chosen, found, single) -> tuple[str, ...]:
    used = f"Read {chosen.title}"
    patients = {item.patient_id for item in found.series}
    if len(patients) > 1 and chosen.patient_id:
        used += f" of patient {chosen.patient_id}"
    left = []
    for item in found.series:
        if item is chosen:
            continue
        title = item.title
        if len(patients) > 1 and item.patient_id != chosen.patient_id:
            title += f" of patient {item.patient_id or 'unknown'}"
        if item.problem and item.reason not in (item.plane, item.modality):
            title += f" [{item.reason}]"
        left.append(title)
    if left:
        used += "; left out: " + ", ".join(left[:12])
        if len(left) > 12:
            used += f" and {len(left) - 12} more"
    remarks = [used + "."]
    if single is not None:
        remarks.append(
            f"'{single.name}' is one of {chosen.images} images of its series; all of them were read from its folder."
        )
    if found.damaged:
        names = ", ".join(f"'{p.name}'" for p in found.damaged[:3])
        more = f" and {len(found.damaged) - 3} more" if len(found.damaged) > 3 else ""
        remarks.append(f"Damaged files were left out: {names}{more}.")
    return tuple(remarks)
