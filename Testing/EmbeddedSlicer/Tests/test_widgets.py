"""EmbeddedSlicer's CTK and qMRML widgets, the .ui loader and the parameter node wrapper."""

import enum
import pathlib
from typing import Annotated, Optional, Union

import gui_helpers
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def application():
    app = gui_helpers.start()
    gui_helpers.clean_scene()
    yield app
    gui_helpers.clean_scene()


@pytest.fixture
def slicer():
    import slicer

    return slicer


@pytest.fixture
def ctk():
    import ctk

    return ctk


@pytest.fixture
def qt():
    import qt

    return qt


def shown(widget):
    """Show a widget of its own and return it."""
    widget.resize(400, 300)
    widget.show()
    gui_helpers.process()
    return widget


# -- qMRMLNodeComboBox -----------------------------------------------------------
@pytest.fixture
def volume_box(slicer):
    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    box.addEnabled = box.removeEnabled = False
    assert not box.enabled  # until it has a scene
    box.setMRMLScene(slicer.mrmlScene)
    assert box.enabled
    return box


def test_node_combo_box_follows_the_scene(slicer, volume_box):
    seen = []
    volume_box.currentNodeChanged.connect(lambda node: seen.append(node))
    assert volume_box.currentNode() is None and volume_box.currentNodeID == ""
    first = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "first")
    assert volume_box.currentNode() is first  # an empty box goes to the first node
    second = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "second")
    assert volume_box.nodeCount() == 2 and volume_box.currentNode() is first
    volume_box.setCurrentNode(second)
    assert volume_box.currentNodeID == second.GetID()
    volume_box.setCurrentNodeID(first.GetID())
    second.SetName("renamed")
    gui_helpers.choose(volume_box, "renamed")
    assert volume_box.currentNode() is second
    slicer.mrmlScene.RemoveNode(second)
    assert volume_box.currentNode() is first
    assert seen == [first, second, first, second, first]
    slicer.mrmlScene.Clear()
    assert volume_box.nodeCount() == 0 and volume_box.currentNode() is None
    assert seen[-1] is None


def test_node_combo_box_with_actions_waits_for_a_choice(slicer):
    """Qt's box is not empty then, so no node is chosen by itself."""
    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    box.setMRMLScene(slicer.mrmlScene)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "v")
    assert box.nodeCount() == 1 and box.currentNode() is None
    box.setCurrentNode(node)
    assert box.currentNode() is node
    box.setCurrentNode(None)
    assert box.currentNode() is None


def test_the_next_node_follows_a_removed_one(slicer, volume_box):
    """As in Slicer, also where None could be chosen."""
    volume_box.noneEnabled = True
    nodes = [slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name) for name in "abc"]
    volume_box.setCurrentNode(nodes[1])
    slicer.mrmlScene.RemoveNode(nodes[0])
    assert volume_box.currentNode() is nodes[1]
    slicer.mrmlScene.RemoveNode(nodes[1])
    assert volume_box.currentNode() is nodes[2]
    slicer.mrmlScene.RemoveNode(nodes[2])
    assert volume_box.currentNode() is None


def test_node_combo_box_types(slicer, volume_box):
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode")
    assert volume_box.nodeCount() == 0
    label = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    assert volume_box.nodeCount() == 1  # a label volume is a scalar volume as well
    volume_box.showChildNodeTypes = False
    assert volume_box.nodeCount() == 0
    volume_box.showChildNodeTypes = True
    volume_box.addAttribute("vtkMRMLScalarVolumeNode", "kind", "CT")
    assert volume_box.nodeCount() == 0
    label.SetAttribute("kind", "CT")
    volume_box.removeAttribute("vtkMRMLScalarVolumeNode", "kind")
    volume_box.addAttribute("vtkMRMLScalarVolumeNode", "kind", "CT")
    assert volume_box.nodeCount() == 1
    label.SetHideFromEditors(True)
    volume_box.setMRMLScene(None)
    assert volume_box.nodeCount() == 0
    volume_box.setMRMLScene(slicer.mrmlScene)
    assert volume_box.nodeCount() == 0
    volume_box.showHidden = True
    assert volume_box.nodeCount() == 1


