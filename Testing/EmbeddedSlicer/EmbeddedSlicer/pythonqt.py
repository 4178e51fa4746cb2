"""PySide6 objects that behave the way PythonQt shows them to Slicer's Python.

PySide6 and PythonQt wrap the same Qt, with other rules. Here one rule makes
the difference, the one PythonQt itself follows: an attribute of an object is
looked up in its QMetaObject. What is a property there is a value, read and
written as an attribute, and so cannot be called; a signal has `connect`; the
rest are methods. Unknown names raise AttributeError, also when they are set.

`wrap` and `unwrap` go between the two worlds; `qt_class` gives the PythonQt
face of a PySide6 class.
"""

from __future__ import annotations

import enum
import sys
import traceback
import types
import weakref

import shiboken6
from PySide6 import QtCore, QtWidgets

# Exceptions raised in slots are printed and swallowed, as in Slicer. They are
# also kept here so that a test can ask whether there were any.
slot_errors: list[BaseException] = []


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
            return _wrap_enum(operation(member, b._member))
    return operation(int(a), int(b))


def _wrap_enum(member):
    cls = _enum_types.get(type(member))
    if cls is None:
        cls = _enum_types[type(member)] = type(type(member).__name__, (QtEnum,), {})
    value = cls(member.value)
    value._member = member
    return value


def _is_enum_class(value):
    return isinstance(value, type) and issubclass(value, enum.Enum)


# -- conversion ----------------------------------------------------------------
def wrap(value):
    """A PySide6 value as PythonQt would hand it to Python."""
    if isinstance(value, QtCore.QObject):
        if not shiboken6.isValid(value):
            return None
        proxy = value.__dict__.get("_pythonqt")
        if proxy is None:
            cls = qt_class(type(value))
            proxy = cls.__new__(cls)
            proxy._adopt(value)
        return proxy
    if isinstance(value, shiboken6.Object):
        cls = qt_class(type(value))
        proxy = cls.__new__(cls)
        object.__setattr__(proxy, "_object", value)
        return proxy
    if isinstance(value, enum.Enum) and type(value).__module__.startswith(("PySide6", "Shiboken")):
        return _wrap_enum(value)
    if isinstance(value, (list, tuple)):
        return tuple(wrap(item) for item in value)
    if isinstance(value, dict):
        return {key: wrap(item) for key, item in value.items()}
    return value


def unwrap(value):
    """What `wrap` was given; other values as they are."""
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


def _call(function, args):
    """Call a PySide6 function with PythonQt's leniency about enums: an int will do."""
    args = [unwrap(arg) for arg in args]
    try:
        return wrap(function(*args))
    except TypeError as error:
        for retry in _with_enums(function, args):
            try:
                return wrap(function(*retry))
            except TypeError:
                continue
        raise TypeError(str(error).split("\n")[0]) from None


def _with_enums(function, args):
    """Argument lists with ints made into the enums the signatures of `function` ask for."""
    if not any(type(arg) is int for arg in args):
        return
    from shibokensupport.signature import get_signature

    try:
        signatures = get_signature(function)
    except Exception:
        return
    if signatures is None:
        return
    for signature in signatures if isinstance(signatures, list) else [signatures]:
        parameters = [p for p in signature.parameters.values() if p.name != "self"]
        converted, changed = list(args), False
        for index, (arg, parameter) in enumerate(zip(args, parameters, strict=False)):
            if type(arg) is int and _is_enum_class(parameter.annotation):
                try:
                    converted[index] = parameter.annotation(arg)
                except ValueError:
                    break
                changed = True
        if changed:
            yield converted


# -- slots ---------------------------------------------------------------------
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
        return function(*(wrap(arg) for arg in args))
    except Exception as error:
        slot_errors.append(error)
        traceback.print_exc(file=sys.stderr)
        return None


class QtMethod:
    """A bound method of a Qt object."""

    def __init__(self, proxy, name, function):
        self.__self__, self.__name__, self._function = proxy, name, function

    def __call__(self, *args):
        self.__self__._pyside()  # a sentence where the object is gone
        return _call(self._function, args)

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

    def __init__(self, proxy, name, signal):
        self.__self__, self.__name__, self._signal = proxy, name, signal

    def connect(self, *args):
        if len(args) != 1:
            raise ValueError("Called connect with wrong number of arguments")
        function = args[0]
        if not callable(function):
            raise TypeError(f"{function!r} is not callable")

        def relay(*values):
            run_slot(function, values)

        self._signal.connect(relay)
        self._connections().append((self.__name__, function, relay))
        return True

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
        return _call(self._signal.emit, args)

    __call__ = emit

    def _connections(self):
        return self.__self__._pyside().__dict__.setdefault("_connections", [])

    def __repr__(self):
        return f"<qt signal {self.__name__} of {self.__self__!r}>"


# -- classes and objects -------------------------------------------------------
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
        special = _STATIC.get((pyside_class.__name__, name))
        if special:
            return special
        try:
            value = getattr(pyside_class, name)
        except AttributeError:
            value = _enum_member(pyside_class, name)
        if isinstance(value, enum.Enum):
            return _wrap_enum(value)
        if _is_enum_class(value):
            return _EnumScope(value)
        if isinstance(value, type) and issubclass(value, shiboken6.Object):
            return qt_class(value)
        if isinstance(value, (QtCore.Signal, QtCore.Property)):
            return value
        if callable(value):
            return lambda *args: _call(value, args)
        return wrap(value)

    def __repr__(cls):
        return f"<class '{cls.__name__}'>"


