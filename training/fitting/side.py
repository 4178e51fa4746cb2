"""Members of an ensemble trained side by side, as one batch of networks.

A small network leaves a GPU waiting for launches. Several that learn from the same
images are stacked weight by weight and take each step together: their convolutions
become one of as many groups, their launches those of one. Each member sees its own order of
the images and learns by its own gradient, clipped by its own norm, so that it is trained
as it would be alone, but for what is drawn at random.
"""

from __future__ import annotations

import hashlib
import json

import torch

from CTBMDLib.model.network import build_torch

from .train import Fitting, validation_rmse, write_checkpoint


class Together(Fitting):
    """The trainings of several networks at once.

    Parameters
    ----------
    train, standard, settings, augmentation
        See `train.fit`; the same for all.
    seeds : sequence of int
        One member each.
    initial : sequence of dict or None, optional
        Weights to start each member from.
    written : sequence of path
        Where each member's checkpoint is written at the end, as if it had been trained alone.
    """

    def __init__(self, train, standard, seeds, settings, augmentation, *, written, **how):
        self.seeds, self.written = tuple(seeds), tuple(written)
        self.members = len(self.seeds)
        super().__init__(train, standard, self.seeds[0], settings, augmentation, **how)

    def run(self, valid) -> list[dict]:
        """Train what is left; the weights of each member."""
        weights = super().run(valid)
        for seed, path, member in zip(self.seeds, self.written, weights, strict=True):
            network = build_torch(self.standard, seed)
            network.set_weights(member)
            state = {"identity": super()._identity(seed), "step": self.total, "history": []}
            write_checkpoint(path, {**state, "average": network.state_dict()})
        return weights

    def _build(self, initial) -> None:
        networks = []
        for i, seed in enumerate(self.seeds):
            network = build_torch(self.standard, seed).to(self.device)
            if initial is not None and initial[i] is not None:
                network.set_weights(initial[i])
            networks.append(network)
        # Its weights are never used: it is the form that the stacked ones are put into.
        self.form = networks[0]
        stacked = {
            name: torch.stack([dict(one.named_parameters())[name].detach() for one in networks])
            for name, _ in self.form.named_parameters()
        }
        self.network = {name: value.clone().requires_grad_() for name, value in stacked.items()}
        self.average = stacked
        self.values, self.averages = list(self.network.values()), list(self.average.values())

    def _identity(self, seed) -> str:
        return json.dumps([super()._identity(seed), self.seeds])

    def _order(self, epoch):
        orders = []
        for seed in self.seeds:
            self.seed = seed
            orders.append(super()._order(epoch))
        self.seed = self.seeds[0]
        return torch.cat(orders, dim=1)

    def _answer(self, x, scanner):
        def one(weights, x, scanner):
            given = {"with_maps": True}
            return torch.func.functional_call(self.form, weights, (x, scanner), given)

        n = len(self.seeds)
        split = x.reshape(n, -1, *x.shape[1:]), scanner.reshape(n, -1, scanner.shape[1])
        answer, maps = torch.func.vmap(one)(self.network, *split)
        return answer.flatten(), maps.flatten(0, 1)

    def _loss(self, pick):
        # The sum of the members' mean losses: each has the gradient it would have alone.
        return len(self.seeds) * super()._loss(pick)

    def _clip(self) -> None:
        squares = [value.grad.square().flatten(1).sum(dim=1) for value in self.values]
        norm = torch.stack(squares).sum(dim=0).sqrt()
        factor = (1.0 / (norm + 1e-6)).clamp(max=1.0)
        for value in self.values:
            value.grad.mul_(factor.reshape(-1, *[1] * (value.dim() - 1)))

    def _error(self, valid) -> float:
        """The mean of the members' errors."""
        errors = []
        for weights in self._weights():
            network = build_torch(self.standard, 0).to(self.device)
            network.set_weights(weights)
            errors.append(validation_rmse(network, valid, self.device))
        return sum(errors) / len(errors)

    def _weights(self) -> list[dict]:
        names = self.form.names
        stacked = {name: self.average[f"values.{i}"].cpu().numpy() for i, name in enumerate(names)}
        return [
            {name: value[i].copy() for name, value in stacked.items()}
            for i in range(len(self.seeds))
        ]

    def _parts(self) -> dict:
        return {
            "network": Stacked(self.network),
            "average": Stacked(self.average),
            "optimiser": self.optimiser,
        }


class Stacked:
    """Tensors by name that are kept and taken up as a module's are."""

    def __init__(self, values: dict):
        self.values = values

    def state_dict(self) -> dict:
        """The tensors themselves."""
        return {name: value.detach() for name, value in self.values.items()}

    def load_state_dict(self, state: dict) -> None:
        """Take others' numbers; the tensors stay where they are."""
        with torch.no_grad():
            for name, value in self.values.items():
                value.copy_(state[name])


def group_name(names) -> str:
    """Name of the checkpoint of some members that are trained together."""
    return "together-" + hashlib.sha256("/".join(names).encode()).hexdigest()[:12]
