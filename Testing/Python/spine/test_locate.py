"""Finding the lumbar levels: real scans, changed copies of them, and bodies without a lumbar spine."""

import json
from dataclasses import replace
from functools import cache, partial
from types import SimpleNamespace

import numpy as np
import pytest
from former_people import make_former

pytest.importorskip("numba", reason="numba is missing; 'make test' installs it")  # of training

from CTBMDLib.errors import Cancelled  # noqa: E402
from CTBMDLib.levels import MEASURED  # noqa: E402
from CTBMDLib.reading.reading import read_ct  # noqa: E402
from CTBMDLib.spine import body as spine_body  # noqa: E402
from CTBMDLib.spine import locate  # noqa: E402
from CTBMDLib.spine import trace as spine_trace  # noqa: E402
from CTBMDLib.spine.below import with_body_below  # noqa: E402
from CTBMDLib.spine.body import body_walls  # noqa: E402
from CTBMDLib.spine.column import trace_column  # noqa: E402
from CTBMDLib.spine.grid import Grid, block_mean, make_grid, reduce_ct  # noqa: E402
from CTBMDLib.spine.locate import find_levels  # noqa: E402
from CTBMDLib.spine.numbering import number_vertebrae  # noqa: E402
from CTBMDLib.spine.settings import DENSE, FAINT, FIRM, FIRMER, SpineSettings  # noqa: E402
from CTBMDLib.spine.straightened import AHEAD, StraightenedSpine  # noqa: E402
from CTBMDLib.spine.trace import trace_spine  # noqa: E402
from CTBMDLib.volume import CTVolume  # noqa: E402
from training.locator.bodies import EMPTY_BODIES  # noqa: E402
from training.locator.cases import crop_s, noisier, respace, restore, turn  # noqa: E402
from training.locator.check import judge  # noqa: E402
from training.locator.virtual import judge_volume  # noqa: E402
from training.virtual.volume import make_volume, random_options  # noqa: E402

FILES = {"ct_ts_example": "ct_ts_example/ct.nii.gz"}


@pytest.fixture(scope="session")
def scan(shared_data):
    """A function from a real scan's name to its volume and the true centres of its levels."""

    @cache
    def read(name):
        volume = read_ct(shared_data(FILES.get(name, name)))
        truth = json.loads(shared_data("levels.json").read_text())["levels"].get(name, {})
        return volume, {k: np.array(v, float) for k, v in truth.items()}

    return read


@pytest.mark.parametrize("name", ["ct_ts_example", "ct_acrin_f46", "ct_sagittal_m42"])
def test_real_scans(name, scan):
    volume, truth = scan(name)
    before = volume.hu.copy() if volume.hu.size < 5e6 else None
    selection = find_levels(volume)
    for level, centre in truth.items():
        item = selection[level]
        assert np.linalg.norm(np.array(item.ras) - centre) < 12.0, level
        assert item.source == "found"
        assert 0.0 <= item.confidence <= 1.0
        assert item.included == (level in MEASURED)
        assert 18.0 < item.height_mm < 40.0
        assert item.axis[2] > 0.7 and abs(np.linalg.norm(item.axis) - 1) < 1e-6
    assert selection.numbering in ("sacrum", "rib", "both")
    assert selection.series_uid == volume.acquisition.series_uid
    if before is not None:
        assert np.array_equal(before, volume.hu)


def test_slices_above_the_lumbar_spine_give_none(scan):
    volume, _ = scan("ct_slices_liver")
    selection = find_levels(volume)
    assert len(selection) == 0
    assert selection.findings


def test_storage_order_changes_nothing(scan):
    volume, truth = scan("ct_ts_example")
    stored = restore(volume, order=(2, 0, 1), flip=(True, False, True))
    assert np.allclose(
        volume.sample(np.array(truth["L2"])), stored.sample(np.array(truth["L2"])), atol=1e-3
    )
    selection = find_levels(stored)
    for level, centre in truth.items():
        assert np.linalg.norm(np.array(selection[level].ras) - centre) < 12.0


