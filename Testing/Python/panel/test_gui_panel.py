"""The panel with the mouse: volume, levels, estimate, export, scene; on a phantom."""

import csv
import json
import os
import threading

import gui_helpers as gui
import numpy as np
import phantoms
import pytest

gui.start()

import slicer  # noqa: E402

PATIENCE_S = 300  # for a machine that does much else at the same time
L1, L2, L3 = (phantoms.CENTRES[x] for x in ("L1", "L2", "L3"))


@pytest.fixture
def widget():
    with gui.opened_module() as opened:
        yield opened


@pytest.fixture
def panel(widget):
    return widget.panel


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Folder of an untrained bundle: the panel's work is tested, not the network's."""
    folder = tmp_path_factory.mktemp("bundle") / "untrained"
    phantoms.bundle(folder)
    return str(folder)


def add_volume(panel, name="phantom", **facts):
    from CTBMDPanel import volumes

    volume = phantoms.phantom(**facts)
    object.__setattr__(volume, "name", name)
    node = volumes.addVolumeNode(volume)
    panel.parameterNode.inputVolume = node
    gui.process()
    return node


def add_level(panel, level, ras):
    gui.choose(panel.ui.levelCombo, level)
    gui.show_slice("Red", ras)
    gui.click(panel.ui.addButton)


def three_levels(panel):
    for level, ras in (("L1", L1), ("L2", L2), ("L3", L3)):
        add_level(panel, level, ras)
        node = panel.parameterNode.levelPoints
        index = labels(panel).index(level)
        node.SetNthControlPointPositionWorld(index, *ras)
    gui.process()


def labels(panel):
    node = panel.parameterNode.levelPoints
    return [node.GetNthControlPointLabel(i) for i in range(node.GetNumberOfControlPoints())]


def point(panel, level):
    node = panel.parameterNode.levelPoints
    return np.array(node.GetNthControlPointPositionWorld(labels(panel).index(level)))


def cell(panel, row, column):
    return gui.raw(panel.ui.levelTable).item(row, column).text()


def click_cell(panel, row, column=1):
    table = gui.raw(panel.ui.levelTable)
    gui.show(table)
    rectangle = table.visualItemRect(table.item(row, column))
    position = rectangle.center()
    if column == 0:
        position.setX(rectangle.left() + 10)
    gui.click(table.viewport(), position)


def estimate(panel, model):
    panel.parameterNode.modelFolder = model
    gui.process()
    gui.click(panel.ui.estimateButton)
    gui.wait_until(lambda: not panel.runner.busy, PATIENCE_S, "the estimate")
    assert panel.result is not None, panel.lastError


# -- nothing loaded ---------------------------------------------------------------------
def test_an_empty_scene_shows_a_usable_panel(panel):
    ui = panel.ui
    assert "Research use only, not a medical device." in ui.researchUseLabel.text
    assert "simulated CT" in ui.researchUseLabel.text
    for button in (ui.findButton, ui.estimateButton, ui.exportButton, ui.copyButton):
        assert not button.enabled
    for button in (ui.useSliceButton, ui.shiftUpButton, ui.addButton, ui.undoButton):
        assert not button.enabled
    assert gui.raw(ui.sampleButton).isVisible()
    assert not gui.raw(ui.resultView).isVisible()


def panel_area(widget):
    """The scroll area that Slicer shows the module in."""
    area = gui.raw(widget.parent).parent().parent().parent()
    assert area.inherits("QScrollArea") and area.window().width() > 1000
    return area


@pytest.fixture
def panel_of_width(widget):
    """Function that makes the module panel so many pixels wide; ends as it was."""
    area = panel_area(widget)
    old = area.minimumWidth(), area.maximumWidth()
    yield area.setFixedWidth
    area.setMinimumWidth(old[0])
    area.setMaximumWidth(old[1])


@pytest.mark.parametrize("width", [350, 379])
def test_the_panel_fits_the_width_that_slicer_gives_it(panel, widget, model, panel_of_width, width):
    from PySide6 import QtCore, QtWidgets

    panel_of_width(width)
    add_volume(panel, name="a CT with a name that is longer than the panel is wide", sex="F")
    three_levels(panel)
    estimate(panel, model)
    area, module = panel_area(widget), gui.raw(widget.parent)
    for child in module.findChildren(QtWidgets.QWidget):
        if child.inherits("ctkCollapsibleButton"):
            child.setChecked(True)
    gui.process(10)
    assert area.width() == width
    for child in module.findChildren(QtWidgets.QWidget):
        table = isinstance(child.parent(), QtWidgets.QAbstractScrollArea) or (
            child.parent() is not None and child.parent().objectName().startswith("qt_scrollarea")
        )
        if child.isVisible() and child.objectName() and not table:
            right = child.mapTo(module, QtCore.QPoint(child.width(), 0)).x()
            assert right <= module.width() <= area.viewport().width(), child.objectName()


@pytest.mark.parametrize("width", [350, 379])
def test_both_tables_fit_a_narrow_panel(panel, model, panel_of_width, width):
    """In the real Slicer the last column was cut and a scroll bar came."""
    panel_of_width(width)
    add_volume(panel, sex="F", kvp=70.0)  # outside 80-140 kV: a warning in the L1-L4 row
    three_levels(panel)
    panel.parameterNode.levelPoints.SetNthControlPointPositionWorld(0, L1[0], L1[1] + 60, L1[2])
    gui.choose(panel.ui.referenceCombo, gui.raw(panel.ui.referenceCombo).itemText(1))
    estimate(panel, model)
    gui.process(10)
    for name in ("levelTable", "resultView"):
        table = gui.raw(getattr(panel.ui, name))
        gui.show(table)
        room, header = table.viewport(), table.horizontalHeader()
        assert header.length() <= room.width(), name
        assert table.verticalHeader().length() <= room.height(), name
        assert not table.horizontalScrollBar().isVisible(), name
        for column in range(table.columnCount()):
            assert header.sectionSize(column) >= header.sectionSizeHint(column), (name, column)
            for row in range(table.rowCount()):
                hint = table.sizeHintForIndex(table.model().index(row, column)).width()
                assert table.columnWidth(column) >= hint, (name, row, column)


def test_findings_stand_beside_their_level_with_a_sign(panel, model):
    add_volume(panel, kvp=70.0)
    three_levels(panel)
    index = labels(panel).index("L2")
    panel.parameterNode.levelPoints.SetNthControlPointPositionWorld(index, 60.0, -20.0, L2[2])
    estimate(panel, model)
    said = panel.ui.findingsLabel.text
    assert said.index("80-140") < said.index("<b>L2</b>") < said.index(panel.result.disclaimer)
    of_l2 = [x.text for x in panel.result.findings if x.level == "L2"]
    assert of_l2 and all(text in said[said.index("<b>L2</b>") :] for text in of_l2)
    assert "\u26a0" in said
    for table, row in ((panel.ui.levelTable, 1), (panel.ui.resultView, 1)):
        name = gui.raw(table).item(row, 1 if table is panel.ui.levelTable else 0)
        assert name.text() == "L2 \u26a0" and of_l2[0] in name.toolTip()
    view = gui.raw(panel.ui.resultView)
    assert view.item(3, 0).text() == "L1-L4 \u26a0" and "80-140" in view.item(3, 0).toolTip()


def test_a_row_of_the_results_shows_its_slice(panel, model):
    add_volume(panel)
    three_levels(panel)
    estimate(panel, model)
    view = gui.raw(panel.ui.resultView)
    gui.show(view)
    gui.click(view.viewport(), view.visualItemRect(view.item(2, 1)).center())
    assert panel.ui.sliceLabel.text == "Slice of L3:"
    red = gui.slice_view("Red").mrmlSliceNode()
    assert red.GetSliceToRAS().GetElement(2, 3) == pytest.approx(L3[2], abs=0.1)


def test_what_is_done_with_folds_when_the_first_results_come(panel, model):
    add_volume(panel, name="a CT with a name that is longer than the panel is wide")
    three_levels(panel)
    panel.ui.volumeSection.setProperty("collapsed", False)
    panel.ui.settingsSection.setProperty("collapsed", False)
    estimate(panel, model)
    assert panel.ui.volumeSection.collapsed and panel.ui.settingsSection.collapsed
    assert not panel.ui.levelsSection.collapsed and not panel.ui.resultsSection.collapsed
    assert panel.ui.volumeSection.text.startswith("1. CT volume: a CT with a name")
    panel.ui.volumeSection.setProperty("collapsed", False)
    estimate(panel, model)
    assert not panel.ui.volumeSection.collapsed, "opened by hand it stays open"


# -- 1. volume ----------------------------------------------------------------------------
def test_a_volume_without_header_has_unknown_facts(panel):
    add_volume(panel)
    text = panel.ui.factsLabel.text
    for fact in ("kVp", "kernel", "slice thickness", "sex", "age", "contrast"):
        assert f"{fact} unknown" in text, text
    assert panel.parameterNode.sex.code is None
    assert panel.ui.sexCombo.currentText == "unknown"


def test_facts_warnings_and_sex_come_from_the_header(panel):
    add_volume(panel, kvp=70.0, kernel="STANDARD", sex="F", age_years=49.0, contrast_agent="X")
    text = panel.ui.factsLabel.text
    assert "70 kVp" in text and "STANDARD" in text and "age 49" in text and "sex F" in text
    assert "Contrast agent is stated" in panel.ui.volumeWarningLabel.text
    assert "80-140" in panel.ui.volumeWarningLabel.text
    assert panel.ui.sexCombo.currentText == "female"
    add_volume(panel, name="other")
    assert panel.ui.sexCombo.currentText == "unknown"
    assert not gui.raw(panel.ui.volumeWarningLabel).isVisible()


def test_the_dicom_header_is_read_through_the_database(panel, tmp_path, monkeypatch):
    import pydicom

    header = pydicom.Dataset()
    header.file_meta = pydicom.dataset.FileMetaDataset()
    header.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    header.Modality, header.KVP, header.PatientSex = "CT", 120, "M"
    header.SOPClassUID, header.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3"
    header.PatientAge, header.ConvolutionKernel = "042Y", "FC30"
    path = tmp_path / "a.dcm"
    header.save_as(path, enforce_file_format=True)

    class Database:
        def fileForInstance(self, uid):
            return str(path) if uid == "1.2.3" else ""

    monkeypatch.setattr(slicer, "dicomDatabase", Database(), raising=False)
    matrix = np.diag([2.0, 2.0, 3.0, 1.0])
    node = slicer.util.addVolumeFromArray(phantoms.phantom().hu, matrix, "dicom")
    panel.parameterNode.inputVolume = node
    assert "kVp unknown" in panel.ui.factsLabel.text
    # Slicer adds the volume first and its identifiers afterwards.
    node.SetAttribute("DICOM.instanceUIDs", "1.2.3 1.2.4")
    text = panel.ui.factsLabel.text
    assert "120 kVp" in text and "FC30" in text and "age 42" in text
    assert panel.ui.sexCombo.currentText == "male"
    # It is asked for at each change, and read again only where the file is another one.
    reads, read = [], pydicom.dcmread
    monkeypatch.setattr(pydicom, "dcmread", lambda *a, **k: reads.append(a[0]) or read(*a, **k))
    three_levels(panel)
    other = slicer.util.addVolumeFromArray(phantoms.phantom().hu, matrix, "of the same file")
    other.SetAttribute("DICOM.instanceUIDs", "1.2.3")
    panel.state.changed.emit()
    assert panel.state.settingsOf(other)["sex"] == "M" and reads == []
    header.PatientSex = "F"
    header.save_as(path, enforce_file_format=True)
    os.utime(path, (0, 0))
    assert panel.state.settingsOf(other)["sex"] == "F" and len(reads) == 1

    # A file that could not be read for once is not given up.
    def failing(*given, **named):
        raise OSError("in use")

    os.utime(path, (1, 1))
    with monkeypatch.context() as broken:
        broken.setattr(pydicom, "dcmread", failing)
        assert panel.state.settingsOf(other)["sex"] is None
    assert panel.state.settingsOf(other)["sex"] == "F"
    path.unlink()
    assert panel.state.settingsOf(other)["sex"] is None


def test_what_is_no_ct_is_named_and_refused(panel):
    rng = np.random.default_rng(1)
    array = rng.integers(0, 900, (20, 40, 40)).astype(np.int16)
    panel.parameterNode.inputVolume = slicer.util.addVolumeFromArray(array, None, "MR")
    gui.process()
    assert "not Hounsfield units" in panel.ui.volumeWarningLabel.text
    with gui.answering("Ok") as shown:
        gui.click(panel.ui.findButton)
    assert "not Hounsfield units" in str(shown)
    assert not panel.runner.busy


def under(node, matrix):
    """Put a volume under a linear transform, the same one each time."""
    transform = node.GetParentTransformNode()
    if transform is None:
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        node.SetAndObserveTransformNodeID(transform.GetID())
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(np.asarray(matrix, float)))
    gui.process()


def test_a_ct_that_is_moved_or_turned_is_measured_where_it_lies(panel, model):
    node = add_volume(panel)

    def value(matrix):
        levels = phantoms.chosen(("L1", "L2"))
        for item in phantoms.chosen(("L1", "L2")):
            levels.move(item.level, tuple((matrix @ [*item.ras, 1.0])[:3]))
        panel.levels.onFound(levels)
        estimate(panel, model)
        assert panel.ui.volumeWarningLabel.text == "" and panel.staleReason() == ""
        return panel.result.total.bmd_g_cm2

    matrix = np.eye(4)
    there = value(matrix)
    matrix[:3, 3] = 10.0, -20.0, 30.0
    under(node, matrix)
    assert "volume has changed" in panel.staleReason()
    assert value(matrix) == pytest.approx(there, abs=1e-5)
    matrix[:2, :2] = [[0.97, -0.24], [0.24, 0.97]]  # rounded, as by hand
    under(node, matrix)
    assert 0 < value(matrix) < 3


def test_a_ct_under_a_transform_that_changes_its_shape_is_refused_in_one_sentence(panel, model):
    node = add_volume(panel)
    panel.levels.onFound(phantoms.chosen())
    panel.parameterNode.modelFolder = model
    identity, ui = np.eye(4), panel.ui
    sheared, scaled, singular = (identity.copy() for _ in range(3))
    sheared[1, 2], scaled[2, 2], singular[0, 0] = 0.2, 1.05, 0.0
    for matrix in (sheared, scaled, singular):
        under(node, matrix)
        assert "shears or scales it" in ui.volumeWarningLabel.text and ui.factsLabel.text == ""
        for button in (ui.findButton, ui.estimateButton):
            with gui.answering("Ok") as shown:
                gui.click(button)
            said = shown[0].text
            assert "shears or scales it" in said and said.count(". ") == 0
            assert not panel.runner.busy and panel.result is None
    gui.click(ui.sceneButton)
    assert "shears or scales it" in ui.failuresLabel.text and not panel.runner.busy
    gui.click(ui.imagesSection)
    assert "shears or scales it" in ui.imagesLabel.text
    gui.click(ui.imagesSection)
    from CTBMDPanel import volumes

    for factor, taken in ((0.992, True), (1.008, True), (0.985, False), (1.015, False)):
        turned = identity.copy()
        turned[:2, :2] = factor * np.array([[0.8, -0.6], [0.6, 0.8]])
        under(node, turned)
        if taken:
            assert "shears" not in ui.volumeWarningLabel.text
            assert np.allclose(volumes.ijkToWorld(node)[:2, :2], 2 * turned[:2, :2])
        else:
            assert "shears or scales it" in ui.volumeWarningLabel.text
    bent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLBSplineTransformNode")
    bent.SetAndObserveTransformFromParent(slicer.vtkOrientedBSplineTransform())
    node.SetAndObserveTransformNodeID(bent.GetID())
    gui.process()
    assert "that bends it" in ui.volumeWarningLabel.text
    node.SetAndObserveTransformNodeID(None)
    gui.process()
    assert ui.volumeWarningLabel.text == "" and "kVp" in ui.factsLabel.text


def test_unknown_facts_say_why_and_what_to_do(panel, monkeypatch):
    said = panel.ui.unknownFactsLabel
    add_volume(panel)
    assert "not in the file that was loaded" in said.text and "Settings" in said.text
    add_volume(panel, name="known", sex="F", kvp=120.0, age_years=63.0)
    assert not gui.raw(said).isVisible()
    plain = slicer.util.addVolumeFromArray(phantoms.phantom().hu, np.diag([2, 2, 3, 1]), "plain")
    panel.parameterNode.inputVolume = plain
    gui.process()
    assert "not loaded by the DICOM module" in said.text and "Settings" in said.text
    plain.SetAttribute("DICOM.instanceUIDs", "1.2.3")
    gui.process()
    assert "import them again" in said.text


def test_a_bone_window_comes_once_and_by_its_button(panel):
    node = slicer.util.addVolumeFromArray(phantoms.phantom().hu, np.diag([2, 2, 3, 1]), "plain")
    panel.parameterNode.inputVolume = node
    gui.process()
    display = node.GetDisplayNode()
    assert (display.GetWindow(), display.GetLevel()) == (700.0, 150.0)
    display.SetWindowLevel(400.0, 40.0)  # a person's own stays
    other = add_volume(panel, name="other")
    assert other.GetDisplayNode().GetWindow() == 700.0
    gui.choose(panel.ui.inputSelector, "plain")
    assert display.GetWindow() == 400.0
    gui.click(panel.ui.boneWindowButton)
    assert (display.GetWindow(), display.GetLevel()) == (700.0, 150.0)


def test_tube_voltage_and_age_come_from_the_header_and_can_be_given(panel, model):
    add_volume(panel)
    ui = panel.ui
    assert gui.raw(ui.kvpSpinBox).text() == gui.raw(ui.ageSpinBox).text() == "unknown"
    three_levels(panel)
    estimate(panel, model)
    assert any(x.code == "kvp-unknown" for x in panel.result.findings)
    gui.type_into(ui.kvpSpinBox, "140")
    assert "settings have changed" in ui.staleLabel.text
    estimate(panel, model)
    assert not any(x.code.startswith("kvp") for x in panel.result.findings)
    gui.type_into(ui.ageSpinBox, "71")
    estimate(panel, model)
    assert panel.result.age == 71.0
    gui.type_into(ui.kvpSpinBox, "20")
    with gui.answering("Ok") as shown:
        gui.click(ui.estimateButton)
    assert "tube voltage of 20 kV is not possible" in shown[0].text

    add_volume(panel, name="known", kvp=119.6, age_years=63.4)
    assert ui.kvpSpinBox.value == 120 and ui.ageSpinBox.value == 63
    assert panel.state.statedKvp() is None and panel.state.statedAge() is None
    gui.type_into(ui.kvpSpinBox, "100")
    assert panel.state.statedKvp() == 100.0


# -- 2. levels ------------------------------------------------------------------------------
def test_levels_are_added_at_the_shown_slice_and_have_points(panel):
    add_volume(panel)
    add_level(panel, "L2", L2)
    assert labels(panel) == ["L2"]
    assert point(panel, "L2")[2] == pytest.approx(L2[2], abs=0.01)
    assert cell(panel, 0, 1) == "L2" and cell(panel, 0, 4) == "added"
    assert not panel.ui.addButton.enabled  # L2 is there
    assert panel.ui.estimateButton.enabled


@pytest.mark.parametrize("view", ["Green", "Red"])
def test_a_point_dragged_with_the_mouse_moves_the_level(panel, view):
    add_volume(panel)
    three_levels(panel)
    target = np.array(L2) + ([8.0, 0.0, 10.0] if view == "Green" else [10.0, -12.0, 0.0])
    gui.drag_point(panel.parameterNode.levelPoints, labels(panel).index("L2"), view, target)
    assert np.abs(point(panel, "L2") - target).max() < 2.5
    level = panel.controller.selection["L2"]
    assert level.source == "moved" and np.allclose(level.ras, point(panel, "L2"), atol=0.02)
    row = labels(panel).index("L2")
    assert cell(panel, row, 2) == f"{level.ras[2]:.1f}" and cell(panel, row, 4) == "moved"
    gui.click(panel.ui.undoButton)  # the whole drag is one step
    assert np.allclose(point(panel, "L2"), L2, atol=0.02)


def test_slider_current_slice_and_jump(panel):
    add_volume(panel)
    three_levels(panel)
    click_cell(panel, 1)
    red = gui.slice_view("Red").mrmlSliceNode()
    assert red.GetSliceToRAS().GetElement(2, 3) == pytest.approx(L2[2], abs=0.1)
    assert panel.ui.sliceLabel.text == "Slice of L2:"
    assert panel.ui.sliceSpinBox.value == pytest.approx(L2[2], abs=0.06)
    gui.type_into(panel.ui.sliceSpinBox, "24.5")
    assert point(panel, "L2")[2] == pytest.approx(24.5)
    assert red.GetSliceToRAS().GetElement(2, 3) == pytest.approx(24.5, abs=0.1)
    gui.show_slice("Red", (0, 0, 17.0))
    gui.click(panel.ui.useSliceButton)
    assert panel.controller.selection["L2"].ras[2] == pytest.approx(17.0, abs=0.1)
    gui.click(panel.ui.undoButton)
    assert panel.controller.selection["L2"].ras[2] == pytest.approx(24.5)


def test_labels_shift_rename_remove_and_undo(panel):
    add_volume(panel)
    three_levels(panel)
    gui.click(panel.ui.shiftDownButton)
    assert labels(panel) == ["L2", "L3", "L4"] or sorted(labels(panel)) == ["L2", "L3", "L4"]
    assert np.allclose(point(panel, "L2"), L1, atol=0.02)
    assert "Numbered by hand" in panel.ui.levelNotesLabel.text
    said = "Renamed: L1 is now L2, L2 is now L3, L3 is now L4."
    assert said in panel.ui.levelNotesLabel.text
    gui.click(panel.ui.shiftUpButton)
    assert "L4 is now L3" in panel.ui.levelNotesLabel.text
    assert np.allclose(point(panel, "L1"), L1, atol=0.02)
    click_cell(panel, 2)
    gui.choose(panel.ui.levelCombo, "L4")
    gui.click(panel.ui.renameButton)
    assert sorted(labels(panel)) == ["L1", "L2", "L4"]
    gui.choose(panel.ui.levelCombo, "L1")
    with gui.answering("Ok") as shown:
        gui.click(panel.ui.renameButton)
    assert "L1 is already chosen" in str(shown)
    gui.click(panel.ui.removeButton)
    assert sorted(labels(panel)) == ["L1", "L2"]
    gui.click(panel.ui.undoButton)
    gui.click(panel.ui.undoButton)
    assert sorted(labels(panel)) == ["L1", "L2", "L3"]


def test_undo_and_redo_keep_the_row_that_was_looked_at(panel):
    """In the real Slicer the selection jumped to the top row, and the next typed slice moved T12."""
    add_volume(panel)
    three_levels(panel)
    click_cell(panel, 1)
    gui.choose(panel.ui.levelCombo, "L4")
    gui.show_slice("Red", (3, -20, -45))
    gui.click(panel.ui.addButton)
    assert panel.ui.sliceLabel.text == "Slice of L4:"
    gui.click(panel.ui.undoButton)
    assert labels(panel) == ["L1", "L2", "L3"] and panel.ui.sliceLabel.text == "Slice of L2:"
    gui.click(panel.ui.redoButton)
    assert "L4" in labels(panel) and panel.ui.sliceLabel.text == "Slice of L2:"
    assert not panel.ui.redoButton.enabled
    click_cell(panel, 2)
    gui.click(panel.ui.removeButton)
    assert panel.ui.sliceLabel.text == "Slice of L2:"
    gui.click(panel.ui.undoButton)
    assert panel.ui.sliceLabel.text == "Slice of L2:" and "L3" in labels(panel)
    before = {x: tuple(point(panel, x)) for x in labels(panel)}
    gui.type_into(panel.ui.sliceSpinBox, "24.0")
    changed = [x for x in before if tuple(point(panel, x)) != before[x]]
    assert changed == ["L2"]
    assert not panel.ui.redoButton.enabled, "after another edit there is nothing to redo"


def test_every_edit_can_be_undone_and_redone(panel):
    add_volume(panel)
    three_levels(panel)
    click_cell(panel, 1)
    controller = panel.controller
    edits = [
        lambda: gui.type_into(panel.ui.sliceSpinBox, "24.0"),
        lambda: click_cell(panel, 1, 0),
        lambda: gui.click(panel.ui.shiftDownButton),
        lambda: gui.click(panel.ui.removeButton),
        lambda: panel.parameterNode.levelPoints.SetNthControlPointPositionWorld(
            0, 5.0, -18.0, 60.0
        ),
        lambda: panel.levels.onFound(phantoms.chosen(("L1", "L2"))),
    ]
    states = [controller.selection.to_json()]
    for edit in edits:
        edit()
        gui.process()
        assert controller.selection.to_json() != states[-1]
        states.append(controller.selection.to_json())
    for state in reversed(states[:-1]):
        gui.click(panel.ui.undoButton)
        assert controller.selection.to_json() == state
        assert sorted(labels(panel)) == sorted(x.level for x in controller.selection)
    for state in states[1:]:
        gui.click(panel.ui.redoButton)
        assert controller.selection.to_json() == state
        assert sorted(labels(panel)) == sorted(x.level for x in controller.selection)


def test_an_edit_that_changes_nothing_is_no_step_of_undo(panel):
    add_volume(panel)
    three_levels(panel)
    before = panel.controller.selection.to_json()
    assert panel.controller.edit("include", "L1", False)
    assert panel.controller.edit("include", "L1", False)
    gui.process()
    gui.click(panel.ui.undoButton)
    assert panel.controller.selection.to_json() == before


def test_levels_out_of_order_are_said_at_once_and_not_estimated(panel, model):
    add_volume(panel)
    three_levels(panel)
    click_cell(panel, 0)
    assert "lies above" not in panel.ui.levelNotesLabel.text
    gui.type_into(panel.ui.sliceSpinBox, str(L2[2] - 8))
    assert "L2 lies above L1" in panel.ui.levelNotesLabel.text
    panel.parameterNode.modelFolder = model
    with gui.answering("Ok") as shown:
        gui.click(panel.ui.estimateButton)
    assert "L2 lies above L1" in str(shown) and panel.result is None
    gui.click(panel.ui.undoButton)
    assert "lies above" not in panel.ui.levelNotesLabel.text


@pytest.mark.parametrize("far_mm", [-70.0, -25.0, 25.0, 70.0])
def test_another_slice_never_leaves_the_spine(panel, far_mm):
    """A body's axis, followed over two vertebrae, put T12 20 mm in front of its neighbours."""
    from CTBMDLib.levels import LevelSelection, LevelSlice

    add_volume(panel)
    tilted = (0.0, 0.45, 0.893)
    levels = [LevelSlice(x, c, 0.9, axis=tilted) for x, c in phantoms.CENTRES.items()]
    panel.levels.onFound(LevelSelection(tuple(levels)))
    click_cell(panel, 1)
    for step in (3.0, far_mm):
        panel.controller.selection = LevelSelection(tuple(levels))
        panel.levels.onSlice(L2[2] + step)
        r, a, s = panel.controller.selection["L2"].ras
        assert s == pytest.approx(L2[2] + step)
        # Along its own axis inside the body, on the line of its neighbours beyond.
        expected = L2[1] + step * 0.45 / 0.893 if abs(step) < 13 else L2[1]
        assert (r, a) == pytest.approx((L2[0], expected), abs=0.05)


