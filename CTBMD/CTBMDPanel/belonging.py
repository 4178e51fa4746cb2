"""Whether a segmentation was made of the CT that it is to be used for."""

import slicer
from slicer.i18n import tr as _

from CTBMDLib.errors import CTBMDError

from . import volumes

PATIENT, STUDY, FRAME = "patient", "study", "frame of reference"


def check(node, volumeNode):
    """Refuse a segmentation of another patient, study or frame of reference.

    Only what both sides state is compared: a NIfTI file states nothing, and is
    then judged by where it lies.

    Parameters
    ----------
    node : vtkMRMLSegmentationNode or vtkMRMLLabelMapVolumeNode
    volumeNode : vtkMRMLScalarVolumeNode

    Raises
    ------
    CTBMDError
    """
    mine, theirs = identifiers(volumeNode), identifiers(node)
    reference = referenceVolume(node)
    if reference is not None and reference is not volumeNode:
        theirs = {**identifiers(reference), **theirs}
    # One frame of reference is one position of one patient: more than a study says.
    kinds = (PATIENT, FRAME) if FRAME in mine and FRAME in theirs else (PATIENT, STUDY)
    for kind in kinds:
        if kind in mine and kind in theirs and mine[kind] != theirs[kind]:
            raise refusal(node, volumeNode, words(kind))


def refusal(node, volumeNode, why):
    """The error that says that a segmentation is of another CT, and by what it is known."""
    return CTBMDError(
        _(
            "The segmentation '{segmentation}' does not belong to the CT '{ct}' ({why}); choose the "
            "segmentation of this CT, or none, so that the CT itself is searched."
        ).format(segmentation=node.GetName(), ct=volumeNode.GetName(), why=why),
        "other-segmentation",
    )


def words(kind):
    """What is another one."""
    return {
        PATIENT: _("it is of another patient"),
        STUDY: _("it is of another study"),
        FRAME: _("it has another frame of reference"),
    }[kind]


def identifiers(node):
    """What a node's DICOM files and its place in the data tree state: {kind: value}."""
    found = dict(_ofDataTree(node))
    header = volumes.headerOf(volumes.instanceUIDs(node) or _referencedInstances(node))
    if header is not None:
        stated = {
            PATIENT: header.get("PatientID"),
            STUDY: header.get("StudyInstanceUID"),
            FRAME: header.get("FrameOfReferenceUID"),
        }
        found.update({kind: str(value) for kind, value in stated.items() if value})
    if node.IsA("vtkMRMLScalarVolumeNode"):
        facts = volumes.acquisition(node)
        stated = {PATIENT: facts.patient_id, STUDY: facts.study_uid}
        found.update({kind: value for kind, value in stated.items() if value})
    return found


def referenceVolume(node):
    """The volume that a segmentation was made on, or None."""
    if not node.IsA("vtkMRMLSegmentationNode"):
        return None
    return node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole())


def _dataTree():
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)


def _ofDataTree(node):
    """Patient and study that a node lies under in Slicer's data tree."""
    tree, names = _dataTree(), slicer.vtkMRMLSubjectHierarchyConstants
    item = tree.GetItemByDataNode(node) if tree is not None else 0
    if not item:
        return
    for kind, level in (
        (PATIENT, names.GetDICOMLevelPatient()),
        (STUDY, names.GetDICOMLevelStudy()),
    ):
        above = tree.GetItemAncestorAtLevel(item, level)
        uid = tree.GetItemUID(above, names.GetDICOMUIDName()) if above else ""
        if kind == PATIENT and above:
            uid = tree.GetItemAttribute(above, names.GetDICOMPatientIDAttributeName()) or uid
        if uid:
            yield kind, uid


def _referencedInstances(node):
    """Instances of the CT that a DICOM segmentation says it was made on."""
    tree, names = _dataTree(), slicer.vtkMRMLSubjectHierarchyConstants
    item = tree.GetItemByDataNode(node) if tree is not None else 0
    if not item:
        return []
    return tree.GetItemAttribute(item, names.GetDICOMReferencedInstanceUIDsAttributeName()).split()
