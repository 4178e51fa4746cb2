"""Train one member of the ensemble; resumable after a kill.

`python -m training.reproduce` drives it; `fit` is the call.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from CTBMDLib.model.images import ImageStandard
from CTBMDLib.model.network import build_torch, scanner_features

from .augment import Augmentation, augment, map_targets, mirror
from .dataset import Images


@dataclass(frozen=True)
class Settings:
    """How a network is trained.

    Attributes
    ----------
    epochs, batch : int
    rate : float
        Peak learning rate (warm-up, then cosine to zero).
    decay : float
        Weight decay.
    average : float
        Decay of the running average of the weights, which is what is kept.
    hide_kvp : float
        Share of images whose tube voltage is kept from the network.
    maps : float
        Weight of the bone and width maps' cross-entropy in the loss.
    mixed : bool
        Convolutions in bfloat16 where the machine computes them faster (a GPU, a CPU with
        the instructions for it); weights, sums and the loss stay in single precision.
    """

    epochs: int = 12
    batch: int = 48
    rate: float = 3e-3
    decay: float = 1e-3
    average: float = 0.98
    hide_kvp: float = 0.4
    maps: float = 0.2
    mixed: bool = True


SETTINGS = Settings()
AUGMENTATION = Augmentation()


def fit(
    train: Images,
    valid: Images | None,
    standard: ImageStandard,
    *,
    seed: int,
    settings: Settings = SETTINGS,
    augmentation: Augmentation = AUGMENTATION,
    initial: dict | None = None,
    checkpoint=None,
    device: str = "cpu",
    log=None,
) -> dict:
    """Train a network for all its epochs; the running average of the weights is the answer.

    The learning rate ends at zero, so the last epoch is kept: choosing another by
    the error of a few validation patients would follow their outliers.

    Parameters
    ----------
    train, valid : Images
        Images of different patients; the error on `valid` is told after each epoch.
    standard : ImageStandard
    seed : int
        Seeds weights, order and augmentation.
    initial : dict, optional
        Weights to start from, such as a bundle's member.
    checkpoint : path, optional
        File that the state is kept in after each epoch; read when it is there.
    device : str
    log : callable(str), optional

    Returns
    -------
    dict
        Weights by name, float32.
    """
    import torch

    kind = torch.device(device).type
    mixed = settings.mixed and fast_in_bfloat16(kind)
    network = build_torch(standard, seed).to(device)
    average = build_torch(standard, seed).to(device)
    if initial is not None:
        network.set_weights(initial)
        average.set_weights(initial)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=settings.rate, weight_decay=settings.decay, fused=False
    )
    steps_per_epoch = max(len(train) // settings.batch, 1)
    total = steps_per_epoch * settings.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda i: _rate(i, total))
    epoch, history = 0, []
    identity = json.dumps([asdict(settings), asdict(augmentation), seed, content(train)])
    if checkpoint and Path(checkpoint).is_file():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        if state["identity"] == identity:
            network.load_state_dict(state["network"])
            average.load_state_dict(state["average"])
            optimiser.load_state_dict(state["optimiser"])
            schedule.load_state_dict(state["schedule"])
            epoch, history = state["epoch"], state["history"]

    hu = torch.from_numpy(train.hu)
    bmd = torch.from_numpy(train.bmd.astype(np.float32))
    scanner = torch.from_numpy(scanner_features(train.kvp, len(train)))
    while epoch < settings.epochs:
        start = time.time()
        # Seeded by the epoch, so that a resumed run goes on as an unbroken one.
        order = np.random.default_rng([seed, epoch]).permutation(len(train))
        generator = torch.Generator(device=device).manual_seed(1000 * seed + epoch)
        losses = []
        network.train()
        for step in range(steps_per_epoch):
            pick = torch.from_numpy(order[step * settings.batch : (step + 1) * settings.batch])
            x = hu[pick].to(device).float()
            x = mirror(x, generator)
            target, weight = map_targets(x, standard)
            x, y = augment(x, bmd[pick].to(device), augmentation, generator)
            # Errors count relative to the value in part: low values matter most.
            shown = (
                torch.rand(len(pick), 1, generator=generator, device=device) >= settings.hide_kvp
            )
            with torch.autocast(kind, torch.bfloat16, enabled=mixed):
                answer, maps = network(x, scanner[pick].to(device) * shown, with_maps=True)
            answer, maps = answer.float(), maps.float()
            error = (answer - y) / (0.4 + 0.6 * y)
            loss = torch.nn.functional.huber_loss(error, torch.zeros_like(error), delta=0.1)
            # The maps are held to what they are called, so that the sum is over bone in any
            # scan, also where the surroundings look like nothing that was simulated.
            entropy = torch.nn.functional.binary_cross_entropy(
                maps[:, :2].clamp(1e-4, 1 - 1e-4), target, weight=weight
            )
            loss = loss + settings.maps * entropy
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            _follow(
                average,
                network,
                min(settings.average, (step + 1 + epoch * 50) / (step + 10 + epoch * 50)),
            )
            losses.append(float(loss.detach()))
        epoch += 1
        rmse = validation_rmse(average, valid, device) if valid is not None else math.nan
        history.append([epoch, float(np.mean(losses)), rmse])
        if checkpoint:
            _save(
                torch,
                checkpoint,
                {
                    "identity": identity,
                    "network": network.state_dict(),
                    "average": average.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "schedule": schedule.state_dict(),
                    "epoch": epoch,
                    "history": history,
                },
            )
        if log:
            told = f"held-out RMSE {rmse:.4f} g/cm2, " if valid is not None else ""
            log(
                f"epoch {epoch}/{settings.epochs} loss {np.mean(losses):.5f} {told}"
                f"{time.time() - start:.0f} s"
            )
    return average.get_weights()


def content(images: Images) -> str:
    """Digest of images and labels: other ones are another training, never a resumed one."""
    digest = hashlib.sha256()
    for array in (images.hu, images.bmd, images.kvp):
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()[:16]


def fast_in_bfloat16(kind: str) -> bool:
    """Whether a kind of device ('cpu', 'cuda', 'mps') is known to gain from bfloat16."""
    import torch

    if kind == "cuda":
        return torch.cuda.is_bf16_supported()
    if kind == "cpu":
        # Without the instructions it is emulated, and several times slower.
        ask = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
        return bool(ask and ask())
    return False


def validation_rmse(network, images: Images, device="cpu") -> float:
    """RMSE of level means over a level's images, g/cm2."""
    predicted = predict(network, images, device)
    keys, inverse = np.unique(
        np.char.add(np.char.add(images.patient.astype(str), "/"), images.level), return_inverse=True
    )
    count = np.bincount(inverse)
    mean = np.bincount(inverse, predicted) / count
    truth = np.bincount(inverse, images.bmd) / count
    return float(np.sqrt(np.mean((mean - truth) ** 2)))


def predict(network, images: Images, device="cpu") -> np.ndarray:
    """Answers of a torch network for stored images, shape (n,)."""
    import torch

    network.eval()
    parts = []
    with torch.inference_mode():
        for i in range(0, len(images), 256):
            x = torch.from_numpy(images.hu[i : i + 256]).to(device).float()
            scanner = torch.from_numpy(scanner_features(images.kvp[i : i + 256], len(x))).to(device)
            parts.append(network(x, scanner).cpu().numpy())
    return np.concatenate(parts)


def _rate(step, total):
    warm = max(total // 20, 1)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(total - warm, 1)))


def _follow(average, network, decay):
    import torch

    with torch.no_grad():
        for a, b in zip(average.parameters(), network.parameters(), strict=True):
            a.lerp_(b, 1 - decay)


def _save(torch, path, state):
    part = Path(path).with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)