@pytest.mark.parametrize(
    "change",
    [
        lambda v, t: (respace(v, 5), t),
        lambda v, t: (noisier(v, 3), t),
        lambda v, t: _turned(v, t, 15, 1),
        lambda v, t: (crop_s(v, t["L4"][2] - 24, t["L2"][2] + 24), t),
        lambda v, t: (crop_s(v, t["L3"][2], v.ras_bounds[2, 1]), t),
        lambda v, t: (crop_s(v, v.ras_bounds[2, 0], t["L3"][2]), t),
    ],
    ids=["5 mm", "noise x3", "turned", "only L2-L4", "upper half", "lower half"],
)
def test_changed_copies_are_never_give_an_unflagged_error(change, scan):
    volume, truth = scan("ct_ts_example")
    volume, truth = change(volume, truth)
    assert judge(find_levels(volume), truth)["verdict"] != "wrong"


def _turned(volume, truth, degrees, about):
    turned, move = turn(volume, degrees, about, truth["L3"])
    return turned, {k: move[:3, :3] @ v + move[:3, 3] for k, v in truth.items()}


def test_a_crop_with_nothing_to_count_from_is_said_to_be_uncertain(scan):
    volume, truth = scan("ct_acrin_f46")
    selection = find_levels(crop_s(volume, truth["L4"][2] - 22, truth["L2"][2] + 22))
    assert selection.numbering in (None, "neither")
    assert all(item.confidence < 0.5 for item in selection)


def test_a_chest_without_lumbar_vertebrae_gives_none(scan):
    volume, truth = scan("ct_acrin_f46")
    chest = crop_s(volume, truth["L1"][2] + 22, volume.ras_bounds[2, 1])
    assert len(find_levels(chest)) == 0


@pytest.mark.parametrize("seed", [9489, 9532], ids=["marrow like muscle", "beside the aorta"])
def test_bone_hardly_denser_than_muscle_beside_contrast_agent(seed):
    options = random_options(seed) | {"spacing_mm": 1.5, "between_mm": 3.0, "width_mm": 200.0}
    # Walls of 0.19 and 0.29 mm, as when these people were found to go wrong.
    options |= {"arms": "up", "mineral": 1.2}
    volume, truth = make_volume(seed, **options)
    selection = find_levels(volume)
    judged = judge_volume(volume, truth, selection, options)
    assert len(judged["whole"]) == 5 and all(judged["whole"].values())
    assert selection.numbering in ("rib", "sacrum", "both")
    assert all(away < 12.0 for _, _, away, _ in judged["found"])


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"oblique_deg": (0.0, 0.0, 0.0), "storage": "sagittal"},
        {"blur_mm": 1.0, "outside_hu": None},
    ],
    ids=["as found", "sagittal", "sharp"],
)
def test_bone_so_dense_that_canal_and_discs_drown_in_its_blur(change):
    options = random_options(21037) | {"spacing_mm": 2.0} | change
    volume, truth = make_former(21037, **options)
    middle = volume.sample(np.array(truth["levels"]["L3"]["ras"]))
    assert middle > 350.0  # 80 kV, a young person
    judged = judge_volume(volume, truth, find_levels(volume), options)
    assert len(judged["whole"]) == 5 and all(judged["whole"].values())
    assert all(away < 12.0 for _, _, away, _ in judged["found"])


@pytest.mark.parametrize("change", [{"width_mm": 200.0}, {"oblique_deg": (0.0, 0.0, 0.0)}])
def test_a_trace_lost_below_l3_is_followed_anew_and_joined(change):
    """The sacrum leads it astray; above, the first trace saw a vertebra more."""
    options = random_options(21090) | {"spacing_mm": 1.5} | change
    volume, truth = make_former(21090, **options)
    judged = judge_volume(volume, truth, find_levels(volume), options)
    assert len(judged["whole"]) == 5 and all(judged["whole"].values())
    assert all(away < 12.0 for _, _, away, _ in judged["found"])


