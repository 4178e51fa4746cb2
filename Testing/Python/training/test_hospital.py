"""A hospital's own CT and DXA, on virtual patients written out as DICOM files with a table."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

pytest.importorskip("numba")
pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from CTBMDLib.bmd.centring import centred  # noqa: E402
from CTBMDLib.bmd.structure import look_at  # noqa: E402
from CTBMDLib.cli import main as ctbmd  # noqa: E402
from CTBMDLib.cohort import calibrate as calibration  # noqa: E402
from CTBMDLib.cohort.pairs import Pair, read_pairs  # noqa: E402
from CTBMDLib.errors import CTBMDError  # noqa: E402
from CTBMDLib.model.bundle import ModelBundle, default_bundle_folder  # noqa: E402
from CTBMDLib.reading.reading import list_series, read_ct  # noqa: E402
from training import reproduce  # noqa: E402
from training.hospital import further as hospital  # noqa: E402
from training.hospital.cases import Case, check_cases  # noqa: E402
from training.virtual import hospital as virtual  # noqa: E402

COUNT, SEED = 9, 7
FIRST = ("P001", "P002", "P003")
FEW = {"train": 2, "validation": 2, "test": 2}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Nine virtual patients of two institutions, their DXA on the Lunar scale."""
    folder = tmp_path_factory.mktemp("hospital") / "site"
    virtual.make_hospital(folder, COUNT, SEED, device="lunar", coarse=True)
    return folder


@pytest.fixture(scope="module")
def truth(site):
    return json.loads((site / "truth.json").read_text())["patients"]


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def write_rows(path, rows):
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)
    return path


def changed(site, name, change):
    """The site's table with its rows changed in place, under another name."""
    rows = rows_of(site / "patients.csv")
    change(rows)
    return write_rows(site / name, rows)


# -- the virtual hospital ---------------------------------------------------------------------


@pytest.mark.slow
def test_its_files_are_ct_images_with_the_facts_of_the_table(site):
    for row in rows_of(site / "patients.csv"):
        (series,) = list_series(site / row["path"])
        volume = read_ct(site / row["path"])
        facts = volume.acquisition
        assert series.problem is None and series.plane == "axial" and series.modality == "CT"
        assert facts.sex == row["sex"] and abs(facts.age_years - float(row["age"])) <= 1
        assert facts.kvp == virtual.SITES[row["institution"]].kvp
        assert facts.kernel == virtual.SITES[row["institution"]].kernel
        assert volume.spacing_mm == pytest.approx([2.0, 2.0, 5.0])
    rows = rows_of(site / "patients.csv")
    headers = [pydicom.dcmread(site / row["path"] / "CT_001.dcm") for row in rows]
    for name in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        assert len({str(getattr(header, name)) for header in headers}) == COUNT, name
    assert all("imulated" in header.ImageComments for header in headers)


@pytest.mark.slow
def test_the_points_of_the_truth_lie_in_bone(site, truth):
    for case, facts in truth.items():
        volume = read_ct(site / case)
        for level in ("L1", "L2", "L3", "L4"):
            offsets = np.array([[x, y, 0] for x in (-6, 0, 6) for y in (-4, 4)])
            assert volume.sample(np.array(facts["levels"][level]) + offsets).mean() > 60


@pytest.mark.slow
def test_the_dxa_is_of_the_same_person_on_the_devices_scale(truth):
    for facts in truth.values():
        for level, value in facts["true_g_cm2"].items():
            shown = 0.906 * facts["dxa_g_cm2"][level] - 0.025
            assert shown == pytest.approx(value, rel=0.08), level  # precision error of a level
            assert abs(shown - value) > 1e-5


