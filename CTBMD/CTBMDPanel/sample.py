"""The sample CT: a virtual patient that comes with the module."""

import slicer
from slicer.i18n import tr as _

from CTBMDLib.errors import CTBMDError
from CTBMDLib.reading.reading import read_ct
from CTBMDLib.resources import resource_folder

from . import volumes

NAME = "CTBMDVirtualPatient"
CATEGORY = "Quantification"


def archive():
    """Path of the sample's ZIP of DICOM files."""
    return resource_folder("SampleData") / f"{NAME}.zip"


def load():
    """Load the sample CT into the scene; nothing is downloaded.

    Returns
    -------
    vtkMRMLScalarVolumeNode
    """
    path = archive()
    if not path.is_file():
        raise CTBMDError(
            _("The sample CT is not installed ('{path}'); install the extension again.").format(
                path=path
            ),
            "sample-missing",
        )
    node = volumes.addVolumeNode(read_ct(path))
    node.SetName(slicer.mrmlScene.GenerateUniqueName(NAME))
    return node


def download(source=None):
    """What the Sample Data module calls for the sample: load it and show it."""
    node = load()
    slicer.util.setSliceViewerLayers(background=node, fit=True)
    return [node]


def register(thumbnail):
    """Offer the sample in Slicer's Sample Data module."""
    import SampleData

    logic = SampleData.SampleDataLogic
    if hasattr(logic, "registerCustomSampleDataCategory"):  # from 5.12
        logic.registerCustomSampleDataCategory(CATEGORY, title=_("Quantification"))
    logic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=NAME,
        thumbnailFileName=str(thumbnail),
        uris=archive().as_uri(),
        fileNames=archive().name,
        nodeNames=None,
        # The button runs this; a local ZIP of DICOM files needs no download and no database.
        customDownloader=download,
    )
