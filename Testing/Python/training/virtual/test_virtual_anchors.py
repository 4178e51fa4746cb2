"""The published anchors, their division, and the report that holds virtual people to them."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from CTBMDLib.dxa import Scale
from CTBMDLib.errors import CTBMDError
from training.virtual import checks, estimates, measures
from training.virtual.anatomy import make_scene
from training.virtual.anchors import FILE, load_anchors
from training.virtual.revision import revision
from training.virtual.traits import Traits

ROW = """
[source.x]
citation = "A 2000"
population = "people"
seen = "read"

[[anchor]]
id = "hu.F"
quantity = "l1_hu"
statistic = "mean"
unit = "HU"
value = 200.0
low = 190.0
high = 210.0
use = "set"
source = "x"
"""


@pytest.fixture(scope="module")
def anchors():
    return load_anchors()


def series(anchors, start):
    return [a.use for a in anchors if a.id.startswith(start)]


def test_each_anchor_says_what_it_is_and_where_it_was_seen(anchors):
    assert len(anchors) > 60
    for a in anchors:
        assert a.citation
        assert a.population
        assert a.low <= a.value <= a.high
    assert {a.use for a in anchors} == {"set", "test"}


def test_the_division_follows_its_rule(anchors):
    """Decades alternate, and what is set in one sex is tested in the other."""
    for name in ("hu", "abmd"):
        women, men = (
            [a.use for a in anchors if a.id.startswith(f"{name}.{sex}.") and a.id[-3] == "-"]
            for sex in "FM"
        )
        assert len(women) >= 6
        assert all(a != b for a, b in zip(women, women[1:], strict=False))
        assert all(a != b for a, b in zip(women, men, strict=True))
    for people in ("western", "east-asian"):
        assert series(anchors, f"line.{people}") == ["set", "test", "set", "test"]
    assert set(series(anchors, "shell")) == {"test"}
    assert series(anchors, "hu-abmd.r") == ["test"]
    assert series(anchors, "abmd.spread") == ["set"]  # acted on since bundle 2.2.0
    assert series(anchors, "body-mineral.F.young") == ["set"]


def test_nhanes_is_the_table_of_the_summary(anchors):
    by_id = {a.id: a for a in anchors}
    for sex, rows in checks.NHANES.items():
        for n, (mean, sd) in enumerate(rows):
            a = by_id[f"abmd.{sex}.{20 + 10 * n}-{29 + 10 * n}"]
            assert (a.value, a.sd) == (mean, sd)
            assert a.high - a.value == pytest.approx(0.3 * sd, abs=1e-3)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("", "", None),
        ('unit = "HU"', 'unit = "g"', "is in g and should be in HU"),
        ("value = 200.0", "value = 900.0", "outside -50 to 500"),
        ("value = 200.0", 'value = "200"', "no number"),
        ("value = 200.0", "value = true", "no number"),
        ("high = 210.0", "high = 195.0", "does not hold its own value"),
        ('use = "set"', 'use = "both"', "none of set, test"),
        ('source = "x"', 'source = "y"', "a source 'y' that the file does not hold"),
        ('seen = "read"', 'seen = "heard"', "unknown 'seen'"),
        ('seen = "read"', "", "without seen"),
        ('statistic = "mean"', 'statistic = "at_hu"', "has no hu"),
        ('use = "set"', 'use = "set"\nage = [40, 30]', "no range of years"),
        ('use = "set"', 'use = "set"\nse = 0.0', "not above zero"),
        ('use = "set"', 'use = "set"\ncolour = "red"', "not known"),
        ('id = "hu.F"', "", "has no id"),
        ("[[anchor]]", "[[other]]", "no anchors"),
        ("[[anchor]]", "[[anchor", "not a TOML file"),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(tmp_path, before, after, said):
    path = tmp_path / "anchors.toml"
    path.write_text(ROW.replace(before, after) if before else ROW)
    if said is None:
        assert load_anchors(path)[0].value == 200.0
        return
    with pytest.raises(CTBMDError, match="anchors") as error:
        load_anchors(path)
    assert said in str(error.value)
    assert "\n" not in str(error.value).strip() or "TOML" in said


def test_an_anchor_that_appears_twice_or_no_file_is_refused(tmp_path):
    path = tmp_path / "anchors.toml"
    path.write_text(ROW + ROW[ROW.index("[[anchor]]") :])
    with pytest.raises(CTBMDError, match="appears twice"):
        load_anchors(path)
    with pytest.raises(CTBMDError, match="cannot be read"):
        load_anchors(tmp_path / "none.toml")


def people(count, seed=3):
    """Traits with HU and aBMD that are a known function of them."""
    traits = measures.stratified_traits(count, seed)
    rng = np.random.default_rng(seed)
    measured = []
    for t in traits:
        hu = 1400 * t.trabecular - 20 + rng.normal(0, 5)
        measured.append({"l1_hu": hu, "abmd": 0.4 + 0.003 * hu + rng.normal(0, 0.02)})
    return traits, measured


def test_people_are_spread_evenly_and_the_same_for_a_seed():
    traits = measures.stratified_traits(28, 1)
    places = [(t.sex, int(t.age // 10)) for t in traits]
    assert all(places.count(place) == 2 for place in set(places))
    assert len(set(places)) == 14
    assert traits == measures.stratified_traits(28, 1)
    assert traits[:5] == measures.stratified_traits(5, 1)


def test_means_by_two_phases_are_those_of_the_many(anchors):
    cohort = estimates.Cohort.of(*people(60), seed=3)
    assert cohort.two_phase
    anchor = next(a for a in anchors if a.id == "hu.F.40-49")
    value, error, count = cohort.figure(anchor)
    group = (cohort.many["sex"] == "F") & (cohort.many["age"] >= 40) & (cohort.many["age"] < 50)
    truth = (1400 * cohort.many["trabecular"][group] - 20).mean()
    print(f"two-phase {value:.1f} +- {error:.1f}, truth {truth:.1f} HU")
    assert count == 60
    assert abs(value - truth) < 3 * error
    assert error < 4


def test_lines_and_r_are_the_people_s_own(anchors):
    cohort = estimates.Cohort.of(*people(60))
    by_id = {a.id: a for a in anchors}
    value, error, _ = cohort.figure(by_id["line.western.140"])
    assert value == pytest.approx(0.4 + 0.003 * 140, abs=3 * error)
    assert cohort.figure(by_id["hu-abmd.r"])[0] > 0.95
    assert np.isnan(cohort.figure(by_id["growth.F"])[0])


def test_few_people_give_plain_means(anchors):
    cohort = estimates.Cohort.of(*people(28))
    assert not cohort.two_phase
    anchor = replace(next(a for a in anchors if a.id == "hu.F.40-49"), age=(20.0, 90.0))
    women = cohort.measured["l1_hu"][cohort.traits["sex"] == "F"]
    assert cohort.figure(anchor)[0] == pytest.approx(women.mean())


def test_a_verdict_knows_the_band_and_the_error(anchors):
    anchor = replace(anchors[0], low=90.0, high=110.0)
    assert checks.verdict(anchor, 100.0, 1.0) == "pass"
    assert checks.verdict(anchor, 115.0, 3.0) == "open"
    assert checks.verdict(anchor, 115.0, 2.0) == "FAIL"
    assert checks.verdict(anchor, np.nan, np.nan) == "-"


def test_an_anchor_is_held_beside_its_own_people(anchors):
    west, east = (estimates.Cohort.of(*people(60, seed)) for seed in (3, 4))
    east.people = "east-asian"
    anchor = next(a for a in anchors if a.id == "line.western.100")
    other = replace(anchor, people="east-asian")
    assert not np.isfinite(west.figure(other)[0])
    west.others["east-asian"] = east
    assert west.figure(anchor) != west.figure(other)
    assert west.figure(other) == east.figure(other)


def test_the_report_keeps_set_and_test_apart_and_names_what_fails(anchors):
    text, verdicts = checks.report(estimates.Cohort.of(*people(60)), anchors, "made up")
    head, tail = text.split("Anchors that test")
    assert "hu.F.20-29" in head
    assert "hu.F.30-39" not in head
    assert "hu.F.30-39" in tail
    assert "fails (set): hu." in tail
    counts = checks.counts(verdicts, anchors)
    assert sum(counts["set"].values()) + sum(counts["test"].values()) == len(anchors)
    told = ", ".join(f"{n} {mark}" for mark, n in counts["test"].items())
    assert f"test: {told}" in tail
    assert counts["test"]["FAIL"] == len(tail.split("fails (test): ")[1].split("\n")[0].split(", "))


def test_a_vertebra_that_dxa_does_not_see_is_made_denser(monkeypatch):
    seen = []

    def measure(scene):
        seen.append(scene.traits.mineral)
        if len(seen) < 3:
            raise measures.dxa.NoBoneEdge
        return "seen"

    monkeypatch.setattr(measures.dxa, "measure", measure)
    thin = Traits("F", 85.0, 20.0, 150.0, 7.0, 0.03, 0.6, 0.25, 1.0, 0.5, 1.0, 1.0)
    assert measures.seen_by_dxa(thin, 1)[1] == "seen"
    assert seen == pytest.approx([1.0, 1.2, 1.44])


def test_the_shell_reports_and_is_strict_only_where_asked(monkeypatch, capsys):
    cohort = estimates.Cohort.of(*people(60))
    monkeypatch.setattr(checks, "virtual_people", lambda *a: cohort)
    assert checks.report(cohort, [], "nobody's anchors")[1] == []
    assert checks.main(["--people", "60"]) == 0
    assert "line.western.140" in capsys.readouterr().out
    assert checks.main(["--people", "60", "--strict"]) == 1
    with pytest.raises(SystemExit) as error:
        checks.main([])
    assert error.value.code == 2


def test_people_stand_beside_the_anchors_of_their_own_descent(anchors):
    traits, measured = people(60)
    mixed = [
        replace(t, descent="east-asian" if n % 3 == 0 else "western") for n, t in enumerate(traits)
    ]
    own = checks.by_descent(mixed, measured)
    west = [n for n, t in enumerate(mixed) if t.descent == "western"]
    alone = estimates.Cohort.of([mixed[n] for n in west], [measured[n] for n in west])
    for name in ("line.western.100", "abmd.F.40-49"):
        anchor = next(a for a in anchors if a.id == name)
        assert own.figure(anchor) == alone.figure(anchor)
    east = next(a for a in anchors if a.id == "line.east-asian.100")
    assert np.isfinite(own.figure(east)[0]) and not np.isfinite(alone.figure(east)[0])
    only = checks.by_descent([replace(t, descent="east-asian") for t in traits], measured)
    assert only.people == "east-asian" and np.isfinite(only.figure(east)[0])
    assert checks.by_descent([replace(t, descent="any") for t in traits], measured) is None


class Kept:
    """A patient's file, as far as the checks read it."""

    def __init__(self, traits, device, bmd):
        self.facts, self.device, self.slabs, self.protocol = (
            {"traits": asdict(traits)},
            device,
            {},
            {},
        )
        self.sex, self.age_years = traits.sex, traits.age
        self.bmd_true = dict.fromkeys(("L1", "L2", "L3", "L4"), bmd)
        self.bmd_total_true = bmd


