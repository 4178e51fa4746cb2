"""When trabecular HU are those of a small rest of the region or not read, and that it is said."""

from dataclasses import replace

import numpy as np
import pytest
from drawn_spine import CENTRE, level, spine
from phantoms import bundle

from CTBMDLib.bmd import roi, structure
from CTBMDLib.bmd.estimate import estimate
from CTBMDLib.bmd.fitting import ridge
from CTBMDLib.bmd.roi import check_region, plane_medians, read_region
from CTBMDLib.bmd.structure import check_structure, look_at
from CTBMDLib.bmd.walls import find_body
from CTBMDLib.levels import LevelSelection, LevelSlice
from CTBMDLib.volume import CTVolume

AXIAL_MM = (1.0, 1.0, 2.0)
CODES = ("trabecular-rest", "trabecular-unread")


def told(volume, item):
    """Code, severity and sentence of what is said of the level's region."""
    found = check_structure({item.level: look_at(volume, item)})
    return [(x.code, x.severity, x.text) for x in found if x.code in CODES]


@pytest.mark.parametrize("few", [1, 3, 20])
@pytest.mark.parametrize("off", [-150.0, 150.0])
@pytest.mark.parametrize("end", [0, 11])
def test_a_plane_of_few_points_neither_is_an_endplate_nor_shows_one(few, off, end):
    # Bone grows denser towards both endplates, as it does in a body.
    planes = np.arange(12)
    core = 130.0 + 14.0 * np.abs(planes - 5.5)
    count = np.full(12, 300)
    count[end] = few
    height = np.repeat(planes, count).astype(float)
    hu = np.repeat(core, count)
    hu[height == end] += off
    assert ridge(plane_medians(height, hu)) < 1
    # What as many points as the others hold is seen, wherever it lies.
    whole = np.repeat(planes, 300).astype(float)
    hu = np.repeat(core, 300)
    hu[whole == (1 if end == 0 else 10)] += 150.0
    assert ridge(plane_medians(whole, hu)) > 100


def test_planes_that_are_not_known_are_left_out():
    height = np.repeat(np.arange(3.0), 100)
    hu = np.full(300, 50.0)
    hu[100:190] = np.nan
    assert plane_medians(height, hu).tolist() == [50.0, 50.0]
    assert plane_medians(height, np.full(300, np.nan)).tolist() == [0.0]


@pytest.mark.parametrize("axis", [(0, 0, 1), (0.15, -0.3, 1)])
def test_a_slanting_plate_in_noise_is_not_called_crossed(axis):
    volume = spine(axis=axis, sunken=7.0, noise=90, step=AXIAL_MM)
    item = level(axis=tuple(np.array(axis) / np.linalg.norm(axis)))
    body = find_body(volume, item)
    low = replace(body, top=body.top + [-2.0, 3.0, 3.0, 0.0])  # planes of ever fewer points
    region, doubt = read_region(volume, item, low)
    assert doubt is None and region.body is low


def test_of_a_whole_region_nothing_is_said():
    for inside in (30.0, 150.0, 300.0):
        assert told(spine(inside=inside, disc=80.0, step=AXIAL_MM), level((2, 1, 3))) == []


def test_a_region_that_an_endplate_crosses_is_told(monkeypatch):
    volume = spine(inside=30.0, disc=80.0, step=AXIAL_MM)
    body = find_body(volume, level())
    far = replace(body, top=body.top + [12.0, 0, 0, 0])
    monkeypatch.setattr(structure, "find_body", lambda *_: far)
    ((code, severity, text),) = told(volume, level())
    assert (code, severity) == ("trabecular-rest", "note")
    assert text == (
        "L3: a plane as dense as an endplate runs through the body, so the trabecular HU are "
        "those of a small disc about the chosen point; check the slice."
    )
    ((code, severity, text),) = told(volume, level((0, 0, 12)))
    assert (code, severity) == ("trabecular-unread", "warning")
    assert "not read, because an endplate" in text


def test_walls_that_cannot_be_told_are_said():
    rng = np.random.default_rng(2)
    hu = rng.normal(60, 20, (90, 110, 110)).astype(np.float32)
    matrix = np.eye(4)
    matrix[:3, 3] = -50, -70, -38
    ((code, severity, text),) = told(CTVolume(hu, matrix), level())
    assert (code, severity) == ("trabecular-rest", "note")
    assert "walls of the body cannot be told" in text and "small disc" in text


def test_a_body_out_of_view_is_said():
    whole = spine(step=AXIAL_MM)
    cut = CTVolume(np.ascontiguousarray(whole.hu[:, :, :50]), whole.ijk_to_ras)
    ((code, severity, text),) = told(cut, level())
    assert (code, severity) == ("trabecular-unread", "note")
    assert "outside the scan" in text


@pytest.mark.parametrize(
    ("half_width", "doubt", "words"),
    [
        (22.0, None, None),
        (16.0, None, None),
        (9.5, roi.NEAR_WALLS, " mm from its walls"),
        (7.0, roi.TOO_SMALL, "too low or too narrow"),
    ],
)
def test_a_small_body_is_read_nearer_to_its_walls_or_from_a_disc(half_width, doubt, words):
    volume = spine(step=AXIAL_MM)
    body = replace(find_body(volume, level()), half_width=half_width, half_depth=0.75 * half_width)
    region, why = read_region(volume, level(), body)
    assert why == doubt
    texts = [x.text for x in check_region("L3", region, why)]
    if doubt is None:
        assert texts == [] and region.body is body
    else:
        assert len(texts) == 1 and words in texts[0]
    if doubt == roi.NEAR_WALLS:
        assert 3.0 < region.margin_mm < 4.5 and f"up to {region.margin_mm:.0f} mm" in texts[0]


def test_of_cement_and_metal_no_more_is_said():
    volume = spine(step=AXIAL_MM)
    at = np.stack(np.meshgrid(*(np.arange(n) for n in volume.hu.shape), indexing="ij")[::-1], -1)
    ras = at @ volume.ijk_to_ras[:3, :3].T + volume.ijk_to_ras[:3, 3]
    ball = np.linalg.norm(ras - CENTRE - [0, 3, 2], axis=-1) < 8
    found = look_at(replace(volume, hu=np.where(ball, 1200, volume.hu).astype(np.float32)), level())
    assert [x.code for x in check_structure({"L3": replace(found, doubt=roi.CROSSED)})] == [
        "cement"
    ]


def test_the_sentence_stands_in_the_row_of_its_level_alone(monkeypatch, tmp_path):
    volume = spine(inside=30.0, disc=80.0, step=AXIAL_MM)
    body = find_body(volume, level())
    far = replace(body, top=body.top + [12.0, 0, 0, 0])
    below = LevelSlice("L4", tuple(CENTRE - [0, 0, 36]))
    find = structure.find_body
    monkeypatch.setattr(
        structure, "find_body", lambda v, item: far if item.level == "L3" else find(v, item)
    )
    result = estimate(volume, LevelSelection((level(), below)), bundle(tmp_path / "b"))
    rows = {row.level: row.findings for row in result.levels}
    assert "so the trabecular HU are those of a small disc" in rows["L3"]
    assert "trabecular" not in rows["L4"]
