"""The golden values: no number of a known CT moves unseen, and none is rewritten by accident."""

import copy
import json

import goldens
import pytest

SCANS = [
    pytest.param(name, marks=() if name == goldens.SAMPLE else pytest.mark.data)
    for name in goldens.SCANS
]
GOLDEN = {
    "bundles": {"bmd": {"version": "1.0.0", "weights_sha256": "ab"}},
    "refused": False,
    "levels": {"L1": {"centre_ras_mm": [1.0, 2.0, 3.0], "bmd_g_cm2": 0.8, "trabecular_hu": 150.0}},
    "total": {"bmd_g_cm2": 0.8},
    "findings": ["L1: noise"],
}


@pytest.mark.parametrize("name", SCANS)
def test_nothing_moved(name, measured):
    golden = goldens.load(name)
    assert golden, f"{name} has no golden values; write them with goldens.py --rewrite"
    golden.pop("because")
    assert goldens.moved(golden, measured(name)) == []


def test_every_golden_file_is_of_a_known_scan():
    assert {path.stem for path in goldens.FOLDER.glob("*.json")} == set(goldens.SCANS)


def changed(*keys, value):
    now = copy.deepcopy(GOLDEN)
    inner = now
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    return goldens.moved(GOLDEN, now)


@pytest.mark.parametrize(
    ("keys", "within", "beyond"),
    [
        (("levels", "L1", "bmd_g_cm2"), 0.80009, 0.80011),
        (("total", "bmd_g_cm2"), 0.79991, 0.79989),
        (("levels", "L1", "trabecular_hu"), 150.09, 150.11),
        (("levels", "L1", "centre_ras_mm"), [1.4, 2, 3], [1.0, 2, 2.4]),
    ],
)
def test_a_value_may_move_by_its_tolerance_and_no_more(keys, within, beyond):
    assert changed(*keys, value=within) == []
    (line,) = changed(*keys, value=beyond)
    assert line.startswith(".".join(keys)) and "moved by" in line


def test_what_is_no_number_counts_as_moved():
    assert changed("total", "bmd_g_cm2", value=float("nan"))
    assert changed("total", "bmd_g_cm2", value=None) == ["total.bmd_g_cm2: 0.8 -> None"]
    assert changed("total", value=None)
    assert changed("levels", "L2", value={}) == ["levels.L2: new"]
    assert changed("levels", value={}) == ["levels.L1: gone"]
    assert changed("refused", value=True) == ["refused: False -> True"]


def test_findings_are_told_apart():
    lines = changed("findings", value=["L1: metal"])
    assert lines == ["findings: 'L1: noise' is gone", "findings: 'L1: metal' is new"]


def test_rewriting_needs_another_bundle_or_a_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(goldens, "FOLDER", tmp_path)
    goldens.write("scan", GOLDEN, None)
    moved = {**GOLDEN, "total": {"bmd_g_cm2": 0.9}}
    with pytest.raises(PermissionError, match="--because"):
        goldens.write("scan", moved, None)
    assert goldens.load("scan")["total"] == GOLDEN["total"]
    goldens.write("scan", moved, "the width is measured anew")
    assert goldens.load("scan")["because"] == "the width is measured anew"
    retrained = {**GOLDEN, "bundles": {"bmd": {"version": "1.1.0", "weights_sha256": "cd"}}}
    goldens.write("scan", retrained, None)
    assert goldens.load("scan") == {"because": None, **retrained}


def test_the_command_says_what_moved_and_fails(tmp_path, monkeypatch, capsys):
    scan = tmp_path / "scan"
    scan.write_text("")
    now = copy.deepcopy(GOLDEN)
    monkeypatch.setattr(goldens, "FOLDER", tmp_path / "goldens")
    monkeypatch.setattr(goldens, "SCANS", {"scan": scan, "absent": tmp_path / "absent"})
    monkeypatch.setattr(goldens, "measure", lambda path: now)
    assert goldens.main([]) == 1
    assert goldens.main(["--rewrite"]) == 0
    assert goldens.main([]) == 0
    assert "absent: skipped" in capsys.readouterr().out
    now["levels"]["L1"]["bmd_g_cm2"] = 0.85
    assert goldens.main([]) == 1
    assert "levels.L1.bmd_g_cm2: 0.8 -> 0.85 (moved by +0.05)" in capsys.readouterr().out
    before = (tmp_path / "goldens" / "scan.json").read_bytes()
    assert goldens.main(["--rewrite"]) == 1
    assert (tmp_path / "goldens" / "scan.json").read_bytes() == before
    assert goldens.main(["--rewrite", "--because", "a better width"]) == 0
    assert json.loads((tmp_path / "goldens" / "scan.json").read_text())["because"]
