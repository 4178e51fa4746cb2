"""A study's table: cases are added one at a time, never twice in silence, by one writer at a time."""

import csv
import io
import multiprocessing
import os
import signal
import subprocess
import sys
import types
from dataclasses import replace

import pytest
from made_results import result
from paths import ROOT
from phantoms import bundle

from CTBMDLib.bmd.export import COLUMNS
from CTBMDLib.cli import main
from CTBMDLib.cohort import filelock, study
from CTBMDLib.cohort.filelock import locked
from CTBMDLib.cohort.study import CaseThereError, append_result, check_table
from CTBMDLib.errors import CTBMDError


def rows(path, delimiter=","):
    return list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig")), delimiter=delimiter))


def cases(path, delimiter=","):
    """{case: its levels} in the order of the table."""
    found = {}
    for row in rows(path, delimiter):
        found.setdefault(row["case"], []).append(row["level"])
    return found


LEVELS = ["L1", "L2", "L3", "L1-L4"]


@pytest.mark.parametrize(
    ("name", "delimiter", "comma"),
    [("a.csv", ",", False), ("a.tsv", "\t", False), ("s.csv", ";", True), ("s.tsv", "\t", True)],
)
def test_cases_are_added_and_numbered(tmp_path, name, delimiter, comma):
    path = tmp_path / name
    for seed in range(3):
        done = append_result(result(seed), path, decimal_comma=comma)
        assert (done.did, done.case) == ("added", f"case {seed + 1}")
    append_result(result(7, case="A-07"), path)
    append_result(result(8), path, case="Miller; of the ward, 3")
    assert tuple(rows(path, delimiter)[0]) == COLUMNS
    names = ["case 1", "case 2", "case 3", "A-07", "Miller; of the ward, 3"]
    assert cases(path, delimiter) == dict.fromkeys(names, LEVELS)
    assert not list(tmp_path.glob(".*")), "no lock and no half file is left"
    point = "," if comma else "."
    for row in rows(path, delimiter):  # those added without a word keep the table's sign
        assert row["bmd_g_cm2"][1] == point
    with pytest.raises(CaseThereError) as told:
        append_result(result(1), path, decimal_comma=not comma)
    assert told.value.same and told.value.case == "case 2"


def test_what_stands_in_the_table_stays_byte_for_byte(tmp_path):
    path = tmp_path / "a.csv"
    append_result(result(0, findings='said "so";\nand so'), path)
    text = path.read_bytes().replace(b"\n", b"\r\n").replace(b"0.800", b"0.8").rstrip()
    path.write_bytes(b"\xef\xbb\xbf" + text)
    append_result(result(1), path)
    after = path.read_bytes()
    assert after.startswith(b"\xef\xbb\xbf" + text + b"\r\n")
    assert after.count(b"\n") == after.count(b"\r\n") and len(cases(path)) == 2


def test_a_table_that_a_spreadsheet_saved_is_gone_on_with(tmp_path):
    """Semicolons, decimal commas, dropped zeros and the line 'sep=;' as a spreadsheet writes them."""
    path = tmp_path / "a.csv"
    append_result(result(0), path, decimal_comma=True)
    text = path.read_text().replace("0,800", "0,8").replace("50,00", "50")
    path.write_text("sep=;\n" + text)
    with pytest.raises(CaseThereError) as told:
        append_result(result(0), path)
    assert told.value.same and told.value.case == "case 1"
    append_result(result(1), path)
    assert path.read_text().startswith("sep=;\n") and path.read_text().count("0,801") == 1
    pointed = tmp_path / "b.csv"
    pointed.write_text(text.replace(",", "."))
    append_result(result(1), pointed)
    assert "0.801" in pointed.read_text() and "," not in pointed.read_text()


@pytest.mark.parametrize(("name", "delimiter"), [("a.csv", ","), ("a.tsv", "\t"), ("s.csv", ";")])
@pytest.mark.parametrize("point", [".", ","])
def test_a_table_has_one_decimal_sign_whatever_parts_its_cells(tmp_path, name, delimiter, point):
    path = tmp_path / name
    append_result(result(0), path, decimal_comma=delimiter == ";")
    titles, *there = csv.reader(io.StringIO(path.read_text()), delimiter=delimiter)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        numbers = [title in study.NUMBERS for title in titles]
        writer.writerow(titles)
        for row in there:
            writer.writerow(
                x.replace(",", ".").replace(".", point) if number else x
                for x, number in zip(row, numbers, strict=True)
            )
    append_result(result(1), path)
    found = rows(path, delimiter)
    assert len(found) == 8
    signs = {x for row in found for name in study.NUMBERS for x in row[name] if x in ".,"}
    assert signs == {point}


