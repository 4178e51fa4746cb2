"""Methods, signals and slots as PythonQt has them."""

from __future__ import annotations

import sys
import traceback
import types

from PySide6 import QtCore

from .. import gil
from .meta import meta_of
from .values import call, wrap

# Exceptions raised in slots, in overridden Qt methods and in VTK observers are
# printed and swallowed, as in Slicer. They are also kept here so that a test
# can ask whether there were any.
slot_errors: list[BaseException] = []


def keep_printed_errors():
    """Keep what Qt and VTK print of exceptions that reach them; they go through this hook."""
    hook = sys.excepthook

    def keep(kind, error, trace):
        slot_errors.append(error)
        hook(kind, error, trace)

    sys.excepthook = keep


def _argument_count(function):
    """How many arguments PythonQt passes: all (None) unless a def says fewer."""
    bound = 0
    if isinstance(function, types.MethodType):
        function, bound = function.__func__, 1
    if not isinstance(function, types.FunctionType):
        return None
    code = function.__code__
    if code.co_flags & 0x04:  # *args
        return None
    return code.co_argcount - bound


def run_slot(function, args=()):
    """Call a slot as PythonQt does: trimmed arguments, exceptions printed and swallowed."""
    count = _argument_count(function)
    args = args if count is None else args[:count]
    try:
        with gil.slot():
            return function(*(wrap(arg) for arg in args))
    except Exception as error:
        slot_errors.append(error)
        traceback.print_exc(file=sys.stderr)
        return None


def _relay(function, count):
    """A slot of exactly `count` parameters: PySide6 looks at their number."""
    names = ", ".join(f"a{i}" for i in range(count))
    return eval(  # the names are made here
        f"lambda {names}: run_slot(function, ({names}{',' if count else ''}))",
        {"run_slot": run_slot, "function": function},
    )


class QtMethod:
    """A bound method of a Qt object."""

    def __init__(self, proxy, name, function):
        self.__self__, self.__name__, self._function = proxy, name, function

    def __call__(self, *args):
        self.__self__._pyside()  # a sentence where the object is gone
        return call(self._function, args)

    def __eq__(self, other):
        return (
            isinstance(other, QtMethod)
            and other.__self__ is self.__self__
            and other.__name__ == self.__name__
        )

    def __hash__(self):
        return hash((id(self.__self__), self.__name__))

    def __repr__(self):
        return f"<{self.__name__} of {self.__self__!r}>"


class QtSignal:
    """A signal of a Qt object: connect, disconnect, emit, or call it to emit."""

    def __init__(self, proxy, name, signal, name_in_qt=None):
        self.__self__, self.__name__, self._signal = proxy, name, signal
        self._name_in_qt = name_in_qt or name

    def connect(self, *args):
        if len(args) != 1:
            raise ValueError("Called connect with wrong number of arguments")
        function = args[0]
        if not callable(function):
            raise TypeError(f"{function!r} is not callable")

        relay = _relay(function, self._parameter_count())
        self._signal.connect(relay)
        self._connections().append((self.__name__, function, relay))
        return True

    def _parameter_count(self):
        """Parameters of the longest form of the signal: clicked() is also clicked(bool)."""
        meta = meta_of(self.__self__._pyside())
        counts = [
            method.parameterCount()
            for method in (meta.method(i) for i in range(meta.methodCount()))
            if method.methodType() == QtCore.QMetaMethod.MethodType.Signal
            and bytes(method.name()).decode() == self._name_in_qt
        ]
        return max(counts, default=0)

    def disconnect(self, *args):
        if len(args) > 1:
            raise ValueError("Called disconnect with wrong number of arguments")
        connections = self._connections()
        for entry in list(connections):
            name, function, relay = entry
            if name == self.__name__ and (not args or function == args[0]):
                self._signal.disconnect(relay)
                connections.remove(entry)
                if args:
                    return True
        return not args

    def emit(self, *args):
        return call(self._signal.emit, args)

    __call__ = emit

    def _connections(self):
        return self.__self__._pyside().__dict__.setdefault("_connections", [])

    def __repr__(self):
        return f"<qt signal {self.__name__} of {self.__self__!r}>"
