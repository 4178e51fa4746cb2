"""The ways in which a trial breaks a study: each does harm, and none makes reading break down."""

import pytest
from dicom_maker import body, write_series

from CTBMDLib.errors import CTBMDError
from CTBMDLib.reading.reading import read_ct
from training.virtual.broken import FAIL, WAYS, break_study


def content(folder):
    return {x.relative_to(folder): x.read_bytes() for x in folder.rglob("*") if x.is_file()}


def test_there_are_twenty():
    assert len(WAYS) == 20


@pytest.mark.parametrize("way", WAYS)
def test_a_broken_study_is_read_or_refused_in_a_sentence(tmp_path, way):
    write_series(tmp_path, body(12))
    before = content(tmp_path)
    whole = read_ct(tmp_path)
    break_study(tmp_path, way, seed=3)
    assert content(tmp_path) != before
    try:
        volume = read_ct(tmp_path)
    except CTBMDError as error:
        assert error.code and str(error)
        return
    assert WAYS[way][1] != FAIL, f"{way} was read"
    assert volume.hu.shape != whole.hu.shape or (volume.hu != whole.hu).any() or way in (
        "copies of slices", "one slice missing",
    )  # fmt: skip