def _two_columns(offset):
    """Bone maps of a plain spine (body, canal, arch) and of a brighter one aside, 3 mm grid."""
    bone = np.zeros((60, 60, 90), np.float32)
    for middle, value in ((25, 0.8), (25 + offset, 1.0)):
        bone[:, 32:40, middle - 5 : middle + 6] = value
        bone[:, 16:22, middle - 4 : middle + 5] = value
    return Grid(np.zeros(bone.shape, np.float32), np.zeros(bone.shape, bool), np.zeros(3)), bone


@pytest.mark.parametrize("part", [slice(0, 6), slice(4, 9), slice(6, None), slice(None)])
@pytest.mark.parametrize("offset", [30, 40])
def test_a_chain_keeps_to_what_is_known_to_be_right(offset, part):
    grid, bone = _two_columns(offset)
    brighter = trace_column(grid, bone)
    spine = trace_column(grid, bone, avoid=[brighter])
    apart = np.abs(spine.body[:, 0].mean() - brighter.body[:, 0].mean())
    assert apart == pytest.approx(3.0 * offset, abs=6.0)
    kept = trace_column(grid, bone, keep=spine.part(part))
    assert np.abs(kept.body[:, 0] - spine.body[:, 0].mean()).max() < 12.0
    assert len(kept) >= len(spine) - 1


def test_a_try_that_is_clear_but_not_lumbar_is_not_the_last(monkeypatch, scan):
    """Nor is what it followed left out: it may be the spine, seen badly."""
    volume, truth = scan("ct_ts_example")
    real, tried = spine_trace.trace_along, []

    def first_is_no_spine(ct, column, kind):
        found = real(ct, column, kind)
        tried.append(kind)
        # Discs as near as in a neck, and plain.
        few = replace(found, discs=np.array([20, 38, 56]), scores=np.array([1.5, 1.5]))
        return few if len(tried) == 1 else found

    monkeypatch.setattr(spine_trace, "trace_along", first_is_no_spine)
    selection = find_levels(volume)
    assert len(tried) > 1 and tried[1] != tried[0]
    assert all(np.linalg.norm(np.array(selection[k].ras) - v) < 12.0 for k, v in truth.items())


@pytest.mark.parametrize("blind", [(FIRM,), (FIRM, DENSE), (FIRM, FAINT)])
@pytest.mark.parametrize("name", ["ct_ts_example", "ct_acrin_f46"])
def test_a_spine_that_was_seen_badly_is_looked_at_again(monkeypatch, name, blind, scan):
    """What a try followed is left out of the next ones, as if it were no spine."""
    volume, truth = scan(name)
    follow, trace = spine_trace.trace_along, spine_trace.trace_column

    def along(ct, column, kind):
        found = follow(ct, column, kind)
        return replace(found, discs=found.discs[:1], scores=np.zeros(0)) if kind in blind else found

    def nothing_beside(grid, bone, least, avoid, *rest, **more):
        return None if avoid else trace(grid, bone, least, avoid, *rest, **more)

    monkeypatch.setattr(spine_trace, "trace_along", along)
    monkeypatch.setattr(spine_trace, "trace_column", nothing_beside)
    selection = find_levels(volume)
    assert all(np.linalg.norm(np.array(selection[k].ras) - v) < 12.0 for k, v in truth.items())


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"storage": "coronal", "oblique_deg": (0.0, 0.0, 0.0)},
        {"contrast": "portal", "noise_hu": 30.0, "between_mm": 3.0},
    ],
    ids=["as found", "coronal", "contrast agent, less noise"],
)
def test_a_trace_along_the_edge_of_hollow_bodies_hides_no_spine(change):
    options = random_options(21333) | {"spacing_mm": 2.0} | change
    volume, truth = make_former(21333, **options)
    assert volume.sample(np.array(truth["levels"]["L3"]["ras"])) < 120.0
    judged = judge_volume(volume, truth, find_levels(volume), options)
    assert set(judged["whole"]) == {"L3", "L4", "L5"} and all(judged["whole"].values())
    # Neither T12 nor the whole sacrum is in view: a name may be another, and is said to be unsure then.
    assert all(away < 12.0 or sure < 0.5 for _, sure, away, _ in judged["found"])


