"""Bodies without a lumbar spine, for checking that nothing is found in them.

Each function of `EMPTY_BODIES` takes a seed: it draws sizes, spacing, noise and
contrast. The seed None gives the plainest variant, for fast tests.
"""

from __future__ import annotations

import numpy as np

from CTBMDLib.volume import CTVolume

from .chest import chest
from .painter import AIR, FAT, MUSCLE, WATER, Painter


def _start(seed, number, size_mm) -> Painter:
    return Painter(size_mm, np.random.default_rng([0 if seed is None else seed + 1, number]))


def water_phantom(seed=None) -> CTVolume:
    """A water cylinder with rods of other materials, lengthwise and some across."""
    p = _start(seed, 1, (340, 340, 260))
    rng = p.rng
    radius = rng.uniform(90, 150)
    p.tube((0, 0, -115), (0, 0, 115), radius, 120.0)
    p.tube((0, 0, -112), (0, 0, 112), radius - 5, WATER)
    for n in range(int(rng.integers(3, 9))):
        angle, out = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.75) * radius
        at = out * np.cos(angle), out * np.sin(angle)
        value = float(rng.choice([-1000, -100, 120, 250, 340, 500, 900, 1400]))
        thick = rng.uniform(5, 22)
        p.tube((*at, -110), (*at, 110), thick, value)
        if n % 3 == 2:
            z = rng.uniform(-90, 90)
            p.tube((-0.7 * radius, at[1], z), (0.7 * radius, at[1], z), 0.5 * thick, value)
    p.table(-radius - 8)
    return p.finish("water phantom")


def qa_phantom(seed=None) -> CTVolume:
    """A test phantom of stacked modules: bright discs at even distances, rods around them."""
    p = _start(seed, 2, (300, 300, 320))
    rng = p.rng
    radius = rng.uniform(75, 110)
    p.tube((0, 0, -150), (0, 0, 150), radius, float(rng.choice([0, 60, 120])))
    step, thick = rng.uniform(25, 45), rng.uniform(0.4, 0.8)
    disc, value = rng.uniform(14, 30), rng.uniform(180, 900)
    at = rng.uniform(-40, 40, 2) * (rng.random() < 0.6)
    for z in np.arange(-140, 140, step):
        p.paint(
            (-150, -150, z),
            (150, 150, z + thick * step),
            lambda x, y, z: np.hypot(x - at[0], y - at[1]) < disc,
            value,
        )
    for n in range(8):
        a = n * np.pi / 4
        rod = (0.75 * radius * np.cos(a), 0.75 * radius * np.sin(a))
        p.tube((*rod, -150), (*rod, 150), 6.0, float((-1000, -200, 100, 340, 950)[n % 5]))
    p.table(-radius - 8)
    return p.finish("QA phantom")


def _leg(p, side, x, z_hip, z_knee, metal=False):
    """Muscle, fat and femur of one thigh from hip to knee."""
    rng = p.rng
    thigh, skin = rng.uniform(58, 78), rng.uniform(6, 22)
    p.tube((side * x, 0, z_hip), (side * 0.7 * x, 0, z_knee), thigh + skin, FAT, 0.75 * thigh)
    p.tube((side * x, 0, z_hip), (side * 0.7 * x, 0, z_knee), thigh, MUSCLE, 0.6 * thigh)


def thighs(seed=None) -> CTVolume:
    """Two thighs with knees: femur, condyles, patella, tibia, fibula, vessels."""
    p = _start(seed, 3, (400, 240, 460))
    rng = p.rng
    blood = float(rng.choice([45, 150, 320]))
    for side in (-1.0, 1.0):
        x = rng.uniform(88, 98)
        k = side * 0.72 * x
        _leg(p, side, x, 230, -110)
        p.tube((k, -8, -100), (k, -18, -240), 52, FAT)
        p.tube((k, -8, -100), (k, -18, -240), 45, MUSCLE)
        p.bone((side * x, 8, 240), (k, 4, -70), 14, 16, 5.5, -30.0)
        p.bone((k, 4, -60), (k, 2, -100), 17, 28, 2.0, 220.0)
        for lean in (-1, 1):
            p.ball((k + lean * 20, -4, -108), 21)
        p.ellipsoid((k, 42, -100), (20, 9, 21), 750.0)
        p.ellipsoid((k, 42, -100), (17, 6, 18), 260.0)
        p.ellipsoid((k, 0, -146), (38, 26, 14), 700.0, 3)
        p.ellipsoid((k, 0, -146), (35, 23, 12), 230.0, 3)
        p.bone((k, 2, -150), (k, 0, -240), 22, 13, 4.0, 0.0)
        p.bone((k + side * 30, -16, -155), (k + side * 28, -18, -240), 7, 6, 2.0)
        p.tube((side * (x - 20), 10, 230), (k, -25, -120), 5, blood)
    p.table(-105)
    return p.finish("thighs and knees")


