"""Stand-ins for the CTK widgets that are needed: a section, a path to type, message boxes.

Properties, signals and slots carry CTK's names and types; what is not here
raises. CTK's plain C++ methods (setCollapsed, setFilters ...) are not seen from
Slicer's Python, so they are not here either. Sources for the behaviour: the
headers of CTK's Libs/Widgets.
"""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property, Signal
from PySide6.QtCore import Qt as _Qt

from . import dialogs

_COLLAPSED_HEIGHT = 14  # CTK's collapsedHeight


class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A header that shows and hides what is laid out under it."""

    contentsCollapsed = Signal(bool)

    def __init__(self, *args):
        text = args[0] if args and isinstance(args[0], str) else ""
        parent = next((a for a in args if isinstance(a, QtWidgets.QWidget)), None)
        super().__init__(parent)
        self._hidden_here = []
        self._quiet = False
        self.setText(text)
        self.setCheckable(True)
        self.setChecked(True)
        self.setSizePolicy(
            QtWidgets.QSizePolicy.Policy.Preferred, QtWidgets.QSizePolicy.Policy.Preferred
        )
        self.setContentsMargins(0, self._button_height(), 0, 0)
        self.toggled.connect(self._on_toggled)

    def _button_height(self):
        return QtGui.QFontMetrics(self.font()).height() + 8

    # CTK's setCollapsed is no slot, so Python in Slicer has only the property.
    def _set_collapsed(self, collapsed):
        self.setChecked(not collapsed)

    collapsed = Property(
        bool, lambda self: not self.isChecked(), _set_collapsed, notify=contentsCollapsed
    )

    def _on_toggled(self, checked):
        self._quiet = True
        for child in self.children():
            if not isinstance(child, QtWidgets.QWidget) or child.isWindow():
                continue
            if checked:
                if child in self._hidden_here:
                    child.show()
            elif not child.isHidden():
                self._hidden_here.append(child)
                child.hide()
        if checked:
            self._hidden_here = []
        self._quiet = False
        self.setMaximumHeight(16777215 if checked else self._height_when_collapsed())
        self.updateGeometry()
        self.contentsCollapsed.emit(not checked)

    def _height_when_collapsed(self):
        return self._button_height() + _COLLAPSED_HEIGHT

    def childEvent(self, event):
        super().childEvent(event)
        child = event.child()
        if event.added() and child.isWidgetType():
            child.installEventFilter(self)

    def eventFilter(self, child, event):
        # A child shown while the section is collapsed stays hidden until it opens.
        if (
            event.type() == QtCore.QEvent.Type.ShowToParent
            and not self.isChecked()
            and not self._quiet
            and not child.isWindow()
        ):
            if child not in self._hidden_here:
                self._hidden_here.append(child)
            child.hide()
        return super().eventFilter(child, event)

    def minimumSizeHint(self):
        return self._hint("totalMinimumSize")

    def sizeHint(self):
        return self._hint("totalSizeHint")

    def _hint(self, which):
        metrics = QtGui.QFontMetrics(self.font())
        width = metrics.horizontalAdvance(self.text()) + 2 * metrics.height() + 12
        height = self._button_height()
        if not self.isChecked():
            height = self._height_when_collapsed()
        elif self.layout() is not None:
            inner = getattr(self.layout(), which)()
            return QtCore.QSize(max(width, inner.width()), max(height, inner.height()))
        return QtCore.QSize(width, height)

    def hitButton(self, position):
        return position.y() <= self._button_height()

    def paintEvent(self, event):
        painter = QtWidgets.QStylePainter(self)
        option = QtWidgets.QStyleOptionButton()
        option.initFrom(self)
        height = self._button_height()
        option.rect = QtCore.QRect(0, 0, self.width(), height)
        option.state &= ~QtWidgets.QStyle.StateFlag.State_HasFocus
        if self.isDown():
            option.state |= QtWidgets.QStyle.StateFlag.State_Sunken
        else:
            option.state |= QtWidgets.QStyle.StateFlag.State_Raised
        painter.drawControl(QtWidgets.QStyle.ControlElement.CE_PushButtonBevel, option)
        arrow = QtWidgets.QStyleOption()
        arrow.initFrom(self)
        side = height - 12
        arrow.rect = QtCore.QRect(6, 6, side, side)
        painter.drawPrimitive(
            QtWidgets.QStyle.PrimitiveElement.PE_IndicatorArrowDown
            if self.isChecked()
            else QtWidgets.QStyle.PrimitiveElement.PE_IndicatorArrowRight,
            arrow,
        )
        painter.drawItemText(
            QtCore.QRect(side + 14, 0, self.width() - side - 18, height),
            _Qt.AlignmentFlag.AlignLeft
            | _Qt.AlignmentFlag.AlignVCenter
            | _Qt.TextFlag.TextShowMnemonic,
            self.palette(),
            self.isEnabled(),
            self.text(),
            QtGui.QPalette.ColorRole.ButtonText,
        )


class ctkPathLineEdit(QtWidgets.QWidget):
    """A path to type or to browse for; its history in the settings is not made."""

    currentPathChanged = Signal(str)
    validInputChanged = Signal(bool)

    # bits of `filters`
    _FILTERS = {"Dirs": 0x001, "Files": 0x002, "Readable": 0x010}
    Dirs, Files, Readable = _FILTERS.values()

    def __init__(self, parent=None):
        super().__init__(parent)
        self._filters = 0x007 | 0x6000
        self._valid = False
        self._edit = QtWidgets.QLineEdit(self)
        self._button = QtWidgets.QToolButton(self)
        self._button.setText("...")
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._edit, 1)
        row.addWidget(self._button)
        self.setSizePolicy(
            QtWidgets.QSizePolicy.Policy.Expanding, QtWidgets.QSizePolicy.Policy.Fixed
        )
        self._edit.textChanged.connect(self._on_text)
        self._button.clicked.connect(self.browse)

    def setCurrentPath(self, path):
        self._edit.setText(path)

    def browse(self):
        """Ask for a file, or for a folder where `filters` has no Files."""
        if self._filters & 0x002:
            name, title = "getOpenFileName", "Select a file"
        else:
            name, title = "getExistingDirectory", "Select a directory"
        path = dialogs.run_file_dialog(name, [self, title, self.currentPath])
        if path:
            self.setCurrentPath(path)

    def _on_text(self, text):
        # CTK's validator asks for something, not for a path that exists; about input
        # that it does not accept currentPathChanged is silent.
        valid = bool(text)
        if valid:
            self.currentPathChanged.emit(text)
        if valid != self._valid:
            self._valid = valid
            self.validInputChanged.emit(valid)

    def _set_filters(self, filters):
        self._filters = filters

    currentPath = Property(str, lambda self: self._edit.text(), setCurrentPath)
    filters = Property(int, lambda self: self._filters, _set_filters)


class ctkMessageBox(QtWidgets.QMessageBox):
    """The message box of slicer.util; CTK's 'Don't show again' is not made."""


CLASSES = {
    name: value
    for name, value in list(globals().items())
    if isinstance(value, type) and name.startswith("ctk")
}
