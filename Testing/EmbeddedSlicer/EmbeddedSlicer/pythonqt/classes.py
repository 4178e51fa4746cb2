"""PythonQt's classes and objects: attributes by QMetaObject, subclasses in Python."""

from __future__ import annotations

import enum
import types
import weakref

import shiboken6
from PySide6 import QtCore

from . import methods
from .meta import meta_of
from .slots import QtMethod, QtSignal, run_slot
from .values import call, is_enum_class, unwrap, with_enums, wrap, wrap_enum

_classes: dict[type, type] = {}


def qt_class(pyside_class):
    """The PythonQt face of a PySide6 class; no such classes inherit from each other."""
    cls = _classes.get(pyside_class)
    if cls is None:
        cls = QtClassType(
            pyside_class.__name__,
            (PythonQtInstanceWrapper,),
            {"_pyside_class": pyside_class, "__module__": "qt", "__doc__": pyside_class.__doc__},
        )
        _classes[pyside_class] = cls
    return cls


class QtClassType(type):
    """Type of the classes in `qt` and `ctk`: enum values, static and unbound methods."""

    def __getattr__(cls, name):
        if name.startswith("_"):
            raise AttributeError(name)
        pyside_class = cls._pyside_class
        special = methods.STATIC.get((pyside_class.__name__, name))
        if special:
            return special
        try:
            value = getattr(pyside_class, name)
        except AttributeError:
            value = _enum_member(pyside_class, name)
        return _class_attribute(value)

    def __repr__(cls):
        return f"<class '{cls.__name__}'>"


def _class_attribute(value):
    """What a class shows under a name: an enum value or scope, a class, a function to call."""
    if is_enum_class(value):
        return _EnumScope(value)
    if isinstance(value, type) and issubclass(value, shiboken6.Object):
        return qt_class(value)
    if isinstance(value, (QtCore.Signal, QtCore.Property)):
        return value
    if callable(value) and not isinstance(value, enum.Enum):
        return lambda *args: call(value, args)
    return wrap(value)


def _enum_member(pyside_class, name):
    for attribute in dir(pyside_class):
        scope = pyside_class.__dict__.get(attribute) or getattr(pyside_class, attribute, None)
        if is_enum_class(scope) and name in scope.__members__:
            return scope[name]
    raise AttributeError(f"type object '{pyside_class.__name__}' has no attribute '{name}'")


class _EnumScope:
    """`qt.Qt.CheckState`: its members, and values from ints."""

    def __init__(self, enum_class):
        self._enum_class = enum_class

    def __getattr__(self, name):
        try:
            return wrap_enum(self._enum_class[name])
        except KeyError:
            raise AttributeError(f"{self._enum_class.__name__} has no value '{name}'") from None

    def __call__(self, value):
        return wrap_enum(self._enum_class(int(value)))


