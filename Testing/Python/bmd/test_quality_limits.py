"""Where each finding begins: just inside its limit there is none, just beyond it there is."""

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
    return [(item.code, item.severity) for item in findings]


@pytest.mark.parametrize(
    ("kvp", "expected"),
    [
        (79.0, [("kvp", "warning")]),
        (80.0, []),
        (100.0, []),
        (140.0, []),
        (141.0, [("kvp", "warning")]),
        (150.0, [("kvp", "warning")]),
        (None, [("kvp-unknown", "note")]),
    ],
)
def test_tube_voltages(kvp, expected):
    found = quality.check_volume(phantom(kvp=kvp))
    assert codes(found) == expected
    assert all(item.level is None for item in found)
    if kvp and found:
        assert f"{kvp:g} kV" in found[0].text and "80-140" in found[0].text


@pytest.mark.parametrize(
    ("spacing", "stated", "expected"),
    [
        ((2, 2, 5.5), None, []),
        ((2, 2, 5.6), None, ["thick-slices"]),
        ((2, 2, 3), 5.5, []),
        ((2, 2, 3), 5.6, ["thick-slices"]),
        # Slices that are thin but far apart are as bad as thick ones.
        ((2, 2, 6), 1.0, ["thick-slices"]),
        ((3.2, 2, 3), None, []),
        ((3.3, 2, 3), None, ["coarse"]),
        ((2, 3.3, 3), None, ["coarse"]),
    ],
)
def test_slices_and_pixels(spacing, stated, expected):
    volume = phantom(spacing, kvp=120.0, slice_thickness_mm=stated)
    found = quality.check_volume(volume)
    assert codes(found) == [(code, "warning") for code in expected]
    if expected == ["thick-slices"]:
        assert f"{max(spacing[2], stated or 0):.1f} mm thick" in found[0].text
    if expected == ["coarse"]:
        assert "3.3 mm wide" in found[0].text


def test_directions_are_not_mixed_up():
    """A volume stored in sagittal planes has its slices across the patient, not along."""
    volume = phantom((2, 2, 3), kvp=120.0)
    turned = replace(
        volume,
        hu=np.ascontiguousarray(volume.hu.transpose(2, 1, 0)),
        ijk_to_ras=volume.ijk_to_ras[:, [2, 1, 0, 3]],
    )
    assert quality.check_volume(turned) == []
    wide = phantom((2, 2, 6), kvp=120.0)
    turned = replace(
        wide,
        hu=np.ascontiguousarray(wide.hu.transpose(2, 1, 0)),
        ijk_to_ras=wide.ijk_to_ras[:, [2, 1, 0, 3]],
    )
    assert codes(quality.check_volume(turned)) == [("thick-slices", "warning")]


def images(inside=1.0, hu=None):
    cut = cut_images(phantom(), LEVEL, STANDARD)
    return replace(cut, inside=inside, hu=cut.hu if hu is None else hu)


def of(images):
    found = quality.check_images(images, STANDARD)
    assert all(item.level == "L2" and item.text.startswith("L2: ") for item in found)
    return found


@pytest.mark.parametrize(
    ("inside", "expected", "share"),
    [
        (0.97, [], None),
        (0.969, [("outside", "note")], "3 %"),
        (0.85, [("outside", "note")], "15 %"),
        (0.849, [("outside", "warning")], "15 %"),
        (0.5, [("outside", "warning")], "50 %"),
    ],
)
def test_how_much_lies_outside(inside, expected, share):
    found = of(images(inside))
    assert codes(found) == expected
    assert not share or share in found[0].text


@pytest.mark.parametrize(("pixels", "metal"), [(8, False), (9, True), (10, True)])
def test_metal_takes_three_pixels_an_image(pixels, metal):
    hu = images().hu.copy()
    hu.reshape(-1)[-pixels:] = 2001.0
    assert codes(of(images(hu=hu))) == [("metal", "warning")] * metal
    hu.reshape(-1)[-pixels:] = 2000.0
    assert of(images(hu=hu)) == []


