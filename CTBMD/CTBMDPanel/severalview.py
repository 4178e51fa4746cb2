"""The CTs of a run in the panel: a row each, and why some have no value."""

import html

import qt
from slicer.i18n import tr as _

from . import marks, tables
from .words import setText

NAME, BMD, INTERVAL = range(3)
MOST_ROWS = 8
"""Rows that are seen at once; more are scrolled."""


class SeveralView:
    """Shows `series.Row`s.

    Parameters
    ----------
    table : QTableWidget
    label : QLabel
        For the failures.
    """

    def __init__(self, table, label):
        self.table, self.label = table, label
        tables.prepare(table, headings(), NAME)

    def show(self, rows):
        """Show the rows; none hides the table."""
        self.table.setVisible(bool(rows))
        self.table.setRowCount(len(rows))
        colour = marks.colour(self.table)
        for number, row in enumerate(rows):
            for column, text in enumerate(cells(row)):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(row.reason or row.name)
                if row.reason and column == BMD:
                    item.setForeground(qt.QBrush(qt.QColor(colour)))
                self.table.setItem(number, column, item)
        tables.fitHeight(self.table, min(len(rows), MOST_ROWS))
        failed = [row for row in rows if row.reason]
        sign = f'<span style="color:{colour}">{marks.WARNING}</span>'
        lines = [f"{sign} <b>{html.escape(x.name)}</b>: {html.escape(x.reason)}" for x in failed]
        setText(self.label, "<br>".join(lines))


def headings():
    """(title, tooltip) of each column."""
    return [
        (_("CT"), _("Name of the volume, or of the case in the folder.")),
        (_("L1-L4\ng/cm²"), _("Mean areal bone mineral density of the vertebrae in use.")),
        (
            _("90 %\ninterval"),
            _("Calibrated to cover 90 % of the model card's held-out patients, g/cm²."),
        ),
    ]


def cells(row):
    """The texts of a row in the order of `headings`."""
    if row.reason:
        return [row.name, f"{marks.WARNING} -", ""]
    if row.result is None:
        return [row.name, "", ""]
    total = row.result.total
    if total is None:
        return [row.name, "-", row.result.total_reason or ""]
    interval = f"{total.bmd_low:.3f}\u2013{total.bmd_high:.3f}"
    return [row.name, f"{total.bmd_g_cm2:.3f}", interval]
