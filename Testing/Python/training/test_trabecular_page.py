"""The page on the HU of the trabecular region: what its rows are counted from."""

import json

import pytest

from training.evaluation import trabecular
from training.evaluation.trabecular import kept, line, main, page


def level(hu=101.0, core=100.0, seen=103.0, between=2.0, walls=True, laid=99.5):
    row = {"hu": hu, "core": core, "seen": seen, "between": between, "walls": walls}
    return {**row, "laid": laid}


def cells(text, name):
    row = next(x for x in text.splitlines() if x.startswith(f"| {name} |"))
    return [x.strip() for x in row.split("|")[2:-1]]


def test_a_line_tells_mean_spread_size_share_and_end():
    rows = [level(hu) for hu in (92.0, 98.0, 100.0, 110.0)] + [level(None)]
    n, unknown, mean, sd, size, share, end = cells(line("x", rows, "hu", "core"), "x")
    assert (n, unknown, mean, sd) == ("4", "1", "+0.0", "6.5")
    assert (size, share, end) == ("5.0", "75 %", "9.7")
    assert cells(line("x", [level(None)], "hu", "core"), "x")[:2] == ["0", "1"]


def test_fresh_people_and_the_version_before_are_told_apart_from_those_looked_at():
    people = [[level(120.0)], [level(101.0, between=5.0)], [level(99.0, walls=False)]]
    before = [[level(150.0)], [level(140.0)], [level(140.0)]]
    text = page(people, "command", 1, before)
    assert cells(text, "the region")[:3] == ["2", "0", "+0.0"]
    assert cells(text, "the region of the version before")[:3] == ["2", "0", "+40.0"]
    assert cells(text, "a perfect mask in the same scan")[2] == "+3.0"
    assert cells(text, "the region, all people")[0] == "3"
    assert cells(text, "slices from 4 mm")[0] == "1" and cells(text, "core 60 to 180 HU")[0] == "3"
    assert "core below 60 HU" not in text and "found in 2 of 3" in text
    assert "version before" not in page(people, "command", 1, [])
    assert cells(text, "the region laid by the drawn surface")[:3] == ["2", "0", "-0.5"]


def test_what_finding_the_walls_costs_has_a_table_of_its_own():
    text = page([[level(101.0)], [level(102.0, laid=None)]], "command", 0, [])
    own = text[text.index("minus the region laid") :]
    assert cells(own, "the region")[:3] == ["1", "1", "+1.5"]
    assert "None of them was looked at" in text and "all people" not in text


def test_a_person_is_measured_once_and_kept(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(trabecular, "measure", lambda seed: calls.append(seed) or [level()])
    assert kept(7, tmp_path / "new") == kept(7, tmp_path / "new") == [level()]
    assert calls == [7] and json.loads((tmp_path / "new" / "7.json").read_text()) == [level()]
    out = tmp_path / "page.md"
    main(["--count", "1", "--seed", "7", "--keep", str(tmp_path / "new"), "--output", str(out)])
    assert calls == [7] and "trabecular --count 1 --seed 7" in out.read_text()


@pytest.mark.slow
def test_the_core_of_a_virtual_person_is_read_nearly_true(monkeypatch):
    monkeypatch.setattr(trabecular, "MEASURED", ("L2",))
    (row,) = trabecular.measure(36004 - 2)  # 3 mm slices
    assert row["walls"] and row["hu"] == pytest.approx(row["core"], abs=8)
    assert row["hu"] == pytest.approx(row["seen"], abs=12)
