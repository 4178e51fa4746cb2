"""Modules: loading a scripted module's .py, its panel, and `slicer.app.moduleManager()`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import slicer
from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property, Signal

from . import pythonqt
from .mrml_widgets import qMRMLWidget


def _plain(name, kind, default):
    def get(self):
        return self._values.get(name, default)

    def put(self, value):
        self._values[name] = list(value) if kind == "QStringList" else value

    return Property(kind, get, put)


class qSlicerScriptedLoadableModule(QtCore.QObject):
    """What a module class gets as `parent`."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self._values = {}
        self._widget = None
        self._instance = None
        self._logic = None

    title = _plain("title", str, "")
    categories = _plain("categories", "QStringList", [])
    contributors = _plain("contributors", "QStringList", [])
    dependencies = _plain("dependencies", "QStringList", [])
    helpText = _plain("helpText", str, "")
    acknowledgementText = _plain("acknowledgementText", str, "")
    icon = _plain("icon", QtGui.QIcon, QtGui.QIcon())
    name = Property(str, lambda self: self._values.get("name", ""))
    path = Property(str, lambda self: self._values.get("path", ""))

    def logic(self):
        """A scripted module's C++ logic is an empty one; its own is in its widget."""
        if self._logic is None:
            self._logic = slicer.vtkSlicerScriptedLoadableModuleLogic()
            self._logic.SetMRMLScene(slicer.mrmlScene)
        return self._logic

    def mrmlScene(self):
        return slicer.mrmlScene

    def widgetRepresentation(self):
        if self._widget is None and self._widget_class() is not None:
            self._widget = self.createNewWidgetRepresentation()
        return self._widget

    def createNewWidgetRepresentation(self):
        widget = qSlicerScriptedLoadableModuleWidget()
        widget._module = self
        widget._load()
        widget.setMRMLScene(slicer.mrmlScene)
        widget._self.setup()
        return widget

    def _widget_class(self):
        return getattr(sys.modules[self.name], f"{self.name}Widget", None)


class qSlicerScriptedLoadableModuleWidget(qMRMLWidget):
    """The panel of a scripted module: what its Widget class gets as `parent`."""

    def __init__(self, parent=None):
        super().__init__(parent)
        QtWidgets.QVBoxLayout(self)
        self._self = None
        self._entered = False

    isEntered = Property(bool, lambda self: self._entered)

    def self(self):
        return self._self

    def reload(self):
        """Read the module's source anew: slicer.util.reloadScriptedModule calls it."""
        self._load()
        self._self.setup()

    def enter(self):
        self._entered = True
        self._call("enter")

    def exit(self):
        self._entered = False
        self._call("exit")

    def _load(self):
        name = self._module.name
        self._self = self._module._widget_class()(pythonqt.wrap(self))
        setattr(slicer.modules, f"{name}Widget", self._self)

    def _call(self, method):
        # PythonQt calls these from C++: errors are printed and swallowed.
        if self._self is not None and hasattr(self._self, method):
            pythonqt.run_slot(getattr(self._self, method))


class qSlicerCoreModule(QtCore.QObject):
    """A built-in module, of which only the logic is here."""

    def __init__(self, name, logic, parent=None):
        super().__init__(parent)
        self._name, self._logic = name, logic

    name = Property(str, lambda self: self._name)
    title = Property(str, lambda self: self._name)

    def logic(self):
        return self._logic


class qSlicerModuleManager(QtCore.QObject):
    """The loaded modules by name."""

    moduleLoaded = Signal(str)
    moduleAboutToBeUnloaded = Signal(str)
    moduleUnloaded = Signal(str)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._modules = {}

    def module(self, name):
        return self._modules.get(name)

    def factoryManager(self):
        return self

    def loadedModuleNames(self):
        return tuple(self._modules)

    def _add(self, name, module):
        self._modules[name] = module
        setattr(slicer.modules, name.lower(), pythonqt.wrap(module))
        self.moduleLoaded.emit(name)

    def _load(self, path):
        """Load a scripted module from its .py, as Slicer does at start.

        Only the module's own folder goes on sys.path. Errors are raised.
        """
        path = Path(path).resolve()
        name, folder = path.stem, str(path.parent)
        if folder not in sys.path:
            sys.path.insert(0, folder)
        spec = importlib.util.spec_from_file_location(name, path)
        source = importlib.util.module_from_spec(spec)
        sys.modules[name] = source
        spec.loader.exec_module(source)
        module = qSlicerScriptedLoadableModule(self)
        module._values.update(name=name, path=str(path))
        module._instance = getattr(source, name)(pythonqt.wrap(module))
        setattr(slicer.modules, f"{name}Instance", module._instance)
        self._add(name, module)
        if hasattr(module._instance, "setup"):
            module._instance.setup()
        return module

    def _unload_all(self):
        for name in reversed(list(self._modules)):
            self.moduleAboutToBeUnloaded.emit(name)
            self._modules.pop(name)
            self.moduleUnloaded.emit(name)
