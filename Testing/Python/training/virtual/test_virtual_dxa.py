"""REFERENCE.md check 5: the simulated DXA, and mineral kept from voxels to BMC."""

import numpy as np
import pytest
from scipy import ndimage

from training.virtual import dxa, materials
from training.virtual.anatomy import LEVELS, make_scene
from training.virtual.devices import load_devices
from training.virtual.raster import bone_raster
from training.virtual.traits import changed_priors, draw_traits, with_mineral


@pytest.fixture(scope="module")
def scene():
    return make_scene(draw_traits(np.random.default_rng(4), "realistic"), 4)


@pytest.mark.parametrize("fat_cm", [0.0, 3.0])
def test_step_phantom_reads_true(fat_cm):
    # 20 cm of muscle, with a layer of fat in front, and three steps of HA in the middle.
    shape = (60, 120)
    steps = np.zeros(shape)
    for n, areal in enumerate((0.5, 1.0, 1.5)):
        steps[20 * n : 20 * (n + 1), 40:80] = areal
    muscle, fat = materials.basis("muscle"), materials.basis("adipose")
    w = np.full(shape, 20 * muscle[0] + fat_cm * fat[0])
    h = 20 * muscle[1] + fat_cm * fat[1] + steps
    logs = []
    for kev in (dxa.LOW_KEV, dxa.HIGH_KEV):
        mu = dxa.attenuation(kev)
        logs.append(w * mu[0] + h * mu[1])
    image = dxa.mineral_image(*logs, steps == 0)
    read = [float(image[20 * n + 10, 60]) for n in range(3)]
    print(f"check 5: fat {fat_cm} cm: 0.5, 1.0, 1.5 g/cm2 read", [round(x, 3) for x in read])
    assert read == pytest.approx([0.5, 1.0, 1.5], rel=0.02)
    assert abs(image[:, :30]).max() < 0.01


def test_a_rib_beside_the_spine_does_not_move_the_baseline():
    shape = (60, 120)
    h = np.zeros(shape)
    h[:, 50:70] = 1.0
    clean = (h == 0) & (np.abs(np.arange(120) - 59.5) > 20)
    h[10:14, :30] = 0.4
    logs = [20 * dxa.attenuation(k)[0] + h * dxa.attenuation(k)[1] for k in (40, 70)]
    image = dxa.mineral_image(*logs, clean)
    assert image[40, 60] == pytest.approx(1.0, rel=0.02)


def test_mineral_is_kept_from_voxels_to_bmc(scene):
    """The mineral of the rows of L3 is the same on a fine grid and in the projection."""
    n = LEVELS.index("L3")
    c = scene.centres[n]
    z = np.arange(c[2] - 10, c[2] + 10, 1.0)
    total = []
    for step in (0.7, 1.4):
        x = np.arange(c[0] - 60, c[0] + 60, step)
        y = np.arange(c[1] - 105, c[1] + 40, step)
        mineral = bone_raster(x, y, z, step, scene.spine)[3]
        total.append(float(mineral.sum(dtype=float)) * step * step / 1000)
    print(
        f"check 5: mineral of 20 mm of L3 on 0.7 and 1.4 mm grids: {total[0]:.3f}, {total[1]:.3f} g"
    )
    assert total[1] == pytest.approx(total[0], rel=0.01)


def test_dxa_of_a_patient_finds_the_mineral_that_is_there(scene):
    result = dxa.measure(scene, depth_step=3.0)
    ratio = sum(result.bmc_g.values()) / sum(result.mineral_g.values())
    print(
        f"check 5: BMC over true mineral of one patient {ratio:.3f}; L1-L4 {result.total:.3f} g/cm2"
    )
    # Fat that lies unevenly before and beside the spine makes an error of several %
    # in life too (REFERENCE: -2.2 (3.7) %).
    assert ratio == pytest.approx(1.0, abs=0.12)
    assert all(8 < area < 26 for area in result.area_cm2.values())
    assert set(result.bmd) == {"L1", "L2", "L3", "L4"}


@pytest.mark.slow
def test_without_the_error_of_soft_tissue_the_dxa_reads_the_true_mineral(scene):
    disturbed = dxa.measure(scene)
    with changed_priors({"dxa.soft_tissue_error": 0.0}):
        undisturbed = dxa.measure(scene)
    for level, grams in undisturbed.mineral_g.items():
        assert undisturbed.bmc_g[level] == pytest.approx(undisturbed.gain * grams, rel=1e-6)
    off = [disturbed.bmc_g[x] / disturbed.gain / g - 1 for x, g in disturbed.mineral_g.items()]
    assert max(np.abs(off)) > 1e-3


def test_a_lunar_shows_more_grams_and_a_smaller_region(scene):
    with changed_priors({"dxa.soft_tissue_error": 0.0}):
        hologic, lunar = (dxa.measure(scene, device=name) for name in ("hologic", "lunar"))
    for device, name in ((hologic, "hologic"), (lunar, "lunar")):
        made = load_devices()[name]
        assert device.gain == made.gain.value
        assert least_inside(device) > 0.3 * made.edge.value
    assert sum(lunar.area_cm2.values()) < sum(hologic.area_cm2.values())
    print(f"Hologic {hologic.total:.3f}, Lunar {lunar.total:.3f} g/cm2 of the same person")
    assert 0.80 < hologic.total / lunar.total < 0.95


def least_inside(device):
    """Least mineral of a pixel of the region's inside, away from its rim, g/cm2."""
    inside = ndimage.binary_erosion(device.region > 0, iterations=2)
    return float(np.percentile(device.image[inside], 1))


def test_bmc_follows_the_mineral_and_the_area_hardly(scene):
    more = make_scene(with_mineral(scene.traits, 1.4), 4)
    a, b = (dxa.measure(s, depth_step=3.0) for s in (scene, more))
    bmc = sum(b.bmc_g.values()) / sum(a.bmc_g.values())
    truth = sum(b.mineral_g.values()) / sum(a.mineral_g.values())
    area = sum(b.area_cm2.values()) / sum(a.area_cm2.values())
    print(f"check 5: factor 1.40: true mineral x {truth:.3f}, BMC x {bmc:.3f}, area x {area:.3f}")
    # The factor is nominal: where a thick shell already fills a process, it cannot grow.
    # What DXA must follow is the mineral that is really there.
    assert bmc == pytest.approx(truth, rel=0.03)
    assert 1.15 < truth < 1.42
    assert 0.99 < area < 1.10


def test_precision_error_is_about_one_percent(scene):
    fake = dxa.DXA(
        bmd=dict.fromkeys(dxa.MEASURED, 1.0),
        area_cm2=dict.fromkeys(dxa.MEASURED, 14.0),
        bmc_g=dict.fromkeys(dxa.MEASURED, 14.0),
        image=np.zeros((1, 1)),
        region=np.zeros((1, 1), int),
        mineral_g=dict.fromkeys(dxa.MEASURED, 14.0),
    )
    rng = np.random.default_rng(0)
    totals = [dxa.with_precision_error(fake, rng)[1] for _ in range(4000)]
    print(f"precision error of L1-L4: CV {100 * np.std(totals):.2f} %")
    assert 0.0095 < np.std(totals) < 0.0125