def test_node_combo_box_none(slicer, volume_box):
    volume_box.noneEnabled = True
    volume_box.noneDisplay = "Choose one"
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "v")
    assert volume_box.currentNode() is None
    volume_box.setCurrentNode(node)
    gui_helpers.choose(shown(volume_box), "Choose one")
    assert volume_box.currentNode() is None
    volume_box.setCurrentNode(node)
    volume_box.setCurrentNode(None)
    assert volume_box.currentNode() is None
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode")
    volume_box.setCurrentNode(other)  # not one of its nodes
    assert volume_box.currentNode() is None
    volume_box.hide()


def test_node_combo_box_creates_renames_and_removes(slicer):
    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = ("vtkMRMLTableNode",)
    box.renameEnabled = True
    box.baseName = "Results"
    box.setMRMLScene(slicer.mrmlScene)
    added = []
    box.nodeAddedByUserAction.connect(lambda node: added.append(node))
    shown(box)
    gui_helpers.choose(box, "Create new Table")
    node = box.currentNode()
    assert node.GetClassName() == "vtkMRMLTableNode" and node.GetName() == "Results"
    assert added == [node]
    with gui_helpers.answering("Mine"):
        box.renameCurrentNode()
    assert node.GetName() == "Mine"
    with gui_helpers.answering(None):
        box.renameCurrentNode()
    assert node.GetName() == "Mine"
    box.removeCurrentNode()
    assert box.currentNode() is None and box.nodeCount() == 0
    box.hide()


def test_node_combo_box_signals_by_signature(slicer, volume_box):
    seen = []
    assert volume_box.connect("currentNodeChanged(vtkMRMLNode*)", lambda n: seen.append(n))
    assert volume_box.connect("currentNodeChanged(bool)", lambda n: seen.append(n))
    assert volume_box.connect("currentNodeIDChanged(QString)", lambda n: seen.append(n))
    assert not volume_box.connect("currentNodeChanged(QString)", lambda n: None)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "v")
    assert seen == [node, True, node.GetID()]


def test_a_deleted_box_lets_go_of_the_scene(slicer):
    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    box.setMRMLScene(slicer.mrmlScene)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    box.delete()
    with gui_helpers.no_slot_errors():
        node.SetName("renamed")
        slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
        slicer.mrmlScene.Clear()


def test_cpp_only_methods_are_not_there(slicer, ctk):
    for widget, name in (
        (slicer.qMRMLNodeComboBox(), "setNodeTypes"),
        (slicer.qMRMLNodeComboBox(), "setNoneEnabled"),
        (ctk.ctkSliderWidget(), "setMinimum"),
        (ctk.ctkCollapsibleButton(), "setCollapsed"),
        (ctk.ctkPathLineEdit(), "setFilters"),
        (ctk.ctkDoubleSpinBox(), "setRange"),
    ):
        with pytest.raises(AttributeError):
            getattr(widget, name)


# -- qMRMLTableView ----------------------------------------------------------------
def test_table_view(slicer):
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "Results")
    slicer.util.updateTableFromArray(table, np.array([[1.5, 2.5], [3.5, 4.5]]), ["bmd", "hu"])
    table.SetUseColumnTitleAsColumnHeader(True)
    table.SetColumnTitle("bmd", "BMD")
    table.SetColumnUnitLabel("bmd", "g/cm2")
    view = slicer.qMRMLTableView()
    view.setMRMLScene(slicer.mrmlScene)
    view.setMRMLTableNode(table)
    model = view.tableModel()
    assert view.mrmlTableNode() is table
    assert (model.rowCount(), model.columnCount()) == (2, 2)
    assert model.headerData(0, 1) == "BMD [g/cm2]" and model.headerData(1, 1) == "hu"
    assert float(model.item(1, 0).text()) == 3.5
    model.item(1, 0).setText("9.25")
    assert slicer.util.arrayFromTableColumn(table, "bmd")[1] == 9.25
    model.item(1, 0).setText("nine")
    assert float(model.item(1, 0).text()) == 9.25
    slicer.util.updateTableFromArray(table, np.array([[1.0, 2.0]]), ["bmd", "hu"])
    assert model.rowCount() == 1
    table.SetLocked(True)
    assert not model.item(0, 0).isEditable()
    slicer.mrmlScene.Clear()
    view.setMRMLTableNode(None)
    assert model.rowCount() == 0


