"""REFERENCE.md check 1: attenuation against an independent library, and the two-basis split."""

import numpy as np
import pytest

from training.virtual import materials
from training.virtual.spectra import beam

xraylib = pytest.importorskip("xraylib")


@pytest.mark.parametrize(("name", "formula"), [("water", "H2O"), ("hydroxyapatite", "Ca10P6O26H2")])
def test_mass_attenuation_agrees_with_xraylib(name, formula):
    energy = materials.energies_kev()
    use = (energy >= 30) & (energy <= 140)
    ours = materials.mass_attenuation(name)[use]
    theirs = np.array([xraylib.CS_Total_CP(formula, float(e)) for e in energy[use]])
    error = np.abs(ours / theirs - 1).max()
    print(f"check 1: {name}: largest difference to xraylib {100 * error:.2f} %")
    assert error < 0.005


@pytest.mark.parametrize(
    "name", ["muscle", "adipose", "red_marrow", "liver", "blood", "kidney", "disc", "skin", "csf"]
)
def test_two_bases_carry_soft_tissue(name):
    error = materials.basis_error(name)
    print(f"check 1: {name}: basis error {100 * error:.3f} %")
    assert error < 0.002


def test_lipid_is_lighter_than_water_and_muscle_denser():
    # HU at the mean energy behind a body: fat -90 to -110, muscle 40 to 60 (check 2).
    index = int(np.flatnonzero(materials.energies_kev() == 70)[0])
    water = materials.mass_attenuation("water")[index]
    ha = materials.mass_attenuation("hydroxyapatite")[index]

    def hu(name):
        w, h = materials.basis(name)
        return 1000 * (w + h * ha / water - 1)

    print(f"check 2: adipose {hu('adipose'):.0f} HU, muscle {hu('muscle'):.0f} HU at 70 keV")
    assert -110 <= hu("adipose") <= -85
    assert 40 <= hu("muscle") <= 60


def test_bone_tissue_keeps_its_mineral_and_displaces_marrow():
    marrow = materials.basis("red_marrow")
    empty = materials.bone_tissue(0.0, marrow)
    full = materials.bone_tissue(materials.MATRIX_HA, marrow)
    assert empty == pytest.approx(marrow)
    assert full == pytest.approx(materials.matrix_basis())
    half = materials.bone_tissue(materials.MATRIX_HA / 2, marrow)
    assert half[1] == pytest.approx((empty[1] + full[1]) / 2)


def test_a_harder_beam_has_a_higher_mean_energy():
    def mean(b):
        return float(b.energy @ (b.fluence * b.signal) / (b.fluence @ b.signal))

    means = [mean(beam(k)) for k in (80, 100, 120, 140)]
    print("mean detected energy, keV:", [round(m, 1) for m in means])
    assert all(a < b for a, b in zip(means[:-1], means[1:], strict=True))
    assert mean(beam(120, 4.0, 0.2)) > mean(beam(120))
    assert beam(120).fluence.sum() == pytest.approx(1.0)
    with pytest.raises(ValueError, match="kvp"):
        beam(60)
