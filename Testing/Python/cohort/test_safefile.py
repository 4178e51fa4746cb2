"""Files written whole or not at all, whatever the file system says."""

import errno
import os
import stat

import pytest

from CTBMDLib import safefile
from CTBMDLib.bmd.export import check_output
from CTBMDLib.errors import CTBMDError
from CTBMDLib.safefile import check_writable, write_bytes, write_text, write_with


def failing(number):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    return fail


def test_names_that_are_not_utf8_are_written_and_stay_two(tmp_path):
    names = [os.fsdecode(b"M\xfcller"), os.fsdecode(b"M\xf6ller"), "Müller"]
    for encoding in ("utf-8", "utf-8-sig", "ascii"):
        path = write_text(tmp_path / encoding, "\n".join(names), encoding=encoding)
        lines = path.read_text(encoding=encoding).split("\n")
        assert len(set(lines)) == 3 and lines[0] == r"M\udcfcller"


@pytest.mark.parametrize("letters", [200, 244, 251, 255])
def test_every_name_that_the_file_system_takes(tmp_path, letters):
    path = tmp_path / ("x" * (letters - 4) + ".csv")
    check_output(path)
    assert not list(tmp_path.iterdir())
    write_text(path, "a")
    write_text(path, "b", overwrite=True)
    assert path.read_text() == "b" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "name", ["x" * 300 + ".csv", "é" * 200 + ".csv", "a\0b.csv", "y" * 5000 + "/a.csv"]
)
def test_names_that_it_does_not_take_are_a_sentence(tmp_path, name):
    for call in (lambda p: write_text(p, "a"), check_writable, check_output):
        with pytest.raises(CTBMDError) as caught:
            call(tmp_path / name)
        assert caught.value.code in ("output-not-written", "output-no-folder")
    with pytest.raises(CTBMDError, match="shorter name|null|NUL"):
        write_text(tmp_path / name, "a")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("number", "todo"),
    [
        (errno.ENOSPC, "make room"),
        (errno.EDQUOT, "make room"),
        (errno.EROFS, "choose another folder"),
        (errno.EACCES, "check the rights"),
        (errno.EFBIG, "larger files"),
        (errno.EIO, "choose another folder"),
    ],
)
@pytest.mark.parametrize("step", ["open", "write", "fsync", "replace"])
def test_every_refusal_of_the_system_is_one_sentence_and_leaves_the_old_file(
    tmp_path, monkeypatch, number, todo, step
):
    path = tmp_path / "a.csv"
    path.write_text("old")
    write = failing(number) if step == "write" else lambda file: file.write(b"new")
    if step in ("open", "fsync"):
        monkeypatch.setattr(safefile.os, step, failing(number))
    if step == "replace":
        monkeypatch.setattr(safefile.Path, "replace", failing(number))
    with pytest.raises(CTBMDError) as caught:
        write_with(path, write, overwrite=True)
    assert caught.value.code == "output-not-written"
    assert todo in str(caught.value) and os.strerror(number) in str(caught.value)
    monkeypatch.undo()
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_what_the_writer_raises_passes_on_and_nothing_is_left(tmp_path):
    for error in (ValueError("x"), CTBMDError("x", "y"), KeyboardInterrupt()):

        def write(file, error=error):
            file.write(b"half")
            raise error

        with pytest.raises(type(error)):
            write_with(tmp_path / "a", write)
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_of_the_same_file_goes(tmp_path):
    gone, running = 2**22 + 7, os.getppid()  # Linux gives no process the first number
    for name in (
        f".a.csv.{gone}.part",
        f".a.csv.{running}.part",
        f".b.csv.{gone}.part",
        ".a.csv.x.part",
    ):
        (tmp_path / name).write_text("half")
    write_text(tmp_path / "a.csv", "whole")
    left = sorted(p.name for p in tmp_path.iterdir())
    assert left == sorted(
        ["a.csv", f".a.csv.{running}.part", f".b.csv.{gone}.part", ".a.csv.x.part"]
    )


@pytest.mark.skipif(os.name == "nt", reason="rights are of POSIX")
def test_private_files_are_the_users_alone_even_while_written(tmp_path):
    path = tmp_path / "journal"
    path.write_text("for everyone")
    path.chmod(0o644)
    seen = []

    def write(file):
        seen.append(stat.S_IMODE(os.fstat(file.fileno()).st_mode))

    write_with(path, write, overwrite=True, private=True)
    assert seen == [0o600] and stat.S_IMODE(path.stat().st_mode) == 0o600
    write_bytes(tmp_path / "table", b"x")
    assert stat.S_IMODE((tmp_path / "table").stat().st_mode) & 0o077 == 0o077 & 0o066 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
