"""`slicer.app.layoutManager()`: the slice views beside each other."""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Property

from .slice_controller import fit
from .views import SLICE_VIEWS, qMRMLSliceWidget

# vtkMRMLLayoutNode's number of the four-up view, Slicer's first layout, here without its 3D view
_FOUR_UP = 3


class qSlicerLayoutManager(QtCore.QObject):
    """Three slice views, sagittal over the full height on the right.

    3D, table and plot views do not exist here: their counts are 0, and any
    other layout raises.
    """

    def __init__(self, application_logic, viewport=None, parent=None):
        super().__init__(parent)
        self._logic = application_logic
        self._viewport = viewport or QtWidgets.QWidget()
        self._viewport.setObjectName("CentralWidget")
        self._widgets = {
            name: qMRMLSliceWidget(application_logic, name, self._viewport) for name in SLICE_VIEWS
        }
        grid = QtWidgets.QGridLayout(self._viewport)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(2)
        grid.addWidget(self._widgets["Red"], 0, 0)
        grid.addWidget(self._widgets["Green"], 1, 0)
        grid.addWidget(self._widgets["Yellow"], 0, 1, 2, 1)
        for column in (0, 1):
            grid.setColumnStretch(column, 1)
        for row in (0, 1):
            grid.setRowStretch(row, 1)

    def setLayout(self, number):
        if number != _FOUR_UP:
            raise NotImplementedError(f"EmbeddedSlicer has no views for the layout {number}.")

    layout = Property(int, lambda self: _FOUR_UP, setLayout)
    threeDViewCount = Property(int, lambda self: 0)
    tableViewCount = Property(int, lambda self: 0)
    plotViewCount = Property(int, lambda self: 0)

    def sliceViewNames(self):
        return tuple(self._widgets)

    def sliceWidget(self, name):
        """The qMRMLSliceWidget of 'Red', 'Yellow' or 'Green'; None for other names."""
        return self._widgets.get(name)

    def mrmlSliceLogics(self):
        return self._logic.GetSliceLogics()

    def viewport(self):
        return self._viewport

    def resetSliceViews(self):
        for widget in self._widgets.values():
            fit(widget.sliceView())

    def resetThreeDViews(self):
        """There are none, and Slicer does nothing then too."""

    def _close(self):
        for widget in self._widgets.values():
            widget.sliceView()._close()