def test_a_lunars_values_stand_beside_the_anchors_as_a_hologics(monkeypatch, tmp_path):
    traits = people(60)[0]
    for device, bmd in (("hologic", 0.95), ("lunar", Scale("hologic", "lunar").value(0.95))):
        kept = [Kept(one, device, bmd) for one in traits]
        monkeypatch.setattr(checks, "patients", lambda folders, kept=kept: iter(kept))
        assert checks.people_of([tmp_path]).measured["abmd"] == pytest.approx(0.95)
        assert " 0.950 " in checks.summary([tmp_path])


@pytest.mark.parametrize(("said", "two_phase"), [("now", True), ("another", False), (None, False)])
def test_people_of_another_revision_are_not_regressed_on_the_people_of_now(
    monkeypatch, tmp_path, said, two_phase
):
    if said is not None:
        told = {"revision": revision() if said == "now" else "0123"}
        (tmp_path / "cohort.json").write_text(json.dumps(told))
    kept = [Kept(one, "hologic", 0.9) for one in people(60)[0]]
    monkeypatch.setattr(checks, "patients", lambda _: iter(kept))
    cohort = checks.people_of([tmp_path])
    assert cohort.two_phase == two_phase
    told = checks.report(cohort, [], "a folder")[0]
    assert ("regressed on traits" if two_phase else "of the people in a group") in told


