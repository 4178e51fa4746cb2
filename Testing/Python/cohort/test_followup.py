"""Two CTs of one person: the change, the least significant change, and what else differs."""

import csv
import io
import json
from dataclasses import replace

import pytest

from CTBMDLib.bmd.finding import Finding
from CTBMDLib.bmd.result import BMDResult, LevelResult
from CTBMDLib.cohort.followup import (
    CHANGED,
    NOT_DISTINGUISHABLE,
    UNKNOWN,
    Precision,
    Scan,
    change_words,
    changes_of,
    compare,
    differences,
    precision_of,
    reported,
    to_csv,
    to_dict,
)
from CTBMDLib.cohort.outcome import Facts
from CTBMDLib.dxa import scale_for
from CTBMDLib.errors import CTBMDError

SAME = Facts("p", 100, 120.0, 3.0, "B30f", "SIEMENS", "Force", "none", "F", 60.0)


def row(case, level, bmd, **more):
    facts = {
        "case": case, "series_uid": None, "level": level, "slice_s_mm": ord(case[-1]) / 7, "images": 3,
        "bmd_g_cm2": bmd, "bmd_low": bmd - 0.1, "bmd_high": bmd + 0.1, "t_score": None,
        "category": None, "trabecular_hu": 100.0, "selection": "found", "included": True,
        "levels": None, "findings": "", "dxa_scale": "hologic", "model": "m",
        "model_version": "1", "model_population": "simulated",
    }  # fmt: skip
    return LevelResult(**(facts | more))


def scan(case="a", bmd=1.0, facts=SAME, out=(), findings=(), **more):
    """A scan whose levels L1 to L4 have bmd, bmd + 0.1 ...; those of `out` do not count."""
    levels = [
        row(case, f"L{n + 1}", bmd + 0.1 * n, included=f"L{n + 1}" not in out, **more)
        for n in range(4)
    ]
    return Scan(BMDResult(levels, None, None, list(findings), "", facts.sex, facts.age), facts)


def test_a_change_is_the_difference_of_the_levels_that_count_in_both():
    later = scan("b", 0.9, replace(SAME, day=465, age=61.0), out=("L4",))
    change = compare(scan(), later, Precision(0.02, "site"))
    assert change.levels == ("L1", "L2", "L3") and change.days == 365
    assert change.before == pytest.approx(1.1) and change.change == pytest.approx(-0.1)
    assert change.percent == pytest.approx(-100 / 11)
    assert change.verdict == CHANGED
    other, fewer = change.warnings
    assert other.startswith("Other levels count in the two CTs; the values are of those that")
    assert fewer.startswith("The precision is that of L1-L4; a mean of 3 vertebrae")
    assert "-0.100 g/cm2 (-9.1 %) in 365 days: changed (least significant change 0.055" in (
        change_words(change)
    )


@pytest.mark.parametrize(
    ("after", "verdict"),
    [(1.0, NOT_DISTINGUISHABLE), (1.0277, NOT_DISTINGUISHABLE), (1.0278, CHANGED), (0.97, CHANGED)],
)
def test_what_does_not_exceed_2_77_times_the_precision_is_not_distinguishable(after, verdict):
    later = scan("b", after, replace(SAME, day=100))
    change = compare(scan(), later, Precision(0.01, "site"))
    assert change.verdict == verdict and change.warnings == ()
    assert compare(scan(), later).verdict == UNKNOWN
    assert "unknown, since no precision" in change_words(compare(scan(), later))


def test_one_level_in_common_is_no_change():
    change = compare(scan(out=("L1", "L2")), scan("b", out=("L3",)), Precision(0.01, "site"))
    assert (change.levels, change.change, change.verdict) == (("L4",), None, UNKNOWN)
    assert "Fewer than two levels" in change_words(change)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"kvp": 100.0}, "The tube voltage differs (120 kV, 100 kV)"),
        ({"kvp": None}, "The tube voltage of the later CT is unknown"),
        ({"kernel": "B70f"}, "The kernel differs (B30f, B70f)"),
        ({"manufacturer": "GE"}, "The scanner differs (SIEMENS Force, GE Force)"),
        ({"thickness_mm": 5.0}, "The slice thickness differs (3 mm, 5 mm)"),
        ({"contrast": "given"}, "Contrast agent was given for one"),
        ({"day": None}, "The order of the two CTs is not known"),
        ({"day": 10, "age": 60.0}, "The CT called earlier is the later one"),
        ({"sex": "M"}, "The sex differs"),
        ({"age": 70.0}, "The ages do not fit"),
    ],
)
def test_what_else_differs_is_said(changed, said):
    later = scan("b", facts=replace(SAME, **changed))
    told = differences(scan(), later)
    assert len(told) == 1 and told[0].startswith(said)
    assert differences(scan(), scan("b")) == []


def test_patient_ids_that_differ_are_said():
    assert differences(scan(), scan("b", facts=replace(SAME, person="q"))) == [
        "The patient IDs differ: these may be two persons"
    ]


def test_values_that_are_off_or_corrected_in_one_ct_are_said():
    off, mended = (Finding(code, None, "x") for code in ("tissue-hu", "values-corrected"))
    (said,) = differences(scan(findings=[off]), scan("b"))
    assert said == "Air, fat or muscle of a CT lie where they cannot, so its values are off"
    (said,) = differences(scan(), scan("b", findings=[mended]))
    assert said == "The values of only one of the two CTs were corrected by air and fat"
    assert differences(scan(findings=[mended]), scan("b", findings=[mended])) == []


