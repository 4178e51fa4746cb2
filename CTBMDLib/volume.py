"""A CT volume in Hounsfield units, its place in the patient, and how it was made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .errors import CTBMDError, shown

AIR_HU = -1000.0
PART = 1 << 14
"""Points that linear interpolation works on at once."""
SPACING_MM = (0.01, 50.0)
"""Voxels of a CT lie between these; own limits, far outside what any scanner writes."""
MAX_POSITION_MM = 1e5
"""No scan lies farther from the origin; a header or a transform that says so is false."""
RIGHT_ANGLE = 0.01
"""Cosine between two axes up to which they are at right angles: 0.6 degrees, which is more than
rounding in a header and less than any gantry that is tilted on purpose."""


@dataclass(frozen=True)
class Acquisition:
    """What is known of the scan and the person; None means unknown and stays so.

    Attributes
    ----------
    modality : str or None
        DICOM Modality; 'CT' for DICOM input, None for NIfTI and NRRD, which
        do not say.
    kvp : float or None
        Tube voltage in kV.
    kernel : str or None
        Convolution kernel as the manufacturer names it.
    slice_thickness_mm : float or None
        Nominal slice thickness in mm (not the distance between slices).
    tube_current_ma : float or None
        X-ray tube current in mA.
    contrast_agent : str or None
        Contrast agent as written in the header. An absent or empty tag is
        None: absence of the tag does not show absence of contrast.
    manufacturer, model : str or None
    sex : {'F', 'M'} or None
    age_years : float or None
    patient_id : str or None
        Used to name the case in exports; the patient's name is never kept.
    study_uid, series_uid : str or None
    series_description : str or None
    image_type : tuple of str or None
        ImageType as written, such as ('ORIGINAL', 'PRIMARY', 'AXIAL').
    rescale_type : str or None
        What the values are after rescaling, such as 'HU'.
    """

    modality: str | None = None
    kvp: float | None = None
    kernel: str | None = None
    slice_thickness_mm: float | None = None
    tube_current_ma: float | None = None
    contrast_agent: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    sex: str | None = None
    age_years: float | None = None
    patient_id: str | None = None
    study_uid: str | None = None
    series_uid: str | None = None
    series_description: str | None = None
    image_type: tuple[str, ...] | None = None
    rescale_type: str | None = None


def check_geometry(matrix: np.ndarray, name: str) -> None:
    """Refuse a matrix that no CT has, on whatever way it came: header, transform or program.

    A reflection is only another order of storing and is taken. A wrong scale cannot be told
    from the matrix as long as the voxels have a CT's size; `CTBMDLib.bmd.size` tells it from
    the vertebrae.

    Parameters
    ----------
    matrix : ndarray, shape (4, 4)
        IJK to RAS, mm.
    name : str
        What to call the volume in the sentence.

    Raises
    ------
    CTBMDError
        Where the spacing or place is none of a CT, or the axes are not at right angles.
    """
    if matrix.shape != (4, 4):
        raise ValueError("ijk_to_ras must be a 4x4 matrix")
    with np.errstate(all="ignore"):
        spacing = np.linalg.norm(matrix[:3, :3], axis=0)
        fine = np.isfinite(matrix).all() and np.allclose(matrix[3], (0, 0, 0, 1))
        fine = fine and spacing.min() > SPACING_MM[0] and spacing.max() < SPACING_MM[1]
        fine = fine and np.abs(matrix[:3, 3]).max() < MAX_POSITION_MM
    if not fine:
        raise CTBMDError(
            f"The voxel size or position of '{shown(name)}' cannot be right; export it again, or "
            "remove the transform that it is under.",
            "broken-geometry",
        )
    directions = matrix[:3, :3] / spacing
    if np.abs(directions.T @ directions - np.eye(3)).max() > RIGHT_ANGLE:
        raise CTBMDError(
            f"The axes of '{shown(name)}' are not at right angles (a tilted gantry, or a transform "
            "that shears); remove the transform or resample the scan.",
            "oblique-axes",
        )


@dataclass(frozen=True)
class CTVolume:
    """A CT volume.

    Attributes
    ----------
    hu : ndarray, shape (K, J, I)
        Hounsfield units, any real dtype. Nothing is assumed about which axis
        is axial or which way the slices run.
    ijk_to_ras : ndarray, shape (4, 4)
        Maps homogeneous voxel indices (i, j, k, 1) to patient RAS in mm.
    acquisition : Acquisition
    name : str
        What to call the volume in messages and as `case` where the header
        names no patient.
    reading_findings : tuple of str
        Sentences about the reading: which series was used, which were left.
    series_uids : tuple of str
        The DICOM series that it was read of; several where they are parts of one scan.

    Raises
    ------
    CTBMDError
        Where the matrix is not that of a CT: see `check_geometry`.
    """

    hu: np.ndarray
    ijk_to_ras: np.ndarray
    acquisition: Acquisition = field(default_factory=Acquisition)
    name: str = "CT"
    reading_findings: tuple[str, ...] = ()
    series_uids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        matrix = np.asarray(self.ijk_to_ras, dtype=float)
        if np.ndim(self.hu) != 3:
            raise ValueError(f"a CT volume has three axes, this array has {np.ndim(self.hu)}")
        check_geometry(matrix, self.name)
        object.__setattr__(self, "ijk_to_ras", matrix)

    @property
    def spacing_mm(self) -> np.ndarray:
        """Voxel spacing along i, j, k in mm, shape (3,)."""
        return np.asarray(np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0))

    @property
    def axis_kji_of_ras(self) -> tuple[int, int, int]:
        """Array axis (0=k, 1=j, 2=i) that runs closest to R, A and S, in that order."""
        directions = np.abs(self.ijk_to_ras[:3, :3] / self.spacing_mm)
        best = max(
            ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)),
            key=lambda p: sum(directions[row, p[row]] for row in range(3)),
        )
        return 2 - best[0], 2 - best[1], 2 - best[2]

    def ras_from_ijk(self, ijk: Any) -> np.ndarray:
        """Patient RAS in mm of voxel indices (i, j, k); shape (..., 3) in and out."""
        ijk = np.asarray(ijk, dtype=float)
        return np.asarray(ijk @ self.ijk_to_ras[:3, :3].T + self.ijk_to_ras[:3, 3])

    def ijk_from_ras(self, ras: Any) -> np.ndarray:
        """Continuous voxel indices (i, j, k) of RAS points in mm; shape (..., 3) in and out."""
        inverse = np.linalg.inv(self.ijk_to_ras)
        return np.asarray(np.asarray(ras, dtype=float) @ inverse[:3, :3].T + inverse[:3, 3])

    @property
    def ras_bounds(self) -> np.ndarray:
        """Outer bounds of the voxel centres in RAS mm, shape (3, 2): low, high."""
        k, j, i = self.hu.shape
        corners = np.array([(a, b, c) for a in (0, i - 1) for b in (0, j - 1) for c in (0, k - 1)])
        ras = self.ras_from_ijk(corners)
        return np.stack([ras.min(axis=0), ras.max(axis=0)], axis=1)

    def contains(self, ras: Any, margin_mm: float = 0.0) -> bool:
        """Whether a RAS point lies inside the volume, `margin_mm` from its faces."""
        ijk = self.ijk_from_ras(ras)
        slack = margin_mm / self.spacing_mm
        size = np.array(self.hu.shape[::-1])
        return bool(np.all(ijk >= slack - 0.5) and np.all(ijk <= size - 0.5 - slack))

    def sample(self, ras: Any, order: int = 1, fill: float = np.nan) -> np.ndarray:
        """HU at RAS points by spline interpolation.

        Parameters
        ----------
        ras : array_like, shape (..., 3)
            Points in mm.
        order : int
            0 nearest, 1 linear, 3 cubic.
        fill : float
            Value for points outside the volume.

        Returns
        -------
        ndarray, shape (...), float32
        """
        ijk = self.ijk_from_ras(ras)
        points = ijk[..., ::-1].reshape(-1, 3).T
        return self.sample_kji(points, order, fill).reshape(ijk.shape[:-1])

    def sample_kji(self, points: np.ndarray, order: int = 1, fill: float = np.nan) -> np.ndarray:
        """HU at continuous array indices; `points` shape (3, N) along k, j, i; shape (N,)."""
        size = np.array(self.hu.shape)
        values = np.empty(points.shape[1], np.float32)
        linear = order == 1 and min(size) > 1
        array, low = self.hu, np.zeros(3, int)
        if not (linear and array.flags.c_contiguous):
            # Only the block around the points is copied and interpolated: a
            # plane through a 1000-slice volume must not cost a pass over all of it.
            low = np.clip(np.floor(points.min(axis=1)).astype(int) - 2, 0, size - 2 * linear)
            low = np.minimum(low, size - 1)
            high = np.clip(np.ceil(points.max(axis=1)).astype(int) + 3, low + 1 + linear, size)
            array = array[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
            array = np.ascontiguousarray(array, None if linear else np.float32)

        def interpolate(part: slice) -> None:
            near = points[:, part] - low[:, None].astype(points.dtype)
            if linear:
                values[part] = _linear(array, near)
            else:
                from scipy import ndimage  # a quarter of a second that most calls need not pay

                ndimage.map_coordinates(array, near, values[part], order=order, mode="nearest")
            for row, n in zip(points[:, part], size, strict=True):
                if row.min() < -0.5 or row.max() > n - 0.5:
                    values[part][(row < -0.5) | (row > n - 0.5)] = fill

        # Linear interpolation in parts that stay in the processor's cache.
        step = PART if linear else max(1, len(values))
        for start in range(0, len(values), step):
            interpolate(slice(start, start + step))
        return values

    @property
    def kji_of_ras(self) -> tuple[np.ndarray, np.ndarray]:
        """Matrix (3, 3) and offset (3,) that take RAS mm to array indices k, j, i."""
        inverse = np.linalg.inv(self.ijk_to_ras)
        return inverse[2::-1, :3], inverse[2::-1, 3]


def _linear(array: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Trilinear interpolation at indices (3, N) of a contiguous array; edges repeat.

    Half the time of `ndimage.map_coordinates`, which does the same.
    """
    top = np.array(array.shape)[:, None] - 1
    points = np.clip(points, 0, top.astype(points.dtype))
    first = np.minimum(points.astype(np.intp), top - 1)
    fk, fj, fi = (points - first).astype(np.float32)
    flat, row, plane = array.reshape(-1), array.shape[2], array.shape[1] * array.shape[2]
    at = first[0] * plane + first[1] * row + first[2]

    def between(low: np.ndarray, high: np.ndarray, weight: np.ndarray) -> np.ndarray:
        high -= low
        high *= weight
        high += low
        return high

    def along_i(step: int) -> np.ndarray:
        low, high = (flat.take(at + step + i).astype(np.float32, copy=False) for i in (0, 1))
        return between(low, high, fi)

    upper = between(along_i(0), along_i(row), fj)
    return between(upper, between(along_i(plane), along_i(plane + row), fj), fk)