def _enum_member(pyside_class, name):
    for attribute in dir(pyside_class):
        scope = pyside_class.__dict__.get(attribute) or getattr(pyside_class, attribute, None)
        if _is_enum_class(scope) and name in scope.__members__:
            return scope[name]
    raise AttributeError(f"type object '{pyside_class.__name__}' has no attribute '{name}'")


class _EnumScope:
    """`qt.Qt.CheckState`: its members, and values from ints."""

    def __init__(self, enum_class):
        self._enum_class = enum_class

    def __getattr__(self, name):
        try:
            return _wrap_enum(self._enum_class[name])
        except KeyError:
            raise AttributeError(f"{self._enum_class.__name__} has no value '{name}'") from None

    def __call__(self, value):
        return _wrap_enum(self._enum_class(int(value)))


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
            for retry in _with_enums(made, args):
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
        if isinstance(instance, QtCore.QObject):
            meta = instance.metaObject()
            index = meta.indexOfProperty("objectName" if name == "name" else name)
            if index >= 0:
                return wrap(meta.property(index).read(instance))
            if name in _QOBJECT:
                return types.MethodType(_QOBJECT[name], self)
        special = _METHODS.get(name)
        if special and isinstance(instance, special[0]):
            return types.MethodType(special[1], self)
        try:
            value = getattr(instance, name)
        except AttributeError:
            return self._missing(instance, name)
        if isinstance(value, QtCore.SignalInstance):
            return QtSignal(self, name, value)
        if isinstance(value, enum.Enum) or _is_enum_class(value) or isinstance(value, type):
            return getattr(type(self), name)
        if callable(value):
            return QtMethod(self, name, value)
        return wrap(value)

    def _missing(self, instance, name):
        try:
            return _wrap_enum(_enum_member(type(instance), name))
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
            meta = instance.metaObject()
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
                if isinstance(value, types.FunctionType) and hasattr(cls._pyside_class, name):
                    if not name.startswith("__"):
                        overrides.setdefault(name, _forward(name))
        made = type(cls.__name__, (cls._pyside_class,), overrides)
        _implementations[cls] = made
    return made


def _forward(name):
    def method(self, *args):
        return unwrap(getattr(self.__dict__["_pythonqt"], name)(*(wrap(arg) for arg in args)))

    return method


# -- what PythonQt adds to or changes in Qt's methods --------------------------
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
    if not bracket:
        return None
    wanted = _normal(arguments.rstrip().removesuffix(")"))
    declared = getattr(type(instance), "_signatures", {}).get(name)
    if declared is not None:
        if wanted not in declared:
            return None
        return QtSignal(self, name, getattr(instance, declared[wanted]))
    signal = getattr(instance, name, None)
    if not isinstance(signal, QtCore.SignalInstance):
        return None
    meta = instance.metaObject()
    known = []
    for index in range(meta.methodCount()):
        method = meta.method(index)
        if method.methodType() == QtCore.QMetaMethod.MethodType.Signal:
            if bytes(method.name()).decode() == name:
                known.append(_normal(",".join(bytes(t).decode() for t in method.parameterTypes())))
    if wanted not in known:
        return None
    if not wanted and any(known):
        return QtSignal(self, f"{name}()", _NoArguments(signal))
    if len(set(known) - {""}) > 1:
        signal = signal[wanted]
    return QtSignal(self, name, signal)


def _normal(arguments):
    return arguments.replace("const ", "").replace("&", "").replace(" ", "")


class _NoArguments:
    """A signal connected by a signature without arguments, as 'clicked()'."""

    def __init__(self, signal):
        self._signal, self._relays = signal, {}

    def connect(self, relay):
        def bare(*_):
            relay()

        relay.bare = bare
        self._signal.connect(bare)

    def disconnect(self, relay):
        self._signal.disconnect(relay.bare)


def _find_child(self, kind, name=None):
    found = _find_children(self, kind, name)
    return found[0] if found else None


def _find_children(self, kind, name=None):
    """Descendants of a class (or class name), breadth first; a name alone is a class name."""
    if isinstance(kind, QtClassType):
        wanted = kind._pyside_class.staticMetaObject.className()
    elif isinstance(kind, str):
        wanted = kind
    else:
        return ()
    found, level = [], [self._pyside()]
    while level:
        level = [child for parent in level for child in parent.children()]
        found += [
            child
            for child in level
            if child.inherits(wanted) and (name is None or child.objectName() == name)
        ]
    return wrap(found)


def _class_name(self):
    return self._pyside().metaObject().className()


def _delete(self):
    shiboken6.delete(self._pyside())


def _exec(self, *args):
    return _call(self._pyside().exec, args)


def _file_dialog(name):
    def function(*args):
        result = getattr(QtWidgets.QFileDialog, name)(*(unwrap(arg) for arg in args))
        return wrap(result[0] if isinstance(result, tuple) else result)

    return function


def _single_shot(milliseconds, *args):
    function = args[-1]
    QtCore.QTimer.singleShot(int(milliseconds), lambda: run_slot(function))


_QOBJECT = {
    "connect": _connect,
    "disconnect": _disconnect,
    "findChild": _find_child,
    "findChildren": _find_children,
    "className": _class_name,
    "delete": _delete,
}
_METHODS = {
    "exec_": ((QtWidgets.QDialog, QtWidgets.QMenu, QtCore.QEventLoop), _exec),
}
_STATIC = {
    ("QFileDialog", "getOpenFileName"): _file_dialog("getOpenFileName"),
    ("QFileDialog", "getSaveFileName"): _file_dialog("getSaveFileName"),
    ("QFileDialog", "getOpenFileNames"): _file_dialog("getOpenFileNames"),
    ("QTimer", "singleShot"): _single_shot,
}
