"""CTBMD's own layout and the chart."""

from pathlib import Path

import gui_helpers as gui
import phantoms
import pytest

gui.start()

import slicer  # noqa: E402

PATIENCE_S = 300
FOUR_UP, VIEWS, WITH_CHART = 3, 1041, 1042


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "untrained"
    phantoms.bundle(folder)
    return str(folder)


@pytest.fixture
def widget():
    manager().setLayout(FOUR_UP)
    with gui.opened_module() as opened:
        yield opened
        opened.panel.ui.chartButton.setChecked(False)


def manager():
    return slicer.app.layoutManager()


def estimated(panel, model, **facts):
    from CTBMDPanel import volumes

    node = volumes.addVolumeNode(phantoms.phantom(**facts))
    panel.parameterNode.inputVolume = node
    panel.levels.onFound(phantoms.chosen())
    panel.parameterNode.modelFolder = model
    panel.parameterNode.referenceTable = "nhanes-hologic"
    gui.process()
    gui.click(panel.ui.estimateButton)
    gui.wait_until(lambda: not panel.runner.busy, PATIENCE_S)
    assert panel.result is not None, panel.lastError
    return panel.result


def test_the_own_layout_is_there_while_the_module_is_open(widget):
    assert manager().layout == VIEWS
    widget.exit()
    assert manager().layout == FOUR_UP
    widget.enter()
    assert manager().layout == VIEWS
    manager().setLayout(FOUR_UP)  # the user's own choice meanwhile
    widget.exit()
    assert manager().layout == FOUR_UP


def test_a_scene_saved_in_the_own_layout_has_views_in_every_slicer(widget, tmp_path):
    node = manager().layoutLogic().GetLayoutNode()
    path = tmp_path / "scene.mrml"
    assert manager().layout == VIEWS and slicer.util.saveScene(str(path))
    assert "<Layout" not in path.read_text()
    widget.exit()
    assert slicer.util.saveScene(str(path))
    text = path.read_text()
    assert f'currentViewArrangement="{FOUR_UP}"' in text
    widget.enter()
    slicer.util.loadScene(str(path))  # it brings its own layout
    assert manager().layout == VIEWS and not node.GetSaveWithScene()
    manager().setLayout(FOUR_UP)
    bare = tmp_path / "bare.mrml"
    bare.write_text(text[: text.index("<Layout")] + "</MRML>")
    slicer.util.loadScene(str(bare))
    assert manager().layout == FOUR_UP  # the user's own choice, and nothing speaks against it
    widget.enter()
    slicer.mrmlScene.Clear(0)  # File / Close scene
    assert manager().layout == VIEWS and not node.GetSaveWithScene()
    widget.exit()
    # One of another version, saved in CTBMD's own layout, is known before the module is opened.
    path.write_text(text.replace(f'"{FOUR_UP}"', f'"{VIEWS}"'))
    node.SetLayoutDescription(VIEWS, "")
    from CTBMDPanel import layout

    layout.register()
    slicer.util.loadScene(str(path))
    assert manager().layout == VIEWS and gui.slice_view("Red").isVisible()
    widget.enter()
    widget.exit()
    assert manager().layout == FOUR_UP


def in_the_menu(number):
    manager().setLayout(number)


def by_a_script(number):
    manager().layoutLogic().GetLayoutNode().SetViewArrangement(number)


def by_a_scene(number):
    """One that a CTBMD of before has saved in its layout."""
    manager().setLayout(FOUR_UP)
    path = Path(slicer.app.temporaryPath) / "before.mrml"
    assert slicer.util.saveScene(str(path))
    text = path.read_text()
    assert f'currentViewArrangement="{FOUR_UP}"' in text
    path.write_text(text.replace(f'Arrangement="{FOUR_UP}"', f'Arrangement="{number}"'))
    slicer.util.loadScene(str(path))


