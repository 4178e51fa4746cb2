"""How far the yardstick of `realcheck` itself is right: the same edit on virtual people.

`python -m training.yardstick [SEED ...]`

On real scans the network's answer to scaled mineral is held against a value projected
from the edited CT, since no DXA exists. Here the DXA of the same change is simulated, so that
network and yardstick can both be held against it. Simulated throughout.
"""

from __future__ import annotations

import argparse

import numpy as np

from CTBMDLib.bundle import ModelBundle, default_bundle_folder
from CTBMDLib.levels import MEASURED, LevelSlice

from .realcheck import Scan, answer, crop, simple_masks
from .virtual import dxa
from .virtual.anatomy import make_scene
from .virtual.traits import draw_traits, with_mineral
from .virtual.volume import make_volume

SEEDS = (311, 343, 349, 355)
"""The first four from 300 on aged 40 to 80, without a deformed vertebra, of 0.60 to 0.85 g/cm2."""
VOXEL_MM = (1.0, 3.0)
FACTORS = (0.7, 1.3)


class VirtualScan(Scan):
    """A virtual person's volume, edited and projected as `realcheck` does a real one."""

    def __init__(self, seed: int, voxel_mm: float):
        volume, truth = make_volume(
            seed,
            spacing_mm=voxel_mm,
            between_mm=voxel_mm,
            blur_mm=0.5 * voxel_mm,
            top=2.0,
            bottom=8.0,
            width_mm=260.0,
        )
        self.name = str(seed)
        self.levels = {
            level: LevelSlice(level, tuple(truth["levels"][level]["ras"])) for level in MEASURED
        }
        self.volume = crop(volume, np.array([item.ras for item in self.levels.values()]))
        self.masks = simple_masks(self.volume, self.levels)
        self.how = "by a simple mask"


def simulated_dxa(seed: int, factor: float = 1.0) -> float:
    """Simulated L1-L4 aBMD of the person of `make_volume(seed)` with scaled mineral, g/cm2."""
    traits = draw_traits(np.random.default_rng([seed, 5]), "realistic")
    return dxa.measure(make_scene(with_mineral(traits, factor), seed, "realistic")).total


def shares(seed: int, voxel_mm: float, factor: float, bundle: ModelBundle) -> dict:
    """Changes in the edited volume as shares of the change of the simulated DXA.

    Returns
    -------
    dict
        'network'; 'edge', the projection with its edge found anew; 'fixed', with the edge kept.
    """
    scan = VirtualScan(seed, voxel_mm)
    edited = scan.scaled(factor)
    true = simulated_dxa(seed, factor) - simulated_dxa(seed)
    network = [answer(bundle, volume, scan.levels)[0] for volume in (scan.volume, edited)]
    edge = [scan.projected_by_edge(volume) for volume in (scan.volume, edited)]
    fixed = [scan.projected(volume) for volume in (scan.volume, edited)]
    return {
        name: (after - before) / true
        for name, (before, after) in (("network", network), ("edge", edge), ("fixed", fixed))
    }


def _cell(x) -> str:
    return f"{np.mean(x):.2f} ({min(x):.2f} to {max(x):.2f})".ljust(21)


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seeds", type=int, nargs="*", default=SEEDS)
    options = parser.parse_args(arguments)
    bundle = ModelBundle.load(default_bundle_folder())
    print("change of each over the change of the simulated DXA: mean (lowest to highest)")
    print(
        "voxel  mineral  network              edge found anew      edge kept            network / anew"
    )
    for voxel_mm in VOXEL_MM:
        for factor in FACTORS:
            rows = [shares(seed, voxel_mm, factor, bundle) for seed in options.seeds]
            cells = []
            for name in ("network", "edge", "fixed"):
                x = [row[name] for row in rows]
                cells.append(_cell(x))
            cells.append(_cell([row["network"] / row["edge"] for row in rows]))
            print(f"{voxel_mm:.0f} mm   x{factor:<7}{''.join(cells)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
