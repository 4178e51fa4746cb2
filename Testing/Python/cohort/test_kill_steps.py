"""Killed at every step of writing, and at random moments: the old file or the new, and a rerun completes.

A step is a call that changes the disk: each run is killed before or after the n-th of
them, until it ends by itself. By default every fifth step is taken; `CTBMD_KILLS=100`
takes each of them, and 100 random moments. A long run in pieces: `CTBMD_STEPS=40-59` takes
some of the steps and no random moments, `CTBMD_STEPS=none` the random moments alone.
"""

import json
import os
import random
import signal
import sys
import time

import numpy as np
import pytest
from killed import dies_at
from phantoms import CENTRES, bundle, phantom
from volume_files import nifti_bytes, write

from CTBMDLib.cli import main
from CTBMDLib.cohort import calibrate
from CTBMDLib.model.bundle import ModelBundle

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="there is no kill -9"),
]

KILLS = int(os.environ.get("CTBMD_KILLS", "5"))
STRIDE = 5 if KILLS <= 5 else 1
MOST = 200
"""Steps after which a command that has not ended never will."""
PIECE = os.environ.get("CTBMD_STEPS")
FIRST, LAST = map(int, PIECE.split("-")) if PIECE not in (None, "none") else (1, MOST)
CALLS = ("open", "fsync", "replace", "unlink", "mkdir", "truncate")


def child(arguments, prepare=None):
    """Run a command line in a process of its own; its id."""
    process = os.fork()
    if process == 0:
        code = 99
        # A fork of a process in which torch has computed waits for threads that it lacks.
        sys.modules.pop("torch", None)  # not None, which scipy trips over
        try:
            with open(os.devnull, "w") as nowhere:  # noqa: PTH123
                sys.stdout = sys.stderr = nowhere
                if prepare:
                    prepare()
                code = main([str(x) for x in arguments])
        finally:
            os._exit(code)
    return process


def ended(process):
    """True where it ended by itself, and well; False where it was killed."""
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == 0
    return True


def kills(arguments, check):
    """Kill the command at every step and at random moments; `check` looks each time."""
    for after in (False, True) if PIECE != "none" else ():
        for step in range(FIRST + (after and not PIECE), LAST + 1, STRIDE):
            if ended(child(arguments, lambda s=step, a=after: dies_at(s, a, CALLS))):
                assert step > 3  # there were steps to be killed at
                print(f"it ended before step {step}")
                check()
                break
            check()
        else:
            assert LAST < MOST, "it never ended"
    if PIECE not in (None, "none"):
        return
    began = time.monotonic()
    assert ended(child(arguments))
    seconds = time.monotonic() - began
    chance = random.Random(0)
    for number in range(KILLS):
        print(f"random moment {number + 1}", flush=True)
        process = child(arguments)
        time.sleep(chance.uniform(0, 1.1 * seconds))
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        check()


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Two scans, their levels, the list of them and a model."""
    folder = tmp_path_factory.mktemp("steps")
    bundle(folder / "model", members=1)
    volume = phantom(spacing=(4.0, 4.0, 5.0))
    for n in range(2):
        hu = (volume.hu + 20 * n * (volume.hu > 150)).astype(np.int16)
        write(folder / f"c{n}.nii", nifti_bytes(hu, volume.ijk_to_ras))
    points = [{"level": x, "ras": list(CENTRES[x])} for x in ("L1", "L2", "L3")]
    (folder / "levels.json").write_text(json.dumps({"levels": points}))
    (folder / "cases.csv").write_text("path,levels\nc0.nii,levels.json\nc1.nii,levels.json\n")
    text = (folder / "cases.csv").read_text()
    (folder / "more.csv").write_text(f"{text}gone.nii,\n")  # and one that fails
    return folder


def test_an_export(scans, tmp_path):
    output = tmp_path / "t.csv"
    command = ("estimate", scans / "c0.nii", "--levels", scans / "levels.json")
    command += ("--model", scans / "model", "--output", output, "--overwrite")
    assert ended(child(command))
    new = output.read_bytes()

    def check():
        assert output.read_bytes() in (b"old", new)
        assert ended(child(command))
        assert output.read_bytes() == new
        assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]
        output.write_bytes(b"old")

    output.write_bytes(b"old")
    kills(command, check)


def test_a_batch(scans, tmp_path):
    output = tmp_path / "t.csv"
    command = ("batch", scans / "more.csv", "--model", scans / "model", "--output", output)
    assert ended(child(command))
    new = output.read_bytes()
    who = (tmp_path / "t.identity.csv").read_bytes()
    assert b"case 2" in new and b"case 2" in who

    def check():
        again = command
        if output.exists():
            assert output.read_bytes() == new
        if output.exists() and not (tmp_path / ".t.csv.journal").exists():
            again += ("--overwrite",)  # it had ended; before that, the same command goes on
        assert ended(child(again))
        assert output.read_bytes() == new
        assert (tmp_path / "t.identity.csv").read_bytes() == who
        names = {path.name for path in tmp_path.iterdir()}
        assert names == {"t.csv", "t.identity.csv", "t.failures.csv", "t.summary.html"}
        for path in tmp_path.iterdir():
            path.unlink()

    for path in tmp_path.iterdir():
        path.unlink()
    kills(command, check)


@pytest.mark.parametrize("old", [False, True])
def test_a_calibration(scans, tmp_path, monkeypatch, old):
    estimated = np.linspace(0.5, 1.1, 22)
    rows = ["case,path,L1-L4"]
    for n, value in enumerate(estimated):
        (tmp_path / f"{n}.nii").write_bytes(b"")
        rows.append(f"{n},{n}.nii,{0.8 * value + 0.2 + 0.004 * (-1) ** n:.4f}")
    (tmp_path / "pairs.csv").write_text("\n".join(rows))
    seen = calibrate._Compared

    def compare(pairs, *_):  # the kills are for the writing
        given = [float(x) for x in estimated]
        return seen(given, [x.total for x in pairs], [0.1] * 22, [1.5] * 22, {}, [])

    monkeypatch.setattr(calibrate, "_compare", compare)
    output = tmp_path / "site" / "model"
    command = ("model", "calibrate", tmp_path / "pairs.csv", "--model", scans / "model")
    command += ("--output", output, *(["--overwrite"] if old else []))
    before = ModelBundle.load(scans / "model").version
    assert ended(child(command))
    after = ModelBundle.load(output).version

    def fresh():
        for path in [*output.iterdir()] if output.exists() else []:
            path.unlink()
        if old:
            for path in (scans / "model").iterdir():
                (output / path.name).write_bytes(path.read_bytes())

    def check():
        again = command
        if (output / "card.json").exists():
            assert ModelBundle.load(output).version in ((before, after) if old else (after,))
            again += () if old else ("--overwrite",)
        assert ended(child(again))
        assert ModelBundle.load(output).version == after
        assert {path.name for path in output.iterdir()} == {"card.json", "weights.npz"}
        fresh()

    fresh()
    kills(command, check)
