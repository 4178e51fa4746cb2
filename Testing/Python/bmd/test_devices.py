"""The DXA device to compare with: one maker's g/cm2 as another's, and everything that carries them."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from phantoms import bundle, chosen, phantom

from CTBMDLib.bmd.estimate import estimate
from CTBMDLib.bmd.export import format_table, report_text, to_delimited, to_rows, write_result
from CTBMDLib.bmd.reference import ReferenceTable, list_tables
from CTBMDLib.bmd.result import BMDResult
from CTBMDLib.dxa import (
    DEVICES,
    PERSON_SD,
    SAME,
    Scale,
    common_device,
    device_named,
    device_of,
    maker,
    scale_for,
)
from CTBMDLib.errors import CTBMDError
from CTBMDLib.model.bundle import ModelBundle, default_bundle_folder

TO_LUNAR, TO_HOLOGIC = Scale("hologic", "lunar"), Scale("lunar", "hologic")
BMD = np.linspace(0.3, 1.8, 31)
NAMES = [*DEVICES]


# -- the conversion ---------------------------------------------------------------------
@pytest.mark.parametrize("source", NAMES)
@pytest.mark.parametrize("target", NAMES)
def test_there_and_back_is_the_same(source, target):
    there, back = Scale(source, target), Scale(target, source)
    assert back.value(there.value(BMD)) == pytest.approx(BMD, abs=1e-12)
    assert there.slope * back.slope == pytest.approx(1)


def test_the_devices_are_not_changed():
    for made, name in ((DEVICES["lunar"], "slope"), (TO_LUNAR, "target")):
        with pytest.raises(FrozenInstanceError):
            setattr(made, name, None)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_moves_where_the_device_is_the_same(name):
    same = Scale(name, name)
    assert same.value(0.1 + 0.2) == 0.1 + 0.2 and same.half_width(0.1 + 0.2, "level") == 0.1 + 0.2
    assert not same.converts and same.slope == 1 and same.sd("total") == same.sd("level") == 0


def test_a_mean_is_converted_like_what_it_is_the_mean_of():
    assert TO_LUNAR.value(BMD).mean() == pytest.approx(TO_LUNAR.value(BMD.mean()))


def test_the_line_is_the_published_one():
    # The means of Hui's women, on each of the devices.
    assert TO_LUNAR.value(0.972) == pytest.approx(1.100)
    assert TO_LUNAR.slope == pytest.approx(1.0550 / 0.9683)


@pytest.mark.parametrize(
    ("hologic", "lunar", "within"),
    [
        # Genant 1994, both ways, over the range of his women's means.
        (0.906 * 1.0 - 0.025, 1.0, 0.01),
        (0.906 * 1.2 - 0.025, 1.2, 0.01),
        (0.80, 1.074 * 0.80 + 0.054, 0.01),
        (1.00, 1.074 * 1.00 + 0.054, 0.01),
        # Eur J Radiol 2007; 62:423: means of 100 other women.
        (0.950, 1.068, 0.01),
    ],
)
def test_other_studies_agree(hologic, lunar, within):
    assert TO_LUNAR.value(hologic) == pytest.approx(lunar, abs=within)


def test_what_the_conversion_leaves_open_is_as_large_as_published():
    # Fan 2010: standard errors of such equations are 4 to 7 %.
    for scale, mean in ((TO_LUNAR, 1.100), (TO_HOLOGIC, 0.972)):
        assert 0.04 < scale.sd("total") / mean < 0.07
        assert scale.sd("level") > scale.sd("total")
    # On the standardized scale: 0.029 of a person (times the root of 3 for a vertebra), 0.042 of a device.
    for scale, slope in ((TO_LUNAR, 0.9683), (TO_HOLOGIC, 1.0550)):
        assert scale.sd("total") * slope == pytest.approx(math.hypot(0.02883, 0.042), abs=1e-5)
        assert scale.sd("level") * slope == pytest.approx(math.hypot(0.04993, 0.042), abs=1e-5)
    # Genant's 0.023 g/cm2 is the mean of absolute differences.
    drawn = np.abs(np.random.default_rng(0).normal(0, PERSON_SD, 200_000))
    assert drawn.mean() == pytest.approx(0.023, abs=2e-4)


@pytest.mark.parametrize("kind", ["level", "total"])
@pytest.mark.parametrize("scale", [TO_LUNAR, TO_HOLOGIC])
def test_the_interval_is_stretched_and_widened(scale, kind):
    assert scale.half_width(0.0, kind) == pytest.approx(1.6449 * scale.sd(kind), abs=1e-4)
    assert scale.half_width(50.0, kind) == pytest.approx(50.0 * scale.slope, abs=1e-3)
    halves = np.linspace(0.0, 0.4, 9)
    widened = scale.half_width(halves, kind)
    assert (widened > halves * scale.slope).all() and (np.diff(widened) > 0).all()
    assert scale.half_width(0.1, kind, 0.95) > scale.half_width(0.1, kind, 0.9)


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("sd", [0.01, 0.04, 0.12])
def test_the_widened_interval_holds_what_it_says(level, sd):
    """People whose other DXA departs from the line as published, and an estimate that errs."""
    rng = np.random.default_rng(3)
    hologic = rng.normal(0.95, 0.15, 100_000)
    lunar = TO_LUNAR.value(hologic) + rng.normal(0, TO_LUNAR.sd("total"), hologic.size)
    error = rng.normal(0, sd, hologic.size)
    half = np.quantile(np.abs(error), level)
    shown = TO_LUNAR.value(hologic + error)
    inside = np.abs(shown - lunar) <= TO_LUNAR.half_width(half, "total", level)
    assert inside.mean() == pytest.approx(level, abs=0.01)


# -- whose g/cm2 ------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("Hologic", "hologic"),
        ("hologic QDR 4500A", "hologic"),
        ("Horizon A", "hologic"),
        ("Discovery Wi", "hologic"),
        ("GE Lunar iDXA", "lunar"),
        ("Prodigy", "lunar"),
        ("GE Healthcare", "lunar"),
        ("DPX-NT", "lunar"),
        ("simulated DXA, Lunar scale", "lunar"),
        ("Norland XR-46", None),
        ("Hologic or Lunar", None),
        ("general", None),
        ("unknown", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_the_maker_that_a_table_means(text, want):
    assert device_named(text) == want


def test_a_table_of_one_maker():
    assert common_device(["Horizon", "Hologic Discovery"]) == "hologic"
    for mixed in (["Horizon", "Prodigy"], ["Horizon", None], ["Norland"], []):
        assert common_device(mixed) is None


def test_the_installed_bundle_answers_as_it_did():
    card = ModelBundle.load(default_bundle_folder()).card
    assert device_of(card) in DEVICES
    assert device_of({"population": "simulated"}) == "hologic"
    assert scale_for({"population": "simulated"}) == SAME


SITE = {"population": "simulated", "calibration": {"dxa_devices": []}}


@pytest.mark.parametrize(
    ("card", "own", "shown"),
    [
        ({"population": "simulated", "dxa_device": "hologic"}, "hologic", "hologic"),
        # The user compares with a Hologic where he names none, whatever the model answers as.
        ({"population": "simulated", "dxa_device": "lunar"}, "lunar", "hologic"),
        # A site's model is compared with the site's DXA.
        ({**SITE, "dxa_device": "lunar"}, "lunar", "lunar"),
        ({"population": "patients", "dxa_device": "lunar"}, "lunar", "lunar"),
        # Cards of before devices were named.
        (SITE, None, None),
        ({**SITE, "calibration": {"dxa_devices": ["Lunar Prodigy"]}}, "lunar", "lunar"),
        ({**SITE, "calibration": {"dxa_devices": ["Prodigy", "Horizon"]}}, None, None),
        ({**SITE, "calibration": {"dxa_devices": "Prodigy"}}, None, None),
        ({"population": "patients", "dxa_devices": ["Hologic Horizon"]}, "hologic", "hologic"),
        ({"population": "patients", "dxa_devices": ["unknown"]}, None, None),
        ({"population": "patients"}, "hologic", "hologic"),
        ({"population": "patients", "dxa_device": None}, None, None),
    ],
)
def test_the_device_of_a_card_and_what_is_shown(card, own, shown):
    assert device_of(card) == own
    assert scale_for(card) == Scale(own, shown)
    for wanted in DEVICES:
        if own is None:
            with pytest.raises(
                CTBMDError, match="does not name.*calibrate the model again"
            ) as info:
                scale_for(card, wanted)
            assert info.value.code == "dxa-unknown"
        else:
            assert scale_for(card, wanted) == Scale(own, wanted)


@pytest.mark.parametrize("wanted", ["norland", "Hologic", "", "lunar "])
def test_an_unknown_device_is_one_sentence(wanted):
    with pytest.raises(CTBMDError, match="not known; choose one of hologic, lunar") as info:
        scale_for({"population": "simulated"}, wanted)
    assert info.value.code == "dxa-device"


# -- an estimate ------------------------------------------------------------------------
@pytest.fixture(scope="module")
def models(tmp_path_factory):
    base = tmp_path_factory.mktemp("models")
    return {
        None: bundle(base / "none"),
        **{name: bundle(base / name, dxa_device=name) for name in DEVICES},
    }


@pytest.fixture(scope="module")
def scan():
    return phantom((4.0, 4.0, 5.0), sex="F", series_uid="1.2.3", kvp=120.0)


def pairs(plain, other):
    return zip(plain.rows, other.rows, strict=True)


def test_every_row_is_in_the_g_cm2_of_the_device(models, scan):
    plain = estimate(scan, chosen(), models[None])
    lunar = estimate(scan, chosen(), models[None], dxa="lunar")
    assert [row.level for row in lunar.rows] == ["L1", "L2", "L3", "L1-L4"]
    for old, new in pairs(plain, lunar):
        kind = "total" if old.level == "L1-L4" else "level"
        assert (old.dxa_scale, new.dxa_scale) == ("hologic", "lunar")
        assert new.bmd_g_cm2 == pytest.approx(1.0895 * old.bmd_g_cm2 + 0.0410, abs=2e-4)
        half = TO_LUNAR.half_width(old.bmd_high - old.bmd_g_cm2, kind)
        assert new.bmd_high - new.bmd_g_cm2 == pytest.approx(half)
        assert new.bmd_low == pytest.approx(max(new.bmd_g_cm2 - half, min(new.bmd_g_cm2, 0.0)))
        assert new.trabecular_hu == old.trabecular_hu
    means = np.mean([row.bmd_g_cm2 for row in lunar.levels])
    assert lunar.total.bmd_g_cm2 == pytest.approx(means)
    assert lunar.dxa_scale == "lunar"


def test_default_named_and_unnamed_hologic_are_bit_for_bit_the_same(models, scan):
    rows = estimate(scan, chosen(), models[None]).rows
    for model, dxa in ((models[None], "hologic"), (models["hologic"], None)):
        assert estimate(scan, chosen(), model, dxa=dxa).rows == rows


def test_a_bundle_that_answers_as_a_lunar(models, scan):
    own = estimate(scan, chosen(), models["lunar"], dxa="lunar")
    plain = estimate(scan, chosen(), models[None])
    for a, b in pairs(own, plain):  # the same weights: its own scale is not converted
        assert (a.bmd_g_cm2, a.bmd_low, a.bmd_high) == (b.bmd_g_cm2, b.bmd_low, b.bmd_high)
    shown = estimate(scan, chosen(), models["lunar"])  # Hologic where nobody names one
    for a, b in pairs(own, shown):
        assert (a.dxa_scale, b.dxa_scale) == ("lunar", "hologic")
        assert b.bmd_g_cm2 == pytest.approx(TO_HOLOGIC.value(a.bmd_g_cm2))


def test_a_conversion_is_told_and_nothing_else_is(models, scan):
    codes = [x.code for x in estimate(scan, chosen(), models[None]).findings]
    told = estimate(scan, chosen(), models[None], dxa="lunar").findings
    assert "dxa-converted" not in codes
    assert sorted(x.code for x in told) == sorted([*codes, "dxa-converted"])
    (note,) = [x for x in told if x.code == "dxa-converted"]
    assert note.severity == "note" and note.level is None
    for part in ("Hologic DXA to those of a Lunar", f"{TO_LUNAR.sd('total'):.3f} g/cm2"):
        assert part in note.text
    same = estimate(scan, chosen(), models["lunar"], dxa="lunar")
    assert "dxa-converted" not in [x.code for x in same.findings]


def test_the_texts_of_findings_are_in_the_same_g_cm2(scan, tmp_path):
    """An unknown tube voltage and values beyond the training name numbers."""
    model = bundle(tmp_path / "b", bmd_range_g_cm2=[5.0, 6.0])
    unknown = phantom((4.0, 4.0, 5.0))
    for dxa, scale in (("hologic", SAME), ("lunar", TO_LUNAR)):
        result = estimate(unknown, chosen(), model, dxa=dxa)
        texts = {x.code: x.text for x in result.findings}
        assert f"instead of {result.total.bmd_g_cm2:.3f} g/cm2" in texts["kvp-unknown"]
        bounds = f"({scale.value(5.0):.2f}-{scale.value(6.0):.2f})"
        beyond = {x.level: x.text for x in result.findings if x.code == "outside-training"}
        assert [*beyond] == ["L1", "L2", "L3"]
        for row in result.levels:
            assert f"{row.level}: {row.bmd_g_cm2:.2f} g/cm2" in beyond[row.level]
            assert bounds in beyond[row.level]


# -- references -------------------------------------------------------------------------
def own_table(path, device):
    row = {"region": "L1-L4", "sex": "F", "mean": 1.18, "sd": 0.12, "young": True}
    content = {"name": "own", "title": "t", "source": "s", "device": device, "rows": [row]}
    path.write_text(json.dumps(content))
    return ReferenceTable.load(path)


def test_every_table_that_comes_along_names_a_device_that_is_known():
    assert all(device_named(table.device) in DEVICES for table in list_tables())


@pytest.mark.parametrize("dxa", NAMES)
@pytest.mark.parametrize("device", ["Hologic", "GE Lunar Prodigy", "Norland XR-46", "mine"])
def test_a_t_score_comes_from_a_table_of_the_same_device(models, scan, tmp_path, dxa, device):
    table = own_table(tmp_path / "own.json", device)
    if device_named(device) == dxa:
        result = estimate(scan, chosen(), models[None], dxa=dxa, reference=table)
        want = (result.total.bmd_g_cm2 - 1.18) / 0.12
        assert result.total.t_score == pytest.approx(want)
        return
    with pytest.raises(
        CTBMDError, match=f"'own' is of DXA by {device} and .* a {maker(dxa)};"
    ) as info:
        estimate(scan, chosen(), models[None], dxa=dxa, reference=table)
    assert info.value.code == "reference-device"


def test_the_table_of_nhanes_is_refused_for_a_lunar_and_no_table_gives_no_t_score(models, scan):
    nhanes = ReferenceTable.load("nhanes-hologic")
    with pytest.raises(CTBMDError, match="choose a table of a Lunar, or none"):
        estimate(scan, chosen(), models[None], dxa="lunar", reference=nhanes)
    none = estimate(scan, chosen(), models[None], dxa="lunar")
    assert [row.t_score for row in none.rows] == [None] * 4
    # A model that answers as a Lunar and is shown as a Hologic may use it.
    shown = estimate(scan, chosen(), models["lunar"], reference=nhanes)
    assert shown.total.t_score == pytest.approx((shown.total.bmd_g_cm2 - 1.064) / 0.106)


def test_no_t_score_of_values_whose_device_nobody_knows(scan, tmp_path):
    site = bundle(tmp_path / "b", population="patients", dxa_device=None)
    result = estimate(scan, chosen(), site)
    assert {row.dxa_scale for row in result.rows} == {None}
    assert "DXA scale unknown" in format_table(result)
    with pytest.raises(CTBMDError, match="does not name, so there is no T-score") as info:
        estimate(scan, chosen(), site, reference=ReferenceTable.load("nhanes-hologic"))
    assert info.value.code == "reference-device"


# -- files ------------------------------------------------------------------------------
@pytest.mark.parametrize("dxa", [*NAMES, None])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".json"])
def test_every_file_names_the_device_in_every_row(models, scan, tmp_path, dxa, suffix):
    result = estimate(scan, chosen(), models[None], dxa=dxa)
    path = write_result([result, result], tmp_path / f"out{suffix}")
    if suffix == ".json":
        cases = json.loads(path.read_text())["results"]
        assert [case["dxa_scale"] for case in cases] == [dxa or "hologic"] * 2
        rows = [row for case in cases for row in case["rows"]]
    else:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file, delimiter="," if suffix == ".csv" else "\t"))
        assert [*rows[0]][[*rows[0]].index("findings") + 1] == "dxa_scale"
    assert [row["dxa_scale"] for row in rows] == [dxa or "hologic"] * 8
    assert float(rows[3]["bmd_g_cm2"]) == pytest.approx(result.total.bmd_g_cm2, abs=6e-4)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".json"])
def test_one_file_never_mixes_devices(models, scan, tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    results = [estimate(scan, chosen(), models[None], dxa=name) for name in NAMES]
    site = estimate(scan, chosen(), bundle(tmp_path / "b", population="patients", dxa_device=None))
    for mixed in (results, results[::-1], [results[0], site]):
        with pytest.raises(CTBMDError, match="must not mix") as info:
            write_result(mixed, path)
        assert info.value.code == "dxa-mixed" and not path.exists()
    write_result([results[1], results[1]], path)


@pytest.mark.parametrize("dxa", NAMES)
def test_every_text_names_the_device(models, scan, dxa):
    result = estimate(scan, chosen(), models[None], dxa=dxa)
    for text in (format_table(result), report_text(result)):
        assert f"DXA scale {maker(dxa)}" in text
        assert f"{result.total.bmd_g_cm2:.3f}" in text
    assert dxa in to_delimited([result], "\t").splitlines()[1].split("\t")


@pytest.mark.parametrize("dxa", NAMES)
def test_a_stored_result_keeps_its_device(models, scan, dxa):
    result = estimate(scan, chosen(), models[None], dxa=dxa)
    again = BMDResult.from_dict(json.loads(json.dumps(result.to_dict())))
    assert again == result and again.dxa_scale == dxa


def test_a_result_stored_before_devices_is_of_an_unknown_one(models, scan):
    stored = json.loads(json.dumps(estimate(scan, chosen(), models[None]).to_dict()))
    for row in (*stored["levels"], stored["total"]):
        del row["dxa_scale"]
    again = BMDResult.from_dict(stored)
    assert again.dxa_scale is None and {row["dxa_scale"] for row in to_rows(again)} == {None}
    assert math.isfinite(again.total.bmd_g_cm2)
