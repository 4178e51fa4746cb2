"""Who the cases are of is planted everywhere; no table, list, journal or card may tell it unasked."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from dicom_maker import lps_positions, uid, write_series
from phantoms import CENTRES, bundle, phantom

from CTBMDLib.cli import main
from CTBMDLib.cohort import batch, calibrate
from CTBMDLib.cohort.caselist import Case, list_cases
from CTBMDLib.cohort.identity import Register
from CTBMDLib.errors import CTBMDError

NAME = "Zwiebelfisch"
PLANTED = (NAME, NAME.lower(), NAME.upper(), "ID4711", "ACC0815", "1963", "Venlafax")
"""The name in many guises; patient id, accession number, birth date; what a typist wrote."""


@pytest.fixture(scope="module")
def ward(tmp_path_factory):
    """A ward's folder: two readable patients, one cut short, one without an image; and a model."""
    root = tmp_path_factory.mktemp("ward")
    bundle(root / "model", members=1)
    volume = phantom(spacing=(3.0, 3.0, 3.0))
    hu = volume.hu.astype(np.int16)[:, ::-1, ::-1]
    (_, r), (_, a), (s, _) = volume.ras_bounds
    tags = {
        "PatientName": f"{NAME}^Anna", "PatientBirthDate": "19630401", "AccessionNumber": "ACC0815",
        "SeriesDescription": f"venous {NAME}", "ContrastBolusAgent": f"Venlafax fuer {NAME}",
        "StudyDescription": NAME, "InstitutionName": NAME, "PatientComments": NAME,
        "OtherPatientIDs": "ID4711", "StudyID": "ID4711",
    }  # fmt: skip
    for n in range(2):
        write_series(
            root / "scans" / f"{NAME} {n}" / "ID4711", hu, patient=f"ID4711-{n}",
            positions=lps_positions(len(hu), origin=(-r, -a, s), spacing=3.0),
            PixelSpacing=[3.0, 3.0], names=lambda k: f"{NAME}'s {k}.dcm", **tags,
        )  # fmt: skip
    whole = sorted((root / "scans" / f"{NAME} 0" / "ID4711").iterdir())
    for n, file in enumerate(whole[:5]):
        target = root / "scans" / f"{NAME} cut" / file.name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(file.read_bytes()[: 500 if n == 2 else None])
    (root / "scans" / f"{NAME}.nii.gz").write_bytes(b"no image")
    points = [{"level": x, "ras": list(CENTRES[x])} for x in ("L1", "L2", "L3")]
    (root / f"{NAME}.json").write_text(json.dumps({"levels": points}))
    return root


@pytest.fixture
def scans(ward, monkeypatch):
    """The ward's folder, whose levels are taken from the file in place of the finder."""
    real = batch.open_case
    levels = ward / f"{NAME}.json"
    monkeypatch.setattr(
        batch, "open_case", lambda path, **more: real(path, **(more | {"levels": levels}))
    )
    return ward / "scans"


def run(*arguments, code=0):
    assert main([str(x) for x in arguments]) == code


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def told(path: Path) -> list[str]:
    """What of the planted words, and of the UIDs, a file holds."""
    text = path.read_bytes().decode("utf-8", "replace")
    uids = [uid(f"ID4711-{n}", what) for n in range(2) for what in ("study", "series", "frame")]
    return [word for word in (*PLANTED, *uids) if word in text or word in path.name]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "json"])
def test_an_estimate_tells_nobody(ward, tmp_path, suffix):
    plain, named, asked = (tmp_path / f"{x}.{suffix}" for x in ("plain", "named", "asked"))
    scan = ward / "scans" / f"{NAME} 0"
    command = ("estimate", scan, "--levels", ward / f"{NAME}.json", "--model", ward / "model")
    run(*command, "--output", plain)
    run(*command, "--output", named, "--case", "S-007")
    run(*command, "--output", asked, "--with-identity")
    assert told(plain) == told(named) == []
    assert "case 1" in plain.read_text() and "S-007" in named.read_text()
    assert "Contrast agent is stated" in plain.read_text()
    assert {"ID4711", "Venlafax", uid("ID4711-0", "series")} <= set(told(asked))


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_a_batch_tells_nobody_and_its_user_who_is_who(ward, scans, tmp_path, capsys, suffix):
    output = tmp_path / f"all.{suffix}"
    command = ("batch", scans, "--model", ward / "model", "--output", output)
    run(*command)
    register = tmp_path / "all.identity.csv"
    assert {x.name for x in tmp_path.iterdir()} == {
        output.name, "all.failures.csv", "all.summary.html", register.name
    }  # fmt: skip
    assert told(output) == told(tmp_path / "all.failures.csv") == []
    assert told(tmp_path / "all.summary.html") == []
    assert os.name == "nt" or register.stat().st_mode & 0o777 == 0o600
    said = capsys.readouterr().out
    assert f"Which case is which scan: {register}" in said
    known = {x["case"]: x for x in rows(register)}
    assert list(known) == ["case 1", "case 2", "case 3", "case 4"]
    assert all(Path(x["path"]).exists() and NAME in x["path"] for x in known.values())
    failed = rows(tmp_path / "all.failures.csv")
    assert {x["case"] for x in failed} == {x for x in known if known[x]["reason"]}
    assert len(failed) == 2 and all(NAME in known[x["case"]]["reason"] for x in failed)


def test_asked_for_a_batch_tells_who_is_who(ward, scans, tmp_path):
    output = tmp_path / "all.csv"
    run("batch", scans, "--model", ward / "model", "--output", output, "--with-identity")
    assert {NAME, uid("ID4711-0", "series")} <= set(told(output))
    failures = tmp_path / "all.failures.csv"
    assert NAME in told(failures) and len(list_cases(failures)) == 2
    assert os.name == "nt" or failures.stat().st_mode & 0o777 == 0o600
    assert {x.name for x in tmp_path.iterdir()} == {
        "all.csv",
        "all.failures.csv",
        "all.summary.html",
    }


