"""The page on findings of virtual people: its truth, and how its counts come about."""

import numpy as np
import pytest

from training.evaluation.findings import page, true_core_hu, true_heights
from training.virtual.anatomy import make_scene
from training.virtual.primitives import HEIGHT, RHO_TRABECULAR
from training.virtual.traits import draw_traits


def scene():
    return make_scene(draw_traits(np.random.default_rng([5, 5]), "realistic"), 5, "realistic")


def test_the_true_core_follows_the_drawn_density_and_its_depth():
    plain, denser = scene(), scene()
    n = plain.names.index("L2")
    denser.spine[0][n, RHO_TRABECULAR] += 0.02
    step = true_core_hu(denser, n, 120) - true_core_hu(plain, n, 120)
    assert 15 < step < 60  # 20 mg/cm3, more towards walls and plates than in the middle
    assert true_core_hu(plain, n, 120, 4.0) > true_core_hu(plain, n, 120, 6.0)


def test_true_heights_follow_the_drawn_height():
    plain, lower = scene(), scene()
    n = plain.names.index("L3")
    lower.spine[0][n, HEIGHT] -= 5
    lost = true_heights(plain, n).array - true_heights(lower, n).array
    assert lost == pytest.approx([5, 5, 5], abs=0.7)


def row(error=1.0, cement=False, lost=0.0, codes=(), kvp=120):
    return {"kvp": kvp, "error": error, "cement": cement, "lost": lost, "codes": set(codes)}


def test_the_page_counts_what_is_told_of_those_who_have_it_and_of_those_who_have_not():
    rows = [
        row(), row(9.0), row(kvp=80), row(lost=0.3, codes=["height-loss"]), row(lost=0.3),
        row(lost=0.17, codes=["height-loss"]), row(None, cement=True, codes=["cement"]),
        row(None, cement=True), row(codes=["cement"]),
    ]  # fmt: skip
    text = page(rows, "command")
    assert "| cement | 2 | 1 | 7 | 1 |" in text
    assert "below 15 % | 2 | 1 | 4 | 0 |" in text
    assert "| all tube voltages | 7 | +2.1 |" in text and "| 120 and 140 kV | 6 |" in text
    assert "Simulated CT" in text
