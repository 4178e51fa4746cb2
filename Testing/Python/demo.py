"""`make demo`: the panel in EmbeddedSlicer on the sample CT, from the CT to the exported table.

Writes results.csv, panel.png (the whole window) and slices.png (the images the
network saw), prints the table, and leaves the window open where there is a display.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# This tree's library comes first, whatever is installed.
sys.path[:0] = [str(ROOT / "Testing" / "EmbeddedSlicer"), str(ROOT)]

WINDOW = (1500, 1150)
PATIENCE_S = 300
HU_WINDOW = (-250.0, 550.0)
TILE = 220
MARGIN = 8
CAPTION = 22


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "demo")
    parser.add_argument("--no-window", action="store_true", help="end when the files are written")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)

    import EmbeddedSlicer
    from EmbeddedSlicer.rendering import NoOpenGL

    try:
        app = EmbeddedSlicer.start()
    except NoOpenGL as error:
        print(error, file=sys.stderr)
        return 2
    widget = EmbeddedSlicer.open_module(ROOT / "CTBMD" / "CTBMD.py")
    app._main_window.resize(*WINDOW)
    try:
        result = run(widget)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 2
    widget.logic.export(result, options.output / "results.csv", overwrite=True)
    EmbeddedSlicer.screenshot(options.output / "panel.png")
    draw_slices(result, options.output / "slices.png")

    from CTBMDLib.bmd.export import format_table

    print(format_table(result))
    for name in ("results.csv", "panel.png", "slices.png"):
        print(f"written: {options.output / name}")
    if options.no_window or app.platformName() == "offscreen":
        return 0
    print("Close the window to end.")
    return app.exec()


def run(widget):
    """Press the panel's buttons, as a user does; returns the BMDResult."""
    load(widget)
    find(widget)
    return estimate(widget)


def load(widget):
    """Press 'Load the sample CT'."""
    widget.ui.sampleButton.click()
    _stop_on_error(widget.panel, widget.panel.volumeNode is not None)


def find(widget):
    """Press 'Find lumbar slices' and wait."""
    widget.ui.findButton.click()
    wait(widget.panel)
    _stop_on_error(widget.panel, len(widget.panel.controller.selection) > 0)


def estimate(widget):
    """Press 'Estimate BMD' and wait; returns the BMDResult."""
    widget.ui.estimateButton.click()
    wait(widget.panel)
    _stop_on_error(widget.panel, widget.panel.result is not None)
    return widget.panel.result


def wait(panel):
    """Let the panel finish what it is doing."""
    from CTBMDPanel.job import waitFor

    if not waitFor(lambda: not panel.runner.busy, PATIENCE_S):
        raise RuntimeError(f"The demo did not come to an end within {PATIENCE_S} s.")


def _stop_on_error(panel, good):
    if not good:
        why = panel.lastError or panel.ui.levelNotesLabel.text or "The demo failed."
        raise RuntimeError(why)


def draw_slices(result, path):
    """The images the network saw as a PNG, a column for each vertebra."""
    from PySide6 import QtCore, QtGui

    rows = max(len(images.hu) for images in result.images.values())
    width = MARGIN + len(result.images) * (TILE + MARGIN)
    height = MARGIN + rows * (TILE + CAPTION + MARGIN) + 3 * CAPTION
    picture = QtGui.QImage(width, height, QtGui.QImage.Format.Format_RGB32)
    picture.fill(QtCore.Qt.GlobalColor.white)
    painter = QtGui.QPainter(picture)
    normal, bold = QtGui.QFont(painter.font()), QtGui.QFont(painter.font())
    bold.setBold(True)
    left_top = QtCore.Qt.AlignmentFlag.AlignLeft | QtCore.Qt.TextFlag.TextWordWrap
    values = {row.level: row.bmd_g_cm2 for row in result.levels}
    for column, (level, images) in enumerate(result.images.items()):
        left, top = MARGIN + column * (TILE + MARGIN), MARGIN
        painter.setFont(bold)
        title = f"{level}: {values[level]:.3f} g/cm²"
        painter.drawText(QtCore.QRect(left, top, TILE, CAPTION), left_top, title)
        painter.setFont(normal)
        top += CAPTION
        for hu, s_mm in zip(images.hu, images.s_mm, strict=True):
            caption = f"S {round(float(s_mm), 1) + 0.0:.1f} mm"  # never '-0.0'
            painter.drawText(QtCore.QRect(left, top, TILE, CAPTION), left_top, caption)
            painter.drawImage(QtCore.QRect(left, top + CAPTION, TILE, TILE), _grey(hu))
            top += TILE + CAPTION + MARGIN
    low, high = HU_WINDOW
    note = (
        f"The images as the network reads them, shown from {low:.0f} to {high:.0f} HU; "
        f"front is up, the patient's right is left. {result.disclaimer}"
    )
    box = QtCore.QRect(MARGIN, height - 2 * CAPTION, width - 2 * MARGIN, 2 * CAPTION)
    painter.drawText(box, left_top, note)
    painter.end()
    if not picture.save(str(path)):
        raise RuntimeError(f"Cannot write '{path}'.")


def _grey(hu):
    """An HU image, row 0 anterior and column 0 patient right, as a grey QImage."""
    import numpy as np
    from PySide6 import QtGui

    low, high = HU_WINDOW
    grey = np.clip((np.nan_to_num(hu, nan=low) - low) / (high - low), 0, 1)
    grey = np.ascontiguousarray((255 * grey).astype(np.uint8))
    rows, columns = grey.shape
    image = QtGui.QImage(grey.data, columns, rows, columns, QtGui.QImage.Format.Format_Grayscale8)
    return image.copy()


if __name__ == "__main__":
    sys.exit(main())
