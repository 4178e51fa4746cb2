"""The standard axial images the network reads, cut from any CT volume.

vtkImageReslice could cut the planes, but its interpolation rounds otherwise, so the
images, and with them the values a model was validated with, would not be the same
to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from ..errors import CTBMDError
from ..levels import LevelSlice
from ..volume import AIR_HU, CTVolume

_POSSIBLE = {
    "spacing_mm": (0.2, 10.0),
    "size_px": (16, 512),
    "anterior_mm": (1.0, 500.0),
    "slab_mm": (0.1, 50.0),
    "images_per_level": (1, 50),
    "nominal_height_mm": (5.0, 60.0),
    "hu_low": (-2000.0, 1000.0),
    "hu_high": (0.0, 30000.0),
}
"""What each entry of a card may be, before anything is allocated by it."""


@dataclass(frozen=True)
class ImageStandard:
    """Geometry of one network image; part of every model card.

    The physical size is fixed, so that the network sees how large a vertebra
    is, and wide enough to hold the psoas and erector muscles and some fat, by
    which it calibrates itself.

    Attributes
    ----------
    spacing_mm : float
        Pixel size in mm, both directions.
    size_px : int
        Rows and columns.
    anterior_mm : float
        Distance from the upper image edge to the body's centre; the rest
        lies behind it, where the posterior elements are.
    slab_mm : float
        Thickness each image is averaged over, so that thin and thick slices
        look alike.
    images_per_level : int
        Planes a vertebra, spread over the middle half of the body.
    nominal_height_mm : float
        Body height assumed for spreading the planes where the selection
        does not know it (mean anterior height of L1-L4, about 27 mm).
    hu_low, hu_high : float
        HU window the network clips to.
    """

    spacing_mm: float = 2.0
    size_px: int = 64
    anterior_mm: float = 44.0
    slab_mm: float = 5.0
    images_per_level: int = 3
    nominal_height_mm: float = 27.0
    hu_low: float = -200.0
    hu_high: float = 1500.0

    def to_dict(self) -> dict[str, float]:
        """The fields as a model card holds them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any) -> ImageStandard:
        """Read what `to_dict` wrote.

        Raises
        ------
        CTBMDError
            Where a value is missing, unknown or no positive number.
        """
        names = {item.name for item in fields(cls)}
        if not isinstance(data, dict) or set(data) != names:
            raise CTBMDError(
                "The model card does not state the image geometry this CTBMD expects.",
                "card-image",
            )
        values: dict[str, Any] = {}
        for name in names:
            value = data[name]
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise CTBMDError(
                    f"The model card's image geometry has no number for '{name}'.", "card-image"
                )
            low, high = _POSSIBLE[name]
            whole = name in ("size_px", "images_per_level")
            if not low <= value <= high or (whole and value != int(value)):
                raise CTBMDError(
                    f"The model card's image geometry has an impossible '{name}'.", "card-image"
                )
            values[name] = int(value) if whole else float(value)
        if not (
            values["hu_low"] < values["hu_high"]
            and values["anterior_mm"] < values["size_px"] * values["spacing_mm"]
        ):
            raise CTBMDError(
                "The model card's image geometry contradicts itself (HU window or anterior edge).",
                "card-image",
            )
        return cls(**values)


@dataclass(frozen=True)
class LevelImages:
    """The images of one vertebra.

    Attributes
    ----------
    level : str
    hu : ndarray, shape (n, size, size), float32
        HU; row 0 is anterior, column 0 the patient's right.
    s_mm : ndarray, shape (n,)
        S coordinate of each plane in mm.
    inside : float
        Fraction of the images that the volume covers; the rest is air.
    centre_ra_mm : ndarray, shape (n, 2)
        R and A of the body's centre in each plane.
    """

    level: str
    hu: np.ndarray
    s_mm: np.ndarray
    inside: float
    centre_ra_mm: np.ndarray

    @property
    def middle_ras(self) -> tuple[float, float, float]:
        """The place that the images lie about, RAS mm."""
        r, a = self.centre_ra_mm.mean(axis=0)
        return float(r), float(a), float(self.s_mm.mean())


def plane_positions(level_slice: LevelSlice, standard: ImageStandard) -> np.ndarray:
    """S coordinates of a level's image planes, inside the middle half of its body.

    Returns
    -------
    ndarray, shape (images_per_level,)
        Descending S in mm, symmetric about the chosen point.
    """
    height = level_slice.height_mm or standard.nominal_height_mm
    upright = abs(level_slice.axis[2]) if level_slice.axis is not None else 1.0
    # A strongly tilted body is crossed by fewer parallel planes.
    half = 0.25 * height * max(upright, 0.5)
    n = standard.images_per_level
    # Bin centres rather than edges: each plane stands for a part of the
    # middle half, and its slab stays clear of the endplates.
    offsets = half * (1 - (2 * np.arange(n) + 1) / n)
    return level_slice.ras[2] + offsets


