"""Spines unlike the textbook's: another count, ribs where none belong, a half-sacral L5.

A scene always has ten vertebrae, so that muscles, vessels and pelvis stay where
they are in relation to the sacrum; a variant says what each of the ten is. Six
lumbar vertebrae therefore begin at T11, four at T9. Castellvi's classes are those
of Castellvi et al., Spine 1984;9:493; sizes of processes and ribs are own estimates.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .primitives import CANAL_CENTRE, CANAL_U, HEIGHT
from .trunk import ribs

SIDES = {"left": (-1.0,), "right": (1.0,), "both": (-1.0, 1.0)}
RIB_LENGTHS = (230.0, 185.0, 115.0)
"""Length along the chest wall of the third last, second last and last rib, mm."""


@dataclass(frozen=True)
class Variant:
    """What the ten vertebrae of a scene are.

    Attributes
    ----------
    names : tuple of 10 str
        From head to feet.
    source : tuple of 10 float
        Where each takes its shape from in the tables of the priors (T10 = 0 ... S2 = 9).
    rib_mm : dict of int to (float, float)
        Length of the left and right rib of a vertebra from its head, mm; 0 for
        none, infinite for one of the usual length.
    wings : tuple of float
        Sides (-1 left, 1 right) on which the last lumbar vertebra's transverse
        process meets the ala of the sacrum, as in Castellvi's class II.
    tables : dict of str to tuple of 10 float
        Rows of the priors' `levels` that are given outright.
    pelvis : bool
        Whether there are iliac wings beside the ninth vertebra.
    rib_fall : float
        How much more the ribs run down than in the usual scene, where they do so by about
        25 degrees.
    """

    names: tuple
    source: tuple
    rib_mm: dict
    wings: tuple = ()
    tables: dict = field(default_factory=dict)
    pelvis: bool = True
    rib_fall: float = 1.0

    def levels(self, table: dict) -> dict:
        """The priors' table `levels` for these vertebrae."""
        place = np.arange(len(self.source))
        out = {
            key: [float(x) for x in np.interp(self.source, place, row)]
            for key, row in table.items()
        }
        for i in self.rib_mm:
            if self.names[i][0] == "L":
                # Where a rib grows, the transverse process stays short.
                out["transverse"][i] = min(out["transverse"][i], 9.0)
        if self.wings:
            out["disc"][7] *= 0.5  # the disc below a transitional vertebra is low
        return out | {key: list(row) for key, row in self.tables.items()}

    def kind(self, index: int) -> str:
        """First letter of a vertebra's name: T, L or S."""
        return self.names[index][0]

    def ribs(self, centres, radius, vertebrae, body, fascia, rng):
        """Capsule chains of the ribs, as `trunk.ribs` gives them."""
        rows = []
        last = max((i for i in self.rib_mm if self.kind(i) == "T"), default=0)
        for i, ends in self.rib_mm.items():
            usual = RIB_LENGTHS[min(max(i - last + 2, 0), 2)]
            finite = [1.3 * end for end in ends if np.isfinite(end)]
            chain = ribs(
                centres, radius, vertebrae, body, fascia, rng, (i,), (max(usual, *finite, 0.0),)
            )
            for side, end in zip((-1.0, 1.0), ends, strict=True):
                rib = [r for r in chain if side * (r[3] - centres[i, 0]) > 0]
                rows += _cut(_fallen(rib, self.rib_fall), end)
        return rows

    def reshape(self, parts, vertebrae, radius) -> None:
        """Give the last lumbar vertebra (index 7) its wings, in place."""
        v = vertebrae[7]
        half = radius[7].max()
        for s in self.wings:
            # Row 3 of each side's six is the transverse process (`posterior_parts`).
            row = parts[7][3 if s < 0 else 9]
            row[:3] = s * (v[CANAL_U] + 9.0), v[CANAL_CENTRE] + 5.0, 0.02 * v[HEIGHT]
            row[3:6] = s * (half + 21.0), v[CANAL_CENTRE] + 4.0, -0.36 * v[HEIGHT]
            row[6:8] = 8.0, 10.0
            row[8:11] = 1.0, 0.9, 0.75
            row[11:14] = 0.5 * (row[:3] + row[3:6])
            row[14] = 0.5 * np.linalg.norm(row[3:6] - row[:3]) + row[7] / 0.75


