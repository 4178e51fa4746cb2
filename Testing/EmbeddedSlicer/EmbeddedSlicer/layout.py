"""`slicer.app.layoutManager()`: the slice views, and the window they stand in."""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Property

from .slice_controller import fit
from .views import SLICE_VIEWS, qMRMLSliceWidget

# vtkMRMLLayoutNode's numbers of the layouts with one slice view alone
_ONE_UP = {6: "Red", 7: "Yellow", 8: "Green"}
# and the four-up view, Slicer's first layout, here without its 3D view
_ALL = 3


class qSlicerLayoutManager(QtCore.QObject):
    """Three slice views, sagittal over the full height on the right, or one of them alone.

    3D, table and plot views do not exist here: their counts are 0, and a
    layout that needs one raises.
    """

    layoutChanged = QtCore.Signal(int)

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

        self._layout = _ALL

    def setLayout(self, number):
        if number not in _ONE_UP and number != _ALL:
            raise NotImplementedError(f"EmbeddedSlicer has no views for the layout {number}.")
        alone = _ONE_UP.get(number)
        for name, widget in self._widgets.items():
            widget.setVisible(alone in (None, name))
        if number != self._layout:
            self._layout = number
            self.layoutChanged.emit(number)

    layout = Property(int, lambda self: self._layout, setLayout)
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
