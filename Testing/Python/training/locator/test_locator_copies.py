"""Changed copies of a CT are what their names say, and the right answer stays where it was."""

from dataclasses import replace

import numpy as np
import pytest

from CTBMDLib.volume import CTVolume
from training.locator.copies import (
    crop_box,
    feet_first,
    fine,
    many_slices,
    whole_body,
    with_contrast,
    with_metal,
)

CENTRES = {f"L{n + 1}": np.array([4.0, -30.0, 72.0 - 36.0 * n]) for n in range(5)}


@pytest.fixture(scope="module")
def volume():
    """A trunk of muscle with a column of bone, in voxels of 3 x 3 x 4 mm."""
    x, y, z = (np.arange(-a, a, d) for a, d in ((165.0, 3.0), (120.0, 3.0), (110.0, 4.0)))
    zz, yy, xx = np.meshgrid(z, y, x, indexing="ij")
    hu = np.full(zz.shape, -1000.0)
    hu[np.hypot(xx / 150, yy / 105) < 1] = 50.0
    hu[np.hypot(xx - 4, yy + 30) < 18] = 220.0 + zz[np.hypot(xx - 4, yy + 30) < 18]
    matrix = np.diag([3.0, 3.0, 4.0, 1.0])
    matrix[:3, 3] = x[0], y[0], z[0]
    return CTVolume(hu.astype(np.int16), matrix)


def probes(seed=1, count=200):
    return np.random.default_rng(seed).uniform((-100, -60, -80), (100, 60, 80), (count, 3))


def test_places_and_values_stay(volume):
    points = probes()
    want = volume.sample(points)
    box = crop_box(volume, CENTRES["L3"], (120.0, 100.0, 90.0))
    inside = np.array([box.contains(p, 3.0) for p in points])
    assert inside.sum() > 100
    assert np.allclose(box.sample(points[inside]), want[inside], atol=0.1)
    thin = fine(volume, CENTRES["L3"], 1.0)
    assert np.allclose(thin.spacing_mm, 1.0, atol=0.05)
    many = many_slices(volume, 300)
    assert 290 <= max(many.hu.shape) <= 310
    for changed in (thin, many, feet_first(volume)):
        inside = np.array([changed.contains(p, 3.0) for p in points])
        assert inside.sum() > 100
        error = np.abs(changed.sample(points[inside]) - want[inside])
        assert np.median(error) < 2.0 and np.percentile(error, 90) < 40.0


def test_feet_first_turns_right_and_up_only(volume):
    before, after = (np.diag(v.ijk_to_ras)[:3] for v in (volume, feet_first(volume)))
    assert np.array_equal(np.sign(after), np.sign(before) * [-1, 1, -1])
    sagittal = replace(
        volume,
        hu=volume.hu.transpose(2, 0, 1),
        ijk_to_ras=volume.ijk_to_ras[:, [1, 2, 0, 3]],
    )
    turned = feet_first(sagittal)
    point = np.array([40.0, 20.0, 60.0])
    assert abs(turned.sample(point) - sagittal.sample(point)) < 1e-3
    signs = np.sign(turned.ijk_to_ras[:3, :3]) * np.sign(sagittal.ijk_to_ras[:3, :3])
    assert np.array_equal(signs.sum(axis=0), [1, -1, -1])


def test_contrast_is_bright_before_the_spine_and_leaves_bone_alone(volume):
    changed = with_contrast(volume, CENTRES, 300.0)
    aorta = CENTRES["L3"] + [-9, 36, 0]
    assert changed.sample(aorta) > 280 and volume.sample(aorta) < 60
    bone = volume.hu > 150
    assert np.array_equal(changed.hu[bone], volume.hu[bone])
    assert np.array_equal(changed.hu[volume.hu < -500], volume.hu[volume.hu < -500])


def test_metal_is_at_its_levels_with_streaks(volume):
    changed = with_metal(volume, CENTRES, ("L4", "L5"))
    metal = np.argwhere(changed.hu > 3000)[:, ::-1] @ np.diag([3.0, 3.0, 4.0])
    metal = metal + volume.ijk_to_ras[:3, 3]
    assert len(metal) > 20
    assert CENTRES["L5"][2] - 5 < metal[:, 2].min() and metal[:, 2].max() < CENTRES["L4"][2] + 15
    muscle = volume.hu == 50
    assert changed.hu[muscle].min() < -100 and changed.hu[muscle].max() > 250


@pytest.mark.slow
def test_the_whole_body_keeps_the_real_part(volume):
    body = whole_body(volume, CENTRES, seed=14, mm=4.0)
    height = np.ptp(body.ras_bounds[2])
    assert height > 900
    points = probes(2)
    error = np.abs(body.sample(points) - volume.sample(points))
    assert np.median(error) < 10.0
    # Bone of the chest's spine continues the column above; there are two thighs below.
    top = volume.ras_bounds[2, 1]
    above = body.sample(np.array([[4.0, -30.0, top + d] for d in range(10, 60, 5)]))
    assert (above > 100).mean() > 0.5
    low = volume.ras_bounds[2, 0]
    row = body.sample(np.array([[x, 0.0, low - 100] for x in range(-150, 151, 5)]))
    tissue = row > -300
    assert np.abs(np.diff(tissue.astype(int))).sum() >= 3