def test_the_check_box_leaves_a_level_out(panel):
    add_volume(panel)
    three_levels(panel)
    click_cell(panel, 1, 0)
    assert not panel.controller.selection["L2"].included
    node = panel.parameterNode.levelPoints
    assert not node.GetNthControlPointSelected(labels(panel).index("L2"))
    for row in (0, 2):
        click_cell(panel, row, 0)
    assert not panel.ui.estimateButton.enabled


def test_a_vertebra_is_left_out_for_a_reason_that_goes_into_the_exports(panel, model, tmp_path):
    add_volume(panel)
    three_levels(panel)
    box = gui.raw(panel.ui.reasonCombo)
    click_cell(panel, 1)
    assert not box.isVisible()
    click_cell(panel, 1, 0)
    assert box.isVisible() and panel.ui.reasonLabel.text == "L2 is left out:"
    estimate(panel, model)
    gui.choose(panel.ui.reasonCombo, "fracture")
    assert panel.controller.selection["L2"].reason == "fracture"
    assert cell(panel, 1, 4) == "out: fracture" and "slices have changed" in panel.staleReason()
    estimate(panel, model)
    path = tmp_path / "out.csv"
    with gui.answering(str(path)):
        gui.click(panel.ui.exportButton)
    rows = {row["level"]: row for row in csv.DictReader(path.open(newline=""))}
    assert (
        rows["L2"]["included"] == "no" and "left out by hand (fracture)" in rows["L2"]["findings"]
    )
    assert rows["L1-L4"]["levels"] == "L1 L3"
    gui.click(panel.ui.undoButton)
    assert (
        panel.controller.selection["L2"].reason is None and box.currentText() == "no reason given"
    )
    gui.click(panel.ui.redoButton)
    click_cell(panel, 1, 0)  # in use again: without a reason
    assert panel.controller.selection["L2"].reason is None and not box.isVisible()
    click_cell(panel, 0)
    assert not box.isVisible()


