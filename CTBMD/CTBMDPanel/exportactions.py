"""Section 4 of the panel: exporting and copying the results, with or without the patient's identity."""

import slicer
from slicer.i18n import tr as _

from CTBMDLib.errors import CTBMDError
from CTBMDLib.report.case import identified

from . import exporting, reporting, sentences
from .switches import Switches, underWay


class ExportActions:
    """What happens on 'Export...' and 'Copy'.

    The check boxes are not kept in the scene: whether a patient is named is asked for
    anew each time that Slicer is started.

    Parameters
    ----------
    ui : object
        The named widgets of CTBMD.ui.
    state : PanelState
    logic : CTBMDLogic
    runner : Runner
    followup : Followup
        Asked for what has changed since an earlier CT.
    """

    def __init__(self, ui, state, logic, runner, followup):
        self.ui, self.state, self.logic, self.runner = ui, state, logic, runner
        self._followup = followup
        for item in exporting.formats():
            ui.exportFormatCombo.addItem(item.words)
        if exporting.decimalComma():
            keys = [item.key for item in exporting.formats()]
            ui.exportFormatCombo.setCurrentIndex(keys.index(exporting.SEMICOLONS))
        self._switch = Switches()
        ui.exportButton.clicked.connect(self.onExport)
        ui.copyButton.clicked.connect(self.onCopy)
        ui.exportFormatCombo.currentIndexChanged.connect(self.onFormat)
        state.changed.connect(self.update)
        runner.changed.connect(self.update)
        self.update()

    @property
    def format(self):
        """The format that is chosen in the panel."""
        return exporting.formats()[max(self.ui.exportFormatCombo.currentIndex, 0)]

    @property
    def withIdentity(self):
        """Whether what leaves the panel may tell who it is of."""
        return bool(self.ui.identityCheckBox.isChecked())

    def onFormat(self, index=None):
        """Another format is chosen."""
        self.update()

    def update(self):
        """Offer the DICOM database where there is something for it."""
        why = ""
        if self.state.result is None:
            why = _("There are no results yet.")
        elif self.runner.busy:
            why = underWay()
        elif not self.format.dicom:
            why = _("Choose a DICOM format first.")
        elif not reporting.databaseIsOpen():
            why = _("Slicer's DICOM database is not open; open it in the DICOM module.")
        self._switch(self.ui.databaseCheckBox, why)

    def result(self):
        """The result as it may leave the panel."""
        result, node = self.state.result, self.state.volumeNode
        if not self.withIdentity or node is None:
            return result
        # A result of another CT must not get this one's name.
        if self.state.staleReason():
            raise CTBMDError(self.state.staleReason(), "no-result")
        return identified(result, self.logic.volume(node))

    def onExport(self):
        """Ask for a file and save the results in it."""
        try:
            result, chosen = self.result(), self.format
            answer = exporting.askPath(result, chosen)
            if answer is None:
                return
            path, overwrite = answer
            chosen = exporting.formatOf(path, chosen)
            with slicer.util.WaitCursor():
                self._write(result, path, chosen, overwrite)
            exporting.remember(path)
            if chosen.dicom and self._toDatabase():
                reporting.addToDatabase(path)
        except CTBMDError as error:
            self.state.refused.emit(sentences.of(error))
            return
        say(_("Saved '{path}'.").format(path=path))

    def _write(self, result, path, chosen, overwrite):
        earlier, more = self._followup.exported(self.withIdentity, chosen.dicom)
        if exporting.isTable(chosen):
            commas = exporting.withCommas(chosen)
            exporting.write(result, path, overwrite, earlier, more, commas)
            return
        case = reporting.case(self.logic, self.state, self.withIdentity, chosen.dicom, earlier)
        exporting.writeCase(case, path, chosen, overwrite)

    def _toDatabase(self):
        box = self.ui.databaseCheckBox
        return bool(box.isChecked()) and bool(box.isEnabled())

    def onCopy(self):
        """Put the results on the clipboard."""
        try:
            exporting.copy(self.result())
        except CTBMDError as error:
            self.state.refused.emit(sentences.of(error))
            return
        say(_("The results are on the clipboard."))


def say(sentence):
    """A sentence in the status bar, for a while."""
    slicer.util.showStatusMessage(sentence, 5000)
