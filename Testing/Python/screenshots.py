"""`make screenshots`: the README's pictures, made from the sample CT in EmbeddedSlicer.

Every picture is of the panel as it is after its buttons were pressed. Three more, to
be looked at and not kept, go to build/: the panel at its narrowest, with a dark
palette, and on a screen of scale 1.5.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import demo

ROOT = demo.ROOT
STEPS = {
    "step-1-ct.png": "volumeSection",
    "step-2-slices.png": "levelsSection",
    "step-3-density.png": "densitySection",
    "step-4-results.png": "resultsSection",
    "step-5-study.png": "studySection",
}
"""Pictures of the tutorial, and the section of the panel that each shows."""
PICTURES = ("panel.png", "slices.png", *STEPS)
NARROW_PX = 350
SCALE = "1.5"
REFERENCE = "nhanes-hologic"


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=ROOT / "Resources" / "Screenshots")
    parser.add_argument("--looks", type=Path, default=ROOT / "build" / "screenshots")
    parser.add_argument("--window-only", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)

    import EmbeddedSlicer
    from EmbeddedSlicer.rendering import NoOpenGL

    try:
        app = EmbeddedSlicer.start()
    except NoOpenGL as error:
        print(error, file=sys.stderr)
        return 2
    widget = EmbeddedSlicer.open_module(ROOT / "CTBMD" / "CTBMD.py")
    app._main_window.resize(*demo.WINDOW)
    if options.window_only:  # in a process of its own: the scale is read when Qt starts
        demo.run(widget)
        EmbeddedSlicer.screenshot(options.window_only)
        return 0
    options.output.mkdir(parents=True, exist_ok=True)
    options.looks.mkdir(parents=True, exist_ok=True)
    tutorial(widget, options.output, options.looks)
    looks(app, widget, options.looks)
    for path in (*(options.output / x for x in PICTURES), *sorted(options.looks.glob("*.png"))):
        print(f"written: {path}")
    return 0


def tutorial(widget, output, looks):
    """The pictures of the README, step by step."""
    import EmbeddedSlicer
    import qt
    import slicer
    from CTBMDPanel import studytable, views

    from CTBMDLib.levels import LUMBAR

    ui, panel = widget.ui, widget.panel

    def shoot(name):
        process()
        EmbeddedSlicer.screenshot(output / name, getattr(ui, STEPS[name]))

    demo.load(widget)
    shoot("step-1-ct.png")
    demo.find(widget)
    panel.levels.show("L2")
    ui.imagesSection.setProperty("collapsed", False)
    ui.trabecularCheckBox.setChecked(True)
    shoot("step-2-slices.png")
    ui.imagesSection.setProperty("collapsed", True)
    ui.trabecularCheckBox.setChecked(False)
    panel.parameterNode.referenceTable = REFERENCE
    shoot("step-3-density.png")
    result = demo.estimate(widget)
    demo.draw_slices(result, output / "slices.png")
    shoot("step-4-results.png")
    ui.chartButton.setChecked(True)
    process()
    slicer.util.resetSliceViews()  # the views have other sizes than when the CT was loaded
    views.showMidline([item.ras for item in panel.controller.selection if item.level in LUMBAR])
    panel.levels.show("L2")
    process()
    EmbeddedSlicer.screenshot(output / "panel.png")
    ui.chartButton.setChecked(False)

    table = looks / "study.csv"
    table.unlink(missing_ok=True)
    qt.QSettings().setValue(studytable.SETTING, str(table))
    ui.studySection.setProperty("collapsed", False)
    ui.sceneButton.click()
    demo.wait(panel)
    ui.studyAddButton.click()
    shoot("step-5-study.png")


def looks(app, widget, folder):
    """The panel where it is hard to get right: narrow, dark, scaled."""
    import EmbeddedSlicer

    area = app._main_window._modulePanel
    for section in (widget.ui.namesSection, widget.ui.settingsSection, widget.ui.advancedSection):
        section.setProperty("collapsed", False)
    area.setFixedWidth(NARROW_PX)
    process()
    EmbeddedSlicer.screenshot(folder / f"panel-{NARROW_PX}px.png", area.widget())
    app.setPalette(dark_palette())
    widget.panel.display.update()
    process()
    EmbeddedSlicer.screenshot(folder / "panel-dark.png", area.widget())
    EmbeddedSlicer.screenshot(folder / "dark.png")
    path = folder / f"scale-{SCALE}.png"
    environment = {**os.environ, "QT_SCALE_FACTOR": SCALE}
    command = [sys.executable, __file__, "--window-only", str(path)]
    subprocess.run(command, env=environment, check=True)


def dark_palette():
    """A dark palette such as Slicer's."""
    from PySide6 import QtGui

    role, palette = QtGui.QPalette.ColorRole, QtGui.QPalette()
    for name, colour in (
        ("Window", "#323232"),
        ("Base", "#242424"),
        ("AlternateBase", "#2c2c2c"),
        ("Button", "#3c3c3c"),
        ("ToolTipBase", "#242424"),
        ("Highlight", "#2a6496"),
        ("Link", "#6fb1e0"),
        ("Mid", "#505050"),
        ("Dark", "#1e1e1e"),
        ("Light", "#646464"),
    ):
        palette.setColor(getattr(role, name), QtGui.QColor(colour))
    for name in ("WindowText", "Text", "ButtonText", "ToolTipText", "HighlightedText"):
        palette.setColor(getattr(role, name), QtGui.QColor("#f0f0f0"))
        off = QtGui.QPalette.ColorGroup.Disabled
        palette.setColor(off, getattr(role, name), QtGui.QColor("#8c8c8c"))
    return palette


def process():
    """Let the widgets take their places and draw."""
    import slicer

    for _ in range(8):
        slicer.app.processEvents()


if __name__ == "__main__":
    sys.exit(main())
