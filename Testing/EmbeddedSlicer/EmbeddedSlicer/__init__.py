"""A 3D Slicer scripted module, run without 3D Slicer.

The MRML scene, its nodes and logics are Slicer's own, from the PyPI package
`slicer-core`; Qt is PySide6, shown to the module as PythonQt shows Qt to
Slicer's Python; the rest of the application that a module touches is stood in
for here. A stand-in does what Slicer's does or raises.

>>> import EmbeddedSlicer
>>> app = EmbeddedSlicer.start()
>>> widget = EmbeddedSlicer.open_module("Module/Module.py")
"""

from __future__ import annotations

import atexit
import ctypes
import sys
import types
from pathlib import Path

from . import display, rendering

_running = types.SimpleNamespace(app=None)


def start(*, main_window=True, testing=False, settings_folder=None):
    """Make the application; a second call returns the one there is.

    Parameters
    ----------
    main_window : bool
        False runs as `Slicer --no-main-window`: no window, no views, no layout manager.
    testing : bool
        As `Slicer --testing`: message boxes are logged and not shown.
    settings_folder : path, optional
        Where settings are kept; a temporary folder by default.

    Returns
    -------
    EmbeddedSlicer.application.qSlicerApplication
        The PySide6 object; the module sees its PythonQt face as `slicer.app`.

    Raises
    ------
    EmbeddedSlicer.rendering.NoOpenGL
        Where VTK cannot render here.
    EmbeddedSlicer.rendering.MissingLibrary
        Where Qt or VTK lack a system library.
    """
    if _running.app is not None:
        return _running.app
    _keep_singletons()
    try:
        problem = display.choose_platform()
    except ImportError as error:
        raise rendering.MissingLibrary(error) from None
    if problem:
        print(f"EmbeddedSlicer: {problem}.", file=sys.stderr)
    if main_window:
        rendering.choose_backend()
    try:
        from PySide6 import QtUiTools  # noqa: F401
    except ImportError as error:
        raise rendering.MissingLibrary(error) from None
    _publish_python()
    from . import application

    app = _running.app = application.qSlicerApplication(settings_folder, testing)
    application.publish(app)
    if main_window:
        from .layout import qSlicerLayoutManager
        from .window import qSlicerMainWindow

        app._layout_manager = qSlicerLayoutManager(app.applicationLogic(), parent=app)
        app._main_window = qSlicerMainWindow(app)
        app._main_window.show()
    atexit.register(app._close)
    return app


def _keep_singletons():
    """Make None, True and False immortal where Python does not (before 3.12).

    PySide6 6.12 gives away references to them that it does not own (one for
    each `property()` that is not set, each event handled ...), which ends in
    'Fatal Python error: deallocating None' after some thousand calls.
    """
    if sys.version_info < (3, 12) and sys.implementation.name == "cpython":
        for value in (None, True, False):
            ctypes.c_ssize_t.from_address(id(value)).value += 1 << 40


def _publish_python():
    """Put `qt`, `ctk` and the parts of `slicer` that are Python where imports find them."""
    import slicer
    import vtkmodules.vtkRenderingContextOpenGL2
    import vtkmodules.vtkRenderingFreeType
    import vtkmodules.vtkRenderingOpenGL2  # noqa: F401

    here = Path(__file__).parent
    slicer.__path__.append(str(here / "slicer_modules"))
    sys.path.append(str(here / "scripted_modules"))
    from . import qt_module

    sys.modules["qt"], sys.modules["ctk"] = qt_module.qt, qt_module.ctk


def open_module(path):
    """Open a scripted module's panel; the first time its .py is loaded.

    Errors in the module's file, its constructor and its setup() are raised.
    Functions connected to `startupCompleted()` are called after loading: a
    module opened here is as one that was there when Slicer started.

    Returns
    -------
    object
        The module's Python widget (an instance of its `<Name>Widget`).
    """
    app, path = _running.app, Path(path).resolve()
    module = app.moduleManager().module(path.stem)
    if module is None:
        module = app.moduleManager()._load(path)
        module.widgetRepresentation()
        app._complete_startup()
    elif Path(module.path) != path:
        raise ValueError(f"Another module {path.stem} is loaded, from {module.path}.")
    if app._main_window is not None:
        app._main_window._open(module.name)
    return module.widgetRepresentation().self()


def screenshot(path, widget=None):
    """Save the main window (or a widget) as a PNG, after letting it draw."""
    from . import pythonqt

    app = _running.app
    target = pythonqt.unwrap(widget) if widget is not None else app._main_window
    for _ in range(3):
        app.processEvents()
    if not target.grab().save(str(path)):
        raise OSError(f"Cannot write the picture {path}")
