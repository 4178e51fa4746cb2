"""Tissues as element mixtures, and their split into a water and a hydroxyapatite part.

Every tissue is carried through the simulation as two densities (g/cm3): so much
water and so much hydroxyapatite (HA) that together attenuate as the tissue does
from 40 to 140 keV. Two line integrals a ray then give the full spectrum.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

TABLES = Path(__file__).parent / "tables"


@dataclass(frozen=True)
class Material:
    """Density in g/cm3 and mass fractions of the elements."""

    density: float
    fractions: dict[str, float]


def _mix(density: float, **percent: float) -> Material:
    total = sum(percent.values())
    return Material(density, {element: value / total for element, value in percent.items()})


# Compositions: ICRU Report 46 (1992) and Woodard & White, Br J Radiol 1986;59:1209.
# Yellow marrow's density is that of its lipid (0.92), not ICRU's 0.98 of whole marrow.
MATERIALS: dict[str, Material] = {
    "water": _mix(1.0, H=11.19, O=88.81),
    "hydroxyapatite": _mix(3.156, H=0.20, O=41.41, P=18.50, Ca=39.89),
    "adipose": _mix(0.93, H=11.4, C=59.8, N=0.7, O=27.8, Na=0.1, S=0.1, Cl=0.1),
    "lipid": _mix(0.92, H=11.8, C=77.2, O=11.0),
    "muscle": _mix(1.05, H=10.2, C=14.3, N=3.4, O=71.0, Na=0.1, P=0.2, S=0.3, Cl=0.1, K=0.4),
    "red_marrow": _mix(1.045, H=10.2, C=19.5, N=3.4, O=66.0, P=0.1, S=0.2, Cl=0.2, K=0.2, Fe=0.1),
    "collagen": _mix(1.35, H=6.5, C=50.0, N=17.0, O=26.0, S=0.5),
    "skin": _mix(1.09, H=10.0, C=20.4, N=4.2, O=64.5, Na=0.2, P=0.1, S=0.2, Cl=0.3, K=0.1),
    "liver": _mix(1.06, H=10.2, C=13.9, N=3.0, O=71.6, Na=0.2, P=0.3, S=0.3, Cl=0.2, K=0.3),
    "blood": _mix(
        1.052, H=10.2, C=11.0, N=3.3, O=74.5, Na=0.1, P=0.1, S=0.2, Cl=0.3, K=0.2, Fe=0.1
    ),
    "kidney": _mix(
        1.045, H=10.3, C=13.2, N=3.0, O=72.4, Na=0.2, P=0.2, S=0.2, Cl=0.2, K=0.2, Ca=0.1
    ),
    "cartilage": _mix(1.09, H=9.6, C=9.9, N=2.2, O=74.4, Na=0.5, P=2.2, S=0.9, Cl=0.3),
    "disc": _mix(1.075, H=9.9, C=10.5, N=2.6, O=76.0, Na=0.3, S=0.5, Cl=0.2),
    "csf": _mix(1.007, H=11.1, O=88.0, Na=0.5, Cl=0.4),
    "carbon_fibre": _mix(1.4, C=100.0),
    "foam": _mix(0.06, H=8.0, C=60.0, O=32.0),
    "aluminium": _mix(2.70, Al=100.0),
    "copper": _mix(8.96, Cu=100.0),
    "titanium": _mix(4.51, Ti=100.0),
    "iodine": _mix(4.93, I=100.0),
    "csi": _mix(4.51, Cs=51.2, I=48.8),
    "gos": _mix(7.3, Gd=83.0, O=8.5, S=8.5),
}

FIT_RANGE_KEV = (40, 140)


@cache
def read_table(name: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A frozen table of `tables/`.

    Parameters
    ----------
    name : str
        'attenuation.csv' (cm2/g per element) or 'spectra.csv' (photons per tube voltage).

    Returns
    -------
    energy : ndarray, shape (61,)
        keV.
    columns : dict of str to ndarray
        By the heading of each other column, shape (61,).
    """
    with (TABLES / name).open(newline="") as file:
        rows = list(csv.reader(file))
    values = np.array(rows[1:], dtype=float)
    return values[:, 0], {key: values[:, i + 1] for i, key in enumerate(rows[0][1:])}


def energies_kev() -> np.ndarray:
    """Energy grid of both tables, keV, shape (61,)."""
    return read_table("attenuation.csv")[0]


def mass_attenuation(material: str | Material) -> np.ndarray:
    """Mass attenuation in cm2/g on `energies_kev()`."""
    if isinstance(material, str):
        material = MATERIALS[material]
    elements = read_table("attenuation.csv")[1]
    return sum(f * elements[e] for e, f in material.fractions.items())


def basis(material: str | Material) -> tuple[float, float]:
    """Water and HA density (g/cm3) that attenuate as the material does at its own density.

    Weighted least squares of the relative error over `FIT_RANGE_KEV`; below
    0.2 % for soft tissue and bone, and rough (several %) for metals, which the
    simulation needs only to be bright.
    """
    if isinstance(material, str):
        material = MATERIALS[material]
    energy = energies_kev()
    use = (energy >= FIT_RANGE_KEV[0]) & (energy <= FIT_RANGE_KEV[1])
    target = mass_attenuation(material)[use]
    design = np.stack(
        [mass_attenuation("water")[use], mass_attenuation("hydroxyapatite")[use]], axis=1
    )
    solution, *_ = np.linalg.lstsq(design / target[:, None], np.ones(use.sum()), rcond=None)
    return float(solution[0] * material.density), float(solution[1] * material.density)


def basis_error(material: str | Material) -> float:
    """Largest relative error of `basis` over `FIT_RANGE_KEV`."""
    if isinstance(material, str):
        material = MATERIALS[material]
    energy = energies_kev()
    use = (energy >= FIT_RANGE_KEV[0]) & (energy <= FIT_RANGE_KEV[1])
    w, h = basis(material)
    model = w * mass_attenuation("water") + h * mass_attenuation("hydroxyapatite")
    truth = mass_attenuation(material) * material.density
    return float(np.max(np.abs(model / truth - 1)[use]))


def bone_tissue(mineral: float, marrow: tuple[float, float]) -> tuple[float, float]:
    """Basis densities of a voxel with `mineral` g HA per cm3 and marrow in the rest.

    The mineral comes with its collagen and water: bone matrix of
    1.15 g HA/cm3 (Gong et al., Anat Rec 1964;149:319: ash 1.1-1.2 g/cm3 of
    matrix) displaces the marrow it stands in.

    Parameters
    ----------
    mineral : float
        HA density, g/cm3.
    marrow : (float, float)
        `basis` of the marrow.
    """
    share = min(mineral / MATRIX_HA, 1.0)
    w, h = matrix_basis()
    return (1 - share) * marrow[0] + share * w, (1 - share) * marrow[1] + share * h


MATRIX_HA = 1.15


@cache
def matrix_basis() -> tuple[float, float]:
    """Basis of mineralised matrix: 1.15 g HA, 0.52 g collagen and 0.25 g water per cm3."""
    collagen = basis("collagen")
    per_gram = [c / MATERIALS["collagen"].density for c in collagen]
    return 0.25 + 0.52 * per_gram[0], MATRIX_HA + 0.52 * per_gram[1]
