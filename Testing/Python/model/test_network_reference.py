"""The network against a second statement of it, and against frozen maps where torch is missing.

`CTBMDLib.model.network.forward` serves NumPy and torch alike, so that comparing the
two says nothing about what it computes. Here the same network is written once more
with torch.nn's own layers and literal numbers, and a few values of its maps are kept.
"""

from __future__ import annotations

import numpy as np
import pytest
from phantoms import STANDARD, random_weights

from CTBMDLib.model.network import maps_numpy, predict_numpy, scanner_features

KVP = (None, 80.0, 140.0)
FROZEN_BMD = {
    None: [-0.2175757, -0.2258806, -0.2336809],
    80.0: [-0.1719954, -0.1784113, -0.1847268],
    140.0: [-0.2253958, -0.2291554, -0.2314795],
}
FROZEN_MAPS = {
    "bone": [
        (0, 22, 32, 0.02615056),
        (1, 22, 24, 0.03209528),
        (1, 47, 32, 0.01966542),
        (2, 34, 20, 0.07667999),
        (2, 60, 32, 0.3520539),
        (0, 8, 14, 0.3899608),
    ],
    "width": [
        (0, 22, 32, 0.5221854),
        (1, 22, 24, 0.4171009),
        (1, 47, 32, 0.1931338),
        (2, 34, 20, 0.4611872),
        (2, 60, 32, 0.4792342),
        (0, 8, 14, 0.4833786),
    ],
    "muscle": [(0, 34, 20, 0.0007114176), (1, 38, 44, 0.000924045), (2, 52, 22, 0.0009148326)],
    "fat": [(0, 60, 32, 0.0009721343), (1, 8, 14, 0.001329818), (2, 61, 36, 0.000344419)],
}
"""Image, row, column and value of each map, without a tube voltage."""


def picture() -> np.ndarray:
    """Three images of air, fat, muscle, a bright body and metal, shape (3, 64, 64), without chance."""
    j, i = np.indices((64, 64)) + 0.5
    images = []
    for step in range(3):
        hu = np.full((64, 64), -1000.0)
        hu[np.hypot((j - 32) / 30, (i - 32) / 31) < 1] = -105.0
        hu[np.hypot((j - 34) / 25, (i - 32) / 27) < 1] = 52.0
        hu[np.hypot((j - 22) / 9, (i - 32 + step) / 11) < 1] = 160.0 + 40 * step
        hu[np.abs(np.hypot((j - 22) / 9, (i - 32 + step) / 11) - 1) < 0.12] = 600.0
        hu[40:54, 30:34] = 350.0
        hu[46:48, 10:12] = 2600.0
        images.append(hu + 12 * np.sin(0.9 * i + 0.5 * j) * np.cos(0.7 * j - 0.3 * i))
    return np.stack(images).astype(np.float32)


def weights(seed: int) -> dict:
    """Untrained weights whose biases and norms are not nought and one, so that each counts."""
    made = random_weights(seed)
    for index, name in enumerate(made):
        if name.endswith("norm.weight"):
            ramp = np.linspace(0.7, 1.3, made[name].size)
            made[name] = np.roll(ramp, index).astype(np.float32)
    return made


def restated(values: dict, hu, known, log_contrast):
    """The network in torch.nn's layers: (bmd, maps, inner values)."""
    import torch
    from torch import nn

    tensor = {name: torch.from_numpy(value) for name, value in values.items()}

    def load(layer, name):
        layer.weight.data, layer.bias.data = tensor[f"{name}.weight"], tensor[f"{name}.bias"]
        return layer

    def unit(name):
        outputs, inputs = values[f"{name}.weight"].shape[:2]
        return nn.Sequential(
            load(nn.Conv2d(inputs, outputs, 3, padding=1), name),
            load(nn.GroupNorm(4, outputs, eps=1e-5), f"{name}.norm"),
            nn.ReLU(),
        )

    def point(name):
        outputs, inputs = values[f"{name}.weight"].shape[:2]
        return load(nn.Conv2d(inputs, outputs, 1), name)

    def dense(name):
        outputs, inputs = values[f"{name}.weight"].shape
        return load(nn.Linear(inputs, outputs), name)

    half, double = nn.AvgPool2d(2), nn.Upsample(scale_factor=2, mode="nearest")
    smooth3 = nn.Sequential(nn.ReplicationPad2d(1), nn.AvgPool2d(3, stride=1))

    seen = torch.from_numpy(hu).clamp(-200.0, 1500.0)[:, None]
    both = torch.cat([seen / 500.0, seen.clamp(-200.0, 300.0) / 150.0], dim=1)
    e1 = unit("enc1")(both)
    e2 = nn.Sequential(half, unit("enc2a"), unit("enc2b"))(e1)
    e3 = nn.Sequential(half, unit("enc3a"), unit("enc3b"))(e2)
    e4 = nn.Sequential(half, unit("enc4a"), unit("enc4b"))(e3)
    d3 = unit("dec3")(torch.cat([double(e4), e3], dim=1))
    d2 = unit("dec2")(torch.cat([double(d3), e2], dim=1))
    d1 = unit("dec1")(torch.cat([double(point("narrow")(d2)), e1], dim=1))
    logits = point("maps")(d1)

    bone, width = torch.sigmoid(logits[:, 0]), torch.sigmoid(logits[:, 1])
    smoothed = smooth3(smooth3(seen))[:, 0]

    def tissue(channel, centre, spread):
        score = logits[:, channel] - ((smoothed - centre) / spread) ** 2
        share = torch.softmax(score.flatten(1), dim=1).view_as(score)
        return share, torch.einsum("nji,nji->n", share, smoothed)

    muscle, muscle_hu = tissue(2, 55.0, 30.0)
    fat, fat_hu = tissue(3, -100.0, 30.0)
    # Pixels are 2 mm: 0.2 cm wide, 0.04 cm2 large.
    width_cm = 0.2 * width.amax(dim=1).sum(dim=1)
    area_cm2 = 0.04 * bone.flatten(1).sum(dim=1)
    about = [
        torch.from_numpy(known),
        5.0 * torch.from_numpy(log_contrast),
        (muscle_hu - 40.0) / 10.0,
        (fat_hu + 90.0) / 10.0,
        (muscle_hu - fat_hu - 130.0) / 10.0,
        width_cm / 5.0 - 1.0,
        area_cm2 / 20.0 - 1.0,
    ]
    context = torch.cat([e4.mean(dim=(2, 3)), torch.stack(about, dim=1)], dim=1)
    factor = nn.Sequential(dense("factor1"), nn.ReLU(), dense("factor2"))(context)
    share = torch.sigmoid(factor[:, 1])
    marrow_hu = (1 - share) * muscle_hu + share * fat_hu
    mineral = 0.04 * (bone * (seen[:, 0] - marrow_hu[:, None, None])).flatten(1).sum(dim=1) / 1000
    gain = tensor["scale"] * torch.exp(0.5 * torch.tanh(factor[:, 0]))
    bmd = gain * torch.exp(-torch.from_numpy(log_contrast)) * mineral / (width_cm + 1.0)
    return bmd, torch.stack([bone, width, muscle, fat], dim=1)


