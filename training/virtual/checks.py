"""Check 7 on a cohort of files: simulated aBMD and trabecular HU beside what is published.

`python -m training.virtual.checks FOLDER [FOLDER ...]` prints, by sex and age,
the simulated L1-L4 aBMD against NHANES and the HU of a trabecular region of L1
against Jang 2019, and the correlation of those HU with the simulated aBMD. All
figures are simulated; r is reported, never aimed at.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from CTBMDLib.bmd.roi import trabecular_hu

from .patient import load_patient

# NHANES L1-L4 aBMD (Hologic), mean and SD g/cm2, by decade from 20 (PMC12995607, table 3).
NHANES = {
    "F": ((1.064, 0.106), (1.065, 0.110), (1.056, 0.134), (0.993, 0.141), (0.952, 0.142), (0.902, 0.167)),
    "M": ((1.057, 0.110), (1.042, 0.117), (1.051, 0.129), (1.053, 0.143), (1.070, 0.142), (1.068, 0.177)),
}  # fmt: skip


def jang_hu(age: float) -> float:
    """Mean L1 HU at 120 kV by age: 226 under 30, falling evenly to 89 at 90 (Jang 2019)."""
    return float(np.interp(age, (25, 90), (226, 89)))


def summary(folders) -> str:
    """The table as text, over all patients of the folders."""
    rows = []
    for path in sorted(p for folder in folders for p in Path(folder).glob("*.npz")):
        record = load_patient(path)
        hu = trabecular_hu(record.slabs["L1"], record.slices["L1"])
        mean, sd = NHANES[record.sex][int(min(max((record.age_years - 20) // 10, 0), 5))]
        rows.append(
            (
                record.sex,
                record.age_years,
                record.bmd_total_true,
                (record.bmd_total_true - mean) / sd,
                np.nan if hu is None else hu,
            )
        )
    if not rows:
        return "no patients in these folders"
    lines = ["sex   age     n  aBMD g/cm2  z (NHANES)  L1 HU  Jang 2019"]
    sex, age, bmd, z, hu = (np.array(column) for column in zip(*rows, strict=True))
    for s in ("F", "M"):
        for low, high in ((20, 40), (40, 60), (60, 91), (20, 91)):
            use = (sex == s) & (age >= low) & (age < high)
            if use.any():
                lines.append(
                    f"{s}    {low}-{high - 1:<3} {use.sum():4d}  {bmd[use].mean():10.3f}"
                    f"  {z[use].mean():+10.2f}  {np.nanmean(hu[use]):5.0f}"
                    f"  {np.mean([jang_hu(a) for a in age[use]]):9.0f}"
                )
    known = np.isfinite(hu)
    if known.sum() > 3:
        r = np.corrcoef(hu[known], bmd[known])[0, 1]
        slope = np.polyfit(age[known], hu[known], 1)[0]
        lines.append(f"HU of L1 against simulated aBMD: r {r:.2f} (n {known.sum()})")
        lines.append(f"HU of L1 by age: {slope:+.2f} a year")
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    if len(sys.argv) < 2:
        raise SystemExit("usage: python -m training.virtual.checks FOLDER [FOLDER ...]")
    print(summary(sys.argv[1:]))


if __name__ == "__main__":
    main()
