"""Levels from a segmentation of the vertebrae that is already there."""

from __future__ import annotations

import re

import numpy as np
from scipy import ndimage

from ..errors import CTBMDError
from ..levels import LUMBAR, MEASURED, ORDER, LevelSelection, LevelSlice

_WANTED = (*LUMBAR, "T11", "T12", "S1")
_ORDINALS = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
]
_REGIONS = {"thoracic": "T", "lumbar": "L", "sacral": "S", "cervical": "C", "dorsal": "T"}
_NOT_A_VERTEBRA = re.compile(
    r"\b(disc|disk|discs|rib|ribs|nerve|root|muscle|artery|foramen|pedicle|canal|cord|process|"
    r"lamina|endplate|implant|screw|l\d\s*-\s*[ls]\d|t\d+\s*-\s*[lt]\d+)\b"
)
_SHORT = re.compile(r"\b(?:vertebrae?|vert|body)?\s*([ctls])\s?0?(\d{1,2})\b")
_SCHEMES = {
    "totalsegmentator": {26: "S1"}
    | {27 + i: f"L{5 - i}" for i in range(5)}
    | {32 + i: f"T{12 - i}" for i in range(12)},
    "totalsegmentator1": {18 + i: f"L{5 - i}" for i in range(5)}
    | {23 + i: f"T{12 - i}" for i in range(12)},
    "verse": {8 + i: f"T{1 + i}" for i in range(12)}
    | {20 + i: f"L{1 + i}" for i in range(6)}
    | {28: "T13"},  # its 26 is the whole sacrum, whose centre is not S1
}
_SUPERNUMERARY = ("L6", "T13")
_SNOMED = {
    "12989004": "T11",
    "23215003": "T12",
    "66794005": "L1",
    "14293000": "L2",
    "36470004": "L3",
    "11994002": "L4",
    "49668003": "L5",
}
"""SNOMED CT codes of DICOM CID 7603, for terminology in another language than English."""
_BONY = ("272673000", "85756007")  # bone, tissue
_BONE_WORDS = re.compile(r"\b(bones?|tissue|vertebra\w*)\b")


def vertebra_names(scheme: str) -> dict[int, str]:
    """Label value to vertebra for a known numbering of labels.

    Parameters
    ----------
    scheme : {'totalsegmentator', 'totalsegmentator1', 'verse'}
        TotalSegmentator version 2 (27 = L5 to 31 = L1), its version 1
        (18 = L5 to 22 = L1), VerSe (20 = L1 to 25 = L6).

    Raises
    ------
    CTBMDError
        For another scheme.
    """
    try:
        return dict(_SCHEMES[scheme.lower()])
    except (KeyError, AttributeError):
        known = ", ".join(_SCHEMES)
        raise CTBMDError(f"'{scheme}' is no known label scheme; use one of {known}.") from None


def vertebra_of_name(text: str) -> str | None:
    """The vertebra a segment's name or terminology means, such as 'L1'; None for anything else.

    Understands 'vertebrae_L1', 'L1 vertebra', 'First lumbar vertebra',
    'Lumbar vertebra 1', 'Vertebra L1 body' and Slicer's serialised
    terminology by its SNOMED code or its words. Where name and terminology are
    given as 'name|terminology', either may decide; the terminology does where
    they differ.
    """
    parts = [part for part in str(text).split("|") if part]
    for part in reversed(parts):
        found = _vertebra_of_entry(part) if "^" in part else _vertebra_of_phrase(part)
        if found is not None:
            return found
    return None


def _vertebra_of_entry(entry):
    """The vertebra of 'context~category~type~modifier~context~region~modifier'.

    Each but the contexts is 'scheme^code^meaning'. A region names the segment
    only where the type is bone: a lesion or a screw may lie in L1 as well.
    """
    codes = [(field.split("^") + ["", ""])[:3] for field in entry.split("~") if "^" in field]
    for place, (scheme, code, meaning) in enumerate(codes):
        if scheme.upper() == "SCT" and code in _SNOMED:
            return _SNOMED[code]
        found = _vertebra_of_phrase(meaning)
        if found is not None:
            return found
        # The first is the category ('Anatomical Structure'), the second the type.
        if place == 1 and code not in _BONY and not _BONE_WORDS.search(meaning.lower()):
            return None
    return None