def test_a_long_trace_is_cut_to_what_lies_above_its_last_disc():
    from types import SimpleNamespace

    from CTBMDLib.spine.column import Column
    from CTBMDLib.spine.settings import SETTINGS
    from CTBMDLib.spine.trace import lower_part

    def column(length):
        body = np.zeros((int(length / 6), 3))
        body[:, 2] = -6.0 * np.arange(len(body))
        return Column(body, body - (0, 20, 0), np.ones(len(body)))

    down = SimpleNamespace(centre=np.array([[0.0, 0.0, -float(s)] for s in range(1300)]))

    def traced(length, discs):
        return SimpleNamespace(
            column=column(length), straight=down, discs=np.array(discs), settings=SETTINGS
        )

    part = lower_part(traced(1290, [400, 435, 470]))
    assert part.body[0, 2] == pytest.approx(-470 + SETTINGS.trace.kept_mm, abs=6)
    assert part.body[-1, 2] == pytest.approx(-480, abs=6)
    assert lower_part(traced(SETTINGS.trace.long_mm - 50, [400, 435, 470])) is None
    assert lower_part(traced(1290, [])) is None


@pytest.mark.parametrize("found, taken", [(7.0, True), (3.0, False)])
def test_a_trace_that_left_the_spine_is_followed_anew_without_what_it_followed(
    monkeypatch, found, taken
):
    from types import SimpleNamespace

    from CTBMDLib.spine import below as spine_below
    from CTBMDLib.spine.column import Column
    from CTBMDLib.spine.settings import FIRM, SETTINGS

    body = np.zeros((40, 3))
    body[:, 2] = -6.0 * np.arange(40)
    column = Column(body, body - (0, 20, 0), np.ones(40))
    straight = SimpleNamespace(centre=np.array([[0.0, 0.0, -float(s)] for s in range(240)]))
    given = {}

    def refine(reduced, part, tissue_hu, kind, avoid, settings, keep):
        given.update(kept=part.body, avoided=avoid[0].body, sure=keep.body, rounds=len(avoid))
        return part

    def traced(worth, seen):
        return SimpleNamespace(
            straight=straight,
            profiles=SimpleNamespace(seen=np.arange(240) < seen),
            ct=SimpleNamespace(reduced=None, tissue_hu=50.0, settings=SETTINGS),
            settings=SETTINGS,
            discs=np.array([20, 55, 90]),
            column=column,
            kind=FIRM,
            worth=worth,
            is_lumbar=True,
        )

    monkeypatch.setattr(spine_below, "refine_column", refine)
    monkeypatch.setattr(spine_below, "trace_along", lambda *_: traced(found, 240))
    monkeypatch.setattr(spine_below, "attempt", lambda *_: None)  # no other column
    result = spine_below.follow_further(traced(5.0, 240))
    assert (result is not None) == taken
    assert given["kept"][-1, 2] == -126.0 and given["avoided"][0, 2] == -132.0
    assert given["sure"][-1, 2] == -90.0  # the last disc
    assert given["rounds"] == (2 if taken else 1)  # followed anew as long as more is found
    # Where the CT ends a little below the last disc there is nothing to follow.
    given.clear()
    assert spine_below.follow_further(traced(5.0, 120)) is None and not given


def test_a_trace_that_left_the_spine_is_joined_to_another_above_its_first_disc():
    from types import SimpleNamespace

    from CTBMDLib.spine import below as spine_below
    from CTBMDLib.spine import trace as spine_trace
    from CTBMDLib.spine.column import Column
    from CTBMDLib.spine.settings import FAINT, FIRM, SETTINGS

    def column(right, count=40):
        body = np.zeros((count, 3))
        body[:, 0], body[:, 2] = right, -6.0 * np.arange(count)
        return Column(body, body - (0, 20, 0), np.full(count, right))

    def traced(first, kind=FIRM):
        return SimpleNamespace(
            straight=SimpleNamespace(centre=np.array([[0.0, 0.0, -float(s)] for s in range(240)])),
            profiles=SimpleNamespace(seen=np.arange(240) >= 12),
            discs=np.array([first, first + 35]),
            column=column(1.0),
            kind=kind,
            settings=SETTINGS,
        )

    joined = spine_trace.join_above(column(2.0), traced(90))
    assert np.array_equal(joined.body[:, 2], column(1.0).body[:, 2])
    # The other column above the disc at -90 mm, the trace from there on.
    for part in (joined.body[:, 0], joined.canal[:, 0], joined.score):
        assert np.array_equal(part, np.where(np.arange(40) < 15, 2.0, 1.0))
    assert spine_trace.join_above(column(2.0), traced(6)) is None
    assert spine_trace.join_above(column(2.0, 10), traced(90)).body.shape == (35, 3)

    # Below the last disc, at -125 mm, the other way round.
    joined = spine_below.join_below(traced(90), column(2.0))
    assert np.array_equal(joined.body[:, 0], np.where(np.arange(40) <= 20, 1.0, 2.0))
    assert spine_below.join_below(traced(90), column(2.0, 22)) is None

    # Only what the CT shows above the first disc counts: here from 12 mm on.
    assert spine_trace.left_above(traced(52)) and not spine_trace.left_above(traced(51))
    assert not spine_trace.left_above(traced(90, FAINT))
