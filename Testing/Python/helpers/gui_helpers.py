"""What the GUI tests share: EmbeddedSlicer's clicks and waits, and where the repository is."""

from __future__ import annotations

import sys

import pytest
from paths import ROOT

sys.path.insert(0, str(ROOT / "Testing" / "EmbeddedSlicer"))

pytest.importorskip("slicer_core", reason="slicer-core is not installed (make test sets it up)")
pytest.importorskip("PySide6", reason="PySide6 is not installed (make test sets it up)")

from EmbeddedSlicer.testing import *  # noqa: E402, F403
