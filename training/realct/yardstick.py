"""How far the yardstick of `realcheck` itself is right: the same edit on virtual people.

`python -m training.realct.yardstick [SEED ...]`

On real scans the network's answer to scaled mineral is held against a value projected
from the edited CT, since no DXA exists. Here the DXA of the same change is simulated, so that
network and yardstick can both be held against it, in the voxels that a scan has: a
projection through thick voxels answers otherwise than one through thin ones. Simulated throughout.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from CTBMDLib.levels import MEASURED, LevelSlice
from CTBMDLib.model.bundle import ModelBundle, default_bundle_folder
from CTBMDLib.volume import CTVolume

from ..virtual import dxa
from ..virtual.anatomy import LEVELS, make_scene
from ..virtual.raster import bone_raster
from ..virtual.traits import draw_traits, with_mineral
from ..virtual.volume import HA_PER_WATER, make_volume
from .answers import answer, places
from .edited import LABELS, Scan

SEEDS = (311, 343, 349, 355)
"""The first four from 300 on aged 40 to 80, without a deformed vertebra, of 0.60 to 0.85 g/cm2."""
FACTORS = (0.7, 1.3)
PROJECTIONS = ("edge", "fixed")
LABEL_MM = 1.5


@dataclass(frozen=True)
class Geometry:
    """What of a scan the yardstick's answer depends on.

    Attributes
    ----------
    spacing_mm, between_mm : float
        Pixel in the stored planes and distance between them.
    storage : {'axial', 'sagittal', 'coronal'}
        The stored planes.
    kvp : int
    labelled : bool
        Whether the vertebrae are known from labels, or from a simple mask.
    """

    spacing_mm: float
    between_mm: float
    storage: str = "axial"
    kvp: int = 120
    labelled: bool = False

    @classmethod
    def of(cls, scan: Scan) -> Geometry:
        """The geometry of a scan; an unknown tube voltage counts as 120 kV, as in `shadow`."""
        i, j, k = scan.volume.spacing_mm
        r, a, _ = scan.volume.axis_kji_of_ras
        storage = {r: "sagittal", a: "coronal"}.get(0, "axial")
        kvp = scan.volume.acquisition.kvp or 120.0
        return cls(
            round(float(np.sqrt(i * j)), 2),
            round(float(k), 2),
            storage,
            min(HA_PER_WATER, key=lambda x: abs(x - kvp)),
            scan.how == "by labels",
        )


COARSE, FINE = Geometry(3.0, 3.0), Geometry(1.0, 1.0)


@lru_cache(maxsize=4)
def virtual_scan(seed: int, geometry: Geometry, mineral: float = 1.0) -> Scan:
    """A virtual person's volume, to be edited and projected as `realcheck` does a real one."""
    volume, truth = make_volume(
        seed,
        mineral=mineral,
        spacing_mm=geometry.spacing_mm,
        between_mm=geometry.between_mm,
        storage=geometry.storage,
        kvp=geometry.kvp,
        blur_mm=max(0.5 * geometry.spacing_mm, 0.5),
        top=2.0,
        bottom=8.0,
        width_mm=260.0,
    )
    levels = {level: LevelSlice(level, tuple(truth["levels"][level]["ras"])) for level in MEASURED}
    labels = true_labels(truth) if geometry.labelled else None
    return Scan(str(seed), volume, levels, labels)


def true_labels(truth: dict) -> CTVolume:
    """The vertebrae of a `make_volume` as a label volume with the values of `LABELS`."""
    scene = truth["scene"]
    names = [LEVELS.index(level) for level in MEASURED]
    centres = scene.centres[names]
    low, high = centres.min(axis=0) - [60, 90, 40], centres.max(axis=0) + [60, 40, 40]
    xs, ys, zs = (np.arange(a, b, LABEL_MM) for a, b in zip(low, high, strict=True))
    owner = np.abs(bone_raster(xs, ys, zs, LABEL_MM, scene.spine)[4]) - 1
    values = np.zeros(owner.shape, np.int16)
    for number, level in zip(names, MEASURED, strict=True):
        values[owner == number] = LABELS[level]
    matrix = np.diag([LABEL_MM, LABEL_MM, LABEL_MM, 1.0])
    # The volume is moved in space after it is drawn.
    moved = np.array(truth["levels"]["L1"]["ras"]) - scene.centres[names[0]]
    matrix[:3, 3] = low + moved
    return CTVolume(values, matrix)


