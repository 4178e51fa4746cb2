"""Cohort files: same seed same bytes, resumable, what the contract says is in them."""

import numpy as np
import pytest

from CTBMDLib.errors import CTBMDError
from training.virtual import cohort, dxa, patient
from training.virtual.anatomy import make_scene
from training.virtual.traits import Traits, changed_priors, with_mineral


@pytest.fixture
def small(monkeypatch):
    """Patients of one slice at one level, to be quick; the code is the same."""
    monkeypatch.setattr(patient, "MEASURED", ("L3",))
    monkeypatch.setattr(patient, "SLICE_OFFSETS", (0.0, 1 / 6))


@pytest.fixture
def unscanned(monkeypatch):
    """Patients who are drawn and measured by DXA, and not scanned."""
    monkeypatch.setattr(patient, "MEASURED", ())


@pytest.mark.slow
def test_same_seed_same_bytes_and_kept_files_stay(tmp_path, small):
    first = cohort.make_cohort(tmp_path / "a", 1, 5, institution="mixed", workers=1)
    again = cohort.make_cohort(tmp_path / "b", 1, 5, institution="mixed", workers=1)
    assert first[0].read_bytes() == again[0].read_bytes()
    # The patient is the one that this seed gave when the people were set; another
    # processor may round a value the other way.
    record = patient.load_patient(first[0])
    assert record.bmd_total_true == pytest.approx(0.6348074169626924, rel=1e-6)
    assert record.bmd_total == pytest.approx(0.627940978617998, rel=1e-6)
    assert record.slabs["L3"].hu.shape == (2, 268, 361)
    assert record.slabs["L3"].hu.mean() == pytest.approx(-451.02170, abs=0.01)
    # Resuming leaves what is there and removes what a killed run left half written.
    stamp = first[0].stat().st_mtime_ns
    (tmp_path / "a" / ".patient_005_0001.npz.999999999.part").write_bytes(b"half")
    told = []
    cohort.make_cohort(
        tmp_path / "a", 1, 5, institution="mixed", workers=1, progress=lambda f, t: told.append(f)
    )
    assert first[0].stat().st_mtime_ns == stamp
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["cohort.json", first[0].name]
    assert told[-1] == 1.0


@pytest.mark.slow
def test_patients_of_two_revisions_never_mix(tmp_path, small):
    cohort.make_cohort(tmp_path, 1, 5, workers=1)
    file = tmp_path / "patient_005_0000.npz"
    before = file.read_bytes()
    for count, seed, how in (
        (2, 6, {}),
        (2, 5, {"institution": "B"}),
        (2, 5, {"population": "wide"}),
        (2, 5, {"changes": {"realistic.cortex_tie": 0.0}}),
    ):
        with pytest.raises(CTBMDError, match="holds virtual patients of another"):
            cohort.make_cohort(tmp_path, count, seed, workers=1, **how)
    (tmp_path / "cohort.json").unlink()  # nobody knows
    with pytest.raises(CTBMDError, match="another seed and .*revision; move"):
        cohort.make_cohort(tmp_path, 2, 5, workers=1)
    assert [p.name for p in tmp_path.iterdir()] == [file.name]
    assert file.read_bytes() == before


@pytest.mark.slow
def test_a_patient_has_what_training_needs(tmp_path, small):
    from CTBMDLib.levels import LevelSlice

    path = cohort.make_cohort(tmp_path, 1, 6, population="wide", institution="B", workers=1)[0]
    record = patient.load_patient(path)
    assert record.sex in ("F", "M")
    assert 20 <= record.age_years <= 90
    assert record.institution == "B"
    assert record.anatomy_id == "6-wide-0"
    slab, place = record.slabs["L3"], record.slices["L3"]
    assert isinstance(place, LevelSlice)
    assert slab.hu.dtype == np.int16
    centre = np.array(place.ras)
    centre[2] = slab.ijk_to_ras[2, 3]
    assert slab.contains(centre)
    # The body's middle is bone, the corner of the slab is air, and the whole trunk is in it.
    body = slab.sample(centre + np.array([[x, y, 0.0] for x in (-6, 0, 6) for y in (-4, 0, 4)]))
    assert body.mean() > slab.sample(centre + [0, 0, 0], order=0) - 300
    assert abs(np.median(slab.hu[:, :8, :8]) + 1000) < 30
    assert (slab.hu[0] > -300).any(axis=0).sum() * slab.spacing_mm[0] > 220
    off = patient.priors()["wide"]["off_middle"]
    assert abs(place.ras[2] - slab.ijk_to_ras[2, 3]) <= off * place.height_mm + 1e-6
    assert set(record.bmd) == {"L1", "L2", "L3", "L4"}
    assert all(0.1 < v < 3 for v in record.bmd_true.values())
    assert record.protocol["thickness_mm"] == 3.0


@pytest.mark.slow
def test_one_anatomy_at_several_mineral_contents(unscanned):
    a = patient.make_patient(7, 0, "wide", "A")
    b = patient.make_patient(7, 2, "wide", "A")
    assert a.anatomy_id == b.anatomy_id
    ratio = b.facts["traits"]["mineral"] / a.facts["traits"]["mineral"]
    answered = b.bmd_total_true / a.bmd_total_true
    print(f"mineral x {ratio:.2f} gives simulated aBMD x {answered:.2f}")
    assert ratio > 1.5
    poor, rich = (record.facts["traits"]["marrow_fat"] for record in (a, b))
    assert poor > rich + 0.02, "fat moves in where mineral is lost"
    # Areal BMD rises by less than the mineral: the bone edge takes in more area where there
    # is more of it (test_virtual_dxa holds the mineral itself to the factor).
    assert 0.75 * ratio < answered < 1.03 * ratio


def test_unknown_institution_is_refused():
    with pytest.raises(ValueError, match="institution"):
        patient.draw_protocol(np.random.default_rng(0), "D")
    with pytest.raises(ValueError, match="institution"):
        patient.make_patient(1, 0, "realistic", "D")


@pytest.mark.slow
def test_a_vertebra_with_screws_is_not_measured(monkeypatch):
    monkeypatch.setattr(patient, "MEASURED", ("L3", "L4"))
    monkeypatch.setattr(patient, "SLICE_OFFSETS", (0.0, 1 / 6))
    with changed_priors({"wide.metal_share": 1.0}):
        record = patient.make_patient(7, 1, "wide", "A")
    assert record.facts["metal"]
    assert set(record.slabs) == set(record.slices) == {"L3"}
    assert set(record.bmd) == set(record.bmd_true) == {"L1", "L2", "L3"}
    assert min(record.bmd_true.values()) <= record.bmd_total_true <= max(record.bmd_true.values())


@pytest.mark.slow
def test_one_whose_bone_dxa_does_not_see_is_given_more(unscanned):
    scarce = {
        "wide.trabecular": [30.0, 31.0],
        "wide.cortex_mm": [0.18, 0.19],
        "wide.mineral_steps": [0.447, 0.447],
    }
    with changed_priors(scarce):
        record = patient.make_patient(7, 0, "wide", "A")
        drawn = record.facts["traits"]["mineral"]
        assert drawn > 0.447 * 1.18, "the highest that can be drawn at first"
        rng = np.random.default_rng([7, 0, 1])
        seed = int(rng.integers(1, 2**31))
        poorer = with_mineral(Traits(**record.facts["traits"]), drawn / patient.DENSER)
        with pytest.raises(dxa.NoBoneEdge, match="no bone of L[1-4] is above the edge"):
            dxa.measure(make_scene(poorer, seed, "wide"))
    assert all(np.isfinite(list(record.bmd_true.values())))