def test_table_view_with_the_name_row(slicer):
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode")
    slicer.util.updateTableFromArray(table, np.array([[1.0, 2.0]]), ["a", "b"])
    view = slicer.qMRMLTableView()
    view.setMRMLTableNode(table)
    model = view.tableModel()
    assert (model.rowCount(), model.item(0, 0).text(), model.headerData(1, 1)) == (2, "a", "B")


# -- CTK -----------------------------------------------------------------------
def test_collapsible_button(qt, ctk):
    top = qt.QWidget()
    column = qt.QVBoxLayout(top)
    button = ctk.ctkCollapsibleButton("Section")
    column.addWidget(button)
    form = qt.QFormLayout(button)
    inner, never = qt.QLabel("inner"), qt.QLabel("hidden by the module")
    form.addRow(inner)
    form.addRow(never)
    never.hide()
    shown(top)
    seen = []
    button.contentsCollapsed.connect(lambda collapsed: seen.append(collapsed))
    assert inner.visible and not button.collapsed
    button.collapsed = True
    gui_helpers.process()
    assert not inner.visible and button.collapsed and not button.checked
    inner.show()  # what is shown meanwhile waits until the section opens
    assert not inner.visible
    gui_helpers.click(button, gui_helpers.raw(button).rect().topLeft() * 0 + _point(30, 8))
    assert inner.visible and not never.visible
    assert seen == [True, False]
    top.hide()


def _point(x, y):
    from PySide6 import QtCore

    return QtCore.QPoint(x, y)


def test_collapsible_group_box(qt, ctk):
    box = ctk.ctkCollapsibleGroupBox()
    box.title = "Group"
    label = qt.QLabel("inner")
    qt.QVBoxLayout(box).addWidget(label)
    shown(box)
    box.collapsed = True
    assert not label.visible and not box.checked
    box.setChecked(True)
    assert label.visible and not box.collapsed
    box.hide()


def test_slider_widget_without_tracking(ctk):
    from PySide6 import QtCore, QtTest, QtWidgets

    slider = ctk.ctkSliderWidget()
    slider.minimum, slider.maximum = -100.0, 100.0
    slider.singleStep, slider.decimals, slider.suffix = 0.5, 1, " mm"
    slider.tracking = False
    shown(slider)
    changing, changed = [], []
    slider.valueIsChanging.connect(lambda value: changing.append(value))
    slider.valueChanged.connect(lambda value: changed.append(value))
    bar = gui_helpers.raw(slider).findChild(QtWidgets.QSlider)
    option = QtWidgets.QStyleOptionSlider()
    bar.initStyleOption(option)
    handle = bar.style().subControlRect(
        QtWidgets.QStyle.ComplexControl.CC_Slider,
        option,
        QtWidgets.QStyle.SubControl.SC_SliderHandle,
        bar,
    )
    left = QtCore.Qt.MouseButton.LeftButton
    QtTest.QTest.mousePress(bar, left, pos=handle.center())
    for step in range(1, 6):
        QtTest.QTest.mouseMove(bar, handle.center() + QtCore.QPoint(8 * step, 0))
    assert len(changing) >= 4 and changed == []
    QtTest.QTest.mouseRelease(bar, left, pos=handle.center() + QtCore.QPoint(40, 0))
    assert changed == [slider.value] and slider.value > 0
    assert slider.value % 0.5 == 0
    slider.setValue(-12.3)
    assert slider.value == pytest.approx(-12.3) and changed[-1] == pytest.approx(-12.3)
    gui_helpers.type_into(slider, "33.5")
    assert slider.value == 33.5 and changed[-1] == 33.5
    slider.value = 1000
    assert slider.value == 100.0
    slider.hide()


