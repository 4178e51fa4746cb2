"""The change since an earlier CT as a report tells it; whoever has compared the two fills it in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..bmd.export import fixed
from ..reading.source import SourceSeries

TITLE = "Change since an earlier CT"


@dataclass(frozen=True)
class EarlierCT:
    """An earlier CT of the person beside the one that is reported.

    Attributes
    ----------
    words : str
        The change and whether it can be told from chance, as one sentence.
    levels : sequence of str
        Vertebrae that count in both, of which the values are the means.
    before, after : float or None
        g/cm2; None where too few vertebrae count in both.
    warnings : sequence of str
        What else may have changed the values, a sentence each.
    called : str or None
        What the earlier CT is called; None where the report must not tell who it is of.
    days : int or None
        Between the two CTs; None where a date is unknown.
    least_significant_change : float or None
        g/cm2; None where no precision is known.
    verdict : {'changed', 'not distinguishable', 'unknown'}
        The change against the least significant one.
    source : SourceSeries or None
        The DICOM headers of the earlier CT, for a report that refers to it.
    """

    words: str
    levels: Sequence[str]
    before: float | None
    after: float | None
    warnings: Sequence[str] = ()
    called: str | None = None
    days: int | None = None
    least_significant_change: float | None = None
    verdict: str = "unknown"
    source: SourceSeries | None = None

    @property
    def change(self) -> float | None:
        """g/cm2; negative for loss."""
        return None if self.before is None or self.after is None else self.after - self.before

    def values(self) -> str:
        """The two values in one sentence; '' where there are none."""
        if self.before is None or self.after is None:
            return ""
        return (
            f"Mean of {' '.join(self.levels)}: {fixed(self.before, 3)} g/cm2 in the earlier CT, "
            f"{fixed(self.after, 3)} g/cm2 in this one."
        )

    def lines(self) -> list[str]:
        """All of it as lines of plain text, the title first."""
        title = f"{TITLE} ({self.called})" if self.called else TITLE
        warned = [f"warning: {text.rstrip('.')}." for text in self.warnings]
        return [title, *(x for x in (self.words, self.values()) if x), *warned]
