"""One scan that lies in several series is read as one, where everything says that it is one."""

import numpy as np
import pytest
from dicom_maker import AXIAL, CORONAL, SAGITTAL, body, lps_positions, uid, write_series

from CTBMDLib.errors import CTBMDError
from CTBMDLib.reading.reading import list_series, read_ct

HU = body(24)
DEALT = {
    "every second": [list(range(0, 24, 2)), list(range(1, 24, 2))],
    "every third": [list(range(n, 24, 3)) for n in range(3)],
    "halves": [list(range(12)), list(range(12, 24))],
    "thirds": [list(range(15, 24)), list(range(8)), list(range(8, 15))],
    "one image apart": [[0, 1, 2, *range(4, 24)], [3]],
    "some images apart": [[k for k in range(24) if k % 7], [0, 7, 14, 21]],
    "each image a series": [[k] for k in range(24)],
}


def write(folder, dealt, orientation=AXIAL, spacing=2.5, parts=({},), **tags):
    """Each part as a series of its own, with the tags of its turn."""
    places = lps_positions(24, orientation, spacing=spacing)
    for number, indices in enumerate(dealt):
        own = {"SeriesDescription": "Abdomen", "SeriesNumber": 3 + number} | tags
        write_series(
            folder, HU[indices], series=f"part{number}", orientation=orientation,
            positions=[places[k] for k in indices], **own | parts[number % len(parts)],
        )  # fmt: skip


@pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL, CORONAL])
@pytest.mark.parametrize("dealt", list(DEALT))
def test_parts_of_one_scan_are_joined_and_named(tmp_path, dealt, orientation):
    write(tmp_path, DEALT[dealt], orientation)
    volume = read_ct(tmp_path)
    assert np.array_equal(volume.hu, HU)
    assert volume.spacing_mm[2] == pytest.approx(2.5)
    (series,) = list_series(tmp_path)
    assert series.images == 24 and len(series.parts) == len(DEALT[dealt])
    (line,) = [x for x in volume.reading_findings if "joined" in x]
    assert line.endswith("they were joined.") and line.startswith(("Series ", "24 series"))
    apart = dealt in ("halves", "thirds", "each image a series")
    assert ("one beyond the other" in line) == apart and ("in turn" in line) != apart


def test_a_joined_scan_is_read_by_any_of_its_parts(tmp_path):
    write(tmp_path, DEALT["every third"])
    found = {read_ct(tmp_path).acquisition.series_uid}
    for number in range(3):
        for name in (uid("P1", f"part{number}"), str(3 + number)):
            volume = read_ct(tmp_path, series_uid=name)
            assert np.array_equal(volume.hu, HU)
            found.add(volume.acquisition.series_uid)
    file = sorted(tmp_path.iterdir())[-1]
    assert np.array_equal(read_ct(file).hu, HU)
    assert len(found) == 1  # levels found in it belong to it, whichever was named


OTHER = {
    "tube voltage": {"KVP": "100"},
    "kernel": {"ConvolutionKernel": "B70"},
    "slice thickness": {"SliceThickness": "2.0"},
    "study": {"StudyInstanceUID": uid("another study")},
    "frame of reference": {"FrameOfReferenceUID": uid("another frame")},
    "contrast agent": {"ContrastBolusAgent": "Iohexol"},
    "description": {"SeriesDescription": "Abdomen venous"},
    "kind of image": {"ImageType": ["DERIVED", "SECONDARY", "MPR"]},
}


@pytest.mark.parametrize("dealt", ["every second", "halves"])
@pytest.mark.parametrize("what", list(OTHER))
def test_what_fits_by_its_place_alone_is_said_and_not_joined(tmp_path, what, dealt):
    write(tmp_path, DEALT[dealt], parts=({}, OTHER[what]))
    volume = read_ct(tmp_path)
    assert len(volume.hu) == 12 and len(list_series(tmp_path)) == 2
    (line,) = [x for x in volume.reading_findings if "joined" in x]
    assert what in line and line.endswith("it was not joined.")
    assert ("goes on where it ends" if dealt == "halves" else "between its own") in line


@pytest.mark.parametrize(
    "tag", ["KVP", "ConvolutionKernel", "SliceThickness", "StudyInstanceUID", "FrameOfReferenceUID"]
)
def test_what_is_unknown_does_not_say_that_they_belong_together(tmp_path, tag):
    write(tmp_path, DEALT["halves"], **{tag: None})
    volume = read_ct(tmp_path)
    assert len(volume.hu) == 12
    (line,) = [x for x in volume.reading_findings if "joined" in x]
    assert "does not say that it is of the same scan" in line


def test_parts_of_another_patient_are_never_joined(tmp_path):
    for patient, indices in zip("AB", DEALT["halves"], strict=True):
        places = lps_positions(24)
        write_series(
            tmp_path, HU[indices], patient=patient, series=patient, SeriesDescription="Abdomen",
            positions=[places[k] for k in indices], StudyInstanceUID=uid("s"),
            FrameOfReferenceUID=uid("f"),
        )  # fmt: skip
    volume = read_ct(tmp_path)
    assert len(volume.hu) == 12 and not any("joined" in x for x in volume.reading_findings)


@pytest.mark.parametrize(
    ("dealt", "tags"),
    [
        ([list(range(12)), list(range(11, 24))], {}),  # they share a slice: two breaths
        ([list(range(12)), list(range(14, 24))], {}),  # two are missing between them
        ([list(range(0, 24, 2)), list(range(0, 24, 2))], {}),  # two phases
        ([list(range(12)), list(range(12, 24))], {"PixelSpacing": [1.5, 1.1]}),
        ([list(range(12)), list(range(12, 24))], {"ImageOrientationPatient": [0, 1, 0, -1, 0, 0]}),
    ],
)
def test_what_does_not_fit_is_left_alone(tmp_path, dealt, tags):
    edit = {} if not tags else {"edit": lambda k, data: [setattr(data, *x) for x in tags.items()]}
    write(tmp_path, dealt, parts=({}, edit))
    volume = read_ct(tmp_path)
    assert len(volume.hu) == max(map(len, dealt)) and len(list_series(tmp_path)) == 2
    assert not any("joined" in x for x in volume.reading_findings)


def test_slices_much_closer_than_they_are_thick_are_two_scans(tmp_path):
    write(tmp_path, DEALT["every second"], spacing=2.5, SliceThickness="7")
    volume = read_ct(tmp_path)
    assert len(volume.hu) == 12 and any("it was not joined" in x for x in volume.reading_findings)


def test_a_damaged_part_still_refuses(tmp_path):
    write(tmp_path, DEALT["halves"])
    file = tmp_path / "part0_0003.dcm"
    file.write_bytes(file.read_bytes()[:-300])
    with pytest.raises(CTBMDError, match="cut off or damaged"):
        read_ct(tmp_path)


def test_a_shift_sideways_is_no_part(tmp_path):
    places = lps_positions(24)
    for number, indices in enumerate(DEALT["every second"]):
        write_series(
            tmp_path, HU[indices], series=f"part{number}", SeriesDescription="x",
            positions=[places[k] + [0.8 * number, 0, 0] for k in indices],
        )  # fmt: skip
    assert len(read_ct(tmp_path).hu) == 12
