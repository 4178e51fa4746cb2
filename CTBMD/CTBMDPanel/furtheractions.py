"""Section 2 of the panel: other CTs of the same person, where the chosen one shows no lumbar vertebra."""

import slicer
from slicer.i18n import tr as _

from CTBMDLib.errors import CTBMDError
from CTBMDLib.levels import LUMBAR

from . import further, sentences, series
from .switches import Switches, underWay
from .words import onButton, setText, shortened

MOST_NAMES = 4
"""Names that are said; there may be dozens of reconstructions."""


class FurtherActions:
    """Tries the other CTs of the study unasked, names those of the person and tries them when asked.

    Parameters
    ----------
    ui : object
        The named widgets of CTBMD.ui.
    state : PanelState
    logic : CTBMDLogic
    runner : Runner
    onFound : callable(LevelSelection)
        Takes the levels of the CT that is chosen by then.
    """

    def __init__(self, ui, state, logic, runner, onFound):
        self.ui, self.state, self.logic, self.runner = ui, state, logic, runner
        self._onFound = onFound
        self._switch = Switches()
        self._tried = set()
        self.nodes = []
        self._left = self._button = None
        self._queue, self._vain, self._count = [], [], 0
        ui.furtherButton.clicked.connect(self.onTry)
        state.changed.connect(self.update)
        state.sceneReplaced.connect(self._tried.clear)
        state.volumeChosen.connect(self.forget)
        runner.changed.connect(self.update)

    def forget(self, node=None):
        """What was said is of another CT."""
        setText(self.ui.findStatusLabel, "")

    def update(self):
        """Name them where the search has found no lumbar vertebra."""
        ui, state = self.ui, self.state
        mine = self.runner.busy and self.runner.button is ui.furtherButton
        if not mine:
            # While the search is under way, those of the study may yet be tried by themselves.
            searching = self.runner.busy and self.runner.button is ui.findButton
            self.nodes = [] if searching else self._others()
        names = [shortened(node.GetName()) for node in self.nodes]
        text = ""
        if names:
            said = ", ".join(f"'{name}'" for name in names[:MOST_NAMES])
            more = len(names) - MOST_NAMES
            said += " " + _("and {n} more").format(n=more) if more > 0 else ""
            text = _("Other CTs of this person in the scene, the likeliest first: {names}.")
            text = text.format(names=said)
        setText(ui.furtherLabel, text)
        ui.furtherButton.setVisible(bool(names))
        if mine:
            ui.furtherButton.setText(_("Cancel"))
        elif len(names) == 1:
            ui.furtherButton.setText(_("Try '{name}'").format(name=onButton(names[0])))
        else:
            ui.furtherButton.setText(_("Try them, the likeliest first"))
        waiting = self.runner.busy and not mine
        self._switch(ui.furtherButton, underWay() if waiting else "")
        if state.parameterNode is None:
            self._tried.clear()

    def _others(self):
        state = self.state
        selection = state.controller.selection
        searched = bool(selection.findings or selection.levels)
        if state.volumeNode is None or not searched:
            return []
        if _lumbar(selection):
            return []
        others = further.others(state.volumeNode)
        return [node for node in others if node.GetID() not in self._tried]

    def onTry(self):
        """Search one after another, or cancel that."""
        if self.runner.cancelledBy(self.ui.furtherButton):
            return
        self._begin(self.nodes, self.ui.furtherButton)

    def onNoneFound(self):
        """The chosen CT shows no lumbar vertebra: the others of its study are tried unasked."""
        nodes = further.ofStudy(self.state.volumeNode)
        if nodes:
            self._begin(nodes, self.ui.findButton)

    def _begin(self, nodes, button):
        self._left, self._button = self.state.volumeNode, button
        self._queue, self._count = list(nodes), len(nodes)
        self._vain = [(shortened(self._left.GetName()), _("shows none"))]
        self._next()

    def _next(self):
        """Begin the search in the next CT that can be searched; one is prepared at a time."""
        while self._queue:
            node = self._queue.pop(0)
            if node.GetScene() is None:
                self._failed(node, _("is no longer in the scene"))
                continue
            if _lumbar(self.state.selectionOf(node)):
                self._choose(node, None)  # its levels are known, by hand or from before
                return
            try:
                with slicer.util.WaitCursor():
                    work = self.logic.findWork(node)
            except CTBMDError as error:
                self._failed(node, sentences.of(error))
                continue
            self._start(node, work)
            return
        none = _("No lumbar vertebra in any CT that was tried: {names}.")
        setText(self.ui.findStatusLabel, none.format(names=self._triedInVain()))

    def _start(self, node, work):
        def done(selection):
            if _lumbar(selection):
                self._choose(node, selection)
                return
            self._failed(node, _("shows none"))
            self._next()

        def failed(sentence):
            self._failed(node, sentences.inPanel(sentence))
            self._next()

        ui = self.ui
        number = self._count - len(self._queue) - 1
        self.runner.start(
            series.oneOf(work, number, self._count, shortened(node.GetName())),
            done,
            self._button,
            ui.findProgressBar,
            ui.findStatusLabel,
            onFailed=failed,
            onCancelled=self._cancelled,
        )

    def _failed(self, node, why):
        self._tried.add(node.GetID())
        self._vain.append((shortened(node.GetName()), why.rstrip(".")))

    def _triedInVain(self):
        return "; ".join(f"'{name}' ({why})" for name, why in self._vain)

    def _choose(self, node, selection):
        """Choose a CT that shows the lumbar spine, and say which was left."""
        self.state.parameterNode.inputVolume = node
        if selection is not None:
            self._onFound(selection)
        said = _(
            "'{name}' shows the lumbar spine and is the chosen CT now; your choice '{left}' was left, "
            "since it shows no lumbar vertebra."
        ).format(name=shortened(node.GetName()), left=shortened(self._left.GetName()))
        if len(self._vain) > 1:
            said += " " + _("Tried before: {names}.").format(names=self._triedInVain())
        setText(self.ui.findStatusLabel, said)

    def _cancelled(self):
        said = _("Cancelled; '{name}' stays the chosen CT. Tried: {names}.")
        name = shortened(self._left.GetName())
        setText(self.ui.findStatusLabel, said.format(name=name, names=self._triedInVain()))


def _lumbar(selection):
    return any(item.level in LUMBAR for item in selection)
