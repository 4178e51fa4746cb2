"""Section 5 of the panel with the mouse: the study's table, all CTs of the scene, and a folder."""

import csv

import gui_helpers as gui
import numpy as np
import phantoms
import pytest
from volume_files import nifti_bytes, write

gui.start()

import qt  # noqa: E402
import slicer  # noqa: E402

PATIENCE_S = 300
TWO = ("L1", "L2")
"""As few levels as have a mean: the tables are tested, not the values."""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "untrained"
    phantoms.bundle(folder, members=1)
    return str(folder)


@pytest.fixture
def panel(model):
    qt.QSettings().remove("CTBMD/StudyTable")
    with gui.opened_panel(model) as opened:
        yield opened


def add_ct(panel, name, levels=True, bone_hu=200.0, **facts):
    """A CT of the scene, with its levels; the last one is the one that is chosen."""
    from CTBMDPanel import volumes

    volume = phantoms.phantom(bone_hu=bone_hu, **facts)
    object.__setattr__(volume, "name", name)
    node = panel.parameterNode.inputVolume = volumes.addVolumeNode(volume)
    gui.process()
    if levels:
        panel.controller.replace(phantoms.chosen(TWO))
    return node


def estimate(panel):
    gui.click(panel.ui.estimateButton)
    wait(panel)


def wait(panel):
    gui.wait_until(lambda: not panel.runner.busy, PATIENCE_S, "the work")


def names(path):
    with path.open(newline="", encoding="utf-8-sig") as lines:
        return [row["case"] for row in csv.DictReader(lines) if row["level"] == "L1"]


def choosing(path):
    """A person who types a path into the dialog."""

    def answer(dialog):
        dialog.selectFile(str(path))
        dialog.accept()

    return answer


# -- one table ------------------------------------------------------------------------------
def test_a_ct_is_added_once_and_asked_about_when_it_comes_again(panel, tmp_path):
    ui, table = panel.ui, tmp_path / "study.csv"
    assert "no results yet" in ui.studyAddButton.toolTip
    add_ct(panel, "first")
    estimate(panel)
    with gui.answering(choosing(table)):
        gui.click(ui.studyAddButton)
    assert names(table) == ["case 1"] and gui.raw(ui.caseEdit).text() == "case 1"
    assert "'case 1' was added to 'study.csv'" in ui.studyStatusLabel.text
    before = table.read_bytes()
    with gui.answering("Cancel") as shown:
        gui.click(ui.studyAddButton)
    assert "with the same values" in shown[0].text and "--" not in shown[0].text
    assert table.read_bytes() == before and "left as it is" in ui.studyStatusLabel.text
    gui.type_into(ui.ageSpinBox, "71")
    assert ui.studyAddButton.toolTip.startswith("Off: Out of date")
    estimate(panel)
    panel.controller.useSlice("L2", phantoms.CENTRES["L2"][2] + 3)
    estimate(panel)
    with gui.answering("Ok") as shown:
        gui.click(ui.studyAddButton)
    assert "with other values" in shown[0].text
    assert names(table) == ["case 1"] and "replaced" in ui.studyStatusLabel.text


def test_each_ct_has_its_name_in_the_table(panel, tmp_path):
    table = tmp_path / "study.tsv"
    first = add_ct(panel, "first")
    estimate(panel)
    gui.type_into(panel.ui.caseEdit, "A-01")
    with gui.answering(choosing(table)):
        gui.click(panel.ui.studyAddButton)
    add_ct(panel, "second", bone_hu=240.0)
    assert gui.raw(panel.ui.caseEdit).text() == "" and not panel.ui.studyStatusLabel.text
    estimate(panel)
    gui.click(panel.ui.studyAddButton)
    assert gui.raw(panel.ui.caseEdit).text() == "case 1"
    panel.parameterNode.inputVolume = first
    gui.process()
    assert gui.raw(panel.ui.caseEdit).text() == "A-01"
    text = table.read_text()
    assert text.count("A-01\t") == text.count("case 1\t") == 3


