"""The module's own test, on the sample CT; runs in Slicer and in EmbeddedSlicer."""

import csv
import tempfile
from pathlib import Path

import slicer
import vtk

from CTBMDLib.bmd.export import COLUMNS
from CTBMDLib.errors import CTBMDError
from CTBMDLib.levels import MEASURED

from . import sample, volumes
from .job import waitFor

PATIENCE_S = 300


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

    ui.estimateButton.click()
    test.assertTrue(waitFor(lambda: not panel.runner.busy, PATIENCE_S))
    test.assertIsNotNone(panel.result)
    test.assertEqual(panel.staleReason(), "")
    panel.controller.edit("include", "L3", False)
    test.assertIn("slices have changed", panel.staleReason())
    ui.undoButton.click()
    test.assertEqual(panel.staleReason(), "")
    value = panel.result.total.bmd_g_cm2

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


def _panel():
    """The panel of the module, entered."""
    widget = slicer.util.getModuleWidget("CTBMD")
    widget.enter()
    return widget.panel
