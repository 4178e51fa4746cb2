"""What two small networks see along the straightened spine: discs and bodies; ribs and sacral ala."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from ..errors import CTBMDError
from ..resources import resource_folder
from ..volume import CTVolume
from ..weights import read_card, read_weights
from .ribs import BEHIND, OUT
from .straightened import AHEAD, LATERAL, StraightenedSpine, between, sample_planes

DISC_STEP, SIDE_STEP = 2, 4
"""Planes (mm) averaged into one step of the two networks."""
DILATIONS = {"disc": (1, 2, 4, 8), "side": (1, 2)}
LAYERS = {"disc": (32, 2), "side": (24, 3)}
"""Width and outputs of each network; `TAPS` is how many steps a layer's kernel spans."""
TAPS = 5
FORMAT = "ctbmd-locator"
SIDE_NAMES = ("rib", "none", "ala")
# Edges of the blocks that are averaged, mm. All of this is what the weights were trained on.
_LATERAL_BANDS = (-51, -37.5, -25.5, -16.5, -7.5, 7.5, 16.5, 25.5, 37.5, 51.1)
_AHEAD_BANDS = (-45.1, -34, -24, -16, -9, -2, 5, 12, 22.6)
_OUT_BANDS = (26, 35, 44, 53, 62, 71, 82)
_BEHIND_BANDS = (-70, -52, -40, -28, -16, 4)


UNIT_HU, VALUE_RANGE = 150.0, (-1.5, 3.0)
"""The networks see HU above muscle in this unit, cut to this range."""
BODY_AHEAD_MM, BODY_SIDE_MM = 7.6, (11.9, 30.1)
"""Where the wall of the body to the left and right is looked for."""