def _vertebra_of_phrase(phrase):
    words = re.sub(r"[_.,/()]+", " ", phrase).strip().lower()
    if not words or _NOT_A_VERTEBRA.search(words):
        return None
    for region, letter in _REGIONS.items():
        if region not in words:
            continue
        for number, ordinal in enumerate(_ORDINALS, start=1):
            if re.search(rf"\b{ordinal}\b", words):
                return f"{letter}{number}"
        digit = re.search(r"\b(\d{1,2})(?:st|nd|rd|th)?\b", words)
        if digit and "vertebra" in words:
            return f"{letter}{int(digit.group(1))}"
    match = _SHORT.search(words)
    if match and re.fullmatch(
        r"(?:(?:left|the|segment|label|bone|vertebral|vertebrae?|vert|body|of|spine)\s+)*"
        r"[ctls]\s?0?\d{1,2}(?:\s+(?:vertebrae?|vertebral|body|bone))*",
        words,
    ):
        return f"{match.group(1).upper()}{int(match.group(2))}"
    return None


def guess_names(labels, ijk_to_ras=None) -> dict[int, str] | None:
    """Guess the label scheme of a label volume from its values and their order along S.

    Parameters
    ----------
    labels : ndarray of int, shape (K, J, I)
    ijk_to_ras : ndarray, shape (4, 4), optional
        Without it only schemes that the values alone decide are guessed.

    Returns
    -------
    dict or None
        {value: vertebra} of the values present; None where no scheme or more
        than one fits.
    """
    labels = np.asarray(labels)
    boxes = _boxes(labels)
    fits = {}
    for scheme, names in _SCHEMES.items():
        present = {v: n for v, n in names.items() if v in boxes and n in (*ORDER, *_SUPERNUMERARY)}
        lumbar = [v for v, n in present.items() if n in LUMBAR]
        if len(lumbar) < 2:
            continue
        if ijk_to_ras is None:
            fits[scheme] = present
            continue
        centre = {v: _points(labels, boxes[v], v, ijk_to_ras).mean(axis=0) for v in present}
        order = sorted(lumbar, key=lambda v: names[v])
        steps = np.array([centre[a] - centre[b] for a, b in zip(order, order[1:], strict=False)])
        count = np.array(
            [int(names[b][1]) - int(names[a][1]) for a, b in zip(order, order[1:], strict=False)]
        )
        length = np.linalg.norm(steps, axis=1) / count
        if (steps[:, 2] > 0).all() and (length > 18).all() and (length < 55).all():
            fits[scheme] = present
    if ijk_to_ras is not None and "totalsegmentator1" in fits and "totalsegmentator" in fits:
        # Version 1 has thoracic vertebrae where version 2 has lumbar ones.
        del fits["totalsegmentator"]
    return next(iter(fits.values())) if len(fits) == 1 else None


