"""Whole virtual CT volumes in seconds: tissue, blur and noise, without a projection.

For finding vertebrae, where the shape of a volume matters more than its
physics. HU are those of the beam's mean energy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from CTBMDLib.volume import Acquisition, CTVolume

from .anatomy import LEVELS, Scene, make_scene
from .primitives import BLOOD, KIDNEY, ORGAN_LIVER
from .raster import bone_raster, soft_raster
from .soft import ARM_BONE, ARM_R, ARM_X, ARM_Y, ARMS_ON, TABLE_ON
from .traits import draw_traits, with_mineral
from .variants import Variant, beside, from_sacrum, make_variant

STORAGE = ("axial", "sagittal", "coronal")
CONTRAST = {None: (0, 0, 0), "arterial": (250, 140, 15), "portal": (110, 150, 55)}
"""HU added to blood, kidneys and liver."""

HA_PER_WATER = {80: 2.05, 100: 1.77, 120: 1.61, 140: 1.51}
"""HU of 1 mg/cm3 of hydroxyapatite on top of the water basis, as `scanner.scan` gives it in
28 cm of water (0.32 less where it displaces the water)."""


def random_options(seed: int) -> dict:
    """Options for `make_volume` spread as scans in an archive are."""
    rng = np.random.default_rng([seed, 77])
    storage = str(rng.choice(STORAGE, p=[0.7, 0.2, 0.1]))
    between = float(rng.choice([1.0, 1.5, 2.0, 3.0, 4.0, 5.0]))
    top, bottom = 0.0, 9.0
    kind = rng.random()
    if kind < 0.25:  # upper part only
        bottom = rng.uniform(4.5, 7.5)
    elif kind < 0.45:  # lower part only
        top = rng.uniform(2.5, 5.0)
    elif kind < 0.55:  # a short slab
        top = rng.uniform(1.0, 4.0)
        bottom = top + rng.uniform(2.5, 4.0)
    return {
        "population": "wide" if rng.random() < 0.5 else "realistic",
        "top": float(top + rng.uniform(-0.3, 0.3)),
        "bottom": float(bottom + rng.uniform(-0.3, 0.3)),
        "width_mm": float(rng.choice([0.0, rng.uniform(150, 260)], p=[0.7, 0.3])),
        "spacing_mm": float(rng.uniform(0.7, 2.0)),
        "between_mm": between,
        "storage": storage,
        "flip": tuple(bool(x) for x in rng.random(3) < 0.3),
        "oblique_deg": tuple(
            float(x) for x in rng.normal(0, 5 if rng.random() < 0.7 else 10, 3).clip(-20, 20)
        ),
        "noise_hu": float(np.exp(rng.uniform(np.log(5), np.log(70)))),
        "blur_mm": float(rng.uniform(0.6, 2.0)),
        "kvp": int(rng.choice([80, 100, 120, 140], p=[0.1, 0.2, 0.6, 0.1])),
        "contrast": [None, "arterial", "portal"][int(rng.choice(3, p=[0.6, 0.15, 0.25]))],
        "arms": str(rng.choice(["up", "down"], p=[0.8, 0.2])),
        "table": bool(rng.random() < 0.85),
        "outside_hu": [None, -1024, -2000, 0][int(rng.choice(4, p=[0.55, 0.2, 0.15, 0.1]))],
    }


@dataclass(frozen=True, kw_only=True)
class Options:
    """What decides a virtual volume beside its seed.

    Attributes
    ----------
    population : {'realistic', 'wide'}
    mineral : float
        Factor on the person's bone mineral, see `traits.with_mineral`.
    top, bottom : float
        Field of view along the body in vertebra numbers: 0 is the middle of
        T10, 3 of L1, 7 of L5, 9 of S2. A few mm beyond both ends are in view.
    width_mm : float
        Side of a square field of view about the spine; 0 shows the whole body.
    spacing_mm, between_mm : float
        Pixel width in the stored planes and distance between them.
    storage : {'axial', 'sagittal', 'coronal'}
        Which plane is stored slice by slice (array axis k).
    flip : tuple of 3 bool
        Which of i, j, k run the other way.
    oblique_deg : tuple of 3 float
        Rotation of the volume's axes about R, A and S.
    noise_hu, blur_mm : float
        SD of the noise before blurring is undone, and sigma of the blur.
    kvp : {80, 100, 120, 140}
    contrast : {None, 'arterial', 'portal'}
    arms : {'up', 'down'}
        'down' puts the arms beside the body.
    table : bool
    outside_hu : int or None
        Value outside the reconstruction circle, None for none.
    metal : bool or None
        None leaves it to the population's share.
    lumbar_count, rib_at_l1, sacralised_l5, rib12_mm, rib_fall
        A transitional spine, or steeper ribs, see `variants.make_variant`. With other than five
        lumbar vertebrae place 0 of `top` is T11 (six) or T9 (four).
    variant : variants.Variant or None
        Any other spine, instead of these.
    repaint : callable (hu, xs, ys, zs, scene) or None
        May change the HU, shape (Z, Y, X) at RAS mm `xs`, `ys`, `zs`, before blur and noise.
    """

    population: str = "realistic"
    mineral: float = 1.0
    top: float = 0.0
    bottom: float = 9.0
    width_mm: float = 0.0
    spacing_mm: float = 1.5
    between_mm: float = 3.0
    storage: str = "axial"
    flip: tuple = (False, False, False)
    oblique_deg: tuple = (0.0, 0.0, 0.0)
    noise_hu: float = 12.0
    blur_mm: float = 1.0
    kvp: int = 120
    contrast: str | None = None
    arms: str = "up"
    table: bool = True
    outside_hu: int | None = None
    metal: bool | None = None
    lumbar_count: int = 5
    rib_at_l1: str | None = None
    sacralised_l5: str | None = None
    rib12_mm: tuple | None = None
    rib_fall: float = 1.0
    variant: Variant | None = None
    repaint: Callable | None = None

    def spine(self) -> Variant | None:
        """The variant of the spine; None is the textbook's."""
        unusual = {
            "rib_at_l1": self.rib_at_l1,
            "sacralised_l5": self.sacralised_l5,
            "rib12_mm": self.rib12_mm,
        }
        strange = (
            self.lumbar_count != 5
            or self.rib_fall != 1.0
            or any(x is not None for x in unusual.values())
        )
        if self.variant is None and strange:
            return make_variant(self.lumbar_count, rib_fall=self.rib_fall, **unusual)
        return self.variant