def test_points_made_and_deleted_in_the_scene_are_followed(panel):
    add_volume(panel)
    three_levels(panel)
    node = panel.parameterNode.levelPoints
    gui.choose(panel.ui.levelCombo, "L4")
    node.AddControlPoint([3.0, -20.0, -50.0])  # as by Slicer's own place tool, without a name
    assert sorted(labels(panel)) == ["L1", "L2", "L3", "L4"]
    assert panel.controller.selection["L4"].source == "added"
    node.RemoveNthControlPoint(labels(panel).index("L2"))
    assert "L2" not in panel.controller.selection
    gui.click(panel.ui.undoButton)
    assert "L2" in labels(panel)


def test_a_point_is_named_where_it_is_while_its_node_is_still_adding_it(panel):
    """Inside the event of AddControlPoint the new point must not be deleted: C++ goes on with it."""
    from CTBMDLib.levels import ORDER

    add_volume(panel)
    three_levels(panel)
    node = panel.parameterNode.levelPoints
    removed = []
    tag = node.AddObserver(node.PointRemovedEvent, lambda *_: removed.append(1))
    index = node.AddControlPoint([3.0, -20.0, -50.0], "new 1")
    assert node.GetNthControlPointLabel(index) == "L4"
    for number in range(4, len(ORDER) + 2):  # two more than there are names
        node.AddControlPoint([3.0, -20.0, -50.0 - number], "new 2")
    assert not removed, "nothing goes before the event is over"
    with gui.answering("Ok") as shown:
        gui.process()
    assert len(shown) == 1 and "Every vertebra has its point already" in str(shown)
    assert node.GetNumberOfControlPoints() == len(ORDER) == len(panel.controller.selection)
    node.RemoveObserver(tag)


