"""How like a level's images are to those that a model was trained on.

A few plain statistics of an image (how much of it is fat, muscle and bone, how bright
these are, how sharp and how noisy it is) are held against those of the training images:
the Mahalanobis distance (Lee 2018, NeurIPS, for networks' features) says how many
standard deviations the image lies away from them. Where a distance begins to be unusual
was measured on patients that the model was not trained on, and both stand in the
bundle's card. The network itself has no part in it, so that every backend says the same.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .images import ImageStandard

KEY = "likeness"
"""The card's entry; a card of an older model has none, and then nothing is said."""
FEATURES = (
    "the share of fat",
    "the HU of fat",
    "the HU of soft tissue",
    "the spread of soft tissue's HU",
    "how much is brighter than soft tissue",
    "how much is as dense as bone",
    "how much is as dense as cortex or metal",
    "noise",
    "the grain of the noise",
    "the HU of the vertebral body",
    "how sharp the edges are",
    "how little both sides are alike",
    "the HU before the spine",
    "the HU about the body",
    "the HU about the canal",
    "the HU behind the canal",
    "the HU of the back",
)
"""What is looked at, in the words of a sentence; a card that lists others is not used."""
TISSUE_HU, FAT_HU, SOFT_HU = -300.0, (-200.0, -30.0), (-30.0, 100.0)
BRIGHT_HU, BONE_HU, DENSE_HU = 100.0, 250.0, 700.0
LAYOUT_HU = (-200.0, 500.0)
"""What the layout's means are clipped to, so that air and metal do not rule them."""
BANDS = 5
"""Of an image's middle third, from front to back, whose mean HU say what lies where."""
MIN_PIXELS = 30
"""Of fat, or of soft tissue, below which an image has no such statistics."""
UNLIKE_ANY = 99.0
"""The distance of an image without tissue, and the largest that is told."""
RIDGE = 1e-3
"""Added to the correlations, so that two statistics that agree do not blow up."""


def image_features(hu: Any, standard: ImageStandard) -> np.ndarray:
    """The statistics of images; shape (n, len(FEATURES)), NaN rows where there is no tissue.

    Parameters
    ----------
    hu : array_like, shape (n, size, size)
        HU as `images.cut_images` makes them.
    standard : ImageStandard
    """
    images = np.clip(np.asarray(hu, np.float32), -1000.0, standard.hu_high)
    if not len(images):
        return np.empty((0, len(FEATURES)))
    return np.stack([_features(image, standard) for image in images])


def _features(image: np.ndarray, standard: ImageStandard) -> np.ndarray:
    from scipy import ndimage

    smooth = ndimage.uniform_filter(image, 3)
    tissue = smooth > TISSUE_HU
    fat = (smooth > FAT_HU[0]) & (smooth < FAT_HU[1])
    soft = (smooth > SOFT_HU[0]) & (smooth < SOFT_HU[1])
    if min(fat.sum(), soft.sum()) < MIN_PIXELS:
        return np.full(len(FEATURES), np.nan)
    count = tissue.sum()

    def share(of: np.ndarray) -> float:
        # Square roots of shares spread evenly, from none to much.
        return math.sqrt(float((of & tissue).sum()) / float(count))

    # Where tissue is even, what differs from pixel to pixel is noise.
    slope = ndimage.gaussian_gradient_magnitude(smooth, 1.0)
    even = soft & (slope <= np.median(slope[soft]))
    residue = image - ndimage.uniform_filter(image, 5)
    noise = float(np.mean(np.abs(residue[even]))) + 0.5
    fine = np.abs(np.diff(image, axis=1))[even[:, 1:] & even[:, :-1]]
    grain = (float(fine.mean()) if fine.size else 0.0) + 0.5
    row = standard.anterior_mm / standard.spacing_mm
    j, i = np.indices(image.shape) + 0.5
    near = np.hypot(j - row, i - standard.size_px / 2) * standard.spacing_mm <= 8
    inside = tissue & (ndimage.uniform_filter(image, 5) > TISSUE_HU)
    steep = np.percentile(ndimage.gaussian_gradient_magnitude(image, 0.7)[inside], 90)
    both = tissue & tissue[:, ::-1]
    unlike = np.abs(smooth - smooth[:, ::-1])[both] if both.any() else np.zeros(1)
    low, middle, high = np.percentile(smooth[soft], (10, 50, 90))
    plain = np.clip(image, *LAYOUT_HU)
    third = image.shape[1] // 3
    bands = np.array_split(plain, BANDS)
    layout = [band[:, third:-third].mean() for band in bands]
    return np.array(
        [
            share(fat),
            float(np.median(smooth[fat])),
            float(middle),
            float(high - low),
            share(smooth > BRIGHT_HU),
            share(smooth > BONE_HU),
            share(smooth > DENSE_HU),
            math.log(noise),
            math.log(grain / noise),
            float(np.median(image[near])),
            math.log(float(steep) + 1.0),
            math.log(float(np.mean(np.minimum(unlike, 300.0))) + 1.0),
            *layout,
        ]
    )


