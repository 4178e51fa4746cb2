"""Levels from a segmentation of the vertebrae that is already there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from ..errors import CTBMDError
from ..levels import LUMBAR, MEASURED, ORDER, LevelSelection, LevelSlice
from ..volume import CTVolume
from .segment_checks import held_against
from .settings import SEGMENTS, SegmentSettings
from .vertebra_names import EXAMPLES, SCHEMES, SUPERNUMERARY, lumbar_values, vertebra_of_name

WANTED = (*LUMBAR, "T11", "T12", "S1")
"""Vertebrae that become levels."""

SIXTH_LUMBAR = (
    "Possible transitional anatomy: the segmentation names a sixth lumbar or a thirteenth "
    "thoracic vertebra; confirm the labels."
)

Box = tuple[slice, ...]


def guess_names(
    labels: np.ndarray,
    ijk_to_ras: np.ndarray | None = None,
    settings: SegmentSettings = SEGMENTS,
) -> dict[int, str] | None:
    """Guess the label scheme of a label volume from its values and their order along S.

    Parameters
    ----------
    labels : ndarray of int, shape (K, J, I)
    ijk_to_ras : ndarray, shape (4, 4), optional
        Without it only schemes that the values alone decide are guessed.
    settings : SegmentSettings

    Returns
    -------
    dict or None
        {value: vertebra} of the values present; None where no scheme or more
        than one fits.
    """
    labels = np.asarray(labels)
    boxes = _boxes(labels, settings.max_label)
    fits = {}
    for scheme, names in SCHEMES.items():
        present = {v: n for v, n in names.items() if v in boxes and n in (*ORDER, *SUPERNUMERARY)}
        order = lumbar_values(present)
        if len(order) < settings.min_lumbar:
            continue
        if ijk_to_ras is None:
            fits[scheme] = present
            continue
        centre = {v: _points(labels, boxes[v], v, ijk_to_ras).mean(axis=0) for v in order}
        pairs = list(zip(order, order[1:], strict=False))
        steps = np.array([centre[a] - centre[b] for a, b in pairs])
        count = np.array([int(names[b][1]) - int(names[a][1]) for a, b in pairs])
        length = np.linalg.norm(steps, axis=1) / count
        likely = (length > settings.min_step_mm) & (length < settings.max_step_mm)
        vertebrae = not any(
            too_large(_points(labels, boxes[v], v, ijk_to_ras), ijk_to_ras, settings) for v in order
        )
        if (steps[:, 2] > 0).all() and likely.all() and vertebrae:
            fits[scheme] = present
    if ijk_to_ras is not None and "totalsegmentator1" in fits and "totalsegmentator" in fits:
        # Version 1 has thoracic vertebrae where version 2 has lumbar ones.
        del fits["totalsegmentator"]
    return next(iter(fits.values())) if len(fits) == 1 else None


def levels_from_labels(
    labels: np.ndarray,
    ijk_to_ras: ArrayLike,
    names: Mapping[int, str],
    *,
    series_uid: str | None = None,
    volume: CTVolume | None = None,
    settings: SegmentSettings = SEGMENTS,
) -> LevelSelection:
    """Levels from labelled vertebrae.

    Parameters
    ----------
    labels : ndarray of int, shape (K, J, I)
        One value a vertebra, as exported from a Slicer segmentation.
    ijk_to_ras : array_like, shape (4, 4)
    names : dict of int to str
        What each value is called; see `vertebra_of_name`.
    series_uid : str, optional
    volume : CTVolume, optional
        The CT that they are of: the labels are held against what is seen in it.
    settings : SegmentSettings

    Returns
    -------
    LevelSelection
        T11 to S1 as far as they are labelled and whole, source 'segment',
        the centre of the body (not of the vertebra with its processes),
        axis and height. Vertebrae whose body is cut by the volume's edge are left out and
        named. Where the CT contradicts the names or places, `numbering` is 'neither'.

    Raises
    ------
    CTBMDError
        Where no label is a lumbar vertebra, one is larger than any vertebra, or none lies
        on bone.
    """
    labels = np.asarray(labels)
    matrix = np.asarray(ijk_to_ras, float)
    if labels.ndim != 3 or labels.dtype.kind not in "iub":
        raise CTBMDError(
            "A segmentation must be a 3-D array of whole numbers; export it as a label volume.",
            "labels-not-whole-numbers",
        )
    boxes = _boxes(labels, settings.max_label)
    named = {int(value): vertebra_of_name(text) for value, text in names.items()}
    wanted: dict[str, list[int]] = {}
    for value, vertebra in named.items():
        if vertebra in WANTED and value in boxes:
            wanted.setdefault(vertebra, []).append(value)
    if not any(name in LUMBAR for name in wanted):
        raise CTBMDError(
            "No segment is a lumbar vertebra; choose a segmentation with segments named like "
            f"'{EXAMPLES[0]}' or '{EXAMPLES[1]}'.",
            "no-lumbar-segment",
        )
    findings = []
    if any(name in SUPERNUMERARY and value in boxes for value, name in named.items()):
        findings.append(SIXTH_LUMBAR)
    points, broken = _vertebrae(labels, boxes, wanted, matrix, settings)
    strange = [n for n, at in points.items() if n in LUMBAR and too_large(at, matrix, settings)]
    if strange:
        raise CTBMDError(
            f"What is labelled {strange[0]} is larger than any vertebra; the labels follow another "
            "scheme, so name the segments or choose another segmentation.",
            "label-no-vertebra",
        )
    ends = {
        name: _at_ends([boxes[value] for value in wanted[name]], labels.shape) for name in points
    }
    flat = _flat(points, matrix, settings)
    slivers = [name for name in flat if any(ends[name])]
    points = {name: at for name, at in points.items() if name not in flat}
    findings += _flat_findings([n for n in flat if n not in slivers], points, settings)
    means = {name: at.mean(axis=0) for name, at in points.items()}
    bodies = {
        name: _body(at, _direction(name, means, settings), matrix, settings)
        for name, at in points.items()
    }
    cut = slivers + _cut_bodies(bodies, ends, labels.shape, matrix, settings)
    if cut:
        findings.append(f"{', '.join(cut)} cut by the edge of the volume: left out.")
        bodies = {name: body for name, body in bodies.items() if name not in cut}
    findings += _order_findings({name: means[name] for name in bodies}, cut)
    findings += _piece_findings([name for name in broken if name in bodies])
    findings += _height_findings(bodies, settings)
    selection = LevelSelection(_levels(bodies), series_uid, "segment", tuple(findings))
    return selection if volume is None else held_against(volume, selection, points, settings)


def too_large(points: np.ndarray, matrix: np.ndarray, settings: SegmentSettings = SEGMENTS) -> bool:
    """Whether a label is larger than any one vertebra with its processes.

    Parameters
    ----------
    points : ndarray, shape (n, 3)
        RAS mm of its voxels.
    matrix : ndarray, shape (4, 4)
        IJK to RAS.
    settings : SegmentSettings
    """
    millilitres = len(points) * abs(float(np.linalg.det(matrix[:3, :3]))) / 1000.0
    return bool(
        (np.ptp(points, axis=0) > settings.max_extent_mm).any() or millilitres > settings.max_ml
    )


@dataclass(frozen=True)
class _Body:
    """The body of one labelled vertebra.

    Attributes
    ----------
    centre, axis : ndarray, shape (3,)
        RAS mm and unit vector towards the head.
    height_mm : float
    points : ndarray, shape (n, 3)
        RAS mm of its voxels.
    """

    centre: np.ndarray
    axis: np.ndarray
    height_mm: float
    points: np.ndarray


def _vertebrae(
    labels: np.ndarray,
    boxes: dict[int, Box],
    wanted: dict[str, list[int]],
    matrix: np.ndarray,
    settings: SegmentSettings,
) -> tuple[dict[str, np.ndarray], list[str]]:
    """RAS mm of each vertebra's voxels, and the names of those that come in several large pieces."""
    found: dict[str, np.ndarray] = {}
    broken = []
    for name, values in wanted.items():
        for value in values:
            points = _points(labels, boxes[value], value, matrix)
            if len(points) < settings.min_voxels:
                continue
            if name not in found or len(points) > len(found[name]):
                found[name] = points
                all_of_it = int(np.count_nonzero(labels[boxes[value]] == value))
                if len(points) < (1.0 - settings.piece_share) * all_of_it:
                    broken.append(name)
    return found, broken


