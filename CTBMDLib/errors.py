"""What the library raises when an input cannot be used."""

from __future__ import annotations


class CTBMDError(ValueError):
    """An input that cannot be used; the message is one sentence a user can act on.

    The panel shows the message in a dialog and the shell prints it on stderr
    with exit code 2, so it says what is wrong and what to do, without jargon.
    """


class Cancelled(Exception):
    """`should_cancel()` answered True; nothing was changed."""
