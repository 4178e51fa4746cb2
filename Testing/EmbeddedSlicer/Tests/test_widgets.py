"""EmbeddedSlicer's CTK and qMRML widgets, the .ui loader and the parameter node wrapper."""

import enum
import pathlib
from typing import Annotated, Optional, Union

import pytest

testing = pytest.importorskip("EmbeddedSlicer.testing", exc_type=ImportError)


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
    testing.process()
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
    volume_box.currentNodeChanged.connect(seen.append)
    assert volume_box.currentNode() is None and volume_box.currentNodeID == ""
    first = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "first")
    assert volume_box.currentNode() is first  # an empty box goes to the first node
    second = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "second")
    assert volume_box.nodeCount() == 2 and volume_box.currentNode() is first
    volume_box.setCurrentNode(second)
    assert volume_box.currentNodeID == second.GetID()
    volume_box.setCurrentNodeID(first.GetID())
    second.SetName("renamed")
    testing.choose(volume_box, "renamed")
    assert volume_box.currentNode() is second
    slicer.mrmlScene.RemoveNode(second)
    assert volume_box.currentNode() is first
    assert seen == [first, second, first, second, first]
    slicer.mrmlScene.Clear()
    assert volume_box.nodeCount() == 0 and volume_box.currentNode() is None
    assert seen[-1] is None


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
    testing.choose(shown(volume_box), "Choose one")
    assert volume_box.currentNode() is None
    volume_box.setCurrentNode(node)
    volume_box.setCurrentNode(None)
    assert volume_box.currentNode() is None
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode")
    volume_box.setCurrentNode(other)  # not one of its nodes
    assert volume_box.currentNode() is None
    volume_box.hide()


@pytest.mark.parametrize("name", ["addEnabled", "removeEnabled", "editEnabled", "renameEnabled"])
def test_node_combo_box_refuses_entries_that_are_not_made(slicer, volume_box, name):
    volume_box.setMRMLScene(None)
    setattr(volume_box, name, True)
    with pytest.raises(NotImplementedError, match=name):
        volume_box.setMRMLScene(slicer.mrmlScene)


def test_node_combo_box_signals_by_signature(slicer, volume_box):
    seen = []
    assert volume_box.connect("currentNodeChanged(vtkMRMLNode*)", seen.append)
    assert volume_box.connect("currentNodeChanged(bool)", seen.append)
    assert volume_box.connect("currentNodeIDChanged(QString)", seen.append)
    assert not volume_box.connect("currentNodeChanged(QString)", lambda n: None)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "v")
    assert seen == [node, True, node.GetID()]


def test_a_deleted_box_lets_go_of_the_scene(slicer):
    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    box.addEnabled = box.removeEnabled = False
    box.setMRMLScene(slicer.mrmlScene)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    box.delete()
    with testing.no_slot_errors():
        node.SetName("renamed")
        slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
        slicer.mrmlScene.Clear()


def test_cpp_only_methods_are_not_there(slicer, ctk):
    for widget, name in (
        (slicer.qMRMLNodeComboBox(), "setNodeTypes"),
        (slicer.qMRMLNodeComboBox(), "setNoneEnabled"),
        (ctk.ctkCollapsibleButton(), "setCollapsed"),
        (ctk.ctkPathLineEdit(), "setFilters"),
    ):
        with pytest.raises(AttributeError):
            getattr(widget, name)


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
    button.contentsCollapsed.connect(seen.append)
    assert inner.visible and not button.collapsed
    button.collapsed = True
    testing.process()
    assert not inner.visible and button.collapsed and not button.checked
    inner.show()  # what is shown meanwhile waits until the section opens
    assert not inner.visible
    testing.click(button, testing.raw(button).rect().topLeft() * 0 + _point(30, 8))
    assert inner.visible and not never.visible
    assert seen == [True, False]
    top.hide()


def _point(x, y):
    from PySide6 import QtCore

    return QtCore.QPoint(x, y)


def test_path_line_edit(ctk, tmp_path):
    edit = ctk.ctkPathLineEdit()
    edit.filters = ctk.ctkPathLineEdit.Dirs
    seen, valid = [], []
    edit.currentPathChanged.connect(seen.append)
    edit.validInputChanged.connect(valid.append)
    edit.currentPath = str(tmp_path)
    assert edit.currentPath == str(tmp_path) and seen == [str(tmp_path)] and valid == [True]
    # CTK asks for something, not for a path that exists; of nothing it only says that it is invalid.
    edit.setCurrentPath("/no/such/folder")
    assert valid == [True] and seen[-1] == "/no/such/folder"
    edit.setCurrentPath("")
    assert valid == [True, False] and seen[-1] == "/no/such/folder"
    with testing.answering(str(tmp_path)) as asked:
        edit.browse()
    assert edit.currentPath == str(tmp_path) and asked[0].title == "getExistingDirectory"


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
    "ctkPathLineEdit",
    "qMRMLNodeComboBox",
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


