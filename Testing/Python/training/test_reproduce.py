"""The whole way from a cohort to bundle and report, on phantoms in place of simulated patients."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from phantoms import CENTRES, phantom

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from CTBMDLib.levels import LevelSlice  # noqa: E402
from CTBMDLib.model.bundle import ModelBundle  # noqa: E402
from training import reproduce  # noqa: E402
from training.evaluation.assess import mask_bone  # noqa: E402
from training.fitting.members import others, split_by_anatomy, training_images  # noqa: E402
from training.fitting.train import Settings  # noqa: E402
from training.virtual.estimates import Cohort  # noqa: E402
from training.virtual.measures import stratified_traits  # noqa: E402

LEVELS = {"L1": CENTRES["L1"], "L2": CENTRES["L2"]}


def patient(number: int, group: int = 1):
    """A phantom whose bone, and with it the areal BMD, depends on its number."""
    hu = 80.0 + 43 * (number * 7 % 9)
    volume = phantom((4.0, 4.0, 5.0), bone_hu=hu, kvp=120.0)
    return SimpleNamespace(
        slabs={x: volume for x in LEVELS},
        slices={x: LevelSlice(x, ras) for x, ras in LEVELS.items()},
        bmd={x: hu / 250 + 0.2 for x in LEVELS},
        bmd_total=hu / 250 + 0.2,
        anatomy_id=str(number // group),
        sex="FM"[number % 2],
        age_years=40.0 + number,
        bmi=22.0 + number,
    )


@pytest.fixture
def small():
    plan = replace(
        reproduce.QUICK,
        images_per_plane=1,
        images_seen=20,
        settings=Settings(batch=8),
        studies=None,
        seeds=(0, 1),
        draws=20,
    )
    parts = {name: replace(part, count=6) for name, part in plan.parts.items()}
    return replace(plan, parts=parts)


@pytest.mark.slow
def test_cohort_to_bundle_and_report_and_again(tmp_path, monkeypatch, small):
    made = []

    def make_cohort(folder, count, seed, **how):
        made.append((Path(folder).name, count, seed, how["population"], how["institution"]))
        return [Path(folder) / f"patient_{seed:03d}_{n:04d}.npz" for n in range(count)]

    monkeypatch.setattr(reproduce, "make_cohort", make_cohort)
    monkeypatch.setattr(reproduce, "load_patient", lambda path: patient(int(path.stem[-4:]), 2))
    pages = []
    monkeypatch.setattr(reproduce, "write_cohort_pages", lambda *given: pages.append(given))
    counts = {use: {"pass": 1} for use in ("set", "test")}
    monkeypatch.setattr(reproduce, "judge_people", lambda *given: {"people": 4, **counts})
    options = Namespace(workers=1, device="cpu")
    report = reproduce.run(small, tmp_path, tmp_path / "results", tmp_path / "bundle", options)
    assert [name for name, *_ in made] == [
        "wide",
        "off_middle",
        "validation",
        "validation_2",
        "internal",
        "external",
        "asia",
        "several",
    ]
    assert len(pages) == 1
    assert {entry[4] for entry in made} == {"mixed", "A", "B", "C"}

    bundle = ModelBundle.load(tmp_path / "bundle")
    assert bundle.simulated and len(bundle.members) == 2
    assert bundle.card["dxa_device"] == "hologic"
    assert bundle.card["training"]["patients"] == report["patients"]["train"] == 4
    assert bundle.card["training"]["scans"] == 8 and bundle.card["training"]["images"] == 8 * 6
    assert bundle.card["anchors"]["test"] == {"pass": 1}
    assert bundle.card["metrics"]["external"]["patients"] == 6
    assert report["patients"]["validation"] == 12 and report["patients"]["several"] == 6
    assert "simulated" in bundle.card["metrics"]["external"]["kind"]
    assert bundle.card["reproduce"].startswith("python -m training.reproduce")
    assert reproduce.command(reproduce.FULL) == "python -m training.reproduce"
    assert reproduce.command(reproduce.QUICK).endswith("reproduce --quick")
    parts = {**reproduce.FULL.parts, "wide": replace(reproduce.FULL.parts["wide"], count=201)}
    fewer = replace(reproduce.FULL, parts=parts)
    assert reproduce.command(fewer).endswith("reproduce --train-patients 201")

    text = (tmp_path / "results" / "report.md").read_text()
    for part in (
        "Research use only",
        "simulated CT and simulated DXA",
        "slice DXA",
        "trabecular HU",
        "bone masked out",
        "Not comparable",
    ):
        assert part in text, part
    picture = (tmp_path / "results" / "agreement.svg").read_text()
    assert "simulated DXA L1-L4" in picture and picture.count("<use ") > 6
    figures = json.loads((tmp_path / "results" / "figures.json").read_text())
    # On phantoms BMD is a line of the ROI's HU, so that this baseline is exact.
    assert figures["tested"]["internal"]["trabecular HU"]["r"][0] == pytest.approx(1.0, abs=1e-3)

    # A second call trains nothing anew and answers the same.
    seen = []
    monkeypatch.setattr(reproduce, "say", seen.append)
    again = reproduce.run(small, tmp_path, tmp_path / "results", tmp_path / "bundle", options)
    assert not any("epoch" in text for text in seen)
    assert again["tested"]["external"]["prediction"] == report["tested"]["external"]["prediction"]


def test_people_are_judged_once_and_told_in_the_results(tmp_path, monkeypatch, small):
    asked = []

    def people(count, seed, progress, workers):
        asked.append((count, seed))
        traits = stratified_traits(24, 3)
        return Cohort.of(traits, [{"l1_hu": 150.0 + n, "abmd": 0.9 + n / 100} for n in range(24)])

    monkeypatch.setattr(reproduce.checks, "virtual_people", people)
    kept = reproduce.judge_people(small, tmp_path, tmp_path / "results")
    assert kept == reproduce.judge_people(small, tmp_path, tmp_path / "results")
    assert asked == [(small.people, 0)] and set(kept) == {"people", "set", "test"}
    text = (tmp_path / "results" / "anchors_after.txt").read_text()
    told = ", ".join(f"{n} {mark}" for mark, n in kept["set"].items())
    assert f"set: {told}\n" in text and "4 Western people and 2 East Asian" in text


def test_nobody_is_trained_on_who_is_held_out():
    paths = [Path(f"p_{n:04d}") for n in range(30)]
    load = lambda path: patient(int(path.stem[-4:]), 3)  # noqa: E731
    wide, held = split_by_anatomy(paths, load)
    again = others(paths[:12], held, load)
    assert again and set(again) < set(wide)


def test_a_quick_run_learns_from_people_off_their_middle_and_a_tiny_one_does_without(tmp_path):
    load = lambda path: patient(int(path.stem[-4:]), 3)  # noqa: E731
    parts = reproduce.QUICK.parts
    wide, held = split_by_anatomy([Path(f"p_{n:04d}") for n in range(parts["wide"].count)], load)
    again = [Path(f"p_{n:04d}") for n in range(parts["off_middle"].count)]
    assert others(again, held, load)
    plan = replace(reproduce.QUICK, images_per_plane=1)
    sources = {"train": wide, "train_off_middle": []}
    train, valid = training_images(plan, tmp_path, sources, held, load)
    assert len(train) > 0 and len(valid) > 0


def test_fewer_people_are_scanned_off_their_middle_too_where_fewer_are_asked_for():
    given = reproduce.parser().parse_args(["--train-patients", "60"])
    parts = reproduce.chosen_plan(given).parts
    assert parts["wide"].count == parts["off_middle"].count == 60
    assert parts["wide"].changes and not parts["off_middle"].changes


@pytest.mark.parametrize("quick", [[], ["--quick"]])
def test_the_studies_networks_are_made_only_where_asked_for(quick):
    given = reproduce.parser().parse_args(quick)
    asked = reproduce.parser().parse_args([*quick, "--studies"])
    assert reproduce.chosen_plan(given).studies is None
    whole = reproduce.QUICK if quick else reproduce.FULL
    assert reproduce.chosen_plan(asked).studies == whole.studies is not None


def test_the_negative_control_sees_no_bone():
    hu = np.random.default_rng(0).normal(300, 400, (2, 64, 64))
    assert mask_bone(hu).max() <= 80
