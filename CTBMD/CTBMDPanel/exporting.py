"""Saving and copying the results."""

from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from CTBMDLib.bmd import export

from . import results

FOLDER_SETTING = "CTBMD/ExportFolder"


def suggestedName(result):
    """A file name from the case, with nothing in it that a file system refuses."""
    case = result.rows[0].case if result.rows else ""
    case = "".join(c if c.isalnum() or c in "-_" else "_" for c in case).strip("_")
    return f"{case or 'CT'}_BMD.csv"


def askPath(result):
    """Let the user name a file; None on cancel.

    Returns
    -------
    (Path, bool) or None
        The file and whether the dialog had its overwriting confirmed.
    """
    folder = qt.QSettings().value(FOLDER_SETTING) or str(Path.home())
    chosen = qt.QFileDialog.getSaveFileName(
        slicer.util.mainWindow(),
        _("Export the results"),
        str(Path(folder) / suggestedName(result)),
        ";;".join(
            (
                _("Table, comma-separated (*.csv)"),
                _("Table, tab-separated (*.tsv)"),
                _("JSON (*.json)"),
                _("Report, plain text (*.txt)"),
            )
        ),
    )
    if not chosen:
        return None
    path = Path(chosen)
    if path.suffix:
        return path, True
    # The dialog asked about the name as typed, not about the one with the ending.
    return path.with_suffix(".csv"), False


def remember(path):
    """The next dialog opens where this file could be written."""
    qt.QSettings().setValue(FOLDER_SETTING, str(Path(path).parent))


def write(result, path, overwrite=False):
    """Write the results by the file's ending: .csv, .tsv, .json or .txt (report)."""
    path = Path(path)
    if path.suffix.lower() == ".txt":
        return export.write_text(path, results.report(result), overwrite)
    return export.write_result(result, path, overwrite)


def clipboardText(result):
    """Tab-separated rows, which a spreadsheet takes as cells."""
    return export.to_delimited([result], "\t")


def copy(result):
    """Put the results on the clipboard."""
    qt.QApplication.clipboard().setText(clipboardText(result))
