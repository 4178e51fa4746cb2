"""Which revision of the simulator made a folder of virtual patients, so that two never mix."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from CTBMDLib.errors import CTBMDError

from .traits import priors

NAME = "cohort.json"
NOT_PATIENTS = {"checks", "contact_sheet", "dicom", "hospital", "make_tables", "revision", "sample"}
NOT_PATIENTS |= {"variants", "volume", "__init__", "anchors", "estimates", "measures", "phantoms"}
"""Modules of this package that no patient of a cohort depends on."""


def revision() -> str:
    """Digest of all that decides a patient's bytes: sources, frozen tables, priors in force."""
    here = Path(__file__).parent
    digest = hashlib.sha256(json.dumps(priors(), sort_keys=True).encode())
    sources = [path for path in here.glob("*.py") if path.stem not in NOT_PATIENTS]
    for path in sorted(sources) + sorted((here / "tables").iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


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
        partial = file.with_name(f".{NAME}.{os.getpid()}")
        partial.write_text(json.dumps(wanted, indent=1) + "\n")
        os.replace(partial, file)
        return
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        found = {}
    other = [name for name, value in wanted.items() if found.get(name) != value]
    if other:
        raise CTBMDError(
            f"{folder} holds virtual patients of another {' and '.join(other)}; "
            "move that folder away or choose another one."
        )