def test_slider_widget_with_tracking(ctk):
    slider = ctk.ctkSliderWidget()
    seen = []
    slider.connect("valueChanged(double)", lambda value: seen.append(value))
    slider.value = 40
    slider.maximum = 20
    assert seen == [40.0, 20.0] and slider.value == 20.0


def test_path_line_edit(ctk, tmp_path):
    edit = ctk.ctkPathLineEdit()
    edit.filters = ctk.ctkPathLineEdit.Dirs
    edit.settingKey = "Embedded/TestPaths"
    seen, valid = [], []
    edit.currentPathChanged.connect(lambda path: seen.append(path))
    edit.validInputChanged.connect(lambda ok: valid.append(ok))
    edit.currentPath = str(tmp_path)
    assert edit.currentPath == str(tmp_path) and seen == [str(tmp_path)] and valid == [True]
    edit.addCurrentPathToHistory()
    # CTK asks for something, not for a path that exists; of nothing it only says that it is invalid.
    edit.setCurrentPath("/no/such/folder")
    assert valid == [True] and seen[-1] == "/no/such/folder"
    edit.setCurrentPath("")
    assert valid == [True, False] and seen[-1] == "/no/such/folder"
    with gui_helpers.answering(str(tmp_path)) as asked:
        edit.browse()
    assert edit.currentPath == str(tmp_path) and asked[0].title == "getExistingDirectory"
    other = ctk.ctkPathLineEdit()
    other.settingKey = "Embedded/TestPaths"
    assert other.currentPath == str(tmp_path)  # the last one used


# -- .ui files -----------------------------------------------------------------
UI = """<ui version="4.0"><class>Form</class><widget class="qMRMLWidget" name="Form">
<layout class="QVBoxLayout" name="column">{widgets}</layout></widget>
<customwidgets>{custom}</customwidgets><connections>{connections}</connections></ui>"""


def load(slicer, tmp_path, classes, connections=""):
    widgets = "".join(
        f'<item><widget class="{name}" name="w{i}"/></item>' for i, name in enumerate(classes)
    )
    custom = "".join(
        f"<customwidget><class>{name}</class><extends>QWidget</extends><header>x.h</header>"
        "</customwidget>"
        for name in {*classes, "qMRMLWidget"}
        if not name.startswith("Q")
    )
    path = tmp_path / "form.ui"
    path.write_text(UI.format(widgets=widgets, custom=custom, connections=connections))
    return slicer.util.loadUI(str(path))


MADE = [
    "ctkCollapsibleButton",
    "ctkCollapsibleGroupBox",
    "ctkPathLineEdit",
    "ctkDirectoryButton",
    "ctkSliderWidget",
    "ctkDoubleSpinBox",
    "ctkComboBox",
    "ctkCheckBox",
    "ctkMenuButton",
    "ctkPushButton",
    "ctkExpandableWidget",
    "ctkFittedTextBrowser",
    "qMRMLNodeComboBox",
    "qMRMLTableView",
    "QTableWidget",
    "QTreeWidget",
    "QTabWidget",
    "QToolButton",
    "QProgressBar",
    "QTextBrowser",
    "QSplitter",
    "QStackedWidget",
]


def test_ui_widgets_are_themselves(slicer, tmp_path):
    form = load(slicer, tmp_path, MADE)
    ui = slicer.util.childWidgetVariables(form)
    for index, name in enumerate(MADE):
        assert getattr(ui, f"w{index}").className() == name


