"""What all tests share: the source tree on the path, where the real scans are, and the tiers."""

import functools
import os
import sys
from pathlib import Path

# One thread a process, before numpy is imported: test files run side by side, and another
# number of threads sums in another order, which moves values by some 1e-7.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import pytest  # noqa: E402
from paths import ROOT, SHARED_DATA  # noqa: E402

# The tree under test comes first, whatever is installed.
sys.path.insert(0, str(ROOT))

GUI_FOLDER = Path(__file__).resolve().parent / "panel"


def pytest_collection_modifyitems(items):
    """Mark what opens windows by its folder, and what reads the real scans by its fixture."""
    for item in items:
        if GUI_FOLDER in item.path.parents:
            item.add_marker(pytest.mark.gui)
        if "shared_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.data)


@pytest.fixture(scope="session")
def shared_data():
    """A function from a name in the shared data to its path; skips where it is missing."""

    def path(name: str) -> Path:
        found = SHARED_DATA / name
        if not found.exists():
            pytest.skip(f"missing real CT: {found}")
        return found

    return path


@pytest.fixture(scope="session")
def measured():
    """A function from the name of a golden scan to what CTBMD answers for it now, asked once."""
    import goldens

    @functools.cache
    def measure(name: str) -> dict:
        if not goldens.SCANS[name].exists():
            pytest.skip(f"missing real CT: {goldens.SCANS[name]}")
        return goldens.measure(goldens.SCANS[name])

    return measure
