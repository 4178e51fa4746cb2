"""Section 2 of the panel: other CTs of the same person, where the chosen one shows no lumbar vertebra."""

from slicer.i18n import tr as _

from CTBMDLib.errors import CTBMDError
from CTBMDLib.levels import LUMBAR

from . import further, volumes
from .switches import Switches, underWay
from .words import setText, shortened

MOST_NAMES = 4
"""Names that are said; there may be dozens of reconstructions."""


class FurtherActions:
    """Names the other CTs and tries them when asked.

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
        self._known = None
        self.nodes = []
        ui.furtherButton.clicked.connect(self.onTry)
        state.changed.connect(self.update)
        state.sceneReplaced.connect(self._tried.clear)
        runner.changed.connect(self.update)

    def update(self):
        """Name them where the search has found no lumbar vertebra."""
        ui, state = self.ui, self.state
        mine = self.runner.busy and self.runner.button is ui.furtherButton
        if not mine:
            self.nodes = self._others()
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
            ui.furtherButton.setText(_("Try '{name}'").format(name=names[0]))
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
        if any(item.level in LUMBAR for item in selection):
            return []
        # Whose a CT is may be in its files; they are not read at each change of the panel.
        now = [volumes.identity(node) for node in (state.volumeNode, *volumes.listed())]
        if self._known is None or self._known[0] != now:
            self._known = now, further.others(state.volumeNode)
        return [node for node in self._known[1] if node.GetID() not in self._tried]

    def onTry(self):
        """Search one after another, or cancel that."""
        if self.runner.cancelledBy(self.ui.furtherButton):
            return
        nodes, finders = [], []
        for node in self.nodes:
            try:
                finders.append((node.GetName(), self.logic.findWork(node)))
            except CTBMDError:
                self._tried.add(node.GetID())  # no CT; the selector still offers it
                continue
            nodes.append(node)

        def done(answer):
            self._done(nodes, answer)

        ui = self.ui
        self.runner.start(
            further.firstWithLumbar(finders),
            done,
            ui.furtherButton,
            ui.findProgressBar,
            ui.findStatusLabel,
        )

    def _done(self, nodes, answer):
        if answer is None:
            self._tried.update(node.GetID() for node in nodes)
            none = _("None of these CTs shows a lumbar vertebra: {names}.")
            names = ", ".join(shortened(node.GetName()) for node in nodes)
            setText(self.ui.findStatusLabel, none.format(names=names))
            return
        number, selection = answer
        self._tried.update(node.GetID() for node in nodes[:number])
        self.state.parameterNode.inputVolume = nodes[number]
        self._onFound(selection)
        said = _("'{name}' shows the lumbar spine and is the chosen CT now.")
        setText(self.ui.findStatusLabel, said.format(name=nodes[number].GetName()))
