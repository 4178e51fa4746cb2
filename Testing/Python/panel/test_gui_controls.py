"""Every control says what it is for and why it is off; what is found and left out can be corrected by a click."""

import time

import gui_helpers as gui
import numpy as np
import phantoms
import pytest

gui.start()

import slicer  # noqa: E402

from CTBMDLib.levels import LevelSelection  # noqa: E402

PATIENCE_S = 300
CONTROLS = ["QAbstractButton", "QComboBox", "QAbstractSpinBox", "QAbstractSlider", "QLineEdit"]
CONTROLS += ["QTableWidget", "QTextBrowser", "qMRMLNodeComboBox", "ctkPathLineEdit"]
"""Classes of what a person can press, choose, type into or read from."""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "untrained"
    phantoms.bundle(folder, members=1, calibration={"scale": 1.0, "offset_g_cm2": 1.0})
    return str(folder)


@pytest.fixture
def panel(model):
    with gui.opened_panel(model) as opened:
        yield opened


def add_ct(panel, name="phantom", screw=None, **facts):
    """A CT of the scene, with metal through one of its vertebrae where asked for."""
    from CTBMDPanel import volumes

    volume = phantoms.phantom(**facts)
    if screw:
        k, j, i = np.rint(volume.ijk_from_ras(phantoms.CENTRES[screw])).astype(int)[::-1]
        volume.hu[k - 1 : k + 2, j - 3 : j + 3, i - 3 : i + 3] = 3000
    object.__setattr__(volume, "name", name)
    node = panel.parameterNode.inputVolume = volumes.addVolumeNode(volume)
    gui.process()
    return node


def wait(panel):
    gui.wait_until(lambda: not panel.runner.busy, PATIENCE_S, "the work")


def estimate(panel):
    gui.click(panel.ui.estimateButton)
    wait(panel)
    assert panel.result is not None, panel.lastError


# -- controls -------------------------------------------------------------------------------
def controls(panel):
    """{name: widget} of the controls that CTBMD.ui names, those of folded sections too."""
    found = {}
    for name, widget in vars(panel.ui).items():
        target = gui.raw(widget)
        section = target.inherits("ctkCollapsibleButton") or name.startswith("qt_")
        if not section and any(target.inherits(kind) for kind in CONTROLS):
            found[name] = target
    return found


def test_every_control_says_what_it_is_for_and_why_it_is_off(panel, monkeypatch):
    seen_off, seen_on = set(), set()

    def check():
        for name, control in controls(panel).items():
            tip = control.toolTip()
            assert len(tip) > 10, f"{name} has no tooltip"
            if control.isEnabled():
                assert not tip.startswith("Off: "), (name, tip)
                seen_on.add(name)
            else:
                assert tip.startswith("Off: ") and len(tip.split("\n")[0]) > 15, (name, tip)
                assert "\n" in tip, f"{name} no longer says what it is for"
                seen_off.add(name)

    assert len(controls(panel)) > 40
    check()
    add_ct(panel, screw="L2", sex="F", age_years=60.0)
    check()
    panel.controller.replace(phantoms.chosen())
    panel.parameterNode.referenceTable = "nhanes-hologic"
    check()
    real = panel.logic.estimateWork
    looked = []

    def slow(*given, **options):
        work = real(*given, **options)

        def waits(progress, should_cancel):
            while not looked:
                pass
            return work(progress, should_cancel)

        return waits

    monkeypatch.setattr(panel.logic, "estimateWork", slow)
    gui.click(panel.ui.estimateButton)
    check()
    looked.append(True)
    wait(panel)
    check()
    panel.controller.edit("include", "L3", False, "fracture")
    check()
    always = {"boneMapCheckBox", "trabecularCheckBox", "ownLayoutCheckBox", "modelCardBrowser"}
    always |= {"reasonCombo", "severalTable", "furtherButton", "findButton", "installTorchButton"}
    always |= {f"count{level}CheckBox" for level in ("L1", "L2", "L3", "L4")}
    never_off = set(controls(panel)) - seen_off - always
    assert not never_off, f"{never_off} are never off: name those that need not be"
    assert {"estimateButton", "studyAddButton", "chartButton", "sliceSlider"} <= seen_off & seen_on


