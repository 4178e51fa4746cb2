"""What the bone map is held to, and what it is taught to leave out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from phantoms import CENTRES, STANDARD, phantom
from scipy import ndimage

torch = pytest.importorskip("torch")

from CTBMDLib.levels import LevelSlice  # noqa: E402
from CTBMDLib.model.images import cut_images  # noqa: E402
from training.evaluation.studies import coarse, small  # noqa: E402
from training.fitting.augment import Augmentation, augment  # noqa: E402
from training.fitting.bright import BOWEL, TRIES, WALL, plant, plant_drawn  # noqa: E402
from training.fitting.targets import BONE, NOT, OPEN, map_targets, read_bone  # noqa: E402
from training.virtual.patient import make_patient  # noqa: E402
from training.virtual.traits import changed_priors  # noqa: E402

ROW = int(STANDARD.anterior_mm / STANDARD.spacing_mm)
BAR = int((STANDARD.anterior_mm + 42) / STANDARD.spacing_mm)


def image(bone_hu=300.0, standard=STANDARD, level="L2"):
    return cut_images(
        phantom((3.0, 3.0, 4.0), bone_hu), LevelSlice(level, CENTRES[level]), standard
    )


def disc(hu, row, column, radius, value):
    """The image with a bright disc in it."""
    y, x = np.mgrid[: hu.shape[1], : hu.shape[2]]
    inside = (y - row) ** 2 + (x - column) ** 2 <= radius**2
    return np.where(inside, value, hu)


@pytest.fixture(scope="module", params=[0, pytest.param(2, marks=pytest.mark.slow)])
def virtual(request):
    """Images of a virtual person with little mineral, and of the same with much; no stones."""
    none = dict.fromkeys(("wide.stones", "wide.calcified", "wide.oral_contrast_share"), 0.0)
    none["wide.calcification_share"] = 0.0  # thin plaque
    with changed_priors(none):
        person = make_patient(21, request.param, "wide", "mixed")
    return np.concatenate(
        [cut_images(person.slabs[x], where, STANDARD).hu for x, where in person.slices.items()]
    )


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def torched(*arrays):
    return [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]


def test_targets_are_bone_in_its_place():
    bone, room = read_bone(image().hu, STANDARD)
    target, weight = map_targets(torch.from_numpy(bone), None, STANDARD)
    assert target[0, 0, ROW, 32] == 1 and weight[0, 0, ROW, 32] == 1
    # The spinous bar is bone, but not part of the width of the body.
    assert target[0, 0, BAR, 32] == 1
    assert target[0, 1, BAR, 32] == 0 and weight[0, 1, BAR, 32] == 1
    assert target[0, :, ROW, 5].sum() == 0 and bool((weight[0, :, ROW, 5] == 1).all())
    assert room[0, ROW, 32] == 0 and room[0, ROW, 5] > 8


def test_a_body_without_mineral_is_left_to_the_network():
    bone, _ = read_bone(image(bone_hu=40.0).hu, STANDARD)
    assert bone[0, ROW, 32] == OPEN and bone[0, ROW, 5] == NOT


def test_nothing_outside_the_scan_is_bone():
    bone = torch.from_numpy(read_bone(image().hu, STANDARD)[0])
    beyond = torch.zeros(bone.shape, dtype=torch.bool)
    beyond[:, ROW:] = True
    target, weight = map_targets(bone, beyond, STANDARD)
    assert target[:, :, ROW:].sum() == 0 and bool((weight[:, :, ROW:] == 1).all())
    assert target[0, 0, ROW - 1, 32] == 1


@pytest.mark.parametrize(
    ("row", "column", "radius", "what"),
    [
        (8, 40, 2, NOT),  # a calcified artery in front
        (ROW, 8, 1, NOT),  # a stone beside the body
        (5, 32, 4, NOT),  # contrast in the bowel
        (6, 14, 6, NOT),
        (ROW - 6, 8, 6, OPEN),  # so large and far out that it may be the pelvis
        (BAR - 4, 8, 2, OPEN),  # behind the front of the arch: a rib, the tip of a process
    ],
)
def test_what_lies_apart_from_the_vertebra_is_no_bone(row, column, radius, what):
    hu = image().hu
    plain, _ = read_bone(hu, STANDARD)
    bone, _ = read_bone(disc(hu, row, column, radius, 600.0), STANDARD)
    assert (bone[:, row, column] == what).all()
    assert np.array_equal(bone == BONE, plain == BONE)


def test_nearly_all_that_is_dense_about_the_spine_of_a_person_is_bone(virtual):
    bone, room = read_bone(virtual, STANDARD)
    about = np.zeros(bone.shape, bool)
    about[:, ROW - 11 : ROW + 30, 14:50] = True
    dense = about & (ndimage.uniform_filter(virtual, (0, 3, 3), mode="nearest") > 160)
    assert dense.sum(axis=(1, 2)).min() > 15
    assert (bone[dense] == BONE).mean() > 0.97 and (bone[dense] != NOT).mean() > 0.99
    # A lone bright pixel of bone counts as none: nothing that is planted is that small.
    assert room[virtual > 250].max() <= 1 and room[:, :6].max(axis=(1, 2)).min() > 4


def planted(hu, seed=0, share=1.0, standard=STANDARD):
    bone, room = read_bone(hu, standard)
    x, room = torched(hu.astype(np.float32), room)
    return plant(x, room, share, standard, generator(seed)).numpy() - hu, bone


def test_bright_things_never_touch_bone(virtual):
    there = 0
    for seed in range(12):
        change, bone = planted(virtual, seed)
        for hu, one, code in zip(virtual, change, bone, strict=True):
            touched = one != 0
            there += touched.any()
            # A pixel's distance and more: what is beside a bright thing is no bone.
            wide = ndimage.binary_dilation(touched, np.ones((3, 3)))
            assert not (wide & (code == BONE)).any() and hu[wide].max() < 250
            # Nor does it lie in the body, the canal or behind them.
            assert not touched[ROW - 6 : ROW + 6, 26:38].any() and not touched[ROW + 24 :].any()
            if touched.any():
                assert one.max() > 30
    assert there > 0.7 * 12 * len(virtual)


def test_bright_things_are_of_the_size_and_hu_they_are_said_to_be():
    hu = np.full((3000, 64, 64), 40.0, np.float32)
    change, _ = planted(hu)
    area = (change > 60).sum(axis=(1, 2)) * STANDARD.spacing_mm**2
    peak = change.max(axis=(1, 2)) + 40
    assert peak.max() < 1500.01 and area.max() < 2.2 * np.pi * 17.5**2
    assert (area[area > 0] < 60).mean() > 0.2 and (area > 150).mean() > 0.2
    assert (peak > 700).mean() > 0.2


@pytest.mark.parametrize(
    ("part", "low", "high"), [(0.0, 0.05, 0.25), (0.5, 0.45, 0.7), (1.0, 0.97, 1)]
)
def test_the_wall_of_an_artery_is_hollow_and_of_the_part_that_is_asked_for(part, low, high):
    many = 40
    drawn = torch.zeros(2, TRIES + 1, 8, many)
    drawn[:, :-1, :2] = 0.5  # in the middle of what may bear it
    drawn[0, -1, 0] = BOWEL + 0.5 * WALL
    drawn[0, -1, 1], drawn[0, -1, 3], drawn[0, -1, 6] = 0.9, 0.5, part
    drawn[0, -1, 4] = torch.linspace(0, 1, many + 1)[:-1]  # turned all the way round
    drawn[1, -1, 5] = 1.0  # no second one
    blank = torch.full((many, 64, 64), 40.0)
    room = torch.full(blank.shape, 255, dtype=torch.uint8)
    change = (plant_drawn(blank, room, 1.0, STANDARD, drawn) - blank).numpy()
    row, column = np.indices((64, 64))
    middle = change.max(axis=0)  # of all turns together a whole ring
    centre = [np.average(axis, weights=middle) for axis in (row, column)]
    away = np.hypot(row - centre[0], column - centre[1]) * STANDARD.spacing_mm
    assert not middle[away < 10].any() and not middle[away > 18].any()
    ring = middle[(away > 12.5) & (away < 13)]
    assert ring.min() > 200
    shares = change.sum(axis=(1, 2)) / middle.sum()
    assert low <= shares.min() and shares.max() <= high
    # Wherever it begins, it is somewhere else at another turn.
    lit = change.reshape(many, -1) > 100
    assert part == 1.0 or not (lit[0] & lit[many // 2]).all()


def test_half_of_the_images_where_half_is_asked_for():
    hu = np.full((2000, 64, 64), 40.0, np.float32)
    change, _ = planted(hu, share=0.5)
    assert change.any(axis=(1, 2)).mean() == pytest.approx(0.5, abs=0.04)
    assert not planted(hu, share=0.0)[0].any()


@pytest.mark.parametrize("standard", [small(STANDARD), coarse(STANDARD)], ids=["small", "coarse"])
def test_images_of_another_geometry_bear_them_too(standard):
    hu = np.repeat(image(standard=standard).hu, 40, axis=0)
    change, bone = planted(hu, standard=standard)
    assert change.any(axis=(1, 2)).mean() > 0.5 and not change[bone == BONE].any()


def test_they_leave_the_label_alone():
    hu, room = torched(image().hu, read_bone(image().hu, STANDARD)[1])
    settings = replace(Augmentation.none(), bright=1.0)
    label = torch.tensor([0.7, 0.8, 0.9])
    out, same, _ = augment(hu, label, settings, generator(), standard=STANDARD, room=room)
    assert torch.equal(same, label) and not torch.equal(out, hu)


def test_where_all_images_are_worked_on_at_once_the_same_is_planted():
    """As on a GPU, where asking which images are chosen costs a wait."""
    hu = np.repeat(image().hu, 60, axis=0)
    x, room = torched(hu, read_bone(hu, STANDARD)[1])
    drawn = torch.rand(2, TRIES + 1, 8, len(x), generator=generator())
    at_once = plant_drawn(x, room, 0.4, STANDARD, drawn)
    assert torch.equal(plant(x, room, 0.4, STANDARD, generator()), at_once)
    assert 0.2 < (at_once != x).any(dim=2).any(dim=1).float().mean() < 0.6
