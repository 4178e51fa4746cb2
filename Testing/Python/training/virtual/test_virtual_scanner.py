"""REFERENCE.md checks 2, 3 and 4: HU of water, air, fat, muscle and mineral, and noise."""

import numpy as np
import pytest

from training.virtual import materials
from training.virtual.scanner import Protocol, scan

GRID = 2.0
VIEWS = 240


def disc(diameter_cm, water=1.0, ha=0.0, insert=None):
    """A cylinder on a 2 mm grid, and its axes; `insert` (w, h) replaces the middle 4 cm."""
    radius = 5 * diameter_cm
    g = np.arange(-radius - 8, radius + 8 + GRID, GRID)
    r = np.hypot(*np.meshgrid(g, g))
    cover = np.clip(0.5 - (r - radius) / GRID, 0, 1)
    w, h = water * cover, ha * cover
    if insert is not None:
        inside = np.clip(0.5 - (r - 20) / GRID, 0, 1)
        w = w * (1 - inside) + insert[0] * inside
        h = h * (1 - inside) + insert[1] * inside
    return w, h, g, r


def image(phantom, protocol, rng=None):
    w, h, g, _ = phantom
    return scan(w, h, GRID, (g[0], g[0]), g, g, protocol, rng, views=VIEWS)


@pytest.mark.parametrize("diameter", [20, 28, 36])
def test_water_is_zero_and_air_minus_1000(diameter):
    phantom = disc(diameter)
    hu, r = image(phantom, Protocol(kernel="soft")), phantom[3]
    radius = 5 * diameter
    centre = hu[r < 15].mean()
    edge = hu[(r > radius - 22) & (r < radius - 12)].mean()
    air = hu[(r > radius + 5) & (r < radius + 8)].mean()
    print(f"check 2: {diameter} cm: centre {centre:.1f}, edge {edge:.1f}, air {air:.1f} HU")
    assert abs(centre) < 3
    assert abs(edge) < 3
    assert abs(air + 1000) < 5


def test_fat_and_muscle_have_their_hu():
    found = {}
    for name in ("adipose", "muscle"):
        phantom = disc(28, insert=materials.basis(name))
        found[name] = image(phantom, Protocol())[phantom[3] < 12].mean()
    print("check 2:", {k: round(float(v), 1) for k, v in found.items()})
    assert -110 <= found["adipose"] <= -85
    assert 40 <= found["muscle"] <= 60


def rise(kvp, diameter=28):
    """HU per mg/cm3 of hydroxyapatite in water, which it displaces as in a calibration rod."""
    phantom = disc(diameter, insert=(1 - 0.2 / materials.MATERIALS["hydroxyapatite"].density, 0.2))
    hu = image(phantom, Protocol(kvp=kvp, kernel="soft"))
    return float(hu[phantom[3] < 12].mean() / 200)


def test_mineral_raises_hu_as_it_should():
    slope = {k: rise(k) for k in (80, 100, 120, 140)}
    print("check 3: HU per mg HA/cm3:", {k: round(v, 2) for k, v in slope.items()})
    print(f"check 3: 80/120 {slope[80] / slope[120]:.2f}, 100/120 {slope[100] / slope[120]:.2f}")
    assert 1.2 <= slope[120] <= 1.45
    assert 1.25 <= slope[80] / slope[120] <= 1.4
    assert 1.08 <= slope[100] / slope[120] <= 1.15
    assert slope[140] < slope[120]


def test_mineral_raises_hu_less_in_a_larger_body():
    small, large = rise(120, 20), rise(120, 36)
    print(f"check 3: 120 kVp: {small:.3f} in 20 cm, {large:.3f} in 36 cm")
    assert large < small


def test_noise_falls_with_the_square_root_of_dose():
    phantom = disc(28)
    rng = np.random.default_rng(1)
    middle = phantom[3] < 40
    wanted = (8.0, 16.0, 32.0)
    sd = [
        float(image(phantom, Protocol(noise_hu=n, bowtie=0.0), rng)[middle].std()) for n in wanted
    ]
    # noise_hu twice as high is a quarter of the photons.
    print("check 4: SD at dose 1, 1/4, 1/16:", [round(s, 1) for s in sd])
    for low, high in zip(sd[:-1], sd[1:], strict=True):
        assert high / low == pytest.approx(2.0, rel=0.12)
    assert sd[0] == pytest.approx(8.0, rel=0.3)


def test_a_sharper_kernel_is_noisier_and_water_stays_zero():
    phantom = disc(28)
    middle = phantom[3] < 40
    sd, mean = {}, {}
    for kernel in ("soft", "standard", "sharp"):
        hu = image(phantom, Protocol(kernel=kernel, noise_hu=12), np.random.default_rng(2))
        sd[kernel], mean[kernel] = float(hu[middle].std()), float(hu[middle].mean())
    print("check 4: SD by kernel:", {k: round(v, 1) for k, v in sd.items()})
    assert sd["sharp"] > 1.3 * sd["standard"] > 1.3 * sd["soft"]
    assert max(abs(v) for v in mean.values()) < 3
