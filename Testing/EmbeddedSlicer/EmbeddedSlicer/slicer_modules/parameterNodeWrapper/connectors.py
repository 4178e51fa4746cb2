"""What connects a parameter to a widget: which property, which signal, which type."""

import enum
import pathlib
import types
import typing

import slicer

from .annotations import (
    Choice,
    Decimals,
    Maximum,
    Minimum,
    SingleStep,
    WithinRange,
    findFirstAnnotation,
    splitAnnotations,
    unannotatedType,
)

_PATHS = (pathlib.Path, pathlib.PosixPath, pathlib.PurePath, pathlib.PurePosixPath)


class GuiConnector:
    """One widget: read it, write it, be told when it changes."""

    def __init__(self, widget, signal, read, write):
        self._widget, self._signal = widget, signal
        self.read, self._write = read, write
        self._callback = None

    def onChanged(self, callback):
        self._callback = callback
        if self._signal is None:
            return
        signal = getattr(self._widget, self._signal)
        if callback is None:
            signal.disconnect(self.changed)
        else:
            signal.connect(self.changed)

    def changed(self):
        if self._callback:
            self._callback()

    def widget(self):
        return self._widget

    def write(self, value):
        self._write(value)


def _property(widget, name, signal, convert=lambda value: value):
    def write(value):
        setattr(widget, name, value)

    return GuiConnector(widget, signal, lambda: convert(getattr(widget, name)), write)


def _bounds(annotations):
    within = findFirstAnnotation(annotations, WithinRange)
    if within is not None:
        return within.minimum, within.maximum
    low = findFirstAnnotation(annotations, Minimum)
    high = findFirstAnnotation(annotations, Maximum)
    return (None if low is None else low.minimum, None if high is None else high.maximum)


def _number(widget, kind, annotations):
    name = widget.className()
    low, high = _bounds(annotations)
    slider = name in ("QSlider", "ctkSliderWidget", "qMRMLSliderWidget", "ctkDoubleSlider")
    if slider and (low is None or high is None):
        raise RuntimeError(f"Cannot have a connection to {name} where the type is unbounded.")
    whole = name in ("QSlider", "QSpinBox")
    if kind is int and not whole and name != "ctkDoubleSlider":
        widget.decimals = 0
    decimals = findFirstAnnotation(annotations, Decimals)
    if decimals is not None:
        widget.decimals = decimals.value
    step = findFirstAnnotation(annotations, SingleStep)
    if step is not None:
        widget.singleStep = step.value
    limit = 2**31 if whole else float("inf")
    widget.minimum = -limit if low is None else low
    widget.maximum = (limit - 1 if whole else limit) if high is None else high
    convert = int if kind is int else float
    connector = _property(widget, "value", "valueChanged", convert)
    connector._write = lambda value: setattr(widget, "value", convert(value))
    return connector


def _choices(widget, pairs):
    widget.clear()
    for label, _value in pairs:
        widget.addItem(label)

    def write(value):
        for index, (_label, item) in enumerate(pairs):
            if item == value:
                widget.currentIndex = index
                return
        raise ValueError(f"Unable to find value {value} in choices {[v for _, v in pairs]}")

    return GuiConnector(widget, "currentIndexChanged", lambda: pairs[widget.currentIndex][1], write)


def _text(widget, kind):
    def write(value):
        if value != widget.text:  # writing would move the cursor
            widget.text = value

    return GuiConnector(widget, "textChanged", lambda: widget.text, write)


def _node_types(kind):
    parts = typing.get_args(kind) if _is_union(kind) else (kind,)
    parts = [unannotatedType(part) for part in parts]
    nodes = [p for p in parts if isinstance(p, type) and issubclass(p, slicer.vtkMRMLNode)]
    if len(nodes) + sum(p is type(None) for p in parts) != len(parts):
        return None
    return [node().GetClassName() for node in nodes]


def _is_union(kind):
    return typing.get_origin(kind) in (typing.Union, types.UnionType)


def createGuiConnector(widget, datatype):
    """The connector of a widget to a type.

    Raises
    ------
    RuntimeError
        Where Slicer binds no such pair.
    """
    kind, annotations = splitAnnotations(datatype)
    name = type(widget).__name__
    if kind is bool and name in ("QCheckBox", "ctkCheckBox"):
        return _property(widget, "checked", "stateChanged")
    if kind is bool and name == "QPushButton":
        widget.checkable = True
        return _property(widget, "checked", "toggled")
    if kind is int and name in ("QSlider", "QSpinBox"):
        return _number(widget, kind, annotations)
    if kind in (int, float) and name in _NUMBERS:
        return _number(widget, kind, annotations)
    if name in ("QComboBox", "ctkComboBox"):
        if kind in (int, float, str, bool):
            choice = findFirstAnnotation(annotations, Choice)
            if choice is None:
                raise RuntimeError("A combo box needs the Choice annotation to be bound.")
            return _choices(widget, [(str(c), c) for c in choice.choices])
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            label = getattr(kind, "label", lambda item: item.name)
            return _choices(widget, [(label(item), item) for item in kind])
    if kind is str and name == "QLineEdit":
        return _text(widget, kind)
    if kind is str and name == "QLabel":
        return _property(widget, "text", None)
    if kind is str and name == "QTextEdit":
        return GuiConnector(widget, "textChanged", widget.toPlainText, widget.setPlainText)
    if kind in _PATHS and name == "ctkPathLineEdit":
        return GuiConnector(
            widget,
            "currentPathChanged",
            lambda: kind(widget.currentPath),
            lambda value: setattr(widget, "currentPath", str(value)),
        )
    if name == "qMRMLNodeComboBox" and _node_types(kind):
        widget.nodeTypes = _node_types(kind)
        return GuiConnector(
            widget, "currentNodeChanged", lambda: widget.currentNode(), widget.setCurrentNode
        )
    raise RuntimeError(
        f"Unable to create GUI connector from datatype '{datatype}' to widget type '{name}'."
    )


_NUMBERS = ("QDoubleSpinBox", "ctkSliderWidget", "ctkDoubleSlider", "ctkDoubleSpinBox")
