"""The cases of a run: which input is damaged by which seed, and what became of it."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .bounds import Outcome, bounded
from .targets import Target


@dataclass(frozen=True)
class Case:
    """One damaged input, made again by its three values.

    Attributes
    ----------
    target : str
    seed, number : int
    """

    target: str
    seed: int
    number: int

    def files(self, target: Target) -> dict[str, bytes]:
        """The damaged files."""
        rng = np.random.default_rng([self.seed, self.number, zlib.crc32(target.name.encode())])
        return target.damage(dict(target.files), rng)


def cases(chosen: Sequence[Target], count: int, seed: int) -> Iterator[Case]:
    """`count` cases, dealt out to the kinds of input in turn."""
    for number in range(count):
        yield Case(chosen[number % len(chosen)].name, seed, number // len(chosen))


def run_case(target: Target, case: Case, folder: Path) -> Outcome:
    """Damage, read within bounds, and clear away."""
    place = folder / "case"
    shutil.rmtree(place, ignore_errors=True)
    target.write(case.files(target), place)
    return bounded(lambda: target.read(place), target.right)
