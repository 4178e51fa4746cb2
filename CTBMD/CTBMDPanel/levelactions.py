"""Section 2 of the panel: finding the lumbar slices and correcting them."""

import slicer
from slicer.i18n import tr as _

from CTBMDLib.errors import CTBMDError
from CTBMDLib.levels import LUMBAR, REASONS

from . import segmentations, sentences, views
from .planes import Planes
from .signal import Signal


class LevelActions:
    """What happens on each click in section 2, and when a point is dragged.

    Parameters
    ----------
    ui : object
        The named widgets of CTBMD.ui.
    state : PanelState
    logic : CTBMDLogic
    runner : Runner
    levelTable : LevelTable

    Signals
    -------
    foundNone() : the search has found no lumbar vertebra in the chosen CT.
    """

    def __init__(self, ui, state, logic, runner, levelTable):
        self.ui, self.state, self.logic = ui, state, logic
        self.runner, self.levelTable = runner, levelTable
        self.controller = state.controller
        self.planes = Planes()
        self.foundNone = Signal()
        ui.findButton.clicked.connect(self.onFind)
        ui.nameSegmentsButton.clicked.connect(self.onNameSegments)
        ui.useSliceButton.clicked.connect(self.onUseSlice)
        ui.undoButton.clicked.connect(self.onUndo)
        ui.redoButton.clicked.connect(self.onRedo)
        ui.shiftUpButton.clicked.connect(self.onShiftUp)
        ui.shiftDownButton.clicked.connect(self.onShiftDown)
        ui.renameButton.clicked.connect(self.onRename)
        ui.addButton.clicked.connect(self.onAdd)
        ui.removeButton.clicked.connect(self.onRemove)
        ui.levelCombo.currentIndexChanged.connect(self.onNameChosen)
        ui.reasonCombo.currentIndexChanged.connect(self.onReason)
        ui.sliceSlider.valueChanged.connect(self.onSlider)
        ui.sliceSlider.sliderMoved.connect(self.onSliderMoving)
        ui.sliceSpinBox.valueChanged.connect(self.onSpinBox)
        levelTable.picked.connect(self.onLevelPicked)
        levelTable.included.connect(self.onIncluded)
        self.controller.changed.connect(self.onSelectionChanged)
        self.controller.dragging.connect(self.onDragging)

    def onFind(self):
        """Begin the search, or cancel the one that is under way."""
        if self.runner.cancelledBy(self.ui.findButton):
            return
        parameters = self.state.parameterNode
        try:
            with slicer.util.WaitCursor():
                work = self.logic.findWork(parameters.inputVolume, parameters.segmentation)
        except CTBMDError as error:
            self.state.refused.emit(sentences.of(error))
            return
        searched = parameters.segmentation is None

        def done(selection):
            self.onFound(selection)
            if searched and not any(item.level in LUMBAR for item in selection):
                self.foundNone.emit()

        ui = self.ui
        self.runner.start(work, done, ui.findButton, ui.findProgressBar, ui.findStatusLabel)

    def onNameSegments(self):
        """Name the segments that are known by their numbers."""
        parameters = self.state.parameterNode
        try:
            with slicer.util.WaitCursor():
                names = segmentations.nameSegments(parameters.segmentation, parameters.inputVolume)
        except CTBMDError as error:
            self.state.refused.emit(sentences.of(error))
            return
        self.state.changed.emit()
        said = _("Named the segments of {names}.").format(names=", ".join(sorted(names)))
        slicer.util.showStatusMessage(said, 5000)

    def onFound(self, selection):
        """Take the levels that were found and show the first lumbar one."""
        if not selection.levels and not selection.findings:
            selection.findings = (_("No lumbar vertebra was found in this volume."),)
        self.controller.replace(selection)
        names = [item.level for item in selection]
        first = next((level for level in LUMBAR if level in names), names[0] if names else None)
        if first is not None:
            self._pick(first)
            views.showMidline([item.ras for item in selection if item.level in LUMBAR])
        views.reset3D()

    def onSelectionChanged(self):
        """The levels are others than before."""
        self._show()
        self.planes.show(self.controller.selection)
        self.state.changed.emit()

    def _show(self, level=None):
        self.levelTable.show(self.controller.selection, level, self.controller.hidden())

    def _pick(self, level):
        self._show(level)
        self.onLevelPicked(level)

    def show(self, level):
        """Select a level and show its slice; one that is no longer there changes nothing."""
        if level in self.controller.selection:
            self._pick(level)

    def onLevelPicked(self, level):
        """Show the slice of a level."""
        views.jumpTo(self.controller.selection[level].ras)
        self.state.changed.emit()

    def onIncluded(self, level, included):
        """A level's check box was changed."""
        self.controller.edit("include", level, included)

    def onReason(self, index=None):
        """A reason for leaving the selected level out was chosen."""
        level = self.levelTable.level
        if level in self.controller.selection and not self.controller.selection[level].included:
            reason = (None, *REASONS)[self.ui.reasonCombo.currentIndex]
            self.controller.edit("include", level, False, reason)

    def onDragging(self, level, ras):
        """Follow a point that is being dragged."""
        self.levelTable.showPosition(level, ras[2])
        views.jumpTo(ras, axialOnly=True)

    def onSlider(self, value):
        """The slider was let go."""
        self.onSlice(value / views.STEPS_PER_MM)

    def onSpinBox(self, value=None):
        """A position was typed."""
        # Read from the box: in Qt 5 the signal exists with a number and with a text.
        self.onSlice(self.ui.sliceSpinBox.value)

    def onSlice(self, s_mm):
        """Take another slice for the selected level."""
        level = self.levelTable.level
        if level is None:
            return
        if self.controller.useSlice(level, float(s_mm)):
            views.jumpTo(self.controller.selection[level].ras)

    def onSliderMoving(self, value):
        """Show the slice that the slider is at."""
        level = self.levelTable.level
        if level is not None:
            r, a, _s = self.controller.selection[level].ras
            views.jumpTo((r, a, value / views.STEPS_PER_MM), axialOnly=True)

    def onUseSlice(self):
        """Take the slice that is shown for the selected level."""
        s_mm, level = self._shownS(), self.levelTable.level
        if s_mm is not None and level is not None:
            self.controller.useSlice(level, s_mm)

    def _shownS(self):
        s_mm = views.axialS()
        if s_mm is None:
            self.state.refused.emit(_("No axial slice is shown; set the red slice view to axial."))
        return s_mm

    def onUndo(self):
        """Take the last change back."""
        self.controller.undo()

    def onRedo(self):
        """Make the change again that was taken back last."""
        self.controller.redo()

    def onShiftUp(self):
        """Every level takes the name above its own."""
        self._shift(-1)

    def onShiftDown(self):
        """Every level takes the name below its own."""
        self._shift(1)

    def _shift(self, steps):
        row = self.levelTable.row
        if self.controller.shift(steps):
            self.levelTable.selectRow(row)
            self.state.changed.emit()

    def onRename(self):
        """Give the selected level the name in the list."""
        level, name = self.levelTable.level, self.ui.levelCombo.currentText
        if level is not None and level != name and self.controller.rename(level, name):
            self._pick(name)

    def onAdd(self):
        """Add the level named in the list at the slice that is shown."""
        s_mm = self._shownS()
        if s_mm is None:
            return
        bounds = [0.0] * 6
        self.state.volumeNode.GetRASBounds(bounds)
        middle = [(bounds[2 * i] + bounds[2 * i + 1]) / 2 for i in range(3)]
        name = self.ui.levelCombo.currentText
        if self.controller.edit("add", name, self.controller.positionAt(s_mm, middle)):
            self._pick(name)

    def onRemove(self):
        """Take the selected level out."""
        if self.levelTable.level is not None:
            self.controller.edit("remove", self.levelTable.level)

    def onNameChosen(self, index=None):
        """Another name is chosen in the list."""
        self.controller.wishedName = self.ui.levelCombo.currentText
        self.state.changed.emit()
