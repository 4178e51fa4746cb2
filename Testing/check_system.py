"""Says whether the system libraries that Qt and VTK load are here; exit 1 with what is missing."""

import ctypes.util
import importlib
import sys

MODULES = (
    "PySide6.QtWidgets",
    "PySide6.QtUiTools",
    "PySide6.QtTest",
    "vtkmodules.vtkRenderingOpenGL2",
)


def missing() -> list[str]:
    """What cannot be loaded, each with the loader's own words."""
    problems = []
    if sys.platform.startswith("linux"):
        problems += [
            f"lib{library} is not installed"
            for library in ("EGL", "GL", "fontconfig")
            if ctypes.util.find_library(library) is None
        ]
    for module in MODULES:
        try:
            importlib.import_module(module)
        except ImportError as error:
            problems.append(f"{module}: {error}")
    return problems


if __name__ == "__main__":
    found = missing()
    for problem in found:
        print(problem, file=sys.stderr)
    sys.exit(1 if found else 0)
