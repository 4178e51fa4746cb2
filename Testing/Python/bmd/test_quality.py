"""Findings: each is raised by what it is about and by nothing healthy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from phantoms import CENTRES, STANDARD, phantom

from CTBMDLib.bmd import quality
from CTBMDLib.levels import LevelSelection, LevelSlice
from CTBMDLib.model.images import cut_images

LEVEL = LevelSlice("L2", CENTRES["L2"])


def codes(findings):
    return [item.code for item in findings]


def images_of(volume, level=LEVEL):
    return quality.check_images(cut_images(volume, level, STANDARD), STANDARD)


def test_a_plain_scan_has_no_findings():
    assert quality.check_volume(phantom(kvp=120.0)) == []
    assert images_of(phantom()) == []


def test_header_findings():
    assert codes(quality.check_volume(phantom())) == ["kvp-unknown"]
    assert codes(quality.check_volume(phantom(kvp=70.0))) == ["kvp"]
    assert codes(quality.check_volume(phantom(kvp=120.0, contrast_agent="Iohexol"))) == ["contrast"]
    thick = phantom(kvp=120.0, slice_thickness_mm=7.5)
    assert codes(quality.check_volume(thick)) == ["thick-slices"]
    assert codes(quality.check_volume(phantom((2, 2, 7), kvp=120.0))) == ["thick-slices"]
    assert codes(quality.check_volume(phantom((4, 4, 3), kvp=120.0))) == ["coarse"]


def test_noise_is_measured_and_told():
    noisy = phantom()
    # Slabs and sub-samples average the noise down, so the volume's own is stronger.
    noise = np.random.default_rng(0).normal(0, 100, noisy.hu.shape)
    noisy = replace(noisy, hu=(noisy.hu + noise).astype(np.float32))
    assert codes(images_of(noisy)) == ["noise"]
    image = np.random.default_rng(1).normal(50, 20, (3, 64, 64)).astype(np.float32)
    assert quality.image_noise(image) == pytest.approx(20, rel=0.1)
    assert quality.image_noise(np.full((3, 64, 64), 900.0)) is None


def test_metal_contrast_and_wrong_place():
    volume = phantom()
    points = np.indices(volume.hu.shape)
    ras = volume.ras_from_ijk(points[::-1].transpose(1, 2, 3, 0))
    screw = np.hypot(ras[..., 0] - 20, ras[..., 1] + 40) < 5
    metal = replace(volume, hu=np.where(screw, 3000, volume.hu))
    assert codes(images_of(metal)) == ["metal"]
    aorta = np.hypot(ras[..., 0] + 8, ras[..., 1] - 12) < 9
    enhanced = replace(volume, hu=np.where(aorta, 180, volume.hu))
    assert codes(images_of(enhanced)) == ["contrast-suspected"]
    assert "not-bone" in codes(images_of(volume, LevelSlice("L2", (70.0, 60.0, 20.0))))
    assert "outside" in codes(images_of(volume, LevelSlice("L2", (75.0, -20.0, 20.0))))


def test_selection_findings():
    sure = LevelSelection((LevelSlice("L1", (0, 0, 0), 0.9),), numbering="sacrum")
    assert quality.check_selection(sure) == []
    unsure = LevelSelection(
        (LevelSlice("L1", (0, 0, 0), 0.3),), numbering="neither", findings=("Possible L6.",)
    )
    assert codes(quality.check_selection(unsure)) == ["numbering", "unsure-level", "selection"]


def test_neighbours():
    assert quality.check_neighbours({"L1": 0.9, "L2": 1.0, "L3": 1.05, "L4": 1.0}) == []
    odd = quality.check_neighbours({"L1": 0.9, "L2": 1.4, "L3": 1.0, "L4": 1.0})
    assert [item.level for item in odd] == ["L2"]
    assert quality.check_neighbours({"L2": 1.4}) == []
