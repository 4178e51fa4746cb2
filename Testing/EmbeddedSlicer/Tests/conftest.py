"""Every test here opens windows."""

from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


def pytest_collection_modifyitems(items):
    """Mark the tests beside this file as `gui`."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.gui)
