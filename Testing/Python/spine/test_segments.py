"""Levels from an existing segmentation of the vertebrae."""

import gzip
import json
import struct

import numpy as np
import pytest
from paths import SHARED_DATA as SHARED

from CTBMDLib.errors import CTBMDError
from CTBMDLib.model.images import ImageStandard, plane_positions
from CTBMDLib.spine.segments import guess_names, levels_from_labels
from CTBMDLib.spine.vertebra_names import SNOMED, label_values, vertebra_names, vertebra_of_name


def _nifti(path):
    data = gzip.decompress(path.read_bytes())
    dims = struct.unpack("<8h", data[40:56])
    kind = {2: np.uint8, 4: np.int16, 8: np.int32, 16: np.float32, 64: np.float64, 512: np.uint16}[
        struct.unpack("<h", data[70:72])[0]
    ]
    start = int(struct.unpack("<f", data[108:112])[0])
    matrix = np.eye(4)
    matrix[:3] = np.array(struct.unpack("<12f", data[280:328])).reshape(3, 4)
    count = dims[1] * dims[2] * dims[3]
    array = np.frombuffer(data, kind, count, start).reshape(dims[3], dims[2], dims[1])
    return np.rint(array).astype(np.int16), matrix


@pytest.fixture(scope="module")
def example():
    folder = SHARED / "ct_ts_example"
    for name in ("vertebrae.nii.gz", "vertebral_bodies.nii.gz"):
        if not (folder / name).exists():
            pytest.skip(f"{folder / name} is not there")
    labels, matrix = _nifti(folder / "vertebrae.nii.gz")
    bodies, _ = _nifti(folder / "vertebral_bodies.nii.gz")
    truth = json.loads((SHARED / "levels.json").read_text())["levels"]["ct_ts_example"]
    return labels, matrix, bodies, truth


def phantom(spacing=1.5, lean=0.0):
    """Labels 27-31 (L5-L1): box bodies with pedicles, arch and a spinous process."""
    count = np.array([80.0, 100.0, 200.0]) / spacing  # i (R), j (A), k (S)
    k, j, i = np.meshgrid(*(np.arange(int(n)) * spacing for n in count[::-1]), indexing="ij")
    x, s = i - 40.0, k
    labels = np.zeros(k.shape, np.int16)
    centres = {}
    for number in range(5):
        middle = 20.0 + 36.0 * number
        y = j - 60.0 - lean * (s - 92.0)
        z = s - middle
        body = (np.hypot(x / 22.0, y / 16.0) < 1) & (np.abs(z) < 13)
        pedicle = (np.abs(np.abs(x) - 13) < 4) & (y < -10) & (y > -28) & (np.abs(z - 4) < 6)
        arch = (np.abs(x) < 17) & (np.abs(y + 30) < 4) & (np.abs(z + 2) < 9)
        spine = (np.abs(x) < 3.5) & (y < -30) & (y > -54) & (np.abs(z + 4) < 10)
        labels[body | pedicle | arch | spine] = 27 + number
        centres[f"L{5 - number}"] = np.array([0.0, lean * (middle - 92.0), middle])
    matrix = np.diag([spacing, spacing, spacing, 1.0])
    matrix[:3, 3] = (-40.0, -60.0, 0.0)
    return labels, matrix, centres


