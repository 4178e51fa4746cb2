"""What two witnesses see beside each vertebra: rules that follow bone, and a small network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .evidence import see_sides
from .ribs import rib_evidence
from .settings import SETTINGS, WitnessSettings
from .straightened import AHEAD, LATERAL, StraightenedSpine, between
from .traced import Traced

Places = list[tuple[int, int]]


@dataclass(frozen=True)
class Evidence:
    """What one witness sees beside the vertebrae of a chain and two places below it.

    Attributes
    ----------
    ribs : ndarray, shape (2, m)
        For a rib on the left and right, -3 to 3; NaN where unseen.
    ala : ndarray, shape (m,)
        For the sacral ala; NaN where unseen.
    room_mm : ndarray, shape (m,)
        How far below the vertebra's middle the CT goes on.
    far : ndarray of bool, shape (2, m)
        Where the CT reaches as far to the side as a rib is told from a process.
    bars : bool
        The ribs are bone that reaches far out, whatever it is (the rules).
    """

    ribs: np.ndarray
    ala: np.ndarray
    room_mm: np.ndarray
    far: np.ndarray
    bars: bool

    def seen_ribs(self, drop_mm: float) -> np.ndarray:
        """Ribs run down: that there is none counts only where the CT goes on `drop_mm` below."""
        short = (self.room_mm < drop_mm) & (self.ribs < 0)
        return np.where(short, np.nan, self.ribs)


def witnesses(traced: Traced) -> tuple[Evidence, Evidence]:
    """Evidence of the rules and of the network.

    Parameters
    ----------
    traced : Traced
        A spine with its discs.
    """
    given = traced.settings.witnesses
    places = _places(traced.discs, given)
    seen = traced.profiles.seen
    room = np.array([_room(seen, 0.5 * (top + bottom)) for top, bottom in places])
    lung = lung_beside(traced.straight, places, given)
    lung[len(traced.scores) :] = 0.0
    bars, ala_of_rules, far = _by_rules(traced, places)
    ribs, ala_of_network = _by_network(traced, places)
    told = ribs_end(bars, ribs)
    least = given.min_body_shown_with_ribs if told else given.min_body_shown
    shown = shown_bodies(seen, places, least, given)
    shown[: len(traced.scores)] = True  # whole, or there would be no disc below it

    def evidence(own: np.ndarray, ala: np.ndarray, bars: bool) -> Evidence:
        return Evidence(_with_lung(own, lung, given), np.where(shown, ala, np.nan), room, far, bars)

    return evidence(bars, ala_of_rules, True), evidence(ribs, ala_of_network, False)


def ribs_end(*seen: np.ndarray) -> bool:
    """Whether all witnesses see a vertebra with ribs on both sides and the next one with none.

    Parameters
    ----------
    seen : ndarray, shape (2, m)
        Evidence of each for a rib on the left and right; NaN where unseen.
    """
    ends = [np.all(ribs[:, :-1] > 0, axis=0) & np.all(ribs[:, 1:] < 0, axis=0) for ribs in seen]
    return bool(np.logical_and.reduce(ends).any())


def shown_bodies(
    seen: np.ndarray,
    places: Places,
    least: float = SETTINGS.witnesses.min_body_shown,
    settings: WitnessSettings = SETTINGS.witnesses,
) -> np.ndarray:
    """Whether the CT shows the body at each place, where the sacral alae would join it.

    In a CT that is turned against the spine one side goes on below the last body in view: an
    iliac crest, or a process of L5, without a body between them, is no sacrum.

    Parameters
    ----------
    seen : ndarray of bool, shape (n,)
        Planes whose body lies inside the CT, as `Profiles` carries them.
    places : list of (int, int)
        Planes of the discs above and below each vertebra.
    least : float
        Share of the part where the alae join that must be in view.
    settings : WitnessSettings

    Returns
    -------
    ndarray of bool, shape (m,)
    """
    low, high = settings.ala_share
    shown = np.zeros(len(places), bool)
    for number, (top, bottom) in enumerate(places):
        height = bottom - top
        part = seen[max(0, int(top + low * height)) : max(0, int(top + high * height))]
        shown[number] = len(part) > 0 and part.mean() > least
    return shown


def lung_beside(
    straight: StraightenedSpine, places: Places, settings: WitnessSettings = SETTINGS.witnesses
) -> np.ndarray:
    """Share of lung on the side of each vertebra that has less of it, 0 to 1.

    Parameters
    ----------
    straight : StraightenedSpine
    places : list of (int, int)
        Planes of the discs above and below each vertebra.
    settings : WitnessSettings

    Returns
    -------
    ndarray, shape (m,)
        0 where the CT does not reach.
    """
    rows = between(AHEAD, settings.lung_ahead_mm)
    share = np.zeros((2, len(places)))
    for side, sign in enumerate((-1, 1)):
        columns = between(sign * LATERAL, settings.lung_side_mm)
        for number, (top, bottom) in enumerate(places):
            hu = straight.hu[max(0, top) : max(0, bottom)][:, rows][:, :, columns]
            if hu.size:
                share[side, number] = between(hu, settings.lung_hu).mean()
    beside: np.ndarray = share.min(axis=0)
    return beside


def _with_lung(ribs: np.ndarray, lung: np.ndarray, given: WitnessSettings) -> np.ndarray:
    """Rib evidence where lung lies on both sides of a vertebra and of all above it."""
    thoracic = np.logical_and.accumulate(lung >= given.min_lung)
    return np.where(thoracic, np.fmax(ribs, given.lung_evidence), ribs)


def _places(discs: np.ndarray, given: WitnessSettings) -> Places:
    """Upper and lower disc of every vertebra and of two places below the last disc."""
    last = int(np.clip(np.median(np.diff(discs)[-3:]), *given.place_mm))
    edges = [*discs, discs[-1] + last, discs[-1] + 2 * last]
    return list(zip(edges, edges[1:], strict=False))


def _room(seen: np.ndarray, middle: float) -> float:
    """Planes from `middle` to the last one that is seen, endless where the line's last one is."""
    if seen[-1]:
        return np.inf
    last = np.flatnonzero(seen)
    return float((last[-1] if len(last) else -1) - int(middle))


