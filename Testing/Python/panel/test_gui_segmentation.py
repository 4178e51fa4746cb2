"""Lumbar slices from a segmentation or a label volume, through the panel."""

import gui_helpers as gui
import numpy as np
import phantoms
import pytest

gui.start()

import slicer  # noqa: E402

PATIENCE_S = 300  # for a machine that does much else at the same time
HALF = np.array([20.0, 14.0, 12.0])
"""Half extents of each label's block in mm: R, A, S."""
VERSE = {"L1": 20, "L2": 21, "L3": 22}


@pytest.fixture
def panel():
    with gui.opened_panel() as opened:
        yield opened


@pytest.fixture
def volume(panel):
    from CTBMDPanel import volumes

    node = volumes.addVolumeNode(phantoms.phantom())
    panel.parameterNode.inputVolume = node
    gui.process()
    return node


def blocks(names):
    """Label volume array and matrix with a block for each named level of the phantom."""
    phantom = phantoms.phantom()
    k, j, i = np.indices(phantom.hu.shape)
    ras = phantom.ras_from_ijk(np.stack([i, j, k], axis=-1))
    labels = np.zeros(phantom.hu.shape, np.int16)
    for level, value in names.items():
        near = np.abs(ras - phantoms.CENTRES[level]) < HALF
        labels[near.all(axis=-1)] = value
    return labels, phantom.ijk_to_ras


def find(panel):
    gui.click(panel.ui.findButton)
    gui.wait_until(lambda: not panel.runner.busy, PATIENCE_S, "the segmentation")
    return panel.controller.selection


def check(selection):
    assert [item.level for item in selection] == ["L1", "L2", "L3"]
    for item in selection:
        assert item.source == "segment" and item.included
        assert np.abs(np.array(item.ras) - phantoms.CENTRES[item.level]).max() < 5.0


def test_named_segments_give_the_levels(panel, volume):
    labels, matrix = blocks({"L1": 1, "L2": 2, "L3": 3})
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "spine")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    for value, name in (
        (1, "vertebrae_L1"),
        (2, "vertebrae_L2"),
        (3, "vertebrae_L3"),
        (9, "liver"),
    ):
        segmentId = node.GetSegmentation().AddEmptySegment(name, name)
        part = (labels == value).astype(np.uint8)
        slicer.util.updateSegmentBinaryLabelmapFromArray(part, node, segmentId, volume)
    gui.choose(panel.ui.segmentationSelector, "spine")
    assert panel.ui.findButton.text == "Take slices from the segmentation"
    helpers = ("vtkMRMLVolumeNode", "vtkMRMLVolumeDisplayNode", "vtkMRMLColorTableNode")
    before = [slicer.mrmlScene.GetNumberOfNodesByClass(name) for name in helpers]
    check(find(panel))
    assert "Numbered by the segmentation" in panel.ui.levelNotesLabel.text
    assert "segmentation" in gui.raw(panel.ui.levelTable).item(0, 4).text()
    after = [slicer.mrmlScene.GetNumberOfNodesByClass(name) for name in helpers]
    assert after == before, "what the labels needed is gone again"


def test_a_label_volume_in_a_known_scheme_gives_the_levels(panel, volume):
    labels, matrix = blocks(VERSE)
    node = slicer.util.addVolumeFromArray(labels, matrix, "labels", "vtkMRMLLabelMapVolumeNode")
    panel.parameterNode.segmentation = node
    gui.process()
    assert panel.ui.segmentationSelector.currentNode() is node
    check(find(panel))


def test_a_segmentation_without_vertebrae_is_refused_with_a_sentence(panel, volume):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "organs")
    node.GetSegmentation().AddEmptySegment("liver", "liver")
    panel.parameterNode.segmentation = node
    gui.process()
    with gui.answering("Ok") as shown:
        gui.click(panel.ui.findButton)
    assert "No segment is called a vertebra" in shown[0].text
    assert not panel.runner.busy and len(panel.controller.selection) == 0


