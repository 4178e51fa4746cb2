"""Section 4 of the panel: the change since an earlier CT."""

import html

import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from CTBMDLib.cohort.followup import MAX_PRECISION, reported

from . import followup, marks, volumes
from .display import quietly
from .switches import Switches, underWay
from .words import onButton, setText, shortened


class FollowActions(VTKObservationMixin):
    """The box of the earlier CT.

    Parameters
    ----------
    ui : object
        The named widgets of CTBMD.ui.
    state : PanelState
    logic : CTBMDLogic
    runner : Runner

    Attributes
    ----------
    followup : Followup
    """

    def __init__(self, ui, state, logic, runner):
        VTKObservationMixin.__init__(self)
        self.ui, self.state, self.runner = ui, state, runner
        self.followup = followup.Followup(state, logic)
        self._switch = Switches()
        self._nodes = []
        self._scale = None
        ui.precisionSpinBox.setRange(0.0, MAX_PRECISION)
        ui.earlierCombo.currentIndexChanged.connect(self.onEarlier)
        ui.precisionSpinBox.valueChanged.connect(self.onPrecision)
        state.changed.connect(self.update)
        runner.changed.connect(self.update)
        scene = slicer.mrmlScene
        for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent):
            self.addObserver(scene, event, self.onScene)
        self.update()

    def close(self):
        """Look at the scene no longer."""
        self.removeObservers()

    def onScene(self, caller=None, event=None):
        """A CT has come or gone; of a scene that is being loaded or closed the panel is told at its end."""
        if self.state.parameterNode is not None and not slicer.mrmlScene.IsBatchProcessing():
            self.update()

    def onEarlier(self, index=None):
        """Another earlier CT is chosen, or none."""
        if self.state.volumeNode is None:
            return
        index = self.ui.earlierCombo.currentIndex - 1
        chosen = self._nodes[index] if 0 <= index < len(self._nodes) else None
        followup.remember(self.state.volumeNode, chosen)
        self.state.changed.emit()

    def onPrecision(self, value=None):
        """The site's own precision was typed."""
        # Read from the box: in Qt 5 the signal exists with a number and with a text.
        if self.state.parameterNode is not None:
            self.state.parameterNode.precision = float(self.ui.precisionSpinBox.value)

    def update(self):
        """What can be chosen, and what has changed."""
        ui, state = self.ui, self.state
        self._nodes = self.followup.candidates()
        self._fill()
        parameters = state.parameterNode
        self._forgetOtherScale()
        precision = 0.0 if parameters is None else parameters.precision
        if abs(ui.precisionSpinBox.value - precision) > 1e-6:
            quietly(ui.precisionSpinBox, ui.precisionSpinBox.setValue, precision)
        self._sayPrecision()
        busy = underWay() if self.runner.busy else ""
        closing = "" if parameters is not None else _("The scene is being closed.")
        none = self._whyNone()
        self._switch(ui.earlierCombo, busy or closing or none)
        self._switch(ui.precisionSpinBox, busy or closing)
        compared = self.followup.compare()
        setText(ui.followLabel, self._text(compared, none))
        ui.followSection.setText(self._title(compared))

    def _sayPrecision(self):
        """What stands in the field while the site has not entered its own."""
        known = self.followup.modelPrecision()
        text = _("unknown") if known is None else _("the model's own")
        if self.ui.precisionSpinBox.specialValueText != text:
            self.ui.precisionSpinBox.setSpecialValueText(text)

    def _forgetOtherScale(self):
        """A precision that was typed in one DXA device's g/cm2 is none in another's."""
        parameters = self.state.parameterNode
        before = self._scale
        self._scale = None if parameters is None else (id(parameters), parameters.dxa.code)
        if before and self._scale and before[0] == self._scale[0] and before != self._scale:
            parameters.precision = 0.0

    def _fill(self):
        """The names in the list; the list is touched only where it is another."""
        combo, chosen = self.ui.earlierCombo, followup.remembered(self.state.volumeNode)
        names = [_("none"), *(node.GetName() for node in self._nodes)]
        if [combo.itemText(i) for i in range(combo.count)] != names:
            quietly(combo, combo.clear)
            for name in names:
                quietly(combo, combo.addItem, name)
        index = self._nodes.index(chosen) + 1 if chosen in self._nodes else 0
        if combo.currentIndex != index:
            quietly(combo, combo.setCurrentIndex, index)

    def _whyNone(self):
        """Why there is no earlier CT to choose, or ''."""
        if self.state.result is None:
            return _("There are no results yet; press 'Estimate BMD' first.")
        if self._nodes:
            return ""
        if len(volumes.listed()) < 2:
            return _("This is the only CT of the scene; load the earlier one as well.")
        return _(
            "No other CT of the scene has results of its own: choose the earlier one under '1. CT "
            "volume', press 'Estimate BMD', and come back to this CT."
        )

    def _text(self, compared, none):
        """The change with its warnings as rich text, or the sentence why there is none."""
        if compared.change is None:
            reason = compared.reason or none
            if not reason and self.state.staleReason():
                reason = self.state.staleReason()
            return html.escape(reason, quote=False)
        told = reported(compared.change)
        lines = [
            f"<b>{html.escape(told.words, quote=False)}</b>",
            html.escape(told.values(), quote=False),
        ]
        sign = f'<span style="color:{marks.colour(self.ui.levelTable)}">{marks.WARNING}</span>'
        if compared.change.precision is None:
            lines.append(html.escape(_("Enter your site's own precision above."), quote=False))
        lines += [f"{sign} {html.escape(text, quote=False)}." for text in told.warnings]
        return "<br>".join(line for line in lines if line).replace("g/cm2", "g/cm²")

    def _title(self, compared):
        """The answer in brief, to be read where the section is folded."""
        change = compared.change
        if change is None or change.change is None:
            earlier = followup.remembered(self.state.volumeNode)
            name = shortened(earlier.GetName(), 16) if earlier is not None else _("none")
            return _("Earlier CT: {name}").format(name=onButton(name))
        return _("Since the earlier CT: {value:+.3f} g/cm²").format(value=change.change)
