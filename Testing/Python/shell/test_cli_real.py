"""The shell on the real scans."""

import csv
import json
import os
import re
import subprocess
import sys

import benchmark
import numpy as np
import pytest
from phantoms import bundle

from CTBMDLib.cli import main

LEVELS = ("L1", "L2", "L3", "L4")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "untrained"
    bundle(folder, members=1)
    return str(folder)


def run(capsys, *arguments):
    assert main([str(x) for x in arguments]) == 0
    return capsys.readouterr()


def shell(*arguments):
    environment = os.environ | {"PYTHONPATH": str(benchmark.ROOT)}
    command = [sys.executable, "-m", "CTBMDLib", *(str(x) for x in arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def table(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", ["ct_ts_example/ct.nii.gz", "ct_acrin_f46", "ct_sagittal_m42"])
def test_estimate_on_the_real_scans_at_their_known_levels(
    capsys, tmp_path, shared_data, model, name
):
    known = json.loads(shared_data("levels.json").read_text())["levels"][name.split("/")[0]]
    levels = tmp_path / "levels.json"
    levels.write_text(json.dumps({"levels": [{"level": x, "ras": known[x]} for x in LEVELS]}))
    output = tmp_path / "results.csv"
    run(
        capsys, "estimate", shared_data(name), "--levels", levels, "--model", model,
        "--output", output,
    )  # fmt: skip
    rows = table(output)
    assert [row["level"] for row in rows] == [*LEVELS, "L1-L4"]
    assert all(row["selection"] for row in rows)


@pytest.mark.parametrize("name", ["ct_ts_example/ct.nii.gz", "ct_acrin_f46", "ct_sagittal_m42"])
def test_levels_of_the_real_scans(capsys, tmp_path, shared_data, model, name):
    output = tmp_path / "levels.json"
    out, _ = run(capsys, "levels", shared_data(name), "--output", output)
    data = json.loads(output.read_text())
    known = json.loads(shared_data("levels.json").read_text())["levels"][name.split("/")[0]]
    found = {entry["level"]: entry for entry in data["levels"]}
    for level in LEVELS:
        if level not in found:
            assert level in out.partition("Not found: ")[2], out
            continue
        assert found[level]["source"] == "found"
        assert np.linalg.norm(np.subtract(found[level]["ras"], known[level])) < 12, level
    # What `levels` wrote is what `estimate` reads.
    out, _ = run(capsys, "estimate", shared_data(name), "--levels", output, "--model", model)
    assert "L1-L4" in out


def test_levels_prints_json_alone_on_stdout(shared_data):
    done = shell("levels", shared_data("ct_ts_example/ct.nii.gz"))
    assert done.returncode == 0, done.stderr
    assert {entry["level"] for entry in json.loads(done.stdout)["levels"]} >= set(LEVELS)


@pytest.mark.parametrize("command", ["levels", "estimate"])
def test_slices_without_a_lumbar_vertebra(shared_data, model, command):
    more = ("--model", model) if command == "estimate" else ()
    done = shell(command, shared_data("ct_slices_liver"), *more)
    assert done.returncode == 2 and done.stdout == ""
    assert "no lumbar level found" in done.stderr and done.stderr.count("\n") == 1


def test_the_benchmark_prints_every_step(capsys, shared_data, model):
    case = str(shared_data("ct_ts_example/ct.nii.gz"))
    assert benchmark.main([case, "--model", model, "--repeats", "1"]) == 0
    out = capsys.readouterr().out
    for step in ("read", "read, cached", "find", "cut", "infer, NumPy"):
        assert re.search(rf"^{step} +\d+\.\d{{3}} +\d+\.\d{{3}}", out, re.MULTILINE), step
    assert "/ read: " in out and "peak memory" in out
