"""Off-screen OpenGL for VTK, without a display and without a graphics card."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import lru_cache

# Mesa's EGL first: it needs no display. OSMesa where an older VTK or system has
# it. The X11 window last: it needs a display (Xvfb will do).
BACKENDS = ("vtkEGLRenderWindow", "vtkOSOpenGLRenderWindow", "vtkXOpenGLRenderWindow")

HELP = (
    "VTK can open no OpenGL context here, so the slice views cannot be drawn; "
    "on Debian or Ubuntu install the packages libegl1 and libgl1-mesa-dri "
    "(apt-get install libegl1 libgl1-mesa-dri)."
)

_TRIAL = """
from vtkmodules.vtkRenderingOpenGL2 import {name} as Window
from vtkmodules.vtkRenderingCore import vtkRenderer
from vtkmodules.vtkCommonCore import vtkUnsignedCharArray
import sys
window = Window()
window.SetOffScreenRendering(1)
window.SetSize(8, 8)
renderer = vtkRenderer()
renderer.SetBackground(0, 1, 0)
window.AddRenderer(renderer)
window.Render()
pixels = vtkUnsignedCharArray()
window.GetPixelData(4, 4, 4, 4, 1, pixels, 0)
sys.exit(0 if pixels.GetNumberOfValues() > 1 and pixels.GetValue(1) > 200 else 3)
"""


class NoOpenGL(RuntimeError):
    """No way to render on this machine."""


class MissingLibrary(RuntimeError):
    """A shared library that Qt needs is not installed."""

    PACKAGES = {
        "libEGL": "libegl1",
        "libGL": "libgl1",
        "libOpenGL": "libopengl0",
        "libglib": "libglib2.0-0",
        "libdbus": "libdbus-1-3",
        "libfontconfig": "libfontconfig1",
        "libfreetype": "libfontconfig1",
        "libxkbcommon": "libxkbcommon0",
    }

    def __init__(self, error):
        library = str(error).split(":")[0]
        package = self.PACKAGES.get(library.split(".")[0].split("-")[0])
        advice = (
            f"on Debian or Ubuntu install it with: apt-get install {package}"
            if package
            else "install PySide6_Essentials and slicer-core with pip"
        )
        super().__init__(f"Qt cannot be loaded ({error}); {advice}.")


@lru_cache(maxsize=1)
def choose_backend() -> str:
    """Name of a render window class that works here; also told to VTK's factory.

    Each is tried in a process of its own, because a missing driver ends the
    process in some of them.

    Raises
    ------
    NoOpenGL
        With the packages to install.
    """
    chosen = os.environ.get("VTK_DEFAULT_OPENGL_WINDOW")
    if chosen:
        return chosen
    if not sys.platform.startswith("linux"):
        return "vtkRenderWindow"
    for name in BACKENDS:
        if name == "vtkXOpenGLRenderWindow" and not os.environ.get("DISPLAY"):
            continue
        trial = subprocess.run(
            [sys.executable, "-c", _TRIAL.format(name=name)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=120,
            check=False,
        )
        if trial.returncode == 0:
            os.environ["VTK_DEFAULT_OPENGL_WINDOW"] = name
            return name
    raise NoOpenGL(HELP)
