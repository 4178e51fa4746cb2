"""Makes the widgets of CTBMD.ui show the panel's state; writes nothing to the scene."""

import html
import logging
import math
import sys

import qt
from slicer.i18n import tr as _

from CTBMDLib.bmd.quality import check_selection
from CTBMDLib.errors import CTBMDError
from CTBMDLib.levels import MEASURED, ORDER, REASONS

from . import leveltable, marks, modelcard, pytorch, segmentations, sentences, views, volumes
from .resultview import ResultView
from .switches import Switches, underWay
from .words import onButton, setText, shortened


class Display:
    """The view of everything but the level table.

    Parameters
    ----------
    ui : object
        The named widgets of CTBMD.ui.
    state : PanelState
        Read, never written.
    logic : CTBMDLogic
        Asked for the volume's facts, the reference tables and the model's card.
    runner : Runner
        Asked whether it is busy, and for which button.
    levelTable : LevelTable
        Asked which level is selected.
    """

    def __init__(self, ui, state, logic, runner, levelTable):
        self.ui, self.state, self.logic = ui, state, logic
        self.runner, self.levelTable = runner, levelTable
        self.resultView = ResultView(ui)
        self._updating = False
        self._closed = False
        self._model = None
        self._switch = Switches()
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
        for reason in (None, *REASONS):
            ui.reasonCombo.addItem(leveltable.reasonWords(reason))
        self.torch()
        ui.referenceCombo.addItem(_("none (no T-score)"), "")
        for table in self._installedTables():
            ui.referenceCombo.addItem(table.title, table.name)
            index = ui.referenceCombo.findData(table.name)
            ui.referenceCombo.setItemData(index, table.title, qt.Qt.ToolTipRole)

    def torch(self):
        """Whether PyTorch is installed."""
        self._computes = None
        setText(self.ui.torchLabel, pytorch.status())
        self.ui.installTorchButton.setVisible(pytorch.version() is None)

    def _device(self):
        """What the network runs on; it may be another once the estimate has loaded PyTorch."""
        parameters = self.state.parameterNode
        now = "auto" if parameters is None else parameters.device.value, "torch" in sys.modules
        if now != self._computes:
            self._computes = now
            setText(self.ui.computeLabel, pytorch.runsOn(now[0]))

    def update(self):
        """Show everything anew."""
        if self._updating or self._closed:
            return
        self._updating = True
        try:
            self._volume()
            self._notes()
            self._settings()
            self._result()
            self._modelCard()
            self._device()
            self._buttons()
            self._slider()
            self._reason()
        finally:
            self._updating = False

    def close(self):
        """Touch no widget any more."""
        self._closed = True

    def forget(self):
        """Look at the volume again at the next update."""
        self._volumeState = None

    def _volume(self):
        node, ui = self.state.volumeNode, self.ui
        ui.sampleButton.setVisible(node is None)
        if node is None:
            ui.volumeSection.setProperty("collapsed", False)  # it is what to begin with
        identity = volumes.identity(node)
        if identity == self._volumeState and node is not None:
            return
        self._volumeState = identity
        title = _("1. CT volume")
        if node is not None:
            title = f"{title}: {onButton(shortened(node.GetName()))}"
        ui.volumeSection.setText(title)
        line, warning, why = _("Choose the CT to measure, or load the sample."), "", ""
        ui.boneWindowButton.setVisible(node is not None)
        if node is not None:
            try:
                line = volumes.facts(self.logic.volume(node))
                why = volumes.whyUnknown(node)
                found = self.logic.checkVolume(node)
                warning = "\n".join(x.text for x in found if x.severity == "warning")
            except CTBMDError as error:
                line, warning = "", sentences.of(error)
        setText(ui.factsLabel, line)
        setText(ui.unknownFactsLabel, why)
        setText(ui.volumeWarningLabel, warning)

    def _notes(self):
        """How the levels were numbered, and what is wrong with their places."""
        selection, colour = self.state.controller.selection, marks.colour(self.ui.levelTable)
        lines = [html.escape(self.state.controller.said)]
        lines.append(html.escape(leveltable.numbering(selection)))
        said = sorted(check_selection(selection), key=lambda x: x.severity != "warning")
        lines += [marks.signed(x, colour) for x in said if x.code != "numbering"]
        setText(self.ui.levelNotesLabel, "<br>".join(line for line in lines if line))
        self.levelTable.mark(self.state.findings())

    def _reason(self):
        """Why the selected level is left out, where it is."""
        ui, level = self.ui, self.levelTable.level
        selection = self.state.controller.selection
        item = next((x for x in selection if x.level == level), None)
        out = item is not None and level in MEASURED and not item.included
        for widget in (ui.reasonLabel, ui.reasonCombo):
            widget.setVisible(out)
        self._switch(ui.reasonCombo, underWay() if self.runner.busy else "")
        if out:
            setText(ui.reasonLabel, _("{level} is left out:").format(level=level))
            index = (None, *REASONS).index(item.reason)
            quietly(ui.reasonCombo, ui.reasonCombo.setCurrentIndex, index)

    def _slider(self):
        """The slider of the selected level."""
        slider, box, level = self.ui.sliceSlider, self.ui.sliceSpinBox, self.levelTable.level
        selection = self.state.controller.selection
        limits = views.sRange(self.state.volumeNode)
        there = level is not None and level in selection and limits is not None
        text = _("Slice of {level}:").format(level=level) if there else _("Slice:")
        setText(self.ui.sliceLabel, text)
        none = "" if there else _("Find the slices or add a level first.")
        for widget in (slider, box):
            self._switch(widget, (underWay() if self.runner.busy else "") or none)
        s_mm = selection[level].ras[2] if there else 0.0
        limits = limits or (0.0, 0.0)
        low, high = min(limits[0], s_mm), max(limits[1], s_mm)
        steps = views.STEPS_PER_MM
        quietly(box, box.setRange, low, high)
        if abs(box.value - s_mm) >= 0.5 / steps:  # as near as it can show
            quietly(box, box.setValue, s_mm)
        quietly(slider, slider.setRange, math.floor(steps * low), math.ceil(steps * high))
        quietly(slider, slider.setValue, round(steps * s_mm))

    def _settings(self):
        ui, parameters = self.ui, self.state.parameterNode
        if parameters is None:
            return
        wanted = parameters.referenceTable
        index = ui.referenceCombo.findData(wanted)
        if index < 0:
            name = wanted.replace("\\", "/").split("/")[-1]
            quietly(ui.referenceCombo, ui.referenceCombo.addItem, name, wanted)
            index = ui.referenceCombo.findData(wanted)
        if ui.referenceCombo.currentIndex != index:
            quietly(ui.referenceCombo, ui.referenceCombo.setCurrentIndex, index)
        self._settingsTitle(parameters)
        if ui.modelPathEdit.currentPath != parameters.modelFolder:
            quietly(ui.modelPathEdit, ui.modelPathEdit.setCurrentPath, parameters.modelFolder)

    def _settingsTitle(self, parameters):
        """The settings in brief, to be read where their section is folded."""
        text = _("Settings: {sex}, {age}, {kvp}").format(
            sex=parameters.sex.label() if parameters.sex.code else _("sex ?"),
            age=_("{n} years").format(n=parameters.age) if parameters.age >= 0 else _("age ?"),
            kvp=f"{parameters.kvp} kV" if parameters.kvp else _("kV ?"),
        )
        self.ui.settingsSection.setText(text)

    def _result(self):
        state = self.state
        self.resultView.show(state.result, state.staleReason())

    def _modelCard(self):
        parameters = self.state.parameterNode
        folder = parameters.modelFolder if parameters is not None else ""
        if folder == self._model:
            return
        self._model = folder
        try:
            card = self.logic.bundle(folder).card
            self.ui.modelCardBrowser.setPlainText(modelcard.cardText(card))
        except CTBMDError as error:
            card = None
            self.ui.modelCardBrowser.setPlainText(sentences.of(error))
        setText(self.ui.researchUseLabel, modelcard.researchUse(card))

    def _buttons(self):
        """Texts and enabled states of everything that can be pressed; what is off says why."""
        ui, state, runner = self.ui, self.state, self.runner
        parameters = state.parameterNode
        there = parameters is not None
        segmentation = parameters.segmentation if there else None
        find = _("Take slices from the segmentation") if segmentation else _("Find lumbar slices")
        measurable = state.controller.measurable()
        no_level = "" if measurable else _("No vertebra of L1-L4 is in use.")
        for button, text, why in (
            (ui.findButton, find, self._whyNot()),
            (ui.estimateButton, _("Estimate BMD"), self._whyNot() or no_level),
        ):
            mine = runner.busy and button is runner.button
            button.setText(_("Cancel") if mine else text)
            self._switch(button, "" if mine else why)
        named = there and segmentations.canBeNamed(segmentation)
        ui.nameSegmentsButton.setVisible(named and state.volumeNode is not None)
        self._editButtons()
        busy = underWay() if runner.busy else ""
        for widget in (
            ui.nameSegmentsButton,
            ui.inputSelector,
            ui.sampleButton,
            ui.segmentationSelector,
            ui.levelTable,
            ui.levelCombo,
            ui.sexCombo,
            ui.ageSpinBox,
            ui.kvpSpinBox,
            ui.dxaCombo,
            ui.othersCheckBox,
            ui.boneWindowButton,
            ui.referenceCombo,
            ui.referenceFileButton,
            ui.modelPathEdit,
            ui.deviceCombo,
            ui.installTorchButton,
        ):
            self._switch(widget, busy or ("" if there else _("The scene is being closed.")))
        # The tables of section 5 follow the box too, and need no result that is shown.
        self._switch(ui.identityCheckBox, busy)
        exports = ui.exportButton, ui.copyButton, ui.exportFormatCombo
        for widget in exports:
            none = "" if state.result is not None else _("There are no results yet.")
            self._switch(widget, busy or none)

    def _editButtons(self):
        """The buttons that change the selection."""
        ui, controller = self.ui, self.state.controller
        name, level, common = ui.levelCombo.currentText, self.levelTable.level, self._whyNot()
        none = "" if level is not None else _("Find the slices or add a level first.")
        for widget in (ui.useSliceButton, ui.shiftUpButton, ui.shiftDownButton, ui.removeButton):
            self._switch(widget, common or none)
        same = _("It is called {name} already; choose another name on the left.")
        self._switch(
            ui.renameButton, common or none or (same.format(name=name) if name == level else "")
        )
        taken = _("{name} is there already; choose another name on the left.").format(name=name)
        self._switch(ui.addButton, common or (taken if name in controller.selection else ""))
        nothing = _("There is nothing to take back.")
        self._switch(ui.undoButton, common or ("" if controller.canUndo else nothing))
        nothing = _("Nothing was taken back.")
        self._switch(ui.redoButton, common or ("" if controller.canRedo else nothing))

    def _whyNot(self):
        """Why nothing can be done at the moment, or ''."""
        if self.state.parameterNode is None or self.state.volumeNode is None:
            return _("Choose a CT under '1. CT volume' first.")
        if self.runner.busy:
            return underWay()
        return ""

    def _installedTables(self):
        """The reference tables that come with the module; a damaged one is left out and logged."""
        try:
            return self.logic.referenceTables()
        except CTBMDError as error:
            logging.warning("CTBMD: %s", error)
            return []


def quietly(widget, setter, *values):
    """Set something of a widget without its signals, which tell of a person's doing."""
    blocked = widget.blockSignals(True)
    try:
        setter(*values)
    finally:
        widget.blockSignals(blocked)
