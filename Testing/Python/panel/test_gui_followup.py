"""Section 4 of the panel with the mouse: the earlier CT, the change since, and where it goes."""

import json

import gui_helpers as gui
import phantoms
import pytest

gui.start()

import slicer  # noqa: E402

PATIENCE_S = 300
TWO = ("L1", "L2")
"""As few levels as have a mean: the comparison is tested, not the values."""
FACTS = {
    "sex": "F",
    "age_years": 60.0,
    "kvp": 120.0,
    "kernel": "B30f",
    "slice_thickness_mm": 3.0,
    "manufacturer": "SIEMENS",
    "model": "Force",
    "patient_id": "PLANTED-7",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "untrained"
    phantoms.bundle(folder, members=1, metrics={"repeatability_sd_g_cm2": 0.01})
    return str(folder)


@pytest.fixture
def panel(model):
    with gui.opened_panel(model) as opened:
        yield opened


def add_ct(panel, name, levels=TWO, bone_hu=200.0, estimated=True, **facts):
    """A CT of the scene with its results; the last one is the one that is chosen."""
    from CTBMDPanel import volumes

    volume = phantoms.phantom(spacing=(3.0, 3.0, 3.0), bone_hu=bone_hu, **{**FACTS, **facts})
    object.__setattr__(volume, "name", name)
    node = panel.parameterNode.inputVolume = volumes.addVolumeNode(volume)
    gui.process()
    panel.controller.replace(phantoms.chosen(levels))
    if estimated:
        estimate(panel)
    return node


def estimate(panel):
    gui.click(panel.ui.estimateButton)
    gui.wait_until(lambda: not panel.runner.busy, PATIENCE_S, "the estimate")
    assert panel.result is not None, panel.lastError


def choose(panel, name):
    gui.choose(panel.ui.earlierCombo, name)


def offered(panel):
    combo = gui.raw(panel.ui.earlierCombo)
    return [combo.itemText(i) for i in range(combo.count())]


def show(panel, node):
    panel.parameterNode.inputVolume = node
    gui.process()


def change(panel):
    return panel.following.followup.compare().change


def test_an_earlier_ct_is_offered_only_with_results_of_its_own(panel):
    ui = panel.ui
    gui.show(ui.followLabel)
    add_ct(panel, "now", estimated=False)
    assert offered(panel) == ["none"] and not ui.earlierCombo.enabled
    assert "no results yet" in ui.followLabel.text and "no results yet" in ui.earlierCombo.toolTip
    estimate(panel)
    assert "only CT of the scene" in ui.followLabel.text
    now = panel.volumeNode
    before = add_ct(panel, "before", bone_hu=240.0, estimated=False)
    show(panel, now)
    assert (
        offered(panel) == ["none"] and "No other CT of the scene has results" in ui.followLabel.text
    )
    show(panel, before)
    estimate(panel)
    show(panel, now)
    assert offered(panel) == ["none", "before"] and ui.earlierCombo.enabled
    assert ui.followLabel.text == "" and ui.followSection.text == "Earlier CT: none"
    before.SetName("in 2019")
    panel.state.changed.emit()
    assert offered(panel) == ["none", "in 2019"]


def test_the_change_is_that_of_the_same_levels_with_its_least_significant_change(panel):
    ui = panel.ui
    before = add_ct(panel, "before", levels=("L1", "L2", "L3"), bone_hu=240.0)
    values = {row.level: row.bmd_g_cm2 for row in panel.result.levels}
    now = add_ct(panel, "now", kernel="B70f", age_years=61.0)
    choose(panel, "before")
    here = {row.level: row.bmd_g_cm2 for row in panel.result.levels}
    found = change(panel)
    assert found.levels == TWO
    difference = sum(here[x] - values[x] for x in TWO) / 2
    assert found.change == pytest.approx(difference)
    text = ui.followLabel.text
    assert f"{difference:+.3f} g/cm²" in text and "least significant change 0.028 g/cm²" in text
    assert f"{100 * difference / (sum(values[x] for x in TWO) / 2):+.1f} %" in text
    assert f"{difference:+.3f}" in ui.followSection.text
    assert "The kernel differs (B30f, B70f)" in text and "Other levels count" in text
    assert "The order of the two CTs is not known" in text and "\u26a0" in text
    verdict = "changed" if abs(difference) > 0.0277 else "not distinguishable"
    assert found.verdict == verdict and verdict in text
    assert gui.raw(ui.precisionSpinBox).text() == "the model's own"
    # A site's own precision decides where it is known, and stays in the scene for all its CTs.
    gui.type_into(ui.precisionSpinBox, f"{abs(difference) / 2:.4f}")
    assert (
        change(panel).verdict == "not distinguishable" and "the site's own" in ui.followLabel.text
    )
    gui.type_into(ui.precisionSpinBox, "0.0001")
    assert change(panel).verdict == "changed"
    show(panel, before)
    assert panel.parameterNode.precision == 0.0001 and change(panel) is None
    assert ui.followSection.text == "Earlier CT: none", "each CT has its own earlier one"
    show(panel, now)
    assert change(panel).verdict == "changed"
    # It is not told of results that are out of date, here or there.
    panel.controller.edit("include", "L2", False)
    gui.process()
    assert change(panel) is None and "Out of date" in ui.followLabel.text
    gui.click(ui.undoButton)
    assert change(panel) is not None
    show(panel, before)
    panel.controller.useSlice("L1", phantoms.CENTRES["L1"][2] + 3)
    show(panel, now)
    assert "'before' has results that are out of date" in ui.followLabel.text
    show(panel, before)
    gui.click(ui.undoButton)
    show(panel, now)
    assert change(panel) is not None
    choose(panel, "none")
    assert change(panel) is None and ui.followLabel.text == ""


def test_what_casts_doubt_on_a_change_is_said(panel):
    from CTBMDPanel import volumes

    add_ct(panel, "before", bone_hu=240.0)
    now = add_ct(panel, "now", sex="M", kvp=100.0)
    choose(panel, "before")
    for said in ("The tube voltage differs (120 kV, 100 kV)", "The sex differs"):
        assert said in panel.ui.followLabel.text
    assert "two copies" not in panel.ui.followLabel.text
    facts = json.loads(now.GetAttribute(volumes.ACQUISITION))
    for name, value, said in (
        ("slice_thickness_mm", 5.0, "The slice thickness differs"),
        ("kernel", None, "The kernel of the later CT is unknown"),
        ("model", "Other", "The scanner differs"),
        ("contrast_agent", "IODINE", "Contrast agent was given for one"),
        ("patient_id", "OTHER", "The patient IDs differ"),
        ("patient_id", "ANON", ""),  # what everybody of an archive is called tells nobody apart
    ):
        now.SetAttribute(volumes.ACQUISITION, json.dumps({**facts, name: value}))
        gui.process()
        text = panel.ui.followLabel.text
        assert said in text and ("patient IDs" in text) == ("patient IDs" in said), name
        assert not any(x in text for x in ("PLANTED", "OTHER", "ANON"))
    add_ct(panel, "a copy", bone_hu=240.0)
    choose(panel, "before")
    assert "these may be two copies of one CT" in panel.ui.followLabel.text


def test_an_earlier_ct_of_another_device_or_one_that_is_deleted_is_let_go(panel):
    ui = panel.ui
    before = add_ct(panel, "before", bone_hu=240.0)
    add_ct(panel, "now")
    choose(panel, "before")
    gui.choose(ui.dxaCombo, "GE Lunar")
    estimate(panel)
    assert change(panel) is None and "out of date" in ui.followLabel.text
    gui.choose(ui.dxaCombo, "automatic (Hologic)")
    estimate(panel)
    assert change(panel) is not None
    slicer.mrmlScene.RemoveNode(before)
    gui.process()
    assert offered(panel) == ["none"] and change(panel) is None
    assert "only CT of the scene" in ui.followLabel.text
    assert ui.followSection.text == "Earlier CT: none"


def test_without_a_measured_precision_the_verdict_is_unknown_until_the_site_gives_its_own(
    panel, tmp_path
):
    phantoms.bundle(tmp_path / "bare", members=1)
    panel.parameterNode.modelFolder = str(tmp_path / "bare")
    add_ct(panel, "before", bone_hu=240.0)
    add_ct(panel, "now")
    choose(panel, "before")
    gui.show(panel.ui.precisionSpinBox)
    assert gui.raw(panel.ui.precisionSpinBox).text() == "unknown"
    text = panel.ui.followLabel.text
    assert change(panel).verdict == "unknown" and "no precision was measured" in text
    assert "Enter your site's own precision above" in text
    gui.type_into(panel.ui.precisionSpinBox, "0.02")
    assert "least significant change 0.055 g/cm²" in panel.ui.followLabel.text
    assert "Enter your site" not in panel.ui.followLabel.text


def test_the_earlier_ct_is_in_a_saved_scene(panel, model, tmp_path):
    add_ct(panel, "before", bone_hu=240.0)
    add_ct(panel, "now")
    choose(panel, "before")
    gui.type_into(panel.ui.precisionSpinBox, "0.0123")
    value, text = change(panel).change, panel.ui.followLabel.text
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    gui.clean_scene()
    assert panel.ui.precisionSpinBox.value == 0 and offered(panel) == ["none"]
    slicer.util.loadScene(path)
    gui.process()
    assert panel.volumeNode.GetName() == "now"
    assert change(panel).change == pytest.approx(value) and panel.ui.followLabel.text == text
    assert panel.ui.precisionSpinBox.value == pytest.approx(0.0123)
    assert "the site's own precision" in text


def test_the_change_is_in_the_exports_and_names_nobody_unless_asked(panel, tmp_path):
    from CTBMDPanel import reporting

    add_ct(panel, "PLANTED before", bone_hu=240.0)
    add_ct(panel, "now")
    choose(panel, "PLANTED before")
    expected = f"{change(panel).change:+.3f}"

    def export(words, name):
        combo = gui.raw(panel.ui.exportFormatCombo)
        (text,) = (combo.itemText(i) for i in range(combo.count()) if words in combo.itemText(i))
        gui.choose(panel.ui.exportFormatCombo, text)
        with gui.answering(str(tmp_path / name)):
            gui.click(panel.ui.exportButton)
        return (tmp_path / name).read_bytes().decode("utf-8", "replace")

    told = {name: export(words, name) for words, name in (
        ("JSON", "a.json"), ("plain text", "a.txt"), ("HTML", "a.html"), ("comma-separated", "a.csv"),
    )}  # fmt: skip
    assert not any("PLANTED" in text for text in told.values())
    data = json.loads(told["a.json"])["follow_up"]
    assert f"{data['change_g_cm2']:+.3f}" == expected and data["precision"] == "model"
    assert data["least_significant_change"] == 0.028 and data["levels"] == list(TWO)
    for name in ("a.txt", "a.html"):
        assert "Change since an earlier CT" in told[name] and expected in told[name]
        assert "The order of the two CTs is not known" in told[name]
    assert "Change since" not in told["a.csv"]
    earlier, _more = panel.following.followup.exported(False)
    case = reporting.case(panel.logic, panel.state, earlier=earlier)
    assert reporting.pdfBytes(reporting.report_html(case)).count(b"/Type /Page\n") == 1
    gui.click(panel.ui.identityCheckBox)
    try:
        assert "PLANTED before" in export("JSON", "b.json")
        assert "Change since an earlier CT (PLANTED before)" in export("HTML", "b.html")
    finally:
        gui.click(panel.ui.identityCheckBox)
    choose(panel, "none")
    assert "follow_up" not in json.loads(export("JSON", "c.json"))
    assert "Change since" not in export("HTML", "c.html")


@pytest.mark.parametrize(
    ("persons", "told"), [("PP", True), ((None, "P"), True), ((None, None), True), ("PQ", False)]
)
def test_another_patients_ct_is_neither_named_nor_referred_to(panel, monkeypatch, persons, told):
    from CTBMDPanel import reporting

    add_ct(panel, "before", bone_hu=240.0)
    add_ct(panel, "now")
    choose(panel, "before")
    following = panel.following.followup
    whose = dict(zip(("before", "now"), persons, strict=True))
    monkeypatch.setattr(following, "_ofFiles", lambda node: (whose[node.GetName()], None))
    monkeypatch.setattr(reporting, "source", lambda node: f"images of {node.GetName()}")
    earlier, data = following.exported(True, dicom=True)
    assert (earlier.called, earlier.source) == (
        ("before", "images of before") if told else (None, None)
    )
    assert ("before" in json.dumps(data)) is told


def test_a_later_ct_is_not_told_as_the_earlier_one(panel, monkeypatch):
    later = add_ct(panel, "later", bone_hu=240.0)
    now = add_ct(panel, "now")
    days = {"later": 900, "now": 100}
    following = panel.following.followup
    monkeypatch.setattr(
        following, "_ofFiles", lambda node: ("P", days[node.GetName()]), raising=True
    )
    choose(panel, "later")
    assert change(panel) is None
    assert "'later' is the later CT by its date" in panel.ui.followLabel.text
    assert "g/cm" not in panel.ui.followSection.text
    show(panel, later)
    choose(panel, "now")
    assert change(panel).days == 800 and now is not None


def test_a_precision_of_one_device_is_not_anothers(panel):
    add_ct(panel, "now")
    gui.raw(panel.ui.precisionSpinBox).setValue(0.012)
    assert panel.parameterNode.precision == pytest.approx(0.012)
    panel.state.changed.emit()
    assert panel.parameterNode.precision == pytest.approx(0.012)
    other = next(x for x in type(panel.parameterNode.dxa) if x.code == "lunar")
    panel.parameterNode.dxa = other
    gui.process()
    assert panel.parameterNode.precision == 0.0
    assert gui.raw(panel.ui.precisionSpinBox).value() == 0.0
