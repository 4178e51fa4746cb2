"""Section 4 of the panel: a vertebra that a finding leaves out of the mean is counted again by a click."""

from slicer.i18n import tr as _

from CTBMDLib.bmd import leftout
from CTBMDLib.levels import MEASURED

from .switches import Switches, underWay
from .words import setText

SAME_BODY_MM = 13.5
"""Half a lumbar body: a level that is farther from where it was is another vertebra."""


class CountActions:
    """A check box for each vertebra that the estimate leaves out by itself, with the reason.

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
        self._boxes = {level: getattr(ui, f"count{level}CheckBox") for level in MEASURED}
        self._updating = False
        for level, box in self._boxes.items():
            box.toggled.connect(self._slot(level))
        state.changed.connect(self.update)
        runner.changed.connect(self.update)

    def _slot(self, level):
        def onToggled(on):
            self.onToggled(level, on)

        return onToggled

    def again(self):
        """The levels that are counted again."""
        parameters = self.state.parameterNode
        return [] if parameters is None else parameters.countAgain.split()

    def onToggled(self, level, on):
        """Count a level all the same, or leave it out as the estimate does, and estimate anew."""
        if self._updating or self.state.parameterNode is None:
            return
        levels = {*self.again(), level} if on else {*self.again()} - {level}
        self.state.parameterNode.countAgain = " ".join(sorted(levels))
        if not self.runner.busy:
            self._estimate()

    def update(self):
        """Show the boxes of what is left out or counted again."""
        if self._updating:
            return
        self._updating = True
        try:
            self._forgetOthers()
            reasons = self._reasons()
            for level, box in self._boxes.items():
                self._show(level, box, reasons.get(level))
            setText(self.ui.leftOutLabel, self._heading(reasons))
        finally:
            self._updating = False

    def _heading(self, reasons):
        if not reasons:
            return ""
        return _(
            "Left out of the L1-L4 mean because of a finding; tick what is to count all the same:"
        )

    def _show(self, level, box, reason):
        box.setVisible(reason is not None)
        if reason is None:
            return
        box.setText(_("{level}: {reason}").format(level=level, reason=reason))
        if box.isChecked() != (level in self.again()):
            box.setChecked(level in self.again())
        self._switch(box, underWay() if self.runner.busy else "")

    def _reasons(self):
        """{level: why the estimate leaves it out}, those counted again included."""
        result = self.state.result
        if result is None or self.state.parameterNode is None:
            return {}
        scores = {row.level: row.t_score for row in result.levels}
        why = leftout.reasons(result.findings, scores)
        out = {row.level: row.left_out for row in result.levels if row.left_out}
        again = {level: why.get(level, _("a finding")) for level in self.again() if level in scores}
        return {**again, **out}

    def _forgetOthers(self):
        """A name that is now another vertebra's was not counted again by anybody."""
        state = self.state
        if state.result is None or not self.again() or not state.settled():
            return
        was = {row.level: row.slice_s_mm for row in state.result.levels}
        here = {item.level: item.ras[2] for item in state.controller.selection}

        def same(level):
            known = was.get(level) is not None and level in here
            return known and abs(was[level] - here[level]) <= SAME_BODY_MM

        kept = " ".join(level for level in self.again() if same(level))
        if kept != state.parameterNode.countAgain:
            state.parameterNode.countAgain = kept