def test_a_point_being_placed_is_left_alone_until_it_is_placed(panel):
    from CTBMDPanel import points

    add_volume(panel)
    three_levels(panel)
    node = panel.parameterNode.levelPoints
    gui.choose(panel.ui.levelCombo, "L5")
    # Slicer's place tool adds the point first and lets it follow the mouse as a preview.
    panel.controller.removeObservers()
    index = node.AddControlPoint([0.0, 0.0, 0.0], "new 1")
    node.SetNthControlPointPosition(index, 0.0, 0.0, 0.0, node.PositionPreview)
    points.write(node, panel.controller.selection)
    assert node.GetNumberOfControlPoints() == 4 and node.GetNthControlPointLabel(index) == "new 1"
    panel.controller.setParameterNode(None)
    panel.controller.setParameterNode(panel.parameterNode)
    assert len(panel.controller.selection) == 3
    node.SetNthControlPointPosition(index, 3.0, -20.0, -50.0, node.PositionDefined)
    assert panel.controller.selection["L5"].ras == pytest.approx((3.0, -20.0, -50.0))
    assert "L5" in labels(panel) and "new 1" not in labels(panel)


def test_only_lumbar_vertebrae_can_be_ticked(panel):
    from CTBMDLib.levels import LevelSelection, LevelSlice

    add_volume(panel)
    levels = [LevelSlice("T12", (3.0, -20.0, 80.0), 0.9, included=False)]
    panel.levels.onFound(LevelSelection((*levels, *phantoms.chosen().levels)))
    assert cell(panel, 0, 1) == "T12" and cell(panel, 1, 1) == "L1"
    click_cell(panel, 0, 0)
    assert not panel.controller.selection["T12"].included
    click_cell(panel, 1, 0)
    assert not panel.controller.selection["L1"].included


