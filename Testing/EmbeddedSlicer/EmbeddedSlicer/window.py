"""The main window: module panel on the left, slice views on the right, as in Slicer."""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Property


class qSlicerModuleSelector(QtCore.QObject):
    """`slicer.util.moduleSelector()`: which module's panel is open."""

    def __init__(self, window):
        super().__init__(window)
        self._selected = ""

    selectedModule = Property(str, lambda self: self._selected)

    def selectModule(self, name):
        self.parent()._open(name)


class qSlicerMainWindow(QtWidgets.QMainWindow):
    """The application's window; its object name is how slicer.util finds it."""

    def __init__(self, app, parent=None):
        super().__init__(parent)
        self.setObjectName("qSlicerMainWindow")
        self.setWindowTitle("EmbeddedSlicer")
        self._app = app
        self._panel = None
        self._selector = qSlicerModuleSelector(self)
        self._scroll = QtWidgets.QScrollArea(self)
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QtWidgets.QFrame.Shape.NoFrame)
        self._scroll.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setMinimumWidth(300)
        dock = QtWidgets.QDockWidget("", self)
        dock.setObjectName("PanelDockWidget")
        dock.setFeatures(QtWidgets.QDockWidget.DockWidgetFeature.NoDockWidgetFeatures)
        dock.setWidget(self._scroll)
        self._dock = dock
        self.addDockWidget(QtCore.Qt.DockWidgetArea.LeftDockWidgetArea, dock)
        self.setCentralWidget(app._layout_manager.viewport())
        self.resize(1400, 900)
        self.resizeDocks([dock], [480], QtCore.Qt.Orientation.Horizontal)
        self.statusBar()

    def moduleSelector(self):
        return self._selector

    def _open(self, name):
        """Show a module's panel: exit() of the old one, enter() of the new one."""
        module = self._app.moduleManager().module(name)
        if module is None or not hasattr(module, "widgetRepresentation"):
            raise RuntimeError(f"There is no module with a panel named '{name}'.")
        if self._panel is not None and self._panel is module.widgetRepresentation():
            return
        if self._panel is not None:
            self._panel.exit()
            self._scroll.takeWidget()
            self._panel.setParent(None)
        self._panel = module.widgetRepresentation()
        self._selector._selected = name
        self._dock.setWindowTitle(module.title or name)
        self._scroll.setWidget(self._panel)
        self._panel.show()
        self._panel.enter()

    def closeEvent(self, event):
        if self._panel is not None and self._panel._entered:
            self._panel.exit()
        super().closeEvent(event)
