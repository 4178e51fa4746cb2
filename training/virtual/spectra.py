"""X-ray beams as a few energy bins, from the frozen tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import materials

BINS = 14


@dataclass(frozen=True)
class Beam:
    """A beam in bins.

    Attributes
    ----------
    energy : ndarray, shape (BINS,)
        Mean energy of a bin, keV.
    fluence : ndarray, shape (BINS,)
        Share of photons; sums to 1.
    signal : ndarray, shape (BINS,)
        Signal of one photon in an energy-integrating detector, keV absorbed.
    water, ha : ndarray, shape (BINS,)
        Mass attenuation, cm2/g.
    """

    energy: np.ndarray
    fluence: np.ndarray
    signal: np.ndarray
    water: np.ndarray
    ha: np.ndarray


def beam(kvp: float, al_mm: float = 0.0, cu_mm: float = 0.0) -> Beam:
    """A tube's beam behind 7 mm Al equivalent and what is added to it.

    Parameters
    ----------
    kvp : float
        80 to 140; between the tabulated voltages the spectra are mixed.
    al_mm, cu_mm : float
        Added filtration.
    """
    energy, table = materials.read_table("spectra.csv")
    known = np.array([int(k[3:]) for k in table])
    spectra = np.stack([table[k] for k in table])
    if not known[0] <= kvp <= known[-1]:
        raise ValueError(f"kvp must be {known[0]} to {known[-1]}, not {kvp}")
    fluence = np.array([np.interp(kvp, known, spectra[:, i]) for i in range(energy.size)])
    for name, mm in (("aluminium", al_mm), ("copper", cu_mm)):
        rho = materials.MATERIALS[name].density
        fluence = fluence * np.exp(-materials.mass_attenuation(name) * rho * mm / 10)
    fluence = fluence / fluence.sum()
    # 0.5 g/cm2 of gadolinium oxysulphide stops the photons; what it absorbs is its signal.
    absorbed = energy * (1 - np.exp(-materials.mass_attenuation("gos") * 0.5))
    water, ha = materials.mass_attenuation("water"), materials.mass_attenuation("hydroxyapatite")
    # Bins of about equal signal behind 25 cm of water, where the beam does its work.
    weight = fluence * absorbed * np.exp(-water * 12.0)
    edges = np.searchsorted(np.cumsum(weight) / weight.sum(), np.linspace(0, 1, BINS + 1)[1:-1])
    groups = np.split(np.arange(energy.size), np.unique(edges))
    groups = [g for g in groups if fluence[g].sum() > 1e-9]
    rows = []
    for g in groups:
        f = fluence[g].sum()
        s = (fluence[g] * absorbed[g]).sum() / f
        # Attenuation is averaged as it acts behind some depth, not in air.
        use = weight[g] / weight[g].sum()
        rows.append((use @ energy[g], f, s, use @ water[g], use @ ha[g]))
    return Beam(*np.array(rows).T)
