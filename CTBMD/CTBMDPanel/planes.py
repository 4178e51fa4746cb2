"""The levels as planes in the lengthwise views, with a colour and a width for use and for none.

Slicer draws all projected points of a list in one colour, so that points alone
do not tell which vertebra is left out.
"""

import slicer
import vtk
from slicer.i18n import tr as _

HALF_R_MM, HALF_A_MM = 30.0, 24.0
"""Half widths of a plane: a body and a little beside it."""
USED, LEFT_OUT = (1.0, 0.8, 0.2), (0.6, 0.6, 0.6)
VIEWS = ("vtkMRMLSliceNodeYellow", "vtkMRMLSliceNodeGreen", "vtkMRMLViewNode1")
"""Where they are to be seen: in the axial view a plane would lie on its own slice."""


class Planes:
    """Two models, made anew from the selection and never saved."""

    def __init__(self):
        self._nodes = {}

    def show(self, selection):
        """Draw a selection; an empty one leaves nothing in the scene."""
        for used, color, width in ((True, USED, 3), (False, LEFT_OUT, 1)):
            places = [item.ras for item in selection if item.included == used]
            node = self._node(used)
            if node is None and places:
                node = self._create(used, color, width)
            if node is not None:
                node.SetAndObservePolyData(quads(places))

    def close(self):
        """Take the models out of the scene."""
        for used in (True, False):
            node = self._node(used)
            if node is not None:
                slicer.mrmlScene.RemoveNode(node)
        self._nodes = {}

    def _node(self, used):
        node = self._nodes.get(used)
        return node if node is not None and node.GetScene() is not None else None

    def _create(self, used, color, width):
        name = _("Levels in use") if used else _("Levels left out")
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", name)
        node.SetSaveWithScene(False)
        node.HideFromEditorsOn()
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetSaveWithScene(False)
        display.SetColor(*color)
        display.SetOpacity(0.5 if used else 0.25)
        display.SetVisibility2D(True)
        display.SetSliceIntersectionThickness(width)
        display.BackfaceCullingOff()
        for view in VIEWS:
            display.AddViewNodeID(view)
        self._nodes[used] = node
        return node


def quads(places):
    """Upright rectangles of constant S about some places in RAS mm, as polydata."""
    points, cells = vtk.vtkPoints(), vtk.vtkCellArray()
    for r, a, s in places:
        cells.InsertNextCell(4)
        for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
            cells.InsertCellPoint(points.InsertNextPoint(r + x * HALF_R_MM, a + y * HALF_A_MM, s))
    data = vtk.vtkPolyData()
    data.SetPoints(points)
    data.SetPolys(cells)
    return data
