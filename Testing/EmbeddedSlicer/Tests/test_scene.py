"""EmbeddedSlicer's scene, files, slice views and module life."""

import time
from pathlib import Path

import numpy as np
import pytest

testing = pytest.importorskip("EmbeddedSlicer.testing", exc_type=ImportError)

EXAMPLE = Path(__file__).parents[1] / "Example" / "Example.py"


@pytest.fixture(autouse=True)
def application():
    app = testing.start()
    testing.clean_scene()
    yield app
    testing.clean_scene()


@pytest.fixture
def slicer():
    import slicer

    return slicer


@pytest.fixture
def example():
    import EmbeddedSlicer

    return EmbeddedSlicer.open_module(EXAMPLE)


def phantom(slicer, name="phantom"):
    """A volume of 40 x 50 x 60 voxels of 2 x 3 x 4 mm, with one bright voxel."""
    array = np.full((60, 50, 40), -1000, np.int16)
    array[10:50, 10:40, 10:30] = 50
    array[30, 25, 20] = 1500
    matrix = np.diag([2.0, 3.0, 4.0, 1.0])
    matrix[:3, 3] = (-40, -75, -120)
    node = slicer.util.addVolumeFromArray(array, matrix, name)
    slicer.util.setSliceViewerLayers(background=node, fit=True)
    testing.process()
    return node


def pixels(name):
    """Grey values of a slice view as shown, rows from the top."""
    image = testing.slice_view(name).grab().toImage()
    image = image.convertToFormat(image.Format.Format_Grayscale8)
    data = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), -1)
    return data[:, : image.width()].copy()


# -- scene and files -----------------------------------------------------------
def test_volume_and_array(slicer):
    node = phantom(slicer)
    array = slicer.util.arrayFromVolume(node)
    assert array.shape == (60, 50, 40) and array[30, 25, 20] == 1500
    assert node.GetSpacing() == (2.0, 3.0, 4.0)
    slicer.util.updateVolumeFromArray(node, array + 1)
    assert slicer.util.arrayFromVolume(node)[30, 25, 20] == 1501
    assert slicer.util.getNode("phantom") is node
    with pytest.raises(slicer.util.MRMLNodeNotFoundException):
        slicer.util.getNode("absent")


@pytest.mark.parametrize("kind", ["mrb", "mrml"])
def test_a_saved_scene_reopens_as_it_was(slicer, tmp_path, kind):
    node = phantom(slicer)
    points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Points")
    points.CreateDefaultDisplayNodes()
    points.AddControlPoint([1.0, 2.0, 3.0], "L1")
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "Results")
    slicer.util.updateTableFromArray(table, np.array([[0.9, 1.1]]), ["low", "high"])
    parameters = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "Module")
    parameters.SetParameter("sex", "FEMALE")
    parameters.SetNodeReferenceID("inputVolume", node.GetID())
    before = slicer.util.arrayFromVolume(node).copy()

    path = tmp_path / f"s.{kind}"
    if kind == "mrml":  # such a file has no data beside it until the nodes are saved
        for item in (node, points, table):
            ending = {"vtkMRMLScalarVolumeNode": ".nrrd", "vtkMRMLTableNode": ".tsv"}
            file = tmp_path / (item.GetName() + ending.get(item.GetClassName(), ".mrk.json"))
            assert slicer.util.saveNode(item, str(file), {})
    assert slicer.util.saveScene(str(path), {})
    slicer.mrmlScene.Clear()
    assert not slicer.util.getNodesByClass("vtkMRMLTableNode")
    slicer.util.loadScene(str(path), {})

    node = slicer.util.getNode("phantom")
    assert np.array_equal(slicer.util.arrayFromVolume(node), before)
    points = slicer.util.getNode("Points")
    assert points.GetNthControlPointLabel(0) == "L1"
    assert np.allclose(points.GetNthControlPointPosition(0), (1, 2, 3))
    table = slicer.util.getNode("Results")
    assert table.GetTable().GetNumberOfColumns() == 2
    parameters = slicer.util.getNode("Module")
    assert parameters.GetParameter("sex") == "FEMALE"
    assert parameters.GetNodeReference("inputVolume") is node
    composite = testing.slice_view("Red").sliceLogic().GetSliceCompositeNode()
    assert composite.GetBackgroundVolumeID() == node.GetID()


