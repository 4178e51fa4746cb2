"""Stand-ins for CTK's input widgets.

Properties, signals and slots carry CTK's names and types. CTK's plain C++
methods (setRange, setFilters ...) are not seen from Slicer's Python, so they
are not here either. Sources: the headers of CTK's Libs/Widgets.
"""

from __future__ import annotations

import os

from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Property, Signal, Slot
from PySide6.QtCore import Qt as _Qt

from . import dialogs


class ctkDoubleSpinBox(QtWidgets.QDoubleSpinBox):
    """A spin box for numbers.

    CTK's is a widget around Qt's spin box: of the setters only setValue,
    setDecimals and setReadOnly are slots, so the others are hidden here.
    """

    _hidden = (
        "setMinimum",
        "setMaximum",
        "setRange",
        "setSingleStep",
        "setPrefix",
        "setSuffix",
        "setKeyboardTracking",
        "keyboardTracking",
        "lineEdit",
        "setSpecialValueText",
        "specialValueText",
        "textFromValue",
        "valueFromText",
        "setStepType",
    )


class ctkComboBox(QtWidgets.QComboBox):
    """A combo box that shows a default text when nothing is chosen."""

    def __init__(self, parent=None):
        super().__init__(parent)

    def _set_default(self, text):
        self.setPlaceholderText(text)

    defaultText = Property(str, lambda self: self.placeholderText(), _set_default)
    currentUserDataAsString = Property(
        str, lambda self: "" if self.currentData() is None else str(self.currentData())
    )


def _of(part, name, kind):
    """A property that is a property of a part of the widget."""
    setter = f"set{name[0].upper()}{name[1:]}"

    def get(self):
        return getattr(getattr(self, part), name)()

    def put(self, value):
        getattr(getattr(self, part), setter)(value)

    return Property(kind, get, put)


