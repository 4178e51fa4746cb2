"""The table of chosen levels: QTableWidget in, edits out."""

import qt
from slicer.i18n import tr as _

from CTBMDLib.levels import LUMBAR

from .signal import Signal

USE, LEVEL, S, CONFIDENCE, SOURCE = range(5)
ROW_HEIGHT = 24
MINIMUM_ROWS, MAXIMUM_ROWS = 5, 9


class LevelTable:
    """Shows a LevelSelection and reports what a person does with it.

    Signals
    -------
    picked(level) : a row was clicked or reached by the arrow keys.
    included(level, bool) : a check box was changed.
    """

    def __init__(self, table):
        self.table = table
        self.picked = Signal()
        self.included = Signal()
        self._filling = False
        self._levels = []
        table.setColumnCount(5)
        table.setHorizontalHeaderLabels(
            [_("Use"), _("Vertebra"), _("S (mm)"), _("Confidence"), _("Chosen by")]
        )
        table.verticalHeader().setVisible(False)
        table.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        header = table.horizontalHeader()
        header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        header.setStretchLastSection(True)
        self._fitHeight()
        table.cellChanged.connect(self._onCellChanged)
        table.cellClicked.connect(self._onCellClicked)
        table.currentCellChanged.connect(self._onCurrentCellChanged)

    @property
    def level(self):
        """The selected level's name, or None."""
        row = self.table.currentRow()
        return self._levels[row] if 0 <= row < len(self._levels) else None

    @property
    def row(self):
        """The selected row, -1 where there is none."""
        return self.table.currentRow()

    def selectRow(self, row):
        """Select a row without showing its slice."""
        self._filling = True
        try:
            self.table.setCurrentCell(row, LEVEL)
        finally:
            self._filling = False

    def show(self, selection, level=None):
        """Show a selection and select `level`, or stay where it was."""
        level = level or self.level
        self._filling = True
        try:
            self._levels = [item.level for item in selection]
            if self.table.rowCount != len(self._levels):
                self.table.setRowCount(len(self._levels))
                self._fitHeight()
            for row, item in enumerate(selection):
                self._showUse(row, item)
                self._cell(row, LEVEL, item.level)
                self._cell(row, S, millimetres(item.ras[2]))
                self._cell(row, CONFIDENCE, confidence(item))
                self._cell(row, SOURCE, source(item))
            if level in self._levels:
                self.table.setCurrentCell(self._levels.index(level), LEVEL)
            elif self._levels:
                self.table.setCurrentCell(0, LEVEL)
        finally:
            self._filling = False

    def _showUse(self, row, item):
        """A check box for the vertebrae that can be measured, nothing for the others."""
        if item.level not in LUMBAR:
            self.table.setItem(row, USE, qt.QTableWidgetItem())
            return
        use = self._cell(row, USE, "")
        use.setCheckState(qt.Qt.Checked if item.included else qt.Qt.Unchecked)

    def _fitHeight(self):
        """Room for all vertebrae, so that nothing is hidden behind a scroll bar."""
        rows = min(max(len(self._levels), MINIMUM_ROWS), MAXIMUM_ROWS)
        header = self.table.horizontalHeader().property("sizeHint").height()
        frame = 2 * self.table.property("frameWidth")
        self.table.setFixedHeight(header + rows * ROW_HEIGHT + frame)

    def showPosition(self, level, s_mm):
        """Show where a point is while it is being dragged."""
        if level in self._levels:
            self._filling = True
            try:
                self._cell(self._levels.index(level), S, millimetres(s_mm))
            finally:
                self._filling = False

    def _cell(self, row, column, text):
        item = self.table.item(row, column)
        if item is None:
            item = qt.QTableWidgetItem()
            self.table.setItem(row, column, item)
        if item.text() != text:
            item.setText(text)
        return item

    def _onCellChanged(self, row, column):
        if self._filling or column != USE or not 0 <= row < len(self._levels):
            return
        if self._levels[row] not in LUMBAR:
            return
        checked = self.table.item(row, USE).checkState() == qt.Qt.Checked
        self.included.emit(self._levels[row], checked)

    def _onCellClicked(self, row, column):
        if not self._filling and 0 <= row < len(self._levels):
            self.picked.emit(self._levels[row])

    def _onCurrentCellChanged(self, row, column, previousRow, previousColumn):
        if not self._filling and row != previousRow and 0 <= row < len(self._levels):
            self.picked.emit(self._levels[row])


def millimetres(value):
    """A position with one decimal; never '-0.0'."""
    return f"{round(value, 1) + 0.0:.1f}"


def confidence(item):
    """Confidence of a level in words."""
    return "-" if item.confidence is None else f"{100 * item.confidence:.0f} %"


def source(item):
    """How a level was chosen, in words."""
    return sourceWords(item.source)


def sourceWords(source):
    """One of `levels.SOURCES`, in words."""
    return {
        "found": _("found"),
        "moved": _("moved"),
        "added": _("added"),
        "segment": _("segmentation"),
    }[source]


def numbering(selection):
    """Plain words on what decided the numbering, '' where there is nothing to say."""
    if not selection.levels:
        return ""
    if selection.numbering_uncertain:
        return _(
            "Numbering uncertain: check the labels and correct them with 'Labels up' or 'Labels down'."
        )
    return {
        "sacrum": _("Numbered from the sacrum upwards."),
        "rib": _("Numbered from the last rib downwards."),
        "both": _("Numbered from the sacrum and the last rib, which agree."),
        "segment": _("Numbered by the segmentation."),
        "user": _("Numbered by hand."),
    }.get(selection.numbering, "")