@pytest.mark.slow
def test_it_goes_on_where_it_stopped_and_makes_the_same_bytes(site, tmp_path):
    again = tmp_path / "again"
    virtual.make_hospital(again, 1, SEED, device="lunar", coarse=True)
    files = sorted(path.name for path in (site / "P001").iterdir())
    assert sorted(path.name for path in (again / "P001").iterdir()) == files
    for name in files:
        assert (again / "P001" / name).read_bytes() == (site / "P001" / name).read_bytes()
    assert rows_of(again / "patients.csv") == rows_of(site / "patients.csv")[:1]
    # Killed in the second patient: its half folder is not taken for a patient.
    (again / ".P002.part").mkdir()
    stamp = (again / "P001" / files[0]).stat().st_mtime_ns
    virtual.make_hospital(again, 1, SEED, device="lunar", coarse=True)
    assert (again / "P001" / files[0]).stat().st_mtime_ns == stamp
    with pytest.raises(ValueError, match="other settings|same settings"):
        virtual.make_hospital(again, 1, SEED + 1, device="lunar", coarse=True)


# -- the table --------------------------------------------------------------------------------


@pytest.mark.slow
def test_all_faults_are_told_before_anything_is_trained(site, tmp_path, capsys):
    shutil.copytree(site / "P001", site / "cut")
    for file in sorted((site / "cut").iterdir())[3:]:
        file.write_bytes(file.read_bytes()[:5000])
    (site / "levels.txt").write_text("no JSON")
    (site / "empty").mkdir()

    def spoil(rows):
        rows[0]["path"] = "gone"
        rows[1]["path"] = "cut"
        rows[2]["L1"] = "0,9x"
        rows[3]["L1-L4"] = "1050"
        rows[4]["levels"] = "levels.txt"
        rows[5]["case"] = rows[6]["case"]
        rows[7]["path"] = "empty"
        rows[7]["age"] = "-3"
        rows[8]["L6"] = "1.0"
        rows[8]["L1-L4"] = "1.6"

    table = changed(site, "spoiled.csv", spoil)
    code = reproduce.main(
        ["--cohort", str(table), "--quick", "--work", str(tmp_path / "w"), "--device", "cpu"]
    )
    said = capsys.readouterr().err
    assert code == 2 and "Traceback" not in said
    for part in (
        "line 2: 'gone' does not exist",
        "line 3: ",
        "line 4: L1 '0,9x' is no number",
        "line 5: L1-L4 1050 is no areal BMD in g/cm2 (0.2 to 2.5); it looks like mg/cm2, then 1.05",
        "line 6: The levels file",
        "case P007 appears 2 times",
        "line 9: age '-3'",
        "line 9: '",
        "the level of the column 'L6'",
        "line 10: L1-L4 1.6 does not lie between its levels",
        "fall to 'validation'",
        "fall to 'test'",
    ):
        assert part in said, part
    assert not (tmp_path / "w" / "images").exists()


@pytest.mark.slow
def test_a_person_with_two_ct_is_one_person(site, tmp_path):
    if not (site / "P004-again").is_dir():
        shutil.copytree(site / "P004", site / "P004-again")
        for file in (site / "P004-again").iterdir():
            header = pydicom.dcmread(file)
            header.PatientID, header.PatientSex = f"VIRTUAL-{SEED}-001", "F"
            header.SeriesInstanceUID += ".1"
            header.save_as(file)
    rows = rows_of(site / "patients.csv")
    sex = rows[0]["sex"]
    rows[3] |= {"case": "again", "path": "P004-again", "sex": sex}
    cases, faults = check_cases(write_rows(site / "two.csv", rows), tmp_path)
    assert faults == []
    persons = {case.pair.case: case.person for case in cases}
    assert persons["again"] == persons["P001"] and len(set(persons.values())) == COUNT - 1

    rows[0]["split"], rows[3]["split"] = "train", "test"
    _, faults = check_cases(write_rows(site / "two.csv", rows), tmp_path)
    assert len(faults) == 1 and "P001, again have the PatientID" in faults[0]
    assert "two splits" in faults[0]
    rows[3]["sex"] = "FM"[sex == "F"]
    rows[3]["split"] = "train"
    _, faults = check_cases(write_rows(site / "two.csv", rows), tmp_path)
    assert len(faults) == 1 and "differ in sex" in faults[0]
    # The user's own word on who is who goes before the header's.
    rows[0]["patient"], rows[3]["patient"] = "one", "another"
    cases, faults = check_cases(write_rows(site / "two.csv", rows), tmp_path)
    assert faults == [] and len({case.person for case in cases}) == COUNT


