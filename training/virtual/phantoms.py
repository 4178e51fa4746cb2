"""Two phantoms whose answer is known from outside, in the simulated CT and the simulated DXA.

`python -m training.virtual.phantoms` prints what they read. Nothing in the simulator was
set by them.

The European Spine Phantom (ESP; Kalender 1995 Eur J Radiol 20:83): three vertebrae in
water-equivalent plastic, nominally 0.5, 1.0 and 1.5 g/cm2. Its densities, body (36 mm
across, 25 mm high), arch (28 mm across) and thicknesses of arch and spinous process are
published. What could not be read is our assumption, and marked so below: walls and
endplates of 0.5, 1.0 and 1.5 mm (from memory), an arch that is a half ring as high as the
body, and arch and process built of wall, core and wall, the process as wide as the arch is
thick. So the nominal values test the geometry and the simulated DXA together, and the
mineral of the geometry tests the DXA alone.

A rod of 200 mg HA/cm3 in a QRM thorax: a Canon Aquilion ONE (120 kVp, FC12, 3 mm) reads
1.37 HU per mg/cm3. Outline, bore, lungs and spine insert of the thorax are from memory.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from . import dxa, materials
from .devices import load_devices
from .scanner import Protocol, scan

CORTEX = 0.8
"""g HA/cm3 of walls and endplates."""

BODY_MM, HEIGHT_MM, ARCH_MM = 36.0, 25.0, 28.0
GAP_MM = 12.0
"""Plastic between two vertebrae; from memory, and without effect on the result."""
ESP_MM = (280.0, 180.0)
"""Width and depth of the plastic around them; from memory."""

FINE_MM = 0.25
SLICE_MM = 1.0
CANON_HU_PER_MG = 1.37
"""Of a real scanner, 120 kVp, FC12, 3 mm."""

HARDER = Protocol(al_mm=2.0, cu_mm=0.15)
"""Institution B's filtration; what a real scanner has is not known."""


@dataclass(frozen=True)
class Vertebra:
    """One vertebra of the ESP; densities in g HA/cm3, lengths in mm."""

    name: str
    nominal: float
    trabecular: float
    wall: float
    arch: float
    process: float


ESP = (
    Vertebra("low", 0.5, 0.050, 0.5, 5.2, 11.7),
    Vertebra("medium", 1.0, 0.100, 1.0, 6.0, 14.6),
    Vertebra("high", 1.5, 0.200, 1.5, 7.0, 21.0),
)


def _axis(half: float, step: float) -> np.ndarray:
    n = int(round(half / step))
    return (np.arange(-n, n) + 0.5) * step