def test_a_change_is_told_in_json_and_in_a_report():
    later = scan("b", 0.9, replace(SAME, day=465, age=61.0))
    change = compare(scan(), later, Precision(0.0123, "site"))
    told = json.loads(json.dumps(to_dict(change)))
    assert told["change_g_cm2"] == -0.1 and told["change_percent"] == -8.7
    assert (told["bmd_earlier"], told["bmd_later"]) == (1.15, 1.05)
    assert (told["least_significant_change"], told["precision_sd"]) == (0.034, 0.0123)
    assert told["levels"] == ["L1", "L2", "L3", "L4"] and told["verdict"] == CHANGED
    assert "earlier_ct" not in told and to_dict(change, "A")["earlier_ct"] == "A"
    unknown = to_dict(compare(scan(out=("L1", "L2")), scan("b", out=("L3",))))
    assert unknown["change_g_cm2"] is unknown["least_significant_change"] is None
    earlier = reported(change, "A")
    assert (earlier.words, earlier.called) == (change_words(change), "A")
    assert earlier.warnings == change.warnings and earlier.levels == change.levels


def test_uncertain_numbers_are_said():
    doubtful = scan("b", findings=[Finding("numbering", None, "Uncertain.")])
    assert "The vertebra numbers are uncertain" in differences(scan(), doubtful)[0]


def test_values_of_other_devices_or_models_are_not_compared():
    for more, code in (
        ({"dxa_scale": "lunar"}, "followup-dxa"),
        ({"model_version": "2"}, "followup-model"),
    ):
        with pytest.raises(CTBMDError) as caught:
            compare(scan(), scan("b", **more))
        assert caught.value.code == code


def test_everybody_with_several_cts_is_compared_with_the_first_and_the_one_before():
    scans = [
        scan("late", 0.8, replace(SAME, day=300)),
        scan("alone", facts=replace(SAME, person="q")),
        scan("nobody", facts=replace(SAME, person=None)),
        scan("first", 1.0, replace(SAME, day=100)),
        scan("middle", 0.9, replace(SAME, day=200)),
        scan("x", facts=replace(SAME, person="r", day=None)),
        scan("y", facts=replace(SAME, person="r")),
    ]
    changes = changes_of(scans, Precision(0.02, "model"))
    assert [(x.person, x.earlier, x.later, x.days) for x in changes] == [
        ("person 1", "first", "middle", 100),
        ("person 1", "first", "late", 200),
        ("person 1", "middle", "late", 100),
        ("person 2", "x", "y", None),
    ]
    rows = list(csv.DictReader(io.StringIO(to_csv(changes))))
    assert rows[0]["change_g_cm2"] == "-0.100" and rows[0]["least_significant_change"] == "0.055"
    assert rows[0]["verdict"] == "changed" and rows[3]["days"] == ""


def test_the_precision_is_the_sites_else_what_was_measured_of_the_model():
    card = {"metrics": {"real": {"repeatability_sd": 0.012}, "other": {"repeatability_sd": True}}}
    assert precision_of(card, None, 0.02) == Precision(0.02, "site")
    assert precision_of(card, None) == Precision(pytest.approx(0.012), "model")
    slope = scale_for(card, "lunar").slope  # a Lunar's g/cm2 are larger
    assert slope > 1.05 and precision_of(card, "lunar").sd == pytest.approx(0.012 * slope)
    for nothing in ({}, {"metrics": {"repeatability_sd": -1.0}}, {"metrics": []}):
        assert precision_of(nothing, None) is None
    for wrong in (0.0, -0.01, 12.0, float("nan")):
        with pytest.raises(CTBMDError, match="precision"):
            precision_of(card, None, wrong)


def test_copies_of_one_ct_are_told():
    """An archive often has a study twice, as a folder and as a ZIP; 'no change' is then no news."""
    told = "Slices, HU and values are the same: these may be two copies of one CT"
    assert told in compare(scan(), scan("copy of a")).warnings
    assert told in compare(scan(), scan("a", facts=replace(SAME, kernel="B70f"))).warnings
    for other in (scan("a", 1.0001), scan("a", trabecular_hu=100.1), scan("b")):
        assert told not in compare(scan(), other).warnings


@pytest.mark.parametrize("unknown", [(True, False), (False, True), (True, True)])
def test_persons_that_are_not_known_to_be_one_are_said(unknown):
    both = [scan(x, 1.0 + n / 10, replace(SAME, day=100 + n)) for n, x in enumerate("ab")]
    assert compare(*both).warnings == ()
    hidden = [
        replace(x, facts=replace(x.facts, person=None)) if hide else x
        for x, hide in zip(both, unknown, strict=True)
    ]
    assert compare(*hidden).warnings == ("It is not known whether both CTs are of the same person",)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_a_precision_of_more_vertebrae_is_said_to_be_one(count):
    out = [f"L{n + 1}" for n in range(count, 4)]
    both = [scan(x, 1.0 + n / 10, replace(SAME, day=100 + n), out) for n, x in enumerate("ab")]
    said = " ".join(compare(*both, Precision(0.01, "model")).warnings)
    assert (f"a mean of {count} vertebrae repeats less well" in said) == (count < 4)
    assert compare(*both).warnings == ()  # there is no limit to be too small


def test_one_site_whose_device_is_not_known_is_compared_with_itself():
    a, b = scan(dxa_scale=None), scan("b", 1.1, replace(SAME, day=200), dxa_scale=None)
    assert compare(a, b).change == pytest.approx(0.1)
    with pytest.raises(CTBMDError, match="different DXA devices"):
        compare(a, scan("b"))
