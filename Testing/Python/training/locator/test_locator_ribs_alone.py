"""What the check without the sacrum makes and how it judges names."""

import numpy as np
import pytest

pytest.importorskip("numba", reason="numba is missing; 'make test' installs it")

from CTBMDLib.levels import LevelSelection, LevelSlice
from CTBMDLib.volume import CTVolume
from training.locator.ribs_alone import (
    KINDS,
    NARROW_CHEST,
    PARTS,
    jobs_of,
    judge_names,
    make_case,
    options_of,
    report,
)
from training.virtual.volume import Options


def test_no_volume_shows_the_sacrum_and_no_seed_serves_both_parts():
    for kind in KINDS:
        for seed in range(12000, 12040):
            options = Options(**options_of(kind, seed))
            assert options.bottom < 7.0, kind
    seeds = {part: [seed for _, seed in jobs_of(part, 25)] for part in PARTS}
    assert not set(seeds["set"]) & set(seeds["test"])
    assert all(len(set(row)) == len(row) for row in seeds.values())


def test_a_narrow_chest_holds_no_lumbar_vertebra():
    volume, truth = make_case(NARROW_CHEST, 12011)
    assert np.ptp(volume.ras_bounds[0]) < 230.0
    assert all(name.startswith("T") for name in truth["levels"])
    assert judge_names(volume, truth, LevelSelection())["verdict"] == "right"


def made():
    """A volume of air and a truth of T12 to L3."""
    matrix = np.diag([2.0, 2.0, 2.0, 1.0])
    volume = CTVolume(np.zeros((120, 40, 40), np.int16), matrix)
    levels = {
        name: {"ras": (40.0, 40.0, 200.0 - 35.0 * n), "axis": (0, 0, 1), "height_mm": 26.0}
        for n, name in enumerate(("T12", "L1", "L2", "L3"))
    }
    return volume, {"levels": levels}


@pytest.mark.parametrize(
    ("shift", "numbering", "confidence", "verdict"),
    [
        (0, "rib", 0.9, "right"),
        (0, "neither", 0.5, "unsure"),
        (0, "rib", 0.5, "unsure"),
        (1, "rib", 0.7, "wrong"),
        (1, "neither", 0.5, "unsure"),
        (-1, "rib", 0.9, "wrong"),
    ],
)
def test_names_off_by_one_are_wrong_only_where_no_doubt_is_said(
    shift, numbering, confidence, verdict
):
    volume, truth = made()
    names = ("L1", "L2", "L3")
    places = [truth["levels"][n]["ras"] for n in ("T12", "L1", "L2", "L3")]
    levels = [
        LevelSlice(name, places[n + 1 + shift], confidence)
        for n, name in enumerate(names)
        if n + 1 + shift < len(places)
    ]
    judged = judge_names(volume, truth, LevelSelection(tuple(levels), None, numbering))
    assert judged["verdict"] == verdict
    assert judge_names(volume, truth, LevelSelection())["verdict"] == "none"


def test_the_table_counts_each_kind(capsys):
    rows = [("L1", 0.9, True), ("L2", 0.9, True)]
    report(
        [
            {"kind": "steep ribs", "verdict": "right", "rows": rows},
            {"kind": "steep ribs", "verdict": "wrong", "rows": [("L1", 0.7, False)]},
            {"kind": "ribs at L1", "verdict": "wrong", "rows": [("L1", 0.9, False)]},
        ]
    )
    lines = capsys.readouterr().out.splitlines()
    steep = next(line for line in lines if line.startswith("steep ribs"))
    assert steep.split()[-4:] == ["1", "0", "1", "0"]
    # Kinds that nothing in view can tell do not count against the confidence.
    assert next(line for line in lines if line.startswith("0.9-1.0")).split() == [
        "0.9-1.0",
        "2",
        "2",
    ]
