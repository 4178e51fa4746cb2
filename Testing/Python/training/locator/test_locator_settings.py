"""Settings are chosen by what copies of virtual volumes cost, and copies keep their truth."""

from dataclasses import replace

import numpy as np
import pytest

from CTBMDLib.spine.witnesses import Evidence
from CTBMDLib.volume import CTVolume
from training.locator import settings as locator_settings
from training.locator.settings import (
    LIMITS,
    Copy,
    count_verdicts,
    judge_copy,
    names_right,
    print_grid,
    random_copies,
)

NAMES = ("T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1", "S2")


def copy_of(first, last, *, rib=None, network=3.0, room=100.0):
    """Both witnesses see the spine from one vertebra to another, as it is or with another rib."""
    names = NAMES[first : last + 1]
    m = len(names)
    ribs = np.array([[network if n[0] == "T" or n == rib else -network for n in names]] * 2)
    ala = np.array([network if n[0] == "S" else -network for n in names])
    pad = np.full((2, 2), np.nan)
    ribs, ala = np.hstack([ribs, pad]), np.append(ala, [np.nan, np.nan])
    rooms = np.append(room + 30.0 * np.arange(m)[::-1], [0.0, 0.0])
    far = np.isfinite(ribs)
    seen = [Evidence(ribs, ala, rooms, far, bars) for bars in (True, False)]
    whole = tuple(n for n in names if n[0] == "L")
    return Copy(1, "made", *seen, np.full(m, 1.9), names, whole)


def test_verdicts_follow_the_truth():
    assert judge_copy(copy_of(1, 8), LIMITS) == "right"
    # The same evidence with another truth is an unflagged error.
    moved = replace(copy_of(1, 8), true=NAMES[2:10])
    assert judge_copy(moved, LIMITS) == "wrong"
    # Neither rib nor sacrum in view: said to be uncertain.
    assert judge_copy(copy_of(4, 6), LIMITS) == "uncertain"
    counts = count_verdicts([copy_of(1, 8), moved, copy_of(4, 6)], LIMITS)
    each = {"right": 1, "uncertain": 1, "wrong": 1}
    assert counts["usual"] == each and counts["cost"] == pytest.approx(11 / 3)
    strange = [replace(copy_of(1, 8), seed=3), replace(moved, seed=7)]
    both = count_verdicts([copy_of(1, 8), *strange], LIMITS)
    assert both["transitional"] == {"right": 1, "uncertain": 0, "wrong": 1}
    assert both["cost"] == pytest.approx(0.1 * 10 / 2)


def test_where_the_ct_ends_below_a_vertebra_no_rib_counts_by_the_setting():
    seen = copy_of(1, 3, room=15.0)
    assert np.isnan(seen.network.seen_ribs(28.0)[:, 2]).all()
    assert (seen.network.seen_ribs(10.0)[:, 2] < 0).all()
    assert (seen.network.seen_ribs(28.0)[:, 1] > 0).all()
    assert judge_copy(seen, replace(LIMITS, rib_drop_mm=10.0)) == "right"
    assert judge_copy(seen, replace(LIMITS, rib_drop_mm=28.0)) == "uncertain"


def test_the_cheapest_setting_is_printed(monkeypatch, capsys):
    grid = {"least": (0.5, 0.8), "clear": (1.0,), "rib_drop_mm": (10.0, 28.0)}
    monkeypatch.setattr(locator_settings, "GRID", grid)
    best = print_grid([copy_of(1, 3, room=15.0), copy_of(1, 8)])
    assert best.rib_drop_mm == 10.0
    wrong = replace(copy_of(1, 3, room=15.0), true=NAMES[0:3])
    assert print_grid([wrong, copy_of(1, 8)]).rib_drop_mm == 28.0
    torn = copy_of(1, 8)
    torn = replace(torn, rules=replace(torn.rules, ribs=-torn.rules.ribs, ala=0 * torn.rules.ala))
    assert names_right([torn, copy_of(1, 8)], LIMITS) == (10, 10)
    lines = capsys.readouterr().out.splitlines()
    assert sum("<- least" in line for line in lines) >= 6


def test_copies_hold_their_truth():
    x, y, z = (np.arange(-a, a, d) for a, d in ((80.0, 4.0), (70.0, 4.0), (190.0, 4.0)))
    zz, yy, xx = np.meshgrid(z, y, x, indexing="ij")
    centres = {n: np.array([2.0, -10.0, 160.0 - 35.0 * i]) for i, n in enumerate(NAMES)}
    hu = np.full(zz.shape, 40.0)
    for at in centres.values():
        hu[np.hypot(np.hypot(xx - at[0], yy - at[1]), zz - at[2]) < 9] = 400.0
    matrix = np.diag([4.0, 4.0, 4.0, 1.0])
    matrix[:3, 3] = x[0], y[0], z[0]
    volume = CTVolume(hu.astype(np.int16), matrix)
    heights, names = [], set()
    for seed in range(3):
        for name, copy, places in random_copies(volume, centres, seed):
            heights.append(np.ptp(copy.ras_bounds[2]))
            names.add(name.split(", ")[-1])
            inside = [p for p in places.values() if copy.contains(p, 12.0)]
            if "noise" not in name and "screws" not in name and "contrast" not in name:
                assert all(copy.sample(p) > 150 for p in inside)
    assert min(heights) < 200 and max(heights) > 370
    assert len(names) > 6
    ends = [copy for name, copy, _ in random_copies(volume, centres, 0) if "above" in name]
    assert len(ends) == 2 and not any(copy.contains(centres["L1"]) for copy in ends)
    again = [n for n, *_ in random_copies(volume, centres, 2)]
    assert again == [n for n, *_ in random_copies(volume, centres, 2)]
