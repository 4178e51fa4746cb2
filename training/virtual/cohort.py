"""Cohorts of virtual patients: simulated CT slabs and simulated DXA, one file a patient.

A patient depends on nothing but the cohort's seed, its number, population and
institution: the same four give the same bytes, in any order and on any number
of processes.
"""

from __future__ import annotations

import io
import json
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from CTBMDLib.errors import CTBMDError
from CTBMDLib.levels import LevelSlice
from CTBMDLib.volume import Acquisition, CTVolume

FORMAT = 1
MEASURED = ("L1", "L2", "L3", "L4")
SLICE_OFFSETS = (-1 / 6, 0.0, 1 / 6)
"""Where a slab's slices lie, in body heights from the (jittered) middle."""

DENSER = 1.2
"""Factor on the mineral of a patient whose DXA shows no bone edge."""
METAL_LEVELS = ("L4",)
"""Of the measured levels those that bear metal where there is any: fusions reach down from L4."""


@dataclass
class PatientRecord:
    """A virtual patient as training reads it.

    Attributes
    ----------
    sex : {'F', 'M'}
    age_years, bmi : float
    institution : str
        'A', 'B' or 'mixed'.
    population : str
        'realistic' or 'wide'.
    seed : int
        The patient's own seed.
    anatomy_id : str
        Patients that share it are the same anatomy at different mineral contents.
    slabs : dict of str to CTVolume
        Per level without metal three simulated axial slices, the whole cross-section, HU.
    slices : dict of str to LevelSlice
        True centre, axis and height of the body.
    bmd : dict of str to float
        Simulated DXA with precision error, g/cm2.
    bmd_true : dict of str to float
        The same without that error.
    bmd_total, bmd_total_true : float
        L1-L4, or those of them without metal, g/cm2.
    protocol, facts : dict
        How it was scanned; what was drawn (traits, deformities, ...).
    """

    sex: str
    age_years: float
    bmi: float
    institution: str
    population: str
    seed: int
    anatomy_id: str
    slabs: dict
    slices: dict
    bmd: dict
    bmd_true: dict
    bmd_total: float
    bmd_total_true: float
    protocol: dict = field(default_factory=dict)
    facts: dict = field(default_factory=dict)


def draw_protocol(rng: np.random.Generator, institution: str):
    """Draw how a patient of an institution is scanned."""
    from .scanner import Protocol
    from .traits import priors

    if institution not in priors()["institution"]:
        raise ValueError(f"institution is 'A', 'B' or 'mixed', not {institution!r}")
    p = priors()["institution"][institution]
    mixed = institution == "mixed"
    filtration = (rng.uniform(0, p["al_mm"]), rng.uniform(0, p["cu_mm"])) if mixed else None
    low, high = p["noise_hu"]
    noise = low * (high / low) ** (rng.random() ** 1.5) if mixed else rng.uniform(low, high)
    return Protocol(
        kvp=float(rng.choice(p["kvp"])),
        al_mm=round(float(filtration[0] if mixed else p["al_mm"]), 2),
        cu_mm=round(float(filtration[1] if mixed else p["cu_mm"]), 3),
        kernel=str(rng.choice(p["kernel"])),
        thickness_mm=float(rng.choice(p["thickness_mm"])),
        noise_hu=float(noise),
        pixel_mm=round(float(rng.uniform(*p["pixel_mm"])), 3),
        scatter=float(rng.uniform(0, 0.03) if mixed else 0.01),
        bowtie=float(rng.uniform(0, 1) if mixed else 0.6),
    )


