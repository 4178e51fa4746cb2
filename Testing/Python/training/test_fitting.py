"""A training goes on after a kill as if there had been none, and members can be trained at once."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from phantoms import CENTRES, STANDARD, phantom

torch = pytest.importorskip("torch")

from CTBMDLib.levels import LevelSlice  # noqa: E402
from CTBMDLib.model.images import cut_images  # noqa: E402
from training.fitting import train as module  # noqa: E402
from training.fitting.augment import Augmentation  # noqa: E402
from training.fitting.dataset import Images  # noqa: E402
from training.fitting.graphs import WARM, Recorded  # noqa: E402
from training.fitting.jobs import Job, train_jobs  # noqa: E402
from training.fitting.side import Together  # noqa: E402
from training.fitting.train import Fitting, Settings, fit  # noqa: E402
from training.plan import FULL  # noqa: E402
from training.virtual.traits import priors  # noqa: E402

STEPS = 4
SETTINGS = Settings(epochs=3, batch=4, rate=4e-3, mixed=False)


def images():
    """Four steps an epoch of phantoms of 100 to 350 HU."""
    values = np.linspace(100, 350, 6)
    cut = [
        cut_images(phantom((3.0, 3.0, 4.0), v), LevelSlice("L2", CENTRES["L2"]), STANDARD).hu
        for v in values
    ]
    n = STANDARD.images_per_level
    return Images(
        np.concatenate(cut).astype(np.int16),
        np.repeat(values / 200, n).astype(np.float32),
        np.repeat(np.arange(6), n),
        np.array(["L2"] * 6 * n),
        [str(i) for i in range(6)],
        np.tile([100.0, 120.0, np.nan], 6),
    )


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def train(path=None, seed=1, **changes):
    settings = replace(SETTINGS, **changes)
    augmentation = Augmentation()
    return fit(
        images(),
        None,
        STANDARD,
        seed=seed,
        settings=settings,
        augmentation=augmentation,
        checkpoint=path,
    )


@pytest.fixture(scope="module")
def unbroken():
    torch.set_num_threads(1)
    return train()


class Killed(BaseException):
    """Stands for a kill: nothing in the code may catch it."""


@pytest.mark.parametrize("steps", [1, STEPS, STEPS + 2, 3 * STEPS - 1])
@pytest.mark.parametrize("saving", ["every step", "now and then", "by epochs"])
def test_a_run_killed_within_an_epoch_ends_in_the_same_weights(
    tmp_path, monkeypatch, unbroken, steps, saving
):
    one_step, save, done = Fitting._one_step, Fitting._save, []

    def until_killed(self, pick):
        if len(done) == steps:
            raise Killed
        done.append(1)
        one_step(self, pick)

    def now_and_then(self):
        if len(done) % 3 == 0 or self.step % self.steps == 0:
            save(self)

    minutes = {"every step": -1.0, "now and then": -1.0, "by epochs": 60.0}
    monkeypatch.setattr(module, "SAVE_MINUTES", minutes[saving])
    if saving == "now and then":
        monkeypatch.setattr(Fitting, "_save", now_and_then)
    monkeypatch.setattr(Fitting, "_one_step", until_killed)
    path = tmp_path / "member.pt"
    with pytest.raises(Killed):
        train(path)
    taken = []

    def counted(self, pick):
        taken.append(1)
        one_step(self, pick)

    monkeypatch.setattr(Fitting, "_one_step", counted)
    assert same(train(path), unbroken)
    if saving == "every step":
        assert len(taken) == 3 * STEPS - steps  # nothing is done twice
    if saving == "by epochs":
        assert len(taken) == 3 * STEPS - steps // STEPS * STEPS
    assert same(train(path), unbroken) and len(taken) <= 3 * STEPS


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no kill -9")
def test_a_process_that_is_killed_at_any_moment_goes_on(tmp_path, unbroken):
    """Five random moments; `CTBMD_KILLS=100` for as many as the machine has time for."""
    kills = int(os.environ.get("CTBMD_KILLS", "5"))
    helper = Path(__file__).resolve().parents[1] / "helpers" / "killed_training.py"
    command = [sys.executable, str(helper), str(tmp_path), str(kills)]
    said = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=120 + 30 * kills
    )
    assert said.returncode == 0, said.stderr
    kept = [int(x.split()[1]) for x in said.stdout.splitlines()]
    print("steps kept when killed:", kept)
    assert len(kept) == kills and any(0 < step < 3 * STEPS for step in kept)
    for number in ("quiet", *range(kills)):
        with np.load(tmp_path / f"{number}.npz") as weights:
            assert same(dict(weights), unbroken)
    # Nothing half written is left beside them.
    left = {path.name for path in tmp_path.iterdir()} - {"killed.npz"}
    assert left == {f"{x}.{end}" for x in ("quiet", *range(kills)) for end in ("npz", "pt")}


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", None])
def test_a_checkpoint_that_cannot_be_read_begins_anew(tmp_path, unbroken, damage):
    path = tmp_path / "member.pt"
    train(path, epochs=1)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    assert same(train(path), unbroken)


def test_another_training_is_not_gone_on_with(tmp_path):
    path = tmp_path / "member.pt"
    train(path, epochs=1)
    assert same(train(path, epochs=1, seed=2), train(epochs=1, seed=2))


def together(path, seeds, tmp_path, **changes):
    return Together(
        images(),
        STANDARD,
        seeds,
        replace(SETTINGS, **changes),
        Augmentation.none(),
        checkpoint=path,
        written=[tmp_path / f"{seed}.pt" for seed in seeds],
    )


@pytest.mark.parametrize("rate", [30.0, 1.0], ids=["clipped", "not clipped"])
def test_members_side_by_side_learn_by_the_gradient_each_has_alone(tmp_path, monkeypatch, rate):
    """Of the same images, mirrored alike; what is drawn at random is the first member's."""
    seeds, batch = (5, 6, 7), SETTINGS.batch
    turned = torch.arange(len(seeds) * batch) % 3 == 0
    part = slice(None)

    def mirrored(generator, *stacks):
        now = turned[part][:, None, None]
        return [torch.where(now, stack.flip(2), stack) for stack in stacks]

    monkeypatch.setattr(module, "mirror", mirrored)
    at_once = together(None, seeds, tmp_path)
    at_once.prepare()
    pick = at_once._order(0)[1]
    (rate * at_once._loss(pick)).backward()
    at_once._clip()
    norms = []
    for i, seed in enumerate(seeds):
        alone = Fitting(images(), STANDARD, seed, SETTINGS, Augmentation.none())
        alone.prepare()
        assert torch.equal(alone._order(0)[1], pick[i * batch :][:batch])
        part = slice(i * batch, (i + 1) * batch)
        (rate * alone._loss(pick[part])).backward()
        norms.append(torch.nn.utils.get_total_norm([v.grad for v in alone.values]))
        alone._clip()
        for mine, value in zip(at_once.values, alone.values, strict=True):
            wide = value.grad.abs().max()
            assert (mine.grad[i] - value.grad).abs().max() <= 1e-3 * wide + 1e-7
    assert (min(norms) > 1) == (rate == 30.0)
    assert [same(a, b) for a in at_once._weights() for b in at_once._weights()].count(True) == 3


