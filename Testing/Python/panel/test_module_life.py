"""The module's life: found, tested, reloaded, without a window, without torch, in a source tree."""

import ast
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import gui_helpers as gui
import pytest
from paths import ROOT

MODULE = ROOT / "CTBMD" / "CTBMD.py"
SAMPLE = ROOT / "Resources" / "SampleData" / "CTBMDVirtualPatient.zip"

ALLOWED_IMPORTS = {"slicer", "qt", "ctk", "vtk", "numpy", "scipy", "pydicom", "CTBMDLib"}
ALLOWED_IMPORTS |= {"CTBMDPanel", *sys.stdlib_module_names}


def run(code, tmp_path, **environment):
    """Run code in a Python of its own, as in a Slicer that has just been started."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(code))
    result = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=tmp_path,
        env={**os.environ, **environment},
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_the_panel_is_built_without_a_window_torch_or_anything_loaded(tmp_path):
    out = run(
        f"""
        import sys
        sys.modules["torch"] = None
        sys.path.insert(0, {str(ROOT / "Testing" / "EmbeddedSlicer")!r})
        import EmbeddedSlicer
        EmbeddedSlicer.start(main_window=False, testing=True)
        widget = EmbeddedSlicer.open_module({str(MODULE)!r})
        import slicer
        assert slicer.util.mainWindow() is None and slicer.app.layoutManager() is None
        assert "Research use only" in widget.ui.researchUseLabel.text
        assert not widget.ui.findButton.enabled
        widget.enter(); widget.exit(); widget.enter()
        slicer.mrmlScene.Clear()
        widget.cleanup()
        # Only CTBMD/ was put on the path; the rest of the repository was not.
        for name in ("training", "Testing"):
            try:
                __import__(name)
            except ImportError:
                continue
            raise AssertionError(name + " can be imported")
        from EmbeddedSlicer.pythonqt import slot_errors
        assert not slot_errors, slot_errors
        print("built")
        """,
        tmp_path,
        PYTHONPATH="",
    )
    assert "built" in out


def test_reload_reads_library_and_panel_again(tmp_path):
    out = run(
        f"""
        import sys
        sys.path.insert(0, {str(ROOT / "Testing" / "EmbeddedSlicer")!r})
        import EmbeddedSlicer
        EmbeddedSlicer.start(testing=True)
        widget = EmbeddedSlicer.open_module({str(MODULE)!r})
        import slicer, CTBMDPanel, CTBMDLib
        old = CTBMDPanel, CTBMDLib
        widget.onReload()
        import CTBMDPanel, CTBMDLib
        assert CTBMDPanel is not old[0] and CTBMDLib is not old[1]
        again = slicer.util.getModuleWidget("CTBMD")
        assert again is not widget and again.panel.parameterNode is not None
        from EmbeddedSlicer.pythonqt import slot_errors
        assert not slot_errors, slot_errors
        print("reloaded")
        """,
        tmp_path,
        PYTHONPATH="",
    )
    assert "reloaded" in out


@pytest.mark.parametrize("name", ["qMRMLWidget", "qMRMLNodeComboBox", "ctkPathLineEdit"])
def test_a_missing_widget_plugin_is_one_sentence(monkeypatch, name):
    """A .ui class without a plugin is a plain QWidget in Slicer; neither setup nor enter may fail."""
    gui.start()
    import EmbeddedSlicer
    import slicer
    from EmbeddedSlicer import stand_ins

    gui.clean_scene()
    EmbeddedSlicer.open_module(MODULE)
    monkeypatch.delitem(stand_ins.CLASSES, name)
    with gui.no_slot_errors():
        widget = slicer.util.getNewModuleWidget("CTBMD")
        widget.enter()
        slicer.mrmlScene.Clear()
        widget.exit()
        widget.cleanup()
    label = widget.parent.findChild("QLabel", "problemLabel")
    assert label.text.startswith("The panel cannot be shown") and name in label.text


def test_nothing_but_what_slicer_brings_is_imported_at_file_scope():
    for path in [MODULE, *sorted((MODULE.parent / "CTBMDPanel").glob("*.py"))]:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [] if node.level else [node.module]
            else:
                continue
            for name in names:
                assert name.split(".")[0] in ALLOWED_IMPORTS, f"{path.name} imports {name}"


def test_every_named_widget_is_in_the_ui_file_and_every_name_is_used():
    import re
    from xml.etree import ElementTree

    tree = ElementTree.parse(MODULE.parent / "Resources" / "UI" / "CTBMD.ui")
    named = {widget.get("name") for widget in tree.iter("widget")}
    assert len(named) == len(list(tree.iter("widget")))
    for path in (MODULE.parent / "CTBMDPanel").glob("*.py"):
        for name in re.findall(r"\bui\.([A-Za-z]+)", path.read_text(encoding="utf-8")):
            if name != "ui":
                assert name in named, f"{path.name} uses ui.{name}, which CTBMD.ui lacks"


def test_sample_data_is_offered_and_loads():
    if not SAMPLE.is_file():
        pytest.fail(f"the sample CT is missing: {SAMPLE}")
    gui.start()
    import EmbeddedSlicer
    import slicer

    gui.clean_scene()
    widget = EmbeddedSlicer.open_module(MODULE)
    source = next(
        s for s in slicer.modules.sampleDataSources["Quantification"] if "CTBMD" in s.sampleName
    )
    assert Path(source.thumbnailFileName).is_file()
    (node,) = source.customDownloader(source)
    gui.process()
    assert widget.panel.logic.volume(node).acquisition.modality == "CT"
    assert slicer.util.arrayFromVolume(node).ndim == 3
    assert node.GetAttribute("CTBMD.Acquisition")


def test_the_modules_own_test_passes():
    gui.start()
    import EmbeddedSlicer
    import slicer

    EmbeddedSlicer.open_module(MODULE)
    with gui.no_slot_errors():
        slicer.selfTests["CTBMD"]()