def test_the_device_is_named_in_one_line(panel, monkeypatch):
    import sys
    import types

    from CTBMDPanel import pytorch

    monkeypatch.delitem(sys.modules, "torch", raising=False)
    panel.display.torch()
    panel.display.update()
    assert panel.ui.computeLabel.text == "Runs on: CPU, NumPy"
    cuda = types.SimpleNamespace(is_available=lambda: True, get_device_name=lambda: "Some GPU 9")
    none = types.SimpleNamespace(is_available=lambda: False)
    torch = types.SimpleNamespace(cuda=none, backends=types.SimpleNamespace(mps=none))
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *more: object())
    panel.display.update()
    assert panel.ui.computeLabel.text == "Runs on: CPU, PyTorch"
    torch.cuda = cuda
    assert pytorch.runsOn("cuda") == "Runs on: Some GPU 9 (CUDA)"
    torch.cuda, torch.backends.mps = none, cuda
    assert pytorch.runsOn("auto") == "Runs on: Apple GPU (MPS)"
    assert "no 'cuda' device" in pytorch.runsOn("cuda")
    monkeypatch.delitem(sys.modules, "torch")
    assert "loaded by the first estimate" in pytorch.runsOn("cuda")
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *more: None)
    assert "PyTorch is not installed" in pytorch.runsOn("cuda")
    monkeypatch.setattr(pytorch, "version", lambda: None)
    panel.display.torch()
    assert "not needed" in panel.ui.torchLabel.text and "\n" not in panel.ui.torchLabel.text


def test_the_help_has_four_steps():
    text = slicer.modules.ctbmd.helpText
    assert text.count("<li>") == 4 and "Research use only, not a medical device" in text
    titles = [step.split(".")[0] for step in text.split("<li><b>")[1:]]
    assert titles == ["CT volume", "Lumbar slices", "Bone density", "Results"]


# -- counted again --------------------------------------------------------------------------
def included(panel):
    return {row.level: row.included for row in panel.result.levels}


def test_a_level_left_out_by_a_finding_is_counted_again_by_one_click(panel, tmp_path):
    add_ct(panel, screw="L2")
    panel.controller.replace(phantoms.chosen())
    ui = panel.ui
    assert not gui.raw(ui.countL2CheckBox).isVisible()
    estimate(panel)
    assert included(panel) == {"L1": True, "L2": False, "L3": True}
    why = panel.result.levels[1].left_out
    assert why and ui.countL2CheckBox.text == f"L2: {why}" and not ui.countL2CheckBox.checked
    assert not gui.raw(ui.countL1CheckBox).isVisible() and "Left out" in ui.leftOutLabel.text
    without = panel.result.total
    gui.click(ui.countL2CheckBox)
    wait(panel)
    assert all(included(panel).values()) and panel.result.total.levels == "L1 L2 L3"
    assert panel.result.total.bmd_g_cm2 != without.bmd_g_cm2
    assert any(x.code == "counted-again" for x in panel.result.findings)
    assert panel.staleReason() == "" and ui.countL2CheckBox.checked
    assert ui.countL2CheckBox.text == f"L2: {why}", "the reason stays"
    # It stays with its CT, in a saved scene too, and can be taken back.
    first = panel.volumeNode
    add_ct(panel, "other")
    assert panel.parameterNode.countAgain == "" and not gui.raw(ui.countL2CheckBox).isVisible()
    panel.parameterNode.inputVolume = first
    gui.process()
    assert panel.parameterNode.countAgain == "L2" and panel.staleReason() == ""
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    gui.clean_scene()
    slicer.util.loadScene(path)
    gui.process()
    assert panel.parameterNode.countAgain == "L2" and all(included(panel).values())
    gui.click(ui.countL2CheckBox)
    wait(panel)
    assert included(panel)["L2"] is False
    assert panel.result.total.bmd_g_cm2 == pytest.approx(without.bmd_g_cm2)


