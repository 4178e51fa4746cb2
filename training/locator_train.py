"""Train the two small networks of the level finder on virtual volumes.

python -m training.locator_train FEATURES [--seeds 6000 6110] [--steps 2000] [--output DIR]

FEATURES is a folder for what is measured on each volume; files already there are
kept. The networks see blocks of the straightened spine (`CTBMDLib.spine_evidence`):
one finds discs and bodies, one tells ribs, lumbar sides and sacral wings apart.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path

import numpy as np

from CTBMDLib import spine_evidence as ev
from CTBMDLib.spine_column import Column, tissue_level
from CTBMDLib.spine_grid import central_box, make_grid, noise_level, quieter, reduce_ct
from CTBMDLib.spine_straight import straighten

NAMES = ("T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1", "S2")
NEAR_MM = 13.0
"""A body or disc counts for a line that passes it within this distance."""
LINES = 4
"""Lines a volume: near the true one, with random shifts, turns and ends."""
BATCH = 12
MEASURES = 60
"""Leading side channels that are means and maxima; the rest say what is covered."""


# -- what is measured on a volume -------------------------------------------------
def jittered_line(volume, truth, rng) -> Column | None:
    """A line near the true one, as a trace might find it; None where little is in view."""
    ras, axes, heights = (
        np.array([truth["levels"][n][k] for n in NAMES]) for k in ("ras", "axis", "height_mm")
    )
    ends = 0.3 * axes * heights[:, None]
    knots = np.stack([ras + ends, ras - ends], axis=1).reshape(-1, 3)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    at = np.arange(0, length[-1], 6.0)
    line, up = (
        np.column_stack([np.interp(at, length, v[:, i]) for i in range(3)])
        for v in (knots, np.repeat(axes, 2, axis=0))
    )
    inside = np.flatnonzero([volume.contains(p) for p in line])
    if len(inside) < 5:
        return None
    first, last = inside[0], inside[-1] + 1
    if last - first > 12 and rng.random() < 0.3:
        first = rng.integers(first, last - 11)
        last = rng.integers(first + 10, last + 1)
    line, up = line[first:last], up[first:last]
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    front = np.array([0.0, 1.0, 0.0]) - up * up[:, 1:2]
    front /= np.linalg.norm(front, axis=1, keepdims=True)
    right = np.cross(front, up)
    wave = np.arange(len(line))

    def drift(constant, swing):
        phase = wave / rng.uniform(4, 12) + rng.uniform(0, 2 * np.pi)
        return (rng.normal(0, constant) + swing * rng.normal() * np.sin(phase))[:, None]

    body = line + drift(3.0, 2.5) * front + drift(2.5, 2.0) * right
    turn = rng.normal(0, 0.1)
    canal = body - rng.uniform(21, 27) * (np.cos(turn) * front + np.sin(turn) * right)
    return Column(body, canal, np.ones(len(body)))


def place(straight, point) -> tuple[float, float]:
    """Plane of a straightened spine that a point lies in, and its distance from the line."""
    apart = np.linalg.norm(straight.centre - point, axis=1)
    at = int(apart.argmin())
    return at - float((point - straight.centre[at]) @ straight.up[at]), float(apart[at])


def measure(seed: int) -> list[dict]:
    """Blocks and true places along several lines of one random virtual volume."""
    from .virtual.volume import make_volume, random_options

    volume, truth = make_volume(seed, **random_options(seed))
    reduced = reduce_ct(volume)
    tissue = tissue_level(reduced)
    noise = noise_level(make_grid(reduced, central_box(reduced)))
    quiet = quieter(reduced, noise)
    levels = [truth["levels"][n] for n in NAMES]
    rims = [
        (np.array(v["ras"]), 0.5 * v["height_mm"] * np.array(v["axis"]), v["height_mm"])
        for v in levels
    ]
    discs = [rims[0][0] + 1.2 * rims[0][1]]
    discs += [0.5 * (a - x + b + y) for (a, x, _), (b, y, _) in zip(rims, rims[1:], strict=False)]
    rng = np.random.default_rng([seed, 88])
    rows = []
    for _ in range(LINES):
        column = jittered_line(volume, truth, rng)
        if column is None:
            continue
        straight = straighten(volume, column, noise)
        rows.append(
            {
                "central": ev.central_channels(straight, tissue).astype(np.float16),
                "beside": ev.side_channels(straight, quiet, tissue).astype(np.float16),
                "bodies": np.array([(*place(straight, c), h) for c, _, h in rims]),
                "discs": np.array([place(straight, d) for d in discs]),
            }
        )
    return rows


def features(folder: Path, seeds) -> list[dict]:
    """`measure` of every seed, kept in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for seed in seeds:
        path = folder / f"{seed}.npz"
        if not path.exists():
            found = measure(seed)
            flat = {f"{n}.{key}": v for n, row in enumerate(found) for key, v in row.items()}
            np.savez_compressed(path, count=len(found), **flat)
        with np.load(path) as data:
            for n in range(int(data["count"])):
                keys = ("central", "beside", "bodies", "discs")
                rows.append({key: data[f"{n}.{key}"].astype(np.float32) for key in keys})
    return rows


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
    """Index in `SIDE_NAMES` beside each body, -1 elsewhere; shape (length,)."""
    planes = np.arange(length)
    target = np.full(length, -1)
    for number, (at, apart, height) in enumerate(row["bodies"]):
        if apart < NEAR_MM:
            kind = 0 if NAMES[number][0] == "T" else 1 if NAMES[number][0] == "L" else 2
            target[np.abs(planes - at) < 0.4 * height] = kind
    return target


