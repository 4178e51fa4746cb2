"""What all tests share: the source tree on the path, and where the real scans are."""

import sys
from pathlib import Path

import pytest
from paths import ROOT, SHARED_DATA

# The tree under test comes first, whatever is installed.
sys.path.insert(0, str(ROOT))


@pytest.fixture(scope="session")
def shared_data():
    """A function from a name in the shared data to its path; skips where it is missing."""

    def path(name: str) -> Path:
        found = SHARED_DATA / name
        if not found.exists():
            pytest.skip(f"missing real CT: {found}")
        return found

    return path
