"""Signs of a half-sacral L5 and of a rib on one side of L1."""

from types import SimpleNamespace

import numpy as np
import pytest

from CTBMDLib.spine_numbering import Numbering
from CTBMDLib.spine_straight import AHEAD, LATERAL
from CTBMDLib.spine_transitional import joined_to_sacrum, transitional_notes

TISSUE = 50.0
DISCS = (0, 36)


def straight(left=(0, 0), right=(0, 0), unseen=()):
    """A vertebra from plane 0 to 36 with a bar of bone beside it, from one plane to another."""
    hu = np.full((60, len(AHEAD), len(LATERAL)), TISSUE, np.float32)
    canal = np.full(60, 24.0)
    behind = np.abs(AHEAD[:, None] + 20.0) < 8.0  # 4 mm before the canal's centre
    for sign, (start, stop) in ((-1, left), (1, right)):
        bar = behind & (sign * LATERAL > 18.0)[None, :]
        hu[start:stop, bar] = 600.0
    for sign in unseen:
        hu[:, :, sign * LATERAL > 30.0] = np.nan
    return SimpleNamespace(hu=hu, canal_mm=canal)


def test_only_bone_beside_the_lower_half_counts():
    assert np.all(joined_to_sacrum(straight(), *DISCS, TISSUE) < 0.1)
    # A usual transverse process: 10 mm high in the upper half, on both sides.
    assert np.all(joined_to_sacrum(straight((8, 18), (8, 18)), *DISCS, TISSUE) < 0.1)
    left, right = joined_to_sacrum(straight((8, 18), (10, 36)), *DISCS, TISSUE)
    assert left < 0.1 and right > 0.9


def test_what_is_not_seen_is_unknown():
    left, right = joined_to_sacrum(straight((10, 36), (10, 36), (-1,)), *DISCS, TISSUE)
    assert np.isnan(left) and right > 0.9
    assert np.isnan(joined_to_sacrum(straight(), 80, 116, TISSUE)).all()


def name_from(first):
    return Numbering(first, 0.9, "both", 5, ())


@pytest.mark.parametrize(
    "shape, words",
    [({"right": (10, 36)}, "the right"), ({"left": (9, 36), "right": (9, 36)}, "both")],
)
def test_a_joined_l5_is_noted(shape, words):
    no_rib = np.full((2, 1), -3.0)
    notes = transitional_notes(straight(**shape), DISCS, name_from(-4), TISSUE, no_rib)
    assert len(notes) == 1 and "Possible transitional anatomy: L5" in notes[0] and words in notes[0]
    # The same bone beside S1 is the sacrum, and nothing is noted beside a usual L5.
    assert transitional_notes(straight(**shape), DISCS, name_from(-5), TISSUE, no_rib) == ()
    assert transitional_notes(straight((8, 18)), DISCS, name_from(-4), TISSUE) == ()


@pytest.mark.parametrize(
    "ribs, words",
    [((3.0, -3.0), "left"), ((-2.0, 2.0), "right"), ((3.0, 3.0), None), ((-3.0, -3.0), None)]
    + [((3.0, -0.5), None), ((np.nan, -3.0), None), ((3.0, np.nan), None)],
)
def test_a_rib_on_one_side_of_l1_is_noted(ribs, words):
    notes = transitional_notes(straight(), DISCS, name_from(0), TISSUE, np.array(ribs)[:, None])
    if words is None:
        assert notes == ()
    else:
        assert len(notes) == 1 and f"a rib on the {words} only" in notes[0]