def test_loading_what_is_not_there_fails(slicer, tmp_path):
    with pytest.raises(RuntimeError, match="does not exist"):
        slicer.util.loadVolume(str(tmp_path / "absent.nii.gz"), {})
    (tmp_path / "broken.nrrd").write_bytes(b"no such thing")
    with pytest.raises(RuntimeError):
        slicer.util.loadVolume(str(tmp_path / "broken.nrrd"), {})
    with pytest.raises(NotImplementedError, match="FiberBundle"):
        slicer.app.coreIOManager().loadNodes("FiberBundle", {"fileName": str(tmp_path)})


def test_save_and_load_a_volume(slicer, tmp_path):
    node = phantom(slicer)
    for name in ("one.nrrd", "two.nii.gz"):
        assert slicer.util.saveNode(node, str(tmp_path / name), {})
        back = slicer.util.loadVolume(str(tmp_path / name), {"show": False})
        assert np.array_equal(slicer.util.arrayFromVolume(back), slicer.util.arrayFromVolume(node))
        assert back.GetName() == name.split(".")[0]
        slicer.mrmlScene.RemoveNode(back)


def test_segments_of_a_label_file_are_named_by_their_number(slicer, tmp_path):
    labels = np.zeros((60, 50, 40), np.int16)
    labels[10:20], labels[30:40] = 26, 27
    node = slicer.util.addVolumeFromArray(labels, None, "l", "vtkMRMLLabelMapVolumeNode")
    path = str(tmp_path / "labels.nii.gz")
    assert slicer.util.saveNode(node, path, {})
    segmentation = slicer.util.loadSegmentation(path).GetSegmentation()
    ids = [segmentation.GetNthSegmentID(i) for i in range(segmentation.GetNumberOfSegments())]
    names = [segmentation.GetSegment(i).GetName() for i in ids]
    assert names == ["Segment_26", "Segment_27"]


# -- slice views ---------------------------------------------------------------
def test_slice_views_show_the_volume(slicer):
    node = phantom(slicer)
    assert slicer.app.layoutManager().sliceViewNames() == ("Red", "Yellow", "Green")
    centre = [0.0, 0.0, 0.0]
    node.GetDisplayNode().SetAutoWindowLevel(False)
    node.GetDisplayNode().SetWindowLevel(400, 40)
    for name in ("Red", "Yellow", "Green"):
        testing.show_slice(name, centre)
        picture = pixels(name)
        place = testing.view_position(name, (8.0, 15.0, 16.0))
        outside = testing.view_position(name, (-35.0, -70.0, -115.0))
        assert 110 < picture[place.y(), place.x()] < 160, name  # 50 HU in 400/40
        assert picture[outside.y(), outside.x()] < 20, name
    bright = testing.view_position("Red", centre)
    testing.show_slice("Red", centre)
    assert pixels("Red")[bright.y(), bright.x()] > 240
    node.GetDisplayNode().SetWindowLevel(4000, 1000)
    testing.process()
    assert pixels("Red")[bright.y(), bright.x()] < 200


def test_radiological_convention(slicer):
    """The patient's right is on the left of the axial and coronal views, anterior up in axial."""
    phantom(slicer)
    right, left = (testing.view_position("Red", (x, 0, 0)) for x in (20, -20))
    assert right.x() < left.x()
    front, back = (testing.view_position("Red", (0, y, 0)) for y in (20, -20))
    assert front.y() < back.y()
    head, foot = (testing.view_position("Green", (0, 0, z)) for z in (20, -20))
    assert head.y() < foot.y()
    right, left = (testing.view_position("Green", (x, 0, 0)) for x in (20, -20))
    assert right.x() < left.x()