# -- the same case again ------------------------------------------------------------------
def test_the_same_scan_is_known_again_whatever_it_is_called(tmp_path):
    path = tmp_path / "a.csv"
    append_result(result(0), path, case="A")
    append_result(result(1), path, case="B")
    before = path.read_bytes()
    for name in (None, "A", "C"):
        with pytest.raises(CaseThereError) as told:
            append_result(result(0), path, case=name)
        assert told.value.same and told.value.case == "A"
        assert append_result(result(0), path, case=name, if_there="skip").did == "skipped"
    assert path.read_bytes() == before
    other_values = result(0, findings="something else")
    with pytest.raises(CaseThereError) as told:
        append_result(other_values, path)
    assert not told.value.same
    with pytest.raises(CTBMDError) as told:
        append_result(result(0), path, case="B", if_there="replace")
    assert told.value.code == "study-name-taken" and path.read_bytes() == before


def test_replacing_keeps_the_place_and_leaves_no_double(tmp_path):
    path = tmp_path / "a.csv"
    for seed, name in enumerate("ABC"):
        append_result(result(seed), path, case=name)
    fewer = result(5, levels=("L2", "L3"))
    assert append_result(fewer, path, case="B", if_there="replace").did == "replaced"
    assert cases(path) == {"A": LEVELS, "B": ["L2", "L3", "L1-L4"], "C": LEVELS}
    # The scan is known by its slices: it may be renamed.
    assert append_result(fewer, path, case="B2", if_there="replace").case == "B2"
    assert list(cases(path)) == ["A", "B2", "C"]
    assert append_result(fewer, path, if_there="replace").case == "B2", "a name is kept"


def test_a_scan_without_trabecular_hu_is_known_by_its_name_alone(tmp_path):
    path = tmp_path / "a.csv"
    bare = result(0)
    bare.levels = [replace(row, trabecular_hu=None) for row in bare.levels]
    append_result(bare, path, case="A")
    assert append_result(bare, path).case == "case 1", "nothing says that it is A"
    with pytest.raises(CaseThereError):
        append_result(bare, path, case="A")


# -- other columns, other models ------------------------------------------------------------
def test_another_model_is_refused_unless_asked(tmp_path):
    path = tmp_path / "a.csv"
    append_result(result(0), path)
    newer = result(1, model_version="2.0.0")
    before = path.read_bytes()
    with pytest.raises(CTBMDError, match=r"another model \(test 0.0.1\)") as told:
        append_result(newer, path)
    assert told.value.code == "study-model" and path.read_bytes() == before
    assert append_result(newer, path, mixed=True).did == "added"
    lone = tmp_path / "b.csv"
    append_result(result(0), lone)
    assert (
        append_result(result(0, model_version="2.0.0"), lone, if_there="replace").case == "case 1"
    )


def test_what_is_replaced_is_no_reason_to_refuse_beforehand(tmp_path):
    path, newer = tmp_path / "a.csv", bundle(tmp_path / "model", version="9.9.9")
    append_result(result(0), path)
    with pytest.raises(CTBMDError) as told:
        check_table(path, newer)
    assert told.value.code == "study-model"
    check_table(path, newer, if_there="replace")
    with pytest.raises(CTBMDError):
        check_table(path, newer, if_there="skip")


def test_another_dxa_device_is_refused_in_any_case(tmp_path):
    path = tmp_path / "a.csv"
    append_result(result(0), path)
    with pytest.raises(CTBMDError) as told:
        append_result(result(1, dxa_scale="lunar"), path, mixed=True)
    assert told.value.code == "dxa-mixed"