def models():
    """{name: (places of its planes, display)} of the planes in the scene."""
    found = {}
    scene = slicer.mrmlScene
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLModelNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLModelNode")
        if node.GetName().startswith("Levels"):
            points = node.GetPolyData().GetPoints()
            count = points.GetNumberOfPoints() if points is not None else 0
            heights = {round(points.GetPoint(i)[2], 1) for i in range(count)}
            found[node.GetName()] = heights, node.GetDisplayNode()
    return found


def test_levels_left_out_look_different_in_the_lengthwise_views(panel):
    add_volume(panel)
    three_levels(panel)
    click_cell(panel, 1, 0)
    drawn = models()
    used, out = drawn["Levels in use"], drawn["Levels left out"]
    assert used[0] == {L1[2], L3[2]} and out[0] == {L2[2]}
    assert used[1].GetColor() != out[1].GetColor()
    assert used[1].GetSliceIntersectionThickness() > out[1].GetSliceIntersectionThickness()
    click_cell(panel, 1, 0)
    assert models()["Levels left out"][0] == set()
    slicer.mrmlScene.Clear()
    gui.process()
    assert models() == {}
    add_volume(panel)
    three_levels(panel)
    assert models()["Levels in use"][0] == {L1[2], L2[2], L3[2]}


def colours_near(view, ras, reach=6):
    """Colours of the pixels on a vertical line through a place of a slice view."""
    widget = gui.slice_view(view)
    gui.process(10)
    picture = widget.grab().toImage()
    ratio = picture.devicePixelRatio()
    place = gui.view_position(view, ras)
    return [
        picture.pixelColor(round(place.x() * ratio), round(place.y() * ratio) + step)
        for step in range(-reach, reach + 1)
    ]


def test_the_planes_are_drawn_in_colour_where_a_level_is_used(panel):
    add_volume(panel)
    three_levels(panel)
    click_cell(panel, 1, 0)

    # Beside the body, where nothing else is drawn: HU 50, a dark grey.
    def yellow(level):
        r, a, s = phantoms.CENTRES[level]
        spots = colours_near("Green", (r + 27.0, a, s))
        return max(x.red() - x.blue() for x in spots)

    assert yellow("L1") > 40 and yellow("L3") > 40
    assert yellow("L2") < 10


