"""What the header says of scan and person is kept, what it does not say stays unknown."""

import pytest
from dicom_maker import uid, write_series

from CTBMDLib.errors import Cancelled
from CTBMDLib.reading.headers import age_years
from CTBMDLib.reading.reading import read_ct


def test_facts_of_the_scan_are_kept(tmp_path):
    write_series(tmp_path, ContrastBolusAgent="Iohexol 350")
    facts = read_ct(tmp_path).acquisition
    assert facts.modality == "CT" and facts.kvp == 120.0 and facts.kernel == "B30"
    assert facts.slice_thickness_mm == 2.5 and facts.tube_current_ma == 200.0
    assert facts.contrast_agent == "Iohexol 350"
    assert (facts.manufacturer, facts.model) == ("ACME", "Tube 1")
    assert (facts.sex, facts.age_years, facts.patient_id) == ("F", 63.0, "P1")
    assert facts.study_uid == uid("P1", "study") and facts.series_uid == uid("P1", "series")
    assert "Secret" not in repr(facts)


def test_what_is_not_written_stays_unknown(tmp_path):
    gone = ("KVP", "ConvolutionKernel", "SliceThickness", "XRayTubeCurrent", "Manufacturer",
            "ManufacturerModelName", "PatientSex", "PatientAge", "PatientID", "SeriesDescription")  # fmt: skip

    def remove(k, data):
        for name in gone:
            del data[name]
        data.PatientBirthDate = "19500101"
        data.StudyDate = "20200101"

    write_series(tmp_path / "case 7", edit=remove)
    volume = read_ct(tmp_path / "case 7")
    facts = volume.acquisition
    for name in ("kvp", "kernel", "slice_thickness_mm", "tube_current_ma", "manufacturer", "model",
                 "sex", "age_years", "patient_id", "series_description", "contrast_agent"):  # fmt: skip
        assert getattr(facts, name) is None, name
    assert volume.name == "case 7"


@pytest.mark.parametrize("tag", [{"PatientSex": "O"}, {"PatientSex": ""}])
def test_a_sex_that_is_not_f_or_m_is_unknown(tmp_path, tag):
    write_series(tmp_path, **tag)
    assert read_ct(tmp_path).acquisition.sex is None


@pytest.mark.parametrize(
    ("text", "years"),
    [("042Y", 42.0), ("018M", 1.5), ("052W", 52 * 7 / 365.25), ("100D", 100 / 365.25),
     ("42Y", 42.0), (" 042y ", 42.0), ("", None), (None, None), ("42", None), ("Y", None),
     ("000Y", None), ("999Y", None), ("4.2Y", None), ("unknown", None)],
)  # fmt: skip
def test_age_of_a_dicom_age_string(text, years):
    assert age_years(text) == (None if years is None else pytest.approx(years))


# -- progress and cancelling ---------------------------------------------------
def test_progress_rises_to_one_and_cancel_is_obeyed(tmp_path):
    write_series(tmp_path)
    seen = []
    read_ct(tmp_path, progress=lambda done, text: seen.append((done, text)))
    fractions = [done for done, _ in seen]
    assert fractions == sorted(fractions) and fractions[0] >= 0 and fractions[-1] == 1.0
    assert all(text for _, text in seen)
    for stop_after in (0, 5, 12):
        calls = iter(range(1000))
        with pytest.raises(Cancelled):
            read_ct(tmp_path, should_cancel=lambda calls=calls, n=stop_after: next(calls) >= n)
