"""What two witnesses see beside each vertebra: rules that follow bone, and a small network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .evidence import see_sides
from .ribs import rib_evidence

SHARPNESS = 0.6
"""Factor on what the side network says: neighbours and both sides are not independent."""


@dataclass(frozen=True)
class Evidence:
    """What one witness sees beside the vertebrae of a chain and two places below it.

    Attributes
    ----------
    ribs : ndarray, shape (2, m)
        For a rib on the left and right, -3 to 3; NaN where unseen.
    wings : ndarray, shape (m,)
        For the sacrum's ala; NaN where unseen.
    room_mm : ndarray, shape (m,)
        How far below the vertebra's middle the CT goes on.
    bars : bool
        The ribs are bone that reaches far out, whatever it is (the rules).
    """

    ribs: np.ndarray
    wings: np.ndarray
    room_mm: np.ndarray
    bars: bool

    def seen_ribs(self, drop_mm: float) -> np.ndarray:
        """Ribs run down: that there is none counts only where the CT goes on `drop_mm` below."""
        short = (self.room_mm < drop_mm) & (self.ribs < 0)
        return np.where(short, np.nan, self.ribs)


def witnesses(straight, profiles, reduced, discs, tissue_hu: float) -> tuple[Evidence, Evidence]:
    """Evidence of the rules and of the network.

    Parameters
    ----------
    straight : Straight
    profiles : Profiles
    reduced : CTVolume
        Where what lies further to the side is sampled.
    discs : ndarray of int
        Planes of the discs, from head to feet.
    tissue_hu : float
        HU of muscle in this CT.
    """
    places = _places(discs)
    room = np.array([_room(profiles.seen, 0.5 * (top + bottom)) for top, bottom in places])
    ribs, wings = _by_rules(straight, profiles, reduced, places, tissue_hu)
    rules = Evidence(ribs, wings, room, True)
    ribs, wings = _by_network(straight, reduced, places, tissue_hu)
    return rules, Evidence(ribs, wings, room, False)


def _places(discs):
    """Upper and lower disc of every vertebra and of two places below the last disc."""
    last = int(np.clip(np.median(np.diff(discs)[-3:]), 28, 42))
    edges = [*discs, discs[-1] + last, discs[-1] + 2 * last]
    return list(zip(edges, edges[1:], strict=False))


def _room(seen, middle):
    """Planes from `middle` to the last one that is seen, endless where the line's last one is."""
    if seen[-1]:
        return np.inf
    last = np.flatnonzero(seen)
    return float((last[-1] if len(last) else -1) - int(middle))


def _by_rules(straight, profiles, reduced, places, tissue):
    """Bone followed to the side, and bone where the sacrum has it."""
    along = rib_evidence(straight, reduced, tissue)
    ala = np.fmin(*profiles.wings)
    n = len(ala)
    ribs, wings = [], []
    for top, bottom in places:
        height = bottom - top
        part = along[:, max(0, int(top - 0.1 * height)) : max(1, int(top + 0.6 * height))]
        ribs.append([np.nan if np.isnan(p).all() else np.nanmax(p) for p in part])
        part = ala[min(n, int(top + 0.1 * height)) : int(top + 0.55 * height)]
        enough = len(part) and np.isfinite(part).mean() > 0.6
        wings.append(np.nanmedian(part) if enough else np.nan)
    # The broad transverse process of L5 shows a little; the sacrum much more.
    wings = np.array(wings)
    threshold = float(np.clip(0.5 * np.max(np.nan_to_num(wings)), 0.045, 0.12))
    return np.array(ribs).T, np.clip(3.0 * (wings - threshold) / threshold, -2.5, 5.0)


def _by_network(straight, reduced, places, tissue):
    """What the side network says of each side, -3 to 3."""
    logits, cover = see_sides(straight, reduced, tissue)
    ribs, wings = [], []
    for top, bottom in places:
        height = bottom - top
        at = slice(max(0, int(top + 0.2 * height)), max(1, int(bottom - 0.2 * height)))
        seen = np.full((2, 2), np.nan)
        for side in range(2):
            if len(cover[side, at]) and cover[side, at].mean() > 0.6:
                rib, none, wing = logits[side, at].mean(axis=0)
                seen[side] = rib - np.logaddexp(none, wing), wing - np.logaddexp(none, rib)
        seen = np.clip(SHARPNESS * seen, -3.0, 3.0)
        ribs.append(seen[:, 0])
        # The line may leave the sacrum sideways: the better side counts a little more.
        low, high = np.sort(seen[:, 1])
        wings.append(low if np.isnan(high) else 0.4 * low + 0.6 * high)
    return np.array(ribs).T, np.array(wings)
