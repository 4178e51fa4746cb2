"""What a run of `training.reproduce` makes: cohorts, networks, studies; all its numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace

from CTBMDLib.model.images import ImageStandard

from .evaluation.studies import Studies
from .fitting.augment import Augmentation
from .fitting.dataset import Variation
from .fitting.train import Settings


@dataclass(frozen=True)
class Part:
    """A cohort: how many virtual patients of which kind; `changes` of the priors, by dotted name."""

    count: int
    seed: int
    population: str
    institution: str
    changes: dict | None = None


MIDDLE = {"wide.off_middle": 0.05}
"""Wide people whose slices lie about the middle of their bodies, as where levels are found well."""


@dataclass(frozen=True)
class Plan:
    """Everything that decides what comes out.

    Attributes
    ----------
    parts : dict of str to Part
        'wide' and 'off_middle' train: the same people, scanned at the middle of their
        bodies and up to a quarter of a body off it. Of the anatomies every tenth is held out
        for telling the error while it trains and for the response to mineral.
        'wide_A' and 'paper' train networks of the studies only. All whose names
        begin with 'validation' set the interval together; 'internal', 'external', 'asia' and
        'several' (many scanners, as they have) are only tested on.
    images_per_plane : int
    images_seen : int
        Images each member is trained on, repeats counted.
    seeds : tuple of int
        One member of the ensemble each.
    studies : Studies
        Networks that are only trained for the report.
    draws : int
        Bootstrap resamples.
    people : int
        Virtual people set beside the published anchors, and half as many East Asian ones.
    """

    parts: dict
    images_per_plane: int = 3
    images_seen: int = 240_000
    seeds: tuple = (0, 1, 2)
    draws: int = 1000
    people: int = 60
    settings: Settings = Settings()
    augmentation: Augmentation = Augmentation()
    variation: Variation = Variation()
    standard: ImageStandard = ImageStandard()
    studies: Studies = Studies()
    name: str = "ctbmd-virtual"
    version: str = "2.3.1"
    date: str = "2026-11-29"


FULL = Plan(
    {
        "wide": Part(669, 101, "wide", "mixed", MIDDLE),  # 600 to train with, 69 held out
        "off_middle": Part(390, 101, "wide", "mixed"),
        "validation": Part(100, 121, "realistic", "mixed"),  # several scanners and voltages
        "validation_2": Part(100, 111, "realistic", "mixed"),
        "validation_3": Part(100, 127, "realistic", "mixed"),
        "internal": Part(100, 172, "realistic", "A"),
        "external": Part(100, 173, "realistic", "B"),
        "asia": Part(100, 174, "realistic", "C"),
        "several": Part(100, 177, "realistic", "mixed"),
        "paper": Part(183, 116, "realistic", "A"),
        "wide_A": Part(99, 115, "wide", "A", MIDDLE),
    }
)
QUICK = Plan(
    {
        "wide": Part(6, 101, "wide", "mixed", MIDDLE),
        "off_middle": Part(6, 101, "wide", "mixed"),  # of both anatomies: one is held out
        "validation": Part(3, 121, "realistic", "mixed"),
        "validation_2": Part(3, 111, "realistic", "mixed"),
        "internal": Part(3, 132, "realistic", "A"),
        "external": Part(3, 133, "realistic", "B"),
        "asia": Part(3, 134, "realistic", "C"),
        "several": Part(3, 147, "realistic", "mixed"),
        "paper": Part(2, 116, "realistic", "A"),
        "wide_A": Part(3, 115, "wide", "A", MIDDLE),
    },
    images_per_plane=2,
    images_seen=400,
    seeds=(0,),
    draws=200,
    people=4,
    settings=Settings(batch=16),
    studies=Studies(
        curve=(3, 6),
        patients=3,
        images_seen=60,
        times=2,
        shuffles=2,
        shuffled_seen=30,
        redrawn=tuple(
            replace(study, patients=2, changes=dict(list(study.changes.items())[:1]))
            for study in Studies.redrawn[:2]
        ),
    ),
    name="ctbmd-quick",
    version="0.0.0",
)


def command(plan: Plan) -> str:
    """The call of `training.reproduce` that makes a bundle of this plan again."""
    words = ["python -m training.reproduce"]
    whole = QUICK if plan.name == QUICK.name else FULL
    if whole is QUICK:
        words.append("--quick")
    count = plan.parts["wide"].count
    if count != whole.parts["wide"].count:
        words.append(f"--train-patients {count}")
    return " ".join(words)