def head(seed=None) -> CTVolume:
    """Skull, brain, face, jaw and a neck with seven vertebrae, discs, airway and vessels."""
    p = _start(seed, 4, (330, 280, 400))
    rng = p.rng
    k = rng.uniform(0.92, 1.08)
    blood = float(rng.choice([45, 160, 350]))
    # Shoulders and neck, then the head over them.
    p.ellipsoid((0, -25, -205), (170, 85, 75), FAT, 2.5)
    p.ellipsoid((0, -25, -205), (158, 75, 65), MUSCLE, 2.5)
    p.tube((0, -15, -160), (0, 0, 40), 63 * k, FAT, 60 * k)
    p.tube((0, -15, -160), (0, 0, 40), 57 * k, MUSCLE, 55 * k)
    p.ellipsoid((0, 5, 90), (80 * k, 100 * k, 98 * k), 30.0)
    p.ellipsoid((0, 5, 90), (75 * k, 94 * k, 92 * k), 1100.0)
    p.ellipsoid((0, 5, 90), (69 * k, 88 * k, 86 * k), 34.0)
    p.ellipsoid((0, 62, 20), (55, 45, 60), 40.0)
    for s in (-1, 1):
        p.ellipsoid((s * 24, 68, 32), (16, 18, 16), AIR)
        p.ellipsoid((s * 24, 68, 32), (15, 17, 15), -700.0)
        p.ellipsoid((s * 32, 82, 66), (13, 13, 13), 10.0)
        p.bone((s * 46, 10, 14), (s * 44, 38, -30), 8, 7, 2.5)
        p.bone((s * 44, 38, -30), (s * 8, 88, -36), 8, 8, 2.5)
    p.tube((-26, 74, -20), (26, 74, -20), 5, 2200.0 if rng.random() < 0.4 else 1400.0)
    p.tube((0, 28, 10), (0, 12, -230), 9, -980.0)
    for n in range(9):  # C1-C7, T1, T2
        z = 8.0 - 18.5 * k * n
        y = -12.0 + 9.0 * np.sin(n / 6 * np.pi) - 2.0 * max(n - 6, 0)
        width, depth = (16 + 1.2 * n) * k, (13 + 0.6 * n) * k
        tilt = 0.1 * (n - 3) / 3
        p.vertebra((0, y, z), width, depth, 13.5 * k, tilt, canal=8.5, hu=300.0, process=9.0)
        if n > 6:
            for s in (-1, 1):
                p.bone((s * 22, y - 16, z + 2), (s * 70, y - 28, z - 10), 5, 5, 1.5)
    for s in (-1, 1):
        p.tube((s * 26, 8, -190), (s * 30, 5, 0), 4, blood)
        p.bone((s * 12, 40, -190), (s * 120, 0, -175), 7, 7, 2.0)
        p.ellipsoid((s * 60, -25, -215), (45, 50, 45), -850.0)
    if rng.random() < 0.5:
        p.table(-120)
    return p.finish("head and neck")


