"""The shell's door: what it prints, what it writes, and one line for what it refuses."""

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pydicom
import pytest
from dicom_maker import lps_positions, uid, write_series
from paths import ROOT
from phantoms import CENTRES, bundle, phantom
from volume_files import nifti_bytes, nrrd_header, write

from CTBMDLib import RESEARCH_USE, __version__
from CTBMDLib.bmd.export import COLUMNS
from CTBMDLib.cli import main

LEVELS = ("L1", "L2", "L3", "L4")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "untrained"
    # The offset keeps an untrained network's answers above 0 g/cm2.
    bundle(folder, members=1, calibration={"scale": 1.0, "offset_g_cm2": 1.0})
    return str(folder)


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """A NIfTI of the phantom, with no patient and no series."""
    volume = phantom()
    raw = nifti_bytes(volume.hu.astype(np.int16), volume.ijk_to_ras)
    return write(tmp_path_factory.mktemp("scan") / "phantom.nii", raw)


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """The same phantom as a DICOM series of a woman of 63."""
    folder = tmp_path_factory.mktemp("series")
    volume = phantom()
    hu = volume.hu.astype(np.int16)[:, ::-1, ::-1]  # rows and columns run as in LPS
    (_, r), (_, a), (s, _) = volume.ras_bounds
    positions = lps_positions(len(hu), origin=(-r, -a, s), spacing=3.0)
    write_series(folder, hu, positions=positions, PixelSpacing=[2.0, 2.0])
    return folder


def levels_file(path, levels=("L1", "L2", "L3"), **more):
    data = {"levels": [{"level": x, "ras": list(CENTRES[x])} for x in levels], **more}
    path.write_text(json.dumps(data))
    return str(path)


def run(capsys, *arguments, code=0):
    """(stdout, stderr) of `main`; a refusal is exactly one line on stderr."""
    assert main([str(x) for x in arguments]) == code
    out, err = capsys.readouterr()
    if code:
        assert err.startswith("ctbmd: ") and err.count("\n") == 1 and err.endswith("\n"), err
        assert "Traceback" not in err and "unexpected" not in err, err
    return out, err


def table(path, delimiter=","):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


# -- estimate ------------------------------------------------------------------
def test_estimate_prints_and_writes_a_row_per_level_and_one_for_the_mean(
    capsys, tmp_path, scan, model
):
    output = tmp_path / "results.csv"
    levels = levels_file(tmp_path / "levels.json")
    out, _ = run(capsys, "estimate", scan, "--levels", levels, "--model", model, "--output", output)
    rows = table(output)
    assert tuple(rows[0]) == COLUMNS
    assert [row["level"] for row in rows] == ["L1", "L2", "L3", "L1-L4"]
    values = [float(row["bmd_g_cm2"]) for row in rows]
    assert values[3] == pytest.approx(np.mean(values[:3]), abs=1e-3)
    for row in rows:
        assert row["case"] == "case 1" and row["series_uid"] == "" and row["category"] == ""
        assert row["model"] == "test" and row["model_population"] == "simulated"
        assert float(row["bmd_low"]) <= float(row["bmd_g_cm2"]) <= float(row["bmd_high"])
        assert f"{float(row['bmd_g_cm2']):.3f}" in out
    assert "Levels without a value, because they were not found: L4." in out
    assert RESEARCH_USE in out and f"Written: {output}" in out


@pytest.mark.parametrize("suffix", [".tsv", ".json"])
def test_estimate_writes_by_the_suffix(capsys, tmp_path, scan, model, suffix):
    output = tmp_path / f"results{suffix}"
    levels = levels_file(tmp_path / "levels.json")
    run(capsys, "estimate", scan, "--levels", levels, "--model", model, "--output", output)
    rows = table(output, "\t") if suffix == ".tsv" else json.loads(output.read_text())["rows"]
    assert [row["level"] for row in rows] == ["L1", "L2", "L3", "L1-L4"]
    assert tuple(rows[0]) == COLUMNS


