"""Values that are no Hounsfield units as measured: clipped, dual-energy, density kernels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from dicom_maker import write_series
from phantoms import phantom

from CTBMDLib.bmd.quality import check_volume
from CTBMDLib.bmd.values import check_clipping, check_kind
from CTBMDLib.reading.reading import read_ct
from CTBMDLib.volume import Acquisition


def codes(findings):
    return [x.code for x in findings]


def noisy(seed=0, dtype=np.int16):
    """A phantom whose histogram runs out by itself, as a scan's does."""
    volume = phantom(kvp=120.0)
    rng = np.random.default_rng(seed)
    dense = 120 * rng.standard_exponential(volume.hu.shape) * (volume.hu > 150)
    hu = volume.hu + dense + rng.normal(0, 15, volume.hu.shape)
    return replace(volume, hu=hu.astype(dtype))


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (-1024, 600, "above 600 HU"),
        (-1024, 400, "above 400 HU"),
        (-95, 300, "above 300 HU and below -95 HU"),
        (-90, 240, "above 240 HU and below -90 HU"),
        (-105, 3000, "below -105 HU"),
    ],
)
def test_clipped_values_are_told(dtype, low, high, said):
    volume = noisy(dtype=dtype)
    assert check_clipping(volume.hu) == []
    (found,) = check_volume(replace(volume, hu=volume.hu.clip(low, high)))
    assert (found.code, found.severity) == ("clipped", "warning") and said in found.text


@pytest.mark.parametrize("seed", range(5))
def test_what_is_not_clipped(seed):
    volume = noisy(seed)
    metal = volume.hu.copy()
    metal[10:14, 40:60, 40:60] = 3071  # where scanners themselves end
    air = np.where(volume.hu < -50, -1000, volume.hu).clip(-1000)
    padded = np.where(volume.hu < -50, -2048, volume.hu)
    for hu in (volume.hu, metal, air, padded, phantom().hu, volume.hu.clip(-1024, 3000)):
        assert check_clipping(hu) == []


@pytest.mark.parametrize(
    "name", ["ct_ts_example/ct.nii.gz", "ct_acrin_f46", "ct_sagittal_m42", "ct_slices_liver"]
)
def test_the_shared_scans(shared_data, name):
    volume = read_ct(shared_data(name))
    known = {"clipped", "dual-energy", "not-hu", "kernel-changes-hu"}
    assert not known & set(codes(check_volume(volume)))
    assert check_clipping(np.asarray(volume.hu).clip(-1024, 3000)) == []
    for low, high in ((-1024, 1000), (-1024, 600), (-200, 300), (-160, 240)):
        assert codes(check_clipping(np.asarray(volume.hu).clip(low, high))) == ["clipped"]


@pytest.mark.parametrize(
    "facts",
    [
        {"image_type": ("DERIVED", "PRIMARY", "AXIAL", "VMI")},
        {"image_type": ("DERIVED", "SECONDARY", "AXIAL", "CT_SOM7 MONOENERGETIC")},
        {"image_type": ("DERIVED", "PRIMARY", "VOLUME", "MAT_SPECIFIC")},
        {"image_type": ("DERIVED", "PRIMARY", "VOLUME", "ELECTRON_DENSITY")},
        {"series_description": "MONO 70 keV"},
        {"series_description": "Abd_Monoenergetic_Plus_40"},
        {"series_description": "Mono+ 50"},
        {"series_description": "MonoE 65"},
        {"series_description": "70keV"},
        {"series_description": "VNC 3.0"},
        {"series_description": "Virtual unenhanced"},
        {"series_description": "Iodine map"},
        {"series_description": "Z eff"},
        {"series_description": "Water(Iodine)"},
    ],
)
def test_dual_energy(facts):
    (found,) = check_kind(Acquisition(**facts))
    assert (found.code, found.severity) == ("dual-energy", "warning")


@pytest.mark.parametrize("unit", ["HU_MOD", "MGML", "Z_EFF", "ED", "EDW", "PCT", "OD"])
def test_other_units(unit):
    (found,) = check_kind(Acquisition(rescale_type=unit))
    assert found.code == "not-hu" and f"'{unit}'" in found.text


@pytest.mark.parametrize("kernel", ["Sd36f", "Sd40s", "Sd36f 3", "SD36"])
def test_density_kernels(kernel):
    (found,) = check_kind(Acquisition(kernel=kernel))
    assert found.code == "kernel-changes-hu" and kernel in found.text


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"image_type": ("ORIGINAL", "PRIMARY", "AXIAL")},
        {"image_type": ("DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE")},
        {"image_type": ("ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI")},
        {"rescale_type": "HU"},
        {"rescale_type": "US"},
        {"rescale_type": "hu "},
        {"series_description": "AX 5mm STD"},
        {"series_description": "Abdomen 120 kV 1.0 Br40"},
        {"series_description": "MONITORING"},
        {"series_description": "Mono"},
        {"series_description": "PET-CT SERIES"},
        {"kernel": "STANDARD"},
        {"kernel": "B30f"},
        {"kernel": "Br40d"},
        {"kernel": "SOFT"},
        {"kernel": "SOFT TISSUE"},
        {"kernel": "Sdx"},
        {"kernel": "FC18"},
        {"kernel": "Hd40"},
    ],
)
def test_ordinary_series(facts):
    assert check_kind(Acquisition(**facts)) == []


def test_the_header_is_read(tmp_path):
    write_series(tmp_path, ImageType=["DERIVED", "PRIMARY", "AXIAL", "VMI"], RescaleType="HU_MOD")
    volume = read_ct(tmp_path)
    assert volume.acquisition.image_type == ("DERIVED", "PRIMARY", "AXIAL", "VMI")
    assert volume.acquisition.rescale_type == "HU_MOD"
    assert {"dual-energy", "not-hu"} <= set(codes(check_volume(volume)))