@pytest.mark.parametrize(
    ("lumbar", "worth", "looked_again"), [(True, 0.1, 0), (True, 0.0, 1), (False, 0.9, 1)]
)
def test_a_lumbar_chain_stays_whatever_another_look_would_be_worth(
    monkeypatch, lumbar, worth, looked_again
):
    """Nothing is left out of another look, which is for scans without any lumbar chain."""
    settings = SpineSettings()
    given, usual = settings.trace, settings.bone.unknown_tissue_hu
    ct = SimpleNamespace(settings=settings, tissue_hu=usual, everywhere=lambda: ct)
    chain = partial(SimpleNamespace, is_clear=False, column="a column")
    short, better = chain(is_lumbar=lumbar, worth=worth), chain(is_lumbar=True, worth=5.0)
    left_out = []

    def attempt(ct, kind, seen, progress):
        left_out.append(list(seen))
        return short if len(left_out) <= len(given.tries) else better

    monkeypatch.setattr(spine_trace, "attempt", attempt)
    found = spine_trace._best_of_tries(ct, None)
    assert found is (better if looked_again else short)
    again = left_out[len(given.tries) :]
    assert again == [[]] * (looked_again * len(given.again))
    assert all(seen for seen in left_out[1 : len(given.tries)])


def with_chests(monkeypatch, change):
    """`trace_along` whose n-th answer is `change(n, answer)`; which ways of seeing bone were tried."""
    real, tried = spine_trace.trace_along, []

    def along(ct, column, kind):
        found = real(ct, column, kind)
        tried.append(kind)
        return change(len(tried), found)

    monkeypatch.setattr(spine_trace, "trace_along", along)
    return tried


def as_chest(found, below, score=4.0):
    """A clear chain worth more than the lumbar one, with discs as near as those of a chest.

    It begins at the height `below`, mm S.
    """
    discs = [np.abs(found.straight.centre[:, 2] - s).argmin() for s in below - 20.0 * np.arange(5)]
    return replace(found, discs=np.array(discs), scores=np.full(4, score))


def test_a_lumbar_chain_comes_before_one_of_a_chest_that_is_worth_more(monkeypatch, scan):
    volume, truth = scan("ct_acrin_f46")
    top = truth["L1"][2]
    tried = with_chests(monkeypatch, lambda n, found: as_chest(found, top) if n == 1 else found)
    traced = spine_trace.trace_spine(volume)
    assert traced.is_lumbar and traced.worth < 16
    assert traced.kind == tried[-1] != tried[0] and FIRMER not in tried


def test_a_chest_that_looks_the_same_in_three_ways_ends_the_search(monkeypatch, scan):
    volume, truth = scan("ct_acrin_f46")
    top = truth["L1"][2]
    tried = with_chests(monkeypatch, lambda n, found: as_chest(found, top))
    assert len(find_levels(volume)) == 0
    assert len(set(tried)) == len(tried) == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda n, found, top: as_chest(found, top - 9.0 * n),  # ends elsewhere each time
        lambda n, found, top: as_chest(found, top, score=0.5 if n == 2 else 4.0),
    ],
)
def test_what_may_be_a_spine_seen_badly_is_looked_at_further(monkeypatch, scan, change):
    volume, truth = scan("ct_acrin_f46")
    tried = with_chests(monkeypatch, lambda n, found: change(n, found, truth["L1"][2]))
    spine_trace.trace_spine(volume)
    assert len(tried) > 3


@pytest.mark.parametrize("far", [(6.0, 44.0), (-44.0, -6.0)], ids=["aorta", "canal"])
@pytest.mark.parametrize("which", [1, 3])
def test_walls_far_from_the_line_are_not_believed(monkeypatch, far, which, scan):
    """An aorta full of contrast before a body has walls as well."""
    volume, truth = scan("ct_ts_example")
    real, asked = spine_body.body_walls, []

    def walls(*given):
        asked.append(given)
        return far if len(asked) == which else real(*given)

    usual = find_levels(volume)
    monkeypatch.setattr(spine_body, "body_walls", walls)
    for item in find_levels(volume):
        assert np.linalg.norm(np.subtract(item.ras, usual[item.level].ras)) < 4.0
    assert len(asked) >= 5