def test_a_journal_tells_nobody_and_its_batch_keeps_the_names(ward, scans, tmp_path, monkeypatch):
    output = tmp_path / "all.csv"
    command = ("batch", scans, "--model", ward / "model", "--output", output)
    real = batch.run_case

    def stopped(case, *more):
        if case.case == "case 2":
            raise KeyboardInterrupt
        return real(case, *more)

    with monkeypatch.context() as patch:
        patch.setattr(batch, "run_case", stopped)
        run(*command, code=130)
    journal = tmp_path / ".all.csv.journal"
    assert told(journal) == [] and journal.read_bytes().count(b"\n") == 2
    assert os.name == "nt" or journal.stat().st_mode & 0o777 == 0o600
    before = {x["path"]: x["case"] for x in rows(tmp_path / "all.identity.csv")}
    new = scans / f"0 {NAME}.nii"  # comes first, and must not move the others' names
    new.write_bytes(b"no image")
    try:
        run(*command)
    finally:
        new.unlink()
    after = {x["path"]: x["case"] for x in rows(tmp_path / "all.identity.csv")}
    assert after == before | {str(new): "case 5"}
    with monkeypatch.context() as patch:
        patch.setattr(batch, "run_case", stopped)
        for name in ("all.csv", "all.failures.csv", "all.summary.html"):
            (tmp_path / name).unlink()
        run(*command, code=130)
    error = "with another model, reference table"
    with pytest.raises(CTBMDError, match=error):  # its findings are not those of this one
        batch.run_batch(scans, output, batch.ModelBundle.load(ward / "model"), with_identity=True)


def test_a_calibrated_card_tells_nobody(ward, tmp_path, monkeypatch, capsys):
    estimated = np.linspace(0.5, 1.1, 22)
    pairs = ["case,path,patient,dxa_device,L1-L4"]
    for n, value in enumerate(estimated):
        (tmp_path / f"{NAME}{n}.nii").write_bytes(b"")
        dxa = value + (0.3 if n == 5 else 0.003 * (-1) ** n)
        pairs.append(f"{NAME} {n},{NAME}{n}.nii,ID4711-{n},Horizon,{dxa:.3f}")
    table = tmp_path / f"{NAME}.csv"
    table.write_text("\n".join(pairs) + "\n")
    seen = calibrate._Compared

    def compare(pairs, *_):
        return seen(
            [float(x) for x in estimated], [x.total for x in pairs], [0.1] * len(pairs), [1.5] * len(pairs),
            {7: "vertebra numbers uncertain"}, [],
        )  # fmt: skip

    monkeypatch.setattr(calibrate, "_compare", compare)
    output = tmp_path / "site"
    run("model", "calibrate", table, "--model", ward / "model", "--output", output)
    said = capsys.readouterr().out
    assert f"Check {NAME} 5: its DXA" in said and f"Check {NAME} 7: vertebra numbers" in said
    assert told(output / "card.json") == []
    findings = json.loads((output / "card.json").read_text())["calibration"]["findings"]
    assert [x.split(":")[0] for x in findings] == ["Check pair 6", "Check pair 8"]


# -- the register ---------------------------------------------------------------
def names(tmp_path, cases, given=False):
    register = Register(
        tmp_path / "t.csv", [Case(str(tmp_path / x), **more) for x, more in cases], given
    )
    return [case.case for case in register.cases]


def test_names_are_numbers_that_stay(tmp_path):
    assert names(tmp_path, [("b", {}), ("c", {})]) == ["case 1", "case 2"]
    assert names(tmp_path, [("a", {}), ("c", {}), ("b", {})]) == ["case 3", "case 2", "case 1"]
    assert names(tmp_path, [("d", {})]) == ["case 4"]  # though the others are gone
    assert names(tmp_path, [("a", {}), ("a", {}), ("a", {"series_uid": "1.2"})]) == [
        "case 3", "case 5", "case 6"
    ]  # fmt: skip
    assert names(tmp_path, [("a", {"case": "Mueller"})]) == ["case 3"]  # made of a folder


def test_names_of_a_list_are_kept_and_told_apart(tmp_path):
    listed = [("a", {"case": "S1"}), ("b", {}), ("c", {"case": " case  7 "}), ("d", {})]
    assert names(tmp_path, listed, given=True) == ["S1", "case 8", "case 7", "case 9"]
    same = [(x, {"case": "same"}) for x in "xyz"]
    assert names(tmp_path, same, given=True) == ["same (1)", "same (2)", "same (3)"]
    assert names(tmp_path, same[::-1], given=True) == ["same (3)", "same (2)", "same (1)"]
    assert names(tmp_path, [*same[:1], *listed], given=True) == [
        "same", "S1", "case 8", "case 7", "case 9"
    ]  # fmt: skip


def test_a_list_that_names_every_case_needs_no_register(tmp_path):
    assert names(tmp_path, [("a", {"case": "S1"}), ("b", {"case": "S2"})], given=True) == [
        "S1",
        "S2",
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"mine", b"case,reason\n", b"\xff\xfe\0", b'path\n"x'])
def test_what_is_no_register_is_neither_used_nor_replaced(tmp_path, content):
    (tmp_path / "t.identity.csv").write_bytes(content)
    with pytest.raises(CTBMDError, match="is not the file that says which case is which"):
        names(tmp_path, [("a", {})])
    assert (tmp_path / "t.identity.csv").read_bytes() == content
