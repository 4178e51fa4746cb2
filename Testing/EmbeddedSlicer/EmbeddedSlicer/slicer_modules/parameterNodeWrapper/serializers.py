"""How values of each type are written to and read from a vtkMRMLScriptedModuleNode."""

import enum
import pathlib
import types
import typing

import slicer

from .annotations import IsInstance, IsNone, NotNone, Validator, splitAnnotations

_PATHS = (pathlib.Path, pathlib.PosixPath, pathlib.PurePath, pathlib.PurePosixPath)


class Serializer:
    """Text parameters; subclasses say how a value becomes text and back."""

    validators = ()

    def __init__(self, kind=None):
        self.kind = kind

    def canSerialize(self, kind):
        raise NotImplementedError

    def default(self):
        raise NotImplementedError

    def text(self, value):
        return str(value)

    def value(self, text):
        return text

    def isIn(self, node, name):
        return node.HasParameter(name)

    def write(self, node, name, value):
        self.validate(value)
        node.SetParameter(name, self.text(value))

    def read(self, node, name):
        return self.value(node.GetParameter(name))

    def remove(self, node, name):
        node.UnsetParameter(name)

    def validate(self, value):
        for validator in self.validators:
            validator.validate(value)


class Number(Serializer):
    def __init__(self, kind):
        super().__init__(kind)
        self.validators = (NotNone(), IsInstance((int, float) if kind is float else int))

    def canSerialize(self, kind):
        return kind in (int, float)

    def default(self):
        return 0

    def value(self, text):
        return self.kind(text)


class Text(Serializer):
    validators = (NotNone(), IsInstance(str))

    def canSerialize(self, kind):
        return kind is str

    def default(self):
        return ""


class Path(Serializer):
    def __init__(self, kind):
        super().__init__(kind)
        self.validators = (NotNone(), IsInstance(kind))

    def canSerialize(self, kind):
        return kind in _PATHS

    def default(self):
        return self.kind()

    def value(self, text):
        return self.kind(text)


class Bool(Serializer):
    validators = (NotNone(), IsInstance(bool))

    def canSerialize(self, kind):
        return kind is bool

    def default(self):
        return False

    def text(self, value):
        return "True" if value else "False"

    def value(self, text):
        return text == "True"


class EnumByName(Serializer):
    def __init__(self, kind):
        if not len(kind):
            raise ValueError("Cannot serialize empty Enum.")
        super().__init__(kind)
        self.validators = (IsInstance(kind),)

    def canSerialize(self, kind):
        return isinstance(kind, type) and issubclass(kind, enum.Enum)

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

    def __init__(self, kind):
        super().__init__(kind)
        self.validators = (IsInstance(kind),)

    def canSerialize(self, kind):
        return isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode)

    def default(self):
        return None

    def write(self, node, name, value):
        self.validate(value)
        node.SetParameter(name, "")
        node.SetNodeReferenceID(name, value.GetID() if value is not None else None)

    def read(self, node, name):
        return node.GetNodeReference(name)

    def remove(self, node, name):
        node.UnsetParameter(name)
        node.RemoveNodeReferenceIDs(name)


class Nothing(Serializer):
    validators = (IsNone(),)

    def canSerialize(self, kind):
        return kind is type(None)

    def default(self):
        return None

    def text(self, value):
        return ""

    def value(self, text):
        return None


class Union(Serializer):
    """One of several types: the parameter 'name.0' is of the first type, and so on."""

    def __init__(self, parts):
        super().__init__()
        self.parts = parts

    def canSerialize(self, kind):
        return _is_union(kind)

    def default(self):
        if len(self.parts) == 2 and isinstance(self.parts[1], Nothing):
            return None
        return self.parts[0].default()

    def isIn(self, node, name):
        return any(part.isIn(node, f"{name}.{i}") for i, part in enumerate(self.parts))

    def write(self, node, name, value):
        index, part = self._part(value)
        with slicer.util.NodeModify(node):
            self.remove(node, name)
            part.write(node, f"{name}.{index}", value)

    def _part(self, value):
        refusal = None
        for index, part in enumerate(self.parts):
            if part.canSerialize(type(value)):
                try:
                    part.validate(value)
                    return index, part
                except (TypeError, ValueError) as error:
                    refusal = error
        raise refusal or TypeError(f"Unable to write value '{value}' of type '{type(value)}'")

    def read(self, node, name):
        for index, part in enumerate(self.parts):
            if part.isIn(node, f"{name}.{index}"):
                return part.read(node, f"{name}.{index}")
        raise KeyError(f"Unable to find value for name: {name}")

    def remove(self, node, name):
        for index, part in enumerate(self.parts):
            part.remove(node, f"{name}.{index}")


def _is_union(kind):
    return typing.get_origin(kind) in (typing.Union, types.UnionType)


def createSerializer(annotated):
    """The serializer of a type, with the validators it is annotated with.

    Raises
    ------
    TypeError
        For types that have none here.
    """
    kind, annotations = splitAnnotations(annotated)
    if _is_union(kind):
        made = Union([createSerializer(part) for part in typing.get_args(kind)])
    elif kind in (int, float):
        made = Number(kind)
    elif kind is str:
        made = Text()
    elif kind is bool:
        made = Bool()
    elif kind is type(None):
        made = Nothing()
    elif kind in _PATHS:
        made = Path(kind)
    elif isinstance(kind, type) and issubclass(kind, enum.Enum):
        made = EnumByName(kind)
    elif isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode):
        made = Node(kind)
    else:
        raise TypeError(f"Unable to create serializer for type: {kind} (not made here)")
    extra = [item for item in annotations if isinstance(item, Validator)]
    made.validators = (*made.validators, *extra)
    return made
