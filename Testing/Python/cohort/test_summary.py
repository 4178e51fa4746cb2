"""The page beside a batch's table, its contact sheets, Parquet, and that one run writes at a time."""

import csv
import io
import json
import os
import re
from datetime import date

import numpy as np
import pytest
from phantoms import CENTRES, bundle, phantom
from volume_files import nifti_bytes, write

from CTBMDLib.cli import main
from CTBMDLib.cohort.caselist import Case
from CTBMDLib.cohort.inuse import InUse
from CTBMDLib.cohort.outcome import facts_of, pseudonym, scan_day
from CTBMDLib.cohort.sheet import png
from CTBMDLib.cohort.sheets import MOST, Sheets
from CTBMDLib.errors import CTBMDError
from CTBMDLib.volume import Acquisition


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """Three scans of two persons, one that is none, and a model."""
    folder = tmp_path_factory.mktemp("summary")
    bundle(folder / "model", members=1)
    volume = phantom(spacing=(4.0, 4.0, 4.0))
    for n in range(3):
        hu = (volume.hu + 40 * n * (volume.hu > 150)).astype(np.int16)
        write(folder / f"c{n}.nii", nifti_bytes(hu, volume.ijk_to_ras))
    points = [{"level": x, "ras": list(CENTRES[x])} for x in ("L1", "L2")]
    (folder / "levels.json").write_text(json.dumps({"levels": points}))
    (folder / "cases.csv").write_text(
        "path,case,levels,sex,age,kvp,person,date\n"
        "c0.nii,A,levels.json,F,60,120,Rosa Muster,2020-03-01\n"
        "c1.nii,B,levels.json,F,62,100,Rosa Muster,20220301\n"
        "c2.nii,<i>C</i>,levels.json,M,50,120,other,\n"
        "gone.nii,D,,,,,,\n"
    )
    return folder


def run(*arguments, code=0):
    assert main([str(x) for x in arguments]) == code


