"""Seconds that a person waits for the panel, without PyTorch, and pictures a second while dragging.

    python Testing/Python/benchmark_panel.py [--slices 200] [--size 512] [--moves 60]

The module runs in EmbeddedSlicer, which draws without a graphics card: pictures a second
are fewer than in 3D Slicer itself. The CT is the virtual sample patient, sampled to the
size that is asked for. Goals: opened within 1 s, found and estimated within 5 s on two
cores, 20 pictures a second. They are printed beside what was measured, with the load of
the machine and the processor seconds, since another program may take its turn.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "Testing" / "EmbeddedSlicer"), str(ROOT)]

OPEN_S, FIND_S, FRAMES = 1.0, 5.0, 20.0
"""The goals: seconds, seconds, pictures a second."""
DRAG_MM = 12.0
VIEWS = ("Red", "Yellow", "Green")


class Clock:
    """Wall and processor seconds of a piece of work."""

    def __enter__(self):
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_error):
        self.wall = time.perf_counter() - self._wall
        self.cpu = time.process_time() - self._cpu


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, default=512, help="rows and columns of an image")
    parser.add_argument("--slices", type=int, default=200)
    parser.add_argument("--moves", type=int, default=60, help="steps of the mouse in a drag")
    parser.add_argument("--open-only", action="store_true", help="the first figure alone")
    options = parser.parse_args(arguments)
    sys.modules["torch"] = None  # the panel's first user has none
    import EmbeddedSlicer
    import pydicom  # noqa: F401
    import vtk  # noqa: F401  Slicer has loaded both by the time that it is up
    from EmbeddedSlicer import testing

    EmbeddedSlicer.start()
    print(
        f"machine  {platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
        f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}, "
        f"load {os.getloadavg()[0]:.1f}"
        if hasattr(os, "getloadavg")
        else f"machine  {platform.system()}"
    )
    with Clock() as opened:
        widget = EmbeddedSlicer.open_module(ROOT / "CTBMD" / "CTBMD.py")
        testing.process()
    line("panel open", opened.wall, "s", OPEN_S, opened.cpu)
    if options.open_only:
        return 0
    panel = widget.panel
    panel.parameterNode.inputVolume = large_ct(options.size, options.slices)
    testing.process(10)
    shape = f"{options.size}x{options.size}x{options.slices}"
    with Clock() as found:
        press(panel, panel.ui.findButton)
    with Clock() as estimated:
        press(panel, panel.ui.estimateButton)
    if panel.result is None:
        print(f"benchmark: {panel.lastError or panel.ui.levelNotesLabel.text}", file=sys.stderr)
        return 2
    line(f"find, {shape}", found.wall, "s", None, found.cpu)
    line(f"estimate, {shape}", estimated.wall, "s", None, estimated.cpu)
    whole, busy = found.wall + estimated.wall, found.cpu + estimated.cpu
    line("find to filled table", whole, "s", FIND_S, busy)
    frames, drawn, cpu = drag(panel, options.moves)
    line("dragging", frames, "pictures/s", FRAMES, cpu, least=True)
    views = ", ".join(f"{name} {count}" for name, count in drawn.items())
    print(f"  drawn: {views}; {drawn['Yellow'] / cpu:.1f} pictures a processor second")
    return 0


def line(name, value, unit, goal, cpu, least=False):
    """One figure, with its goal where there is one."""
    said = ""
    if goal is not None:
        good = value >= goal if least else value <= goal
        sign = ">=" if least else "<="
        said = f"  goal {sign} {goal:g} {unit}: {'met' if good else 'not met'}"
    print(f"{name:<28}{value:>8.2f} {unit:<11}{cpu:>7.2f} s CPU{said}", flush=True)


def press(panel, button):
    """Press a button and let the panel finish."""
    from CTBMDPanel.job import waitFor

    button.click()
    waitFor(lambda: not panel.runner.busy, 600)


def large_ct(size, slices):
    """The sample patient's CT with so many voxels, as a node."""
    import numpy as np
    from CTBMDPanel import sample, volumes
    from scipy import ndimage

    from CTBMDLib.reading.reading import read_ct
    from CTBMDLib.volume import CTVolume

    small = read_ct(sample.archive())
    factors = np.array([slices, size, size]) / small.hu.shape
    hu = ndimage.zoom(small.hu, factors, order=1, grid_mode=True, mode="nearest")
    matrix = small.ijk_to_ras.copy()
    step = 1 / factors[::-1]
    # The outer faces stay where they are: the first centre moves by half of the change.
    matrix[:3, 3] += matrix[:3, :3] @ ((step - 1) / 2)
    matrix[:3, :3] *= step
    return volumes.addVolumeNode(CTVolume(hu, matrix, small.acquisition, "large"))


def drag(panel, moves):
    """(pictures a second, {view: pictures}, processor seconds) of a point dragged to and fro."""
    import numpy as np
    from EmbeddedSlicer import testing
    from PySide6 import QtCore, QtTest

    drawn = dict.fromkeys(VIEWS, 0)

    def count(name):
        def drew(*_event):
            drawn[name] += 1

        return drew

    for name in VIEWS:
        testing.slice_view(name)._window.AddObserver("EndEvent", count(name))
    level = panel.controller.selection["L2"]
    testing.show_slice("Yellow", level.ras)
    view = testing.slice_view("Yellow")
    start = np.array(level.ras)
    left, none = QtCore.Qt.MouseButton.LeftButton, QtCore.Qt.KeyboardModifier.NoModifier
    here = testing.view_position("Yellow", start)
    QtTest.QTest.mouseMove(view, here - QtCore.QPoint(25, 0))
    testing.process()
    QtTest.QTest.mouseMove(view, here)
    testing.process()
    QtTest.QTest.mousePress(view, left, none, here)
    testing.process()
    drawn.update(dict.fromkeys(VIEWS, 0))
    with Clock() as clock:
        for step in range(1, moves + 1):
            offset = DRAG_MM * np.sin(2 * np.pi * step / moves)
            QtTest.QTest.mouseMove(view, testing.view_position("Yellow", start + [0, 0, offset]))
            testing.process(1)  # what the move has changed is drawn before the next one
    seen = dict(drawn)
    QtTest.QTest.mouseRelease(view, left, none, here)
    testing.process()
    return seen["Yellow"] / clock.wall, seen, clock.cpu


if __name__ == "__main__":
    sys.exit(main())