@pytest.mark.parametrize("name", ["qMRMLPlotView", "ctkRangeWidget", "qMRMLSliceWidget"])
def test_ui_widgets_that_are_not_made_raise(slicer, tmp_path, name):
    with pytest.raises(RuntimeError, match=f"no stand-in for: {name}"):
        load(slicer, tmp_path, [name])


def test_missing_ui_file(slicer, tmp_path):
    with pytest.raises(RuntimeError, match="file not found"):
        slicer.util.loadUI(str(tmp_path / "absent.ui"))


CONNECTION = (
    "<connection><sender>Form</sender><signal>{signal}</signal><receiver>w0</receiver>"
    "<slot>{slot}</slot></connection>"
)


def test_ui_connections_pass_the_scene_on(slicer, tmp_path):
    link = CONNECTION.format(
        signal="mrmlSceneChanged(vtkMRMLScene*)", slot="setMRMLScene(vtkMRMLScene*)"
    )
    form = load(slicer, tmp_path, ["qMRMLNodeComboBox"], link)
    assert form.w0.mrmlScene() is None
    form.setMRMLScene(slicer.mrmlScene)
    assert form.w0.mrmlScene() is slicer.mrmlScene


def test_ui_connections_between_qts_own(slicer, tmp_path):
    link = CONNECTION.format(signal="toggled(bool)", slot="setEnabled(bool)").replace("Form", "w1")
    form = load(slicer, tmp_path, ["QLabel", "QCheckBox"], link)
    form.w1.setChecked(True)
    form.w1.setChecked(False)
    assert not form.w0.enabled


def test_ui_connections_that_are_wrong_raise(slicer, tmp_path, capfd):
    for signal, slot in (
        ("mrmlSceneChanged(vtkMRMLScene*)", "setNoSuchThing()"),
        ("noSuchSignal()", "setMRMLScene(vtkMRMLScene*)"),
    ):
        with pytest.raises(RuntimeError, match="has no such"):
            load(
                slicer, tmp_path, ["qMRMLNodeComboBox"], CONNECTION.format(signal=signal, slot=slot)
            )


# -- parameterNodeWrapper --------------------------------------------------------
class Colour(enum.Enum):
    RED = 1
    BLUE = 2

    def label(self):
        return self.name.lower()


@pytest.fixture
def wrapper(slicer):
    from slicer import vtkMRMLLabelMapVolumeNode, vtkMRMLScalarVolumeNode, vtkMRMLTableNode
    from slicer.parameterNodeWrapper import (
        Choice,
        Default,
        WithinRange,
        parameterNodeWrapper,
    )

    @parameterNodeWrapper
    class Parameters:
        volume: vtkMRMLScalarVolumeNode
        either: Union[vtkMRMLTableNode, vtkMRMLLabelMapVolumeNode, None]  # noqa: UP007
        threshold: Annotated[float, WithinRange(-100, 500)] = 100.0
        count: Annotated[int, WithinRange(0, 10)] = 3
        invert: bool = False
        name: str = "CT"
        folder: pathlib.Path
        colour: Annotated[Colour, Default(Colour.BLUE)]
        mode: Annotated[str, Choice(["fast", "slow"])] = "slow"
        maybe: Optional[int]  # noqa: UP045

    return Parameters


def test_parameters_keep_types_and_defaults(slicer, wrapper):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    p = wrapper(node)
    assert (p.volume, p.either, p.threshold, p.count, p.invert) == (None, None, 100.0, 3, False)
    assert (p.name, p.folder, p.colour, p.mode, p.maybe) == (
        "CT",
        pathlib.Path(),
        Colour.BLUE,
        "slow",
        None,
    )
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    label = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    p.volume, p.either, p.colour, p.threshold, p.maybe = volume, label, Colour.RED, -7.5, 4
    again = wrapper(node)
    assert again.volume is volume and again.either is label
    assert (again.colour, again.threshold, again.maybe) == (Colour.RED, -7.5, 4)
    # as Slicer writes them
    assert node.GetParameter("colour") == "RED"
    assert node.GetParameter("invert") == "False"
    assert node.GetNodeReferenceID("volume") == volume.GetID()
    assert node.GetNodeReferenceID("either.1") == label.GetID()
    assert node.GetParameter("maybe.0") == "4"
    slicer.mrmlScene.RemoveNode(volume)
    assert again.volume is None