class PythonQtInstanceWrapper(metaclass=QtClassType):
    """A Qt object as Slicer's Python sees it."""

    _pyside_class = None

    def __init__(self, *args, **kwargs):
        if kwargs:
            raise TypeError(f"{type(self).__name__}() takes no keyword arguments")
        if args and args[0] is self:  # qt.QWidget.__init__(self, self, ...) is no use to anyone
            args = args[1:]
        made = _implementation(type(self))
        args = [unwrap(arg) for arg in args]
        try:
            instance = made(*args)
        except TypeError as error:
            for retry in with_enums(made, args):
                instance = made(*retry)
                break
            else:
                raise ValueError(
                    f"Could not find matching overload for given arguments: {error}"
                ) from None
        self._adopt(instance)

    def _adopt(self, instance):
        object.__setattr__(self, "_object", instance)
        if isinstance(instance, QtCore.QObject):
            instance.__dict__["_pythonqt"] = self

    def _pyside(self):
        try:
            instance = object.__getattribute__(self, "_object")
        except AttributeError:
            raise ValueError(f"{type(self).__name__}.__init__ has not been called") from None
        if not shiboken6.isValid(instance):
            raise ValueError(f"the {type(self).__name__} object was destroyed")
        return instance

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        instance = self._pyside()
        if name in getattr(type(instance), "_hidden", ()):
            raise AttributeError(f"{type(self).__name__} has no attribute named '{name}'")
        if isinstance(instance, QtCore.QObject):
            meta = meta_of(instance)
            index = meta.indexOfProperty("objectName" if name == "name" else name)
            if index >= 0:
                return wrap(meta.property(index).read(instance))
            if name in methods.QOBJECT:
                return types.MethodType(methods.QOBJECT[name], self)
        special = methods.METHODS.get(name)
        if special and isinstance(instance, special[0]):
            return types.MethodType(special[1], self)
        return self._method(instance, name)

    def _method(self, instance, name):
        """A method, a signal or a value of the class, once it is known to be no property."""
        try:
            value = getattr(instance, name)
        except AttributeError:
            return self._missing(instance, name)
        if isinstance(value, QtCore.SignalInstance):
            return QtSignal(self, name, value)
        if isinstance(value, enum.Enum) or is_enum_class(value) or isinstance(value, type):
            return getattr(type(self), name)
        if callable(value):
            return QtMethod(self, name, value)
        return wrap(value)

    def _missing(self, instance, name):
        try:
            return wrap_enum(_enum_member(type(instance), name))
        except AttributeError:
            pass
        if isinstance(instance, QtCore.QObject):
            if name.encode() in [bytes(n) for n in instance.dynamicPropertyNames()]:
                return wrap(instance.property(name))
            for child in instance.children():
                if child.objectName() == name:
                    return wrap(child)
        raise AttributeError(f"{type(self).__name__} has no attribute named '{name}'")

    def __setattr__(self, name, value):
        instance = self._pyside() if "_object" in self.__dict__ else None
        if isinstance(instance, QtCore.QObject):
            meta = meta_of(instance)
            property_name = "objectName" if name == "name" else name
            index = meta.indexOfProperty(property_name)
            if index >= 0:
                self._write(instance, meta.property(index), name, value)
                return
            if name.encode() in [bytes(n) for n in instance.dynamicPropertyNames()]:
                instance.setProperty(name, unwrap(value))
                return
        if instance is not None and not name.startswith("_") and hasattr(instance, name):
            kind = (
                "Signal" if isinstance(getattr(instance, name), QtCore.SignalInstance) else "Slot"
            )
            raise AttributeError(
                f"{kind} '{name}' can not be overwritten on {type(self).__name__} object"
            )
        if "_pyside_class" in type(self).__dict__:
            raise AttributeError(
                f"'{name}' does not exist on {type(self).__name__} and creating new "
                "attributes on C++ objects is not allowed"
            )
        object.__setattr__(self, name, value)

    def _write(self, instance, prop, name, value):
        if not prop.isWritable():
            raise AttributeError(
                f"Property '{name}' of {type(self).__name__} object is not writable"
            )
        raw = unwrap(value)
        if _takes(prop, raw) and prop.write(instance, raw):
            return
        raise AttributeError(
            f"Property '{name}' of type '{prop.typeName()}' does not accept an object of "
            f"type {type(value).__name__} ({value!r})"
        )

    def __bool__(self):
        instance = self.__dict__.get("_object")
        return instance is not None and shiboken6.isValid(instance)

    def __eq__(self, other):
        if isinstance(other, PythonQtInstanceWrapper):
            mine, theirs = self.__dict__.get("_object"), other.__dict__.get("_object")
            if isinstance(mine, QtCore.QObject) or isinstance(theirs, QtCore.QObject):
                return mine is theirs
            return mine == theirs
        return NotImplemented

    def __hash__(self):
        return id(self.__dict__.get("_object"))

    def __repr__(self):
        instance = self.__dict__.get("_object")
        if instance is None or not shiboken6.isValid(instance):
            return f"{type(self).__name__} (destroyed)"
        return f"{type(self).__name__} ({type(instance).__name__} at: {id(instance):#x})"

    def __dir__(self):
        instance = self._pyside()
        names = {name for name in dir(instance) if not name.startswith("_")}
        return sorted(names | set(object.__dir__(self)))


def _takes(prop, value):
    """Whether a value fits a property: PythonQt refuses what Qt would silently make 0 or ''."""
    kind = prop.metaType().name()
    if kind == "bool":
        return isinstance(value, (bool, int))
    if kind in ("int", "uint", "double", "float"):
        return isinstance(value, (bool, int, float))
    return value is not None


# -- Python subclasses of Qt classes -------------------------------------------
_implementations: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def _implementation(cls):
    """The PySide6 class to instantiate for a class in `qt` or a Python subclass of one.

    Methods that a subclass overrides are called by Qt, so they are forwarded
    from a PySide6 subclass made for it.
    """
    if "_pyside_class" in cls.__dict__:
        return cls._pyside_class
    made = _implementations.get(cls)
    if made is None:
        overrides = {}
        for base in cls.__mro__:
            if "_pyside_class" in base.__dict__:
                break
            for name, value in base.__dict__.items():
                known = hasattr(cls._pyside_class, name) and not name.startswith("__")
                if known and isinstance(value, types.FunctionType):
                    overrides.setdefault(name, _forward(name))
        made = type(cls.__name__, (cls._pyside_class,), overrides)
        _implementations[cls] = made
    return made


def _forward(name):
    def method(self, *args):
        return unwrap(run_slot(getattr(self.__dict__["_pythonqt"], name), args))

    return method
