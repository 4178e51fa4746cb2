"""The stand-in for qMRMLNodeComboBox, on the real MRML scene.

Source for the behaviour: Slicer's Libs/MRML/Widgets/qMRMLNodeComboBox.
"""

from __future__ import annotations

import slicer
from PySide6 import QtWidgets
from PySide6.QtCore import Property, Signal, Slot

from .observing import observe


def _stored(kind, name, default):
    """A property kept in the widget's `_values`; the list is made anew on change."""

    def get(self):
        return self._values.get(name, default)

    def put(self, value):
        value = list(value) if kind == "QStringList" else value
        if value != get(self):
            self._values[name] = value
            self._fill()

    return Property(kind, get, put)


class qMRMLNodeComboBox(QtWidgets.QWidget):
    """A combo box to choose one of the scene's nodes of some types.

    The entries that add, rename and remove nodes are not made: a box that is
    to have them refuses its scene.
    """

    currentNodeChanged = Signal(object)
    _currentNodeChangedBool = Signal(bool)
    currentNodeIDChanged = Signal(str)
    _signatures = {
        "currentNodeChanged": {
            "vtkMRMLNode*": "currentNodeChanged",
            "bool": "_currentNodeChangedBool",
        },
        "currentNodeIDChanged": {"QString": "currentNodeIDChanged"},
    }

    def __init__(self, parent=None):
        super().__init__(parent)
        self._values = {}
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
        self._offset = 0
        self._fill()
        self.setEnabled(False)

    nodeTypes = _stored("QStringList", "nodeTypes", [])
    showHidden = _stored(bool, "showHidden", False)
    showChildNodeTypes = _stored(bool, "showChildNodeTypes", True)
    noneEnabled = _stored(bool, "noneEnabled", False)
    noneDisplay = _stored(str, "noneDisplay", "None")
    addEnabled = _stored(bool, "addEnabled", True)
    removeEnabled = _stored(bool, "removeEnabled", True)
    editEnabled = _stored(bool, "editEnabled", False)
    renameEnabled = _stored(bool, "renameEnabled", False)

    # -- the scene --------------------------------------------------------------
    def mrmlScene(self):
        return self._scene

    @Slot(object)
    def setMRMLScene(self, scene):
        """Follow a scene.

        Raises
        ------
        NotImplementedError
            Where the box is to have entries that change the scene.
        """
        if scene is self._scene:
            return
        wanted = ("addEnabled", "removeEnabled", "editEnabled", "renameEnabled")
        wanted = [name for name in wanted if getattr(self, name)]
        if scene is not None and wanted:
            raise NotImplementedError(
                f"EmbeddedSlicer's qMRMLNodeComboBox '{self.objectName()}' only chooses nodes; "
                f"set these to false: {', '.join(wanted)}."
            )
        for remove in self._observers:
            remove()
        self._observers = []
        self._scene = scene
        if scene is not None:
            watch = (
                (slicer.vtkMRMLScene.NodeAddedEvent, self._on_nodes),
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

    def _on_batch_start(self, *_):
        self._batch = True

    def _on_batch_end(self, *_):
        self._batch = False
        self._fill()

    # -- which nodes ------------------------------------------------------------
    def _shown(self, node):
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        if self.showChildNodeTypes:
            return any(node.IsA(kind) for kind in self.nodeTypes)
        return node.GetClassName() in self.nodeTypes

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
        custom = self.noneDisplay != "None"
        self._box.setPlaceholderText(self.noneDisplay if custom else f"Select a {self._label()}")
        self._filling = False
        self._select(self._successor(was_empty, before))

    def _label(self):
        label = None
        if self._scene is not None and self.nodeTypes:
            label = self._scene.GetTypeDisplayNameByClassName(self.nodeTypes[0])
        return label or "node"

    def _successor(self, was_empty, before):
        """The node to stand on after the list changed: Qt's combo box rules, as in Slicer.

        A node that goes is followed by the one that takes its row, else by the
        last one. An empty box goes to the first node that comes; a box with
        'None' in it is never empty.
        """
        if self._current in self._nodes:
            return self._current
        if not self._nodes:
            return None
        if self._current is not None:
            row = min(max(before, 0), self._box.count() - 1) - self._offset
            return self._nodes[row] if 0 <= row < len(self._nodes) else self._nodes[-1]
        return self._nodes[0] if was_empty else None

    def _on_renamed(self, node, *_):
        if node in self._nodes:
            index = self._nodes.index(node) + self._offset
            if self._box.itemText(index) != node.GetName():
                self._box.setItemText(index, node.GetName())

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

    def currentNode(self):
        return self._current

    def nodeCount(self):
        return len(self._nodes)

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

    currentNodeID = Property(str, _get_current_id, setCurrentNodeID, notify=currentNodeIDChanged)


CLASSES = {"qMRMLNodeComboBox": qMRMLNodeComboBox}
