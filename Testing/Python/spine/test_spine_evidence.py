"""The networks along the straightened spine, and how two witnesses agree on names."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from CTBMDLib.errors import CTBMDError
from CTBMDLib.resources import resource_folder
from CTBMDLib.spine import evidence as ev
from CTBMDLib.spine.midline import midline
from CTBMDLib.spine.numbering import (
    CONTRADICTION,
    RIBS_ALONE,
    SACRUM_ABOVE,
    Numbering,
    agree,
    last_followed_rib,
    number_spine,
    number_vertebrae,
)
from CTBMDLib.spine.profile import find_chain
from CTBMDLib.spine.settings import SETTINGS
from CTBMDLib.spine.straightened import AHEAD, LATERAL, StraightenedSpine
from CTBMDLib.spine.witnesses import Evidence, lung_beside
from CTBMDLib.weights import SIGNATURE


def test_weights_are_small_and_as_the_card_says():
    folder = resource_folder("Models") / "ctbmd-locator"
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    assert (folder / "weights.npz").stat().st_size < 3_000_000
    assert sum(v.size for v in ev.load_weights().values()) == card["parameters"]
    assert card["population"] == "simulated"


@pytest.mark.parametrize(
    "harm", ["cut short", "other weights", "gone", "card no JSON", "no digest", "card changed"]
)
def test_damaged_weights_are_refused_with_a_sentence(tmp_path, harm):
    folder = tmp_path / "model"
    shutil.copytree(resource_folder("Models") / "ctbmd-locator", folder)
    weights, card = folder / "weights.npz", folder / "card.json"
    if harm == "cut short":
        weights.write_bytes(weights.read_bytes()[:5000])
    elif harm == "other weights":
        np.savez(weights, a=np.zeros(3))
    elif harm == "gone":
        weights.unlink()
    elif harm == "card no JSON":
        card.write_text("{")
    elif harm == "card changed":
        card.write_text(card.read_text().replace("simulated", "patients"))
    else:
        card.write_text("{}")
    with pytest.raises(CTBMDError, match="install CTBMD again") as error:
        ev.load_weights(folder)
    assert error.value.code.startswith(("no-weights", "weights-", "card-"))


def test_mirror_twice_is_the_same_and_once_exchanges_the_sides():
    central = np.random.default_rng(0).normal(size=(20, 8, 11)).astype(np.float32)
    once = ev.mirrored(central)
    assert np.array_equal(ev.mirrored(once), central)
    assert np.array_equal(once[:, :, 0], central[:, :, 8])
    assert np.array_equal(once[:, :, 9], central[:, :, 10])


def test_both_sides_of_a_symmetric_spine_look_alike():
    central = np.random.default_rng(1).normal(size=(40, 8, 11)).astype(np.float32)
    central = 0.5 * (central + ev.mirrored(central))
    beside = np.repeat(np.random.default_rng(2).normal(size=(1, 10, 66)), 2, axis=0)
    left, right = ev.side_input(central, beside)
    assert np.allclose(left, right, atol=1e-6)


def chain(bottoms, n=300, sure=3.0):
    """Log-odds as clear as day for discs in the planes given and bodies between them."""
    planes = np.arange(n)
    disc, body = np.full(n, -sure), np.full(n, -sure)
    for at in bottoms:
        disc = np.maximum(disc, sure - 2 * np.abs(planes - at))
    for a, b in zip(bottoms, bottoms[1:], strict=False):
        body = np.maximum(body, sure - 1.5 * np.abs(planes - (a + b) / 2))
    return disc, body


def test_chain_follows_discs_and_leaves_out_bodies_cut_by_the_volume():
    bottoms = [20, 52, 86, 121, 157, 195]
    disc, body = chain(bottoms)
    seen = np.ones(300, bool)
    discs, scores = find_chain(disc, body, seen)
    assert list(discs) == bottoms and (scores > 1.5).all()
    # The last disc lies just outside, its body is whole: it stays.
    seen[190:] = False
    assert list(find_chain(disc, body, seen)[0]) == bottoms
    # Half of the last body is outside: it goes.
    seen[176:] = False
    assert list(find_chain(disc, body, seen)[0]) == bottoms[:-1]
    assert len(find_chain(np.full(300, -3.0), np.full(300, -3.0), seen)[0]) == 0


SURE = Numbering(2, 0.95, "rib", None, ())
UNSURE = Numbering(2, 0.4, "neither", None, ("uncertain",))


def test_witnesses_that_agree_add_up():
    both = agree(SURE, replace(SURE, decided_by="sacrum"))
    assert both.decided_by == "both" and both.first_lumbar == 2
    assert agree(SURE, UNSURE) == SURE and agree(UNSURE, SURE) == SURE


def test_witnesses_that_differ_are_not_followed_blindly():
    other = replace(SURE, first_lumbar=3, probability=0.97)
    result = agree(SURE, other)
    assert result.decided_by == "neither" and result.probability <= 0.5
    assert result.findings == (CONTRADICTION,)
    result = agree(SURE, replace(UNSURE, first_lumbar=3))
    assert result.decided_by == "rib" and result.probability == SETTINGS.numbering.one_witness
    # Four or six vertebrae between rib and sacrum are not outvoted by one sign alone.
    six = Numbering(1, 0.5, "neither", 6, ("transitional",))
    assert agree(SURE, six) is six and agree(six, SURE) is six
    assert agree(UNSURE, replace(UNSURE, first_lumbar=1)).decided_by == "neither"


def test_a_sacrum_below_six_vertebrae_without_ribs_is_uncertain():
    ribs = np.full((2, 9), -3.0)
    ribs[:, 7:] = np.nan
    ala = np.array([-3.0] * 7 + [3.0, 3.0])
    numbering = number_vertebrae(ribs, ala)
    assert numbering.decided_by == "neither" and numbering.name(6) == "L5"
    assert any("rib" in finding for finding in numbering.findings)


@pytest.mark.parametrize("below", [1.6, 3.0])
@pytest.mark.parametrize(("seen", "sure"), [(-3.0, True), (0.5, True), (1.6, False), (2.6, False)])
def test_a_sacrum_that_the_network_sees_one_vertebra_higher_makes_names_uncertain(
    below, seen, sure
):
    """The rules see alae at S2 alone, and S1 would be L5; the network has no names of its own."""
    ribs = np.array([[-1.5, -2.8, -2.8, -3.0, 3.0, 2.0, np.nan]] * 2)
    far, room = np.ones(ribs.shape, bool), np.full(7, np.inf)
    rules = Evidence(ribs, np.array([-2.5] * 5 + [below, np.nan]), room, far, True)
    none = np.where(np.isnan(ribs), np.nan, -3.0)
    network = Evidence(none, np.array([-3.0] * 4 + [seen, 3.0, np.nan]), room, far, False)
    names = number_spine(rules, network)
    if sure:
        assert names.decided_by == "sacrum" and names.probability >= 0.6
        assert names.name(4) == "L5"
    else:
        assert names.decided_by == "neither" and names.probability <= 0.5
        assert names.findings == (SACRUM_ABOVE,)
        assert names.name(4) == "S1"


def test_torch_and_numpy_give_the_same():
    torch = pytest.importorskip("torch", reason="torch is missing; 'make test' installs it")
    pytest.importorskip("numba", reason="numba is missing; 'make test' installs it")
    from training.locator.train import make_net

    rng = np.random.default_rng(5)
    for name, channels in (("disc", 88), ("side", 98)):
        mean, scale = torch.zeros(channels) + 0.1, torch.ones(channels) * 1.7
        net = make_net(name, channels, mean, scale).eval()
        x = rng.normal(size=(60, channels)).astype(np.float32)
        with torch.no_grad():
            expected = net(torch.from_numpy(x.T[None]))[0].numpy().T
        assert np.allclose(ev.forward(x, net.weights(), name), expected, atol=1e-4)


def test_training_learns_from_little(tmp_path):
    pytest.importorskip("torch", reason="torch is missing; 'make test' installs it")
    pytest.importorskip("numba", reason="numba is missing; 'make test' installs it")
    from training.locator.train import disc_target, main, side_target

    rng = np.random.default_rng(6)
    bodies = np.array([[10.0 + 20 * n, 2.0, 16.0] for n in range(10)], np.float32)
    discs = np.array([[0.0 + 20 * n, 2.0] for n in range(10)], np.float32)
    sides = np.array([[0, 0, 0, 1, 1, 1, 1, 1, 2, 2], [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]])
    row = {"bodies": bodies, "discs": discs, "sides": sides, "last": np.array([2, -1])}
    target = disc_target(row, 200)
    assert target[20, 0] == 1 and target[30, 1] == 1 and target[30, 0] < 0.01
    beside = side_target(row, 200)
    assert [beside[0, t] for t in (10, 70, 170, 20)] == [0, 1, 2, -1]
    assert beside[1, 70] == 0, "a rib on the right of the fourth only"
    for seed in (1, 2):
        central = rng.normal(0, 0.3, (200, 8, 11))
        central[:, :, :9] += target[:, None, :1] - target[:, None, 1:]
        central[:, 1, -2:] = 1.0
        parts = {"central": central, "beside": rng.normal(size=(2, 50, 66)), **row}
        np.savez(tmp_path / f"{seed}.npz", count=1, **{f"0.{k}": v for k, v in parts.items()})
    out = tmp_path / "model"
    none = ["--steep", "0", "0", "--empty", "0", "0"]
    given = [str(tmp_path), "--seeds", "1", "3", *none, "--steps", "25", "--output"]
    assert main([*given, str(out)]) == 0 and main([*given, str(tmp_path / "again")]) == 0
    same = [(tmp_path / name / "weights.npz").read_bytes() for name in ("model", "again")]
    assert same[0] == same[1], "the same command makes the same weights"
    assert SIGNATURE in json.loads((out / "card.json").read_text())  # and compared when loaded
    weights = ev.load_weights(out)
    answer = ev.forward(ev.disc_input(central.astype(np.float32)), weights, "disc")
    assert np.corrcoef(answer[:, 0], target[::2, 0])[0, 1] > 0.5


def test_a_mirrored_line_takes_its_ribs_along():
    pytest.importorskip("torch", reason="torch is missing; 'make test' installs it")
    from training.locator.train import varied

    rng = np.random.default_rng(8)
    row = {
        "central": np.ones((200, 8, 11), np.float32),
        "beside": np.stack([np.full((50, 66), 2.0), np.full((50, 66), 0.5)]).astype(np.float32),
        "bodies": np.array([[10.0 + 20 * n, 2.0, 16.0] for n in range(10)]),
        "discs": np.array([[20.0 * n, 2.0] for n in range(10)]),
        "sides": np.array([[0] * 4 + [1] * 6, [0] * 3 + [1] * 7]),
        "last": np.array([-1, -1]),
    }
    seen = set()
    for _ in range(20):
        out = varied(row, rng)
        bright = out["beside"][:, :, :60].max(axis=(1, 2)).argmax()
        assert out["sides"][bright, 3] == 0 and out["sides"][1 - bright, 3] == 1
        seen.add(int(bright))
    assert seen == {0, 1}


def test_midline_is_found_where_bone_is_faint_and_screws_lie_on_one_side():
    n, bend = 130, 4.5
    lateral = LATERAL - bend
    hu = np.full((n, len(AHEAD), len(LATERAL)), 50.0)
    hu[:, :, np.abs(lateral) < 22] = 70.0  # a body hardly denser than muscle
    hu[:, :, (np.abs(lateral) > 24) & (np.abs(lateral) < 34)] = -90.0
    hu[:, (AHEAD < -20) & (AHEAD > -30), :] -= 30.0 * (np.abs(lateral) < 9)
    hu += np.random.default_rng(7).normal(0, 20, hu.shape)
    hu[70:80, AHEAD > -20, 24:28] = 2000.0
    frame = [np.zeros((n, 3))] * 4
    found = midline(
        StraightenedSpine(hu.astype(np.float32), *frame, np.full(n, 24.0)), [5, 45, 85, 125], 50.0
    )
    assert np.abs(found - bend).max() <= 1.5


# -- names where the sacrum is out of view -----------------------------------------
def seen(last_rib, count, *, rules=None, network=None, far=True, ala=None):
    """Evidence of both witnesses along `count` vertebrae; ribs down to position `last_rib`.

    `rules` and `network` replace rows: {position: (left, right)}.
    """
    ribs = np.full((2, count + 2), np.nan)
    ribs[:, :count] = np.where(np.arange(count) <= last_rib, 3.0, -3.0)
    none = np.append(np.full(count, -3.0), [np.nan, np.nan])
    room = np.append(30.0 * np.arange(count, 0, -1), [0.0, 0.0])
    given = []
    for bars, other in ((True, rules), (False, network)):
        own = ribs.copy()
        for position, pair in (other or {}).items():
            own[:, position] = pair
        reaches = np.full(own.shape, far)
        given.append(Evidence(own, none if ala is None or not bars else ala, room, reaches, bars))
    return number_spine(*given)


def test_names_from_clear_ribs_alone_say_so_and_are_less_sure():
    numbering = seen(1, 5)
    assert numbering.decided_by == "rib" and numbering.name(2) == "L1"
    assert numbering.probability <= SETTINGS.numbering.ribs_alone
    assert numbering.findings == (RIBS_ALONE,)


@pytest.mark.parametrize(
    ("doubt", "given"),
    [
        ("one side", {"rules": {1: (3.0, -3.0)}}),
        ("short, thin or steep", {"rules": {1: (-1.0, -1.0)}}),
        ("short, thin or steep", {"rules": {1: (0.5, 0.5)}}),
        ("cut off by the field of view", {"rules": {1: (np.nan, 1.5)}, "far": False}),
        ("faintly", {"network": {1: (0.3, 0.3), 2: (-0.8, -0.8)}}),
        ("different vertebrae", {"network": {1: (-0.5, 0.4), 2: (-1.0, -1.0)}}),
    ],
)
def test_what_speaks_against_the_last_ribs_lowers_the_confidence_and_is_said(doubt, given):
    numbering = seen(1, 5, **given)
    assert numbering.probability <= SETTINGS.numbering.ribs_doubtful
    assert any(doubt in text or "uncertain" in text for text in numbering.findings)
    assert "sacrum is not in view" in numbering.findings[0]


def test_two_doubts_make_names_uncertain():
    numbering = seen(
        1, 5, rules={0: (1.5, np.nan), 1: (-1.0, np.nan)}, network={1: (0.0, -3.0)}, far=False
    )
    assert numbering.decided_by == "neither" and numbering.probability <= 0.5
    assert numbering.findings[0].startswith("Numbering uncertain")


def test_one_witness_alone_is_not_followed_where_the_other_sees_other_names():
    """T9-T12 in a narrow field: the network overlooks the 12th ribs, the rules see little."""
    near = {n: (1.5, np.nan) for n in range(4)} | {4: (-1.5, -1.5), 5: (-1.5, -1.5)}
    numbering = seen(3, 6, rules=near, network={3: (0.5, -3.0), 2: (0.2, 2.8)}, far=False)
    assert numbering.decided_by == "neither" and numbering.probability <= 0.5


@pytest.mark.parametrize("network", [{1: (-0.5, -3.0)}, {2: (-0.2, 0.6)}, {1: (-3.0, -3.0)}])
def test_a_rib_followed_to_its_head_decides(network):
    """The network overlooks a steep 12th rib, or takes it for one of L1 that it passes."""
    numbering = seen(1, 6, network=network)
    assert numbering.decided_by == "rib" and numbering.name(2) == "L1"
    assert numbering.probability <= SETTINGS.numbering.ribs_doubtful


def test_a_rib_that_only_the_network_sees_below_makes_names_uncertain():
    numbering = seen(0, 6, network={1: (3.0, 2.5)})
    assert numbering.decided_by == "neither"
    assert "sacrum is not in view" in numbering.findings[0]


def test_the_last_followed_rib_needs_both_sides_and_room_to_see():
    ribs = np.array([[3.0, 3.0, -3.0, -3.0], [3.0, 3.0, -3.0, -3.0]])
    far = np.full(ribs.shape, True)
    assert last_followed_rib(ribs, far) == 1
    ribs[0, 1] = -1.0
    assert last_followed_rib(ribs, far) is None
    short = np.clip(np.array([[1.5, 1.5, -1.5], [1.5, 1.5, -1.5]]), -1.5, 1.5)
    assert last_followed_rib(short, np.full(short.shape, False)) is None
    assert last_followed_rib(np.full((2, 4), np.nan), far) is None


def test_a_sacrum_that_the_network_denies_is_not_counted_from():
    ala = np.append(np.full(4, -2.5), [np.nan, np.nan])
    ala[3] = 2.2  # the broad process of the last vertebra in view
    numbering = seen(-1, 4, ala=ala)
    assert numbering.decided_by == "neither"


@pytest.mark.parametrize(
    ("hu", "expected"), [(-850.0, 1.0), (50.0, 0.0), (-1000.0, 0.0), (np.nan, 0.0), (-90.0, 0.0)]
)
def test_lung_is_told_from_air_outside_fat_and_what_is_not_seen(hu, expected):
    n = 100
    planes = np.full((n, len(AHEAD), len(LATERAL)), 50.0, np.float32)
    planes[:60, :, np.abs(LATERAL) > 25] = hu
    straight = StraightenedSpine(planes, *[np.zeros((n, 3))] * 4, np.full(n, 24.0))
    assert lung_beside(straight, [(0, 30), (30, 60), (60, 90)]) == pytest.approx(
        [expected, expected, 0.0]
    )
    planes[:60, :, LATERAL > 25] = 50.0  # on one side only
    assert lung_beside(straight, [(0, 30), (30, 60), (60, 90)]) == pytest.approx([0.0] * 3)
