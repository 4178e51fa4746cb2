"""Levels from an existing segmentation of the vertebrae."""

import gzip
import json
import struct

import numpy as np
import pytest

from CTBMDLib.errors import CTBMDError
from CTBMDLib.model.images import ImageStandard, plane_positions
from CTBMDLib.reading.reading import read_ct
from CTBMDLib.spine.segments import guess_names, levels_from_labels
from CTBMDLib.spine.vertebra_names import SNOMED, label_values, vertebra_names, vertebra_of_name
from CTBMDLib.volume import CTVolume


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
def example(shared_data):
    labels, matrix = _nifti(shared_data("ct_ts_example/vertebrae.nii.gz"))
    bodies, _ = _nifti(shared_data("ct_ts_example/vertebral_bodies.nii.gz"))
    truth = json.loads(shared_data("levels.json").read_text())["levels"]["ct_ts_example"]
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


# -- what only processes touch, halves, other schemes ------------------------------
def with_process_to_the_edge(labels, matrix):
    """The uppermost vertebra (31) with a process that runs up to the last slice, and that slice."""
    spacing = matrix[2, 2]
    top = int(182.0 / spacing)
    tall = labels[:top].copy()
    body_top = np.argwhere(tall == 31)[:, 0].max()
    middle = int(40.0 / spacing)
    behind = slice(int(10.0 / spacing), int(20.0 / spacing))
    tall[body_top - 8 :, behind, middle - 2 : middle + 3] = 31
    # Joined to the arch, so that it is one piece.
    tall[body_top - 12 : body_top - 6, int(10.0 / spacing) : int(34.0 / spacing), middle] = 31
    return tall


@pytest.mark.parametrize("spacing", [1.0, 1.5, 3.0])
@pytest.mark.parametrize("turned", [False, True], ids=["head first", "feet first"])
def test_a_process_at_the_edge_cuts_no_vertebra(spacing, turned):
    labels, matrix, centres = phantom(spacing)
    labels = with_process_to_the_edge(labels, matrix)
    assert (labels[-1] == 31).any()
    if turned:
        labels, flip = labels[::-1], np.eye(4)
        flip[2, 2], flip[2, 3] = -1, labels.shape[0] - 1
        matrix = matrix @ flip
    selection = levels_from_labels(labels, matrix, vertebra_names("totalsegmentator"))
    assert [item.level for item in selection] == ["L1", "L2", "L3", "L4", "L5"]
    assert np.linalg.norm(np.array(selection["L1"].ras) - centres["L1"]) < 4.0
    assert not any("cut by the edge" in text for text in selection.findings)


@pytest.mark.parametrize("kept_mm", [2.6, 4.0, 9.0, 14.0, 19.0])
def test_a_cut_body_is_left_out_however_much_of_it_is_there(kept_mm):
    labels, matrix, centres = phantom()
    top = int((centres["L1"][2] - 13.0 + kept_mm) / 1.5)
    selection = levels_from_labels(labels[:top], matrix, vertebra_names("totalsegmentator"))
    assert [item.level for item in selection] == ["L2", "L3", "L4", "L5"]
    assert any(text.startswith("L1 cut by the edge") for text in selection.findings)


@pytest.mark.parametrize("upper", [True, False])
def test_half_a_vertebra_under_its_neighbours_name_is_said(upper):
    labels, matrix, centres = phantom()
    k = np.arange(labels.shape[0])[:, None, None] * 1.5
    half = (labels == 29) & ((k > centres["L3"][2]) == upper)
    mixed = np.where(half, 30 if upper else 28, labels)
    # The disc is painted too, as a slip of the brush does; else the half is a piece of its own.
    low, high = sorted((centres["L3"][2], centres["L2" if upper else "L4"][2]))
    disc = (labels == 0) & (k > low) & (k < high)
    j, i = np.mgrid[: labels.shape[1], : labels.shape[2]] * 1.5
    joined = np.where(
        disc & (np.hypot((i - 40) / 20, (j - 60) / 14) < 1), 30 if upper else 28, mixed
    )
    texts = levels_from_labels(joined, matrix, vertebra_names("totalsegmentator")).findings
    assert any("L3" in text and "lower than the others" in text for text in texts)
    assert any(("L2" if upper else "L4") in text and "higher" in text for text in texts)
    texts = levels_from_labels(mixed, matrix, vertebra_names("totalsegmentator")).findings
    assert any("L3" in text and "lower than the others" in text for text in texts)


def test_usual_heights_and_a_pressed_vertebra_are_not_mixed_up():
    labels, matrix, _ = phantom()
    assert levels_from_labels(labels, matrix, vertebra_names("totalsegmentator")).findings == ()


def test_labels_of_another_scheme_are_refused():
    """TotalSegmentator's MR task: 18 sacrum, 19 all vertebrae, 20 discs, 21 cord, 22 heart."""
    labels, matrix, _ = phantom()
    other = np.zeros_like(labels)
    other[labels > 0] = 19
    other[:12, 40:60, 20:34] = 18
    other[20:120, 24:30, 24:29] = 21
    assert guess_names(other, matrix) is None
    with pytest.raises(CTBMDError, match="larger than any vertebra") as error:
        levels_from_labels(other, matrix, {18: "L5", 19: "L4", 20: "L3", 21: "L2"})
    assert error.value.code == "label-no-vertebra"


