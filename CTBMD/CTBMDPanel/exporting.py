"""Saving and copying the results: which formats there are, and who writes each."""

from pathlib import Path
from typing import NamedTuple

import qt
import slicer
from slicer.i18n import tr as _

from CTBMDLib.bmd import export
from CTBMDLib.bmd.export import SUFFIXES
from CTBMDLib.errors import CTBMDError

from . import reporting, results

FOLDER_SETTING = "CTBMD/ExportFolder"
SEMICOLONS = "csv;"
"""Key of the format that this computer's spreadsheets may need."""
LONGEST_NAME = 120
"""Bytes of a case's name in a file's: file systems allow 255, and some programs far fewer."""


class Format(NamedTuple):
    """A format: its key, its words in the panel, the end of its files, and whether it is DICOM."""

    key: str
    words: str
    suffix: str
    dicom: bool = False


def formats():
    """The formats in the order of the panel's list."""
    return [
        Format("csv", _("Table, comma-separated (CSV)"), ".csv"),
        Format(SEMICOLONS, _("Table, semicolons and decimal commas (CSV)"), ".csv"),
        Format("tsv", _("Table, tab-separated as 'Copy' has it (TSV)"), ".tsv"),
        Format("json", _("JSON, for programs"), ".json"),
        Format("txt", _("Report, plain text"), ".txt"),
        Format("html", _("Report, one page with pictures (HTML)"), ".html"),
        Format("pdf", _("Report, one page with pictures (PDF)"), ".pdf"),
        Format("sr", _("DICOM structured report"), ".dcm", True),
        Format("sc", _("DICOM picture of the report (secondary capture)"), ".dcm", True),
    ]


def decimalComma():
    """Whether the spreadsheets of this computer write a comma where others write a point."""
    # The system's: Slicer itself sets Qt's default to that of C, whatever the country.
    return "," in qt.QLocale.system().toString(1.5)


def withCommas(chosen):
    """Whether the numbers of a format have decimal commas.

    Tab-separated cells are for a spreadsheet of this computer, in a file as on the clipboard: one
    that writes 0,857 takes 1.057 for a thousand and more.
    """
    return chosen.key == SEMICOLONS or (chosen.key == "tsv" and decimalComma())


def _byEnding():
    """The formats that an ending can mean: of the two with .csv the one of this computer."""
    not_mine = "csv" if decimalComma() else SEMICOLONS
    return [item for item in formats() if item.key != not_mine]


def formatOf(path, chosen):
    """The format that a file's ending means; `chosen` where the ending is its own or there is none."""
    suffix = Path(path).suffix.lower()
    suffix = {".htm": ".html"}.get(suffix, suffix)
    if not suffix or suffix == chosen.suffix:
        return chosen
    for item in _byEnding():
        if item.suffix == suffix:
            return item
    raise CTBMDError(
        _("'{name}' must end in {endings}.").format(
            name=Path(path).name, endings=", ".join(dict.fromkeys(x.suffix for x in formats()))
        ),
        "output-suffix",
    )


def suggestedName(result, chosen):
    """A file name from the case, with nothing in it that a file system refuses."""
    name = result.rows[0].case if result.rows else ""
    name = "".join(c if c.isalnum() or c in "-_" else "_" for c in name).strip("_")
    name = name.encode("utf-8", "replace")[:LONGEST_NAME].decode("utf-8", "ignore")
    end = {"sr": "_SR", "sc": "_SC"}.get(chosen.key, "")
    return f"{name or 'CT'}_BMD{end}{chosen.suffix}"


def askPath(result, chosen):
    """Let the user name a file; None on cancel.

    Returns
    -------
    (Path, bool) or None
        The file and whether the dialog had its overwriting confirmed.
    """
    folder = qt.QSettings().value(FOLDER_SETTING) or str(Path.home())
    others = [x for x in _byEnding() if x.suffix != chosen.suffix and not x.dicom]
    path = qt.QFileDialog.getSaveFileName(
        slicer.util.mainWindow(),
        _("Export the results"),
        str(Path(folder) / suggestedName(result, chosen)),
        ";;".join(f"{x.words} (*{x.suffix})" for x in (chosen, *others)),
    )
    if not path:
        return None
    path = Path(path)
    if path.suffix:
        return path, True
    # The dialog asked about the name as typed, not about the one with the ending.
    return path.with_suffix(chosen.suffix), False


def remember(path):
    """The next dialog opens where this file could be written."""
    qt.QSettings().setValue(FOLDER_SETTING, str(Path(path).parent))


def write(result, path, overwrite=False, earlier=None, followUp=None, commas=False):
    """Write the results by the file's ending: .csv, .tsv, .json or .txt (report).

    Parameters
    ----------
    result : BMDResult
    path : path
    overwrite : bool
    earlier : EarlierCT, optional
        What has changed since an earlier CT, for the report.
    followUp : dict, optional
        The same for JSON; a table has no place for it.
    commas : bool
        Whether numbers have decimal commas; a .csv then has semicolons.
    """
    path = Path(path)
    if path.suffix.lower() == ".txt":
        text = results.report(result)
        if earlier is not None:
            text += "\n" + "\n".join(earlier.lines()) + "\n"
        return export.write_text(path, text, overwrite)
    more = {"follow_up": followUp} if followUp else None
    return export.write_result(result, path, overwrite, more, commas)


def writeCase(reportCase, path, chosen, overwrite=False):
    """Write a case in one of `formats`."""
    writers = {
        "html": reporting.writeHtml,
        "pdf": reporting.writePdf,
        "sr": reporting.writeStructured,
        "sc": reporting.writeCapture,
    }
    if chosen.key in writers:
        return writers[chosen.key](reportCase, path, overwrite)
    return write(reportCase.result, path, overwrite)


def isTable(chosen):
    """Whether a format holds the numbers only, which need neither the CT nor its levels."""
    return chosen.suffix in (*SUFFIXES, ".txt")


def clipboardText(result):
    """Tab-separated rows, which a spreadsheet of this computer takes as cells and numbers."""
    return export.to_delimited([result], "\t", "," if decimalComma() else ".")


def copy(result):
    """Put the results on the clipboard."""
    qt.QApplication.clipboard().setText(clipboardText(result))
