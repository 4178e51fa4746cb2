"""The oldest and newest packages that are tried: what an index lists but cannot give is passed over."""

import pytest
import versions

CHOICES = {"numpy": ["2.0.0", "2.1.0"], "vtk": ["9.3.0"]}
NONE = "ERROR: No matching distribution found for {}\n"


@pytest.mark.parametrize(
    ("told", "left"),
    [
        (NONE.format("numpy==2.0.0"), ["2.1.0"]),
        ("noise\n" + NONE.format("numpy==2.0.0") + "notice", ["2.1.0"]),
        (NONE.format("numpy==2.1.0"), None),  # not the one that was asked for
        (NONE.format("vtk==9.3.0"), None),  # no other is left
        (NONE.format("pytest==9"), None),
        ("ERROR: network unreachable", None),
    ],
)
def test_a_version_without_a_build_gives_way_to_the_next(told, left):
    choices = {name: list(listed) for name, listed in CHOICES.items()}
    assert versions.drop_unbuilt(choices, told) == (left is not None)
    assert choices == (CHOICES if left is None else {**CHOICES, "numpy": left})


def test_the_lowest_versions_are_those_that_pyproject_states():
    assert {"numpy", "scipy", "pydicom", "vtk", "torch"} <= set(versions.requirements())
