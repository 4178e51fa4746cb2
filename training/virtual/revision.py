"""Which revision of the simulator made a folder of virtual patients, so that two never mix.

What is digested is what a source says, not how or where it is written: its tokens
without comments, docstrings and imports. A module that moves, or one whose
explanations are improved, makes the same patients and is the same revision.
"""

from __future__ import annotations

import hashlib
import io
import json
import tokenize
from dataclasses import asdict
from pathlib import Path

from CTBMDLib.errors import CTBMDError
from CTBMDLib.safefile import write_text

from . import (
    anatomy,
    bone,
    bright,
    devices,
    dxa,
    materials,
    patient,
    posterior,
    primitives,
    projector,
    raster,
    scanner,
    soft,
    spectra,
    texture,
    traits,
    trunk,
)

NAME = "cohort.json"
MODULES = (
    anatomy, bone, bright, devices, dxa, materials, patient, posterior, primitives, projector, raster, scanner,
    soft, spectra, texture, traits, trunk,
)  # fmt: skip
"""All that `patient` imports of the simulator, itself included: they decide a patient's bytes."""

_SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER}
_BLOCKS = {tokenize.NEWLINE: "\n", tokenize.INDENT: ">", tokenize.DEDENT: "<"}


def statements(source: str) -> list[str]:
    """The tokens of a source that decide what it computes.

    Parameters
    ----------
    source : str
        A Python module.

    Returns
    -------
    list of str
        Without comments, imports and strings that are a statement of their own; line
        ends and blocks as one character each. The same for every version of Python.
    """
    kept: list[str] = []
    line: list[tuple[int, str]] = []
    for kind, text in _tokens(source):
        if kind in (tokenize.INDENT, tokenize.DEDENT):
            kept.append(_BLOCKS[kind])
        elif kind != tokenize.NEWLINE:
            line.append((kind, text))
        else:
            docstring = all(kind == tokenize.STRING for kind, _ in line)
            if not docstring and line[0][1] not in ("import", "from"):
                kept += [text for _, text in line]
                kept.append(_BLOCKS[tokenize.NEWLINE])
            line = []
    return kept


def _tokens(source: str):
    """(kind, text) of each token; an f-string is one, as it was before Python 3.12."""
    lines = source.splitlines(keepends=True)
    start = getattr(tokenize, "FSTRING_START", None)
    end = getattr(tokenize, "FSTRING_END", None)
    open_at = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in _SILENT:
            continue
        if start is not None and token.type == start:
            open_at.append(token.start)
        elif end is not None and token.type == end:
            began = open_at.pop()
            if not open_at:
                yield tokenize.STRING, _between(lines, began, token.end)
        elif not open_at:
            yield token.type, token.string


def _between(lines, start, end) -> str:
    (first, left), (last, right) = start, end
    if first == last:
        return lines[first - 1][left:right]
    return "".join([lines[first - 1][left:], *lines[first : last - 1], lines[last - 1][:right]])


def revision() -> str:
    """Digest of all that decides a patient's bytes: sources, frozen tables, priors in force, devices."""
    digest = hashlib.sha256(json.dumps(traits.priors(), sort_keys=True).encode())
    made = {name: asdict(device) for name, device in devices.load_devices().items()}
    digest.update(json.dumps(made, sort_keys=True).encode())
    for path in sorted((Path(module.__file__) for module in MODULES), key=lambda path: path.name):
        said = statements(path.read_text(encoding="utf-8"))
        digest.update(json.dumps([path.name, said]).encode())
    for path in sorted(materials.TABLES.iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _noted(folder) -> dict:
    """What `claim` noted in a folder; {} where nobody knows."""
    try:
        return dict(json.loads((Path(folder) / NAME).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def revision_of(folder) -> str | None:
    """The revision that a folder's patients were made by; None where nobody knows."""
    return _noted(folder).get("revision")


def claim(folder, seed: int, population: str, institution: str) -> None:
    """Note in a folder whose patients it holds, or refuse one that holds others.

    Must be called with the priors in force that the patients are drawn from.

    Parameters
    ----------
    folder : path-like
        Exists; `cohort.json` is written to it.
    seed : int
    population, institution : str

    Raises
    ------
    CTBMDError
        Where the folder holds patients of another seed, population, institution or
        revision of the simulator, or nobody knows of which.
    """
    folder = Path(folder)
    wanted = {
        "seed": seed,
        "population": population,
        "institution": institution,
        "revision": revision(),
    }
    file = folder / NAME
    if not any(folder.glob("patient_*.npz")):
        write_text(file, json.dumps(wanted, indent=1) + "\n", overwrite=True)
        return
    found = _noted(folder)
    other = [name for name, value in wanted.items() if found.get(name) != value]
    if other:
        raise CTBMDError(
            f"{folder} holds virtual patients of another {' and '.join(other)}; "
            "move that folder away or choose another one.",
            "other-cohort",
        )
