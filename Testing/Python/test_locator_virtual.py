"""What the check of the level finder on virtual volumes counts."""

import pytest

pytest.importorskip("numba", reason="numba is missing; 'make test' installs it")

from training.locator_virtual import report


def volume(whole, found, numbering="both", decidable=True):
    return {
        "seed": len(found) * 10 + len(whole),
        "whole": whole,
        "decidable": decidable,
        "numbering": numbering,
        "found": found,
    }


def test_hits_labels_and_silent_errors_are_told_apart(capsys):
    report(
        [
            volume(["L1", "L2"], [("L1", 0.95, 2.0, 2.0), ("L2", 0.95, 13.0, 13.0)]),
            # One level off, said with certainty, and the same said to be uncertain.
            volume(["L3"], [("L4", 0.7, 35.0, 1.0)]),
            volume(["L3"], [("L4", 0.7, 35.0, 1.0)], numbering="neither", decidable=False),
        ]
    )
    text = capsys.readouterr().out
    assert "within 12 mm: 1 of 4 (25.0 %)" in text
    assert "some body: 3 of 4 (75.0 %)" in text
    assert "T12 or sacrum in view: 1 of 3 (33.3 %)" in text
    assert "wrong in silence (confidence >= 0.6, not 'neither'): 2 in 2 volumes" in text
    assert "0.6-0.8           2  0 of 2 (0.0 %)" in text
    assert "0.9-1.0           2  1 of 2 (50.0 %)" in text


def test_an_empty_answer_counts_as_missed(capsys):
    report([volume(["L1"], [], numbering=None)])
    assert "within 12 mm: 0 of 1 (0.0 %)" in capsys.readouterr().out
