"""The slice views: which slice is shown, and showing another."""

import slicer
import vtk

BONE_WINDOW = (700.0, 150.0)
"""Window and level in HU."""
WINDOWED = "CTBMD.BoneWindow"
"""Attribute of a CT that has had its bone window."""
STEPS_PER_MM = 10
"""Steps of the panel's slice slider, which counts in whole numbers."""


def axialS(scene=None):
    """S in mm of the axial slice shown now, or None where none is axial.

    The red view is asked first.
    """
    node = axialSliceNode(scene)
    return None if node is None else node.GetSliceToRAS().GetElement(2, 3)


def axialSliceNode(scene=None):
    """The slice node of an axial view, the red one by preference, or None."""
    scene = scene or slicer.mrmlScene
    nodes = [
        scene.GetNthNodeByClass(index, "vtkMRMLSliceNode")
        for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceNode"))
    ]
    nodes.sort(key=lambda node: node.GetLayoutName() != "Red")
    for node in nodes:
        if abs(node.GetSliceToRAS().GetElement(2, 2)) > 0.98:
            return node
    return None


def jumpTo(ras, axialOnly=False):
    """Show a place in the slice views, without moving them sideways."""
    if axialOnly:
        node = axialSliceNode()
        if node is not None:
            node.JumpSliceByOffsetting(*ras)
        return
    slicer.vtkMRMLSliceNode.JumpAllSlices(
        slicer.mrmlScene, ras[0], ras[1], ras[2], slicer.vtkMRMLSliceNode.OffsetJumpSlice
    )


def showMidline(places):
    """Sagittal and coronal views through the middle of some places in RAS mm; none changes nothing."""
    if not places:
        return
    r, a, s = (sorted(axis)[len(axis) // 2] for axis in zip(*places, strict=True))
    for name in ("Yellow", "Green"):
        node = slicer.mrmlScene.GetNodeByID(f"vtkMRMLSliceNode{name}")
        if node is not None:
            node.JumpSliceByOffsetting(r, a, s)


def showVolume(node):
    """Show a volume in the slice views, the first time with a bone window; None changes nothing."""
    if node is not None:
        boneWindowOnce(node)
        slicer.util.setSliceViewerLayers(background=node, fit=True)
        reset3D()


def reset3D():
    """Let the 3-D views look at what is there: after another CT they may look past it."""
    manager = slicer.app.layoutManager()
    if manager is not None:
        manager.resetThreeDViews()


def boneWindow(node):
    """Show a CT with bone and soft tissue both to be told, as window 700 and level 150."""
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevel(*BONE_WINDOW)
    node.SetAttribute(WINDOWED, "yes")


def boneWindowOnce(node):
    """The bone window for a CT that has not had it: what a person sets afterwards stays."""
    if node is not None and node.GetAttribute(WINDOWED) is None and node.GetImageData() is not None:
        boneWindow(node)


def sRange(volumeNode):
    """Lowest and highest S in mm of a volume node, or None."""
    if volumeNode is None:
        return None
    bounds = [0.0] * 6
    volumeNode.GetRASBounds(bounds)
    if not vtk.vtkMath.AreBoundsInitialized(bounds) or bounds[5] <= bounds[4]:
        return None
    return bounds[4], bounds[5]
