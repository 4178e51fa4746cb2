"""`slicer.app`: the scene, its logics, settings and the managers that hang on it."""

from __future__ import annotations

import shutil
import sys
import tempfile
import types

import slicer
import slicer.util
from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Property, Signal
from vtkmodules.vtkCommonCore import vtkCollection

from . import pythonqt, scripted, stand_ins
from .io_manager import qSlicerIOManager

# The Slicer whose Python interface is stood in for.
VERSION = (5, 10, 0)

# name in slicer.modules: logic class of slicer-core
LOGICS = {
    "Volumes": "vtkSlicerVolumesLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Data": "vtkSlicerDataModuleLogic",
}


class qSlicerCommandOptions(QtCore.QObject):
    """The one of Slicer's command-line options that slicer.util sets."""

    _run_and_exit = False

    def _set_run_and_exit(self, on):
        self._run_and_exit = on

    runPythonAndExit = Property(bool, lambda self: self._run_and_exit, _set_run_and_exit)


def _quiet(kind, _context, message):
    """Qt's messages, less what its offscreen platform says of every window."""
    if "propagateSizeHints" not in message:
        print(f"Qt: {message}", file=sys.stderr)


class qSlicerApplication(QtWidgets.QApplication):
    """The application object; make it with `EmbeddedSlicer.start`."""

    startupCompleted = Signal()

    def __init__(self, settings_folder, testing):
        QtCore.qInstallMessageHandler(_quiet)
        pythonqt.keep_printed_errors()
        # As Slicer: its files must read the same in every country.
        QtCore.QLocale.setDefault(QtCore.QLocale.c())
        super().__init__(["EmbeddedSlicer"])
        self.setApplicationName("Slicer")
        self.setApplicationDisplayName("EmbeddedSlicer")
        self.setOrganizationName("EmbeddedSlicer")
        self.setApplicationVersion(".".join(map(str, VERSION)))
        self._testing = testing
        self._main_window = None
        self._layout_manager = None
        self._temporary = tempfile.mkdtemp(prefix="EmbeddedSlicer-")
        ini = QtCore.QSettings.Format.IniFormat
        QtCore.QSettings.setDefaultFormat(ini)
        QtCore.QSettings.setPath(
            ini, QtCore.QSettings.Scope.UserScope, str(settings_folder or self._temporary)
        )
        self._settings = QtCore.QSettings()
        self._options = qSlicerCommandOptions(self)
        self._make_scene()
        self._modules = scripted.qSlicerModuleManager(self)
        self._io = qSlicerIOManager(self._scene, self._logic, self)

    def _make_scene(self):
        self._scene = slicer.vtkMRMLScene()
        self._logic = slicer.vtkSlicerApplicationLogic()
        self._logic.SetTemporaryPath(self._temporary)
        self._logic.SetMRMLScene(self._scene)
        self._logic.SetSliceLogics(vtkCollection())
        self._logic.SetViewLogics(vtkCollection())
        self._logic.GetColorLogic().SetMRMLScene(self._scene)
        self._logic.GetColorLogic().AddDefaultColorNodes()
        self._logic.SetModuleLogic("Colors", self._logic.GetColorLogic())
        crosshair = slicer.vtkMRMLCrosshairNode()
        crosshair.SetCrosshairName("default")
        self._scene.AddNode(crosshair)
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self._scene, True)
        self._logics = {}
        for name, class_name in LOGICS.items():
            logic = getattr(slicer, class_name)()
            logic.SetMRMLApplicationLogic(self._logic)
            logic.SetMRMLScene(self._scene)
            self._logic.SetModuleLogic(name, logic)
            self._logics[name] = logic

    # -- properties -------------------------------------------------------------
    temporaryPath = Property(str, lambda self: self._temporary)
    majorVersion = Property(int, lambda self: VERSION[0])
    minorVersion = Property(int, lambda self: VERSION[1])

    # -- methods ----------------------------------------------------------------
    def mrmlScene(self):
        return self._scene

    def applicationLogic(self):
        return self._logic

    def moduleLogic(self, name):
        return self._logics.get(name)

    def moduleManager(self):
        return self._modules

    def coreIOManager(self):
        return self._io

    def layoutManager(self):
        return self._layout_manager

    def settings(self):
        return self._settings

    def commandOptions(self):
        return self._options

    def testingEnabled(self):
        return self._testing

    def _complete_startup(self):
        """Emit startupCompleted, once for everything that is connected to it."""
        self.startupCompleted.emit()
        if self.receivers(QtCore.SIGNAL("startupCompleted()")):
            self.startupCompleted.disconnect()

    def _close(self):
        """End in the order Slicer does: modules, scene, views."""
        if self._scene is None:
            return
        self._modules._unload_all()
        if self._layout_manager is not None:
            self._layout_manager._close()
        if self._main_window is not None:
            self._main_window.hide()
        self._settings.sync()  # else Qt writes them after the folder has gone
        shutil.rmtree(self._temporary, ignore_errors=True)


def publish(app):
    """Fill the package `slicer` with what a module finds in it."""
    slicer.app = pythonqt.wrap(app)
    slicer.mrmlScene = app.mrmlScene()
    slicer.modules = types.ModuleType("slicer.modules")
    sys.modules["slicer.modules"] = slicer.modules
    slicer.moduleNames = types.SimpleNamespace()
    slicer.selfTests = {}
    for name, value in {**stand_ins.CLASSES, **_core_classes()}.items():
        if name.startswith("q"):
            setattr(slicer, name, pythonqt.qt_class(value))
    slicer.dicomDatabase = None
    for name, logic in app._logics.items():
        app._modules._add(name, scripted.qSlicerCoreModule(name, logic, app))


def _core_classes():
    return {
        cls.__name__: cls
        for cls in (
            scripted.qSlicerScriptedLoadableModule,
            scripted.qSlicerScriptedLoadableModuleWidget,
            qSlicerApplication,
        )
    }
