"""`slicer.app.layoutManager()`: slice views and plots arranged as a layout's XML says."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import slicer
from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Property, Signal

from .plots import qMRMLPlotWidget
from .slice_controller import fit
from .views import SLICE_VIEWS, qMRMLSliceWidget

# vtkMRMLLayoutNode's number of the four-up view, Slicer's first layout, here without its 3D view
_FOUR_UP = 3
_VIEW = '<item><view class="vtkMRMLSliceNode" singletontag="{}"/></item>'
_FOUR_UP_XML = (
    '<layout type="horizontal"><item><layout type="vertical">'
    + _VIEW.format("Red")
    + _VIEW.format("Green")
    + "</layout></item>"
    + _VIEW.format("Yellow")
    + "</layout>"
)


class LayoutLogic:
    """`layoutManager().layoutLogic()`: the node that layouts are described in."""

    def __init__(self):
        self._node = slicer.vtkMRMLLayoutNode()

    def GetLayoutNode(self):
        return self._node


class qSlicerLayoutManager(QtCore.QObject):
    """Slice views and plots; the four-up layout at first, others once they are described.

    3D and table views do not exist here: their counts are 0, and a layout that
    has them raises, as does one that nobody has described.
    """

    layoutChanged = Signal(int)

    def __init__(self, application_logic, viewport=None, parent=None):
        super().__init__(parent)
        self._logic = application_logic
        self._layout_logic = LayoutLogic()
        self._viewport = viewport or QtWidgets.QWidget()
        self._viewport.setObjectName("CentralWidget")
        self._widgets = {
            name: qMRMLSliceWidget(application_logic, name, self._viewport) for name in SLICE_VIEWS
        }
        self._plots = {}
        self._column = QtWidgets.QVBoxLayout(self._viewport)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._root = None
        self._number = _FOUR_UP
        self._arrange(ET.fromstring(_FOUR_UP_XML))

    def setLayout(self, number):
        """Show a layout by its number.

        Raises
        ------
        NotImplementedError
            For one of Slicer's own layouts but the four-up, or with views that are not made.
        """
        if number == self._number:
            return
        if number == _FOUR_UP:
            text = _FOUR_UP_XML
        else:
            node = self._layout_logic.GetLayoutNode()
            if number < 100 or not node.IsLayoutDescription(number):
                raise NotImplementedError(f"EmbeddedSlicer has no views for the layout {number}.")
            text = node.GetLayoutDescription(number)
        element = ET.fromstring(text)
        self._check(element)
        self._arrange(element)
        self._number = number
        self.layoutChanged.emit(number)

    def _check(self, element):
        """Raise for what is not made, before anything is moved."""
        for layout in element.iter("layout"):
            if layout.get("type") not in ("horizontal", "vertical"):
                kind = layout.get("type")
                raise NotImplementedError(f"EmbeddedSlicer does not make a layout of type {kind}.")
        for view in element.iter("view"):
            kind, tag = view.get("class"), view.get("singletontag")
            known = kind == "vtkMRMLSliceNode" and tag in self._widgets
            if not known and kind != "vtkMRMLPlotViewNode":
                raise NotImplementedError(f"EmbeddedSlicer has no view {kind} '{tag}'.")

    def _arrange(self, element):
        old = self._root
        for widget in (*self._widgets.values(), *self._plots.values()):
            widget.setParent(self._viewport)
            widget.hide()
        self._root = self._made(element)
        self._column.addWidget(self._root)
        self._root.show()
        if old is not None:
            self._column.removeWidget(old)
            old.deleteLater()

    def _made(self, element):
        if element.tag == "view":
            widget = self._view(element.get("class"), element.get("singletontag"))
            widget.show()
            return widget
        across = element.get("type") == "horizontal"
        splitter = QtWidgets.QSplitter(
            QtCore.Qt.Orientation.Horizontal if across else QtCore.Qt.Orientation.Vertical
        )
        splitter.setHandleWidth(2)
        for item in element.findall("item"):
            splitter.addWidget(self._made(item[0]))
        splitter.setSizes([1000] * splitter.count())
        return splitter

    def _view(self, kind, tag):
        if kind == "vtkMRMLSliceNode":
            return self._widgets[tag]
        if tag not in self._plots:
            self._plots[tag] = qMRMLPlotWidget(tag, self._viewport)
        return self._plots[tag]

    layout = Property(int, lambda self: self._number, setLayout, notify=layoutChanged)
    threeDViewCount = Property(int, lambda self: 0)
    tableViewCount = Property(int, lambda self: 0)
    plotViewCount = Property(int, lambda self: len(self._plots))

    def layoutLogic(self):
        return self._layout_logic

    def plotWidget(self, index):
        """The qMRMLPlotWidget of a number; None for one that no layout has shown."""
        plots = list(self._plots.values())
        return plots[index] if 0 <= index < len(plots) else None

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
        for widget in self._plots.values():
            widget._close()