def make_volume(seed: int, **options):
    """Make a virtual CT volume of the lower trunk.

    Parameters
    ----------
    seed : int
        The person; the same seed and options give the same volume.
    **options
        See `Options`.

    Returns
    -------
    volume : CTVolume
        int16 HU.
    truth : dict
        'levels': name to {'ras', 'axis', 'height_mm', 'in_view', 'rib_mm', 'joined'}, the
        last two as `variants.beside` gives them; 'sacrum_in_view',
        'rib_in_view' (of T12), 'facts', 'scene' (the Scene, for a DXA of the same
        person); for a transitional spine also 'from_sacrum', own name to the name
        counted up from the sacrum.
    """
    o = Options(**options)
    rng = np.random.default_rng([seed, 5])
    traits = with_mineral(draw_traits(rng, o.population), o.mineral)
    variant = o.spine()
    scene = make_scene(traits, seed, o.population, variant)
    _prepare(scene, o)
    low, high = _field_of_view(scene, o, rng)
    centre, size, rotation = 0.5 * (low + high), high - low, _rotation(o.oblique_deg)
    # The canonical grid covers the box's corners whichever way it is turned.
    margin = np.abs(rotation) @ (size / 2) + 4
    fine = float(np.clip(1.2 * min(o.spacing_mm, o.between_mm), 1.5, 2.2))
    hu = _canonical(scene, centre - margin, centre + margin, fine, o, rng)
    matrix, counts = _stored_grid(centre, size, rotation, o)
    stored = _resample(hu, centre - margin, fine, matrix, counts)
    if o.outside_hu is not None:
        stored = _circle(stored, o.outside_hu, o.storage)
    shift = rng.uniform(-200, 200, 3)
    matrix[:3, 3] += shift
    sex, age = traits.sex, round(traits.age, 1)
    volume = CTVolume(
        np.clip(np.round(stored), -2048, 3071).astype(np.int16),
        matrix,
        Acquisition(modality="CT", kvp=float(o.kvp), sex=sex, age_years=age),
        f"virtual volume {seed}",
    )
    return volume, _truth(scene, volume, shift, variant)


