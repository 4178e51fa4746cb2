"""The CTBMD module of 3D Slicer: areal bone mineral density from an abdominal CT.

This file holds the four classes Slicer asks for; the parts of the panel are in
`CTBMDPanel`, and everything that decides a value is in `CTBMDLib`, which the
command line uses as well.
"""

import sys
from pathlib import Path

import CTBMDPanel  # noqa: F401  makes CTBMDLib importable in a source tree
import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


class CTBMD(ScriptedLoadableModule):
    """What Slicer shows of the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("CT Bone Mineral Density")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Quantification")]
        parent.dependencies = []
        parent.contributors = ["CTBMD developers"]
        parent.helpText = helpText()
        parent.acknowledgementText = _(
            "After the idea of Yasaka K, Akai H, Kunimatsu A, Kiryu S, Abe O. Prediction of bone "
            "mineral density from computed tomography: application of deep learning with a "
            "convolutional neural network. Eur Radiol 2020;30(6):3549-3557, "
            "doi 10.1007/s00330-020-06677-0. The network, its training and its weights are CTBMD's own."
        )
        slicer.app.connect("startupCompleted()", registerWithSlicer)


def helpText():
    """The module in four steps, and what it is not."""
    steps = (
        _(
            "<b>CT volume.</b> Choose an unenhanced CT that shows the lumbar spine, or load the sample; "
            "read what is known of the scan."
        ),
        _(
            "<b>Lumbar slices.</b> Press 'Find lumbar slices', click each row and look: drag what is "
            "wrong, correct the names, untick what must not count."
        ),
        _(
            "<b>Bone density.</b> Enter what the header does not say, choose a reference table where a "
            "T-score is wanted, press 'Estimate BMD'."
        ),
        _(
            "<b>Results.</b> Read the findings beside the values, then export the table or add it to "
            "that of a study."
        ),
    )
    what = _(
        "Estimates the areal bone mineral density (g/cm²) of the lumbar vertebrae L1-L4 from an "
        "unenhanced abdominal CT."
    )
    use = _(
        "<b>Research use only, not a medical device.</b> The model that comes with the module was "
        "trained on simulated CT; its accuracy on patients is not known. Works without PyTorch; "
        "nothing is downloaded or sent."
    )
    return f"{what}<ol>{''.join(f'<li>{step}</li>' for step in steps)}</ol>{use}"


def registerWithSlicer():
    """Offer the virtual patient in the Sample Data module, and describe the module's view layouts."""
    from CTBMDPanel import layout, sample

    layout.register()
    sample.register(Path(__file__).parent / "Resources" / "Icons" / "CTBMD.png")


class CTBMDWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel's life: made, entered, left, scene closed, thrown away."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.panel = None

    def setup(self):
        """Build the panel from its .ui file; nothing needs to be loaded for it."""
        ScriptedLoadableModuleWidget.setup(self)
        from CTBMDPanel import uicheck
        from CTBMDPanel.panel import Panel

        self.logic = CTBMDLogic()
        uiFile = self.resourcePath("UI/CTBMD.ui")
        uiWidget = slicer.util.loadUI(uiFile)
        problem = uicheck.problem(uiWidget, uiFile)
        if problem:
            # Without its widgets there is no panel; what is left of the module stays usable.
            uicheck.show(problem, self.layout)
            return
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.panel = Panel(self.ui, self.logic)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(scene, scene.StartImportEvent, self.onSceneStartImport)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneEndImport)
        self.panel.setParameterNode(self.logic.getParameterNode())

    def cleanup(self):
        """The application closes or the module is reloaded."""
        self.removeObservers()
        if self.panel is not None:
            self.panel.cleanup()

    def enter(self):
        """The module is shown: the widgets follow the parameter node."""
        if self.panel is not None:
            self.panel.enter(self.logic.getParameterNode())

    def exit(self):
        """Another module is shown: the widgets no longer follow the parameter node."""
        if self.panel is not None:
            self.panel.exit()

    def onSceneStartClose(self, caller=None, event=None):
        """The scene is about to go: let go of it."""
        self.panel.setParameterNode(None)

    def onSceneEndClose(self, caller=None, event=None):
        """The scene is empty: begin anew."""
        if self.parent.isEntered:
            self.panel.enter(self.logic.getParameterNode())

    def onSceneStartImport(self, caller=None, event=None):
        """While nodes arrive, node selectors must not write what they happen to show."""
        self.panel.disconnectGui()
        self.panel.layout.importing()

    def onSceneEndImport(self, caller=None, event=None):
        """A scene was loaded: show what it holds."""
        self.panel.sceneImported(self.parent.isEntered)

    def onReload(self):
        """Developer's reload: the library and the panel are read again as well."""
        for name in list(sys.modules):
            if name.split(".")[0] in ("CTBMDLib", "CTBMDPanel"):
                del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)


