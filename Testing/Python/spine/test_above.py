"""A chain carried on to the head, a line turned back about the canal, a sacrum without a body."""

from types import SimpleNamespace

import numpy as np
import pytest

from CTBMDLib.spine import above as spine_above
from CTBMDLib.spine import turned as spine_turned
from CTBMDLib.spine import witnesses as spine_witnesses
from CTBMDLib.spine.above import follow_above, goes_on_above, keeps_discs
from CTBMDLib.spine.column import Column
from CTBMDLib.spine.settings import FIRM, SETTINGS
from CTBMDLib.spine.straightened import AHEAD, LATERAL, StraightenedSpine
from CTBMDLib.spine.turned import turned_back, vertebra_turns
from CTBMDLib.spine.witnesses import ribs_end, shown_bodies, witnesses
from CTBMDLib.volume import CTVolume


def along(count, lean=0.0, top=0.0):
    """RAS mm of points a mm apart down from `top`, leaning to the right by `lean` mm a mm."""
    down = np.arange(count, dtype=float)
    return np.column_stack([-lean * down, np.zeros(count), top - down])


def traced(discs, worth=5.0, top_of_ct=200.0, lean=0.1, lost_at=None, first_score=1.5):
    """A trace down from 20 mm above its line's zero, in a CT that ends at `top_of_ct`."""
    line = along(260, lean, 20.0)
    nodes = line[::6] + (0.0, 8.0, 0.0)  # the column runs before the middle of the bodies
    if lost_at is not None:
        nodes[nodes[:, 2] > lost_at, 1] += 40.0
    return SimpleNamespace(
        straight=SimpleNamespace(centre=line),
        discs=np.array(discs),
        scores=np.array([first_score] + [1.5] * (len(discs) - 2)),
        column=Column(nodes, nodes - (0, 25, 0), np.ones(len(nodes))),
        kind=FIRM,
        worth=worth,
        is_lumbar=True,
        settings=SETTINGS,
        ct=SimpleNamespace(
            reduced=None,
            tissue_hu=50.0,
            settings=SETTINGS,
            volume=SimpleNamespace(contains=lambda point: point[2] < top_of_ct),
        ),
    )


def test_a_chain_goes_on_above_where_the_ct_has_room_for_a_vertebra():
    first = 20.0 - 60.0  # RAS S of the first disc
    room = SETTINGS.above.room_mm
    assert goes_on_above(traced([60, 95, 130], top_of_ct=first + room + 1.0))
    assert not goes_on_above(traced([60, 95, 130], top_of_ct=first + room - 5.0))


def test_all_discs_of_the_shorter_chain_must_be_in_the_longer_one():
    short = traced([60, 95, 130])
    assert keeps_discs(traced([25, 62, 97, 128]), short)
    assert not keeps_discs(traced([25, 62, 128]), short)  # one is gone
    assert not keeps_discs(traced([40, 77, 112, 147]), short)  # half a vertebra off


@pytest.mark.parametrize(
    ("discs", "first_score", "kept"),
    [
        ([50, 95, 130], 0.6, True),  # the first lies beside the true one
        ([50, 95, 130], 1.5, False),  # and was plain
        ([60, 85, 130], 0.6, False),  # not the first
        ([50, 95], 0.6, False),  # one disc alone keeps no chain
    ],
)
def test_a_first_disc_where_the_trace_had_begun_to_leave_the_spine_may_be_another(
    discs, first_score, kept
):
    assert keeps_discs(traced([25, 62, 95, 130]), traced(discs, first_score=first_score)) == kept


