"""Bone and trabecular region over the axial view: nodes made when wanted and never saved."""

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from CTBMDLib.spine.bone import bone_map

from . import pictures

MARGIN_MM = (70.0, 70.0, 30.0)
"""Room about the levels, in which bone is coloured: R, A, S."""
HALF_THICKNESS_MM = 8.0
"""The region's wall is drawn so far above and below its middle."""
OPACITY = 0.35


class Overlays:
    """Shows or removes both overlays."""

    def __init__(self):
        self._bone = self._colors = self._region = None
        self._of = None
        self._before = {}

    def showBone(self, volume, selection):
        """Colour the bone about the levels of a CTVolume; None or no levels remove it."""
        places = [item.ras for item in selection] if volume is not None else []
        if not places:
            self._removeBone()
            return
        wanted = (id(volume.hu), tuple(places))
        if self._of == wanted and _there(self._bone):
            return
        self._removeBone()
        self._of = wanted
        labels, matrix = boneLabels(volume, places)
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", _("Bone"))
        node.SetSaveWithScene(False)
        node.HideFromEditorsOn()
        slicer.util.updateVolumeFromArray(node, labels)
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(matrix))
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetSaveWithScene(False)
        node.GetDisplayNode().SetAndObserveColorNodeID(self._colorNode().GetID())
        self._bone = node
        self._before = {
            view.GetID(): (view.GetLabelVolumeID(), view.GetLabelOpacity()) for view in _views()
        }
        slicer.util.setSliceViewerLayers(label=node, labelOpacity=OPACITY)

    def _giveBack(self):
        """The label layers that were shown before, where nobody has chosen others meanwhile."""
        for view in _views():
            if view.GetLabelVolumeID() != self._bone.GetID() or view.GetID() not in self._before:
                continue
            label, opacity = self._before[view.GetID()]
            there = label is not None and slicer.mrmlScene.GetNodeByID(label) is not None
            view.SetLabelVolumeID(label if there else None)
            view.SetLabelOpacity(opacity)

    def _removeBone(self):
        if _there(self._bone):
            self._giveBack()
            slicer.mrmlScene.RemoveNode(self._bone)
        if _there(self._colors):
            slicer.mrmlScene.RemoveNode(self._colors)
        self._bone = self._colors = self._of = None

    def _colorNode(self):
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", _("Bone colour"))
        node.SetSaveWithScene(False)
        node.HideFromEditorsOn()
        node.SetTypeToUser()
        node.SetNumberOfColors(2)
        node.SetColor(0, "-", 0.0, 0.0, 0.0, 0.0)
        node.SetColor(1, "bone", *(x / 255 for x in pictures.BONE_RGB), 1.0)
        self._colors = node
        return node

    def showRegion(self, outline, axis):
        """Draw the wall of a region; None removes it.

        Parameters
        ----------
        outline : ndarray, shape (n, 3), or None
            RAS mm of its corners.
        axis : sequence of 3 float
            Its direction from feet to head.
        """
        if outline is None:
            if _there(self._region):
                slicer.mrmlScene.RemoveNode(self._region)
            self._region = None
            return
        if not _there(self._region):
            node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", _("Trabecular region"))
            node.SetSaveWithScene(False)
            node.HideFromEditorsOn()
            node.CreateDefaultDisplayNodes()
            display = node.GetDisplayNode()
            display.SetSaveWithScene(False)
            display.SetColor(*(x / 255 for x in pictures.REGION_RGB))
            display.SetVisibility2D(True)
            display.SetVisibility3D(False)
            display.AddViewNodeID("vtkMRMLSliceNodeRed")
            display.SetSliceIntersectionThickness(2)
            self._region = node
        self._region.SetAndObservePolyData(wall(outline, axis))

    def close(self):
        """Take both out of the scene."""
        self._removeBone()
        self.showRegion(None, None)


def _views():
    """What the slice views show: a node for each view."""
    return slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")


def _there(node):
    return node is not None and node.GetScene() is not None


def boneLabels(volume, places):
    """1 where there is bone in the box about some places, and the box's IJK to RAS."""
    places = np.asarray(places, float)
    low, high = places.min(axis=0) - MARGIN_MM, places.max(axis=0) + MARGIN_MM
    corners = [
        (r, a, s) for r in (low[0], high[0]) for a in (low[1], high[1]) for s in (low[2], high[2])
    ]
    ijk = volume.ijk_from_ras(np.array(corners))
    size = np.array(volume.hu.shape[::-1])
    first = np.clip(np.floor(ijk.min(axis=0)).astype(int), 0, size - 1)
    last = np.clip(np.ceil(ijk.max(axis=0)).astype(int) + 1, first + 1, size)
    (i0, j0, k0), (i1, j1, k1) = first, last
    part = bone_map(volume.hu[k0:k1, j0:j1, i0:i1]) > pictures.BONE_SHARE
    matrix = volume.ijk_to_ras.copy()
    matrix[:3, 3] = volume.ras_from_ijk(first)
    return part.astype(np.uint8), matrix


def wall(outline, axis):
    """The wall of a prism with an outline as its middle, as polydata."""
    step = HALF_THICKNESS_MM * np.asarray(axis, float)
    points, cells = vtk.vtkPoints(), vtk.vtkCellArray()
    for corner in outline:
        points.InsertNextPoint(*(corner - step))
        points.InsertNextPoint(*(corner + step))
    count = len(outline)
    for index in range(count):
        here, there = 2 * index, 2 * ((index + 1) % count)
        cells.InsertNextCell(4)
        for point in (here, there, there + 1, here + 1):
            cells.InsertCellPoint(point)
    data = vtk.vtkPolyData()
    data.SetPoints(points)
    data.SetPolys(cells)
    return data
