"""`ctbmd batch`: many cases, one table, a bad case does not stop the rest, and it goes on."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from dicom_maker import body, lps_positions, uid, write_series
from phantoms import CENTRES, bundle, phantom
from volume_files import nifti_bytes, write

from CTBMDLib.cli import main
from CTBMDLib.cohort import batch
from CTBMDLib.cohort.caselist import Case, list_cases
from CTBMDLib.cohort.journal import case_key
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
    assert table(cases / "results.failures.csv") == [
        {"case": "B1", "reason": "damaged-file"},
        {"case": "B2", "reason": "no-such-file"},
        {"case": "B3", "reason": "row-sex"},
    ]
    failed = {x["case"]: x["reason"] for x in table(cases / "results.identity.csv") if x["reason"]}
    assert list(failed) == ["B1", "B2", "B3"]
    assert "not a NIfTI file" in failed["B1"] and "does not exist" in failed["B2"]
    assert "sex 'X' must be F or M" in failed["B3"]
    assert "3 cases written" in out and "3 cases failed" in out
    assert not list(cases.glob(".*"))  # no journal is left


@pytest.mark.skipif(os.name == "nt", reason="names there are UTF-16")
def test_a_name_that_is_not_utf8_costs_nothing(capsys, cases, model):
    scan = (cases / "good0.nii.gz").read_bytes()
    rows = ["path,levels"]
    for letter in (b"\xfc", b"\xf6"):
        name = os.fsdecode(b"M" + letter + b"ller")
        (cases / f"{name}.nii.gz").write_bytes(scan)
        (cases / f"{name}.bad.nii").write_bytes(b"no image")
        rows += [f"{name}.nii.gz,levels.json", f"{name}.bad.nii,levels.json"]
    text = "\n".join(rows) + "\n"
    (cases / "names.csv").write_text(text, errors="backslashreplace")
    for suffix in (".csv", ".json"):
        output = cases / f"names-out{suffix}"
        command = ("batch", cases / "names.csv", "--model", model, "--output", output)
        run(capsys, *command, "--with-identity")
        failed = table(cases / "names-out.failures.csv")
        assert {Path(row["path"]).name for row in failed} == {
            r"M\udcfcller.bad.nii", r"M\udcf6ller.bad.nii"
        }  # fmt: skip
        for end in ("failures.csv", "summary.html"):
            (cases / f"names-out.{end}").unlink()
    assert {row["case"] for row in table(cases / "names-out.csv")} == {
        r"M\udcfcller", r"M\udcf6ller"
    }  # fmt: skip
    results = json.loads((cases / "names-out.json").read_text())["results"]
    assert len({result["rows"][0]["case"] for result in results}) == 2


def test_the_list_of_failures_can_be_run_when_mended(capsys, cases, model):
    run(capsys, "batch", cases / "cases.csv", "--model", model, "--output", cases / "a.csv")
    good = (cases / "good1.nii.gz").read_bytes()
    (cases / "gone.nii").write_bytes(good)
    failed = cases / "a.failures.csv"
    run(capsys, "batch", failed, "--model", model, "--output", cases / "b.csv")
    assert {row["case"] for row in table(cases / "b.csv")} == {"B2"}
    elsewhere = cases / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "again.csv").write_text((cases / "a.identity.csv").read_text())
    run(capsys, "batch", elsewhere / "again.csv", "--model", model, "--output", elsewhere / "b.csv")
    assert {row["case"] for row in table(elsewhere / "b.csv")} == {"G0", "G1", "G2", "B2"}
    failed.write_text("case,reason\nB9,damaged-file\n")
    command = ("batch", failed, "--model", model, "--output", cases / "c.csv")
    assert "does not say where 'B9'" in run(capsys, *command, code=2).err
    (cases / "a.identity.csv").unlink()
    assert "no column 'path'" in run(capsys, *command, code=2).err


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
    assert (
        err
        == "ctbmd: cancelled; the same command, without --overwrite, goes on where it stopped.\n"
    )
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

    interrupt_after(monkeypatch, 1)
    run(capsys, *command, "--model", model, code=130)
    monkeypatch.undo()
    bundle(cases / "other", members=2)
    err = run(capsys, *command, "--model", cases / "other", code=2).err
    assert "left from an interrupted batch with another model" in err
    run(capsys, *command, "--model", cases / "other", "--overwrite")


def interrupt_after(monkeypatch, finished):
    """Let a batch be interrupted when that many cases are finished."""
    real, seen = batch.estimate, []

    def estimate(*args, **options):
        if len(seen) == finished:
            raise KeyboardInterrupt
        seen.append(options["case"])
        return real(*args, **options)

    monkeypatch.setattr(batch, "estimate", estimate)


def test_what_nobody_foresaw_in_one_case_does_not_cost_the_others(
    capsys, cases, model, monkeypatch
):
    real = batch.estimate

    def estimate(*args, **options):
        if options["case"] == "G1":
            raise ZeroDivisionError("of a kind")
        return real(*args, **options)

    monkeypatch.setattr(batch, "estimate", estimate)
    output = cases / "results.csv"
    out = run(capsys, "batch", cases / "cases.csv", "--model", model, "--output", output).out
    assert "G1: failed: unexpected ZeroDivisionError: of a kind; please report it." in out
    assert list(totals(output)) == ["G0", "G2"]
    codes = {x["case"]: x["reason"] for x in table(cases / "results.failures.csv")}
    assert codes["G1"] == "unexpected-error"


def totals(path):
    return {row["case"]: row["bmd_g_cm2"] for row in table(path) if row["level"] == "L1-L4"}


def correct_levels(cases):
    text = (cases / "levels.json").read_text()
    (cases / "levels.json").write_text(text.replace("55.0", "45.0").replace("20.0]", "28.0]"))


def correct_levels_within_a_second(cases):
    stamp = (cases / "levels.json").stat()
    correct_levels(cases)
    os.utime(cases / "levels.json", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


def replace_ct(cases):
    (cases / "good0.nii.gz").write_bytes((cases / "good2.nii.gz").read_bytes())


def another_sex(cases):
    text = (cases / "cases.csv").read_text()
    (cases / "cases.csv").write_text(text.replace("G0,F,50", "G0,M,50"))


@pytest.mark.parametrize(
    ("change", "resumed"),
    [
        (lambda cases: None, 2),
        (correct_levels, 0),
        (correct_levels_within_a_second, 0),
        (replace_ct, 1),
        (another_sex, 1),
    ],
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_was_corrected_after_an_interruption_is_computed_anew(
    capsys, cases, model, monkeypatch, change, resumed, overwrite
):
    command = ["batch", cases / "cases.csv", "--model", model, "--output"]
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        run(capsys, *command, cases / "results.csv", code=130)
    journal = cases / ".results.csv.journal"
    assert os.name == "nt" or journal.stat().st_mode & 0o777 == 0o600
    change(cases)
    more = ["--overwrite"] if overwrite else []
    out = run(capsys, *command, cases / "results.csv", *more).out
    taken = 0 if overwrite else resumed
    assert ("Taken over" in out) == bool(taken)
    assert f"interrupted run: {taken} case" in out or not taken
    run(capsys, *command, cases / "fresh.csv")
    assert (cases / "results.csv").read_text() == (cases / "fresh.csv").read_text()
    assert len(totals(cases / "fresh.csv")) == 3 and not journal.exists()


def test_a_changed_slice_of_a_folder_changes_the_key(tmp_path):
    write_series(tmp_path / "a", body(6))
    case = Case(str(tmp_path / "a"))
    loose = Case(str(next((tmp_path / "a").iterdir())))
    keys = {case_key(case), case_key(loose)}
    assert len(keys) == 2 and case_key(case) in keys
    file = sorted((tmp_path / "a").iterdir())[3]
    content = bytearray(file.read_bytes())
    stamp = file.stat()
    content[400] ^= 1
    file.write_bytes(content)  # same size, same time
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert not keys & {case_key(case), case_key(loose)}


@pytest.mark.parametrize("content", [b"", b"\0\xff", b"[]\n{}\n", b"[" * 100_000, b'{"key": 1}\n'])
def test_a_journal_that_is_none_costs_nothing(capsys, cases, model, content):
    (cases / ".a.csv.journal").write_bytes(content)
    run(capsys, "batch", cases / "cases.csv", "--model", model, "--output", cases / "a.csv")
    assert len(totals(cases / "a.csv")) == 3


def test_a_journal_that_cannot_be_kept_is_one_sentence(capsys, cases, model, monkeypatch):
    output = cases / "a.csv"
    command = ("batch", cases / "cases.csv", "--model", model, "--output", output)
    (cases / ".a.csv.journal").mkdir()
    assert "cannot be read (Is a directory)" in run(capsys, *command, code=2).err
    (cases / ".a.csv.journal").rmdir()
    from CTBMDLib.cohort import journal

    kept = []

    def fsync(_):
        kept.append(1)
        if len(kept) == 3:  # the journal itself, the first case, then the second
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(journal.os, "fsync", fsync)
        err = run(capsys, *command, code=2).err
    assert err.count("\n") == 1 and "No space left on device" in err
    assert "Taken over from an interrupted run: 1 case." in run(capsys, *command).out
    assert not list(cases.glob(".*"))


def test_existing_files_stay_unless_overwriting_is_asked_for(capsys, cases, model):
    for name in ("results.csv", "results.failures.csv", "results.summary.html"):
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
    assert names == ["c.nii.gz", "d.NRRD", "e.zip", "nothing", "patient_a", "patient_b"]


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


def study(folder, patient, name, hu=None, **tags):
    tags = {"StudyInstanceUID": uid(patient, name)} | tags
    write_series(folder, hu, patient=patient, series=name, **tags)


def test_each_study_below_a_patients_folder_is_a_case(tmp_path):
    study(tmp_path / "p1/2019/thick", "A", "a")
    study(tmp_path / "p1/2024", "A", "b")
    study(tmp_path / "p2", "B", "c")
    study(tmp_path / "p2", "B", "d")
    study(tmp_path / "p2", "B", "small", body(4), StudyInstanceUID=uid("B", "d"))
    study(tmp_path / "p3/series 1", "C", "e")
    study(tmp_path / "p3/series 2", "C", "f", StudyInstanceUID=uid("C", "e"))
    (tmp_path / "p3/DICOMDIR").write_bytes(b"x")
    (tmp_path / "unknown").mkdir()
    (tmp_path / "unknown/letter.docx").write_bytes(b"x")
    (tmp_path / "empty/below").mkdir(parents=True)
    assert list_cases(tmp_path) == [
        Case(str(tmp_path / "empty")),
        Case(str(tmp_path / "p1/2019/thick"), case="p1/2019/thick"),
        Case(str(tmp_path / "p1/2024"), case="p1/2024"),
        Case(str(tmp_path / "p2"), case="p2 (study 1)", series_uid=uid("B", "c")),
        Case(str(tmp_path / "p2"), case="p2 (study 2)", series_uid=uid("B", "d")),
        Case(str(tmp_path / "p3")),
        Case(str(tmp_path / "unknown")),
    ]


def test_two_studies_of_one_patient_side_by_side_are_two_cases(tmp_path):
    for name in ("a", "b"):
        study(tmp_path, "A", name)
    study(tmp_path, "B", "c")
    assert [(c.case, c.series_uid) for c in list_cases(tmp_path)] == [
        ("A (study 1)", uid("A", "a")),
        ("A (study 2)", uid("A", "b")),
        ("B", uid("B", "c")),
    ]


def test_as_many_are_accounted_for_as_go_in_and_each_has_a_name_of_its_own(
    capsys, cases, model, tmp_path
):
    volume = phantom(spacing=(3.0, 3.0, 3.0))
    hu = volume.hu.astype(np.int16)[:, ::-1, ::-1]
    (_, r), (_, a), (s, _) = volume.ras_bounds
    positions = lps_positions(len(hu), origin=(-r, -a, s), spacing=3.0)
    for name in ("2019", "2019 copy", "2024"):
        write_series(
            tmp_path / name, hu, patient="ANON", positions=positions, PixelSpacing=[3.0, 3.0]
        )
    (tmp_path / "empty").mkdir()
    (tmp_path / "unknown").mkdir()
    (tmp_path / "unknown" / "x.bin").write_bytes(b"x")
    places = ["2019", "2019 copy", "2024", "2024", "empty", "unknown", "gone"]
    rows = ["path,levels,case", *(f"{place},levels.json," for place in places)]
    rows += ["good0.nii.gz,levels.json,same", "good1.nii.gz,levels.json,same"]
    rows += ["good2.nii.gz,levels.json,ANON (2019)"]
    (tmp_path / "all.csv").write_text("\n".join(rows) + "\n")
    output = tmp_path / "all-out.csv"
    command = ("batch", tmp_path / "all.csv", "--model", model, "--output", output)
    command += ("--workers", "1")  # starting others takes longer
    run(capsys, *command)
    assert list(totals(output)) == [
        "case 1", "case 2", "case 3", "case 4", "same (1)", "same (2)", "ANON (2019)"
    ]  # fmt: skip
    assert [x["case"] for x in table(tmp_path / "all-out.failures.csv")] == [
        "case 5", "case 6", "case 7"
    ]  # fmt: skip
    run(capsys, *command, "--with-identity", "--overwrite")
    assert list(totals(output)) == [
        "ANON (2019) 2", "ANON (2019 copy)", "ANON (2024)", "ANON (2024) 2",
        "same (good0.nii.gz)", "same (good1.nii.gz)", "ANON (2019)",
    ]  # fmt: skip
    failed = table(tmp_path / "all-out.failures.csv")
    assert [Path(row["path"]).name for row in failed] == ["empty", "unknown", "gone"]
    assert all(row["reason"] for row in failed)


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
    failed = [x for x in table(cases / "kvp_out.identity.csv") if x["reason"]]
    assert [x["kvp"] for x in failed] == ["high", "5"]
    assert "not a number of kV" in failed[0]["reason"] and "not possible" in failed[1]["reason"]
