"""`slicer.parameterNodeWrapper`: typed parameters in a parameter node, bound to widgets.

Parameters are written to the node as Slicer writes them (names, references,
enum names, 'True' and 'False'), so that scenes pass between the two. Made are
int, float, str, bool, paths, enums, MRML nodes, unions and None; lists, tuples,
dicts and parameter packs are not, and raise when a class asks for them.
"""

from .annotations import (
    Choice,
    Decimals,
    Default,
    Exclude,
    IsInstance,
    Maximum,
    Minimum,
    NotNone,
    SingleStep,
    Validator,
    WithinRange,
    findFirstAnnotation,
    splitAnnotations,
    unannotatedType,
)
from .connectors import GuiConnector, createGuiConnector
from .wrapper import (
    SlicerParameterNamePropertyName,
    findChildWidgetForParameter,
    isParameterNodeWrapper,
    parameterNodeWrapper,
)

__all__ = [
    "Choice",
    "Decimals",
    "Default",
    "Exclude",
    "GuiConnector",
    "IsInstance",
    "Maximum",
    "Minimum",
    "NotNone",
    "SingleStep",
    "SlicerParameterNamePropertyName",
    "Validator",
    "WithinRange",
    "createGuiConnector",
    "findChildWidgetForParameter",
    "findFirstAnnotation",
    "isParameterNodeWrapper",
    "parameterNodeWrapper",
    "splitAnnotations",
    "unannotatedType",
]
