"""`slicer.app.coreIOManager()`: reading and writing nodes and scenes with the real storage nodes."""

from __future__ import annotations

from pathlib import Path

import slicer
from PySide6 import QtCore
from vtkmodules.vtkCommonCore import vtkCommand, vtkStringArray

# ending -> file type, by Slicer's names
_TYPES = (
    ((".mrb", ".mrml"), "SceneFile"),
    ((".seg.nrrd", ".seg.nii.gz"), "SegmentationFile"),
    ((".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm"), "VolumeFile"),
)


class qSlicerIOManager(QtCore.QObject):
    """Scenes, volumes and segmentations; other types fail by name."""

    def __init__(self, scene, application_logic, parent=None):
        super().__init__(parent)
        self._scene, self._logic = scene, application_logic
        # Reading an .mrb unpacks it into the cache folder that this logic knows.
        self._cache = Path(application_logic.GetTemporaryPath()) / "cache"
        self._cache.mkdir(parents=True, exist_ok=True)
        self._remote = slicer.vtkMRMLRemoteIOLogic()
        self._remote.SetMRMLScene(scene)
        self._remote.SetMRMLApplicationLogic(application_logic)
        self._remote.GetCacheManager().SetRemoteCacheDirectory(str(self._cache))
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

    # -- reading ----------------------------------------------------------------
    def loadNodes(self, kind, properties, loaded=None, messages=None):
        name = str(properties["fileName"])
        if not Path(name).exists():
            _say(messages, f"The file does not exist: {name}")
            return False
        if kind == "SceneFile":
            # Slicer's scene readers keep what is there unless they are told to clear.
            return self.loadScene(name, properties.get("clear", False))
        if kind == "VolumeFile":
            node = self._load_volume(name, properties)
        elif kind == "SegmentationFile":
            node = self._load_segmentation(name, properties, messages)
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

    def _load_segmentation(self, name, properties, messages):
        """A segmentation; what a plain label file lacks, names above all, Slicer makes up."""
        title = properties.get("name") or _stem(name)
        node = self._scene.AddNewNodeByClass("vtkMRMLSegmentationNode", title)
        node.CreateDefaultDisplayNodes()
        node.AddDefaultStorageNode(name)
        node.GetStorageNode().SetFileName(name)
        if not node.GetStorageNode().ReadData(node):
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
        """Save a scene, or a node with the storage node that is its own by default."""
        name = str(properties["fileName"])
        if kind == "SceneFile":
            return self.saveScene(name)
        node = self._scene.GetNodeByID(properties["nodeID"])
        if node is None or not hasattr(node, "AddDefaultStorageNode"):
            _say(messages, "There is no such node to save.")
            return False
        node.AddDefaultStorageNode(name)
        node.GetStorageNode().SetFileName(name)
        return bool(node.GetStorageNode().WriteData(node))

    def fileWriterFileType(self, node):
        return node.GetClassName().removeprefix("vtkMRML").removesuffix("Node") + "File"

    def saveScene(self, name):
        """Write an .mrb bundle or, without the data beside it, an .mrml file."""
        name = str(name)
        if name.lower().endswith(".mrb"):
            return bool(self._scene.WriteToMRB(name, None))
        if name.lower().endswith(".mrml"):
            self._scene.SetURL(name)
            self._scene.SetRootDirectory(str(Path(name).resolve().parent))
            return bool(self._scene.Commit())
        raise NotImplementedError("EmbeddedSlicer saves scenes as .mrb or .mrml.")


def _stem(name):
    name = Path(name).name
    for endings, _kind in _TYPES:
        for ending in sorted(endings, key=len, reverse=True):
            if name.lower().endswith(ending):
                return name[: -len(ending)]
    return Path(name).stem


def _say(messages, text):
    if messages is not None:
        messages.AddMessage(vtkCommand.ErrorEvent, text)
