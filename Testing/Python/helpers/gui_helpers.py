"""What the GUI tests share: EmbeddedSlicer's clicks and waits, and where the repository is."""

from __future__ import annotations

import sys
from contextlib import contextmanager

import pytest
from paths import ROOT

sys.path.insert(0, str(ROOT / "Testing" / "EmbeddedSlicer"))

pytest.importorskip("slicer_core", reason="slicer-core is not installed (make test sets it up)")
pytest.importorskip("PySide6", reason="PySide6 is not installed (make test sets it up)")

import EmbeddedSlicer  # noqa: E402
from EmbeddedSlicer import testing  # noqa: E402
from EmbeddedSlicer.testing import *  # noqa: E402, F403


@contextmanager
def opened_module(model=""):
    """The module in an empty scene, with a model chosen; what runs is abandoned at the end.

    Parameters
    ----------
    model : str
        Folder of a bundle, '' for the one that comes with the module.
    """
    testing.clean_scene()
    widget = EmbeddedSlicer.open_module(ROOT / "CTBMD" / "CTBMD.py")
    widget.enter()
    if model:
        widget.panel.parameterNode.modelFolder = model
    with testing.no_slot_errors():
        yield widget
        testing.process()
    widget.panel.runner.abandon()
    widget.exit()


@contextmanager
def opened_panel(model=""):
    """The panel of an `opened_module`."""
    with opened_module(model) as widget:
        yield widget.panel