def body_centre(level_slice: LevelSlice, s_mm: Any) -> np.ndarray:
    """R and A of the body's axis at planes S = `s_mm`; shape (n, 2), mm."""
    r, a, s = level_slice.ras
    step = np.atleast_1d(np.asarray(s_mm, dtype=float)) - s
    centre = np.empty((step.size, 2))
    centre[:] = r, a
    axis = level_slice.axis
    if axis is not None and abs(axis[2]) > 0.5:
        centre += step[:, None] * np.array(axis[:2]) / axis[2]
    return centre


def cut_plane(
    volume: CTVolume,
    centre: Sequence[float] | np.ndarray,
    s_mm: float,
    standard: ImageStandard,
    rotation_deg: float = 0.0,
    shift_mm: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """One image of a plane of constant S, averaged over the slab; NaN outside the volume.

    Parameters
    ----------
    volume : CTVolume
    centre : (float, float)
        R and A of the body's centre, mm.
    s_mm : float
    standard : ImageStandard
    rotation_deg : float
        Turns the image about the body's centre; used by training and checks.
    shift_mm : (float, float)
        Moves the image to the patient's right and to the front; used likewise.

    Returns
    -------
    ndarray, shape (size, size), float32
    """
    size, spacing = standard.size_px, standard.spacing_mm
    steps = volume.spacing_mm[[2 - axis for axis in volume.axis_kji_of_ras]]
    # Averaging sub-samples is the anti-aliasing for volumes finer than the image.
    sub = int(np.clip(round(spacing / min(steps[0], steps[1])), 1, 3))
    layers = int(np.clip(round(standard.slab_mm / steps[2]), 2, 5))

    fine = (np.arange(size * sub) + 0.5) * spacing / sub
    right = size * spacing / 2 - fine
    front = standard.anterior_mm - fine
    angle = np.deg2rad(rotation_deg)
    rr, aa = right[None, :], front[:, None]
    r_mm = centre[0] + shift_mm[0] + np.cos(angle) * rr - np.sin(angle) * aa
    a_mm = centre[1] + shift_mm[1] + np.sin(angle) * rr + np.cos(angle) * aa
    s_layers = s_mm + ((np.arange(layers) + 0.5) / layers - 0.5) * standard.slab_mm
    # Array indices of one layer, moved along S for the others: a third of the
    # time that every point's RAS takes.
    matrix, offset = volume.kji_of_ras
    layer = matrix[:, 0, None, None] * r_mm + matrix[:, 1, None, None] * a_mm
    layer += offset[:, None, None]
    step = matrix[:, 2, None] * s_layers
    points = layer.astype(np.float32)[:, None] + step.astype(np.float32)[:, :, None, None]

    values = volume.sample_kji(points.reshape(3, -1)).reshape(points.shape[1:])
    known = np.isfinite(values)
    count = known.sum(axis=0, dtype=np.float32)
    plane = np.where(known, values, 0).sum(axis=0) / np.maximum(count, 1)
    plane[count == 0] = np.nan
    blocks = plane.reshape(size, sub, size, sub).mean(axis=(1, 3))
    return np.asarray(blocks, np.float32)


def cut_images(volume: CTVolume, level_slice: LevelSlice, standard: ImageStandard) -> LevelImages:
    """Cut the images of one level.

    Raises
    ------
    CTBMDError
        Where the chosen point or all of the images lie outside the volume.
    """
    if not volume.contains(level_slice.ras):
        raise CTBMDError(
            f"The point chosen for {level_slice.level} lies outside the CT volume; move it into the "
            "vertebral body.",
            "point-outside",
        )
    s_mm = plane_positions(level_slice, standard)
    low, high = volume.ras_bounds[2]
    # Planes beyond a cropped volume are drawn in rather than filled with air.
    s_mm = np.clip(s_mm, low, high)
    centres = body_centre(level_slice, s_mm)
    images = np.stack(
        [cut_plane(volume, c, s, standard) for c, s in zip(centres, s_mm, strict=True)]
    )
    known = np.isfinite(images)
    images[~known] = AIR_HU
    return LevelImages(level_slice.level, images, s_mm, float(known.mean()), centres)
