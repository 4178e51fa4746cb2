"""Modal dialogs, and how a test answers them.

Without a person a modal dialog would wait for ever. Where nobody can see it
(Qt's `offscreen` platform, or `nobody` set by a test), a dialog takes the next
answer that was prepared for it, and raises where there is none.

>>> with answering("Ok", "/tmp/results.csv") as shown:
...     click(exportButton)
>>> shown[0].text
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PySide6 import QtCore, QtWidgets

nobody = False
_answers: list = []
_shown: list = []
_memory = {"folder": ""}


class NobodyAnswers(RuntimeError):
    """A modal dialog was opened and no answer was prepared."""


@dataclass(frozen=True)
class Shown:
    """A dialog that was opened: its kind, text, title and details; a file dialog's first folder."""

    kind: str
    text: str
    title: str = ""
    details: str = ""
    folder: str = ""


@contextmanager
def answering(*answers):
    """Prepare answers for the dialogs to come, in order.

    Parameters
    ----------
    *answers
        For a message box the name of a button ('Ok', 'Cancel', 'Yes' ...); for
        a file dialog the path, '' for Cancel.

    Yields
    ------
    list of Shown
        Filled as dialogs open.

    Raises
    ------
    AssertionError
        At the end, where an answer was not asked for.
    """
    shown = []
    before = list(_answers)
    _answers[:] = list(answers)
    _shown.append(shown)
    try:
        yield shown
        if _answers:
            raise AssertionError(f"No dialog asked for {_answers}; shown were {shown}.")
    finally:
        _shown.remove(shown)
        _answers[:] = before


def is_answered():
    """Whether a dialog is answered here rather than by a person."""
    app = QtWidgets.QApplication.instance()
    return nobody or bool(_shown) or app.platformName() in ("offscreen", "minimal")


def _answer(record):
    for shown in _shown:
        shown.append(record)
    if not _answers:
        raise NobodyAnswers(
            f"A {record.kind} was opened and nobody can answer it: {record.title} {record.text}"
        )
    return _answers.pop(0)


def run_message_box(box):
    """exec() of a QMessageBox: the standard button pressed.

    Outside tests a box with nothing to decide is closed where nobody sees it:
    slicer.util has written its text to the log.
    """
    if not is_answered():
        return box.exec()
    if not (nobody or _shown) and box.standardButtons() == QtWidgets.QMessageBox.StandardButton.Ok:
        return box.standardButtons().value
    name = _answer(Shown("message box", box.text(), box.windowTitle(), box.detailedText()))
    button = QtWidgets.QMessageBox.StandardButton[name]
    if not box.standardButtons() & button:
        raise NobodyAnswers(f"The message box '{box.text()}' has no button {name}.")
    return button.value


def run_message(name, args):
    """The static QMessageBox.question, information, warning and critical."""
    if not is_answered():
        return getattr(QtWidgets.QMessageBox, name)(*args)
    texts = [arg for arg in args if isinstance(arg, str)] + ["", ""]
    chosen = _answer(Shown("message box", texts[1], texts[0]))
    return QtWidgets.QMessageBox.StandardButton[chosen]


def run_file_dialog(name, args):
    """The static QFileDialog functions: a path ('' for Cancel), or a list of them.

    A dialog that is told no folder opens in the one where the last path was
    chosen, as Qt's own does.
    """
    if is_answered():
        texts = [arg for arg in args if isinstance(arg, str)] + ["", ""]
        folder = _folder_of(texts[1]) or _memory["folder"]
        chosen = _answer(Shown("file dialog", texts[0], name, folder=folder))
        chosen = list(chosen) if isinstance(chosen, (list, tuple)) else str(chosen)
    else:
        chosen = getattr(QtWidgets.QFileDialog, name)(*args)
        chosen = chosen[0] if isinstance(chosen, tuple) else chosen
    first = chosen[0] if isinstance(chosen, list) and chosen else chosen
    if first:
        _memory["folder"] = str(first) if name == "getExistingDirectory" else _folder_of(str(first))
    return chosen


def _folder_of(path):
    """The folder that a dialog opens on: the path itself, or that of the file it names."""
    if not path or Path(path).is_dir():
        return path
    return str(Path(path).parent)


def run_dialog(dialog):
    """exec() of any other dialog: answered by 'accept', 'reject' or a function of the dialog.

    Without an answer the dialog runs, because some close themselves; one that
    is still open after half a minute is closed and the sentence raised.
    """
    if not is_answered():
        return dialog.exec()
    if not _answers:
        late = []
        watch = QtCore.QTimer()
        watch.setSingleShot(True)
        watch.timeout.connect(lambda: (late.append(True), dialog.reject()))
        watch.start(30000)
        result = dialog.exec()
        watch.stop()
        if late:
            raise NobodyAnswers(f"The dialog '{dialog.windowTitle()}' was not closed.")
        return result
    answer = _answer(Shown("dialog", dialog.windowTitle(), type(dialog).__name__))
    if callable(answer):
        dialog.show()
        answer(dialog)
        dialog.hide()
        return dialog.result()
    return {"accept": 1, "reject": 0}[answer]