def label_file_segments(panel, tmp_path, names):
    """A label file loaded as a segmentation: Slicer calls the segments Segment_29 and so on."""
    labels, matrix = blocks(names)
    node = slicer.util.addVolumeFromArray(labels, matrix, "labels", "vtkMRMLLabelMapVolumeNode")
    path = str(tmp_path / "labels.nii.gz")
    assert slicer.util.saveNode(node, path, {})
    slicer.mrmlScene.RemoveNode(node)
    panel.parameterNode.segmentation = slicer.util.loadSegmentation(path)
    gui.process()
    return panel.parameterNode.segmentation


def segment_names(node):
    segmentation = node.GetSegmentation()
    return [
        segmentation.GetNthSegment(i).GetName() for i in range(segmentation.GetNumberOfSegments())
    ]


@pytest.mark.parametrize(
    "names", [{"L1": 31, "L2": 30, "L3": 29}, VERSE], ids=["totalsegmentator", "verse"]
)
def test_segments_of_a_label_file_are_known_by_their_numbers(panel, volume, tmp_path, names):
    node = label_file_segments(panel, tmp_path, names)
    assert sorted(segment_names(node)) == sorted(f"Segment_{x}" for x in names.values())
    check(find(panel))


def test_naming_of_numbered_segments_is_offered(panel, volume, tmp_path):
    button = gui.raw(panel.ui.nameSegmentsButton)
    assert not button.isVisible()
    node = label_file_segments(panel, tmp_path, {"L1": 31, "L2": 30, "L3": 29})
    assert button.isVisible()
    gui.click(panel.ui.nameSegmentsButton)
    assert sorted(segment_names(node)) == ["vertebrae_L1", "vertebrae_L2", "vertebrae_L3"]
    assert not button.isVisible()
    check(find(panel))


def test_numbers_of_no_known_numbering_are_refused_with_a_sentence(panel, volume, tmp_path):
    node = label_file_segments(panel, tmp_path, {"L1": 29, "L2": 30, "L3": 31})  # upside down
    before = segment_names(node)
    for button in (panel.ui.findButton, panel.ui.nameSegmentsButton):
        with gui.answering("Ok") as shown:
            gui.click(button)
        assert "no known numbering" in shown[0].text
    assert segment_names(node) == before and len(panel.controller.selection) == 0


def named_segmentation(volume, name="spine"):
    labels, _matrix = blocks({"L1": 1, "L2": 2, "L3": 3})
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    for value in (1, 2, 3):
        segmentId = node.GetSegmentation().AddEmptySegment(f"L{value}", f"vertebrae_L{value}")
        part = (labels == value).astype(np.uint8)
        slicer.util.updateSegmentBinaryLabelmapFromArray(part, node, segmentId, volume)
    return node


def second_ct(shift_mm=0.0, **facts):
    from CTBMDPanel import volumes

    other = phantoms.phantom(**facts)
    other.ijk_to_ras[0, 3] += shift_mm
    node = volumes.addVolumeNode(other)
    node.SetName("other")
    return node


def refused(panel, *words):
    before = panel.controller.selection.to_json()
    with gui.answering("Ok") as shown:
        gui.click(panel.ui.findButton)
        gui.wait_until(lambda: not panel.runner.busy, PATIENCE_S)
    for word in words:
        assert word in shown[0].text, shown
    assert panel.controller.selection.to_json() == before


def test_another_cts_segmentation_is_let_go_and_comes_back_with_its_ct(panel, volume):
    node = named_segmentation(volume)
    gui.choose(panel.ui.segmentationSelector, "spine")
    second_ct()
    gui.choose(panel.ui.inputSelector, "other")
    assert panel.parameterNode.segmentation is None
    assert panel.ui.segmentationSelector.currentNode() is None
    assert panel.ui.findButton.text == "Find lumbar slices"
    gui.choose(panel.ui.inputSelector, "phantom")
    assert panel.parameterNode.segmentation is node


