"""The table of simulated DXA devices: what it says, from where, and that it hangs together."""

import math
import re

import pytest

from CTBMDLib.dxa import DEVICES, Scale
from CTBMDLib.errors import CTBMDError
from training.virtual.devices import FIGURES, FILE, load_checks, load_devices

TEXT = FILE.read_text(encoding="utf-8")


def test_every_figure_says_where_it_comes_from():
    devices = load_devices()
    assert [*devices] == [*DEVICES]
    for device in devices.values():
        for key, (unit, *_) in FIGURES.items():
            figure = getattr(device, key)
            assert figure.unit == unit and figure.low <= figure.value <= figure.high
            assert figure.citation and figure.population
            assert figure.seen == "read" or len(figure.note) > 20


def test_a_lunar_weighs_hydroxyapatite_truly_and_a_hologic_less():
    devices = load_devices()
    assert devices["lunar"].gain.value == pytest.approx(1.001)
    assert devices["lunar"].gain.seen == "read"
    assert devices["hologic"].gain.high < devices["lunar"].gain.low
    # The algorithm of the DPX leaves out more low-density bone than a constant 0.2 g/cm2.
    assert devices["lunar"].edge.low > 0.2 >= devices["hologic"].edge.value


def test_the_published_means_agree_with_the_conversion_at_run_time():
    """Set and test: each study's pair of means against the line that values are shown by."""
    checks = load_checks()
    assert {check.use for check in checks} == {"set", "test"}
    for check in checks:
        if check.quantity == "abmd":
            assert check.low <= Scale("lunar", "hologic").value(check.lunar) <= check.high, check.id


def test_the_area_of_the_check_lies_on_genants_line():
    (area,) = [check for check in load_checks() if check.quantity == "area"]
    assert area.hologic == pytest.approx(0.873 * area.lunar + 8.808, abs=0.01)


def test_gain_and_border_make_up_the_difference():
    """0.954 is what the wider border does to the simulated g/cm2; see the note of the gain."""
    devices = load_devices()
    ratio = devices["hologic"].gain.value / devices["lunar"].gain.value * 0.954
    assert ratio == pytest.approx(0.972 / 1.100, rel=0.005)
    assert "0.954" in devices["hologic"].gain.note


def changed(tmp_path, old, new, count=1):
    assert old in TEXT
    path = tmp_path / "devices.toml"
    path.write_text(TEXT.replace(old, new, count), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[device.lunar.edge]", "[device.norland.edge]", "must have the devices hologic, lunar"),
        ("[device.hologic.margin]", "[device.hologic.height]", "must have gain, edge, margin"),
        ("value = 0.925", "value = 1.925", "gain of 'hologic' does not lie in its band"),
        ("value = 0.925", "value = 'much'", "no number"),
        ("value = 0.925", "value = nan", "no number"),
        ("value = 0.925", "value = true", "no number"),
        ("value = 0.925\n", "", "gain of 'hologic' has no value"),
        ("high = 0.95\n", "high = 9.5\n", "within 0.5 to 1.5"),
        ('unit = "g/g"', 'unit = "kg"', "unit 'kg' and not 'g/g'"),
        ('source = "genant1994"\nseen', 'source = "nobody"\nseen', "source 'nobody'"),
        ('citation = "Genant', 'cited = "Genant', "citation and population"),
        ('seen = "derived"', 'seen = "guessed"', "seen 'guessed'"),
        ('note = "A Hologic', 'remark = "A Hologic', "'remark' that is not known"),
    ],
)
def test_what_is_wrong_with_a_device_is_one_sentence(tmp_path, old, new, words):
    with pytest.raises(CTBMDError, match=re.escape(words)) as info:
        load_devices(changed(tmp_path, old, new))
    assert info.value.code == "dxa-devices" and "\n" not in str(info.value)


def test_what_nobody_published_must_say_what_it_rests_on(tmp_path):
    note = next(x for x in TEXT.splitlines() if x.startswith('note = "A Hologic'))
    with pytest.raises(CTBMDError, match="is derived and has no note"):
        load_devices(changed(tmp_path, note, ""))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('quantity = "area"', 'quantity = "width"', "check 2 has the unit"),
        ("hologic = 0.972", "hologic = 1.972", "check 1 does not lie"),
        ("lunar = 1.068", "lunar = inf", "check 3 has a figure that is no number"),
        ('use = "test"', 'use = "look"', "use 'look'"),
        ('id = "area"', 'id = "apex less prodigy"', "check 5 has an id that another has"),
        ('quantity = "area"', "quantity = [1]", "check 2 has the unit"),
        ("[[check]]", "[[tried]]", "has no checks"),
    ],
)
def test_what_is_wrong_with_a_check_is_one_sentence(tmp_path, old, new, words):
    every = -1 if old == "[[check]]" else 1
    with pytest.raises(CTBMDError, match=re.escape(words)) as info:
        load_checks(changed(tmp_path, old, new, every))
    assert info.value.code == "dxa-checks"


def test_checks_that_are_no_tables(tmp_path):
    (tmp_path / "x.toml").write_text("check = [1]")
    with pytest.raises(CTBMDError, match="check 1 is no table"):
        load_checks(tmp_path / "x.toml")


def test_a_file_that_is_not_there_or_no_toml(tmp_path):
    for load in (load_devices, load_checks):
        with pytest.raises(CTBMDError, match="cannot be read") as info:
            load(tmp_path / "none.toml")
        assert info.value.code == "no-devices-file"
        (tmp_path / "x.toml").write_text("[")
        with pytest.raises(CTBMDError, match="not a TOML file"):
            load(tmp_path / "x.toml")


def test_every_number_is_finite():
    for check in load_checks():
        assert all(map(math.isfinite, (check.lunar, check.hologic, check.low, check.high)))