def test_estimate_without_output_writes_nothing(capsys, tmp_path, scan, model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    levels = levels_file(tmp_path / "levels.json")
    out, _ = run(capsys, "estimate", scan, "--levels", levels, "--model", model)
    assert "L1-L4" in out and "Written" not in out
    assert [path.name for path in tmp_path.iterdir()] == ["levels.json"]


def test_estimate_takes_sex_and_age_from_the_header_or_the_user(
    capsys, tmp_path, series, scan, model
):
    levels = levels_file(tmp_path / "levels.json")
    common = ("--levels", levels, "--model", model, "--reference", "nhanes-hologic")
    out, _ = run(capsys, "estimate", series, *common)
    assert "sex F, age 63 y, reference nhanes-hologic" in out
    assert "Read series 3 'series' (axial" in out
    out, _ = run(capsys, "estimate", series, *common, "--sex", "M", "--age", "40.5")
    assert "sex M, age 40.5 y" in out and "not the one in the header (F)" in out
    out, _ = run(capsys, "estimate", scan, *common)
    assert "sex unknown, age unknown" in out and "no T-score" in out
    output = tmp_path / "t.csv"
    run(capsys, "estimate", scan, *common, "--sex", "f", "--case", "Case 9", "--output", output)
    rows = table(output)
    assert {row["case"] for row in rows} == {"Case 9"}
    assert rows[-1]["t_score"] != "" and rows[-1]["category"] == ""


def test_an_existing_file_stays_unless_overwriting_is_asked_for(capsys, tmp_path, scan, model):
    output = tmp_path / "results.csv"
    output.write_text("mine")
    levels = levels_file(tmp_path / "levels.json")
    common = ("estimate", scan, "--levels", levels, "--model", model, "--output", output)
    _, err = run(capsys, *common, code=2)
    assert "exists already" in err and output.read_text() == "mine"
    run(capsys, *common, "--overwrite")
    assert output.read_text().startswith("case,")


def test_a_failed_estimate_leaves_no_file_and_keeps_the_old_one(capsys, tmp_path, scan, model):
    output = tmp_path / "results.csv"
    output.write_text("mine")
    levels = levels_file(tmp_path / "levels.json")
    (tmp_path / "levels.json").write_text('{"levels": [{"level": "L1", "ras": [0, 0, 9999]}]}')
    _, err = run(
        capsys, "estimate", scan, "--levels", levels, "--model", model, "--output", output,
        "--overwrite", code=2,
    )  # fmt: skip
    assert "L1 of '" in err and "lies outside the CT" in err
    assert output.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["levels.json", "results.csv"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "required: COMMAND"),
        (["nonsense"], "invalid choice: 'nonsense'"),
        (["estimate"], "required: INPUT"),
        (["estimate", "/no/such/path"], "'/no/such/path' does not exist"),
        (["estimate", ""], "No path was given"),
        (["estimate", "SCAN", "--sex", "X"], "argument --sex"),
        (["estimate", "SCAN", "--age", "abc"], "argument --age"),
        (["estimate", "SCAN", "--age", "200"], "an age of 200 years is not possible"),
        (["estimate", "SCAN", "--age", "nan"], "an age of nan years is not possible"),
        (["estimate", "SCAN", "--device", "tpu"], "argument --device"),
        (["estimate", "SCAN", "--output", "x.xlsx"], "must end in .csv, .tsv, .json"),
        (["estimate", "SCAN", "--output", "/no/such/folder/x.csv"], "does not exist"),
        (["estimate", "SCAN", "--model", "/no/such/model"], "does not exist; check the path"),
        (["estimate", "SCAN", "--reference", "nobody"], "no reference table 'nobody'"),
        (["estimate", "SCAN", "--series", "1.2"], "has no series to choose from"),
        (["estimate", "SCAN", "--levels", "/no/file.json"], "'/no/file.json' does not exist"),
        (["estimate", "SCAN", "--levels", "a", "--segmentation", "b"], "not by both"),
        (["estimate", "SCAN", "--segmentation", "SCAN"], "is no label volume"),
        (["levels", "SCAN", "--output", "levels.csv"], "must end in .json"),
        (["batch", "/no/such/folder", "--output", "x.csv"], "does not exist"),
        (["batch", "SCAN", "--output", "x.csv"], "neither a folder nor a CSV list"),
        (["batch", "."], "required: --output"),
        (["model"], "required: ACTION"),
        (["model", "show", "--model", "/no/such/model"], "does not exist; check the path"),
        (["model", "show", "--model", "."], "name the folder that holds card.json"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_code_2(
    capsys, tmp_path, monkeypatch, scan, model, arguments, said
):
    monkeypatch.chdir(tmp_path)
    arguments = [scan if x == "SCAN" else x for x in arguments]
    if arguments[:1] in (["estimate"], ["batch"]) and "--model" not in arguments:
        arguments += ["--model", model]
    out, err = run(capsys, *arguments, code=2)
    assert said in err and out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not json", "is damaged near line 1"),
        ("[]", "no list 'levels'"),
        ('{"levels": []}', "names no lumbar level"),
        ('{"levels": [{"level": "T12", "ras": [0, 0, 0]}]}', "names no lumbar level"),
        ('{"levels": [{"level": "L9", "ras": [0, 0, 0]}]}', "'L9' is not a vertebra"),
        ('{"levels": [{"level": "L1", "ras": [0, 0]}]}', "must be three numbers"),
        ('{"levels": [{"level": "L1", "ras": [0, 0, NaN]}]}', "must be three numbers"),
        ('{"levels": [{"level": "L1", "ras": [0, 0, 5000]}]}', "lies outside the CT"),
        ("\x00\xff\xfe", "is damaged near line 1"),
    ],
)
def test_levels_files_that_are_refused(capsys, tmp_path, scan, model, text, said):
    path = tmp_path / "levels.json"
    path.write_text(text)
    _, err = run(capsys, "estimate", scan, "--levels", path, "--model", model, code=2)
    assert said in err


