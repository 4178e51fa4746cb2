"""The files of a folder and what the header of each says; nothing is sorted yet."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import CTBMDError
from ..progress import Progress
from .headers import DamagedImageError, DicomImage, NoImageError, read_image


@dataclass(frozen=True)
class FoundFiles:
    """What lies in some files.

    Attributes
    ----------
    images : list of DicomImage
        One for each file with a DICOM image.
    damaged, other : list of Path
        DICOM files that are cut off or damaged; files that are no DICOM images.
    forbidden : list of Path
        Files that the user has no right to read.
    """

    images: list[DicomImage]
    damaged: list[Path]
    other: list[Path]
    forbidden: list[Path] = field(default_factory=list)


def files_below(
    folder: Path, recursive: bool = True, unreadable: list[Path] | None = None
) -> list[Path]:
    """Files of a folder, hidden ones left out, in a fixed order.

    Parameters
    ----------
    folder : Path
    recursive : bool
    unreadable : list of Path, optional
        Filled with the folders that cannot be looked into.
    """
    found: list[Path] = []

    def note(error: OSError) -> None:
        if unreadable is not None:
            unreadable.append(Path(str(error.filename or folder)))

    for where, folders, names in os.walk(folder, onerror=note):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(where, name) for name in sorted(names) if not name.startswith(".")]
        if not recursive:
            break
    return found


def read_headers(paths: Sequence[Path], progress: Progress) -> FoundFiles:
    """Read the headers of files.

    Raises
    ------
    Cancelled
    """
    found = FoundFiles([], [], [])
    for count, path in enumerate(paths):
        progress.check()
        if count % 16 == 0:
            progress.step(count / len(paths), f"Looking through {len(paths)} files")
        try:
            if not path.is_file():  # a pipe would wait for ever
                continue
            image = read_image(path)
        except NoImageError:
            found.other.append(path)
        except PermissionError:
            found.forbidden.append(path)
        except (DamagedImageError, OSError):
            found.damaged.append(path)
        else:
            if image.frames:
                found.images.append(image)
    return found


def shown_name(path: Path, among: Iterable[Path]) -> str:
    """A file's name, with as many of its folders as tell it from the others."""
    alike = [other.parts for other in among if other.name == path.name and other != path]
    parts = path.parts
    for count in range(1, len(parts)):
        if all(other[-count:] != parts[-count:] for other in alike):
            return "/".join(parts[-count:])
    return str(path)


def names_of(paths: Sequence[Path], among: Sequence[Path] = (), most: int = 3) -> str:
    """Names of files for a sentence: 'a', 'b', 'c' and 2 more."""
    named = ", ".join(f"'{shown_name(path, (*paths, *among))}'" for path in paths[:most])
    return named + (f" and {len(paths) - most} more" if len(paths) > most else "")


def no_image_error(where: Path, found: FoundFiles) -> CTBMDError:
    """The sentence for a folder without a DICOM image."""
    if found.forbidden:
        return CTBMDError(
            f"No image in '{where}' can be read: you have no right to read '{found.forbidden[0].name}'; ask for it or copy the series to a folder of your own.",
            "unreadable-file",
        )
    if found.damaged:
        return CTBMDError(
            f"No image in '{where}' can be read: '{found.damaged[0].name}' is cut off or damaged; copy the series again.",
            "damaged-file",
        )
    volumes = [p for p in found.other if p.name.lower().endswith((".nii", ".nii.gz", ".nrrd"))]
    if volumes:
        return CTBMDError(
            f"'{where}' holds no DICOM images; to read '{volumes[0].name}', give the file itself.",
            "no-dicom-images",
        )
    return CTBMDError(
        f"The folder '{where}' holds no DICOM images; choose the folder of a CT series.",
        "no-dicom-images",
    )
