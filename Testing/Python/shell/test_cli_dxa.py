"""`--dxa` from the shell: an estimate, a batch that goes on, a calibration, and the model's card."""

import csv
import json

import numpy as np
import pytest
from phantoms import CENTRES, bundle, phantom
from volume_files import nifti_bytes, write

from CTBMDLib.cli import main
from CTBMDLib.cohort import batch
from CTBMDLib.dxa import DEVICES, Scale
from CTBMDLib.model.bundle import ModelBundle

TO_LUNAR = Scale("hologic", "lunar")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "untrained"
    bundle(folder, members=1)
    return folder


@pytest.fixture
def cases(tmp_path):
    """Three scans of different bone with their levels, and their list."""
    volume = phantom(spacing=(4.0, 4.0, 5.0))
    rows = ["path,case,sex,levels"]
    for n in range(3):
        hu = (volume.hu + 40 * n * (volume.hu > 150)).astype(np.int16)
        write(tmp_path / f"{n}.nii", nifti_bytes(hu, volume.ijk_to_ras))
        rows.append(f"{n}.nii,C{n},F,levels.json")
    points = [{"level": x, "ras": list(CENTRES[x])} for x in ("L1", "L2", "L3")]
    (tmp_path / "levels.json").write_text(json.dumps({"levels": points}))
    (tmp_path / "cases.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def run(capsys, *arguments, code=0):
    """(stdout, stderr) of `main`; a refusal is exactly one line on stderr."""
    assert main([str(x) for x in arguments]) == code
    out, err = capsys.readouterr()
    assert code == 0 or (err.startswith("ctbmd: ") and err.count("\n") == 1)
    return out, err


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def estimate(cases, model):
    return ("estimate", cases / "1.nii", "--levels", cases / "levels.json", "--model", model)


def test_an_estimate_in_the_g_cm2_of_each_device(capsys, cases, model):
    rows = {}
    for name in DEVICES:
        output = cases / f"{name}.csv"
        out, _ = run(capsys, *estimate(cases, model), "--dxa", name.upper(), "--output", output)
        rows[name] = table(output)
        assert {row["dxa_scale"] for row in rows[name]} == {name}
        assert ("were converted" in out) == (name == "lunar")
    for old, new in zip(rows["hologic"], rows["lunar"], strict=True):
        want = TO_LUNAR.value(float(old["bmd_g_cm2"]))
        assert float(new["bmd_g_cm2"]) == pytest.approx(want, abs=0.0012)
    run(capsys, *estimate(cases, model), "--output", cases / "none.csv")
    assert (cases / "none.csv").read_bytes() == (cases / "hologic.csv").read_bytes()


@pytest.mark.parametrize("command", ["estimate", "batch"])
@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--dxa", "norland"), "invalid choice: 'norland'"),
        (("--dxa", "lunar", "--reference", "nhanes-hologic"), "of DXA by Hologic"),
    ],
)
def test_what_cannot_be_is_refused_before_the_work(
    capsys, cases, model, monkeypatch, command, more, words
):
    def none(*_arguments, **_options):
        raise AssertionError("a case was begun")

    monkeypatch.setattr(batch, "open_case", none)
    source = cases / ("1.nii" if command == "estimate" else "cases.csv")
    call = (command, source, "--model", model, "--output", cases / "out.csv", *more)
    if command == "estimate":
        call += ("--levels", cases / "levels.json")
    _, err = run(capsys, *call, code=2)
    assert words in err
    assert not (cases / "out.csv").exists() and not list(cases.glob(".*"))


def interrupted(monkeypatch, capsys, *call):
    """A batch that is stopped from the keyboard in its second case."""
    real, seen = batch.open_case, []

    def stop(*arguments, **options):
        seen.append(arguments)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(batch, "open_case", stop)
        run(capsys, *call, code=130)


@pytest.mark.parametrize(
    ("first", "then", "goes_on"),
    [
        ((), ("--dxa", "lunar"), False),
        (("--dxa", "lunar"), (), False),
        (("--dxa", "lunar"), ("--dxa", "hologic"), False),
        (("--dxa", "lunar"), ("--dxa", "lunar"), True),
        # The device that is taken anyway may as well be named.
        ((), ("--dxa", "hologic"), True),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".json"])