def learn(features: np.ndarray) -> dict[str, Any]:
    """The card's entry without its limit, from the statistics of training images, shape (n, F)."""
    known = features[np.isfinite(features).all(axis=1)]
    mean, sd = known.mean(axis=0), np.maximum(known.std(axis=0), 1e-3)
    z = (known - mean) / sd
    correlation = z.T @ z / len(z) + RIDGE * np.eye(len(mean))
    inverse = np.linalg.inv(correlation)
    return {
        "features": list(FEATURES),
        "mean": [_short(x) for x in mean],
        "sd": [_short(x) for x in sd],
        # Symmetric: each row from its diagonal on.
        "inverse": [[_short(x) for x in row[i:]] for i, row in enumerate(inverse)],
    }


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def usable(entry: Any) -> bool:
    """Whether a card's entry is one that this version computes."""
    return isinstance(entry, dict) and entry.get("features") == list(FEATURES)


def possible(entry: Any) -> bool:
    """Whether `distances` and `unusual` can go by a card's entry."""
    if not isinstance(entry, dict) or not isinstance(entry.get("features"), list):
        return False
    if not usable(entry):
        return True  # of another version: it is not gone by
    n = len(FEATURES)
    rows = entry.get("inverse")
    lengths = [(entry.get("mean"), n), (entry.get("sd"), n)]
    if not isinstance(rows, list) or len(rows) != n:
        return False
    lengths += [(row, n - i) for i, row in enumerate(rows)]
    for numbers, count in lengths:
        if not isinstance(numbers, list) or len(numbers) != count:
            return False
        if not all(_number(x) and abs(x) < 1e9 for x in numbers):
            return False
    rate: Any = entry.get("false_alarms")
    limit: Any = entry.get("limit")
    return (
        all(x > 0 for x in entry["sd"])
        and _number(limit)
        and 0 < limit <= UNLIKE_ANY
        and _number(rate)
        and 0 < rate < 1
    )


def _number(value: Any) -> bool:
    # False for NaN and infinity too.
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value)


def distances(entry: dict[str, Any], features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each image from the training images, and what it is owed to.

    Parameters
    ----------
    entry : dict
        Of the card; see `learn`.
    features : ndarray, shape (n, F)

    Returns
    -------
    (distance, shares)
        distance, shape (n,): a root mean square, so that an ordinary training image has
        about 1; shares, shape (n, F): what each statistic adds to its square.
    """
    n = len(FEATURES)
    upper = np.zeros((n, n))
    for i, row in enumerate(entry["inverse"]):
        upper[i, i:] = row
    inverse = upper + np.triu(upper, 1).T
    z = (features - np.asarray(entry["mean"])) / np.asarray(entry["sd"])
    shares = z * (z @ inverse) / n
    square = shares.sum(axis=1)
    away = np.where(np.isfinite(square), np.sqrt(np.maximum(square, 0)), UNLIKE_ANY)
    return np.minimum(away, UNLIKE_ANY), np.nan_to_num(shares)


def level_score(
    entry: dict[str, Any], hu: np.ndarray, standard: ImageStandard
) -> tuple[float, str | None]:
    """The median distance of a level's images, and the statistic it is owed to most.

    The statistic is None where the images hold too little tissue to have any.
    """
    away, shares = distances(entry, image_features(hu, standard))
    most = shares.mean(axis=0)
    return float(np.median(away)), FEATURES[int(most.argmax())] if most.any() else None


def limit_for(scores: np.ndarray, rate: float) -> tuple[float, float]:
    """The score that hardly any patient exceeds, and the share of new patients that do.

    Split-conformal: of n patients the k-th score, k = ceil((1 - rate) (n + 1)); where they
    are too few for the rate, the highest. A patient like these exceeds it with
    probability 1 - k / (n + 1).

    Parameters
    ----------
    scores : ndarray, shape (n,)
        The highest score of each patient's levels.
    rate : float
        The share that is asked for.
    """
    ordered = np.sort(scores)
    place = min(math.ceil((1 - rate) * (len(ordered) + 1)), len(ordered))
    return float(ordered[place - 1]), 1 - place / (len(ordered) + 1)
