"""Section 5 of the panel: the rows of a CT into the table of a study."""

from pathlib import Path

from slicer.i18n import tr as _

from CTBMDLib.errors import CTBMDError

from . import sentences, studytable
from .switches import Switches, underWay
from .words import setText, shortened


class StudyActions:
    """What happens on 'Choose...' and 'Add this CT to the table'.

    Parameters
    ----------
    ui : object
        The named widgets of CTBMD.ui.
    state : PanelState
    runner : Runner
    exports : ExportActions
        Asked for the result as it may leave the panel.
    """

    def __init__(self, ui, state, runner, exports):
        self.ui, self.state, self.runner, self._exports = ui, state, runner, exports
        self._switch = Switches()
        ui.studyChooseButton.clicked.connect(self.onChoose)
        ui.studyAddButton.clicked.connect(self.onAdd)
        state.changed.connect(self.update)
        state.volumeChosen.connect(self.forget)
        runner.changed.connect(self.update)
        ui.identityCheckBox.toggled.connect(self.onIdentity)

    def onIdentity(self, on=None):
        """Whether the tables name anybody is another."""
        self.update()

    def forget(self, node=None):
        """What was said is of another CT."""
        setText(self.ui.studyStatusLabel, "")

    def update(self):
        """The table's name, and what can be pressed."""
        ui, state, table = self.ui, self.state, studytable.chosen()
        setText(ui.studyIdentityLabel, studytable.whom(self._exports.withIdentity))
        setText(ui.studyNameLabel, shortened(Path(table).name) if table else _("none yet"))
        ui.studyNameLabel.setToolTip(table)
        busy = underWay() if self.runner.busy else ""
        closing = "" if state.parameterNode is not None else _("The scene is being closed.")
        none = "" if state.result is not None else _("There are no results yet.")
        self._switch(ui.studyAddButton, busy or closing or none or state.staleReason())
        self._switch(ui.studyChooseButton, busy)
        self._switch(ui.caseEdit, busy or closing)

    def onChoose(self):
        """Choose the table; False where there is none afterwards."""
        try:
            chosen = studytable.choose()
        except CTBMDError as error:
            self.state.refused.emit(sentences.of(error))
            return False
        self.update()
        return chosen

    def onAdd(self):
        """Append the shown results to the table; the first time, ask which."""
        if not studytable.chosen() and not self.onChoose():
            return
        parameters = self.state.parameterNode
        try:
            result = self._exports.result()
            done = studytable.add(result, parameters.caseName, studytable.Decided())
        except CTBMDError as error:
            self.state.refused.emit(sentences.of(error))
            return
        if done is not None:
            parameters.caseName = studytable.nameToKeep(done, result, parameters.caseName)
            setText(self.ui.studyStatusLabel, studytable.said(done))
