"""The bar over a slice view."""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets
from vtkmodules.vtkCommonCore import reference, vtkCommand

from .observing import observe


class qMRMLSliceControllerWidget(QtWidgets.QWidget):
    """The bar over a slice view: letter, offset slider, offset in mm."""

    _STEPS = 10000

    def __init__(self, view, letter, color, parent=None):
        super().__init__(parent)
        self._view = view
        self._busy = False
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        label = QtWidgets.QLabel(letter, self)
        label.setAlignment(QtCore.Qt.AlignmentFlag.AlignCenter)
        label.setFixedWidth(22)
        red, green, blue = (round(255 * c) for c in color)
        label.setStyleSheet(f"background: rgb({red},{green},{blue}); color: black;")
        row.addWidget(label)
        self._slider = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal, self)
        self._slider.setRange(0, self._STEPS)
        row.addWidget(self._slider, 1)
        self._box = QtWidgets.QDoubleSpinBox(self)
        self._box.setDecimals(2)
        self._box.setSuffix("mm")
        self._box.setKeyboardTracking(False)
        row.addWidget(self._box)
        self._slider.valueChanged.connect(self._from_slider)
        self._box.valueChanged.connect(self._from_box)
        observe(view.sliceLogic(), vtkCommand.ModifiedEvent, self._refresh)
        observe(view.mrmlSliceNode(), vtkCommand.ModifiedEvent, self._refresh)
        self._refresh()

    def _range(self):
        limits, step = [0.0, 0.0], reference(1.0)
        found = self._view.sliceLogic().GetSliceOffsetRangeResolution(limits, step)
        return (limits[0], limits[1], float(step)) if found else (-100.0, 100.0, 1.0)

    def _refresh(self, *_):
        if self._busy:
            return
        low, high, step = self._range()
        offset = self._view.sliceLogic().GetSliceOffset()
        self._busy = True
        try:
            self._box.setRange(min(low, offset), max(high, offset))
            self._box.setSingleStep(step)
            self._box.setValue(offset)
            span = max(high - low, 1e-6)
            self._slider.setSingleStep(max(1, round(step / span * self._STEPS)))
            self._slider.setValue(round((offset - low) / span * self._STEPS))
        finally:
            self._busy = False

    def _from_slider(self, value):
        if not self._busy:
            low, high, _ = self._range()
            self._view.sliceLogic().SetSliceOffset(low + (high - low) * value / self._STEPS)

    def _from_box(self, value):
        if not self._busy:
            self._view.sliceLogic().SetSliceOffset(value)


def fit(view):
    """Show the whole background volume, as Slicer's 'fit to window'."""
    view.sliceLogic().FitSliceToBackground()
    view.sliceLogic().SnapSliceOffsetToIJK()
