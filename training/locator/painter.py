"""Painting simple bodies on a voxel grid: ellipsoids, tapered tubes, vertebrae, noise."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from CTBMDLib.volume import CTVolume

AIR, FAT, MUSCLE, WATER = -1000.0, -100.0, 55.0, 0.0
CORTEX, MARROW = 1000.0, 180.0


class Painter:
    """A volume of air, centred on RAS (0, 0, 0), that shapes are painted into.

    Parameters
    ----------
    size_mm : (float, float, float)
        Extent along R, A and S.
    rng : numpy Generator
        Draws pixel and slice spacing, noise and blur.
    """

    def __init__(self, size_mm, rng):
        self.rng = rng
        self.spacing = np.array([*([rng.uniform(1.2, 2.2)] * 2), rng.choice([1.5, 2.0, 3.0, 4.0])])
        counts = [int(s / d) for s, d in zip(size_mm, self.spacing, strict=True)]
        self.axes = [
            (np.arange(n) - (n - 1) / 2) * d for n, d in zip(counts, self.spacing, strict=True)
        ]
        self.hu = np.full(counts[::-1], AIR, np.float32)

    def part(self, low, high):
        """Slices of the array and sparse x, y, z that cover a box in mm."""
        where = []
        for axis, a, b in zip(self.axes, low, high, strict=True):
            where.append(slice(*np.searchsorted(axis, [a, b])))
        x, y, z = (axis[s] for axis, s in zip(self.axes, where, strict=True))
        return tuple(where[::-1]), x[None, None, :], y[None, :, None], z[:, None, None]

    def paint(self, low, high, inside, hu):
        """Set HU where `inside(x, y, z)` is true within a box."""
        where, x, y, z = self.part(low, high)
        block = self.hu[where]
        mask = np.broadcast_to(inside(x, y, z), block.shape)
        block[mask] = hu

    def ellipsoid(self, centre, radii, hu, power=2.0):
        """A body of the value `hu`; `power` 2 is an ellipsoid, more is boxier."""
        c, r = np.asarray(centre, float), np.asarray(radii, float)

        def inside(x, y, z):
            d = [np.abs((v - c[i]) / r[i]) ** power for i, v in enumerate((x, y, z))]
            return d[0] + d[1] + d[2] < 1

        self.paint(c - r, c + r, inside, hu)

    def tube(self, start, end, radius, hu, radius_end=None):
        """A tapered round bar."""
        a, b = np.asarray(start, float), np.asarray(end, float)
        ra, rb = radius, radius if radius_end is None else radius_end
        way = b - a
        length = float(way @ way) + 1e-9

        def inside(x, y, z):
            t = ((x - a[0]) * way[0] + (y - a[1]) * way[1] + (z - a[2]) * way[2]) / length
            t = np.clip(t, 0, 1)
            d = [(v - a[i] - t * way[i]) ** 2 for i, v in enumerate((x, y, z))]
            return d[0] + d[1] + d[2] < (ra + t * (rb - ra)) ** 2

        reach = max(ra, rb)
        self.paint(np.minimum(a, b) - reach, np.maximum(a, b) + reach, inside, hu)

    def bone(self, start, end, radius, radius_end=None, shell=2.5, marrow=MARROW, cortex=CORTEX):
        """A long bone: cortex around marrow."""
        end_radius = radius if radius_end is None else radius_end
        self.tube(start, end, radius, cortex, end_radius)
        if min(radius, end_radius) > shell:
            self.tube(start, end, radius - shell, marrow, end_radius - shell)

    def ball(self, centre, radius, shell=2.0, marrow=250.0, cortex=800.0):
        """A joint end: thin cortex around spongy bone."""
        self.ellipsoid(centre, (radius,) * 3, cortex)
        self.ellipsoid(centre, (radius - shell,) * 3, marrow)

    def vertebra(
        self, centre, width, depth, height, tilt=0.0, *, canal=9.0, hu=220.0, process=14.0
    ):
        """Body with endplates, canal, pedicles, lamina and processes; `tilt` in radians."""
        c = np.asarray(centre, float)
        cos, sin = np.cos(tilt), np.sin(tilt)
        back = -depth / 2 - canal

        def frame(y, z):
            return (y - c[1]) * cos - (z - c[2]) * sin, (y - c[1]) * sin + (z - c[2]) * cos

        def shape(test):
            def inside(x, y, z):
                v, w = frame(y, z)
                return test(x - c[0], v, w)

            reach = max(width, depth + 2 * canal + 45, height) + 12
            return c - reach, c + reach, inside

        arch = shape(
            lambda u, v, w: (
                (np.abs(np.hypot(u / 1.15, v - back) - canal - 2.5) < 2.8)
                & (np.abs(w) < 0.38 * height)
                & (v < -0.3 * depth)
            )
        )
        self.paint(*arch, 550.0)
        half = width / 2 + process
        across = shape(
            lambda u, v, w: (
                (np.abs(u) < half)
                & (np.abs(u) > canal)
                & (np.abs(v - back - 2) < 4)
                & (np.abs(w) < 4)
            )
        )
        self.paint(*across, 450.0)
        spinous = shape(
            lambda u, v, w: (
                (np.abs(u) < 3)
                & (v < back - canal)
                & (v > back - canal - 24)
                & (np.abs(w + 4) < 0.3 * height)
            )
        )
        self.paint(*spinous, 450.0)
        for grow, value in ((0.0, 650.0), (1.6, hu)):
            body = shape(
                lambda u, v, w, g=grow: (
                    (np.hypot(u / (width / 2 - g), v / (depth / 2 - g)) < 1)
                    & (np.abs(w) < height / 2 - g)
                )
            )
            self.paint(*body, value)

    def table(self, at):
        """A curved couch below y = `at`."""
        low, high = [a[0] for a in self.axes], [a[-1] for a in self.axes]
        self.paint(
            low,
            high,
            lambda x, y, z: (np.abs(y - at - 0.0006 * x**2) < 2.5) & (np.abs(x) < 190) & (z < 1e9),
            120.0,
        )

    def streaks(self, centre, strength=1500.0):
        """Dark and bright fans in the slices around metal at `centre`."""
        where, x, y, z = self.part(np.array(centre) - 400, np.array(centre) + 400)
        near = np.exp(-(((z - centre[2]) / 35.0) ** 2))
        r = np.hypot(x - centre[0], y - centre[1]) + 12.0
        angle = np.arctan2(y - centre[1], x - centre[0])
        fan = np.cos(9 * angle + self.rng.uniform(0, 6)) + np.cos(14 * angle)
        self.hu[where] += (strength * fan / r * near).astype(np.float32)

    def finish(self, name) -> CTVolume:
        """Blurred, with noise, somewhere in space, as int16."""
        rng = self.rng
        hu = ndimage.gaussian_filter(self.hu, rng.uniform(0.5, 1.2) / self.spacing[::-1])
        grain = rng.standard_normal(hu.shape, dtype=np.float32)
        grain = ndimage.gaussian_filter(grain, (0.2, 0.5, 0.5))
        hu += grain * np.float32(np.exp(rng.uniform(np.log(6), np.log(50))) / grain.std())
        matrix = np.diag([*self.spacing, 1.0])
        matrix[:3, 3] = [a[0] for a in self.axes] + rng.uniform(-200, 200, 3)
        return CTVolume(np.clip(np.round(hu), -1024, 3071).astype(np.int16), matrix, name=name)
