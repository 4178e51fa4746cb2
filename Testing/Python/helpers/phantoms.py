"""Simple CT volumes and untrained bundles for tests of images, network and estimate."""

from __future__ import annotations

import numpy as np

from CTBMDLib.levels import LevelSelection, LevelSlice
from CTBMDLib.model.bundle import save_bundle
from CTBMDLib.model.images import ImageStandard
from CTBMDLib.model.network import parameter_shapes
from CTBMDLib.volume import Acquisition, CTVolume

STANDARD = ImageStandard()

CENTRES = {"L1": (3.0, -20.0, 55.0), "L2": (3.0, -20.0, 20.0), "L3": (3.0, -20.0, -15.0)}


def phantom(spacing=(2.0, 2.0, 3.0), bone_hu=200.0, **facts) -> CTVolume:
    """Soft tissue with an upright elliptic column of bone, a spinous bar behind it and fat around."""
    r = np.arange(-90, 90.1, spacing[0])
    a = np.arange(-120, 70.1, spacing[1])
    s = np.arange(-60, 100.1, spacing[2])
    ss, aa, rr = np.meshgrid(s, a, r, indexing="ij")
    hu = np.full(ss.shape, -100.0, np.float32)
    hu[(rr / 80) ** 2 + ((aa + 30) / 70) ** 2 < 1] = 50.0
    hu[((rr - 3) / 22) ** 2 + ((aa + 20) / 16) ** 2 < 1] = bone_hu
    hu[(np.abs(rr - 3) < 5) & (aa < -50) & (aa > -75)] = bone_hu
    matrix = np.diag([*spacing, 1.0])
    matrix[:3, 3] = r[0], a[0], s[0]
    return CTVolume(hu, matrix, Acquisition(**facts), name="phantom")


def chosen(levels=("L1", "L2", "L3"), **how) -> LevelSelection:
    return LevelSelection(tuple(LevelSlice(x, CENTRES[x], **how) for x in levels))


def random_weights(seed=0) -> dict:
    """Weights of an untrained network, made without torch."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in parameter_shapes().items():
        if name.endswith("norm.weight"):
            value = np.ones(shape)
        elif name == "scale":
            value = np.full(shape, 1.0)
        elif len(shape) > 1:
            value = rng.normal(size=shape) * (2 / np.prod(shape[1:])) ** 0.5
        else:
            value = rng.normal(size=shape) * 0.05
        weights[name] = value.astype(np.float32)
    return weights


def card(**changes) -> dict:
    return {
        "name": "test",
        "version": "0.0.1",
        "date": "2026-11-22",
        "population": "simulated",
        "image": STANDARD.to_dict(),
        "interval": {
            "level": 0.9,
            "floor_g_cm2": 0.02,
            "quantile_level": 2.0,
            "quantile_total": 1.5,
        },
        **changes,
    }


def bundle(folder, members=2, **changes):
    """An untrained bundle written to `folder`."""
    return save_bundle(folder, card(**changes), [random_weights(i) for i in range(members)])
