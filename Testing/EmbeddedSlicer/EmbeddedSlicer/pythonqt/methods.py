"""What PythonQt adds to Qt's methods, or does in another way than PySide6."""

from __future__ import annotations

import sys

import shiboken6
from PySide6 import QtCore, QtWidgets

from .. import dialogs
from .meta import meta_of
from .slots import QtSignal, run_slot
from .values import call, unwrap, wrap


def _connect(self, signal, *args):
    """connect('clicked(bool)', f), or connect('clicked()', receiver, 'close()')."""
    found = _signal_of(self, signal)
    if found is None:
        print(
            f"PythonQt: QObject::connect() signal '{signal}' does not exist on {self.className()}",
            file=sys.stderr,
        )
        return False
    return found.connect(args[0] if len(args) == 1 else _slot_of(*args))


def _disconnect(self, signal, *args):
    found = _signal_of(self, signal)
    if found is None:
        return False
    if len(args) == 2:
        args = (_slot_of(*args),)
    return found.disconnect(*args)


def _slot_of(receiver, slot):
    return getattr(receiver, slot.lstrip("0123456789").split("(")[0].strip())


def _signal_of(self, text):
    """The signal that a signature like 'currentIndexChanged(int)' names, or None.

    Signals with MRML types cannot say so in a QMetaObject made by PySide6:
    stand-ins have a dict `_signatures`: name -> {C++ arguments: attribute}.
    """
    name, bracket, arguments = text.lstrip("0123456789").partition("(")
    name = name.strip()
    instance = self._pyside()
    wanted = _normal(arguments.rstrip().removesuffix(")"))
    declared = getattr(type(instance), "_signatures", {}).get(name)
    if declared is not None:
        attribute = declared.get(wanted) if bracket else None
        return attribute and QtSignal(self, name, getattr(instance, attribute), attribute)
    signal = getattr(instance, name, None)
    if not bracket or not isinstance(signal, QtCore.SignalInstance):
        return None
    meta = meta_of(instance)
    known = []
    for index in range(meta.methodCount()):
        method = meta.method(index)
        is_signal = method.methodType() == QtCore.QMetaMethod.MethodType.Signal
        if is_signal and bytes(method.name()).decode() == name:
            types = (bytes(t).decode() for t in method.parameterTypes())
            known.append(_normal(",".join(types)))
    if wanted not in known:
        return None
    if not wanted and any(known):
        return _BareSignal(self, f"{name}()", signal)
    if len(set(known) - {""}) > 1:
        signal = signal[wanted]
    return QtSignal(self, name, signal)


def _normal(arguments):
    return arguments.replace("const ", "").replace("&", "").replace(" ", "")


class _BareSignal(QtSignal):
    """A signal connected by a signature without arguments, as 'clicked()'."""

    def _parameter_count(self):
        return 0


def _find_child(self, kind, name=None):
    """A child of a class, else a grandchild: PythonQt looks level by level at each step."""
    wanted = _class_wanted(kind)
    return wrap(_first(self._pyside(), wanted, name)) if wanted else None


def _find_children(self, kind, name=None):
    """Descendants of a class, parents before their children.

    Before its version 4.1 PythonQt looks for a name no further than below children of that name.
    """
    wanted = _class_wanted(kind)
    return wrap(list(_all(self._pyside(), wanted, name))) if wanted else ()


def _class_wanted(kind):
    """The name of a class given as such or by name: a first str is a class name."""
    if hasattr(kind, "_pyside_class"):
        return kind._pyside_class.__name__
    return kind if isinstance(kind, str) else None


def _matches(child, wanted, name):
    return child.inherits(wanted) and (name is None or child.objectName() == name)


def _first(parent, wanted, name):
    children = parent.children()
    for child in children:
        if _matches(child, wanted, name):
            return child
    for child in children:
        found = _first(child, wanted, name)
        if found is not None:
            return found
    return None


def _all(parent, wanted, name):
    for child in parent.children():
        if name is None or child.objectName() == name:
            if child.inherits(wanted):
                yield child
            yield from _all(child, wanted, name)


def _class_name(self):
    return meta_of(self._pyside()).className()


def _delete(self):
    shiboken6.delete(self._pyside())


def _exec(self, *args):
    instance = self._pyside()
    if isinstance(instance, QtWidgets.QMessageBox):
        return dialogs.run_message_box(instance)
    if isinstance(instance, QtWidgets.QDialog):
        return dialogs.run_dialog(instance)
    return call(instance.exec, args)


def _delete_later(self):
    """DeleteLater of a dialog.

    slicer.util calls it before exec_(). Below Slicer's own event loop that
    deletes the dialog when it is closed; where no event loop runs (a test) Qt
    would delete it as soon as its own starts.
    """
    instance = self._pyside()
    if QtCore.QThread.currentThread().loopLevel() == 0:
        instance.finished.connect(instance.deleteLater)
    else:
        instance.deleteLater()


def _file_dialog(name):
    return lambda *args: wrap(dialogs.run_file_dialog(name, [unwrap(arg) for arg in args]))


def _message(name):
    return lambda *args: wrap(dialogs.run_message(name, [unwrap(arg) for arg in args]))


def _single_shot(milliseconds, *args):
    function = args[-1]
    QtCore.QTimer.singleShot(int(milliseconds), lambda: run_slot(function))


QOBJECT = {
    "connect": _connect,
    "disconnect": _disconnect,
    "findChild": _find_child,
    "findChildren": _find_children,
    "className": _class_name,
    "delete": _delete,
}
_EXECUTES = (QtWidgets.QDialog, QtWidgets.QMenu, QtCore.QEventLoop, QtCore.QCoreApplication)
METHODS = {
    "exec_": (_EXECUTES, _exec),
    "exec": (_EXECUTES, _exec),
    "deleteLater": (QtWidgets.QDialog, _delete_later),
}
STATIC = {("QTimer", "singleShot"): _single_shot}
for _name in (
    "getOpenFileName",
    "getOpenFileNames",
    "getSaveFileName",
    "getExistingDirectory",
):
    STATIC["QFileDialog", _name] = _file_dialog(_name)
for _name in ("question", "information", "warning", "critical"):
    STATIC["QMessageBox", _name] = _message(_name)
