"""A bundle's answer to a volume whose levels are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from CTBMDLib.bmd.centring import centred
from CTBMDLib.bmd.structure import look_at
from CTBMDLib.model.images import ImageStandard, body_centre, cut_plane, plane_positions
from CTBMDLib.volume import AIR_HU


def places(volume, levels, move=(0, 0, 0), s_quarter=0.0):
    """Where `estimate` reads each level whose point was moved, by level.

    `move` is in mm, `s_quarter` in quarters of a body along S.
    """
    found = {}
    for level, item in levels.items():
        height = item.height_mm or ImageStandard().nominal_height_mm
        point = np.add(item.ras, move) + (0.0, 0.0, s_quarter * height / 4)
        given = replace(item, ras=tuple(point))
        found[level] = centred(volume, given, look_at(volume, given))
    return found


def answer(bundle, volume, at, *, rotation=0.0):
    """Mean over L1-L4 and each level's value, g/cm2, about the `places` of the levels.

    `rotation` (degrees) turns the images.
    """
    standard = bundle.standard
    images, owner = [], []
    for level, where in at.items():
        for s in plane_positions(where, standard):
            image = cut_plane(volume, body_centre(where, s)[0], s, standard, rotation)
            images.append(np.where(np.isfinite(image), image, AIR_HU))
            owner.append(level)
    kvp = volume.acquisition.kvp
    values = bundle.predict(np.stack(images), backend="numpy", kvp=kvp).mean(axis=0)
    owner = np.array(owner)
    each = {level: float(values[owner == level].mean()) for level in at}
    return float(np.mean(list(each.values()))), each
