"""Files: the columns in order, whole or not at all, never over another unasked."""

from __future__ import annotations

import csv
import json

import pytest
from phantoms import bundle, chosen, phantom

from CTBMDLib.bmd.estimate import estimate
from CTBMDLib.bmd.export import (
    COLUMNS,
    fixed,
    format_table,
    report_text,
    to_delimited,
    to_rows,
    write_result,
)
from CTBMDLib.bmd.reference import ReferenceTable
from CTBMDLib.bmd.result import BMDResult
from CTBMDLib.errors import CTBMDError


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    model = bundle(tmp_path_factory.mktemp("models") / "b")
    table = ReferenceTable.load("nhanes-hologic")
    return estimate(phantom(sex="F", series_uid="1.2.3"), chosen(), model, reference=table)


def test_columns_are_those_of_the_design():
    wanted = (
        "case series_uid level slice_s_mm images bmd_g_cm2 bmd_low bmd_high t_score category "
        "trabecular_hu selection included levels findings dxa_scale model model_version model_population"
    )
    assert " ".join(COLUMNS) == wanted


@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", ","), (".tsv", "\t")])
def test_delimited_files(result, tmp_path, suffix, delimiter):
    path = write_result(result, tmp_path / f"out{suffix}")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter=delimiter))
    assert tuple(rows[0]) == COLUMNS
    assert [row["level"] for row in rows] == ["L1", "L2", "L3", "L1-L4"]
    assert float(rows[0]["bmd_g_cm2"]) == pytest.approx(result.levels[0].bmd_g_cm2, abs=6e-4)
    assert rows[3]["slice_s_mm"] == "" and rows[0]["category"] == "" and rows[0]["t_score"] == ""
    assert float(rows[3]["t_score"]) == pytest.approx(result.total.t_score, abs=0.06)
    assert [row["selection"] for row in rows] == ["found", "found", "found", "mean"]
    assert [row["included"] for row in rows] == ["yes"] * 4
    assert [row["levels"] for row in rows] == ["", "", "", "L1 L2 L3"]
    for row in rows:
        assert "model trained on simulated CT; research use only" in row["findings"]
        assert row["model"] == "test" and row["model_population"] == "simulated"


@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", ";"), (".tsv", "\t")])
def test_decimal_commas(result, tmp_path, suffix, delimiter):
    path = write_result(result, tmp_path / f"a{suffix}", decimal_comma=True)
    assert path.read_text() == to_delimited([result], delimiter, ",")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter=delimiter))
    assert [x["bmd_g_cm2"] for x in rows] == [
        f"{x.bmd_g_cm2:.3f}".replace(".", ",") for x in result.rows
    ]
    json_file = write_result(result, tmp_path / "a.json", decimal_comma=True)
    assert json.loads(json_file.read_text())["rows"] == to_rows(result)


def test_json_file(result, tmp_path):
    data = json.loads(write_result(result, tmp_path / "out.json").read_text())
    assert "Research use only, not a medical device." in data["disclaimer"]
    assert "simulated" in data["disclaimer"]
    assert data["rows"] == to_rows(result)
    assert data["rows"][0]["t_score"] is None


def test_several_cases_in_one_file(result, tmp_path):
    with write_result([result, result], tmp_path / "all.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 8
    data = json.loads(write_result([result, result], tmp_path / "all.json").read_text())
    assert len(data["results"]) == 2


def test_a_stored_result_writes_the_same_bytes(result, tmp_path):
    again = BMDResult.from_dict(json.loads(json.dumps(result.to_dict())))
    for suffix in (".csv", ".tsv", ".json"):
        first = write_result(result, tmp_path / f"a{suffix}").read_bytes()
        assert first == write_result(again, tmp_path / f"b{suffix}").read_bytes()


def test_an_existing_file_is_kept_unless_asked(result, tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("mine")
    with pytest.raises(CTBMDError, match="exists already"):
        write_result(result, path)
    assert path.read_text() == "mine"
    write_result(result, path, overwrite=True)
    assert path.read_text().startswith("case,")


def test_a_failed_write_leaves_nothing(result, tmp_path, monkeypatch):
    def fail(*args):
        raise OSError(28, "No space left on device")

    path = tmp_path / "out.csv"
    path.write_text("mine")
    monkeypatch.setattr("CTBMDLib.safefile.os.fsync", fail)
    with pytest.raises(CTBMDError, match="No space left"):
        write_result(result, path, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "words"),
    [("out.xlsx", "must end in"), ("none/out.csv", "could not"), ("d.csv", "folder")],
)
def test_places_that_cannot_be_written(result, tmp_path, name, words):
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(CTBMDError, match=words):
        write_result(result, tmp_path / name)


def test_texts_that_a_spreadsheet_would_run_and_other_alphabets(result, tmp_path):
    evil = BMDResult.from_dict(json.loads(json.dumps(result.to_dict())))
    evil.levels[0].case = "=1+1"
    evil.levels[1].case = "Müller\n2"
    path = write_result(evil, tmp_path / "out.csv")
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["case"] == "'=1+1"
    assert rows[1]["case"] == "Müller 2"
    # Negative numbers stay numbers.
    assert float(rows[2]["slice_s_mm"]) == -15.0


def test_the_readable_table_says_what_it_is(result):
    text = format_table(result)
    for part in ("L1-L4", "g/cm2", "Research use only", "simulated", "nhanes-hologic", "sex F"):
        assert part in text
    assert text in report_text(result)


def test_a_rounded_zero_has_no_sign():
    assert [fixed(x, 1) for x in (-0.04, 0.04, -0.06)] == ["0.0", "0.0", "-0.1"]
