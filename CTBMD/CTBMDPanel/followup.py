"""The earlier CT of the scene that a CT is compared with, and what has changed since."""

from typing import Any, NamedTuple

from slicer.i18n import tr as _

from CTBMDLib.cohort import followup
from CTBMDLib.cohort.outcome import facts_from, header_day, told_apart_by
from CTBMDLib.errors import CTBMDError

from . import belonging, cases, reporting, sentences, volumes

REFERENCE_ROLE = "CTBMD.EarlierCT"
"""Of a CT to the earlier one: the scene keeps it, and lets it go with the earlier CT."""


def remember(node, earlier):
    """Keep with a CT which earlier one it is compared with; None for none."""
    node.SetNodeReferenceID(REFERENCE_ROLE, None if earlier is None else earlier.GetID())


def remembered(node):
    """The earlier CT that a CT is compared with, or None."""
    return None if node is None else node.GetNodeReference(REFERENCE_ROLE)


class Compared(NamedTuple):
    """A comparison: the library's Change, or the sentence why there is none; '' where nothing is chosen."""

    change: Any = None
    reason: str = ""


class Followup:
    """Compares the CT that is chosen with an earlier one.

    Parameters
    ----------
    state : PanelState
    logic : CTBMDLogic
    """

    def __init__(self, state, logic):
        self._state, self._logic = state, logic

    def candidates(self):
        """The other CTs of the scene that have results of their own, and the one that is chosen."""
        here = self._state.volumeNode
        if here is None or self._state.parameterNode is None:
            return []
        others = (node for node in volumes.listed() if node is not here)
        chosen = remembered(here)
        return [node for node in others if node is chosen or self._state.resultOf(node)[0]]

    def compare(self):
        """What has changed since the earlier CT."""
        node = self._state.volumeNode
        earlier = remembered(node)
        if earlier is None or self._state.result is None or self._state.staleReason():
            return Compared()
        result, stale = self._state.resultOf(earlier)
        if result is None or stale:
            what = _("has no results") if result is None else _("has results that are out of date")
            text = _(
                "The earlier CT '{name}' {what}: choose it under '1. CT volume', press 'Estimate "
                "BMD', and come back to this CT."
            )
            return Compared(reason=text.format(name=earlier.GetName(), what=what))
        try:
            precision = self._precision()
            before = followup.Scan(result, self._facts(earlier, result))
            after = followup.Scan(self._state.result, self._facts(node, self._state.result))
            if (
                None not in (before.facts.day, after.facts.day)
                and after.facts.day < before.facts.day
            ):
                text = _(
                    "'{name}' is the later CT by its date: choose it under '1. CT volume', and this "
                    "one as its earlier CT."
                )
                return Compared(reason=text.format(name=earlier.GetName()))
            return Compared(followup.compare(before, after, precision))
        except CTBMDError as error:
            return Compared(reason=sentences.of(error))

    def modelPrecision(self):
        """The model's own Precision; None where its card states none, or it cannot be read."""
        try:
            return self._precision(own=False)
        except CTBMDError:
            return None

    def _precision(self, own=True):
        parameters = self._state.parameterNode
        if parameters is None:
            return None
        card = self._logic.bundle(parameters.modelFolder).card
        site = parameters.precision if own and parameters.precision > 0 else None
        return followup.precision_of(card, parameters.dxa.code, site)

    def _facts(self, node, result):
        person, day = self._ofFiles(node)
        stated = cases.statedKvp(node, self._state.settingsOf(node)["kvp"])
        return facts_from(volumes.acquisition(node), result, person, day, stated)

    def _ofFiles(self, node):
        """Patient id and day of a CT; they may be in its files."""
        header = volumes.headerOf(volumes.instanceUIDs(node))
        day = None if header is None else header_day(header)
        person = told_apart_by(belonging.identifiers(node).get(belonging.PATIENT))
        return person, None if day is None else day.toordinal()

    def called(self):
        """What the earlier CT is called where its identity may be told: its name, and the day of the scan."""
        import datetime

        earlier = remembered(self._state.volumeNode)
        if earlier is None:
            return None
        _person, day = self._ofFiles(earlier)
        when = "" if day is None else f", {datetime.date.fromordinal(day)}"
        return f"{earlier.GetName()}{when}"

    def exported(self, withIdentity, dicom=False):
        """(EarlierCT, dict) for report and JSON; (None, None) where there is no comparison.

        For a DICOM report with the headers of the earlier CT, where it has any. Of a CT of another
        patient neither its name nor its images are told: a report is filed under one patient.
        """
        change = self.compare().change
        if change is None:
            return None, None
        earlier = remembered(self._state.volumeNode)
        persons = {self._ofFiles(node)[0] for node in (self._state.volumeNode, earlier)}
        same = len(persons - {None}) < 2
        called = self.called() if withIdentity and same else None
        source = reporting.source(earlier) if dicom and same else None
        return followup.reported(change, called, source), followup.to_dict(change, called)