def test_another_model_is_asked_about(panel, tmp_path):
    table = tmp_path / "study.csv"
    add_ct(panel, "first")
    estimate(panel)
    with gui.answering(choosing(table)):
        gui.click(panel.ui.studyAddButton)
    old = table.read_text().replace(",test,0.0.1,", ",test,0.0.0,")
    table.write_text(old)
    add_ct(panel, "second", bone_hu=240.0)
    estimate(panel)
    with gui.answering("Cancel") as shown:
        gui.click(panel.ui.studyAddButton)
    assert "rows of another model (test 0.0.0)" in shown[0].text
    assert table.read_text() == old and not panel.ui.studyStatusLabel.text
    with gui.answering("Ok"):
        gui.click(panel.ui.studyAddButton)
    assert names(table) == ["case 1", "case 2"]


def test_a_table_that_cannot_be_used_is_one_sentence(panel, tmp_path):
    add_ct(panel, "first")
    estimate(panel)
    with gui.answering(choosing(tmp_path / "study.xlsx"), "Ok") as shown:
        gui.click(panel.ui.studyAddButton)
    assert "must end in .csv or .tsv" in shown[1].text
    other = tmp_path / "shopping.csv"
    other.write_text("what,price\nmilk,1.20\n")
    with gui.answering(choosing(other), "Ok") as shown:
        gui.click(panel.ui.studyAddButton)
    assert "is not a table of CTBMD" in shown[1].text and other.read_text().endswith("1.20\n")
    with gui.answering("reject"):
        gui.click(panel.ui.studyChooseButton)
    assert "shopping.csv" in panel.ui.studyNameLabel.text


def column(path, name):
    with path.open(newline="", encoding="utf-8-sig") as lines:
        return [row[name] for row in csv.DictReader(lines) if row["level"] == "L1"]


def test_the_tables_name_a_patient_only_by_the_box(panel, tmp_path):
    ui, bare, named = panel.ui, tmp_path / "bare.csv", tmp_path / "named.csv"
    gui.show(ui.studyIdentityLabel)
    assert "name nobody" in ui.studyIdentityLabel.text
    facts = {"patient_id": "PLANTED-1", "series_uid": "1.2.77"}
    first = add_ct(panel, "first", **facts)
    add_ct(panel, "second", bone_hu=240.0, **{**facts, "patient_id": "PLANTED-2"})
    gui.click(ui.sceneButton)
    wait(panel)
    with gui.answering(choosing(bare)):
        gui.click(ui.severalAddButton)
    assert "PLANTED" not in bare.read_text() and "1.2.77" not in bare.read_text()
    for node in (first, panel.volumeNode):  # as if they had not been in a table yet
        cases_forget(panel, node)
    gui.click(ui.identityCheckBox)
    try:
        assert "get the patient ID" in ui.studyIdentityLabel.text
        with gui.answering(choosing(named)):
            gui.click(ui.studyChooseButton)
        gui.click(ui.severalAddButton)
        assert column(named, "case") == ["PLANTED-1", "PLANTED-2"]
        assert column(named, "series_uid") == ["1.2.77"] * 2
        with gui.answering("Cancel"):
            gui.click(ui.studyAddButton)
        # Neither the scene nor the next table learns it by that.
        assert panel.parameterNode.caseName == "" == panel.state.settingsOf(first)["name"]
        gui.type_into(ui.caseEdit, "A-02")
        with gui.answering("Ok"):
            gui.click(ui.studyAddButton)
        assert column(named, "case") == ["PLANTED-1", "A-02"]
    finally:
        gui.click(ui.identityCheckBox)
    assert "name nobody" in ui.studyIdentityLabel.text


def cases_forget(panel, node):
    from CTBMDPanel import cases

    if node is panel.volumeNode:
        panel.parameterNode.caseName = ""
    else:
        cases.write(node, {**panel.state.settingsOf(node), "name": ""})


# -- all CTs of the scene ---------------------------------------------------------------------
def cell(panel, row, column):
    return gui.raw(panel.ui.severalTable).item(row, column).text()