def _flat(
    points: dict[str, np.ndarray], matrix: np.ndarray, settings: SegmentSettings
) -> list[str]:
    """Names of vertebrae that are there in a slice or two only.

    Such a plate has no endplates, and the middle of its body is unknown.
    """
    to_ijk = np.linalg.inv(matrix[:3, :3]).T
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    thick = {
        name: float(((np.ptp(at @ to_ijk, axis=0) + 1) * spacing).min())
        for name, at in points.items()
    }
    return [name for name, mm in thick.items() if mm < settings.min_painted_mm - 1e-6]


def _flat_findings(
    flat: list[str], points: dict[str, np.ndarray], settings: SegmentSettings
) -> list[str]:
    """A sentence on vertebrae that are not painted through; an error where nothing else is left."""
    text = (
        f"{', '.join(flat)} {'is' if len(flat) == 1 else 'are'} painted less than "
        f"{settings.min_painted_mm:g} mm thick"
    )
    if not any(name in LUMBAR for name in points) and any(name in LUMBAR for name in flat):
        raise CTBMDError(f"{text}; paint whole vertebrae or set points.", "labels-flat")
    return [f"{text}: left out."] if flat else []


def _at_ends(boxes: list[Box], shape: tuple[int, ...]) -> tuple[bool, ...]:
    """Whether any of the boxes reaches the volume's first or last voxel along i, j, k."""
    return tuple(
        any(box[axis].start == 0 or box[axis].stop == shape[axis] for box in boxes)
        for axis in (2, 1, 0)
    )


