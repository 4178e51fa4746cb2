"""A batch that is really killed: the table is the old or the new one, and a rerun completes.

Five times by default; `CTBMD_KILLS=100` for as many as the machine has time for.
"""

import json
import os
import random
import subprocess
import sys
import time

import numpy as np
import pytest
from paths import ROOT
from phantoms import CENTRES, bundle, phantom
from volume_files import nifti_bytes, write

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="there is no kill -9"),
]

KILLS = int(os.environ.get("CTBMD_KILLS", "5"))


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """Four scans with their levels, a model, and the table that a quiet run writes."""
    folder = tmp_path_factory.mktemp("kill")
    bundle(folder / "model", members=1)
    volume = phantom(spacing=(3.0, 3.0, 3.0))
    for n in range(4):
        hu = (volume.hu + 20 * n * (volume.hu > 150)).astype(np.int16)
        write(folder / f"c{n}.nii.gz", nifti_bytes(hu, volume.ijk_to_ras), zipped=True)
    points = [{"level": x, "ras": list(CENTRES[x])} for x in ("L1", "L2", "L3")]
    (folder / "levels.json").write_text(json.dumps({"levels": points}))
    rows = [f"c{n}.nii.gz,C{n},levels.json" for n in range(4)]
    (folder / "cases.csv").write_text("\n".join(["path,case,levels", *rows]) + "\n")
    return folder


def start(cases, output, *more):
    command = [sys.executable, "-m", "CTBMDLib", "batch", cases / "cases.csv"]
    command += ["--model", cases / "model", "--output", output, *more]
    return subprocess.Popen(
        [str(x) for x in command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def finished(process):
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    return said.decode()


@pytest.fixture(scope="module")
def quiet(cases):
    """The right table, and how long the program takes from its first finished case on."""
    output = cases / "quiet.csv"
    process = start(cases, output)
    began = wait_for(cases / ".quiet.csv.journal", process)
    finished(process)
    return output.read_bytes(), time.monotonic() - began


def wait_for(journal, process):
    while process.poll() is None and not journal.exists():
        time.sleep(0.001)
    return time.monotonic()


@pytest.mark.parametrize("number", range(KILLS))
def test_a_killed_batch_leaves_the_old_or_the_new_and_a_rerun_completes(
    cases, quiet, number, tmp_path
):
    new, seconds = quiet
    output = tmp_path / "t.csv"
    chance = random.Random(number)
    old = number % 2 == 1  # a table that lies there and may be replaced
    more = ["--overwrite"] if old else []
    if old:
        output.write_bytes(b"old")
    process = start(cases, output, *more)
    wait_for(tmp_path / ".t.csv.journal", process)
    time.sleep(chance.uniform(0, 1.1 * seconds))
    process.kill()
    process.communicate()
    if output.exists():
        assert output.read_bytes() in ((b"old", new) if old else (new,))
    done = output.exists() and output.read_bytes() == new
    finished(start(cases, output, *(["--overwrite"] if done else more)))
    assert output.read_bytes() == new
    assert {path.name for path in tmp_path.iterdir()} == {"t.csv", "t.summary.html"}