def test_a_figure_without_an_error_has_no_z(anchors):
    anchor = replace(anchors[0], se=None)
    cohort = estimates.Cohort.of(*people(60))
    cohort.figure = lambda _: (anchor.value + 1, 1e-14, 60)
    assert " -  " in checks.table(cohort, [anchor])[0].split("accepted")[1].split("\n")[1]
    cohort.figure = lambda _: (anchor.value + 1, 0.5, 60)
    assert "+2.0" in checks.table(cohort, [anchor])[0]


def test_a_folder_without_patients_is_said_so(tmp_path, monkeypatch):
    assert checks.summary([tmp_path]) == "no patients in these folders"
    with pytest.raises(SystemExit, match="no virtual patients"):
        checks.main([str(tmp_path)])


@pytest.fixture(scope="module")
def scene():
    woman = Traits("F", 45.0, 24.0, 160.0, 8.22, 0.165, 0.4, 0.38, 1.3, 0.5, 1.06, 1.0)
    return make_scene(woman, 2)


def test_the_census_keeps_the_mineral_on_any_grid(scene):
    coarse, fine = (measures.census(scene, ("L3",), step) for step in (2.0, 1.2))
    assert coarse[0] == pytest.approx(fine[0], rel=0.01)
    assert coarse[1][0, 0] == pytest.approx(fine[1][0, 0], rel=0.01)
    share = fine[0][0, 1] / fine[0].sum()
    assert 0.45 < share < 0.55


def test_the_shell_is_the_cortex_s_own_mineral(scene):
    share = measures.shell_share(scene)
    thick = make_scene(replace(scene.traits, cortex_mm=0.6), 2)
    print(f"shell {share:.1f} %, with 0.60 mm {measures.shell_share(thick):.1f} %")
    assert 20 < share < measures.shell_share(thick) < 60


def test_the_coarse_slice_reads_within_one_percent_of_the_fine_one(scene):
    coarse = measures.noise_free_hu(scene)
    fine = measures.noise_free_hu(scene, grid=1.0, views=420)
    print(f"HU of L1: coarse {coarse:.1f}, fine {fine:.1f}")
    assert coarse == pytest.approx(fine, rel=0.01, abs=1.0)


def test_no_patient_of_a_cohort_depends_on_what_is_measured_here():
    """So the revision of the simulator stays what it was."""
    own = {"anchors", "checks", "estimates", "measures", "phantoms"}
    for path in FILE.parent.glob("*.py"):
        if path.stem not in own:
            text = path.read_text()
            assert not any(f"from .{name} import" in text for name in own), path.name