def test_side_by_side_goes_on_after_a_kill(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SAVE_MINUTES", -1.0)
    want = together(None, (5, 6), tmp_path / "a", epochs=2)
    (tmp_path / "a").mkdir()
    want = want.run(None)
    step, done = Together._one_step, []

    def until_killed(self, pick):
        done.append(1)
        if len(done) == STEPS + 3:
            raise Killed
        step(self, pick)

    monkeypatch.setattr(Together, "_one_step", until_killed)
    with pytest.raises(Killed):
        together(tmp_path / "c.pt", (5, 6), tmp_path, epochs=2).run(None)
    assert not (tmp_path / "5.pt").is_file()
    got = together(tmp_path / "c.pt", (5, 6), tmp_path, epochs=2).run(None)
    assert len(done) == 2 * STEPS + 1
    assert all(same(a, b) for a, b in zip(got, want, strict=True))
    # Each is kept as one that was trained alone, and is only read then.
    again = fit(
        images(),
        None,
        STANDARD,
        seed=6,
        settings=replace(SETTINGS, epochs=2),
        augmentation=Augmentation.none(),
        checkpoint=tmp_path / "6.pt",
    )
    assert same(again, got[1]) and len(done) == 2 * STEPS + 1


def test_jobs_are_trained_side_by_side_where_they_are_alike(tmp_path, monkeypatch):
    data, groups = images(), []
    run = Together.run

    def spy(self, valid):
        groups.append(self.seeds)
        return run(self, valid)

    monkeypatch.setattr(Together, "run", spy)
    settings = replace(SETTINGS, epochs=1)
    how = Augmentation()

    def job(seed, how=how, data=data):
        return Job(f"m{seed}", data, None, STANDARD, seed, settings, how)

    jobs = [job(0), job(1), job(2, Augmentation.none()), job(3), job(4, data=images())]
    first = train_jobs(jobs, tmp_path, together=True, processes=1)
    assert groups == [(0, 1, 3)] and len(first) == 5
    assert not list(tmp_path.glob("together*"))
    (tmp_path / "m1.pt").unlink()
    again = train_jobs(jobs, tmp_path, together=True, processes=1)
    assert groups == [(0, 1, 3)] and same(again[0], first[0]) and same(again[3], first[3])
    assert len({weights["scale"].item() for weights in first}) == 5


def test_a_step_never_waits_for_the_device():
    from torch.utils._python_dispatch import TorchDispatchMode

    seen = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            seen.append(str(function))
            return function(*args, **(kwargs or {}))

    fitting = Fitting(images(), STANDARD, 0, SETTINGS, replace(Augmentation(), bright=0.0))
    fitting.prepare()
    pick = fitting._order(0)[0]
    fitting.generator.manual_seed(0)
    with Watch():
        fitting._loss(pick).backward()
        fitting._clip()
    assert len(seen) > 100
    waiting = ("_local_scalar_dense", "nonzero", "_unique", "equal.default", "item")
    assert not [name for name in seen if any(word in name for word in waiting)]


def test_a_recorded_step_is_taken_warm_and_then_replayed(monkeypatch):
    calls, replays = [], []

    class Graph:
        def register_generator_state(self, generator):
            calls.append("registered")

        def replay(self):
            replays.append(pick.tolist())

    class Around:
        def __init__(self, *given):
            pass

        def __enter__(self):
            calls.append("recording" if len(calls) > WARM else "aside")

        def __exit__(self, *given):
            pass

    stream = type("Stream", (), {"wait_stream": lambda self, other: None})
    for name, stand_in in {
        "CUDAGraph": Graph,
        "graph": Around,
        "Stream": stream,
        "stream": Around,
        "current_stream": stream,
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    taken, pick = [], None
    recorded = Recorded(lambda pick: taken.append(pick.tolist()), torch.arange(2), None)
    pick = recorded.pick
    for number in range(WARM + 3):
        recorded(torch.tensor([number, number + 1]))
    # Recording calls the step once more, but runs nothing on a GPU.
    assert taken == [[n, n + 1] for n in range(WARM + 1)]
    assert replays == [[n, n + 1] for n in range(WARM, WARM + 3)]
    assert calls.count("registered") == 1 and calls[-1] == "recording"


def test_hidden_tube_voltages_are_drawn_as_in_practice():
    mixed = np.array(priors()["institution"]["mixed"]["kvp"], float)
    hidden = FULL.augmentation.hidden(mixed)
    share = hidden / hidden.sum()
    mean = float((share * mixed).sum())
    spread = float((share * (mixed - mean) ** 2).sum() ** 0.5)
    # 748,846 abdominal CT: 119 kV, SD 7.5.
    assert mean == pytest.approx(119, abs=1.5) and spread == pytest.approx(7.5, abs=1.5)
    assert 0.75 < share[mixed == 120].sum() < 0.87
    # Enough of them are told as well, at every voltage.
    assert hidden.min() > 0 and hidden.max() <= 0.6 and 0.2 < hidden.mean() < 0.4


def test_the_nearest_voltage_decides_and_an_unknown_one_stays_so():
    setting = Augmentation(hide_kvp=((80, 0.1), (120, 0.6)))
    assert setting.hidden([70, 99, 101, 150]).tolist() == pytest.approx([0.1, 0.1, 0.6, 0.6])
    assert np.isfinite(setting.hidden([np.nan])).all()
    assert not Augmentation.none().hidden([120.0, np.nan]).any()


def test_as_many_are_hidden_as_are_said_to_be(monkeypatch):
    told = []
    fitting = Fitting(images(), STANDARD, 0, SETTINGS, Augmentation())
    fitting.prepare()
    answer = Fitting._answer

    def spy(self, x, scanner):
        told.append(scanner[:, 0].clone())
        return answer(self, x[:1], scanner[:1])[0].expand(len(x)), torch.rand(len(x), 4, 64, 64)

    monkeypatch.setattr(Fitting, "_answer", spy)
    pick = torch.arange(18).repeat(120)
    with torch.no_grad():
        fitting._loss(pick)
    kvp = torch.from_numpy(images().kvp)[pick]
    for voltage, hidden in ((100, 0.2), (120, 0.6)):
        at = told[0][kvp == voltage]
        assert float(1 - at.mean()) == pytest.approx(hidden, abs=0.06)
    assert not told[0][kvp.isnan()].any()


def test_images_that_do_not_fit_are_fetched_for_each_step(monkeypatch):
    losses = []
    for room in (True, False):
        monkeypatch.setattr(module, "fits", lambda size, device, room=room: room)
        fitting = Fitting(images(), STANDARD, 0, SETTINGS, Augmentation())
        fitting.prepare()
        fitting.generator.manual_seed(0)
        assert fitting.resident == room
        losses.append(fitting._loss(fitting._order(0)[0]).item())
    assert losses[0] == losses[1]
