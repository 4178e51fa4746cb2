"""The DXA device in the panel: chosen with the mouse, kept in the scene, in every value."""

import gui_helpers as gui
import phantoms
import pytest

gui.start()

import slicer  # noqa: E402

from CTBMDLib.dxa import Scale  # noqa: E402

PATIENCE_S = 300  # for a machine that does much else at the same time


@pytest.fixture
def panel(tmp_path):
    phantoms.bundle(tmp_path / "untrained")
    with gui.opened_panel(str(tmp_path / "untrained")) as opened:
        from CTBMDPanel import volumes  # on the path since the module is open

        opened.parameterNode.inputVolume = volumes.addVolumeNode(phantoms.phantom(sex="F"))
        opened.levels.onFound(phantoms.chosen())
        gui.process()
        yield opened


def estimate(panel):
    gui.click(panel.ui.estimateButton)
    gui.wait_until(lambda: not panel.runner.busy, PATIENCE_S, "the estimate")
    assert panel.result is not None, panel.lastError
    return panel.result


def test_the_values_follow_the_device_that_is_chosen(panel):
    plain = estimate(panel)
    assert plain.dxa_scale == "hologic" and "a Hologic DXA" in panel.ui.summaryLabel.text
    gui.choose(panel.ui.dxaCombo, "GE Lunar")
    assert "settings have changed" in panel.staleReason()
    lunar = estimate(panel)
    assert not panel.staleReason() and "a Lunar DXA" in panel.ui.summaryLabel.text
    for old, new in zip(plain.rows, lunar.rows, strict=True):
        want = Scale("hologic", "lunar").value(old.bmd_g_cm2)
        assert new.dxa_scale == "lunar" and new.bmd_g_cm2 == pytest.approx(want)
    table = panel.parameterNode.resultTable
    names = [table.GetColumnName(i) for i in range(table.GetNumberOfColumns())]
    assert table.GetCellText(0, names.index("dxa_scale")) == "lunar"


def test_a_reference_of_another_device_is_one_sentence(panel):
    gui.choose(panel.ui.dxaCombo, "GE Lunar")
    panel.parameterNode.referenceTable = "nhanes-hologic"
    with gui.answering("Ok") as shown:
        gui.click(panel.ui.estimateButton)
        gui.wait_until(lambda: not panel.runner.busy, PATIENCE_S, "the refusal")
    assert "'nhanes-hologic' is of DXA by Hologic" in str(shown)
    assert panel.result is None


def test_the_device_is_kept_with_the_scene(panel, tmp_path):
    gui.choose(panel.ui.dxaCombo, "GE Lunar")
    path = tmp_path / "scene.mrb"
    assert slicer.util.saveScene(str(path))
    gui.clean_scene()
    assert panel.parameterNode.dxa.code is None  # a new scene begins with the automatic one
    slicer.util.loadScene(str(path))
    gui.process()
    assert panel.parameterNode.dxa.code == "lunar"


def test_results_of_a_scene_of_before_are_not_out_of_date(panel):
    """A scene that was saved before there was a choice has no device among its inputs."""
    from CTBMDPanel import results

    now = panel.state.inputs()
    before = {key: value for key, value in now.items() if key != "dxa"}
    assert results.staleReason(before, now, False) == ""
    assert "settings have changed" in results.staleReason(before, {**now, "dxa": "lunar"}, False)
