"""Bodies with walls around marrow that is darker than muscle."""

import numpy as np
import pytest
from former_people import make_former

from CTBMDLib.spine.column import Column, fill_hollow, trace_column
from CTBMDLib.spine.grid import Grid
from CTBMDLib.spine.settings import HOLLOW
from CTBMDLib.spine.straightened import recentre
from CTBMDLib.volume import CTVolume


def _ring(plane, middle, size, value):
    """Walls of one sample around a place, in a plane (A, R)."""
    (a, r), (deep, wide) = middle, size
    top, left = a - deep // 2 - 1, r - wide // 2 - 1
    inside = plane[top + 1 : top + 1 + deep, left + 1 : left + 1 + wide].copy()
    plane[top : top + deep + 2, left : left + wide + 2] = value
    plane[top + 1 : top + 1 + deep, left + 1 : left + 1 + wide] = inside


@pytest.mark.parametrize("value", [0.3, 0.8])
@pytest.mark.parametrize(
    ("size", "filled"),
    [
        ((8, 12), True),  # a body: 24 x 36 mm
        ((7, 11), True),
        ((3, 5), False),  # a canal: 9 x 15 mm
        ((4, 6), False),
        ((15, 24), False),  # what is larger than a body is no body
    ],
)
def test_what_has_a_body_s_size_is_filled_and_a_canal_is_not(size, filled, value):
    plane = np.zeros((40, 60), np.float32)
    _ring(plane, (20, 30), size, value)
    found = fill_hollow(plane[None])[0]
    assert found[20, 30] == pytest.approx(value if filled else 0.0)
    assert np.all(found >= plane) and found.max() == pytest.approx(value)
    assert not found[:2].any() and not found[:, :2].any()


def _hollow_spine(wall, vessel):
    """Bone map on a 3 mm grid: hollow bodies, a canal, an arch; a vessel in front of them."""
    bone = np.zeros((60, 60, 60), np.float32)
    for plane in bone:
        _ring(plane, (34, 30), (8, 12), wall)
        plane[24:29, 26] = plane[24:29, 33] = wall
        plane[19:24, 26:34] = wall
        rows, columns = np.ogrid[:60, :60]
        plane[np.hypot(rows - 43, columns - 28) < 3.5] = vessel
    return Grid(np.zeros(bone.shape, np.float32), np.zeros(bone.shape, bool), np.zeros(3)), bone


@pytest.mark.parametrize(("wall", "vessel"), [(0.5, 1.0), (0.6, 0.8), (0.8, 1.0), (1.0, 1.0)])
def test_a_vessel_before_hollow_bodies_is_not_taken_for_them(wall, vessel):
    grid, bone = _hollow_spine(wall, vessel)
    apart = [
        np.abs(column.body[:, 1] - 3.0 * 34).max()
        for column in (
            trace_column(grid, bone, HOLLOW.min_score),
            trace_column(grid, bone, HOLLOW.min_score, filled=True),
        )
    ]
    assert apart[0] > 18.0
    assert apart[1] < 12.0


@pytest.mark.parametrize("wall", [250, 400])
@pytest.mark.parametrize("before", [14.0, 17.0])
def test_a_line_before_hollow_bodies_is_moved_to_their_middle(before, wall):
    """Not to the vessel in front of them, whose back looks like a body's with a canal behind it."""
    _, bone = _hollow_spine(1.0, 0.9)
    hu = np.where(bone == 1.0, wall, np.where(bone > 0, 300, 20)).astype(np.float32)
    matrix = np.diag([3.0, 3.0, 3.0, 1.0])
    middle = np.column_stack([np.full(21, 90.0), np.full(21, 102.0), 150.0 - 6.0 * np.arange(21)])
    line = middle + (0.0, before, 0.0)
    column = Column(line, line - (0.0, 30.0, 0.0), np.ones(len(line)))
    apart = [
        np.median(recentre(CTVolume(hu, matrix), column, 40.0, hollow=hollow).body[:, 1]) - 102.0
        for hollow in (False, True)
    ]
    assert apart[0] > 12.0
    assert abs(apart[1]) < 5.0


