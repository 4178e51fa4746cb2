"""A hospital of virtual patients: DICOM CT series and the tables of their DXA.

`python -m training.virtual.hospital FOLDER COUNT SEED` writes a folder of DICOM
files a patient, `patients.csv` for `training.reproduce --cohort`, `pairs.csv`
for `ctbmd model calibrate`, and `truth.json`, which no real hospital has. It is
for trying those steps, not for training: the CT are of the fast kind (`volume`).
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from CTBMDLib.dxa import Scale
from CTBMDLib.errors import CTBMDError
from CTBMDLib.safefile import write_text

from ..console import bar
from . import dxa
from .dicom import Header, dicom_bytes
from .volume import make_volume

TRUTH = "truth.json"
COLUMNS = ("case", "path", "institution", *dxa.MEASURED, "L1-L4", "dxa_device", "sex", "age")


@dataclass(frozen=True)
class Site:
    """How an institution scans."""

    kvp: int
    kernel: str
    blur_mm: float
    pixel_mm: float
    between_mm: float
    noise_hu: tuple[float, float]


SITES = {
    "A": Site(120, "STANDARD", 1.0, 1.2, 3.0, (8.0, 16.0)),
    "B": Site(100, "SOFT", 1.4, 1.0, 5.0, (10.0, 24.0)),
}
"""Every third patient is of institution B."""


@dataclass(frozen=True)
class Device:
    """A DXA device: what it shows is `scale` x the simulated value + `offset` (g/cm2)."""

    title: str
    scale: float
    offset: float


_LUNAR = Scale("hologic", "lunar")

DEVICES = {
    "hologic": Device("simulated DXA, Hologic scale", 1.0, 0.0),
    # The library's own conversion (Hui 1997): what one device is said to show is one sentence.
    "lunar": Device("simulated DXA, Lunar scale", _LUNAR.slope, float(_LUNAR.value(0.0))),
}


def make_hospital(
    folder,
    count: int,
    seed: int,
    *,
    population: str = "realistic",
    device: str = "hologic",
    coarse: bool = False,
    progress=None,
) -> Path:
    """Write the patients that are not there yet, then the tables.

    Parameters
    ----------
    folder : path
    count, seed : int
        The same seed gives the same patients, bytes and values; more of them
        can be added later.
    population : {'realistic', 'wide'}
    device : {'hologic', 'lunar'}
        On whose scale the DXA is given.
    coarse : bool
        2 mm pixels, 5 mm slices and 220 mm about the spine: quicker, for tests.
    progress : callable(fraction, text), optional

    Returns
    -------
    Path
        patients.csv.

    Raises
    ------
    CTBMDError
        Where the folder was begun with other settings.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"seed": seed, "population": population, "device": device, "coarse": coarse}
    truth = {"simulated": True, "settings": settings, "patients": {}}
    if (folder / TRUTH).is_file():
        truth = json.loads((folder / TRUTH).read_text(encoding="utf-8"))
        if truth["settings"] != settings:
            raise CTBMDError(
                f"'{folder}' was begun with {truth['settings']}; take another folder or the same settings",
                "other-settings",
            )
    for number in range(count):
        case = f"P{number + 1:03d}"
        if case not in truth["patients"] or not (folder / case).is_dir():
            truth["patients"][case] = _write_patient(folder, case, number, settings)
            write_text(folder / TRUTH, json.dumps(truth, indent=1) + "\n", overwrite=True)
        if progress:
            progress((number + 1) / count, f"{number + 1} of {count} virtual patients")
    rows = [
        {
            "case": case,
            "path": case,
            "institution": facts["institution"],
            **{level: f"{value:.3f}" for level, value in facts["dxa_g_cm2"].items()},
            "dxa_device": DEVICES[device].title,
            "sex": facts["sex"],
            "age": f"{facts['age_years']:.0f}",
        }
        for case, facts in sorted(truth["patients"].items())
    ]
    write_text(folder / "patients.csv", _table(rows), overwrite=True)
    # A calibration is of one site.
    pairs = [row for row in rows if row["institution"] == "A"]
    write_text(folder / "pairs.csv", _table(pairs), overwrite=True)
    return folder / "patients.csv"


