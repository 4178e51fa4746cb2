"""`ctbmd batch`: many cases, one table, a bad case does not stop the rest, and it goes on."""

import csv
import json

import numpy as np
import pytest
from dicom_maker import body, lps_positions, uid, write_series
from phantoms import CENTRES, bundle, phantom
from volume_files import nifti_bytes, write

from CTBMDLib.cli import main
from CTBMDLib.cohort import batch
from CTBMDLib.cohort.caselist import Case, list_cases
from CTBMDLib.errors import CTBMDError


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "untrained"
    bundle(folder, members=1)
    return str(folder)


@pytest.fixture
def cases(tmp_path):
    """Three good cases and three bad ones, each with its levels, and their CSV list."""
    volume = phantom(spacing=(3.0, 3.0, 3.0))
    for n in range(3):
        hu = (volume.hu + 20 * n * (volume.hu > 150)).astype(np.int16)
        write(tmp_path / f"good{n}.nii.gz", nifti_bytes(hu, volume.ijk_to_ras), zipped=True)
    (tmp_path / "bad.nii").write_bytes(b"no image")
    points = [{"level": x, "ras": list(CENTRES[x])} for x in ("L1", "L2", "L3")]
    (tmp_path / "levels.json").write_text(json.dumps({"levels": points}))
    rows = ["path,case,sex,age,levels"]
    rows += [f"good{n}.nii.gz,G{n},F,{50 + n},levels.json" for n in range(3)]
    rows[2:2] = ["bad.nii,B1,,,levels.json", "gone.nii,B2,,,levels.json"]
    rows += ["good0.nii.gz,B3,X,,levels.json", ",,,,"]
    (tmp_path / "cases.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def table(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def run(capsys, *arguments, code=0):
    assert main([str(x) for x in arguments]) == code
    return capsys.readouterr()


def test_one_table_and_a_list_of_failures(capsys, cases, model):
    output = cases / "results.csv"
    out, err = run(capsys, "batch", cases / "cases.csv", "--model", model, "--output", output)
    assert err == ""
    rows = table(output)
    assert [row["case"] for row in rows] == ["G0"] * 4 + ["G1"] * 4 + ["G2"] * 4
    assert [row["level"] for row in rows[:4]] == ["L1", "L2", "L3", "L1-L4"]
    values = [row["bmd_g_cm2"] for row in rows if row["level"] == "L1-L4"]
    assert len(set(values)) == 3  # each from its own scan
    failures = table(cases / "results.failures.csv")
    assert [row["case"] for row in failures] == ["B1", "B2", "B3"]
    assert "not a NIfTI file" in failures[0]["reason"]
    assert "does not exist" in failures[1]["reason"]
    assert "sex 'X' must be F or M" in failures[2]["reason"]
    assert "3 cases written" in out and "3 cases failed" in out
    assert not list(cases.glob(".*"))  # no journal is left


def test_the_list_of_failures_can_be_run_when_mended(capsys, cases, model):
    run(capsys, "batch", cases / "cases.csv", "--model", model, "--output", cases / "a.csv")
    good = (cases / "good1.nii.gz").read_bytes()
    (cases / "gone.nii").write_bytes(good)
    elsewhere = cases / "elsewhere"
    elsewhere.mkdir()
    mended = elsewhere / "again.csv"
    mended.write_text((cases / "a.failures.csv").read_text())
    run(capsys, "batch", mended, "--model", model, "--output", elsewhere / "b.csv")
    assert {row["case"] for row in table(elsewhere / "b.csv")} == {"B2"}


def test_interrupted_it_goes_on_where_it_stopped(capsys, cases, model, monkeypatch):
    output = cases / "results.csv"
    command = ("batch", cases / "cases.csv", "--model", model, "--output", output)
    real, seen = batch.estimate, []

    def estimate(*args, case=None, **options):
        if case == "G2" and len(seen) < 3:
            seen.append("stopped")
            raise KeyboardInterrupt
        seen.append(case)
        return real(*args, case=case, **options)

    monkeypatch.setattr(batch, "estimate", estimate)
    err = run(capsys, *command, code=130).err
    assert err == "ctbmd: cancelled; the same command goes on where it stopped.\n"
    assert seen == ["G0", "G1", "stopped"]
    assert not output.exists()
    journal = cases / ".results.csv.journal"
    with journal.open("a") as stream:  # a line cut off by the kill
        stream.write('{"key": "half')
    out, _ = run(capsys, *command)
    assert seen == ["G0", "G1", "stopped", "G2"]
    assert "Taken over from an interrupted run: 2 cases." in out
    resumed = output.read_bytes()
    monkeypatch.undo()
    run(capsys, *command, "--overwrite")
    assert output.read_bytes() == resumed
    assert not journal.exists()


def test_a_journal_of_another_model_is_not_continued(capsys, cases, model, monkeypatch):
    output = cases / "results.csv"
    command = ("batch", cases / "cases.csv", "--output", output)

    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(batch, "estimate", interrupted)
    run(capsys, *command, "--model", model, code=130)
    monkeypatch.undo()
    bundle(cases / "other", members=2)
    err = run(capsys, *command, "--model", cases / "other", code=2).err
    assert "left from an interrupted batch with another model" in err
    run(capsys, *command, "--model", cases / "other", "--overwrite")


def test_existing_files_stay_unless_overwriting_is_asked_for(capsys, cases, model):
    for name in ("results.csv", "results.failures.csv"):
        (cases / name).write_text("mine")
        command = (
            "batch", cases / "cases.csv", "--model", model, "--output", cases / "results.csv"
        )  # fmt: skip
        assert "exists already" in run(capsys, *command, code=2).err
        assert (cases / name).read_text() == "mine"
        (cases / name).unlink()


def test_when_every_case_fails_it_is_code_2_with_the_reasons(capsys, cases, model):
    (cases / "bad.csv").write_text("path\nbad.nii\ngone.nii\n")
    output = cases / "results.csv"
    _, err = run(capsys, "batch", cases / "bad.csv", "--model", model, "--output", output, code=2)
    assert err.startswith("ctbmd: None of the 2 cases gave a result") and err.count("\n") == 1
    assert len(table(cases / "results.failures.csv")) == 2 and not output.exists()


def test_json_holds_every_case(capsys, cases, model):
    output = cases / "results.json"
    run(capsys, "batch", cases / "cases.csv", "--model", model, "--output", output)
    results = json.loads(output.read_text())["results"]
    assert [result["rows"][0]["case"] for result in results] == ["G0", "G1", "G2"]


# -- which cases ---------------------------------------------------------------
def test_the_cases_of_a_folder(tmp_path):
    write_series(tmp_path / "patient_a" / "study", patient="A")
    write_series(tmp_path / "patient_b", patient="B")
    (tmp_path / "nothing").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "c.nii.gz").write_bytes(b"")
    (tmp_path / "d.NRRD").write_bytes(b"")
    (tmp_path / "e.zip").write_bytes(b"")
    names = [case.title for case in list_cases(tmp_path)]
    assert names == ["c.nii.gz", "d.NRRD", "e.zip", "patient_a", "patient_b"]