def _found(volume, truth, options):
    from CTBMDLib.spine.locate import find_levels
    from training.locator.virtual import CERTAIN, judge_volume

    selection = find_levels(volume)
    judged = judge_volume(volume, truth, selection, options)
    sure = selection.numbering != "neither"
    assert not [n for n, p, mm, _ in judged["found"] if sure and p >= CERTAIN and mm > 12.0]
    return judged["whole"]


@pytest.mark.parametrize(
    ("seed", "change"), [(24161, {}), (24161, {"storage": "sagittal"}), (24556, {})]
)
def test_l5_of_a_hollow_spine_is_found(seed, change):
    pytest.importorskip("numba", reason="numba is missing; 'make test' installs it")
    from training.virtual.volume import make_volume, random_options

    options = random_options(seed) | change
    whole = _found(*make_volume(seed, **options), options)
    assert len(whole) == 5 and all(whole.values())


@pytest.mark.parametrize(
    ("seed", "former", "change"),
    [(21833, True, {}), (21833, True, {"spacing_mm": 1.6}), (24531, False, {})],
)
def test_a_hollow_spine_behind_an_aorta_full_of_contrast_is_found(seed, former, change):
    """Nothing was: every trace ran through the aorta or along the spinous processes."""
    pytest.importorskip("numba", reason="numba is missing; 'make test' installs it")
    from training.virtual.volume import make_volume, random_options

    options = random_options(seed) | change
    whole = _found(*(make_former if former else make_volume)(seed, **options), options)
    assert sum(whole.values()) >= 3


@pytest.mark.parametrize(
    ("seed", "bodies"),
    [
        (22108, 5),  # the line was moved to the aorta
        (22010, 3),  # soft tissue was taken to be as dense as organs full of contrast
        (21980, 2),
    ],
)
def test_hollow_bodies_are_found_whatever_is_before_and_beside_them(seed, bodies):
    """Nothing was."""
    pytest.importorskip("numba", reason="numba is missing; 'make test' installs it")
    from training.virtual.volume import make_volume, random_options

    options = random_options(seed)
    whole = _found(*make_volume(seed, **options), options)
    assert sum(whole.values()) >= bodies


@pytest.mark.parametrize("turn", [0.0, 30.0, -60.0, 180.0])
def test_a_line_that_faces_the_front_keeps_its_place_and_its_canals_distance(turn):
    body = np.array([[10.0, -20.0, 100.0], [12.0, -24.0, 40.0]])
    way = -np.array([np.sin(np.deg2rad(turn)), np.cos(np.deg2rad(turn)), 0.0])
    away = np.array([[24.0], [30.0]])
    column = Column(body, body + away * way, np.array([0.3, 0.4]))
    found = column.facing_front()
    assert np.array_equal(found.body, body) and np.array_equal(found.score, column.score)
    assert np.allclose(found.canal, body - away * (0.0, 1.0, 0.0))


@pytest.mark.parametrize(
    "change",
    [{}, {"storage": "sagittal"}, {"noise_hu": 30.0}, {"oblique_deg": (4.0, -6.0, 10.0)}],
)
def test_bodies_whose_marrow_is_as_dense_as_muscle_are_found(change):
    """Nothing was: in a faint ring a corner passed for the canal, and the planes were turned."""
    pytest.importorskip("numba", reason="numba is missing; 'make test' installs it")
    from training.virtual.volume import make_volume, random_options

    options = random_options(24744) | change
    whole = _found(*make_volume(24744, **options), options)
    assert len(whole) == 5 and all(whole.values())


def test_a_look_without_turn_makes_no_lumbar_spine_of_a_neck():
    """Two vertebrae that are no clear chain were named L1 to L3, called uncertain."""
    pytest.importorskip("numba", reason="numba is missing; 'make test' installs it")
    from CTBMDLib.spine.locate import find_levels
    from training.locator.bodies import EMPTY_BODIES

    assert not list(find_levels(EMPTY_BODIES["head and neck"](102)))
