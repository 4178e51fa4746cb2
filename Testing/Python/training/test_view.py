"""A narrow field of view in training is what the panel would see of a cropped CT."""

from __future__ import annotations

import numpy as np
import pytest
from phantoms import CENTRES, STANDARD, phantom

torch = pytest.importorskip("torch")

from CTBMDLib.levels import LevelSlice  # noqa: E402
from CTBMDLib.model.images import cut_images  # noqa: E402
from CTBMDLib.volume import AIR_HU, CTVolume  # noqa: E402
from training.evaluation.studies import coarse, small  # noqa: E402
from training.fitting.augment import Augmentation, augment  # noqa: E402
from training.fitting.dataset import Variation, cached_images  # noqa: E402
from training.fitting.view import KEPT_MM, MOST, beyond, outside  # noqa: E402

WHERE = LevelSlice("L2", CENTRES["L2"])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def cropped(volume, low_ra, high_ra):
    """The voxels of a volume whose middles lie in a rectangle, mm, and its outer faces."""
    ijk_to_ras = volume.ijk_to_ras
    step, origin = np.diag(ijk_to_ras)[:2], ijk_to_ras[:2, 3]
    size = np.array(volume.hu.shape)[[2, 1]]
    first = np.clip(np.ceil((np.array(low_ra) - origin) / step).astype(int), 0, size - 1)
    last = np.clip(np.floor((np.array(high_ra) - origin) / step).astype(int), 0, size - 1)
    matrix = ijk_to_ras.copy()
    matrix[:2, 3] = origin + first * step
    hu = volume.hu[:, first[1] : last[1] + 1, first[0] : last[0] + 1]
    faces = origin + (first - 0.5) * step, origin + (last + 0.5) * step
    return CTVolume(np.ascontiguousarray(hu), matrix, volume.acquisition, name="cropped"), faces


def sub_samples(volume):
    """Samples a pixel and direction that `cut_plane` averages."""
    return int(np.clip(round(STANDARD.spacing_mm / volume.spacing_mm[0]), 1, 3))


@pytest.mark.parametrize("spacing", [(2.0, 2.0, 3.0), (0.9, 0.9, 3.0), (0.7, 0.7, 3.0)])
@pytest.mark.parametrize("half", [(40, 38), (47, 55), (58, 31), (33, 47)])
def test_a_training_image_is_what_a_cropped_scan_is_cut_to(spacing, half):
    volume = phantom(spacing)
    rng = np.random.default_rng([half[0], round(10 * spacing[0])])
    centre = np.array(WHERE.ras[:2])
    low = centre - half + rng.uniform(-6, 6, 2) - (0, 14)
    high = centre + half + rng.uniform(-6, 6, 2) - (0, 14)
    narrow, faces = cropped(volume, low, high)
    want = cut_images(narrow, WHERE, STANDARD)
    assert 0.3 < want.inside < 0.9

    # A pixel is known where all its samples are: its view ends that much further in.
    rim = (0.5 - 0.5 / sub_samples(narrow)) * STANDARD.spacing_mm
    edges = [faces[0][0] + rim, faces[1][0] - rim, faces[0][1] + rim, faces[1][1] - rim]
    mine = np.subtract(edges, [centre[0], centre[0], centre[1], centre[1]])
    sides = [torch.tensor([float(edge)]) for edge in mine]
    mask = beyond(STANDARD, sides, torch.zeros(1))
    whole = torch.from_numpy(cut_images(volume, WHERE, STANDARD).hu)
    bmd = torch.ones(len(whole))
    got, label, _ = augment(whole, bmd, Augmentation.none(), None, outside=mask)
    assert torch.equal(label, bmd)
    got = got.numpy()
    assert np.array_equal(got == AIR_HU, want.hu == AIR_HU)
    # Beside its rim a scan has no neighbour to interpolate with: one voxel there differs.
    known = want.hu != AIR_HU
    inner = known & np.roll(known, 1, 1) & np.roll(known, -1, 1)
    inner &= np.roll(inner, 1, 2) & np.roll(inner, -1, 2)
    assert inner.sum() > 0.25 * known.size
    assert np.abs(got[inner] - want.hu[inner]).max() < 0.05  # HU; indices round otherwise


def test_a_cropped_slab_is_trained_on_as_it_is_seen(tmp_path):
    from pathlib import Path
    from types import SimpleNamespace

    narrow, _ = cropped(phantom(), (-45.0, -75.0), (50.0, 25.0))
    person = SimpleNamespace(slabs={"L2": narrow}, slices={"L2": WHERE}, bmd={"L2": 1.0})
    got = cached_images([Path("p")], lambda path: person, tmp_path, STANDARD, variation=None)
    want = cut_images(narrow, WHERE, STANDARD)
    assert 0.5 < want.inside < 0.7
    assert np.array_equal(got.hu == AIR_HU, want.hu == AIR_HU)
    still = Variation(0, 0, 0, 0)
    moved = cached_images([Path("p")], lambda path: person, tmp_path, STANDARD, variation=still)
    assert np.array_equal(np.unique(moved.hu, axis=0), np.unique(got.hu, axis=0))


