"""The module's own test, on the sample CT; runs in Slicer and in EmbeddedSlicer."""

import csv
import importlib.util
import json
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import qt
import slicer
import vtk

from CTBMDLib.bmd.export import COLUMNS
from CTBMDLib.errors import CTBMDError
from CTBMDLib.levels import MEASURED, LevelSelection, LevelSlice

from . import exporting, reporting, sample, studytable, volumes
from .job import waitFor

PATIENCE_S = 300
BLOCK_MM = (20.0, 14.0, 12.0)
"""Half widths of a segment: about those of a vertebral body."""


def nothingLoaded(test, logic):
    """An empty scene gives sentences, not tracebacks."""
    with test.assertRaises(CTBMDError) as caught:
        logic.findLevels(None)
    test.assertIn("No CT volume is chosen", str(caught.exception))
    panel = _panel()
    test.assertFalse(panel.ui.findButton.enabled)
    test.assertFalse(panel.ui.estimateButton.enabled)
    test.assertFalse(panel.ui.exportButton.enabled)
    test.assertIn("Research use only, not a medical device", panel.ui.researchUseLabel.text)


def wholePath(test, logic):
    """From the sample CT to a file, through the logic alone."""
    node = sample.load()
    selection = logic.findLevels(node)
    for level in MEASURED:
        test.assertIn(level, selection)
        test.assertTrue(logic.volume(node).contains(selection[level].ras))
    heights = [selection[level].ras[2] for level in MEASURED]
    test.assertEqual(heights, sorted(heights, reverse=True))

    result = logic.estimate(node, selection)
    test.assertEqual([row.level for row in result.levels if row.included], list(MEASURED))
    mean = sum(row.bmd_g_cm2 for row in result.levels if row.included) / len(MEASURED)
    test.assertAlmostEqual(result.total.bmd_g_cm2, mean, places=6)
    for row in result.rows:
        test.assertTrue(0 <= row.bmd_low <= row.bmd_g_cm2 <= row.bmd_high < 3)

    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode")
    logic.fillTable(table, result)
    test.assertEqual(table.GetNumberOfRows(), len(result.rows))
    test.assertEqual(table.GetColumnUnitLabel("bmd_g_cm2"), "g/cm2")

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.csv"
        logic.export(result, path)
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        test.assertEqual(list(rows[0]), list(COLUMNS))
        test.assertEqual(rows[-1]["level"], "L1-L4")
        test.assertAlmostEqual(float(rows[-1]["bmd_g_cm2"]), mean, places=3)
        with test.assertRaises(CTBMDError):
            logic.export(result, path)
        written = exporting.write(result, Path(folder) / "semicolons.csv", commas=True)
        line = written.read_text(encoding="utf-8-sig").splitlines()[-1]
        test.assertIn(f";{mean:.3f};".replace(".", ","), line)


def dicomModule(test):
    """The sample by way of Slicer's DICOM module, and its reports into the DICOM database."""
    if not hasattr(slicer, "dicomDatabase"):
        return  # a Slicer without its DICOM module
    from DICOMLib import DICOMUtils

    ours = sample.load()
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "files"
        with zipfile.ZipFile(sample.archive()) as archive:
            archive.extractall(files)
        # The user's own database is left alone.
        with DICOMUtils.TemporaryDICOMDatabase() as database:
            DICOMUtils.importDicom(str(files), database)
            (patient,) = database.patients()
            (nodeID,) = DICOMUtils.loadPatientByUID(patient)
            _ofDatabase(test, slicer.mrmlScene.GetNodeByID(nodeID), ours, Path(folder))


def _ofDatabase(test, node, ours, folder):
    """A volume of the DICOM module has the facts and the place that the library reads itself."""
    test.assertEqual(volumes.acquisition(node), volumes.acquisition(ours))
    here, there = volumes.ctVolume(node), volumes.ctVolume(ours)
    test.assertEqual(here.hu.shape, there.hu.shape)
    middle = [0.5 * (low + high) for low, high in here.ras_bounds]
    test.assertTrue(np.allclose(here.ras_bounds, there.ras_bounds, atol=0.01))
    test.assertAlmostEqual(float(here.sample(middle)), float(there.sample(middle)), delta=1.0)

    panel = _panel()
    panel.parameterNode.inputVolume = node
    test.assertIn("kVp", panel.ui.factsLabel.text)
    s_mm = middle[2]
    levels = [LevelSlice(x, (*middle[:2], s_mm - 35.0 * i)) for i, x in enumerate(("L1", "L2"))]
    panel.controller.replace(LevelSelection(tuple(levels)))
    panel.ui.estimateButton.click()
    test.assertTrue(waitFor(lambda: not panel.runner.busy, PATIENCE_S))
    case = reporting.case(panel.logic, panel.state, dicom=True)
    test.assertEqual(len(case.source.headers), here.hu.shape[0])
    paths = [reporting.writeCapture(case, folder / "sc.dcm")]
    if importlib.util.find_spec("highdicom") is not None:
        paths.append(reporting.writeStructured(case, folder / "sr.dcm"))
    for path in paths:
        reporting.addToDatabase(path)
        written = pydicom.dcmread(path)
        test.assertTrue(slicer.dicomDatabase.fileForInstance(str(written.SOPInstanceUID)))
        test.assertEqual(written.PatientIdentityRemoved, "YES")
    # The files go with their database, and the volume with them.
    slicer.mrmlScene.Clear()