def _prepare(scene: Scene, o: Options) -> None:
    """Contrast agent, couch and metal as the options want them, in place."""
    tissue = scene.soft[8]
    for row, rise in zip((BLOOD, KIDNEY, ORGAN_LIVER), CONTRAST[o.contrast], strict=True):
        tissue[row, 0] += rise / 1000.0
    scene.soft[0][TABLE_ON] = float(o.table)
    if o.metal is False:
        scene.soft[7][scene.soft[7][:, 14] > 0.5, 6] = 0.0


def _field_of_view(scene: Scene, o: Options, rng) -> tuple[np.ndarray, np.ndarray]:
    """Low and high corner of what is in view, RAS mm; arms are put down on the way."""
    low, high = scene.extent[:, 0].copy(), scene.extent[:, 1].copy()
    if o.arms == "down":
        body = scene.soft[0]
        body[ARMS_ON], body[ARM_BONE] = 1.0, float(rng.random() < 0.5)
        body[ARM_R] = rng.uniform(38, 52)
        body[ARM_X] = 0.5 * (high[0] - low[0]) - 6 + body[ARM_R] * 0.7
        body[ARM_Y] = low[1] + 0.45 * (high[1] - low[1])
        low[0] -= 1.7 * body[ARM_R]
        high[0] += 1.7 * body[ARM_R]
    place = np.arange(len(LEVELS))
    z_top = np.interp(o.top, place, scene.centres[:, 2]) + 14
    z_bottom = np.interp(o.bottom, place, scene.centres[:, 2]) - 14
    if o.width_mm:
        span = scene.centres[int(max(o.top, 0)) : int(o.bottom) + 1]
        middle = span[:, :2].mean(axis=0) + [rng.uniform(-12, 12), rng.uniform(-15, 20)]
        low, high = middle - o.width_mm / 2, middle + o.width_mm / 2
    return np.array([*low, z_bottom]), np.array([*high, z_top])


def _canonical(scene: Scene, low, high, fine, o: Options, rng) -> np.ndarray:
    """Blurred and noisy HU on a regular grid [z, y, x] of `fine` mm between two corners."""
    hu = _tissue_hu(scene, low, high, fine, HA_PER_WATER[o.kvp])
    if o.repaint is not None:
        grid = (np.arange(n) * fine + a for n, a in zip(hu.shape[::-1], low, strict=True))
        o.repaint(hu, *grid, scene)
    blur = np.full(3, o.blur_mm, float)
    # A slice is as thick as it is far from the next.
    across = {"axial": 0, "coronal": 1, "sagittal": 2}[o.storage]
    blur[across] = max(o.blur_mm, 0.35 * o.between_mm)
    hu = ndimage.gaussian_filter(hu, blur / fine, mode="nearest")
    # Noise is laid on the canonical grid, as the scanner made the axial images.
    if o.noise_hu > 0:
        grain = rng.standard_normal(hu.shape, dtype=np.float32)
        grain = ndimage.gaussian_filter(grain, (0.2, 0.55, 0.55))
        hu += grain * np.float32(o.noise_hu / grain.std())
    return hu