def test_levels_of_another_series_are_refused(capsys, tmp_path, series, scan, model):
    own = levels_file(tmp_path / "own.json", series_uid=uid("P1", "series"))
    foreign = levels_file(tmp_path / "foreign.json", series_uid="1.2.3.4")
    run(capsys, "estimate", series, "--levels", own, "--model", model)
    for source in (series, scan):
        _, err = run(capsys, "estimate", source, "--levels", foreign, "--model", model, code=2)
        assert "belongs to series 1.2.3.4" in err
    _, err = run(capsys, "estimate", scan, "--levels", own, "--model", model, code=2)
    assert "this CT does not name its series" in err


def test_a_levels_file_names_the_series_that_is_read(capsys, tmp_path, series, model):
    """The folder's largest series is another one; the file's own is taken all the same."""
    folder = tmp_path / "both"
    folder.mkdir()
    for path in series.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    write_series(folder, np.zeros((60, 20, 20), np.int16) + 50, series="larger")
    levels = levels_file(tmp_path / "own.json", series_uid=uid("P1", "series"))
    out, _ = run(capsys, "estimate", folder, "--levels", levels, "--model", model)
    assert "Read series 3 'series'" in out


def column_labels():
    """L1-L3 of the phantom as a label volume: blocks of its column of bone."""
    volume = phantom()
    k, j, i = np.indices(volume.hu.shape)
    s = volume.ras_from_ijk(np.stack([i, j, k], axis=-1))[..., 2]
    labels = np.zeros(volume.hu.shape, np.int16)
    bone = volume.hu > 150
    for value, level in ((31, "L1"), (30, "L2"), (29, "L3")):  # TotalSegmentator's numbers
        labels[bone & (np.abs(s - CENTRES[level][2]) < 12)] = value
    return volume, labels


@pytest.mark.parametrize("kind", ["nifti", "slicer"])
def test_a_segmentation_gives_the_levels(capsys, tmp_path, scan, model, kind):
    volume, labels = column_labels()
    if kind == "nifti":
        path = write(tmp_path / "labels.nii", nifti_bytes(labels, volume.ijk_to_ras))
    else:
        # Other values than any scheme's, named as Slicer names segments.
        labels = np.select([labels == 31, labels == 30, labels == 29], [3, 2, 1]).astype(np.int16)
        text = nrrd_header(labels, volume.ijk_to_ras)
        for n, (value, name) in enumerate(((3, "L1 vertebra"), (2, "L2 vertebra"), (1, "L3"))):
            text += f"Segment{n}_LabelValue:={value}\nSegment{n}_Name:={name}\n"
        path = write(tmp_path / "s.seg.nrrd", text.encode(), b"\n", labels.tobytes())
    output = tmp_path / "levels.json"
    out, _ = run(capsys, "levels", scan, "--segmentation", path, "--output", output)
    entries = {entry["level"]: entry for entry in json.loads(output.read_text())["levels"]}
    assert set(entries) == {"L1", "L2", "L3"} and "Not found: L4." in out
    for level, entry in entries.items():
        assert entry["source"] == "segment"
        assert abs(entry["ras"][2] - CENTRES[level][2]) < 6
    out, _ = run(capsys, "estimate", scan, "--segmentation", path, "--model", model)
    assert "segment" in out


def test_an_unforeseen_error_is_no_traceback(capsys, tmp_path, scan, model, monkeypatch):
    from CTBMDLib.bmd import estimate

    def broken(*args, **options):
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(estimate, "estimate", broken)
    levels = levels_file(tmp_path / "levels.json")
    assert main(["estimate", str(scan), "--levels", levels, "--model", model]) == 2
    err = capsys.readouterr().err
    assert err == "ctbmd: unexpected RuntimeError: two lines; please report it.\n"


def test_interrupting_is_one_line_and_code_130(capsys, tmp_path, scan, model, monkeypatch):
    from CTBMDLib.cohort import cases

    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(cases, "open_case", interrupted)
    output = tmp_path / "x.csv"
    assert main(["estimate", str(scan), "--model", model, "--output", str(output)]) == 130
    assert capsys.readouterr().err == "ctbmd: cancelled; nothing was written.\n"
    assert not output.exists()


# -- model ---------------------------------------------------------------------
def test_model_show_prints_the_card(capsys, model):
    out, _ = run(capsys, "model", "show", "--model", model)
    assert "name: test" in out and "population: simulated" in out and RESEARCH_USE in out