def test_a_name_that_is_another_vertebras_is_not_counted_again(panel):
    add_ct(panel, screw="L2")
    panel.controller.replace(phantoms.chosen())
    estimate(panel)
    gui.click(panel.ui.countL2CheckBox)
    wait(panel)
    panel.controller.useSlice("L2", phantoms.CENTRES["L2"][2] + 3)
    assert panel.parameterNode.countAgain == "L2", "moved a little it is the same vertebra"
    panel.controller.shift(1)
    gui.process()
    assert panel.parameterNode.countAgain == ""
    estimate(panel)
    assert [row.level for row in panel.result.levels] == ["L2", "L3", "L4"]
    assert included(panel)["L3"] is False and panel.result.levels[1].left_out


# -- other CTs of the same person ---------------------------------------------------------------
NONE_FOUND = LevelSelection((), findings=("No lumbar vertebra was found in this volume.",))


@pytest.fixture
def finder(monkeypatch):
    """The search with an answer for each CT by its name: the phantom shows no sacrum and no ribs."""
    from CTBMDLib.spine import locate

    answers, asked = {}, []

    def find_levels(volume, progress=None, should_cancel=None):
        asked.append(volume.name)
        progress(0.5, "Searching")
        answer = answers.get(volume.name, NONE_FOUND)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(locate, "find_levels", find_levels)
    return answers, asked


def test_other_cts_of_the_person_are_named_and_tried(panel, finder):
    answers, asked = finder
    ui, mine = panel.ui, {"patient_id": "P1", "modality": "CT"}
    add_ct(panel, "head", **mine)
    add_ct(panel, "abdomen of another", patient_id="P2", modality="CT")
    add_ct(panel, "of nobody")
    add_ct(panel, "chest", **mine)
    add_ct(panel, "abdomen", **mine)
    add_ct(panel, "an MR", patient_id="P1", modality="MR")
    thorax = add_ct(panel, "thorax", **mine)
    answers["chest"] = phantoms.chosen()
    assert not gui.raw(ui.furtherButton).isVisible()
    gui.click(ui.findButton)
    wait(panel)
    assert "'abdomen', 'head', 'chest'" in ui.furtherLabel.text
    assert not any(x in ui.furtherLabel.text for x in ("another", "nobody", "MR"))
    asked.clear()
    gui.click(ui.furtherButton)
    wait(panel)
    assert asked == ["abdomen", "head", "chest"]
    assert "'thorax' was left" in ui.findStatusLabel.text
    assert panel.volumeNode.GetName() == "chest" and len(panel.controller.selection) == 3
    assert "'chest' shows the lumbar spine" in ui.findStatusLabel.text
    assert not gui.raw(ui.furtherButton).isVisible()
    # What was tried in vain is not offered again.
    panel.parameterNode.inputVolume = thorax
    gui.process()
    assert ui.furtherButton.text == "Try 'chest'"


def test_where_none_shows_it_that_is_said_once(panel, finder):
    answers, asked = finder
    from CTBMDLib.errors import CTBMDError

    answers["second"] = CTBMDError("It is no CT.", "x")
    for name in ("first", "second", "third"):
        add_ct(panel, name, patient_id="P1", modality="CT")
    gui.click(panel.ui.findButton)
    wait(panel)
    gui.click(panel.ui.furtherButton)
    wait(panel)
    assert asked == ["third", "first", "second"] and panel.volumeNode.GetName() == "third"
    said = panel.ui.findStatusLabel.text
    assert "'third' (shows none); 'first' (shows none); 'second' (It is no CT)." in said
    assert not gui.raw(panel.ui.furtherButton).isVisible()


# -- other CTs of the same study ----------------------------------------------------------------
def of_one_study(panel, *names):
    """CTs of one study, and one of the same person on another day; the last is the chosen one."""
    add_ct(panel, "abdomen of before", patient_id="P1", study_uid="1.9", modality="CT")
    return [add_ct(panel, x, patient_id="P1", study_uid="1.2", modality="CT") for x in names]


