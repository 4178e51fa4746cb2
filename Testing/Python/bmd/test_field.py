"""The body at the field's edge: told where it is cut, silent where air or padding surrounds it."""

import numpy as np
import pytest

from CTBMDLib.bmd.field import check_field, edge_in_tissue
from CTBMDLib.levels import LevelSlice
from CTBMDLib.volume import CTVolume

LEVELS = [LevelSlice("L2", (0.0, 0.0, 30.0)), LevelSlice("L3", (0.0, 0.0, 0.0))]


def scan(half=200.0, body=(160.0, 110.0), air=-1000.0, noise=8.0, padding=None, cut=None, turn=0.0):
    x = np.arange(-half, half + 1, 2.5)
    s = np.arange(-20, 50, 5.0)
    ss, aa, rr = np.meshgrid(s, x, x, indexing="ij")
    inside = (rr / body[0]) ** 2 + (aa / body[1]) ** 2 < 1
    if cut is not None:  # only the upper planes reach the edge
        inside |= (ss > 15) & (np.abs(aa) < 60) & (rr > 0)
    hu = np.where(inside, 20.0, air) + np.random.default_rng(0).normal(0, noise, inside.shape)
    if noise == 0:
        hu = np.where(inside, 20.0, air)
    if padding is not None:
        hu[np.hypot(rr, aa) > half] = padding
    angle = np.radians(turn)
    rotation = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = rotation @ np.diag([2.5, 2.5, 5.0])
    matrix[:3, 3] = rotation @ [x[0], x[0], s[0]]
    return CTVolume(hu.astype(np.float32), matrix, name="drawn")


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"padding": -2000.0},
        {"padding": -1024.0, "air": -1024.0, "noise": 0.0},
        {"air": -1000.0, "noise": 0.0},  # all around was masked
        {"body": (196.0, 110.0)},  # just inside
    ],
)
def test_a_whole_body_gets_no_word(how):
    assert check_field(scan(**how), LEVELS) == []


@pytest.mark.parametrize(
    "how, least",
    [
        ({"half": 120.0}, 0.25),
        ({"half": 70.0}, 0.9),
        ({"half": 120.0, "padding": -2000.0}, 0.4),
        ({"half": 120.0, "padding": -1024.0, "air": -1024.0, "noise": 0.0}, 0.4),
        ({"half": 120.0, "turn": 20.0}, 0.25),
        ({"body": (230.0, 130.0)}, 0.06),
    ],
)
def test_a_cut_body_is_told_with_its_share(how, least):
    volume = scan(**how)
    share = edge_in_tissue(volume, 0.0)
    assert least <= share <= 1
    (one,) = check_field(volume, LEVELS)
    assert (one.code, one.level, one.severity) == ("body-cut", None, "note")
    assert "beside L2 L3" in one.text and f"{100 * share:.0f} %" in one.text


def test_only_the_levels_that_are_cut_are_named():
    (one,) = check_field(scan(cut=True), LEVELS)
    assert "beside L2 (" in one.text


def test_a_plane_outside_the_scan_says_nothing():
    assert edge_in_tissue(scan(), 500.0) == 0.0