@pytest.mark.slow
def test_found_levels_are_kept_and_may_be_corrected(site, truth, tmp_path, monkeypatch):
    from training.hospital import cases as hospital_cases

    cases, _ = check_cases(site / "patients.csv", tmp_path)
    for case in cases:
        levels = json.loads(case.pair.levels.read_text())["levels"]
        for item in levels:
            if item["level"] in ("L1", "L2", "L3", "L4"):
                where = truth[case.pair.case]["levels"][item["level"]]
                assert np.linalg.norm(np.subtract(item["ras"], where)) < 6
    monkeypatch.setattr(hospital_cases, "open_case", lambda *a, **k: pytest.fail("read again"))
    again, faults = check_cases(site / "patients.csv", tmp_path)
    assert again == cases and faults == []
    monkeypatch.undo()
    # A person takes L1 out of the file that was found: the case changes with it.
    file = cases[0].pair.levels
    content = json.loads(file.read_text())
    content["levels"] = [x for x in content["levels"] if x["level"] != "L1"]
    file.write_text(json.dumps(content))
    corrected = check_cases(site / "patients.csv", tmp_path)[0]
    assert corrected[0].found == ("L2", "L3", "L4") and corrected[0].digest != cases[0].digest
    assert corrected[1:] == cases[1:]
    record = hospital.load_case(corrected[0])
    dxa = truth["P001"]["dxa_g_cm2"]
    assert record.bmd_total == pytest.approx(
        np.mean([dxa[x] for x in ("L2", "L3", "L4")]), abs=1e-3
    )


@pytest.mark.slow
def test_uncertain_cases_are_named_and_a_levels_file_goes_before_the_finder(
    site, looked, tmp_path, monkeypatch
):
    (found,) = (looked / "levels").glob("P002-*.json")
    content = json.loads(found.read_text())
    content["numbering"] = "neither"
    for item in content["levels"]:
        item["confidence"] = 0.3 if item["level"] == "L1" else 0.9
        item["ras"][2] += 1.0
    (site / "corrected.json").write_text(json.dumps(content))

    def change(rows):
        rows[1] |= {"levels": "corrected.json", "L1": "", "L2": "", "L3": "", "L4": ""}

    cases, faults = check_cases(changed(site, "levels.csv", change), tmp_path)
    assert faults == []
    assert cases[1].findings == "vertebra numbers uncertain; low confidence at L1"
    assert not any(case.findings for case in cases if case is not cases[1])
    # The file's own points, before they are moved to the middles of the bodies.
    with monkeypatch.context() as patched:
        patched.setattr(hospital, "centred", lambda _volume, item, _structure: item)
        record = hospital.load_case(cases[1])
    read = hospital.load_case(cases[1])
    for level, item in record.slices.items():
        volume = record.slabs[level]
        assert read.slices[level] == centred(volume, item, look_at(volume, item))
    for item in content["levels"]:
        if item["level"] in record.slices:
            assert record.slices[item["level"]].ras == pytest.approx(item["ras"])
    # Only L1-L4 was measured: it stands for each of them.
    assert set(record.bmd.values()) == {cases[1].pair.total} and len(record.bmd) == 4


def person(number, **facts) -> Case:
    pair = Pair(str(number), Path(f"{number}"), None, {}, 1.0, **facts)
    return Case(pair, f"person{number}", "", None, None, (), "", str(number))