def test_other_cts_of_the_study_are_tried_unasked_and_the_one_used_is_named(panel, finder):
    answers, asked = finder
    ui = panel.ui
    of_one_study(panel, "legs", "abdomen", "spine bone", "head")
    bone = slicer.util.getNode("spine bone")
    answers["legs"] = phantoms.chosen()
    gui.click(ui.findButton)
    wait(panel)
    assert asked == ["head", "abdomen", "spine bone", "legs"]
    assert panel.volumeNode.GetName() == "legs" and len(panel.controller.selection) == 3
    said = ui.findStatusLabel.text
    assert said.startswith(
        "'legs' shows the lumbar spine and is the chosen CT now; your choice 'head'"
    )
    assert "'abdomen' (shows none); 'spine bone' (shows none)" in said
    # What was said is of that CT; where the levels of another are known they are taken as they are.
    panel.parameterNode.inputVolume = bone
    gui.process()
    assert ui.findStatusLabel.text == ""
    kept = panel.state.selectionOf(slicer.util.getNode("legs")).to_json()
    asked.clear()
    gui.click(ui.findButton)
    wait(panel)
    assert asked == ["spine bone", "abdomen"]
    assert panel.volumeNode.GetName() == "legs" and panel.controller.selection.to_json() == kept


def test_soft_and_axial_cts_of_a_study_come_first(panel):
    from CTBMDPanel import further

    head = {"patient_id": "P1", "study_uid": "1.2", "modality": "CT"}
    for name, kernel in (("a", "B70f"), ("b", None), ("c", "B30f"), ("described", "B70f")):
        more = {"series_description": "LUMBAR"} if name == "described" else {}
        add_ct(panel, name, kernel=kernel, **head, **more)
    tilted = slicer.util.getNode("c")
    mine = add_ct(panel, "mine", **head)
    assert [x.GetName() for x in further.ofStudy(mine)] == ["described", "c", "b", "a"]
    matrix = np.array([[0, 0, 2.0, 0], [2.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 0, 1]])
    tilted.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(matrix))  # its slices are sagittal
    assert [x.GetName() for x in further.ofStudy(mine)][-1] == "c"
    nobody = add_ct(panel, "of no study", patient_id="P1", modality="CT")
    assert further.ofStudy(nobody) == [] and len(further.others(nobody)) == 5


def test_where_no_ct_of_the_study_shows_it_each_is_named_with_the_reason(panel, finder):
    answers, asked = finder
    from CTBMDLib.errors import CTBMDError

    answers["second"] = CTBMDError("It is no CT.", "x")
    of_one_study(panel, "first", "second", "mine")
    gui.click(panel.ui.findButton)
    wait(panel)
    assert asked == ["mine", "first", "second"] and panel.volumeNode.GetName() == "mine"
    said = panel.ui.findStatusLabel.text
    assert "'mine' (shows none); 'first' (shows none); 'second' (It is no CT)." in said
    # Of another day, it is the person who must ask for it.
    assert panel.ui.furtherButton.text == "Try 'abdomen of before'"


def test_trying_the_others_is_left_by_cancel(panel, finder, monkeypatch):
    from CTBMDLib.spine import locate

    answers, asked = finder
    quick, waiting = locate.find_levels, []

    def slow(volume, progress=None, should_cancel=None):
        progress(0.1, "Searching")
        while volume.name == "first" and not should_cancel():
            waiting.append(True)
            time.sleep(0.01)
        return quick(volume, progress, should_cancel)

    monkeypatch.setattr(locate, "find_levels", slow)
    answers["second"] = phantoms.chosen()
    of_one_study(panel, "first", "second", "mine")
    gui.click(panel.ui.findButton)
    told = panel.ui.findStatusLabel
    gui.wait_until(lambda: waiting and told.text, PATIENCE_S, "the first of the others")
    assert panel.ui.findButton.text == "Cancel" and told.text == "1 of 2, first: Searching"
    assert not gui.raw(panel.ui.furtherButton).isVisible()
    gui.click(panel.ui.findButton)
    wait(panel)
    assert "second" not in asked and panel.volumeNode.GetName() == "mine"
    assert panel.ui.findStatusLabel.text.startswith("Cancelled; 'mine' stays the chosen CT.")
    assert panel.ui.findButton.text == "Find lumbar slices"


def test_without_other_cts_nothing_is_offered(panel, finder):
    add_ct(panel, "alone", patient_id="P1", modality="CT")
    gui.click(panel.ui.findButton)
    wait(panel)
    assert "No lumbar vertebra" in panel.ui.levelNotesLabel.text
    assert not gui.raw(panel.ui.furtherButton).isVisible()