def test_a_segmentation_that_lies_elsewhere_is_refused(panel, volume):
    """In the real Slicer a CT got points 386 mm outside of it."""
    named_segmentation(volume)
    panel.parameterNode.inputVolume = second_ct(shift_mm=386.0)
    gui.process()
    gui.choose(panel.ui.segmentationSelector, "spine")
    refused(panel, "'spine' does not belong to the CT 'other'", "does not lie in this CT")


def test_a_label_volume_that_lies_elsewhere_is_refused(panel, volume):
    labels, matrix = blocks(VERSE)
    matrix = matrix.copy()
    matrix[0, 3] += 386.0
    slicer.util.addVolumeFromArray(labels, matrix, "labels", "vtkMRMLLabelMapVolumeNode")
    gui.choose(panel.ui.segmentationSelector, "labels")
    refused(panel, "'labels' does not belong to the CT 'phantom'", "on no bone of this CT")


def test_a_segmentation_that_lies_on_soft_tissue_is_refused(panel, volume):
    """Another person's, at another place of the same box: nothing in its facts says so."""
    named_segmentation(volume)
    panel.parameterNode.inputVolume = second_ct(shift_mm=48.0)
    gui.process()
    gui.choose(panel.ui.segmentationSelector, "spine")
    refused(panel, "'spine' does not belong to the CT 'other'", "on no bone of this CT")


def test_a_segmentation_made_on_another_patients_ct_is_refused(panel, volume):
    other = second_ct(patient_id="B", study_uid="1.2.4")
    volume.SetAttribute("CTBMD.Acquisition", '{"patient_id": "A", "study_uid": "1.2.3"}')
    named_segmentation(other)
    gui.choose(panel.ui.segmentationSelector, "spine")
    refused(panel, "does not belong to the CT 'phantom'", "another patient")


def under(node, patient, study):
    """Put a node under a patient and a study in Slicer's data tree."""
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    top = tree.CreateSubjectItem(tree.GetSceneItemID(), patient)
    tree.SetItemAttribute(top, "DICOM.PatientID", patient)
    below = tree.CreateStudyItem(top, study)
    tree.SetItemUID(below, "DICOM", study)
    tree.SetItemParent(item_of(tree, node), below)


def item_of(tree, node):
    """A node's item; Slicer's own Qt part, which adds every node, is not here."""
    return tree.GetItemByDataNode(node) or tree.CreateItem(tree.GetSceneItemID(), node)


@pytest.mark.parametrize(
    "patient, study, why",
    [("B", "1.2.3", "another patient"), ("A", "1.2.9", "another study"), ("A", "1.2.3", "")],
)
def test_the_data_tree_tells_whose_segmentation_it_is(panel, volume, patient, study, why):
    volume.SetAttribute("CTBMD.Acquisition", '{"patient_id": "A", "study_uid": "1.2.3"}')
    under(named_segmentation(volume), patient, study)
    gui.choose(panel.ui.segmentationSelector, "spine")
    if why:
        refused(panel, why)
    else:
        check(find(panel))


@pytest.mark.parametrize("frame, why", [("9.8.7", ""), ("9.8.6", "another frame of reference")])
def test_the_frame_of_reference_decides_before_the_study(
    panel, volume, tmp_path, monkeypatch, frame, why
):
    """Two studies of one position are one frame of reference; two scans of one study need not be."""
    import pydicom

    def write(uid, study, frame):
        header = pydicom.Dataset()
        header.file_meta = pydicom.dataset.FileMetaDataset()
        header.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        header.Modality, header.PatientID, header.StudyInstanceUID = "CT", "A", study
        header.SOPClassUID, header.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", uid
        header.FrameOfReferenceUID = frame
        header.save_as(tmp_path / uid, enforce_file_format=True)

    write("1.1", "1.2.3", "9.8.7")
    write("1.2", "1.2.4", frame)

    class Database:
        def fileForInstance(self, uid):
            return str(tmp_path / uid) if (tmp_path / uid).is_file() else ""

    monkeypatch.setattr(slicer, "dicomDatabase", Database(), raising=False)
    volume.RemoveAttribute("CTBMD.Acquisition")
    volume.SetAttribute("DICOM.instanceUIDs", "1.1")
    node = named_segmentation(volume)
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    tree.SetItemAttribute(item_of(tree, node), "DICOM.ReferencedInstanceUIDs", "1.2")
    gui.choose(panel.ui.segmentationSelector, "spine")
    if why:
        refused(panel, why)
    else:
        check(find(panel))