def test_columns_of_ones_own_need_to_be_allowed_and_stay(tmp_path):
    path = tmp_path / "a.csv"
    append_result(result(0), path, case="A")
    lines = path.read_text().splitlines()
    lines = [f"Comment,{lines[0]}", *(f"by me {n},{x}" for n, x in enumerate(lines[1:]))]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(CTBMDError, match="comment") as told:
        append_result(result(1), path)
    assert told.value.code == "study-columns"
    append_result(result(1), path, mixed=True)
    append_result(result(0, findings="new"), path, mixed=True, if_there="replace")
    table = rows(path)
    assert [row["Comment"] for row in table] == [f"by me {n}" for n in range(4)] + [""] * 4
    assert cases(path) == {"A": LEVELS, "case 1": LEVELS} and table[0]["findings"] == "new"


def test_columns_that_a_table_lacks_are_added_when_allowed(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("case,level,bmd_g_cm2\nA,L1,0.9\nA,L2\n\n")
    with pytest.raises(CTBMDError, match="lacks series_uid"):
        append_result(result(0), path)
    append_result(result(0), path, mixed=True)
    table = rows(path)
    assert {len(row) for row in table} == {len(COLUMNS)} and None not in table[0]
    assert [row["bmd_g_cm2"] for row in table[:3]] == ["0.9", "", "0.800"]
    width = path.read_text().splitlines()[0].count(",")
    assert all(x.count(",") == width for x in path.read_text().splitlines() if x)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("a,b\n1,2\n", "study-no-table"),
        ("\n\n\n\n", "study-no-table"),
        ("case,level,bmd_g_cm2,case\n", "study-no-table"),
        (",".join(COLUMNS) + "\n" + "x," * 30 + "x\n", "study-cells"),
    ],
)
def test_what_is_no_such_table_is_refused_and_left_alone(tmp_path, content, code):
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(CTBMDError) as told:
        append_result(result(0), path)
    assert told.value.code == code and path.read_text() == content
    assert [x.name for x in tmp_path.iterdir()] == ["a.csv"]


def test_an_open_quotation_mark_swallows_no_rows(tmp_path):
    path = tmp_path / "a.csv"
    append_result(result(0), path)
    damaged = path.read_text().rstrip().removesuffix("simulated") + '"simulated'
    path.write_text(damaged)
    with pytest.raises(CTBMDError) as told:
        append_result(result(1), path)
    assert told.value.code == "table-damaged" and path.read_text() == damaged


@pytest.mark.parametrize("name", ["a.json", "a.xlsx", "none/a.csv", "folder.csv"])
def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path, name):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(CTBMDError):
        study.check_table(tmp_path / name)


def test_a_table_that_cannot_take_the_case_is_refused_before_anything_is_computed(
    tmp_path, monkeypatch, capsys
):
    """By the shell too: the CT is not even read."""
    own = bundle(tmp_path / "model", members=1)
    mine = {"model": own.name, "model_version": own.version, "model_population": own.population}
    table = tmp_path / "a.csv"

    def table_of(**changes):
        table.unlink(missing_ok=True)
        append_result(result(0, **{**mine, **changes}), table)
        return table.read_text()

    def said(*more):
        before = table.read_bytes()
        command = ["estimate", tmp_path / "ct", "--model", tmp_path / "model", "--append", table]
        assert main([str(x) for x in (*command, *more)]) == 2
        assert table.read_bytes() == before and not list(tmp_path.glob(".*"))
        return capsys.readouterr().err

    def stop(*_, **__):
        raise CTBMDError("the CT would be read now", "enough")

    monkeypatch.setattr("CTBMDLib.cohort.cases.open_case", stop)
    good = table_of()
    assert "would be read now" in said()
    table_of(model_version="0.0.2")
    assert "rows of another model" in said() and "would be read now" in said("--mixed")
    table_of(dxa_scale="lunar")
    assert "another DXA device" in said() and "another DXA device" in said("--mixed")
    assert "would be read now" in said("--dxa", "lunar")
    table.write_text(good.replace("trabecular_hu", "density"))
    assert "other columns" in said() and "would be read now" in said("--mixed")
    table.write_text("a,b\n1,2\n")
    assert "not a table of CTBMD" in said()
    table.write_text(good.rstrip().removesuffix("simulated") + '"simulated')
    assert "quotation mark" in said()
    table.write_text(good.replace("made up", "made up,,"))
    assert "more cells than columns" in said()
    table.write_text(good)
    with locked(table), monkeypatch.context() as patch:
        patch.setattr(study, "locked", lambda path: locked(path, 0.1))
        with pytest.raises(CTBMDError, match="written by another program"):
            study.check_table(table, own)
    new = tmp_path / "new.csv"
    study.check_table(new, own)
    assert not new.exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a process of its own with a limit")