# -- held against the CT -----------------------------------------------------------
def ct_of(labels, matrix, bone=230.0, tissue=50.0):
    """A CT in which the labelled vertebrae are bone."""
    rng = np.random.default_rng(4)
    hu = np.where(labels > 0, bone, tissue) + rng.normal(0, 10, labels.shape)
    return CTVolume(hu.astype(np.int16), matrix)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("mm", [34.0, -34.0, 14.0, -14.0])
def test_a_mask_beside_the_bone_is_said_or_refused(axis, mm):
    labels, matrix, _ = phantom(3.0)
    names = vertebra_names("totalsegmentator")
    volume = ct_of(labels, matrix)
    moved = matrix.copy()
    moved[axis, 3] += mm
    try:
        selection = levels_from_labels(labels, moved, names, volume=volume)
    except CTBMDError as error:
        assert error.code == "segmentation-not-on-bone"  # noqa: PT017  either will do
        return
    assert selection.numbering_uncertain
    assert any("beside the bone" in text for text in selection.findings)


def test_a_mask_on_its_bone_is_left_as_it_is():
    labels, matrix, _ = phantom(3.0)
    names = vertebra_names("totalsegmentator")
    alone = levels_from_labels(labels, matrix, names)
    for bone in (230.0, 110.0):
        volume = ct_of(labels, matrix, bone)
        assert levels_from_labels(labels, matrix, names, volume=volume) == alone


def test_a_mask_on_no_bone_is_refused():
    labels, matrix, _ = phantom(3.0)
    empty = ct_of(np.zeros_like(labels), matrix)
    with pytest.raises(CTBMDError, match="does not lie on bone") as error:
        levels_from_labels(labels, matrix, vertebra_names("totalsegmentator"), volume=empty)
    assert error.value.code == "segmentation-not-on-bone"


@pytest.fixture(scope="module")
def example_ct(shared_data):
    return read_ct(shared_data("ct_ts_example/ct.nii.gz"))


@pytest.mark.parametrize("step", [1, -1])
def test_names_that_the_ct_contradicts_are_said(example, example_ct, step):
    labels, matrix, _, _ = example
    names = {27 + n: f"L{5 - n - step}" for n in range(5) if 1 <= 5 - n - step <= 5}
    selection = levels_from_labels(labels, matrix, names, volume=example_ct)
    assert selection.numbering_uncertain
    assert any("in the CT itself" in text for text in selection.findings)
    right = levels_from_labels(labels, matrix, guess_names(labels, matrix), volume=example_ct)
    assert right.numbering == "segment"


@pytest.mark.parametrize(("axis", "mm"), [(0, 34), (1, -34), (1, 34), (2, 34), (2, -34), (2, 12)])
def test_a_real_mask_beside_the_bone(example, example_ct, axis, mm):
    labels, matrix, _, _ = example
    moved = matrix.copy()
    moved[axis, 3] += mm
    try:
        selection = levels_from_labels(
            labels, moved, guess_names(labels, matrix), volume=example_ct
        )
    except CTBMDError as error:
        assert error.code == "segmentation-not-on-bone"  # noqa: PT017  either will do
        return
    assert selection.numbering_uncertain and "beside" in selection.findings[0]


def plates(thick, axis, spacing):
    """L1 and L2 painted `thick` slices thick along an array axis, L3 whole."""
    labels = np.zeros((80, 60, 60), np.int16)
    for value, middle in ((20, 65), (21, 45)):
        box = [slice(middle - 6, middle + 6), slice(20, 45), slice(20, 45)]
        start = box[axis].start + 5
        box[axis] = slice(start, start + thick)
        labels[tuple(box)] = value
    labels[12:24, 20:45, 20:45] = 22
    return labels, np.diag([*spacing, 1.0])


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(
    ("thick", "mm", "flat"), [(1, 1.0, True), (1, 5.0, True), (2, 1.0, True), (5, 1.0, True),
                              (3, 2.0, False), (8, 1.0, False), (2, 3.0, False)],
)  # fmt: skip
def test_a_vertebra_painted_in_a_slice_or_two_is_left_out(axis, thick, mm, flat):
    spacing = np.ones(3)
    spacing[2 - axis] = mm
    if axis:  # else the bodies would be too close or too far
        spacing[2] = 1.5
    labels, matrix = plates(thick, axis, spacing)
    found = levels_from_labels(labels, matrix, {20: "L1", 21: "L2", 22: "L3"})
    assert [x.level for x in found] == (["L3"] if flat else ["L1", "L2", "L3"])
    assert ("L1, L2 are painted less than 6 mm thick: left out." in found.findings) == flat


def test_a_flat_neighbour_is_not_blamed_for_a_lumbar_level_that_is_cut():
    labels, matrix = plates(1, 0, (1.0, 1.0, 1.0))
    labels[(labels == 21) | (labels == 22)] = 0
    labels[-3:, 20:50, 20:50] = 21
    found = levels_from_labels(labels, matrix, {20: "T12", 21: "L1"})
    assert not list(found) and "L1 cut by the edge of the volume: left out." in found.findings


@pytest.mark.parametrize("step", [1.0, 3.0])
def test_nothing_but_thin_labels_is_refused(step):
    labels, matrix = plates(1, 0, (1.0, 1.0, step))
    labels[labels == 22] = 0
    with pytest.raises(CTBMDError, match="L1, L2 are painted less than 6 mm thick; paint") as told:
        levels_from_labels(labels, matrix, {20: "L1", 21: "L2"})
    assert told.value.code == "labels-flat"
    labels[45] = 0
    with pytest.raises(CTBMDError):
        levels_from_labels(labels, matrix, {20: "L1"})
