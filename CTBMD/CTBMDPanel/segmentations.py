"""Levels from a segmentation or a label volume that somebody else has made."""

import slicer
import vtk
from slicer.i18n import tr as _

from CTBMDLib.errors import CTBMDError

from . import volumes


def levelsWork(node, volumeNode=None):
    """Function of (progress, should_cancel) that returns the LevelSelection.

    Parameters
    ----------
    node : vtkMRMLSegmentationNode or vtkMRMLLabelMapVolumeNode
    volumeNode : vtkMRMLScalarVolumeNode, optional
        The CT, whose series the levels are said to belong to.
    """
    from CTBMDLib.segments import levels_from_labels

    if node.IsA("vtkMRMLSegmentationNode"):
        labels, matrix, names = _fromSegmentation(node)
    else:
        labels, matrix, names = _fromLabelVolume(node)
    uid = volumes.acquisition(volumeNode).series_uid if volumeNode is not None else None

    def work(progress, should_cancel):
        if progress:
            progress(0.2, _("Reading the segmentation"))
        selection = levels_from_labels(labels, matrix, names)
        if not selection.levels:
            raise CTBMDError(
                _(
                    "No lumbar vertebra is named in the segmentation; "
                    "choose another one or none, so that the CT itself is searched."
                )
            )
        selection.series_uid = uid
        return selection

    return work


def _fromSegmentation(node):
    segmentation = node.GetSegmentation()
    ids = [segmentation.GetNthSegmentID(i) for i in range(segmentation.GetNumberOfSegments())]
    if not ids:
        raise CTBMDError(_("The segmentation is empty; choose another one or none."))
    names = {}
    for value, segmentId in enumerate(ids, start=1):
        segment = segmentation.GetSegment(segmentId)
        terminology = _terminology(segment)
        names[value] = f"{segment.GetName()}|{terminology}" if terminology else segment.GetName()
    labelNode = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    try:
        labelNode.HideFromEditorsOn()
        idArray = vtk.vtkStringArray()
        for segmentId in ids:
            idArray.InsertNextValue(segmentId)
        if not slicer.vtkSlicerSegmentationsModuleLogic.ExportSegmentsToLabelmapNode(
            node, idArray, labelNode, None
        ):
            raise CTBMDError(
                _("The segmentation could not be turned into labels; choose another one or none.")
            )
        labels = slicer.util.arrayFromVolume(labelNode).copy()
        return labels, volumes.ijkToWorld(labelNode), names
    finally:
        color = labelNode.GetDisplayNode() and labelNode.GetDisplayNode().GetColorNode()
        slicer.mrmlScene.RemoveNode(labelNode)
        # The export makes a colour table of its own for the label volume.
        if color is not None and color.GetAttribute("Category") == "File":
            slicer.mrmlScene.RemoveNode(color)


def _terminology(segment):
    value = vtk.reference("")
    if segment.GetTag(segment.GetTerminologyEntryTagName(), value):
        return str(value)
    return ""


def _fromLabelVolume(node):
    from CTBMDLib import segments

    labels = slicer.util.arrayFromVolume(node)
    names = {}
    display = node.GetDisplayNode()
    colors = display.GetColorNode() if display is not None else None
    if colors is not None:
        for value in range(1, colors.GetNumberOfColors()):
            name = colors.GetColorName(value)
            if name:
                names[value] = name
    if not segments.named_levels(names):
        names = segments.guess_names(labels) or names
    return labels, volumes.ijkToWorld(node), names