def test_all_cts_of_the_scene_are_estimated_and_keep_their_results(panel, tmp_path):
    ui = panel.ui
    with gui.answering("Ok") as shown:
        gui.click(ui.sceneButton)
    assert "no CT in the scene" in shown[0].text
    first = add_ct(panel, "first", sex="F", kvp=120.0)
    empty = slicer.util.addVolumeFromArray(
        np.full((20, 40, 40), -1000, np.int16), np.diag([4, 4, 5, 1]), "air"
    )
    third = add_ct(panel, "third", bone_hu=260.0)
    kept = panel.controller.selection.to_json()
    gui.click(ui.sceneButton)
    assert ui.sceneButton.text == "Cancel" and not ui.folderButton.enabled
    wait(panel)
    assert [cell(panel, n, 0) for n in range(3)] == ["first", "air", "third"]
    assert cell(panel, 0, 1) != cell(panel, 2, 1) and float(cell(panel, 0, 1))
    assert "<b>air</b>: " in ui.failuresLabel.text and "\u26a0" in cell(panel, 1, 1)
    assert "2 of 3 CTs" in ui.severalStatusLabel.text
    assert panel.controller.selection.to_json() == kept, "chosen slices stay"
    for number, node in ((2, third), (0, first)):
        table = gui.raw(ui.severalTable)
        gui.show(table)
        gui.click(table.viewport(), table.visualItemRect(table.item(number, 0)).center())
        assert panel.volumeNode is node and panel.staleReason() == ""
        assert f"{panel.result.total.bmd_g_cm2:.3f}" == cell(panel, number, 1)
        assert ui.resultView.rowCount == 3
    value = cell(panel, 0, 1)
    estimate(panel)
    assert f"{panel.result.total.bmd_g_cm2:.3f}" == value, "one by one it is the same"
    study = tmp_path / "all.csv"
    with gui.answering(choosing(study)):
        gui.click(ui.severalAddButton)
    assert names(study) == ["case 1", "case 2"]
    with gui.answering("Cancel") as shown:
        gui.click(ui.severalAddButton)
    assert len(shown) == 1 and "2 left as they were" in ui.severalStatusLabel.text
    assert panel.state.settingsOf(third)["name"] == "case 2"
    slicer.mrmlScene.RemoveNode(empty)
    slicer.mrmlScene.Clear()
    gui.process()
    assert not gui.raw(ui.severalTable).isVisible() and not panel.several.rows


def test_results_of_all_cts_are_in_a_saved_scene(panel, model, tmp_path):
    first = add_ct(panel, "first")
    add_ct(panel, "second", bone_hu=260.0)
    gui.click(panel.ui.sceneButton)
    wait(panel)
    value = panel.several.rows[0].result.total.bmd_g_cm2
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    slicer.mrmlScene.Clear()
    slicer.util.loadScene(path)
    gui.process()
    panel.parameterNode.inputVolume = slicer.util.getNode("first")
    gui.process()
    assert panel.result.total.bmd_g_cm2 == value and panel.staleReason() == ""
    assert first.GetScene() is None


def test_a_run_is_cancelled_and_keeps_what_is_done(panel, monkeypatch):
    for name in ("first", "second", "third"):
        add_ct(panel, name)
    real, began = panel.logic.estimateWork, []

    def slow(node, *given, **options):
        work = real(node, *given, **options)

        def waits(progress, should_cancel):
            began.append(node.GetName())
            gui_wait = len(began) == 2
            while gui_wait and not should_cancel():
                pass
            return work(progress, should_cancel)

        return waits

    monkeypatch.setattr(panel.logic, "estimateWork", slow)
    gui.click(panel.ui.sceneButton)
    gui.wait_until(lambda: len(began) == 2, PATIENCE_S, "the second CT")
    gui.click(panel.ui.sceneButton)
    wait(panel)
    assert "1 of 3 CTs" in panel.ui.severalStatusLabel.text and began == ["first", "second"]
    assert [row.result is not None for row in panel.several.rows] == [True, False, False]
    assert panel.ui.sceneButton.text == "All CTs of the scene" and panel.ui.sceneButton.enabled