def body(hu_of_body):
    """Images whose body has a given HU within 8 mm of its centre, and nothing else odd."""
    hu = images().hu.copy()
    j, i = np.indices((64, 64)) + 0.5
    hu[:, np.hypot((j - 22) * 2, (i - 32) * 2) <= 12] = hu_of_body
    return images(hu=hu)


@pytest.mark.parametrize(
    ("hu", "odd"), [(0.0, False), (-1.0, True), (700.0, False), (701.0, True), (150.0, False)]
)
def test_what_does_not_look_like_a_body(hu, odd):
    found = of(body(hu))
    assert codes(found) == [("not-bone", "warning")] * odd
    assert not odd or f"({hu:.0f} HU around it)" in found[0].text


def test_the_body_is_looked_at_within_8_mm_of_its_centre():
    hu = np.full((3, 64, 64), 900.0, np.float32)
    j, i = np.indices((64, 64)) + 0.5
    distance = np.hypot((j - 22) * 2, (i - 32) * 2)
    # The pixels within 5.9 mm are more than half of those within 8 mm, not of those within 9.
    hu[:, distance <= 5.9] = 100.0
    assert ("not-bone", "warning") not in codes(of(images(hu=hu)))
    hu[:] = 900.0
    hu[:, distance <= 5.0] = 100.0
    assert ("not-bone", "warning") in codes(of(images(hu=hu)))
    # Centred on the body, 44 mm from the upper edge and in the middle across.
    for shift in ((6, 0), (-6, 0), (0, 6), (0, -6)):
        moved = np.full((3, 64, 64), 900.0, np.float32)
        moved[:, np.hypot((j - 22 - shift[0]) * 2, (i - 32 - shift[1]) * 2) <= 8] = 100.0
        assert ("not-bone", "warning") in codes(of(images(hu=moved))), shift


def speckled(sd, seed=0):
    """Soft tissue with noise of a given SD."""
    return np.random.default_rng(seed).normal(50, sd, (3, 64, 64)).astype(np.float32)


@pytest.mark.parametrize("sd", [10.0, 20.0, 28.0, 33.0])
def test_noise_in_soft_tissue(sd):
    # Less the mean of 25 pixels that is taken off.
    assert quality.image_noise(speckled(sd)) == pytest.approx(sd * 0.98, rel=0.03)
    found = codes(of(images(hu=speckled(sd))))
    assert (("noise", "warning") in found) == (sd > 30)


def test_noise_needs_enough_soft_tissue():
    def patch(rows, value=40.0):
        hu = np.full((3, 64, 64), -900.0, np.float32)
        hu[:, 10 : 10 + rows, 5:59] = value
        return quality.image_noise(hu)

    # A window of 5 pixels and a rim of 2 more on each side are taken off its height.
    assert patch(5) is None
    assert patch(12) is not None
    assert patch(20, 95.0) is None
    assert patch(20, -30.0) is None
    assert patch(20, 85.0) is not None
    assert patch(20, -15.0) is not None


def vessel(hu=180.0, radius_mm=9.0, planes=3, sd=0.0, row=6.0, column=32.0):
    """Soft tissue with a round vessel in front of the spine in some planes."""
    out = images().hu.copy()
    out[:] = 50.0
    j, i = np.indices((64, 64)) + 0.5
    disc = np.hypot((j - row) * 2, (i - column) * 2) <= radius_mm
    rng = np.random.default_rng(3)
    for plane in range(planes):
        out[plane, disc] = hu + sd * rng.normal(size=int(disc.sum()))
    return of(images(hu=out))


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ({}, True),
        ({"hu": 115.0}, True),
        ({"hu": 109.0}, False),
        ({"hu": 390.0}, True),
        ({"hu": 410.0}, False),
        ({"planes": 2}, True),
        ({"planes": 1}, False),
        ({"radius_mm": 3.0}, False),
        # Bowel with gas and food in it is uneven.
        ({"sd": 60.0}, False),
        ({"sd": 9.0}, True),
        # From 24 mm in front of the body's centre.
        ({"row": 20.0}, False),
        ({"row": 4.9}, True),
        ({"column": 12.0}, True),
    ],
)
def test_contrast_in_a_vessel(what, expected):
    found = vessel(**what)
    assert (("contrast-suspected", "warning") in codes(found)) == expected
    if not what:
        assert "180 HU in front of the spine" in found[0].text


