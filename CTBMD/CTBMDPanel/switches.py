"""Controls on, or off with the reason in their tooltip."""

from slicer.i18n import tr as _


class Switches:
    """Turns controls on and off; what a control is for stays in its tooltip."""

    def __init__(self):
        self._hints = {}

    def __call__(self, widget, why):
        """A control on where `why` is empty, else off for that reason."""
        name = widget.property("objectName")
        hint = self._hints.setdefault(name, widget.toolTip)
        widget.setEnabled(not why)
        text = _("Off: {why}").format(why=why) + f"\n{hint}" if why else hint
        if widget.toolTip != text:
            widget.setToolTip(text)


def underWay():
    """Why nothing else can be done while work is running."""
    return _("Wait for the work that is under way, or cancel it.")