def test_scrolling_changes_the_slice(slicer):
    phantom(slicer)
    view = testing.slice_view("Red")
    before = view.sliceLogic().GetSliceOffset()
    testing.turn_wheel(view)
    assert abs(view.sliceLogic().GetSliceOffset() - before) == pytest.approx(4.0)
    slicer.vtkMRMLSliceNode.JumpAllSlices(
        slicer.mrmlScene, 0, 0, 12, slicer.vtkMRMLSliceNode.OffsetJumpSlice
    )
    assert view.sliceLogic().GetSliceOffset() == pytest.approx(12)


def test_mouse_and_keys_do_what_they_do_in_slicer(slicer):
    """Right button zooms, middle pans, left sets the window only in that mode, keys step."""
    from PySide6 import QtCore, QtTest

    volume = phantom(slicer)
    view = testing.slice_view("Red")
    node, display = view.mrmlSliceNode(), volume.GetDisplayNode()
    interaction = slicer.app.applicationLogic().GetInteractionNode()

    def drag(button):
        place = QtCore.QPoint(120, 150)
        QtTest.QTest.mouseMove(view, place)
        QtTest.QTest.mousePress(view, button, pos=place)
        for step in range(1, 8):
            QtTest.QTest.mouseMove(view, place + QtCore.QPoint(4 * step, 6 * step))
        QtTest.QTest.mouseRelease(view, button, pos=place + QtCore.QPoint(28, 42))
        testing.process()

    buttons = QtCore.Qt.MouseButton
    wide, origin = node.GetFieldOfView()[0], node.GetXYZOrigin()
    drag(buttons.RightButton)
    assert node.GetFieldOfView()[0] != pytest.approx(wide)
    drag(buttons.MiddleButton)
    assert node.GetXYZOrigin() != origin
    before = display.GetWindow(), display.GetLevel()
    drag(buttons.LeftButton)
    assert (display.GetWindow(), display.GetLevel()) == before
    interaction.SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.AdjustWindowLevel)
    drag(buttons.LeftButton)
    assert (display.GetWindow(), display.GetLevel()) != before
    interaction.SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.ViewTransform)
    offset = view.sliceLogic().GetSliceOffset()
    QtTest.QTest.keyClick(view, QtCore.Qt.Key.Key_Up)
    assert view.sliceLogic().GetSliceOffset() == pytest.approx(offset + 4)
    QtTest.QTest.keyClick(view, QtCore.Qt.Key.Key_R)
    assert node.GetFieldOfView()[0] == pytest.approx(wide)


def test_a_point_is_placed_with_the_mouse(slicer):
    from PySide6 import QtCore, QtTest

    phantom(slicer)
    points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Points")
    points.CreateDefaultDisplayNodes()
    logic = slicer.app.applicationLogic()
    logic.GetSelectionNode().SetReferenceActivePlaceNodeClassName("vtkMRMLMarkupsFiducialNode")
    logic.GetSelectionNode().SetActivePlaceNodeID(points.GetID())
    logic.GetInteractionNode().SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.Place)
    testing.show_slice("Red", (0, 0, 8))
    view, place = testing.slice_view("Red"), testing.view_position("Red", (6, 9, 8))
    QtTest.QTest.mouseMove(view, place - QtCore.QPoint(20, 20))
    testing.process()
    QtTest.QTest.mouseMove(view, place)
    testing.process()
    QtTest.QTest.mouseClick(view, QtCore.Qt.MouseButton.LeftButton, pos=place)
    testing.process()
    assert points.GetNumberOfDefinedControlPoints() == 1
    assert np.allclose(points.GetNthControlPointPosition(0), (6, 9, 8), atol=1)
    mode = logic.GetInteractionNode().GetCurrentInteractionMode()
    assert mode == slicer.vtkMRMLInteractionNode.ViewTransform


