"""Labels that come and go, and bringing a part of the panel into view."""


def setText(label, text):
    """Text of a label that takes no room while it is empty."""
    if label.text != text:
        label.setText(text)
    label.setVisible(bool(text))


def shortened(text, most=26):
    """A name that fits the title of a section, which would else widen the panel."""
    return text if len(text) <= most else f"{text[: most - 1]}\u2026"


def onButton(text):
    """A name for a button or the title of a section, where Qt takes an '&' for the sign of a key."""
    return text.replace("&", "&&")


def reveal(*widgets):
    """Scroll the module panel so that the widgets are seen, the last one for certain."""
    area = widgets[0].parent()
    while area is not None and not area.inherits("QScrollArea"):
        area = area.parent()
    for widget in widgets if area is not None else ():
        area.ensureWidgetVisible(widget)
