"""How EmbeddedSlicer starts and ends: without a window, without OpenGL, from the shell."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

testing = pytest.importorskip("EmbeddedSlicer.testing", exc_type=ImportError)

import EmbeddedSlicer  # noqa: E402
from PySide6 import QtCore, QtWidgets  # noqa: E402

FOLDER = Path(__file__).parents[1]
EXAMPLE = FOLDER / "Example" / "Example.py"


def shell(*arguments, **environment):
    """Run EmbeddedSlicer from the shell, without a display."""
    env = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "QT_QPA_PLATFORM")}
    env.pop("VTK_DEFAULT_OPENGL_WINDOW", None)
    return subprocess.run(
        [sys.executable, *arguments],
        env={**env, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def script(text, **environment):
    """Run a script with EmbeddedSlicer importable."""
    return shell("-c", f"import sys; sys.path.insert(0, {str(FOLDER)!r})\n{text}", **environment)


def test_shell_writes_a_picture(tmp_path):
    picture = tmp_path / "window.png"
    done = shell(str(FOLDER), "--module", str(EXAMPLE), "--screenshot", str(picture))
    assert (done.returncode, done.stderr) == (0, "")
    assert picture.read_bytes()[:4] == b"\x89PNG" and picture.stat().st_size > 5000


def test_shell_says_what_is_missing():
    done = shell(str(FOLDER), "--module", str(EXAMPLE), "--volume", "absent.nii.gz")
    assert done.returncode == 2
    assert "absent.nii.gz" in done.stderr and "Traceback" not in done.stderr


def test_without_opengl_one_sentence():
    """EGL without a vendor library, as on a server without Mesa."""
    done = shell(
        str(FOLDER),
        "--module",
        str(EXAMPLE),
        __EGL_VENDOR_LIBRARY_FILENAMES="/nonexistent.json",
        __EGL_VENDOR_LIBRARY_DIRS="/nonexistent",
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "apt-get install libegl1" in done.stderr


def test_a_display_that_does_not_answer_is_named():
    done = shell(str(FOLDER), "--module", str(EXAMPLE), DISPLAY=":4711")
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1 and "no window is shown because" in done.stderr


def test_a_missing_library_is_named():
    from EmbeddedSlicer.rendering import MissingLibrary

    text = str(MissingLibrary(ImportError("libEGL.so.1: cannot open shared object file")))
    assert "apt-get install libegl1." in text


def test_without_a_main_window_in_a_country_of_decimal_commas():
    done = script(
        f"""
import EmbeddedSlicer
EmbeddedSlicer.start(main_window=False, testing=True)
widget = EmbeddedSlicer.open_module({str(EXAMPLE)!r})
import slicer
assert slicer.util.mainWindow() is None
assert slicer.app.layoutManager() is None
assert slicer.app.testingEnabled() is True
slicer.util.errorDisplay("only logged")
slicer.util.confirmOkCancelDisplay("only logged as well")
node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
widget.ui.volumeSelector.setCurrentNode(node)
slicer.selfTests["Example"]()
slicer.util.infoDisplay("done")
import qt
assert qt.QLocale.system().toString(1.5) == "1,5"
assert qt.QLocale().toString(1.5) == "1.5", "as in Slicer"
print("reached the end")
""",
        LC_ALL="de_DE.UTF-8",
    )
    assert done.returncode == 0, done.stderr
    assert "reached the end" in done.stdout
    assert "ERROR:root:only logged" in done.stderr and "Traceback" not in done.stderr


def test_the_application_ends_as_slicer_does():
    """cleanup() of the module is called before the process ends, and the exit code is kept."""
    done = script(f"""
import EmbeddedSlicer
app = EmbeddedSlicer.start()
widget = EmbeddedSlicer.open_module({str(EXAMPLE)!r})
import slicer, qt
seen = []
slicer.app.aboutToQuit.connect(lambda: seen.append("aboutToQuit"))
original = widget.cleanup
widget.cleanup = lambda: (original(), print("cleanup"))
qt.QTimer.singleShot(0, lambda: slicer.util.exit(3))
code = app.exec()
print(seen)
sys.exit(code)
""")
    assert done.returncode == 3, done.stderr
    assert "['aboutToQuit']\ncleanup" in done.stdout


def test_a_message_without_a_choice_does_not_stop_a_headless_run():
    done = script("""
import EmbeddedSlicer
EmbeddedSlicer.start()
import slicer
slicer.util.errorDisplay("It failed.")
print("went on")
slicer.util.confirmOkCancelDisplay("Delete everything?")
""")
    assert done.returncode == 1
    assert "ERROR:root:It failed." in done.stderr and "went on" in done.stdout
    assert "nobody can answer it" in done.stderr


def test_registered_sample_data():
    testing.start()
    import SampleData

    register = SampleData.SampleDataLogic.registerCustomSampleDataSource
    register(category="Test", sampleName="Mine", customDownloader=len)
    (source,) = SampleData.SampleDataLogic.sampleDataSourcesByCategory("Test")
    assert source.sampleName == "Mine" and source.customDownloader is len
    with pytest.raises(ValueError, match="same length"):
        register(category="Test", sampleName="Odd", uris=["a", "b"], fileNames="a")


def test_the_panel_is_as_wide_as_slicers_between_help_and_data_probe():
    app = testing.start()
    EmbeddedSlicer.open_module(EXAMPLE)
    testing.process()
    panel = app._main_window._modulePanel
    assert panel.width() == 379 and panel.verticalScrollBar().isVisible()
    module = app.moduleManager().module("Example").widgetRepresentation()
    assert panel._help.isVisible() and not panel._help.isChecked()
    probe = app._main_window.findChild(QtWidgets.QWidget, "DataProbeCollapsibleWidget")

    def top(widget):
        return widget.mapToGlobal(QtCore.QPoint(0, 0)).y()

    assert top(panel._help) < top(module) < top(probe)
    testing.click(panel._help, QtCore.QPoint(30, 8))
    assert "Puts a point" in panel._text.toPlainText() and panel._text.isVisible()


def test_layouts():
    app = testing.start()
    import slicer

    manager, views = slicer.app.layoutManager(), app._layout_manager._widgets
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    testing.process()
    assert all(views[name].isVisible() for name in views)
    with pytest.raises(NotImplementedError):
        manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUp3DView)


def work(done):
    # Long enough not to end in its first slot, however slow the machine is.
    for _ in range(5000):
        time.sleep(0)
    done.set()


def test_threads_wait_for_a_slot_as_in_slicer():
    testing.start()
    import qt

    with testing.slicers_threads():
        done = threading.Event()
        worker = threading.Thread(target=work, args=(done,))
        qt.QTimer.singleShot(0, worker.start)
        testing.wait_until(worker.is_alive, 5)
        for _ in range(50):  # the event loop alone does not let it run
            testing.process()
            time.sleep(0.002)
        assert not done.is_set()

        def poll():
            worker.join(0.02)
            if not done.is_set():
                qt.QTimer.singleShot(1, poll)

        qt.QTimer.singleShot(0, poll)
        testing.wait_until(done.is_set, 10)
    worker.join()