# -- a folder -----------------------------------------------------------------------------
@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two cases whose levels are known, and a folder with nothing in it."""
    from CTBMDLib.spine import locate

    monkeypatch.setattr(locate, "find_levels", lambda volume, **how: phantoms.chosen(TWO))
    for name, hu in (("a", 200.0), ("b", 240.0)):
        volume = phantoms.phantom(bone_hu=hu)
        (tmp_path / "cases" / name).mkdir(parents=True)
        raw = nifti_bytes(volume.hu.astype(np.int16), volume.ijk_to_ras)
        write(tmp_path / "cases" / name / "ct.nii", raw)
    (tmp_path / "cases" / "c").mkdir()
    return tmp_path / "cases"


def test_a_folder_is_one_table_and_its_failures_are_listed(panel, folder, tmp_path):
    output = tmp_path / "all.csv"
    with gui.answering(str(folder), str(output)):
        gui.click(panel.ui.folderButton)
        assert panel.ui.folderButton.text == "Cancel"
        wait(panel)
    ui = panel.ui
    shown = [cell(panel, n, 0) for n in range(ui.severalTable.rowCount)]
    assert shown == ["case 1: a/ct.nii", "case 2: b/ct.nii", "case 3: c"]
    with output.open(newline="") as lines:
        means = [r["bmd_g_cm2"] for r in csv.DictReader(lines) if r["level"] == "L1-L4"]
    assert means == [cell(panel, 0, 1), cell(panel, 1, 1)] and means[0] != means[1]
    assert ui.failuresLabel.text.count("<b>") == 1 and "case 3" in ui.failuresLabel.text
    said = ui.severalStatusLabel.text
    assert "2 cases written" in said and "1 failed" in said and "all.identity.csv" in said
    assert not ui.severalAddButton.enabled, "they are in a table already"
    # In a folder without any usable case the sentence is in the panel's words.
    for name in "ab":
        (folder / name / "ct.nii").unlink()
    with gui.answering(str(folder), str(output), "Ok") as dialogs:
        gui.click(ui.folderButton)
        wait(panel)
    assert "None of the 3 cases" in dialogs[2].text and "--" not in dialogs[2].text
    assert ui.failuresLabel.text.count("<b>") == 3


def test_a_folder_s_table_names_its_cases_only_by_the_box(panel, folder, tmp_path):
    output = tmp_path / "all.csv"
    gui.click(panel.ui.identityCheckBox)
    try:
        with gui.answering(str(folder), str(output)):
            gui.click(panel.ui.folderButton)
            wait(panel)
    finally:
        gui.click(panel.ui.identityCheckBox)
    assert names(output) == ["a", "b"] and not (tmp_path / "all.identity.csv").exists()


def test_a_folder_is_left_with_cancel_and_gone_on_with(panel, folder, tmp_path, monkeypatch):
    from CTBMDPanel import severalactions

    output, real, stop = tmp_path / "all.csv", severalactions.run_batch, []

    def stopped(*given, should_cancel, on_case, **options):
        def told(*news):
            on_case(*news)
            while not should_cancel():
                stop.append(True)

        return real(*given, should_cancel=should_cancel, on_case=told, **options)

    monkeypatch.setattr(severalactions, "run_batch", stopped)
    with gui.answering(str(folder), str(output)):
        gui.click(panel.ui.folderButton)
        gui.wait_until(lambda: stop, PATIENCE_S, "the first case")
        gui.click(panel.ui.folderButton)
        wait(panel)
    assert "go on where this stopped" in panel.ui.severalStatusLabel.text
    assert [row.name for row in panel.several.rows] == ["case 1: a/ct.nii"]
    assert not output.exists()
    monkeypatch.setattr(severalactions, "run_batch", real)
    with gui.answering(str(folder), str(output)):
        gui.click(panel.ui.folderButton)
        wait(panel)
    assert [row.name for row in panel.several.rows] == ["case 1", "case 2: b/ct.nii", "case 3: c"]
    assert output.exists()
