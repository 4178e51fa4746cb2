"""Train one member of the ensemble; resumable after a kill at any moment.

`python -m training.reproduce` drives it; `fit` is the call. `side` trains several at
once where a GPU has room for them, by the same steps.
"""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from CTBMDLib.model.images import ImageStandard
from CTBMDLib.model.network import build_torch, scanner_features
from CTBMDLib.safefile import write_with

from .augment import Augmentation, augment, mirror
from .dataset import Images
from .graphs import Recorded
from .targets import map_targets, read_bone
from .view import outside

SAVE_MINUTES = 3.0
"""How much of a training a kill costs at most."""
FORM = 4
"""Of a training's steps: a checkpoint of other steps is not gone on with."""
_SEEDS = 2**62


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
    maps : float
        Weight of the bone and width maps' cross-entropy in the loss.
    agree, agree_narrow : float
        Weight in the loss of what lies between the answers of twins, see `Augmentation`;
        the second where one of them has a narrow view. Far less then: what lies outside it,
        the fat and muscle that disturb a DXA, is worth knowing where it is seen.
    mixed : bool
        Convolutions in bfloat16 where the machine computes them faster (a GPU, a CPU with
        the instructions for it); weights, sums and the loss stay in single precision.
    graphs : bool
        Steps recorded once and replayed on a CUDA GPU, which spares their launches.
    """

    epochs: int = 12
    batch: int = 48
    rate: float = 3e-3
    decay: float = 1e-3
    average: float = 0.98
    maps: float = 0.2
    agree: float = 8.0
    agree_narrow: float = 1.0
    mixed: bool = True
    graphs: bool = False


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
        File that the state is kept in every few minutes and after each epoch; read when it
        is there.
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

    members = 1
    """Networks that are trained together."""

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
        self.saved = time.monotonic()
        self.kind = torch.device(device).type
        self.mixed = settings.mixed and fast_in_bfloat16(self.kind)
        self.steps = max(len(train) // settings.batch, 1)
        self.step, self.history = 0, []
        self.loss = torch.zeros((), device=device)
        self.follow = torch.zeros((), device=device)
        self.generator, self.take = torch.Generator(device=device), None
        self._build(initial)
        self.optimiser = self._optimiser()
        self.digest = content(train)
        self.identity = self._identity(seed)
        self._resume()

    @property
    def finished(self) -> bool:
        """Whether nothing is left to train."""
        return self.step >= self.total

    @property
    def total(self) -> int:
        """Steps of all epochs."""
        return self.steps * self.settings.epochs

    @property
    def epoch(self) -> int:
        """Epochs that are done."""
        return self.step // self.steps

    def run(self, valid) -> dict:
        """Train what is left; the weights."""
        if not self.finished:
            self.prepare()
        while not self.finished:
            start = time.time()
            self.take_steps(self.steps - self.step % self.steps)
            # The only number that an epoch takes from the device.
            loss = float(self.loss) / self.steps
            self.loss.zero_()
            rmse = math.nan if valid is None else self._error(valid)
            self.history.append([self.epoch, loss, rmse])
            self._save()
            if self.log:
                told = f"held-out RMSE {rmse:.4f} g/cm2, " if valid is not None else ""
                self.log(
                    f"epoch {self.epoch}/{self.settings.epochs} loss {loss:.5f} {told}"
                    f"{time.time() - start:.0f} s"
                )
        return self._weights()

    def _build(self, initial) -> None:
        """The network and the running average of its weights."""
        quick = self.kind == "cpu"
        self.network = build_torch(self.standard, self.seed, channels_last=quick).to(self.device)
        self.average = build_torch(self.standard, self.seed).to(self.device)
        if initial is not None:
            self.network.set_weights(initial)
            self.average.set_weights(initial)
        self.values = list(self.network.parameters())
        self.averages = list(self.average.parameters())

    def _optimiser(self):
        how = {"weight_decay": self.settings.decay, "fused": False}
        if self.kind == "cuda":
            # The rate is a number on the device, so that a recorded step follows it.
            return torch.optim.AdamW(
                self.values, lr=self.loss.new_tensor(self.settings.rate), capturable=True, **how
            )
        return torch.optim.AdamW(self.values, lr=self.settings.rate, **how)

    def _identity(self, seed) -> str:
        what = (asdict(self.settings), asdict(self.augmentation), seed, self.digest)
        return json.dumps([FORM, *what])

    def prepare(self) -> None:
        """All images and what belongs to them, on the device for the whole training if they fit."""
        train = self.train
        bone, room = read_bone(train.hu, self.standard)
        parts = {
            "hu": train.hu,
            "bmd": train.bmd.astype(np.float32),
            "scanner": scanner_features(train.kvp, len(train)),
            "hide": self.augmentation.hidden(train.kvp),
            "bone": bone,
            "room": room,
        }
        self.resident = fits(sum(part.nbytes for part in parts.values()), self.device)
        home = self.device if self.resident else "cpu"
        self.data = {name: torch.from_numpy(part).to(home) for name, part in parts.items()}

    def take_steps(self, count: int) -> None:
        """The next steps; `prepare` comes first."""
        order, epoch = None, None
        for _ in range(count):
            if epoch != self.epoch:
                order, epoch = self._order(self.epoch), self.epoch
            pick = order[self.step % self.steps]
            self._rates()
            # Seeded by the step, so that a resumed run goes on as an unbroken one.
            seed = (1_000_003 * (self.seed + 1) + self.step * 2_654_435_761) % _SEEDS
            self.generator.manual_seed(seed)
            self.take = self.take or self._stepper(pick)
            self.take(pick)
            self.step += 1
            if time.monotonic() - self.saved > 60 * SAVE_MINUTES:
                self._save()

    def _stepper(self, pick):
        """How a step on some images is taken here."""
        if self.kind == "cuda" and self.settings.graphs and self.resident:
            return Recorded(self._one_step, pick, self.generator)
        return self._one_step

    def _order(self, epoch):
        """Which images each step of an epoch shows, shape (steps, images)."""
        batch = min(self.settings.batch, len(self.train))
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.train))
        order = order[: self.steps * batch].reshape(self.steps, batch)
        return torch.from_numpy(order).to(self.device)

    def _rates(self) -> None:
        """The learning rate and how far the average follows, for the step to come."""
        rate = self.settings.rate * _rate(self.step, self.total)
        for group in self.optimiser.param_groups:
            if torch.is_tensor(group["lr"]):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
        # The average follows quickly at first, when there is little to average.
        at = self.step % self.steps + self.epoch * 50
        self.follow.fill_(1 - min(self.settings.average, (at + 1) / (at + 10)))

    def _one_step(self, pick) -> None:
        """Learn from some images; nothing here waits for the device."""
        self.optimiser.zero_grad(set_to_none=True)
        loss = self._loss(pick)
        loss.backward()
        self._clip()
        self.optimiser.step()
        with torch.no_grad():
            for average, value in zip(self.averages, self.values, strict=True):
                average.lerp_(value, self.follow)
            self.loss += loss.detach()

    def _clip(self) -> None:
        torch.nn.utils.clip_grad_norm_(self.values, 1.0)

    def _loss(self, pick):
        """The loss of some images, changed at random."""
        pick = pick if self.resident else pick.cpu()
        data = {name: part[pick].to(self.device) for name, part in self.data.items()}
        settings, generator, n = self.augmentation, self.generator, len(pick)
        x, bone, room = mirror(generator, data["hu"].float(), data["bone"], data["room"])
        beyond = outside(n, self.standard, settings.narrow, generator) if settings.narrow else None
        target, weight = map_targets(bone, beyond, self.standard)
        twin = self._twin(n)
        x, y, twins = augment(
            x,
            data["bmd"],
            settings,
            generator,
            standard=self.standard,
            room=room,
            outside=beyond,
            twin=twin,
        )
        shown = torch.rand(n, generator=generator, device=x.device) >= data["hide"]
        scanner = data["scanner"] * shown[:, None]
        with torch.autocast(self.kind, torch.bfloat16, enabled=self.mixed):
            answer, maps = self._answer(x, scanner)
        answer, maps = answer.float(), maps.float()
        # Errors count relative to the value in part: low values matter most.
        loss = _huber((answer - y) / (0.4 + 0.6 * y)).mean()
        if twins is not None:
            with torch.autocast(self.kind, torch.bfloat16, enabled=self.mixed):
                plain = self._answer(twins, scanner[twin])[0].float()
            apart = (answer[twin] - plain) / (0.4 + 0.6 * y[twin])
            loss = loss + (self._weight(beyond, twin) * _huber(apart)).mean()
        # The maps are held to what they are called, so that the sum is over bone in any
        # scan, also where the surroundings look like nothing that was simulated.
        entropy = torch.nn.functional.binary_cross_entropy(
            maps[:, :2].clamp(1e-4, 1 - 1e-4), target, weight=weight
        )
        return loss + self.settings.maps * entropy

    def _twin(self, count):
        """Which images of a step are shown twice, as many of each member; None for none."""
        every = self.augmentation.twins
        if not every:
            return None
        numbers = torch.arange(count, device=self.device).reshape(self.members, -1)
        return numbers[:, ::every].flatten()

    def _weight(self, beyond, twin):
        """What the difference of each pair of twins weighs."""
        if beyond is None:
            return self.settings.agree
        narrow = beyond[twin].flatten(1).any(dim=1)
        return torch.where(narrow, self.settings.agree_narrow, self.settings.agree)

    def _answer(self, x, scanner):
        return self.network(x, scanner, with_maps=True)

    def _error(self, valid) -> float:
        return validation_rmse(self.average, valid, self.device)

    def _weights(self):
        return self.average.get_weights()

    def _resume(self) -> None:
        """Take up the checkpoint where it is of this very training."""
        state = read_checkpoint(self.checkpoint, self.identity, self.device)
        if state is None:
            return
        for name, part in self._parts().items():
            if name in state:  # one that was finished beside others keeps its weights alone
                part.load_state_dict(state[name])
        for group in self.optimiser.param_groups:  # it may come from another kind of device
            group["capturable"] = self.kind == "cuda"
            if self.kind == "cuda":
                group["lr"] = torch.as_tensor(group["lr"], device=self.device)
            else:
                group["lr"] = float(group["lr"])
        self.step, self.history = state["step"], state["history"]
        self.loss.copy_(state.get("loss", torch.zeros(())))

    def _save(self) -> None:
        self.saved = time.monotonic()
        if self.checkpoint is None:
            return
        state = {name: part.state_dict() for name, part in self._parts().items()}
        state |= {"identity": self.identity, "step": self.step, "history": self.history}
        write_checkpoint(self.checkpoint, {**state, "loss": self.loss})

    def _parts(self) -> dict:
        return {"network": self.network, "average": self.average, "optimiser": self.optimiser}


def _huber(error):
    zero = torch.zeros_like(error)
    return torch.nn.functional.huber_loss(error, zero, delta=0.1, reduction="none")


def fits(size: int, device) -> bool:
    """Whether as many bytes leave room enough on a device; a processor has its images anyway."""
    if torch.device(device).type != "cuda":
        return True
    return size < torch.cuda.mem_get_info(device)[0] / 2


def read_checkpoint(path, identity: str, device="cpu") -> dict | None:
    """The state of a training, or None where there is none of this very one.

    A file that cannot be read, as of a full disk, is no reason to stop: the training
    begins anew.
    """
    if path is None or not Path(path).is_file():
        return None
    with suppress(RuntimeError, EOFError, pickle.UnpicklingError, KeyError):
        state = torch.load(path, map_location=device, weights_only=True)
        if state["identity"] == identity:
            return state
    return None


def write_checkpoint(path, state: dict) -> None:
    """Keep a state, whole or not at all."""
    write_with(path, lambda stream: torch.save(state, stream), overwrite=True)


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
