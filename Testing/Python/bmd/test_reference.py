"""Reference tables: the shipped one, a user's own and faulty ones."""

from __future__ import annotations

import json

import pytest

from CTBMDLib.bmd.reference import ReferenceTable, category, list_tables
from CTBMDLib.errors import CTBMDError

ROW = {"region": "L1-L4", "sex": "F", "mean": 1.0, "sd": 0.1, "young": True}
TABLE = {"name": "own", "title": "t", "source": "s", "device": "d", "rows": [ROW]}


def write(path, **changes):
    path.write_text(json.dumps({**TABLE, **changes}))
    return path


def test_shipped_tables_say_where_they_come_from():
    tables = list_tables()
    assert "nhanes-hologic" in [table.name for table in tables]
    for table in tables:
        assert table.source and table.device and table.title
        assert table.path.stem == table.name
        assert ReferenceTable.load(table.name) == table


def test_t_score_of_the_shipped_table():
    table = ReferenceTable.load("nhanes-hologic")
    assert table.t_score(1.064, "L1-L4", "F") == pytest.approx(0.0)
    assert table.t_score(1.064 - 2.5 * 0.106, "L1-L4", "F") == pytest.approx(-2.5)
    assert table.t_score(1.057 + 0.110, "L1-L4", "M") == pytest.approx(1.0)
    assert table.t_score(1.0, "L1", "F") is None
    assert table.t_score(1.0, "L1-L4", None) is None
    assert table.t_score(None, "L1-L4", "F") is None


def test_a_users_own_table(tmp_path):
    table = ReferenceTable.load(write(tmp_path / "own.json"))
    assert table.t_score(0.75, "L1-L4", "F") == pytest.approx(-2.5)
    assert table.t_score(0.75, "L1-L4", "M") is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rows": None}, "no list"),
        ({"source": ""}, "source"),
        ({"rows": []}, "young"),
        ({"rows": [{**ROW, "sex": "X"}]}, "Row 1"),
        ({"rows": [ROW, {**ROW, "mean": 1000}]}, "Row 2"),
        ({"rows": [{**ROW, "sd": 0}]}, "'sd'"),
        ({"rows": [{**ROW, "region": "hip"}]}, "hip"),
        ({"rows": [{**ROW, "age": [20]}]}, "age"),
        ({"rows": [ROW, ROW]}, "two young rows"),
        ({"rows": ["x"]}, "no record"),
    ],
)
def test_faulty_tables(tmp_path, changes, words):
    with pytest.raises(CTBMDError, match=words):
        ReferenceTable.load(write(tmp_path / "own.json", **changes))


def test_missing_and_unreadable_tables(tmp_path):
    with pytest.raises(CTBMDError, match="nhanes-hologic"):
        ReferenceTable.load("nowhere")
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(CTBMDError, match="JSON"):
        ReferenceTable.load(tmp_path / "x.json")


@pytest.mark.parametrize(
    ("t", "want"),
    [
        (None, None),
        (0, "normal"),
        (-1.0, "normal"),
        (-1.01, "low bone mass"),
        (-2.49, "low bone mass"),
        (-2.5, "osteoporosis"),
    ],
)
def test_who_categories(t, want):
    assert category(t) == want


def test_a_table_that_may_not_be_read_is_told_in_a_sentence(tmp_path, monkeypatch):
    table = write(tmp_path / "own.json")

    def refuse(*_args, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_text", refuse)
    with pytest.raises(CTBMDError, match="own.json.*Permission denied") as error:
        ReferenceTable.load(table)
    assert error.value.code == "reference-unreadable"
