"""The results in the panel: a table as wide as the panel, and the findings beside their levels."""

import html

import qt
from slicer.i18n import tr as _

from CTBMDLib.bmd import export
from CTBMDLib.bmd.result import TOTAL

from . import marks, results, tables
from .signal import Signal
from .switches import Switches
from .words import setText

LEVEL, BMD, INTERVAL, T_SCORE, TRABECULAR = range(5)


class ResultView:
    """Shows a BMDResult; the whole of its columns is in the table node and in the exports.

    Signals
    -------
    picked(level) : the row of a vertebra was clicked or reached by the arrow keys.
    """

    def __init__(self, ui):
        self.ui = ui
        self.table = table = ui.resultView
        self.picked = Signal()
        self._switch = Switches()
        self._filling = False
        self._shown = self._colour = None
        tables.prepare(table, headings(), INTERVAL)  # the widest of the columns
        table.currentCellChanged.connect(self._onCurrentCellChanged)
        table.cellClicked.connect(self._onCellClicked)

    def show(self, result, stale):
        """Show a result, None for none; `stale` is the sentence why it is out of date, or ''."""
        there = result is not None
        self.table.setVisible(there)
        self._switch(self.table, stale)
        self.ui.summaryLabel.setEnabled(not stale)
        setText(self.ui.staleLabel, f"{marks.WARNING} {stale}" if stale else "")
        text = results.summary(result) if there else _("There are no results yet.")
        setText(self.ui.summaryLabel, text)
        colour = marks.colour(self.table)
        setText(self.ui.findingsLabel, findingsText(result, colour) if there else "")
        if there and not (self._shown is result and self._colour == colour):
            self._shown, self._colour = result, colour
            self._fill(result, colour)

    def _fill(self, result, colour):
        groups = marks.byLevel(result.findings)
        self._filling = True
        try:
            self.table.setRowCount(len(result.rows))
            for row, item in enumerate(result.rows):
                about = groups.get(None if item.level == TOTAL else item.level, [])
                for column, text in enumerate(cells(item)):
                    self._cell(row, column, text, item.level == TOTAL, not item.included)
                cell = self.table.item(row, LEVEL)
                warned = marks.warned(about)
                cell.setText(f"{item.level} {marks.WARNING}" if warned else item.level)
                cell.setToolTip(marks.hint(about))
                if warned:
                    cell.setForeground(qt.QBrush(qt.QColor(colour)))
        finally:
            self._filling = False
        tables.fitHeight(self.table, len(result.rows))

    def _cell(self, row, column, text, bold, italic):
        cell = qt.QTableWidgetItem(text)
        if column > LEVEL:
            right = int(qt.Qt.AlignRight) | int(qt.Qt.AlignVCenter)
            cell.setData(qt.Qt.TextAlignmentRole, right)
        font = cell.font()
        font.setBold(bold)
        font.setItalic(italic)  # left out of the mean
        cell.setFont(font)
        self.table.setItem(row, column, cell)

    def _onCurrentCellChanged(self, row, column, previousRow, previousColumn):
        if row != previousRow:
            self._onCellClicked(row, column)

    def _onCellClicked(self, row, column):
        cell = None if self._filling or row < 0 else self.table.item(row, LEVEL)
        if cell is not None and not cell.text().startswith(TOTAL):
            self.picked.emit(cell.text().split()[0])


def headings():
    """(title, tooltip) of each column."""
    return [
        (_("Level"), _("Vertebra (in italics: left out), or L1-L4 for the mean of those in use.")),
        (_("BMD\ng/cm²"), _("Areal bone mineral density, estimated from the CT.")),
        (
            _("90 %\ninterval"),
            _("Calibrated to cover 90 % of the model card's held-out patients, g/cm²."),
        ),
        (_("T-\nscore"), _("From the chosen reference table; needs the sex.")),
        (_("Trab.\nHU"), _("Mean HU of the trabecular bone inside the vertebral body.")),
    ]


def cells(row):
    """The texts of a LevelResult in the order of `headings`."""

    def number(value, decimals, unknown=""):
        return unknown if value is None else export.fixed(value, decimals)

    return [
        row.level,
        number(row.bmd_g_cm2, 3),
        f"{row.bmd_low:.3f}\u2013{row.bmd_high:.3f}",
        number(row.t_score, 1, "-"),
        number(row.trabecular_hu, 0, "?"),
    ]


def findingsText(result, colour):
    """The findings as rich text under the level they belong to, warnings first, and the disclaimer."""
    lines = []
    groups = marks.byLevel(result.findings)
    for level in [None, *(row.level for row in result.levels)]:
        if level not in groups:
            continue
        if level is not None:
            lines.append(f"<b>{html.escape(level)}</b>")
        lines += [marks.signed(item, colour) for item in groups[level]]
    return "<br>".join([*lines, html.escape(result.disclaimer)])
