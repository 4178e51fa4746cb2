"""The card's `likeness`: what training images are like, and where a scan is unlike them."""

from __future__ import annotations

import numpy as np

from CTBMDLib.model.likeness import image_features, learn, level_score, limit_for

FALSE_ALARMS = 0.01
"""Share of patients like those of validation that may be called unlike."""
MAX_IMAGES = 6000
"""Training images that the statistics are of; more change the third digit."""


def likeness_of(train, tables, tested, standard, kind, rate=FALSE_ALARMS) -> dict:
    """Statistics of training images, the limit set on 'validation', and how often others exceed it.

    Parameters
    ----------
    train : fitting.dataset.Images
        As they were cut, without the changes on the fly.
    tables : dict of str to evaluate.Table
    tested : sequence of str
        Tables that the share above the limit is told of.
    standard : ImageStandard
    kind : str
        What the patients are, for the card.
    """
    pick = np.arange(len(train))
    if len(pick) > MAX_IMAGES:
        pick = np.sort(np.random.default_rng(0).choice(pick, MAX_IMAGES, replace=False))
    entry = learn(image_features(train.hu[pick], standard))
    limit, alarms = limit_for(patient_scores(entry, tables["validation"], standard), rate)
    above = {name: patient_scores(entry, tables[name], standard) > limit for name in tested}
    return {
        **entry,
        "limit": round(limit, 4),
        "false_alarms": round(alarms, 4),
        "measured_on": f"{len(tables['validation'])} held-out {kind}",
        "images": len(pick),
        "share_above": {name: round(float(told.mean()), 4) for name, told in above.items()},
    }


def patient_scores(entry, table, standard) -> np.ndarray:
    """The highest score of each patient's levels, shape (n,)."""
    return np.array(
        [
            max(level_score(entry, hu, standard)[0] for hu in images.values())
            for images in table.images
        ]
    )
