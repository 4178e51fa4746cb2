"""Trainings side by side: on the cores of one machine, or on the GPUs `torchrun` names.

Every training keeps its own checkpoint, so that each is resumed by itself, and a
finished one is only read. On a GPU those that learn from the same images are one batch of
networks (`side`), which keep a checkpoint together until they are finished. That is also how the processes of `torchrun` share
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
from .side import Together, group_name
from .train import Fitting, Settings


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


def train_jobs(jobs, work, device="cpu", processes=None, log=None, together=None) -> list[dict]:
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
    together : bool, optional
        Whether those that learn from the same images are trained side by side; on a GPU
        alone if None, for a CPU has no time to gain from it.

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
    if str(device).startswith("cuda") if together is None else together:
        for group in _groups(mine):
            _train_group(group, work, device, log)
    elif str(device).startswith("cpu") and processes > 1:
        for _ in results(_alone, [(job, work, log is not None) for job in mine], processes):
            pass
    else:
        for job in mine:
            _train(job, work, device, log)
    meet()
    # All are finished: this reads their checkpoints.
    return [_train(job, work, device, None) for job in jobs]


def _groups(jobs) -> list[list[Job]]:
    """Jobs that differ in nothing but name, seed and the weights they start from."""
    groups = []
    for job in jobs:
        for group in groups:
            first = group[0]
            alike = (job.standard, job.settings, job.augmentation) == (
                first.standard,
                first.settings,
                first.augmentation,
            )
            if alike and job.train is first.train and job.valid is first.valid:
                group.append(job)
                break
        else:
            groups.append([job])
    return groups


def _train_group(group, work, device, log) -> None:
    """Train those of a group that are not finished."""
    left = [job for job in group if not _fitting(job, work, device, None).finished]
    if len(left) < 2:
        for job in left:
            _train(job, work, device, log)
        return
    first, names = left[0], [job.name for job in left]
    checkpoint = work / f"{group_name(names)}.pt"
    Together(
        first.train,
        first.standard,
        [job.seed for job in left],
        first.settings,
        first.augmentation,
        initial=[job.initial for job in left],
        checkpoint=checkpoint,
        written=[_checkpoint(job, work) for job in left],
        device=device,
        log=(lambda text: log(f"{', '.join(names)}: {text}")) if log else None,
    ).run(first.valid)
    checkpoint.unlink(missing_ok=True)


def _checkpoint(job, work) -> Path:
    return work / f"{job.name}.pt"


def _fitting(job, work, device, log) -> Fitting:
    return Fitting(
        job.train,
        job.standard,
        job.seed,
        job.settings,
        job.augmentation,
        initial=job.initial,
        checkpoint=_checkpoint(job, work),
        device=device,
        log=(lambda text: log(f"{job.name}: {text}")) if log else None,
    )


def _train(job, work, device, log):
    return _fitting(job, work, device, log).run(job.valid)


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
