"""The endplates of a vertebral body, found along columns inside its outline."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import product

import numpy as np

from .fitting import FULL_EDGE_HU, INNER_MM, OUTER_MM, climb, ridge, steps, uneven
from .layers import PLATE_THICK_MM, look_along
from .shape import plate_mm

INSIDE = 0.82
"""Share of the outline within which columns are looked along: the rim is bent and has spurs."""
UNEVEN_WEIGHT, RIDGE_WEIGHT = 2.0, 1.0
"""What an uneven inside, and an endplate within it, count against a pair of endplates."""
PLATE_CLEAR_MM = 3
"""Beside the plates, where the inside is not looked at."""
DEEP_MM, PEAK_MM = (-8.0, -6.5, -5.0), (-1.2, -0.4, 0.4)
"""Places well inside an endplate, where the body's own core is, and in its dense bone."""
_BANDS = (len(INNER_MM), len(OUTER_MM), len(DEEP_MM), len(PEAK_MM))
STRANGE_WEIGHT = 0.5
"""What other HU under an endplate than in the core count against it."""
CORE_MM, CORE_SHARE = 4, 0.7
"""Half height about the middle, and share of the outline, in which the core is looked at."""
DISC_HU, BRIGHTER_HU = 60.0, 120.0
"""Of discs, and of a core that surely stands out from one. The neighbour's core stands out from
the disc as the body's own does, so that where marrow is darker than a disc, a step from bone
to disc is that of the wrong endplate; between both limits it counts in part."""
USUAL_HEIGHT_MM, HEIGHT_SD_MM, HEIGHT_WEIGHT = 27.0, 5.0, 0.03
"""Of lumbar bodies, where the finder knows no better; a gentle pull that a pressed body withstands."""
ALSO_TOLD = 0.6
"""Share of what the best layers explain from which others are tried as well."""
MOVE_MM = (2.5, 6.0, 6.0, 0.0)
"""How far an endplate may move from where the layers put it, see `plate_mm`."""
ALONG_MM = np.arange(-7.0, 5.1, 0.5)
SHIFTS_MM = np.arange(-3.0, 2.01, 0.1)
BLURS_MM = (0.7, 1.0, 1.4, 1.8, 2.3, 2.8)
"""Places, edges and blurs (sigma) that a profile across an endplate is explained by."""
THIRDS = ((-0.82, -0.4), (-0.4, 0.4), (0.4, 0.82))
MAX_THIRD_MM = 1.0
"""How far a third may lie off the whole plate's fitted surface."""


