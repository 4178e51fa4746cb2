"""The main window: module panel on the left, slice views on the right, as in Slicer.

The panel has the width that Slicer gives it at first, under the section
"Help & Acknowledgement" in one scroll area, and the Data Probe lies below.
"""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Property

from .ctk_widgets import ctkCollapsibleButton

PANEL_WIDTH = 379
"""Width of Slicer's module panel in pixels, its vertical scroll bar included."""


class qSlicerModuleSelector(QtCore.QObject):
    """`slicer.util.moduleSelector()`: which module's panel is open."""

    def __init__(self, window):
        super().__init__(window)
        self._selected = ""

    selectedModule = Property(str, lambda self: self._selected)

    def selectModule(self, name):
        self.parent()._open(name)


class qSlicerModulePanel(QtWidgets.QScrollArea):
    """A module's help, folded up, and its widget under it."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self.setObjectName("ModulePanel")
        self.setWidgetResizable(True)
        self.setFrameShape(QtWidgets.QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self._widget = None
        self._help = ctkCollapsibleButton("Help && Acknowledgement")
        self._text = QtWidgets.QTextBrowser()
        self._text.setOpenExternalLinks(True)
        QtWidgets.QVBoxLayout(self._help).addWidget(self._text)
        self._help.setChecked(False)
        inner = QtWidgets.QWidget()
        self._rows = QtWidgets.QVBoxLayout(inner)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.addWidget(self._help)
        self.setWidget(inner)

    def minimumSizeHint(self):
        """Slicer's: as wide as the module needs, so that nothing of it is cut off."""
        bar = self.verticalScrollBar().sizeHint().width()
        needed = self.widget().minimumSizeHint().width() + bar if self.widget() else 0
        return QtCore.QSize(max(PANEL_WIDTH, needed), 200)

    def _show_module(self, module):
        if self._widget is not None:
            self._rows.removeWidget(self._widget)
            self._widget.setParent(None)
        self._text.setHtml(f"{module.helpText}<hr>{module.acknowledgementText}")
        self._help.setChecked(False)
        self._widget = module.widgetRepresentation()
        self._rows.addWidget(self._widget, 1)
        self._widget.show()
        self.updateGeometry()


def _data_probe(parent):
    """The section of Slicer's DataProbe module, whose lines stay empty here."""
    probe = ctkCollapsibleButton("Data Probe", parent)
    probe.setObjectName("DataProbeCollapsibleWidget")
    rows = QtWidgets.QVBoxLayout(probe)
    for layer in "LFB":
        rows.addWidget(QtWidgets.QLabel(layer))
    return probe


class qSlicerMainWindow(QtWidgets.QMainWindow):
    """The application's window; its object name is how slicer.util finds it."""

    def __init__(self, app, parent=None):
        super().__init__(parent)
        self.setObjectName("qSlicerMainWindow")
        self.setWindowTitle("EmbeddedSlicer")
        self._app = app
        self._panel = None
        self._selector = qSlicerModuleSelector(self)
        self._modulePanel = qSlicerModulePanel(self)
        column = QtWidgets.QWidget(self)
        rows = QtWidgets.QVBoxLayout(column)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self._modulePanel, 1)
        rows.addWidget(_data_probe(column))
        dock = QtWidgets.QDockWidget("", self)
        dock.setObjectName("PanelDockWidget")
        dock.setFeatures(QtWidgets.QDockWidget.DockWidgetFeature.NoDockWidgetFeatures)
        dock.setWidget(column)
        self._dock = dock
        self.addDockWidget(QtCore.Qt.DockWidgetArea.LeftDockWidgetArea, dock)
        self.setCentralWidget(app._layout_manager.viewport())
        self.resize(1400, 900)
        self.resizeDocks([dock], [PANEL_WIDTH], QtCore.Qt.Orientation.Horizontal)
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
        self._panel = module.widgetRepresentation()
        self._selector._selected = name
        self._dock.setWindowTitle(module.title or name)
        self._modulePanel._show_module(module)
        self._panel.enter()

    def closeEvent(self, event):
        if self._panel is not None and self._panel._entered:
            self._panel.exit()
        super().closeEvent(event)
