"""The panel: what happens on each click and on each change of the scene."""

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from CTBMDLib.errors import CTBMDError
from CTBMDLib.levels import LevelSelection

from . import exporting, pytorch, results, sample, volumes
from .display import Display
from .levelactions import LevelActions
from .leveltable import LevelTable
from .parameters import Sex
from .runner import Runner
from .selection import SelectionController
from .words import reveal


class Panel(VTKObservationMixin):
    """Connects the widgets of CTBMD.ui with the logic and the scene.

    Parameters
    ----------
    ui : object
        The named widgets of CTBMD.ui.
    logic : CTBMDLogic

    Attributes
    ----------
    parameterNode : CTBMDParameterNode or None
        None while a scene is being closed.
    volumeNode : vtkMRMLScalarVolumeNode or None
    controller : SelectionController
    runner : Runner
    lastError : str
        The sentence that was shown last, for scripts and tests.
    result : BMDResult or None
        What is shown under '4. Results and export'.
    """

    def __init__(self, ui, logic):
        VTKObservationMixin.__init__(self)
        # Its own, since only removeObservers() lets go of a node, and a CT with its voxels is large.
        self._volumeObserver = VTKObservationMixin()
        self.ui = ui
        self.logic = logic
        self.parameterNode = None
        self.volumeNode = None
        self.lastError = ""
        self.result = None
        self.controller = SelectionController()
        self.levelTable = LevelTable(ui.levelTable)
        self.runner = Runner()
        self._volumeID = self._voxelTime = None
        self._guiTag = None
        self._inputs = None
        self._resultText = None
        self.display = Display(self)
        self.levels = LevelActions(self)
        self._connect()
        self.display.update()

    def _connect(self):
        ui = self.ui
        ui.sampleButton.clicked.connect(self.onLoadSample)
        ui.referenceCombo.currentIndexChanged.connect(self.onReference)
        ui.referenceFileButton.clicked.connect(self.onReferenceFile)
        ui.estimateButton.clicked.connect(self.onEstimate)
        ui.exportButton.clicked.connect(self.onExport)
        ui.copyButton.clicked.connect(self.onCopy)
        ui.modelPathEdit.currentPathChanged.connect(self.onModelFolder)
        # About a field that was emptied currentPathChanged is silent: '' is no valid path.
        ui.modelPathEdit.validInputChanged.connect(self.onModelFolderEmptied)
        ui.installTorchButton.clicked.connect(self.onInstallTorch)
        self.controller.refused.connect(self.showError)
        self.runner.changed.connect(self.display.update)
        self.runner.failed.connect(self.showError)

    def cleanup(self):
        """Let go of everything; the widgets are about to be destroyed. May be called twice."""
        for signal in (
            self.controller.changed,
            self.controller.dragging,
            self.controller.refused,
            self.runner.changed,
            self.runner.failed,
        ):
            signal.disconnectAll()
        self.display.close()
        self.setParameterNode(None)

    # -- parameter node -------------------------------------------------------------
    def enter(self, parameterNode):
        """The module is shown: widgets and parameter node follow each other."""
        mine = self.parameterNode
        if mine is None or mine.parameterNode is not parameterNode.parameterNode:
            self.setParameterNode(parameterNode)
        else:
            self._connectGui()

    def setParameterNode(self, parameterNode, connectGui=True):
        """Show a parameter node's state; None while a scene is being closed."""
        self.runner.abandon()
        self.disconnectGui()
        self.removeObservers()
        self._volumeObserver.removeObservers()
        self.volumeNode = self._volumeID = None
        self.result = self._inputs = self._resultText = None
        self.parameterNode = parameterNode
        self.display.forget()
        if parameterNode is not None:
            chosen = parameterNode.inputVolume is not None
            if not chosen:
                parameterNode.inputVolume = firstVolume()
            self._observeVolume(parameterNode.inputVolume)
            if not chosen:
                self._adoptSex()
            if connectGui:
                self._guiTag = parameterNode.connectGui(self.ui)
            node = parameterNode.parameterNode
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self.onParameters)
        self.controller.setParameterNode(parameterNode)
        self.onParameters()

    def sceneImported(self, entered):
        """A scene was loaded into this one: take over what it says."""
        if self.parameterNode is None:
            return
        self.setParameterNode(self.logic.getParameterNode(), connectGui=False)
        self._followVolumeID()
        # A table file keeps the cells only, not the titles and units of the columns.
        if self.result is not None and self.parameterNode.resultTable is not None:
            self.logic.fillTable(self.parameterNode.resultTable, self.result)
        if entered:
            # Node selectors learn of the new nodes only after this event. Connected
            # now, they would write what they happen to show into the parameter node.
            qt.QTimer.singleShot(0, self._connectGui)

    def _followVolumeID(self):
        """Where its ID was taken already, a loaded volume has got another; the result knows the old one."""
        if self.result is None:
            return
        now = self._inputsNow()
        if now["volume"] is None or now["volume"] == self._inputs["volume"]:
            return
        if all(now[key] == self._inputs[key] for key in ("name", "geometry", "levels")):
            self._inputs = {**self._inputs, "volume": now["volume"]}
            self.parameterNode.result = results.toText(self.result, self._inputs)

    def _connectGui(self):
        if self.parameterNode is not None and self._guiTag is None:
            self._guiTag = self.parameterNode.connectGui(self.ui)
            self.onParameters()

    def disconnectGui(self):
        """The module is left: widgets stop writing to the parameter node."""
        if self.parameterNode is not None and self._guiTag is not None:
            self.parameterNode.disconnectGui(self._guiTag)
        self._guiTag = None

    def onParameters(self, caller=None, event=None):
        """Something in the parameter node is another than before."""
        # In the middle of loading a scene, the nodes it refers to are not all there.
        if slicer.mrmlScene.IsImporting():
            return
        parameters = self.parameterNode
        if parameters is not None:
            if idOf(parameters.inputVolume) != self._volumeID:
                self._onOtherVolume(parameters.inputVolume)
                return
            self.controller.refresh()
            if parameters.result != self._resultText:
                self._resultText = parameters.result
                self.result, self._inputs = results.fromText(parameters.result)
        self.display.update()

    # -- 1. CT volume -----------------------------------------------------------------
    def _observeVolume(self, node):
        self._volumeObserver.removeObservers()
        self.volumeNode, self._volumeID = node, idOf(node)
        self._voxelTime = volumes.voxelTime(node)
        self.display.forget()
        if node is None:
            return
        observe = self._volumeObserver.addObserver
        observe(node, node.ImageDataModifiedEvent, self.onVolumeModified)
        observe(node, node.TransformModifiedEvent, self.onPlaceChanged)
        observe(node, vtk.vtkCommand.ModifiedEvent, self.onVolumeModified)

    def _onOtherVolume(self, node):
        """Another CT is chosen: its own sex, its own levels, shown in the views."""
        self.runner.abandon()
        old = self._volumeID
        self._observeVolume(node)
        self._adoptSex()
        self.controller.switchVolume(old, self._volumeID)
        if node is not None:
            slicer.util.setSliceViewerLayers(background=node, fit=True)
        self.onParameters()

    def _adoptSex(self):
        code = None if self.volumeNode is None else volumes.acquisition(self.volumeNode).sex
        self.parameterNode.sex = Sex.fromCode(code)

    def onVolumeModified(self, caller=None, event=None):
        """Voxels, name or attributes: a DICOM volume gets its identifiers after it is added."""
        renamed = self.display.volumeChanged()
        time = volumes.voxelTime(self.volumeNode)
        if time != self._voxelTime:
            self._voxelTime = time
            self.display.forget()
            if self._inputs is not None and self._inputs["volume"] == self._volumeID:
                self.parameterNode.imageChanged = True
        elif not renamed:
            return
        if renamed and self.parameterNode.sex == Sex.UNKNOWN:
            self._adoptSex()
        self.display.update()

    def onPlaceChanged(self, caller=None, event=None):
        self.display.forget()
        self.display.update()

    def onLoadSample(self):
        try:
            with slicer.util.WaitCursor():
                node = sample.load()
        except CTBMDError as error:
            self.showError(str(error))
            return
        self.parameterNode.inputVolume = node
        slicer.util.setSliceViewerLayers(background=node, fit=True)

    # -- 3. bone density -----------------------------------------------------------------
    def onReference(self, index=None):
        if not self.display.updating and self.parameterNode is not None:
            combo = self.ui.referenceCombo
            self.parameterNode.referenceTable = str(combo.itemData(combo.currentIndex) or "")

    def onReferenceFile(self):
        path = qt.QFileDialog.getOpenFileName(
            slicer.util.mainWindow(), _("Choose a reference table"), "", _("Tables (*.json)")
        )
        if not path:
            return
        try:
            self.logic.reference(path)
        except CTBMDError as error:
            self.showError(str(error))
            return
        self.parameterNode.referenceTable = path

    def onEstimate(self):
        if self.runner.cancelledBy(self.ui.estimateButton):
            return
        parameters = self.parameterNode
        # The estimate is about the levels as they are now, whatever is edited meanwhile.
        selection = LevelSelection.from_json(self.controller.selection.to_json())
        inputs = self._inputsNow()
        try:
            with slicer.util.WaitCursor():
                work = self.logic.estimateWork(
                    parameters.inputVolume,
                    selection,
                    sex=parameters.sex.code,
                    reference=parameters.referenceTable,
                    modelFolder=parameters.modelFolder,
                    device=parameters.device.value,
                )
        except CTBMDError as error:
            self.showError(str(error))
            return

        def onDone(result):
            self.onEstimated(result, inputs)

        ui = self.ui
        self.runner.start(
            work, onDone, ui.estimateButton, ui.estimateProgressBar, ui.estimateStatusLabel
        )

    def onEstimated(self, result, inputs):
        parameters = self.parameterNode
        table = parameters.resultTable
        if table is None:
            table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", _("Bone density"))
        self.logic.fillTable(table, result)
        with slicer.util.NodeModify(parameters):
            parameters.resultTable = table
            parameters.imageChanged = False
            parameters.result = results.toText(result, inputs)
        # The scene keeps no images; the result at hand still has those that were read.
        self.result, self._inputs = result, inputs
        self.ui.resultsSection.setProperty("collapsed", False)
        # The widgets get their new places when the event loop has run.
        qt.QTimer.singleShot(0, self._revealResults)

    def _revealResults(self):
        if self.result is not None:
            reveal(self.ui.copyButton, self.ui.summaryLabel)

    def _inputsNow(self):
        parameters, node = self.parameterNode, self.volumeNode
        return {
            "volume": self._volumeID,
            "name": node.GetName() if node is not None else "",
            "geometry": volumes.geometry(node),
            "levels": self.controller.fingerprint(),
            "sex": parameters.sex.code,
            "reference": parameters.referenceTable,
            "model": parameters.modelFolder,
        }

    def staleReason(self):
        """Why the results no longer fit what is chosen, or ''."""
        if self.result is None or self.parameterNode is None:
            return ""
        return results.staleReason(self._inputs, self._inputsNow(), self.parameterNode.imageChanged)

    # -- 4. results and export -----------------------------------------------------------
    def onExport(self):
        answer = exporting.askPath(self.result)
        if answer is None:
            return
        path, overwrite = answer
        try:
            exporting.write(self.result, path, overwrite)
        except CTBMDError as error:
            self.showError(str(error))
            return
        self._say(_("Saved '{path}'.").format(path=path))

    def onCopy(self):
        exporting.copy(self.result)
        self._say(_("The results are on the clipboard."))

    def _say(self, sentence):
        slicer.util.showStatusMessage(sentence, 5000)

    # -- advanced -------------------------------------------------------------------------
    def onModelFolder(self, path):
        if not self.display.updating and self.parameterNode is not None:
            self.parameterNode.modelFolder = str(path)

    def onModelFolderEmptied(self, valid):
        if not valid:
            self.onModelFolder(self.ui.modelPathEdit.currentPath)

    def onInstallTorch(self):
        try:
            pytorch.install()
        except CTBMDError as error:
            self.showError(str(error))
        self.display.torch()
        self.display.update()

    def showError(self, sentence):
        """One sentence, in a dialog where there is a window."""
        self.lastError = sentence
        slicer.util.errorDisplay(sentence)


def idOf(node):
    return None if node is None else node.GetID()


def firstVolume():
    """The first volume that the selector lists, to save a click; None where there is none."""
    scene = slicer.mrmlScene
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLScalarVolumeNode")
        # By class, labels and colour images are scalar volumes as well.
        if node.GetClassName() == "vtkMRMLScalarVolumeNode" and not node.GetHideFromEditors():
            return node
    return None