def levels_from_labels(labels, ijk_to_ras, names, *, series_uid=None) -> LevelSelection:
    """Levels from labelled vertebrae.

    Parameters
    ----------
    labels : ndarray of int, shape (K, J, I)
        One value a vertebra, as exported from a Slicer segmentation.
    ijk_to_ras : array_like, shape (4, 4)
    names : dict of int to str
        What each value is called; see `vertebra_of_name`.
    series_uid : str, optional

    Returns
    -------
    LevelSelection
        T11 to S1 as far as they are labelled and whole, source 'segment',
        the centre of the body (not of the vertebra with its processes),
        axis and height. Vertebrae cut by the volume's edge are left out and named.

    Raises
    ------
    CTBMDError
        Where no label is a lumbar vertebra.
    """
    labels = np.asarray(labels)
    matrix = np.asarray(ijk_to_ras, float)
    if labels.ndim != 3 or labels.dtype.kind not in "iub":
        raise CTBMDError(
            "A segmentation must be a 3-D array of whole numbers; export it as a label volume."
        )
    boxes = _boxes(labels)
    wanted, sixth = {}, False
    for value, text in names.items():
        vertebra = vertebra_of_name(text)
        sixth = sixth or (vertebra in _SUPERNUMERARY and int(value) in boxes)
        if vertebra in _WANTED:
            wanted.setdefault(vertebra, []).append(int(value))
    wanted = {name: [v for v in values if v in boxes] for name, values in wanted.items()}
    wanted = {name: values for name, values in wanted.items() if values}
    if not any(name in LUMBAR for name in wanted):
        raise CTBMDError(
            "No segment is a lumbar vertebra; choose a segmentation with segments named like "
            "'vertebrae_L1' or 'L1 vertebra'."
        )
    notes = []
    if sixth:
        notes.append(
            "Possible transitional anatomy: the segmentation names a sixth lumbar or a thirteenth "
            "thoracic vertebra; confirm the labels."
        )
    whole, cut = {}, []
    for name, values in wanted.items():
        for value in values:
            box = boxes[value]
            points = _points(labels, box, value, matrix)
            if len(points) < 20:
                continue
            if _touches_end(box, labels.shape, matrix):
                cut.append(name)
            elif name not in whole or len(points) > len(whole[name]):
                whole[name] = points
    if cut:
        notes.append(
            f"{', '.join(sorted(cut, key=ORDER.index))} cut by the edge of the volume: left out."
        )
    means = {name: points.mean(axis=0) for name, points in whole.items()}
    notes += _order_notes(means, cut)
    levels = []
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    voxel = abs(np.linalg.det(matrix[:3, :3]))
    for name, points in whole.items():
        centre, axis, height = _body(points, _direction(name, means), spacing, voxel)
        levels.append(
            LevelSlice(
                name,
                tuple(centre),
                None,
                "segment",
                name in MEASURED,
                tuple(float(x) for x in axis),
                float(height),
            )
        )
    return LevelSelection(tuple(levels), series_uid, "segment", tuple(notes))


def _order_notes(means, cut):
    """Sentences about levels that are out of order, or skipped between two others."""
    notes = []
    chain = sorted(means, key=ORDER.index)
    for above, below in zip(chain, chain[1:], strict=False):
        if means[above][2] <= means[below][2]:
            notes.append(f"{above} lies below {below} in the segmentation; confirm the labels.")
        between = ORDER[ORDER.index(above) + 1 : ORDER.index(below)]
        skipped = [name for name in between if name not in cut]
        if skipped:
            notes.append(
                f"The segmentation has no {' or '.join(skipped)} between {above} and {below}; "
                "confirm the labels."
            )
    return notes


def _boxes(labels):
    """Bounding box of each label value present."""
    if labels.dtype.kind == "b":
        labels = labels.astype(np.uint8)
    if labels.size and labels.min() < 0:
        labels = np.maximum(labels, 0)
    if labels.size and labels.max() > 100_000:
        raise CTBMDError(
            "Label values above 100000 cannot be vertebrae; export the segmentation again."
        )
    return {i + 1: box for i, box in enumerate(ndimage.find_objects(labels)) if box is not None}


def _points(labels, box, value, matrix):
    """RAS mm of a label's voxels, its largest piece only, shape (n, 3)."""
    mask = labels[box] == value
    pieces, count = ndimage.label(mask)
    if count > 1:
        mask = pieces == np.bincount(pieces.ravel())[1:].argmax() + 1
    kji = np.argwhere(mask) + [s.start for s in box]
    return kji[:, ::-1] @ matrix[:3, :3].T + matrix[:3, 3]


def _touches_end(box, shape, matrix):
    """Whether a box reaches the first or last slice along the axis closest to S."""
    directions = np.abs(matrix[2, :3]) / np.linalg.norm(matrix[:3, :3], axis=0)
    axis = 2 - int(directions.argmax())
    return box[axis].start == 0 or box[axis].stop == shape[axis]