def test_a_chain_is_carried_on_where_its_vertebrae_point_and_as_far_as_the_ct_goes(monkeypatch):
    given = []

    def refine(reduced, part, tissue_hu, kind, avoid, settings, keep):
        given.append(SimpleNamespace(part=part, avoid=avoid, keep=keep, kind=kind))
        return part

    columns = []
    monkeypatch.setattr(spine_above, "refine_column", refine)
    monkeypatch.setattr(
        spine_above, "trace_along", lambda ct, column, kind: columns.append(column) or short
    )
    short = traced([90, 125, 160], top_of_ct=0.0, lost_at=-60.0)
    assert follow_above(short) is None  # nothing was worth more
    first = -70.0
    line = columns[0].body
    on = line[line[:, 2] > first]
    assert on[0, 2] < 0.0 < on[0, 2] + 6.1  # to the CT's end
    assert np.all(np.diff(line[:, 2]) < 0)
    # Straight on, as far beside the bodies' middle as below: not where the trace was lost.
    assert np.allclose(on[:, 0], 0.1 * (on[:, 2] - 20.0), atol=0.1)
    assert np.allclose(on[:, 1], 8.0)
    assert np.array_equal(
        line[line[:, 2] <= first], short.column.body[short.column.body[:, 2] <= first]
    )
    for one in given:
        assert one.keep.body[:, 2].max() <= first
        assert (
            len(one.avoid) == 1 and one.avoid[0].body[:, 2].min() > first + SETTINGS.above.lost_mm
        )
    assert [one.kind for one in given] == list(SETTINGS.above.kinds)


@pytest.mark.parametrize(
    ("longer", "taken"),
    [
        (traced([25, 60, 95, 130], worth=7.0), True),
        (traced([25, 60, 95, 130], worth=4.0), False),  # worth less
        (traced([40, 77, 112, 147], worth=7.0), False),  # another chain
        (SimpleNamespace(**vars(traced([25, 60, 95], 7.0)) | {"is_lumbar": False}), False),
    ],
)
def test_only_a_longer_chain_of_the_same_spine_is_taken(monkeypatch, longer, taken):
    short = traced([60, 95, 130])
    monkeypatch.setattr(spine_above, "refine_column", lambda *_, **__: short.column)
    monkeypatch.setattr(spine_above, "trace_along", lambda *_: longer)
    assert (follow_above(short) is longer) == taken


def test_a_chain_that_reaches_the_ct_s_end_is_left_alone(monkeypatch):
    monkeypatch.setattr(spine_above, "trace_along", None)  # is not called
    assert follow_above(traced([60, 95, 130], top_of_ct=-30.0)) is None


def phantom(turn_deg):
    """A spine as its line is turned about the canal: volume, straightened spine, discs.

    The same in all planes: a body with a dense wall, a canal behind it, an arch and a spinous
    process, muscle darker than both; a vessel brighter than the body's marrow before its left.
    """
    count, step = (30, 70, 70), 2.0
    axis = [step * (np.arange(n) - (n - 1) / 2) for n in count]
    r, a = axis[2][None, :], axis[1][:, None]
    hu = np.full(count[1:], 50.0)
    body = (r / 22.0) ** 2 + ((a - 25.0) / 16.0) ** 2
    hu[body < 1.0] = 250.0
    hu[body < 0.7] = 20.0
    hu[(np.abs(r) < 4.0) & (a < -12.0) & (a > -40.0)] = 300.0
    hu[(np.abs(np.abs(r) - 14.0) < 5.0) & (np.abs(a + 8.0) < 6.0)] = 300.0
    hu[np.hypot(r + 12.0, a - 52.0) < 9.0] = 180.0
    matrix = np.diag([step, step, step, 1.0])
    matrix[:3, 3] = [axis[2][0], axis[1][0], axis[0][0]]
    volume = CTVolume(np.repeat(hu[None], count[0], axis=0).astype(np.int16), matrix)
    planes = 56
    angle = np.deg2rad(turn_deg)
    front = np.tile([np.sin(angle), np.cos(angle), 0.0], (planes, 1))
    right = np.tile([np.cos(angle), -np.sin(angle), 0.0], (planes, 1))
    canal = along(planes, 0.0, 27.0)
    straight = StraightenedSpine(
        np.full((planes, len(AHEAD), len(LATERAL)), 50.0, np.float32),
        canal + 25.0 * front,
        np.tile([0.0, 0.0, 1.0], (planes, 1)),
        right,
        front,
        np.full(planes, 25.0),
    )
    return volume, straight, np.array([0, 27, 54])


@pytest.mark.parametrize("turn", [-24.0, -6.0, 0.0, 12.0, 30.0])
def test_the_turn_of_a_line_is_seen_by_what_lies_left_and_right_of_the_canal(turn):
    volume, straight, discs = phantom(turn)
    turns, gain = vertebra_turns(straight, volume, discs, 50.0)
    assert np.allclose(turns, -turn, atol=6.0)
    assert (gain > SETTINGS.turn.min_gain) == (turn != 0.0)


