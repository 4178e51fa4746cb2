"""The prediction interval by hand: each factor of it shows, and so does each limit."""

from __future__ import annotations

import numpy as np
import pytest

from CTBMDLib.bmd.interval import (
    QUANTILES,
    conformal_quantile,
    image_spread,
    interval_for,
    interval_half_width,
    rescaled_half_widths,
    scaled_quantiles,
    spread,
)

CARD = {"floor_g_cm2": 0.03, "quantile_level": 2.5, "quantile_total": 1.7}


def test_the_spread_of_images_is_that_of_their_mean():
    # Means over the members 1.0, 1.1, 1.3: variance 0.07 / 3 with one less, over three images.
    values = np.array([[0.9, 1.0, 1.5], [1.1, 1.2, 1.1]])
    assert image_spread(values) == pytest.approx(0.07 / 3 / 3)
    assert image_spread(values[:, :2]) == pytest.approx(0.005 / 2)
    assert image_spread(values[:, :1]) == 0.0
    # The members' own differences are not the images'.
    assert image_spread(np.array([[1.0, 1.0], [2.0, 2.0]])) == 0.0


def test_the_spread_is_the_root_of_what_adds_up():
    assert spread(0.03, 0.0016, 0.0) == pytest.approx(0.05)
    assert spread(0.03, 0.0, 0.0016) == pytest.approx(0.05)
    assert spread(0.03, 0.0016, 0.0119) == pytest.approx(0.12)
    assert spread(0.03, 0.0016, -0.5) == pytest.approx(0.05)
    assert spread(3.0, np.array([16.0, 0.0]), np.array([0.0, 16.0])).tolist() == [5.0, 5.0]


@pytest.mark.parametrize(("kind", "quantile"), [("level", 2.5), ("total", 1.7)])
def test_the_half_width_by_hand(kind, quantile):
    # Members 0.04 about their mean: variance 0.0016.
    half = interval_half_width(CARD, [0.96, 1.04], 0.0119, kind)
    assert half == pytest.approx(quantile * 0.12)
    assert isinstance(half, float)
    assert QUANTILES == ("quantile_level", "quantile_total")


@pytest.mark.parametrize("scale", [0.8, 1.0, 1.25])
def test_a_rescaled_half_width_by_hand(scale):
    # 1.7 x 0.05 is a floor of 0.03 and 0.04 beside it, which alone is stretched.
    wide, floor, less = rescaled_half_widths(CARD, [1.7 * 0.05, 1.7 * 0.03, 1.7 * 0.02], scale)
    assert wide == pytest.approx(1.7 * np.hypot(0.03, 0.04 * scale))
    assert floor == pytest.approx(1.7 * 0.03)
    assert less == pytest.approx(1.7 * 0.03)


def test_without_a_tube_voltage_the_interval_has_quantiles_of_its_own():
    card = {**CARD, "without_kvp": {"quantile_level": 5.0, "quantile_total": 3.4}}
    assert interval_for(card, 120.0) is card
    assert interval_for(CARD, None) == CARD
    wider = interval_for(card, None)
    assert interval_half_width(wider, [1.0], 0.0, "total") == pytest.approx(3.4 * 0.03)
    assert interval_half_width(card, [1.0], 0.0, "total") == pytest.approx(1.7 * 0.03)
    assert wider["floor_g_cm2"] == CARD["floor_g_cm2"]
    twice = scaled_quantiles(card, 2.0)
    assert interval_for(twice, None)["quantile_level"] == 10.0
    assert interval_for(twice, 120.0)["quantile_total"] == 3.4
    assert card["without_kvp"]["quantile_level"] == 5.0, "the card given stays as it is"
    thirds = scaled_quantiles(card, 1 / 3)
    assert scaled_quantiles(thirds, 1 / 3, undo=True) == card
    assert "without_kvp" not in scaled_quantiles(CARD, 2.0)


def test_half_widths_of_known_and_unknown_voltages_are_rescaled_each_by_its_own():
    mixed = {**CARD, "quantile_total": [1.7, 3.4]}
    known, unknown = rescaled_half_widths(mixed, [1.7 * 0.05, 3.4 * 0.05], 1.25)
    assert known == pytest.approx(1.7 * np.hypot(0.03, 0.05))
    assert unknown == pytest.approx(2 * known)


def test_the_quantile_for_each_count_of_patients():
    # The rank is 0.9 x (n + 1) rounded up, and the largest where that is more than there are.
    ranks = {1: 1, 8: 8, 9: 9, 10: 10, 11: 11, 18: 18, 19: 18, 20: 19, 28: 27, 29: 27, 30: 28}
    for count, rank in ranks.items():
        assert conformal_quantile(np.arange(count, 0, -1)) == rank
    assert conformal_quantile(np.arange(1, 21), 0.5) == 11
    assert conformal_quantile(np.arange(1, 21), 0.05) == 2
