"""What the panel is about: parameter node, volume, selection, result; knows no widget."""

import slicer
import vtk
from slicer.util import VTKObservationMixin

from CTBMDLib.bmd.quality import check_selection

from . import cases, marks, results, segmentations, volumes
from .parameters import Sex
from .selection import SelectionController, fingerprint
from .signal import Signal


class PanelState(VTKObservationMixin):
    """The state that views show and actions change.

    Attributes
    ----------
    parameterNode : CTBMDParameterNode or None
        None while a scene is being closed.
    volumeNode : vtkMRMLScalarVolumeNode or None
    controller : SelectionController
    result : BMDResult or None
        What is shown under '4. Results and export'.

    Signals
    -------
    changed() : something that is shown may be another than before.
    volumeChanged() : what is known of the volume may be another than before.
    volumeChosen(node) : another volume is chosen, or None.
    replaced() : another scene or volume is shown; work on the old one is of no use.
    sceneReplaced() : another scene is shown, or none.
    refused(sentence) : what was asked for is not possible.
    """

    def __init__(self):
        VTKObservationMixin.__init__(self)
        # Its own, since only removeObservers() lets go of a node, and a CT with its voxels is large.
        self._volumeObserver = VTKObservationMixin()
        self.changed = Signal()
        self.volumeChanged = Signal()
        self.volumeChosen = Signal()
        self.replaced = Signal()
        self.sceneReplaced = Signal()
        self.refused = Signal()
        self.controller = SelectionController()
        self.controller.refused.connect(self.refused.emit)
        self.parameterNode = None
        self.volumeNode = None
        self.result = None
        self._inputs = self._resultText = None
        self._volumeID = self._voxelTime = self._identity = None
        self._voxelTimes = {}
        self._switching = False

    def disconnectAll(self):
        """Nobody is told anything any more."""
        for signal in (
            self.changed,
            self.volumeChanged,
            self.volumeChosen,
            self.sceneReplaced,
            self.refused,
            self.controller.changed,
            self.controller.dragging,
            self.controller.refused,
        ):
            signal.disconnectAll()

    # -- parameter node -------------------------------------------------------------
    def setParameterNode(self, parameterNode):
        """Take over a parameter node's state; None while a scene is being closed."""
        self.replaced.emit()
        self.removeObservers()
        self._volumeObserver.removeObservers()
        self.volumeNode = self._volumeID = None
        self._voxelTimes = {}
        self.result = self._inputs = self._resultText = None
        self.parameterNode = parameterNode
        self.sceneReplaced.emit()
        self.volumeChanged.emit()
        if parameterNode is not None:
            chosen = parameterNode.inputVolume is not None
            if not chosen:
                parameterNode.inputVolume = volumes.firstVolume()
            self._observeVolume(parameterNode.inputVolume)
            if not chosen:
                self._adoptFacts()
            node = parameterNode.parameterNode
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self.refresh)
        self.controller.setParameterNode(parameterNode)
        self.refresh()

    def refresh(self, caller=None, event=None):
        """Something in the parameter node is another than before."""
        # In the middle of loading a scene, the nodes it refers to are not all there.
        if slicer.mrmlScene.IsImporting():
            return
        parameters = self.parameterNode
        if parameters is not None:
            if volumes.idOf(parameters.inputVolume) != self._volumeID:
                self._onOtherVolume(parameters.inputVolume)
                return
            self.controller.refresh()
            if parameters.result != self._resultText:
                self._resultText = parameters.result
                self.result, self._inputs = results.fromText(parameters.result)
        self.changed.emit()

    # -- volume -----------------------------------------------------------------------
    def _observeVolume(self, node):
        self._volumeObserver.removeObservers()
        self.volumeNode, self._volumeID = node, volumes.idOf(node)
        self._voxelTime, self._identity = volumes.voxelTime(node), volumes.identity(node)
        self.volumeChanged.emit()
        if node is None:
            return
        observe = self._volumeObserver.addObserver
        observe(node, node.ImageDataModifiedEvent, self._onVolumeModified)
        observe(node, node.TransformModifiedEvent, self._onPlaceChanged)
        observe(node, vtk.vtkCommand.ModifiedEvent, self._onVolumeModified)

    def _onOtherVolume(self, node):
        """Another CT is chosen: its own facts, levels and results."""
        self.replaced.emit()
        self._switching = True
        old, parameters = self._volumeID, self.parameterNode
        if self.volumeNode is not None:
            cases.keep(self.volumeNode, parameters)
            self._voxelTimes[old] = self._voxelTime
            segmentations.remember(self.volumeNode, parameters.segmentation)
        self._observeVolume(node)
        case = cases.kept(node)
        with slicer.util.NodeModify(parameters):
            # Another CT's segmentation is let go: its levels would lie anywhere in this one.
            parameters.segmentation = segmentations.remembered(node)
            if node is not None:
                self._restore(node, case)
        self.controller.switchVolume(old, self._volumeID, case["levels"] if case else "")
        self._switching = False
        self.volumeChosen.emit(node)
        self.refresh()

    def _restore(self, node, case):
        """Settings and results of a CT as they were when it was left, or the header's facts."""
        parameters = self.parameterNode
        if case is None:
            parameters.result, parameters.imageChanged = "", False
            parameters.caseName = parameters.countAgain = ""
            parameters.correctValues = False
            self._adoptFacts()
        else:
            cases.restore(node, case, parameters)
            if self._voxelTimes.get(self._volumeID, self._voxelTime) != self._voxelTime:
                self._otherVoxels()
        table = parameters.resultTable
        if table is not None:
            result, _inputs = results.fromText(parameters.result)
            if result is None:
                table.RemoveAllColumns()
            else:
                results.fillTable(table, result)

    def _adoptFacts(self):
        """Sex, age and tube voltage of the header; unknown where it is silent."""
        facts = cases.ofHeader(self.volumeNode)
        with slicer.util.NodeModify(self.parameterNode):
            self.parameterNode.sex = Sex.fromCode(facts["sex"])
            self.parameterNode.age = facts["age"]
            self.parameterNode.kvp = facts["kvp"]

    def _onVolumeModified(self, caller=None, event=None):
        """Voxels, name or attributes: a DICOM volume gets its identifiers after it is added."""
        identity, time = volumes.identity(self.volumeNode), volumes.voxelTime(self.volumeNode)
        renamed, self._identity = identity != self._identity, identity
        if time != self._voxelTime:
            self._voxelTime = time
            self.volumeChanged.emit()
            if self._inputs is not None and self._inputs["volume"] == self._volumeID:
                self._otherVoxels()
        elif not renamed:
            return
        if renamed and not self._facts():
            self._adoptFacts()
        self.changed.emit()

    def _otherVoxels(self):
        """The values are others than those of the estimate, and than those a correction was asked for."""
        self.parameterNode.imageChanged = True
        self.parameterNode.correctValues = False

    def _onPlaceChanged(self, caller=None, event=None):
        self.volumeChanged.emit()
        self.changed.emit()

    def _facts(self):
        """Whether anything is chosen or known of sex, age and tube voltage."""
        parameters = self.parameterNode
        return parameters.sex != Sex.UNKNOWN or parameters.age >= 0 or parameters.kvp > 0

    def statedKvp(self):
        """The tube voltage where a person states another than the header, kV, or None."""
        return cases.statedKvp(self.volumeNode, self.parameterNode.kvp)

    def statedAge(self):
        """The age in years where a person states another than the header, or None."""
        return cases.statedAge(self.volumeNode, self.parameterNode.age)

    # -- result -----------------------------------------------------------------------
    def inputs(self):
        """What decides an estimate as it would be made now, JSON-ready."""
        parameters = self.parameterNode
        facts = {"sex": parameters.sex.code, "age": parameters.age, "kvp": parameters.kvp}
        facts["countAgain"] = parameters.countAgain
        facts["correctValues"] = parameters.correctValues
        return self.inputsOf(self.volumeNode, self.controller.selection, facts)

    def inputsOf(self, node, selection, facts):
        """What decides an estimate of any CT with the settings of now.

        Parameters
        ----------
        node : vtkMRMLScalarVolumeNode or None
        selection : LevelSelection
        facts : dict
            `sex`, `age`, `kvp` and, where any, `countAgain` and `correctValues`, as `cases` has
            them.
        """
        parameters = self.parameterNode
        return {
            "volume": volumes.idOf(node),
            "name": node.GetName() if node is not None else "",
            "geometry": volumes.geometry(node),
            "levels": fingerprint(selection),
            "sex": facts["sex"],
            "reference": parameters.referenceTable,
            "model": parameters.modelFolder,
            "dxa": parameters.dxa.code,
            "kvp": facts["kvp"],
            "age": facts["age"],
            "countAgain": facts.get("countAgain", ""),
            "correctValues": bool(facts.get("correctValues")),
        }

    def options(self, node, facts):
        """What the logic's estimate of any CT is to be told, with the settings of now.

        Parameters
        ----------
        node : vtkMRMLScalarVolumeNode
        facts : dict
            See `inputsOf`.
        """
        parameters = self.parameterNode
        return {
            "sex": facts["sex"],
            "reference": parameters.referenceTable,
            "modelFolder": parameters.modelFolder,
            "device": parameters.device.value,
            "dxa": parameters.dxa.code,
            "kvp": cases.statedKvp(node, facts["kvp"]),
            "age": cases.statedAge(node, facts["age"]),
            # A level that is no longer there cannot be counted again.
            "include": tuple(
                x for x in facts.get("countAgain", "").split() if x in self.selectionOf(node)
            ),
            "correct_values": bool(facts.get("correctValues")),
        }

    def settled(self):
        """Whether levels and result are those of the chosen CT: not in the middle of a change."""
        parameters = self.parameterNode
        same = parameters is not None and parameters.result == self._resultText
        return same and not self._switching

    def settingsOf(self, node):
        """Sex, age, kVp, levels counted again and so on of any CT: as chosen for it, or its header's."""
        if node is self.volumeNode:
            cases.keep(node, self.parameterNode)
        return {**cases.ofHeader(node), **(cases.kept(node) or {})}

    def selectionOf(self, node):
        """The levels of any CT, as they were left; empty where they were never found."""
        if node is self.volumeNode:
            return self.controller.selection
        kept = cases.kept(node)
        return self.controller.ofVolume(volumes.idOf(node), kept["levels"] if kept else "")

    def keepResult(self, node, selection, result, inputs):
        """Keep levels and result with a CT that is not shown, as if it had been left so."""
        case = {**self.settingsOf(node), "levels": selection.to_json(), "imageChanged": False}
        cases.write(node, {**case, "result": results.toText(result, inputs)})
        self.controller.keepOf(volumes.idOf(node), selection)
        self._voxelTimes[volumes.idOf(node)] = volumes.voxelTime(node)

    def resultOf(self, node):
        """(result, why it is out of date or '') of any CT, as it was left; (None, '') without one."""
        if node is self.volumeNode:
            return self.result, self.staleReason()
        case = cases.kept(node) or {}
        result, inputs = results.fromText(case.get("result"))
        if result is None:
            return None, ""
        now = self.inputsOf(node, self.selectionOf(node), self.settingsOf(node))
        time = volumes.voxelTime(node)
        changed = self._voxelTimes.get(volumes.idOf(node), time) != time
        # In another scene the CT may have got another ID; the result is its own all the same.
        inputs = {**inputs, "volume": now["volume"]}
        return result, results.staleReason(inputs, now, changed or bool(case.get("imageChanged")))

    def setResult(self, result, inputs, table):
        """Keep a result, what it was made from, and the table node that shows it."""
        with slicer.util.NodeModify(self.parameterNode):
            self.parameterNode.resultTable = table
            self.parameterNode.imageChanged = False
            self.parameterNode.result = results.toText(result, inputs)
        # The scene keeps no images; the result at hand still has those that were read.
        self.result, self._inputs = result, inputs

    def followVolumeID(self):
        """Where its ID was taken already, a loaded volume has got another; the result knows the old one."""
        if self.result is None:
            return
        now = self.inputs()
        if now["volume"] is None or now["volume"] == self._inputs["volume"]:
            return
        if all(now[key] == self._inputs[key] for key in ("name", "geometry", "levels")):
            self._inputs = {**self._inputs, "volume": now["volume"]}
            self.parameterNode.result = results.toText(self.result, self._inputs)

    def findings(self):
        """What is to be said of the levels as they are now: {level or None: [finding]}.

        What the estimate said of the images is among it while its results are not out of date.
        """
        found = check_selection(self.controller.selection)
        if self.result is not None and not self.staleReason():
            found = self.result.findings
        return marks.byLevel(found)

    def staleReason(self):
        """Why the results no longer fit what is chosen, or ''."""
        if self.result is None or self.parameterNode is None:
            return ""
        return results.staleReason(self._inputs, self.inputs(), self.parameterNode.imageChanged)