def test_the_controller_follows_and_moves_the_slice(slicer):
    from PySide6 import QtWidgets

    phantom(slicer)
    widget = testing.start()._layout_manager.sliceWidget("Red")
    box = widget.findChild(QtWidgets.QDoubleSpinBox)
    widget.sliceLogic().SetSliceOffset(8.0)
    assert box.value() == pytest.approx(8.0)
    testing.type_into(box, "-12")
    assert widget.sliceLogic().GetSliceOffset() == pytest.approx(-12)


def test_a_control_point_is_seen_and_dragged(slicer):
    phantom(slicer)
    testing.show_slice("Red", (0, 0, 0))
    empty = pixels("Red")
    points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Points")
    points.CreateDefaultDisplayNodes()
    points.AddControlPoint([10.0, 20.0, 4.0], "L1")
    events = []
    for name in ("PointStartInteractionEvent", "PointModifiedEvent", "PointEndInteractionEvent"):
        points.AddObserver(
            getattr(slicer.vtkMRMLMarkupsNode, name), lambda *_, name=name: events.append(name)
        )
    testing.show_slice("Red", (10, 20, 4))
    assert (np.abs(pixels("Red").astype(int) - empty) > 60).sum() > 20
    testing.drag_point(points, 0, "Red", (-6.0, -9.0, 4.0))
    moved = points.GetNthControlPointPosition(0)
    assert np.allclose(moved, (-6.0, -9.0, 4.0), atol=1.0), moved
    assert events[0] == "PointStartInteractionEvent"
    assert events[-1] == "PointEndInteractionEvent"
    assert "PointModifiedEvent" in events
    points.SetLocked(True)
    testing.drag_point(points, 0, "Red", (15.0, 15.0, 4.0))
    assert points.GetNthControlPointPosition(0) == moved


def test_a_point_is_dragged_in_the_sagittal_view(slicer):
    phantom(slicer)
    points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Points")
    points.CreateDefaultDisplayNodes()
    points.AddControlPoint([0.0, 20.0, 4.0], "L1")
    testing.drag_point(points, 0, "Yellow", (0.0, 5.0, 40.0))
    assert np.allclose(points.GetNthControlPointPosition(0), (0, 5, 40), atol=1.5)


# -- the application -----------------------------------------------------------
def test_application(slicer):
    app = slicer.app
    assert app.majorVersion == 5 and app.minorVersion >= 10
    assert app.testingEnabled() is False
    assert slicer.util.mainWindow().objectName == "qSlicerMainWindow"
    assert app.layoutManager().sliceWidget("Purple") is None
    assert app.layoutManager().sliceWidget("Red").sliceLogic().GetSliceNode().GetName() == "Red"
    with pytest.raises(AttributeError):
        app.noSuchThing  # noqa: B018
    assert not hasattr(slicer, "packaging")
    with pytest.raises(ImportError):
        import PyTorchUtils  # noqa: F401
    app.processEvents()
    slicer.app.settings().setValue("Embedded/Test", "kept")
    import qt

    assert qt.QSettings().value("Embedded/Test") == "kept"
    assert slicer.util.settingsValue("Embedded/Absent", 3) == 3


def test_messages_are_asked_and_recorded(slicer):
    with testing.answering("Ok", "Ok", "Cancel", "Yes") as shown:
        slicer.util.errorDisplay("It failed.")
        slicer.util.infoDisplay("It is done.", windowTitle="Done")
        assert slicer.util.confirmOkCancelDisplay("Overwrite?") is False
        assert slicer.util.confirmYesNoDisplay("Really?") is True
    assert [item.text for item in shown] == ["It failed.", "It is done.", "Overwrite?", "Really?"]
    assert shown[1].title == "Done"


