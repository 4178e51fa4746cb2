"""Levels from a segmentation or a label volume that somebody else has made."""

import re

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from CTBMDLib.errors import CTBMDError
from CTBMDLib.spine.segments import guess_names, levels_from_labels
from CTBMDLib.spine.vertebra_names import SCHEMES, vertebra_of_name

from . import belonging, volumes

REFERENCE_ROLE = "CTBMD.Segmentation"
"""Role of a CT's reference to the segmentation that was chosen for it."""
_NUMBERED = re.compile(r"Segment_?(\d+)")
"""What Slicer calls the segments of a label file without names."""


def remember(volumeNode, node):
    """Keep with a CT which segmentation was chosen for it; None for none."""
    volumeNode.SetNodeReferenceID(REFERENCE_ROLE, None if node is None else node.GetID())


def remembered(volumeNode):
    """The segmentation that was chosen for a CT before, or None."""
    return None if volumeNode is None else volumeNode.GetNodeReference(REFERENCE_ROLE)


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
        Where no segment is known for a vertebra, or the segmentation is of another CT.
    """
    volume = volumes.ctVolume(volumeNode)
    belonging.check(node, volumeNode)
    if node.IsA("vtkMRMLSegmentationNode"):
        labels, matrix, names = _fromSegmentation(node, volumeNode)
    else:
        labels, matrix, names = _fromLabelVolume(node)
    uid = volume.acquisition.series_uid
    # Translated here: the work runs in another thread, where no node may be asked.
    doing = _("Reading the segmentation")
    source = _("Slices taken from the segmentation '{name}'.").format(name=node.GetName())
    elsewhere = belonging.refusal(node, volumeNode, _("it does not lie in this CT"))
    boneless = belonging.refusal(node, volumeNode, _("it lies on no bone of this CT"))
    if not np.isin(labels, list(names)).any():
        raise elsewhere

    def work(progress, should_cancel):
        if progress:
            progress(0.2, doing)
        try:
            selection = levels_from_labels(labels, matrix, names, series_uid=uid, volume=volume)
        except CTBMDError as error:
            if error.code == "segmentation-not-on-bone":
                raise boneless from None
            raise
        if not all(volume.contains(item.ras) for item in selection):
            raise elsewhere
        selection.findings = (*selection.findings, source)
        return selection

    return work


def _fromSegmentation(node, volumeNode):
    """Labels on the CT's grid, of the vertebrae alone: a segmentation may have a hundred segments."""
    named, numbered = _named(node), _numbered(node)
    if named:
        labels, matrix, values = _exported(node, volumeNode, list(named))
        return labels, matrix, {values[segmentId]: name for segmentId, name in named.items()}
    if numbered:
        labels, matrix, names = _byNumber(node, volumeNode, numbered)
        if names:
            return labels, matrix, names
        raise CTBMDError(
            _(
                "The segments have numbers only, and these are no known numbering of vertebrae; name "
                "the segments (such as 'vertebrae_L1') in the Segmentations module."
            ),
            "unnamed-segments",
        )
    raise CTBMDError(
        _(
            "No segment is called a vertebra (such as 'vertebrae_L1'); choose another "
            "segmentation, or none, so that the CT itself is searched."
        ),
        "no-vertebra-segment",
    )


def _segments(node):
    """(ID, vtkSegment) of every segment."""
    segmentation = node.GetSegmentation()
    for index in range(segmentation.GetNumberOfSegments()):
        segmentId = segmentation.GetNthSegmentID(index)
        yield segmentId, segmentation.GetSegment(segmentId)


def _named(node):
    """{segment ID: name|terminology} of the segments that are called a vertebra."""
    names = {}
    for segmentId, segment in _segments(node):
        name = "|".join(text for text in (segment.GetName(), _terminology(segment)) if text)
        if vertebra_of_name(name):
            names[segmentId] = name
    return names


def _numbered(node):
    """{segment ID: number} of segments named by a number that a vertebra has in some numbering."""
    known = {value for scheme in SCHEMES.values() for value in scheme}
    numbers = {}
    for segmentId, segment in _segments(node):
        match = _NUMBERED.fullmatch(segment.GetName() or "")
        if match and int(match.group(1)) in known:
            numbers[segmentId] = int(match.group(1))
    return numbers


def _byNumber(node, volumeNode, numbered):
    """Labels with the segments' numbers as values, their matrix, and {number: vertebra} or None."""
    exported, matrix, values = _exported(node, volumeNode, list(numbered))
    labels = np.zeros_like(exported)
    for segmentId, number in numbered.items():
        labels[exported == values[segmentId]] = number
    return labels, matrix, guess_names(labels, matrix)


def canBeNamed(node):
    """Whether a node's segments have numbers for names that may be those of vertebrae."""
    if node is None or not node.IsA("vtkMRMLSegmentationNode"):
        return False
    return bool(_numbered(node)) and not _named(node)


def nameSegments(node, volumeNode):
    """Call the segments that are known by their number 'vertebrae_L1' and so on.

    Returns
    -------
    list of str
        The vertebrae that were named.

    Raises
    ------
    CTBMDError
        Where the numbers are of no known numbering.
    """
    numbered = _numbered(node)
    names = _byNumber(node, volumeNode, numbered)[2]
    if not names:
        raise CTBMDError(
            _(
                "The numbers of these segments are no known numbering of vertebrae; name the segments "
                "(such as 'vertebrae_L1') in the Segmentations module."
            ),
            "unnamed-segments",
        )
    done = []
    for segmentId, number in numbered.items():
        if number in names:
            node.GetSegmentation().GetSegment(segmentId).SetName(f"vertebrae_{names[number]}")
            done.append(names[number])
    return done


def _exported(node, volumeNode, segmentIds):
    """Labels of some segments on the CT's grid, their matrix, and {segment ID: value}."""
    ids = vtk.vtkStringArray()
    for segmentId in segmentIds:
        ids.InsertNextValue(segmentId)
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
        values = {segmentId: index for index, segmentId in enumerate(segmentIds, start=1)}
        return labels, volumes.ijkToWorld(labelNode), values
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