def test_splits_keep_persons_apart_and_do_not_move():
    cases = [person(n, institution="ab"[n % 4 == 3]) for n in range(160)]
    parts = hospital.split_of(cases)
    assert sum(len(part) for part in parts.values()) == 160
    assert all(case.pair.institution == "b" for case in parts["external"])
    assert {case.person for case in parts["external"]} == {f"person{n}" for n in range(3, 160, 4)}
    assert hospital.too_small(parts) == []
    fewer = hospital.split_of(cases[:120])
    assert hospital.too_small(fewer) == []
    for name, part in fewer.items():
        assert {case.person for case in part} <= {case.person for case in parts[name]}


def test_few_patients_are_dealt_out_so_that_each_part_is_large_enough():
    parts = hospital.split_of([person(n) for n in range(24)])
    assert {name: len(part) for name, part in parts.items()}["validation"] >= 9
    assert hospital.too_small(parts) == []
    (fault, *_) = hospital.too_small(hospital.split_of([person(n) for n in range(20)]))
    assert "at least" in fault
    # What the user set is not changed.
    given = [person(n, split="train") for n in range(30)]
    assert len(hospital.split_of(given)["train"]) == 30
    assert len(hospital.too_small(hospital.split_of(given))) == 2


# -- training ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def looked(site, tmp_path_factory):
    """A work folder in which all CT of the table were looked into."""
    work = tmp_path_factory.mktemp("looked")
    assert check_cases(site / "patients.csv", work)[1] == []
    return work


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(hospital, "MIN_PATIENTS", FEW)
    plan = replace(reproduce.QUICK, images_per_plane=1, images_seen=40, draws=20)
    monkeypatch.setattr(reproduce, "QUICK", plan)


@pytest.mark.slow
def test_from_dicom_and_table_to_bundle_and_report(site, looked, tmp_path, few, capsys):
    shutil.copytree(looked, tmp_path / "work")
    call = ["--cohort", str(site / "patients.csv"), "--quick", "--device", "cpu"]
    call += ["--work", str(tmp_path / "work")]
    assert reproduce.main(call) == 0
    bundle = ModelBundle.load(tmp_path / "work" / "bundle")
    card, start = bundle.card, ModelBundle.load(default_bundle_folder())
    assert bundle.population == "patients" and bundle.name == "ctbmd-site-A"
    assert card["training"]["started_from"]["version"] == start.version
    assert card["dxa_devices"] == ["simulated DXA, Lunar scale"]
    assert card["dxa_device"] == bundle.dxa_device == "lunar"
    assert all("CTBMD virtual scanner" in scanner for scanner in card["scanners"])
    assert card["cohort"]["institutions"] == {"A": 6, "B": 3}
    assert card["metrics"]["external"]["patients"] == 3
    assert "table" in card["metrics"]["external"]["kind"]
    report = (tmp_path / "work" / "results" / "report.md").read_text()
    for part in (
        "hospital's own patients",
        "other institutions: 3 patients",
        f"{start.name} {start.version}, not trained further",
        "scale and offset only",
        "CTBMD virtual scanner",
        "simulated DXA, Lunar scale (9)",
        "No AUC, because no reference table was named",
    ):
        assert part in report, part
    assert "nothing about the accuracy on patients" not in report
    # The start is a good one, and so must be what comes of it; untrained weights would not be.
    figures = json.loads((tmp_path / "work" / "results" / "figures.json").read_text())
    assert figures["tested"]["external"]["CNN"]["rmse"][0] < 0.2
    assert figures["tested"]["external"]["osteoporosis"] is None

    # The same call trains nothing anew, a corrected DXA value does.
    capsys.readouterr()
    assert reproduce.main([*call, "--reference", "nhanes-hologic"]) == 0
    assert "epoch" not in capsys.readouterr().out
    assert (
        "T-scores with the reference table nhanes-hologic"
        in (tmp_path / "work" / "results" / "report.md").read_text()
    )
    parts = hospital.split_of(check_cases(site / "patients.csv", tmp_path / "work")[0])
    trained = parts["train"][0].pair.case

    def correct(rows):
        row = next(row for row in rows if row["case"] == trained)
        for level in ("L1", "L2", "L3", "L4", "L1-L4"):
            row[level] = f"{float(row[level]) + 0.1:.3f}"

    call[1] = str(changed(site, "corrected.csv", correct))
    assert reproduce.main(call) == 0
    assert "epoch" in capsys.readouterr().out
    after = ModelBundle.load(tmp_path / "work" / "bundle")
    assert after.version != bundle.version
    assert after.card["weights_sha256"] != card["weights_sha256"]