def _cut_bodies(
    bodies: dict[str, _Body],
    ends: dict[str, tuple[bool, ...]],
    shape: tuple[int, ...],
    matrix: np.ndarray,
    settings: SegmentSettings,
) -> list[str]:
    """Names of those whose body the volume's first or last slice along S cuts, from the head down.

    A process that touches the edge cuts nothing, nor does an endplate that ends with it:
    what is cut meets the edge with a good part of its section and is lower than the others;
    where only processes are left of a vertebra, what is taken for its body is small.
    """
    directions = np.abs(matrix[2, :3]) / np.linalg.norm(matrix[:3, :3], axis=0)
    column = int(directions.argmax())
    last = shape[2 - column] - 1
    inverse = np.linalg.inv(matrix)[column]
    touches, meets = {}, {}
    for name, body in bodies.items():
        touches[name] = ends[name][column]
        at = np.rint(body.points @ inverse[:3] + inverse[3]).astype(int)
        section = len(at) / (np.ptp(at) + 1)
        met = max(np.count_nonzero(at <= 0), np.count_nonzero(at >= last))
        meets[name] = bool(met >= settings.cut_share * section)
    whole = [body for name, body in bodies.items() if not touches[name] and name != "S1"]
    least_mm = least = np.inf
    if whole:
        least_mm = settings.cut_height * float(np.median([body.height_mm for body in whole]))
        least = settings.cut_volume * float(np.median([len(body.points) for body in whole]))
    cut = [
        name
        for name, body in bodies.items()
        if (meets[name] and body.height_mm < least_mm)
        or (touches[name] and len(body.points) < least)
    ]
    return sorted(cut, key=ORDER.index)


