"""A bundle's answer to a volume whose levels are known."""

from __future__ import annotations

import numpy as np

from CTBMDLib.model.images import body_centre, cut_plane, plane_positions
from CTBMDLib.volume import AIR_HU


def answer(bundle, volume, levels, *, move=(0, 0, 0), rotation=0.0, s_quarter=0.0):
    """Mean over L1-L4 and each level's value, g/cm2."""
    standard = bundle.standard
    images, owner = [], []
    for level, item in levels.items():
        height = item.height_mm or standard.nominal_height_mm
        for s in plane_positions(item, standard) + s_quarter * height / 4:
            image = cut_plane(
                volume, body_centre(item, s)[0], s, standard, rotation, shift_mm=tuple(move[:2])
            )
            images.append(np.where(np.isfinite(image), image, AIR_HU))
            owner.append(level)
    kvp = volume.acquisition.kvp
    values = bundle.predict(np.stack(images), backend="numpy", kvp=kvp).mean(axis=0)
    owner = np.array(owner)
    each = {level: float(values[owner == level].mean()) for level in levels}
    return float(np.mean(list(each.values()))), each
