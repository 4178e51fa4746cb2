"""Section 2 of the panel: finding the lumbar slices and correcting them."""

import slicer
from slicer.i18n import tr as _

from CTBMDLib.errors import CTBMDError
from CTBMDLib.levels import LUMBAR

from . import views
from .display import STEPS_PER_MM


class LevelActions:
    """What happens on each click in section 2, and when a point is dragged.

    Parameters
    ----------
    panel : panel.Panel
    """

    def __init__(self, panel):
        self.panel = panel
        self.ui = ui = panel.ui
        self.controller = panel.controller
        self.levelTable = panel.levelTable
        ui.findButton.clicked.connect(self.onFind)
        ui.useSliceButton.clicked.connect(self.onUseSlice)
        ui.undoButton.clicked.connect(self.onUndo)
        ui.shiftUpButton.clicked.connect(self.onShiftUp)
        ui.shiftDownButton.clicked.connect(self.onShiftDown)
        ui.renameButton.clicked.connect(self.onRename)
        ui.addButton.clicked.connect(self.onAdd)
        ui.removeButton.clicked.connect(self.onRemove)
        ui.levelCombo.currentIndexChanged.connect(self.onNameChosen)
        ui.sliceSlider.valueChanged.connect(self.onSlider)
        ui.sliceSlider.sliderMoved.connect(self.onSliderMoving)
        ui.sliceSpinBox.valueChanged.connect(self.onSpinBox)
        self.levelTable.picked.connect(self.onLevelPicked)
        self.levelTable.included.connect(self.onIncluded)
        self.controller.changed.connect(self.onSelectionChanged)
        self.controller.dragging.connect(self.onDragging)

    def onFind(self):
        if self.panel.runner.cancelledBy(self.ui.findButton):
            return
        parameters = self.panel.parameterNode
        try:
            with slicer.util.WaitCursor():
                work = self.panel.logic.findWork(parameters.inputVolume, parameters.segmentation)
        except CTBMDError as error:
            self.panel.showError(str(error))
            return
        ui = self.ui
        self.panel.runner.start(
            work, self.onFound, ui.findButton, ui.findProgressBar, ui.findStatusLabel
        )

    def onFound(self, selection):
        if not selection.levels and not selection.notes:
            selection.notes = (_("No lumbar vertebra was found in this volume."),)
        self.controller.replace(selection)
        names = [item.level for item in selection]
        first = next((level for level in LUMBAR if level in names), names[0] if names else None)
        if first is not None:
            self._pick(first)

    def onSelectionChanged(self):
        self.levelTable.show(self.controller.selection)
        self.panel.display.update()

    def _pick(self, level):
        self.levelTable.show(self.controller.selection, level)
        self.onLevelPicked(level)

    def onLevelPicked(self, level):
        views.jumpTo(self.controller.selection[level].ras)
        self.panel.display.update()

    def onIncluded(self, level, included):
        self.controller.edit("include", level, included)

    def onDragging(self, level, ras):
        self.levelTable.showPosition(level, ras[2])
        views.jumpTo(ras, axialOnly=True)

    def onSlider(self, value):
        self.onSlice(value / STEPS_PER_MM)

    def onSpinBox(self, value=None):
        # Read from the box: in Qt 5 the signal exists with a number and with a text.
        self.onSlice(self.ui.sliceSpinBox.value)

    def onSlice(self, s_mm):
        level = self.levelTable.level
        if self.panel.display.updating or level is None:
            return
        if self.controller.edit("use_slice", level, float(s_mm)):
            views.jumpTo(self.controller.selection[level].ras)

    def onSliderMoving(self, value):
        level = self.levelTable.level
        if level is not None:
            r, a, _s = self.controller.selection[level].ras
            views.jumpTo((r, a, value / STEPS_PER_MM), axialOnly=True)

    def onUseSlice(self):
        s_mm, level = self._shownS(), self.levelTable.level
        if s_mm is not None and level is not None:
            self.controller.edit("use_slice", level, s_mm)

    def _shownS(self):
        s_mm = views.axialS()
        if s_mm is None:
            self.panel.showError(_("No axial slice is shown; set the red slice view to axial."))
        return s_mm

    def onUndo(self):
        self.controller.undo()

    def onShiftUp(self):
        self._shift(-1)

    def onShiftDown(self):
        self._shift(1)

    def _shift(self, steps):
        row = self.levelTable.row
        if self.controller.edit("shift", steps):
            self.levelTable.selectRow(row)
            self.panel.display.update()

    def onRename(self):
        level, name = self.levelTable.level, self.ui.levelCombo.currentText
        if level is not None and level != name and self.controller.edit("relabel", level, name):
            self._pick(name)

    def onAdd(self):
        s_mm = self._shownS()
        if s_mm is None:
            return
        bounds = [0.0] * 6
        self.panel.volumeNode.GetRASBounds(bounds)
        middle = [(bounds[2 * i] + bounds[2 * i + 1]) / 2 for i in range(3)]
        name = self.ui.levelCombo.currentText
        if self.controller.edit("add", name, self.controller.positionAt(s_mm, middle)):
            self._pick(name)

    def onRemove(self):
        if self.levelTable.level is not None:
            self.controller.edit("remove", self.levelTable.level)

    def onNameChosen(self, index=None):
        self.controller.wishedName = self.ui.levelCombo.currentText
        self.panel.display.buttons()
