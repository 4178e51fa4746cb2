"""Whether there is a display that Qt can open a window on."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

_PACKAGES = {
    "libxcb-cursor": "libxcb-cursor0",
    "libxcb-icccm": "libxcb-icccm4",
    "libxcb-image": "libxcb-image0",
    "libxcb-keysyms": "libxcb-keysyms1",
    "libxcb-randr": "libxcb-randr0",
    "libxcb-render-util": "libxcb-render-util0",
    "libxcb-shape": "libxcb-shape0",
    "libxcb-xinerama": "libxcb-xinerama0",
    "libxcb-xkb": "libxcb-xkb1",
    "libxkbcommon-x11": "libxkbcommon-x11-0",
}


def choose_platform():
    """Set Qt's platform to `offscreen` where no window can be shown.

    Qt ends the process when its X11 part cannot be loaded or the display does
    not answer, so both are tried before.

    Returns
    -------
    str or None
        Why there is no window although DISPLAY names one; None otherwise.
    """
    if not sys.platform.startswith("linux") or os.environ.get("QT_QPA_PLATFORM"):
        return None
    if os.environ.get("WAYLAND_DISPLAY"):
        return None
    reason = None
    if os.environ.get("DISPLAY"):
        reason = _x11_problem()
        if reason is None:
            return None
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    return reason


def _x11_problem():
    import PySide6

    plugin = Path(PySide6.__file__).parent / "Qt" / "plugins" / "platforms" / "libqxcb.so"
    try:
        ctypes.CDLL(str(plugin))
        xcb = ctypes.CDLL("libxcb.so.1")
    except OSError as error:
        library = str(error).split(":")[0]
        package = _PACKAGES.get(library.split(".so")[0])
        advice = f"apt-get install {package}" if package else f"install {library}"
        return f"no window is shown because Qt lacks {library} ({advice})"
    xcb.xcb_connect.restype = ctypes.c_void_p
    xcb.xcb_connection_has_error.argtypes = [ctypes.c_void_p]
    xcb.xcb_disconnect.argtypes = [ctypes.c_void_p]
    connection = xcb.xcb_connect(None, None)
    failed = xcb.xcb_connection_has_error(connection)
    xcb.xcb_disconnect(connection)
    if failed:
        return f"no window is shown because the display {os.environ['DISPLAY']} does not answer"
    return None
