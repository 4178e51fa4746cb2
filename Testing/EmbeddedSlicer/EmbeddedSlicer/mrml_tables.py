"""The stand-in for qMRMLTableView: a vtkMRMLTableNode in a Qt table."""

from __future__ import annotations

import slicer
from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property, Signal
from vtkmodules.vtkCommonCore import VTK_BIT

from .observing import observe

_Role = QtCore.Qt.ItemDataRole
_CHARS = (2, 3, 15)  # VTK_CHAR, VTK_UNSIGNED_CHAR, VTK_SIGNED_CHAR: shown as numbers


class qMRMLTableModel(QtGui.QStandardItemModel):
    """A table node's cells; edits go back into the node unless it is locked."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self._node = None
        self._transposed = False
        self._updating = False
        self.itemChanged.connect(self._on_item)

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
        self._updating = True
        try:
            self._fill()
        finally:
            self._updating = False

    def _first(self):
        """(first table column shown, first table row shown; -1 is the row of names)."""
        return (
            1 if self._node.GetUseFirstColumnAsRowHeader() else 0,
            0 if self._node.GetUseColumnTitleAsColumnHeader() else -1,
        )

    def _fill(self):
        table = self._node.GetTable() if self._node is not None else None
        if table is None or table.GetNumberOfColumns() == 0:
            self.clear()
            return
        first_column, first_row = self._first()
        columns = range(first_column, table.GetNumberOfColumns())
        rows = range(first_row, table.GetNumberOfRows())
        shape = (len(rows), len(columns))
        self.setRowCount(shape[1] if self._transposed else shape[0])
        self.setColumnCount(shape[0] if self._transposed else shape[1])
        across = QtCore.Qt.Orientation.Horizontal
        down = QtCore.Qt.Orientation.Vertical
        if self._transposed:
            across, down = down, across
        for c, column in enumerate(columns):
            self.setHeaderData(c, across, self._header(table, column, c, first_row))
            hint = self._hint(table.GetColumnName(column))
            for r, row in enumerate(rows):
                place = (c, r) if self._transposed else (r, c)
                item = self.item(*place)
                if item is None:
                    item = QtGui.QStandardItem()
                    self.setItem(*place, item)
                self._cell(item, table, row, column)
                item.setToolTip(hint)
        for r, row in enumerate(rows):
            label = str(r + 1)
            if first_column:
                label = table.GetValue(row, 0).ToString() if row >= 0 else table.GetColumnName(0)
            self.setHeaderData(r, down, label)

    def _header(self, table, column, index, first_row):
        if first_row == -1:
            return _letters(index)
        name = table.GetColumnName(column)
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

    def _cell(self, item, table, row, column):
        array = table.GetColumn(column)
        locked = bool(self._node.GetLocked())
        font = QtGui.QFont()
        if row < 0:
            item.setText(table.GetColumnName(column))
            font.setBold(True)
        elif array.GetDataType() == VTK_BIT:
            item.setText("")
            item.setCheckable(not locked)
            on = table.GetValue(row, column).ToInt()
            item.setCheckState(
                QtCore.Qt.CheckState.Checked if on else QtCore.Qt.CheckState.Unchecked
            )
            item.setEditable(False)
            return
        else:
            value = table.GetValue(row, column)
            chars = array.GetDataType() in _CHARS
            item.setText(str(value.ToInt()) if chars else value.ToString())
        item.setData(font, _Role.FontRole)
        item.setEditable(not locked)

    def _on_item(self, item):
        if self._updating or self._node is None:
            return
        first_column, first_row = self._first()
        place = (item.row(), item.column())
        row, column = place[::-1] if self._transposed else place
        row, column = row + first_row, column + first_column
        table = self._node.GetTable()
        array = table.GetColumn(column)
        if row < 0:
            self._node.RenameColumn(column, item.text())
        elif array.GetDataType() == VTK_BIT:
            array.SetValue(row, int(item.checkState() == QtCore.Qt.CheckState.Checked))
        elif array.IsA("vtkStringArray"):
            array.SetValue(row, item.text())
        else:
            try:
                array.SetTuple1(row, float(item.text()))
            except ValueError:
                self._update()  # no number: the cell shows the old value again
                return
        table.Modified()
        self._node.Modified()


class qMRMLTableView(QtWidgets.QTableView):
    """Shows a vtkMRMLTableNode."""

    mrmlSceneChanged = Signal(object)
    selectionChanged_ = Signal()
    _signatures = {
        "mrmlSceneChanged": {"vtkMRMLScene*": "mrmlSceneChanged"},
        "selectionChanged": {"": "selectionChanged_"},
    }

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

    def sortFilterProxyModel(self):
        return self._sorter

    def setTransposed(self, transposed):
        self._model._transposed = bool(transposed)
        self._model.clear()
        self._model._update()

    def setFirstRowLocked(self, locked):
        if self.mrmlTableNode() is not None:
            self.mrmlTableNode().SetUseColumnTitleAsColumnHeader(bool(locked))

    def setFirstColumnLocked(self, locked):
        if self.mrmlTableNode() is not None:
            self.mrmlTableNode().SetUseFirstColumnAsRowHeader(bool(locked))

    transposed = Property(bool, lambda self: self._model._transposed, setTransposed)

    def copySelection(self):
        """The selected block as tab-separated text on the clipboard."""
        indices = self.selectionModel().selectedIndexes()
        rows = sorted({index.row() for index in indices})
        columns = sorted({index.column() for index in indices})
        text = "\n".join(
            "\t".join(str(self._sorter.index(r, c).data() or "") for c in columns) for r in rows
        )
        QtWidgets.QApplication.clipboard().setText(text)


def _letters(index):
    """A, B ... Z, AA ... as a spreadsheet names its columns."""
    text = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        text = chr(65 + rest) + text
    return text


CLASSES = {"qMRMLTableView": qMRMLTableView}
