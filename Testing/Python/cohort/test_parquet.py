"""A batch's table as Parquet: parts that are read as one table, added to whole or not at all."""

import csv
import json
import os
from types import SimpleNamespace

import made_results
import numpy as np
import pytest
from killed import dies_at
from phantoms import CENTRES, bundle, phantom
from volume_files import nifti_bytes, write

from CTBMDLib.bmd.export import COLUMNS
from CTBMDLib.cli import main
from CTBMDLib.cohort import batch, parquet
from CTBMDLib.cohort.inuse import InUse
from CTBMDLib.cohort.journal import Journal
from CTBMDLib.errors import Cancelled, CTBMDError
from CTBMDLib.model.bundle import ModelBundle

dataset = pytest.importorskip("pyarrow.dataset")
arrow_file = pytest.importorskip("pyarrow.parquet")


def rows(path):
    """What a reader sees: the rows of all parts, by case and level."""
    found = dataset.dataset(path, format="parquet").to_table().to_pylist()
    return sorted(found, key=lambda x: (x["case"], x["level"]))


def made(*numbers):
    return [made_results.result(n, f"C{n}") for n in numbers]


def cases_of(path):
    return sorted({row["case"] for row in rows(path)})


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Three scans, a list of two and one of all, and a model."""
    folder = tmp_path_factory.mktemp("parquet")
    bundle(folder / "model", members=1)
    volume = phantom(spacing=(4.0, 4.0, 5.0))
    for n in range(3):
        hu = (volume.hu + 20 * n * (volume.hu > 150)).astype(np.int16)
        write(folder / f"c{n}.nii", nifti_bytes(hu, volume.ijk_to_ras))
    points = [{"level": x, "ras": list(CENTRES[x])} for x in ("L1", "L2")]
    (folder / "levels.json").write_text(json.dumps({"levels": points}))
    lines = ["path,levels", *(f"c{n}.nii,levels.json" for n in range(3))]
    (folder / "two.csv").write_text("\n".join(lines[:3]) + "\n")
    (folder / "all.csv").write_text("\n".join(lines) + "\n")
    return folder


def command(scans, name, output, *more):
    return [
        str(x)
        for x in ("batch", scans / name, "--model", scans / "model", "--output", output, *more)
    ]


def test_two_runs_are_one_table_with_the_rows_of_the_csv(scans, tmp_path, capsys, monkeypatch):
    output = tmp_path / "t.parquet"
    (tmp_path / "csv").mkdir()
    assert main(command(scans, "all.csv", tmp_path / "csv" / "t.csv")) == 0
    assert main(command(scans, "two.csv", output)) == 0
    assert main(command(scans, "all.csv", output)) == 2
    assert "add to it (--append)" in capsys.readouterr().err
    assert main(command(scans, "all.csv", output, "--append")) == 0
    assert "In the table already, and left out: 2 cases." in capsys.readouterr().out
    wanted = list(csv.DictReader((tmp_path / "csv" / "t.csv").open()))
    wanted.sort(key=lambda x: (x["case"], x["level"]))
    found = rows(output)
    assert len(found) == len(wanted) and tuple(found[0]) == COLUMNS
    for mine, other in zip(found, wanted, strict=True):
        for name in COLUMNS:
            value = other[name]
            if isinstance(mine[name], float):
                assert mine[name] == float(value)
            else:
                assert str(mine[name]) == value if value else mine[name] is None
    assert len(list(output.iterdir())) == 2  # a folder a run
    assert arrow_file.read_table(output).num_rows == len(found)  # what pandas calls
    monkeypatch.setattr(batch, "examine", None)  # nothing is computed
    assert main(command(scans, "all.csv", output, "--append")) == 2
    assert "has all 3 cases already" in capsys.readouterr().err
    names = {x.name for x in tmp_path.iterdir() if x.name.startswith(".")}
    assert not names


def test_an_interrupted_addition_is_completed_once(scans, tmp_path, monkeypatch):
    model, output = ModelBundle.load(scans / "model"), tmp_path / "t.parquet"
    batch.run_batch(scans / "two.csv", output, model)
    before = rows(output)
    (scans / "more.csv").write_text((scans / "all.csv").read_text() + "gone.nii,\n")
    ended = []
    with pytest.raises(Cancelled):
        batch.run_batch(
            scans / "more.csv", output, model, append=True,
            on_case=lambda *x: ended.append(x), should_cancel=lambda: bool(ended),
        )  # fmt: skip
    assert rows(output) == before
    with pytest.raises(CTBMDError) as caught:  # it would write the table anew, or mix two jobs
        batch.run_batch(scans / "more.csv", output, model, overwrite=False)
    assert caught.value.code in ("output-exists", "journal-other-model")
    close = Journal.close
    with monkeypatch.context() as patch:  # killed when the rows are there and the journal is too
        patch.setattr(Journal, "close", lambda *x: None)
        report = batch.run_batch(scans / "more.csv", output, model, append=True)
    assert report.resumed == 1 and report.there == ["case 1", "case 2"]
    after = rows(output)
    assert Journal.close is close and cases_of(output) == ["case 1", "case 2", "case 3"]
    with pytest.raises(CTBMDError, match="--append"):  # must not wipe the others
        batch.run_batch(scans / "more.csv", output, model)
    report = batch.run_batch(scans / "more.csv", output, model, append=True)
    assert rows(output) == after and report.resumed == 1
    assert len(report.failures) == 1 and not list(tmp_path.glob(".*"))


def test_parts_hold_whole_cases(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "PART_CASES", 2)
    output = tmp_path / "t.parquet"
    parquet.write_table(made(0, 1, 2, 3, 4), output, "aa")
    parts = sorted(output.glob("*/*.parquet"))
    assert [x.name for x in parts] == [f"part-000{n}.parquet" for n in (1, 2, 3)]
    assert [len(cases_of(x)) for x in parts] == [2, 2, 1]
    assert cases_of(output) == ["C0", "C1", "C2", "C3", "C4"]
    parquet.write_table(made(5), output, "bb", append=True)
    parquet.write_table(made(5, 6), output, "bb", append=True)  # the same run again
    assert cases_of(output)[-2:] == ["C5", "C6"] and len(rows(output)) == 7 * 4
    assert parquet.cases_in(output, but="bb") == {"C0", "C1", "C2", "C3", "C4"}
    parquet.write_table(made(7), output, "cc")
    assert cases_of(output) == ["C7"]


def child(step, after, work):
    """Run `work` in a process that is killed at the n-th call that changes the disk; whether it was."""
    process = os.fork()
    if process == 0:
        calls = ("open", "fsync", "rename", "replace", "unlink", "mkdir", "rmdir")
        dies_at(step, after, calls)
        try:
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(process, 0)[1])


@pytest.mark.skipif(os.name == "nt", reason="there is no kill -9")
@pytest.mark.parametrize("append", [True, False])
def test_killed_at_any_step_no_half_of_a_run_is_seen(tmp_path, monkeypatch, append):
    monkeypatch.setattr(parquet, "PART_CASES", 1)
    output = tmp_path / "t.parquet"
    parquet.write_table(made(0), output, "aa")
    old, new = ["C0"], ["C0", "C1", "C2"] if append else ["C1", "C2"]

    def work():
        parquet.write_table(made(1, 2), output, "bb", append=append)

    for after in (False, True):
        for step in range(1, 100):
            killed = child(step, after, work)
            # Between the two renamings of a table that is written anew there is none.
            seen = cases_of(output) if output.exists() else old
            assert seen in (old, new), (step, after)
            work()
            assert cases_of(output) == new and not list(tmp_path.glob(".*")), (step, after)
            assert not list(output.glob(".*"))
            if not killed:
                assert step > 8
                break
            parquet.write_table(made(0), output, "aa")
        else:
            raise AssertionError("it never ended")


def like(**changes):
    facts = {"name": "test", "version": "0.0.1", "population": "simulated", **changes}
    return SimpleNamespace(**facts)


def test_what_cannot_be_added_to_is_refused_before_anything_is_computed(tmp_path):
    def refused(path, code, scale="hologic", model=None):
        with pytest.raises(CTBMDError) as caught:
            parquet.check_table(path, False, append=True)
            parquet.check_alike(path, model or like(), scale)
        assert caught.value.code == code

    good = tmp_path / "t.parquet"
    parquet.write_table(made(0), good, "aa")
    parquet.check_table(good, False, append=True)
    parquet.check_alike(good, like(), "hologic")
    refused(good, "study-model", model=like(version="0.0.2"))
    refused(good, "dxa-mixed", scale="lunar")
    refused(tmp_path / "t.csv", "append-no-parquet")
    parquet.write_single(made(0), tmp_path / "single.parquet")
    refused(tmp_path / "single.parquet", "append-no-parts")
    (tmp_path / "foreign.parquet").mkdir()
    (tmp_path / "foreign.parquet" / "holiday.jpg").write_bytes(b"")
    refused(tmp_path / "foreign.parquet", "output-is-folder")
    with pytest.raises(CTBMDError, match="no table of CTBMD"):
        parquet.check_table(tmp_path / "foreign.parquet", overwrite=True)
    part = next(good.glob("*/*"))
    whole = part.read_bytes()
    part.write_bytes(whole[:-20])
    refused(good, "table-unreadable")
    table = arrow_file.read_table(tmp_path / "single.parquet")
    arrow_file.write_table(table.drop_columns(["category"]), part)
    refused(good, "study-columns")
    part.write_bytes(whole)
    parquet.check_alike(good, like(), "hologic")


def test_the_batch_refuses_before_it_computes(scans, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(batch, "examine", None)
    output = tmp_path / "t.parquet"
    parquet.write_table(made(0), output, "aa")
    for more, said in (
        (("--append",), "has rows of another model (test 0.0.1)"),
        (("--append", "--overwrite"), "either added to or written anew"),
        (("--append", "--with-identity"), "it is not known beforehand which it has"),
    ):
        model = ModelBundle.load(scans / "model")
        monkeypatch.setattr(type(model), "name", property(lambda self: "another"), raising=False)
        assert main(command(scans, "two.csv", output, *more)) == 2
        assert said in capsys.readouterr().err
    held = InUse(output)
    assert main(command(scans, "two.csv", output, "--append")) == 2
    assert "is being made by another run" in capsys.readouterr().err
    held.release()
    assert cases_of(output) == ["C0"] and not list(tmp_path.glob(".*"))


def test_a_table_in_a_folder_of_scans_is_no_case(scans, tmp_path):
    from CTBMDLib.cohort.caselist import list_cases

    write(tmp_path / "c.nii", (scans / "c0.nii").read_bytes())
    parquet.write_table(made(0), tmp_path / "t.parquet", "aa")
    assert [x.path for x in list_cases(tmp_path)] == [str(tmp_path / "c.nii")]


@pytest.mark.parametrize("first", [(), ("--with-identity",)], ids=["register-lost", "identity"])
def test_cases_of_which_nobody_knows_are_not_added(scans, tmp_path, capsys, first):
    """Without the register 'case 1' may be anybody: a new scan would be lost, an old one doubled."""
    output, register = tmp_path / "t.parquet", tmp_path / "t.identity.csv"
    assert main(command(scans, "two.csv", output, *first)) == 0
    kept = register.read_bytes() if register.exists() else None
    register.unlink(missing_ok=True)
    before = rows(output)
    assert main(command(scans, "all.csv", output, "--append")) == 2
    told = capsys.readouterr().err
    assert "t.identity.csv" in told and "put it back" in told
    assert rows(output) == before and not register.exists()
    # A list that names every case needs no register.
    named = scans / "named.csv"
    named.write_text("case,path,levels\nN,c2.nii,levels.json\n")
    assert main(command(scans, "named.csv", output, "--append")) == 0
    assert len(cases_of(output)) == 3
    if kept is not None:
        register.write_bytes(kept)
        assert main(command(scans, "all.csv", output, "--append")) == 0


@pytest.mark.parametrize(("entry", "table"), [(".git", False), (None, True)])
def test_a_folder_of_hidden_things_is_no_table(tmp_path, entry, table):
    path = tmp_path / "t.parquet"
    path.mkdir()
    if entry:
        (path / entry).mkdir()
    if table:
        parquet.check_table(path, overwrite=True)
        return
    with pytest.raises(CTBMDError, match="no table of CTBMD"):
        parquet.check_table(path, overwrite=True)