def test_parameters_refuse(slicer, wrapper):
    p = wrapper(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))
    for name, value in (
        ("threshold", 501),
        ("threshold", None),
        ("count", 1.5),
        ("name", 3),
        ("colour", "RED"),
        ("mode", "medium"),
        ("volume", p.parameterNode),
        ("maybe", "x"),
    ):
        with pytest.raises((TypeError, ValueError)):
            setattr(p, name, value)
    with pytest.raises(ValueError, match="Cannot find a param"):
        p.getValue("absent")


def test_a_union_of_nodes_needs_none(slicer):
    from slicer import vtkMRMLLabelMapVolumeNode, vtkMRMLTableNode
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    @parameterNodeWrapper
    class Parameters:
        either: Union[vtkMRMLTableNode, vtkMRMLLabelMapVolumeNode]  # noqa: UP007

    with pytest.raises(TypeError, match="Unable to write value 'None'"):
        Parameters(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))


def test_parameters_are_bound_to_widgets(slicer, wrapper, qt, ctk):
    p = wrapper(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))
    top = slicer.qMRMLWidget()
    column = qt.QVBoxLayout(top)
    widgets = {
        "volume": slicer.qMRMLNodeComboBox(),
        "threshold": ctk.ctkSliderWidget(),
        "count": qt.QSpinBox(),
        "invert": qt.QCheckBox(),
        "name": qt.QLineEdit(),
        "folder": ctk.ctkPathLineEdit(),
        "colour": qt.QComboBox(),
        "mode": qt.QComboBox(),
    }
    for name, widget in widgets.items():
        widget.setProperty("SlicerParameterName", name)
        column.addWidget(widget)
    widgets["volume"].noneEnabled = True
    widgets["volume"].setMRMLScene(slicer.mrmlScene)
    shown(top)
    tag = p.connectGui(top)
    # parameter node -> widgets
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    p.volume, p.threshold, p.count, p.invert = volume, 7.0, 5, True
    p.name, p.colour, p.mode, p.folder = "MR", Colour.RED, "fast", pathlib.Path("/tmp")
    assert widgets["volume"].currentNode() is volume
    assert (widgets["threshold"].value, widgets["count"].value) == (7.0, 5)
    assert widgets["invert"].checked and widgets["name"].text == "MR"
    assert (widgets["colour"].currentText, widgets["mode"].currentText) == ("red", "fast")
    assert widgets["folder"].currentPath == "/tmp"
    # widgets -> parameter node
    widgets["volume"].setCurrentNode(None)
    widgets["threshold"].value = 9
    gui_helpers.type_into(widgets["count"], "8")
    gui_helpers.click(widgets["invert"])
    gui_helpers.type_into(widgets["name"], "PET")
    gui_helpers.choose(widgets["colour"], "blue")
    widgets["folder"].currentPath = "/usr"
    assert (p.volume, p.threshold, p.count, p.invert) == (None, 9.0, 8, False)
    assert (p.name, p.colour, p.folder) == ("PET", Colour.BLUE, pathlib.Path("/usr"))
    # no longer after disconnectGui
    p.disconnectGui(tag)
    widgets["threshold"].value = 1
    p.count = 2
    assert (p.threshold, widgets["count"].value) == (9.0, 8)
    top.hide()


def test_what_slicer_does_not_bind_raises(slicer, wrapper, qt):
    p = wrapper(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))
    radio = qt.QRadioButton()
    with pytest.raises(RuntimeError, match="Unable to create GUI connector"):
        p.connectParametersToGui({"invert": radio})
