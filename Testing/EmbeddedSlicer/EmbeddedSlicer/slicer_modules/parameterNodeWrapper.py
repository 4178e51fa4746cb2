"""`slicer.parameterNodeWrapper`: typed parameters in a parameter node, bound to widgets.

Parameters are written to the node as Slicer writes them (names, references,
enum names, 'True' and 'False'), so that scenes pass between the two. Made are
str, bool, int, enums, MRML nodes, unions and None, with Default and WithinRange;
other types, validators and parameter packs are not, and raise when a class asks
for them. Bound are node selectors, combo boxes of an enum, check boxes and spin boxes.
"""

import enum
import types
import typing
import weakref

import qt
import slicer
import vtk

__all__ = ["Default", "SlicerParameterNamePropertyName", "WithinRange", "parameterNodeWrapper"]

SlicerParameterNamePropertyName = "SlicerParameterName"


class Default:
    """The value of a parameter that the node does not have yet."""

    def __init__(self, value):
        self.value = value


class WithinRange:
    """The lowest and the highest value of a number; its spin box takes them over."""

    def __init__(self, minimum, maximum):
        self.minimum, self.maximum = minimum, maximum

    def validate(self, value):
        if not self.minimum <= value <= self.maximum:
            raise ValueError(
                f"Value must be within range [{self.minimum}, {self.maximum}], is {value}"
            )


# -- values in the node ------------------------------------------------------------
class Serializer:
    """Text parameters; subclasses say how a value becomes text and back."""

    def __init__(self, kind):
        self.kind = kind

    def default(self):
        return self.kind()

    def takes(self, value):
        return isinstance(value, self.kind)

    def text(self, value):
        return str(value)

    def value(self, text):
        return text

    def isIn(self, node, name):
        return node.HasParameter(name)

    def write(self, node, name, value):
        if not self.takes(value):
            raise TypeError(f"Unable to write value '{value}' of type '{type(value)}'")
        self.put(node, name, value)

    def put(self, node, name, value):
        node.SetParameter(name, self.text(value))

    def read(self, node, name):
        return self.value(node.GetParameter(name))

    def remove(self, node, name):
        node.UnsetParameter(name)


class Bool(Serializer):
    def value(self, text):
        return text == "True"


class Int(Serializer):
    validators = ()

    def takes(self, value):
        return isinstance(value, int) and not isinstance(value, bool)

    def put(self, node, name, value):
        for validator in self.validators:
            validator.validate(value)
        super().put(node, name, value)

    def value(self, text):
        return int(text)


class Float(Serializer):
    def takes(self, value):
        return isinstance(value, (int, float)) and not isinstance(value, bool)

    def text(self, value):
        return str(float(value))

    def value(self, text):
        return float(text)


class EnumByName(Serializer):
    def default(self):
        return next(iter(self.kind))

    def text(self, value):
        return value.name

    def value(self, text):
        try:
            return self.kind[text]
        except KeyError:
            raise ValueError(
                f"Found {text!r} in parameter node but it is not a name in {self.kind!r}"
            ) from None


class Node(Serializer):
    """A node reference; an empty parameter of the same name says that it was set."""

    def default(self):
        return None

    def takes(self, value):
        return value is None or isinstance(value, self.kind)

    def put(self, node, name, value):
        node.SetParameter(name, "")
        node.SetNodeReferenceID(name, value.GetID() if value is not None else None)

    def read(self, node, name):
        return node.GetNodeReference(name)

    def remove(self, node, name):
        node.UnsetParameter(name)
        node.RemoveNodeReferenceIDs(name)


class Nothing(Serializer):
    def text(self, value):
        return ""

    def value(self, text):
        return None


class Union(Serializer):
    """One of several types: the parameter 'name.0' is of the first type, and so on."""

    def default(self):
        if len(self.kind) == 2 and isinstance(self.kind[1], Nothing):
            return None
        return self.kind[0].default()

    def takes(self, value):
        return self._place(value) is not None

    def _place(self, value):
        for index, part in enumerate(self.kind):
            # None is of the part that is None; a part of nodes does not stand in for it.
            if isinstance(part, Nothing) == (value is None) and part.takes(value):
                return index
        return None

    def isIn(self, node, name):
        return any(part.isIn(node, f"{name}.{i}") for i, part in enumerate(self.kind))

    def put(self, node, name, value):
        index = self._place(value)
        with slicer.util.NodeModify(node):
            self.remove(node, name)
            self.kind[index].put(node, f"{name}.{index}", value)

    def read(self, node, name):
        for index, part in enumerate(self.kind):
            if part.isIn(node, f"{name}.{index}"):
                return part.read(node, f"{name}.{index}")
        raise KeyError(f"Unable to find value for name: {name}")

    def remove(self, node, name):
        for index, part in enumerate(self.kind):
            part.remove(node, f"{name}.{index}")


