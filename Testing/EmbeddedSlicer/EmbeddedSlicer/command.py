"""The command line of EmbeddedSlicer."""

from __future__ import annotations

import argparse
import sys

import EmbeddedSlicer


def main(arguments=None):
    """Open a module's panel on a volume or a scene; see --help."""
    parser = argparse.ArgumentParser(
        prog="EmbeddedSlicer", description="Run a 3D Slicer scripted module without 3D Slicer."
    )
    parser.add_argument("--module", help="the module's .py file")
    parser.add_argument("--volume", help="a volume to load (NIfTI, NRRD, MetaImage)")
    parser.add_argument("--scene", help="a scene to open (.mrml or .mrb)")
    parser.add_argument("--screenshot", help="write the window as PNG and end")
    parser.add_argument("--size", default="1400x900", help="window size, WIDTHxHEIGHT")
    options = parser.parse_args(arguments)
    from EmbeddedSlicer.rendering import MissingLibrary, NoOpenGL

    try:
        app = EmbeddedSlicer.start()
    except (MissingLibrary, NoOpenGL) as error:
        print(error, file=sys.stderr)
        return 2
    import slicer

    width, height = (int(part) for part in options.size.split("x"))
    app._main_window.resize(width, height)
    if options.module:
        EmbeddedSlicer.open_module(options.module)
    try:
        if options.volume:
            slicer.util.loadVolume(options.volume, {})
        if options.scene:
            slicer.util.loadScene(options.scene, {})
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 2
    slicer.util.resetSliceViews()
    if options.screenshot:
        EmbeddedSlicer.screenshot(options.screenshot)
    elif app.platformName() != "offscreen":
        return app.exec()
    return 0