@pytest.mark.parametrize("opened", [True, False])
@pytest.mark.parametrize("number", [VIEWS, WITH_CHART])
@pytest.mark.parametrize("way", [in_the_menu, by_a_script, by_a_scene])
def test_a_saved_scene_opens_elsewhere_however_the_layout_came(
    widget, tmp_path, opened, number, way
):
    from CTBMDPanel import layout

    layout.register()  # as when Slicer starts
    node = manager().layoutLogic().GetLayoutNode()
    if not opened:
        widget.exit()
    way(FOUR_UP)
    way(number)
    # After a scene that brought one of the two, the module shows the one that it is at.
    assert manager().layout in ((VIEWS, WITH_CHART) if way is by_a_scene else (number,))
    path = tmp_path / "scene.mrml"
    assert slicer.util.saveScene(str(path)) and "<Layout" not in path.read_text()
    way(FOUR_UP)
    if manager().layout == FOUR_UP:
        assert slicer.util.saveScene(str(tmp_path / "b.mrml"))
        assert f'Arrangement="{FOUR_UP}"' in (tmp_path / "b.mrml").read_text()
    widget.exit()
    manager().setLayout(FOUR_UP)
    kept = {x: node.GetLayoutDescription(x) for x in (VIEWS, WITH_CHART)}
    for x in kept:  # a Slicer that does not know of CTBMD
        node.SetLayoutDescription(x, "")
    try:
        slicer.util.loadScene(str(path))
        assert manager().layout == FOUR_UP and gui.slice_view("Red").isVisible()
    finally:
        for x, text in kept.items():
            node.SetLayoutDescription(x, text)


def test_the_own_layout_can_be_declined(widget):
    box = widget.panel.ui.ownLayoutCheckBox
    assert box.checked
    gui.click(box)
    assert manager().layout == FOUR_UP
    widget.exit()
    widget.enter()
    assert manager().layout == FOUR_UP
    gui.click(box)
    assert manager().layout == VIEWS


def test_all_three_views_are_in_the_layout(widget):
    for name in ("Red", "Yellow", "Green"):
        view = gui.slice_view(name)
        assert view.isVisible() and view.width() > 200 and view.height() > 150
    assert gui.slice_view("Red").mrmlSliceNode().GetOrientation() == "Axial"
    assert gui.slice_view("Yellow").mrmlSliceNode().GetOrientation() == "Sagittal"


def test_a_level_is_shown_in_all_views_and_the_midline_first(widget):
    from CTBMDPanel import volumes

    from CTBMDLib.levels import LevelSelection, LevelSlice

    panel = widget.panel
    panel.parameterNode.inputVolume = volumes.addVolumeNode(phantoms.phantom())
    places = {"L1": (0.0, -24.0, 55.0), "L2": (4.0, -20.0, 20.0), "L3": (5.0, -18.0, -15.0)}
    panel.levels.onFound(LevelSelection(tuple(LevelSlice(x, c) for x, c in places.items())))

    def offsets():
        nodes = [gui.slice_view(name).mrmlSliceNode() for name in ("Yellow", "Green", "Red")]
        return tuple(node.GetSliceToRAS().GetElement(i, 3) for i, node in enumerate(nodes))

    assert offsets() == pytest.approx((4.0, -20.0, 55.0), abs=0.1)
    panel.levels.show("L3")
    assert offsets() == pytest.approx(places["L3"], abs=0.1)


def test_the_chart_needs_what_it_says(widget, model):
    ui = widget.panel.ui
    assert not ui.chartButton.enabled and "no results yet" in ui.chartButton.toolTip
    estimated(widget.panel, model, sex="F")
    assert not ui.chartButton.enabled and "sex and age" in ui.chartButton.toolTip
    gui.type_into(ui.ageSpinBox, "63")
    gui.click(ui.estimateButton)
    gui.wait_until(lambda: not widget.panel.runner.busy, PATIENCE_S)
    assert ui.chartButton.enabled and "over the reference" in ui.chartButton.toolTip
    gui.choose(ui.referenceCombo, gui.raw(ui.referenceCombo).itemText(0))
    assert not ui.chartButton.enabled and "reference table" in ui.chartButton.toolTip


