"""A model on the disk, `card.json` and `weights.npz` in one folder: read, and checked before it is used."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from .errors import CTBMDError

CARD = "card.json"
WEIGHTS = "weights.npz"
MAX_BYTES = 5_000_000
"""No model of CTBMD has larger weights; more is not read into memory."""
MAX_CARD_BYTES = 1_000_000


def read_card(folder: str | PathLike[str], kind: str) -> dict[str, Any]:
    """The card of a model of one kind.

    Parameters
    ----------
    folder : path-like
    kind : str
        What the card must give as its `format`.

    Raises
    ------
    CTBMDError
        Where there is no card, or it is of another kind of model.
    """
    folder = Path(folder)
    path = folder / CARD
    if not folder.exists():
        raise CTBMDError(f"The model '{folder}' does not exist; check the path.", "no-such-model")
    if not path.is_file():
        raise CTBMDError(
            f"'{folder}' is no model bundle: name the folder that holds {CARD} and {WEIGHTS}.",
            "no-model",
        )
    try:
        if path.stat().st_size > MAX_CARD_BYTES:
            raise CTBMDError(f"'{path}' is too large to be the card of a CTBMD model.", "card-size")
        card = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise CTBMDError(
            f"'{path}' cannot be read as JSON; the bundle is damaged, copy it again.", "card-json"
        ) from None
    except OSError as error:
        raise CTBMDError(
            f"'{path}' cannot be read ({error.strerror or error}); check the file and its rights.",
            "card-unreadable",
        ) from None
    if not isinstance(card, dict) or card.get("format") != kind:
        raise CTBMDError(
            f"'{path}' is not the card of a CTBMD model this version can read.", "card-format"
        )
    return card


def read_weights(
    folder: str | PathLike[str], sha256: Any, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    """The weights of a model, which must be whole and fit its network.

    Parameters
    ----------
    folder : path-like
    sha256 : str
        SHA-256 of the weights' file, as the card gives it.
    shapes : dict of str to tuple of int
        Name and shape of every array that the network needs, and no other.

    Returns
    -------
    dict of str to ndarray, float32

    Raises
    ------
    CTBMDError
        Where the file is missing, too large, not the one that the card
        describes, or of another network, or where a weight is not a number.
    """
    folder = Path(folder)
    path = folder / WEIGHTS
    if not path.is_file():
        raise CTBMDError(
            f"The model bundle '{folder}' has no {WEIGHTS}; copy the whole folder.", "no-weights"
        )
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CTBMDError(
                f"The weights in '{folder}' are larger than {MAX_BYTES // 1_000_000} MB, which no "
                "CTBMD model is.",
                "weights-size",
            )
        data = path.read_bytes()
    except OSError as error:
        raise CTBMDError(
            f"'{path}' cannot be read ({error.strerror or error}); check the file and its rights.",
            "weights-unreadable",
        ) from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise CTBMDError(
            f"The weights in '{folder}' are not those its card describes (damaged or changed); "
            "copy the bundle again.",
            "weights-changed",
        )
    weights = _arrays(data, folder)
    if set(weights) != set(shapes):
        raise CTBMDError(
            f"The weights in '{folder}' belong to another network than its card says.",
            "weights-other-network",
        )
    for name, shape in shapes.items():
        value = weights[name]
        fits = value.shape == shape and value.dtype in (np.float32, np.float16)
        if not fits or not np.isfinite(value).all():
            raise CTBMDError(
                f"The weights in '{folder}' do not fit the network ('{name}'); the bundle is "
                "damaged or foreign.",
                "weights-do-not-fit",
            )
    return {name: weights[name].astype(np.float32, copy=False) for name in shapes}


def _arrays(data: bytes, folder: Path) -> dict[str, np.ndarray]:
    try:
        # No pickle: a foreign file must not be able to run anything.
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error, KeyError, TypeError):
        # TypeError: np.load answers an array, which is no archive, for a .npy.
        raise CTBMDError(
            f"The weights in '{folder}' cannot be read; the bundle is damaged, copy it again.",
            "weights-damaged",
        ) from None
