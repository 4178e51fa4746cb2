"""The one call with a model whose answers are known: every number of a row by hand."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from types import SimpleNamespace

import numpy as np
import pytest
from phantoms import CENTRES, STANDARD, chosen, phantom

from CTBMDLib.bmd import estimate as module
from CTBMDLib.bmd.estimate import (
    MAX_AGE,
    MIN_LEVELS,
    Answer,
    Common,
    Cut,
    check_person,
    choose,
    estimate,
    total_row,
)
from CTBMDLib.bmd.quality import Finding
from CTBMDLib.bmd.reference import ReferenceTable
from CTBMDLib.bmd.roi import TrabecularRegion
from CTBMDLib.bmd.structure import Structure
from CTBMDLib.errors import CTBMDError
from CTBMDLib.levels import LevelSelection, LevelSlice
from CTBMDLib.volume import Acquisition, CTVolume

ANSWERS = {
    "L1": [[0.90, 0.96, 0.99], [1.00, 1.02, 1.07]],
    "L2": [[1.01, 1.00, 1.02], [1.05, 1.06, 1.03]],
    "L3": [[1.08, 1.11, 1.05], [1.10, 1.13, 1.16]],
}
FLOOR, FOR_LEVEL, FOR_TOTAL = 0.02, 2.0, 1.5
AIR = CTVolume(np.full((4, 4, 4), -1000.0, np.float32), np.diag([40.0, 40.0, 40.0, 1.0]))


class Known:
    """A bundle of two members that answers what it is told and keeps what it was asked."""

    standard, name, version = STANDARD, "known", "1.2.3"

    def __init__(self, answers=ANSWERS, population="patients", **card):
        self.answers = np.concatenate([np.array(x) for x in answers.values()], axis=1)
        self.population = population
        self.simulated = population == "simulated"
        interval = {"floor_g_cm2": FLOOR, "quantile_level": FOR_LEVEL, "quantile_total": FOR_TOTAL}
        self.card = {"interval": interval, **card}

    def predict(self, stack, device, backend, *, kvp=None):
        self.asked = (stack.shape, device, backend, kvp)
        return self.answers


@pytest.fixture(scope="module")
def volume():
    return phantom((4.0, 4.0, 5.0), series_uid="1.2.3", kvp=100.0, patient_id="p7", age_years=61.0)


def spread(*, members, images):
    return np.sqrt(FLOOR**2 + members + images)


def test_every_number_by_hand(volume):
    model = Known()
    result = estimate(volume, chosen(), model, device="cpu", backend="numpy")
    assert model.asked == ((9, 64, 64), "cpu", "numpy", 100.0)
    variances, means = [], []
    for row in result.levels:
        values = np.array(ANSWERS[row.level])
        variances.append(np.var(values.mean(axis=0), ddof=1) / 3)
        means.append(values.mean(axis=1))
        half = FOR_LEVEL * spread(members=np.var(means[-1]), images=variances[-1])
        assert row.bmd_g_cm2 == pytest.approx(values.mean())
        assert row.bmd_low == pytest.approx(values.mean() - half)
        assert row.bmd_high == pytest.approx(values.mean() + half)
        assert (row.images, row.slice_s_mm) == (3, CENTRES[row.level][2])
        assert (row.selection, row.included, row.levels) == ("found", True, None)
    total = result.total
    members = np.mean(means, axis=0)
    half = FOR_TOTAL * spread(members=np.var(members), images=sum(variances) / 9)
    assert total.bmd_g_cm2 == pytest.approx(np.mean(means))
    assert total.bmd_low == pytest.approx(np.mean(means) - half)
    assert total.bmd_high == pytest.approx(np.mean(means) + half)
    assert (total.images, total.slice_s_mm, total.levels) == (9, None, "L1 L2 L3")
    assert total.trabecular_hu == pytest.approx(np.mean([x.trabecular_hu for x in result.levels]))
    for row in result.rows:
        assert (row.case, row.series_uid) == ("case 1", None)
        assert (row.model, row.model_version, row.model_population) == (
            "known",
            "1.2.3",
            "patients",
        )
        assert row.t_score is None and row.category is None
    assert (result.sex, result.age, result.reference) == (None, 61.0, None)
    assert list(result.images) == ["L1", "L2", "L3"]
    assert result.total_reason is None


def test_the_case_is_what_was_given_and_asked_for_the_patient_then_the_volume(volume):
    for given, patient, wanted in (("x", "p7", "x"), (None, "p7", "p7"), (None, None, "phantom")):
        named = replace(volume, acquisition=replace(volume.acquisition, patient_id=patient))
        asked = estimate(named, chosen(), Known(), case=given, with_identity=True)
        assert (asked.total.case, asked.total.series_uid) == (wanted, "1.2.3")
        plain = estimate(named, chosen(), Known(), case=given)
        assert (plain.total.case, plain.total.series_uid) == (given or "case 1", None)


def test_sex_and_age_given_come_before_the_headers(volume):
    header = replace(volume, acquisition=replace(volume.acquisition, sex="M"))
    for given, wanted in ((None, "M"), ("F", "F")):
        assert estimate(header, chosen(), Known(), sex=given).sex == wanted
    for age, wanted in ((None, 61.0), (0, 0), (72.5, 72.5)):
        assert estimate(volume, chosen(), Known(), age=age).age == wanted


def test_t_scores_and_categories(volume):
    table = ReferenceTable.load("nhanes-hologic")
    real = estimate(volume, chosen(), Known(), sex="F", reference=table)
    assert real.total.t_score == pytest.approx((real.total.bmd_g_cm2 - 1.064) / 0.106)
    assert real.total.category == "normal" and real.reference == table.name
    assert all(row.category is None for row in real.levels)
    assert "no-sex" not in [x.code for x in real.findings]
    simulated = estimate(volume, chosen(), Known(population="simulated"), sex="F", reference=table)
    assert simulated.total.t_score == real.total.t_score and simulated.total.category is None
    unknown = estimate(volume, chosen(), Known(), reference=table)
    assert unknown.total.t_score is None and unknown.total.category is None
    last = unknown.findings[-1]
    assert (last.code, last.level, last.severity) == ("no-sex", None, "note")
    assert "no-sex" not in [x.code for x in estimate(volume, chosen(), Known()).findings]


def test_a_range_of_the_card_is_held_against_each_level(volume):
    wide = estimate(volume, chosen(), Known(bmd_range_g_cm2=[0.4, 1.6]))
    narrow = estimate(volume, chosen(), Known(bmd_range_g_cm2=[0.4, 1.0]))
    new = [x.level for x in narrow.findings if x not in wide.findings]
    assert new == ["L2", "L3"]
    assert f"see the findings of {' '.join(new)}; " in narrow.total.findings


def test_density_below_nought_keeps_its_interval(volume):
    for offset, wanted in ((-1.06, "estimate"), (-1.02, "nought")):
        low = {name: np.array(x) + offset for name, x in ANSWERS.items()}
        total = estimate(volume, chosen(), Known(low)).total
        # Once the estimate itself lies below nought its lower end is the estimate.
        assert total.bmd_low == (min(total.bmd_g_cm2, 0.0) if wanted == "estimate" else 0.0)
        assert total.bmd_high > total.bmd_g_cm2 > -1


def test_a_level_counts_where_it_is_included_and_one_of_the_four(volume):
    l5 = LevelSlice("L5", (3.0, -20.0, -40.0))
    items = (*chosen().levels, l5)
    answers = {**ANSWERS, "L5": [[2.0, 2.0, 2.0], [2.0, 2.0, 2.0]]}
    result = estimate(volume, LevelSelection(items), Known(answers))
    assert [(row.level, row.included) for row in result.levels] == [
        ("L1", True),
        ("L2", True),
        ("L3", True),
        ("L5", False),
    ]
    assert result.total.bmd_g_cm2 == pytest.approx(np.mean(list(ANSWERS.values())))
    assert "L1-L4 mean is without L4; " in result.total.findings
    text = [x for x in result.findings if x.code == "incomplete"]
    assert [(x.level, x.severity, x.text) for x in text] == [
        (None, "note", "The L1-L4 mean is without L4.")
    ]


def structure(hu):
    """A vertebra of which only the trabecular HU are known."""
    region = None if hu is None else TrabecularRegion(hu, None, 0.0, np.zeros((0, 3)))
    return Structure(None, region, None)


def cuts(names, trabecular):
    items = [LevelSlice(name, (0, 0, 0)) for name in names]
    return [
        Cut(item, None, structure(hu), item) for item, hu in zip(items, trabecular, strict=True)
    ]


def rows_of(names, trabecular, findings=()):
    common = Common("c", None, None, None, Known(), list(findings))
    answers = {name: np.full((2, 3), 1.0) for name in names}
    total, reason = total_row(common, cuts(names, trabecular), answers)
    return common, total, reason


def test_the_mean_needs_two_levels_exactly():
    assert MIN_LEVELS == 2
    common, total, reason = rows_of(["L1"], [100.0])
    assert total is None and reason == common.findings[0].text
    assert "at least two included levels" in reason
    finding = common.findings[0]
    assert (finding.code, finding.level, finding.severity) == ("no-total", None, "note")
    _, total, reason = rows_of(["L1", "L2"], [100.0, 120.0])
    assert reason is None and total.trabecular_hu == 110.0
    assert rows_of(["L1", "L2"], [100.0, None])[1].trabecular_hu is None
    assert rows_of(["L1", "L2"], [None, None])[1].trabecular_hu is None


def test_the_mean_of_all_four_has_no_finding_of_its_own():
    names = ["L1", "L2", "L3", "L4"]
    common, total, _ = rows_of(names, [100.0] * 4)
    assert common.findings == [] and "without" not in total.findings
    note, warning = Finding("a", "L2", "A.", "note"), Finding("b", "L3", "B.", "warning")
    _, total, _ = rows_of(names, [100.0] * 4, [note, warning])
    assert total.findings.startswith("see the findings of L3; ")


def test_findings_of_the_scan_are_in_the_mean_and_those_of_a_level_in_its_row():
    common = Common("c", None, None, None, Known(), [])
    common.findings.append(Finding("a", None, "Of the scan.", "note"))
    common.findings.append(Finding("b", "L1", "Of L1.", "note"))
    answer = Answer(np.array([1.0, 1.2]), 0.0, 3)
    assert answer.bmd == pytest.approx(1.1)
    assert common.row("L1", answer, "found").findings.startswith("Of L1; ")
    assert common.row("L1-L4", answer, "mean").findings.startswith("Of the scan; ")
    assert not common.row("L2", answer, "found").findings.startswith("Of")
    assert common.row("L2", answer, "found").included is True


@pytest.mark.parametrize("age", [-0.1, 130.5, float("nan")])
def test_an_age_that_nobody_has(age):
    with pytest.raises(CTBMDError, match="not possible") as info:
        check_person("F", age)
    assert info.value.code == "age"


def test_ages_and_sexes_that_somebody_has():
    assert MAX_AGE == 130.0
    for age in (None, 0, 0.5, 130):
        for sex in (None, "F", "M"):
            check_person(sex, age)
    with pytest.raises(CTBMDError, match="'F' or 'M' or left out, not 'f'") as info:
        check_person("f", None)
    assert info.value.code == "sex"


@pytest.mark.parametrize(
    ("of_choice", "of_volume", "refused"),
    [("1", "2", True), ("1", "1", False), (None, "1", False), ("1", None, False)],
)
def test_a_selection_of_another_series(of_choice, of_volume, refused):
    selection = LevelSelection(chosen().levels, series_uid=of_choice)
    volume = replace(AIR, acquisition=Acquisition(series_uid=of_volume))
    if not refused:
        assert choose(volume, selection) == list(selection)
        return
    with pytest.raises(CTBMDError, match="another CT series") as info:
        choose(volume, selection)
    assert info.value.code == "other-series"


def test_only_lumbar_levels_are_chosen():
    names = ("T12", "L1", "L4", "L5", "S1")
    items = tuple(LevelSlice(x, (0, 0, -10.0 * i)) for i, x in enumerate(names))
    assert [x.level for x in choose(AIR, LevelSelection(items))] == ["L1", "L4", "L5"]
    out = LevelSelection(tuple(replace(x, included=False) for x in items))
    assert [x.level for x in choose(AIR, out)] == ["L1", "L4"]
    for few in (LevelSelection(), LevelSelection((items[0], items[4]))):
        with pytest.raises(CTBMDError, match="No lumbar level is chosen") as info:
            choose(AIR, few)
        assert info.value.code == "no-level-chosen"


def test_progress_by_hand(volume):
    seen = []
    estimate(volume, chosen(), Known(), progress=lambda f, text: seen.append((f, text)))
    assert [f for f, _ in seen] == pytest.approx([0.0, 0.8 / 3, 1.6 / 3, 0.8, 1.0])
    assert [text for _, text in seen] == [
        "Cutting images of L1",
        "Cutting images of L2",
        "Cutting images of L3",
        "Estimating bone density",
        "Done",
    ]


def test_what_rows_are_made_of_is_not_changed():
    for made, name in (
        (cuts(["L1"], [1.0])[0], "item"),
        (Answer(np.ones(2), 0.0, 1), "images"),
        (Common("c", None, None, None, Known(), []), "case"),
    ):
        with pytest.raises(FrozenInstanceError):
            setattr(made, name, None)
    assert module.MEASURED == ("L1", "L2", "L3", "L4")


def test_all_but_the_first_three_are_keywords(volume):
    with pytest.raises(TypeError):
        estimate(volume, chosen(), Known(), "case")
    common = Common("c", None, None, None, Known(), [])
    with pytest.raises(TypeError):
        common.row("L1", Answer(np.ones(2), 0.0, 3), "found", 20.0)


def test_answers_belong_to_their_levels():
    parts = [SimpleNamespace(level="L1", images=SimpleNamespace(hu=np.zeros((2, 4, 4))))]
    parts += [SimpleNamespace(level="L3", images=SimpleNamespace(hu=np.zeros((1, 4, 4))))]
    model = Known({"L1": [[1.0, 2.0]], "L3": [[3.0]]})
    answers = module.predict(model, parts, None)
    assert {k: v.tolist() for k, v in answers.items()} == {"L1": [[1.0, 2.0]], "L3": [[3.0]]}
    assert model.asked == ((3, 4, 4), "auto", None, None)
