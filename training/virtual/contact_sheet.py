"""Virtual axial slices beside real ones, at the same window and spacing.

`python -m training.virtual.contact_sheet OUTPUT.png [--data ../shared/data]
[--cohort FOLDER | --seed N]`. Real images are only shown, never stored in the
project.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from CTBMDLib.reading.reading import read_ct

from .patient import load_patient, make_patient

SIZE_MM, PIXEL_MM = 210.0, 1.0
WINDOW = (-160.0, 340.0)


def cut(volume, ras, size_mm: float = SIZE_MM, pixel_mm: float = PIXEL_MM) -> np.ndarray:
    """Square axial image about a point, anterior up, patient right at the left, HU."""
    r, a, s = ras
    n = int(size_mm / pixel_mm)
    steps = (np.arange(n) - (n - 1) / 2) * pixel_mm
    grid = np.stack(
        np.broadcast_arrays(r - steps[None, :], a - 10.0 - steps[:, None], float(s)), axis=-1
    )
    return volume.sample(grid, fill=-1000.0)


def real_slices(data: Path) -> list[tuple[str, np.ndarray]]:
    """(title, image) of L1-L4 of each real scan that is there."""
    rows = json.loads((data / "levels.json").read_text())["levels"]
    out = []
    for name in ("ct_acrin_f46", "ct_sagittal_m42", "ct_ts_example"):
        path = data / name
        if not path.exists() or name not in rows:
            continue
        volume = read_ct(path / "ct.nii.gz" if (path / "ct.nii.gz").exists() else path)
        out += [
            (f"real {name} {level}", cut(volume, rows[name][level]))
            for level in ("L1", "L2", "L3", "L4")
        ]
    return out


def virtual_slices(records) -> list[tuple[str, np.ndarray]]:
    """(title, image) of the middle slice of each level of some patients."""
    out = []
    for record in records:
        for level, slab in record.slabs.items():
            k = slab.hu.shape[0] // 2
            ras = np.array(record.slices[level].ras)
            ras[2] = slab.ijk_to_ras[2, 3] + k * slab.ijk_to_ras[2, 2]
            p = record.protocol
            text = f"virtual {record.sex}{record.age_years:.0f} {level} {p['kvp']:.0f} kV"
            out.append((f"{text} {p['kernel']} {p['thickness_mm']:g} mm", cut(slab, ras)))
    return out


def draw(output, images, columns: int = 4, dpi: int = 90) -> None:
    """Write a grid of images as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = -(-len(images) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(3.2 * columns, 3.35 * rows), squeeze=False)
    for axis in axes.ravel():
        axis.axis("off")
    for axis, (title, image) in zip(axes.ravel(), images, strict=False):
        axis.imshow(image, cmap="gray", vmin=WINDOW[0], vmax=WINDOW[1])
        axis.set_title(title, fontsize=7)
    figure.tight_layout(pad=0.3)
    figure.savefig(output, dpi=dpi)
    plt.close(figure)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output")
    parser.add_argument("--data", default=str(Path(__file__).parents[2].parent / "shared" / "data"))
    parser.add_argument("--cohort", help="folder of patients; without it a few are made")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--count", type=int, default=3)
    parser.add_argument("--population", default="realistic")
    parser.add_argument("--institution", default="A")
    a = parser.parse_args()
    if a.cohort:
        records = [load_patient(p) for p in sorted(Path(a.cohort).glob("*.npz"))[: a.count]]
    else:
        records = [make_patient(a.seed, n, a.population, a.institution) for n in range(a.count)]
    real = real_slices(Path(a.data)) if Path(a.data).exists() else []
    draw(a.output, real + virtual_slices(records))


if __name__ == "__main__":
    main()