def test_no_vessel_is_looked_for_where_the_front_is_cut_off():
    narrow = replace(STANDARD, anterior_mm=36.0)
    hu = np.full((3, 64, 64), 180.0, np.float32)
    assert "contrast-suspected" not in [x.code for x in quality.check_images(images(hu=hu), narrow)]
    wide = replace(STANDARD, anterior_mm=38.0)
    assert "contrast-suspected" in [x.code for x in quality.check_images(images(hu=hu), wide)]
    nothing = replace(STANDARD, anterior_mm=20.0)
    quality.check_images(images(hu=hu), nothing)


@pytest.mark.parametrize(
    ("confidence", "unsure"), [(None, False), (0.5, False), (0.49, True), (0.0, True), (1.0, False)]
)
def test_low_confidence(confidence, unsure):
    selection = LevelSelection((LevelSlice("L3", (0, 0, 0), confidence),), numbering="both")
    found = quality.check_selection(selection)
    assert [(x.code, x.level, x.severity) for x in found] == [
        ("unsure-level", "L3", "warning")
    ] * unsure
    assert not unsure or f"({confidence:.2f})" in found[0].text


def test_findings_of_a_selection_have_their_severity():
    unsure = LevelSelection(
        (LevelSlice("L1", (0, 0, 0), 0.3),), numbering="neither", findings=("Possible L6.",)
    )
    found = quality.check_selection(unsure)
    assert [(x.code, x.level, x.severity) for x in found] == [
        ("numbering", None, "warning"),
        ("unsure-level", "L1", "warning"),
        ("selection", None, "note"),
    ]
    assert found[2].text == "Possible L6."


@pytest.mark.parametrize(
    ("bmd", "odd"),
    [
        ({"L1": 1.0, "L2": 1.25, "L3": 1.0, "L4": 1.0}, []),
        ({"L1": 1.0, "L2": 1.26, "L3": 1.0, "L4": 1.0}, ["L2"]),
        ({"L1": 1.0, "L2": 0.74, "L3": 1.0, "L4": 1.0}, ["L2"]),
        ({"L1": 1.3, "L2": 1.0, "L3": 1.0, "L4": 1.0}, ["L1"]),
        ({"L1": 1.0, "L2": 1.0, "L3": 1.0, "L4": 1.3}, ["L4"]),
        # One neighbour it agrees with is enough.
        ({"L1": 1.0, "L2": 1.2, "L3": 1.5, "L4": 1.6}, []),
        ({"L1": 1.0, "L2": 1.2, "L3": 1.5, "L4": 1.8}, ["L3", "L4"]),
        # A level without a neighbour is not judged.
        ({"L1": 1.0, "L3": 1.5}, []),
        ({"L1": 1.0, "L2": 1.5}, ["L1", "L2"]),
        # The end beside an odd level agrees with the rest.
        ({"L1": 1.0, "L2": 1.6, "L3": 1.02, "L4": 1.0}, ["L2"]),
    ],
)
def test_levels_that_differ(bmd, odd):
    found = quality.check_neighbours(bmd)
    assert [item.level for item in found] == odd
    assert all(item.code == "differs" and item.severity == "warning" for item in found)
    assert all(f"{item.level} differs by more than 0.25" in item.text for item in found)


def test_a_finding_as_a_dict():
    made = quality.Finding("noise", "L1", "text").to_dict()
    assert made == {"code": "noise", "level": "L1", "text": "text", "severity": "warning"}


@pytest.mark.parametrize(("noise", "told"), [(30.0, False), (30.1, True), (None, False)])
def test_noise_is_told_above_30_hu(monkeypatch, noise, told):
    monkeypatch.setattr(quality, "image_noise", lambda hu: noise)
    assert codes(of(images())) == [("noise", "warning")] * told


def soft_patch(rows, columns, value=40.0, planes=3):
    """Noise of metal with one even patch of soft tissue; the patch alone is looked at."""
    hu = np.full((3, 64, 64), 30000.0, np.float32)
    hu[:planes, 10 : 10 + rows, 10 : 10 + columns] = value
    return quality.image_noise(hu)