def test_levels_that_are_not_measured_can_be_hidden(panel):
    from CTBMDLib.levels import LevelSelection, LevelSlice

    add_volume(panel)
    others = [
        LevelSlice("T12", (3.0, -20.0, 85.0), 0.9, included=False),
        LevelSlice("L5", (3.0, -20.0, -50.0), 0.9, included=False),
    ]
    panel.levels.onFound(LevelSelection((*others, *phantoms.chosen().levels)))
    table, node = gui.raw(panel.ui.levelTable), panel.parameterNode.levelPoints
    height = table.height()

    def seen():
        rows = {table.item(i, 1).text().split()[0] for i in range(5) if not table.isRowHidden(i)}
        points = {
            node.GetNthControlPointLabel(i)
            for i in range(5)
            if node.GetNthControlPointVisibility(i)
        }
        assert rows == points
        return rows

    assert seen() == {"T12", "L1", "L2", "L3", "L5"}
    click_cell(panel, 0)
    assert panel.ui.sliceLabel.text == "Slice of T12:"
    gui.click(panel.ui.othersCheckBox)
    assert seen() == {"L1", "L2", "L3"} and table.height() < height
    assert panel.ui.sliceLabel.text == "Slice of L1:", "a hidden level is not the one to edit"
    assert {item.level for item in panel.controller.selection} == {"T12", "L1", "L2", "L3", "L5"}
    gui.click(panel.ui.othersCheckBox)
    assert seen() == {"T12", "L1", "L2", "L3", "L5"}


def test_columns_explain_themselves(panel):
    for table in (panel.ui.levelTable, panel.ui.resultView):
        raw = gui.raw(table)
        for column in range(raw.columnCount()):
            assert len(raw.horizontalHeaderItem(column).toolTip()) > 20
    assert "head" in gui.raw(panel.ui.levelTable).horizontalHeaderItem(2).toolTip()


def test_uncertain_numbering_is_said_in_plain_words(panel):
    from CTBMDLib.levels import LevelSelection

    add_volume(panel)
    selection = phantoms.chosen(confidence=0.4)
    panel.levels.onFound(LevelSelection(selection.levels, numbering="neither"))
    text = panel.ui.levelNotesLabel.text
    assert "Numbering uncertain" in text and "Labels up" in text
    # The finder's own note says what was seen; with a transitional vertebra both ends are.
    assert "is in view" not in text
    assert cell(panel, 0, 3) == "40 %"


def test_every_button_that_is_off_says_why(panel, model, monkeypatch):
    from PySide6 import QtWidgets

    module = gui.raw(panel.ui.findButton).window()

    def off():
        """{name: tooltip} of the buttons of the panel that are shown and off."""
        names = {name for name in vars(panel.ui) if name.endswith("Button")}
        buttons = module.findChildren(QtWidgets.QPushButton)
        return {
            x.objectName(): x.toolTip()
            for x in buttons
            if x.objectName() in names and not x.isEnabled() and not x.isHidden()
        }

    def check(**reasons):
        found = off()
        for name, tip in found.items():
            assert tip.startswith("Off: ") or name == "chartButton", (name, tip)
        for name, reason in reasons.items():
            assert reason in found[name], (name, found.get(name))

    check(findButton="Choose a CT", exportButton="no results yet", undoButton="Choose a CT")
    add_volume(panel)
    check(
        estimateButton="No vertebra of L1-L4",
        useSliceButton="Find the slices",
        redoButton="Nothing",
    )
    three_levels(panel)
    panel.ui.levelCombo.setCurrentText("L1")
    gui.process()
    check(addButton="L1 is there already")
    assert (
        "Off" not in panel.ui.findButton.toolTip
        and "Find the lumbar" in panel.ui.findButton.toolTip
    )
    slowed(panel, monkeypatch)
    panel.parameterNode.modelFolder = model
    gui.click(panel.ui.estimateButton)
    check(findButton="Wait for the work", exportButton="Wait for the work")
    gui.click(panel.ui.estimateButton)
    gui.wait_until(lambda: not panel.runner.busy, PATIENCE_S)


# -- 3. and 4. estimate, results, export ------------------------------------------------------
def test_estimate_fills_the_table_and_exports_what_is_shown(panel, model, tmp_path):
    add_volume(panel, sex="F")
    three_levels(panel)
    gui.choose(panel.ui.referenceCombo, gui.raw(panel.ui.referenceCombo).itemText(1))
    estimate(panel, model)
    table = panel.parameterNode.resultTable
    assert table.GetNumberOfRows() == 4 and table.GetCellText(3, 0) == "L1-L4 mean"
    assert panel.result.total.t_score is not None and "T-score" in panel.ui.summaryLabel.text
    assert panel.result.disclaimer in panel.ui.findingsLabel.text
    # Scrolled into view, once the layout has settled; on a busy machine that takes a while.
    summary = gui.raw(panel.ui.summaryLabel)
    gui.wait_until(lambda: not summary.visibleRegion().isEmpty(), PATIENCE_S)

    path = tmp_path / "out.csv"
    with gui.answering(str(path)):
        gui.click(panel.ui.exportButton)
    rows = list(csv.DictReader(path.open(encoding="utf-8-sig", newline="")))
    assert [row["level"] for row in rows] == ["L1", "L2", "L3", "L1-L4"]
    assert [table.GetCellText(i, 1) for i in range(4)] == [row["bmd_g_cm2"] for row in rows]
    view = gui.raw(panel.ui.resultView)
    assert [view.item(i, 1).text() for i in range(4)] == [row["bmd_g_cm2"] for row in rows]
    assert [view.item(i, 3).text() for i in range(4)] == [row["t_score"] or "-" for row in rows]
    assert {row["model_population"] for row in rows} == {"simulated"}

    for name in ("out.json", "out.tsv", "out.txt"):
        with gui.answering(str(tmp_path / name)):
            gui.click(panel.ui.exportButton)
    assert len(json.loads((tmp_path / "out.json").read_text())["rows"]) == 4
    assert "Research use only" in (tmp_path / "out.txt").read_text()

    gui.click(panel.ui.copyButton)
    from PySide6 import QtWidgets

    assert QtWidgets.QApplication.clipboard().text().startswith("case\tseries_uid\tlevel")


def test_only_what_has_changed_is_computed_anew(panel, model):
    node = add_volume(panel, kvp=120.0)
    array = slicer.util.arrayFromVolume(node)
    array += np.random.default_rng(0).normal(0, 5, array.shape).astype(array.dtype)
    slicer.util.arrayFromVolumeModified(node)
    three_levels(panel)
    estimate(panel, model)
    bundle = panel.logic.bundle(model)
    images, before = bundle.standard.images_per_level, bundle.computed
    first = {row.level: row.bmd_g_cm2 for row in panel.result.levels}
    click_cell(panel, 1)
    gui.type_into(panel.ui.sliceSpinBox, "24.0")
    estimate(panel, model)
    assert bundle.computed - before == images, "those of L2"
    click_cell(panel, 0, 0)
    estimate(panel, model)
    assert bundle.computed - before == images, "another mean of the same answers"
    again = {row.level: row.bmd_g_cm2 for row in panel.result.levels}
    assert again["L1"] == first["L1"] and again["L3"] == first["L3"]
    gui.type_into(panel.ui.kvpSpinBox, "100")
    estimate(panel, model)
    assert bundle.computed - before == 4 * images, "another voltage is another answer"


