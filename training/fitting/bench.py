"""How fast a network is trained here, and what the time goes to.

`python -m training.fitting.bench [--device cuda] [--members 3] [--batch 48]`

Prints images a second, milliseconds a step and what they go to, for members trained one
at a time and side by side, all in one run: on a machine that others use too, only the
ratios count. The images are random; what is in them costs nothing.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from CTBMDLib.model.images import ImageStandard

from .augment import Augmentation
from .dataset import Images
from .jobs import pick_device
from .side import Together
from .train import Fitting, Settings, fast_in_bfloat16

STANDARD = ImageStandard()
SHOWN = 8
"""Operations whose share of the time is told."""


@dataclass
class Way:
    """One way of training.

    Attributes
    ----------
    name : str
    members : int
        Networks that learn in each step.
    fitting : Fitting
    """

    name: str
    members: int
    fitting: Fitting

    def start(self):
        """Settle the images and take the first steps, which compile and reserve."""
        self.fitting.prepare()
        self.steps(6)

    def steps(self, count: int) -> tuple[float, float]:
        """Wall and processor seconds of some steps, the device's work included."""
        wait(self.fitting.device)
        start, used = time.perf_counter(), time.process_time()
        self.fitting.take_steps(count)
        wait(self.fitting.device)
        return time.perf_counter() - start, time.process_time() - used


say = partial(print, flush=True)


def main(arguments=None) -> int:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m training.fitting.bench", description=__doc__)
    add = made.add_argument
    add("--device", default="auto", help="auto, cpu or cuda")
    add("--members", type=int, default=3)
    add("--batch", type=int, default=Settings().batch)
    add("--steps", type=int, default=20, help="steps of each measurement")
    add("--repeats", type=int, default=3, help="measurements, of which the quickest counts")
    add("--threads", type=int, help="threads of torch on a CPU")
    add("--single", action="store_true", help="single precision instead of bfloat16")
    options = made.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    device = pick_device(options.device)
    kind = torch.device(device).type
    quick = fast_in_bfloat16(kind) and not options.single
    say(
        f"{device}, torch {torch.__version__}, {torch.get_num_threads()} threads, "
        f"batch {options.batch}, {'bfloat16' if quick else 'single precision'}"
    )
    ways = [make() for make in plans(device, options)]
    for way in ways:
        way.start()
    measure(ways, options, device)
    for way in ways:
        say(f"\n{way.name}: what a step goes to")
        say(profile(way, kind, min(options.steps, 10)))
    return 0


def plans(device, options) -> list[Callable[[], Way]]:
    """The ways that are tried on a device."""
    data = random_images(max(20 * options.batch, 2000 if device != "cpu" else 0))
    settings = Settings(epochs=10_000, batch=options.batch, mixed=not options.single)
    seeds = range(options.members)

    def alone(name, settings=settings, augmentation=None):
        augmentation = augmentation or Augmentation()
        return lambda: Way(
            name, 1, Fitting(data, STANDARD, 0, settings, augmentation, device=device)
        )

    def beside(name, settings=settings):
        return lambda: Way(
            name,
            options.members,
            Together(data, STANDARD, seeds, settings, Augmentation(), device=device, written=[]),
        )

    ways = [
        alone("one at a time"),
        alone("one at a time, nothing changed", augmentation=Augmentation.none()),
        beside(f"{options.members} side by side"),
    ]
    if torch.device(device).type == "cuda":
        recorded = replace(settings, graphs=True)
        ways.append(alone("one at a time, recorded", recorded))
        ways.append(beside(f"{options.members} side by side, recorded", recorded))
    return ways


def random_images(count: int) -> Images:
    """Noise about soft tissue with a dense body in the middle."""
    rng = np.random.default_rng(0)
    size = STANDARD.size_px
    hu = rng.normal(40, 20, (count, size, size))
    hu[:, 16:30, 24:40] += rng.uniform(100, 400, (count, 1, 1))
    return Images(
        hu.astype(np.int16),
        rng.uniform(0.5, 1.4, count).astype(np.float32),
        np.arange(count),
        np.full(count, "L2"),
        [str(i) for i in range(count)],
        rng.choice([100.0, 120.0, 140.0], count),
    )


def measure(ways, options, device) -> None:
    """Tell each way's speed; they take turns, so that what else runs here hits all."""
    found = [[] for _ in ways]
    for _ in range(options.repeats):
        for times, way in zip(found, ways, strict=True):
            times.append(way.steps(options.steps))
    say(f"{'':34s}{'ms/step':>9s}{'images/s':>10s}{'images/s of a core':>20s}{'ratio':>7s}")
    rates = []
    for times, way in zip(found, ways, strict=True):
        wall, used = (min(one) / options.steps for one in zip(*times, strict=True))
        images = way.members * options.batch
        # On a CPU what others do here does not touch the time a core works for this.
        rates.append(images / (used if torch.device(device).type == "cpu" else wall))
        say(
            f"{way.name:34s}{1000 * wall:9.1f}{images / wall:10.0f}{images / used:20.0f}"
            f"{rates[-1] / rates[0]:7.2f}"
        )
    if torch.device(device).type == "cuda":
        size = sum(part.nbytes for part in ways[0].fitting.data.values()) / 1e6
        say(f"{size:.0f} MB of images on the device, {waits(ways[0])} waits in a step")


def waits(way: Way) -> int:
    """How often a step on CUDA waits for the device; 0 is wanted."""
    import warnings

    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            way.fitting.take_steps(1)
        finally:
            torch.cuda.set_sync_debug_mode(before)
    return sum("synchroniz" in str(one.message) for one in told)


def profile(way: Way, kind: str, steps: int) -> str:
    """What the time of some steps goes to: launches and kernels on a GPU, operations on a CPU."""
    kinds = [torch.profiler.ProfilerActivity.CPU]
    if kind == "cuda":
        kinds.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=kinds) as found:
        seconds = way.steps(steps)[0]
    rows = found.key_averages()
    return launching(rows, seconds, steps) if kind == "cuda" else operations(rows)


def launching(rows, seconds: float, steps: int) -> str:
    """How much of some steps' time goes into launches, and how long the GPU works."""
    launches = [row for row in rows if "Launch" in row.key]
    count = sum(row.count for row in launches) / steps
    spent = sum(row.self_cpu_time_total for row in launches) / 1e6
    kernels = [row for row in rows if row.device_type == torch.autograd.DeviceType.CUDA]
    busy = sum(row.self_device_time_total for row in kernels) / 1e6
    return (
        f"  {count:.0f} launches a step, {spent / seconds:.0%} of the time in launches; "
        f"kernels run {busy / seconds:.0%} of the time"
    )


def operations(rows) -> str:
    """The operations that most of the time goes to, and their share of it."""
    total = sum(row.self_cpu_time_total for row in rows)
    rows = sorted(rows, key=lambda row: -row.self_cpu_time_total)[:SHOWN]
    return "\n".join(f"  {row.self_cpu_time_total / total:6.1%}  {row.key}" for row in rows)


def wait(device) -> None:
    """Until the device has done what it was given."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    sys.exit(main())