def test_model_check_runs_the_network(capsys, model):
    out, _ = run(capsys, "model", "check", "--model", model)
    assert "weights: whole" in out and "NumPy: computes, members: 1" in out
    pytest.importorskip("torch")
    assert "PyTorch: computes, differs from NumPy by at most" in out


def test_model_check_refuses_changed_weights(capsys, tmp_path):
    bundle(tmp_path / "m")
    weights = tmp_path / "m" / "weights.npz"
    content = bytearray(weights.read_bytes())
    content[-100] ^= 1
    weights.write_bytes(content)
    _, err = run(capsys, "model", "check", "--model", tmp_path / "m", code=2)
    assert "not those its card describes" in err


# -- through a shell -----------------------------------------------------------
def shell(*arguments, **options):
    root = str(ROOT)
    environment = os.environ | {"PYTHONPATH": root}
    command = [sys.executable, "-m", "CTBMDLib", *(str(x) for x in arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, check=False, **options
    )


def test_python_m(tmp_path, scan, model):
    levels = levels_file(tmp_path / "levels.json")
    done = shell("estimate", scan, "--levels", levels, "--model", model)
    assert done.returncode == 0 and done.stderr == ""
    assert "L1-L4" in done.stdout
    done = shell("--version")
    assert done.stdout == f"ctbmd {__version__}\n" and done.returncode == 0


def test_a_console_that_knows_only_ascii(tmp_path, series, model, monkeypatch):
    for path in sorted(series.iterdir()):
        data = pydicom.dcmread(path)
        data.SpecificCharacterSet = "ISO_IR 192"
        data.SeriesDescription = "腰椎\x1b[31m"
        data.save_as(tmp_path / path.name)
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    levels = levels_file(tmp_path / "levels.json")
    done = shell("estimate", tmp_path, "--levels", levels, "--model", model)
    assert done.returncode == 0, done.stderr
    assert "series 3 '?? [31m'" in done.stdout and "\x1b" not in done.stdout


def test_a_refusal_in_a_shell(tmp_path):
    done = shell("estimate", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("ctbmd: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("work", "unneeded"),
    [
        ("import CTBMDLib.cli; CTBMDLib.cli.main(['--version'])", ("numpy", "scipy", "pydicom")),
        ("import CTBMDLib.bmd.estimate, CTBMDLib.bmd.export", ("scipy", "pydicom", "vtk")),
    ],
)
def test_starting_imports_no_more_than_it_needs(work, unneeded):
    """A start takes longer than the work where large packages are imported for nothing."""
    code = (
        "import sys, contextlib\n"
        f"with contextlib.suppress(SystemExit): {work}\n"
        f"print([x for x in {unneeded} if x in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.strip() == "[]"


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted as Linux tells them")
@pytest.mark.parametrize("asked", [None, "2"])
def test_a_command_takes_one_thread_unless_a_person_says_more(asked):
    """NumPy sums in another order on more threads; they take CPU and save no time."""
    code = (
        "from CTBMDLib.cli import main; main(['levels', 'no such file'])\n"
        "import numpy as np; np.ones((600, 600)) @ np.ones((600, 600))\n"
        "from pathlib import Path; told = Path('/proc/self/status').read_text()\n"
        "print(told.split('Threads:')[1].split()[0])"
    )
    env = {x: y for x, y in os.environ.items() if not x.endswith("_NUM_THREADS")}
    env |= {"PYTHONPATH": str(ROOT)} | ({"OPENBLAS_NUM_THREADS": asked} if asked else {})
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    if "openblas" not in str(np.show_config("dicts")) or len(os.sched_getaffinity(0)) < 2:
        pytest.skip("NumPy without OpenBLAS, or one core: there is nothing to choose")
    assert (done.stdout.split()[-1] == "1") == (asked is None)


def test_a_scan_in_a_shell_loads_neither_torch_nor_slicer(tmp_path, scan, model):
    levels = levels_file(tmp_path / "levels.json")
    code = (
        "import sys; from CTBMDLib.cli import main; "
        f"code = main(['estimate', {str(scan)!r}, '--levels', {levels!r}, '--model', {model!r}]); "
        "sys.exit(code or sum(name in sys.modules for name in ('torch', 'slicer', 'qt', 'PySide6')))"
    )
    root = str(ROOT)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": root},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_tube_voltage_can_be_given(capsys, tmp_path, scan, model):
    levels = levels_file(tmp_path / "levels.json")
    arguments = ("estimate", scan, "--levels", levels, "--model", model)
    out, _ = run(capsys, *arguments)
    assert "tube voltage is unknown" in out and "at 140 kV" in out
    out, _ = run(capsys, *arguments, "--kvp", "100")
    assert "tube voltage" not in out
    for wrong in ("0", "1200", "nan", "high"):
        _, err = run(capsys, *arguments, "--kvp", wrong, code=2)
        assert "kvp" in err