def _split(kind):
    """(type, annotations) of a type that may be Annotated."""
    if typing.get_origin(kind) is typing.Annotated:
        return kind.__origin__, kind.__metadata__
    return kind, ()


def _is_union(kind):
    return typing.get_origin(kind) in (typing.Union, types.UnionType)


def createSerializer(annotated):
    """The serializer of a type.

    Raises
    ------
    TypeError
        For types and annotations that have none here.
    """
    kind, annotations = _split(annotated)
    if _is_union(kind):
        made = Union([createSerializer(part) for part in typing.get_args(kind)])
    elif kind in _SIMPLE:
        made = _SIMPLE[kind](kind)
    elif isinstance(kind, type) and issubclass(kind, enum.Enum):
        made = EnumByName(kind)
    elif isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode):
        made = Node(kind)
    else:
        raise TypeError(f"Unable to create serializer for type: {kind} (not made here)")
    if isinstance(made, Int):
        made.validators = [item for item in annotations if isinstance(item, WithinRange)]
    known = (Default, WithinRange) if isinstance(made, Int) else Default
    if not all(isinstance(item, known) for item in annotations):
        raise TypeError(f"Only Default, and WithinRange of an int, is made here, not {annotations}")
    return made


_SIMPLE = {str: Serializer, bool: Bool, int: Int, float: Float, type(None): Nothing}


# -- values in widgets -------------------------------------------------------------
class GuiConnector:
    """One widget: read it, write it, be told when it changes."""

    def __init__(self, signal, read, write):
        self._signal, self.read, self.write = signal, read, write
        self._callback = None

    def onChanged(self, callback):
        self._callback = callback
        if callback is None:
            self._signal.disconnect(self.changed)
        else:
            self._signal.connect(self.changed)

    def changed(self):
        if self._callback:
            self._callback()


def createGuiConnector(widget, datatype):
    """The connector of a widget to a type.

    Raises
    ------
    RuntimeError
        Where no such pair is bound here.
    """
    kind, annotations = _split(datatype)
    name = type(widget).__name__
    if kind is int and name == "QSpinBox":
        # As in Slicer: without a range of the parameter, the widget's own is lost.
        limits = [item for item in annotations if isinstance(item, WithinRange)]
        limits = limits[0] if limits else WithinRange(-(2**31), 2**31 - 1)
        widget.setRange(limits.minimum, limits.maximum)
        return GuiConnector(widget.valueChanged, lambda: widget.value, widget.setValue)
    if kind is bool and name == "QCheckBox":
        return GuiConnector(widget.stateChanged, lambda: widget.checked, widget.setChecked)
    if kind is str and name == "QLineEdit":
        return GuiConnector(widget.textChanged, lambda: widget.text, widget.setText)
    if name == "QComboBox" and isinstance(kind, type) and issubclass(kind, enum.Enum):
        label = getattr(kind, "label", lambda item: item.name)
        items = list(kind)
        widget.clear()
        for item in items:
            widget.addItem(label(item))
        return GuiConnector(
            widget.currentIndexChanged,
            lambda: items[widget.currentIndex],
            lambda value: widget.setCurrentIndex(items.index(value)),
        )
    if name == "qMRMLNodeComboBox" and _node_types(kind):
        widget.nodeTypes = _node_types(kind)
        return GuiConnector(widget.currentNodeChanged, widget.currentNode, widget.setCurrentNode)
    raise RuntimeError(
        f"Unable to create GUI connector from datatype '{datatype}' to widget type '{name}'."
    )


def _node_types(kind):
    parts = typing.get_args(kind) if _is_union(kind) else (kind,)
    parts = [_split(part)[0] for part in parts]
    nodes = [p for p in parts if isinstance(p, type) and issubclass(p, slicer.vtkMRMLNode)]
    if len(nodes) + sum(p is type(None) for p in parts) != len(parts):
        return None
    return [node().GetClassName() for node in nodes]


# -- the class ---------------------------------------------------------------------
def parameterNodeWrapper(classtype=None):
    """Make a class with annotated members into a typed view of a parameter node."""
    return _process if classtype is None else _process(classtype)


class _Parameter:
    def __init__(self, kind, serializer, default):
        self.kind, self.serializer, self.default = kind, serializer, default


