"""Values that would not be Hounsfield units, or not finite, are refused."""

import numpy as np
import pytest
from dicom_maker import body, write_enhanced_files, write_series
from volume_files import nifti_bytes, nrrd_header, write

from CTBMDLib.errors import CTBMDError
from CTBMDLib.reading.hounsfield import compact
from CTBMDLib.reading.reading import read_ct


def refused(path):
    with pytest.raises(CTBMDError) as caught:
        read_ct(path)
    text = str(caught.value)
    assert text.endswith(".") and "\n" not in text and len(text) < 300
    return text, caught.value.code


def drop(slices, tags):
    def edit(k, data):
        if k in slices:
            for tag in tags:
                delattr(data, tag)

    return edit


BOTH = ("RescaleSlope", "RescaleIntercept")


@pytest.mark.parametrize("tags", [BOTH, BOTH[:1], BOTH[1:]])
@pytest.mark.parametrize("slices", [[0], [3], [7], [2, 5], list(range(1, 8))])
@pytest.mark.parametrize("order", [None, [3, 0, 7, 1, 6, 2, 5, 4]])
def test_slices_without_rescale_among_others(tmp_path, tags, slices, order):
    write_series(tmp_path, order=order, edit=drop(slices, tags))
    text, code = refused(tmp_path)
    assert code == "missing-rescale"
    what = "one image" if len(slices) == 1 else f"{len(slices)} images"
    first = slices[0] if order is None else order[slices[0]]
    assert f"missing in {what} of 8 (such as 'series_" in text
    assert len(slices) > 1 or f"'series_{first:04d}.dcm'" in text


@pytest.mark.parametrize("broken", ["", "abc", "nan", "inf"])
def test_a_slice_whose_rescale_is_no_number(tmp_path, broken):
    def edit(k, data):
        if k == 4:
            data.RescaleIntercept = None
            data["RescaleIntercept"]._value = broken

    try:
        write_series(tmp_path, edit=edit)
    except (TypeError, ValueError, AttributeError):
        pytest.skip("this pydicom does not write such a value")
    assert refused(tmp_path)[1] == "missing-rescale"


def test_an_enhanced_slice_without_rescale(tmp_path):
    def edit(k, data):
        if k == 5:
            del data.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence

    write_enhanced_files(tmp_path, edit=edit)
    assert refused(tmp_path)[1] == "missing-rescale"


@pytest.mark.parametrize("slices", [[3], range(8)])
def test_hounsfield_units_stored_as_they_are_need_no_rescale(tmp_path, slices):
    hu = write_series(
        tmp_path, RescaleSlope="1", RescaleIntercept="0", edit=drop(list(slices), BOTH)
    )
    assert np.array_equal(read_ct(tmp_path).hu, hu)


# -- float voxels ----------------------------------------------------------------
HUGE = [1e39, -1e39, 1e300, 3.5e38, float("inf"), float("-inf"), float("nan")]


@pytest.mark.parametrize("value", HUGE)
@pytest.mark.parametrize("place", [(0, 0, 0), (3, 16, 20), (7, 31, 39)])
@pytest.mark.parametrize("fraction", [0.0, 0.25])
def test_values_that_become_infinite(tmp_path, value, place, fraction):
    hu = body().astype(float) + fraction
    hu[place] = value
    for name, content in (
        ("a.nii", nifti_bytes(hu, kind="f8")),
        ("a.nrrd", nrrd_header(hu, kind="double").encode() + b"\n" + hu.astype("<f8").tobytes()),
    ):
        text, code = refused(write(tmp_path / name, content))
        assert code == "not-finite" and "not numbers" in text


@pytest.mark.parametrize(("slope", "intercept"), [(1e38, 0.0), (1.0, 3.0e38), (3e38, 3e38)])
def test_a_slope_that_makes_values_infinite(tmp_path, slope, intercept):
    hu = body().astype(float) + 0.25
    hu[3, 16, 20] = 3e38
    path = write(tmp_path / "a.nii", nifti_bytes(hu, kind="f4", slope=slope, intercept=intercept))
    assert refused(path)[1] == "not-finite"


def test_the_largest_float_is_kept():
    values = np.full((3, 4, 5), 0.5)
    values[1, 1, 1] = np.finfo(np.float32).max
    assert compact(values).max() == np.finfo(np.float32).max
    values[1, 1, 1] = np.nextafter(float(np.finfo(np.float32).max), np.inf)
    with pytest.raises(CTBMDError, match="not numbers"):
        compact(values)


def as_float(kind, values):
    def edit(k, data):
        del data.PixelData
        data.BitsAllocated = 32 if kind == "f4" else 64
        for name in ("BitsStored", "HighBit", "PixelRepresentation"):
            delattr(data, name)
        raw = values[k].astype(f"<{kind}").tobytes()
        if kind == "f4":
            data.FloatPixelData = raw
        else:
            data.DoubleFloatPixelData = raw

    return edit


@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("fraction", [0.0, 0.25])
def test_float_pixels_of_dicom_keep_their_fractions(tmp_path, kind, fraction):
    hu = body()
    stored = hu + 1024.0 + fraction
    write_series(tmp_path, hu, edit=as_float(kind, stored))
    assert np.array_equal(read_ct(tmp_path).hu, hu + np.float32(fraction))


@pytest.mark.parametrize("value", HUGE)
def test_float_pixels_of_dicom_that_become_infinite(tmp_path, value):
    hu = body()
    stored = hu + 1024.0
    stored[3, 16, 20] = value
    write_series(tmp_path, hu, edit=as_float("f8", stored))
    assert refused(tmp_path)[1] == "not-finite"