class ctkSliderWidget(QtWidgets.QWidget):
    """A slider and a spin box of one number.

    With `tracking` off, dragging the slider emits valueIsChanging, and
    valueChanged comes when the mouse is released.
    """

    valueChanged = Signal(float)
    valueIsChanging = Signal(float)
    decimalsChanged = Signal(int)

    _STEPS = 100000

    def __init__(self, parent=None):
        super().__init__(parent)
        self._slider = QtWidgets.QSlider(_Qt.Orientation.Horizontal, self)
        self._slider.setRange(0, self._STEPS)
        self._spin = QtWidgets.QDoubleSpinBox(self)
        self._spin.setRange(0, 99)
        self._spin.setSingleStep(1)
        self._page = 10.0
        self._tracking = True
        self._changing = False
        self._before = 0.0
        self._busy = False
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._slider, 1)
        row.addWidget(self._spin)
        self.setSizePolicy(
            QtWidgets.QSizePolicy.Policy.Expanding, QtWidgets.QSizePolicy.Policy.Fixed
        )
        self._slider.valueChanged.connect(self._from_slider)
        self._slider.sliderPressed.connect(self._start)
        self._slider.sliderReleased.connect(self._stop)
        self._spin.valueChanged.connect(self._from_spin)
        self._place()

    # -- properties -------------------------------------------------------------
    def _set_minimum(self, value):
        self._bound(value, max(value, self._spin.maximum()))

    def _set_maximum(self, value):
        self._bound(min(value, self._spin.minimum()), value)

    def _bound(self, low, high):
        before = self._spin.value()
        self._busy = True
        self._spin.setRange(low, high)
        self._busy = False
        self._place()
        if self._spin.value() != before:
            self._announce()

    def _set_step(self, step):
        self._spin.setSingleStep(step)
        self._place()

    def _set_page(self, step):
        self._page = step
        self._place()

    def _set_tracking(self, tracking):
        self._tracking = tracking

    def setValue(self, value):
        self._spin.setValue(value)

    @Slot(int)
    def setDecimals(self, decimals):
        self._spin.setDecimals(decimals)
        self._place()
        self.decimalsChanged.emit(decimals)

    def setSpinBoxVisible(self, visible):
        self._spin.setVisible(visible)

    def reset(self):
        self.setValue(0.0)

    minimum = Property(float, lambda self: self._spin.minimum(), _set_minimum)
    maximum = Property(float, lambda self: self._spin.maximum(), _set_maximum)
    value = Property(float, lambda self: self._spin.value(), setValue)
    singleStep = Property(float, lambda self: self._spin.singleStep(), _set_step)
    pageStep = Property(float, lambda self: self._page, _set_page)
    decimals = Property(
        int, lambda self: self._spin.decimals(), setDecimals, notify=decimalsChanged
    )
    prefix = _of("_spin", "prefix", str)
    suffix = _of("_spin", "suffix", str)
    tracking = Property(bool, lambda self: self._tracking, _set_tracking)
    spinBoxVisible = Property(bool, lambda self: not self._spin.isHidden(), setSpinBoxVisible)
    invertedAppearance = Property(
        bool,
        lambda self: self._slider.invertedAppearance(),
        lambda self, on: self._slider.setInvertedAppearance(on),
    )

    # -- the two parts ----------------------------------------------------------
    def _span(self):
        return max(self._spin.maximum() - self._spin.minimum(), 1e-12)

    def _place(self):
        """Put the slider where the number is."""
        self._busy = True
        part = (self._spin.value() - self._spin.minimum()) / self._span()
        self._slider.setSingleStep(
            max(1, round(self._spin.singleStep() / self._span() * self._STEPS))
        )
        self._slider.setPageStep(max(1, round(self._page / self._span() * self._STEPS)))
        self._slider.setValue(round(part * self._STEPS))
        self._busy = False

    def _from_slider(self, place):
        if self._busy:
            return
        value = self._spin.minimum() + place / self._STEPS * self._span()
        step = self._spin.singleStep()
        if step > 0:
            value = self._spin.minimum() + round((value - self._spin.minimum()) / step) * step
        self._busy = True
        self._spin.setValue(value)
        self._busy = False
        self._announce()

    def _from_spin(self, _value):
        if not self._busy:
            self._place()
            self._announce()

    def _start(self):
        if not self._tracking:
            self._before, self._changing = self._spin.value(), True

    def _stop(self):
        if self._tracking:
            return
        self._changing = False
        self._place()
        if self._spin.value() != self._before:
            self.valueChanged.emit(self._spin.value())

    def _announce(self):
        if not self._tracking:
            self.valueIsChanging.emit(self._spin.value())
        if not self._changing:
            self.valueChanged.emit(self._spin.value())


