"""Whole virtual volumes, and the sample CT that comes with the extension."""

import hashlib
import json

import numpy as np
import pytest
from paths import ROOT

from training.virtual import sample, volume

QUICK = dict(top=3.0, bottom=6.0, spacing_mm=2.2, between_mm=3.0, noise_hu=0.0, width_mm=170.0)


@pytest.mark.parametrize("storage", volume.STORAGE)
@pytest.mark.parametrize("oblique", [(0.0, 0.0, 0.0), (8.0, -6.0, 12.0)])
def test_truth_lies_in_the_bodies_however_it_is_stored(storage, oblique):
    v, truth = volume.make_volume(3, storage=storage, oblique_deg=oblique, **QUICK)
    assert v.hu.dtype == np.int16
    around = np.array([[x, y, z] for x in (-5, 0, 5) for y in (-3, 3) for z in (-4, 4)])
    for name in ("L2", "L3"):
        level = truth["levels"][name]
        assert level["in_view"]
        inside = v.sample(np.array(level["ras"]) + around)
        # Marrow and muscle stay below what cancellous bone shows.
        assert inside.mean() > 70
        assert np.linalg.norm(level["axis"]) == pytest.approx(1.0)
    assert not truth["sacrum_in_view"]
    wanted = {"axial": (0, 1, 2), "sagittal": (1, 2, 0), "coronal": (1, 0, 2)}[storage]
    assert (
        v.axis_kji_of_ras
        == {"axial": (2, 1, 0), "sagittal": (0, 2, 1), "coronal": (2, 0, 1)}[storage]
    ), wanted


@pytest.mark.slow
def test_options_are_seen_in_the_volume():
    plain, _ = volume.make_volume(4, **QUICK)
    again, _ = volume.make_volume(4, **QUICK)
    assert np.array_equal(plain.hu, again.hu)
    flipped, truth = volume.make_volume(4, flip=(True, False, True), **QUICK)
    assert flipped.ijk_to_ras[0, 0] == pytest.approx(-plain.ijk_to_ras[0, 0])
    centre = truth["levels"]["L3"]["ras"]
    assert flipped.sample(centre) == pytest.approx(plain.sample(centre), abs=60)
    circle, _ = volume.make_volume(4, outside_hu=-2000, **QUICK)
    assert circle.hu[0, 0, 0] == -2000
    contrast, _ = volume.make_volume(4, contrast="arterial", **QUICK)
    assert (contrast.hu.astype(int) - plain.hu).max() > 100


def test_random_options_are_valid_for_many_seeds():
    for seed in range(200):
        options = volume.random_options(seed)
        assert options["bottom"] - options["top"] > 1.5
        assert 0.5 <= options["spacing_mm"] <= 5 and options["storage"] in volume.STORAGE


ZIP = ROOT / "Resources" / "SampleData" / f"{sample.NAME}.zip"


def test_sample_is_the_file_its_json_names_and_says_that_it_is_simulated():
    import io
    import zipfile

    import pydicom

    facts = json.loads(ZIP.with_suffix(".json").read_text())
    assert hashlib.sha256(ZIP.read_bytes()).hexdigest() == facts["zip_sha256"]
    assert ZIP.stat().st_size < 3.5e6
    with zipfile.ZipFile(ZIP) as archive:
        names = archive.namelist()
        d = pydicom.dcmread(io.BytesIO(archive.read(names[0])))
    assert str(d.PatientName) == "CTBMD^Virtual patient"
    assert "imulated" in d.ImageComments
    assert d.PatientSex == facts["sex"] and d.PatientAge == "063Y"
    assert (d.Rows, d.Columns) == (256, 256)
    assert d.Modality == "CT" and len(names) == d.ImagesInAcquisition


def test_sample_levels_lie_in_bone():
    from CTBMDLib.reading.reading import read_ct

    facts = json.loads(ZIP.with_suffix(".json").read_text())
    v = read_ct(ZIP)
    for name in ("L1", "L2", "L3", "L4"):
        ras = np.array(facts["levels"][name])
        offsets = np.array([[x, y, 0] for x in (-6, 0, 6) for y in (-4, 4)])
        assert 60 < v.sample(ras + offsets).mean() < 350


def test_sample_can_be_made_again():
    """Its first slice from the feet, made anew, is the one in the file."""
    from CTBMDLib.reading.reading import read_ct

    made, z, corner, _ = sample.make_sample(count=1)
    v = read_ct(ZIP)
    k = int(np.argmin(np.abs([v.ras_from_ijk((0, 0, i))[2] - z[0] for i in range(v.hu.shape[0])])))
    assert v.ras_from_ijk((0, 0, k))[:2] == pytest.approx(corner, abs=0.01)
    # Another processor may round a value the other way; nothing else may differ.
    difference = np.abs(v.hu[k].astype(int) - made[0])
    assert difference.max() <= 2
    assert (difference > 0).mean() < 0.01