def panelPath(test):
    """Find, move, estimate, edit and reload through the panel's own buttons."""
    panel = _panel()
    ui = panel.ui
    panel.parameterNode.inputVolume = sample.load()
    test.assertIn("kVp", ui.factsLabel.text)

    ui.findButton.click()
    test.assertTrue(panel.runner.busy)
    test.assertEqual(ui.findButton.text, "Cancel")
    test.assertTrue(waitFor(lambda: not panel.runner.busy, PATIENCE_S))
    points = panel.parameterNode.levelPoints
    labels = [points.GetNthControlPointLabel(i) for i in range(points.GetNumberOfControlPoints())]
    for level in MEASURED:
        test.assertIn(level, labels)

    # A point that is moved in the scene moves the level, and undo brings it back.
    index = labels.index("L2")
    before = panel.controller.selection["L2"].ras
    points.SetNthControlPointPositionWorld(index, before[0], before[1], before[2] + 3.0)
    test.assertEqual(panel.controller.selection["L2"].source, "moved")
    test.assertAlmostEqual(panel.controller.selection["L2"].ras[2], before[2] + 3.0, places=3)
    ui.undoButton.click()
    test.assertAlmostEqual(points.GetNthControlPointPositionWorld(index)[2], before[2], places=3)
    ui.redoButton.click()
    test.assertAlmostEqual(
        points.GetNthControlPointPositionWorld(index)[2], before[2] + 3.0, places=3
    )
    ui.undoButton.click()

    ui.estimateButton.click()
    test.assertTrue(waitFor(lambda: not panel.runner.busy, PATIENCE_S))
    test.assertIsNotNone(panel.result)
    test.assertEqual(panel.staleReason(), "")
    for row, item in enumerate(panel.result.rows):
        test.assertEqual(ui.resultView.item(row, 0).text().split()[0], item.level)
    panel.controller.edit("include", "L3", False, "fracture")
    test.assertIn("slices have changed", panel.staleReason())
    ui.undoButton.click()
    test.assertEqual(panel.staleReason(), "")
    value = panel.result.total.bmd_g_cm2
    _study(test, panel)

    # A saved scene reopens as it was.
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "scene.mrb")
        test.assertTrue(slicer.util.saveScene(path))
        slicer.mrmlScene.Clear()
        _panel()
        test.assertIsNone(panel.result)
        test.assertEqual(len(panel.controller.selection), 0)
        slicer.util.loadScene(path)
        _panel()
    test.assertEqual({item.level for item in panel.controller.selection}, set(labels))
    test.assertAlmostEqual(panel.result.total.bmd_g_cm2, value, places=9)
    test.assertEqual(panel.staleReason(), "")


def _study(test, panel):
    """The shown results go into a study's table, and all CTs of the scene are estimated in one run."""
    ui, users = panel.ui, studytable.chosen()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.csv"
        qt.QSettings().setValue(studytable.SETTING, str(path))
        try:
            panel.study.update()
            ui.studyAddButton.click()
        finally:
            qt.QSettings().setValue(studytable.SETTING, users)
        test.assertIn("case 1", path.read_text(encoding="utf-8-sig"))
        test.assertEqual(panel.parameterNode.caseName, "case 1")
    value = panel.result.total.bmd_g_cm2
    ui.sceneButton.click()
    test.assertEqual(ui.sceneButton.text, "Cancel")
    test.assertTrue(waitFor(lambda: not panel.runner.busy, PATIENCE_S))
    test.assertEqual([row.reason for row in panel.several.rows], [""])
    test.assertAlmostEqual(panel.several.rows[0].result.total.bmd_g_cm2, value, places=9)
    test.assertEqual(panel.staleReason(), "")