@pytest.mark.parametrize(
    ("part", "widths", "given"),
    [
        (("L1", "L5"), [20.0, 21.0, 19.0], False),  # of a neck
        (("L1", "L5"), [20.0, 45.0, 19.0], True),  # hollow ones, with the sacrum in view
        (("L2", "L4"), [20.0, 45.0, 19.0], False),  # with nothing to count from
        (("L2", "L4"), [40.0, 45.0, 19.0], True),
    ],
)
def test_narrow_bodies_are_lumbar_only_with_ribs_or_sacrum(monkeypatch, part, widths, given, scan):
    volume, truth = scan("ct_acrin_f46")
    above = 400.0 if part[0] == "L1" else 22.0
    low = truth[part[1]][2] - (400.0 if part[1] == "L5" else 22.0)
    volume = crop_s(volume, low, truth[part[0]][2] + above)
    real = locate.measure_bodies

    def narrow(traced, positions):
        bodies = real(traced, positions)
        return [replace(body, width_mm=widths[n % len(widths)]) for n, body in enumerate(bodies)]

    usual = find_levels(volume)
    assert len(usual) >= 2 and (usual.numbering == "neither") == (part[0] == "L2")
    monkeypatch.setattr(locate, "measure_bodies", narrow)
    assert len(find_levels(volume)) == (len(usual) if given else 0)


@pytest.mark.parametrize("name", ["ct_ts_example", "ct_acrin_f46", "ct_sagittal_m42"])
def test_l5_is_given_where_its_lower_disc_is_not_plain(name, scan):
    volume, truth = scan(name)
    whole = trace_spine(volume)
    middle = whole.straight.point(0.5 * (whole.discs[1:] + whole.discs[:-1]))
    l5 = int(np.linalg.norm(middle - truth["L5"], axis=1).argmin())
    short = replace(whole, discs=whole.discs[: l5 + 1], scores=whole.scores[:l5])
    longer = with_body_below(short)
    added = longer.straight.point(0.5 * (longer.discs[-1] + longer.discs[-2]))
    assert np.linalg.norm(added - truth["L5"]) < 12.0
    assert len(longer.scores) == l5 + 1 and longer.scores[-1] < longer.scores[-2]
    # Where the CT ends within the body, nothing is added.
    seen = short.profiles.seen.copy()
    seen[short.discs[-1] + 12 :] = False
    assert with_body_below(replace(short, profiles=replace(short.profiles, seen=seen))) is None


@pytest.mark.parametrize(
    ("seed", "change"),
    [(24061, {}), (24227, {}), (24061, {"noise_hu": 15.0}), (24227, {"spacing_mm": 2.0})],
)
def test_l5_is_given_where_the_ct_ends_above_the_sacrum(seed, change):
    """The last ribs name L4, and below it the CT shows a body whose lower disc is not plain."""
    options = random_options(seed) | change
    volume, truth = make_volume(seed, **options)
    assert not truth["sacrum_in_view"]
    selection = find_levels(volume)
    judged = judge_volume(volume, truth, selection, options)
    assert len(judged["whole"]) == 5 and all(judged["whole"].values())
    assert all(away < 12.0 for _, _, away, _ in judged["found"])
    assert selection["L5"].confidence <= selection["L4"].confidence


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 64, 64), (40, 8, 8)])
def test_small_and_empty_volumes_give_none(shape):
    for value in (-1000, 0, np.nan, 3000):
        hu = np.full(shape, value, np.float32)
        assert len(find_levels(CTVolume(hu, np.diag([3.0, 3.0, 3.0, 1.0])))) == 0