def _write_patient(folder: Path, case: str, number: int, settings: dict) -> dict:
    """One patient's folder, whole or not at all; answers what is true of it."""
    rng = np.random.default_rng([settings["seed"], number, 9])
    person = int(rng.integers(1, 2**31))
    institution = "B" if number % 3 == 2 else "A"
    site, coarse = SITES[institution], settings["coarse"]
    volume, true = make_volume(
        person,
        population=settings["population"],
        top=rng.uniform(1.3, 2.0),
        bottom=rng.uniform(7.6, 8.3),
        width_mm=220.0 if coarse else 0.0,
        spacing_mm=2.0 if coarse else site.pixel_mm,
        between_mm=5.0 if coarse else site.between_mm,
        noise_hu=float(rng.uniform(*site.noise_hu)),
        blur_mm=site.blur_mm,
        kvp=site.kvp,
    )
    step = 2.0 if coarse else 1.0
    measured = dxa.measure(true["scene"], step, 2 * step)
    bmd, total = dxa.with_precision_error(measured, rng)
    pixel, _, between = (float(x) for x in volume.spacing_mm)
    facts = volume.acquisition
    header = Header(
        key=f"hospital {settings['seed']} {settings['population']} {coarse} {number}",
        patient_id=f"VIRTUAL-{settings['seed']}-{number + 1:03d}",
        patient_name=f"CTBMD^Virtual patient {number + 1}",
        sex=facts.sex,
        age_years=facts.age_years,
        kvp=site.kvp,
        kernel=site.kernel,
        thickness_mm=between,
        between_mm=between,
        pixel_mm=pixel,
        model="Simulated, without projection",
    )
    part = folder / f".{case}.part"
    for old in (part, folder / case):
        shutil.rmtree(old, ignore_errors=True)
    part.mkdir()
    heights = volume.ijk_to_ras[2, 3] + between * np.arange(len(volume.hu))
    corner = volume.ijk_to_ras[:2, 3]
    for place, k in enumerate(reversed(range(len(heights))), start=1):
        data = dicom_bytes(volume.hu[k], heights[k], place, corner, header, len(heights))
        (part / f"CT_{place:03d}.dcm").write_bytes(data)
    part.replace(folder / case)
    device = DEVICES[settings["device"]]
    return {
        "institution": institution,
        "sex": facts.sex,
        "age_years": facts.age_years,
        "dxa_g_cm2": {
            level: round(device.scale * value + device.offset, 4)
            for level, value in {**bmd, "L1-L4": total}.items()
        },
        "true_g_cm2": {
            level: round(value, 4)
            for level, value in {**measured.bmd, "L1-L4": measured.total}.items()
        },
        "levels": {
            name: [round(x, 2) for x in item["ras"]]
            for name, item in true["levels"].items()
            if item["in_view"]
        },
    }


def _table(rows) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def main(arguments=None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.virtual.hospital",
        description="Write a hospital of virtual patients: DICOM CT and DXA tables.",
    )
    parser.add_argument("folder", metavar="FOLDER")
    parser.add_argument("count", metavar="COUNT", type=int)
    parser.add_argument("seed", metavar="SEED", type=int)
    parser.add_argument("--population", default="realistic", choices=("realistic", "wide"))
    parser.add_argument(
        "--device", default="hologic", choices=tuple(DEVICES), help="scale of the simulated DXA"
    )
    parser.add_argument("--coarse", action="store_true", help="large voxels, for a quick try")
    options = parser.parse_args(arguments)

    try:
        path = make_hospital(**vars(options), progress=bar)
    except CTBMDError as error:
        parser.error(str(error))
    print(path, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