class ctkPathLineEdit(QtWidgets.QWidget):
    """A path to type, to pick from its history, or to browse for."""

    currentPathChanged = Signal(str)
    validInputChanged = Signal(bool)

    # bits of `filters`
    _FILTERS = {
        "Dirs": 0x001,
        "Files": 0x002,
        "Drives": 0x004,
        "NoSymLinks": 0x008,
        "AllEntries": 0x007,
        "Readable": 0x010,
        "Writable": 0x020,
        "Executable": 0x040,
        "Hidden": 0x100,
        "System": 0x200,
        "AllDirs": 0x400,
        "NoDotAndDotDot": 0x1000,
        "NoDot": 0x2000,
        "NoDotDot": 0x4000,
    }
    Dirs, Files, Drives, Readable, Writable, Executable, Hidden = (
        1,
        2,
        4,
        0x10,
        0x20,
        0x40,
        0x100,
    )

    def __init__(self, parent=None):
        super().__init__(parent)
        self._values = {"filters": 0x007 | 0x6000, "label": "", "nameFilters": [], "settingKey": ""}
        self._valid = False
        self._box = QtWidgets.QComboBox(self)
        self._box.setEditable(True)
        self._box.setInsertPolicy(QtWidgets.QComboBox.InsertPolicy.NoInsert)
        self._box.setSizeAdjustPolicy(
            QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self._button = QtWidgets.QToolButton(self)
        self._button.setText("...")
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._box, 1)
        row.addWidget(self._button)
        self.setSizePolicy(
            QtWidgets.QSizePolicy.Policy.Expanding, QtWidgets.QSizePolicy.Policy.Fixed
        )
        self._box.editTextChanged.connect(self._on_text)
        self._button.clicked.connect(self.browse)

    def _stored(name, kind, after=None):  # noqa: N805
        def put(self, value):
            self._values[name] = list(value) if kind == "QStringList" else value
            if after:
                getattr(self, after)()

        return Property(kind, lambda self: self._values[name], put)

    def setCurrentPath(self, path):
        self._box.setEditText(path)

    def browse(self):
        """Ask for a file, or for a folder where `filters` has no Files."""
        if self._values["filters"] & 0x002:
            kinds = ";;".join(self._values["nameFilters"])
            arguments = [self, "Select a file", self.currentPath, kinds]
            path = dialogs.run_file_dialog("getOpenFileName", arguments)
        else:
            arguments = [self, "Select a directory", self.currentPath]
            path = dialogs.run_file_dialog("getExistingDirectory", arguments)
        if path:
            self.setCurrentPath(path)

    def addCurrentPathToHistory(self):
        """Keep the path in the list and, with a settingKey, in the settings."""
        path = self.currentPath
        if not path or not self._is_valid(path):
            return
        settings, key = QtCore.QSettings(), self._values["settingKey"]
        history = [path] + [p for p in self._history() if p != path]
        if key:
            settings.setValue(key, history[:10])
        if self._box.findText(path) < 0:
            self._box.insertItem(0, path)

    def retrieveHistory(self):
        path = self.currentPath
        history = self._history()
        self._box.blockSignals(True)
        self._box.clear()
        self._box.addItems(history)
        self._box.setEditText(path)
        self._box.blockSignals(False)
        if not path and history:
            self.setCurrentPath(history[0])

    def comboBox(self):
        return self._box

    def _history(self):
        key = self._values["settingKey"]
        kept = QtCore.QSettings().value(key) if key else None
        return [kept] if isinstance(kept, str) else list(kept or [])

    def _is_valid(self, path):
        filters = self._values["filters"]
        if os.path.isdir(path):
            return bool(filters & 0x401)
        return bool(filters & 0x002) and os.path.isfile(path)

    def _on_text(self, text):
        # Without name filters CTK's validator asks for something, not for a path that exists;
        # about input that it does not accept currentPathChanged is silent.
        valid = bool(text)
        if valid:
            self.currentPathChanged.emit(text)
        if valid != self._valid:
            self._valid = valid
            self.validInputChanged.emit(valid)

    def _show_button(self, visible):
        self._button.setVisible(visible)

    currentPath = Property(str, lambda self: self._box.currentText(), setCurrentPath)
    filters = _stored("filters", int)
    label = _stored("label", str)
    nameFilters = _stored("nameFilters", "QStringList")
    settingKey = _stored("settingKey", str, "retrieveHistory")
    showBrowseButton = Property(bool, lambda self: not self._button.isHidden(), _show_button)
    del _stored


class ctkDirectoryButton(QtWidgets.QWidget):
    """A button that shows a folder and asks for another."""

    directoryChanged = Signal(str)
    directorySelected = Signal(str)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._directory = QtCore.QDir.currentPath()
        self._caption = self._text = ""
        self._push = QtWidgets.QPushButton(self)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._push)
        self._push.clicked.connect(self.browse)
        self._show()

    def browse(self):
        path = dialogs.run_file_dialog(
            "getExistingDirectory", [self, self._caption, self._directory]
        )
        if path:
            self._set_directory(path)
            self.directorySelected.emit(path)
        return path

    def _set_directory(self, path):
        if path != self._directory:
            self._directory = path
            self._show()
            self.directoryChanged.emit(path)

    def _set_caption(self, caption):
        self._caption = caption

    def _set_text(self, text):
        self._text = text
        self._show()

    def _show(self):
        self._push.setText(self._text or self._directory)

    directory = Property(str, lambda self: self._directory, _set_directory, notify=directoryChanged)
    caption = Property(str, lambda self: self._caption, _set_caption)
    text = Property(str, lambda self: self._text, _set_text)


CLASSES = {
    name: value
    for name, value in list(globals().items())
    if isinstance(value, type) and name.startswith("ctk")
}
