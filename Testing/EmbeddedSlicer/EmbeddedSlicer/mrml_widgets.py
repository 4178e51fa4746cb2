"""Stand-ins for Slicer's qMRML widgets, on the real MRML scene.

Sources for the behaviour: the headers of Slicer's Libs/MRML/Widgets.
"""

from __future__ import annotations

from PySide6 import QtWidgets
from PySide6.QtCore import Signal, Slot

SCENE_SIGNATURE = {"mrmlSceneChanged": {"vtkMRMLScene*": "mrmlSceneChanged"}}


class qMRMLWidget(QtWidgets.QWidget):
    """A widget that hands its scene on to the widgets in it."""

    mrmlSceneChanged = Signal(object)
    _signatures = SCENE_SIGNATURE

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene = None

    def mrmlScene(self):
        return self._scene

    @Slot(object)
    def setMRMLScene(self, scene):
        if scene is self._scene:
            return
        self._scene = scene
        self.mrmlSceneChanged.emit(scene)


CLASSES = {"qMRMLWidget": qMRMLWidget}
