"""Makes the widgets of CTBMD.ui show a panel's state; writes nothing to the scene."""

import logging
import math

import qt
from slicer.i18n import tr as _

from CTBMDLib.bmd import quality
from CTBMDLib.bmd.reference import list_tables
from CTBMDLib.errors import CTBMDError
from CTBMDLib.levels import ORDER

from . import leveltable, modelcard, pytorch, results, views, volumes
from .words import setText

STEPS_PER_MM = 10
"""Steps of the slice slider, which counts in whole numbers."""


class Display:
    """Shows a `panel.Panel`.

    Attributes
    ----------
    updating : bool
        True while widgets are being set, so that their signals are no user's doing.
    """

    def __init__(self, panel):
        self.panel = panel
        self.ui = panel.ui
        self.updating = False
        self._closed = False
        self._model = None
        self._volumeState = None
        self._prepare()

    def _prepare(self):
        ui = self.ui
        ui.researchUseLabel.setText(modelcard.researchUse(None))
        for widget in (
            ui.findProgressBar,
            ui.findStatusLabel,
            ui.estimateProgressBar,
            ui.estimateStatusLabel,
        ):
            widget.setVisible(False)
        for name in ORDER:
            ui.levelCombo.addItem(name)
        ui.levelCombo.setCurrentIndex(ORDER.index("L1"))
        self.torch()
        ui.referenceCombo.addItem(_("none (no T-score)"), "")
        for table in installedTables():
            ui.referenceCombo.addItem(table.title, table.name)
            index = ui.referenceCombo.findData(table.name)
            ui.referenceCombo.setItemData(index, table.title, qt.Qt.ToolTipRole)

    def torch(self):
        """Whether PyTorch is installed."""
        setText(self.ui.torchLabel, pytorch.status())
        self.ui.installTorchButton.setVisible(pytorch.version() is None)

    def update(self):
        """Show everything anew."""
        if self.updating or self._closed:
            return
        self.updating = True
        try:
            self._volume()
            self._notes()
            self._settings()
            self._result()
            self._modelCard()
            self.buttons()
            self.slider()
        finally:
            self.updating = False

    def close(self):
        """Touch no widget any more."""
        self._closed = True

    def forget(self):
        """Look at the volume again at the next update."""
        self._volumeState = None

    def volumeChanged(self):
        """Whether what is known of the volume is another than what is shown."""
        return volumes.identity(self.panel.volumeNode) != self._volumeState

    def _volume(self):
        node, ui = self.panel.volumeNode, self.ui
        ui.sampleButton.setVisible(node is None)
        if not self.volumeChanged() and node is not None:
            return
        self._volumeState = volumes.identity(node)
        line, warning = _("Choose the CT to measure, or load the sample."), ""
        if node is not None:
            try:
                volume = self.panel.logic.volume(node)
                line = volumes.facts(volume)
                found = [x.text for x in quality.check_volume(volume) if x.severity == "warning"]
                warning = "\n".join(found)
            except CTBMDError as error:
                line, warning = "", str(error)
        setText(ui.factsLabel, line)
        setText(ui.volumeWarningLabel, warning)

    def _notes(self):
        selection = self.panel.controller.selection
        lines = [leveltable.numbering(selection), *selection.notes]
        setText(self.ui.levelNotesLabel, "\n".join(line for line in lines if line))

    def slider(self):
        """The slider of the selected level."""
        slider, box, level = self.ui.sliceSlider, self.ui.sliceSpinBox, self.panel.levelTable.level
        selection = self.panel.controller.selection
        limits = views.sRange(self.panel.volumeNode)
        there = level is not None and level in selection and limits is not None
        text = _("Slice of {level}:").format(level=level) if there else _("Slice:")
        setText(self.ui.sliceLabel, text)
        for widget in (slider, box):
            widget.setEnabled(there and not self.panel.runner.busy)
        s_mm = selection[level].ras[2] if there else 0.0
        limits = limits or (0.0, 0.0)
        low, high = min(limits[0], s_mm), max(limits[1], s_mm)
        blocked = slider.blockSignals(True), box.blockSignals(True)
        box.setRange(low, high)
        if abs(box.value - s_mm) >= 0.5 / STEPS_PER_MM:  # as near as it can show
            box.setValue(s_mm)
        slider.setRange(math.floor(STEPS_PER_MM * low), math.ceil(STEPS_PER_MM * high))
        slider.setValue(round(STEPS_PER_MM * s_mm))
        slider.blockSignals(blocked[0])
        box.blockSignals(blocked[1])

    def _settings(self):
        ui, parameters = self.ui, self.panel.parameterNode
        if parameters is None:
            return
        wanted = parameters.referenceTable
        index = ui.referenceCombo.findData(wanted)
        if index < 0:
            ui.referenceCombo.addItem(wanted.replace("\\", "/").split("/")[-1], wanted)
            index = ui.referenceCombo.findData(wanted)
        if ui.referenceCombo.currentIndex != index:
            ui.referenceCombo.setCurrentIndex(index)
        if ui.modelPathEdit.currentPath != parameters.modelFolder:
            ui.modelPathEdit.setCurrentPath(parameters.modelFolder)

    def _result(self):
        ui, result, parameters = self.ui, self.panel.result, self.panel.parameterNode
        table = parameters.resultTable if parameters is not None else None
        shown = result is not None
        if ui.resultView.mrmlTableNode() is not table:
            ui.resultView.setMRMLTableNode(table)
            header = ui.resultView.horizontalHeader()
            header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
            header.setStretchLastSection(True)
            ui.resultView.verticalHeader().setDefaultSectionSize(leveltable.ROW_HEIGHT)
        if shown and table is not None:
            self._fitTable(table)
        stale = self.panel.staleReason()
        ui.resultView.setVisible(shown)
        ui.resultView.setEnabled(not stale)
        ui.summaryLabel.setEnabled(not stale)
        setText(ui.staleLabel, stale)
        text = results.summary(result) if shown else _("There are no results yet.")
        setText(ui.summaryLabel, text)
        setText(ui.findingsLabel, results.findings(result) if shown else "")

    def _fitTable(self, table):
        """Show the columns to read, and all rows; the other columns are for whoever saves the table."""
        view = self.ui.resultView
        shown = results.shownColumns(table)
        for column in range(1, table.GetNumberOfColumns()):  # the first is the row's name
            view.setColumnHidden(column - 1, column not in shown)
        header, names = view.horizontalHeader(), view.verticalHeader()
        height = header.property("sizeHint").height() + 2 * view.property("frameWidth")
        if header.length() + names.property("sizeHint").width() > view.property("width"):
            height += leveltable.ROW_HEIGHT  # for the scroll bar
        view.setFixedHeight(height + leveltable.ROW_HEIGHT * table.GetNumberOfRows())

    def _modelCard(self):
        parameters = self.panel.parameterNode
        folder = parameters.modelFolder if parameters is not None else ""
        if folder == self._model:
            return
        self._model = folder
        try:
            card = self.panel.logic.bundle(folder).card
            self.ui.modelCardBrowser.setPlainText(modelcard.cardText(card))
        except CTBMDError as error:
            card = None
            self.ui.modelCardBrowser.setPlainText(str(error))
        setText(self.ui.researchUseLabel, modelcard.researchUse(card))

    def buttons(self):
        """Texts and enabled states of everything that can be pressed."""
        ui, panel = self.ui, self.panel
        parameters, runner = panel.parameterNode, panel.runner
        there = parameters is not None
        idle = there and not runner.busy
        ready = there and panel.volumeNode is not None
        selection, level = panel.controller.selection, panel.levelTable.level
        chosen = ready and idle and level is not None
        name = ui.levelCombo.currentText

        segmentation = parameters.segmentation if there else None
        find = _("Take slices from the segmentation") if segmentation else _("Find lumbar slices")
        for button, text, possible in (
            (ui.findButton, find, ready),
            (ui.estimateButton, _("Estimate BMD"), ready and panel.controller.measurable()),
        ):
            mine = runner.busy and button is runner.button
            button.setText(_("Cancel") if mine else text)
            button.setEnabled(mine or (idle and possible))

        for widget in (ui.useSliceButton, ui.shiftUpButton, ui.shiftDownButton, ui.removeButton):
            widget.setEnabled(chosen)
        ui.renameButton.setEnabled(chosen and name != level)
        ui.addButton.setEnabled(ready and idle and name not in selection)
        ui.undoButton.setEnabled(ready and idle and panel.controller.canUndo)
        for widget in (
            ui.inputSelector,
            ui.sampleButton,
            ui.segmentationSelector,
            ui.levelTable,
            ui.levelCombo,
            ui.sexCombo,
            ui.referenceCombo,
            ui.referenceFileButton,
            ui.modelPathEdit,
            ui.deviceCombo,
            ui.installTorchButton,
        ):
            widget.setEnabled(idle)
        for widget in (ui.exportButton, ui.copyButton):
            widget.setEnabled(idle and panel.result is not None)


def installedTables():
    """The reference tables that come with the module; a damaged one is left out and logged."""
    try:
        return list_tables()
    except CTBMDError as error:
        logging.warning("CTBMD: %s", error)
        return []
