"""The network: NumPy and torch agree, and it is built to follow mineral."""

from __future__ import annotations

import numpy as np
import pytest
from phantoms import CENTRES, STANDARD, phantom, random_weights

from CTBMDLib.levels import LevelSlice
from CTBMDLib.model.images import cut_images
from CTBMDLib.model.network import maps_numpy, parameter_shapes, predict_numpy, scanner_features


def images(bone_hu=200.0):
    return cut_images(phantom(bone_hu=bone_hu), LevelSlice("L2", CENTRES["L2"]), STANDARD).hu


def test_numpy_and_torch_agree():
    torch = pytest.importorskip("torch")
    from CTBMDLib.model.network import build_torch

    network = build_torch(STANDARD, seed=0)
    noise = np.random.default_rng(0).normal(60, 150, (9, 64, 64)).astype(np.float32)
    hu = np.concatenate([images(), noise])
    for seed, kvp in ((1, None), (2, 100.0)):
        weights = random_weights(seed)
        network.set_weights(weights)
        with torch.inference_mode():
            by_torch, maps = network(
                torch.from_numpy(hu),
                torch.from_numpy(scanner_features(kvp, len(hu))),
                with_maps=True,
            )
        assert np.abs(by_torch.numpy() - predict_numpy(weights, hu, STANDARD, kvp)).max() < 1e-4
        assert np.abs(maps.numpy() - maps_numpy(weights, hu, STANDARD, kvp)).max() < 1e-4


def test_torch_weights_round_trip_and_seed():
    pytest.importorskip("torch")
    from CTBMDLib.model.network import build_torch

    first, same, other = (build_torch(STANDARD, seed).get_weights() for seed in (3, 3, 4))
    assert {k: v.shape for k, v in first.items()} == parameter_shapes()
    assert all(np.array_equal(first[k], same[k]) for k in first)
    assert not np.array_equal(first["enc1.weight"], other["enc1.weight"])


def test_batches_do_not_matter():
    weights = random_weights()
    hu = np.random.default_rng(1).normal(50, 100, (11, 64, 64)).astype(np.float32)
    together = predict_numpy(weights, hu, STANDARD)
    alone = np.array([predict_numpy(weights, x[None], STANDARD)[0] for x in hu])
    assert together == pytest.approx(alone, abs=1e-5)
    assert predict_numpy(weights, hu[:0], STANDARD).shape == (0,)


def test_attention_maps_are_tissue():
    maps = maps_numpy(random_weights(), images(), STANDARD)
    hu = images()
    assert maps[:, 2:].sum(axis=(2, 3)) == pytest.approx(1.0, abs=1e-4)
    muscle, fat = ((maps[:, index] * hu).sum(axis=(1, 2)) for index in (2, 3))
    assert np.abs(muscle - 50).max() < 25
    assert np.all(fat < 50)


def test_values_outside_the_window_change_nothing():
    weights, hu = random_weights(), images()
    dense = hu.copy()
    dense[:, 5, 5] = 1500.0
    metal = dense.copy()
    metal[:, 5, 5] = 30000.0
    assert np.array_equal(
        predict_numpy(weights, dense, STANDARD), predict_numpy(weights, metal, STANDARD)
    )


def test_tube_voltage_is_used_and_unknown_is_its_own_case():
    assert scanner_features(None, 2).tolist() == [[0, 0], [0, 0]]
    features = scanner_features([np.nan, 80.0, 120.0], 3)
    assert features[:, 0].tolist() == [0, 1, 1]
    assert features[:, 1] == pytest.approx([0, np.log(1.82 / 1.38), 0])
    weights, hu = random_weights(), images()
    values = [predict_numpy(weights, hu, STANDARD, kvp) for kvp in (None, 80.0, 120.0)]
    assert not np.allclose(values[0], values[1]) and not np.allclose(values[1], values[2])


def precision(torch):
    """What torch would compute matrix products and convolutions with, old and new setting."""
    new = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)
    return [place.fp32_precision for place in new]


@pytest.mark.parametrize("wanted", ["ieee", "tf32"])
def test_an_answer_is_computed_in_full_single_precision(monkeypatch, wanted):
    torch = pytest.importorskip("torch")
    if not hasattr(torch.backends.cuda.matmul, "fp32_precision"):
        pytest.skip("torch is older than 2.9")
    import CTBMDLib.model.network as module

    seen, forward = [], module.forward

    def spy(*given):
        seen.append(precision(torch))
        return forward(*given)

    monkeypatch.setattr(module, "forward", spy)
    network = module.build_torch(STANDARD, seed=0)
    hu, scanner = torch.zeros(1, 64, 64), torch.from_numpy(scanner_features(None, 1))
    places = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)
    before = precision(torch)
    try:
        for place in places:
            place.fp32_precision = wanted
        with torch.inference_mode():
            network(hu, scanner)
        assert seen == [["ieee", "ieee"]] and precision(torch) == [wanted, wanted]
        with torch.no_grad(), pytest.raises(RuntimeError):
            network(hu, torch.zeros(7, 7))  # a forward that fails
        assert precision(torch) == [wanted, wanted]
        network(hu, scanner)  # in training it is torch's own affair
        assert seen[-1] == [wanted, wanted]
    finally:
        for place, value in zip(places, before, strict=True):
            place.fp32_precision = value


def test_the_precision_of_an_older_torch_is_set_too(monkeypatch):
    torch = pytest.importorskip("torch")
    from types import SimpleNamespace

    from CTBMDLib.model.network import full_precision

    old = SimpleNamespace(
        cuda=SimpleNamespace(matmul=SimpleNamespace(allow_tf32=True)),
        cudnn=SimpleNamespace(allow_tf32=True),
    )
    monkeypatch.setattr(torch, "backends", old)
    with pytest.raises(KeyError), full_precision():
        assert not old.cuda.matmul.allow_tf32 and not old.cudnn.allow_tf32
        raise KeyError
    assert old.cuda.matmul.allow_tf32 and old.cudnn.allow_tf32


def test_channels_beside_each_other_are_the_same_network():
    torch = pytest.importorskip("torch")
    from CTBMDLib.model.network import build_torch

    hu = torch.from_numpy(images())
    scanner = torch.from_numpy(scanner_features(120.0, len(hu)))
    answers, gradients = [], []
    for channels_last in (False, True):
        network = build_torch(STANDARD, 3, channels_last=channels_last)
        answers.append(network(hu, scanner))
        answers[-1].sum().backward()
        gradients.append([value.grad for value in network.parameters()])
    assert torch.allclose(*answers, rtol=1e-5)
    for one, other in zip(*gradients, strict=True):
        assert (one - other).abs().max() <= 1e-3 * one.abs().max() + 1e-6