def views(test):
    """The own layout, the images with what is drawn over them, and the chart."""
    widget = slicer.util.getModuleWidget("CTBMD")
    panel, ui, manager = widget.panel, widget.panel.ui, slicer.app.layoutManager()
    if manager is not None:
        widget.exit()
        users = manager.layout
        widget.enter()
        test.assertNotEqual(manager.layout, users)
        # A scene that is saved now must not name a layout that other Slicers do not know.
        layout = manager.layoutLogic().GetLayoutNode()
        test.assertFalse(layout.GetSaveWithScene())
        widget.exit()
        test.assertEqual(manager.layout, users)
        test.assertTrue(layout.GetSaveWithScene())
    widget.enter()
    panel.parameterNode.inputVolume = sample.load()
    ui.findButton.click()
    test.assertTrue(waitFor(lambda: not panel.runner.busy, PATIENCE_S))
    ui.imagesSection.setProperty("collapsed", False)
    for box in (ui.boneMapCheckBox, ui.trabecularCheckBox):
        box.setChecked(True)
    for label in (ui.imageLabelUpper, ui.imageLabelMiddle, ui.imageLabelLower):
        test.assertFalse(label.property("pixmap").isNull())
    test.assertEqual(len(slicer.util.getNodes("Trabecular region")), 1)
    for box in (ui.boneMapCheckBox, ui.trabecularCheckBox):
        box.setChecked(False)
    test.assertEqual(len(slicer.util.getNodes("Trabecular region")), 0)
    ui.imagesSection.setProperty("collapsed", True)

    test.assertFalse(ui.chartButton.enabled)
    panel.parameterNode.referenceTable = "nhanes-hologic"
    ui.estimateButton.click()
    test.assertTrue(waitFor(lambda: not panel.runner.busy, PATIENCE_S))
    test.assertTrue(ui.chartButton.enabled, ui.chartButton.toolTip)
    ui.chartButton.setChecked(True)
    charts = slicer.util.getNodesByClass("vtkMRMLPlotChartNode")
    test.assertEqual([node.GetNumberOfPlotSeriesNodes() for node in charts], [5])
    ui.chartButton.setChecked(False)
    _report(test, widget)


def _report(test, widget):
    """The page of what is shown, drawn by this Qt: as HTML, PDF and picture."""
    case = reporting.case(widget.logic, widget.panel.state)
    with tempfile.TemporaryDirectory() as folder:
        page, pdf = Path(folder) / "report.html", Path(folder) / "report.pdf"
        reporting.writeHtml(case, page)
        reporting.writePdf(case, pdf)
        text, drawn = page.read_text(encoding="utf-8"), pdf.read_bytes()
        with test.assertRaises(CTBMDError):  # the sample did not come by way of the DICOM module
            reporting.writeCapture(case, Path(folder) / "report.dcm")
    test.assertIn(f"{case.result.total.bmd_g_cm2:.3f}", text)
    test.assertIn("Research use only", text)
    test.assertTrue(drawn.startswith(b"%PDF"))
    test.assertGreater(len(drawn), 20000)  # its pictures are in it
    seen = reporting.pagePixels(text)
    test.assertEqual(seen.shape[2], 3)
    dark = (seen.max(axis=2) < 200).mean()
    test.assertTrue(0.05 < dark < 0.6, f"{dark:.2f} of the page is dark")


def twoVolumes(test):
    """Two CTs and one segmentation with numbers for names: each CT keeps its own."""
    panel = _panel()
    first = sample.load()
    panel.parameterNode.inputVolume = first
    panel.ui.findButton.click()
    test.assertTrue(waitFor(lambda: not panel.runner.busy, PATIENCE_S))
    found = {item.level: item.ras for item in panel.controller.selection}
    segmentation = _numberedSegments(first, {31: found["L1"], 30: found["L2"], 29: found["L3"]})
    panel.parameterNode.segmentation = segmentation
    panel.ui.findButton.click()
    test.assertTrue(waitFor(lambda: not panel.runner.busy, PATIENCE_S))
    test.assertEqual([item.level for item in panel.controller.selection], ["L1", "L2", "L3"])
    test.assertEqual({item.source for item in panel.controller.selection}, {"segment"})
    kept = panel.controller.selection.to_json()

    panel.parameterNode.inputVolume = sample.load()
    test.assertIsNone(panel.parameterNode.segmentation)
    test.assertEqual(len(panel.controller.selection), 0)
    panel.parameterNode.inputVolume = first
    test.assertIs(panel.parameterNode.segmentation, segmentation)
    test.assertEqual(panel.controller.selection.to_json(), kept)
    panel.ui.nameSegmentsButton.click()
    _followup(test, panel)
    names = [segment.GetName() for segment in _segments(segmentation)]
    test.assertEqual(sorted(names), ["vertebrae_L1", "vertebrae_L2", "vertebrae_L3"])