def test_cancel_and_progress():
    volume = EMPTY_BODIES["water phantom"]()
    with pytest.raises(Cancelled):
        find_levels(volume, should_cancel=lambda: True)
    told = []
    find_levels(volume, progress=lambda fraction, text: told.append((fraction, text)))
    assert told and all(0 <= fraction <= 1 and text for fraction, text in told)


# -- naming ---------------------------------------------------------------------
RIB, NO_RIB, UNSEEN = 3.0, -3.0, np.nan
ALA, NO_ALA = 3.0, -3.0


def name_all(ribs, ala):
    numbering = number_vertebrae(np.array([ribs, ribs]), np.array(ala))
    return numbering, [numbering.name(i) for i in range(len(ribs))]


def test_names_from_rib_and_sacrum():
    numbering, names = name_all([RIB] * 2 + [NO_RIB] * 5 + [UNSEEN] * 2, [NO_ALA] * 7 + [ALA] * 2)
    assert names[:8] == ["T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1"]
    assert numbering.decided_by == "both" and numbering.probability > 0.9


def test_names_from_rib_alone_and_sacrum_alone():
    numbering, names = name_all([RIB, RIB, NO_RIB, NO_RIB, NO_RIB], [NO_ALA] * 5)
    assert names == ["T11", "T12", "L1", "L2", "L3"] and numbering.decided_by == "rib"
    numbering, names = name_all([NO_RIB] * 3 + [UNSEEN] * 2, [NO_ALA] * 3 + [ALA] * 2)
    assert names[:4] == ["L3", "L4", "L5", "S1"] and numbering.decided_by == "sacrum"


@pytest.mark.parametrize("count", [4, 6])
def test_transitional_anatomy_is_reported_and_uncertain(count):
    ribs = [RIB] * 2 + [NO_RIB] * count + [UNSEEN] * 2
    numbering, names = name_all(ribs, [NO_ALA] * (2 + count) + [ALA] * 2)
    assert numbering.decided_by == "neither" and numbering.probability <= 0.5
    assert any("transitional" in finding for finding in numbering.findings)
    assert names[1 + count] == "L5"


def test_neither_rib_nor_sacrum_is_uncertain():
    numbering, _ = name_all([NO_RIB] * 3, [NO_ALA] * 3)
    assert numbering.decided_by == "neither" and numbering.probability <= 0.35
    assert any("uncertain" in finding for finding in numbering.findings)


def test_only_ribs_or_only_sacrum_is_no_lumbar_vertebra():
    assert not name_all([RIB] * 4, [NO_ALA] * 4)[0].any_lumbar
    assert not name_all([UNSEEN] * 2, [ALA] * 2)[0].any_lumbar


# -- the grid -------------------------------------------------------------------
def test_grid_keeps_places_and_values():
    rng = np.random.default_rng(3)
    smooth = rng.normal(0, 200, (8, 8, 8))
    from scipy import ndimage

    hu = ndimage.zoom(smooth, 8, order=3).astype(np.int16)
    tilt = np.deg2rad(12)
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(
        [[0, -np.cos(tilt), np.sin(tilt)], [-1, 0, 0], [0, np.sin(tilt), np.cos(tilt)]]
    ) @ np.diag([1.0, 1.0, 1.5])
    matrix[:3, 3] = (10, -20, 300)
    volume = CTVolume(hu, matrix)
    reduced = reduce_ct(volume)
    points = volume.ras_from_ijk(rng.uniform(12, 50, (200, 3)))
    there = volume.sample(points)
    # 3 mm blocks of a field that changes over 8 voxels.
    assert np.corrcoef(reduced.sample(points), there)[0, 1] > 0.98
    box = np.stack([points.min(axis=0) - 4, points.max(axis=0) + 4], axis=1)
    for grid in (make_grid(reduced), make_grid(reduced, box)):
        found = ndimage.map_coordinates(grid.hu, grid.index(points).T, order=1)
        assert np.corrcoef(found, there)[0, 1] > 0.95
    assert np.all(grid.origin >= box[:, 0] - 3) and grid.hu.size < make_grid(reduced).hu.size


