"""The modules `qt` and `ctk` that a Slicer module imports."""

from __future__ import annotations

import enum
import importlib
import types

from . import pythonqt, stand_ins, ui_loader

# Qt's own, by the parts that Slicer's `qt` has; QtTest is not among them. They are
# imported when a name is not found before, because QtNetwork alone needs Kerberos.
_PARTS = ("QtCore", "QtGui", "QtWidgets", "QtUiTools", "QtSvg", "QtPrintSupport", "QtNetwork")
# Classes PySide6 has and PythonQt (as of its wrappers for Qt 5.15) has not: what
# came with Qt 6, and what it does not wrap.
_ABSENT = {
    "QAccessible",
    "QColorConstants",
    "QDirListing",
    "QEventPoint",
    "QHttpHeaders",
    "QIODeviceBase",
    "QInputDevice",
    "QKeyCombination",
    "QMetaObject",
    "QOverrideCursorGuard",
    "QPageRanges",
    "QPainterStateGuard",
    "QPermission",
    "QPluginLoader",
    "QPointerEvent",
    "QPointingDevice",
    "QRangeModel",
    "QRestAccessManager",
    "QStringConverter",
    "QStringDecoder",
    "QStringEncoder",
    "QTreeWidgetItemIterator",
    "QVersionNumber",
}


class _QtModule(types.ModuleType):
    def __getattr__(self, name):
        if name == "QUiLoader":
            return pythonqt.qt_class(ui_loader.QUiLoader)
        missing = ""
        if name.startswith("Q") and name not in _ABSENT and not name.startswith("QRhi"):
            for part in _PARTS:
                try:
                    value = getattr(importlib.import_module(f"PySide6.{part}"), name, None)
                except ImportError as error:
                    missing = f" ({part} cannot be loaded: {error})"
                    continue
                if isinstance(value, type) and not issubclass(value, enum.Enum):
                    return pythonqt.qt_class(value)
        raise AttributeError(f"module 'qt' has no attribute '{name}'{missing}")


class _CtkModule(types.ModuleType):
    def __getattr__(self, name):
        value = stand_ins.CLASSES.get(name)
        if value is None or not name.startswith("ctk"):
            raise AttributeError(f"module 'ctk' has no attribute '{name}' (no stand-in is made)")
        return pythonqt.qt_class(value)


qt = _QtModule("qt", "Qt as PythonQt shows it, over PySide6.")
ctk = _CtkModule("ctk", "CTK as PythonQt shows it.")
