"""`make demo` on the sample CT: what it writes is there, right, and of its true levels."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import gui_helpers as gui
import numpy as np
import pytest

gui.start()

SAMPLE = gui.ROOT / "Resources" / "SampleData" / "CTBMDVirtualPatient.json"
TOLERANCE_MM = 12.0


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Output of the demo, run without torch and without a display."""
    folder = tmp_path_factory.mktemp("demo")
    blocker = folder / "no_torch"
    blocker.mkdir()
    (blocker / "torch.py").write_text("raise ImportError('not installed')\n")
    environment = {**os.environ, "PYTHONPATH": str(blocker), "QT_QPA_PLATFORM": "offscreen"}
    result = subprocess.run(
        [sys.executable, str(gui.ROOT / "Testing" / "Python" / "demo.py"), "--output", str(folder)],
        capture_output=True,
        text=True,
        timeout=600,
        env=environment,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return folder, result.stdout


def test_the_table_is_printed_and_written(demo):
    folder, out = demo
    rows = list(csv.DictReader((folder / "results.csv").open(encoding="utf-8-sig", newline="")))
    assert [row["level"] for row in rows] == ["L1", "L2", "L3", "L4", "L1-L4"]
    for row in rows:
        assert row["bmd_g_cm2"] in out
        assert row["model_population"] == "simulated" and row["category"] == ""
    assert "Research use only" in out


def test_the_levels_are_the_virtual_patients(demo):
    folder, _out = demo
    truth = json.loads(SAMPLE.read_text())["levels"]
    rows = csv.DictReader((folder / "results.csv").open(encoding="utf-8-sig", newline=""))
    for row in rows:
        if row["level"] in truth:
            assert abs(float(row["slice_s_mm"]) - truth[row["level"]][2]) < TOLERANCE_MM


def test_the_pictures_show_something(demo):
    from PySide6 import QtGui

    folder, _out = demo
    for name, least in (("panel.png", (1400, 900)), ("slices.png", (600, 500))):
        picture = QtGui.QImage(str(Path(folder) / name))
        assert picture.width() >= least[0] and picture.height() >= least[1]
        grey = picture.convertToFormat(QtGui.QImage.Format.Format_Grayscale8)
        pixels = np.frombuffer(grey.constBits(), np.uint8)
        assert len(np.unique(pixels)) > 50, f"{name} shows next to nothing"


def test_the_demo_says_what_is_missing(tmp_path, monkeypatch):
    import demo as driver

    with gui.opened_module() as widget:
        from CTBMDPanel import sample

        monkeypatch.setattr(sample, "archive", lambda: tmp_path / "none.zip")
        with gui.answering("Ok"), pytest.raises(RuntimeError, match="sample CT is not installed"):
            driver.run(widget)