def test_a_batch_never_mixes_devices(
    capsys, cases, model, monkeypatch, first, then, goes_on, suffix
):
    output = cases / f"all{suffix}"
    call = ("batch", cases / "cases.csv", "--model", model, "--output", output)
    interrupted(monkeypatch, capsys, *call, *first)
    if goes_on:
        out, _ = run(capsys, *call, *then)
        assert "Taken over from an interrupted run: 1 case" in out
    else:
        _, err = run(capsys, *call, *then, code=2)
        assert "DXA device" in err and not output.exists()
        out, _ = run(capsys, *call, *then, "--overwrite")
    want = "lunar" if "lunar" in then else "hologic"
    assert f"DXA scale: {want.title()}" in out
    other = "hologic" if want == "lunar" else "lunar"
    text = output.read_text()
    named = '"dxa_scale": "{}"' if suffix == ".json" else "{}"
    assert named.format(want) in text and named.format(other) not in text


def test_a_journal_of_before_devices_is_not_gone_on_with(capsys, cases, model, monkeypatch):
    output = cases / "all.csv"
    call = ("batch", cases / "cases.csv", "--model", model, "--output", output)
    interrupted(monkeypatch, capsys, *call)
    journal = cases / ".all.csv.journal"
    first, *rest = journal.read_text().splitlines()
    settings = json.loads(first)
    del settings["settings"]["dxa_scale"]
    journal.write_text("\n".join([json.dumps(settings), *rest]) + "\n")
    _, err = run(capsys, *call, code=2)
    assert "DXA device" in err


# -- calibration ------------------------------------------------------------------------
COUNT = 20


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Twenty scans, a bundle that sees their bone, and the answers of the plain bundle."""
    folder = tmp_path_factory.mktemp("site")
    volume = phantom(spacing=(4.0, 4.0, 5.0))
    rows = ["path,case,levels"]
    for n in range(COUNT):
        hu = np.where(volume.hu == 200, 60 + 25 * n, volume.hu).astype(np.int16)
        write(folder / f"{n}.nii", nifti_bytes(hu, volume.ijk_to_ras))
        rows.append(f"{n}.nii,C{n},levels.json")
    points = [{"level": x, "ras": list(CENTRES[x])} for x in ("L1", "L2", "L3")]
    (folder / "levels.json").write_text(json.dumps({"levels": points}))
    (folder / "cases.csv").write_text("\n".join(rows) + "\n")
    bundle(folder / "plain", members=1)
    assert main([str(x) for x in ("batch", folder / "cases.csv", "--model", folder / "plain",
                                  "--output", folder / "plain.csv")]) == 0  # fmt: skip
    return folder


def pairs(site, path, device=None, plain="plain.csv"):
    """A table whose DXA is a line of what the plain bundle says, its devices as given."""
    estimated = [float(r["bmd_g_cm2"]) for r in table(site / plain) if r["level"] == "L1-L4"]
    low, high = min(estimated), max(estimated)
    rows = ["case,path,levels,L1-L4,dxa_device"]
    for n, value in enumerate(estimated):
        dxa = 0.6 + 0.6 * (value - low) / (high - low)
        named = device(n) if callable(device) else device or ""
        rows.append(f"C{n},{site / f'{n}.nii'},{site / 'levels.json'},{dxa:.5f},{named}")
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize(
    ("device", "said", "want"),
    [
        (None, "lunar", "lunar"),
        (None, "hologic", "hologic"),
        (None, None, None),
        ("GE Lunar iDXA", None, "lunar"),
        ("Hologic Horizon", None, "hologic"),
        ("GE Lunar iDXA", "lunar", "lunar"),
        ("Norland", None, None),
        (lambda n: "Horizon" if n else "Prodigy", None, None),
        (lambda n: "Horizon" if n else "", None, None),
        (lambda n: "Horizon" if n else "", "hologic", "hologic"),
    ],
)
def test_a_calibrated_model_answers_as_the_sites_dxa(capsys, site, tmp_path, device, said, want):
    call = ["model", "calibrate", pairs(site, tmp_path / "pairs.csv", device)]
    call += ["--model", site / "plain", "--output", tmp_path / "site"]
    out, _ = run(capsys, *call, *(("--dxa", said) if said else ()))
    assert ("maker of the DXA is not known" in out) == (want is None)
    made = ModelBundle.load(tmp_path / "site")
    assert made.card["dxa_device"] == want == made.dxa_device
    shown = {None: "unknown", "lunar": "Lunar", "hologic": "Hologic"}[want]
    assert f"DXA     {shown}" in out
    out, _ = run(capsys, "model", "show", "--model", tmp_path / "site")
    assert f"DXA scale: {shown}" in out
    # Whatever it was calibrated to is what it says, and nothing is converted.
    output = tmp_path / "one.csv"
    out, _ = run(capsys, *estimate(site, tmp_path / "site"), "--output", output)
    total = table(output)[-1]
    dxa = float(table(tmp_path / "pairs.csv")[1]["L1-L4"])
    assert total["dxa_scale"] == (want or "")
    assert float(total["bmd_g_cm2"]) == pytest.approx(dxa, abs=0.002)
    assert "were converted" not in out
    if want is None:
        _, err = run(capsys, *estimate(site, tmp_path / "site"), "--dxa", "lunar", code=2)
        assert "calibrate the model again and name the device" in err


def test_a_table_that_names_another_maker_than_is_said(capsys, site, tmp_path):
    table = pairs(site, tmp_path / "pairs.csv", lambda n: "Hologic Horizon" if n == 7 else "")
    call = ("model", "calibrate", table, "--model", site / "plain", "--output", tmp_path / "site")
    _, err = run(capsys, *call, "--dxa", "lunar", code=2)
    assert "'Hologic Horizon' for C7" in err and not (tmp_path / "site").exists()


def test_calibrating_again_to_another_device_begins_from_the_plain_model(capsys, site, tmp_path):
    """The first calibration's device goes with its line."""
    table = pairs(site, tmp_path / "pairs.csv")
    for source, name, dxa in (
        (site / "plain", "a", "lunar"),
        (tmp_path / "a", "b", "hologic"),
        (tmp_path / "b", "c", "lunar"),
    ):
        call = ("model", "calibrate", table, "--model", source, "--output", tmp_path / name)
        run(capsys, *call, "--dxa", dxa)
        assert ModelBundle.load(tmp_path / name).dxa_device == dxa
    first, last = (ModelBundle.load(tmp_path / x).card for x in "ac")
    for key in ("scale", "offset_g_cm2", "interval_ratio"):
        assert first["calibration"][key] == pytest.approx(last["calibration"][key])
    assert first["interval"] == pytest.approx(last["interval"])