def test_a_side_that_the_ct_does_not_show_is_no_sign_of_a_turn():
    volume, straight, discs = phantom(0.0)
    part = CTVolume(
        volume.hu[:, :, 30:],
        volume.ijk_to_ras @ np.array([[1, 0, 0, 30], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]),
    )
    turns, gain = vertebra_turns(straight, part, discs, 50.0)
    assert not turns.any() and gain == 0.0


def turned_trace(turn, worth=3.0):
    volume, straight, discs = phantom(turn)
    return SimpleNamespace(
        straight=straight,
        reduced=volume,
        discs=discs,
        worth=worth,
        tissue_hu=50.0,
        column=Column(straight.centre[::6], straight.centre[::6], np.ones(10)),
        kind=FIRM,
        ct=None,
        settings=SETTINGS,
        is_lumbar=True,
    )


@pytest.mark.parametrize(("turn", "tries"), [(24.0, 1), (-30.0, 1), (12.0, 0), (0.0, 0)])
def test_a_line_beside_the_bodies_is_turned_back_about_the_canal(monkeypatch, turn, tries):
    columns = []

    def trace_along(ct, column, kind, *, in_middle):
        columns.append(column)
        assert in_middle  # or what drew it aside would do so again
        return turned_trace(0.0)

    monkeypatch.setattr(spine_turned, "trace_along", trace_along)
    found = turned_back(turned_trace(turn))
    assert len(columns) == tries and (found is not None) == (tries > 0)
    for column in columns:
        assert np.abs(column.body[:, 0]).max() < 25.0 * np.sin(np.deg2rad(6.5))
        assert np.allclose(column.canal[:, :2], 0.0, atol=1e-6)


def test_a_line_stays_where_turned_back_it_shows_less_of_the_spine(monkeypatch):
    monkeypatch.setattr(spine_turned, "trace_along", lambda *_, **__: turned_trace(0.0, 2.9))
    assert turned_back(turned_trace(24.0)) is None


def test_a_body_outside_the_ct_is_not_shown():
    places = [(0, 30), (30, 60), (60, 90), (90, 120)]
    assert shown_bodies(np.arange(90) < 70, places).tolist() == [True, True, True, False]
    assert shown_bodies(np.arange(90) < 66, places).tolist() == [True, True, False, False]
    assert shown_bodies(np.arange(90) < 73, places, 0.7).tolist() == [True, True, True, False]
    assert shown_bodies(np.arange(90) < 72, places, 0.7).tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    ("rules", "network", "end"),
    [
        ([3, 3, -1, -1], [3, 3, -3, -3], True),
        ([3, 3, 1, -1], [3, 3, -3, -3], False),  # they disagree where
        ([3, 3, -1, -1], [np.nan, np.nan, -3, -3], False),
        ([-1, -1, -1, -1], [-3, -3, -3, -3], False),  # all below the ribs
        ([3, 3, 3, 3], [3, 3, 3, 3], False),
    ],
)
def test_ribs_tell_the_names_where_both_witnesses_see_the_last_one(rules, network, end):
    two = [np.array([one, one], float) for one in (rules, network)]
    assert ribs_end(*two) == end
    two[0][1] = np.where(np.array(rules) > 0, -1.0, rules)  # on one side alone
    assert not ribs_end(*two)


@pytest.mark.parametrize(("ribs", "kept"), [([3.0, -3.0, -3.0], False), ([-3.0] * 3, True)])
def test_a_sacrum_hardly_in_view_counts_where_no_rib_tells_the_names(monkeypatch, ribs, kept):
    rows = np.array([[*ribs, np.nan, np.nan]] * 2)
    ala = np.array([-2.5, -2.5, -2.5, 2.0, 2.0])
    far = np.ones((2, 5), bool)
    monkeypatch.setattr(spine_witnesses, "_by_rules", lambda *_: (rows, ala, far))
    monkeypatch.setattr(spine_witnesses, "_by_network", lambda *_: (rows, ala))
    traced = SimpleNamespace(
        settings=SETTINGS,
        discs=np.array([10, 40, 70, 100]),
        scores=np.ones(3),
        profiles=SimpleNamespace(seen=np.arange(200) < 111),  # 8 of the 13 planes of the alae
        straight=SimpleNamespace(hu=np.zeros((200, len(AHEAD), len(LATERAL)))),
    )
    for one in witnesses(traced):
        assert np.isfinite(one.ala[3]) == kept