def test_the_memory_of_a_bundle_answers_as_the_bundle(model):
    from CTBMDPanel.reuse import ReusedBundle

    from CTBMDLib.model.bundle import ModelBundle

    plain = ModelBundle.load(model)
    rng = np.random.default_rng(0)
    hu = rng.normal(50, 100, (5, plain.standard.size_px, plain.standard.size_px))
    hu[3] = hu[0]
    for kvp in (None, 120.0, np.array([100.0, 120.0, np.nan, 120.0, 100.0])):
        reused = ReusedBundle(plain)
        expected = plain.predict(hu, kvp=kvp)
        reused.predict(hu[1:3], kvp=kvp if np.ndim(kvp) == 0 else kvp[1:3])
        for _ in range(2):
            assert np.allclose(reused.predict(hu, kvp=kvp), expected, atol=1e-5)
        assert reused.computed == (4 if np.ndim(kvp) == 0 else 5)
    assert reused.name == plain.name and reused.card is plain.card


def test_a_name_without_ending_never_overwrites(panel, model, tmp_path):
    add_volume(panel)
    three_levels(panel)
    estimate(panel, model)
    (tmp_path / "mine.csv").write_text("keep")
    with gui.answering(str(tmp_path / "mine"), "Ok") as shown:
        gui.click(panel.ui.exportButton)
    assert "exists already" in str(shown)
    assert (tmp_path / "mine.csv").read_text() == "keep"


def test_a_folder_that_could_not_be_written_is_not_remembered(panel, model, tmp_path):
    add_volume(panel)
    three_levels(panel)
    estimate(panel, model)
    good = tmp_path / "good"
    good.mkdir()
    with gui.answering(str(good / "a.csv")):
        gui.click(panel.ui.exportButton)
    with gui.answering(str(tmp_path / "absent" / "b.csv"), "Ok") as shown:
        gui.click(panel.ui.exportButton)
    assert "absent" in shown[1].text
    with gui.answering("") as shown:
        gui.click(panel.ui.exportButton)
    assert shown[0].folder == str(good)


def test_results_go_stale_visibly_and_recover(panel, model):
    node = add_volume(panel)
    three_levels(panel)
    estimate(panel, model)
    stale = gui.raw(panel.ui.staleLabel)
    assert not stale.isVisible()

    panel.parameterNode.levelPoints.SetNthControlPointPositionWorld(0, L1[0], L1[1], L1[2] + 2)
    gui.process()
    assert stale.isVisible() and "slices have changed" in stale.text()
    gui.click(panel.ui.undoButton)
    assert not stale.isVisible()

    gui.choose(panel.ui.sexCombo, "male")
    assert "settings have changed" in stale.text()
    gui.choose(panel.ui.sexCombo, "unknown")
    assert not stale.isVisible()

    array = slicer.util.arrayFromVolume(node)
    array[0, 0, 0] += 1
    slicer.util.arrayFromVolumeModified(node)
    gui.process()
    assert stale.isVisible() and "volume has changed" in stale.text()
    estimate(panel, model)
    assert not stale.isVisible()

    with_result = panel.ui.summaryLabel.text
    add_volume(panel, name="another")
    assert panel.result is None and not stale.isVisible()
    assert panel.ui.summaryLabel.text == "There are no results yet."
    assert len(panel.controller.selection) == 0 and labels(panel) == []
    assert not panel.ui.undoButton.enabled
    other = panel.volumeNode
    slicer.util.arrayFromVolume(other)[0, 0, 0] += 1
    slicer.util.arrayFromVolumeModified(other)  # no matter: the results are not of this volume
    gui.choose(panel.ui.inputSelector, "phantom")  # back: its levels are there again
    assert sorted(labels(panel)) == ["L1", "L2", "L3"] and not stale.isVisible()
    assert panel.ui.summaryLabel.text == with_result and panel.ui.undoButton.enabled

    gui.choose(panel.ui.inputSelector, "another")
    array[0, 0, 0] += 1
    slicer.util.arrayFromVolumeModified(node)  # while it is not shown
    gui.choose(panel.ui.inputSelector, "phantom")
    assert stale.isVisible() and "volume has changed" in stale.text()


def two_cases(panel, model):
    """Two CTs with levels, settings and results of their own; returns what is to come back."""
    states = {}
    for name, kvp, levels in (("first", 100, ("L1", "L2")), ("second", 120, ("L1", "L2", "L3"))):
        add_volume(panel, name=name)
        panel.levels.onFound(phantoms.chosen(levels))
        gui.type_into(panel.ui.kvpSpinBox, str(kvp))
        gui.choose(panel.ui.sexCombo, "female" if name == "first" else "male")
        estimate(panel, model)
        states[name] = shown_state(panel)
    return states


def shown_state(panel):
    table = panel.parameterNode.resultTable
    return (
        panel.controller.selection.to_json(),
        panel.ui.summaryLabel.text,
        panel.ui.sexCombo.currentText,
        panel.ui.kvpSpinBox.value,
        sorted(labels(panel)),
        [table.GetCellText(i, 1) for i in range(table.GetNumberOfRows())],
    )


def test_every_ct_keeps_its_levels_settings_and_results(panel, model):
    states = two_cases(panel, model)
    assert states["first"] != states["second"]
    for name in ("first", "second", "first"):
        gui.choose(panel.ui.inputSelector, name)
        assert shown_state(panel) == states[name] and panel.staleReason() == ""


def test_every_ct_of_a_saved_scene_has_its_own_again(panel, model, tmp_path):
    states = two_cases(panel, model)
    path = str(tmp_path / "two.mrb")
    assert slicer.util.saveScene(path)
    gui.clean_scene()
    add_volume(panel, name="in between")  # takes an ID that a saved volume had
    slicer.util.loadScene(path, {})
    gui.process()
    for name in ("second", "first", "second"):
        gui.choose(panel.ui.inputSelector, name)
        assert shown_state(panel) == states[name] and panel.staleReason() == "", name


def slowed(panel, monkeypatch):
    """Make the real estimate wait in its thread until it is cancelled or let go."""
    go = threading.Event()
    real = panel.logic.estimateWork

    def estimateWork(*arguments, **options):
        work = real(*arguments, **options)

        def waiting(progress, should_cancel):
            progress(0.5, "Waiting")
            while not go.wait(0.01) and not should_cancel():
                pass
            return work(progress, should_cancel)

        return waiting

    monkeypatch.setattr(panel.logic, "estimateWork", estimateWork)
    return go


def test_estimate_turns_into_cancel(panel, model, monkeypatch):
    add_volume(panel)
    three_levels(panel)
    slowed(panel, monkeypatch)
    panel.parameterNode.modelFolder = model
    gui.click(panel.ui.estimateButton)
    gui.wait_until(lambda: panel.ui.estimateProgressBar.value == 500, PATIENCE_S)
    assert panel.ui.estimateButton.text == "Cancel"
    assert panel.ui.estimateStatusLabel.text == "Waiting"
    assert not panel.ui.findButton.enabled and not panel.ui.levelTable.enabled
    gui.click(panel.ui.estimateButton)
    gui.wait_until(lambda: not panel.runner.busy, PATIENCE_S)
    assert panel.result is None and panel.parameterNode.resultTable is None
    assert panel.ui.estimateButton.text == "Estimate BMD" and panel.ui.estimateButton.enabled
    assert "Cancelled" in panel.ui.estimateStatusLabel.text
    assert not gui.raw(panel.ui.estimateProgressBar).isVisible()


