"""Reference tables: the values that are just possible, and how a table is named."""

from __future__ import annotations

import dataclasses
import json

import pytest

from CTBMDLib.bmd.reference import ReferenceTable
from CTBMDLib.errors import CTBMDError

ROW = {"region": "L1-L4", "sex": "F", "mean": 1.0, "sd": 0.1, "young": True}


def write(path, **changes):
    table = {"name": "own", "title": "t", "source": "s", "device": "d"}
    path.write_text(json.dumps({**table, "rows": [{**ROW, **changes}]}))
    return path


@pytest.mark.parametrize(
    ("key", "value", "good"),
    [
        ("mean", 2.99, True),
        ("mean", 3.0, False),
        ("mean", 0.0, False),
        ("mean", True, False),
        ("mean", "1.0", False),
        ("sd", 0.99, True),
        ("sd", 1.0, False),
        ("sd", 1e-3, True),
        ("sd", -0.1, False),
    ],
)
def test_values_that_are_possible(tmp_path, key, value, good):
    path = write(tmp_path / "own.json", **{key: value})
    if good:
        assert ReferenceTable.load(path).rows[0][key] == value
    else:
        with pytest.raises(CTBMDError, match=f"'{key}'"):
            ReferenceTable.load(path)


def test_a_file_without_an_ending_is_a_table_too(tmp_path):
    assert ReferenceTable.load(write(tmp_path / "own")).name == "own"


def test_a_table_does_not_change_once_it_is_read(tmp_path):
    table = ReferenceTable.load(write(tmp_path / "own.json"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        table.name = "other"
