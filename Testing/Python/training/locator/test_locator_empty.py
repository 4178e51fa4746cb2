"""Bodies without a lumbar spine: the finder offers nothing in them."""

import numpy as np
import pytest

from CTBMDLib.levels import LevelSelection, LevelSlice
from CTBMDLib.spine.locate import find_levels
from training.locator.bodies import EMPTY_BODIES
from training.locator.chest import chest
from training.locator.empty import judge_empty, real_crops


@pytest.mark.slow
@pytest.mark.parametrize("name", EMPTY_BODIES)
def test_bodies_without_a_lumbar_spine_give_none(name):
    assert len(find_levels(EMPTY_BODIES[name]())) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in EMPTY_BODIES if n != "chest to T9 or T10"])
def test_a_seed_decides_the_body(name):
    one, same, other = (EMPTY_BODIES[name](seed) for seed in (3, 3, 4))
    assert np.array_equal(one.hu, same.hu) and np.array_equal(one.ijk_to_ras, same.ijk_to_ras)
    assert one.hu.shape != other.hu.shape or not np.array_equal(one.hu, other.hu)
    # Air around, tissue inside, and something denser than tissue in all.
    assert np.percentile(one.hu, 2) < -900 and (one.hu > 80).any()


@pytest.mark.slow
def test_the_chest_has_lungs_heart_ribs_and_a_spine():
    volume = chest(5, lowest=9)
    hu = volume.hu.astype(float)
    # Lungs take a fair share of the body; ribs lie on both sides, the sternum in front.
    body = hu > -950
    lung = body & (hu < -700)
    assert 0.1 < lung.sum() / body.sum() < 0.6
    bone = np.argwhere(hu > 300)[:, ::-1] @ volume.ijk_to_ras[:3, :3].T + volume.ijk_to_ras[:3, 3]
    middle = np.median(bone[:, 0])
    assert (bone[:, 0] < middle - 90).sum() > 200 and (bone[:, 0] > middle + 90).sum() > 200
    front = bone[:, 1] > np.median(bone[:, 1]) + 90
    assert (front & (np.abs(bone[:, 0] - middle) < 25)).sum() > 50


def test_the_ends_of_the_real_scans_give_none(shared_data):
    crops = list(real_crops(shared_data("levels.json").parent))
    assert crops
    for name, volume in crops:
        assert judge_empty(find_levels(volume)) == "none", name


def test_verdicts():
    def answer(confidence, numbering, level="L2"):
        levels = (LevelSlice(level, (0, 0, 0), confidence),)
        return LevelSelection(levels, None, numbering)

    assert judge_empty(LevelSelection(())) == "none"
    assert judge_empty(answer(0.9, "rib", "T12")) == "none"
    assert judge_empty(answer(0.9, "rib")) == "wrong"
    assert judge_empty(answer(0.9, "neither")) == "unsure"
    assert judge_empty(answer(0.3, "rib")) == "unsure"