# -- what was there before ------------------------------------------------------------------
def test_the_label_layer_of_before_comes_back_after_the_overlay(panel):
    add_ct(panel)
    panel.controller.replace(phantoms.chosen())
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "my labels")
    slicer.util.updateVolumeFromArray(labels, np.ones((5, 5, 5), np.uint8))
    slicer.util.setSliceViewerLayers(label=labels, labelOpacity=0.7)
    views = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")

    def shown():
        return {(view.GetLabelVolumeID(), view.GetLabelOpacity()) for view in views}

    before = shown()
    assert before == {(labels.GetID(), 0.7)} and len(views) >= 3
    gui.click(panel.ui.boneMapCheckBox)
    bone = slicer.util.getNode("Bone")
    assert {x[0] for x in shown()} == {bone.GetID()}
    panel.levels.show("L2")
    panel.controller.useSlice("L2", phantoms.CENTRES["L2"][2] + 3)  # the overlay is made anew
    gui.process()
    gui.click(panel.ui.boneMapCheckBox)
    assert shown() == before
    # What a person chooses meanwhile stays; what was deleted meanwhile is not asked for.
    gui.click(panel.ui.boneMapCheckBox)
    views[0].SetLabelVolumeID(None)
    slicer.mrmlScene.RemoveNode(labels)
    gui.click(panel.ui.boneMapCheckBox)
    assert {x[0] for x in shown()} == {None}


def test_the_overlay_gives_the_layer_back_when_the_module_is_thrown_away(panel):
    add_ct(panel)
    panel.controller.replace(phantoms.chosen())
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "my labels")
    slicer.util.updateVolumeFromArray(labels, np.ones((5, 5, 5), np.uint8))
    slicer.util.setSliceViewerLayers(label=labels)
    gui.click(panel.ui.boneMapCheckBox)
    panel.images.close()
    views = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    assert {view.GetLabelVolumeID() for view in views} == {labels.GetID()}
    panel.parameterNode.showBone = False


def test_the_users_layout_comes_back_whatever_it_was(panel):
    widget, manager = slicer.util.getModuleWidget("CTBMD"), slicer.app.layoutManager()
    from CTBMDPanel import layout

    widget.exit()
    node = manager.layoutLogic().GetLayoutNode()
    if not node.IsLayoutDescription(1777):
        node.AddLayoutDescription(1777, layout.description(chart=False))
    for users in (1777, 3):  # one of the user's own, Slicer's four-up
        manager.setLayout(users)
        widget.enter()
        assert manager.layout == 1041
        panel.layout.setChart(True)
        assert manager.layout == 1042
        widget.exit()
        assert manager.layout == users
        panel.layout.setChart(False)
        assert manager.layout == users, "nothing of it is seen once the module is left"


def test_plain_names_follow_the_palette_and_warned_ones_their_mark(panel):
    """Names that were written on a light panel could not be read on a dark one."""
    from PySide6 import QtCore

    add_ct(panel, screw="L2")
    panel.controller.replace(phantoms.chosen())
    role, table = QtCore.Qt.ItemDataRole.ForegroundRole, gui.raw(panel.ui.levelTable)
    assert [table.item(row, 1).data(role) for row in range(3)] == [None] * 3
    estimate(panel)
    assert "\u26a0" in table.item(1, 1).text() and table.item(1, 1).data(role) is not None
    panel.controller.edit("include", "L3", False)  # what was said of the images is out of date
    gui.process()
    assert [table.item(row, 1).data(role) for row in range(3)] == [None] * 3


# -- keys and wheel -------------------------------------------------------------------------
def key(widget, name):
    from PySide6 import QtCore, QtTest

    target = gui.raw(widget)
    gui.show(target)
    target.setFocus()
    QtTest.QTest.keyClick(target, getattr(QtCore.Qt.Key, f"Key_{name}"))
    gui.process()


