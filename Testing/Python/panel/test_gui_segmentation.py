"""Lumbar slices from a segmentation or a label volume, through the panel."""

import gui_helpers as gui
import numpy as np
import phantoms
import pytest

gui.start()

import EmbeddedSlicer  # noqa: E402
import slicer  # noqa: E402

PATIENCE_S = 300  # for a machine that does much else at the same time
HALF = np.array([20.0, 14.0, 12.0])
"""Half extents of each label's block in mm: R, A, S."""
VERSE = {"L1": 20, "L2": 21, "L3": 22}


@pytest.fixture
def panel():
    gui.clean_scene()
    widget = EmbeddedSlicer.open_module(gui.ROOT / "CTBMD" / "CTBMD.py")
    with gui.no_slot_errors():
        yield widget.panel
        gui.process()
    widget.panel.runner.abandon()


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


def test_segments_of_a_label_file_have_no_names_and_are_refused_with_a_sentence(
    panel, volume, tmp_path
):
    labels, matrix = blocks({"L1": 31, "L2": 30, "L3": 29})
    node = slicer.util.addVolumeFromArray(labels, matrix, "labels", "vtkMRMLLabelMapVolumeNode")
    path = str(tmp_path / "labels.nii.gz")
    assert slicer.util.saveNode(node, path, {})
    panel.parameterNode.segmentation = slicer.util.loadSegmentation(path)  # Segment_29 and so on
    gui.process()
    with gui.answering("Ok") as shown:
        gui.click(panel.ui.findButton)
    assert "No segment is called a vertebra" in shown[0].text


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