def series(chart):
    """{name: [(x, y, label)]} of a chart node, from its tables."""
    found = {}
    for index in range(chart.GetNumberOfPlotSeriesNodes()):
        node = chart.GetNthPlotSeriesNode(index)
        table = node.GetTableNode().GetTable()
        found[node.GetName()] = [
            (
                table.GetValueByName(row, node.GetXColumnName()).ToDouble(),
                table.GetValueByName(row, node.GetYColumnName()).ToDouble(),
                table.GetValueByName(row, "level").ToString(),
            )
            for row in range(table.GetNumberOfRows())
        ]
    return found


def shown_chart():
    view = manager().plotWidget(0).mrmlPlotViewNode()
    return slicer.mrmlScene.GetNodeByID(view.GetPlotChartNodeID())


def test_the_chart_shows_the_person_over_the_reference(widget, model):
    panel = widget.panel
    result = estimated(panel, model, sex="F", age_years=63.0)
    gui.click(panel.ui.chartButton)
    assert manager().layout == WITH_CHART
    drawn = series(shown_chart())
    table = panel.logic.reference("nhanes-hologic")
    rows = [row for row in table.rows if row["sex"] == "F"]
    ages = [sum(row["age"]) / 2 for row in rows]
    assert [x for x, _y, _label in drawn["Reference mean"]] == ages
    for name, sign in (("Reference mean", 0), ("+ 1 SD", 1), ("- 1 SD", -1)):
        assert [y for _x, y, _label in drawn[name]] == pytest.approx(
            [row["mean"] + sign * row["sd"] for row in rows]
        )
    assert drawn["Vertebrae"] == [(63.0, row.bmd_g_cm2, row.level) for row in result.levels]
    assert drawn["L1-L4"] == [(63.0, result.total.bmd_g_cm2, "L1-L4")]
    chart = shown_chart()
    assert "NHANES" in chart.GetTitle() and "g/cm" in chart.GetYAxisTitle()

    panel.controller.edit("include", "L3", False)
    gui.click(panel.ui.estimateButton)
    gui.wait_until(lambda: not panel.runner.busy, PATIENCE_S)
    assert [label for _x, _y, label in series(shown_chart())["Vertebrae"]] == ["L1", "L2"]

    picture = gui.raw(manager().plotWidget(0)).grab().toImage()
    colours = {
        picture.pixelColor(x, y).name()
        for x in range(picture.width())
        for y in range(picture.height())
    }
    assert len(colours) > 20, "something is drawn"

    gui.click(panel.ui.chartButton)
    assert manager().layout == VIEWS


def test_nothing_of_the_chart_is_saved_or_left(widget, model, tmp_path):
    panel = widget.panel
    estimated(panel, model, sex="F", age_years=63.0)
    gui.click(panel.ui.chartButton)
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    gui.clean_scene()
    assert not panel.ui.chartButton.checked and manager().layout == VIEWS
    slicer.util.loadScene(path, {})
    gui.process()
    for name in ("vtkMRMLPlotSeriesNode", "vtkMRMLPlotChartNode", "vtkMRMLModelNode"):
        nodes = slicer.util.getNodesByClass(name)
        assert not [x for x in nodes if "Reference" in x.GetName() or "age" in x.GetName()]
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLTableNode") == 1
    gui.click(panel.ui.chartButton)
    assert series(shown_chart())["L1-L4"][0][1] == panel.result.total.bmd_g_cm2


# -- the images that the network reads -------------------------------------------------
def pictures(panel):
    """The three pictures of the panel as arrays of RGB."""
    import numpy as np
    from PySide6 import QtGui

    found = []
    for label in (panel.ui.imageLabelUpper, panel.ui.imageLabelMiddle, panel.ui.imageLabelLower):
        image = gui.raw(label).pixmap().toImage().convertToFormat(QtGui.QImage.Format.Format_RGB888)
        rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), -1)
        found.append(
            rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).astype(int)
        )
    return found


def with_levels(panel, **facts):
    from CTBMDPanel import volumes

    panel.parameterNode.inputVolume = volumes.addVolumeNode(phantoms.phantom(**facts))
    panel.levels.onFound(phantoms.chosen())
    gui.show(panel.ui.imageLabelUpper)
    gui.process()