def _direction(name, means):
    """Unit vector to the head, from the neighbours' centres where there are any."""
    index = ORDER.index(name)
    above = [means[n] for n in ORDER[max(0, index - 1) : index + 1] if n in means]
    below = [means[n] for n in ORDER[index : index + 2] if n in means]
    way = above[0] - below[-1] if above and below else np.zeros(3)
    if np.linalg.norm(way) < 5 or way[2] <= 0:
        return np.array([0.0, 0.0, 1.0])
    return way / np.linalg.norm(way)


def _body(points, up, spacing, voxel):
    """Centre, axis and height of the body within a whole vertebra.

    Seen along the spine, the body is the wide region that is bone all the way
    from endplate to endplate; pedicles, arch and processes are lower or thin.
    """
    for _ in range(2):
        right = np.cross([0.0, 1.0, 0.0], up)
        right /= np.linalg.norm(right)
        front = np.cross(up, right)
        x, y = points @ right, points @ front
        size = max(2.0, 1.2 * float(np.median(spacing)))
        nx, ny = (int(np.ptp(v) / size) + 9 for v in (x, y))
        column = np.rint((x - x.min()) / size).astype(int) + 4
        row = np.rint((y - y.min()) / size).astype(int) + 4
        cell = row * nx + column
        thickness = np.bincount(cell, minlength=nx * ny).reshape(ny, nx) * voxel / size**2
        thickness = ndimage.gaussian_filter(thickness, 0.6 + 1.5 / size)
        limit = 0.6 * np.percentile(thickness[thickness > 2.0], 92)
        radius = max(1.5, 7.0 / size)
        reach = int(np.ceil(radius))
        grid = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1])
        core = ndimage.binary_opening(thickness > limit, grid <= radius)
        pieces, count = ndimage.label(core)
        if count == 0:
            core = thickness > limit
            pieces, count = ndimage.label(core)
        # The front-most of the large pieces: a broad spinous process lies behind.
        area = np.bincount(pieces.ravel())[1:]
        mean_row = np.array(ndimage.center_of_mass(core, pieces, range(1, count + 1)))[:, 0]
        large = np.flatnonzero(area >= 0.4 * area.max())
        body = pieces == large[mean_row[large].argmax()] + 1
        inside = body[row, column]
        chosen = points[inside]
        axis, height = _endplates(chosen, cell[inside], up, float(spacing.max()))
        # Weighing every column alike keeps the bases of the pedicles, which
        # join the body's upper half, from pulling the centre up.
        centre = chosen.mean(axis=0)
        up = axis
    return centre, axis, height


def _endplates(points, cell, up, step):
    """Axis between the planes through both endplates, and their distance in mm."""
    order = np.argsort(cell, kind="stable")
    points, cell = points[order], cell[order]
    starts = np.flatnonzero(np.r_[True, np.diff(cell) > 0])
    along = points @ up
    high = np.maximum.reduceat(along, starts)
    low = np.minimum.reduceat(along, starts)
    count = np.diff(np.r_[starts, len(cell)])
    flat = np.add.reduceat(points - along[:, None] * up, starts, axis=0) / count[:, None]
    if len(starts) < 8:
        return up, float(np.median(high - low) + step)
    middle = flat.mean(axis=0)
    design = np.column_stack([flat - middle, np.ones(len(flat))])
    slopes = []
    for edge in (high, low):
        keep = np.ones(len(edge), bool)
        for _ in range(3):  # osteophytes and pedicle bases lie off the plane
            solution, *_ = np.linalg.lstsq(design[keep], edge[keep], rcond=None)
            rest = np.abs(edge - design @ solution)
            keep = rest <= max(2.0, 1.5 * float(np.median(rest)))
        slopes.append(solution)
    tilt = 0.5 * (slopes[0][:3] + slopes[1][:3])
    tilt -= (tilt @ up) * up
    if np.linalg.norm(tilt) > 0.6:  # steeper than 31 degrees against the column: not endplates
        tilt[:] = 0.0
    axis = up - tilt
    axis /= np.linalg.norm(axis)
    height = (slopes[0][3] - slopes[1][3]) * float(axis @ up) + step * abs(float(axis[2]))
    return axis, float(np.clip(height, 5.0, 80.0))
