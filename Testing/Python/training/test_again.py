"""A bundle held against cohorts again: which ones it refuses, and what its page tells."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from phantoms import CENTRES, phantom

from CTBMDLib.errors import CTBMDError
from CTBMDLib.levels import LevelSlice
from CTBMDLib.model.bundle import ModelBundle, default_bundle_folder

pytest.importorskip("numba", reason="numba is missing; 'make test' installs it")

from training.evaluation import again  # noqa: E402

CARD = {
    "cohorts": {
        "wide": {"seed": 101, "population": "wide"},
        "validation_2": {"seed": 111, "population": "realistic"},
        "internal": {"seed": 172, "population": "realistic"},
    }
}


def cohort(folder, seed, population="realistic", count=3):
    folder.mkdir()
    about = {"seed": seed, "population": population, "institution": "A"}
    (folder / "cohort.json").write_text(json.dumps(about))
    for number in range(count):
        (folder / f"patient_{seed:03d}_{number:04d}.npz").touch()
    return folder


def patient(number):
    """A phantom in place of a simulated patient, whose areal BMD goes with its number."""
    hu = 80.0 + 40.0 * number
    volume = phantom((4.0, 4.0, 5.0), bone_hu=hu, kvp=120.0)
    levels = ("L1", "L2")
    return SimpleNamespace(
        slabs=dict.fromkeys(levels, volume),
        slices={x: LevelSlice(x, CENTRES[x]) for x in levels},
        bmd=dict.fromkeys(levels, hu / 250 + 0.2),
        bmd_total=hu / 250 + 0.2,
        anatomy_id=str(number),
        sex="FM"[number % 2],
        age_years=40.0 + 12.0 * number,
        bmi=22.0 + number,
    )


@pytest.mark.parametrize(
    ("seed", "population", "fresh"),
    [
        (172, "realistic", True),
        (900, "wide", True),
        (101, "wide", False),
        (101, "realistic", False),
        (111, "realistic", False),
    ],
)
def test_people_that_a_bundle_learned_from_are_no_test_of_it(tmp_path, seed, population, fresh):
    folder = cohort(tmp_path / "c", seed, population)
    if fresh:
        about, files = again.files_of(folder, CARD)
        assert about["seed"] == seed and len(files) == 3
    else:
        with pytest.raises(CTBMDError, match=f"seed {seed}, from which the bundle learned"):
            again.files_of(folder, CARD)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "no json",
        "[]",
        '{"seed": "x", "population": "wide", "institution": "A"}',
        '{"seed": 1e400, "population": "wide", "institution": "A"}',
        '{"seed": 5, "population": "wide"}',
    ],
)
def test_a_folder_that_is_no_cohort_gets_one_sentence(tmp_path, text, capsys):
    if text is not None:
        (tmp_path / "cohort.json").write_text(text)
    assert again.main([str(tmp_path)]) == 2
    told = capsys.readouterr()
    assert "is no cohort" in told.err and told.err.count("\n") == 1 and not told.out


def test_one_patient_is_no_cohort(tmp_path):
    with pytest.raises(CTBMDError, match="fewer than two patients"):
        again.files_of(cohort(tmp_path / "c", 5, count=1), CARD)


def test_every_training_part_of_the_bundle_that_comes_along_is_known():
    known = again.learned(ModelBundle.load(default_bundle_folder()).card)
    assert sum(name.startswith("validation") for name in known.values()) == 3
    assert known[101] == "wide"


def test_the_page_tells_what_the_figures_are(tmp_path, monkeypatch):
    folder = cohort(tmp_path / "fresh", 900, count=4)
    monkeypatch.setattr(again, "load_patient", lambda path: patient(int(path.stem[-4:])))
    out = tmp_path / "page.md"
    assert again.main([str(folder), "--output", str(out)]) == 0
    text = out.read_text()
    assert "Research use only" in text and "Simulated CT against" in text
    (row,) = [line for line in text.splitlines() if line.startswith("| fresh:")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[0] == "fresh: realistic, A, seed 900" and cells[1].startswith("4, ")
    bundle = ModelBundle.load(default_bundle_folder())
    found = again.held(bundle, sorted(folder.glob("*.npz")), again.load_patient)
    assert cells[4] == f"{found['told']['figures']['sd'][0]:.3f}"
    assert cells[5] == f"{found['told']['figures']['bias'][0]:+.3f}"
    assert (
        found["untold"]["coverage"]["half_width_total_g_cm2"]
        > (found["told"]["coverage"]["half_width_total_g_cm2"])
    )
    assert sum(x["patients"] for x in found["by age"]) == 4
    assert np.isfinite(found["told"]["figures"]["r"]).all()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"calibration": {"scale": 1.1}}, "calibrated"),
        ({"cohorts": None}, "does not tell"),
        ({"cohorts": []}, "does not tell"),
        ({"cohorts": {"train": {"seed": 101}}}, "does not tell"),
        ({"cohorts": {"wide": {}}}, "does not tell"),
        ({"cohorts": {"wide": 3}}, "does not tell"),
    ],
)
def test_a_bundle_that_does_not_tell_what_it_learned_from_is_not_tested(change, told):
    with pytest.raises(CTBMDError, match=told):
        again.learned({**CARD, **change})


@pytest.mark.parametrize("content", [b"", b"PK no archive", None])
def test_a_damaged_patient_gets_one_sentence_with_its_name(tmp_path, content, capsys):
    folder = cohort(tmp_path / "c", 900)
    file = folder / "patient_900_0001.npz"
    if content is None:
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes(content)
    assert again.main([str(folder)]) == 2
    told = capsys.readouterr().err
    assert "cannot be read as a virtual patient" in told and told.count("\n") == 1


def test_a_page_that_cannot_be_written_is_refused_before_the_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(again, "held", lambda *_: pytest.fail("worked for nothing"))
    out = tmp_path / "none" / "page.md"
    assert again.main([str(cohort(tmp_path / "c", 900)), "--output", str(out)]) == 2
    assert "There is no folder" in capsys.readouterr().err