def test_the_page_tells_of_every_case_and_nobodys_name_or_date(cases, tmp_path, capsys):
    output = tmp_path / "t.csv"
    command = ("batch", cases / "cases.csv", "--model", cases / "model", "--output", output)
    run(*command, "--precision", "0.001")
    said = capsys.readouterr().out
    assert "1 person has several CTs" in said and f"Summary: {tmp_path / 't.summary.html'}" in said
    page = (tmp_path / "t.summary.html").read_text()
    assert "4 cases, 3 estimated, 1 failed" in page
    assert "A file is not where it was said to be; check the path. (no-such-file)" in page
    assert page.count("<img ") == 3 and page.count("data:image/png;base64,") == 3
    assert "Women: 2 CTs" in page and "Men: 1 CT<" in page
    assert "&lt;i&gt;C" in page and "<i>C" not in page
    assert "reference mean" in page and "0.952 (0.142)" in page  # of women of 61 to 70
    fetched = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(.{5})""", page)
    assert set(fetched) == {"data:"}
    assert "<p>1 person with several CTs; 1 comparison, " in page
    table = list(csv.DictReader((tmp_path / "t.followup.csv").open()))
    assert [(x["person"], x["earlier"], x["later"], x["days"]) for x in table] == [
        ("person 1", "A", "B", "730")
    ]
    values = {
        x["case"]: float(x["bmd_g_cm2"])
        for x in csv.DictReader(output.open())
        if x["level"] == "L1-L4"
    }
    assert float(table[0]["change_g_cm2"]) == pytest.approx(values["B"] - values["A"], abs=0.0011)
    assert "tube voltage differs (120 kV, 100 kV)" in table[0]["warnings"]
    for path in tmp_path.iterdir():
        text = path.read_text()
        assert path.name == "t.identity.csv" or not ("Muster" in text or "2022" in text)
    assert not list(tmp_path.glob(".*"))
    (tmp_path / "t.csv").unlink()
    run(*command, code=2)
    assert "t.failures.csv' exists already" in capsys.readouterr().err


def test_parquet_has_the_columns_and_values_of_the_csv(cases, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    (cases / "one.csv").write_text("".join((cases / "cases.csv").open().readlines()[:2]))
    for name in ("t.csv", "t.parquet"):
        command = ("batch", cases / "one.csv", "--model", cases / "model", "--overwrite")
        run(*command, "--output", tmp_path / name)
    table = parquet.read_table(tmp_path / "t.parquet")
    rows = list(csv.DictReader((tmp_path / "t.csv").open()))
    assert table.column_names == list(rows[0]) and table.num_rows == len(rows)
    for mine, other in zip(table.to_pylist(), rows, strict=True):
        assert mine["case"] == other["case"] and mine["images"] == int(other["images"])
        assert f"{mine['bmd_g_cm2']:.3f}" == other["bmd_g_cm2"]
        assert (mine["slice_s_mm"] is None) == (other["slice_s_mm"] == "")


def test_parquet_without_pyarrow_is_one_sentence(cases, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *more: None)
    command = ("batch", cases / "cases.csv", "--model", cases / "model")
    run(*command, "--output", tmp_path / "t.parquet", code=2)
    assert "needs pyarrow" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_two_runs_do_not_write_one_output(cases, tmp_path, capsys):
    pytest.importorskip("fcntl")
    held = InUse(tmp_path / "t.csv")
    command = ("batch", cases / "cases.csv", "--model", cases / "model")
    run(*command, "--output", tmp_path / "t.csv", code=2)
    assert "is being made by another run" in capsys.readouterr().err
    held.release()
    held.release()
    assert not list(tmp_path.iterdir())
    InUse(tmp_path / "t.csv").release()


def test_only_the_sheets_with_the_most_need_are_kept_and_found_again(tmp_path):
    output = tmp_path / "t.csv"
    sheets = Sheets(output, overwrite=False)
    needs = [(7 * n) % 25 for n in range(25)]
    for n, need in enumerate(needs):
        sheets.offer(f"k{n}", float(need), b"png%d" % n)
    kept = {n for n in range(25) if Sheets(output, overwrite=False).get(f"k{n}")}
    assert kept == {n for n, need in enumerate(needs) if need >= 25 - MOST}
    assert Sheets(output, overwrite=True).get("k3") == b"" and not list(tmp_path.iterdir())


def test_half_a_sheet_of_a_full_disk_is_not_kept(tmp_path, monkeypatch):
    sheets = Sheets(tmp_path / "t.csv", overwrite=False)

    def full(self, content):
        with self.open("wb") as file:
            file.write(content[:3])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_bytes", full)
        sheets.offer("k", 1.0, b"a whole png")
    assert sheets.get("k") == b"" == Sheets(tmp_path / "t.csv", overwrite=False).get("k")
    assert not list(tmp_path.rglob("*.png"))


def test_a_png_is_read_as_it_was_made():
    image = pytest.importorskip("matplotlib.image")
    grey = np.arange(60, dtype=np.uint8).reshape(5, 12) * 4
    read = image.imread(io.BytesIO(png(grey)))
    assert np.array_equal(np.round(255 * read).astype(np.uint8), grey)


def test_days_between_two_scans_are_right_and_the_days_themselves_secret(cases):
    from CTBMDLib.bmd.result import BMDResult

    result = BMDResult([], None, None, [], "")
    days = []
    for key in (b"1" * 32, b"2" * 32):
        facts = [
            facts_of(Case("x.nii", person="P  7", date=when), phantom(), result, key)
            for when in ("2020-02-28", "2020.03.01")
        ]
        assert facts[1].day - facts[0].day == 2 and facts[0].person == facts[1].person
        days.append(facts[0].day)
    assert days[0] != days[1] != date(2020, 2, 28).toordinal()
    assert pseudonym("P 7", b"1") != pseudonym("P 7", b"2")


@pytest.mark.parametrize(
    ("patient_id", "is_a_person"),
    [
        *(
            (x, False)
            for x in ("ANON", "anonymous", "Anonymized", "ANONYM^", "UNKNOWN", "n/a", "None")
        ),
        *(
            (x, False)
            for x in ("", " ", "-", "0", "0000000", "XXXX", "de-identified", "Patient ID")
        ),
        *((x, True) for x in ("ANON-0012", "anon 7", "4711", "0001", "PAT03", "X12", "Ano", "A")),
    ],
)
def test_an_id_that_a_whole_archive_has_is_no_person(patient_id, is_a_person):
    """A follow-up must not take the patients of an anonymised archive for one."""
    from CTBMDLib.bmd.result import BMDResult

    volume = phantom(spacing=(8.0, 8.0, 8.0))
    object.__setattr__(volume, "acquisition", Acquisition(patient_id=patient_id))
    result = BMDResult([], None, None, [], "")
    assert bool(facts_of(Case("x.nii"), volume, result, b"1").person) == is_a_person
    assert facts_of(Case("x.nii", person="ANON"), volume, result, b"1").person, "a list is believed"


def test_the_date_of_a_scan_is_that_of_its_own_study(tmp_path):
    from dicom_maker import body, uid, write_series

    for name, when in (("a", "20190101"), ("b", "20210506")):
        study = uid("P", name)
        write_series(
            tmp_path / name,
            body(4),
            patient="P",
            series=name,
            StudyInstanceUID=study,
            StudyDate=when,
        )
    volume = phantom()
    facts = Acquisition(study_uid=uid("P", "b"))
    object.__setattr__(volume, "acquisition", facts)
    assert scan_day(Case(str(tmp_path)), volume) == date(2021, 5, 6)
    assert scan_day(Case(str(tmp_path), date="no date"), volume) is None


@pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")
def test_what_lies_beside_a_table_with_identities_is_for_its_maker_alone(cases, tmp_path):
    output = tmp_path / "t.csv"
    command = ("batch", cases / "cases.csv", "--model", cases / "model", "--output", output)
    run(*command, "--workers", "1", "--with-identity")
    for name in ("t.failures.csv", "t.followup.csv", "t.summary.html"):
        assert not (tmp_path / name).stat().st_mode & 0o077, name


def test_a_lock_that_cannot_be_held_is_no_hindrance(tmp_path):
    held = InUse(tmp_path / "no folder" / "t.csv")
    held.release()
    with pytest.raises(CTBMDError):
        first = InUse(tmp_path / "t.csv")
        try:
            InUse(tmp_path / "t.csv")
        finally:
            first.release()


def test_copies_of_one_ct_count_once_in_charts_and_are_told(tmp_path):
    import made_results

    from CTBMDLib.cohort.summary import Estimated, make_summary
    from CTBMDLib.model.bundle import ModelBundle

    bundle(tmp_path / "b", members=1)
    results = [made_results.result(n, f"C{k}") for k, n in enumerate((0, 1, 0, 2, 0))]
    results.append(made_results.result(3, "C5", levels=("L1",)))  # one level may agree by chance
    results.append(made_results.result(3, "C6", levels=("L1",)))
    for x in results:
        x.sex, x.age = "F", 60.0
    page = make_summary(
        "t.csv", [Estimated(x) for x in results], {}, [], ModelBundle.load(tmp_path / "b"), None
    )
    assert "2 cases with the slices, HU and values of another one" in page
    assert "7 cases, 7 estimated" in page and "Women: 5 CTs" in page
    row = re.search(r"<tr><td>Women</td><td>60-69</td><td class=\"n\">(\d+)", page)
    assert row[1] == "5"


def test_each_way_in_which_a_case_fails_has_its_sentence():
    """One for every code of what a case passes through, none for a code that there is not."""
    import ast

    from paths import ROOT

    from CTBMDLib.cohort.failures import WORDS, words_of

    of_a_run = {
        *(
            "command-line",
            "append-identity",
            "append-unknown",
            "nothing-to-add",
            "no-results",
            "output-not-written",
        ),
        *("no-dask", "no-scheduler", "scheduler-lost", "memory-limit", "unknown-reference"),
        *("no-model-installed", "no-reference-table", "dxa-mixed", "stored-result"),
        *("output-exists", "output-suffix", "output-no-folder"),
    }
    library = ROOT / "CTBMDLib"
    files = [library / "levels.py", library / "volume.py", library / "model/images.py"]
    files.append(library / "model/bundle.py")
    for folder in ("reading", "spine", "bmd"):
        files += sorted((library / folder).glob("*.py"))
    files = [x for x in files if x.name not in ("export.py", "result.py")]
    names = ("cases", "further", "include", "remote", "batch", "cluster")
    files += [library / "cohort" / f"{x}.py" for x in names]
    found = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            name = getattr(getattr(node, "func", None), "id", "")
            if name not in ("Outcome", "Problem") and not name.endswith("Error"):
                continue
            place = {"Problem": 2, "Outcome": 2}.get(name, 1)
            for given in node.args[place : place + 1]:
                told = given.values[-1] if isinstance(given, ast.BoolOp) else given
                if isinstance(told, ast.Constant) and isinstance(told.value, str):
                    found.add(told.value)
    tables = re.compile("card-.*|reference-(?!device).*")  # read before the first case
    found = {x for x in found if not tables.fullmatch(x)} - of_a_run
    assert len(found) > 90
    assert found - set(WORDS) == set() and set(WORDS) - found == set()
    for text in (*WORDS.values(), words_of("no such code")):
        assert text[0].isupper() and text.endswith(".") and "<" not in text