def make_patient(seed: int, number: int, population: str, institution: str) -> PatientRecord:
    """Make one patient of a cohort.

    In the wide population patients come in groups of one anatomy at several
    mineral contents (`mineral_steps` of the priors), each scanned anew. One with so
    little mineral that DXA sees no bone is given more, step by step.
    """
    from . import dxa
    from .anatomy import LEVELS, make_scene
    from .raster import slice_densities
    from .scanner import scan
    from .traits import draw_traits, priors, with_mineral

    steps = priors()["wide"]["mineral_steps"] if population == "wide" else [1.0]
    group, step = divmod(number, len(steps))
    rng = np.random.default_rng([seed, group, 1])
    anatomy_seed = int(rng.integers(1, 2**31))
    traits = draw_traits(rng, population)
    own = np.random.default_rng([seed, number, 2])
    if len(steps) > 1:
        traits = with_mineral(traits, float(steps[step] * own.uniform(0.85, 1.18)))
    while True:
        scene = make_scene(traits, anatomy_seed, population)
        try:
            measured = dxa.measure(scene)
            break
        except dxa.NoBoneEdge:
            # About 1 of 700 wide patients; nothing else that is drawn changes by this.
            traits = with_mineral(traits, DENSER * traits.mineral)
    # Nobody measures the areal BMD of a vertebra with screws in it.
    screwed = METAL_LEVELS if scene.facts.get("metal") else ()
    measured = measured.without(screwed)
    protocol = draw_protocol(own, institution)
    xs_fine = np.arange(scene.extent[0, 0], scene.extent[0, 1], 1.0)
    ys_fine = np.arange(scene.extent[1, 0], scene.extent[1, 1], 1.0)
    pixel = protocol.pixel_mm
    xs = np.arange(scene.extent[0, 0], scene.extent[0, 1], pixel)
    ys = np.arange(scene.extent[1, 0] + 15, scene.extent[1, 1], pixel)
    slabs, slices = {}, {}
    where = own.uniform(-30, 30, 3)
    acquisition = Acquisition(
        modality="CT",
        kvp=protocol.kvp,
        kernel=protocol.kernel,
        slice_thickness_mm=protocol.thickness_mm,
        sex=traits.sex,
        age_years=round(traits.age, 1),
    )
    for level in MEASURED:
        if level in screwed:
            continue
        n = LEVELS.index(level)
        height = scene.heights[n]
        jitter = own.uniform(-0.05, 0.05) * height
        zs = scene.centres[n, 2] + jitter + np.array(SLICE_OFFSETS) * height * scene.axes[n, 2]
        images = np.empty((len(zs), ys.size, xs.size), np.int16)
        for k, z in enumerate(zs):
            water, ha, _ = slice_densities(scene, xs_fine, ys_fine, z, protocol.thickness_mm)
            hu = scan(water, ha, 1.0, (xs_fine[0], ys_fine[0]), xs, ys, protocol, own)
            images[k] = np.clip(np.round(hu), -1024, 3071)
        # Stored as a scanner stores it: columns to the patient's left, rows to the back.
        matrix = np.eye(4)
        matrix[:3, 0], matrix[:3, 1] = (-pixel, 0, 0), (0, -pixel, 0)
        matrix[:3, 2] = (0, 0, zs[1] - zs[0])
        matrix[:3, 3] = np.array([xs[-1], ys[-1], zs[0]]) + where
        slabs[level] = CTVolume(
            np.ascontiguousarray(images[:, ::-1, ::-1]), matrix, acquisition, f"{level} slab"
        )
        slices[level] = LevelSlice(
            level,
            tuple(scene.centres[n] + where),
            axis=tuple(float(x) for x in scene.axes[n]),
            height_mm=float(height),
        )
    bmd, total = dxa.with_precision_error(measured, own)
    return PatientRecord(
        sex=traits.sex,
        age_years=float(traits.age),
        bmi=float(traits.bmi),
        institution=institution,
        population=population,
        seed=number,
        anatomy_id=f"{seed}-{population}-{group}",
        slabs=slabs,
        slices=slices,
        bmd={k: float(v) for k, v in bmd.items()},
        bmd_true={k: float(v) for k, v in measured.bmd.items()},
        bmd_total=float(total),
        bmd_total_true=float(measured.total),
        protocol=asdict(protocol),
        facts={
            "traits": {k: v if isinstance(v, str) else float(v) for k, v in asdict(traits).items()},
            **scene.facts,
        },
    )