def test_the_segmentation_is_named_with_its_slices(panel, volume):
    named_segmentation(volume, "TotalSegmentator of Monday")
    gui.choose(panel.ui.segmentationSelector, "TotalSegmentator of Monday")
    selection = find(panel)
    said = "Slices taken from the segmentation 'TotalSegmentator of Monday'."
    assert said in selection.findings
    assert "TotalSegmentator of Monday" in panel.ui.levelNotesLabel.text


def test_the_segmentation_can_be_left_out_again(panel, volume):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "organs")
    panel.parameterNode.segmentation = node
    gui.process()
    gui.choose(panel.ui.segmentationSelector, "None (search the CT)")
    assert panel.parameterNode.segmentation is None
    assert panel.ui.findButton.text == "Find lumbar slices"


TERMINOLOGY = (
    "Segmentation category and type - Total Segmentator"
    "~SCT^123037004^Anatomical Structure~SCT^{}^{} vertebra~^^"
    "~Anatomic codes - DICOM master list~^^~^^|"
)


def test_segments_are_known_by_their_terminology_alone(panel, volume):
    labels, matrix = blocks({"L1": 1, "L2": 2, "L3": 3})
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "spine")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    codes = {1: ("66794005", "L1"), 2: ("14293000", "L2"), 3: ("36470004", "L3")}
    for value, code in codes.items():
        segmentId = node.GetSegmentation().AddEmptySegment(f"Segment_{value}", f"Segment_{value}")
        segment = node.GetSegmentation().GetSegment(segmentId)
        segment.SetTag(segment.GetTerminologyEntryTagName(), TERMINOLOGY.format(*code))
        part = (labels == value).astype(np.uint8)
        slicer.util.updateSegmentBinaryLabelmapFromArray(part, node, segmentId, volume)
    panel.parameterNode.segmentation = node
    gui.process()
    check(find(panel))


def test_a_sixth_lumbar_vertebra_of_verse_is_noted(panel, volume):
    labels, matrix = blocks({"L1": 23, "L2": 24, "L3": 25})  # L4, L5, L6
    node = slicer.util.addVolumeFromArray(labels, matrix, "labels", "vtkMRMLLabelMapVolumeNode")
    panel.parameterNode.segmentation = node
    gui.process()
    selection = find(panel)
    assert [item.level for item in selection] == ["L4", "L5"]
    assert "transitional" in panel.ui.levelNotesLabel.text


def test_a_color_table_names_the_labels_that_are_there(panel, volume):
    labels, matrix = blocks({"L1": 5, "L2": 6, "L3": 7})
    node = slicer.util.addVolumeFromArray(labels, matrix, "labels", "vtkMRMLLabelMapVolumeNode")
    colors = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", "names")
    colors.SetTypeToUser()
    colors.SetNumberOfColors(12)
    for value, name in ((5, "vertebrae_L1"), (6, "vertebrae_L2"), (7, "vertebrae_L3")):
        colors.SetColor(value, name, 1.0, 0.5, 0.2, 1.0)
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAndObserveColorNodeID(colors.GetID())
    panel.parameterNode.segmentation = node
    gui.process()
    check(find(panel))


def test_a_color_table_that_names_other_values_does_not_decide(panel, volume):
    labels, matrix = blocks(VERSE)
    node = slicer.util.addVolumeFromArray(labels, matrix, "labels", "vtkMRMLLabelMapVolumeNode")
    colors = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", "anatomy")
    colors.SetTypeToUser()
    colors.SetNumberOfColors(64)
    colors.SetColor(60, "L4 vertebra", 1.0, 0.5, 0.2, 1.0)
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAndObserveColorNodeID(colors.GetID())
    panel.parameterNode.segmentation = node
    gui.process()
    check(find(panel))
