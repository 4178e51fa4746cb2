"""Values that are no true HU: corrected by air and fat in the panel, by a person's click alone."""

import csv
from dataclasses import replace

import drawn_person
import gui_helpers as gui
import numpy as np
import phantoms
import pytest

gui.start()

import slicer  # noqa: E402

PATIENCE_S = 300


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "untrained"
    phantoms.bundle(folder, members=1, calibration={"scale": 1.0, "offset_g_cm2": 1.0})
    return str(folder)


@pytest.fixture
def panel(model):
    with gui.opened_panel(model) as opened:
        yield opened


def add_ct(panel, name, offset=0.0, **how):
    """A drawn person whose values are off by that much, with two of its levels."""
    from CTBMDPanel import volumes

    volume = drawn_person.person(**how)
    volume = replace(volume, hu=(volume.hu + offset).astype(np.float32), name=name)
    node = panel.parameterNode.inputVolume = volumes.addVolumeNode(volume)
    gui.process()
    panel.controller.replace(phantoms.chosen(("L2", "L3")))
    return node


def wait(panel):
    gui.wait_until(lambda: not panel.runner.busy, PATIENCE_S, "the estimate")
    assert panel.result is not None, panel.lastError


def estimate(panel):
    gui.click(panel.ui.estimateButton)
    wait(panel)


def codes(panel):
    return {item.code for item in panel.result.findings}


def test_values_are_corrected_by_a_click_and_every_row_says_so(panel, tmp_path):
    ui, box = panel.ui, panel.ui.correctCheckBox
    off = add_ct(panel, "off", offset=60.0)
    assert not gui.raw(box).isVisible() and "Off:" in box.toolTip
    estimate(panel)
    assert "tissue-hu" in codes(panel) and box.enabled and not box.checked
    assert "box 'Correct the values' below" in ui.findingsLabel.text.replace("&#x27;", "'")
    assert "--correct" not in ui.findingsLabel.text
    wrong = panel.result.total.trabecular_hu
    gui.click(box)
    wait(panel)
    assert box.checked and panel.staleReason() == "" and "values-corrected" in codes(panel)
    mended = panel.result.total.trabecular_hu
    assert wrong == pytest.approx(mended + 60, abs=5)
    for name in ("a.csv", "a.json"):
        panel.logic.export(panel.result, tmp_path / name)
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    assert all(row["findings"].count("values were corrected") == 1 for row in rows)
    # It stays with its CT, in a saved scene and in a run over all CTs too; another CT has its own.
    add_ct(panel, "true")
    assert not panel.parameterNode.correctValues and not gui.raw(box).isVisible()
    gui.click(ui.sceneButton)
    wait(panel)
    assert [row.result.total.trabecular_hu for row in panel.several.rows][0] == mended
    assert not codes(panel) & {"tissue-hu", "values-corrected"} and not gui.raw(box).isVisible()
    panel.parameterNode.inputVolume = off
    gui.process()
    assert box.checked and panel.staleReason() == ""
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    gui.clean_scene()
    slicer.util.loadScene(path)
    gui.process()
    assert box.checked and panel.result.total.trabecular_hu == mended
    gui.click(box)
    wait(panel)
    assert not box.checked and panel.result.total.trabecular_hu == wrong
    # Other voxels are other values: nobody has asked for their correction.
    gui.click(box)
    wait(panel)
    node = panel.volumeNode
    slicer.util.updateVolumeFromArray(node, slicer.util.arrayFromVolume(node) - 60.0)
    gui.process()
    assert not panel.parameterNode.correctValues and panel.staleReason()
    estimate(panel)
    assert "values-corrected" not in codes(panel) and not gui.raw(box).isVisible()


def test_where_there_is_nothing_to_correct_by_the_box_is_not_offered(panel):
    add_ct(panel, "air masked", offset=60.0, noise=0.0)
    estimate(panel)
    assert "tissue-hu" in codes(panel)
    assert (
        not gui.raw(panel.ui.correctCheckBox).isVisible() and not panel.ui.correctCheckBox.enabled
    )
