"""Stand-ins for Slicer's qMRML widgets, on the real MRML scene.

Sources for the behaviour: the headers of Slicer's Libs/MRML/Widgets.
"""

from __future__ import annotations

import fnmatch

import slicer
from PySide6 import QtWidgets
from PySide6.QtCore import Property, Signal, Slot

from . import dialogs

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


def _stored(kind, name, default, after=None):
    """A property kept in the widget's `_values`; `after` names a method to call on change."""

    def get(self):
        return self._values.get(name, default)

    def put(self, value):
        value = list(value) if kind == "QStringList" else value
        if value != get(self):
            self._values[name] = value
            if after:
                getattr(self, after)()

    return Property(kind, get, put)


class qMRMLNodeComboBox(QtWidgets.QWidget):
    """A combo box of the scene's nodes of some types."""

    currentNodeChanged = Signal(object)
    _currentNodeChangedBool = Signal(bool)
    currentNodeIDChanged = Signal(str)
    nodeActivated = Signal(object)
    nodeAdded = Signal(object)
    nodeAddedByUser = Signal(object)
    nodeAboutToBeRemoved = Signal(object)
    currentNodeRenamed = Signal(str)
    _signatures = {
        "currentNodeChanged": {
            "vtkMRMLNode*": "currentNodeChanged",
            "bool": "_currentNodeChangedBool",
        },
        "currentNodeIDChanged": {"QString": "currentNodeIDChanged"},
        "nodeActivated": {"vtkMRMLNode*": "nodeActivated"},
        "nodeAdded": {"vtkMRMLNode*": "nodeAdded"},
        "nodeAddedByUser": {"vtkMRMLNode*": "nodeAddedByUser"},
        "nodeAboutToBeRemoved": {"vtkMRMLNode*": "nodeAboutToBeRemoved"},
        "currentNodeRenamed": {"QString": "currentNodeRenamed"},
    }

    def __init__(self, parent=None):
        super().__init__(parent)
        self._values = {}
        self._attributes = {}
        self._scene = None
        self._observers = []
        self._nodes = []
        self._watched = {}
        self._current = None
        self._filling = False
        self._batch = False
        self._box = QtWidgets.QComboBox(self)
        self._box.setSizeAdjustPolicy(
            QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._box)
        self.setSizePolicy(
            QtWidgets.QSizePolicy.Policy.Preferred, QtWidgets.QSizePolicy.Policy.Fixed
        )
        self._box.currentIndexChanged.connect(self._on_index)
        self._box.activated.connect(self._on_activated)
        self._fill()

    nodeTypes = _stored("QStringList", "nodeTypes", [], "_fill")
    showHidden = _stored(bool, "showHidden", False, "_fill")
    showChildNodeTypes = _stored(bool, "showChildNodeTypes", True, "_fill")
    hideChildNodeTypes = _stored("QStringList", "hideChildNodeTypes", [], "_fill")
    baseName = _stored(str, "baseName", "")
    noneEnabled = _stored(bool, "noneEnabled", False, "_fill")
    addEnabled = _stored(bool, "addEnabled", True, "_fill")
    removeEnabled = _stored(bool, "removeEnabled", True, "_fill")
    editEnabled = _stored(bool, "editEnabled", False, "_fill")
    renameEnabled = _stored(bool, "renameEnabled", False, "_fill")
    selectNodeUponCreation = _stored(bool, "selectNodeUponCreation", True)
    noneDisplay = _stored(str, "noneDisplay", "", "_fill")
    interactionNodeSingletonTag = _stored(str, "interactionNodeSingletonTag", "")

    # -- the scene --------------------------------------------------------------
    def mrmlScene(self):
        return self._scene

    @Slot(object)
    def setMRMLScene(self, scene):
        if scene is self._scene:
            return
        for tag in self._observers:
            self._scene.RemoveObserver(tag)
        self._observers = []
        self._scene = scene
        if scene is not None:
            watch = (
                (slicer.vtkMRMLScene.NodeAddedEvent, self._on_node_added),
                (slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent, self._on_node_about_to_go),
                (slicer.vtkMRMLScene.NodeRemovedEvent, self._on_nodes),
                (slicer.vtkMRMLScene.StartBatchProcessEvent, self._on_batch_start),
                (slicer.vtkMRMLScene.EndBatchProcessEvent, self._on_batch_end),
            )
            self._observers = [scene.AddObserver(event, method) for event, method in watch]
        self._fill()

    def _on_nodes(self, *_):
        if not self._batch:
            self._fill()

    def _on_node_added(self, _scene, _event, *_):
        if self._batch:
            return
        before = list(self._nodes)
        self._fill()
        for node in self._nodes:
            if node not in before:
                self.nodeAdded.emit(node)

    def _on_node_about_to_go(self, *_):
        """The node is still in the scene: NodeRemovedEvent refills the list."""

    def _on_batch_start(self, *_):
        self._batch = True

    def _on_batch_end(self, *_):
        self._batch = False
        self._fill()

    # -- which nodes ------------------------------------------------------------
    def addAttribute(self, node_type, name, value=None):
        """Show nodes of a type only if they have an attribute (of a value)."""
        self._attributes.setdefault(node_type, {})[name] = value
        self._fill()

    def removeAttribute(self, node_type, name):
        self._attributes.get(node_type, {}).pop(name, None)
        self._fill()

    def _shown(self, node):
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        for kind in self.nodeTypes:
            if not node.IsA(kind):
                continue
            if not self.showChildNodeTypes and node.GetClassName() != kind:
                continue
            if any(node.IsA(hidden) for hidden in self.hideChildNodeTypes):
                continue
            if all(
                node.GetAttribute(name) is not None
                and (value is None or fnmatch.fnmatchcase(node.GetAttribute(name), str(value)))
                for name, value in self._attributes.get(kind, {}).items()
            ):
                return True
        return False

    def _fill(self):
        scene = self._scene
        nodes = []
        if scene is not None:
            nodes = [scene.GetNthNode(i) for i in range(scene.GetNumberOfNodes())]
        self._nodes = [node for node in nodes if self._shown(node)]
        for node in list(self._watched):
            if node not in self._nodes:
                node.RemoveObserver(self._watched.pop(node))
        for node in self._nodes:
            if node not in self._watched:
                self._watched[node] = node.AddObserver("ModifiedEvent", self._on_renamed)
        self._filling = True
        self._box.clear()
        self._offset = 1 if self.noneEnabled else 0
        if self.noneEnabled:
            self._box.addItem(self.noneDisplay or "None")
        for node in self._nodes:
            self._box.addItem(node.GetName())
        self._actions = self._menu()
        if self._actions:
            if self._box.count():
                self._box.insertSeparator(self._box.count())
            for text, _action in self._actions:
                self._box.addItem(text)
        self._filling = False
        current = self._current if self._current in self._nodes else None
        if current is None and not self.noneEnabled and self._nodes:
            # Without a None entry Slicer's box always stands on a node.
            current = self._nodes[0]
        self._select(current)

    def _menu(self):
        if self._scene is None:
            return []
        actions = []
        if self._current is not None and self._current in self._nodes:
            if self.renameEnabled:
                actions.append(("Rename current node", self.renameCurrentNode))
            if self.removeEnabled:
                actions.append(("Delete current node", self.removeCurrentNode))
        if self.addEnabled:
            for kind in self.nodeTypes:
                label = self.nodeTypeLabel(kind)
                actions.append((f"Create new {label}", lambda kind=kind: self._add_by_user(kind)))
        return actions

    def _on_renamed(self, node, *_):
        if node in self._nodes:
            index = self._nodes.index(node) + self._offset
            if self._box.itemText(index) != node.GetName():
                self._box.setItemText(index, node.GetName())
                if node is self._current:
                    self.currentNodeRenamed.emit(node.GetName())

    # -- the current node -------------------------------------------------------
    def _select(self, node):
        self._filling = True
        if node in self._nodes:
            self._box.setCurrentIndex(self._nodes.index(node) + self._offset)
        else:
            self._box.setCurrentIndex(0 if self.noneEnabled else -1)
        self._filling = False
        if node is not self._current:
            self._current = node
            self.currentNodeChanged.emit(node)
            self._currentNodeChangedBool.emit(node is not None)
            self.currentNodeIDChanged.emit(node.GetID() if node is not None else "")

    def _on_index(self, index):
        if self._filling:
            return
        place = index - self._offset
        if 0 <= place < len(self._nodes):
            self._select(self._nodes[place])
        elif index == 0 and self.noneEnabled:
            self._select(None)
        elif index >= 0:
            self._run_action(index)

    def _run_action(self, index):
        action = dict(self._actions).get(self._box.itemText(index))
        self._select(self._current)  # the box does not stay on 'Create new ...'
        if action:
            action()
            self._fill()

    def _on_activated(self, index):
        if 0 <= index - self._offset < len(self._nodes) or (index == 0 and self.noneEnabled):
            self.nodeActivated.emit(self._current)

    def currentNode(self):
        return self._current

    def nodeCount(self):
        return len(self._nodes)

    def nodeFromIndex(self, index):
        return self._nodes[index] if 0 <= index < len(self._nodes) else None

    def _get_current_id(self):
        return self._current.GetID() if self._current is not None else ""

    @Slot(object)
    def setCurrentNode(self, node):
        """A node, the ID of a node, or None. A node the box does not show becomes None."""
        if isinstance(node, str):
            node = self._scene.GetNodeByID(node) if self._scene and node else None
        if node is not None and not isinstance(node, slicer.vtkMRMLNode):
            raise ValueError(f"setCurrentNode takes a node or a node ID, not {node!r}")
        self._select(node if node in self._nodes else None)

    def setCurrentNodeID(self, identifier):
        self.setCurrentNode(identifier or None)

    def setCurrentNodeIndex(self, index):
        self._select(self.nodeFromIndex(index))

    currentNodeID = Property(str, _get_current_id, setCurrentNodeID, notify=currentNodeIDChanged)

    # -- new, renamed and removed nodes -----------------------------------------
    def setNodeTypeLabel(self, label, node_type):
        self._values.setdefault("labels", {})[node_type] = label
        self._fill()

    def nodeTypeLabel(self, node_type):
        label = self._values.get("labels", {}).get(node_type)
        if label:
            return label
        node = self._scene.CreateNodeByClass(node_type) if self._scene is not None else None
        if node is None:
            return node_type
        node.UnRegister(None)
        return (
            node.GetTypeDisplayName()
            if hasattr(node, "GetTypeDisplayName")
            else node.GetNodeTagName()
        )

    def addNode(self, node_type=None):
        if self._scene is None:
            return None
        node_type = node_type or (self.nodeTypes[0] if self.nodeTypes else None)
        node = self._scene.CreateNodeByClass(node_type)
        if node is None:
            return None
        node.UnRegister(None)
        node.SetName(self._scene.GenerateUniqueName(self.baseName or self.nodeTypeLabel(node_type)))
        for name, value in self._attributes.get(node_type, {}).items():
            node.SetAttribute(name, "" if value is None else str(value))
        node = self._scene.AddNode(node)
        if hasattr(node, "CreateDefaultDisplayNodes"):
            node.CreateDefaultDisplayNodes()
        self._fill()
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        return node

    def _add_by_user(self, node_type):
        node = self.addNode(node_type)
        if node is not None:
            self.nodeAddedByUser.emit(node)

    def removeCurrentNode(self):
        node = self._current
        if node is not None:
            self.nodeAboutToBeRemoved.emit(node)
            self._scene.RemoveNode(node)

    def renameCurrentNode(self):
        node = self._current
        if node is None:
            return
        text = dialogs.run_text_dialog(self, "Rename", "New name:", node.GetName())
        if text is not None:
            node.SetName(text)


CLASSES = {
    name: value
    for name, value in list(globals().items())
    if isinstance(value, type) and name.startswith("qMRML")
}
