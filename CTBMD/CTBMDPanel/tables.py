"""What the panel's tables have in common: titles with hints, narrow columns, as high as their rows."""

import qt

ROW_HEIGHT = 22


def prepare(table, headings, stretched=None):
    """Set up an empty table.

    Parameters
    ----------
    table : QTableWidget
    headings : list of (str, str)
        Title and tooltip of each column.
    stretched : int, optional
        The column that gets what is left of the panel's width; the last one where None.
    """
    table.setColumnCount(len(headings))
    table.verticalHeader().setVisible(False)
    table.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
    for column, (title, hint) in enumerate(headings):
        item = qt.QTableWidgetItem(title)
        item.setToolTip(hint)
        table.setHorizontalHeaderItem(column, item)
    header = table.horizontalHeader()
    header.setMinimumSectionSize(24)
    header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
    if stretched is None:
        header.setStretchLastSection(True)
    else:
        header.setSectionResizeMode(stretched, qt.QHeaderView.Stretch)


def fitHeight(table, rows):
    """Room for that many rows, so that nothing is hidden behind a scroll bar."""
    header = table.horizontalHeader().property("sizeHint").height()
    table.setFixedHeight(header + rows * ROW_HEIGHT + 2 * table.property("frameWidth"))