def test_a_subfolder_of_nifti_is_the_case_of_its_ct(tmp_path):
    for name in ("s1/ct.nii.gz", "s1/labels.nii.gz", "s1/facts.json", "s2/scan.nrrd",
                 "s3/a.nii", "s3/b.nii"):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert list_cases(tmp_path) == [
        Case(str(tmp_path / "s1/ct.nii.gz"), case="s1"),
        Case(str(tmp_path / "s2/scan.nrrd"), case="s2"),
        Case(str(tmp_path / "s3")),
    ]


def test_dicom_files_of_several_patients_in_one_folder_are_a_case_each(tmp_path):
    volume = phantom(spacing=(3.0, 3.0, 3.0))
    hu = volume.hu.astype(np.int16)[:, ::-1, ::-1]
    (_, r), (_, a), (s, _) = volume.ras_bounds
    positions = lps_positions(len(hu), origin=(-r, -a, s), spacing=3.0)
    for patient in ("A", "B"):
        write_series(
            tmp_path, hu, patient=patient, positions=positions, PixelSpacing=[3.0, 3.0],
            names=lambda k, p=patient: f"{p}{k}.dcm",
        )  # fmt: skip
    write_series(tmp_path, body(4), patient="A", series="small")
    found = list_cases(tmp_path)
    assert [(c.case, c.series_uid) for c in found] == [
        ("A", uid("A", "series")),
        ("B", uid("B", "series")),
    ]


def test_the_columns_of_a_csv(tmp_path):
    text = "\ufeffCase;Path;Age\n  X 1 ; sub/x.nii ;61\n;;\n"
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    assert list_cases(tmp_path / "list.csv") == [
        Case(str(tmp_path / "sub/x.nii"), case="X 1", age="61")
    ]
    (tmp_path / "list.tsv").write_text("path\tsex\n/a.nii\tM\n")
    assert list_cases(tmp_path / "list.tsv") == [Case("/a.nii", sex="M")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "no column 'path'"),
        ("case,sex\na,F\n", "no column 'path'"),
        ("path,case\n", "holds no cases"),
        (b"\xff\xfe\x00", "cannot be read as a UTF-8 text table"),
    ],
)
def test_lists_that_are_refused(tmp_path, content, said):
    path = tmp_path / "list.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CTBMDError, match=said):
        list_cases(path)


def test_an_empty_folder_holds_no_cases(tmp_path):
    with pytest.raises(CTBMDError, match="holds no cases"):
        list_cases(tmp_path)


def test_a_list_gives_tube_voltages(capsys, cases, model):
    rows = ["path,case,kvp,levels"]
    rows += ["good0.nii.gz,A,100,levels.json", "good0.nii.gz,B,,levels.json"]
    rows += ["good0.nii.gz,C,high,levels.json", "good0.nii.gz,D,5,levels.json"]
    (cases / "kvp.csv").write_text("\n".join(rows) + "\n")
    out = cases / "kvp_out.csv"
    assert main(["batch", str(cases / "kvp.csv"), "--model", model, "--output", str(out)]) == 0
    rows = [x for x in csv.DictReader(out.open()) if x["level"] == "L1-L4"]
    assert ["voltage is unknown" in x["findings"] for x in rows] == [False, True]
    failed = list(csv.DictReader((cases / "kvp_out.failures.csv").open()))
    assert [x["kvp"] for x in failed] == ["high", "5"]
    assert "not a number of kV" in failed[0]["reason"] and "not possible" in failed[1]["reason"]