def contrast(kvp):
    """Whether the voltage is known, and log of HU per mineral against 120 kV, three images."""
    per_mg = {None: 1.38, 80.0: 1.82, 100.0: 1.535, 120.0: 1.38, 140.0: 1.265}
    known = np.full(3, kvp is not None, np.float32)
    return known, np.full(3, np.log(per_mg[kvp] / 1.38), np.float32)


@pytest.mark.parametrize("kvp", [*KVP, 100.0, 120.0])
@pytest.mark.parametrize("seed", [0, 5])
def test_the_network_is_what_its_second_statement_says(seed, kvp):
    torch = pytest.importorskip("torch")
    values = weights(seed)
    with torch.inference_mode():
        bmd, maps = restated(values, picture(), *contrast(kvp))
    ours = maps_numpy(values, picture(), STANDARD, kvp)
    assert np.abs(ours[:, :2] - maps.numpy()[:, :2]).max() < 2e-5
    # The shares of muscle and fat sum to one over the image.
    peak = maps[:, 2:].numpy().max()
    assert np.abs(ours[:, 2:] - maps.numpy()[:, 2:]).max() < 1e-4 * peak
    answer = predict_numpy(values, picture(), STANDARD, kvp)
    assert answer == pytest.approx(bmd.numpy(), rel=2e-5, abs=2e-6)


@pytest.mark.parametrize("kvp", KVP)
def test_the_density_is_what_it_was(kvp):
    answer = predict_numpy(weights(0), picture(), STANDARD, kvp)
    assert answer == pytest.approx(FROZEN_BMD[kvp], rel=2e-5)


@pytest.mark.parametrize("channel", FROZEN_MAPS)
def test_the_maps_are_what_they_were(channel):
    index = ("bone", "width", "muscle", "fat").index(channel)
    ours = maps_numpy(weights(0), picture(), STANDARD)[:, index]
    image, row, column, wanted = np.array(FROZEN_MAPS[channel]).T
    here = ours[image.astype(int), row.astype(int), column.astype(int)]
    assert here == pytest.approx(wanted, rel=5e-5)


def test_scanner_features_by_hand():
    assert np.allclose(scanner_features(90.0, 1), [[1, np.log((1.82 + 1.535) / 2 / 1.38)]])
    assert np.allclose(scanner_features(140.0, 1), [[1, np.log(1.265 / 1.38)]])
    assert np.allclose(scanner_features(110.0, 1), [[1, np.log((1.535 + 1.38) / 2 / 1.38)]])
    # Beyond the table its end holds.
    assert np.allclose(scanner_features(150.0, 1), scanner_features(140.0, 1))
    mixed = scanner_features([120.0, np.nan], 2)
    assert mixed.dtype == np.float32 and np.allclose(mixed, [[1, 0], [0, 0]])


if __name__ == "__main__":
    # Prints the frozen values anew, for the day the network is meant to change.
    for given in KVP:
        print(
            given,
            [float(f"{x:.7g}") for x in predict_numpy(weights(0), picture(), STANDARD, given)],
        )
    inside = ((0, 22, 32), (1, 22, 24), (1, 47, 32), (2, 34, 20), (2, 60, 32), (0, 8, 14))
    soft = ((0, 34, 20), (1, 38, 44), (2, 52, 22))
    rim = ((0, 60, 32), (1, 8, 14), (2, 61, 36))
    places = (inside, inside, soft, rim)
    drawn = maps_numpy(weights(0), picture(), STANDARD)
    for number, label in enumerate(("bone", "width", "muscle", "fat")):
        print(
            label, [(*p, float(f"{drawn[p[0], number, p[1], p[2]]:.7g}")) for p in places[number]]
        )
