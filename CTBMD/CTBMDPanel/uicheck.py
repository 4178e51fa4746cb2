"""Whether Slicer could make the widgets of a .ui file.

A widget whose class no plugin of this Slicer knows is made as a plain QWidget,
with a warning in the log and an AttributeError wherever it is used.
"""

import logging
from xml.etree import ElementTree

import qt
from slicer.i18n import tr as _


def problem(widget, uiFile):
    """One sentence on what could not be made, or ''.

    Parameters
    ----------
    widget : QWidget
        What slicer.util.loadUI made of `uiFile`.
    uiFile : str
    """
    root = ElementTree.parse(uiFile).getroot()
    custom = {item.findtext("class") for item in root.iter("customwidget")}
    missing = set()
    for item in root.iter("widget"):
        kind, name = item.get("class"), item.get("name")
        if kind not in custom:
            continue
        made = widget if widget.property("objectName") == name else None
        made = made or widget.findChild(qt.QWidget, name)
        if made is None or not made.inherits(kind):
            missing.add(kind)
    if not missing:
        return ""
    return _(
        "The panel cannot be shown: this Slicer lacks the widget {names}; "
        "install a current version of 3D Slicer."
    ).format(names=", ".join(sorted(missing)))


def show(sentence, layout):
    """The sentence where the panel would be, and in the log."""
    logging.error("CTBMD: %s", sentence)
    label = qt.QLabel(sentence)
    label.setObjectName("problemLabel")
    label.setWordWrap(True)
    layout.addWidget(label)
