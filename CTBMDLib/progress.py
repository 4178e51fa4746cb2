"""One object for how far a long piece of work has come and whether to go on."""

from __future__ import annotations

from collections.abc import Callable

from .errors import Cancelled

Report = Callable[[float, str], None]
ShouldCancel = Callable[[], bool]


class Progress:
    """Where to tell how far the work is, and whom to ask whether to go on.

    Public calls take the plain callables `progress(fraction, text)` and
    `should_cancel()`; they make a `Progress` of them once and pass that on.

    Parameters
    ----------
    report : callable(fraction, text), optional
        Fractions run from 0 to 1.
    should_cancel : callable() -> bool, optional
    start, end : float
        The part of the whole that this work is.
    """

    def __init__(
        self,
        report: Report | None = None,
        should_cancel: ShouldCancel | None = None,
        start: float = 0.0,
        end: float = 1.0,
    ) -> None:
        self._report = report
        self._should_cancel = should_cancel
        self._start = start
        self._end = end

    def check(self) -> None:
        """Raise `Cancelled` where the user does not want to go on."""
        if self._should_cancel is not None and self._should_cancel():
            raise Cancelled

    def step(self, fraction: float, text: str) -> None:
        """Check, then tell that `fraction` (0 to 1) of this work is done and what comes.

        Raises
        ------
        Cancelled
        """
        self.check()
        if self._report is not None:
            self._report(self._start + (self._end - self._start) * fraction, text)

    def part(self, start: float, end: float) -> Progress:
        """The progress of a part of this work, from `start` to `end` of it."""
        span = self._end - self._start
        return Progress(
            self._report,
            self._should_cancel,
            self._start + span * start,
            self._start + span * end,
        )
