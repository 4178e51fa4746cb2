"""How fast a batch goes and when it will have ended, for a terminal and for a log."""

from __future__ import annotations

import time
from collections.abc import Callable

LOG_SECONDS = 60.0
_BAR = 20


class Pace:
    """Tells how far a batch is: a bar where somebody looks on, else a line a minute.

    Parameters
    ----------
    show : callable(fraction, text)
        Shows the bar; does nothing where there is no terminal.
    log : callable(text) or None
        Writes a line; None where there is a terminal.
    clock : callable() -> float
        Seconds.
    """

    def __init__(
        self,
        show: Callable[[float, str], None],
        log: Callable[[str], None] | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._show, self._log, self._clock = show, log, clock
        self._started = self._logged = clock()
        self._first: float | None = None
        self.ended = 0

    def case_ended(self) -> None:
        """Count a case."""
        self.ended += 1

    def report(self, fraction: float, text: str) -> None:
        """Take the progress of the batch: see `progress.Report`."""
        if self._first is None:
            self._first = fraction
        words = self.words(fraction)
        full = round(_BAR * fraction)
        self._show(fraction, f"[{'#' * full}{'.' * (_BAR - full)}] {words}; {text}")
        now = self._clock()
        if self._log and now - self._logged >= LOG_SECONDS:
            self._logged = now
            self._log(f"{100 * fraction:.0f} %: {words}")

    def words(self, fraction: float) -> str:
        """'12 cases done, 4.1 a minute, 1 h 10 min left', as far as it is known."""
        seconds = self._clock() - self._started
        done = f"{self.ended} case{'' if self.ended == 1 else 's'} done"
        gained = fraction - (self._first or 0.0)
        if not self.ended or seconds <= 0 or gained <= 0:
            return done
        left = seconds * (1.0 - fraction) / gained
        return f"{done}, {60 * self.ended / seconds:.1f} a minute, {duration(left)} left"


def duration(seconds: float) -> str:
    """Seconds in words: '40 s', '3 min', '1 h 10 min', '2 d 3 h'."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{max(0, round(seconds))} s"
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"
