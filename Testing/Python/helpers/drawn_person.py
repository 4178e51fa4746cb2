"""A body in air, of fat with muscle, organs, bowel gas and bone in it, drawn of plain shapes."""

from __future__ import annotations

import numpy as np
from drawn_spine import CENTRE

from CTBMDLib.volume import Acquisition, CTVolume


def person(air=-1000.0, noise=12.0, padding=None, wide=150, table=False, kvp=120.0, tilt=False):
    """A body of fat with muscle about the spine, bone in it, gas in front, air around."""
    r, a, s = np.arange(-wide, wide + 1, 2.5), np.arange(-150, 131, 2.5), np.arange(-50, 90, 5.0)
    aa, rr = np.meshgrid(a, r, indexing="ij")
    x, y = rr - CENTRE[0], aa - CENTRE[1]
    plane = np.full(rr.shape, air)
    plane[(rr / 140) ** 2 + ((aa + 10) / 100) ** 2 < 1] = -100.0
    plane[((np.abs(x) - 42) / 24) ** 2 + ((y + 30) / 34) ** 2 < 1] = 50.0
    plane[((x / 60) ** 2 + ((y - 60) / 35) ** 2) < 1] = 30.0  # organs
    plane[np.hypot(x - 30, y - 60) < 14] = -950.0  # bowel gas
    plane[(x / 22) ** 2 + (y / 16) ** 2 < 1] = 200.0
    plane[(np.abs(x) < 5) & (y < -30) & (y > -55)] = 300.0
    if table:
        plane[aa < -115] = -940.0
    hu = np.repeat(plane[None], len(s), axis=0)
    hu = hu + np.random.default_rng(3).normal(0, noise, hu.shape)
    if padding is not None:
        hu[:, np.hypot(rr, aa) > min(wide, 140)] = padding
    matrix = np.diag([2.5, 2.5, 5.0, 1.0])
    matrix[:3, 3] = r[0], a[0], s[0]
    return CTVolume(hu.astype(np.float32), matrix, Acquisition(kvp=kvp), name="drawn person")