def _coarse(image: np.ndarray, factor: int) -> np.ndarray:
    rows, columns = image.shape
    return image.reshape(rows // factor, factor, columns // factor, factor).mean(axis=(1, 3))


def section(v: Vertebra, endplate: bool = False):
    """HA density of an axial section of a vertebra.

    Parameters
    ----------
    v : Vertebra
    endplate : bool
        Through an endplate rather than the middle.

    Returns
    -------
    xs, ys : ndarray
        mm, on a grid of `FINE_MM`; +y is the front.
    ha : ndarray, shape (ys, xs)
        g/cm3.
    """
    xs, ys = _axis(20.0, FINE_MM), _axis(64.0, FINE_MM)
    x, y = np.meshgrid(xs, ys)
    ha = np.zeros(x.shape)
    back = -14.0
    behind = -np.minimum(y - back, 0.0)
    r = np.hypot(x, y - back)
    outer, inner = ARCH_MM / 2, ARCH_MM / 2 - v.arch
    ring = (behind > 0) & (r <= outer) & (r >= inner)
    ha[ring] = v.trabecular
    ha[ring & ((r > outer - v.wall) | (r < inner + v.wall))] = CORTEX
    process = (np.abs(x) <= v.arch / 2) & (behind > outer) & (behind <= outer + v.process)
    ha[process] = v.trabecular
    ha[process & (np.abs(x) > v.arch / 2 - v.wall)] = CORTEX
    body = np.hypot(x, y)
    ha[body <= BODY_MM / 2] = CORTEX
    if not endplate:
        ha[body <= BODY_MM / 2 - v.wall] = v.trabecular
    return xs, ys, ha


def geometric_bmd(v: Vertebra) -> float:
    """Mineral of the geometry over 36 x 25 mm, g/cm2."""
    cell = (FINE_MM / 10) ** 2
    middle, plate = (section(v, endplate)[2].sum() * cell for endplate in (False, True))
    grams = (middle * (HEIGHT_MM - 2 * v.wall) + plate * 2 * v.wall) / 10
    return float(grams / (BODY_MM * HEIGHT_MM / 100))


def esp_projection(step: float = SLICE_MM):
    """Water and HA along rays from front to back through the whole ESP.

    Returns
    -------
    water, ha : ndarray, shape (Z, X)
        g/cm2.
    number : ndarray, shape (Z,)
        Vertebra of a row, -1 between them.
    """
    factor = int(round(step / FINE_MM))
    rows, number = [], []
    beside = np.zeros(int(60 / step))
    for n, v in enumerate(ESP):
        middle, plate = (
            section(v, endplate)[2].sum(axis=0).reshape(-1, factor).mean(axis=1) * FINE_MM / 10
            for endplate in (False, True)
        )
        gap = [np.zeros_like(middle)] * int(GAP_MM / step)
        edges = np.arange(0, HEIGHT_MM, step)
        plates = np.clip(v.wall - edges, 0, step) + np.clip(
            edges + step - (HEIGHT_MM - v.wall), 0, step
        )
        share = plates[:, None] / step
        rows += [*gap, *(share * plate + (1 - share) * middle)]
        number += [-1] * len(gap) + [n] * edges.size
    rows += gap
    number += [-1] * len(gap)
    ha = np.stack([np.concatenate([beside, row, beside]) for row in rows])
    water = ESP_MM[1] / 10 - ha / materials.MATERIALS["hydroxyapatite"].density
    return water, ha, np.array(number)


def esp_dxa() -> list[float]:
    """Areal BMD of the ESP's vertebrae as the simulated DXA reads it, g/cm2.

    Evaluated as `dxa.measure` evaluates a person: dual-energy solve, baseline beside the
    spine, the same edge; rows of a vertebra are those of its height.
    """
    water, ha, number = esp_projection()
    signal = []
    for kev in (dxa.LOW_KEV, dxa.HIGH_KEV):
        mu = dxa.attenuation(kev)
        signal.append(water * mu[0] + ha * mu[1])
    offset = np.abs(np.arange(ha.shape[1]) + 0.5 - ha.shape[1] / 2) * SLICE_MM
    half = BODY_MM / 2
    beside = np.broadcast_to((offset > half + 8) & (offset < half + 36), ha.shape)
    image = dxa.mineral_image(*signal, beside)
    bone = ndimage.gaussian_filter(image, 0.7) > load_devices()["hologic"].edge.value
    bone &= offset < half + 3.0
    bone = ndimage.binary_fill_holes(ndimage.binary_opening(bone))
    return [float(image[bone & (number == n)[:, None]].mean()) for n in range(len(ESP))]


def _ellipse(x, y, half_x, half_y):
    return (x / half_x) ** 2 + (y / half_y) ** 2 <= 1


def _read(ha, water, xs, ys, region, protocol) -> float:
    """HU of a region in a noise-free slice."""
    columns, rows = np.flatnonzero(region.any(axis=0)), np.flatnonzero(region.any(axis=1))
    part = np.ix_(rows, columns)
    image = scan(water, ha, SLICE_MM, (xs[0], ys[0]), xs[columns], ys[rows], protocol, None)
    return float(image[region[part]].mean())


def esp_hu(v: Vertebra, protocol: Protocol | None = None) -> float:
    """HU of the trabecular middle (20 mm across) of one vertebra of the ESP."""
    factor = int(round(SLICE_MM / FINE_MM))
    inner_x, inner_y, fine = section(v)
    inner = _coarse(fine, factor)
    xs, ys = _axis(ESP_MM[0] / 2 + 8, SLICE_MM), _axis(ESP_MM[1] / 2 + 8, SLICE_MM)
    x, y = np.meshgrid(xs, ys)
    ha = np.zeros(x.shape)
    top, left = np.searchsorted(ys, inner_y[0]), np.searchsorted(xs, inner_x[0])
    ha[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    water = _ellipse(x, y, ESP_MM[0] / 2, ESP_MM[1] / 2) * 1.0
    water -= ha / materials.MATERIALS["hydroxyapatite"].density
    return _read(ha, water, xs, ys, np.hypot(x, y) <= 10, protocol or Protocol())


def rod_hu_per_mg(density: float = 0.2, protocol: Protocol | None = None) -> float:
    """HU per mg HA/cm3 of a rod in the QRM thorax.

    Parameters
    ----------
    density : float
        g HA/cm3.
    protocol : Protocol or None
        None: 120 kVp, standard kernel.
    """
    xs, ys = _axis(158.0, SLICE_MM), _axis(108.0, SLICE_MM)
    x, y = np.meshgrid(xs, ys)
    water = _ellipse(x, y, 150, 100) * 1.0
    bore = np.hypot(x, y - 20) <= 50
    for side in (-1, 1):
        lung = _ellipse(x - side * 88, y - 5, 45, 75)
        water[lung & ~bore] = 0.2
    spine = np.hypot(x, y + 62) <= 17.5
    rod = np.hypot(x, y - 20) <= 10
    ha = np.where(spine, 0.2, 0.0) + np.where(rod, density, 0.0)
    water -= ha / materials.MATERIALS["hydroxyapatite"].density
    region = np.hypot(x, y - 20) <= 7
    return _read(ha, water, xs, ys, region, protocol or Protocol()) / (1000 * density)


def report() -> str:
    """What the phantoms read, as text."""
    slope = rod_hu_per_mg()
    lines = [
        "European Spine Phantom, simulated DXA (g/cm2, true hydroxyapatite)",
        "vertebra  nominal  geometry          DXA    DXA/geometry",
    ]
    for v, read in zip(ESP, esp_dxa(), strict=True):
        made = geometric_bmd(v)
        lines.append(
            f"{v.name:8} {v.nominal:8.2f} {made:9.3f} ({100 * (made / v.nominal - 1):+5.1f} %)"
            f" {read:6.3f} ({100 * (read / v.nominal - 1):+5.1f} %) {100 * (read / made - 1):+5.1f} %"
        )
    lines += ["", "European Spine Phantom, simulated CT at 120 kVp, trabecular middle"]
    for v in ESP:
        hu, made = esp_hu(v), 1000 * v.trabecular
        lines.append(
            f"{v.name:8} {made:4.0f} mg/cm3: {hu:6.1f} HU, {hu / made:.3f} HU per mg/cm3;"
            f" by the rod's line {hu / slope:5.1f} mg/cm3 ({100 * (hu / slope / made - 1):+.1f} %)"
        )
    lines += [
        "A real asynchronous QCT is 1.4 to 6.7 % off in the three (PMC5524691).",
        "",
        "Rod of 200 mg HA/cm3 in a QRM thorax, 120 kVp (HU per mg/cm3)",
        f"Canon Aquilion ONE, FC12, real   {CANON_HU_PER_MG:.2f}",
    ]
    for name, read in (("usual", slope), ("harder", rod_hu_per_mg(protocol=HARDER))):
        off = 100 * (read / CANON_HU_PER_MG - 1)
        lines.append(f"simulated, {name:6} filtration     {read:.3f} ({off:+.1f} %)")
    return "\n".join(lines)


def main() -> None:
    """`python -m training.virtual.phantoms`."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    print(report())


if __name__ == "__main__":
    main()