def test_bone_beside_a_body_that_the_ct_does_not_show_is_no_sacrum(monkeypatch):
    """A CT turned against the spine: an iliac crest on one side below the last body in view."""
    ribs = np.array([[3.0, -3.0, -3.0, np.nan, np.nan]] * 2)
    ala = np.array([-2.5, -2.5, -2.5, 2.0, 2.0])
    far = np.ones((2, 5), bool)
    monkeypatch.setattr(spine_witnesses, "_by_rules", lambda *_: (ribs, ala, far))
    monkeypatch.setattr(spine_witnesses, "_by_network", lambda *_: (ribs, ala))

    def seen_to(plane):
        return SimpleNamespace(
            settings=SETTINGS,
            discs=np.array([10, 40, 70, 100]),
            scores=np.ones(3),
            profiles=SimpleNamespace(seen=np.arange(200) < plane),
            straight=SimpleNamespace(hu=np.zeros((200, len(AHEAD), len(LATERAL)))),
        )

    for one in witnesses(seen_to(200)):
        assert np.array_equal(one.ala, ala)
    for one in witnesses(seen_to(104)):
        assert np.array_equal(one.ala[:3], ala[:3]) and np.isnan(one.ala[3:]).all()
    # Its own last body may be cut by the CT's edge: the chain's discs show that it is there.
    for one in witnesses(seen_to(72)):
        assert np.array_equal(one.ala[:3], ala[:3])


@pytest.mark.parametrize("change", [{}, {"storage": "coronal", "noise_hu": 15.0}])
def test_a_deformed_l5_cut_by_the_ct_is_no_sacrum(change):
    """Between the iliac crests it passed for S1, and T12 was called L1."""
    pytest.importorskip("numba", reason="numba is missing; 'make test' installs it")
    from CTBMDLib.spine.locate import find_levels
    from training.locator.virtual import judge_volume
    from training.virtual.volume import make_volume, random_options

    options = random_options(22235) | change
    volume, truth = make_volume(22235, **options)
    selection = find_levels(volume)
    judged = judge_volume(volume, truth, selection, options)
    assert set(judged["whole"]) == {"L1", "L2", "L3", "L4"} and all(judged["whole"].values())
    assert selection.numbering == "rib" and all(mm < 12.0 for _, _, mm, _ in judged["found"])


@pytest.mark.parametrize(
    ("person", "scan", "extra"),
    [(21607, 21607, {}), (23032, 21745, {"spacing_mm": 1.8, "between_mm": 3.0})],
)
def test_t12_is_found_where_the_trace_left_the_spine_above_l1(person, scan, extra):
    """L1 to L4 under their names: without T12 all were one lower, or two vertebrae were missed."""
    pytest.importorskip("numba", reason="numba is missing; 'make test' installs it")
    from former_people import make_former

    from CTBMDLib.spine.locate import find_levels
    from training.virtual.volume import random_options

    volume, truth = make_former(person, **(random_options(scan) | extra))
    found = {item.level: np.array(item.ras) for item in find_levels(volume)}
    for name in ("L1", "L2", "L3", "L4"):
        assert np.linalg.norm(found[name] - truth["levels"][name]["ras"]) < 12.0, name


@pytest.mark.parametrize("extra", [{}, {"spacing_mm": 2.5, "storage": "axial"}, {"noise_hu": 25.0}])
def test_a_disc_beside_the_true_one_does_not_end_the_spine_at_l2(extra):
    """L2 was given from a sacrum in plain view, and neither L1 nor T12 above it."""
    pytest.importorskip("numba", reason="numba is missing; 'make test' installs it")
    from CTBMDLib.spine.locate import find_levels
    from training.virtual.volume import make_volume, random_options

    volume, truth = make_volume(24340, **(random_options(24340) | extra))
    found = {item.level: np.array(item.ras) for item in find_levels(volume)}
    for name in ("T12", "L1", "L2", "L3", "L4", "L5"):
        assert np.linalg.norm(found[name] - truth["levels"][name]["ras"]) < 12.0, name
