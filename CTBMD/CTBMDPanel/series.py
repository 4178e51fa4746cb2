"""Several CTs one after another: what is known of each, and the work on one."""

from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _

from CTBMDLib.errors import CTBMDError
from CTBMDLib.levels import LUMBAR
from CTBMDLib.progress import Progress

FIND_SHARE = 0.7
"""Share of the finding in the work on a CT, for the progress bar."""


@dataclass
class Row:
    """One CT of a run.

    Attributes
    ----------
    name : str
    node : vtkMRMLScalarVolumeNode or None
        None for a case of a folder.
    result : BMDResult or None
    reason : str
        Why there is no result; '' while it is not known.
    """

    name: str
    node: Any = None
    result: Any = None
    reason: str = ""


def findAndEstimate(find, estimate):
    """A function of (progress, should_cancel) that gives (LevelSelection, BMDResult).

    Parameters
    ----------
    find : callable(progress, should_cancel)
        Gives a LevelSelection.
    estimate : callable(selection, progress, should_cancel)
        Gives a BMDResult.
    """
    # Translated here: the work runs in another thread.
    none = _("No lumbar vertebra was found in this volume.")

    def work(progress, should_cancel):
        whole = Progress(progress, should_cancel)
        selection = find(whole.part(0.0, FIND_SHARE).step, should_cancel)
        if not any(item.level in LUMBAR for item in selection):
            raise CTBMDError(none, "no-lumbar-level")
        return selection, estimate(selection, whole.part(FIND_SHARE, 1.0).step, should_cancel)

    return work


def oneOf(work, number, count, name):
    """Work number `number` (from 0) of `count`, with its progress as a part of the whole."""
    text = _("{n} of {count}, {name}: {what}")

    def part(progress, should_cancel):
        def told(fraction, what=""):
            said = text.format(n=number + 1, count=count, name=name, what=what)
            progress((number + fraction) / count, said)

        return work(told, should_cancel)

    return part
