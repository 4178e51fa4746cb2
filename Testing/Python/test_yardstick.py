"""The edit and the projections of realcheck on a person whose simulated DXA is known."""

import pytest

pytest.importorskip("numba")

from CTBMDLib.bundle import ModelBundle, default_bundle_folder  # noqa: E402
from training.yardstick import shares  # noqa: E402


def test_the_edit_is_answered_and_an_edge_found_anew_answers_less_than_one_kept():
    found = shares(343, 3.0, 1.3, ModelBundle.load(default_bundle_folder()))
    print(f"simulated: {found}")
    assert 0.7 < found["network"] < 1.3
    # In thick voxels the edge takes in more of a denser bone's rim.
    assert 0.6 < found["edge"] < found["fixed"] < 1.4
