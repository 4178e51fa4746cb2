"""Sections 3 and 4 of the panel: estimating, and showing the results."""

import qt
import slicer
from slicer.i18n import tr as _

from CTBMDLib.errors import CTBMDError
from CTBMDLib.levels import LevelSelection

from . import sentences
from .exportactions import ExportActions
from .words import reveal


class ResultActions:
    """What happens on 'Estimate BMD'; see `ExportActions` for what leaves the panel.

    Parameters
    ----------
    ui : object
        The named widgets of CTBMD.ui.
    state : PanelState
    logic : CTBMDLogic
    runner : Runner
    followup : Followup
    """

    def __init__(self, ui, state, logic, runner, followup):
        self.ui, self.state, self.logic, self.runner = ui, state, logic, runner
        ui.estimateButton.clicked.connect(self.onEstimate)
        self.exports = ExportActions(ui, state, logic, runner, followup)

    def onEstimate(self):
        """Begin the estimate, or cancel the one that is under way."""
        if self.runner.cancelledBy(self.ui.estimateButton):
            return
        parameters = self.state.parameterNode
        # The estimate is about the levels as they are now, whatever is edited meanwhile.
        selection = LevelSelection.from_json(self.state.controller.selection.to_json())
        inputs = self.state.inputs()
        try:
            with slicer.util.WaitCursor():
                node = parameters.inputVolume
                options = self.state.options(node, self.state.settingsOf(node))
                work = self.logic.estimateWork(node, selection, **options)
        except CTBMDError as error:
            self.state.refused.emit(sentences.of(error))
            return

        def onDone(result):
            self.onEstimated(result, inputs)

        ui = self.ui
        self.runner.start(
            work, onDone, ui.estimateButton, ui.estimateProgressBar, ui.estimateStatusLabel
        )

    def keep(self, result, inputs):
        """Take a result that was made from `inputs` for the chosen CT."""
        table = self.state.parameterNode.resultTable
        if table is None:
            table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", _("Bone density"))
        self.logic.fillTable(table, result)
        self.state.setResult(result, inputs, table)

    def onEstimated(self, result, inputs):
        """Show a result that was made from `inputs`."""
        first = self.state.result is None
        self.keep(result, inputs)
        self.ui.resultsSection.setProperty("collapsed", False)
        if first:
            # Levels and results are seen together where what is done with makes room.
            for section in (self.ui.volumeSection, self.ui.settingsSection):
                section.setProperty("collapsed", True)
        # The widgets get their new places when the event loop has run.
        qt.QTimer.singleShot(0, self._reveal)

    def _reveal(self):
        if self.state.result is not None:
            reveal(self.ui.copyButton, self.ui.summaryLabel)