def _process(cls):
    parameters = {}
    for name, kind in typing.get_type_hints(cls, include_extras=True).items():
        try:
            serializer = createSerializer(kind)
        except Exception as error:
            raise Exception(f"Unable to create serializer for {cls} member {name}") from error
        if hasattr(cls, name):
            default = Default(getattr(cls, name))
        else:
            given = [item for item in _split(kind)[1] if isinstance(item, Default)]
            default = given[0] if given else Default(serializer.default())
        parameters[name] = _Parameter(kind, serializer, default)
        setattr(cls, name, _member(name))
    for name, value in _METHODS.items():
        if name != "__init__" and hasattr(cls, name):
            raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
        setattr(cls, name, value)
    cls.allParameters = parameters
    return cls


def _member(name):
    return property(
        lambda self: self.getValue(name), lambda self, value: self.setValue(name, value)
    )


def _find(cls, name):
    try:
        return cls.allParameters[name]
    except KeyError:
        raise ValueError(
            f"Cannot find a param with the given name: {name}; there are "
            + ", ".join(cls.allParameters)
        ) from None


class _Cached:
    """A value as last read: again when the node says it was modified, as Slicer keeps it."""

    def __init__(self, parameter, node, name):
        self.parameter, self.node, self.name = parameter, node, name
        self.writing = False
        if not parameter.serializer.isIn(node, name):
            parameter.serializer.write(node, name, parameter.default.value)
        self.value = parameter.serializer.read(node, name)
        # The observer must not keep the wrapper alive, which removes it.
        me = weakref.ref(self)
        self.tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: me().refresh())

    def __del__(self):
        if hasattr(self, "tag"):
            self.node.RemoveObserver(self.tag)

    def refresh(self):
        if not self.writing:
            if not self.parameter.serializer.isIn(self.node, self.name):
                default = self.parameter.default.value
                self.parameter.serializer.write(self.node, self.name, default)
            self.value = self.parameter.serializer.read(self.node, self.name)

    def write(self, value):
        self.writing = True
        try:
            with slicer.util.NodeModify(self.node):
                self.parameter.serializer.write(self.node, self.name, value)
                # before the observers are called: they may ask for it
                self.value = self.parameter.serializer.read(self.node, self.name)
        finally:
            self.writing = False


def _init(self, parameterNode, prefix=None):
    self.parameterNode = parameterNode
    self._guis = {}
    self._next_tag = 0
    self._updating = False
    self._cached = {
        name: _Cached(parameter, parameterNode, f"{prefix or ''}{name}")
        for name, parameter in self.allParameters.items()
    }


def _get_value(self, name):
    _find(type(self), name)
    return self._cached[name].value


def _set_value(self, name, value):
    _find(type(self), name)
    self._cached[name].write(value)


def _connect_parameters(self, mapping):
    connectors = {
        name: createGuiConnector(widget, _find(type(self), name).kind)
        for name, widget in mapping.items()
    }
    tag = self._next_tag
    self._next_tag += 1
    for name, connector in connectors.items():
        connector.write(self.getValue(name))
        connector.onChanged(_gui_callback(self, name, connector))
    observer = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: _update_gui(self))
    self._guis[tag] = (connectors, observer)
    return tag


def _gui_callback(self, name, connector):
    def callback():
        with slicer.util.NodeModify(self):
            if not self._updating:
                self.setValue(name, connector.read())

    return callback


def _update_gui(self):
    if self._updating:
        return
    self._updating = True
    try:
        with slicer.util.NodeModify(self):
            for connectors, _observer in list(self._guis.values()):
                for name, connector in connectors.items():
                    connector.write(self.getValue(name))
    finally:
        self._updating = False


def _connect_gui(self, gui):
    """Bind every widget of a panel that has the property SlicerParameterName."""
    if getattr(gui, "isWidgetType", lambda: False)():
        widgets = gui.findChildren(qt.QWidget)
    else:
        widgets = gui.__dict__.values()
    mapping = {}
    for widget in widgets:
        name = widget.property(SlicerParameterNamePropertyName)
        if name:
            mapping[name] = widget
    return _connect_parameters(self, mapping)


def _disconnect_gui(self, tag):
    if tag in self._guis:
        connectors, observer = self._guis.pop(tag)
        for connector in connectors.values():
            connector.onChanged(None)
        self.RemoveObserver(observer)


_METHODS = {
    "__init__": _init,
    "getValue": _get_value,
    "setValue": _set_value,
    "connectGui": _connect_gui,
    "connectParametersToGui": _connect_parameters,
    "disconnectGui": _disconnect_gui,
    "StartModify": lambda self: self.parameterNode.StartModify(),
    "EndModify": lambda self, wasModified: self.parameterNode.EndModify(wasModified),
    "AddObserver": lambda self, event, callback, priority=0.0: self.parameterNode.AddObserver(
        event, callback, priority
    ),
    "RemoveObserver": lambda self, tag: self.parameterNode.RemoveObserver(tag),
    "Modified": lambda self: self.parameterNode.Modified(),
}
