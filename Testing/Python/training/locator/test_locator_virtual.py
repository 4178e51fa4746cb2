"""What the check of the level finder on virtual volumes counts."""

import pytest

pytest.importorskip("numba", reason="numba is missing; 'make test' installs it")

import numpy as np

from CTBMDLib.levels import LevelSelection, LevelSlice
from training.locator.planes import judge_planes, planes_of
from training.locator.virtual import report


def volume(whole, found, numbering="both", decidable=True, difficulties=(), planes=(0, 0, 0)):
    return {
        "seed": len(found) * 10 + len(whole),
        "whole": whole,
        "decidable": decidable,
        "numbering": numbering,
        "found": found,
        "planes": dict(zip(("planes", "middle", "clear"), planes, strict=True)),
        "difficulties": difficulties,
    }


def test_hits_labels_and_silent_errors_are_told_apart(capsys):
    report(
        [
            volume(
                {"L1": True, "L2": False},
                [("L1", 0.95, 2.0, 2.0), ("L2", 0.95, 13.0, 13.0)],
                planes=(6, 3, 4),
            ),
            # One level off, said with certainty, and the same said to be uncertain.
            volume({"L3": True}, [("L4", 0.7, 35.0, 1.0)], difficulties=["metal"]),
            volume({"L3": True}, [("L4", 0.7, 35.0, 1.0)], numbering="neither", decidable=False),
        ]
    )
    text = capsys.readouterr().out
    assert "whatever its name: 3 of 4 (75.0 %)" in text
    assert "under their name within 12 mm: 1 of 4 (25.0 %)" in text
    assert "some body: 3 of 4 (75.0 %)" in text
    assert "T12 or sacrum in view: 1 of 3 (33.3 %)" in text
    assert "middle half of the true body: 3 of 6 (50.0 %)" in text
    assert "clear of its endplates: 4 of 6 (66.7 %)" in text
    assert "called uncertain: 0 of 2 (0.0 %)" in text
    assert "unflagged errors (confidence >= 0.6, not 'neither'): 2 in 2 volumes" in text
    assert "0.6-0.8           2  0 of 2 (0.0 %)" in text
    assert "0.9-1.0           2  1 of 2 (50.0 %)" in text
    metal = next(line for line in text.splitlines() if line.startswith("metal"))
    assert metal.split()[1:] == ["1", "1", "of", "1", "(100.0", "%)", "0", "of", "1", "(0.0", "%)"]


def test_an_empty_answer_counts_as_missed(capsys):
    report([volume({"L1": False}, [], numbering=None)])
    text = capsys.readouterr().out
    assert "whatever its name: 0 of 1 (0.0 %)" in text
    assert "called uncertain: 1 of 1 (100.0 %)" in text


def test_planes_off_the_middle_or_at_an_endplate_are_told():
    def planes(shift, axis=(0.0, 0.0, 1.0)):
        level = LevelSlice("L2", (0.0, 0.0, shift), axis=axis, height_mm=27.0)
        return judge_planes(level, (0.0, 0.0, 0.0), axis, 27.0)

    assert planes(0.0) == [(True, True)] * 3
    # 4 mm up the topmost plane leaves the middle half, 10 mm up it meets the endplate.
    assert [m for m, _ in planes(4.0)] == [False, True, True] and all(c for _, c in planes(4.0))
    assert [c for _, c in planes(10.0)] == [False, True, True]
    # A body that leans 40 degrees is crossed from one endplate to the other.
    lean = (0.0, np.sin(np.deg2rad(40)), np.cos(np.deg2rad(40)))
    assert not all(c for _, c in planes(5.0, lean))
    selection = LevelSelection(
        (LevelSlice("L2", (0.0, 0.0, 4.0), height_mm=27.0), LevelSlice("S1", (0.0, 0.0, -90.0)))
    )
    truth = {"L2": {"ras": (0.0, 0.0, 0.0), "axis": (0.0, 0.0, 1.0), "height_mm": 27.0}}
    assert planes_of(selection, truth) == {"planes": 3, "middle": 2, "clear": 3}