def _by_rules(traced: Traced, places: Places) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bone followed to the side, and bone where the sacrum has it."""
    given = traced.settings.witnesses
    along, reaches = rib_evidence(
        traced.straight, traced.reduced, traced.tissue_hu, traced.settings
    )
    beside = np.fmin(*traced.profiles.ala)
    n = len(beside)
    above, below = given.rib_share
    low, high = given.ala_share
    ribs, far, found = [], [], []
    for top, bottom in places:
        height = bottom - top
        near = slice(max(0, int(top - above * height)), max(1, int(top + below * height)))
        part = along[:, near]
        ribs.append([np.nan if np.isnan(p).all() else np.nanmax(p) for p in part])
        enough = reaches[:, near].shape[1] > 0
        far.append(reaches[:, near].mean(axis=1) > given.min_seen if enough else [False, False])
        part = beside[min(n, int(top + low * height)) : int(top + high * height)]
        enough = len(part) and np.isfinite(part).mean() > given.min_seen
        found.append(np.nanmedian(part) if enough else np.nan)
    ala = np.array(found)
    most = given.ala_of_most * np.max(np.nan_to_num(ala))
    threshold = float(np.clip(most, *given.ala_limits))
    value = np.clip(given.ala_steepness * (ala - threshold) / threshold, *given.ala_evidence)
    return np.array(ribs).T, value, np.array(far, bool).T


def _by_network(traced: Traced, places: Places) -> tuple[np.ndarray, np.ndarray]:
    """What the side network says of each side, -3 to 3."""
    given = traced.settings.witnesses
    logits, cover = see_sides(traced.straight, traced.reduced, traced.tissue_hu)
    ribs, found = [], []
    for top, bottom in places:
        margin = given.side_margin * (bottom - top)
        at = slice(max(0, int(top + margin)), max(1, int(bottom - margin)))
        seen = np.full((2, 2), np.nan)
        for side in range(2):
            if len(cover[side, at]) and cover[side, at].mean() > given.min_seen:
                rib, none, ala = logits[side, at].mean(axis=0)
                seen[side] = rib - np.logaddexp(none, ala), ala - np.logaddexp(none, rib)
        seen = np.clip(given.sharpness * seen, -given.max_evidence, given.max_evidence)
        ribs.append(seen[:, 0])
        worse, better = np.sort(seen[:, 1])
        if np.isnan(better):
            found.append(worse)
        else:
            found.append(given.worse_side * worse + given.better_side * better)
    return np.array(ribs).T, np.array(found)
