"""The stand-in for qMRMLTableView: a vtkMRMLTableNode in a Qt table, to read."""

from __future__ import annotations

import slicer
from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Signal

from .observing import observe

_ACROSS, _DOWN = QtCore.Qt.Orientation.Horizontal, QtCore.Qt.Orientation.Vertical


class qMRMLTableModel(QtGui.QStandardItemModel):
    """The cells of a locked table node of texts or numbers, under the titles of its columns."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self._node = None

    def mrmlTableNode(self):
        return self._node

    def _set_node(self, node):
        if self._node is not None:
            self._unobserve()
        self._node = node
        if node is not None:
            self._unobserve = observe(node, "ModifiedEvent", self._update)
        self._update()

    def _update(self, *_):
        """Show the node as it is.

        Raises
        ------
        NotImplementedError
            Where the cells could be edited or the names of the columns are a row.
        """
        node = self._node
        table = node.GetTable() if node is not None else None
        if table is None or table.GetNumberOfColumns() == 0:
            self.clear()
            return
        if not (node.GetLocked() and node.GetUseColumnTitleAsColumnHeader()):
            raise NotImplementedError(
                f"EmbeddedSlicer's qMRMLTableView shows locked tables with titles; "
                f"'{node.GetName()}' needs SetLocked and SetUseColumnTitleAsColumnHeader."
            )
        first = 1 if node.GetUseFirstColumnAsRowHeader() else 0
        rows, columns = table.GetNumberOfRows(), table.GetNumberOfColumns()
        self.setRowCount(rows)
        self.setColumnCount(columns - first)
        for column in range(first, columns):
            name = table.GetColumnName(column)
            self.setHeaderData(column - first, _ACROSS, self._header(name))
            hint = self._hint(name)
            for row in range(rows):
                item = QtGui.QStandardItem(table.GetValue(row, column).ToString())
                item.setEditable(False)
                item.setToolTip(hint)
                self.setItem(row, column - first, item)
        for row in range(rows):
            label = table.GetValue(row, 0).ToString() if first else str(row + 1)
            self.setHeaderData(row, _DOWN, label)

    def _header(self, name):
        text = self._node.GetColumnTitle(name) or name
        unit = self._node.GetColumnUnitLabel(name)
        return f"{text} [{unit}]" if unit else text

    def _hint(self, name):
        title = self._node.GetColumnTitle(name)
        lines = [f"<b>{name}</b>"]
        if title and title != name:
            lines = [f"<b>{title}</b> <code>&lt;{name}&gt;</code>"]
        unit = self._node.GetColumnUnitLabel(name)
        if unit:
            lines.append(f"Unit: {unit}")
        if self._node.GetColumnDescription(name):
            lines.append(self._node.GetColumnDescription(name))
        return "<p>".join(lines)


class qMRMLTableView(QtWidgets.QTableView):
    """Shows a vtkMRMLTableNode."""

    mrmlSceneChanged = Signal(object)
    _signatures = {"mrmlSceneChanged": {"vtkMRMLScene*": "mrmlSceneChanged"}}

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene = None
        self._model = qMRMLTableModel(self)
        self._sorter = QtCore.QSortFilterProxyModel(self)
        self._sorter.setSourceModel(self._model)
        self.setModel(self._sorter)
        self.horizontalHeader().setStretchLastSection(False)

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene):
        if scene is not self._scene:
            self._scene = scene
            node = self._model.mrmlTableNode()
            if node is not None and node.GetScene() is not scene:
                self._model._set_node(None)
            self.mrmlSceneChanged.emit(scene)

    def mrmlTableNode(self):
        return self._model.mrmlTableNode()

    def setMRMLTableNode(self, node):
        if node is not None and not isinstance(node, slicer.vtkMRMLTableNode):
            node = None
        self._model._set_node(node)

    def tableModel(self):
        return self._model


CLASSES = {"qMRMLTableView": qMRMLTableView}
