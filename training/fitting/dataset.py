"""Training images cut from patients' CT, kept on disk so that an epoch costs no resampling.

Images are cut by `CTBMDLib.model.images.cut_plane`, the code the panel uses, at random
small shifts, rotations, heights and magnifications of each plane. A magnification
by f leaves the HU as they are and makes mineral per projected area f times larger,
so its label is multiplied by f: exact geometry, and it keeps the network from
learning one size.
"""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from CTBMDLib.levels import MEASURED
from CTBMDLib.model.images import ImageStandard, body_centre, cut_images, cut_plane, plane_positions
from CTBMDLib.safefile import write_with
from CTBMDLib.volume import AIR_HU, CTVolume

from ..processes import cores


@dataclass(frozen=True)
class Variation:
    """How far random training images stray from the standard ones.

    Attributes
    ----------
    shift_mm, rotation_deg, zoom : float
        Standard deviations of the in-plane shift, the rotation and the
        logarithm of the magnification.
    s_mm : float
        Half range of the uniform shift along S.
    """

    shift_mm: float = 3.5
    rotation_deg: float = 6.0
    zoom: float = 0.12
    s_mm: float = 1.5


VARIATION = Variation()


@dataclass
class Images:
    """Images of many patients with what belongs to each, one entry an image.

    Attributes
    ----------
    hu : ndarray, shape (n, size, size), int16
    bmd : ndarray, shape (n,)
        Areal BMD of the image's vertebra, g/cm2 (DXA as measured).
    patient : ndarray of int, shape (n,)
        Index into `names`.
    level : ndarray of str, shape (n,)
    names : list of str
        Patients.
    kvp : ndarray, shape (n,)
        Tube voltage, NaN where unknown.
    """

    hu: np.ndarray
    bmd: np.ndarray
    patient: np.ndarray
    level: np.ndarray
    names: list[str]
    kvp: np.ndarray

    def __len__(self):
        return len(self.hu)

    def of(self, wanted) -> Images:
        """The images of some patients, by name."""
        wanted = set(wanted)
        keep = np.isin(self.patient, [i for i, name in enumerate(self.names) if name in wanted])
        return Images(
            self.hu[keep],
            self.bmd[keep],
            self.patient[keep],
            self.level[keep],
            self.names,
            self.kvp[keep],
        )


def together(parts) -> Images:
    """The images of several sets as one; a name may stand in it twice, for two patients."""
    parts = list(parts)
    before = np.cumsum([0, *(len(part.names) for part in parts[:-1])])
    return Images(
        np.concatenate([part.hu for part in parts]),
        np.concatenate([part.bmd for part in parts]),
        np.concatenate([part.patient + n for part, n in zip(parts, before, strict=True)]),
        np.concatenate([part.level for part in parts]),
        [name for part in parts for name in part.names],
        np.concatenate([part.kvp for part in parts]),
    )


def slab_planes(volume: CTVolume) -> np.ndarray:
    """S coordinates of the slices of an axially stored volume, mm."""
    k = np.arange(volume.hu.shape[0])
    return volume.ijk_to_ras[2, 2] * k + volume.ijk_to_ras[2, 3]


def random_images(volume, level_slice, planes, standard, variation, count, rng):
    """`count` randomly placed images of every plane.

    Returns
    -------
    (hu, zoom)
        hu, shape (planes x count, size, size), int16; zoom, shape (planes x count,).
    """
    hu, zooms = [], []
    low, high = volume.ras_bounds[2]
    for s in planes:
        for _ in range(count):
            limit = 3 * variation.zoom
            zoom = float(np.exp(np.clip(rng.normal(0, variation.zoom), -limit, limit)))
            scaled = replace(
                standard,
                spacing_mm=standard.spacing_mm / zoom,
                anterior_mm=standard.anterior_mm / zoom,
            )
            at = float(np.clip(s + rng.uniform(-1, 1) * variation.s_mm, low, high))
            shift = np.clip(rng.normal(0, variation.shift_mm, 2), -9, 9)
            angle = np.clip(rng.normal(0, variation.rotation_deg), -18, 18)
            image = cut_plane(
                volume, body_centre(level_slice, at)[0], at, scaled, float(angle), tuple(shift)
            )
            hu.append(_to_int16(image))
            zooms.append(zoom)
    return np.stack(hu), np.array(zooms)


def _to_int16(image):
    image = np.where(np.isfinite(image), image, AIR_HU)
    return np.clip(np.rint(image), -1024, 3071).astype(np.int16)


def cache_key(standard: ImageStandard, variation: Variation, count: int) -> str:
    """Short fingerprint of everything the cached images depend on."""
    content = json.dumps([standard.to_dict(), variation.__dict__, count], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:10]


def cached_images(
    paths,
    load,
    cache,
    standard: ImageStandard,
    *,
    variation: Variation | None = VARIATION,
    count: int = 4,
    progress=None,
) -> Images:
    """Images of patients, from the cache where they are there.

    Parameters
    ----------
    paths : sequence of Path
        One file (or case) a patient.
    load : callable(path) -> record
        Gives an object with `slabs`, `slices` and `bmd`, each a dict by level.
    cache : Path
        Folder for the images; resumable after a kill.
    variation : Variation or None
        None cuts the standard images, as `ctbmd estimate` does.
    count : int
        Random images a plane.

    Returns
    -------
    Images
    """
    folder = Path(cache) / cache_key(standard, variation or Variation(0, 0, 0, 0), count)
    folder.mkdir(parents=True, exist_ok=True)
    names = [Path(path).stem for path in paths]

    def images_of(path):
        file = folder / f"{Path(path).stem}.npz"
        if not file.is_file():
            arrays = _cut(load(path), standard, variation, count, file.stem)
            write_with(file, lambda stream: np.savez(stream, **arrays), overwrite=True)
        with np.load(file, allow_pickle=False) as data:
            return {key: data[key] for key in data.files}

    parts = []
    # Unpacking and resampling run outside Python's lock, so that threads share the cores.
    with ThreadPoolExecutor(cores()) as pool:
        for part in pool.map(images_of, paths):
            parts.append(part)
            if progress:
                progress(len(parts) / len(paths), f"Cutting images {len(parts)}/{len(paths)}")
    sizes = [len(part["bmd"]) for part in parts]
    return Images(
        np.concatenate([part["hu"] for part in parts]),
        np.concatenate([part["bmd"] for part in parts]),
        np.repeat(np.arange(len(parts)), sizes),
        np.concatenate([part["level"] for part in parts]),
        names,
        np.concatenate([part["kvp"] for part in parts]),
    )


def _cut(record, standard, variation, count, name):
    seed = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)
    rng = np.random.default_rng(seed)
    hu, bmd, levels, kvp = [], [], [], []
    for level in MEASURED:
        if level not in record.slabs or level not in record.bmd:
            continue
        volume, where = record.slabs[level], record.slices[level]
        if variation is None:
            images = _to_int16(cut_images(volume, where, standard).hu)
            zoom = np.ones(len(images))
        else:
            planes = slab_planes(volume)
            if len(planes) > 6:  # a whole CT: planes of the standard
                planes = plane_positions(where, standard)
            images, zoom = random_images(volume, where, planes, standard, variation, count, rng)
        hu.append(images)
        bmd.append(record.bmd[level] * zoom)
        levels += [level] * len(images)
        kvp += [np.nan if volume.acquisition.kvp is None else volume.acquisition.kvp] * len(images)
    return {
        "hu": np.concatenate(hu),
        "bmd": np.concatenate(bmd).astype(np.float32),
        "level": np.array(levels),
        "kvp": np.array(kvp, np.float32),
    }