@pytest.mark.parametrize(
    "text, vertebra",
    [
        ("vertebrae_L1", "L1"),
        ("L1 vertebra", "L1"),
        ("First lumbar vertebra", "L1"),
        ("Twelfth thoracic vertebra", "T12"),
        ("Lumbar vertebra 3", "L3"),
        ("vertebrae L5", "L5"),
        ("S1", "S1"),
        ("vertebrae_L6", "L6"),
        ("Segment_3|Anatomy~SCT^123037004^Anatomical Structure~SCT^181844001^L4 vertebra~^^", "L4"),
        (
            "vertebrae_L2|Segmentation category and type - Total Segmentator"
            "~SCT^123037004^Anatomical Structure~SCT^14293000^L2 vertebra~^^"
            "~Anatomic codes - DICOM master list~^^~^^|",
            "L2",
        ),
        # Another language: the code decides.
        (
            "Segment_1|Anatomie~SCT^123037004^Anatomische Struktur"
            "~SCT^66794005^1. Lendenwirbel~^^~Anatomie~^^~^^|",
            "L1",
        ),
        (
            "x|A~SCT^123037004^Anatomical Structure~SCT^272673000^Bone~^^~B~SCT^49668003^L5~^^",
            "L5",
        ),
        # What lies in a vertebra is not the vertebra.
        (
            "met|A~SCT^49755003^Morphologically Altered Structure~SCT^4147007^Mass~^^"
            "~Anatomic codes~SCT^66794005^L1 vertebra~^^",
            None,
        ),
        ("T13", "T13"),
        ("L1-L2 disc", None),
        ("rib_left_12", None),
        ("sacrum", None),
        ("kidney_left", None),
        ("L3 nerve root", None),
        ("", None),
    ],
)
def test_names_are_understood(text, vertebra):
    assert vertebra_of_name(text) == vertebra


def test_schemes():
    assert vertebra_names("TotalSegmentator")[31] == "L1"
    assert vertebra_names("totalsegmentator")[27] == "L5"
    assert vertebra_names("verse")[20] == "L1" and vertebra_names("verse")[25] == "L6"
    with pytest.raises(CTBMDError, match="scheme") as error:
        vertebra_names("unknown")
    assert error.value.code == "unknown-label-scheme"
    values = label_values()
    assert [values[f"L{n}"] for n in range(1, 6)] == [31, 30, 29, 28, 27] and values["S1"] == 26


def test_snomed_codes_of_the_lumbar_vertebrae():
    codes = {"66794005": "L1", "14293000": "L2", "36470004": "L3", "11994002": "L4"}
    assert {code: SNOMED[code] for code in codes} == codes and SNOMED["49668003"] == "L5"


@pytest.mark.parametrize("lean", [0.0, 0.25])
def test_the_body_is_found_not_the_whole_vertebra(lean):
    labels, matrix, centres = phantom(lean=lean)
    # The label volume in another storage order must give the same places.
    turned = labels[::-1].transpose(2, 0, 1)
    flip = np.eye(4)
    flip[2, 2], flip[2, 3] = -1, labels.shape[0] - 1
    order = np.zeros((4, 4))  # (i, j, k) of the turned array -> of the flipped one
    order[1, 0] = order[2, 1] = order[0, 2] = order[3, 3] = 1
    for array, geometry in ((labels, matrix), (turned, matrix @ flip @ order)):
        names = guess_names(array, geometry)
        selection = levels_from_labels(array, geometry, names)
        assert [item.level for item in selection] == ["L1", "L2", "L3", "L4", "L5"]
        assert selection.numbering == "segment"
        for item in selection:
            assert item.source == "segment"
            assert item.confidence is None
            assert np.linalg.norm(np.array(item.ras) - centres[item.level]) < 3.0
            assert abs(item.height_mm - 26.0) < 3.0
            assert item.axis[2] > 0.9
        assert [item.included for item in selection] == [True] * 4 + [False]


def test_a_vertebra_cut_by_the_edge_is_left_out_and_named():
    labels, matrix, _ = phantom()
    selection = levels_from_labels(labels[:-20], matrix, vertebra_names("totalsegmentator"))
    assert "L1" not in selection
    assert any("L1" in note for note in selection.findings)


def test_the_scheme_is_guessed_only_where_it_is_certain():
    labels, matrix, _ = phantom()
    verse = np.where(labels > 0, 51 - labels, 0).astype(np.int16)  # L1 = 20 ... L5 = 24
    assert guess_names(verse, matrix) == {20: "L1", 21: "L2", 22: "L3", 23: "L4", 24: "L5"}
    assert guess_names(verse) is None  # version 1 of TotalSegmentator has the same values
    upside_down = np.where(labels > 0, 58 - labels, 0).astype(np.int16)
    assert guess_names(upside_down, matrix) is None
    assert guess_names(np.zeros((5, 5, 5), int), matrix) is None


