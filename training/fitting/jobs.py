"""Trainings side by side: on the cores of one machine, or on the GPUs `torchrun` names.

Every training keeps its own checkpoint, so that each is resumed by itself, and a
finished one is only read. That is also how the processes of `torchrun` share
their work: each trains every n-th one, and all read all of them afterwards.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed

from CTBMDLib.model.images import ImageStandard

from ..console import say
from ..processes import cores, results, workers_for
from .augment import Augmentation
from .dataset import Images
from .train import Settings, fit


@dataclass
class Job:
    """One network to train.

    Attributes
    ----------
    name : str
        Names the checkpoint.
    train, valid : Images
    standard : ImageStandard
    seed : int
    settings : Settings
    augmentation : Augmentation
    initial : dict, optional
        Weights to start from.
    """

    name: str
    train: Images
    valid: Images | None
    standard: ImageStandard
    seed: int
    settings: Settings
    augmentation: Augmentation
    initial: dict | None = None


def ranks() -> tuple[int, int]:
    """The number of the process and how many there are under `torchrun`; (0, 1) without it."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def pick_device(wanted: str) -> str:
    """'auto' takes this process's GPU where there is one."""
    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return f"cuda:{int(os.environ.get('LOCAL_RANK', '0')) % torch.cuda.device_count()}"
    return "cpu"


def train_jobs(jobs, work, device="cpu", processes=None, log=None) -> list[dict]:
    """Train what is not trained yet; the weights of every job, in order.

    Parameters
    ----------
    jobs : sequence of Job
    work : path
        Folder of the checkpoints.
    device : str
    processes : int, optional
        Trainings at a time on a CPU, one thread each; all cores if None. Small
        networks gain little from a second thread, so a core each is quicker.
    log : callable(str), optional

    Returns
    -------
    list of dict
        Weights by name.
    """
    jobs, work = list(jobs), Path(work)
    work.mkdir(parents=True, exist_ok=True)
    rank, world = ranks()
    mine = jobs[rank::world]
    processes = workers_for(len(mine), processes or max(cores() // world, 1))
    if str(device).startswith("cpu") and processes > 1:
        for _ in results(_alone, [(job, work, log is not None) for job in mine], processes):
            pass
    else:
        for job in mine:
            _train(job, work, device, log)
    meet()
    # All are finished: this reads their checkpoints.
    return [_train(job, work, device, None) for job in jobs]


def _train(job, work, device, log):
    return fit(
        job.train,
        job.valid,
        job.standard,
        seed=job.seed,
        settings=job.settings,
        augmentation=job.augmentation,
        initial=job.initial,
        checkpoint=work / f"{job.name}.pt",
        device=device,
        log=(lambda text: log(f"{job.name}: {text}")) if log else None,
    )


def _alone(job, work, talk):
    """A training in a process of its own, on one core."""
    torch.set_num_threads(1)
    _train(job, work, "cpu", say if talk else None)


def meet() -> None:
    """Wait for the other processes of `torchrun`, which may be making a cohort for hours."""
    if ranks()[1] == 1:
        return
    if not distributed.is_initialized():
        distributed.init_process_group("gloo", timeout=timedelta(hours=12))
    distributed.barrier()
