"""The sample CT: one virtual patient as a DICOM series, zipped, and its true values.

`python -m training.virtual.sample` writes Resources/SampleData/CTBMDVirtualPatient.zip
and CTBMDVirtualPatient.json, the same bytes every time.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np

SEED = 20260812
OUTPUT = Path(__file__).parents[2] / "Resources" / "SampleData"
NAME = "CTBMDVirtualPatient"
SIZE, PIXEL_MM, BETWEEN_MM = 256, 1.45, 4.0
UID_ROOT = "2.25."
"""UIDs from a hash of what they name (DICOM PS3.5 B.2), so that they never change."""


def _uid(text: str) -> str:
    return UID_ROOT + str(int(hashlib.sha256(f"CTBMD sample {text}".encode()).hexdigest()[:30], 16))


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
    from .anatomy import LEVELS, make_scene
    from .dxa import measure
    from .raster import slice_densities
    from .scanner import Protocol, scan
    from .traits import draw_traits

    traits = replace(
        draw_traits(np.random.default_rng(SEED), "realistic"),
        sex="F",
        age=63.0,
        bmi=24.0,
        height_cm=161.0,
        section_cm2=8.6,
        trabecular=0.135,
        marrow_fat=0.5,
        cortex_mm=0.40,
        endplate_factor=1.5,
        posterior_share=0.49,
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


def dicom_bytes(hu: np.ndarray, z: float, number: int, corner, facts: dict, count: int) -> bytes:
    """One slice as a DICOM CT Image file, explicit VR little endian, deflated in the zip only."""
    import pydicom
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = _uid(f"instance {number}")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = _uid("implementation")
    meta.ImplementationVersionName = "CTBMD"
    d = Dataset()
    d.SpecificCharacterSet = "ISO_IR 192"
    d.ImageType = ["DERIVED", "PRIMARY", "AXIAL"]
    d.SOPClassUID = CTImageStorage
    d.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    d.StudyDate = d.SeriesDate = d.ContentDate = "20260101"
    d.StudyTime = d.SeriesTime = d.ContentTime = "120000"
    d.AccessionNumber = ""
    d.Modality = "CT"
    d.Manufacturer = "CTBMD virtual scanner"
    d.ManufacturerModelName = "Simulated, parallel beam"
    d.ReferringPhysicianName = ""
    d.StudyDescription = "Simulated abdominal CT"
    d.SeriesDescription = "Simulated unenhanced CT, T12 to S1"
    d.PatientName = "CTBMD^Virtual patient"
    d.PatientID = "CTBMD-VIRTUAL-1"
    d.PatientBirthDate = ""
    d.PatientSex = facts["sex"]
    d.PatientAge = f"{int(facts['age_years']):03d}Y"
    d.BodyPartExamined = "ABDOMEN"
    d.SliceThickness = f"{BETWEEN_MM:g}"
    d.KVP = "120"
    d.SpacingBetweenSlices = f"{BETWEEN_MM:g}"
    d.ProtocolName = "Virtual abdomen"
    d.ConvolutionKernel = "STANDARD"
    d.PatientPosition = "HFS"
    d.StudyInstanceUID = _uid("study")
    d.SeriesInstanceUID = _uid("series")
    d.StudyID = "1"
    d.SeriesNumber = 1
    d.InstanceNumber = number
    d.ImageComments = "Simulated CT of a virtual patient; no person was scanned."
    # DICOM is LPS: x to the left, y to the back.
    d.ImagePositionPatient = [f"{-corner[0]:.3f}", f"{-corner[1]:.3f}", f"{z:.3f}"]
    d.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    d.FrameOfReferenceUID = _uid("frame")
    d.PositionReferenceIndicator = ""
    d.SliceLocation = f"{z:.3f}"
    d.ImagesInAcquisition = count
    d.SamplesPerPixel = 1
    d.PhotometricInterpretation = "MONOCHROME2"
    d.Rows, d.Columns = hu.shape
    d.PixelSpacing = [f"{PIXEL_MM:g}", f"{PIXEL_MM:g}"]
    d.BitsAllocated, d.BitsStored, d.HighBit = 16, 16, 15
    d.PixelRepresentation = 1
    d.WindowCenter, d.WindowWidth = "50", "400"
    d.RescaleIntercept, d.RescaleSlope, d.RescaleType = "0", "1", "HU"
    d.PixelData = hu.astype("<i2").tobytes()
    d["PixelData"].VR = "OW"
    d.file_meta = meta
    buffer = io.BytesIO()
    if int(pydicom.__version__.split(".")[0]) >= 3:
        pydicom.dcmwrite(buffer, d, enforce_file_format=True)
    else:
        d.is_little_endian, d.is_implicit_VR = True, False
        pydicom.dcmwrite(buffer, d, write_like_original=False)
    return buffer.getvalue()


def write_sample(folder=OUTPUT, progress=None) -> Path:
    """Write the zip and its JSON; returns the zip's path."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    slices, z, corner, facts = make_sample(progress)
    path = folder / f"{NAME}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for number, k in enumerate(range(len(z) - 1, -1, -1), start=1):
            data = dicom_bytes(slices[k], float(z[k]), number, corner, facts, len(z))
            # A fixed date and mode, so that the archive is the same every time.
            entry = zipfile.ZipInfo(f"{NAME}/CT_{number:03d}.dcm", (2026, 1, 1, 12, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data, compresslevel=9)
    facts["zip_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / f"{NAME}.json").write_text(json.dumps(facts, indent=1) + "\n")
    return path


def main() -> None:
    path = write_sample(progress=lambda f, text: print(f"\r{text}", end="", flush=True))
    print(f"\n{path.name}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
