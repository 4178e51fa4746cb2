"""Signs of a half-sacral L5 and of a rib on one side of L1."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from CTBMDLib.spine.bone import bone_map
from CTBMDLib.spine.numbering import Numbering, agree, number_vertebrae
from CTBMDLib.spine.straightened import AHEAD, LATERAL
from CTBMDLib.spine.transitional import joined_to_sacrum, transitional_findings

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


def shares(spine, top, bottom):
    return joined_to_sacrum(spine, bones(spine), top, bottom)


def findings_of(spine, numbering):
    return transitional_findings(spine, bones(spine), DISCS, numbering)


def bones(spine):
    return bone_map(np.where(np.isfinite(spine.hu), spine.hu, TISSUE), TISSUE)


def test_only_bone_beside_the_lower_half_counts():
    assert np.all(shares(straight(), *DISCS) < 0.1)
    # A usual transverse process: 10 mm high in the upper half, on both sides.
    assert np.all(shares(straight((8, 18), (8, 18)), *DISCS) < 0.1)
    left, right = shares(straight((8, 18), (10, 36)), *DISCS)
    assert left < 0.1 and right > 0.9


def test_what_is_not_seen_is_unknown():
    left, right = shares(straight((10, 36), (10, 36), (-1,)), *DISCS)
    assert np.isnan(left) and right > 0.9
    assert np.isnan(shares(straight(), 80, 116)).all()


def name_from(first, one_rib=None):
    return Numbering(first, 0.9, "both", 5, (), one_rib=one_rib)


@pytest.mark.parametrize(
    "shape, words",
    [({"right": (10, 36)}, "the right"), ({"left": (9, 36), "right": (9, 36)}, "both")],
)
def test_a_joined_l5_is_a_finding(shape, words):
    findings = findings_of(straight(**shape), name_from(-4))
    assert (
        len(findings) == 1
        and "Possible transitional anatomy: L5" in findings[0]
        and words in findings[0]
    )
    # The same bone beside S1 is the sacrum, and nothing is found beside a usual L5.
    assert findings_of(straight(**shape), name_from(-5)) == ()
    assert findings_of(straight((8, 18)), name_from(-4)) == ()


def seen(l1, *, sacrum=True):
    """Names of T11 to S1 whose ribs are clear but for those of L1, left and right."""
    ribs = np.full((2, 8), -3.0)
    ribs[:, :2] = 3.0
    ribs[:, 2] = l1
    ala = np.array([-3.0] * 7 + [3.0 if sacrum else np.nan])
    ribs[:, 7] = -3.0 if sacrum else np.nan
    return number_vertebrae(ribs, ala)


@pytest.mark.parametrize("l1, side", [((3.0, -3.0), "left"), ((-2.6, 2.4), "right")])
def test_a_rib_on_one_side_of_l1_is_a_finding(l1, side):
    numbering = seen(l1)
    assert numbering.one_rib == ("L1", side) and numbering.first_lumbar == 2
    assert numbering.decided_by == "both" and numbering.lumbar_count == 5
    findings = findings_of(straight(), replace(numbering, first_lumbar=0))
    assert len(findings) == 1 and f"L1 seems to bear a rib on the {side} only" in findings[0]
    assert findings_of(straight(), name_from(0)) == ()
    assert findings_of(straight(), name_from(0, ("T12", side))) == ()


@pytest.mark.parametrize("l1", [(-3.0, -3.0), (3.0, -0.5), (np.nan, -3.0), (-1.0, 2.0)])
def test_one_clear_side_alone_is_no_sign(l1):
    assert seen(l1).one_rib is None


def test_one_rib_without_a_sacrum_leaves_the_names_open():
    numbering = seen((3.0, -3.0), sacrum=False)
    assert numbering.decided_by == "neither" and numbering.one_rib is not None
    assert seen((3.0, 3.0)).lumbar_count == 4


def test_the_finding_of_the_network_stays_where_rules_name_the_same():
    network = seen((3.0, -3.0))
    rules = replace(network, probability=0.99, one_rib=None)
    assert agree(rules, network).one_rib == ("L1", "left")
    unsure = replace(network, decided_by="neither")
    assert agree(rules, unsure).one_rib == ("L1", "left")
    elsewhere = replace(unsure, first_lumbar=3, lumbar_count=None)
    assert agree(rules, elsewhere).one_rib is None


def test_rules_alone_do_not_outvote_a_network_that_counts_six():
    both = Numbering(2, 0.9, "both", 5, ())
    six = Numbering(3, 0.5, "neither", 6, ("transitional",), evidence=0.95)
    assert agree(both, six) is six
    assert agree(both, replace(six, evidence=0.7)).decided_by == "both"
    assert agree(six, both).decided_by == "both"
