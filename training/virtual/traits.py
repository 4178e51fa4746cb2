"""The priors of the cohort, and what is drawn for a person before any shape."""

# A patient's or a volume's bytes hang on these lines, so they stay as they are.
# ruff: noqa: PLW0603
from __future__ import annotations

import copy
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

_in_force: dict | None = None


@cache
def _file() -> dict:
    return tomllib.loads((Path(__file__).parent / "priors.toml").read_text())


def priors() -> dict:
    """The content of priors.toml, or what `changed_priors` made of it."""
    return _file() if _in_force is None else _in_force


@contextmanager
def changed_priors(changes: dict):
    """Draw from other priors for a while, to see what a result owes to them.

    Parameters
    ----------
    changes : dict of str to value
        By dotted name, such as `{"realistic.posterior_share": [0.50, 0.05]}`.

    Raises
    ------
    KeyError
        Where the file knows no prior of that name.
    """
    global _in_force
    before, changed = _in_force, copy.deepcopy(priors())
    for name, value in (changes or {}).items():
        *way, last = name.split(".")
        table = changed
        for key in way:
            table = table[key]
        if last not in table:
            raise KeyError(name)
        table[last] = value
    _in_force = changed
    try:
        yield
    finally:
        _in_force = before


@dataclass(frozen=True)
class Traits:
    """What is drawn for a person before any shape; lengths in mm, densities in g HA/cm3."""

    sex: str
    age: float
    bmi: float
    height_cm: float
    section_cm2: float
    trabecular: float
    marrow_fat: float
    cortex_mm: float
    endplate_factor: float
    posterior_share: float
    cortex_ha: float
    posterior_ha: float
    descent: str = "western"
    arch: float = 1.0
    """Factor on the thickness of pedicles, pillars, laminae and processes."""
    facets: float = 0.0
    """Grade of facet arthrosis, 0 (none) to 3 (severe)."""
    mineral: float = 1.0
    """Nominal factor on all bone mineral: the same anatomy at another content. The shell's
    thickness carries its part, so in dense bone, whose processes it fills, the true mineral
    rises by less; the simulated DXA is measured on what is really there."""


def draw_traits(rng: np.random.Generator, population: str, descent: str | None = None) -> Traits:
    """Draw a person; 'realistic' after the literature, 'wide' independent and uniform.

    Parameters
    ----------
    rng : numpy.random.Generator
    population : {'realistic', 'wide'}
    descent : {'western', 'east-asian'} or None
        None is Western for realistic persons. Wide ones have none: what they are drawn from
        holds both.
    """
    bone = priors()["bone"]
    common = dict(
        cortex_ha=float(np.clip(rng.normal(*bone["cortex_ha"]), 0.85, 1.15)),
        posterior_ha=float(np.clip(rng.normal(*bone["posterior_ha"]), 0.8, 1.15)),
    )
    if population == "wide":
        wide = priors()["wide"]

        def draw(name):
            return float(rng.uniform(*wide[name]))

        trabecular = draw("trabecular") / 1000.0
        return Traits(
            sex="F" if rng.random() < 0.5 else "M",
            age=draw("age"),
            bmi=draw("bmi"),
            height_cm=draw("height_cm"),
            section_cm2=draw("section_cm2"),
            trabecular=trabecular,
            marrow_fat=_marrow_of(trabecular, draw("marrow_fat")),
            cortex_mm=draw("cortex_mm"),
            endplate_factor=draw("endplate_factor"),
            posterior_share=draw("posterior_share"),
            arch=draw("arch"),
            # Half of them have none, as among people.
            facets=max(draw("facets"), 0.0),
            descent="any",
            **common,
        )
    if population != "realistic":
        raise ValueError(f"population is 'realistic' or 'wide', not {population!r}")
    return _realistic(rng, "western" if descent is None else descent, common)


