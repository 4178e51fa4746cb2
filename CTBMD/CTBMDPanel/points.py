"""The selection as control points in the views."""

import slicer
from slicer.i18n import tr as _

from CTBMDLib.levels import LUMBAR, ORDER

COLOR = (1.0, 0.8, 0.2)
LEFT_OUT_COLOR = (0.6, 0.6, 0.6)
LENGTHWISE_COLOR = (0.95, 0.95, 0.95)
"""Of projected points, which Slicer draws all alike; the planes tell which are in use."""


def createNode():
    """A new fiducial list for the levels, made to be read in slice views."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", _("Lumbar levels"))
    node.CreateDefaultDisplayNodes()
    node.SetControlPointLabelFormat("new %d")
    _setUp(node.GetDisplayNode())
    # Along the spine all points are to be seen at once, wherever the slice lies; in
    # an axial view the projected neighbours would cover each other.
    lengthwise = slicer.mrmlScene.AddNewNodeByClass(node.GetDisplayNode().GetClassName())
    _setUp(lengthwise)
    lengthwise.SetSliceProjection(True)
    # Slicer draws all projected points in the one colour of those that are not selected.
    lengthwise.SetColor(*LENGTHWISE_COLOR)
    lengthwise.SetSliceProjectionOpacity(1.0)
    lengthwise.SetVisibility3D(False)
    for name in ("Yellow", "Green"):
        lengthwise.AddViewNodeID(f"vtkMRMLSliceNode{name}")
    node.AddAndObserveDisplayNodeID(lengthwise.GetID())
    return node


def _setUp(display):
    display.SetPointLabelsVisibility(True)
    display.SetPropertiesLabelVisibility(False)
    display.SetTextScale(4.0)
    display.SetUseGlyphScale(False)
    display.SetGlyphSize(5.0)
    display.SetSelectedColor(*COLOR)
    display.SetColor(*LEFT_OUT_COLOR)


def defined(node):
    """(index, label, world RAS) of every placed control point."""
    result = []
    position = [0.0, 0.0, 0.0]
    for index in range(node.GetNumberOfControlPoints()):
        if node.GetNthControlPointPositionStatus(index) != node.PositionDefined:
            continue
        node.GetNthControlPointPositionWorld(index, position)
        result.append((index, node.GetNthControlPointLabel(index), tuple(position)))
    return result


def write(node, selection, hidden=()):
    """Make the placed control points those of the selection, touching only what differs.

    A point that is just being placed with the mouse is left alone. Those of the
    levels named in `hidden` are there and not seen.
    """
    wanted = {item.level: item for item in selection}
    with slicer.util.NodeModify(node):
        seen = set()
        for index, label, _ras in reversed(defined(node)):
            if label in wanted and label not in seen:
                seen.add(label)
            else:
                node.RemoveNthControlPoint(index)
        for level, item in wanted.items():
            if level not in seen:
                node.AddControlPoint(list(item.ras), level)
        for index, label, ras in defined(node):
            item = wanted[label]
            if max(abs(a - b) for a, b in zip(ras, item.ras, strict=True)) > 1e-4:
                node.SetNthControlPointPositionWorld(index, *item.ras)
            if node.GetNthControlPointSelected(index) != item.included:
                node.SetNthControlPointSelected(index, item.included)
            if node.GetNthControlPointVisibility(index) != (label not in hidden):
                node.SetNthControlPointVisibility(index, label not in hidden)


def freeName(taken, wished=None):
    """A level name for a point that a user placed without one, or None."""
    for level in (wished, *LUMBAR, *ORDER):
        if level in ORDER and level not in taken:
            return level
    return None
