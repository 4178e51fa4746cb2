"""Freeze spectra and attenuation into two small text tables.

`python -m training.virtual.make_tables` needs spekpy and xraydb, which nothing
else needs: the tables they give are committed, so that a cohort can be made
again without them and stays the same when they change.

Sources: tube spectra from SpekPy (Poludniowski et al., Med Phys 2021;48:3630);
elemental mass attenuation from XrayDB (Elam, Ravel, Sieber, Radiat Phys Chem
2002;63:121 with Chantler 2000).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from CTBMDLib.safefile import write_text

TABLES = Path(__file__).parent / "tables"
ENERGIES_KEV = np.arange(20, 142, 2)
KVP = (80, 90, 100, 110, 120, 130, 140)
ELEMENTS = [
    "H",
    "C",
    "N",
    "O",
    "Na",
    "Mg",
    "Al",
    "P",
    "S",
    "Cl",
    "K",
    "Ca",
    "Ti",
    "Fe",
    "Cu",
    "I",
    "Cs",
    "Gd",
]  # body, filters, implants, contrast agent, detector


def attenuation_rows() -> list[str]:
    """CSV lines of mass attenuation with coherent scatter, cm2/g, a column an element."""
    import xraydb

    columns = [xraydb.mu_elam(e, ENERGIES_KEV * 1000.0, kind="total") for e in ELEMENTS]
    rows = ["energy_kev," + ",".join(ELEMENTS)]
    for i, energy in enumerate(ENERGIES_KEV):
        rows.append(f"{energy}," + ",".join(f"{c[i]:.6g}" for c in columns))
    return rows


def spectrum_rows() -> list[str]:
    """CSV lines of relative photon fluence behind 7 mm Al equivalent, a column a kVp."""
    import spekpy

    columns = []
    for kvp in KVP:
        spectrum = spekpy.Spek(kvp=kvp, th=8, dk=1.0, targ="W")
        spectrum.filter("Al", 7.0)
        k, phi = spectrum.get_spectrum(edges=False)
        binned = np.array([phi[np.abs(k - e) <= 1.0].sum() for e in ENERGIES_KEV])
        binned[kvp < ENERGIES_KEV] = 0.0
        columns.append(binned / binned.sum())
    rows = ["energy_kev," + ",".join(f"kvp{k}" for k in KVP)]
    for i, energy in enumerate(ENERGIES_KEV):
        rows.append(f"{energy}," + ",".join(f"{c[i]:.6g}" for c in columns))
    return rows


def main() -> None:
    """The command line."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    TABLES.mkdir(exist_ok=True)
    write_text(TABLES / "attenuation.csv", "\n".join(attenuation_rows()) + "\n", overwrite=True)
    write_text(TABLES / "spectra.csv", "\n".join(spectrum_rows()) + "\n", overwrite=True)


if __name__ == "__main__":
    main()
