"""What the studies of the report change, and that they change nothing else."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("numba")

from CTBMDLib.model.images import ImageStandard  # noqa: E402
from training.evaluation import studies  # noqa: E402
from training.evaluation.studies import Studies  # noqa: E402
from training.fitting.augment import Augmentation  # noqa: E402
from training.fitting.dataset import Images  # noqa: E402
from training.fitting.jobs import Job, train_jobs  # noqa: E402
from training.fitting.train import Settings  # noqa: E402
from training.virtual.traits import changed_priors, draw_traits, priors  # noqa: E402


def images(patients=6, each=4, size=64) -> Images:
    rng = np.random.default_rng(0)
    owner = np.repeat(np.arange(patients), each)
    return Images(
        rng.integers(-100, 400, (len(owner), size, size)).astype(np.int16),
        (0.5 + 0.1 * owner).astype(np.float32),
        owner,
        np.array(["L1"] * len(owner)),
        [f"p{n}" for n in range(patients)],
        np.full(len(owner), 120.0, np.float32),
    )


def test_a_changed_prior_changes_what_is_drawn_and_is_forgotten():
    def share():
        drawn = [draw_traits(np.random.default_rng(n), "realistic") for n in range(200)]
        return np.std([one.posterior_share for one in drawn]), [one.age for one in drawn]

    before, ages = share()
    wide = 4 * priors()["realistic"]["posterior_share_sd"]
    with changed_priors({"realistic.posterior_share_sd": wide}):
        wider, same_ages = share()
        with changed_priors(None):
            assert priors()["realistic"]["posterior_share_sd"] == wide
    assert wider > 1.5 * before
    assert same_ages == ages, "the same seeds draw the same people otherwise"
    assert share()[0] == before
    with pytest.raises(KeyError, match="no_such"), changed_priors({"realistic.no_such": 1}):
        pass
    assert share()[0] == before


def _prior(name):
    table = priors()
    for key in name.split("."):
        table = table[key]
    return table


def _leaves(value):
    """(sex, value) of a prior that differs by sex, ('', value) of another."""
    return sorted(value.items()) if isinstance(value, dict) else [("", value)]


def test_every_changed_prior_of_the_studies_is_one_of_the_file_and_another_value():
    for study in Studies().redrawn:
        for changes in study.changes.values():
            before = {name: _prior(name) for name in changes}
            with changed_priors(changes):
                assert all(_prior(name) == value for name, value in changes.items())
            for name, value in changes.items():
                old, new = _leaves(before[name]), _leaves(value)
                assert [key for key, _ in old] == [key for key, _ in new]
                assert [np.ndim(x) for _, x in old] == [np.ndim(x) for _, x in new]
                assert not any(
                    np.array_equal(x, y) for (_, x), (_, y) in zip(old, new, strict=True)
                )


def test_what_is_another_scanner_leaves_the_people_and_their_dxa_alone():
    (study,) = [x for x in Studies().redrawn if x.section == studies.SCANNERS]
    assert all(name.startswith("institution.B.") for x in study.changes.values() for name in x)
    everything = study.changes["all of the scanner of A"]
    a = priors()["institution"]["A"]
    # Who lives there and which DXA stands there is not the scanner.
    scanner = set(a) - {"descent", "device"}
    assert set(everything) == {f"institution.B.{key}" for key in scanner}
    assert all(
        np.array_equal(np.unique(value), np.unique(a[name.rsplit(".", 1)[1]]))
        for name, value in everything.items()
    )


def test_shuffled_labels_keep_a_patient_together_and_lose_the_link():
    given = images(patients=40)
    mixed = studies.shuffled(given, 0)
    assert np.array_equal(mixed.hu, given.hu)
    per_patient = [np.unique(mixed.bmd[mixed.patient == p]) for p in range(40)]
    assert all(len(values) == 1 for values in per_patient)
    assert np.allclose(np.sort(np.concatenate(per_patient)), np.unique(given.bmd))
    assert abs(np.corrcoef(mixed.bmd, given.bmd)[0, 1]) < 0.4


def test_images_of_some_patients():
    part = images().of(["p1", "p4"])
    assert set(part.patient) == {1, 4} and len(part) == 8 and part.names[4] == "p4"


def test_sizes_of_the_learning_curve_end_with_all_there_is():
    assert studies.curve_sizes(Studies(), 270) == [25, 50, 100, 200, 270]
    assert studies.curve_sizes(Studies(), 600) == [25, 50, 100, 200, 400, 600]


@pytest.mark.parametrize("change", [studies.small, studies.coarse])
def test_changed_image_standards_still_hold_the_vertebra(change):
    standard = change(ImageStandard())
    assert standard.size_px % 8 == 0
    wide = standard.size_px * standard.spacing_mm
    assert standard.anterior_mm >= 32, "the body's front is in view"
    assert wide - standard.anterior_mm >= 60, "so are the posterior elements"


@pytest.mark.slow
def test_jobs_side_by_side_train_as_one_after_another_and_resume(tmp_path):
    train = images()
    settings = Settings(epochs=1, batch=8, mixed=False)
    jobs = [
        Job(f"m{seed}", train, None, ImageStandard(), seed, settings, Augmentation.none())
        for seed in (0, 1)
    ]
    # One thread here as there: sums in another order drift apart in training.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        alone = train_jobs(jobs, tmp_path / "a", processes=1)
    finally:
        torch.set_num_threads(threads)
    beside = train_jobs(jobs, tmp_path / "b", processes=2)
    for one, other in zip(alone, beside, strict=True):
        assert max(np.abs(one[k] - other[k]).max() for k in one) < 1e-5
    assert np.abs(alone[0]["enc2a.weight"] - alone[1]["enc2a.weight"]).max() > 1e-3
    said = []
    train_jobs(jobs, tmp_path / "a", processes=1, log=said.append)
    assert not said, "what is finished is not trained again"


def test_the_middle_image_alone():
    table = SimpleNamespace()
    hu = np.arange(3 * 4).reshape(3, 2, 2)
    from training.evaluation.evaluate import Table

    table = Table([], [], *(np.zeros(1) for _ in range(7)), [{"L1": hu}], np.zeros(1))
    assert np.array_equal(studies.middle_images(table).images[0]["L1"], hu[1:2])
    assert np.array_equal(table.images[0]["L1"], hu)


@pytest.mark.parametrize("able", [True, False])
def test_bfloat16_is_taken_only_where_the_machine_has_it(monkeypatch, able):
    import torch

    from training.fitting.train import fast_in_bfloat16

    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: able, raising=False)
    assert fast_in_bfloat16("cpu") is able
    assert not fast_in_bfloat16("mps")


def test_the_control_is_read_by_the_mean_of_its_shuffles():
    from training.evaluation.report import study_lines

    def row(inside, outside):
        cell = [outside, outside - 0.1, outside + 0.1]
        figures = {"r": cell, "rmse": cell, "bias": cell}
        return {
            "patients": 9,
            "internal": {**figures, "r": [inside] * 3},
            "external": figures,
            "response": 0.5,
        }

    rows = {"shuffle 0": row(-0.6, 0.4), "shuffle 1": row(0.4, 0.2)}
    text = study_lines(studies.SHUFFLED, rows)
    assert "| mean of 2 | | -0.100 | +0.300 | 0.300 | | 0.50 |" in text
    assert not any("mean of" in line for line in study_lines("Ablations", rows))
