"""The ensemble: who trains it, on which images, one member a seed."""

from __future__ import annotations

import os
from dataclasses import replace

import torch

from .dataset import cached_images, together
from .jobs import Job, pick_device, train_jobs


def device_for(wanted: str) -> str:
    """The device to train on; on a CPU torch gets all cores, or `OMP_NUM_THREADS`."""
    device = pick_device(wanted)
    if device == "cpu":
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1))
    return device


def split_by_anatomy(paths, load):
    """Nine tenths of the anatomies to train, one tenth held out; never one anatomy in both.

    Every tenth anatomy in the order of the files, not scikit-learn's GroupShuffleSplit,
    whose draw would be another one and so would be the weights.

    Returns
    -------
    (list of Path, list of Path)
    """
    anatomy = [load(path).anatomy_id for path in paths]
    order = list(dict.fromkeys(anatomy))
    held = set(order[:: max(min(10, len(order)), 2)])
    train = [path for path, name in zip(paths, anatomy, strict=True) if name not in held]
    return train, [path for path, name in zip(paths, anatomy, strict=True) if name in held]


def others(paths, held_paths, load):
    """Those of `paths` whose anatomy is none of the held-out patients'."""
    held = {load(path).anatomy_id for path in held_paths}
    return [path for path in paths if load(path).anatomy_id not in held]


def training_images(plan, work, sources, held_paths, load, progress=None):
    """Random images to train on and standard images of the held-out anatomies.

    Parameters
    ----------
    plan : plan.Plan
    work : Path
    sources : dict of str to list of Path
        Patients to train on by the name of their images' folder.
    held_paths : list of Path
    load : callable(path) -> record
    progress : callable or None

    Returns
    -------
    (Images, Images)
    """
    train = together(
        cached_images(
            paths,
            load,
            work / "images" / name,
            plan.standard,
            variation=plan.variation,
            count=plan.images_per_plane,
            progress=progress,
        )
        for name, paths in sources.items()
        if paths  # of a few people scanned again all may be held out
    )
    valid = cached_images(
        held_paths, load, work / "images" / "held", plan.standard, variation=None, count=1
    )
    return train, valid


def train_members(
    plan, train, valid, work, *, device, log, initial=None, processes=None
) -> list[dict]:
    """One member a seed, each resumable.

    Parameters
    ----------
    plan : plan.Plan
    train, valid : Images
    work : Path
        Folder of the checkpoints.
    device : str
    log : callable(str)
    initial : list of dict, optional
        Weights to start the members from, by turns.
    processes : int, optional
        Trainings at a time, see `jobs.train_jobs`.

    Returns
    -------
    list of dict
        Weights by name.
    """
    epochs = max(1, round(plan.images_seen / len(train)))
    settings = replace(plan.settings, epochs=epochs)
    jobs = [
        Job(
            f"member{seed}",
            train,
            valid,
            plan.standard,
            seed,
            settings,
            plan.augmentation,
            initial[index % len(initial)] if initial else None,
        )
        for index, seed in enumerate(plan.seeds)
    ]
    return train_jobs(jobs, work, device, processes, log)
