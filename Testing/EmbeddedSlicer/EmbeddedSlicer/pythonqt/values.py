"""Values between the two worlds: objects, enums, lists; and calls with them."""

from __future__ import annotations

import enum

import shiboken6
from PySide6 import QtCore


# -- enums ---------------------------------------------------------------------
class QtEnum(int):
    """An enum value: an int that remembers which PySide6 enum member it is."""

    _member = None

    def __repr__(self):
        return f"{type(self).__name__}({self._member!r})" if self._member else int.__repr__(self)

    def __or__(self, other):
        return _combine(self, other, lambda a, b: a | b)

    def __and__(self, other):
        return _combine(self, other, lambda a, b: a & b)

    __ror__, __rand__ = __or__, __and__


_enum_types: dict[type, type] = {}


def _combine(a, b, operation):
    if isinstance(b, QtEnum) and type(a._member) is type(b._member):
        member = a._member
        if isinstance(member, enum.Flag):
            return wrap_enum(operation(member, b._member))
    return operation(int(a), int(b))


def wrap_enum(member):
    cls = _enum_types.get(type(member))
    if cls is None:
        cls = _enum_types[type(member)] = type(type(member).__name__, (QtEnum,), {})
    value = cls(member.value)
    value._member = member
    return value


def is_enum_class(value):
    return isinstance(value, type) and issubclass(value, enum.Enum)


# -- conversion ----------------------------------------------------------------
def wrap(value):
    """A PySide6 value as PythonQt would hand it to Python."""
    if isinstance(value, shiboken6.Object):
        return _wrap_object(value)
    if isinstance(value, enum.Enum) and type(value).__module__.startswith(("PySide6", "Shiboken")):
        return wrap_enum(value)
    if isinstance(value, (list, tuple)):
        return tuple(wrap(item) for item in value)
    if isinstance(value, dict):
        return {key: wrap(item) for key, item in value.items()}
    return value


def _wrap_object(value):
    """The face of an object: always the same one of a QObject, None where it was destroyed."""
    from .classes import qt_class

    is_qobject = isinstance(value, QtCore.QObject)
    if is_qobject and not shiboken6.isValid(value):
        return None
    proxy = value.__dict__.get("_pythonqt") if is_qobject else None
    if proxy is None:
        cls = qt_class(type(value))
        proxy = cls.__new__(cls)
        proxy._adopt(value)
    return proxy


def unwrap(value):
    """What `wrap` was given; other values as they are."""
    from .classes import PythonQtInstanceWrapper, QtClassType

    if isinstance(value, PythonQtInstanceWrapper):
        return value._pyside()
    if isinstance(value, QtEnum):
        return int(value) if value._member is None else value._member
    if isinstance(value, type) and isinstance(value, QtClassType):
        return value._pyside_class
    if type(value) in (list, tuple):
        return [unwrap(item) for item in value]
    if type(value) is dict:
        return {key: unwrap(item) for key, item in value.items()}
    return value


def call(function, args):
    """Call a PySide6 function with PythonQt's leniency about enums: an int will do."""
    args = [unwrap(arg) for arg in args]
    try:
        return wrap(function(*args))
    except TypeError as error:
        for retry in with_enums(function, args):
            try:
                return wrap(function(*retry))
            except TypeError:
                continue
        raise TypeError(str(error).split("\n")[0]) from None


def with_enums(function, args):
    """Argument lists with ints made into the enums the signatures of `function` ask for."""
    if not any(type(arg) is int for arg in args):
        return
    signatures = _signatures(function)
    if signatures is None:
        return
    for signature in signatures if isinstance(signatures, list) else [signatures]:
        parameters = [p for p in signature.parameters.values() if p.name != "self"]
        converted, changed = list(args), False
        for index, (arg, parameter) in enumerate(zip(args, parameters, strict=False)):
            if type(arg) is int and is_enum_class(parameter.annotation):
                try:
                    converted[index] = parameter.annotation(arg)
                except ValueError:
                    break
                changed = True
        if changed:
            yield converted


def _signatures(function):
    """The signatures PySide6 knows of a function, or None."""
    from shibokensupport.signature import get_signature

    owner = getattr(function, "__self__", None)
    for cls in type(owner).__mro__:  # a bound method of a subclass does not know them itself
        if function.__name__ in vars(cls):
            function = getattr(cls, function.__name__)
            break
    try:
        return get_signature(function)
    except Exception:
        return None
