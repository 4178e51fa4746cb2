"""Bone told from soft tissue."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..volume import CTVolume
from .settings import SETTINGS, BoneSettings


def bone_map(
    hu: np.ndarray,
    tissue_hu: float = SETTINGS.bone.unknown_tissue_hu,
    gain: float = 1.0,
    settings: BoneSettings = SETTINGS.bone,
) -> np.ndarray:
    """How much of each voxel is bone: 0 for soft tissue, 1 for dense bone and all that is denser.

    The rise begins above contrast-enhanced muscle and ends where metal and
    cortical bone would otherwise outweigh spongy bone.

    Parameters
    ----------
    hu : ndarray
    tissue_hu : float
        HU of soft tissue in this CT.
    gain : float
        Steepness of the rise.
    settings : BoneSettings

    Returns
    -------
    ndarray, float32
        Of the shape of `hu`.
    """
    low = max(tissue_hu, settings.min_tissue_hu) + settings.above_tissue_hu
    risen = (np.asarray(hu, np.float32) - low) * (gain / settings.rise_hu)
    bone: np.ndarray = np.clip(risen, 0.0, 1.0)
    return bone


def tissue_level(reduced: CTVolume, settings: BoneSettings = SETTINGS.bone) -> float:
    """HU of soft tissue: the peak of the histogram between 0 and 110 HU."""
    # Some hundred thousand voxels, spread over the CT, are plenty.
    every = tuple(slice(None, None, max(1, n // settings.tissue_samples)) for n in reduced.hu.shape)
    counts, edges = np.histogram(
        reduced.hu[every], bins=settings.tissue_bins, range=settings.tissue_range_hu
    )
    if counts.sum() < settings.min_tissue_voxels:
        return settings.unknown_tissue_hu
    smooth = ndimage.gaussian_filter1d(
        counts.astype(float), settings.tissue_sigma_bins, mode="nearest"
    )
    smooth[: settings.padding_bins] = 0
    half_bin = 0.5 * float(edges[1] - edges[0])
    peak = float(edges[int(smooth.argmax())] + half_bin)
    return float(np.clip(peak, *settings.tissue_limits_hu))
