"""The study's table as a person knows it: which one it is, and what to do with a case that is in it."""

from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from CTBMDLib.bmd.estimate import UNNAMED
from CTBMDLib.cohort import study
from CTBMDLib.errors import CTBMDError

from . import exporting, sentences

SETTING = "CTBMD/StudyTable"
PATIENCE_S = 3.0
"""How long the panel stands still for another writer of the table."""


def chosen():
    """Path of the table, '' where none is chosen; a study has more than one scene."""
    return str(qt.QSettings().value(SETTING) or "")


def choose():
    """Let the user name a table, an existing one or a new one; whether there is one now."""
    here = chosen()
    dialog = qt.QFileDialog(slicer.util.mainWindow(), _("Choose the table of the study"))
    dialog.setAcceptMode(qt.QFileDialog.AcceptSave)
    dialog.setFileMode(qt.QFileDialog.AnyFile)
    # It is added to, so the dialog must not ask whether to replace it.
    dialog.setOption(qt.QFileDialog.DontConfirmOverwrite, True)
    dialog.setNameFilter(_("Tables (*.csv *.tsv)"))
    folder = qt.QSettings().value(exporting.FOLDER_SETTING) or str(Path.home())
    dialog.setDirectory(str(Path(here).parent) if here else folder)
    dialog.selectFile(Path(here).name if here else "study.csv")
    if not dialog.exec_():
        return False
    path = Path(dialog.selectedFiles()[0])
    path = path if path.suffix else path.with_suffix(".csv")
    study.check_table(path)
    qt.QSettings().setValue(SETTING, str(path))
    return True


class Decided:
    """What a person has said, so that it is asked once for all cases of a run.

    Attributes
    ----------
    ifThere : {'replace', 'skip'} or None
    mixed : bool
    """

    def __init__(self):
        self.ifThere = None
        self.mixed = False


def add(result, case, decided):
    """Append a result to the chosen table, asking what is not decided yet.

    Parameters
    ----------
    result : BMDResult
    case : str
        '' for the next number.
    decided : Decided

    Returns
    -------
    Appended or None
        None where the person does not want it.

    Raises
    ------
    CTBMDError
    """
    while True:
        try:
            return study.append_result(
                result,
                chosen(),
                case=case or None,
                if_there=decided.ifThere,
                mixed=decided.mixed,
                decimal_comma=exporting.decimalComma(),
                patience_s=PATIENCE_S,
            )
        except study.CaseThereError as error:
            ask = _("{what}\n\nOK replaces it; Cancel leaves the table as it is.")
            replace = slicer.util.confirmOkCancelDisplay(ask.format(what=sentences.of(error)))
            decided.ifThere = study.REPLACE if replace else study.SKIP
        except CTBMDError as error:
            if error.code not in ("study-columns", "study-model") or decided.mixed:
                raise
            ask = _("{what}\n\nOK adds the rows all the same.")
            if not slicer.util.confirmOkCancelDisplay(ask.format(what=sentences.of(error))):
                return None
            decided.mixed = True


def whom(withIdentity):
    """Whom the tables name, as a sentence for the panel."""
    if withIdentity:
        return _(
            "The tables get the patient ID and the series: 'Include patient identity' is ticked under "
            "'4. Results and export'."
        )
    return _(
        "The tables name nobody; 'Include patient identity' under '4. Results and export' changes that."
    )


def nameToKeep(done, result, typed):
    """What a CT is called in the scene: what was typed or numbered, never who it is of."""
    return typed if result.rows[0].case != UNNAMED else done.case


def said(done):
    """What became of a case, as a sentence."""
    text = {
        "added": _("'{case}' was added to '{table}'."),
        "replaced": _("'{case}' was replaced in '{table}'."),
        "skipped": _("'{case}' is in '{table}' and was left as it is."),
    }[done.did]
    return text.format(case=done.case, table=done.path.name)
