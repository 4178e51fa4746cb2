"""Virtual patients: anatomy of known mineral content, its simulated CT and its simulated DXA."""

import hashlib
import os
from pathlib import Path

import numba


def _cache_of_these_sources() -> None:
    """Keep compiled code by the content of all sources of this package.

    Numba's own cache looks only at the file a function stands in, not at those
    it calls into: after an edit, old code would go on running and the same seed
    would give other bytes than in a fresh checkout.
    """
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for source in sorted(here.glob("*.py")):
        digest.update(source.name.encode() + source.read_bytes())
    if os.access(here, os.W_OK):
        folder = here / "__pycache__" / f"numba-{digest.hexdigest()[:12]}"
        numba.config.CACHE_DIR = str(folder)


_cache_of_these_sources()