def colourful(picture):
    return picture.max(axis=2) - picture.min(axis=2) > 40


def test_the_images_of_the_selected_level_are_shown(widget):
    panel = widget.panel
    with_levels(panel)
    assert panel.ui.imagesLabel.text.startswith("L1: front is up")
    first = pictures(panel)
    for picture in first:
        side = picture.shape[0]
        assert picture.shape == (side, side, 3) and not colourful(picture).any()
        # The body lies 44 mm below the upper edge of 128 mm, in the middle from left to right.
        body = picture[round(side * 44 / 128), side // 2].mean()
        assert body > picture[round(side * 90 / 128), side // 8].mean() + 30
    node = panel.parameterNode.levelPoints
    node.SetNthControlPointPositionWorld(0, 23.0, -20.0, 55.0)  # beside the body, to the right
    gui.process()
    moved = pictures(panel)[1]
    assert (abs(moved - first[1]) > 30).mean() > 0.02
    # The patient's right is left: with the middle moved to the right, the body moves right.
    side = moved.shape[0]
    row = moved[round(side * 44 / 128)].mean(axis=1)
    assert row[side // 2 :].sum() > row[: side // 2].sum()


def model_named(name):
    nodes = slicer.util.getNodesByClass("vtkMRMLModelNode")
    return next((node for node in nodes if node.GetName() == name), None)


def test_bone_and_region_are_switched_on_over_images_and_view(widget):
    panel = widget.panel
    with_levels(panel)
    composite = slicer.app.layoutManager().sliceWidget("Red").sliceLogic().GetSliceCompositeNode()
    assert composite.GetLabelVolumeID() is None and model_named("Trabecular region") is None
    gui.click(panel.ui.boneMapCheckBox)
    bone = slicer.mrmlScene.GetNodeByID(composite.GetLabelVolumeID())
    assert bone.GetName() == "Bone"
    share = colourful(pictures(panel)[1]).mean()
    assert 0.02 < share < 0.3, "the column and the bar behind it"
    # What is coloured in the view is where the phantom has bone, and nowhere else.
    labels, volume = slicer.util.arrayFromVolume(bone), phantoms.phantom()
    import numpy as np
    from CTBMDPanel import volumes

    matrix = volumes.ijkToWorld(bone)
    kji = np.argwhere(labels > 0)
    ras = kji[:, ::-1] @ matrix[:3, :3].T + matrix[:3, 3]
    assert len(kji) > 1000 and (volume.sample(ras, order=0) > 150).all()
    gui.click(panel.ui.boneMapCheckBox)
    assert composite.GetLabelVolumeID() is None and not colourful(pictures(panel)[1]).any()

    gui.click(panel.ui.trabecularCheckBox)
    region = model_named("Trabecular region")
    bounds = [0.0] * 6
    region.GetRASBounds(bounds)
    assert -22 < bounds[0] < 3 < bounds[1] < 28 and bounds[4] < 55 < bounds[5]
    share = colourful(pictures(panel)[1]).mean()
    assert 0.005 < share < 0.1, "an outline"
    panel.levels.show("L2")
    gui.process()
    model_named("Trabecular region").GetRASBounds(bounds)
    assert bounds[4] < 20 < bounds[5] < 55
    gui.click(panel.ui.trabecularCheckBox)
    assert model_named("Trabecular region") is None


def test_overlays_go_with_the_ct_and_are_not_saved(widget, tmp_path):
    panel = widget.panel
    with_levels(panel)
    gui.click(panel.ui.boneMapCheckBox)
    gui.click(panel.ui.trabecularCheckBox)
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    panel.parameterNode.inputVolume = None
    gui.process()
    assert model_named("Trabecular region") is None
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLLabelMapVolumeNode") == 0
    gui.clean_scene()
    slicer.util.loadScene(path, {})
    gui.process()
    # What was switched on is drawn again, once.
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLLabelMapVolumeNode") == 1
    names = [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLModelNode")]
    assert names.count("Trabecular region") == 1