class CTBMDLogic(ScriptedLoadableModuleLogic):
    """From nodes to the library and back; works without the panel.

    Examples
    --------
    >>> logic = CTBMDLogic()
    >>> selection = logic.findLevels(volumeNode)
    >>> result = logic.estimate(volumeNode, selection)
    >>> logic.export(result, "results.csv")
    """

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        self._bundle = None

    def getParameterNode(self):
        """Everything the panel remembers, made where there is none."""
        from CTBMDPanel.parameters import CTBMDParameterNode

        return CTBMDParameterNode(super().getParameterNode())

    def volume(self, volumeNode):
        """The CT of a volume node as the library has it; refuses what is no CT."""
        from CTBMDPanel import volumes

        return volumes.ctVolume(volumeNode)

    def bundle(self, folder=""):
        """The model bundle in a folder, '' for the one that comes with the module."""
        from CTBMDPanel.reuse import ReusedBundle

        from CTBMDLib.model.bundle import ModelBundle, default_bundle_folder

        folder = Path(folder or default_bundle_folder()).absolute()
        if self._bundle is None or Path(self._bundle.folder) != folder:
            self._bundle = ReusedBundle(ModelBundle.load(folder))
        return self._bundle

    def reference(self, name=""):
        """A reference table by name or file, None for ''."""
        from CTBMDLib.bmd.reference import ReferenceTable

        return ReferenceTable.load(name) if name else None

    def referenceTables(self):
        """The reference tables that come with the module."""
        from CTBMDLib.bmd.reference import list_tables

        return list_tables()

    def checkVolume(self, volumeNode):
        """The findings about a volume node that need no levels."""
        from CTBMDLib.bmd.quality import check_volume

        return check_volume(self.volume(volumeNode))

    def findLevels(self, volumeNode, progress=None, shouldCancel=None):
        """Find the lumbar levels of a volume node; returns a LevelSelection."""
        return self.findWork(volumeNode)(progress, shouldCancel)

    def findWork(self, volumeNode, segmentationNode=None):
        """The finding as a function of (progress, should_cancel) that needs no MRML."""
        from CTBMDPanel import segmentations

        if segmentationNode is not None:
            return segmentations.levelsWork(segmentationNode, volumeNode)
        volume = self.volume(volumeNode)
        from CTBMDLib.spine.locate import find_levels

        return lambda progress, should_cancel: find_levels(
            volume, progress=progress, should_cancel=should_cancel
        )

    def estimate(self, volumeNode, selection, **options):
        """Estimate the BMD of a selection; returns a BMDResult. Options as `estimateWork`."""
        return self.estimateWork(volumeNode, selection, **options)(None, None)

    def estimateWork(self, volumeNode, selection, **options):
        """The estimate as a function of (progress, should_cancel) that needs no MRML.

        Parameters
        ----------
        volumeNode : vtkMRMLScalarVolumeNode
        selection : LevelSelection
        **options
            Those of `estimator`.
        """
        run = self.estimator(volumeNode, **options)
        return lambda progress, should_cancel: run(selection, progress, should_cancel)

    def caseWork(self, volumeNode, segmentationNode=None, **options):
        """Finding and estimating in one: a function that gives (LevelSelection, BMDResult).

        As `findWork` and `estimateWork`; a CT without a lumbar level is refused.
        """
        from CTBMDPanel import series

        find = self.findWork(volumeNode, segmentationNode)
        return series.findAndEstimate(find, self.estimator(volumeNode, **options))

    def estimator(self, volumeNode, reference="", modelFolder="", **options):
        """The estimate as a function of (selection, progress, should_cancel) that needs no MRML.

        Parameters
        ----------
        volumeNode : vtkMRMLScalarVolumeNode
        reference : str
            Name or file of a reference table, '' for none.
        modelFolder : str
            Folder of a bundle, '' for the one that comes with the module.
        **options
            `sex`, `age`, `kvp`, `dxa`, `device`, `include`, `correct_values` of
            `CTBMDLib.bmd.estimate.estimate`.
        """
        from CTBMDLib.bmd.estimate import estimate

        volume = self.volume(volumeNode)
        bundle = self.bundle(modelFolder)
        table = self.reference(reference)
        return lambda selection, progress, should_cancel: estimate(
            volume,
            selection,
            bundle,
            reference=table,
            progress=progress,
            should_cancel=should_cancel,
            **options,
        )

    def fillTable(self, tableNode, result):
        """Write a result into a table node."""
        from CTBMDPanel import results

        results.fillTable(tableNode, result)

    def export(self, result, path, overwrite=False):
        """Write a result to a .csv, .tsv, .json or .txt file; returns the path."""
        from CTBMDPanel import exporting

        return exporting.write(result, path, overwrite)


class CTBMDTest(ScriptedLoadableModuleTest):
    """The whole path on the sample CT, in Slicer's test runner and in EmbeddedSlicer."""

    def setUp(self):
        """Begin with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """All of it, in order."""
        parts = "nothingLoaded", "transform", "wholePath", "dicom", "panel", "views", "twoVolumes"
        for name in parts:
            self.setUp()
            getattr(self, f"test_{name}")()

    def test_nothingLoaded(self):
        """An empty scene gives sentences, not tracebacks."""
        from CTBMDPanel import selftest

        selftest.nothingLoaded(self, CTBMDLogic())

    def test_transform(self):
        """A volume under a transform is measured where it lies."""
        from CTBMDPanel import selftest

        selftest.underTransform(self)

    def test_wholePath(self):
        """From the sample CT to a file, through the logic."""
        from CTBMDPanel import selftest

        selftest.wholePath(self, CTBMDLogic())

    def test_dicom(self):
        """By way of the DICOM module, and back into its database."""
        from CTBMDPanel import selftest

        selftest.dicomModule(self)

    def test_panel(self):
        """From the sample CT to a saved scene, through the panel."""
        from CTBMDPanel import selftest

        selftest.panelPath(self)

    def test_views(self):
        """The own layout, the images and the chart."""
        from CTBMDPanel import selftest

        selftest.views(self)

    def test_twoVolumes(self):
        """Two CTs and a segmentation with numbers for names."""
        from CTBMDPanel import selftest

        selftest.twoVolumes(self)
