"""A small scripted module: EmbeddedSlicer's own tests run it."""

import slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import *  # noqa: F403
from slicer.util import VTKObservationMixin


class Example(ScriptedLoadableModule):  # noqa: F405
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)  # noqa: F405
        self.parent.title = _("Example")
        self.parent.categories = ["Testing"]
        self.parent.helpText = _("Puts a point into the middle of a volume.")


class ExampleWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):  # noqa: F405
    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)  # noqa: F405
        VTKObservationMixin.__init__(self)
        self.calls = []

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)  # noqa: F405
        panel = slicer.util.loadUI(self.resourcePath("UI/Example.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        panel.setMRMLScene(slicer.mrmlScene)
        self.logic = ExampleLogic()
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.ui.pointButton.clicked.connect(self.onPoint)

    def enter(self):
        self.calls.append("enter")

    def exit(self):
        self.calls.append("exit")

    def cleanup(self):
        self.calls.append("cleanup")
        self.removeObservers()

    def onSceneStartClose(self, caller, event):
        self.calls.append("startClose")

    def onSceneEndClose(self, caller, event):
        self.calls.append("endClose")

    def onPoint(self):
        volume = self.ui.volumeSelector.currentNode()
        points = self.logic.addPoint(volume)
        self.ui.statusLabel.text = f"{points.GetNumberOfControlPoints()} point(s)"


class ExampleLogic(ScriptedLoadableModuleLogic):  # noqa: F405
    def addPoint(self, volume):
        """Put a labelled point at the middle of a volume."""
        bounds = [0.0] * 6
        volume.GetRASBounds(bounds)
        middle = [(bounds[i] + bounds[i + 1]) / 2 for i in (0, 2, 4)]
        points = slicer.mrmlScene.GetFirstNodeByName("Points")
        if points is None:
            points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Points")
            points.CreateDefaultDisplayNodes()
        points.AddControlPoint(middle, f"P{points.GetNumberOfControlPoints() + 1}")
        return points


class ExampleTest(ScriptedLoadableModuleTest):  # noqa: F405
    def setUp(self):
        slicer.mrmlScene.Clear()

    def test_point(self):
        import numpy as np

        volume = slicer.util.addVolumeFromArray(np.zeros((4, 6, 8)))
        points = ExampleLogic().addPoint(volume)
        self.assertEqual(points.GetNumberOfControlPoints(), 1)
