"""Train one member of the ensemble; resumable after a kill.

`python -m training.reproduce` drives it; `fit` is the call.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from CTBMDLib.model.images import ImageStandard
from CTBMDLib.model.network import build_torch, scanner_features
from CTBMDLib.safefile import write_with

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
    **how,
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
    settings : Settings
    augmentation : Augmentation
    initial : dict, optional
        Weights to start from, such as a bundle's member.
    checkpoint : path, optional
        File that the state is kept in after each epoch; read when it is there.
    device : str
        'cpu' if not given.
    log : callable(str), optional

    Returns
    -------
    dict
        Weights by name, float32.
    """
    return Fitting(train, standard, seed, settings, augmentation, **how).run(valid)


class Fitting:
    """A training of one network, from where its checkpoint left it. See `fit`."""

    def __init__(
        self,
        train,
        standard,
        seed,
        settings,
        augmentation,
        *,
        initial=None,
        checkpoint=None,
        device="cpu",
        log=None,
    ):
        self.train, self.standard = train, standard
        self.seed, self.settings, self.augmentation = seed, settings, augmentation
        self.checkpoint = checkpoint and Path(checkpoint)
        self.device, self.log = device, log
        self.kind = torch.device(device).type
        self.mixed = settings.mixed and fast_in_bfloat16(self.kind)
        self.network = build_torch(standard, seed).to(device)
        self.average = build_torch(standard, seed).to(device)
        if initial is not None:
            self.network.set_weights(initial)
            self.average.set_weights(initial)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=settings.rate, weight_decay=settings.decay, fused=False
        )
        self.steps = max(len(train) // settings.batch, 1)
        total = self.steps * settings.epochs
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, lambda i: _rate(i, total))
        self.epoch, self.history = 0, []
        self.identity = json.dumps([asdict(settings), asdict(augmentation), seed, content(train)])
        self._resume()
        self.hu = torch.from_numpy(train.hu)
        self.bmd = torch.from_numpy(train.bmd.astype(np.float32))
        self.scanner = torch.from_numpy(scanner_features(train.kvp, len(train)))

    def run(self, valid) -> dict:
        """Train the epochs that are left; the weights."""
        while self.epoch < self.settings.epochs:
            start = time.time()
            loss = float(np.mean(self._one_epoch()))
            self.epoch += 1
            rmse = math.nan
            if valid is not None:
                rmse = validation_rmse(self.average, valid, self.device)
            self.history.append([self.epoch, loss, rmse])
            if self.checkpoint:
                self._save()
            if self.log:
                told = f"held-out RMSE {rmse:.4f} g/cm2, " if valid is not None else ""
                self.log(
                    f"epoch {self.epoch}/{self.settings.epochs} loss {loss:.5f} {told}"
                    f"{time.time() - start:.0f} s"
                )
        return self.average.get_weights()

    def _one_epoch(self) -> list[float]:
        """The loss of each step."""
        # Seeded by the epoch, so that a resumed run goes on as an unbroken one.
        order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.train))
        generator = torch.Generator(device=self.device).manual_seed(1000 * self.seed + self.epoch)
        batch, losses = self.settings.batch, []
        self.network.train()
        for step in range(self.steps):
            pick = torch.from_numpy(order[step * batch : (step + 1) * batch])
            loss = self._loss(pick, generator)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            self.optimiser.step()
            self.schedule.step()
            # The average follows quickly at first, when there is little to average.
            at = step + self.epoch * 50
            _follow(self.average, self.network, min(self.settings.average, (at + 1) / (at + 10)))
            losses.append(float(loss.detach()))
        return losses

    def _loss(self, pick, generator):
        """The loss of some images, changed at random."""
        device = self.device
        x = self.hu[pick].to(device).float()
        x = mirror(x, generator)
        target, weight = map_targets(x, self.standard)
        x, y = augment(x, self.bmd[pick].to(device), self.augmentation, generator)
        shown = torch.rand(len(pick), 1, generator=generator, device=device)
        shown = shown >= self.settings.hide_kvp
        with torch.autocast(self.kind, torch.bfloat16, enabled=self.mixed):
            answer, maps = self.network(x, self.scanner[pick].to(device) * shown, with_maps=True)
        answer, maps = answer.float(), maps.float()
        # Errors count relative to the value in part: low values matter most.
        error = (answer - y) / (0.4 + 0.6 * y)
        loss = torch.nn.functional.huber_loss(error, torch.zeros_like(error), delta=0.1)
        # The maps are held to what they are called, so that the sum is over bone in any
        # scan, also where the surroundings look like nothing that was simulated.
        entropy = torch.nn.functional.binary_cross_entropy(
            maps[:, :2].clamp(1e-4, 1 - 1e-4), target, weight=weight
        )
        return loss + self.settings.maps * entropy

    def _resume(self) -> None:
        """Take up the checkpoint where it is of this very training."""
        if self.checkpoint is None or not self.checkpoint.is_file():
            return
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        if state["identity"] == self.identity:
            for name, part in self._parts().items():
                part.load_state_dict(state[name])
            self.epoch, self.history = state["epoch"], state["history"]

    def _save(self) -> None:
        state = {name: part.state_dict() for name, part in self._parts().items()}
        state |= {"identity": self.identity, "epoch": self.epoch, "history": self.history}
        write_with(self.checkpoint, lambda stream: torch.save(state, stream), overwrite=True)

    def _parts(self) -> dict:
        return {
            "network": self.network,
            "average": self.average,
            "optimiser": self.optimiser,
            "schedule": self.schedule,
        }


def content(images: Images) -> str:
    """Digest of images and labels: other ones are another training, never a resumed one."""
    digest = hashlib.sha256()
    for array in (images.hu, images.bmd, images.kvp):
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()[:16]


def fast_in_bfloat16(kind: str) -> bool:
    """Whether a kind of device ('cpu', 'cuda', 'mps') is known to gain from bfloat16."""
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
    with torch.no_grad():
        for a, b in zip(average.parameters(), network.parameters(), strict=True):
            a.lerp_(b, 1 - decay)
