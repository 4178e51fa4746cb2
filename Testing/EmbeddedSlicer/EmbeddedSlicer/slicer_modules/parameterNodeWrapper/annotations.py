"""What can stand in an Annotated type: defaults, validators, widget settings."""

import typing
from dataclasses import dataclass


class Default:
    """The value of a parameter that the node does not have yet."""

    def __init__(self, value=None, *, generator=None):
        self._value, self._generator = value, generator

    @property
    def value(self):
        return self._generator() if self._generator else self._value


@dataclass
class Decimals:
    """Decimals of the bound widget."""

    value: int


@dataclass
class SingleStep:
    """Step of the bound widget."""

    value: float


class Validator:
    """Base of what refuses a value by raising."""

    def validate(self, value):
        raise NotImplementedError


class NotNone(Validator):
    def validate(self, value):
        if value is None:
            raise ValueError("Value must not be None")


class IsNone(Validator):
    def validate(self, value):
        if value is not None:
            raise ValueError("Value must be None")


class IsInstance(Validator):
    def __init__(self, classtype):
        self.classtype = classtype

    def validate(self, value):
        if value is not None and not isinstance(value, self.classtype):
            raise TypeError(
                f"Value must be of type '{self.classtype}', is type '{type(value)}' value '{value}'"
            )


class Minimum(Validator):
    def __init__(self, minimum):
        self.minimum = minimum

    def validate(self, value):
        if value < self.minimum:
            raise ValueError(f"Value must be greater than {self.minimum}, is {value}")


class Maximum(Validator):
    def __init__(self, maximum):
        self.maximum = maximum

    def validate(self, value):
        if value > self.maximum:
            raise ValueError(f"Value must be less than {self.maximum}, is {value}")


class WithinRange(Validator):
    def __init__(self, minimum, maximum):
        self.minimum, self.maximum = minimum, maximum

    def validate(self, value):
        if not self.minimum <= value <= self.maximum:
            raise ValueError(
                f"Value must be within range [{self.minimum}, {self.maximum}], is {value}"
            )


class Choice(Validator):
    def __init__(self, choices):
        self.choices = choices

    def validate(self, value):
        if value not in self.choices:
            raise ValueError(f"Value must be one of {self.choices}, is {value}")


class Exclude(Validator):
    def __init__(self, excluded):
        self.excluded = excluded

    def validate(self, value):
        if value in self.excluded:
            raise ValueError(f"Value must not be one of {self.excluded}, is {value}")


def splitAnnotations(kind):
    """(type, annotations) of a type that may be Annotated."""
    if typing.get_origin(kind) is typing.Annotated:
        return kind.__origin__, kind.__metadata__
    return kind, ()


def unannotatedType(kind):
    return splitAnnotations(kind)[0]


def findFirstAnnotation(annotations, kind):
    return next((item for item in annotations if isinstance(item, kind)), None)
