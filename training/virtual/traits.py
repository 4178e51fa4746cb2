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
    mineral: float = 1.0
    """Nominal factor on all bone mineral: the same anatomy at another content. The shell's
    thickness carries its part, so in dense bone, whose processes it fills, the true mineral
    rises by less; the simulated DXA is measured on what is really there."""


def draw_traits(rng: np.random.Generator, population: str) -> Traits:
    """Draw a person; 'realistic' after the literature, 'wide' independent and uniform."""
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
            marrow_fat=draw("marrow_fat"),
            cortex_mm=draw("cortex_mm"),
            endplate_factor=draw("endplate_factor"),
            posterior_share=draw("posterior_share"),
            **common,
        )
    if population != "realistic":
        raise ValueError(f"population is 'realistic' or 'wide', not {population!r}")
    p = priors()["realistic"]
    sex = "F" if rng.random() < p["female_share"] else "M"
    age = float(rng.uniform(*p["age"]))
    bmi = float(np.clip(rng.normal(*p["bmi"]), 16.5, 40.0))
    z_height = rng.normal()
    height = p["height_cm"][sex][0] + p["height_cm"][sex][1] * z_height
    z_section = 0.5 * z_height + np.sqrt(0.75) * rng.normal()
    section = p["section_cm2"][sex][0] + p["section_cm2"][sex][1] * np.clip(z_section, -2.5, 2.5)
    z = float(np.clip(rng.normal(), -2.6, 2.6)) + 0.03 * (bmi - p["bmi"][0])
    mean = np.interp(age, p["trabecular_age"], p["trabecular"][sex])
    sd = p["trabecular_sd"] * (0.75 + 0.25 * mean / 140.0)
    trabecular = max(mean + sd * z, 25.0) / 1000.0
    fat = np.interp(age, p["marrow_age"], p["marrow_fat"][sex])
    fat = float(np.clip(fat + p["marrow_fat_sd"] * rng.normal() - 0.02 * z, 0.08, 0.85))
    tie = p["cortex_tie"]
    z_cortex = tie * (z + (mean - 135.0) / 40.0) + np.sqrt(1 - tie**2) * rng.normal()
    cortex = float(
        np.clip(p["cortex_mm"][0] + p["cortex_mm"][1] * np.clip(z_cortex, -2.5, 2.5), 0.2, 0.65)
    )
    return Traits(
        sex,
        age,
        bmi,
        float(height),
        float(section),
        trabecular,
        fat,
        cortex,
        float(np.clip(rng.normal(*p["endplate_factor"]), 0.8, 1.8)),
        float(np.clip(rng.normal(*p["posterior_share"]), 0.40, 0.58)),
        **common,
    )


def with_mineral(traits: Traits, factor: float) -> Traits:
    """The same person with all bone mineral multiplied by `factor`."""
    return replace(traits, mineral=factor)
