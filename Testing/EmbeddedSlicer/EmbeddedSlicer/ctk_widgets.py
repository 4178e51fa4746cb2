"""Stand-ins for CTK's containers and buttons.

Properties, signals and slots carry CTK's names and types; what is not here
raises. Sources for the behaviour: the headers of CTK's Libs/Widgets.
"""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property, Signal
from PySide6.QtCore import Qt as _Qt


class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A header that shows and hides what is laid out under it."""

    contentsCollapsed = Signal(bool)

    def __init__(self, *args):
        text = args[0] if args and isinstance(args[0], str) else ""
        parent = next((a for a in args if isinstance(a, QtWidgets.QWidget)), None)
        super().__init__(parent)
        self._collapsed_height = 14
        self._hidden_here = []
        self._flat = False
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

    def _set_collapsed_height(self, height):
        self._collapsed_height = height
        self.updateGeometry()

    def _set_flat(self, flat):
        self._flat = flat
        self.update()

    collapsed = Property(
        bool, lambda self: not self.isChecked(), _set_collapsed, notify=contentsCollapsed
    )
    collapsedHeight = Property(int, lambda self: self._collapsed_height, _set_collapsed_height)
    flat = Property(bool, lambda self: self._flat, _set_flat)

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
        return self._button_height() + self._collapsed_height

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
        elif not self._flat:
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


class ctkCollapsibleGroupBox(QtWidgets.QGroupBox):
    """A group box that hides its contents when unchecked."""

    def __init__(self, *args):
        super().__init__(*args)
        self._hidden_here = []
        self._collapsed_height = 14
        self.setCheckable(True)
        self.setChecked(True)
        self.toggled.connect(self._expand)

    def _set_collapsed(self, collapsed):
        self.setChecked(not collapsed)

    def _set_collapsed_height(self, height):
        self._collapsed_height = height

    collapsed = Property(bool, lambda self: not self.isChecked(), _set_collapsed)
    collapsedHeight = Property(int, lambda self: self._collapsed_height, _set_collapsed_height)

    def _expand(self, expand):
        if expand:
            for child in self._hidden_here:
                child.show()
            self._hidden_here = []
            self.setMaximumHeight(16777215)
            return
        for child in self.findChildren(
            QtWidgets.QWidget, options=_Qt.FindChildOption.FindDirectChildrenOnly
        ):
            if not child.isHidden():
                self._hidden_here.append(child)
                child.hide()
        self.setMaximumHeight(QtGui.QFontMetrics(self.font()).height() + self._collapsed_height)


class ctkPushButton(QtWidgets.QPushButton):
    """A push button whose text can stand left, right or centred."""

    def __init__(self, *args):
        super().__init__(*args)
        self._alignment = _Qt.AlignmentFlag.AlignHCenter | _Qt.AlignmentFlag.AlignVCenter

    def _set_alignment(self, alignment):
        self._alignment = alignment
        side = "left" if alignment & _Qt.AlignmentFlag.AlignLeft else "center"
        if alignment & _Qt.AlignmentFlag.AlignRight:
            side = "right"
        self.setStyleSheet(f"text-align: {side};")

    buttonTextAlignment = Property(_Qt.AlignmentFlag, lambda self: self._alignment, _set_alignment)


class ctkMenuButton(ctkPushButton):
    """A push button with an arrow for its menu, as QPushButton.setMenu makes it."""


class ctkCheckBox(QtWidgets.QCheckBox):
    """A check box that can show an icon as its indicator."""

    def __init__(self, *args):
        super().__init__(*args)
        self._indicator = QtGui.QIcon()

    def _set_indicator(self, icon):
        self._indicator = icon
        self.setIcon(icon)

    indicatorIcon = Property(QtGui.QIcon, lambda self: self._indicator, _set_indicator)


class ctkExpandableWidget(QtWidgets.QFrame):
    """A frame with a size grip at its lower edge."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self._grip = QtWidgets.QSizeGrip(self)

    def resizeEvent(self, event):
        super().resizeEvent(event)
        hint = self._grip.sizeHint()
        self._grip.setGeometry(
            self.width() - hint.width(), self.height() - hint.height(), hint.width(), hint.height()
        )


class ctkFittedTextBrowser(QtWidgets.QTextBrowser):
    """A text browser as high as its text."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self.setVerticalScrollBarPolicy(_Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.textChanged.connect(self._fit)

    def _fit(self):
        document = self.document().clone()
        document.setTextWidth(self.viewport().width())
        self.setFixedHeight(round(document.size().height()) + 2 * self.frameWidth())

    def resizeEvent(self, event):
        super().resizeEvent(event)
        self._fit()


class ctkMessageBox(QtWidgets.QMessageBox):
    """A message box with CTK's 'Don't show again'."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self._key = ""

    def _set_key(self, key):
        self._key = key

    def _get_dont(self):
        return bool(self._key) and QtCore.QSettings().contains(self._key)

    dontShowAgainSettingsKey = Property(str, lambda self: self._key, _set_key)
    dontShowAgain = Property(bool, _get_dont)


CLASSES = {
    name: value
    for name, value in list(globals().items())
    if isinstance(value, type) and name.startswith("ctk")
}
