"""The stand-in for qMRMLNodeComboBox, on the real MRML scene.

Source for the behaviour: Slicer's Libs/MRML/Widgets/qMRMLNodeComboBox.
"""

from __future__ import annotations

import fnmatch

import slicer
from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Property, Signal, Slot

from . import dialogs
from .observing import observe


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
    nodeAddedByUserAction = Signal(object)
    nodeAboutToBeEdited = Signal(object)
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
        "nodeAddedByUserAction": {"vtkMRMLNode*": "nodeAddedByUserAction"},
        "nodeAboutToBeEdited": {"vtkMRMLNode*": "nodeAboutToBeEdited"},
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
        self._box.view().viewport().installEventFilter(self)
        self._offset = 0
        self._actions = []
        self._fill()
        self.setEnabled(False)

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
    noneDisplay = _stored(str, "noneDisplay", "None", "_fill")
    interactionNodeSingletonTag = _stored(str, "interactionNodeSingletonTag", "")

    # -- the scene --------------------------------------------------------------
    def mrmlScene(self):
        return self._scene

    @Slot(object)
    def setMRMLScene(self, scene):
        if scene is self._scene:
            return
        for remove in self._observers:
            remove()
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
            self._observers = [observe(scene, event, method) for event, method in watch]
        self._fill()
        self.setEnabled(scene is not None)

    def _on_nodes(self, *_):
        if not self._batch:
            self._fill()

    def _on_node_added(self, *_):
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
        was_empty = self._box.count() == 0
        before = self._box.currentIndex()
        self._nodes = [node for node in nodes if self._shown(node)]
        for node in list(self._watched):
            if node not in self._nodes:
                self._watched.pop(node)()
        for node in self._nodes:
            if node not in self._watched:
                self._watched[node] = observe(node, "ModifiedEvent", self._on_renamed)
        self._filling = True
        self._box.clear()
        self._offset = 1 if self.noneEnabled else 0
        if self.noneEnabled:
            self._box.addItem(self.noneDisplay)
        for node in self._nodes:
            self._box.addItem(node.GetName())
        self._actions = self._menu()
        if self._actions:
            self._box.insertSeparator(self._box.count())
            for text, _action in self._actions:
                self._box.addItem(text)
        hint = self.nodeTypeLabel(self.nodeTypes[0]) if self.nodeTypes else "node"
        custom = self.noneDisplay != "None"
        self._box.setPlaceholderText(self.noneDisplay if custom else f"Select a {hint}")
        self._filling = False
        self._select(self._successor(was_empty, before))

    def _successor(self, was_empty, before):
        """The node to stand on after the list changed: Qt's combo box rules, as in Slicer.

        A node that goes is followed by the one that takes its row, else by the
        last one. An empty box goes to the first node that comes; a box with
        'None' or actions in it is never empty.
        """
        if self._current in self._nodes:
            return self._current
        if not self._nodes:
            return None
        if self._current is not None:
            row = min(max(before, 0), self._box.count() - 1) - self._offset
            return self._nodes[row] if 0 <= row < len(self._nodes) else self._nodes[-1]
        return self._nodes[0] if was_empty else None

    def _menu(self):
        if self._scene is None:
            return []
        label = self.nodeTypeLabel(self.nodeTypes[0]) if len(self.nodeTypes) == 1 else "node"
        actions = []
        if self.renameEnabled:
            actions.append((f"Rename current {label}", self.renameCurrentNode))
        if self.editEnabled:
            actions.append((f"Edit current {label}", self.editCurrentNode))
        if self.addEnabled:
            for kind in self.nodeTypes:
                text = f"Create new {self.nodeTypeLabel(kind)}"
                actions.append((text, lambda kind=kind: self._add_by_user(kind)))
                if self.renameEnabled:
                    actions.append(
                        (f"{text} as...", lambda kind=kind: self._add_by_user(kind, True))
                    )
        if self.removeEnabled:
            actions.append((f"Delete current {label}", self.removeCurrentNode))
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
            # an action reached with the keys: Slicer goes to the last node
            self._select(self._nodes[-1] if self._nodes else self._current)

    def eventFilter(self, watched, event):
        # Actions are run by a click in the list, and the box does not stay on them.
        if event.type() == QtCore.QEvent.Type.MouseButtonRelease:
            row = self._box.view().indexAt(event.position().toPoint()).row()
            place = row - self._offset - len(self._nodes) - 1
            if 0 <= place < len(self._actions):
                action = self._actions[place][1]
                self._box.hidePopup()
                QtCore.QTimer.singleShot(0, lambda: (self._fill(), action(), self._fill()))
                return True
        return super().eventFilter(watched, event)

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
        if not label and self._scene is not None:
            label = self._scene.GetTypeDisplayNameByClassName(node_type)
        return label or "node"

    def addNode(self, node_type=None):
        if self._scene is None:
            return None
        node_type = node_type or (self.nodeTypes[0] if self.nodeTypes else None)
        if node_type not in self.nodeTypes:
            return None
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
        self.nodeAddedByUser.emit(node)
        return node

    def _add_by_user(self, node_type, ask=False):
        name = None
        if ask:
            title = f"Create new {self.nodeTypeLabel(node_type)}"
            name = dialogs.run_text_dialog(self, title, "New name:", "")
            if not name:
                return
        node = self.addNode(node_type)
        if node is not None:
            if name:
                node.SetName(name)
            self.setCurrentNode(node)
            self.nodeAddedByUserAction.emit(node)

    def editCurrentNode(self):
        """Tell that the node shall be edited; with an interaction node, also that one."""
        self.nodeAboutToBeEdited.emit(self._current)
        if self.interactionNodeSingletonTag:
            interaction = self._scene.GetSingletonNode(
                self.interactionNodeSingletonTag, "vtkMRMLInteractionNode"
            )
            if interaction is not None:
                interaction.EditNode(self._current)

    def removeCurrentNode(self):
        node = self._current
        if node is not None:
            self.nodeAboutToBeRemoved.emit(node)
            self._scene.RemoveNode(node)

    def renameCurrentNode(self):
        node = self._current
        if node is None:
            return
        title = f"Rename {self.nodeTypeLabel(node.GetClassName())}"
        text = dialogs.run_text_dialog(self, title, "New name:", node.GetName())
        if text:
            node.SetName(text)


CLASSES = {"qMRMLNodeComboBox": qMRMLNodeComboBox}
