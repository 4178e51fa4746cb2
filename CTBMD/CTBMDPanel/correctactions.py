"""Section 4 of the panel: values that are no true HU are corrected by air and fat, if a person wants it."""

from slicer.i18n import tr as _

from CTBMDLib.bmd.tissues import can_be_corrected

from .display import quietly
from .switches import Switches, underWay


class CorrectActions:
    """A check box that is there only where the estimate offers the correction, or has made it.

    Parameters
    ----------
    ui : object
        The named widgets of CTBMD.ui.
    state : PanelState
    runner : Runner
    estimate : callable()
        Estimates again: nobody is asked to press a second button.
    """

    def __init__(self, ui, state, runner, estimate):
        self.ui, self.state, self.runner, self._estimate = ui, state, runner, estimate
        self._switch = Switches()
        ui.correctCheckBox.toggled.connect(self.onToggled)
        state.changed.connect(self.update)
        runner.changed.connect(self.update)
        self.update()

    def onToggled(self, on):
        """Correct the values, or take them as they are, and estimate anew."""
        if self.state.parameterNode is None:
            return
        self.state.parameterNode.correctValues = bool(on)
        if not self.runner.busy:
            self._estimate()

    def update(self):
        """Show the box where it means something."""
        box, state = self.ui.correctCheckBox, self.state
        chosen = state.parameterNode is not None and state.parameterNode.correctValues
        offered = state.result is not None and can_be_corrected(state.result.findings)
        box.setVisible(bool(chosen or offered))
        if bool(box.isChecked()) != bool(chosen):
            quietly(box, box.setChecked, bool(chosen))
        none = _("Air and fat lie where they must, or cannot be measured.")
        why = "" if chosen or offered else none
        self._switch(box, underWay() if self.runner.busy else why)