def _marrow_of(trabecular: float, apart: float) -> float:
    """Marrow's share of fat of a wide person: that of its density, and `apart` from it."""
    wide = priors()["wide"]
    at_none, slope = wide["marrow_of_density"]
    return float(np.clip(at_none + slope * 1000 * trabecular + apart, *wide["marrow_bounds"]))


def _realistic(rng, descent: str, common: dict) -> Traits:
    """A person as they are in life: traits tied to sex, age, size and each other."""
    p = priors()["realistic"]
    if descent not in p["descent"]:
        raise ValueError(f"descent is one of {', '.join(p['descent'])}, not {descent!r}")
    own = p["descent"][descent]
    sex = "F" if rng.random() < p["female_share"] else "M"
    age = float(rng.uniform(*p["age"]))
    bmi = float(np.clip(rng.normal(*own["bmi"]), 16.5, 40.0))
    z_height = rng.normal()
    height = own["height_cm"][sex][0] + own["height_cm"][sex][1] * z_height
    z_section = 0.5 * z_height + np.sqrt(0.75) * rng.normal()
    section = p["section_cm2"][sex][0] + p["section_cm2"][sex][1] * np.clip(z_section, -2.5, 2.5)
    grown = 1 + p["growth"][sex] * (age - 30) / 40
    z = float(np.clip(rng.normal(), -2.6, 2.6)) + 0.03 * (bmi - own["bmi"][0])
    mean = np.interp(age, p["trabecular_age"], p["trabecular"][sex])
    sd = p["trabecular_sd"] * (0.75 + 0.25 * mean / 140.0)
    trabecular = max(own["trabecular"] * mean + sd * z, 25.0) / 1000.0
    fat = np.interp(age, p["marrow_age"], p["marrow_fat"][sex])
    fat = float(np.clip(fat + p["marrow_fat_sd"] * rng.normal() - 0.02 * z, 0.08, 0.85))
    tie = p["cortex_tie"]
    z_cortex = tie * z + np.sqrt(1 - tie**2) * rng.normal()
    kept = float(np.interp(age, p["cortical_age"], p["cortical_kept"][sex]))
    cortex = p["cortex_mm"][sex][0] + p["cortex_mm"][sex][1] * np.clip(z_cortex, -2.5, 2.5)
    share = np.interp(age, p["posterior_age"], p["posterior_share"][sex])
    share = float(np.clip(rng.normal(share, p["posterior_share_sd"]), 0.42, 0.76))
    worn = own["facets"] * p["facets_a_decade"][sex] * max(age - 45, 0) / 10
    return Traits(
        sex=sex,
        age=age,
        bmi=bmi,
        height_cm=float(height),
        section_cm2=float(section * grown * own["section"]),
        trabecular=trabecular,
        marrow_fat=fat,
        cortex_mm=float(np.clip(cortex * kept, 0.15, 0.65)),
        endplate_factor=float(np.clip(rng.normal(*p["endplate_factor"]), 0.7, 1.8)),
        posterior_share=share * own["posterior_share"],
        descent=descent,
        arch=float(np.clip(rng.normal(*p["arch"]), 0.9, 1.4)),
        facets=float(min(worn * abs(rng.normal()), 3.0)),
        **common,
    )


def with_mineral(traits: Traits, factor: float) -> Traits:
    """The same person with all bone mineral multiplied by `factor`."""
    return replace(traits, mineral=factor)


def with_mineral_and_marrow(traits: Traits, factor: float) -> Traits:
    """A wide person at another content of mineral, whose marrow is as fat as goes with it.

    Where bone is lost, fat moves in. A network that had seen people of one fat at all contents
    would take the fat of an old person's marrow, which lowers the HU, for missing mineral.
    """
    wide = priors()["wide"]
    step = wide["marrow_of_density"][1] * 1000 * traits.trabecular * (factor - traits.mineral)
    fat = float(np.clip(traits.marrow_fat + step, *wide["marrow_bounds"]))
    return replace(traits, mineral=factor, marrow_fat=fat)
