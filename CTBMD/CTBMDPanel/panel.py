"""The panel: its state, its views and its actions, and how they are tied together."""

import qt
import slicer

from . import sentences, views
from .chartactions import ChartActions
from .correctactions import CorrectActions
from .countactions import CountActions
from .display import Display
from .followactions import FollowActions
from .furtheractions import FurtherActions
from .imageactions import ImageActions
from .layout import Layout
from .levelactions import LevelActions
from .leveltable import LevelTable
from .resultactions import ResultActions
from .runner import Runner
from .settingsactions import SettingsActions
from .severalactions import SeveralActions
from .state import PanelState
from .studyactions import StudyActions


class Panel:
    """Connects the widgets of CTBMD.ui with the logic and the scene.

    The state is changed by actions and by the scene; views observe it.

    Parameters
    ----------
    ui : object
        The named widgets of CTBMD.ui.
    logic : CTBMDLogic

    Attributes
    ----------
    state : PanelState
    runner : Runner
    levels : LevelActions
    lastError : str
        The sentence that was shown last, for scripts and tests.
    """

    def __init__(self, ui, logic):
        self.ui = ui
        self.logic = logic
        self.lastError = ""
        self._guiTag = None
        self.state = state = PanelState()
        self.runner = runner = Runner()
        levelTable = LevelTable(ui.levelTable)
        self.display = display = Display(ui, state, logic, runner, levelTable)
        self.levels = LevelActions(ui, state, logic, runner, levelTable)
        self.following = FollowActions(ui, state, logic, runner)
        self.results = ResultActions(ui, state, logic, runner, self.following.followup)
        self.settings = SettingsActions(ui, state, logic)
        self.counting = CountActions(ui, state, runner, self.results.onEstimate)
        self.correcting = CorrectActions(ui, state, runner, self.results.onEstimate)
        self.further = FurtherActions(ui, state, logic, runner, self.levels.onFound)
        self.levels.foundNone.connect(self.further.onNoneFound)
        self.study = StudyActions(ui, state, runner, self.results.exports)
        self.several = SeveralActions(ui, state, logic, runner, self.results)
        self.images = ImageActions(ui, state, logic, levelTable)
        self.layout = Layout()
        self.charts = ChartActions(ui, state, logic, self.layout)
        display.resultView.picked.connect(self.levels.show)
        state.changed.connect(display.update)
        state.volumeChanged.connect(display.forget)
        state.volumeChosen.connect(views.showVolume)
        state.replaced.connect(runner.abandon)
        state.refused.connect(self.showError)
        runner.changed.connect(display.update)
        runner.failed.connect(self.showError)
        self.settings.installed.connect(display.torch)
        display.update()

    @property
    def parameterNode(self):
        """The CTBMDParameterNode, None while a scene is being closed."""
        return self.state.parameterNode

    @property
    def volumeNode(self):
        """The chosen CT, or None."""
        return self.state.volumeNode

    @property
    def controller(self):
        """The SelectionController."""
        return self.state.controller

    @property
    def result(self):
        """The BMDResult that is shown, or None."""
        return self.state.result

    def staleReason(self):
        """Why the results no longer fit what is chosen, or ''."""
        return self.state.staleReason()

    def cleanup(self):
        """Let go of everything; the widgets are about to be destroyed. May be called twice."""
        self.state.disconnectAll()
        self.runner.changed.disconnectAll()
        self.runner.failed.disconnectAll()
        self.display.close()
        self.following.close()
        self.levels.planes.close()
        self.charts.close()
        self.images.close()
        self.layout.exit()
        self.setParameterNode(None)

    # -- parameter node -------------------------------------------------------------
    def enter(self, parameterNode):
        """The module is shown: widgets and parameter node follow each other."""
        self.layout.enter()
        mine = self.parameterNode
        if mine is None or mine.parameterNode is not parameterNode.parameterNode:
            self.setParameterNode(parameterNode)
        else:
            self._connectGui()

    def exit(self):
        """The module is left: the user's layout comes back."""
        self.disconnectGui()
        self.layout.exit()

    def setParameterNode(self, parameterNode, connectGui=True):
        """Show a parameter node's state; None while a scene is being closed."""
        self.disconnectGui()
        self.state.setParameterNode(parameterNode)
        views.boneWindowOnce(self.volumeNode)
        if connectGui:
            self._connectGui()

    def sceneImported(self, entered):
        """A scene was loaded into this one: take over what it says."""
        if self.parameterNode is None:
            return
        self.setParameterNode(self.logic.getParameterNode(), connectGui=False)
        self.state.followVolumeID()
        # A table file keeps the cells only, not the titles and units of the columns.
        if self.result is not None and self.parameterNode.resultTable is not None:
            self.logic.fillTable(self.parameterNode.resultTable, self.result)
        if entered:
            # The scene has brought the layout that it was saved in.
            self.layout.imported()
            # Node selectors learn of the new nodes only after this event. Connected
            # now, they would write what they happen to show into the parameter node.
            qt.QTimer.singleShot(0, self._connectGui)

    def _connectGui(self):
        if self.parameterNode is not None and self._guiTag is None:
            self._guiTag = self.parameterNode.connectGui(self.ui)
            self.state.refresh()

    def disconnectGui(self):
        """The module is left: widgets stop writing to the parameter node."""
        if self.parameterNode is not None and self._guiTag is not None:
            self.parameterNode.disconnectGui(self._guiTag)
        self._guiTag = None

    def showError(self, sentence):
        """One sentence, in a dialog where there is a window."""
        sentence = sentences.inPanel(sentence)
        self.lastError = sentence
        slicer.util.errorDisplay(sentence)
