"""`slicer.app.coreIOManager()`: reading and writing nodes and scenes with the real storage nodes."""

from __future__ import annotations

import os

import slicer
from PySide6 import QtCore
from vtkmodules.vtkCommonCore import vtkCommand, vtkStringArray

# ending -> file type, by Slicer's names
_TYPES = (
    ((".mrb", ".mrml"), "SceneFile"),
    ((".mrk.json", ".fcsv"), "MarkupsFile"),
    ((".seg.nrrd", ".seg.nii.gz"), "SegmentationFile"),
    ((".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm"), "VolumeFile"),
    ((".csv", ".tsv"), "TableFile"),
    ((".txt", ".json", ".xml"), "TextFile"),
)
_NODES = {
    "MarkupsFile": "vtkMRMLMarkupsFiducialNode",
    "SegmentationFile": "vtkMRMLSegmentationNode",
    "TableFile": "vtkMRMLTableNode",
    "TextFile": "vtkMRMLTextNode",
}


class qSlicerIOManager(QtCore.QObject):
    """Volumes, scenes, markups, tables, texts and segmentations; other types fail by name."""

    def __init__(self, scene, application_logic, parent=None):
        super().__init__(parent)
        self._scene, self._logic = scene, application_logic
        # Reading an .mrb unpacks it into the cache folder that this logic knows.
        self._cache = os.path.join(application_logic.GetTemporaryPath(), "cache")
        os.makedirs(self._cache, exist_ok=True)
        self._remote = slicer.vtkMRMLRemoteIOLogic()
        self._remote.SetMRMLScene(scene)
        self._remote.SetMRMLApplicationLogic(application_logic)
        self._remote.GetCacheManager().SetRemoteCacheDirectory(self._cache)
        self._data = slicer.vtkDataIOManagerLogic()
        self._data.SetMRMLScene(scene)
        self._data.SetMRMLApplicationLogic(application_logic)
        self._data.SetAndObserveDataIOManager(self._remote.GetDataIOManager())
        self._remote.AddDataIOToScene()

    def fileType(self, name):
        lower = str(name).lower()
        for endings, kind in _TYPES:
            if lower.endswith(endings):
                return kind
        return "NoFile"

    def fileWriterFileType(self, node):
        return node.GetClassName().removeprefix("vtkMRML").removesuffix("Node") + "File"

    # -- reading ----------------------------------------------------------------
    def loadNodes(self, kind, properties, loaded=None, messages=None):
        name = str(properties["fileName"])
        if not os.path.exists(name):
            _say(messages, f"The file does not exist: {name}")
            return False
        if kind == "SceneFile":
            # Slicer's scene readers keep what is there unless they are told to clear.
            return self.loadScene(name, properties.get("clear", False))
        if kind == "VolumeFile":
            node = self._load_volume(name, properties)
        elif kind in _NODES:
            node = self._load_stored(kind, name, properties, messages)
        else:
            raise NotImplementedError(f"EmbeddedSlicer cannot load the file type '{kind}'.")
        if node is None:
            return False
        if loaded is not None:
            loaded.AddItem(node)
        return True

    def _load_volume(self, name, properties):
        logic = self._logic.GetModuleLogic("Volumes")
        options = 0
        for bit, key in ((1, "labelmap"), (2, "center"), (4, "singleFile"), (8, "autoWindowLevel")):
            if properties.get(key, key == "autoWindowLevel"):
                options |= bit
        title = properties.get("name") or _stem(name)
        files = vtkStringArray()
        for item in properties.get("fileNames", ()):
            files.InsertNextValue(str(item))
        node = logic.AddArchetypeVolume(name, title, options, files)
        if node is not None and properties.get("show", True):
            selection = self._logic.GetSelectionNode()
            if node.IsA("vtkMRMLLabelMapVolumeNode"):
                selection.SetActiveLabelVolumeID(node.GetID())
            else:
                selection.SetActiveVolumeID(node.GetID())
            self._logic.PropagateVolumeSelection()
        return node

    def _load_stored(self, kind, name, properties, messages):
        title = properties.get("name") or _stem(name)
        node = self._scene.AddNewNodeByClass(_NODES[kind], title)
        if hasattr(node, "CreateDefaultDisplayNodes"):
            node.CreateDefaultDisplayNodes()
        storage = self._storage(node, name)
        if not storage.ReadData(node):
            _say(messages, f"Cannot read {name}")
            self._scene.RemoveNode(node)
            return None
        return node

    def loadScene(self, name, clear=True):
        """Open an .mrml file or an .mrb bundle; the old scene is closed first, or kept."""
        name = str(name)
        self._scene.SetURL(name)
        if name.lower().endswith(".mrb"):
            return bool(self._scene.ReadFromMRB(name, bool(clear)))
        return bool(self._scene.Connect() if clear else self._scene.Import())

    # -- writing ----------------------------------------------------------------
    def saveNodes(self, kind, properties, messages=None):
        name = str(properties["fileName"])
        if kind == "SceneFile":
            return self._save_scene(name, messages)
        node = self._scene.GetNodeByID(properties["nodeID"])
        if node is None or not hasattr(node, "AddDefaultStorageNode"):
            _say(messages, "There is no such node to save.")
            return False
        return bool(self._storage(node, name).WriteData(node))

    def _storage(self, node, name):
        """The node's storage node for a file; a text node has none unless it is asked for."""
        if hasattr(node, "SetForceCreateStorageNode"):
            node.SetForceCreateStorageNode(node.CreateStorageNodeAlways)
        node.AddDefaultStorageNode(name)
        storage = node.GetStorageNode()
        storage.SetFileName(name)
        return storage

    def saveScene(self, name):
        return self._save_scene(str(name), None)

    def _save_scene(self, name, messages):
        lower = name.lower()
        if lower.endswith(".mrb"):
            return bool(self._scene.WriteToMRB(name, None))
        if lower.endswith(".mrml"):
            self._scene.SetURL(name)
            self._scene.SetRootDirectory(os.path.dirname(os.path.abspath(name)))
            return bool(self._scene.Commit())
        # Any other name is a folder for the scene and its data.
        os.makedirs(name, exist_ok=True)
        return bool(self._logic.SaveSceneToSlicerDataBundleDirectory(name, None))


def _stem(name):
    name = os.path.basename(name)
    for endings, _kind in _TYPES:
        for ending in sorted(endings, key=len, reverse=True):
            if name.lower().endswith(ending):
                return name[: -len(ending)]
    return os.path.splitext(name)[0]


def _say(messages, text):
    if messages is not None:
        messages.AddMessage(vtkCommand.ErrorEvent, text)
