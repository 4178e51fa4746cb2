"""Train the two small networks of the level finder on virtual volumes.

python -m training.locator.train FEATURES [--seeds 6000 6120 6200 6280] [--steep 6300 6400]
                                 [--empty 6000 6006] [--steps 2000] [--output DIR]

FEATURES is a folder for what is measured on each volume (`features`); files
already there are kept. Every fourth seed is a transitional spine; those of --steep have
ribs that run down as in life. The networks see
blocks of the straightened spine (`CTBMDLib.spine.evidence`): one finds discs and
bodies, one tells ribs, lumbar sides and sacral alae apart. The same seeds and steps
give the same bytes on the same machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path

import numpy as np

from CTBMDLib.safefile import write_text, write_with
from CTBMDLib.spine import evidence as ev
from CTBMDLib.weights import SIGNATURE, card_digest

from .features import UNKNOWN, features, is_transitional

NEAR_MM = 13.0
"""A body or disc counts for a line that passes it within this distance."""
BATCH = 12
SEEDS = (6000, 6120, 6200, 6280)
STEEP_SEEDS = (6300, 6400)
EMPTY_SEEDS = (6000, 6006)
ARGUMENTS = ("seeds", "steep", "empty")
MEASURES = 60
"""Leading side channels that are means and maxima; the rest say what is covered."""


# -- what the networks are asked --------------------------------------------------
def disc_target(row, length) -> np.ndarray:
    """1 at the middle of discs and of bodies, falling off over a few mm; (length, 2)."""
    planes = np.arange(length)
    target = np.zeros((length, 2), np.float32)
    for column, places, sigma in ((0, row["discs"], 2.0), (1, row["bodies"], 3.5)):
        for at, apart, *_ in places:
            if apart < NEAR_MM:
                bump = np.exp(-0.5 * ((planes - at) / sigma) ** 2)
                target[:, column] = np.maximum(target[:, column], bump)
    return target


def side_target(row, length) -> np.ndarray:
    """Index in `SIDE_NAMES` on the left and right of each body, -1 elsewhere; shape (2, length)."""
    planes = np.arange(length)
    target = np.full((2, length), UNKNOWN)
    for number, (at, apart, height) in enumerate(row["bodies"]):
        if apart < NEAR_MM:
            target[:, np.abs(planes - at) < 0.4 * height] = row["sides"][:, number, None]
    return target


def varied(row, rng) -> dict:
    """The same with another gain, noise, side, field of view, and with other ribs."""
    central, beside = row["central"].copy(), row["beside"].copy()
    bodies, discs = row["bodies"].copy(), row["discs"].copy()
    sides, last = row["sides"], row["last"]
    if rng.random() < 0.5:
        central, beside = ev.mirrored(central), beside[::-1].copy()
        sides, last = sides[::-1], last[::-1]
    gain, shift = np.exp(rng.normal(0, 0.2)), rng.normal(0, 0.08)
    for part, sigma in ((central[:, :, :-2], 0.15), (beside[:, :, :MEASURES], 0.12)):
        known = np.abs(part) > 1e-3
        part[:] = np.where(part > 0.1, part * gain, part) + shift * known
        np.add(
            part, rng.normal(0, rng.uniform(0, sigma), part.shape), out=part, casting="same_kind"
        )
        np.clip(part, -1.5, 3.0, out=part)
    for side in range(2):
        if rng.random() < 0.6 and last[side] >= 0:
            _other_ribs(central, beside[side], side, bodies[last[side]], rng)
    n = len(central)
    if rng.random() < 0.3:  # a narrow field of view
        for side in range(2):
            keep = int(rng.integers(1, 7))
            beside[side, :, :30].reshape(-1, 6, 5)[:, keep:] = 0
            beside[side, :, 30:MEASURES].reshape(-1, 5, 6)[:, :, keep:] = 0
            beside[side, :, MEASURES + keep :] = 0
    if rng.random() < 0.4 and n > 150:  # a short one
        low = int(rng.integers(0, n // 2)) if rng.random() < 0.6 else 0
        high = int(rng.integers(low + 60, n + 1)) if rng.random() < 0.6 else n
        central[:low], central[high:] = 0, 0
        beside[:, : low // ev.SIDE_STEP], beside[:, -(-high // ev.SIDE_STEP) :] = 0, 0
    start = int(rng.integers(0, ev.SIDE_STEP))
    bodies[:, 0] -= start
    discs[:, 0] -= start
    return {
        "central": central[start:],
        "beside": beside,
        "bodies": bodies,
        "discs": discs,
        "sides": sides,
    }


def _other_ribs(central, beside, side, body, rng):
    """Make ribs fainter and shorter: the twelfth is 2 to 25 cm long, and thinner than drawn.

    `body` is the row of the vertebra with the last rib; those above change in half of all cases.
    """
    at, _, height = body
    last = at + 1.3 * height
    first = at - 0.6 * height if rng.random() < 0.5 else -np.inf
    weight = np.full(6, rng.uniform(0.15, 1.0))
    near = np.sqrt(weight[0])
    weight[int(rng.integers(1, 7)) :] *= rng.uniform(0, 0.3)
    at = ev.SIDE_STEP * np.arange(len(beside)) + ev.SIDE_STEP / 2
    rows = (at < last) & (at > first)
    mean = beside[:, :30].reshape(-1, 6, 5)
    top = beside[:, 30:MEASURES].reshape(-1, 5, 6)
    mean[rows] = np.where(mean[rows] > 0.05, mean[rows] * weight[:, None], mean[rows])
    top[rows] = np.where(top[rows] > 0.2, np.maximum(0.15, top[rows] * weight), top[rows])
    planes = np.arange(len(central))
    rows = (planes < last - 0.6 * height) & (planes > first)
    outer = slice(0, 2) if side == 0 else slice(7, 9)
    part = central[:, :, outer]
    part[rows] = np.where(part[rows] > 0.2, np.maximum(0.15, part[rows] * near), part[rows])


def batch(rows, name):
    """Inputs (lines, channels, steps), targets and weights as torch tensors, padded."""
    import torch

    inputs, targets, weights = [], [], []
    for row in rows:
        central = row["central"]
        cover = central[:, 1, -2:].max(axis=1)
        if name == "disc":
            x = ev.disc_input(central)
            steps, step = len(x), ev.DISC_STEP
            target = disc_target(row, len(central))[: steps * step].reshape(steps, step, 2)
            inputs.append(x)
            targets.append(target.max(axis=1))
            around = np.convolve(cover, np.ones(17), "same")[: steps * step : step]
            weights.append((around > 0).astype(np.float32))
        else:
            both = ev.side_input(central, row["beside"])
            middle = slice(ev.SIDE_STEP // 2, both.shape[1] * ev.SIDE_STEP, ev.SIDE_STEP)
            target = np.where(cover > 0.5, side_target(row, len(central)), UNKNOWN)[:, middle]
            short = both.shape[1] - target.shape[1]
            target = np.pad(target, ((0, 0), (0, short)), constant_values=UNKNOWN)
            inputs += list(both)
            targets += list(target)
    longest = max(len(x) for x in inputs)

    def padded(arrays, fill):
        shape = (len(arrays), longest, *arrays[0].shape[1:])
        out = np.full(shape, fill, arrays[0].dtype)
        for number, array in enumerate(arrays):
            out[number, : len(array)] = array
        return torch.from_numpy(out)

    x = padded(inputs, 0.0).transpose(1, 2).contiguous()
    return (
        x,
        padded(targets, 0.0 if name == "disc" else UNKNOWN),
        padded(weights, 0.0) if weights else None,
    )


# -- the networks in torch ----------------------------------------------------------
def make_net(name: str, channels: int, mean, scale):
    """The network `CTBMDLib.spine.evidence.forward` computes, in torch."""
    import torch

    width, outputs = (32, 2) if name == "disc" else (24, 3)

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = torch.nn.Conv1d(channels, width, 1)
            self.blocks = torch.nn.ModuleList(
                torch.nn.Conv1d(width, width, 5, padding=2 * d, dilation=d)
                for d in ev.DILATIONS[name]
            )
            self.last = torch.nn.Conv1d(width, outputs, 1)
            self.drop = torch.nn.Dropout(0.2)

        def forward(self, x):
            x = torch.relu(self.first(self.drop((x - mean[:, None]) / scale[:, None])))
            for block in self.blocks:
                x = x + torch.relu(block(x))
            return self.last(self.drop(x))

        def weights(self) -> dict:
            layers = [self.first, *self.blocks, self.last]
            out = {f"{name}.mean": mean.numpy(), f"{name}.scale": scale.numpy()}
            for number, layer in enumerate(layers):
                kernel = layer.weight.detach().numpy().transpose(2, 1, 0)
                inner = 0 < number < len(layers) - 1
                out[f"{name}.{number}.weight"] = kernel if inner else kernel[0]
                out[f"{name}.{number}.bias"] = layer.bias.detach().numpy()
            return {k: np.ascontiguousarray(v, np.float32) for k, v in out.items()}

    return Net()


def train(rows, name: str, steps: int, seed: int = 0) -> dict:
    """Weights of one network by the names `CTBMDLib.spine.evidence` reads."""
    import torch

    torch.set_num_threads(1)  # the order of sums, and so the bytes, stay the same
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    if name == "side":
        rows = [row for row in rows if len(row["bodies"])]
    x, _, _ = batch(rows[:: max(1, len(rows) // 80)], name)
    flat = x.transpose(0, 1).reshape(x.shape[1], -1)
    net = make_net(name, x.shape[1], flat.mean(dim=1), flat.std(dim=1).clamp(min=0.1))
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    functional = torch.nn.functional
    for step in range(steps):
        chosen = [varied(rows[i], rng) for i in rng.integers(0, len(rows), BATCH)]
        x, target, weight = batch(chosen, name)
        answer = net(x)
        if name == "disc":
            loss = functional.binary_cross_entropy_with_logits(
                answer.transpose(1, 2), target, reduction="none"
            )
            loss = (loss * (1 + 3 * target) * weight[..., None]).sum() / (2 * weight.sum())
        else:
            loss = functional.cross_entropy(answer, target, ignore_index=-1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 200 == 0:
            print(f"{name} step {step}: loss {loss.item():.4f}", flush=True)
    net.eval()
    return net.weights()


def _span(seeds: range) -> str:
    return f"{seeds.start} to {seeds.stop - 1}"


def main(arguments=None) -> int:
    """Measure, train, and write weights and card."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, metavar="FROM TO")
    parser.add_argument("--steep", type=int, nargs=2, default=STEEP_SEEDS, metavar=("FROM", "TO"))
    parser.add_argument("--empty", type=int, nargs=2, default=EMPTY_SEEDS, metavar=("FROM", "TO"))
    parser.add_argument("--steps", type=int, default=2000)
    default = Path(__file__).resolve().parents[2] / "Resources" / "Models" / "ctbmd-locator"
    parser.add_argument("--output", type=Path, default=default)
    options = parser.parse_args(arguments)
    if len(options.seeds) % 2:
        parser.error("--seeds takes pairs of numbers: the first seed, and the one after the last.")
    ranges = [range(*pair) for pair in zip(*[iter(options.seeds)] * 2, strict=True)]
    seeds = [seed for part in ranges for seed in part]
    steep, empty = range(*options.steep), range(*options.empty)
    rows = features(options.features, seeds, steep, empty)
    weights = {}
    for name in ev.DILATIONS:
        weights.update(train(rows, name, options.steps))
    options.output.mkdir(parents=True, exist_ok=True)
    write_with(
        options.output / "weights.npz", lambda file: np.savez(file, **weights), overwrite=True
    )
    strange = sum(map(is_transitional, [*seeds, *steep]))
    told = [f"seeds {' and '.join(map(_span, ranges))}"]
    if steep:
        told.append(f"seeds {_span(steep)} with ribs that run down as in life")
    told.append(f"{strange} of these {len(seeds) + len(steep)} volumes with transitional anatomy")
    if empty:
        told.append(f"bodies without a lumbar spine of seeds {_span(empty)}")
    given = [f"--{key} {' '.join(map(str, getattr(options, key)))}" for key in ARGUMENTS]
    card = {
        "format": "ctbmd-locator",
        "population": "simulated",
        "trained_on": f"{len(rows)} lines through virtual volumes: {'; '.join(told)}",
        "made_by": f"python -m training.locator.train FEATURES {' '.join(given)} "
        f"--steps {options.steps}",
        "parameters": int(sum(v.size for v in weights.values())),
    }
    content = (options.output / "weights.npz").read_bytes()
    card["weights_sha256"] = hashlib.sha256(content).hexdigest()
    card[SIGNATURE] = card_digest(card)
    write_text(options.output / "card.json", json.dumps(card, indent=1) + "\n", overwrite=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