def test_a_ui_widget_without_a_plugin_is_a_plain_one_and_qt_says_so(slicer, tmp_path, capfd):
    """As in Slicer, where a library of widgets is not loaded; what was connected to it is not."""
    link = CONNECTION.format(
        signal="mrmlSceneChanged(vtkMRMLScene*)", slot="setMRMLScene(vtkMRMLScene*)"
    )
    form = load(slicer, tmp_path, ["qMRMLPlotView"], link)
    assert form.w0.className() == "QWidget" and not hasattr(form.w0, "setMRMLScene")
    assert "qMRMLPlotView" in capfd.readouterr().err


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
    form = load(slicer, tmp_path, ["qMRMLWidget"], link)
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
    from slicer.parameterNodeWrapper import Default, parameterNodeWrapper

    @parameterNodeWrapper
    class Parameters:
        volume: vtkMRMLScalarVolumeNode
        either: Union[vtkMRMLTableNode, vtkMRMLLabelMapVolumeNode, None]  # noqa: UP007
        invert: bool = False
        name: str = "CT"
        colour: Annotated[Colour, Default(Colour.BLUE)]
        maybe: Optional[str]  # noqa: UP045

    return Parameters


def test_parameters_keep_types_and_defaults(slicer, wrapper):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    p = wrapper(node)
    assert (p.volume, p.either, p.invert) == (None, None, False)
    assert (p.name, p.colour, p.maybe) == ("CT", Colour.BLUE, None)
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    label = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    p.volume, p.either, p.colour, p.maybe = volume, label, Colour.RED, "4"
    again = wrapper(node)
    assert again.volume is volume and again.either is label
    assert (again.colour, again.maybe) == (Colour.RED, "4")
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
        ("name", 3),
        ("name", None),
        ("invert", 1),
        ("colour", "RED"),
        ("volume", p.parameterNode),
        ("maybe", 1),
    ):
        with pytest.raises(TypeError):
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


@pytest.mark.parametrize("kind", [bytes, list[str], pathlib.Path, Annotated[str, "short"]])
def test_types_that_are_not_made_raise(slicer, kind):
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    class Parameters:
        value: kind

    with pytest.raises(Exception, match="Unable to create serializer"):
        parameterNodeWrapper(Parameters)


def test_parameters_are_bound_to_widgets(slicer, wrapper, qt, ctk):
    p = wrapper(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))
    top = slicer.qMRMLWidget()
    column = qt.QVBoxLayout(top)
    widgets = {
        "volume": slicer.qMRMLNodeComboBox(),
        "invert": qt.QCheckBox(),
        "colour": qt.QComboBox(),
    }
    for name, widget in widgets.items():
        widget.setProperty("SlicerParameterName", name)
        column.addWidget(widget)
    widgets["volume"].noneEnabled = True
    widgets["volume"].addEnabled = widgets["volume"].removeEnabled = False
    widgets["volume"].setMRMLScene(slicer.mrmlScene)
    shown(top)
    tag = p.connectGui(top)
    # parameter node -> widgets
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    p.volume, p.invert, p.colour = volume, True, Colour.RED
    assert widgets["volume"].currentNode() is volume
    assert widgets["invert"].checked and widgets["colour"].currentText == "red"
    # widgets -> parameter node
    widgets["volume"].setCurrentNode(None)
    testing.click(widgets["invert"])
    testing.choose(widgets["colour"], "blue")
    assert (p.volume, p.invert, p.colour) == (None, False, Colour.BLUE)
    # no longer after disconnectGui
    p.disconnectGui(tag)
    testing.click(widgets["invert"])
    p.colour = Colour.RED
    assert (p.invert, widgets["colour"].currentText) == (False, "blue")
    top.hide()


def test_numbers_keep_their_range_and_a_spin_box_takes_it_over(slicer, qt):
    """As in Slicer: without a range of the parameter, the spin box's own is lost."""
    from slicer.parameterNodeWrapper import Default, WithinRange, parameterNodeWrapper

    @parameterNodeWrapper
    class Parameters:
        age: Annotated[int, Default(-1), WithinRange(-1, 130)]
        count: int = 3

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    p = Parameters(node)
    assert (p.age, p.count) == (-1, 3) and node.GetParameter("age") == "-1"
    for value in (131, -2):
        with pytest.raises(ValueError, match="within range"):
            p.age = value
    for value in (1.5, True, "4"):
        with pytest.raises(TypeError):
            p.count = value
    ages, counts = qt.QSpinBox(), qt.QSpinBox()
    p.connectParametersToGui({"age": ages, "count": counts})
    assert (ages.minimum, ages.maximum) == (-1, 130)
    assert (counts.minimum, counts.maximum) == (-(2**31), 2**31 - 1)
    ages.setValue(63)
    assert p.age == 63 and Parameters(node).age == 63
    p.count = 7
    assert counts.value == 7


def test_a_text_is_bound_to_a_line_edit(slicer, qt):
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    @parameterNodeWrapper
    class Parameters:
        name: str = ""

    p = Parameters(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))
    edit = qt.QLineEdit()
    p.connectParametersToGui({"name": edit})
    p.name = "case 1"
    assert edit.text == "case 1"
    edit.setText("case 2")
    assert p.name == "case 2"


def test_what_slicer_does_not_bind_raises(slicer, wrapper, qt):
    p = wrapper(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))
    radio = qt.QRadioButton()
    with pytest.raises(RuntimeError, match="Unable to create GUI connector"):
        p.connectParametersToGui({"invert": radio})
