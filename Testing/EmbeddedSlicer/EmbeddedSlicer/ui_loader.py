"""Qt's UI loader with the stand-ins for CTK and qMRML widgets in it."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from PySide6 import QtCore, QtUiTools

from . import pythonqt, stand_ins


class UiError(RuntimeError):
    """A .ui connects what is not in it."""


class QUiLoader(QtUiTools.QUiLoader):
    """Loads a .ui; what is between stand-ins, scene signals above all, is connected here.

    Qt's own loader looks signals up in C++ by their C++ types, and PySide6 has
    no way to declare `mrmlSceneChanged(vtkMRMLScene*)`.

    As in Slicer, a widget whose class no plugin knows (here: no stand-in) is
    made as the class that the .ui says it extends, a plain QWidget as a rule,
    and Qt's warning says so.
    """

    def __init__(self, parent=None):
        super().__init__(parent)
        self._classes = stand_ins.CLASSES
        self._plain = set()

    def createWidget(self, class_name, parent=None, name=""):
        made = self._classes.get(class_name)
        if made is not None:
            widget = made(parent) if parent is not None else made()
            widget.setObjectName(name)
            return widget
        if class_name not in self.availableWidgets() and class_name != "Line":
            self._plain.add(name)
        return super().createWidget(class_name, parent, name)

    def load(self, device, parent=None):
        """The widget of a .ui file.

        Raises
        ------
        UiError
            Where a connection names what its widgets do not have.
        """
        text = bytes(device.readAll())
        root = ET.fromstring(text)
        connections = []
        block = root.find("connections")
        if block is not None:
            connections = [
                tuple(item.findtext(part, "") for part in ("sender", "signal", "receiver", "slot"))
                for item in block.findall("connection")
            ]
            root.remove(block)
        for flags in root.iter("set"):
            _as_number(flags)
        self._plain = set()
        buffer = QtCore.QBuffer()
        buffer.setData(ET.tostring(root))
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        widget = super().load(buffer, parent)
        for connection in connections:
            if not self._plain.intersection(connection):
                self._connect(widget, *connection)
        return widget

    def _connect(self, top, sender, signal, receiver, slot):
        ends = []
        for name in (sender, receiver):
            found = top if top.objectName() == name else top.findChild(QtCore.QObject, name)
            if found is None:
                raise UiError(f"The .ui connects '{name}', which is not in it.")
            ends.append(pythonqt.wrap(found))
        source, target = ends
        slot_name = slot.partition("(")[0]
        if not callable(getattr(target, slot_name, None)) and not hasattr(
            type(target._pyside()), slot_name
        ):
            raise UiError(f"The .ui connects to {slot} of '{receiver}', which has no such slot.")
        function = getattr(target._pyside(), slot_name)
        if not source.connect(signal, function):
            raise UiError(f"The .ui connects {signal} of '{sender}', which has no such signal.")


def _as_number(element):
    """Make a set of a stand-in's flags a number: PySide6 can declare no such C++ flags."""
    names = (element.text or "").split("|")
    scope = names[0].partition("::")[0]
    flags = getattr(stand_ins.CLASSES.get(scope), "_FILTERS", None)
    if flags is not None:
        element.tag = "number"
        element.text = str(sum({flags[name.split("::")[-1]] for name in names}))
