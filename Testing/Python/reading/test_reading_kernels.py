"""Of a scan reconstructed with a soft and a sharp kernel the soft one is read."""

import itertools

import pytest
from dicom_maker import body, uid, write_series

from CTBMDLib.reading.kernels import SHARP, SOFT, UNKNOWN, sharpness
from CTBMDLib.reading.reading import list_series, read_ct

SOFT_NAMES = (
    ["B20f", "B30f", "B30s", "B31f", "B40f", "B45f", "Br36d", "Br40", "Br40d\\3", "I31f\\2"]
    + ["Bf37", "I30f", "J30s", "Bv36", "Qr40", "Hr38", "STANDARD", "Standard", "SOFT", "DETAIL"]
    + ["B", "C", "A", "UB", "FC08", "FC10", "FC18", "FC13", "FC03", "Br40d 3"]
)
SHARP_NAMES = (
    ["B50f", "B60f", "B70f", "B80f", "Bl57d", "Br64", "Br59d\\3", "I70f\\2", "Hr64", "BONE"]
    + ["BONEPLUS", "Bone", "LUNG", "Lung", "EDGE", "ULTRA", "D", "L", "YC", "YB", "FC30"]
    + ["FC51", "FC52", "FC86", "BODY SHARP"]
)
UNKNOWN_NAMES = (None, "", "  ", "X", "KERNEL", "7", "FC", "\x00")


def test_kernels_are_told_apart_by_name():
    assert [name for name in SOFT_NAMES if sharpness(name) != SOFT] == []
    assert [name for name in SHARP_NAMES if sharpness(name) != SHARP] == []
    assert [n for n in UNKNOWN_NAMES if sharpness(n) != UNKNOWN] == []


PAIRS = [("Br40d", "Br64d"), ("B30f", "B70f"), ("STANDARD", "BONEPLUS"), ("SOFT", "LUNG"),
         ("B", "YC"), ("FC08", "FC51")]  # fmt: skip


@pytest.mark.parametrize(("soft", "sharp"), PAIRS)
@pytest.mark.parametrize("numbers", [(2, 3), (3, 2), (2, 2)])
def test_the_soft_kernel_of_two_equal_series_is_read(tmp_path, soft, sharp, numbers):
    # Whichever of the two has the smaller UID.
    for names in itertools.permutations(("one", "two")):
        folder = tmp_path / names[0]
        kernels = zip(names, (soft, sharp), numbers, strict=True)
        for series, kernel, number in kernels:
            write_series(folder, series=series, ConvolutionKernel=kernel, SeriesNumber=number)
        volume = read_ct(folder)
        assert volume.acquisition.kernel == soft
        assert list_series(folder)[0].series_uid == uid("P1", names[0])


def test_a_known_soft_kernel_goes_before_an_unknown_one_and_that_before_a_sharp_one(tmp_path):
    for series, kernel in (("a", "B70f"), ("b", "B30f"), ("c", None)):
        write_series(tmp_path, series=series, ConvolutionKernel=kernel)
    assert [item.description for item in list_series(tmp_path)] == ["b", "c", "a"]


def test_the_number_of_images_still_comes_first(tmp_path):
    write_series(tmp_path, body(9), series="bone", ConvolutionKernel="B70f")
    write_series(tmp_path, body(6), series="soft", ConvolutionKernel="B30f")
    assert read_ct(tmp_path).acquisition.kernel == "B70f"