def test_noise_needs_40_pixels_an_image_whose_surroundings_are_soft():
    # Four pixels on each side are not looked at: 5 by 8 remain, or 3 by 13.
    assert soft_patch(13, 16) == 0.0
    assert soft_patch(16, 13) == 0.0
    assert soft_patch(11, 21) is None
    # Each image is looked at by itself: 130 pixels in one are as good as 40 in three.
    assert soft_patch(18, 21, planes=1) == 0.0
    assert soft_patch(17, 21, planes=1) is None


@pytest.mark.parametrize(
    ("value", "soft"), [(-20.0, False), (-19.5, True), (89.5, True), (90.0, False)]
)
def test_soft_tissue_is_above_minus_20_and_below_90_hu(value, soft):
    assert (soft_patch(40, 40, value) is not None) == soft


def front_of(hu, standard=STANDARD):
    found = quality.check_images(images(hu=hu.astype(np.float32)), standard)
    return "contrast-suspected" in [item.code for item in found]


@pytest.mark.parametrize(
    ("value", "told"), [(110.0, False), (110.5, True), (399.5, True), (400.0, False)]
)
def test_a_vessel_is_above_110_and_below_400_hu(value, told):
    assert front_of(np.full((3, 64, 64), value)) == told


@pytest.mark.parametrize(
    ("rows", "columns", "told"),
    [
        ((0, 5), (30, 35), True),
        ((0, 4), (30, 35), False),
        ((5, 10), (30, 35), True),
        ((6, 11), (30, 35), False),
        ((2, 7), (0, 5), True),
        ((2, 7), (0, 4), False),
        ((2, 7), (59, 64), True),
        ((2, 7), (60, 64), False),
        ((2, 6), (30, 35), False),
        ((2, 7), (30, 34), False),
    ],
)
def test_a_vessel_fills_five_by_five_pixels_inside_the_front(rows, columns, told):
    hu = np.full((3, 64, 64), 50.0)
    hu[:, slice(*rows), slice(*columns)] = 180.0
    assert front_of(hu) == told


def test_a_vessel_is_in_three_of_five_planes():
    hu = np.full((5, 64, 64), 50.0)
    hu[:3, 2:7, 30:35] = 180.0
    assert front_of(hu)
    hu[2] = 50.0
    assert not front_of(hu)


def test_the_front_begins_24_mm_before_the_centre():
    bright = np.full((3, 64, 64), 180.0)
    assert not front_of(bright, replace(STANDARD, anterior_mm=37.5))
    assert front_of(bright, replace(STANDARD, anterior_mm=38.0))
    assert not front_of(bright, replace(STANDARD, anterior_mm=20.0))


@pytest.mark.parametrize("axis", [0, 1])
def test_the_body_is_looked_at_around_its_very_centre(axis):
    place = (np.indices((64, 64)) + 0.5)[axis] - (22, 32)[axis]
    hu = np.repeat((10 * place - 50)[None], 3, axis=0)
    found = [x for x in quality.check_images(images(hu=hu), STANDARD) if x.code == "not-bone"]
    assert "(-50 HU around it)" in found[0].text


def test_the_share_outside_is_told_in_per_cent():
    assert of(images(0.25))[0].text.startswith("L2: 75 % ")


def test_a_missing_level_ends_nothing():
    found = quality.check_neighbours({"L2": 1.0, "L3": 1.5})
    assert [item.level for item in found] == ["L2", "L3"]


def test_a_finding_does_not_change():
    with pytest.raises(AttributeError):
        quality.Finding("noise", "L1", "text").code = "metal"


@pytest.mark.parametrize(
    ("value", "outside"), [(0.33, True), (0.34, False), (2.65, False), (2.66, True)]
)
def test_values_that_no_training_patient_had(value, outside):
    found = quality.check_range({"L1": 1.0, "L2": value}, (0.34, 2.65))
    assert [(x.code, x.level) for x in found] == [("outside-training", "L2")] * outside
    assert not outside or "(0.34-2.65)" in found[0].text
    assert quality.check_range({"L1": value}, None) == []
