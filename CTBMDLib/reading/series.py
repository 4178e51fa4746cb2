"""From the images of files to the DICOM series, each a usable CT or with its problem.

Only what the headers say is looked at here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ..errors import CTBMDError
from ..volume import Acquisition
from .even import order
from .headers import DicomImage, Frame, acquisition, get, number, text
from .kernels import sharpness
from .stack import has_gantry_tilt, image_problem, plane, stack_problem

_Item: TypeAlias = tuple[Frame, DicomImage]


class NoSuchSeriesError(CTBMDError):
    """The series that was asked for is not in the input."""


@dataclass(frozen=True)
class SeriesInfo:
    """One stack of parallel images of one series.

    Attributes
    ----------
    series_uid : str or None
    number : str or None
        SeriesNumber, what the scanner's console shows.
    description : str or None
    modality : str or None
    patient_id, study_uid, frame_of_reference_uid : str or None
    plane : {'axial', 'sagittal', 'coronal', 'scout', 'unknown'}
    images : int
    problem : str or None
        The sentence with which `read_ct` refuses it; None when it can be read.
    reason, code : str or None
        The problem in a few words, and the code of the error.
    frames : tuple of Frame
        Sorted by position along the slice normal where the geometry is known.
    acquisition : Acquisition
        What the header of one image says of the scan and the person.
    copies : tuple of Path
        Files left out because another one holds the same image.
    parts : tuple of SeriesInfo
        The series that this one was joined of; see `joining`.
    """

    series_uid: str | None
    number: str | None
    description: str | None
    modality: str | None
    patient_id: str | None
    study_uid: str | None
    plane: str
    images: int
    problem: str | None = None
    reason: str | None = None
    code: str | None = None
    frames: tuple[Frame, ...] = field(default=(), repr=False)
    acquisition: Acquisition = field(default_factory=Acquisition, repr=False)
    copies: tuple[Path, ...] = field(default=(), repr=False)
    frame_of_reference_uid: str | None = None
    parts: tuple[SeriesInfo, ...] = field(default=(), repr=False)

    @property
    def title(self) -> str:
        """How the series is called in messages: series 5 'MPR' (sagittal, 38 images)."""
        parts = ["series"]
        if self.number:
            parts.append(self.number)
        if self.description and self.description.strip(" ,"):
            parts.append(f"'{self.description.strip(' ,')}'")
        what = self.plane if self.modality == "CT" else (self.modality or "unknown modality")
        images = "1 image" if self.images == 1 else f"{self.images} images"
        return f"{' '.join(parts)} ({what}, {images})"

    @property
    def tilted(self) -> bool:
        """Whether a readable series was taken with a tilted gantry."""
        return self.problem is None and has_gantry_tilt(self.frames)

    @property
    def voxels(self) -> int:
        """How many pixels its images have together."""
        return sum(frame.rows * frame.columns for frame in self.frames)


def sort_into_series(images: Iterable[DicomImage]) -> list[SeriesInfo]:
    """Sort images into stacks of parallel images of one series, best first.

    A series may hold a scout or a second orientation beside the stack it is
    named for; those are stacks of their own.
    """
    stacks: dict[tuple[object, ...], list[list[_Item]]] = {}
    whole, copies = _without_copies(images)
    for image in whole:
        for frame in image.frames:
            candidates = stacks.setdefault(_stack_key(image, frame), [])
            for items in candidates:
                if _parallel(items[0][0], frame):
                    break
            else:
                candidates.append(items := [])
            items.append((frame, image))
    series = [_series(items, copies) for candidates in stacks.values() for items in candidates]
    return best_first(_blame_cut_files(series))


def best_first(series: Iterable[SeriesInfo]) -> list[SeriesInfo]:
    """Series in the order in which they are taken."""
    return sorted(series, key=_preference)


def choose(series: Sequence[SeriesInfo], series_uid: str | None) -> SeriesInfo:
    """The series of that UID or SeriesNumber; the best one where none is named.

    Raises
    ------
    NoSuchSeriesError
    """
    if series_uid is None:
        return series[0]
    wanted = str(series_uid).strip()

    def one_of(item: SeriesInfo, name: str) -> bool:
        return any(getattr(part, name) == wanted for part in item.parts or (item,))

    named = [item for item in series if one_of(item, "series_uid")]
    if not named:  # the number on the scanner's console, where it is unique
        named = [item for item in series if wanted and one_of(item, "number")]
        if len({item.series_uid for item in named}) > 1:
            have = "; ".join(f"{item.title} {item.series_uid}" for item in named[:5])
            raise NoSuchSeriesError(
                f"Several series have the number {wanted}; name one by its UID: {have}.",
                "ambiguous-series",
            )
    if not named:
        have = "; ".join(f"{item.title} {item.series_uid}" for item in series[:5])
        raise NoSuchSeriesError(
            f"There is no series {wanted} here; there are: {have}.", "no-such-series"
        )
    return named[0]


def check_usable(chosen: SeriesInfo, series: Sequence[SeriesInfo], named: bool) -> None:
    """Refuse a series with a problem, saying which one it is where there are several.

    Raises
    ------
    CTBMDError
    """
    if chosen.problem is None:
        return
    sentence = chosen.problem
    if len(series) > 1:
        problem = sentence[0].lower() + sentence[1:]
        if named:
            sentence = f"{chosen.title[0].upper()}{chosen.title[1:]}: {problem}"
        else:
            sentence = f"None of the {len(series)} series here can be read; the nearest is {chosen.title}: {problem}"
    raise CTBMDError(sentence, chosen.code or "unusable-series")


def _without_copies(
    images: Iterable[DicomImage],
) -> tuple[list[DicomImage], dict[Path, list[Path]]]:
    """The images, each once, and {file of an image: files that hold the same one}.

    Two files hold the same image where they have the same SOPInstanceUID at the
    same place. Of such files the longest is taken: a copy may have been cut off.
    A UID that stands at different places is no UID, and nothing is left out by it.
    """
    groups: dict[tuple[object, ...], list[DicomImage]] = {}
    for n, image in enumerate(images):
        uid = image.instance_uid or n
        groups.setdefault((image.patient_id, image.series_uid, uid), []).append(image)
    whole: list[DicomImage] = []
    copies: dict[Path, list[Path]] = {}
    for same in groups.values():
        if len({_places(image) for image in same}) > 1:
            whole += same
            continue
        best = same[0] if len(same) == 1 else max(same, key=_file_size)
        whole.append(best)
        path = best.frames[0].path
        copies[path] = [image.frames[0].path for image in same if image is not best]
    return whole, copies


def _places(image: DicomImage) -> tuple[object, ...]:
    return tuple((f.position, f.number, f.rows, f.columns) for f in image.frames)


def _file_size(image: DicomImage) -> int:
    try:
        return image.frames[0].path.stat().st_size
    except OSError:
        return 0


def _stack_key(image: DicomImage, frame: Frame) -> tuple[object, ...]:
    return (
        image.patient_id,
        image.series_uid,
        image.modality,
        frame.localizer,
        frame.colour,
        (frame.rows, frame.columns),
    )


def _parallel(a: Frame, b: Frame) -> bool:
    if a.orientation is None or b.orientation is None:
        return a.orientation is b.orientation
    return bool(np.allclose(a.orientation, b.orientation, atol=0.01))


def _blame_cut_files(series: list[SeriesInfo]) -> list[SeriesInfo]:
    """Give a series the problem of its cut-off file rather than list that file as a series."""
    cut = {item.series_uid: item for item in series if not item.frames[0].rows}
    whole = [item for item in series if item.frames[0].rows]
    known = {item.series_uid for item in whole if item.modality == "CT"}
    result = [item for uid, item in cut.items() if uid not in known]
    for item in whole:
        blame = cut.get(item.series_uid)
        if blame is None or item.modality != "CT" or item.plane == "scout":
            result.append(item)
        else:
            result.append(
                replace(item, problem=blame.problem, reason=blame.reason, code=blame.code)
            )
    return result


def _series(items: Sequence[_Item], copies: Mapping[Path, Sequence[Path]]) -> SeriesInfo:
    frames = [frame for frame, _ in items]
    image = items[0][1]
    facts = acquisition(image.dataset, image.groups)
    kind = "scout" if frames[0].localizer else plane(frames[0])
    problem = image_problem(facts.modality, frames)
    normal = frames[0].normal
    if normal is not None and (
        problem is None or all(f.position and f.orientation for f in frames)
    ):
        places = np.array([f.position for f in frames])
        frames = [frames[k] for k in order(places, normal, [f.number for f in frames])]
    if problem is None:
        problem = stack_problem(frames)
    return SeriesInfo(
        series_uid=facts.series_uid,
        number=image.series_number,
        description=facts.series_description,
        modality=facts.modality,
        patient_id=facts.patient_id,
        study_uid=facts.study_uid,
        frame_of_reference_uid=text(get(image.dataset, "FrameOfReferenceUID")),
        plane=kind,
        images=len(frames),
        problem=problem and problem.sentence,
        reason=problem and problem.reason,
        code=problem and problem.code,
        frames=tuple(frames),
        acquisition=facts,
        copies=tuple(
            path for name in dict.fromkeys(f.path for f in frames) for path in copies.get(name, ())
        ),
    )


def _preference(series: SeriesInfo) -> tuple[object, ...]:
    return (
        series.modality != "CT",
        series.plane == "scout",
        series.problem is not None,
        series.plane != "axial",
        series.tilted,
        -series.images,
        -series.voxels,
        sharpness(series.acquisition.kernel),
        number(series.number) or math.inf,
        series.series_uid or "",
    )
