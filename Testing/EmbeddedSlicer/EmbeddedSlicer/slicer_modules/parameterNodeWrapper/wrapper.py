"""The class decorator `parameterNodeWrapper` and the binding to a panel."""

import typing
import weakref

import qt
import slicer
import vtk

from .annotations import Default, splitAnnotations
from .connectors import GuiConnector, createGuiConnector
from .serializers import createSerializer

SlicerParameterNamePropertyName = "SlicerParameterName"


def parameterNodeWrapper(classtype=None):
    """Make a class with annotated members into a typed view of a parameter node."""
    return _process if classtype is None else _process(classtype)


def isParameterNodeWrapper(classOrObj):
    return getattr(classOrObj, "_is_parameter_node_wrapper", False)


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
            given = [item for item in splitAnnotations(kind)[1] if isinstance(item, Default)]
            default = given[0] if given else Default(serializer.default())
        parameters[name] = _Parameter(kind, serializer, default)
        setattr(cls, name, _member(name))
    for name, value in _METHODS.items():
        if name != "__init__" and hasattr(cls, name):
            raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
        setattr(cls, name, value)
    cls.allParameters = parameters
    cls._is_parameter_node_wrapper = True
    cls.dataType = staticmethod(lambda name: _find(cls, name).kind)
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


def _default(self, name):
    return _find(type(self), name).default


def _connect_parameters(self, mapping):
    connectors = {}
    for name, target in mapping.items():
        kind = _find(type(self), name).kind
        connectors[name] = (
            target if isinstance(target, GuiConnector) else createGuiConnector(target, kind)
        )
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


def findChildWidgetForParameter(widget, parameter):
    """The widget below `widget` that is bound to a parameter, or None."""
    for child in widget.findChildren(qt.QWidget):
        if child.property(SlicerParameterNamePropertyName) == parameter:
            return child
    return None


_METHODS = {
    "__init__": _init,
    "default": _default,
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