def test_try_with_error_display_shows_and_raises(slicer):
    with (
        testing.answering("Ok") as shown,
        pytest.raises(ValueError, match="no such file"),
        slicer.util.tryWithErrorDisplay("Could not do it.", waitCursor=True),
    ):
        raise ValueError("no such file")
    assert shown[0].text == "Could not do it.\n\nno such file"
    assert "Traceback" in shown[0].details


def test_progress_dialog_and_delay_display(slicer):
    progress = slicer.util.createProgressDialog(labelText="Working", maximum=10)
    progress.value = 5
    assert (progress.value, progress.labelText) == (5, "Working")
    assert progress.wasCanceled is False
    progress.close()
    slicer.util.delayDisplay("a moment", 10)
    start = time.monotonic()
    with testing.no_slot_errors():
        slicer.util.delayDisplay("a moment", 450)
        testing.process()
    assert time.monotonic() - start > 0.4  # it was shown that long


def test_vtk_observation_mixin(slicer):
    class Watcher(slicer.util.VTKObservationMixin):
        def __init__(self):
            super().__init__()
            self.seen = 0

        def look(self, caller, event):
            self.seen += 1

    node = phantom(slicer)
    watcher = Watcher()
    watcher.addObserver(node, "ModifiedEvent", watcher.look)
    node.Modified()
    watcher.removeObservers()
    node.Modified()
    assert watcher.seen == 1


# -- a scripted module ---------------------------------------------------------
def test_a_module_opens_and_works(slicer, example):
    volume = phantom(slicer)
    assert example.ui.volumeSelector.nodeCount() == 1
    testing.choose(example.ui.volumeSelector, "phantom")
    assert example.ui.volumeSelector.currentNode() is volume
    with testing.no_slot_errors():
        testing.click(example.ui.pointButton)
    assert example.ui.statusLabel.text == "1 point(s)"
    assert slicer.util.getNode("Points").GetNumberOfControlPoints() == 1


def test_errors_in_a_panel_are_noticed(slicer, example, capfd):
    testing.choose(example.ui.volumeSelector, "None")
    with pytest.raises(AssertionError, match="exception in a slot"), testing.no_slot_errors():
        testing.click(example.ui.pointButton)


def test_errors_in_observers_and_overridden_methods_are_noticed(slicer, capfd):
    import qt

    def bad(caller, event):
        raise ValueError("the observer failed")

    node = phantom(slicer)
    tag = node.AddObserver("ModifiedEvent", bad)
    with pytest.raises(AssertionError, match="the observer failed"), testing.no_slot_errors():
        node.Modified()
    node.RemoveObserver(tag)

    class Bad(qt.QWidget):
        def showEvent(self, event):
            raise ValueError("the event failed")

    widget = Bad()
    with pytest.raises(AssertionError, match="the event failed"), testing.no_slot_errors():
        widget.show()
        testing.process()
    widget.hide()
    assert "the observer failed" in capfd.readouterr().err


def test_scene_close_reaches_the_module(slicer, example):
    example.calls.clear()
    slicer.mrmlScene.Clear()
    assert example.calls == ["startClose", "endClose"]


OTHER = """
import qt, slicer
from slicer.ScriptedLoadableModule import *
class Other(ScriptedLoadableModule):
    def __init__(self, parent):
        super().__init__(parent)
        parent.title = "Another"
        slicer.app.connect("startupCompleted()", lambda: setattr(slicer, "otherStarted", True))
class OtherWidget(ScriptedLoadableModuleWidget):
    def setup(self):
        super().setup()
        self.layout.addWidget(qt.QLabel("another module"))
"""


