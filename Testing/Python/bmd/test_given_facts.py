"""What a person states beside the header, sex and tube voltage; and neighbours that differ."""

import pytest

from CTBMDLib.bmd.quality import check_kvp, check_neighbours, check_sex, kvp_unknown


@pytest.mark.parametrize("given", [None, "", "F", "M"])
@pytest.mark.parametrize("header", [None, "", "F", "M"])
def test_only_two_different_sexes_contradict(given, header):
    found = check_sex(given, header)
    assert bool(found) == ({given, header} == {"F", "M"})
    assert all(
        x.code == "sex" and f"({given})" in x.text and f"({header})" in x.text for x in found
    )


@pytest.mark.parametrize(
    ("given", "header", "contradicts"),
    [
        (None, None, False),
        (None, 120.0, False),
        (120.0, None, False),
        (120.0, 120.0, False),
        (120.5, 120.0, False),
        (119.1, 120.0, False),
        (121.0, 120.0, True),
        (119.0, 120.0, True),
        (121.5, 120.0, True),
        (80.0, 140.0, True),
    ],
)
def test_a_voltage_contradicts_from_one_kilovolt_on(given, header, contradicts):
    found = check_kvp(given, header)
    assert [x.code for x in found] == (["kvp-contradicts"] if contradicts else [])
    assert all(f"given ({given:g} kV)" in x.text and f"({header:g} kV)" in x.text for x in found)


EFFECT = {100.0: 0.7, 120.0: 0.75, 140.0: 0.8125}


@pytest.mark.parametrize(
    ("bmd", "half", "severity"),
    [
        (0.75, 0.0625, "note"),  # as far away as the interval is half wide, and not farther
        (0.75, 0.0624, "warning"),
        (0.75, 0.04, "warning"),
        (0.75, 0.1, "note"),
        (0.75, None, "note"),
        (None, 0.01, "note"),
        (None, None, "note"),
    ],
)
def test_a_voltage_that_leaves_the_interval_is_a_warning(bmd, half, severity):
    found = kvp_unknown(EFFECT, bmd, half)
    assert (found.code, found.level, found.severity) == ("kvp-unknown", None, severity)
    assert "0.700 at 100 kV, 0.750 at 120 kV, 0.812 at 140 kV" in found.text
    assert ("instead of 0.750" in found.text) == (bmd is not None)


def test_an_odd_first_level_is_told_though_the_last_is_as_odd():
    found = check_neighbours({"L1": 1.5, "L2": 1.0, "L3": 1.0, "L4": 1.5})
    assert {x.level for x in found} == {"L1", "L4"}
