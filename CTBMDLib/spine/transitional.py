"""Signs of a transitional vertebra that do not change the count: a half-sacral L5, one rib at L1."""

from __future__ import annotations

import numpy as np

from .column import bone_map
from .straightened import AHEAD, LATERAL, Straight

JOINED = 0.8
"""Share of bone from which a side counts as joined. On virtual volumes at most 0.64 where it is not
joined, mostly above 0.9 where it is, but 0.2 to 0.7 where spongy bone is hardly denser than muscle:
there it is not noted. The three real scans, looked at only: at most 0.53."""

SIDE_MM = (27.0, 42.0)
"""Distance from the midline, between the body's edge and the ilium."""

IN_FRONT_MM = (-8.0, 24.0)
"""Range before the canal's centre in which a transverse process or the sacrum's ala lies."""

THICK_MM = 12.0
"""Front-to-back thickness that must be bone; a usual transverse process is thinner."""

LOWER_SHARE = 0.45
"""Share of the vertebra's height, from below, that a usual transverse process leaves free."""


def joined_to_sacrum(straight: Straight, top: int, bottom: int, tissue_hu: float) -> np.ndarray:
    """How far bone fills the place beside a vertebra's lower half, on each side.

    A transverse process springs from the upper half; one that is joined to the
    sacrum (Castellvi II to IV, Spine 1984;9:493) goes down to the ala.

    Parameters
    ----------
    straight : Straight
    top, bottom : int
        Planes of the discs above and below the vertebra.
    tissue_hu : float
        HU of muscle in this CT.

    Returns
    -------
    ndarray, shape (2,)
        Share of bone on the patient's left and right, 0 to 1; NaN where the CT does not reach.
    """
    low = int(round(bottom - LOWER_SHARE * (bottom - top)))
    planes = slice(max(low, 0), min(bottom, len(straight.hu)))
    hu = straight.hu[planes]
    shares = np.full(2, np.nan)
    if len(hu) == 0:
        return shares
    ahead = AHEAD[None, :] + straight.canal_mm[planes, None]
    within = (ahead > IN_FRONT_MM[0]) & (ahead < IN_FRONT_MM[1])
    rows = max(1, round(THICK_MM / float(AHEAD[1] - AHEAD[0])))
    for side, sign in enumerate((-1, 1)):
        at = (sign * LATERAL >= SIDE_MM[0]) & (sign * LATERAL <= SIDE_MM[1])
        part = hu[:, :, at]
        covered = np.isfinite(part)
        if covered[within].mean() < 0.8:
            continue
        bone = bone_map(np.where(covered, part, tissue_hu), tissue_hu)
        bone = np.where(within[:, :, None] & covered, bone, 0.0)
        shares[side] = np.sort(bone, axis=1)[:, -rows:].mean()
    return shares


def transitional_notes(straight: Straight, discs, numbering, tissue_hu: float) -> tuple[str, ...]:
    """Sentences for a person to check, none where nothing is unusual.

    Parameters
    ----------
    straight : Straight
    discs : array_like of int
        Planes of the discs, from head to feet.
    numbering : Numbering
        The names that were given.
    tissue_hu : float
    """
    notes = []
    names = [numbering.name(position) for position in range(len(discs) - 1)]
    # At T12 the other side may only have a short rib, which is common.
    if numbering.one_rib is not None and numbering.one_rib[0] == "L1":
        notes.append(
            f"Possible transitional anatomy: L1 seems to bear a rib on the {numbering.one_rib[1]} "
            "only (or the other 12th rib is missing); confirm the labels."
        )
    if "L5" in names:
        at = names.index("L5")
        shares = joined_to_sacrum(straight, int(discs[at]), int(discs[at + 1]), tissue_hu)
        sides = [name for name, x in zip(("left", "right"), shares, strict=True) if x >= JOINED]
        if sides:
            where = "both sides" if len(sides) == 2 else f"the {sides[0]}"
            notes.append(
                f"Possible transitional anatomy: L5 seems to be joined to the sacrum on {where}; "
                "confirm the labels."
            )
    return tuple(notes)
