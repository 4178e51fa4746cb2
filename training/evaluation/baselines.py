"""What the network has to beat: trabecular HU, HU with age, sex and BMI, and slice DXA."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from CTBMDLib.bmd.roi import trabecular_hu

BONE_HU = 130.0
SOFT_HU = 40.0


def patient_hu(record) -> float:
    """Mean trabecular HU over the levels, as a reader's ROI gives it."""
    values = [trabecular_hu(record.slabs[level], record.slices[level]) for level in record.slabs]
    return float(np.mean([value for value in values if value is not None]))


def slice_dxa(hu: np.ndarray, standard) -> np.ndarray:
    """Mineral summed over an axial image by a threshold, per projected width; no learning.

    Parameters
    ----------
    hu : ndarray, shape (n, size, size)
        Standard images.
    standard : ImageStandard

    Returns
    -------
    ndarray, shape (n,)
        HU x cm; proportional to an areal density. The scale is fitted on
        training patients.
    """
    row = standard.anterior_mm / standard.spacing_mm
    column = standard.size_px / 2
    j, i = np.indices(hu.shape[1:]) + 0.5
    y, x = (j - row) * standard.spacing_mm, (i - column) * standard.spacing_mm
    body = (x / 18) ** 2 + (y / 13) ** 2 < 1
    near = (np.abs(x) < 46) & (y > -26) & (y < 74)
    pixel_cm = standard.spacing_mm / 10
    out = []
    for image in hu.astype(np.float32):
        smooth = ndimage.uniform_filter(image, 3)
        bone = ((smooth > BONE_HU) | body) & near
        labels, _ = ndimage.label(bone)
        bone = labels == labels[int(row), int(column)]
        # Partial volume at the rim belongs to the bone: one pixel more.
        rim = ndimage.binary_dilation(bone)
        excess = np.maximum(image - SOFT_HU, 0) * rim
        shadow = excess.sum(axis=0)
        dense = shadow > 0.3 * np.median(shadow[int(column) - 8 : int(column) + 8])
        out.append(shadow[dense].sum() * pixel_cm**2 / max(dense.sum() * pixel_cm, pixel_cm))
    return np.array(out)
