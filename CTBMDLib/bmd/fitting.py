"""How well a shape fits the HU around it, and the search for the best one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

INNER_MM = (-2.4, -1.6, -0.8, 0.0)
OUTER_MM = (1.6, 2.4, 3.2, 4.0)
"""Places across a wall that are held against each other; the wall is blurred over 2-3 mm."""
FULL_EDGE_HU = 180.0
"""A step beyond this is no better than one of this size."""
SMALLEST_STEP = 0.2


def steps(inner: np.ndarray, outer: np.ndarray) -> np.ndarray:
    """How much the inside stands out, -0.3 to 1, from HU on either side."""
    return np.asarray(np.clip((inner - outer) / FULL_EDGE_HU, -0.3, 1.0))


def uneven(hu: np.ndarray) -> np.ndarray:
    """How uneven the inside of a shape is, of `FULL_EDGE_HU`; shape (n, places) -> (n,).

    A body is filled by one kind of bone; a shape that holds the canal, or a disc, is not.
    """
    return np.asarray(np.abs(hu - np.median(hu, axis=1, keepdims=True)).mean(axis=1) / FULL_EDGE_HU)


def ridge(profile: np.ndarray) -> float:
    """How far any place of a profile exceeds places on both sides of it, HU; shape (n,).

    Bone grows denser towards an endplate; that it then grows less dense again says that the
    endplate was passed.
    """
    below = np.minimum.accumulate(profile)
    above = np.minimum.accumulate(profile[::-1])[::-1]
    return float((profile - np.maximum(below, above)).max())


def climb(
    score: Callable[[np.ndarray], np.ndarray],
    start: np.ndarray,
    step: float,
    low: np.ndarray,
    high: np.ndarray,
) -> tuple[np.ndarray, float]:
    """The nearest maximum by a search along each parameter and pairs of them."""
    n = len(start)
    moves = np.concatenate([np.eye(n), -np.eye(n)])
    pairs = [
        a * np.eye(n)[i] + b * np.eye(n)[j]
        for i in range(n)
        for j in range(i)
        for a in (-1, 1)
        for b in (-1, 1)
    ]
    moves = np.concatenate([moves, pairs])
    best = np.clip(start, low, high)
    value = float(score(best[None])[0])
    while step > SMALLEST_STEP:
        tried = np.clip(best + step * moves, low, high)
        scores = score(tried)
        top = int(np.argmax(scores))
        if scores[top] > value + 1e-6:
            best, value = tried[top], float(scores[top])
        else:
            step /= 2
    return best, value
