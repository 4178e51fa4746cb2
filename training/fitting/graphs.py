"""A training step recorded once as a CUDA graph and replayed: one launch instead of a thousand."""

from __future__ import annotations

import torch

WARM = 3
"""Steps that are taken as they are before one is recorded, as CUDA asks for."""


class Recorded:
    """A step that is replayed.

    What the step reads and writes must stay where it is in memory: images on the device,
    weights, sums, a learning rate that is a tensor.

    Parameters
    ----------
    step : callable(torch.Tensor)
        Takes the numbers of the images to learn from.
    pick : torch.Tensor
        Such numbers; all later ones have its shape.
    generator : torch.Generator
        What the step draws from.
    """

    def __init__(self, step, pick, generator):
        self.step, self.pick, self.generator = step, pick.clone(), generator
        self.taken, self.graph = 0, None

    def __call__(self, pick) -> None:
        """One step on some images."""
        self.pick.copy_(pick)
        if self.taken < WARM:
            self._aside()
            self.taken += 1
            return
        if self.graph is None:
            # Recording runs nothing, so that the replay below is the step itself.
            self.graph = torch.cuda.CUDAGraph()
            self.graph.register_generator_state(self.generator)
            with torch.cuda.graph(self.graph):
                self.step(self.pick)
        self.graph.replay()

    def _aside(self) -> None:
        """A step on a stream of its own, which leaves nothing half done for the recording."""
        aside, main = torch.cuda.Stream(), torch.cuda.current_stream()
        aside.wait_stream(main)
        with torch.cuda.stream(aside):
            self.step(self.pick)
        main.wait_stream(aside)
