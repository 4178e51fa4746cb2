"""What is chosen by hand besides the levels: sample CT, reference table, model, PyTorch."""

import qt
import slicer
from slicer.i18n import tr as _

from CTBMDLib.errors import CTBMDError

from . import pytorch, sample, sentences, views
from .signal import Signal


class SettingsActions:
    """What happens on the widgets that no parameter is bound to.

    Parameters
    ----------
    ui : object
        The named widgets of CTBMD.ui.
    state : PanelState
    logic : CTBMDLogic

    Signals
    -------
    installed() : PyTorch may have been installed.
    """

    def __init__(self, ui, state, logic):
        self.ui, self.state, self.logic = ui, state, logic
        self.installed = Signal()
        ui.sampleButton.clicked.connect(self.onLoadSample)
        ui.boneWindowButton.clicked.connect(self.onBoneWindow)
        ui.referenceCombo.currentIndexChanged.connect(self.onReference)
        ui.referenceFileButton.clicked.connect(self.onReferenceFile)
        ui.modelPathEdit.currentPathChanged.connect(self.onModelFolder)
        # About a field that was emptied currentPathChanged is silent: '' is no valid path.
        ui.modelPathEdit.validInputChanged.connect(self.onModelFolderEmptied)
        ui.installTorchButton.clicked.connect(self.onInstallTorch)

    def onLoadSample(self):
        """Load the sample CT and choose it."""
        try:
            with slicer.util.WaitCursor():
                node = sample.load()
        except CTBMDError as error:
            self.state.refused.emit(sentences.of(error))
            return
        self.state.parameterNode.inputVolume = node
        views.showVolume(node)

    def onBoneWindow(self):
        """Show the CT with a bone window."""
        if self.state.volumeNode is not None:
            views.boneWindow(self.state.volumeNode)

    def onReference(self, index=None):
        """A reference table was chosen from the list."""
        if self.state.parameterNode is not None:
            combo = self.ui.referenceCombo
            self.state.parameterNode.referenceTable = str(combo.itemData(combo.currentIndex) or "")

    def onReferenceFile(self):
        """Choose a reference table of one's own."""
        path = qt.QFileDialog.getOpenFileName(
            slicer.util.mainWindow(), _("Choose a reference table"), "", _("Tables (*.json)")
        )
        if not path:
            return
        try:
            self.logic.reference(path)
        except CTBMDError as error:
            self.state.refused.emit(sentences.of(error))
            return
        self.state.parameterNode.referenceTable = path

    def onModelFolder(self, path):
        """A folder of a model was typed or chosen."""
        if self.state.parameterNode is not None:
            self.state.parameterNode.modelFolder = str(path)

    def onModelFolderEmptied(self, valid):
        """The folder of the model was deleted: the bundled model again."""
        if not valid:
            self.onModelFolder(self.ui.modelPathEdit.currentPath)

    def onInstallTorch(self):
        """Install PyTorch, after asking."""
        try:
            pytorch.install()
        except CTBMDError as error:
            self.state.refused.emit(sentences.of(error))
        self.installed.emit()
        self.state.changed.emit()