@lru_cache(maxsize=64)
def simulated_dxa(seed: int, factor: float = 1.0) -> float:
    """Simulated L1-L4 aBMD of the person of `make_volume(seed)` with scaled mineral, g/cm2."""
    traits = draw_traits(np.random.default_rng([seed, 5]), "realistic")
    return dxa.measure(make_scene(with_mineral(traits, factor), seed, "realistic")).total


def shares(seed: int, geometry: Geometry, factors=FACTORS, answer=None) -> dict:
    """Changes in the edited volume as shares of the change of the simulated DXA.

    Parameters
    ----------
    seed : int
    geometry : Geometry
    factors : sequence of float
        On the mineral.
    answer : callable (volume, levels) -> float, optional
        A network's L1-L4 of a volume, g/cm2.

    Returns
    -------
    dict of float to dict of str to float
        By factor: 'edge', the projection with its edge found anew; 'fixed', with the edge
        kept; with a network 'network', and 'anew', its answer where the volume is not edited
        but the person drawn with the other mineral.
    """
    scan = virtual_scan(seed, geometry)
    at = places(scan.volume, scan.levels)
    ways = {"edge": scan.projected_by_edge, "fixed": scan.projected}
    if answer is not None:
        ways["network"] = lambda volume: answer(volume, at)
    before = {name: way(scan.volume) for name, way in ways.items()}
    out = {}
    for factor in factors:
        edited = scan.scaled(factor)
        true = simulated_dxa(seed, factor) - simulated_dxa(seed)
        out[factor] = {name: (way(edited) - before[name]) / true for name, way in ways.items()}
        if answer is not None:
            other = virtual_scan(seed, geometry, factor)
            change = answer(other.volume, places(other.volume, other.levels)) - before["network"]
            out[factor]["anew"] = change / true
    return out


def calibrate(scan: Scan, factors=FACTORS, seeds=SEEDS) -> dict:
    """What the projections show of a true change in a scan's own voxels.

    Returns
    -------
    dict of float to dict of str to (float, float, float)
        By factor and projection: mean, lowest and highest share over the virtual people.
    """
    geometry = Geometry.of(scan)
    rows = [shares(seed, geometry, factors) for seed in seeds]
    out = {}
    for factor in factors:
        each = {name: [row[factor][name] for row in rows] for name in PROJECTIONS}
        out[factor] = {name: (float(np.mean(x)), min(x), max(x)) for name, x in each.items()}
    return out


def _cell(x) -> str:
    return f"{np.mean(x):.2f} ({min(x):.2f} to {max(x):.2f})".ljust(21)


def main(arguments=None) -> int:
    """Print what network and projections show of a true change."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seeds", type=int, nargs="*", default=SEEDS)
    options = parser.parse_args(arguments)
    bundle = ModelBundle.load(default_bundle_folder())
    print("change of each over the change of the simulated DXA: mean (lowest to highest)")
    print(
        "voxel  mineral  "
        + "".join(
            title.ljust(21)
            for title in ("network, edited", "network, drawn anew", "edge found anew", "edge kept")
        )
    )
    for geometry in (FINE, COARSE):
        rows = [
            shares(seed, geometry, answer=lambda *given: answer(bundle, *given)[0])
            for seed in options.seeds
        ]
        for factor in FACTORS:
            at = [row[factor] for row in rows]
            cells = (_cell([x[name] for x in at]) for name in ("network", "anew", *PROJECTIONS))
            print(f"{geometry.spacing_mm:.0f} mm   x{factor:<7}{''.join(cells)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