def test_block_mean_ignores_padding_depth_and_nan():
    hu = np.full((4, 4, 4), -2000.0)
    hu[0, 0, 0] = np.nan
    assert np.all(block_mean(hu, (2, 2, 2)) == -1000.0)
    assert block_mean(np.arange(27).reshape(3, 3, 3), (3, 3, 3)).item() == 13.0


@pytest.mark.parametrize(("depth", "known"), [(34, True), (14, False)])
def test_the_walls_of_a_body_are_found_off_the_line(depth, known):
    a = np.arange(100) - 70.0  # mm; the line lies at A -30
    hu = np.full((60, 100, 80), 40, np.int16)
    hu[:, (a >= -40) & (a < -40 + depth), 20:60] = 250
    matrix = np.eye(4)
    matrix[:3, 3] = -40, -70, -30
    n = 50
    centre = np.zeros((n, 3))
    centre[:, 1], centre[:, 2] = -30.0, 20.0 - np.arange(n)
    right, front, up = (np.tile(row, (n, 1)) for row in np.eye(3))
    straight = StraightenedSpine(None, centre, up, right, front, np.full(n, 25.0))
    walls = body_walls(CTVolume(hu, matrix), straight, 25, 0.0, 50.0)
    if known:
        assert walls == pytest.approx((-10, 24), abs=1.6)
    else:
        assert walls is None, "too thin for a body"


def without_pedicles(traced, behind=None):
    """A traced spine with no pedicles and, where given, other bone or HU behind the canal."""
    bone, hu = traced.profiles.bone.copy(), traced.straight.hu.copy()
    canal = int(np.median(traced.straight.canal_mm))
    at = AHEAD + canal < -3
    if behind is not None:
        bone[:, at] = behind
    hu[:, at] = np.nan if behind is not None and np.isnan(behind) else 50.0
    profiles = replace(
        traced.profiles, bone=np.nan_to_num(bone), pedicle=0 * traced.profiles.pedicle
    )
    return replace(traced, profiles=profiles, straight=replace(traced.straight, hu=hu))


@pytest.mark.parametrize(
    ("count", "score", "behind", "lumbar"),
    [
        (3, 1.2, None, True),  # hollow pedicles, but an arch
        (3, 1.1, None, False),
        (4, 0.7, None, True),  # a clear chain of many bodies, however plain its discs are
        (4, 0.5, None, False),  # not clear
        (4, 0.7, 0.0, False),  # stacked discs of a test phantom, in water
        (4, 1.8, 0.0, False),
        (4, 1.8, 0.4, False),  # and in a brighter material
        (4, 1.8, np.nan, True),  # the CT ends behind the canal
        (4, 1.2, np.nan, False),
    ],
)
def test_without_pedicles_an_arch_tells_a_spine_from_stacked_discs(
    scan, count, score, behind, lumbar
):
    traced = trace_spine(scan("ct_acrin_f46")[0])
    assert traced.is_lumbar and traced.arch > 0.3
    part = replace(traced, discs=traced.discs[: count + 1], scores=np.full(count, score))
    assert without_pedicles(part, behind).is_lumbar == lumbar


@pytest.mark.parametrize(
    "change",
    [{}, {"storage": "coronal", "oblique_deg": (0.0, 0.0, 0.0)}, {"between_mm": 2.0}],
    ids=["as found", "coronal", "thin planes"],
)
def test_a_spine_with_hollow_arches_and_plain_bodies_is_found(change):
    """Nothing was: its discs are not plain, and pedicles hardly denser than muscle."""
    options = random_options(24274) | change
    volume, truth = make_volume(24274, **options)
    judged = judge_volume(volume, truth, find_levels(volume), options)
    assert len(judged["whole"]) == 5 and all(judged["whole"].values())
    assert all(away < 12.0 for _, _, away, _ in judged["found"])


@pytest.mark.parametrize("seed", [17, 25])
def test_stacked_discs_as_plain_as_a_spines_are_none(seed):
    """QA phantoms whose chain of discs is worth more than most spines'."""
    assert len(find_levels(EMPTY_BODIES["QA phantom"](seed))) == 0
