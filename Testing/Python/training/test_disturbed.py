"""What is planted in an image keeps off bone, what is cut off becomes air, and both are counted."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from CTBMDLib.model.images import ImageStandard  # noqa: E402
from CTBMDLib.volume import AIR_HU  # noqa: E402
from training.evaluation import disturbed, evaluate  # noqa: E402
from training.fitting.targets import read_bone  # noqa: E402

STANDARD = ImageStandard()


def drawn(levels=3):
    """A disc of bone with an arch in soft tissue, one image a level and position."""
    x, y = disturbed.across(STANDARD)
    hu = np.full(x.shape, -100.0)
    hu[(np.abs(x) < 55) & (y > -50) & (y < 50)] = 50.0
    hu[np.hypot(x / 24, y / 17) < 1] = 200.0
    hu[(np.abs(x) < 8) & (y > 25) & (y < 60)] = 400.0
    return np.repeat(hu[None], levels, axis=0).astype(np.float32)


@pytest.mark.parametrize("thing", disturbed.THINGS)
def test_what_is_planted_is_bright_and_keeps_off_bone(thing):
    hu = drawn()
    got, which = disturbed.planted(hu, thing, STANDARD)
    assert which.all()
    changed = got != hu
    assert 8 < changed[0].sum() < 400  # pixels of 2 mm
    bone, _ = read_bone(hu, STANDARD)
    assert not changed[bone == 1].any()
    assert got.max() == pytest.approx(disturbed.THINGS[thing][1], rel=0.25)


@pytest.mark.parametrize("thing", disturbed.THINGS)
def test_without_room_nothing_is_planted(thing):
    hu = np.full((2, STANDARD.size_px, STANDARD.size_px), 300.0, np.float32)
    got, which = disturbed.planted(hu, thing, STANDARD)
    assert not which.any()
    assert np.array_equal(got, hu)


@pytest.mark.parametrize("view", disturbed.VIEWS)
def test_a_narrow_view_keeps_the_body_and_tells_what_is_outside(view):
    hu = drawn()
    got, share = disturbed.narrowed(hu, view, STANDARD)
    assert share == pytest.approx((got == AIR_HU).mean(), abs=1e-6)
    assert 0.04 < share < 0.46
    x, y = disturbed.across(STANDARD)
    kept = (np.abs(x) < 38) & (y > -22) & (y < 55)
    assert np.array_equal(got[:, kept], hu[:, kept])
    low_x, high_x, back, front = disturbed.VIEWS[view]
    assert (got[:, x < low_x] == AIR_HU).all() and (got[:, -y > front] == AIR_HU).all()


def table(patients):
    images = [{level: drawn() for level in ("L1", "L2")} for _ in range(patients)]
    ones = np.ones(patients)
    return evaluate.Table(
        [str(i) for i in range(patients)],
        [str(i) for i in range(patients)],
        np.array(["F"] * patients),
        60 * ones,
        25 * ones,
        ones,
        np.ones((patients, 4)),
        100 * ones,
        ones,
        images,
        120 * ones,
    )


def test_an_answer_that_counts_bright_things_is_found_out():
    def by_all(hu, kvp):
        return np.clip(hu, 0, None).mean(axis=(1, 2))[None] / 100

    def by_bone(hu, kvp):
        x, y = disturbed.across(STANDARD)
        return hu[:, np.hypot(x, y) < 10].mean(axis=1)[None] / 200

    bad = disturbed.disturbed(by_all, table(3), STANDARD)
    good = disturbed.disturbed(by_bone, table(3), STANDARD)
    for thing in disturbed.THINGS:
        assert bad["planted"][thing]["mean"] > 0.01
        assert bad["planted"][thing]["below_0.01"] == 0
        assert good["planted"][thing]["mean"] == pytest.approx(0, abs=1e-6)
        assert good["planted"][thing]["patients"] == 3
    for view in disturbed.VIEWS:
        assert good["narrow"][view]["below_0.01"] == 1
    text = "\n".join(disturbed.lines(bad))
    assert all(name in text for name in (*disturbed.THINGS, *disturbed.VIEWS))