def _levels(bodies: dict[str, _Body]) -> tuple[LevelSlice, ...]:
    """A level for each body."""
    levels = []
    for name, body in bodies.items():
        r, a, s = (float(x) for x in body.centre)
        up = tuple(float(x) for x in body.axis)
        levels.append(
            LevelSlice(
                name,
                (r, a, s),
                None,
                "segment",
                name in MEASURED,
                (up[0], up[1], up[2]),
                body.height_mm,
            )
        )
    return tuple(levels)


def _piece_findings(broken: list[str]) -> list[str]:
    """A sentence about vertebrae in several large pieces."""
    return [
        f"{name} comes in several large pieces in the segmentation, of which the largest is taken; "
        "check the segment."
        for name in sorted(broken, key=ORDER.index)
    ]


def _height_findings(bodies: dict[str, _Body], settings: SegmentSettings) -> list[str]:
    """Sentences about bodies that are much higher or lower than the rest of the spine's.

    A vertebra may be pressed flat; none is much higher than the others, unless it holds a
    part of its neighbour.
    """
    heights = {name: body.height_mm for name, body in bodies.items() if name != "S1"}
    findings = []
    for name in sorted(heights, key=ORDER.index):
        others = [height for other, height in heights.items() if other != name]
        if len(others) < settings.min_others:
            continue
        ratio = heights[name] / float(np.median(others))
        if ratio > settings.too_high:
            what = "higher than the others, as with a part of its neighbour"
        elif ratio < settings.too_low:
            what = "lower than the others, as pressed or with a part missing"
        else:
            continue
        findings.append(
            f"{name} is {heights[name]:.0f} mm high in the segmentation, much {what}; "
            "check the segment."
        )
    return findings


def _order_findings(means: dict[str, np.ndarray], cut: list[str]) -> list[str]:
    """Sentences about levels that are out of order, or skipped between two others."""
    findings = []
    chain = sorted(means, key=ORDER.index)
    for above, below in zip(chain, chain[1:], strict=False):
        if means[above][2] <= means[below][2]:
            findings.append(f"{above} lies below {below} in the segmentation; confirm the labels.")
        between = ORDER[ORDER.index(above) + 1 : ORDER.index(below)]
        skipped = [name for name in between if name not in cut]
        if skipped:
            findings.append(
                f"The segmentation has no {' or '.join(skipped)} between {above} and {below}; "
                "confirm the labels."
            )
    return findings


def _boxes(labels: np.ndarray, max_label: int) -> dict[int, Box]:
    """Bounding box of each label value present."""
    if labels.dtype.kind == "b":
        labels = labels.astype(np.uint8)
    if labels.size and labels.min() < 0:
        labels = np.maximum(labels, 0)
    if labels.size and labels.max() > max_label:
        raise CTBMDError(
            f"Label values above {max_label} cannot be vertebrae; export the segmentation again.",
            "label-value-too-large",
        )
    return {i + 1: box for i, box in enumerate(ndimage.find_objects(labels)) if box is not None}


def _points(labels: np.ndarray, box: Box, value: int, matrix: np.ndarray) -> np.ndarray:
    """RAS mm of a label's voxels, its largest piece only, shape (n, 3)."""
    mask = labels[box] == value
    pieces, count = ndimage.label(mask)
    if count > 1:
        mask = pieces == np.bincount(pieces.ravel())[1:].argmax() + 1
    kji = np.argwhere(mask) + [s.start for s in box]
    points: np.ndarray = kji[:, ::-1] @ matrix[:3, :3].T + matrix[:3, 3]
    return points


def _direction(name: str, means: dict[str, np.ndarray], settings: SegmentSettings) -> np.ndarray:
    """Unit vector to the head, from the neighbours' centres where there are any."""
    index = ORDER.index(name)
    above = [means[n] for n in ORDER[max(0, index - 1) : index + 1] if n in means]
    below = [means[n] for n in ORDER[index : index + 2] if n in means]
    way: np.ndarray = above[0] - below[-1] if above and below else np.zeros(3)
    if np.linalg.norm(way) < settings.min_direction_mm or way[2] <= 0:
        return np.array([0.0, 0.0, 1.0])
    unit: np.ndarray = way / np.linalg.norm(way)
    return unit