@pytest.mark.slow
def test_a_killed_training_goes_on(site, looked, tmp_path, few):
    shutil.copytree(looked, tmp_path / "work")
    told = []

    def killed(text):
        told.append(text)
        if "epoch 1/" in text:
            raise KeyboardInterrupt

    plan = replace(reproduce.QUICK, images_seen=200)
    options = hospital.Options()
    run = (site / "patients.csv", plan, tmp_path / "work", tmp_path / "results", options)
    with pytest.raises(KeyboardInterrupt):
        hospital.run_hospital(*run, killed)
    assert not (tmp_path / "work" / "bundle").exists()
    told.clear()
    hospital.run_hospital(*run, told.append)
    assert (tmp_path / "work" / "bundle").is_dir()
    epochs = [text for text in told if "epoch" in text]
    assert epochs and not any("epoch 1/" in text for text in epochs)


# -- calibration and batch --------------------------------------------------------------------


def totals(path):
    rows = [row for row in rows_of(path) if row["level"] == "L1-L4"]
    return {row["case"]: float(row["bmd_g_cm2"]) for row in rows}, rows


@pytest.mark.slow
def test_calibration_brings_the_bundle_onto_the_sites_device(
    site, truth, tmp_path, monkeypatch, capsys
):
    pairs = write_rows(tmp_path / "pairs.csv", [
        row | {"path": str(site / row["path"])} for row in rows_of(site / "patients.csv")
    ])  # fmt: skip
    output = ["--output", str(tmp_path / "site")]
    assert ctbmd(["model", "calibrate", str(pairs), *output]) == 2
    told = capsys.readouterr().err
    assert "at least 20 are needed" in told and told.count("\n") == 1
    monkeypatch.setattr(calibration, "MIN_PAIRS", COUNT)
    assert ctbmd(["model", "calibrate", str(pairs), *output]) == 0
    assert "each pair left out" in capsys.readouterr().out
    plain, new = ModelBundle.load(default_bundle_folder()), ModelBundle.load(tmp_path / "site")
    found = new.card["calibration"]
    assert found["after_leave_one_out"]["rmse"] < 0.6 * found["before"]["rmse"]
    assert abs(found["after_leave_one_out"]["bias"]) < 0.02 < abs(found["before"]["bias"])
    assert found["dxa_devices"] == ["simulated DXA, Lunar scale"] and found["findings"] == []
    assert new.version.startswith(f"{plain.version}+site.") and new.name == plain.name
    assert found["of"]["version"] == plain.version

    # The batch over the folder of DICOM folders, with both.
    tables = {}
    for name, model in (("plain", []), ("new", ["--model", str(tmp_path / "site")])):
        out = tmp_path / f"{name}.csv"
        cases = tmp_path / "cases.csv"
        write_rows(cases, [{"path": str(site / case), "case": case} for case in FIRST])
        assert ctbmd(["batch", str(cases), "--output", str(out), *model]) == 0
        tables[name], rows = totals(out)
        version = new.version if model else plain.version
        assert {row["model_version"] for row in rows} == {version}
    assert tuple(tables["new"]) == FIRST
    for case in FIRST:
        facts = truth[case]
        want = found["scale"] * tables["plain"][case] + found["offset_g_cm2"]
        assert tables["new"][case] == pytest.approx(want, abs=2e-3)
        assert abs(tables["new"][case] - facts["dxa_g_cm2"]["L1-L4"]) < 0.15

    # Calibrated anew, from the same plain network.
    assert ctbmd(["model", "calibrate", str(pairs), "--model", str(tmp_path / "site"),
                  "--output", str(tmp_path / "again")]) == 0  # fmt: skip
    again = ModelBundle.load(tmp_path / "again").card
    for key in ("version", "interval", "bmd_range_g_cm2"):
        old = new.card[key]
        assert again[key] == (pytest.approx(old) if key == "bmd_range_g_cm2" else old), key