@pytest.mark.parametrize("standard", [STANDARD, small(STANDARD), coarse(STANDARD)])
def test_as_much_lies_outside_as_in_reformats_of_the_spine(standard):
    mask = outside(4000, standard, 1.0, generator())
    part = mask.float().mean(dim=(1, 2)).numpy()
    assert part.max() < MOST + 0.06  # a turned view cuts corners too
    if standard.size_px * standard.spacing_mm > 120:
        assert np.mean((part > 0.2) & (part < 0.45)) > 0.45 and np.mean(part > 0.4) > 0.05
    # The vertebra about its body's centre stays in view.
    middle = (np.arange(standard.size_px) + 0.5) * standard.spacing_mm
    right, front = (
        standard.size_px * standard.spacing_mm / 2 - middle,
        standard.anterior_mm - middle,
    )
    kept = (right > KEPT_MM[0][0] + 7) & (right < KEPT_MM[0][1] - 7)
    kept = kept & ((front > KEPT_MM[1][0] + 7) & (front < KEPT_MM[1][1] - 7))[:, None]
    assert kept.sum() * standard.spacing_mm**2 > 3500 and not mask[:, torch.from_numpy(kept)].any()


def test_as_many_have_a_narrow_view_as_are_asked_for():
    some = outside(4000, STANDARD, 0.3, generator()).any(dim=2).any(dim=1).float().mean()
    assert float(some) == pytest.approx(0.3, abs=0.03)
    assert not outside(100, STANDARD, 0.0, generator()).any()


def test_the_end_of_a_scan_is_sharp_and_air_whatever_is_done_to_it():
    hu = torch.full((50, 64, 64), 40.0)
    mask = outside(50, STANDARD, 1.0, generator())
    settings = Augmentation(hide_kvp=(), bright=0.0)
    out, *_ = augment(hu, torch.ones(50), settings, generator(), outside=mask)
    assert bool((out[mask] == AIR_HU).all()) and float(out[~mask].min()) > -400
    want, *_ = augment(hu, torch.ones(50), settings, generator())
    assert torch.equal(out[~mask], want[~mask])


def test_a_twin_is_the_same_image_without_what_is_no_bone_and_with_a_whole_view():
    rng = np.random.default_rng(2)
    hu = torch.from_numpy(rng.normal(40, 5, (60, 64, 64)).astype(np.float32))
    room = torch.full(hu.shape, 60, dtype=torch.uint8)
    mask = outside(60, STANDARD, 0.5, generator())
    still = Augmentation(blur_px=0.0, sharpen=0.0, mineral=0.0, bright=0.6)
    given = {"room": room, "outside": mask}
    twin = torch.arange(0, 60, 4)
    out, _, twins = augment(hu, torch.ones(60), still, generator(), twin=twin, **given)
    assert len(twins) == 15 and float((twins - hu[twin]).std()) > 3  # noise and all
    # Where they differ the image is out of view or bears something brighter than all else.
    apart = (out[twin] != twins) & ~mask[twin]
    assert 0.3 < float(apart.any(dim=2).any(dim=1).float().mean()) < 0.9
    change = (out[twin] - twins)[apart]
    assert float(change.min()) > -60 and float(change.max()) > 300
    assert float(apart.float().mean()) < 0.2
    alone, _, none = augment(hu, torch.ones(60), still, generator(), **given)
    assert none is None and torch.equal(alone, out)


def test_of_every_member_as_many_images_have_a_twin():
    from training.fitting.train import Fitting

    one = Fitting.__new__(Fitting)
    one.augmentation, one.device = Augmentation(twins=3), "cpu"
    assert one._twin(7).tolist() == [0, 3, 6]
    one.members = 2
    assert one._twin(10).tolist() == [0, 3, 5, 8]
    one.augmentation = Augmentation.none()
    assert one._twin(10) is None


def test_twins_of_which_one_has_a_narrow_view_weigh_less():
    from training.fitting.train import Fitting, Settings

    one = Fitting.__new__(Fitting)
    one.settings = Settings(agree=4.0, agree_narrow=1.0)
    mask = outside(60, STANDARD, 0.5, generator())
    narrow = mask.flatten(1).any(dim=1)
    twin = torch.arange(0, 60, 3)
    got = one._weight(mask, twin)
    assert got.shape == twin.shape and 0 < int(narrow[twin].sum()) < len(twin)
    assert bool((got[narrow[twin]] == 1.0).all()) and bool((got[~narrow[twin]] == 4.0).all())
    assert one._weight(None, twin) == 4.0
