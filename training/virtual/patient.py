"""One virtual patient: how a person is drawn, scanned and measured, and the file that keeps it.

A patient depends on nothing but the cohort's seed, its number, population and
institution: the same four give the same bytes. All that decides them is told by
`revision`.
"""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from CTBMDLib.errors import CTBMDError
from CTBMDLib.levels import LevelSlice
from CTBMDLib.safefile import write_bytes
from CTBMDLib.volume import Acquisition, CTVolume

from . import dxa
from .anatomy import LEVELS, Scene, make_scene
from .bright import with_bright_things
from .raster import slice_densities
from .scanner import Protocol, scan
from .traits import Traits, draw_traits, priors, with_mineral, with_mineral_and_marrow

FORMAT = 2
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
        'A', 'B', 'C' or 'mixed'.
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
    device : str
        DXA device in whose g/cm2 the four are.
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
    device: str = "hologic"
    protocol: dict = field(default_factory=dict)
    facts: dict = field(default_factory=dict)


def _site(institution: str) -> dict:
    """Priors of an institution."""
    sites = priors()["institution"]
    if institution not in sites:
        raise ValueError(f"institution is one of {', '.join(sites)}, not {institution!r}")
    return sites[institution]


def draw_protocol(rng: np.random.Generator, institution: str):
    """Draw how a patient of an institution is scanned."""
    p = _site(institution)
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
    steps = priors()["wide"]["mineral_steps"] if population == "wide" else [1.0]
    group, step = divmod(number, len(steps))
    rng = np.random.default_rng([seed, group, 1])
    anatomy_seed = int(rng.integers(1, 2**31))
    site = _site(institution)
    traits = draw_traits(rng, population, site["descent"])
    own = np.random.default_rng([seed, number, 2])
    if len(steps) > 1:
        traits = with_mineral_and_marrow(traits, float(steps[step] * own.uniform(0.85, 1.18)))
    traits, scene, measured = seen_by_dxa(traits, anatomy_seed, population, site["device"])
    # Nobody measures the areal BMD of a vertebra with screws in it.
    screwed = METAL_LEVELS if scene.facts.get("metal") else ()
    measured = measured.without(screwed)
    protocol = draw_protocol(own, institution)
    where = own.uniform(-30, 30, 3)
    scene = with_bright_things(scene, priors()[population], own)
    slabs, slices = {}, {}
    for level in MEASURED:
        if level not in screwed:
            off = priors()[population]["off_middle"]
            slabs[level], slices[level] = scan_level(scene, level, protocol, where, own, off)
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
        device=site["device"],
        protocol=asdict(protocol),
        facts={
            "traits": {k: v if isinstance(v, str) else float(v) for k, v in asdict(traits).items()},
            **scene.facts,
        },
    )


def seen_by_dxa(traits: Traits, anatomy_seed: int, population: str, device: str = "hologic"):
    """The scene of a person and its DXA, with as much mineral as it takes for one.

    Returns
    -------
    (Traits, Scene, dxa.DXA)
        The traits with the mineral that was given.
    """
    while True:
        scene = make_scene(traits, anatomy_seed, population)
        try:
            return traits, scene, dxa.measure(scene, device=device)
        except dxa.NoBoneEdge:
            # About 1 of 700 wide patients; nothing else that is drawn changes by this.
            traits = with_mineral(traits, DENSER * traits.mineral)


def scan_level(scene: Scene, level: str, protocol: Protocol, where, rng, off_middle: float):
    """The axial slices of one level as its scanner stores them, and where the body is in them.

    Parameters
    ----------
    scene : Scene
    level : str
    protocol : Protocol
    where : ndarray, shape (3,)
        RAS mm by which the patient is moved.
    rng : numpy.random.Generator
        Draws how far the slices lie off the middle, and the noise.
    off_middle : float
        How far off at most, in body heights.

    Returns
    -------
    (CTVolume, LevelSlice)
    """
    xs_fine = np.arange(scene.extent[0, 0], scene.extent[0, 1], 1.0)
    ys_fine = np.arange(scene.extent[1, 0], scene.extent[1, 1], 1.0)
    pixel = protocol.pixel_mm
    xs = np.arange(scene.extent[0, 0], scene.extent[0, 1], pixel)
    ys = np.arange(scene.extent[1, 0] + 15, scene.extent[1, 1], pixel)
    n = LEVELS.index(level)
    height = scene.heights[n]
    jitter = rng.uniform(-off_middle, off_middle) * height
    zs = scene.centres[n, 2] + jitter + np.array(SLICE_OFFSETS) * height * scene.axes[n, 2]
    images = np.empty((len(zs), ys.size, xs.size), np.int16)
    for k, z in enumerate(zs):
        water, ha, _ = slice_densities(scene, xs_fine, ys_fine, z, protocol.thickness_mm)
        hu = scan(water, ha, 1.0, (xs_fine[0], ys_fine[0]), xs, ys, protocol, rng)
        images[k] = np.clip(np.round(hu), -1024, 3071)
    # Stored as a scanner stores it: columns to the patient's left, rows to the back.
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1] = (-pixel, 0, 0), (0, -pixel, 0)
    matrix[:3, 2] = (0, 0, zs[1] - zs[0])
    matrix[:3, 3] = np.array([xs[-1], ys[-1], zs[0]]) + where
    acquisition = Acquisition(
        modality="CT",
        kvp=protocol.kvp,
        kernel=protocol.kernel,
        slice_thickness_mm=protocol.thickness_mm,
        sex=scene.traits.sex,
        age_years=round(scene.traits.age, 1),
    )
    slab = CTVolume(
        np.ascontiguousarray(images[:, ::-1, ::-1]), matrix, acquisition, f"{level} slab"
    )
    place = LevelSlice(
        level,
        tuple(scene.centres[n] + where),
        axis=tuple(float(x) for x in scene.axes[n]),
        height_mm=float(height),
    )
    return slab, place


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
    write_bytes(path, buffer.getvalue(), overwrite=True)


def load_patient(path) -> PatientRecord:
    """Read what `save_patient` wrote.

    Raises
    ------
    CTBMDError
        Where the file is of another format.
    """
    with np.load(path) as data:
        plain = json.loads(bytes(data["facts"]))
        if plain.pop("format") != FORMAT:
            raise CTBMDError(
                f"{path} is of another cohort format; make the cohort again", "other-cohort-format"
            )
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
