"""Twenty ways in which a study of a real archive is broken, done on purpose to a folder of DICOM files."""

from __future__ import annotations

import gzip
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom


def files_of(folder: Path) -> list[Path]:
    """The slices, in the order of their names."""
    return sorted(x for x in folder.rglob("*") if x.is_file())


def _edit(files, change) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that are wrong on purpose
        for number, path in enumerate(files):
            dataset = pydicom.dcmread(path)
            change(dataset, number)
            dataset.save_as(path)


def _without(*names):
    def change(dataset, _):
        for name in names:
            if name in dataset:
                delattr(dataset, name)

    return lambda folder, rng: _edit(files_of(folder), change)


def _with(**values):
    def change(dataset, _):
        for name, value in values.items():
            setattr(dataset, name, value)

    return lambda folder, rng: _edit(files_of(folder), change)


def _empty(folder, rng):
    for path in files_of(folder):
        path.unlink()


def _report_alone(folder, rng):
    _empty(folder, rng)
    (folder / "report.txt").write_text("No images were sent.\n", encoding="utf-8")


def _cut(share, every):
    def damage(folder, rng):
        for path in files_of(folder)[::every]:
            content = path.read_bytes()
            path.write_bytes(content[: int(share * len(content))])

    return damage


def _noise(folder, rng):
    for path in files_of(folder):
        path.write_bytes(rng.bytes(path.stat().st_size))


def _one_slice(folder, rng):
    for path in files_of(folder)[1:]:
        path.unlink()


def _gap(folder, rng):
    files = files_of(folder)
    for path in files[len(files) // 3 : len(files) // 2]:
        path.unlink()


def _missing_one(folder, rng):
    files = files_of(folder)
    files[len(files) // 2].unlink()


def _packed(folder, rng):
    for path in files_of(folder):
        path.with_suffix(".dcm.gz").write_bytes(gzip.compress(path.read_bytes(), 1))
        path.unlink()


def _flat(folder, rng):
    def change(dataset, _):
        dataset.PixelData = bytes(len(dataset.PixelData))

    _edit(files_of(folder), change)


def _noise_pixels(folder, rng):
    def change(dataset, _):
        dataset.PixelData = rng.bytes(len(dataset.PixelData))

    _edit(files_of(folder), change)


def _one_place(folder, rng):
    first = pydicom.dcmread(files_of(folder)[0]).ImagePositionPatient
    _with(ImagePositionPatient=list(first))(folder, rng)


def _other_size(folder, rng):
    def change(dataset, number):
        if number % 2:
            dataset.Rows = int(dataset.Rows) // 2

    _edit(files_of(folder), change)


def _copies(folder, rng):
    for path in files_of(folder)[:5]:
        path.with_name(f"copy of {path.name}").write_bytes(path.read_bytes())


def _two_patients(folder, rng):
    files = files_of(folder)

    def change(dataset, _):
        dataset.PatientID = "VIRTUAL-OTHER"
        dataset.SeriesInstanceUID = f"{dataset.SeriesInstanceUID}.9"

    _edit(files[: len(files) // 3], change)


FAIL, EITHER = "fail", "either"
"""Whether such a study cannot give a value, or may give one with a finding that says what is wrong."""

WAYS: dict[str, tuple[Callable, str]] = {
    "empty folder": (_empty, FAIL),
    "a report and no image": (_report_alone, FAIL),
    "every file cut off in its header": (_cut(0.02, 1), FAIL),
    "every file cut off in its pixels": (_cut(0.6, 1), FAIL),
    "every fourth file cut off": (_cut(0.6, 4), EITHER),
    "random bytes": (_noise, FAIL),
    "one slice": (_one_slice, FAIL),
    "a gap of slices": (_gap, EITHER),
    "one slice missing": (_missing_one, EITHER),
    "each file packed": (_packed, FAIL),
    "called MR": (_with(Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4"), FAIL),
    "no pixel data": (_without("PixelData"), FAIL),
    "all pixels alike": (_flat, FAIL),
    "random pixels": (_noise_pixels, EITHER),
    "no position": (_without("ImagePositionPatient"), FAIL),
    "all at one place": (_one_place, FAIL),
    "no pixel spacing": (_without("PixelSpacing"), FAIL),
    "slices of two sizes": (_other_size, EITHER),
    "copies of slices": (_copies, EITHER),
    "two patients in one folder": (_two_patients, EITHER),
}


def break_study(folder: Path, way: str, seed: int) -> None:
    """Break the study in a folder in one of `WAYS`."""
    WAYS[way][0](folder, np.random.default_rng(seed))
