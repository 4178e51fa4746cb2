"""Levels from a segmentation or a label volume that somebody else has made."""

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from CTBMDLib.errors import CTBMDError
from CTBMDLib.spine.segments import guess_names, levels_from_labels
from CTBMDLib.spine.vertebra_names import vertebra_of_name

from . import volumes


def levelsWork(node, volumeNode):
    """Function of (progress, should_cancel) that returns the LevelSelection.

    Parameters
    ----------
    node : vtkMRMLSegmentationNode or vtkMRMLLabelMapVolumeNode
    volumeNode : vtkMRMLScalarVolumeNode
        The CT: its grid is that of the labels, its series the levels belong to.

    Raises
    ------
    CTBMDError
        Where no segment is called a vertebra.
    """
    if node.IsA("vtkMRMLSegmentationNode"):
        labels, matrix, names = _fromSegmentation(node, volumeNode)
    else:
        labels, matrix, names = _fromLabelVolume(node)
    volume = volumes.ctVolume(volumeNode)
    uid = volume.acquisition.series_uid
    doing = _("Reading the segmentation")  # translated here: the work runs in another thread

    def work(progress, should_cancel):
        if progress:
            progress(0.2, doing)
        return levels_from_labels(labels, matrix, names, series_uid=uid, volume=volume)

    return work


def _fromSegmentation(node, volumeNode):
    """Labels on the CT's grid, of the vertebrae alone: a segmentation may have a hundred segments."""
    segmentation = node.GetSegmentation()
    ids, names = vtk.vtkStringArray(), {}
    for index in range(segmentation.GetNumberOfSegments()):
        segmentId = segmentation.GetNthSegmentID(index)
        segment = segmentation.GetSegment(segmentId)
        name = "|".join(text for text in (segment.GetName(), _terminology(segment)) if text)
        if vertebra_of_name(name):
            ids.InsertNextValue(segmentId)
            names[ids.GetNumberOfValues()] = name
    if not names:
        raise CTBMDError(
            _(
                "No segment is called a vertebra (such as 'vertebrae_L1'); choose another "
                "segmentation, or none, so that the CT itself is searched."
            ),
            "no-vertebra-segment",
        )
    labelNode = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    labelNode.HideFromEditorsOn()
    before = _nodeIDs("vtkMRMLColorTableNode")
    try:
        export = slicer.vtkSlicerSegmentationsModuleLogic.ExportSegmentsToLabelmapNode
        if not export(node, ids, labelNode, volumeNode):
            raise CTBMDError(
                _("The segmentation could not be turned into labels; choose another one or none."),
                "segmentation-export",
            )
        labels = slicer.util.arrayFromVolume(labelNode).copy()
        return labels, volumes.ijkToWorld(labelNode), names
    finally:
        slicer.mrmlScene.RemoveNode(labelNode)
        # The export gives the label volume a colour table of its own.
        for nodeId in _nodeIDs("vtkMRMLColorTableNode") - before:
            slicer.mrmlScene.RemoveNode(slicer.mrmlScene.GetNodeByID(nodeId))


def _nodeIDs(className):
    scene = slicer.mrmlScene
    count = scene.GetNumberOfNodesByClass(className)
    return {scene.GetNthNodeByClass(index, className).GetID() for index in range(count)}


def _terminology(segment):
    value = vtk.reference("")
    if segment.GetTag(segment.GetTerminologyEntryTagName(), value):
        return str(value)
    return ""


def _fromLabelVolume(node):
    """Labels as they are; names from the colour table, else from the values."""
    labels = slicer.util.arrayFromVolume(node)
    matrix = volumes.ijkToWorld(node)
    display = node.GetDisplayNode()
    colors = display.GetColorNode() if display is not None else None
    count = colors.GetNumberOfColors() if colors is not None else 0
    # Only what is there: a general table may have a vertebra's name at some other value.
    present = [int(value) for value in np.unique(labels) if 0 < value < count]
    names = {value: colors.GetColorName(value) or "" for value in present}
    if not any(vertebra_of_name(name) for name in names.values()):
        names = guess_names(labels, matrix)
    if not names:
        raise CTBMDError(
            _(
                "The label volume does not say which label is which vertebra; choose another one, "
                "or none, so that the CT itself is searched."
            ),
            "unnamed-labels",
        )
    return labels, matrix, names
