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
        (LevelSlice("L1", (0, 0, 0), 0.3),), numbering="neither", notes=("Possible L6.",)
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
