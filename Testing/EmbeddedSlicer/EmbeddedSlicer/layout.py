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
_NONE = 14  # what a layout node says that has been reset
_OF_MODULES = 100  # Slicer's own numbers are below it
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
    """`layoutManager().layoutLogic()`: the node of the scene that layouts are described in.

    The node is one of a kind and is saved with the scene, its descriptions are not.
    Where the scene is cleared with all such nodes, another takes its place.
    """

    def __init__(self, scene, changed):
        self._scene, self._changed, self._node = scene, changed, None
        self._last = _FOUR_UP
        self._made()
        self._tag = scene.AddObserver(scene.EndCloseEvent, self._on_closed)

    def GetLayoutNode(self):
        return self._node

    def close(self):
        """Follow the scene no longer."""
        self._scene.RemoveObserver(self._tag)
        self._node.RemoveAllObservers()

    def _made(self):
        self._node = node = slicer.vtkMRMLLayoutNode()
        node.SetSingletonTag("vtkMRMLLayoutNode")
        node.AddLayoutDescription(_FOUR_UP, _FOUR_UP_XML)
        node.SetViewArrangement(_FOUR_UP)
        self._scene.AddNode(node)
        node.AddObserver("ModifiedEvent", self._on_modified)

    def _on_modified(self, caller=None, event=None):
        if self._node.GetViewArrangement() != _NONE:
            self._last = self._node.GetViewArrangement()
            self._changed()

    def _on_closed(self, caller=None, event=None):
        if self._node.GetScene() is None:
            self._made()
            self._on_modified()
        elif self._node.GetViewArrangement() == _NONE:
            self._node.SetViewArrangement(self._last)


class qSlicerLayoutManager(QtCore.QObject):
    """Slice views and plots; the four-up layout at first, others once they are described.

    3D and table views do not exist here: their counts are 0, and a layout that
    has them raises, as does one that nobody has described. A scene that was saved
    in such a one of Slicer's own leaves the views as they are; one of a module's own
    that nobody has described leaves none, as in Slicer.
    """

    layoutChanged = Signal(int)

    def __init__(self, application_logic, viewport=None, parent=None):
        super().__init__(parent)
        self._logic = application_logic
        self._viewport = viewport or QtWidgets.QWidget()
        self._viewport.setObjectName("CentralWidget")
        self._widgets = {
            name: qMRMLSliceWidget(application_logic, name, self._viewport) for name in SLICE_VIEWS
        }
        self._plots = {}
        self._column = QtWidgets.QVBoxLayout(self._viewport)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._root = self._shown = None
        self._layout_logic = LayoutLogic(application_logic.GetMRMLScene(), self._follow)
        self._follow()

    def setLayout(self, number):
        """Show a layout by its number.

        Raises
        ------
        NotImplementedError
            For one of Slicer's own layouts but the four-up, or with views that are not made.
        """
        node = self._layout_logic.GetLayoutNode()
        if number == node.GetViewArrangement():
            return
        own = number == _FOUR_UP or number >= _OF_MODULES
        if not own or not node.IsLayoutDescription(number):
            raise NotImplementedError(f"EmbeddedSlicer has no views for the layout {number}.")
        self._check(ET.fromstring(node.GetLayoutDescription(number)))
        node.SetViewArrangement(number)

    def _follow(self):
        """Show what the node of the scene says."""
        node = self._layout_logic.GetLayoutNode()
        number, text = node.GetViewArrangement(), node.GetCurrentLayoutDescription() or ""
        if number != _FOUR_UP and number < _OF_MODULES:
            return
        if (number, text) != self._shown:
            self._shown = number, text
            self._arrange(ET.fromstring(text) if text else None)
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
        self._root = QtWidgets.QWidget() if element is None else self._made(element)
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

    def _number(self):
        return self._layout_logic.GetLayoutNode().GetViewArrangement()

    layout = Property(int, _number, setLayout, notify=layoutChanged)
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
        self._layout_logic.close()
        for widget in self._widgets.values():
            widget.sliceView()._close()
        for widget in self._plots.values():
            widget._close()
