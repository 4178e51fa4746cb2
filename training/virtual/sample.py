"""The sample CT: one virtual patient as a DICOM series, zipped, and its true values.

`python -m training.virtual.sample` writes Resources/SampleData/CTBMDVirtualPatient.zip
and CTBMDVirtualPatient.json, the same bytes every time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from CTBMDLib.safefile import write_text

from .anatomy import LEVELS, make_scene
from .dicom import Header, dicom_bytes
from .dxa import measure
from .raster import slice_densities
from .scanner import Protocol, scan
from .traits import draw_traits

SEED = 20260812
OUTPUT = Path(__file__).parents[2] / "Resources" / "SampleData"
NAME = "CTBMDVirtualPatient"
SIZE, PIXEL_MM, BETWEEN_MM = 256, 1.45, 4.0


def make_sample(progress=None, count: int | None = None):
    """Simulate the sample patient.

    Parameters
    ----------
    progress : callable or None
    count : int or None
        Only the first slices from the feet, without facts; None for all.

    Returns
    -------
    slices : ndarray, shape (K, SIZE, SIZE), int16
        HU, from feet to head; rows to the back, columns to the patient's left.
    z : ndarray, shape (K,)
        S of the slices, mm.
    corner : (float, float)
        R and A of the first pixel, mm.
    facts : dict
        Sex, age, true levels and simulated DXA.
    """
    traits = replace(
        draw_traits(np.random.default_rng(SEED), "realistic"),
        sex="F",
        age=63.0,
        bmi=24.0,
        height_cm=161.0,
        section_cm2=8.6,
        trabecular=0.105,
        marrow_fat=0.5,
        cortex_mm=0.36,
        endplate_factor=1.4,
        posterior_share=0.605,
        arch=1.06,
        facets=0.2,
    )
    scene = make_scene(traits, SEED)
    protocol = Protocol(
        kvp=120.0, kernel="standard", thickness_mm=BETWEEN_MM, noise_hu=9.0, pixel_mm=PIXEL_MM
    )
    rng = np.random.default_rng([SEED, 3])
    top = scene.centres[LEVELS.index("T12"), 2] + 16
    bottom = scene.centres[LEVELS.index("S1"), 2] - 14
    z = np.arange(bottom, top, BETWEEN_MM)[:count]
    xs_fine = np.arange(scene.extent[0, 0], scene.extent[0, 1], 1.0)
    ys_fine = np.arange(scene.extent[1, 0], scene.extent[1, 1], 1.0)
    half = (SIZE - 1) / 2 * PIXEL_MM
    middle = scene.extent.mean(axis=1)
    steps = np.linspace(-half, half, SIZE)
    xs, ys = middle[0] + steps, middle[1] + steps
    slices = np.empty((z.size, SIZE, SIZE), np.int16)
    for k, height in enumerate(z):
        water, ha, _ = slice_densities(scene, xs_fine, ys_fine, height, BETWEEN_MM)
        hu = scan(water, ha, 1.0, (xs_fine[0], ys_fine[0]), xs, ys, protocol, rng)
        # Noise in the air around the patient would double the file and shows nothing.
        hu = np.where(hu < -900, -1000.0, hu)
        slices[k] = np.clip(np.round(hu), -1024, 3071)[::-1, ::-1]
        if progress is not None:
            progress((k + 1) / z.size, f"slice {k + 1} of {z.size}")
    if count is not None:
        return slices, z, (float(xs[-1]), float(ys[-1])), {}
    dxa = measure(scene)
    facts = {
        "simulated": True,
        "sex": traits.sex,
        "age_years": traits.age,
        "simulated_dxa_g_cm2": {
            **{k: round(v, 4) for k, v in dxa.bmd.items()},
            "L1-L4": round(dxa.total, 4),
        },
        "levels": {
            name: [round(float(x), 2) for x in scene.centres[n]]
            for n, name in enumerate(LEVELS)
            if bottom <= scene.centres[n, 2] <= top
        },
    }
    return slices, z, (float(xs[-1]), float(ys[-1])), facts


def header(facts: dict) -> Header:
    """What the sample's files say of the person and the scan."""
    return Header(
        key="sample",
        patient_id="CTBMD-VIRTUAL-1",
        patient_name="CTBMD^Virtual patient",
        sex=facts["sex"],
        age_years=facts["age_years"],
        kvp=120.0,
        kernel="STANDARD",
        thickness_mm=BETWEEN_MM,
        between_mm=BETWEEN_MM,
        pixel_mm=PIXEL_MM,
        description="Simulated unenhanced CT, T12 to S1",
        model="Simulated, parallel beam",
    )


def write_sample(folder=OUTPUT, progress=None) -> Path:
    """Write the zip and its JSON; returns the zip's path."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    slices, z, corner, facts = make_sample(progress)
    path = folder / f"{NAME}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for number, k in enumerate(range(len(z) - 1, -1, -1), start=1):
            data = dicom_bytes(slices[k], float(z[k]), number, corner, header(facts), len(z))
            # A fixed date and mode, so that the archive is the same every time.
            entry = zipfile.ZipInfo(f"{NAME}/CT_{number:03d}.dcm", (2026, 1, 1, 12, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data, compresslevel=9)
    facts["zip_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    write_text(folder / f"{NAME}.json", json.dumps(facts, indent=1) + "\n", overwrite=True)
    return path


def main() -> None:
    """The command line."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    path = write_sample(progress=lambda f, text: print(f"\r{text}", end="", flush=True))
    print(f"\n{path.name}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