def pelvis(seed=None, metal: bool = False) -> CTVolume:
    """A pelvis from S2 down: sacrum's tip, coccyx, iliac wings, hips, bladder, rectum."""
    p = _start(seed, 6 if metal else 5, (420, 290, 290))
    rng = p.rng
    k = rng.uniform(0.92, 1.08)
    blood = float(rng.choice([45, 140, 260]))
    fat = rng.uniform(10, 35)
    for grow, value in ((fat, FAT), (0.0, MUSCLE)):
        p.ellipsoid((0, 0, 40), (155 * k + grow, 95 + grow, 180 + grow), value, 3)
        for s in (-1, 1):
            p.tube((s * 88, 0, -40), (s * 84, 0, -160), 72 + 0.6 * grow, value)
    p.ellipsoid((0, 15, 45), (85 * k, 55, 90), FAT, 2.5)
    p.ellipsoid((0, 30, 5), (45, 35, 38), float(rng.choice([5, 10, 250])))
    p.tube((0, -25, 110), (0, -38, -40), 17, 40.0)
    p.tube((0, -25, 80), (0, -34, 10), 9, -900.0)
    # S2 to the coccyx bend forward below the inlet.
    for n in range(6):
        z, y = 120.0 - 25.0 * n, -62.0 - 16.0 * np.sin(np.pi * min(n, 4) / 4.5) + 4.0 * n
        half = (44, 36, 28, 20, 9, 6)[n] * k
        p.ellipsoid((0, y, z), (half, 12.0 - n, 13.5), 500.0, 3)
        p.ellipsoid((0, y, z), (half - 2, 9.5 - n, 11.0), 190.0, 3)
        if n < 4:
            for s in (-1, 1):
                p.ellipsoid((s * half * 0.45, y, z - 12), (4, 7, 4), 40.0)
            p.ellipsoid((0, y - 9, z), (8, 6, 12), 60.0)
    side_of_metal = float(rng.choice([-1, 1]))
    for s in (-1.0, 1.0):
        for z0, x0, y0 in ((145, 100, -30), (120, 92, -38), (95, 84, -38)):
            p.bone((s * 48 * k, -62, z0 - 10), (s * x0 * k, y0 + 30, z0), 7, 6, 2.0)
            p.bone((s * x0 * k, y0 + 30, z0), (s * (x0 + 14) * k, y0 + 62, z0 - 14), 6, 6, 2.0)
        hip = np.array([s * 88 * k, 8, 10])
        p.bone((s * 70 * k, -20, 90), hip + [0, 0, 25], 14, 20, 2.0, 220.0)
        p.ellipsoid(hip, (36, 36, 36), 600.0)
        p.ellipsoid(hip, (32, 32, 32), 200.0)
        p.ball(hip, 24)
        p.bone(hip, hip + [s * 42, -6, -32], 13, 16, 2.5, 220.0)
        p.ball(hip + [s * 44, -8, -30], 19)
        p.bone(hip + [s * 40, -6, -30], (s * 100, 0, -160), 15, 14, 5.0, -20.0)
        p.bone(hip + [-s * 20, 20, -20], (s * 6, 62, -30), 9, 10, 2.0)
        p.bone(hip + [-s * 18, -10, -20], (s * 46, -40, -62), 11, 12, 2.0)
        p.bone((s * 46, -40, -62), (s * 8, 50, -45), 8, 8, 2.0)
        p.tube((s * 40, 20, 140), (s * 72, 62, -150), 6, blood)
        if metal and (s == side_of_metal or rng.random() < 0.2):
            p.ellipsoid(hip, (28, 28, 28), 3071.0)
            p.tube(hip, hip + [s * 36, -4, -30], 9, 3071.0)
            p.tube(hip + [s * 36, -4, -28], (s * 98, 0, -130), 9, 3071.0, 6)
            p.streaks(hip)
    p.table(-105 - fat)
    return p.finish("metal hip" if metal else "pelvis below S1")


def metal_hip(seed=None) -> CTVolume:
    """The pelvis with a hip prosthesis and its streaks."""
    return pelvis(seed, metal=True)


def table_alone(seed=None) -> CTVolume:
    """A scan of the table alone."""
    p = _start(seed, 7, (400, 300, 300))
    p.table(-100)
    return p.finish("table alone")


def virtual_chest(seed=None) -> CTVolume:
    """T1 to T9 or T10 with ribs, lungs, heart and sternum (`chest`)."""
    return chest(0 if seed is None else seed)


EMPTY_BODIES = {
    "head and neck": head,
    "chest to T9 or T10": virtual_chest,
    "thighs and knees": thighs,
    "pelvis below S1": pelvis,
    "metal hip": metal_hip,
    "water phantom": water_phantom,
    "QA phantom": qa_phantom,
    "table alone": table_alone,
}
"""Name to a function (seed) that makes the volume."""
