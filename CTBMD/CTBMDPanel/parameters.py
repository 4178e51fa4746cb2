"""Everything the panel remembers, kept in the scene."""

import enum
from typing import Annotated, Union

from slicer import (
    vtkMRMLLabelMapVolumeNode,
    vtkMRMLMarkupsFiducialNode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
    vtkMRMLTableNode,
)
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import Default, WithinRange, parameterNodeWrapper


class Sex(enum.Enum):
    """Sex for the T-score; the scene keeps the name, the combo box shows the label."""

    UNKNOWN = 0
    FEMALE = 1
    MALE = 2

    def label(self):
        """The text in the combo box."""
        return {0: _("unknown"), 1: _("female"), 2: _("male")}[self.value]

    @property
    def code(self):
        """'F', 'M' or None, as the library has it."""
        return {0: None, 1: "F", 2: "M"}[self.value]

    @classmethod
    def fromCode(cls, code):
        """The member for 'F', 'M' or anything else."""
        return {"F": cls.FEMALE, "M": cls.MALE}.get(code, cls.UNKNOWN)


class Device(enum.Enum):
    """Where the network runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"

    def label(self):
        """The text in the combo box."""
        return {
            "auto": _("automatic"),
            "cpu": _("processor (CPU)"),
            "cuda": _("NVIDIA GPU (CUDA)"),
            "mps": _("Apple GPU (MPS)"),
        }[self.value]


class Dxa(enum.Enum):
    """The DXA device to compare with."""

    AUTO = ""
    HOLOGIC = "hologic"
    LUNAR = "lunar"

    def label(self):
        """The text in the combo box."""
        return {
            "": _("automatic (Hologic)"),
            "hologic": "Hologic",
            "lunar": "GE Lunar",
        }[self.value]

    @property
    def code(self):
        """'hologic', 'lunar' or None for the model's own, as the library has it."""
        return self.value or None


@parameterNodeWrapper
class CTBMDParameterNode:
    """State of the panel.

    inputVolume : the CT.
    segmentation : segmentation or label volume to take the levels from, or None.
    levelPoints : one labelled control point per level.
    resultTable : the results as shown.
    levels : the LevelSelection as JSON (source, confidence, included, axis, height).
    result : the BMDResult as JSON with what it was made from, '' when there is none.
    imageChanged : the voxels changed after the estimate.
    age, kvp : years and kV; -1 and 0 where unknown.
    showOthers : whether levels that are neither L1-L4 nor in use are seen.
    showBone, showTrabecular : what is drawn over the images and the axial view.
    sex, referenceTable : for the T-score; '' is no table.
    modelFolder : a model bundle, '' for the one that comes with the module.
    device : where the network runs.
    caseName : what the CT is called in the study table, '' for the next number.
    countAgain : levels that count in the mean though a finding leaves them out: 'L2 L3'.
    correctValues : whether the CT's values are corrected by air and fat before the estimate.
    dxa : the DXA device whose g/cm2 the values are in.
    precision : SD of measuring L1-L4 again at this site, g/cm2; 0 for the model's own.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    segmentation: Union[vtkMRMLSegmentationNode, vtkMRMLLabelMapVolumeNode, None]  # noqa: UP007
    levelPoints: vtkMRMLMarkupsFiducialNode
    resultTable: vtkMRMLTableNode
    levels: str = ""
    result: str = ""
    imageChanged: bool = False
    sex: Annotated[Sex, Default(Sex.UNKNOWN)]
    age: Annotated[int, Default(-1), WithinRange(-1, 130)]
    kvp: Annotated[int, Default(0), WithinRange(0, 200)]
    referenceTable: str = ""
    showOthers: bool = True
    showBone: bool = False
    showTrabecular: bool = False
    modelFolder: str = ""
    caseName: str = ""
    countAgain: str = ""
    correctValues: bool = False
    device: Annotated[Device, Default(Device.AUTO)]
    dxa: Annotated[Dxa, Default(Dxa.AUTO)]
    precision: float = 0.0
