"""An unpacked archive is gone, whatever ends the program."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
import zipfile

import pytest
from paths import ROOT

from CTBMDLib.errors import CTBMDError
from CTBMDLib.progress import Progress
from CTBMDLib.reading import archive
from CTBMDLib.reading.archive import unpacked
from CTBMDLib.reading.temporary import clear_left_behind

posix = pytest.mark.skipif(os.name == "nt", reason="signals and locks are of POSIX")

WAITING = """
import sys, time
from pathlib import Path
from CTBMDLib.progress import Progress
from CTBMDLib.reading.archive import unpacked
with unpacked(Path(sys.argv[1]), Progress()) as folder:
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "study.zip"
    with zipfile.ZipFile(path, "w") as file:
        for n in range(3):
            file.writestr(f"s/{n}.dcm", b"image" * 100)
    return path


def _ctrl_c_ends():
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def reader(study, temporary):
    """A process that has unpacked the archive and waits."""
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING, str(study)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        # A shell's job in the background ignores Ctrl-C, and so would what it starts.
        preexec_fn=None if os.name == "nt" else _ctrl_c_ends,  # noqa: PLW1509
    )
    process.stdout.readline()
    assert len(list(temporary.glob("ctbmd-*/s/*.dcm"))) == 3
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_it_is_there_while_it_is_read_and_gone_afterwards(study, temporary):
    with unpacked(study, Progress()) as folder:
        assert len(list(folder.glob("s/*.dcm"))) == 3
        assert os.name == "nt" or folder.stat().st_mode & 0o077 == 0
    assert not list(temporary.iterdir())
    with pytest.raises(KeyError), unpacked(study, Progress()):
        raise KeyError
    assert not list(temporary.iterdir())


@posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_that_ends_the_program_leaves_nothing(reader, temporary, number):
    reader.send_signal(number)
    assert reader.wait(20) != 0
    assert not list(temporary.iterdir())


@posix
def test_what_a_kill_left_goes_at_the_next_start_and_what_is_in_use_stays(
    reader, study, temporary, tmp_path
):
    (in_use,) = temporary.iterdir()
    clear_left_behind()
    with unpacked(study, Progress()):
        assert in_use.is_dir()
    assert list(temporary.iterdir()) == [in_use]
    others = temporary / "ctbmd-of-someone-else"
    others.mkdir()
    reader.kill()
    reader.wait()
    assert in_use.is_dir()
    with unpacked(study, Progress()):
        assert not in_use.exists()
    assert list(temporary.iterdir()) == [others]


@posix
def test_handlers_of_the_program_stay_its_own(study, temporary):
    before = signal.getsignal(signal.SIGTERM)
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with unpacked(study, Progress()):
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        mine = lambda *_: None  # noqa: E731
        signal.signal(signal.SIGTERM, mine)
        with unpacked(study, Progress()):
            assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "disk-full"),
        (errno.EDQUOT, "disk-full"),
        (errno.EROFS, "not-unpacked"),
        (errno.EACCES, "not-unpacked"),
    ],
)
def test_a_disk_that_takes_no_more_is_not_called_a_damaged_archive(
    study, temporary, monkeypatch, number, code
):
    def full(*_):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "extract", full)
        with pytest.raises(CTBMDError, match="cannot be unpacked") as caught:
            unpacked(study, Progress()).__enter__()
        assert caught.value.code == code and not list(temporary.iterdir())
    monkeypatch.setattr(archive, "temporary_folder", full)
    with pytest.raises(CTBMDError, match="cannot be unpacked") as caught:
        unpacked(study, Progress()).__enter__()
    assert caught.value.code == code


def test_an_archive_without_rights_is_not_called_damaged(study, temporary, monkeypatch):
    def refused(*_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(zipfile, "ZipFile", refused)
    with pytest.raises(CTBMDError, match="cannot be read .Permission denied") as caught:
        unpacked(study, Progress()).__enter__()
    assert caught.value.code == "unreadable-file" and not list(temporary.iterdir())