def test_a_table_for_which_there_is_no_room_is_refused_beforehand(tmp_path):
    import resource

    own, table = bundle(tmp_path / "model", members=1), tmp_path / "a.csv"
    append_result(result(0), table)
    process = os.fork()
    if process == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # as on a full disk
        code = 1
        try:
            study.check_table(table, own, mixed=True)
        except CTBMDError as error:
            code = 0 if error.code == "output-not-written" else 2
        finally:
            os._exit(code)
    assert os.waitpid(process, 0)[1] == 0
    assert [x.name for x in tmp_path.iterdir() if x.name != "model"] == ["a.csv"]


@pytest.mark.skipif(os.name == "nt", reason="rights and links of POSIX")
def test_rights_and_links_stay(tmp_path):
    path, link = tmp_path / "a.csv", tmp_path / "link.csv"
    append_result(result(0), path)
    path.chmod(0o600)
    link.symlink_to(path)
    append_result(result(1), link)
    assert link.is_symlink() and len(cases(path)) == 2
    assert path.stat().st_mode & 0o777 == 0o600


# -- several writers ------------------------------------------------------------------------
def _append_some(path, first):
    for seed in range(first, first + 5):
        append_result(result(seed), path, patience_s=60)


@pytest.mark.skipif(os.name == "nt", reason="forks")
def test_several_writers_lose_nothing(tmp_path):
    path = tmp_path / "a.csv"
    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=_append_some, args=(path, 10 * n)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    assert cases(path) == {f"case {n + 1}": LEVELS for n in range(20)}
    assert len({row["slice_s_mm"] for row in rows(path) if row["level"] == "L1"}) == 20
    assert [x.name for x in tmp_path.iterdir()] == ["a.csv"]


HOLDER = """
import sys, time
from CTBMDLib.cohort.filelock import locked
with locked(sys.argv[1]):
    print("has it", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another program that has the lock of a.csv."""
    path = tmp_path / "a.csv"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert other.stdout.readline().strip() == b"has it"
    yield path, other
    other.kill()
    other.wait()
    other.stdout.close()


def test_a_lock_is_waited_for_and_that_of_a_dead_program_taken_over(holder):
    path, other = holder
    with pytest.raises(CTBMDError, match="another program") as told:
        append_result(result(0), path, patience_s=0.2)
    assert told.value.code == "table-locked" and not path.exists()
    other.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
    other.wait()
    assert filelock.lock_file(path).exists(), "it could not clear up"
    append_result(result(0), path, patience_s=0.0)
    assert [x.name for x in path.parent.iterdir()] == ["a.csv"]


def test_a_lock_file_that_lies_about_is_no_lock(tmp_path):
    path = tmp_path / "a.csv"
    filelock.lock_file(path).write_text("left by a computer that lost power")
    append_result(result(0), path, patience_s=0.0)


@pytest.mark.skipif(os.name == "nt", reason="stands in for Windows on POSIX")
def test_windows_locks_are_asked_for_as_windows_has_them(tmp_path, monkeypatch):
    """The branch for Windows with a stand-in of msvcrt: taken, refused, given back by closing."""
    import fcntl

    asked = []

    def locking(handle, mode, count):
        asked.append((mode, count, os.lseek(handle, 0, os.SEEK_CUR)))
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    stand_in = types.SimpleNamespace(locking=locking, LK_NBLCK=2)
    monkeypatch.setitem(sys.modules, "msvcrt", stand_in)
    monkeypatch.setattr(filelock, "os", types.SimpleNamespace(**{**vars(os), "name": "nt"}))
    path = tmp_path / "a.csv"
    with filelock.locked(path):
        assert asked == [(2, 1, 0)]
        with pytest.raises(CTBMDError, match="another program"), filelock.locked(path, 0.1):
            pass
    with filelock.locked(path, 0.0):
        pass
    assert not filelock.lock_file(path).exists()


def test_a_disk_without_locks_is_said(tmp_path, monkeypatch):
    import errno

    def refuse(handle):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(filelock, "system_lock", refuse)
    with pytest.raises(CTBMDError, match="disk of this computer") as told:
        append_result(result(0), tmp_path / "a.csv")
    assert told.value.code == "table-no-lock"