def _pool_matrix(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Columns that average `values` within each band of `edges`."""
    member = (values[:, None] >= edges[:-1]) & (values[:, None] < edges[1:])
    pool: np.ndarray = (member / member.sum(axis=0)).astype(np.float32)
    return pool


_LATERAL_POOL = _pool_matrix(LATERAL, np.array(_LATERAL_BANDS))
_AHEAD_POOL = _pool_matrix(AHEAD, np.array(_AHEAD_BANDS))
_OUT_POOL = _pool_matrix(OUT, np.array(_OUT_BANDS))
_BEHIND_POOL = _pool_matrix(BEHIND, np.array(_BEHIND_BANDS))


def _scaled(hu: np.ndarray, tissue_hu: float) -> tuple[np.ndarray, np.ndarray]:
    """HU above muscle in units of 150, limited; 0 where unseen. Also where it is seen."""
    seen = np.isfinite(hu)
    value = np.where(seen, (hu - np.float32(tissue_hu)) / np.float32(UNIT_HU), np.float32(0.0))
    return np.clip(value, *VALUE_RANGE), seen


def central_channels(straight: StraightenedSpine, tissue_hu: float) -> np.ndarray:
    """Means over blocks of each plane, shape (n, AHEAD bands, LATERAL bands + 2), float32.

    The last two columns hold the wall of the body to the left and right (the
    densest place beside its middle, in the first row) and how much of the
    plane the CT covers (second row).
    """
    value, seen = _scaled(straight.hu, tissue_hu)
    blocks = np.einsum("tar,ab,rc->tbc", value, _AHEAD_POOL, _LATERAL_POOL, optimize=True)
    flank = value[:, np.abs(AHEAD) <= BODY_AHEAD_MM].mean(axis=1)
    extra = np.zeros((*blocks.shape[:2], 2), np.float32)
    for column, sign in enumerate((-1, 1)):
        beside = between(sign * LATERAL, BODY_SIDE_MM)
        extra[:, 0, column] = flank[:, beside].max(axis=1)
        extra[:, 1, column] = seen[:, :, sign * LATERAL >= 0].mean(axis=(1, 2))
    return np.concatenate([blocks, extra], axis=2)


def side_channels(straight: StraightenedSpine, reduced: CTVolume, tissue_hu: float) -> np.ndarray:
    """Blocks of what lies beside the spine, shape (2, n // SIDE_STEP, bands), left and right.

    Means and maxima, from the body's side to where a twelfth rib ends.
    """
    planes = np.arange(SIDE_STEP // 2, len(straight), SIDE_STEP)
    centre, front, right = (v[planes] for v in (straight.centre, straight.front, straight.right))
    sides = []
    for sign in (-1, 1):
        hu = sample_planes(reduced, centre, front, right, BEHIND, sign * OUT)
        value, seen = _scaled(hu, tissue_hu)
        mean = np.einsum("tbo,bc,od->tcd", value, _BEHIND_POOL, _OUT_POOL, optimize=True)
        top = _block_max(_block_max(value, _BEHIND_POOL, 1), _OUT_POOL, 2)
        cover = seen.mean(axis=1, dtype=np.float32) @ _OUT_POOL
        sides.append(
            np.concatenate([mean.reshape(len(planes), -1), top.reshape(len(planes), -1), cover], 1)
        )
    return np.stack(sides)


def _block_max(value: np.ndarray, pool: np.ndarray, axis: int) -> np.ndarray:
    """Maxima over the blocks that `pool` averages."""
    return np.stack(
        [value.compress(column > 0, axis=axis).max(axis=axis) for column in pool.T], axis
    )


def disc_input(central: np.ndarray) -> np.ndarray:
    """Steps of the disc network, shape (steps, channels)."""
    steps = len(central) // DISC_STEP
    part: np.ndarray = central[: steps * DISC_STEP]
    part = part.reshape(steps, DISC_STEP, *central.shape[1:]).mean(axis=1)
    return part.reshape(steps, -1)


def side_input(central: np.ndarray, beside: np.ndarray) -> np.ndarray:
    """Steps of the side network for left and right, shape (2, steps, channels).

    The right side is seen in the mirror, so that one network serves both.
    """
    steps = min(len(central) // SIDE_STEP, beside.shape[1])
    part = central[: steps * SIDE_STEP].reshape(steps, SIDE_STEP, *central.shape[1:]).mean(axis=1)
    middle = len(_LATERAL_BANDS) // 2 - 1
    out = []
    for number in range(2):
        seen = part if number == 0 else mirrored(part)
        near = np.concatenate(
            [seen[:, :, : middle + 1].reshape(steps, -1), seen[:, :2, -2]], axis=1
        )
        out.append(np.concatenate([near, beside[number][:steps]], axis=1))
    return np.stack(out)


def mirrored(central: np.ndarray) -> np.ndarray:
    """`central_channels` with left and right exchanged."""
    return np.concatenate([central[:, :, -3::-1], central[:, :, :-3:-1]], axis=2)


def forward(inputs: np.ndarray, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    """The network `name` on steps, shape (steps, channels) -> (steps, outputs)."""
    x = (inputs - weights[f"{name}.mean"]) / weights[f"{name}.scale"]
    x = np.maximum(x @ weights[f"{name}.0.weight"] + weights[f"{name}.0.bias"], 0.0)
    for layer, dilation in enumerate(DILATIONS[name], start=1):
        kernel = weights[f"{name}.{layer}.weight"]  # (taps, in, out)
        reach = dilation * (len(kernel) // 2)
        padded = np.pad(x, ((reach, reach), (0, 0)))
        total = weights[f"{name}.{layer}.bias"]
        for tap, matrix in enumerate(kernel):
            total = total + padded[tap * dilation : tap * dilation + len(x)] @ matrix
        x = x + np.maximum(total, 0.0)
    last = len(DILATIONS[name]) + 1
    out: np.ndarray = x @ weights[f"{name}.{last}.weight"] + weights[f"{name}.{last}.bias"]
    return out


def see_discs(straight: StraightenedSpine, tissue_hu: float) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds that a disc's and that a body's middle lies in each plane, shape (n,) each."""
    middle = forward(disc_input(central_channels(straight, tissue_hu)), load_weights(), "disc")
    at = DISC_STEP * np.arange(len(middle)) + (DISC_STEP - 1) / 2
    planes = np.arange(len(straight))
    disc, body = (np.interp(planes, at, column) for column in middle.T)
    return disc, body


def see_sides(
    straight: StraightenedSpine, reduced: CTVolume, tissue_hu: float
) -> tuple[np.ndarray, np.ndarray]:
    """What each side of the spine looks like.

    Parameters
    ----------
    straight : StraightenedSpine
    reduced : CTVolume
        Where what lies further to the side is sampled.
    tissue_hu : float
        HU of muscle in this CT.

    Returns
    -------
    logits : ndarray, shape (2, n, 3)
        Of `SIDE_NAMES` for the patient's left and right in each plane.
    cover : ndarray, shape (2, n)
        Share of each half plane that the CT covers.
    """
    central = central_channels(straight, tissue_hu)
    inputs = side_input(central, side_channels(straight, reduced, tissue_hu))
    at = SIDE_STEP * np.arange(inputs.shape[1]) + (SIDE_STEP - 1) / 2
    planes = np.arange(len(straight))
    logits = [
        np.stack([np.interp(planes, at, c) for c in forward(x, load_weights(), "side").T], 1)
        for x in inputs
    ]
    return np.stack(logits), central[:, 1, -2:].T


def parameter_shapes() -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight of both networks."""
    shapes: dict[str, tuple[int, ...]] = {}
    blocks = (len(_AHEAD_BANDS) - 1, len(_LATERAL_BANDS) - 1)
    beside = (len(_OUT_BANDS) - 1) * (2 * (len(_BEHIND_BANDS) - 1) + 1)
    inputs = {
        "disc": blocks[0] * (blocks[1] + 2),
        "side": blocks[0] * (blocks[1] // 2 + 1) + 2 + beside,
    }
    for name, (width, outputs) in LAYERS.items():
        last = len(DILATIONS[name]) + 1
        shapes |= {f"{name}.mean": (inputs[name],), f"{name}.scale": (inputs[name],)}
        kernels = [(inputs[name], width), *[(TAPS, width, width)] * (last - 1), (width, outputs)]
        for number, kernel in enumerate(kernels):
            shapes[f"{name}.{number}.weight"] = kernel
            shapes[f"{name}.{number}.bias"] = (kernel[-1],)
    return shapes


@lru_cache(maxsize=2)
def load_weights(folder: Path | None = None) -> dict[str, np.ndarray]:
    """Weights of both networks by name, float32.

    Parameters
    ----------
    folder : Path, optional
        Holds card.json and weights.npz; the installed `ctbmd-locator` where None.

    Raises
    ------
    CTBMDError
        Where a file is missing, damaged or not the one that the card describes.
    """
    folder = folder or resource_folder("Models") / "ctbmd-locator"
    try:
        card = read_card(folder, FORMAT)
        return read_weights(folder, card.get("weights_sha256"), parameter_shapes())
    except CTBMDError as error:
        why = str(error).split(";", maxsplit=1)[0].rstrip(".")
        raise CTBMDError(
            f"The level finder's model cannot be used; install CTBMD again ({why}).", error.code
        ) from None
