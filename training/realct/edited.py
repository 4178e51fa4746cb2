"""A scan around its lumbar spine whose vertebrae's mineral is scaled, and its CT-derived areal BMD.

No DXA exists for the real scans. What stands in for it is the mineral of the volume
projected from front to back: the yardstick that `realcheck` holds the model's answers
against, and that `yardstick` in turn holds against the simulated DXA of virtual people.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from CTBMDLib.model.network import HU_PER_MG
from CTBMDLib.spine.vertebra_names import label_values
from CTBMDLib.volume import CTVolume

from ..virtual.devices import load_devices

LABELS = label_values("totalsegmentator")
SOFT_HU = 20.0
"""HU counted as no mineral: between muscle and marrow fat."""
DEVICE = load_devices()["hologic"]
"""Whose g/cm2 the model answers in."""
EDGE_G_CM2 = DEVICE.edge.value
"""Bone edge of the simulated DXA: what projects less is not counted, in mineral or in area."""


class Scan:
    """A scan, cropped around its lumbar spine, with known centres and a bone mask.

    Parameters
    ----------
    name : str
    volume : CTVolume
    levels : dict of str to LevelSlice
        Those of L1-L4 that are known.
    labels : CTVolume, optional
        Vertebrae by the values of `LABELS`; a simple mask of dense bone without it.
    """

    def __init__(self, name, volume, levels, labels=None):
        self.name = name
        self.levels = levels
        self.volume = crop(volume, np.array([item.ras for item in levels.values()]))
        if labels is not None:
            self.masks = {level: self._on_grid(labels, LABELS[level]) for level in levels}
            self.how = "by labels"
        else:
            self.masks = simple_masks(self.volume, levels)
            self.how = "by a simple mask"

    def _on_grid(self, labels, value):
        part = CTVolume((labels.hu == value).astype(np.float32), labels.ijk_to_ras)
        return part.sample(grid_points(self.volume), order=0, fill=0) > 0.5

    @property
    def bone(self):
        """Voxels of any of the vertebrae, shape (K, J, I)."""
        return np.any(list(self.masks.values()), axis=0)

    def scaled(self, factor):
        """The volume with the mineral of all L1-L4 scaled."""
        near = ndimage.binary_dilation(self.bone, iterations=1)
        hu = self.volume.hu.astype(np.float32)
        hu = hu + (factor - 1) * np.maximum(hu - SOFT_HU, 0) * near
        return replace(self.volume, hu=hu)

    def projected(self, volume):
        """Areal BMD projected front to back, mean over the levels, g/cm2.

        The regions are those of the scan as it is, so that an edit changes
        mineral, not area.
        """
        near = {level: ndimage.binary_dilation(mask) for level, mask in self.masks.items()}
        return float(
            np.mean([shadow(volume, near[level])[self.regions[level]].mean() for level in near])
        )

    def projected_by_edge(self, volume):
        """The same with the bone's edge found in this very volume, as the simulated DXA does.

        With less mineral the thin rim falls below the edge and the area shrinks, so
        that areal BMD changes by less than the mineral.
        """
        near = {level: ndimage.binary_dilation(mask) for level, mask in self.masks.items()}
        values = []
        for level, mask in near.items():
            density = shadow(volume, mask)
            axes = [axis for axis in range(3) if axis != volume.axis_kji_of_ras[1]]
            step = volume.spacing_mm[::-1][axes]
            bone = ndimage.gaussian_filter(density, 0.7 / step) > EDGE_G_CM2
            # Transverse processes are cut off 3 mm beside the body, as in the DXA.
            across = axes.index(volume.axis_kji_of_ras[0])
            columns = np.flatnonzero(self.regions[level].any(axis=1 - across))
            rim = int(round(3.0 / step[across]))
            beside = np.ones(bone.shape[across], bool)
            beside[max(columns[0] - rim, 0) : columns[-1] + rim + 1] = False
            bone[(beside, slice(None)) if across == 0 else (slice(None), beside)] = False
            values.append(density[bone].mean())
        return float(np.mean(values))

    @property
    def regions(self):
        """What a DXA would outline of each level, see `region`."""
        return {level: region(self.volume, mask) for level, mask in self.masks.items()}

    @property
    def vertebra_hu(self):
        """Mean HU of the whole vertebrae."""
        return float(self.volume.hu[self.bone].mean())


def grid_points(volume):
    """RAS of every voxel, shape (K, J, I, 3)."""
    k, j, i = np.indices(volume.hu.shape)
    return volume.ras_from_ijk(np.stack([i, j, k], axis=-1))


def crop(volume, centres, margin=((80, 80), (110, 75), (32, 32))):
    """The part of a volume around points, with margins in mm for R, A and S."""
    low = centres.min(axis=0) - [m[0] for m in margin]
    high = centres.max(axis=0) + [m[1] for m in margin]
    corners = np.array(
        [[r, a, s] for r in (low[0], high[0]) for a in (low[1], high[1]) for s in (low[2], high[2])]
    )
    ijk = volume.ijk_from_ras(corners)
    size = np.array(volume.hu.shape[::-1])
    first = np.clip(np.floor(ijk.min(axis=0)).astype(int), 0, size - 1)
    last = np.clip(np.ceil(ijk.max(axis=0)).astype(int) + 1, first + 1, size)
    (i0, j0, k0), (i1, j1, k1) = first, last
    matrix = volume.ijk_to_ras.copy()
    matrix[:3, 3] = volume.ras_from_ijk(first)
    return replace(volume, hu=volume.hu[k0:k1, j0:j1, i0:i1], ijk_to_ras=matrix)


def simple_masks(volume, levels):
    """Bone of each vertebra where there are no labels: dense, connected to the body, near its centre."""
    points = grid_points(volume)
    smooth = ndimage.gaussian_filter(volume.hu.astype(np.float32), 1.0 / volume.spacing_mm[::-1])
    names = list(levels)
    centres = np.array([levels[name].ras for name in names])
    order = np.argsort(centres[:, 2])
    masks = {}
    for place, index in enumerate(order):
        r, a, s = centres[index]
        below = centres[order[place - 1]][2] if place else s - 34
        above = centres[order[place + 1]][2] if place + 1 < len(order) else s + 34
        dr, da, z = points[..., 0] - r, points[..., 1] - a, points[..., 2]
        box = (np.abs(dr) < 46) & (da < 26) & (da > -72)
        box &= (z > (s + below) / 2) & (z < (s + above) / 2)
        body = (dr / 20) ** 2 + (da / 14) ** 2 < 1
        body &= np.abs(z - s) < 11
        dense = ((smooth > 110) & box) | (body & box)
        found, _ = ndimage.label(dense)
        wanted = np.bincount(found[body & box & (found > 0)]).argmax()
        masks[names[index]] = ndimage.binary_closing(found == wanted, iterations=1) & box
    return masks


def shadow(volume, mask):
    """Front-to-back projection of a masked vertebra's mineral, g/cm2 as the DXA shows it.

    Parameters
    ----------
    volume : CTVolume
        HU.
    mask : ndarray of bool, shape (K, J, I)

    Returns
    -------
    ndarray
        The two array axes that run along R and S.
    """
    steps = volume.spacing_mm[::-1]
    axis = volume.axis_kji_of_ras[1]
    excess = np.maximum(volume.hu.astype(np.float32) - SOFT_HU, 0) * mask
    # An unknown tube voltage counts as 120 kV here, the common one.
    per_mg = np.interp(volume.acquisition.kvp or 120.0, *HU_PER_MG)
    return DEVICE.gain.value * excess.sum(axis=axis) / per_mg / 1000 * steps[axis] / 10


def region(volume, mask):
    """What a DXA's edge detection would outline in the shadow.

    Pixels above 40 % of the dense part's median: the body, not the thin
    transverse processes nor the mask's rim.
    """
    density = shadow(volume, mask)
    dense = np.median(density[density > 0.5 * np.percentile(density[density > 0], 90)])
    return density > 0.4 * dense
