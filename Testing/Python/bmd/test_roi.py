"""The trabecular region where no walls can be told: an elliptic disc about the chosen point."""

import numpy as np
import pytest

from CTBMDLib.bmd import roi
from CTBMDLib.bmd.roi import trabecular_hu
from CTBMDLib.levels import LevelSlice
from CTBMDLib.volume import CTVolume


@pytest.fixture(autouse=True)
def no_walls(monkeypatch):
    monkeypatch.setattr(roi, "find_body", lambda volume, item: None)


CENTRE = (4.0, -30.0, 12.0)
LEVEL = LevelSlice("L1", CENTRE)


def volume(hu_of, low=(-30, -60, -10), high=(40, 0, 40), flip=1.0) -> CTVolume:
    """A volume of 1 mm voxels whose HU are a function of R, A and S in mm."""
    r, a, s = (np.arange(x, y + 1.0) for x, y in zip(low, high, strict=True))
    ss, aa, rr = np.meshgrid(s, a, r, indexing="ij")
    hu = np.asarray(hu_of(rr, aa, ss), np.float32)
    matrix = np.diag([flip, flip, 1.0, 1.0])
    matrix[:3, 3] = r[0], a[0], s[0]
    if flip < 0:
        hu = hu[:, ::-1, ::-1]
        matrix[:2, 3] = r[-1], a[-1]
    return CTVolume(np.ascontiguousarray(hu), matrix, name="field")


@pytest.mark.parametrize("flip", [1.0, -1.0])
@pytest.mark.parametrize(
    ("hu_of", "expected"),
    [
        (lambda r, a, s: 100 + 10 * r, 100 + 10 * 4.0),
        # 1.5 mm in front of the body's centre: the basivertebral vein enters from behind.
        (lambda r, a, s: 500 + 10 * a, 500 + 10 * (-30.0 + 1.5)),
        (lambda r, a, s: 100 + 10 * s, 100 + 10 * 12.0),
    ],
)
def test_the_region_is_in_front_of_the_bodys_centre(hu_of, expected, flip):
    assert trabecular_hu(volume(hu_of, flip=flip), LEVEL) == pytest.approx(expected, abs=0.01)


def spread(hu_of) -> float:
    return trabecular_hu(volume(hu_of), LEVEL)


def test_the_region_is_an_ellipse_of_20_by_13_mm():
    # Over an ellipse the mean of x squared is a quarter of the half width squared.
    across = spread(lambda r, a, s: (r - 4.0) ** 2)
    deep = spread(lambda r, a, s: (a + 28.5) ** 2)
    assert across == pytest.approx(10.0**2 / 4, rel=0.05)
    assert deep == pytest.approx(6.5**2 / 4, rel=0.06)
    # Nothing is read in its corners, all along its axes.
    ellipse = spread(lambda r, a, s: ((r - 4) / 11.5) ** 2 + ((a + 28.5) / 8) ** 2 < 1)
    assert ellipse == pytest.approx(1.0)
    ends = spread(lambda r, a, s: np.abs(r - 4) >= 9)
    assert 0.02 < ends < 0.12
    front = spread(lambda r, a, s: a >= -23)
    assert 0.02 < front < 0.1


def test_the_region_is_five_planes_over_5_mm():
    # Planes at -2.5, -1.25, 0, 1.25 and 2.5 mm.
    assert spread(lambda r, a, s: np.abs(s - 12.0)) == pytest.approx(7.5 / 5, abs=0.001)
    assert spread(lambda r, a, s: np.abs(s - 12.0) <= 3) == pytest.approx(1.0)


def test_no_value_where_a_tenth_of_the_region_lies_outside():
    def cut(back):
        return trabecular_hu(volume(lambda r, a, s: 150 + 0 * r, low=(-30, back, -10)), LEVEL)

    whole = cut(-60)
    assert whole == pytest.approx(150)
    # Without its hindmost rows, 4 % and 14 % of it.
    assert cut(-34) == pytest.approx(150)
    assert cut(-32) is None
    assert trabecular_hu(volume(lambda r, a, s: 0 * r, high=(40, -45, 40)), LEVEL) is None


class Recorder:
    """A volume that keeps the points it is asked for and knows all but the first few."""

    def __init__(self, unknown=0):
        self.unknown = unknown

    def sample(self, points):
        self.points = np.asarray(points)
        values = np.full(len(points), 150.0)
        values[: self.unknown] = np.nan
        return values


def test_the_points_are_a_millimetre_apart_in_five_planes():
    recorder = Recorder()
    assert trabecular_hu(recorder, LEVEL) == 150.0
    r, a, s = (recorder.points - CENTRE).T
    assert sorted(set(s)) == [-2.5, -1.25, 0.0, 1.25, 2.5]
    one = recorder.points[s == 0.0]
    assert len(recorder.points) == 5 * len(one) == 1010
    assert sorted(set(r)) == list(range(-9, 10))
    assert sorted(set(a - 1.5)) == [x + 0.5 for x in range(-7, 7)]


@pytest.mark.parametrize(("unknown", "value"), [(101, 150.0), (102, None)])
def test_nine_tenths_of_the_points_are_enough(unknown, value):
    assert trabecular_hu(Recorder(unknown), LEVEL) == value