@pytest.mark.slow
def test_swapped_values_are_told(site, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(calibration, "MIN_PAIRS", COUNT)
    rows = rows_of(site / "patients.csv")
    order = sorted(rows, key=lambda row: float(row["L1-L4"]))
    low, high = order[0], order[-1]
    for level in ("L1", "L2", "L3", "L4", "L1-L4"):
        low[level], high[level] = high[level], low[level]
    for row in rows:
        row["path"] = str(site / row["path"])
    pairs = write_rows(tmp_path / "pairs.csv", rows)
    assert ctbmd(["model", "calibrate", str(pairs), "--output", str(tmp_path / "site")]) == 2
    said = capsys.readouterr().err
    # Told one by one, or as the pair that they are.
    one, other = sorted((low["case"], high["case"]))
    alone = f"Check {low['case']}: its DXA of {float(low['L1-L4']):.3f} "
    swapped = f"Check {one} and {other}: their DXA values look swapped "
    assert "do not rise" in said and (alone in said or swapped in said)
    assert said.count("\n") == 1 and not (tmp_path / "site").exists()


@pytest.mark.slow
def test_a_batch_over_the_hospitals_folder(site, truth, tmp_path, capsys):
    folder = tmp_path / "cases"
    folder.mkdir()
    for case in list(truth)[:2]:
        shutil.copytree(site / case, folder / case)
    shutil.copy(site / "patients.csv", folder)  # tables beside the cases are no cases
    shutil.copy(site / "truth.json", folder)
    assert ctbmd(["batch", str(folder), "--output", str(tmp_path / "out.csv")]) == 0
    rows = rows_of(tmp_path / "out.csv")
    assert [row["level"] for row in rows] == ["L1", "L2", "L3", "L4", "L1-L4"] * 2
    for number, case in enumerate(list(truth)[:2]):
        part = rows[5 * number : 5 * number + 5]
        assert {row["series_uid"] for row in part} == {""}
        assert {row["case"] for row in part} == {f"case {number + 1}"}
        for row in part[:4]:
            s = truth[case]["levels"][row["level"]][2]
            assert abs(float(row["slice_s_mm"]) - s) < 6
        assert all(row["category"] == "" for row in part)


@pytest.mark.slow
def test_a_reference_that_is_none_is_refused_before_the_work(site, tmp_path, capsys):
    call = ["--cohort", str(site / "patients.csv"), "--quick", "--work", str(tmp_path / "w")]
    assert reproduce.main([*call, "--reference", "none-such"]) == 2
    assert "none-such" in capsys.readouterr().err and not (tmp_path / "w" / "cases").exists()


@pytest.mark.slow
def test_one_ct_a_patient_in_a_calibration(site, tmp_path, monkeypatch):
    monkeypatch.setattr(calibration, "MIN_PAIRS", 2)
    rows = rows_of(site / "patients.csv")[:2]
    for row in rows:
        row["path"], row["patient"] = str(site / row["path"]), "one"
    table = write_rows(tmp_path / "pairs.csv", rows)
    with pytest.raises(CTBMDError, match="P001, P002 are of one patient"):
        calibration.calibrate(table, ModelBundle.load(default_bundle_folder()), tmp_path / "x")
    assert len(read_pairs(table)) == 2


def test_a_table_that_is_not_there_is_one_sentence(tmp_path, capsys):
    call = ["--cohort", str(tmp_path / "none.csv"), "--work", str(tmp_path / "work")]
    assert reproduce.main(call) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "does not exist; check the path" in err
