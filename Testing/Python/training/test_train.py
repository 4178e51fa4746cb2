"""Training data, augmentation, the training loop and the figures of the evaluation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from phantoms import CENTRES, STANDARD, phantom

torch = pytest.importorskip("torch")
pytest.importorskip("training.fitting.dataset")

from CTBMDLib.levels import LevelSlice  # noqa: E402
from CTBMDLib.model.images import cut_images  # noqa: E402
from training.evaluation import evaluate  # noqa: E402
from training.evaluation.assess import fit_baselines, mask_bone  # noqa: E402
from training.evaluation.baselines import slice_dxa  # noqa: E402
from training.evaluation.report import age_line  # noqa: E402
from training.fitting.augment import (  # noqa: E402
    SOFT_HU,
    Augmentation,
    augment,
    gaussian,
    mirror,
)
from training.fitting.dataset import Images, Variation, cache_key, cached_images, together  # noqa: E402
from training.fitting.members import split_by_anatomy  # noqa: E402
from training.fitting.train import Settings, fit, predict  # noqa: E402

STILL = Augmentation.none()


def record(bone_hu=200.0):
    """A patient made of the phantom, with an areal BMD that follows its HU."""
    volume = phantom((3.0, 3.0, 4.0), bone_hu=bone_hu)
    levels = {x: LevelSlice(x, CENTRES[x]) for x in ("L1", "L2")}
    return SimpleNamespace(
        slabs={x: volume for x in levels},
        slices=levels,
        bmd={x: bone_hu / 200 for x in levels},
        bmd_total=bone_hu / 200,
        anatomy_id="a",
        sex="F",
        age_years=60.0,
        bmi=25.0,
    )


def images(count=6):
    values = np.linspace(100, 400, count)
    hu = np.concatenate(
        [
            cut_images(phantom((3.0, 3.0, 4.0), v), LevelSlice("L2", CENTRES["L2"]), STANDARD).hu
            for v in values
        ]
    )
    n = STANDARD.images_per_level
    return Images(
        hu.astype(np.int16),
        np.repeat(values / 200, n).astype(np.float32),
        np.repeat(np.arange(count), n),
        np.array(["L2"] * count * n),
        [str(i) for i in range(count)],
        np.full(count * n, 120.0),
    )


def test_cached_images_are_kept_and_the_same(tmp_path):
    calls = []

    def load(path):
        calls.append(path)
        return record()

    first = cached_images([Path("p0.npz"), Path("p1.npz")], load, tmp_path, STANDARD, count=2)
    again = cached_images([Path("p0.npz"), Path("p1.npz")], load, tmp_path, STANDARD, count=2)
    assert len(calls) == 2
    assert np.array_equal(first.hu, again.hu)
    assert first.names == ["p0", "p1"]
    assert len(first) == 2 * 2 * 3 * 2
    # Patients differ in their random placement, and a magnified vertebra has a larger label.
    assert not np.array_equal(first.hu[:12], first.hu[12:])
    assert first.bmd.std() > 0.01


def test_standard_images_are_those_the_panel_sees(tmp_path):
    got = cached_images([Path("p.npz")], lambda p: record(), tmp_path, STANDARD, variation=None)
    want = cut_images(record().slabs["L1"], record().slices["L1"], STANDARD).hu
    assert np.abs(got.hu[:3] - want).max() <= 0.5
    assert set(got.bmd) == {1.0}


def test_the_cache_knows_what_it_depends_on():
    keys = {
        cache_key(STANDARD, Variation(), 4),
        cache_key(STANDARD, Variation(), 5),
        cache_key(STANDARD, Variation(zoom=0), 4),
        cache_key(replace(STANDARD, slab_mm=3.0), Variation(), 4),
    }
    assert len(keys) == 4


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_no_augmentation_changes_nothing_and_a_mirror_half():
    x = torch.from_numpy(images().hu).float()
    y = torch.ones(len(x))
    out, label, _ = augment(x, y, STILL, generator())
    assert torch.equal(out, x) and torch.equal(label, y)
    x = x + torch.arange(64.0)
    out, place = mirror(generator(), x, torch.arange(64).expand_as(x))
    same, other = (out == x).all(dim=(1, 2)), (out == x.flip(2)).all(dim=(1, 2))
    assert bool((same | other).all()) and same.any() and other.any()
    # What belongs to an image is turned with it.
    assert torch.equal(place[:, 0, 0] == 0, same)


def test_a_scanner_is_calibrated_about_water_whatever_the_label():
    settings = replace(STILL, offset_hu=10.0, gain=0.02)
    water, bone = torch.zeros(4000, 2, 2), torch.full((4000, 2, 2), 500.0)
    label = torch.linspace(0.5, 1.5, 4000)
    at_water, same, _ = augment(water, label, settings, generator(3))
    at_bone, *_ = augment(bone, label, settings, generator(3))
    assert torch.equal(same, label)
    offset = at_water[:, 0, 0]
    slope = (at_bone[:, 0, 0] - offset) / 500
    assert float(offset.std()) == pytest.approx(10, rel=0.05)
    assert float(slope.std()) == pytest.approx(0.02, rel=0.05)
    assert float(slope.mean()) == pytest.approx(1, abs=0.002)
    drawn = torch.stack([offset, slope, label])
    assert torch.corrcoef(drawn).fill_diagonal_(0).abs().max() < 0.06


def test_mineral_changes_image_and_label_together():
    x = torch.from_numpy(images().hu).float()
    settings = replace(STILL, mineral=0.5, share=1.0)
    out, label, _ = augment(x, torch.ones(len(x)), settings, generator())
    row = int(STANDARD.anterior_mm / STANDARD.spacing_mm)
    before, after = x[:, row, 32] - SOFT_HU, out[:, row, 32] - SOFT_HU
    assert torch.allclose(after / before, label, rtol=1e-4)
    assert label.min() < 0.8 and label.max() > 1.2
    # Soft tissue beside the spine stays.
    assert torch.equal(out[:, row, 12].clamp(max=SOFT_HU), x[:, row, 12].clamp(max=SOFT_HU))


def test_noise_and_blur_do_what_they_say():
    flat = torch.full((200, 64, 64), 50.0)
    out, *_ = augment(flat, torch.ones(200), replace(STILL, noise_hu=40.0, share=1.0), generator())
    sd = out.std(dim=(1, 2))
    assert 30 < sd.max() <= 41 and sd.min() < 5
    assert abs(float(out.mean()) - 50) < 0.5
    spot = torch.zeros(1, 31, 31)
    spot[0, 15, 15] = 1
    blurred = gaussian(spot, torch.full((1, 1, 1), 1.0))
    assert float(blurred.sum()) == pytest.approx(1.0, abs=1e-4)
    assert float(blurred[0, 15, 15]) == pytest.approx(1 / (2 * np.pi), rel=0.02)


@pytest.mark.slow
def test_training_learns_and_a_resumed_run_is_the_unbroken_one(tmp_path):
    data = images()
    settings = Settings(epochs=10, batch=6, rate=4e-3, average=0.5)
    common = dict(seed=1, augmentation=STILL)
    log = []
    whole = fit(data, data, STANDARD, settings=settings, log=log.append, **common)
    assert len(log) == 10

    def stop(text):
        if "epoch 2/" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(
            data,
            data,
            STANDARD,
            settings=settings,
            checkpoint=tmp_path / "c.pt",
            log=stop,
            **common,
        )
    resumed_log = []
    resumed = fit(
        data,
        data,
        STANDARD,
        settings=settings,
        checkpoint=tmp_path / "c.pt",
        log=resumed_log.append,
        **common,
    )
    assert len(resumed_log) == 8
    assert all(np.allclose(whole[k], resumed[k], atol=1e-5) for k in whole)
    from CTBMDLib.model.network import build_torch, predict_numpy

    network = build_torch(STANDARD, 0)
    network.set_weights(whole)
    by_torch = predict(network, data)
    assert np.abs(by_torch - predict_numpy(whole, data.hu, STANDARD, data.kvp)).max() < 1e-4
    fresh = predict(build_torch(STANDARD, 1), data)
    assert np.abs(by_torch - data.bmd).mean() < 0.5 * np.abs(fresh - data.bmd).mean()

    # The checkpoint of other labels is not taken for this training's.
    other_log = []
    fit(
        replace(data, bmd=data.bmd + 0.1),
        data,
        STANDARD,
        settings=settings,
        checkpoint=tmp_path / "c.pt",
        log=other_log.append,
        **common,
    )
    assert len(other_log) == 10


def test_anatomies_are_never_split():
    paths = [Path(str(i)) for i in range(30)]
    load = lambda path: SimpleNamespace(anatomy_id=int(str(path)) // 3)  # noqa: E731
    train, held = split_by_anatomy(paths, load)
    assert sorted(train + held, key=lambda p: int(str(p))) == paths
    assert {load(p).anatomy_id for p in train}.isdisjoint(load(p).anatomy_id for p in held)
    assert held


def test_sets_of_images_become_one_without_mixing_their_people():
    first, second = images(), images()
    both = together([first, second])
    assert len(both) == 2 * len(first) and both.names == first.names * 2
    own = both.patient >= len(first.names)
    assert own.sum() == len(second) and np.array_equal(both.hu[own], second.hu)
    assert np.array_equal(both.patient[own] - len(first.names), second.patient)
    assert np.array_equal(both.bmd[~own], first.bmd)


def test_figures_of_known_data():
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.6, 1.3, 300)
    found = evaluate.figures(truth + 0.05, truth, truth < 0.8, draws=50)
    assert found["r"][0] == pytest.approx(1.0)
    assert found["bias"][0] == pytest.approx(0.05)
    assert found["rmse"][0] == pytest.approx(0.05)
    assert found["auc"][0] == 1.0
    assert found["sd"][0] == pytest.approx(0.0, abs=1e-9)
    spread = evaluate.figures(truth + rng.normal(0.02, 0.04, 300), truth, draws=50)
    assert spread["sd"][0] == pytest.approx(0.04, abs=0.005)
    noisy = evaluate.figures(rng.permutation(truth), truth, truth < 0.8, draws=200)
    assert abs(noisy["r"][0]) < 0.2 and noisy["r"][1] < noisy["r"][0] < noisy["r"][2]
    assert 0.35 < noisy["auc"][0] < 0.65


def test_errors_are_told_by_age():
    age = np.array([20.0, 39.9, 40.0, 59.0, 80.0, np.nan, 101.0])
    answer = SimpleNamespace(total=np.array([1.1, 1.3, 0.9, 0.9, 2.0, 2.0, 2.0]))
    table = SimpleNamespace(age=age, total=np.ones(7))
    young, middle = evaluate.by_age(answer, table)
    assert (young["from"], young["to"], young["patients"]) == (20, 40, 2)
    assert young["bias"] == pytest.approx(0.2) and young["sd"] == pytest.approx(0.02**0.5)
    assert middle["bias"] == pytest.approx(-0.1) and middle["sd"] == pytest.approx(0.0)
    told = " ".join(age_line([young, middle]))
    assert "20 to 39 years +0.200 (SD 0.141, 2 people)" in told and "40 to 59 years -0.100" in told
    assert age_line([]) == age_line(None) == []


def test_auc_counts_ties_half_and_needs_both_classes():
    assert evaluate.auc([1, 2, 2, 3], [0, 0, 1, 1]) == pytest.approx(0.875)
    assert np.isnan(evaluate.auc([1, 2], [1, 1])) and np.isnan(evaluate.auc([1, 2], [0, 0]))


def test_auc_is_that_of_the_rank_sum():
    from scipy.stats import rankdata

    rng = np.random.default_rng(3)
    for count in (5, 50, 183):
        for ties in (0, 1, 3):
            score = rng.normal(size=count).round(ties) if ties else rng.normal(size=count)
            positive = rng.random(count) < 0.3
            positive[:2] = True, False
            p, n = positive.sum(), (~positive).sum()
            by_ranks = (rankdata(score)[positive].sum() - p * (p + 1) / 2) / (p * n)
            assert abs(evaluate.auc(score, positive) - by_ranks) <= 1e-12


def test_conformal_intervals_cover():
    rng = np.random.default_rng(1)
    inside = []
    for _ in range(300):
        score = np.abs(rng.normal(size=60))
        inside.append(np.abs(rng.normal()) <= evaluate.conformal_quantile(score, 0.9))
    assert np.mean(inside) == pytest.approx(0.9, abs=0.06)


def test_baselines():
    rng = np.random.default_rng(0)
    hu, age = rng.normal(150, 40, 40), rng.normal(60, 12, 40)
    unknown = np.full(40, np.nan)
    total = 0.3 + 0.004 * hu - 0.002 * age
    table = SimpleNamespace(
        hu=hu, age=age, female=unknown, bmi=unknown, slice_dxa=hu**2, total=total
    )
    found = fit_baselines({"validation": table})
    assert list(found) == ["trabecular HU", "HU + age", "slice DXA"]
    names, model = found["HU + age"]
    x = np.column_stack([hu, age])
    assert names == ["hu", "age"] and model.predict(x) == pytest.approx(total)
    # Ordinary least squares, whoever computes it.
    design = np.column_stack([np.ones(40), hu])
    beta, *_ = np.linalg.lstsq(design, total, rcond=None)
    assert found["trabecular HU"][1].predict(hu[:, None]) == pytest.approx(design @ beta, abs=1e-12)
    low, high = (
        slice_dxa(
            cut_images(phantom(bone_hu=v), LevelSlice("L2", CENTRES["L2"]), STANDARD).hu, STANDARD
        ).mean()
        for v in (200.0, 360.0)
    )
    assert high / low == pytest.approx(320 / 160, rel=0.1)


def test_masking_bone_leaves_soft_tissue():
    hu = np.array([[-100.0, 50.0, 79.0, 200.0]])
    assert np.array_equal(mask_bone(hu), [[-100.0, 50.0, 79.0, 50.0]])