def _body(
    points: np.ndarray, up: np.ndarray, matrix: np.ndarray, settings: SegmentSettings
) -> _Body:
    """The body within a whole vertebra.

    Seen along the spine, the body is the wide region that is bone all the way
    from endplate to endplate; pedicles, arch and processes are lower or thin.
    """
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    voxel = abs(float(np.linalg.det(matrix[:3, :3])))
    size = max(settings.min_cell_mm, settings.cell_share * float(np.median(spacing)))
    for _ in range(2):
        right = np.cross([0.0, 1.0, 0.0], up)
        right /= np.linalg.norm(right)
        front = np.cross(up, right)
        x, y = points @ right, points @ front
        margin = settings.cell_margin
        nx, ny = (int(np.ptp(v) / size) + 2 * margin + 1 for v in (x, y))
        column = np.rint((x - x.min()) / size).astype(int) + margin
        row = np.rint((y - y.min()) / size).astype(int) + margin
        cell = row * nx + column
        thickness = np.bincount(cell, minlength=nx * ny).reshape(ny, nx) * voxel / size**2
        inside = _outline(thickness, size, settings)[row, column]
        chosen = points[inside]
        axis, height = _endplates(chosen, cell[inside], up, float(spacing.max()), settings)
        # Weighing every column alike keeps the bases of the pedicles, which
        # join the body's upper half, from pulling the centre up.
        centre = chosen.mean(axis=0)
        up = axis
    return _Body(centre, axis, height, chosen)


def _outline(thickness: np.ndarray, size: float, given: SegmentSettings) -> np.ndarray:
    """Cells of the body in a map of bone's thickness along the spine."""
    sigma = given.thickness_sigma_cells + given.thickness_sigma_mm / size
    thickness = ndimage.gaussian_filter(thickness, sigma)
    there = thickness[thickness > given.min_thickness_mm]
    limit = given.body_share * np.percentile(there, given.full_percent)
    radius = max(given.min_radius_cells, given.radius_mm / size)
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
    large = np.flatnonzero(area >= given.large_share * area.max())
    outline: np.ndarray = pieces == large[mean_row[large].argmax()] + 1
    return outline


def _endplates(
    points: np.ndarray, cell: np.ndarray, up: np.ndarray, step: float, given: SegmentSettings
) -> tuple[np.ndarray, float]:
    """Axis between the planes through both endplates, and their distance in mm."""
    order = np.argsort(cell, kind="stable")
    points, cell = points[order], cell[order]
    starts = np.flatnonzero(np.r_[True, np.diff(cell) > 0])
    along = points @ up
    high = np.maximum.reduceat(along, starts)
    low = np.minimum.reduceat(along, starts)
    count = np.diff(np.r_[starts, len(cell)])
    flat = np.add.reduceat(points - along[:, None] * up, starts, axis=0) / count[:, None]
    if len(starts) < given.min_cells:
        return up, float(np.median(high - low) + step)
    middle = flat.mean(axis=0)
    design = np.column_stack([flat - middle, np.ones(len(flat))])
    slopes = []
    for edge in (high, low):
        keep = np.ones(len(edge), bool)
        for _ in range(given.fits):
            solution, *_rest = np.linalg.lstsq(design[keep], edge[keep], rcond=None)
            off = np.abs(edge - design @ solution)
            medians = given.off_plane_medians * float(np.median(off))
            keep = off <= max(given.off_plane_mm, medians)
        slopes.append(solution)
    tilt = 0.5 * (slopes[0][:3] + slopes[1][:3])
    tilt -= (tilt @ up) * up
    if np.linalg.norm(tilt) > given.max_tilt:
        tilt[:] = 0.0
    axis: np.ndarray = up - tilt
    axis /= np.linalg.norm(axis)
    height = (slopes[0][3] - slopes[1][3]) * float(axis @ up) + step * abs(float(axis[2]))
    return axis, float(np.clip(height, *given.height_mm))