def test_no_lumbar_vertebra_is_said():
    labels, matrix, _ = phantom()
    with pytest.raises(CTBMDError, match="No segment is a lumbar vertebra"):
        levels_from_labels(labels, matrix, {27: "liver", 28: "T12"})
    with pytest.raises(CTBMDError, match="whole numbers"):
        levels_from_labels(labels.astype(float), matrix, {27: "L5"})


def test_a_sixth_lumbar_vertebra_is_noted():
    labels, matrix, _ = phantom()
    names = {27: "L6", 28: "L5", 29: "L4", 30: "L3", 31: "L2"}
    selection = levels_from_labels(labels, matrix, names)
    assert any("sixth lumbar" in note for note in selection.findings)


@pytest.mark.parametrize(
    "values, expected",
    [
        # L1-L6 of VerSe are 20-25: the phantom's lowest vertebra is the sixth.
        ({31: 21, 30: 22, 29: 23, 28: 24, 27: 25}, ["L2", "L3", "L4", "L5"]),
        # T13 is 28.
        ({31: 28, 30: 20, 29: 21, 28: 22, 27: 23}, ["L1", "L2", "L3", "L4"]),
    ],
)
def test_the_extra_vertebra_of_verse_is_kept_apart_and_noted(values, expected):
    labels, matrix, _ = phantom()
    verse = np.zeros_like(labels)
    for old, new in values.items():
        verse[labels == old] = new
    names = guess_names(verse, matrix)
    assert set(names) == set(values.values())
    selection = levels_from_labels(verse, matrix, names)
    assert [item.level for item in selection] == expected
    assert any("transitional" in note for note in selection.findings)


def test_no_note_for_an_extra_vertebra_that_is_not_in_the_volume():
    labels, matrix, _ = phantom()
    verse = np.where(labels > 0, 51 - labels, 0)
    assert levels_from_labels(verse, matrix, vertebra_names("verse")).findings == ()


def test_skipped_and_swapped_levels_are_noted():
    labels, matrix, _ = phantom()
    names = {27: "L5", 28: "L4", 30: "L2", 31: "L1"}
    notes = levels_from_labels(labels, matrix, names).findings
    assert len(notes) == 1 and "no L3 between L2 and L4" in notes[0]
    names = {27: "L5", 28: "L4", 29: "L2", 30: "L3", 31: "L1"}
    notes = levels_from_labels(labels, matrix, names).findings
    assert len(notes) == 1 and "L2 lies below L3" in notes[0]


def test_image_planes_of_the_real_segmentation_lie_in_the_middle_half(example):
    labels, matrix, bodies, truth = example
    names = guess_names(labels, matrix)
    selection = levels_from_labels(labels, matrix, names)
    values = {name: value for value, name in names.items()}
    for level in truth:
        kji = np.argwhere((labels == values[level]) & (bodies > 0))
        body = kji[:, ::-1] @ matrix[:3, :3].T + matrix[:3, 3]
        # Along the body's own axis: a tilted L5 spans more S than it is high.
        axis = np.array(selection[level].axis)
        along = (body - body.mean(axis=0)) @ axis
        across = np.linalg.norm(body - body.mean(axis=0) - along[:, None] * axis, axis=1)
        low, high = np.percentile(along[across < 8], (0, 100))
        for s in plane_positions(selection[level], ImageStandard()):
            step = (s - selection[level].ras[2]) / axis[2]
            place = (np.array(selection[level].ras) + step * axis - body.mean(axis=0)) @ axis
            share = (place - low) / (high - low)
            print(level, f"{share:.2f}")
            assert 0.25 <= share <= 0.75


def test_real_segmentation(example):
    labels, matrix, bodies, truth = example
    names = guess_names(labels, matrix)
    selection = levels_from_labels(labels, matrix, names)
    values = {name: value for value, name in names.items()}
    for level, centre in truth.items():
        item = selection[level]
        assert np.linalg.norm(np.array(item.ras) - centre) < 3.0
        kji = np.argwhere((labels == values[level]) & (bodies > 0))
        body = kji[:, ::-1].mean(axis=0) @ matrix[:3, :3].T + matrix[:3, 3]
        assert np.linalg.norm(np.array(item.ras) - body) < 3.0
    # T11 and T12 leave this scan at its upper edge.
    assert "T11" not in selection
