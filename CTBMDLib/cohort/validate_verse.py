"""VerSe as a table for a validation: CT, vertebra masks and centroids beside a table of DXA.

VerSe (Sekuboyina 2021, Med Image Anal 73:102166; CC BY-SA 4.0) is given as folders after
BIDS: `rawdata/sub-verse004/sub-verse004_ct.nii.gz`, and in `derivatives/sub-verse004/` the
mask `..._seg-vert_msk.nii.gz` and the centroids `..._seg-vb_ctd.json` (2019) or
`..._seg-subreg_ctd.json` (2020); a `dir-` or `split-` may stand between. Of a subject with
several series each is a case and all are one person. The centroids are voxels of the image
whose axes run as their `direction` says ('P', 'I', 'R': towards back, feet and right), 20 to
24 are L1 to L5.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CTBMDError
from ..levels import LUMBAR, LevelSelection, LevelSlice
from ..progress import Progress
from ..reading.reading import read_ct
from ..safefile import why, write_text
from ..spine.vertebra_names import VERSE
from ..volume import CTVolume
from .validate_cases import known_cells, read_subjects, write_cases

SUBJECT_TITLES = ("subject", "verse_id", "verse", "patient", "case", "id")
_CT = re.compile(r"(?P<stem>sub-(?P<subject>[A-Za-z0-9]+).*)_ct\.nii(\.gz)?")
_MASKS = ("_seg-vert_msk.nii.gz", "_seg-vert_msk.nii")
_CENTROIDS = ("_seg-vb_ctd.json", "_seg-subreg_ctd.json")
_RAS_AXIS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
MAX_CENTROID_BYTES = 1 << 20


def verse_table(
    images: Path, dxa: Path, folder: Path, overwrite: bool, progress: Progress | None = None
) -> Path:
    """Make the table of a validation from VerSe's folders and a table of DXA.

    The mask gives the levels where there is one, else the centroids.

    Parameters
    ----------
    images : Path
        Searched with its subfolders.
    dxa : Path
        CSV with a column `subject` ('sub-verse004', 'verse004' or 4), at least one of
        `t_score` and the aBMD of `validate_table`, and whatever else that reads (`sex,
        age, kvp, device, interval_days, t_mean, t_sd`).
    folder : Path
        Gets `cases.csv` and, for centroids, `levels/`.
    overwrite : bool
    progress : Progress, optional

    Returns
    -------
    Path
        `cases.csv`: every CT and every row of the DXA once, those without the other
        with the reason why they are left out.

    Raises
    ------
    CTBMDError, Cancelled
    """
    work = progress or Progress()
    scans = _scans(images)
    column, records = read_subjects(dxa, SUBJECT_TITLES)
    by_subject: dict[str, dict[str, str]] = {}
    for record in records:
        name = subject_name(record.cells[column])
        if name in by_subject:
            raise CTBMDError(f"The table '{dxa}' has two rows for {name}; leave one.", "table-rows")
        by_subject[name] = known_cells(record)
    rows = []
    seen: set[str] = set()
    for number, (path, stem, subject) in enumerate(scans):
        work.step(number / len(scans), f"Looking at {stem}")
        row = {"path": str(path), "case": stem, "patient": subject}
        if stem in seen:
            row["left_out"] = "another file of the same name was taken, as VerSe 2020 repeats 2019"
        elif subject not in by_subject:
            row["left_out"] = "no DXA of this subject in the table"
        else:
            row = by_subject[subject] | row | _levels(path, stem, folder)
        seen.add(stem)
        rows.append(row)
    found = {subject for _, _, subject in scans}
    rows += [
        cells | {"case": name, "patient": name, "left_out": "no CT of this subject in the folder"}
        for name, cells in by_subject.items()
        if name not in found
    ]
    return write_cases(rows, folder, overwrite)


def subject_name(text: str) -> str:
    """A subject as the folders call it: 'verse004' for 'sub-verse004', 'verse004', 4 and '4.0'."""
    name = text.strip().lower().removeprefix("sub-")
    number = re.fullmatch(r"(\d+)(\.0*)?", name)
    return f"verse{int(number.group(1)):03d}" if number else name


def _scans(images: Path) -> list[tuple[Path, str, str]]:
    """Each CT, its name without ending, and its subject."""
    if not images.is_dir():
        raise CTBMDError(f"'{images}' is no folder; name VerSe's.", "no-such-folder")
    out = []
    for path in sorted(images.rglob("*_ct.nii*")):
        match = _CT.fullmatch(path.name)
        if match and path.is_file():
            out.append((path, match["stem"].removeprefix("sub-"), match["subject"].lower()))
    if not out:
        raise CTBMDError(
            f"'{images}' holds no VerSe image (sub-..._ct.nii.gz); unpack the downloaded archives there.",
            "no-cases",
        )
    return out


def _levels(path: Path, stem: str, folder: Path) -> dict[str, str]:
    """The mask or the levels file of a CT; nothing where neither lies there."""
    parts = ["derivatives" if part == "rawdata" else part for part in path.parent.parts]
    for place in (Path(*parts), path.parent):
        for ending in _MASKS:
            mask = place / f"sub-{stem}{ending}"
            if mask.is_file():
                return {"segmentation": str(mask.absolute())}
        for ending in _CENTROIDS:
            centroids = place / f"sub-{stem}{ending}"
            if centroids.is_file():
                return _from_centroids(path, centroids, folder / "levels" / f"{stem}.json")
    return {}


def _from_centroids(path: Path, centroids: Path, output: Path) -> dict[str, str]:
    """A levels file made from centroids; the reason where it cannot be."""
    try:
        selection = levels_of_centroids(_load(centroids), read_ct(path))
        output.parent.mkdir(parents=True, exist_ok=True)
        write_text(output, selection.to_json(), overwrite=True)
    except CTBMDError as error:
        return {"left_out": str(error)}
    except OSError as error:
        return {"left_out": f"the levels could not be written ({why(error)})"}
    return {"levels": str(output.absolute())}


def _load(path: Path) -> Any:
    try:
        if path.stat().st_size > MAX_CENTROID_BYTES:
            raise CTBMDError("The file of centroids is too large to be one.", "centroids")
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise CTBMDError("The file of centroids cannot be read as JSON.", "centroids") from None


def levels_of_centroids(content: Any, volume: CTVolume) -> LevelSelection:
    """The lumbar levels of a file of centroids.

    Parameters
    ----------
    content : list
        `{"direction": [3 letters]}`, then `{"label", "X", "Y", "Z"}` a vertebra.
    volume : CTVolume
        Whose voxels the centroids count, along axes that may be stored otherwise.

    Raises
    ------
    CTBMDError
        Where it is no such list, or names no lumbar vertebra.
    """
    wrong = CTBMDError("The file of centroids is not as VerSe writes it.", "centroids")
    if (
        not isinstance(content, list)
        or not content
        or not all(isinstance(x, dict) for x in content)
    ):
        raise wrong
    letters = content[0].get("direction")
    if not isinstance(letters, list) or len(letters) != 3 or not {*letters} <= {*_RAS_AXIS}:
        raise wrong
    to_ijk = _to_ijk(letters, volume)
    levels = []
    for item in content[1:]:
        name = VERSE.get(item.get("label", 0))
        try:
            xyz = [float(item[axis]) for axis in ("X", "Y", "Z")]
        except (KeyError, TypeError, ValueError):
            raise wrong from None
        if name not in LUMBAR or not np.isfinite(xyz).all():
            continue
        r, a, s = (float(x) for x in volume.ras_from_ijk(to_ijk(xyz)))
        levels.append(LevelSlice(name, (r, a, s), None, "segment", name != "L5"))
    if not levels:
        raise CTBMDError("The file of centroids names no lumbar vertebra.", "no-lumbar-level")
    return LevelSelection(tuple(levels), None, "segment")


def _to_ijk(letters: list[str], volume: CTVolume) -> Callable[[list[float]], np.ndarray]:
    """From centroids counted along the axes `letters` to the volume's own voxel indices."""
    directions = volume.ijk_to_ras[:3, :3] / volume.spacing_mm
    # The volume's axis that runs closest to each of R, A and S.
    axis_of_ras = [2 - axis for axis in volume.axis_kji_of_ras]
    size = volume.hu.shape[::-1]
    places = []
    for letter in letters:
        ras, sign = _RAS_AXIS[letter]
        own = axis_of_ras[ras]
        places.append((own, bool(np.sign(directions[ras, own]) == sign)))
    if len({own for own, _ in places}) < 3:
        raise CTBMDError("The directions of the file of centroids are not three axes.", "centroids")

    def to_ijk(xyz: list[float]) -> np.ndarray:
        ijk = np.zeros(3)
        for value, (own, along) in zip(xyz, places, strict=True):
            ijk[own] = value if along else size[own] - 1 - value
        return ijk

    return to_ijk