def test_enter_and_exit(slicer, example, tmp_path):
    import EmbeddedSlicer

    assert example.parent.isEntered
    example.calls.clear()
    (tmp_path / "Other.py").write_text(OTHER)
    other = EmbeddedSlicer.open_module(tmp_path / "Other.py")
    assert slicer.otherStarted
    assert example.calls == ["exit"] and not example.parent.isEntered
    assert slicer.util.selectedModule() == "Other" and other.parent.isEntered
    slicer.util.selectModule("Example")
    slicer.util.selectModule("Example")
    assert example.calls == ["exit", "enter"] and example.parent.isEntered
    assert EmbeddedSlicer.open_module(EXAMPLE) is example
    with pytest.raises(RuntimeError, match="no module with a panel"):
        slicer.util.selectModule("Absent")


def test_reload(slicer, example):
    example.calls.clear()
    example.onReload()
    fresh = slicer.util.getModuleWidget("Example")
    assert fresh is not example and type(fresh) is not type(example)
    assert "cleanup" in example.calls
    assert fresh.ui.statusLabel.text == "No point"
    testing.process()
    phantom(slicer)
    testing.choose(fresh.ui.volumeSelector, "phantom")
    testing.click(fresh.ui.pointButton)
    assert fresh.ui.statusLabel.text == "1 point(s)"


def test_run_test_of_a_module(slicer, example):
    slicer.selfTests["Example"]()
    assert slicer.util.getNode("Points").GetNumberOfControlPoints() == 1


def test_modules_by_name(slicer, example):
    assert slicer.util.getModule("Example").title == "Example"
    assert slicer.modules.example.widgetRepresentation().self() is example
    assert slicer.util.getModuleLogic("Example") is example.logic
    assert slicer.modules.example.logic().IsA("vtkSlicerScriptedLoadableModuleLogic")
    assert slicer.modules.markups.logic().IsA("vtkSlicerMarkupsLogic")
    assert slicer.util.getModuleLogic("Volumes").IsA("vtkSlicerVolumesLogic")
    assert slicer.util.modulePath("Example") == str(EXAMPLE)
    with pytest.raises(RuntimeError, match="Could not find module"):
        slicer.util.getModule("TotalSegmentator")


def test_resource_path(example):
    assert example.resourcePath("UI/Example.ui").endswith("Example/Resources/UI/Example.ui")


# -- layouts and plots ---------------------------------------------------------------
SLICES = "".join(
    f'<item><view class="vtkMRMLSliceNode" singletontag="{name}"/></item>'
    for name in ("Yellow", "Red")
)
PLOT = '<item><view class="vtkMRMLPlotViewNode" singletontag="PlotView1"/></item>'


def test_a_described_layout_shows_its_views_and_no_others(slicer):
    manager = slicer.app.layoutManager()
    node = manager.layoutLogic().GetLayoutNode()
    node.AddLayoutDescription(
        777, f'<layout type="horizontal" split="true">{SLICES}{PLOT}</layout>'
    )
    changed = []
    manager.layoutChanged.connect(changed.append)
    manager.setLayout(777)
    try:
        assert manager.layout == 777 and changed == [777]
        shown = [
            testing.raw(manager.sliceWidget(x)).isVisible() for x in ("Yellow", "Red", "Green")
        ]
        assert shown == [True, True, False]
        places = [testing.raw(manager.sliceWidget(x)).x() for x in ("Yellow", "Red")]
        assert places == sorted(places)
        assert testing.raw(manager.plotWidget(0)).isVisible() and manager.plotWidget(7) is None
    finally:
        manager.setLayout(3)
    assert testing.raw(manager.sliceWidget("Green")).isVisible()
    assert not testing.raw(manager.plotWidget(0)).isVisible()


def test_the_layout_is_in_the_scene_and_an_unknown_one_has_no_views(slicer, tmp_path, capfd):
    manager = slicer.app.layoutManager()
    node = manager.layoutLogic().GetLayoutNode()
    assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode") is node
    path = tmp_path / "scene.mrml"
    assert slicer.util.saveScene(str(path))
    text = path.read_text()
    assert 'currentViewArrangement="3"' in text
    red = testing.raw(manager.sliceWidget("Red"))
    for number, seen in ((3, True), (2, True), (999, False), (3, True)):
        path.write_text(
            text.replace('currentViewArrangement="3"', f'currentViewArrangement="{number}"')
        )
        slicer.util.loadScene(str(path))
        assert (manager.layout, red.isVisible()) == (number, seen)
    assert "Can't find layout:999" in capfd.readouterr().err
    slicer.mrmlScene.Clear()
    assert manager.layout == 3 and manager.layoutLogic().GetLayoutNode().GetScene() is not None