def test_arrow_keys_choose_the_level_and_the_wheel_its_slice(panel):
    from CTBMDPanel import views

    add_ct(panel)
    panel.levels.onFound(phantoms.chosen())
    for name, level in (("Down", "L2"), ("Down", "L3"), ("Up", "L2")):
        key(panel.ui.levelTable, name)
        assert panel.levels.levelTable.level == level
        assert views.axialS() == pytest.approx(phantoms.CENTRES[level][2], abs=0.1)
    gui.turn_wheel(gui.slice_view("Red"), 2)
    there = views.axialS()
    assert abs(there - phantoms.CENTRES["L2"][2]) > 3
    gui.click(panel.ui.useSliceButton)
    assert panel.controller.selection["L2"].ras[2] == pytest.approx(there, abs=0.01)
    key(panel.ui.sliceSlider, "Right")
    assert panel.controller.selection["L2"].ras[2] == pytest.approx(there + 0.5, abs=0.06)
    for _ in range(2):
        gui.click(panel.ui.undoButton)
    assert panel.controller.selection["L2"].ras[2] == phantoms.CENTRES["L2"][2]


# -- what is rarely pressed -------------------------------------------------------------------
def test_another_ct_chosen_while_work_is_under_way_ends_it(panel, monkeypatch):
    import threading

    first = add_ct(panel, "first & native")
    assert panel.ui.volumeSection.text.endswith(": first && native")  # as Qt needs it to show '&'
    panel.controller.replace(phantoms.chosen())
    asked, real = threading.Event(), panel.logic.estimateWork

    def endless(*given, **options):
        def work(progress, should_cancel):
            while not should_cancel():
                asked.set()
            return real(*given, **options)(progress, None)

        return work

    monkeypatch.setattr(panel.logic, "estimateWork", endless)
    gui.click(panel.ui.estimateButton)
    assert panel.runner.busy and not panel.ui.inputSelector.enabled and asked.wait(PATIENCE_S)
    second = add_ct(panel, "second")  # by a script, as the list is off
    assert panel.volumeNode is second and not panel.runner.busy
    assert panel.ui.estimateButton.text == "Estimate BMD" and panel.ui.inputSelector.enabled
    panel.parameterNode.inputVolume = first
    gui.process(10)
    assert panel.result is None and [x.level for x in panel.controller.selection] == [
        "L1",
        "L2",
        "L3",
    ]


def test_the_card_of_a_bundle_chosen_by_its_path_is_shown(panel, model, tmp_path):
    ui = panel.ui
    assert "0.0.1" in ui.modelCardBrowser.plainText
    phantoms.bundle(tmp_path / "other", name="ctbmd-of-another-site", population="patients")
    gui.type_into(ui.modelPathEdit, str(tmp_path / "other"))
    assert "ctbmd-of-another-site" in ui.modelCardBrowser.plainText
    assert "simulated" not in ui.researchUseLabel.text
    gui.type_into(ui.modelPathEdit, str(tmp_path))
    assert "card.json" in ui.modelCardBrowser.plainText
    gui.type_into(ui.modelPathEdit, "")
    assert "simulated CT" in ui.researchUseLabel.text and len(ui.modelCardBrowser.plainText) > 300


def test_pytorch_is_installed_by_its_extension_and_only_when_asked(panel, monkeypatch):
    import sys
    import types

    from CTBMDPanel import pytorch

    monkeypatch.setattr(pytorch, "version", lambda: None)
    panel.display.torch()
    button, asked = panel.ui.installTorchButton, []
    assert "not needed" in panel.ui.torchLabel.text

    def press(*answers):
        with gui.answering(*answers) as shown:
            gui.click(button)
        return shown[0].text if shown else ""

    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)  # no such extension
    assert "get it from the Extensions Manager" in press("Ok")

    class Logic:
        answer = None

        def torchInstalled(self):
            raise TypeError("a broken installation")

        def installTorch(self, **options):
            asked.append(options)
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

    helper = types.SimpleNamespace(PyTorchUtilsLogic=Logic)
    monkeypatch.setitem(sys.modules, "PyTorchUtils", helper)
    assert press() == "" and len(asked) == 1  # the person has declined
    assert asked[0] == {"askConfirmation": True, "torchVersionRequirement": ">=2.0"}
    Logic.answer = RuntimeError("no network")
    said = press("Ok")
    assert "(no network)" in said and "the network runs without it" in said
    Logic.answer = object()
    monkeypatch.setattr(pytorch, "version", lambda: "2.9")
    assert press() == "" and "PyTorch 2.9 is installed" in panel.ui.torchLabel.text
    assert not gui.raw(button).isVisible()
