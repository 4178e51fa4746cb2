"""Signs of a transitional vertebra that do not change the count: a half-sacral L5, one rib at L1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .numbering import Numbering
from .settings import SETTINGS, TransitionalSettings
from .straightened import AHEAD, LATERAL, StraightenedSpine, between


def joined_to_sacrum(
    straight: StraightenedSpine,
    bone: np.ndarray,
    top: int,
    bottom: int,
    settings: TransitionalSettings = SETTINGS.transitional,
) -> np.ndarray:
    """How far bone fills the place beside a vertebra's lower half, on each side.

    A transverse process springs from the upper half; one that is joined to the
    sacrum (Castellvi II to IV, Spine 1984;9:493) goes down to the ala.

    Parameters
    ----------
    straight : StraightenedSpine
    bone : ndarray, shape (n, len(AHEAD), len(LATERAL))
        Its bone map, as `Profiles` carries it.
    top, bottom : int
        Planes of the discs above and below the vertebra.
    settings : TransitionalSettings

    Returns
    -------
    ndarray, shape (2,)
        Share of bone on the patient's left and right, 0 to 1; NaN where the CT does not reach.
    """
    low = int(round(bottom - settings.lower_share * (bottom - top)))
    planes = slice(max(low, 0), min(bottom, len(straight.hu)))
    hu = straight.hu[planes]
    shares = np.full(2, np.nan)
    if len(hu) == 0:
        return shares
    ahead = AHEAD[None, :] + straight.canal_mm[planes, None]
    within = (ahead > settings.in_front_mm[0]) & (ahead < settings.in_front_mm[1])
    rows = max(1, round(settings.thick_mm / float(AHEAD[1] - AHEAD[0])))
    for side, sign in enumerate((-1, 1)):
        at = between(sign * LATERAL, settings.side_mm)
        covered = np.isfinite(hu[:, :, at])
        if covered[within].mean() < settings.min_covered:
            continue
        part = np.where(within[:, :, None] & covered, bone[planes][:, :, at], 0.0)
        shares[side] = np.sort(part, axis=1)[:, -rows:].mean()
    return shares


def transitional_findings(
    straight: StraightenedSpine,
    bone: np.ndarray,
    discs: Sequence[int] | np.ndarray,
    numbering: Numbering,
    settings: TransitionalSettings = SETTINGS.transitional,
) -> tuple[str, ...]:
    """Sentences for a person to check, none where nothing is unusual.

    Parameters
    ----------
    straight : StraightenedSpine
    bone : ndarray
        Its bone map, as `Profiles` carries it.
    discs : array_like of int
        Planes of the discs, from head to feet.
    numbering : Numbering
        The names that were given.
    settings : TransitionalSettings
    """
    findings = []
    names = [numbering.name(position) for position in range(len(discs) - 1)]
    # At T12 the other side may only have a short rib, which is common.
    if numbering.one_rib is not None and numbering.one_rib[0] == "L1":
        findings.append(
            f"Possible transitional anatomy: L1 seems to bear a rib on the {numbering.one_rib[1]} "
            "only (or the other 12th rib is missing); confirm the labels."
        )
    if "L5" in names:
        at = names.index("L5")
        shares = joined_to_sacrum(straight, bone, int(discs[at]), int(discs[at + 1]), settings)
        pairs = zip(("left", "right"), shares, strict=True)
        sides = [name for name, share in pairs if share >= settings.joined]
        if sides:
            where = "both sides" if len(sides) == 2 else f"the {sides[0]}"
            findings.append(
                f"Possible transitional anatomy: L5 seems to be joined to the sacrum on {where}; "
                "confirm the labels."
            )
    return tuple(findings)
