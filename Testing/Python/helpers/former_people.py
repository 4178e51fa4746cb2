"""Virtual people as they were drawn when a fault of the finder was seen on one of them.

A seed means another person once the priors have changed. What a test was found on stays
what it was by drawing from the priors of then.
"""

BEFORE_2_3 = {
    "wide.marrow_of_density": [0.0, 0.0],
    "wide.marrow_fat": [0.10, 0.85],
    "wide.marrow_bounds": [0.0, 1.0],
    "wide.arch_level_sd": 0.12,
}
"""Wide people until bundle 2.2.0: their marrow's fat had nothing to do with their density."""


def make_former(seed: int, **options):
    """`make_volume` of a person as drawn until bundle 2.2.0."""
    from training.virtual.traits import changed_priors
    from training.virtual.volume import make_volume

    with changed_priors(BEFORE_2_3):
        return make_volume(seed, **options)