@pytest.mark.parametrize("view", ["vtkMRMLViewNode", "vtkMRMLTableViewNode"])
def test_a_layout_with_views_that_are_not_made_raises(slicer, view):
    manager = slicer.app.layoutManager()
    node = manager.layoutLogic().GetLayoutNode()
    number = 778 if view == "vtkMRMLViewNode" else 779
    text = f'<layout type="vertical"><item><view class="{view}" singletontag="1"/></item></layout>'
    node.AddLayoutDescription(number, text)
    before = manager.layout
    with pytest.raises(NotImplementedError, match=view):
        manager.setLayout(number)
    assert manager.layout == before
    assert testing.raw(manager.sliceWidget("Red")).isVisible()
    with pytest.raises(NotImplementedError, match="layout 780"):
        manager.setLayout(780)


# -- the DICOM module's database -----------------------------------------------------------
def dicom_slice(path, number, position, value):
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
    data.StudyInstanceUID, data.SeriesInstanceUID = "1.2.1", "1.2.2"
    data.PatientID, data.SeriesNumber, data.SeriesDescription = "somebody", 4, "Bone"
    data.ImageOrientationPatient, data.PixelSpacing = [1, 0, 0, 0, 1, 0], [0.5, 0.75]
    data.ImagePositionPatient, data.RescaleSlope, data.RescaleIntercept = position, 1, -1000
    data.Rows, data.Columns, data.SamplesPerPixel = 2, 3, 1
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 0
    data.PhotometricInterpretation = "MONOCHROME2"
    data.PixelData = np.full((2, 3), value, np.uint16).tobytes()
    data.save_as(path, enforce_file_format=True)


def test_a_series_comes_from_a_temporary_dicom_database(slicer, tmp_path, caplog):
    from DICOMLib import DICOMUtils

    for number, height in enumerate((12.0, 10.0, 14.0)):
        dicom_slice(tmp_path / f"{number}.dcm", number, [5.0, 6.0, height], 1000 + number)
    before = slicer.dicomDatabase
    with DICOMUtils.TemporaryDICOMDatabase() as database:
        assert slicer.dicomDatabase is database and database.patients() == ()
        assert DICOMUtils.importDicom(str(tmp_path), database)
        assert database.patients() == ("1",)
        (name,) = DICOMUtils.loadPatientByUID("1")
        assert database.fileForInstance("1.2.3.2") == str(tmp_path / "2.dcm")
        (tmp_path / "notes.txt").write_text("no DICOM")
        database.insert(str(tmp_path / "notes.txt"))
        assert "Failed to insert" in caplog.text and database.fileForInstance("9") == ""
    assert slicer.dicomDatabase is before and not database.isOpen
    node = slicer.mrmlScene.GetNodeByID(name)
    assert node.GetName() == "4: Bone"
    assert node.GetAttribute("DICOM.instanceUIDs") == "1.2.3.1 1.2.3.0 1.2.3.2"
    assert slicer.util.arrayFromVolume(node)[:, 0, 0].tolist() == [1, 0, 2]
    assert node.GetOrigin() == (-5.0, -6.0, 10.0) and node.GetSpacing() == (0.75, 0.5, 2.0)
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    names = slicer.vtkMRMLSubjectHierarchyConstants
    item = tree.GetItemByDataNode(node)
    patient = tree.GetItemAncestorAtLevel(item, names.GetDICOMLevelPatient())
    assert tree.GetItemUID(patient, names.GetDICOMUIDName()) == "somebody"