def _followup(test, panel):
    """The same CT twice is an earlier one and a later one without a change, and is seen to be a copy."""
    here = panel.volumeNode
    other = next(node for node in volumes.listed() if node is not here)
    panel.ui.estimateButton.click()
    test.assertTrue(waitFor(lambda: not panel.runner.busy, PATIENCE_S))
    test.assertFalse(panel.ui.earlierCombo.enabled)
    levels = panel.controller.selection.to_json()
    panel.parameterNode.inputVolume = other
    panel.controller.replace(LevelSelection.from_json(levels))
    panel.ui.estimateButton.click()
    test.assertTrue(waitFor(lambda: not panel.runner.busy, PATIENCE_S))
    test.assertTrue(panel.ui.earlierCombo.enabled, panel.ui.earlierCombo.toolTip)
    panel.ui.earlierCombo.setCurrentIndex(1)
    change = panel.following.followup.compare().change
    test.assertEqual(change.change, 0.0)
    test.assertIn("two copies of one CT", panel.ui.followLabel.text)
    panel.ui.precisionSpinBox.setValue(0.02)
    test.assertIn("0.055 g/cm", panel.ui.followLabel.text)
    panel.ui.earlierCombo.setCurrentIndex(0)
    test.assertIsNone(panel.following.followup.compare().change)
    panel.parameterNode.inputVolume = here
    _ofOneStudy(test, panel, here)


def _ofOneStudy(test, panel, node):
    """Where the chosen CT shows no lumbar vertebra, the other one of its study is taken."""
    hu = np.full((20, 40, 40), -1000, np.int16)
    hu[:, 8:32, 8:32] = 40
    tissue = slicer.util.addVolumeFromArray(hu, np.diag([4.0, 4.0, 5.0, 1.0]), "tissue")
    for item in (tissue, node):
        facts = json.loads(item.GetAttribute(volumes.ACQUISITION) or "{}")
        item.SetAttribute(volumes.ACQUISITION, json.dumps({**facts, "study_uid": "1.2"}))
    levels = panel.controller.selection.to_json()
    panel.parameterNode.inputVolume = tissue
    panel.ui.findButton.click()
    test.assertTrue(waitFor(lambda: not panel.runner.busy, PATIENCE_S))
    test.assertIs(panel.volumeNode, node)
    test.assertEqual(panel.controller.selection.to_json(), levels)
    test.assertIn("'tissue' was left", panel.ui.findStatusLabel.text)


def _segments(node):
    segmentation = node.GetSegmentation()
    return [segmentation.GetNthSegment(i) for i in range(segmentation.GetNumberOfSegments())]


def _numberedSegments(volumeNode, places):
    """A segmentation with a block about each place, called as Slicer calls those of a label file."""
    volume = volumes.ctVolume(volumeNode)
    k, j, i = np.indices(volume.hu.shape)
    ras = volume.ras_from_ijk(np.stack([i, j, k], axis=-1))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "numbered")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
    for value, place in places.items():
        name = f"Segment_{value}"
        segmentId = node.GetSegmentation().AddEmptySegment(name, name)
        block = (np.abs(ras - place) < BLOCK_MM).all(axis=-1).astype(np.uint8)
        slicer.util.updateSegmentBinaryLabelmapFromArray(block, node, segmentId, volumeNode)
    return node


def underTransform(test):
    """A volume under a transform is measured where it lies."""
    node = sample.load()
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(2, 3, 25.0)
    transform.SetMatrixTransformToParent(matrix)
    before = volumes.ijkToWorld(node)
    node.SetAndObserveTransformNodeID(transform.GetID())
    test.assertAlmostEqual(volumes.ijkToWorld(node)[2, 3], before[2, 3] + 25.0, places=6)
    matrix.SetElement(0, 1, 0.2)  # a shear
    transform.SetMatrixTransformToParent(matrix)
    with test.assertRaises(CTBMDError):
        volumes.ctVolume(node)


def _panel():
    """The panel of the module, entered."""
    widget = slicer.util.getModuleWidget("CTBMD")
    widget.enter()
    return widget.panel
