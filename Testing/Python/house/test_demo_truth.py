"""The demo's patient is virtual, so its true bone density is known: the answer is held against it."""

import json

import goldens
import pytest

TRUTH = json.loads(
    (goldens.ROOT / "Resources" / "SampleData" / f"{goldens.SAMPLE}.json").read_text()
)["simulated_dxa_g_cm2"]


@pytest.mark.parametrize("level", TRUTH)
def test_the_interval_holds_the_simulated_dxa(level, measured):
    now = measured(goldens.SAMPLE)
    row = now["total"] if level == "L1-L4" else now["levels"][level]
    assert row["low_g_cm2"] <= TRUTH[level] <= row["high_g_cm2"]
    # A wide interval would hold anything.
    assert row["high_g_cm2"] - row["low_g_cm2"] < 0.25
