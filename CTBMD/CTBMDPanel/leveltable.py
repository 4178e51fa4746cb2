"""The table of chosen levels: QTableWidget in, edits out."""

import qt
from slicer.i18n import tr as _

from CTBMDLib.levels import LUMBAR

from . import marks, tables
from .signal import Signal

USE, LEVEL, S, CONFIDENCE, SOURCE = range(5)
MINIMUM_ROWS = 4


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
        self._recent = []
        tables.prepare(table, headings())
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
            self._select(row)
        finally:
            self._filling = False

    def _select(self, row):
        if not self._levels:
            return
        row = min(max(row, 0), len(self._levels) - 1)
        self.table.setCurrentCell(row, LEVEL)
        self._remember(self._levels[row])

    def _remember(self, level):
        self._recent = [*(x for x in self._recent if x != level), level]

    def mark(self, findings):
        """Mark the levels that have something to be read; `findings` is {level: [finding]}."""
        colour = marks.colour(self.table)
        self._filling = True
        try:
            for row, level in enumerate(self._levels):
                about = findings.get(level, [])
                warned = marks.warned(about)
                cell = self._cell(row, LEVEL, f"{level} {marks.WARNING}" if warned else level)
                cell.setToolTip(marks.hint(about))
                if warned:
                    cell.setForeground(qt.QBrush(qt.QColor(colour)))
                else:  # without a colour of its own it follows the palette, light or dark
                    cell.setData(qt.Qt.ForegroundRole, None)
        finally:
            self._filling = False

    def _name(self, row):
        """The vertebra that a row's cell names, without its mark."""
        item = self.table.item(row, LEVEL)
        return "" if item is None else item.text().split(" ")[0]

    def show(self, selection, level=None, hidden=()):
        """Show a selection but the levels `hidden`, and select `level`, or stay where it was.

        Where that level is gone, the one that was selected before it is taken,
        else the one in its row: the next edit must not be about a level that
        nobody looked at.
        """
        row, level = self.row, level or self.level
        self._filling = True
        try:
            self._levels = [item.level for item in selection]
            self.table.setRowCount(len(self._levels))
            for number, item in enumerate(selection):
                self._showUse(number, item)
                if self._name(number) != item.level:
                    self._cell(number, LEVEL, item.level)
                self._cell(number, S, millimetres(item.ras[2]))
                self._cell(number, CONFIDENCE, confidence(item))
                self._cell(number, SOURCE, source(item))
                self.table.setRowHidden(number, item.level in hidden)
            self._fitHeight(len(self._levels) - len(hidden))
            seen = [x for x in self._levels if x not in hidden]
            if level not in seen:
                level = next((x for x in reversed(self._recent) if x in seen), None)
            if level is None and seen:
                level = seen[min(max(row, 0), len(seen) - 1)]
            if level is not None:
                self._select(self._levels.index(level))
        finally:
            self._filling = False

    def _showUse(self, row, item):
        """A check box for the vertebrae that can be measured, nothing for the others."""
        if item.level not in LUMBAR:
            self.table.setItem(row, USE, qt.QTableWidgetItem())
            return
        use = self._cell(row, USE, "")
        use.setCheckState(qt.Qt.Checked if item.included else qt.Qt.Unchecked)

    def _fitHeight(self, rows=0):
        """Room for all vertebrae, so that nothing is hidden behind a scroll bar."""
        tables.fitHeight(self.table, max(rows, MINIMUM_ROWS))

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
            self._remember(self._levels[row])
            self.picked.emit(self._levels[row])

    def _onCurrentCellChanged(self, row, column, previousRow, previousColumn):
        if row != previousRow:
            self._onCellClicked(row, column)


def headings():
    """(title, tooltip) of each column."""
    return [
        (
            _("Use"),
            _("Ticked: the vertebra counts in the L1-L4 mean. Vertebrae of L1-L5 can be ticked."),
        ),
        (_("Level"), _("The vertebra; a triangle marks a warning, which is said below.")),
        (
            _("S (mm)"),
            _(
                "Position of the middle slice along the patient in mm, as Slicer shows it: it counts "
                "up towards the head (S is superior)."
            ),
        ),
        (
            _("Sure"),
            _(
                "Confidence of the search that this is the middle of that vertebra, from 0 to 100 %; "
                "'-' where a person or a segmentation chose. Look at those below 50 %."
            ),
        ),
        (
            _("Chosen by"),
            _("Who chose the slice: found by the search, moved or added by hand, a segmentation."),
        ),
    ]


def millimetres(value):
    """A position with one decimal; never '-0.0'."""
    return f"{round(value, 1) + 0.0:.1f}"


def confidence(item):
    """Confidence of a level in words."""
    return "-" if item.confidence is None else f"{100 * item.confidence:.0f} %"


def source(item):
    """How a level was chosen, or why it is left out, in words."""
    if item.reason is not None:
        return _("out: {reason}").format(reason=reasonWords(item.reason))
    return sourceWords(item.source)


def reasonWords(reason):
    """One of `levels.REASONS`, or None, in words."""
    return {
        None: _("no reason given"),
        "fracture": _("fracture"),
        "hardware": _("hardware"),
        "cement": _("cement"),
        "degeneration": _("degeneration"),
        "other": _("other"),
    }[reason]


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
