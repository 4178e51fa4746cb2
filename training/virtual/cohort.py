"""Cohorts of virtual patients, one file each, made on all cores and resumable.

`python -m training.virtual.cohort FOLDER COUNT SEED [--population ...]`

What a patient is decides `patient`; nothing here changes a byte of one.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from CTBMDLib.errors import CTBMDError

from ..console import bar
from ..processes import results
from .patient import make_patient, save_patient
from .revision import claim
from .traits import changed_priors


def patient_path(folder, seed: int, number: int) -> Path:
    """File of a patient of a cohort."""
    return Path(folder) / f"patient_{seed:03d}_{number:04d}.npz"


def _make_one(folder, seed, number, population, institution, changes=None):
    with changed_priors(changes):
        record = make_patient(seed, number, population, institution)
    save_patient(record, patient_path(folder, seed, number))
    return number


def make_cohort(
    folder,
    count: int,
    seed: int,
    *,
    population: str = "realistic",
    institution: str = "A",
    workers: int | None = None,
    progress=None,
    changes: dict | None = None,
) -> list[Path]:
    """Write `count` patients; those already there are kept.

    Parameters
    ----------
    folder : path-like
    count, seed : int
    population : {'realistic', 'wide'}
    institution : {'A', 'B', 'C', 'mixed'}
    workers : int or None
        Processes; None uses all cores.
    progress : callable or None
        progress(fraction, text).
    changes : dict or None
        Other priors by dotted name, see `traits.changed_priors`; such a cohort
        belongs in a folder of its own.

    Returns
    -------
    list of Path
        One npz a patient, in order.

    Raises
    ------
    CTBMDError
        Where the folder holds patients of another cohort or another revision of the
        simulator: they must not mix.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with changed_priors(changes):
        claim(folder, seed, population, institution)
    for partial in folder.glob(".patient_*.part"):
        if not _alive(partial):
            partial.unlink(missing_ok=True)
    paths = [patient_path(folder, seed, n) for n in range(count)]
    todo = [
        (folder, seed, n, population, institution, changes)
        for n in range(count)
        if not paths[n].exists()
    ]
    done = count - len(todo)

    def tell():
        if progress is not None:
            progress(done / max(count, 1), f"{done} of {count} virtual patients")

    tell()
    for _ in results(_make_one, todo, workers, ordered=False):
        done += 1
        tell()
    return paths


def _alive(partial: Path) -> bool:
    """Whether the process that is writing a file (`.NAME.PROCESS.part`) still runs."""
    try:
        os.kill(int(partial.name.split(".")[-2]), 0)
    except (ValueError, OSError):
        return False
    return True


def main(arguments=None) -> int:
    """The command line; 2 where the folder holds other patients."""
    parser = argparse.ArgumentParser(
        prog="python -m training.virtual.cohort", description="Write a cohort of virtual patients."
    )
    parser.add_argument("folder")
    parser.add_argument("count", type=int)
    parser.add_argument("seed", type=int)
    parser.add_argument("--population", default="realistic", choices=("realistic", "wide"))
    parser.add_argument("--institution", default="A", choices=("A", "B", "C", "mixed"))
    parser.add_argument("--workers", type=int)
    options = parser.parse_args(arguments)
    try:
        make_cohort(**vars(options), progress=bar)
    except CTBMDError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
