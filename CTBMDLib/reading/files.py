"""The files of a folder and what the header of each says; nothing is sorted yet."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
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
    """

    images: list[DicomImage]
    damaged: list[Path]
    other: list[Path]


def files_below(folder: Path, recursive: bool = True) -> list[Path]:
    """Files of a folder, hidden ones left out, in a fixed order."""
    found: list[Path] = []
    for where, folders, names in os.walk(folder):
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
        except (DamagedImageError, OSError):
            found.damaged.append(path)
        else:
            if image.frames:
                found.images.append(image)
    return found


def no_image_error(where: Path, found: FoundFiles) -> CTBMDError:
    """The sentence for a folder without a DICOM image."""
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
