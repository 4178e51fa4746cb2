"""The arch of a vertebra: how much mineral it has, and what worn joints add to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("numba")

from training.virtual.anatomy import make_scene
from training.virtual.measures import census, noise_free_hu
from training.virtual.traits import draw_traits

LEVELS = ("L2", "L3")


@pytest.fixture(scope="module")
def person():
    return replace(draw_traits(np.random.default_rng(8), "realistic"), facets=0.0)


def parts(traits):
    """Grams of body and arch of L2 and L3, and the bodies' volumes, cm3."""
    mineral, volume, _, _ = census(make_scene(traits, 8), LEVELS)
    return mineral[:, 0], mineral[:, 1], volume[:, 0]


@pytest.mark.parametrize(("trabecular", "grams"), [(0.08, (8.01, 8.56)), (0.20, (11.33, 12.32))])
def test_the_arch_is_what_the_anchors_set_it_to(person, trabecular, grams):
    """Set by areal BMD, and following the body with a power below 1; another processor may round."""
    body, arch, _ = parts(replace(person, trabecular=trabecular))
    print("arch", np.round(arch, 3), "body", np.round(body, 3))
    assert arch == pytest.approx(grams, rel=0.02)


def test_worn_joints_add_to_the_arch_and_not_to_the_hu(person):
    worn = replace(person, facets=3.0)
    (body, arch, _), (same, more, _) = parts(person), parts(worn)
    assert same == pytest.approx(body, rel=0.01)
    assert (more / arch > 1.08).all()
    plain, after = (noise_free_hu(make_scene(x, 8)) for x in (person, worn))
    assert abs(after - plain) < 5.0