def test_finding_can_be_cancelled(panel):
    add_volume(panel)
    three_levels(panel)
    before = panel.controller.selection.to_json()
    gui.raw(panel.ui.findButton).click()
    assert panel.runner.busy and panel.ui.findButton.text == "Cancel"
    assert not panel.ui.estimateButton.enabled and not panel.ui.inputSelector.enabled
    gui.raw(panel.ui.findButton).click()
    gui.wait_until(lambda: not panel.runner.busy, PATIENCE_S)
    assert panel.controller.selection.to_json() == before
    assert panel.ui.findButton.text == "Find lumbar slices"
    assert "Cancelled" in panel.ui.findStatusLabel.text


def test_a_volume_without_a_spine_says_so(panel):
    from CTBMDPanel import volumes

    volume = phantoms.phantom()
    water = np.where(volume.hu > -50, 0.0, -1000.0).astype(np.float32)
    water[:5] = -1000.0
    object.__setattr__(volume, "hu", water)
    panel.parameterNode.inputVolume = volumes.addVolumeNode(volume)
    gui.process()
    gui.click(panel.ui.findButton)
    gui.wait_until(lambda: not panel.runner.busy, PATIENCE_S)
    assert "No lumbar vertebra was found" in panel.ui.levelNotesLabel.text
    assert len(panel.controller.selection) == 0 and not panel.ui.estimateButton.enabled


def test_another_module_may_be_visited_while_it_runs(panel, widget, model, monkeypatch):
    add_volume(panel)
    three_levels(panel)
    go = slowed(panel, monkeypatch)
    panel.parameterNode.modelFolder = model
    gui.click(panel.ui.estimateButton)
    widget.exit()
    gui.process()
    go.set()
    gui.wait_until(lambda: not panel.runner.busy, PATIENCE_S)
    widget.enter()
    gui.process()
    assert panel.result is not None and panel.staleReason() == ""


def test_an_unusable_model_is_refused_with_a_sentence(panel, tmp_path):
    add_volume(panel)
    three_levels(panel)
    gui.type_into(panel.ui.modelPathEdit, str(tmp_path))
    assert panel.parameterNode.modelFolder == str(tmp_path)
    with gui.answering("Ok") as shown:
        gui.click(panel.ui.estimateButton)
    assert "card.json" in str(shown) or "bundle" in str(shown)
    assert not panel.runner.busy and panel.result is None


def test_an_emptied_model_folder_is_the_bundled_model_again(panel, tmp_path):
    gui.type_into(panel.ui.modelPathEdit, str(tmp_path))
    assert panel.parameterNode.modelFolder == str(tmp_path)
    gui.type_into(panel.ui.modelPathEdit, "")
    gui.process()
    assert panel.parameterNode.modelFolder == "" and panel.ui.modelPathEdit.currentPath == ""


# -- the scene -----------------------------------------------------------------------------
def test_a_saved_scene_reopens_as_it_was(panel, widget, model, tmp_path):
    add_volume(panel, name="another", sex="M")
    add_volume(panel, sex="F", kvp=120.0)
    three_levels(panel)
    click_cell(panel, 1, 0)
    gui.choose(panel.ui.referenceCombo, gui.raw(panel.ui.referenceCombo).itemText(1))
    estimate(panel, model)
    before = panel.controller.selection.to_json()
    rows = [row.bmd_g_cm2 for row in panel.result.rows]
    summary, reference = panel.ui.summaryLabel.text, panel.parameterNode.referenceTable
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    gui.clean_scene()
    assert panel.result is None and len(panel.controller.selection) == 0
    assert panel.ui.summaryLabel.text == "There are no results yet."

    slicer.util.loadScene(path, {})
    gui.process()
    assert panel.parameterNode.inputVolume.GetName() == "phantom"
    assert panel.ui.inputSelector.currentNode() is panel.parameterNode.inputVolume
    assert panel.controller.selection.to_json() == before
    assert sorted(labels(panel)) == ["L1", "L2", "L3"]
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLMarkupsFiducialNode") == 1
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLTableNode") == 1
    assert [row.bmd_g_cm2 for row in panel.result.rows] == rows
    assert panel.ui.summaryLabel.text == summary
    assert panel.parameterNode.referenceTable == reference
    assert panel.ui.sexCombo.currentText == "female"
    assert "120 kVp" in panel.ui.factsLabel.text
    assert panel.staleReason() == ""
    table = panel.parameterNode.resultTable
    assert table.GetColumnTitle("bmd_g_cm2") == "BMD" and table.GetCellText(3, 0) == "L1-L4 mean"
    assert gui.raw(panel.ui.resultView).item(3, 0).text().startswith("L1-L4")
    with gui.answering(str(tmp_path / "again.csv")):
        gui.click(panel.ui.exportButton)
    assert (tmp_path / "again.csv").is_file()


def test_a_scene_loaded_beside_another_ct_keeps_its_result(panel, model, tmp_path):
    add_volume(panel)
    three_levels(panel)
    estimate(panel, model)
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    gui.clean_scene()
    add_volume(panel, name="another")  # takes the ID that the saved volume had
    slicer.util.loadScene(path)
    gui.process()
    assert panel.volumeNode.GetName() == "phantom"
    assert panel.result is not None and panel.staleReason() == ""
    slicer.mrmlScene.RemoveNode(panel.volumeNode)
    gui.process()
    assert panel.volumeNode.GetName() == "another" and panel.result is None


def test_the_first_choice_is_a_volume_that_the_selector_lists(panel):
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "a colour picture")
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "hidden").HideFromEditorsOn()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    from CTBMDPanel.volumes import firstVolume

    assert firstVolume() is node


def test_a_ct_that_was_deleted_is_let_go(panel):
    import gc
    import weakref

    node = add_volume(panel)
    gone = weakref.ref(node)
    slicer.mrmlScene.RemoveNode(node)
    gui.process()
    del node
    gc.collect()
    assert gone() is None


def test_closing_the_scene_while_it_runs_ends_the_work(panel, model, monkeypatch):
    add_volume(panel)
    three_levels(panel)
    slowed(panel, monkeypatch)
    panel.parameterNode.modelFolder = model
    gui.click(panel.ui.estimateButton)
    assert panel.runner.busy
    before = threading.active_count()
    gui.clean_scene()
    assert not panel.runner.busy and threading.active_count() == before - 1
    assert panel.volumeNode is None and len(panel.controller.selection) == 0
    gui.process(10)
    assert panel.result is None
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLTableNode") == 0


def test_deleting_the_volume_leaves_a_usable_panel(panel, model):
    node = add_volume(panel)
    three_levels(panel)
    estimate(panel, model)
    slicer.mrmlScene.RemoveNode(node)
    gui.process()
    assert panel.volumeNode is None
    assert not panel.ui.findButton.enabled and not panel.ui.estimateButton.enabled
    assert panel.ui.exportButton.enabled  # the results are still there, marked as out of date
    assert gui.raw(panel.ui.staleLabel).isVisible()