def make_variant(
    lumbar_count: int = 5,
    *,
    rib_at_l1=None,
    sacralised_l5=None,
    rib12_mm=None,
    rib_l1_mm=45.0,
    rib_fall=1.0,
) -> Variant:
    """A transitional spine, or a usual one with other ribs.

    Parameters
    ----------
    lumbar_count : {4, 5, 6}
        Vertebrae without ribs between the last full rib and the sacrum.
    rib_at_l1 : {None, 'left', 'right', 'both'}
        Sides on which L1 bears a short rib.
    sacralised_l5 : {None, 'left', 'right', 'both'}
        Sides on which the last lumbar vertebra joins the sacrum's ala.
    rib12_mm : (float, float) or None
        Length of the left and right last rib; 0 for none. None: as usual.
    rib_l1_mm : float
        Length of the rib at L1.
    rib_fall : float
        See `Variant`. In life the last ribs run down by 25 to 55 degrees (own estimate), a
        fall of 1 to 2.6.

    Raises
    ------
    ValueError
        For another count or side.
    """
    if lumbar_count == 6:
        names = ("T11", "T12", "L1", "L2", "L3", "L4", "L5", "L6", "S1", "S2")
        source = (1.0, 2.0, 3.0, 3.8, 4.6, 5.4, 6.2, 7.0, 8.0, 9.0)
    elif lumbar_count == 5:
        names = ("T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1", "S2")
        source = tuple(range(10))
    elif lumbar_count == 4:
        names = ("T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "S1", "S2")
        source = (0.0, 0.4, 1.2, 2.0, 3.4, 4.6, 5.8, 7.0, 8.0, 9.0)
    else:
        raise ValueError(f"lumbar_count is 4, 5 or 6, not {lumbar_count!r}")
    for name, side in (("rib_at_l1", rib_at_l1), ("sacralised_l5", sacralised_l5)):
        if side is not None and side not in SIDES:
            raise ValueError(f"{name} is one of {', '.join(SIDES)} or None, not {side!r}")
    rib_mm = {i: (np.inf, np.inf) for i, name in enumerate(names) if name[0] == "T"}
    if rib12_mm is not None:
        rib_mm[names.index("T12")] = tuple(float(x) for x in rib12_mm)
    if rib_at_l1 is not None:
        on = SIDES[rib_at_l1]
        rib_mm[names.index("L1")] = tuple(rib_l1_mm if s in on else 0.0 for s in (-1.0, 1.0))
    wings = SIDES[sacralised_l5] if sacralised_l5 is not None else ()
    return Variant(names, source, rib_mm, wings, rib_fall=float(rib_fall))


def chest_variant() -> Variant:
    """Ten thoracic vertebrae, T1 to T10, with ribs around the chest and nothing below.

    Body sizes after Masharawi et al., J Anat 2008;212:114, as far as T10; above own estimate.
    """
    n = np.arange(10) / 9.0
    tables = {
        "height": 16.5 + 5.0 * n,
        "wedge_mm": -1.0 - 0.0 * n,
        "width": 30.0 - 14.0 * n * (1 - n) + 2.0 * n,
        "depth": 17.0 + 11.0 * n,
        "disc": 3.6 + 1.2 * n,
        "tilt_deg": 24.0 - 31.0 * n,
        "pedicle": 6.5 - 6.0 * n * (1 - n) - 0.5 * n,
        "canal_width": 20.0 - 8.0 * n * (1 - n) - 2.0 * n,
        "canal_depth": 15.5 - 0.5 * n,
        "transverse": 22.0 - 11.0 * n,
        "spinous": 32.0 - 2.0 * n,
    }
    tables = {key: tuple(float(x) for x in row) for key, row in tables.items()}
    lengths = (150.0, 230.0, 300.0, 330.0, 340.0, 340.0, 340.0, 320.0, 290.0, 270.0)
    rib_mm = {i: (length, length) for i, length in enumerate(lengths)}
    names = tuple(f"T{i + 1}" for i in range(10))
    return Variant(names, (0.0,) * 10, rib_mm, (), tables, pelvis=False)


def beside(names, variant: Variant | None = None) -> dict:
    """What each vertebra bears on its left and right.

    Parameters
    ----------
    names : sequence of str
        From head to feet.
    variant : Variant, optional
        None for the usual spine.

    Returns
    -------
    dict
        Name to {'rib_mm': (left, right), 'joined': (left, right)}: length of its ribs (0 for
        none, infinite for one of the usual length), and whether its transverse process
        meets the sacrum.
    """
    usual = np.inf, np.inf
    ribs = {i: usual for i, name in enumerate(names) if name[0] == "T"}
    wings = ()
    if variant is not None:
        ribs, wings = variant.rib_mm, variant.wings
    return {
        name: {
            "rib_mm": tuple(float(x) for x in ribs.get(i, (0.0, 0.0))),
            "joined": tuple(i == 7 and side in wings for side in (-1.0, 1.0)),
        }
        for i, name in enumerate(names)
    }


def from_sacrum(names) -> dict:
    """Names counted up from the sacrum as with five lumbar vertebrae: {own name: that name}."""
    usual = ("T8", "T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5")
    above = names.index("S1")
    return {name: usual[len(usual) - above + i] for i, name in enumerate(names[:above])} | {
        name: name for name in names[above:]
    }


def _fallen(chain, factor):
    """A chain of capsules, given from its head, that runs down `factor` times as much."""
    if factor == 1.0 or not chain:
        return chain
    top = chain[0][2]
    return [
        [
            *row[:2],
            top + factor * (row[2] - top),
            *row[3:5],
            top + factor * (row[5] - top),
            *row[6:],
        ]
        for row in chain
    ]


def _cut(chain, length):
    """The first `length` mm of a chain of capsules."""
    rows = []
    for row in chain:
        b, e = np.array(row[:3]), np.array(row[3:6])
        step = float(np.linalg.norm(e - b))
        if length <= 1.0:
            break
        if step > length:
            rows.append([*b, *(b + (e - b) * length / step), *row[6:]])
            break
        rows.append(row)
        length -= step
    return rows
