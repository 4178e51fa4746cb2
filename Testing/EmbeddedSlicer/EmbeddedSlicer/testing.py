"""What tests of a module's panel share: the application, real clicks, and pictures.

The widgets a module has are PythonQt's faces of Qt objects; QTest needs the
objects themselves. Every function here takes either.
"""

from __future__ import annotations

import time
from contextlib import contextmanager

import slicer_core  # noqa: F401  before anything of it is used, so that its lack is named
from PySide6 import QtCore, QtGui, QtTest, QtWidgets
from vtkmodules.vtkCommonMath import vtkMatrix4x4

import EmbeddedSlicer

from . import dialogs, gil, pythonqt
from .dialogs import answering
from .pythonqt.meta import meta_of

__all__ = [
    "answering",
    "choose",
    "clean_scene",
    "click",
    "dialogs",
    "drag",
    "drag_point",
    "no_slot_errors",
    "process",
    "raw",
    "screenshot",
    "show",
    "show_slice",
    "slice_view",
    "slicers_threads",
    "start",
    "turn_wheel",
    "type_into",
    "view_position",
    "wait_until",
]


def start():
    """The application, started once per process; no dialog waits for a person."""
    app = EmbeddedSlicer.start()
    dialogs.nobody = True
    return app


def raw(widget):
    """The PySide6 object of a widget."""
    return pythonqt.unwrap(widget)


def process(times=3):
    """Let Qt handle what is waiting, drawing and zero timers among it."""
    app = start()
    for _ in range(times):
        app.processEvents()


def wait_until(condition, seconds=30.0, why=""):
    """Handle events until `condition()` is true; fails after `seconds`."""
    end = time.monotonic() + seconds
    app = start()
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for {why or condition}")
        app.processEvents()
        time.sleep(0.002)


@contextmanager
def no_slot_errors():
    """Fails where an exception was raised in a slot (Slicer prints and swallows it)."""
    slot_errors = pythonqt.slot_errors
    before = len(slot_errors)
    yield
    new = slot_errors[before:]
    del slot_errors[before:]
    if new:
        raise AssertionError(f"exception in a slot: {new!r}") from new[0]


def slicers_threads():
    """Inside, worker threads get on only while a slot waits for them, as in Slicer."""
    return gil.as_in_slicer()


def clean_scene():
    """Close the scene, as File / Close scene."""
    import slicer

    start()
    slicer.mrmlScene.Clear()
    process()


def click(widget, position=None):
    """Press and release the left button on a widget a person could press."""
    target = raw(widget)
    show(target)
    assert target.isVisible(), f"{target.objectName()} is not visible"
    assert target.isEnabled(), f"{target.objectName()} is disabled"
    if position is None and isinstance(target, QtWidgets.QCheckBox):
        position = QtCore.QPoint(8, target.height() // 2)
    if position is None:
        position = target.rect().center()
    QtTest.QTest.mouseClick(target, QtCore.Qt.MouseButton.LeftButton, pos=position)
    process()


def show(widget):
    """Open the collapsed sections around a widget and scroll it into view."""
    target = raw(widget)
    parent = target.parentWidget()
    while parent is not None:
        if meta_of(parent).className().startswith("ctkCollapsible"):
            parent.setChecked(True)
        if isinstance(parent, QtWidgets.QScrollArea):
            parent.ensureWidgetVisible(target)
        parent = parent.parentWidget()
    process()


def choose(combo, text):
    """Open the list of a combo box (QComboBox or qMRMLNodeComboBox) and click an entry."""
    target = raw(combo)
    show(target)
    assert target.isEnabled(), f"{target.objectName()} is disabled"
    if not isinstance(target, QtWidgets.QComboBox):
        target = target.findChild(QtWidgets.QComboBox)
    row = target.findText(text)
    assert row >= 0, (text, [target.itemText(i) for i in range(target.count())])
    target.showPopup()
    process()
    view = target.view()
    index = target.model().index(row, target.modelColumn())
    view.scrollTo(index)
    # In a narrow box the list is narrower than its entries.
    place = (view.visualRect(index) & view.viewport().rect()).center()
    QtTest.QTest.mouseMove(view.viewport(), place)
    QtTest.QTest.mouseClick(view.viewport(), QtCore.Qt.MouseButton.LeftButton, pos=place)
    process()


def type_into(widget, text):
    """Type a text or number into a line edit, spin box or path edit, then Return."""
    target = raw(widget)
    show(target)
    edit = target
    if not isinstance(target, QtWidgets.QLineEdit):
        edit = target.findChild(QtWidgets.QLineEdit)
    edit.setFocus()
    edit.selectAll()
    QtTest.QTest.keyClick(edit, QtCore.Qt.Key.Key_Delete)
    QtTest.QTest.keyClicks(edit, str(text))
    QtTest.QTest.keyClick(edit, QtCore.Qt.Key.Key_Return)
    process()


def slice_view(name):
    """The widget of the 'Red', 'Yellow' or 'Green' slice view."""
    return start()._layout_manager.sliceWidget(name).sliceView()


def view_position(name, ras):
    """Where a RAS point is in a slice view, as a QPoint of the widget."""
    view = slice_view(name)
    inverse = vtkMatrix4x4()
    vtkMatrix4x4.Invert(view.mrmlSliceNode().GetXYToRAS(), inverse)
    x, y, _z, _one = inverse.MultiplyPoint([*ras, 1.0])
    ratio = view.devicePixelRatioF()
    return QtCore.QPoint(round(x / ratio), round(view.height() - 1 - y / ratio))


def show_slice(name, ras):
    """Scroll a slice view to the slice a point lies in."""
    node = slice_view(name).mrmlSliceNode()
    node.JumpSliceByOffsetting(*ras)
    process()


def drag(view, start_position, end_position, steps=10):
    """Drag with the left mouse button in a slice view."""
    left, none = QtCore.Qt.MouseButton.LeftButton, QtCore.Qt.KeyboardModifier.NoModifier
    test = QtTest.QTest
    test.mouseMove(view, start_position - QtCore.QPoint(25, 0))
    process()
    test.mouseMove(view, start_position)
    process()
    test.mousePress(view, left, none, start_position)
    process()
    for step in range(1, steps + 1):
        test.mouseMove(view, start_position + (end_position - start_position) * step / steps)
        process()
    test.mouseRelease(view, left, none, end_position)
    process()


def turn_wheel(view, steps=1):
    """Turn the mouse wheel by some clicks over the middle of a slice view, away from the person."""
    place, none = QtCore.QPointF(view.rect().center()), QtCore.QPoint()
    for _ in range(steps):
        event = QtGui.QWheelEvent(
            place,
            view.mapToGlobal(place),
            none,
            QtCore.QPoint(0, 120),
            QtCore.Qt.MouseButton.NoButton,
            QtCore.Qt.KeyboardModifier.NoModifier,
            QtCore.Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QtWidgets.QApplication.sendEvent(view, event)
        process()


def drag_point(node, index, name, ras):
    """Drag a control point with the mouse, in the view `name`, to a RAS point.

    The view is scrolled to the point first; the point stays in that slice, so
    the component of `ras` across the slice has no effect.
    """
    here = [0.0, 0.0, 0.0]
    node.GetNthControlPointPositionWorld(index, here)
    show_slice(name, here)
    drag(slice_view(name), view_position(name, here), view_position(name, ras))


def screenshot(path, widget=None):
    """Write the main window, or a widget, as PNG."""
    EmbeddedSlicer.screenshot(path, widget)