def _stored_grid(centre, size, rotation, o: Options) -> tuple[np.ndarray, list]:
    """IJK-to-RAS of the stored voxels, shape (4, 4), and how many lie along i, j, k."""
    order = {"axial": (0, 1, 2), "sagittal": (1, 2, 0), "coronal": (0, 2, 1)}[o.storage]
    step = np.full(3, o.spacing_mm)
    step[order[2]] = o.between_mm
    # Columns run to the left and rows to the back, as in DICOM; sagittal and coronal
    # images have the head at the top.
    sign = {"axial": (-1, -1, 1), "sagittal": (-1, -1, -1), "coronal": (-1, -1, -1)}[o.storage]
    matrix = np.eye(4)
    counts = []
    for column in range(3):
        axis = order[column]
        direction = rotation[:, axis] * sign[column] * (-1 if o.flip[column] else 1)
        matrix[:3, column] = direction * step[axis]
        counts.append(max(int(size[axis] / step[axis]), 4))
    matrix[:3, 3] = centre - matrix[:3, :3] @ ((np.array(counts) - 1) / 2)
    return matrix, counts


def _truth(scene: Scene, volume: CTVolume, shift, variant) -> dict:
    """Where everything lies in a volume moved by `shift` (RAS mm), see `make_volume`."""
    levels = {}
    sides = beside(scene.names, variant)
    for n, name in enumerate(scene.names):
        ras = scene.centres[n] + shift
        levels[name] = {
            "ras": tuple(float(x) for x in ras),
            "axis": tuple(float(x) for x in scene.axes[n]),
            "height_mm": float(scene.heights[n]),
            "in_view": volume.contains(ras),
            **sides[name],
        }
    truth = {
        "levels": levels,
        "sacrum_in_view": "S1" in levels and levels["S1"]["in_view"],
        "rib_in_view": "T12" in levels and levels["T12"]["in_view"],
        "facts": scene.facts,
        "scene": scene,
    }
    if variant is not None and "S1" in levels:
        truth["from_sacrum"] = from_sacrum(scene.names)
    return truth


def _rotation(degrees) -> np.ndarray:
    x, y, z = np.radians(degrees)
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def _tissue_hu(scene, low, high, fine, ha_hu) -> np.ndarray:
    """HU on a regular grid [z, y, x]: bone at `fine`, soft tissue twice as coarse."""
    axes = [np.arange(a, b + fine, fine) for a, b in zip(low, high, strict=True)]
    xs, ys, zs = axes
    step = 2 * fine
    coarse = [np.arange(a, b + 2 * step, step) for a, b in zip(low, high, strict=True)]
    water, ha = soft_raster(*coarse, step, scene.spine, scene.soft)
    soft = 1000 * (water + ha_hu * ha - 1)
    for axis, count in enumerate((zs.size, ys.size, xs.size)):
        # Linear interpolation from every second plane.
        index = np.arange(count)
        soft = 0.5 * (soft.take(index // 2, axis) + soft.take((index + 1) // 2, axis))
    near = np.abs(xs - scene.centres[:, 0].mean()) < 110
    i0, i1 = np.flatnonzero(near)[[0, -1]] if near.any() else (0, -1)
    cover, water, ha, _, _ = bone_raster(xs[i0 : i1 + 1], ys, zs, fine, scene.spine)
    part = soft[:, :, i0 : i1 + 1]
    part += 1000 * (water + ha_hu * ha) - cover * (part + 1000)
    return soft.astype(np.float32)


def _resample(hu, low, fine, matrix, counts) -> np.ndarray:
    """The stored grid [k, j, i] out of the canonical one, by linear interpolation."""
    columns = [matrix[:3, c] for c in range(3)]
    to_grid = np.stack([c[::-1] for c in columns[::-1]], axis=1) / fine
    offset = ((matrix[:3, 3] - low) / fine)[::-1]
    return ndimage.affine_transform(
        hu, to_grid, offset, output_shape=tuple(counts[::-1]), order=1, mode="nearest"
    )


def _circle(stored, value, storage) -> np.ndarray:
    """The scanner's reconstruction circle, in the plane it was made in."""
    k, j, i = stored.shape
    if storage == "axial":
        y, x = (np.arange(n) / (n - 1) * 2 - 1 for n in (j, i))
        outside = (x[None] ** 2 + y[:, None] ** 2 > 1.0)[None]
    else:
        y, x = (np.arange(n) / (n - 1) * 2 - 1 for n in (k, i))
        outside = (y[:, None] ** 2 + x[None] ** 2 > 1.0)[:, None, :]
    return np.where(outside, np.float32(value), stored)
