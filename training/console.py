"""What a person at a terminal sees of a long piece of work: lines with the time, and a bar."""

from __future__ import annotations

import sys
import time

WIDTH = 30
"""Characters of the bar."""


def say(text: str) -> None:
    """Print a line with the time of day, at once."""
    print(time.strftime("%H:%M:%S"), text, flush=True)


def bar(fraction: float, text: str) -> None:
    """Redraw a progress bar on stderr; nothing where that is no terminal.

    Parameters
    ----------
    fraction : float
        0 to 1; 1 ends the line.
    text : str
    """
    if sys.stderr.isatty():
        end = "\n" if fraction >= 1 else ""
        drawn = "#" * int(WIDTH * fraction)
        print(f"\r[{drawn:<{WIDTH}}] {text}", end=end, file=sys.stderr, flush=True)
