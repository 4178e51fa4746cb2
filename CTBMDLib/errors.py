"""What the library raises when an input cannot be used."""

from __future__ import annotations

MAX_SHOWN = 80


def shown(value: object) -> str:
    """A value out of a file as a sentence may repeat it: one line, and not a page of it."""
    text = " ".join(str(value).split())
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


class CTBMDError(ValueError):
    """An input that cannot be used; the message is one sentence a user can act on.

    The panel shows the message in a dialog and the shell prints it on stderr
    with exit code 2, so it says what is wrong and what to do, without jargon.

    Parameters
    ----------
    message : str
    code : str
        What is wrong, in a word or two that never change (`'no-such-file'`), so
        that a program can tell errors apart and the panel can translate them.

    Attributes
    ----------
    code : str
    """

    def __init__(self, message: str, code: str = "input") -> None:
        super().__init__(message)
        self.code = code


class Cancelled(Exception):  # noqa: N818  not an error: the user asked for it
    """`should_cancel()` answered True; nothing was changed."""