@dataclass(frozen=True)
class Columns:
    """HU along the axis at places well inside an outline.

    Attributes
    ----------
    u, v : ndarray, shape (n,)
        Shares of half width and half depth.
    hu : ndarray, shape (n, w)
    """

    u: np.ndarray
    v: np.ndarray
    hu: np.ndarray

    @property
    def middle(self) -> int:
        """Index along w that lies at height 0."""
        return int(self.hu.shape[1] // 2)

    def along(self, at: np.ndarray, way: int, offsets: tuple[float, ...]) -> np.ndarray:
        """HU at distances beyond heights `at`, shape (m, n) -> (offsets, m, n)."""
        place = at + way * np.array(offsets)[:, None, None] + self.middle
        place = np.clip(place, 0, self.hu.shape[1] - 1.001)
        k = place.astype(np.intp)
        f = (place - k).astype(np.float32)
        k += np.arange(len(self.u)) * self.hu.shape[1]
        flat = self.hu.reshape(-1)
        return np.asarray(flat[k] * (1 - f) + flat[k + 1] * f)


def columns_inside(hu: np.ndarray, across: np.ndarray) -> Columns:
    """The columns inside an outline, each the mean of its neighbours within 1 mm.

    Parameters
    ----------
    hu : ndarray, shape (w, v, u)
        1 mm apart, the point looked from in its middle.
    across : ndarray, shape (4,)
        Middle to the right and front, half width and half depth, mm.
    """
    u0, v0, half_width, half_depth = across
    mid_v, mid_u = hu.shape[1] // 2, hu.shape[2] // 2
    j, i = np.mgrid[1 : hu.shape[1] - 1 : 2, 1 : hu.shape[2] - 1 : 2]
    x, y = (i - mid_u - u0) / half_width, (j - mid_v - v0) / half_depth
    inside = np.hypot(x, y) < INSIDE
    j, i = j[inside], i[inside]
    part = np.zeros((len(hu), len(j)), np.float32)
    for a in (-1, 0, 1):
        for b in (-1, 0, 1):
            part += hu[:, j + b, i + a]
    return Columns(x[inside], y[inside], np.ascontiguousarray(part.T / 9.0))


def fit_plates(
    columns: Columns, seen: np.ndarray, height: float | None, start: np.ndarray | None
) -> tuple[np.ndarray, float]:
    """Both endplates, shape (2, 4): upper and lower; and how clear the less clear one is.

    Parameters
    ----------
    columns : Columns
    seen : ndarray of bool, shape (w,)
        Heights that are in view.
    height : float or None
        Of the body, where it is known, mm.
    start : ndarray, shape (2, 4), or None
        Endplates that lie near by already.
    """
    core = _core_hu(columns, start)
    found: list[list[tuple[np.ndarray, float]]] = []
    for number, way in enumerate((1, -1)):
        fit = partial(_plate_score, columns, core=core, way=way)
        starts = _starts(columns, seen, core, way) if start is None else [(start[number], 0.0)]
        plates = []
        for plate, told in starts:
            low, high = (plate + x * np.array(MOVE_MM) for x in (-1, 1))
            low[3], high[3] = sorted((-way * 1.0, way * 9.0))
            plates.append((climb(fit, plate, 1.6, low, high)[0], told))
        found.append(plates)
    usual = height or USUAL_HEIGHT_MM
    profile = columns.hu.mean(axis=0)

    def score(top: tuple[np.ndarray, float], bottom: tuple[np.ndarray, float]) -> float:
        far = abs(top[0][0] - bottom[0][0] - usual) / HEIGHT_SD_MM
        low, high = (columns.middle + round(float(x[0][0])) for x in (bottom, top))
        within = profile[low + PLATE_CLEAR_MM : high + 1 - PLATE_CLEAR_MM]
        strange = 0.0
        if len(within):
            strange = UNEVEN_WEIGHT * float(uneven(within[None])[0])
            strange += RIDGE_WEIGHT * ridge(within) / FULL_EDGE_HU
        pull = HEIGHT_WEIGHT * min(far, 3.0) ** 2
        return float(top[1] + bottom[1] - pull - strange)

    top, bottom = max(product(*found), key=lambda pair: score(*pair))
    clear = min(_clearness(columns, top[0], 1), _clearness(columns, bottom[0], -1))
    return np.stack([top[0], bottom[0]]), clear


def _starts(
    columns: Columns, seen: np.ndarray, core: float, way: int
) -> list[tuple[np.ndarray, float]]:
    """Where the layers may put one endplate, each with the share that it explains."""
    layers = look_along(columns.u, columns.v, columns.hu, seen, core, way)
    told = np.concatenate([[-1.0], layers.told, [-1.0]])
    peaks = (told[1:-1] >= told[:-2]) & (told[1:-1] >= told[2:])
    peaks &= layers.told >= ALSO_TOLD * layers.told.max()
    if not layers.told.max() > 0:  # nothing varies along the axis: one place is as good as another
        peaks = np.arange(len(peaks)) == 0
    return [(layers.plate(int(n), way), float(layers.told[n])) for n in np.flatnonzero(peaks)]


def _core_hu(columns: Columns, plates: np.ndarray | None) -> float:
    """HU of the body's core, about the point or about the middle of known endplates."""
    middle = 0.0 if plates is None else float(plates[:, 0].mean())
    near = columns.middle + round(middle)
    inner = np.hypot(columns.u, columns.v) < CORE_SHARE
    planes = np.median(columns.hu[inner, near - CORE_MM : near + CORE_MM + 1], axis=0)
    # Not their mean: a point off the middle may have an endplate near it.
    return float(np.percentile(planes, 30))


def _plate_score(columns: Columns, plates: np.ndarray, core: float, way: int) -> np.ndarray:
    """How well endplates fit, shape (n, 4) -> (n,); `way` is 1 for the upper one.

    The line of dense bone, the step to the disc where there is to be one, and whether what
    lies under the plate is like the body's core.
    """
    at = plate_mm(plates, columns.u, columns.v)
    values = columns.along(at, way, INNER_MM + OUTER_MM + DEEP_MM + PEAK_MM)
    bands = np.split(values, np.cumsum(_BANDS)[:-1])
    inner, outer, deep, peak = (x.mean(axis=0) for x in bands)
    step = steps(inner, outer)
    line = steps(peak, 0.5 * (deep + outer))
    strange = np.minimum(np.abs(deep - core) / FULL_EDGE_HU, 1.0)
    share = np.clip((core - DISC_HU) / (BRIGHTER_HU - DISC_HU), 0.0, 1.0)
    return np.asarray((share * step + line - STRANGE_WEIGHT * strange).mean(axis=1))


def _line(columns: Columns, plate: np.ndarray, way: int) -> float:
    """How much an endplate's dense bone stands out from both sides of it, of `FULL_EDGE_HU`."""
    at = plate_mm(plate[None], columns.u, columns.v)
    values = columns.along(at, way, DEEP_MM + PEAK_MM + OUTER_MM)
    deep, peak, outer = np.split(values, np.cumsum([len(DEEP_MM), len(PEAK_MM)]))
    sides = 0.5 * (deep.mean(axis=0) + outer.mean(axis=0))
    return float(steps(peak.mean(axis=0), sides).mean())


def _clearness(columns: Columns, plate: np.ndarray, way: int) -> float:
    """How clear an endplate is by its step or its line, whichever is clearer."""
    return max(_plate_step(columns, plate, way), _line(columns, plate, way))


def _plate_step(columns: Columns, plate: np.ndarray, way: int) -> float:
    """Mean step across one endplate, of `FULL_EDGE_HU`."""
    values = columns.along(plate_mm(plate[None], columns.u, columns.v), way, INNER_MM + OUTER_MM)
    inner, outer = np.split(values, [len(INNER_MM)])
    return float(steps(inner.mean(axis=0), outer.mean(axis=0)).mean())


def refine_plates(columns: Columns, plates: np.ndarray) -> None:
    """Move endplates, shape (2, 4), to where their bone ends, in place.

    The back, middle and front thirds of the body's midline are looked at by themselves, so
    that a wedge and a sunken middle keep their depth.
    """
    for number, way in enumerate((1, -1)):
        plate = plates[number]
        values = columns.along(plate_mm(plate[None], columns.u, columns.v), way, tuple(ALONG_MM))
        whole = _edge(values.mean(axis=(1, 2)))
        rise, shifts = [], []
        for low, high in THIRDS:
            part = (columns.v >= low) & (columns.v < high) & (np.abs(columns.u) < 0.6)
            v = columns.v[part]
            shift = _edge(values[:, 0, part].mean(axis=1), whole)
            shifts.append(way * shift)
            # What a plate with a rise to the front and a rim adds there.
            rise.append([1.0, v.mean(), (columns.u[part] ** 2 + v**2).mean()])
        plate[[0, 2, 3]] += np.linalg.solve(np.array(rise), np.array(shifts))


def _edge(profile: np.ndarray, about: float | None = None) -> float:
    """Where bone ends in a profile over `ALONG_MM`, mm; `about` limits where it is looked for."""
    told = np.square(_edges() @ profile).sum(axis=-1)
    if about is not None:
        told = np.where(np.abs(SHIFTS_MM - about)[:, None] <= MAX_THIRD_MM, told, -1.0)
    best = int(np.argmax(told.max(axis=1)))
    return float(SHIFTS_MM[best])


@lru_cache(maxsize=1)
def _edges() -> np.ndarray:
    """Profiles of an edge, orthonormal: shape (shifts, blurs, 3, places).

    Bone that ends in a thin dense plate, blurred: a constant, a step and a line. The
    place of a blurred plate alone would say too little: in thick slices its half height
    lies millimetres away.
    """
    from scipy.special import erf

    bases = np.empty((len(SHIFTS_MM), len(BLURS_MM), 3, len(ALONG_MM)))
    for m, shift in enumerate(SHIFTS_MM):
        for n, blur in enumerate(BLURS_MM):
            x = (ALONG_MM - shift) / (blur * np.sqrt(2))
            y = (ALONG_MM - shift + PLATE_THICK_MM) / (blur * np.sqrt(2))
            columns = np.stack([np.ones_like(x), 0.5 * (1 - erf(x)), 0.5 * (erf(y) - erf(x))])
            bases[m, n] = np.linalg.qr(columns.T)[0].T
    return bases