def varied(row, rng) -> dict:
    """The same with another gain, noise, side, field of view, and with other ribs."""
    central, beside = row["central"].copy(), row["beside"].copy()
    bodies, discs = row["bodies"].copy(), row["discs"].copy()
    if rng.random() < 0.5:
        central, beside = ev.mirrored(central), beside[::-1].copy()
    gain, shift = np.exp(rng.normal(0, 0.2)), rng.normal(0, 0.08)
    for part, sigma in ((central[:, :, :-2], 0.15), (beside[:, :, :MEASURES], 0.12)):
        known = np.abs(part) > 1e-3
        part[:] = np.where(part > 0.1, part * gain, part) + shift * known
        part += rng.normal(0, rng.uniform(0, sigma), part.shape)
        np.clip(part, -1.5, 3.0, out=part)
    for side in range(2):
        if rng.random() < 0.6:
            _other_ribs(central, beside[side], side, bodies, rng)
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
    return {"central": central[start:], "beside": beside, "bodies": bodies, "discs": discs}


def _other_ribs(central, beside, side, bodies, rng):
    """Make ribs fainter and shorter: the twelfth is 2 to 25 cm long, and thinner than drawn."""
    last = bodies[2, 0] + 1.3 * bodies[2, 2]
    first = bodies[2, 0] - 0.6 * bodies[2, 2] if rng.random() < 0.5 else -np.inf
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
    rows = (planes < last - 0.6 * bodies[2, 2]) & (planes > first)
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
            target = np.where(cover > 0.5, side_target(row, len(central)), -1)[middle]
            target = np.pad(target, (0, both.shape[1] - len(target)), constant_values=-1)
            inputs += list(both)
            targets += [target, target]
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
        padded(targets, 0.0 if name == "disc" else -1),
        padded(weights, 0.0) if weights else None,
    )


# -- the networks in torch ----------------------------------------------------------
def make_net(name: str, channels: int, mean, scale):
    """The network `spine_evidence.forward` computes, in torch."""
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
    """Weights of one network by the names `spine_evidence` reads."""
    import torch

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    x, _, _ = batch(rows[:80], name)
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


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features", type=Path)
    parser.add_argument("--seeds", type=int, nargs=2, default=(6000, 6110), metavar=("FROM", "TO"))
    parser.add_argument("--steps", type=int, default=2000)
    default = Path(__file__).resolve().parents[1] / "Resources" / "Models" / "ctbmd-locator"
    parser.add_argument("--output", type=Path, default=default)
    options = parser.parse_args(arguments)
    rows = features(options.features, range(*options.seeds))
    weights = {}
    for name in ev.DILATIONS:
        weights.update(train(rows, name, options.steps))
    options.output.mkdir(parents=True, exist_ok=True)
    np.savez(options.output / "weights.npz", **weights)
    card = {
        "format": "ctbmd-locator",
        "population": "simulated",
        "trained_on": f"{len(rows)} lines through virtual volumes of seeds {options.seeds[0]} to "
        f"{options.seeds[1] - 1}",
        "made_by": "python -m training.locator_train FEATURES",
        "parameters": int(sum(v.size for v in weights.values())),
    }
    content = (options.output / "weights.npz").read_bytes()
    card["weights_sha256"] = hashlib.sha256(content).hexdigest()
    (options.output / "card.json").write_text(json.dumps(card, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
