"""Bodies without a lumbar spine, for checking that nothing is found in them."""

from __future__ import annotations

import numpy as np

from CTBMDLib.volume import CTVolume


def _grid(size_mm, spacing):
    """Coordinates x (R), y (A), z (S) about the middle, and the geometry."""
    counts = [int(s / spacing) for s in size_mm]
    axes = [(np.arange(n) - (n - 1) / 2) * spacing for n in counts]
    z, y, x = np.meshgrid(axes[2], axes[1], axes[0], indexing="ij", sparse=True)
    matrix = np.diag([spacing, spacing, spacing, 1.0])
    matrix[:3, 3] = [a[0] for a in axes]
    return x, y, z, matrix, tuple(counts[::-1])


def _finish(hu, matrix, name, noise=15.0, seed=0):
    noisy = hu + np.random.default_rng(seed).normal(0, noise, hu.shape)
    return CTVolume(np.clip(noisy, -1024, 3071).astype(np.int16), matrix, name=name)


def water_phantom() -> CTVolume:
    """A cylinder of water with four rods of other materials."""
    x, y, z, matrix, shape = _grid((330, 330, 240), 2.5)
    hu = np.full(shape, -1000.0)
    inside = np.broadcast_to(np.hypot(x, y) < 140, shape)
    hu[inside] = 0
    for angle, value in ((0, 900), (90, 120), (180, -100), (270, 340)):
        a = np.deg2rad(angle)
        rod = np.hypot(x - 60 * np.cos(a), y - 60 * np.sin(a)) < 14
        hu[np.broadcast_to(rod, shape)] = value
    return _finish(hu, matrix, "water phantom")


def thighs() -> CTVolume:
    """Two thighs with fat, muscle and the hollow shaft of a femur."""
    x, y, z, matrix, shape = _grid((420, 240, 300), 2.5)
    hu = np.full(shape, -1000.0)
    for side in (-1, 1):
        r = np.hypot(x - side * 92 - 0.06 * z * side, y)
        bone = np.hypot(x - side * 88 - 0.06 * z * side, y - 8)
        for edge, value in ((84, -100), (70, 55)):
            hu[np.broadcast_to(r < edge, shape)] = value
        hu[np.broadcast_to(bone < 15, shape)] = 1300
        hu[np.broadcast_to(bone < 8, shape)] = -60
    return _finish(hu, matrix, "thighs")


def head() -> CTVolume:
    """Skull, brain, jaw and a neck with seven small vertebrae."""
    x, y, z, matrix, shape = _grid((230, 260, 330), 2.0)
    hu = np.full(shape, -1000.0)
    r = np.sqrt((x / 78) ** 2 + ((y - 5) / 96) ** 2 + ((z - 60) / 92) ** 2)
    hu[r < 1.08] = 40
    hu[r < 1.0] = 900
    hu[r < 0.92] = 35
    neck = np.broadcast_to((np.hypot(x / 60, (y + 5) / 62) < 1), shape) & (z < 10)
    hu[neck & (hu < -500)] = 45
    jaw = (np.abs(np.hypot(x, y - 40) - 44) < 7) & (y > 30) & (np.abs(z + 20) < 14)
    hu[jaw] = 800
    for number in range(7):
        top = -22 - 18 * number
        u = z - top
        body = (np.hypot(x / 12, (y + 2) / 9) < 1) & (np.abs(u) < 6.5)
        arch = (np.abs(np.hypot(x / 1.2, y + 20) - 12) < 3) & (np.abs(u) < 6) & (y < -8)
        hu[body] = 320
        hu[arch] = 500
    return _finish(hu, matrix, "head")


def air() -> CTVolume:
    """A scan of the table alone."""
    x, y, z, matrix, shape = _grid((400, 300, 300), 3.0)
    hu = np.full(shape, -1000.0)
    table = (np.abs(y + 100 - 0.0006 * x**2) < 3) & (np.abs(x) < 180)
    hu[np.broadcast_to(table, shape)] = 150
    return _finish(hu, matrix, "table alone")


EMPTY_BODIES = {"water phantom": water_phantom, "thighs": thighs, "head": head, "table": air}
"""Name to a function that makes the volume."""