@pytest.mark.parametrize("own", DEVICES)
def test_a_model_that_answers_as_a_lunar_is_calibrated_in_its_own_g_cm2(
    capsys, site, tmp_path, own
):
    """The line starts from what the network says, not from what would be shown."""
    bundle(tmp_path / "own", members=1, dxa_device=own)
    table = pairs(site, tmp_path / "pairs.csv")
    for source in (site / "plain", tmp_path / "own"):
        call = ("model", "calibrate", table, "--model", source, "--output", tmp_path / source.name)
        run(capsys, *call, "--dxa", "lunar", "--overwrite")
    a, b = (ModelBundle.load(tmp_path / x).card["calibration"] for x in ("plain", "own"))
    assert (a["scale"], a["offset_g_cm2"]) == (b["scale"], b["offset_g_cm2"])


# -- validation -------------------------------------------------------------------------
@pytest.mark.parametrize("dxa", DEVICES)
def test_a_validation_is_in_the_g_cm2_of_the_device(capsys, site, tmp_path, dxa):
    """The DXA of the table is as it was measured; the estimates are those of a device."""
    table_of = pairs(site, tmp_path / "pairs.csv", "GE Lunar iDXA")
    text = table_of.read_text().replace("dxa_device", "device", 1)
    table_of.write_text(text)
    call = ("validate", table_of, "--model", site / "plain", "--output", tmp_path / "out")
    out, _ = run(capsys, *call, "--dxa", dxa)
    rows = table(tmp_path / "out" / "pairs.csv")
    assert len(rows) == COUNT and {row["dxa_scale"] for row in rows} == {dxa}
    assert ("are on the scale of Lunar" in out) == (dxa == "hologic")
    plain = [float(r["bmd_g_cm2"]) for r in table(site / "plain.csv") if r["level"] == "L1-L4"]
    given = [float(r["L1-L4"]) for r in table(table_of)]
    for row, bmd, measured in zip(rows, plain, given, strict=True):
        want = bmd if dxa == "hologic" else TO_LUNAR.value(bmd)
        assert float(row["network_g_cm2"]) == pytest.approx(want, abs=0.0012)
        assert float(row["dxa_g_cm2"]) == pytest.approx(measured, abs=0.0006)
    _, err = run(capsys, *call, "--dxa", "lunar", "--reference", "nhanes-hologic",
                 "--overwrite", code=2)  # fmt: skip
    assert "of DXA by Hologic" in err
