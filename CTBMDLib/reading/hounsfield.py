"""Are these numbers Hounsfield units, and what is the smallest lossless way to keep them."""

from __future__ import annotations

import numpy as np

from ..errors import CTBMDError

_SAMPLE = 400_000
_INT16 = np.iinfo(np.int16)
_MAX_FLOAT32 = float(np.finfo(np.float32).max)


def compact(values: np.ndarray, slope: float = 1.0, intercept: float = 0.0) -> np.ndarray:
    """HU as int16 where that loses nothing, as float32 otherwise.

    Works slice by slice: beside `values` only the result takes memory.

    Parameters
    ----------
    values : ndarray, shape (K, J, I)
        Stored values, any real dtype.
    slope, intercept : float
        HU = slope * stored value + intercept.

    Raises
    ------
    CTBMDError
        For values that are not finite, or would not be in float32.
    """
    plain = slope == 1 and intercept == 0
    if plain and values.dtype == np.int16:
        return values
    result = np.empty(values.shape, np.int16)
    for k, plane in enumerate(values):
        hu = _finite(plane, slope, intercept)
        if hu.min() < _INT16.min or hu.max() > _INT16.max:
            break
        result[k] = hu
        if hu.dtype.kind == "f" and not np.array_equal(result[k], hu):
            break
    else:
        return result
    del result
    if plain and values.dtype == np.float32:
        for plane in values:
            _finite(plane, slope, intercept)
        return values
    result = np.empty(values.shape, np.float32)
    for k, plane in enumerate(values):
        result[k] = _finite(plane, slope, intercept)
    return result


def _finite(plane: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """One slice in HU, exact for whole numbers."""
    if slope != 1 or intercept != 0:
        with np.errstate(over="ignore", invalid="ignore"):  # told below in a sentence
            plane = np.asarray(slope * plane.astype(np.float64) + intercept)
    # A value above the limit is finite here and would be infinite in float32.
    if plane.dtype.kind == "f" and not (np.abs(plane) <= _MAX_FLOAT32).all():
        raise CTBMDError(
            "The volume holds values that are not numbers (NaN, infinity, or too large to be kept); export it again without them.",
            "not-finite",
        )
    return plane


def check(hu: np.ndarray) -> None:
    """Refuse what cannot be a CT of a person in Hounsfield units.

    Every value must be a number that float32 can keep. Air must lie near -1000 and soft tissue near 0. Looked at are about 400,000
    voxels on a regular grid. A volume cropped inside the body, with no air in
    it, passes, and so do one with air masked to 0 and one padded with -2000 or
    -3024 outside the circle of reconstruction.

    Raises
    ------
    CTBMDError
    """
    if hu.dtype.kind == "f":
        for plane in hu:
            _finite(plane, 1.0, 0.0)
    step = max(1, round((hu.size / _SAMPLE) ** (1 / 3)))
    values = hu[::step, ::step, ::step].ravel().astype(np.float32)
    values = values[values > -1500]  # padding
    if not values.size:
        raise _refusal("all values lie below -1500")
    low, median, high = (float(x) for x in np.percentile(values, (0.5, 50, 99.5)))
    if high - low < 30:
        if low >= 0 and high > low:
            raise CTBMDError(
                f"This is no CT: nearly all of its values lie between {low:.0f} and {high:.0f}; choose the CT. A volume of labels is given as the segmentation (--segmentation).",
                "labels-not-ct",
            )
        raise CTBMDError(
            f"The volume is empty: nearly all of its values lie between {low:.0f} and {high:.0f}; choose another series.",
            "empty-volume",
        )

    def share(a: float, b: float) -> float:
        return float(np.mean((values >= a) & (values <= b)))

    if low > -20:
        raise _refusal(
            f"its lowest values are {low:.0f}, so that there is neither air nor fat in it"
        )
    if share(700, np.inf) > 0.25:
        raise _refusal("a large part of it is denser than bone")
    if share(-200, 300) < 0.02:
        raise _refusal(f"it has next to no soft tissue near 0 HU (median {median:.0f})")
    if share(-1500, -300) > 0.05 and share(-1150, -850) < 0.002:
        raise _refusal("its air does not lie near -1000 HU")


def _refusal(why: str) -> CTBMDError:
    return CTBMDError(
        f"The values are not Hounsfield units ({why}); export the CT with its rescale slope and intercept.",
        "not-hounsfield",
    )
