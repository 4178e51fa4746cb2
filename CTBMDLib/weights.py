"""A model on the disk, `card.json` and `weights.npz` in one folder: read, and checked before it is used."""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
import zlib
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
from numpy.lib import format as npy

from .errors import CTBMDError
from .safefile import cannot_be_read

CARD = "card.json"
WEIGHTS = "weights.npz"
MAX_BYTES = 5_000_000
"""No model of CTBMD has larger weights; more is not read into memory."""
MAX_CARD_BYTES = 1_000_000
MAX_CARD_DEPTH = 30
"""No entry of a card lies deeper."""
SIGNATURE = "card_sha256"
"""Entry with the SHA-256 of the rest of the card."""
_NPY_HEAD = 4096
"""Bytes of an array in an archive that are not its values; it has some hundred."""


def card_digest(card: Mapping[str, Any]) -> str:
    """SHA-256 of a card's content, its own signature left out; spaces and order do not count."""
    content = {key: value for key, value in card.items() if key != SIGNATURE}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


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
        Where there is no card, it is of another kind of model, or is not as it was
        when it was signed. A card that is not signed is taken as it is.
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
        card = json.loads(path.read_text(encoding="utf-8"), parse_constant=_not_finite)
        _check_depth(card)
    except CTBMDError:
        raise
    except (ValueError, RecursionError):
        raise CTBMDError(
            f"'{path}' cannot be read as JSON; the bundle is damaged, copy it again.", "card-json"
        ) from None
    except OSError as error:
        raise CTBMDError(cannot_be_read(path, error), "card-unreadable") from None
    if not isinstance(card, dict) or card.get("format") != kind:
        raise CTBMDError(
            f"'{path}' is not the card of a CTBMD model this version can read.", "card-format"
        )
    if SIGNATURE in card and card[SIGNATURE] != card_digest(card):
        raise CTBMDError(
            f"The card '{path}' was changed after it was written; copy the bundle again, or, if the "
            f"change is your own, take '{SIGNATURE}' out of it.",
            "card-changed",
        )
    return card


def _not_finite(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _check_depth(value: Any) -> None:
    """Refuse JSON nested deeper than any card, which later steps could not follow."""
    level = [value]
    for _ in range(MAX_CARD_DEPTH):
        inner = [
            x.values() if isinstance(x, dict) else x for x in level if isinstance(x, (dict, list))
        ]
        level = [x for values in inner for x in values]
        if not level:
            return
    raise ValueError("nested too deeply")


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
        raise CTBMDError(cannot_be_read(path, error), "weights-unreadable") from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise CTBMDError(
            f"The weights in '{folder}' are not those its card describes (damaged or changed); "
            "copy the bundle again.",
            "weights-changed",
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _arrays(archive, folder, shapes)
    except CTBMDError:
        raise
    except (
        *(ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error, KeyError, TypeError),
        *(NotImplementedError, RuntimeError, RecursionError, SyntaxError),
    ):  # what zipfile and numpy raise for archives and heads that are broken
        raise CTBMDError(
            f"The weights in '{folder}' cannot be read; the bundle is damaged, copy it again.",
            "weights-damaged",
        ) from None


def _arrays(
    archive: zipfile.ZipFile, folder: Path, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    """The arrays of an archive; each is looked at before any memory is taken for it."""
    members = {item.filename.removesuffix(".npy"): item for item in archive.infolist()}
    if set(members) != set(shapes):
        raise CTBMDError(
            f"The weights in '{folder}' belong to another network than its card says.",
            "weights-other-network",
        )
    weights = {}
    for name, shape in shapes.items():
        count = math.prod(shape)
        value = None
        if members[name].file_size <= 8 * count + _NPY_HEAD:
            with archive.open(members[name]) as stream:
                value = _array(stream, shape)
        if value is None or not np.isfinite(value).all():
            raise CTBMDError(
                f"The weights in '{folder}' do not fit the network ('{name}'); the bundle is "
                "damaged or foreign.",
                "weights-do-not-fit",
            )
        weights[name] = value
    return weights


def _array(stream: IO[bytes], shape: tuple[int, ...]) -> np.ndarray | None:
    """The values of a .npy stream as float32; None where its head says that they do not fit.

    Objects are never unpickled: a foreign file must not be able to run anything.
    """
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    found, fortran, dtype = read(stream)
    if dtype.hasobject:
        raise ValueError("objects")
    if found != shape or dtype not in (np.float32, np.float16):
        return None
    values = np.frombuffer(stream.read(), dtype)
    return values.reshape(shape, order="F" if fortran else "C").astype(np.float32)