def save_patient(record: PatientRecord, path) -> None:
    """Write a patient as npz, whole or not at all."""
    path = Path(path)
    plain = {k: v for k, v in vars(record).items() if k not in ("slabs", "slices")}
    plain["format"] = FORMAT
    first = next(iter(record.slabs.values()))
    plain["acquisition"] = asdict(first.acquisition)
    plain["slices"] = {
        k: {"ras": list(s.ras), "axis": list(s.axis), "height_mm": s.height_mm}
        for k, s in record.slices.items()
    }
    arrays = {"facts": np.frombuffer(json.dumps(plain, sort_keys=True).encode(), np.uint8)}
    for level, slab in record.slabs.items():
        arrays[f"{level}_hu"] = slab.hu
        arrays[f"{level}_ijk_to_ras"] = slab.ijk_to_ras
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(buffer.getvalue())
    os.replace(partial, path)


def load_patient(path) -> PatientRecord:
    """Read what `make_cohort` wrote.

    Raises
    ------
    ValueError
        Where the file is of another format.
    """
    with np.load(path) as data:
        plain = json.loads(bytes(data["facts"]))
        if plain.pop("format") != FORMAT:
            raise ValueError(f"{path} is of another cohort format; make the cohort again")
        acquisition = Acquisition(**plain.pop("acquisition"))
        slices = {
            k: LevelSlice(k, tuple(v["ras"]), axis=tuple(v["axis"]), height_mm=v["height_mm"])
            for k, v in plain.pop("slices").items()
        }
        slabs = {
            k: CTVolume(data[f"{k}_hu"], data[f"{k}_ijk_to_ras"], acquisition, Path(path).stem)
            for k in slices
        }
    return PatientRecord(slabs=slabs, slices=slices, **plain)


def patient_path(folder, seed: int, number: int) -> Path:
    """File of a patient of a cohort."""
    return Path(folder) / f"patient_{seed:03d}_{number:04d}.npz"


def _make_one(folder, seed, number, population, institution, changes=None):
    from .traits import changed_priors

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
    institution : {'A', 'B', 'mixed'}
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
    from .revision import claim
    from .traits import changed_priors

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with changed_priors(changes):
        claim(folder, seed, population, institution)
    for partial in folder.glob(".patient_*"):
        if not _alive(partial):
            partial.unlink(missing_ok=True)
    paths = [patient_path(folder, seed, n) for n in range(count)]
    todo = [n for n in range(count) if not paths[n].exists()]
    done = count - len(todo)

    def tell():
        if progress is not None:
            progress(done / max(count, 1), f"{done} of {count} virtual patients")

    tell()
    workers = workers or os.cpu_count() or 1
    if workers == 1 or len(todo) <= 1:
        for n in todo:
            _make_one(folder, seed, n, population, institution, changes)
            done += 1
            tell()
        return paths
    with ProcessPoolExecutor(min(workers, len(todo))) as pool:
        jobs = [
            pool.submit(_make_one, folder, seed, n, population, institution, changes) for n in todo
        ]
        for job in as_completed(jobs):
            job.result()
            done += 1
            tell()
    return paths


def _alive(partial: Path) -> bool:
    try:
        os.kill(int(partial.name.rsplit(".", 1)[-1]), 0)
    except (ValueError, OSError):
        return False
    return True


def main() -> None:
    """`python -m training.virtual.cohort FOLDER COUNT SEED [--population ...]`."""
    import argparse
    import sys

    parser = argparse.ArgumentParser(description="Write a cohort of virtual patients.")
    parser.add_argument("folder")
    parser.add_argument("count", type=int)
    parser.add_argument("seed", type=int)
    parser.add_argument("--population", default="realistic", choices=("realistic", "wide"))
    parser.add_argument("--institution", default="A", choices=("A", "B", "mixed"))
    parser.add_argument("--workers", type=int)
    a = parser.parse_args()

    def progress(fraction, text):
        bar = "#" * int(30 * fraction)
        print(f"\r[{bar:<30}] {text}", end="", file=sys.stderr, flush=True)

    try:
        make_cohort(
            a.folder,
            a.count,
            a.seed,
            population=a.population,
            institution=a.institution,
            workers=a.workers,
            progress=progress,
        )
    except CTBMDError as error:
        raise SystemExit(str(error)) from None
    print(file=sys.stderr)


if __name__ == "__main__":
    main()
