"""A study whose first series has no lumbar spine: another series of the same person is taken."""

import pytest
from dicom_maker import body, uid, write_series

from CTBMDLib.cohort import cases
from CTBMDLib.errors import CTBMDError
from CTBMDLib.levels import LevelSelection, LevelSlice

SERIES = {
    "head": {"slices": 12, "description": "HEAD"},
    "trunk": {"slices": 10, "description": "ABD PEL 3.0"},
    "legs": {"slices": 11, "description": "LEGS"},
}


@pytest.fixture
def study(tmp_path):
    """A folder with three axial series of one person, the head's the longest."""
    for number, (name, facts) in enumerate(SERIES.items(), start=1):
        write_series(
            tmp_path / name,
            body(facts["slices"]),
            series=name,
            SeriesNumber=number,
            SeriesDescription=facts["description"],
        )
    return tmp_path


@pytest.fixture
def spine_in(monkeypatch):
    """Makes the finder see L1 in the named series, and keeps the order in which it was asked."""

    def set_up(*names):
        asked = []
        shown = {uid("P1", name) for name in names} | {uid("P2", name) for name in names}

        def find(volume, **_options):
            series = volume.acquisition.series_uid
            asked.append(next(n for n in SERIES if series in (uid("P1", n), uid("P2", n))))
            level = LevelSlice("L1", (0.0, 0.0, 105.0), 0.9)
            return LevelSelection((level,) if series in shown else (), series)

        monkeypatch.setattr("CTBMDLib.spine.locate.find_levels", find)
        return asked

    return set_up


def test_the_first_series_is_taken_where_it_does(study, spine_in):
    asked = spine_in("head", "trunk")
    volume, _ = cases.open_case(study)
    assert volume.acquisition.series_uid == uid("P1", "head") and asked == ["head"]


@pytest.mark.parametrize("name", ["trunk", "legs"])
def test_another_series_is_taken_and_named(study, spine_in, name):
    asked = spine_in(name)
    volume, selection = cases.open_case(study)
    assert volume.acquisition.series_uid == selection.series_uid == uid("P1", name)
    told = volume.reading_findings[0]
    assert "series 1 'HEAD'" in told.lower().replace("head", "HEAD") and "shows no lumbar" in told
    assert SERIES[name]["description"] in told and "read instead" in told
    # What its description promises is tried before what is only longer.
    assert asked == (["head", "trunk"] if name == "trunk" else ["head", "trunk", "legs"])


def test_where_none_does_all_are_named(study, spine_in):
    asked = spine_in()
    with pytest.raises(CTBMDError, match="no lumbar level found") as error:
        cases.open_case(study)
    assert sorted(asked) == sorted(SERIES) and error.value.code == "no-lumbar-level"
    assert all(facts["description"] in str(error.value) for facts in SERIES.values())
    assert str(error.value).count("shows none") == 3


def test_a_series_that_was_asked_for_is_the_only_one_read(study, spine_in):
    asked = spine_in("trunk")
    with pytest.raises(CTBMDError, match="no lumbar level found"):
        cases.open_case(study, series_uid=uid("P1", "head"))
    assert asked == ["head"]


def test_another_persons_series_is_never_taken(study, spine_in):
    write_series(study / "other", body(9), series="trunk", patient="P2")
    asked = spine_in()
    with pytest.raises(CTBMDError, match="no lumbar level found"):
        cases.open_case(study)
    assert sorted(asked) == sorted(SERIES)


def test_what_cannot_be_read_is_named_with_its_reason(study, spine_in):
    sorted((study / "trunk").iterdir())[4].unlink()
    spine_in()
    with pytest.raises(CTBMDError, match=r"ABD PEL 3\.0.*cannot be read \("):
        cases.open_case(study)


def test_a_folder_of_one_series_is_refused_as_before(tmp_path, spine_in):
    write_series(tmp_path, body(8), series="head")
    spine_in()
    with pytest.raises(CTBMDError) as error:
        cases.open_case(tmp_path)
    assert str(error.value) == (
        f"no lumbar level found in '{tmp_path}'; choose a scan that shows lumbar vertebrae."
    )


@pytest.mark.data
@pytest.mark.slow
def test_a_real_spine_beside_a_longer_series_without_one(tmp_path, shared_data):
    source = shared_data("ct_sagittal_m42")
    for path in source.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    from CTBMDLib.reading.reading import read_ct

    facts = read_ct(source).acquisition
    tags = {"StudyInstanceUID": facts.study_uid} if facts.study_uid else {}
    write_series(tmp_path / "bottle", body(21), series="head", patient=facts.patient_id, **tags)
    volume, selection = cases.open_case(tmp_path)
    assert volume.acquisition.series_uid == facts.series_uid
    assert {"L1", "L2", "L3", "L4"} <= {item.level for item in selection}
